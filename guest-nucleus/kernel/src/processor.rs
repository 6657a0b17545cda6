//! What each processor has of its own: descriptor tables, stacks for what must not fail, and its place in the site.
//!
//! GS points at it in supervisor mode. Only its own processor changes it, with interrupts off; what others read is atomic.

use crate::entry::MAX_CPUS;
use crate::{cpu, short_calls};
use alloc::boxed::Box;
use chorus_abi::machine::PROCESSOR_THREAD;
use core::arch::asm;
use core::cell::Cell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// Selector of supervisor code.
pub const KERNEL_CODE: u16 = 0x08;
/// Selector of supervisor data.
pub const KERNEL_DATA: u16 = 0x10;
/// Selector of user data.
pub const USER_DATA: u16 = 0x20 | 3;
/// Selector of user code.
pub const USER_CODE: u16 = 0x28 | 3;
const TASK: u16 = 0x30;
/// `Processor::current` when it runs no thread.
pub const IDLE: usize = usize::MAX;

#[repr(C, packed(4))]
struct TaskState {
    reserved0: u32,
    rsp: [u64; 3],
    reserved1: u64,
    ist: [u64; 7],
    reserved2: u64,
    reserved3: u16,
    io_map: u16,
}

/// What makes an `ipcCall` of the thread that runs.
pub type Way = extern "C" fn(u64, u64, u64, u64, u64) -> i32;

/// One processor. What comes first is known to the entry code: [`USER_STACK`], and [`KERNEL_STACK`] in the task state.
#[repr(C)]
pub struct Processor {
    own_address: Cell<u64>,
    user_stack: Cell<u64>,
    /// Thread slot that runs, or [`IDLE`]. Debuggers read it.
    pub current: Cell<usize>,
    task: Cell<TaskState>,
    /// Index in the site.
    pub index: usize,
    /// Its local APIC.
    pub apic: Cell<u32>,
    /// Its context, as an address; of the last one while it is idle.
    pub context: Cell<u64>,
    /// Where `ipcCall` goes first: to visits (`visits`) if the last one here was one, else to conversations.
    pub way_of_calls: Cell<Way>,
    /// 1: the thread that runs may be a visitor, whose calls from inside are not its own.
    pub visiting: Cell<u32>,
    /// Stack pointer of the idle context while it does not run.
    pub idle_stack: Cell<u64>,
    /// Its idle context gives back what goes.
    pub reaps: Cell<bool>,
    /// Area of the thread whose FPU registers are loaded; 0: nobody's yet.
    pub fpu_owner: Cell<u64>,
    /// Top-level table in force.
    pub root: AtomicU64,
    /// When the timer is wanted, nanoseconds; `u64::MAX`: not at all.
    pub wanted: AtomicU64,
    /// When the hardware will fire, nanoseconds; `u64::MAX`: never.
    pub armed: Cell<u64>,
    descriptors: Cell<[u64; 8]>,
    /// Classes of events that it writes down, and where: the address of its ring, and the records there less one.
    pub traced: Cell<u32>,
    pub ring_mask: Cell<u32>,
    pub ring: Cell<u64>,
}

/// Where the entry of a call finds room for the user's stack pointer, and its own.
pub const USER_STACK: usize = offset_of!(Processor, user_stack);
/// The same that the processor takes for interrupts from user mode.
pub const KERNEL_STACK: usize = offset_of!(Processor, task) + offset_of!(TaskState, rsp);

const _: () = assert!(offset_of!(Processor, current) == PROCESSOR_THREAD as usize);

/// Under this name for debuggers.
#[unsafe(export_name = "CHORUS_PROCESSORS")]
static PROCESSORS: [AtomicPtr<Processor>; MAX_CPUS] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; MAX_CPUS];

/// Makes the record of a processor. `stacks` are the tops of the stacks for double fault, NMI and machine check.
pub fn create(index: usize, stacks: [u64; 3]) {
    let processor = Box::leak(Box::new(Processor {
        own_address: Cell::new(0),
        user_stack: Cell::new(0),
        index,
        apic: Cell::new(0),
        current: Cell::new(IDLE),
        context: Cell::new(0),
        way_of_calls: Cell::new(short_calls::ipc_call),
        visiting: Cell::new(0),
        idle_stack: Cell::new(0),
        reaps: Cell::new(false),
        fpu_owner: Cell::new(0),
        root: AtomicU64::new(0),
        wanted: AtomicU64::new(u64::MAX),
        armed: Cell::new(u64::MAX),
        descriptors: Cell::new([0; 8]),
        traced: Cell::new(0),
        ring_mask: Cell::new(0),
        ring: Cell::new(0),
        task: Cell::new(TaskState {
            reserved0: 0,
            rsp: [0; 3],
            reserved1: 0,
            ist: [stacks[0], stacks[1], stacks[2], 0, 0, 0, 0],
            reserved2: 0,
            reserved3: 0,
            io_map: 104,
        }),
    }));
    let task = processor.task.as_ptr() as u64;
    processor
        .own_address
        .set(processor as *const Processor as u64);
    processor.descriptors.set([
        0,
        0x00af_9b00_0000_ffff,
        0x00cf_9300_0000_ffff,
        0,
        0x00cf_f300_0000_ffff,
        0x00af_fb00_0000_ffff,
        103 | (task & 0xff_ffff) << 16 | 0x89 << 40 | (task >> 24 & 0xff) << 56,
        task >> 32,
    ]);
    if let Some(slot) = PROCESSORS.get(index) {
        slot.store(processor, Ordering::Release);
    }
}

/// The processor with this index, if it was made.
pub fn get(index: usize) -> Option<&'static Processor> {
    let pointer = PROCESSORS.get(index)?.load(Ordering::Acquire);
    // SAFETY: only `create` stores pointers, and the records are never freed. Callers on other processors touch the atomic fields and
    // `apic` only, which does not change after its processor reported that it runs.
    unsafe { pointer.as_ref() }
}

/// The processor that executes this. Asked anew after every switch: a thread may wake on another one.
#[inline]
pub fn this() -> &'static Processor {
    let address: u64;
    // SAFETY: GS points at the record from `load` on; only its own processor gets it this way.
    unsafe {
        asm!("mov {}, gs:0", out(reg) address, options(nostack, preserves_flags));
        &*(address as *const Processor)
    }
}

/// The processor that executes this, found without trust in GS: by its descriptor table. A GS that was destroyed is mended. `None`: the table was, too.
pub fn recover() -> Option<&'static Processor> {
    let mut table = Pointer { limit: 0, base: 0 };
    // SAFETY: stores ten bytes.
    unsafe { asm!("sgdt [{}]", in(reg) &raw mut table, options(nostack, preserves_flags)) };
    let base = table.base;
    let own = (0..MAX_CPUS)
        .filter_map(get)
        .find(|own| own.descriptors.as_ptr() as u64 == base)?;
    if cpu::read_msr(cpu::GS_BASE) != own.own_address.get() {
        // SAFETY: the record of this very processor.
        unsafe { cpu::write_msr(cpu::GS_BASE, own.own_address.get()) };
    }
    Some(own)
}

impl Processor {
    /// Puts the descriptor tables and GS of this processor in force.
    pub fn load(&self) {
        let table = Pointer {
            limit: 63,
            base: self.descriptors.as_ptr() as u64,
        };
        // SAFETY: the descriptors are flat; code and data selectors keep their meaning; the record lives for ever.
        unsafe {
            asm!(
                "lgdt [{table}]", "push {code}", "lea {scratch}, [rip + 2f]", "push {scratch}", "retfq", "2:",
                "mov ds, {data:e}", "mov es, {data:e}", "mov ss, {data:e}", "mov fs, {zero:e}", "mov gs, {zero:e}", "ltr {task:x}",
                table = in(reg) &table, code = in(reg) u64::from(KERNEL_CODE), data = in(reg) u64::from(KERNEL_DATA),
                zero = in(reg) 0u64, task = in(reg) u64::from(TASK), scratch = out(reg) _,
            );
            cpu::write_msr(cpu::GS_BASE, self.own_address.get());
            cpu::write_msr(cpu::KERNEL_GS_BASE, 0);
            cpu::write_msr(cpu::STAR, 0x08 << 32 | 0x18 << 48);
            cpu::write_msr(cpu::LSTAR, crate::calls::entry(false));
            cpu::write_msr(cpu::FMASK, 0x4_7700); // TF IF DF IOPL NT AC
        }
        self.root.store(cpu::cr3(), Ordering::Relaxed);
    }

    /// The table in force, for this processor itself.
    #[inline(always)]
    pub fn root_here(&self) -> u64 {
        // SAFETY: only its own processor changes it: no store can come meanwhile.
        unsafe { self.root.as_ptr().read() }
    }

    /// Stack that entries from user mode start on.
    #[inline(always)]
    pub fn set_kernel_stack(&self, top: u64) {
        // SAFETY: the task state is ours; the processor and the entry read it only when they come from user mode.
        unsafe {
            (&raw mut (*self.task.as_ptr()).rsp)
                .cast::<u64>()
                .write_unaligned(top)
        };
    }
}

#[repr(C, packed)]
pub(crate) struct Pointer {
    pub limit: u16,
    pub base: u64,
}
