//! The local APIC: end of interrupt, one-shot timer, interprocessor interrupts; by registers of the x2APIC, or by memory.
//!
//! QEMU's emulation has no x2APIC, KVM does.

use crate::cpu;
use crate::paging::REGISTERS;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Physical address of the registers.
pub const PHYSICAL: u64 = 0xfee0_0000;
/// Vector of the timer.
pub const TIMER: u8 = 0xf0;
/// Vector by which a processor is asked to schedule.
pub const RESCHEDULE: u8 = 0xf1;
/// Vector by which a processor is asked to forget translations.
pub const SHOOTDOWN: u8 = 0xf2;
/// Vector 0xf3 has a processor look what is to be traced ([`chorus_abi::trace::VECTOR`]).
const _: () = assert!(chorus_abi::trace::VECTOR == SHOOTDOWN + 1);
/// Vector of interrupts that went away.
pub const SPURIOUS: u8 = 0xff;

const ID: u32 = 0x20;
const EOI: u32 = 0xb0;
const SPURIOUS_VECTOR: u32 = 0xf0;
const COMMAND: u32 = 0x300;
const TIMER_ENTRY: u32 = 0x320;
const INITIAL_COUNT: u32 = 0x380;
const CURRENT_COUNT: u32 = 0x390;
const DIVIDE: u32 = 0x3e0;
const BASE: u32 = 0x1b;
const DEADLINE: u32 = 0x6e0;

static X2APIC: AtomicBool = AtomicBool::new(false);
static HAS_DEADLINE: AtomicBool = AtomicBool::new(false);

fn read(register: u32) -> u32 {
    if X2APIC.load(Relaxed) {
        cpu::read_msr(0x800 + (register >> 4)) as u32
    } else {
        // SAFETY: the boot processor mapped the registers there, uncached, before anybody came here.
        unsafe { ((REGISTERS + u64::from(register)) as *const u32).read_volatile() }
    }
}

fn write(register: u32, value: u32) {
    if X2APIC.load(Relaxed) {
        // SAFETY: registers of the APIC do not touch memory.
        unsafe { cpu::write_msr(0x800 + (register >> 4), u64::from(value)) }
    } else {
        // SAFETY: as in `read`.
        unsafe { ((REGISTERS + u64::from(register)) as *mut u32).write_volatile(value) }
    }
}

/// Finds out which sort of APIC there is; once, by the boot processor.
pub fn detect() {
    let features = cpu::cpuid(1, 0)[2];
    X2APIC.store(features >> 21 & 1 == 1, Relaxed);
    HAS_DEADLINE.store(features >> 24 & 1 == 1, Relaxed);
}

/// Switches this processor's APIC on; its identifier.
pub fn enable() -> u32 {
    let mode = if X2APIC.load(Relaxed) {
        3 << 10
    } else {
        1 << 11
    };
    // SAFETY: switches the APIC on at its place.
    unsafe { cpu::write_msr(BASE, cpu::read_msr(BASE) | mode) };
    write(SPURIOUS_VECTOR, 0x100 | u32::from(SPURIOUS));
    write(DIVIDE, 0b1011);
    write(
        TIMER_ENTRY,
        u32::from(TIMER)
            | if HAS_DEADLINE.load(Relaxed) {
                2 << 17
            } else {
                0
            },
    );
    if X2APIC.load(Relaxed) {
        read(ID)
    } else {
        read(ID) >> 24
    }
}

/// Ends the interrupt being served.
#[inline]
pub fn end() {
    write(EOI, 0);
}

/// Sends a command to a processor: a vector, or the bits of NMI, INIT or start-up.
pub fn send(apic: u32, command: u32) {
    if X2APIC.load(Relaxed) {
        // SAFETY: as in `write`. The fence orders earlier stores before the interrupt, which the register write alone does not.
        unsafe {
            core::arch::asm!("mfence", "lfence", options(nostack, preserves_flags));
            cpu::write_msr(
                0x800 + (COMMAND >> 4),
                u64::from(apic) << 32 | u64::from(command),
            );
        }
    } else {
        while read(COMMAND) & 1 << 12 != 0 {
            core::hint::spin_loop();
        }
        write(COMMAND + 0x10, apic << 24);
        write(COMMAND, command);
    }
}

/// Command: non-maskable interrupt.
pub const NMI: u32 = 4 << 8 | 1 << 14;
/// Command: INIT.
pub const INIT: u32 = 5 << 8 | 1 << 14;
/// Command: start-up at page 8.
pub const STARTUP: u32 = 6 << 8 | 1 << 14 | (crate::entry::TRAMPOLINE >> 12) as u32;

/// Lets the timer fire at a time-stamp, or after this many nanoseconds where there is no deadline mode (its clock is 1 GHz in every
/// supported machine: KVM's and QEMU's constant).
pub fn arm(deadline: u64, nanoseconds: u64) {
    if HAS_DEADLINE.load(Relaxed) {
        // SAFETY: sets a timer. The fence orders the switch to deadline mode before it (xAPIC writes are memory writes).
        unsafe {
            core::arch::asm!("mfence", options(nostack, preserves_flags));
            cpu::write_msr(DEADLINE, deadline);
        }
    } else {
        write(
            INITIAL_COUNT,
            nanoseconds.clamp(1, u64::from(u32::MAX)) as u32,
        );
    }
}

/// Counts APIC nanoseconds while `during` runs, which gets a function that tells how many passed. The timer's interrupt is off meanwhile.
pub fn stopwatch<T>(during: impl FnOnce(&dyn Fn() -> u64) -> T) -> T {
    let entry = read(TIMER_ENTRY);
    write(TIMER_ENTRY, 1 << 16 | u32::from(TIMER));
    write(INITIAL_COUNT, u32::MAX);
    let result = during(&|| u64::from(u32::MAX - read(CURRENT_COUNT)));
    write(INITIAL_COUNT, 0);
    write(TIMER_ENTRY, entry);
    result
}

/// Masks both 8259s of a machine that has them: unmasked they deliver device interrupts a second time, as exceptions' vectors.
pub fn mask_8259() {
    cpu::out8(0x21, 0xff);
    cpu::out8(0xa1, 0xff);
}

pub use chorus_abi::machine::{irq_of, vector_of};

/// Lets a device interrupt through an I/O APIC to the boot processor, as an edge (drivers acknowledge at the device).
pub fn route(irq: u32, apic: u32) {
    // The boot processor mapped both I/O APICs behind the local one.
    let registers = REGISTERS + 4096 * (1 + u64::from(irq / 24));
    let pin = irq % 24;
    let set = |index: u32, value: u32| {
        // SAFETY: device registers, mapped uncached; the index chooses, the window writes.
        unsafe {
            (registers as *mut u32).write_volatile(index);
            ((registers + 0x10) as *mut u32).write_volatile(value);
        }
    };
    set(0x11 + pin * 2, apic << 24);
    set(0x10 + pin * 2, vector_of(irq));
}
