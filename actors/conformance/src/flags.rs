//! Flags that a program sets are its own: the Nucleus, and the routines that it calls, run with others.

use crate::supervisor::{first, tell};
use crate::verdict::{Verdict, call};
use crate::victim::{ALIGNMENT_CHECK, DIVIDE};
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::at;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// The flags that the routine ran with.
static FLAGS: AtomicU64 = AtomicU64::new(0);
/// The flags of the program then.
static PROGRAM: AtomicU64 = AtomicU64::new(0);

extern "C" fn treat(context: &mut KnThreadCtx, _: i32, info: &KnExcReport) -> i32 {
    let flags: u64;
    // SAFETY: the flags are read by way of the stack, which is left as it was.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags) };
    FLAGS.store(flags, Ordering::Release);
    PROGRAM.store(context.rflags, Ordering::Release);
    if info.exc_no != 1 {
        return -1;
    }
    context.rcx = 2;
    0
}

/// Checks them with exceptions of the user actor that does what it is told.
pub fn check(verdict: &mut Verdict, victim: &KnCap) {
    let routine = treat as *const () as u64;
    let set = call!(sv_exc_handler, In::new(at(victim)), routine) == K_OK;
    let divided = |checks| set && first(tell(DIVIDE, checks, 0)) == Some(4);
    let has = |flags: &AtomicU64| flags.load(Ordering::Acquire) & ALIGNMENT_CHECK != 0;
    verdict.check(
        "NC-270 plain flags",
        divided(0) && !has(&PROGRAM) && !has(&FLAGS),
    );
    // With SMAP, that flag in the Nucleus' ring would open the memory of users to it.
    verdict.check(
        "NC-270 alignment checks",
        divided(1) && has(&PROGRAM) && !has(&FLAGS),
    );
    call!(sv_exc_handler, In::new(at(victim)), 0);
}
