//! State of the floating-point unit: saved when a thread that used it leaves the processor, loaded when a thread first uses it.
//!
//! The Nucleus and supervisor actors never use it. A user thread's state lies above its kernel stack, so it costs nothing that is allocated.

use crate::{cpu, processor};
use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Bytes kept above a user thread's kernel stack.
pub const AREA: u64 = 1024;
const USED: u64 = AREA - 8;
static XSAVE: AtomicBool = AtomicBool::new(false);
const COMPONENTS: u32 = 7; // x87, SSE, AVX

/// Settles on this processor which components there are.
pub fn enable() {
    if cpu::cpuid(1, 0)[2] >> 26 & 1 == 1 {
        let components = cpu::cpuid(0xd, 0)[0] & COMPONENTS;
        // SAFETY: CR4.OSXSAVE is on (`cpu::protect`), and the components exist.
        unsafe {
            asm!("xsetbv", in("ecx") 0, in("eax") components, in("edx") 0, options(nostack, preserves_flags))
        };
        XSAVE.store(true, Relaxed);
    }
}

/// Makes an area hold no state.
///
/// # Safety
/// `area` is the address of [`AREA`] writable bytes, aligned to 64.
pub unsafe fn clear(area: u64) {
    // SAFETY: the caller's promise.
    unsafe { ((area + USED) as *mut u64).write(0) };
}

/// Gives the FPU to the current (user) thread: its saved state, or a clean one at its first use.
pub fn claim() {
    let own = processor::this();
    // SAFETY: TS off, then state from the area above the current thread's kernel stack, which holds none or what `release` saved there.
    unsafe {
        asm!("clts", options(nostack));
        let area = own.kernel_stack();
        let used = (area + USED) as *mut u64;
        if used.read() == 0 {
            (area as *mut u8).write_bytes(0, AREA as usize);
            (area as *mut u16).write(0x37f);
            ((area + 24) as *mut u32).write(0x1f80);
            used.write(1);
        }
        if XSAVE.load(Relaxed) {
            asm!("xrstor64 [{}]", in(reg) area, in("eax") COMPONENTS, in("edx") 0, options(nostack));
        } else {
            asm!("fxrstor64 [{}]", in(reg) area, options(nostack));
        }
    }
    own.fpu_live.set(true);
}

/// Saves the current thread's state if it used the FPU since it came here.
#[inline]
pub fn release() {
    let own = processor::this();
    if own.fpu_live.get() {
        let area = own.kernel_stack();
        // SAFETY: as in `claim`; then the next use faults again.
        unsafe {
            if XSAVE.load(Relaxed) {
                asm!("xsave64 [{}]", in(reg) area, in("eax") COMPONENTS, in("edx") 0, options(nostack));
            } else {
                asm!("fxsave64 [{}]", in(reg) area, options(nostack));
            }
            cpu::set_cr0(cpu::cr0() | 8);
        }
        own.fpu_live.set(false);
    }
}
