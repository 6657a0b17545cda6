//! Exceptions and interrupts: the table, the 256 entries, and who handles what.
//!
//! All entries run with interrupts off. Double fault, NMI and machine check have stacks of their own and do not trust GS; everything else
//! saves all registers on the kernel stack of the thread, where they stay if another thread is switched to. A breakpoint is first offered to
//! the machine's debugger: at the port output all registers are those at the `int3` and the stack pointer is at the exception frame. A
//! debugger that takes it never comes back here; without one, supervisor code goes on and a user thread gets its exception.

use crate::machine::X86;
use crate::panic::Place;
use crate::processor::{self, KERNEL_CODE, Pointer};
use crate::{apic, calls, clock, cpu, panic, shootdown, site, stretches, trace, upcalls};
use chorus_abi::trace::VECTOR as TRACE_VECTOR;
use chorus_abi::{K_EXC_FETCH, K_EXC_WRITE};
use chorus_nucleus_core::supervisor::Trouble;
use chorus_nucleus_core::{Fault, Nucleus};
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};

global_asm!(
    r#"
    .text
    .balign 16
    .global trap_entries
trap_entries:
    .set number, 0
    .rept 256
    .balign 16
    .if (number == 8) || ((number >= 10) && (number <= 14)) || (number == 17) || (number == 21) || (number == 29) || (number == 30)
    .else
    pushq $0
    .endif
    pushq $number
    .if (number == 2) || (number == 8) || (number == 18)
    jmp trap_without_gs
    .elseif number == 3
    jmp trap_breakpoint
    .else
    jmp trap_common
    .endif
    .set number, number + 1
    .endr

    .macro save_all
    pushq %rax; pushq %rcx; pushq %rdx; pushq %rsi; pushq %rdi; pushq %r8; pushq %r9; pushq %r10
    pushq %r11; pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15
    .endm
    .macro restore_all
    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx; popq %r11
    popq %r10; popq %r9; popq %r8; popq %rdi; popq %rsi; popq %rdx; popq %rcx; popq %rax
    .endm

    // The interrupted code may have set AC, which in this ring opens the memory of users to the Nucleus.
    .macro close_users
    testl $0x40000, 32(%rsp)
    jz 9f
    pushfq
    andl $0xfffbffff, (%rsp)
    popfq
9:
    .endm

trap_breakpoint:
    leaq 16(%rsp), %rsp
    outb %al, $0xfa
    testb $3, 8(%rsp)
    jz 3f
    leaq -16(%rsp), %rsp
    jmp trap_common
3:  iretq

trap_common:
    cld
    close_users
    testb $3, 24(%rsp)
    jz trap_inside
    swapgs
trap_saves:
    save_all
    movq %rsp, %rdi
    call *{handler}(%rip)
    restore_all
    testb $3, 24(%rsp)
    jz 2f
    swapgs
2:  addq $16, %rsp
    iretq

// From supervisor code. An interrupt where interrupts are off cannot be: an emulated SVM now and then delivers one a second time, at the first instruction of its own
// handler, where GS may still be the user's. It is dropped, and counted.
trap_inside:
    testl $0x200, 32(%rsp)
    jnz trap_saves
    cmpl $32, (%rsp)
    jb trap_saves
    lock incq {twice}(%rip)
    addq $16, %rsp
    iretq

trap_without_gs:
    cld
    close_users
    save_all
    movq %rsp, %rdi
    call trap_fatal
    restore_all
    addq $16, %rsp
    iretq

    // A thread whose registers were replaced while it did not run: what it did before is forgotten.
    .global thread_continues
thread_continues:
    call thread_goes_on
    restore_all
    testb $3, 24(%rsp)
    jz 4f
    swapgs
4:  addq $16, %rsp
    iretq

    .global idle_forever, idle_halt
idle_forever:
    cli
    andq $-16, %rsp
    call idle_work
    sti
idle_halt:
    hlt
    jmp idle_forever
"#,
    twice = sym DELIVERED_TWICE,
    handler = sym HANDLER,
    options(att_syntax)
);

unsafe extern "C" {
    static trap_entries: u8;
    static idle_halt: u8;
    /// Waits for interrupts for ever.
    pub fn idle_forever() -> !;
}

/// Registers as the entries save them.
#[repr(C)]
pub struct Frame {
    pub(crate) r15: u64,
    pub(crate) r14: u64,
    pub(crate) r13: u64,
    pub(crate) r12: u64,
    pub(crate) rbp: u64,
    pub(crate) rbx: u64,
    pub(crate) r11: u64,
    pub(crate) r10: u64,
    pub(crate) r9: u64,
    pub(crate) r8: u64,
    pub(crate) rdi: u64,
    pub(crate) rsi: u64,
    pub(crate) rdx: u64,
    pub(crate) rcx: u64,
    pub(crate) rax: u64,
    pub(crate) vector: u64,
    pub(crate) error: u64,
    pub(crate) rip: u64,
    pub(crate) cs: u64,
    pub(crate) rflags: u64,
    pub(crate) rsp: u64,
    pub(crate) ss: u64,
}

impl Frame {
    /// Whether it interrupted the Nucleus, which hears interrupts between two steps of a call and while it idles.
    pub(crate) fn in_nucleus(&self) -> bool {
        let area = crate::paging::SUPERVISOR_AREA;
        self.cs & 3 == 0 && !(area.0..area.1).contains(&self.rip)
    }

    fn place(&self) -> Place {
        Place {
            vector: self.vector as u32,
            error_code: self.error,
            rip: self.rip,
            rsp: self.rsp,
            rbp: self.rbp,
        }
    }
}

/// RFLAGS: an exception after each instruction.
const TRAP_FLAG: u64 = 1 << 8;
/// Vector of the second way into the Nucleus.
const CALL_VECTOR: usize = 0x40;
const FIRST_TRAP: usize = chorus_abi::K_TRAP_FIRST as usize;
const LAST_TRAP: usize = chorus_abi::K_TRAP_LAST as usize;
/// Interrupts that came between `sti` and `hlt` of an idle processor.
pub static IDLE_FIXUPS: AtomicU64 = AtomicU64::new(0);
/// Interrupts that were delivered a second time, with interrupts off, and dropped.
pub static DELIVERED_TWICE: AtomicU64 = AtomicU64::new(0);

type Handler = unsafe extern "C" fn(&mut Frame);
/// What the entries call: [`trap`], or while a trace is on the same traced.
static HANDLER: AtomicPtr<()> = AtomicPtr::new(trap as *mut ());

/// Has exceptions and interrupts go the traced way, or no more.
pub fn go_traced(traced: bool) {
    let handler: Handler = if traced { trace::traced_trap } else { trap };
    HANDLER.store(handler as *mut (), Relaxed);
}

struct Table(UnsafeCell<[[u64; 2]; 256]>);
// SAFETY: written once by the boot processor before any other processor loads it.
unsafe impl Sync for Table {}
static TABLE: Table = Table(UnsafeCell::new([[0; 2]; 256]));

/// Fills the table; once.
pub fn prepare() {
    let entries = &raw const trap_entries as u64;
    for vector in 0..256usize {
        let address = entries + vector as u64 * 16;
        let stack = match vector {
            8 => 1,
            2 => 2,
            18 => 3,
            _ => 0,
        };
        // What programs may raise: a breakpoint, calls of the Nucleus and of subsystems.
        let privilege: u64 = match vector {
            3 | CALL_VECTOR | FIRST_TRAP..=LAST_TRAP => 3,
            _ => 0,
        };
        let low = address & 0xffff
            | u64::from(KERNEL_CODE) << 16
            | stack << 32
            | (0x8e | privilege << 5) << 40
            | (address >> 16 & 0xffff) << 48;
        // SAFETY: the boot processor is alone.
        unsafe { (*TABLE.0.get())[vector] = [low, address >> 32] };
    }
}

/// Puts the table in force on this processor.
pub fn load() {
    let pointer = Pointer {
        limit: 4095,
        base: TABLE.0.get() as u64,
    };
    // SAFETY: the table is complete and lives for ever.
    unsafe { asm!("lidt [{}]", in(reg) &pointer, options(nostack, preserves_flags)) };
}

/// What an exception or an interrupt is, and what follows from it.
pub extern "C" fn trap(frame: &mut Frame) {
    let user = frame.cs & 3 != 0;
    if user && frame.vector == 14 && first_touch(frame.error) {
        return;
    }
    if !user && frame.rip == &raw const idle_halt as u64 {
        // The interrupt came before `hlt` although `sti` shields it: sleeping now would lose the wake-up.
        frame.rip += 1;
        IDLE_FIXUPS.fetch_add(1, Relaxed);
    }
    match frame.vector as usize {
        CALL_VECTOR if user => {
            let arguments = [
                frame.rdi, frame.rsi, frame.rdx, frame.r10, frame.r8, frame.r9,
            ];
            frame.rax = calls::nucleus_call(frame.rax as u32, &arguments) as u64;
        }
        vector @ 0..32 => exception(frame, vector, user),
        FIRST_TRAP..=LAST_TRAP => upcalls::trap(frame),
        vector if let Some(irq) = apic::irq_of(vector as u32) => {
            apic::end();
            let nucleus = enter(vector as u32);
            nucleus.interrupt(processor::this().index, irq);
            let nucleus = upcalls::interrupts(nucleus, Some(vector as u32));
            settle(nucleus, frame);
            upcalls::finish(nucleus, frame);
        }
        vector => match vector as u8 {
            apic::TIMER => {
                apic::end();
                timer(frame);
            }
            apic::RESCHEDULE => {
                apic::end();
                refresh_timer();
                let nucleus = upcalls::interrupts(enter(vector as u32), None);
                settle(nucleus, frame);
                upcalls::finish(nucleus, frame);
            }
            apic::SHOOTDOWN => {
                apic::end();
                shootdown::serve();
            }
            TRACE_VECTOR => {
                apic::end();
                trace::obey();
            }
            _ => {}
        },
    }
}

/// Runs whichever thread should run; the one that leaves the processor can be looked at in its frame until it comes back.
pub fn settle(nucleus: &mut Nucleus<X86>, frame: &mut Frame) {
    let own = processor::this();
    if frame.in_nucleus() {
        // In the middle of a call: what its thread's registers are, its entry has saved.
        return site::settle(nucleus, own);
    }
    let thread = own.current.get();
    let interrupted = |nucleus: &mut Nucleus<X86>, at: u64| {
        if let Some(Some(context)) = nucleus.machine.contexts.get_mut(thread) {
            context.frame = at;
        }
    };
    interrupted(
        nucleus,
        core::ptr::from_mut(frame).expose_provenance() as u64,
    );
    site::settle(nucleus, own);
    interrupted(nucleus, 0);
}

/// Enters the Nucleus for an interrupt or exception.
#[inline]
fn enter(vector: u32) -> &'static mut Nucleus<X86> {
    let nucleus = site::enter();
    stretches::is_in(stretches::VECTOR | vector);
    nucleus
}

fn timer(frame: &mut Frame) {
    let own = processor::this();
    own.armed.set(u64::MAX);
    let nucleus = enter(u32::from(apic::TIMER));
    let due = own.wanted.load(Relaxed) <= clock::now();
    if due {
        own.wanted.store(u64::MAX, Relaxed);
        nucleus.timer(own.index);
    }
    refresh_timer();
    let nucleus = upcalls::interrupts(nucleus, None);
    settle(nucleus, frame);
    upcalls::finish(nucleus, frame);
}

/// Programs this processor's timer if it is wanted earlier than it would fire. One that is wanted later is left to fire and looked at then.
pub fn refresh_timer() {
    let own = processor::this();
    let wanted = own.wanted.load(Relaxed);
    if wanted < own.armed.get() {
        // A timer mode with a 32-bit count cannot look further ahead.
        let at = wanted.min(clock::now() + 4_000_000_000);
        own.armed.set(at);
        clock::arm(at);
    }
}

/// Number of an x86 exception in the Nucleus' table (spec 6.2).
fn number_of(vector: usize, error: u64, user: bool) -> u32 {
    match vector {
        0 => 1,
        4 | 5 => 2,
        16 | 19 => 3,
        6 => 4,
        // General protection because of an entry of the table of exceptions: an `int` that is not for programs.
        13 if user && error & 2 != 0 => 6,
        // Otherwise: in user mode that is an instruction which only the Nucleus may execute, or an address outside of all spaces.
        13 if user => 5,
        10 | 11 => 6,
        3 => 10,
        1 => 11,
        _ => 12,
    }
}

/// The page fault of a user's first touch of a page, if it is no more than that.
#[inline]
fn first_touch(error: u64) -> bool {
    // The page was absent, and it was no fetch.
    if error & 0x11 != 0 {
        return false;
    }
    let address = cpu::cr2();
    let nucleus = enter(14);
    let done = nucleus.first_touch(processor::this().index, address);
    site::leave();
    done
}

fn exception(frame: &mut Frame, vector: usize, user: bool) {
    if vector == 1 && !user {
        // A step that a debugger had begun, of code that was interrupted meanwhile and whose flags were saved with it. Nobody else steps here.
        frame.rflags &= !TRAP_FLAG;
        return;
    }
    let address = cpu::cr2();
    let area = crate::paging::SUPERVISOR_AREA;
    if !user && !(area.0..area.1).contains(&frame.rip) {
        panic::die(
            frame.place(),
            format_args!("exception {vector} in the Nucleus"),
        );
    }
    let nucleus = enter(vector as u32);
    let own = processor::this().index;
    let mut trouble = Trouble {
        pc: frame.rip,
        ..Trouble::default()
    };
    if vector == 14 {
        let (write, fetch) = (frame.error >> 1 & 1 == 1, frame.error >> 4 & 1 == 1);
        match nucleus.fault(own, address, write, fetch, user) {
            // Nothing else happened: whoever stops or aborts the thread from another processor sends an interrupt.
            Fault::Resolved if user && nucleus.caller_goes_on() => return site::leave(),
            Fault::Resolved | Fault::Waits => {
                settle(nucleus, frame);
                return upcalls::finish(nucleus, frame);
            }
            Fault::Exception(number) => trouble.number = number,
        }
        trouble.address = address;
        trouble.flags = if write { K_EXC_WRITE } else { 0 } | if fetch { K_EXC_FETCH } else { 0 };
    } else {
        trouble.number = number_of(vector, frame.error, user);
    }
    upcalls::exception(nucleus, frame, trouble);
    site::leave();
}

#[unsafe(no_mangle)]
extern "C" fn trap_fatal(frame: &Frame) {
    if frame.vector == 2 {
        if panic::under_way() {
            cpu::stop();
        }
        return;
    }
    let area = crate::paging::SUPERVISOR_AREA;
    if frame.vector == 8 && (area.0..area.1).contains(&frame.rip) && processor::recover().is_some()
    {
        upcalls::overrun(frame.rip);
    }
    panic::die(
        frame.place(),
        format_args!(
            "{}",
            if frame.vector == 8 {
                "double fault (kernel stack overrun?)"
            } else {
                "machine check"
            }
        ),
    );
}
