//! State of the floating-point unit: saved when a user thread leaves the processor, loaded when another comes.
//!
//! Nobody ever finds another's registers, not even for the moment that a trap at their first use would leave them there (CVE-2018-3665). The Nucleus and supervisor
//! actors never use the unit, so a thread that comes back before another user thread ran finds its registers as they were. The state lies above
//! the thread's kernel stack, so it costs nothing that is allocated. It is x87 and SSE, by FXSAVE; AVX is not switched on (CPUID says so to actors): under an emulated
//! SVM, XSAVE writes no SSE state.

use crate::processor::Processor;
use core::arch::asm;

/// Bytes kept above a user thread's kernel stack: 512 of FXSAVE, and a word at the end.
pub const AREA: u64 = 576;

/// Makes an area hold the state of a thread that has not begun: all registers zero, no exceptions.
///
/// # Safety
/// `area` is the address of [`AREA`] writable bytes, aligned to 64.
pub unsafe fn clear(area: u64) {
    // SAFETY: the caller's promise. 0x37f and 0x1f80 mask all exceptions of x87 and SSE.
    unsafe {
        (area as *mut u8).write_bytes(0, AREA as usize);
        (area as *mut u16).write(0x37f);
        ((area + 24) as *mut u32).write(0x1f80);
    }
}

/// Saves the registers of the user thread that leaves this processor.
///
/// # Safety
/// `area` is that of the current thread, made by [`clear`].
#[inline]
pub unsafe fn save(area: u64) {
    // SAFETY: the caller's promise.
    unsafe { asm!("fxsave64 [{}]", in(reg) area, options(nostack)) };
}

/// Loads the registers of a user thread that comes to this processor, unless they are there still.
///
/// # Safety
/// `area` is that of the thread, made by [`clear`], and holds what `save` left there.
#[inline]
pub unsafe fn load(area: u64, own: &Processor) {
    // The area's last word names the processor that loaded it last: registers of an earlier visit here may be old.
    let place = (area + AREA - 8) as *mut u64;
    let here = own.index as u64 + 1;
    // SAFETY: the caller's promise; the last word is behind what the processor saves.
    unsafe {
        if own.fpu_owner.get() == area && place.read() == here {
            return;
        }
        place.write(here);
        asm!("fxrstor64 [{}]", in(reg) area, options(nostack));
    }
    own.fpu_owner.set(area);
}
