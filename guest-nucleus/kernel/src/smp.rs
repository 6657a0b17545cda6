//! The other processors: starting them, and what each does until it is asked to schedule.

use crate::entry::{AP_ROOT, AP_STACKS, TRAMPOLINE};
use crate::paging::{DIRECT, KBASE};
use crate::{apic, clock, cpu, processor, traps};
use core::sync::atomic::{AtomicUsize, Ordering};

/// Looks at a processor before it gets INIT.
const PATIENCE: u32 = 1000;
static ONLINE: AtomicUsize = AtomicUsize::new(1);

/// Sets up the processor that executes this; its record was made before.
pub fn set_up_own(index: usize) {
    cpu::protect();
    if let Some(own) = processor::get(index) {
        own.load();
        traps::load();
        own.apic.set(apic::enable());
    }
}

#[unsafe(no_mangle)]
extern "C" fn application_processor(index: usize) -> ! {
    set_up_own(index);
    ONLINE.fetch_add(1, Ordering::Release);
    // SAFETY: waits; all that happens from here on happens in interrupts.
    unsafe { traps::idle_forever() }
}

/// Starts processors 1… whose idle stacks end at `stacks[index]`; how many run in the end, all of them together.
pub fn start(count: usize, direct: bool, root: u64, stacks: impl Fn(usize) -> u64) -> usize {
    AP_ROOT.store(root, Ordering::Release);
    for (index, slot) in AP_STACKS.iter().enumerate().take(count).skip(1) {
        slot.store(stacks(index), Ordering::Release);
        if !direct {
            wake(index);
        }
        // A processor that does not come within a second will not come.
        let limit = clock::now() + 1_000_000_000;
        while ONLINE.load(Ordering::Acquire) <= index && clock::now() < limit {
            core::hint::spin_loop();
        }
        if ONLINE.load(Ordering::Acquire) <= index {
            return index;
        }
    }
    count
}

/// INIT and start-up for the processor with this APIC identifier (identifiers are dense from 0 in the supported machines).
fn wake(index: usize) {
    unsafe extern "C" {
        static trampoline_start: u8;
        static trampoline_end: u8;
        static trampoline_root: u8;
        static trampoline_index: u8;
        static boot_tables: u8;
    }
    let start = &raw const trampoline_start;
    let size = &raw const trampoline_end as usize - start as usize;
    let page = DIRECT + TRAMPOLINE;
    let offset = |symbol: *const u8| page + (symbol as u64 - start as u64);
    let tables = &raw const boot_tables as u64;
    // SAFETY: the page is low memory that is never allocated, and every record there was copied before. The door's tables are ours; they
    // are filled again because another door may have been used.
    unsafe {
        start.copy_to(page as *mut u8, size);
        (offset(&raw const trampoline_root) as *mut u32).write((tables - KBASE) as u32);
        (offset(&raw const trampoline_index) as *mut u32).write(index as u32);
        fill_door_tables(tables);
    }
    // A processor that firmware left alone waits for the start-up already; only one that ran before, or never got INIT, needs that. (Under
    // QEMU's -icount an INIT also counts a whole time slice as executed, which would hide what the boot costs.)
    apic::send(index as u32, apic::STARTUP);
    for _ in 0..PATIENCE {
        if ONLINE.load(Ordering::Acquire) > index {
            return;
        }
        core::hint::spin_loop();
    }
    apic::send(index as u32, apic::INIT);
    apic::send(index as u32, apic::STARTUP);
}

/// # Safety
/// `tables` is the address of the image's six boot tables.
unsafe fn fill_door_tables(tables: u64) {
    let (physical, word) = (tables - KBASE, |index: u64| {
        (tables + index * 8) as *mut u64
    });
    // SAFETY: the caller's promise.
    unsafe {
        word(0).write(physical + 0x1003);
        word(511).write(physical + 0x1003);
        for index in 0..2 {
            word(512 + index).write(physical + 0x2003 + index * 4096);
            word(512 + 510 + index).write(physical + 0x2003 + index * 4096);
        }
        for page in 0..1024 {
            word(1024 + page).write(page << 21 | 0x83);
        }
    }
}
