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

/// Bits of MXCSR that may be set when the processor does not say which it has.
const MXCSR: u32 = 0xffbf;

/// What is saved of a thread that does not run.
///
/// # Safety
/// `area` is that of the thread, made by [`clear`].
pub unsafe fn read(area: u64) -> [u8; 512] {
    // SAFETY: the caller's promise.
    unsafe { (area as *const [u8; 512]).read() }
}

/// Replaces what is saved of a thread that does not run. Bits of MXCSR that the processor does not have would fault when they are loaded: they are left out.
///
/// # Safety
/// `area` is that of the thread, made by [`clear`].
pub unsafe fn write(area: u64, mut state: [u8; 512]) {
    let word = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    // SAFETY: the caller's promise.
    let before = unsafe { read(area) };
    let mask = word(&before[28..32]);
    let allowed = if mask == 0 { MXCSR } else { mask };
    let mxcsr = word(&state[24..28]) & allowed;
    state[24..28].copy_from_slice(&mxcsr.to_le_bytes());
    state[28..32].copy_from_slice(&mask.to_le_bytes());
    // SAFETY: the caller's promise. The last word, behind the state: no processor has it loaded.
    unsafe {
        (area as *mut [u8; 512]).write(state);
        ((area + AREA - 8) as *mut u64).write(0);
    }
}

/// Saves the registers of the user thread that leaves this processor.
///
/// # Safety
/// `area` is that of the current thread, made by [`clear`].
#[inline(always)]
pub unsafe fn save(area: u64) {
    // SAFETY: the caller's promise.
    unsafe { asm!("fxsave64 [{}]", in(reg) area, options(nostack)) };
}

/// Loads the registers of a user thread that comes to this processor, unless they are there still.
///
/// # Safety
/// `area` is that of the thread, made by [`clear`], and holds what `save` left there.
#[inline(always)]
pub unsafe fn load(area: u64, own: &Processor) {
    // The area's last word names the processor that loaded it last: registers of an earlier visit here may be old.
    let place = (area + AREA - 8) as *mut u64;
    let here = own as *const Processor as u64;
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
