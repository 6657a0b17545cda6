//! Supervisor threads of user actors, made from outside (spec 2.2): by a supervisor actor, whose code they run.

use crate::verdict::{Verdict, call};
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::{at, at_mut, thread};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

/// What a thread of another actor counts, and whose name its calls are made in.
static LENT: AtomicU64 = AtomicU64::new(0);
static LENT_FOR: AtomicU64 = AtomicU64::new(0);

/// A thread of a user actor at home, in this actor's code: it says which actor its calls are made by, and waits to be deleted.
extern "C" fn lent(argument: u64) -> ! {
    let mut cap = KnCap::default();
    call!(actor_self, Out::new(at_mut(&mut cap)));
    LENT_FOR.store(cap.ui.word(), Ordering::Release);
    LENT.store(argument, Ordering::Release);
    loop {
        let _ = thread::sleep(Duration::from_millis(1));
        LENT.fetch_add(1, Ordering::AcqRel);
    }
}

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let mut own = KnCap::default();
    call!(actor_self, Out::new(at_mut(&mut own)));
    let (made, home) = crate::actors::make(K_USERACTOR, K_ACTIVE);
    let at_home = In::new(at(&home));
    let entry = lent as *const () as u64;
    let li = call!(
        thread_create,
        at_home,
        K_SUPTHREAD,
        K_ACTIVE,
        0,
        entry,
        1000
    );
    crate::threads::pause();
    let ran =
        LENT.load(Ordering::Acquire) > 1000 && LENT_FOR.load(Ordering::Acquire) == own.ui.word();
    let its = crate::threads::states(at_home);
    let listed = its
        .iter()
        .any(|thread| thread.li == li && thread.privilege == K_SUPTHREAD);
    let nowhere = call!(thread_create, at_home, K_SUPTHREAD, K_ACTIVE, 0, 0x1000, 0);
    verdict.check(
        "NC-055 in a user actor",
        made == K_OK && li > 0 && ran && listed && nowhere == K_EINVAL,
    );
    let deleted = crate::actors::delete(&home) == K_OK;
    let after = LENT.load(Ordering::Acquire);
    crate::threads::pause();
    verdict.check(
        "NC-055 gone with its actor",
        deleted && LENT.load(Ordering::Acquire) == after,
    );
}
