//! A more urgent thread does not wait for the end of a long call (NC-264): by the clock, since whoever runs first when the call is over would see that it is not.

use crate::verdict::{OWN, Verdict, call};
use alloc::sync::Arc;
use chorus_abi::*;
use chorus_runtime::sync::Semaphore;
use chorus_runtime::{at, at_mut, start_info, thread, time};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use core::time::Duration;

/// Bytes of the regions that the long calls are about.
const SIZE: u64 = 8 << 20;
/// How often it is tried: what else runs on the machine may take the time that is measured.
const TRIES: usize = 20;

fn now() -> u64 {
    time::now().as_nanos() as u64
}

/// Ties the calling thread to a processor, so that nobody runs beside it there.
fn tie(cpu: i32) -> bool {
    let new = In::new(at(&cpu));
    call!(thread_bind, OWN, K_MYSELF, Out::new(0), new) == K_OK
}

fn set_priority(relative: i32) -> bool {
    let new = In::new(at(&relative));
    call!(thread_priority, OWN, K_MYSELF, Out::new(0), new) == K_OK
}

/// A thread that sleeps when it is told to, on the first processor, and says when it woke.
struct Sleeper {
    go: Semaphore,
    over: Semaphore,
    /// Nanoseconds; 0: it is to end.
    sleep: AtomicU64,
    due: AtomicU64,
    woke: AtomicU64,
}

impl Sleeper {
    fn new() -> Self {
        Sleeper {
            go: Semaphore::new(0),
            over: Semaphore::new(0),
            sleep: AtomicU64::new(0),
            due: AtomicU64::new(0),
            woke: AtomicU64::new(0),
        }
    }

    fn run(&self) {
        tie(0);
        while self.go.acquire(None).is_ok() {
            let sleep = self.sleep.load(SeqCst);
            if sleep == 0 {
                return;
            }
            self.due.store(now() + sleep, SeqCst);
            let _ = thread::sleep(Duration::from_nanos(sleep));
            self.woke.store(now(), SeqCst);
            let _ = self.over.release();
        }
    }
}

fn allocate(region: &mut KnRgnDesc) -> bool {
    *region = KnRgnDesc {
        size: SIZE,
        options: K_WRITABLE | K_ANYWHERE | K_NODEMAND,
        ..KnRgnDesc::default()
    };
    call!(rgn_allocate, OWN, InOut::new(at_mut(region))) == K_OK
}

fn free(region: &mut KnRgnDesc) -> bool {
    call!(rgn_free, OWN, In::new(at(region))) == K_OK
}

/// Whether the sleeper, whose time comes in the middle of a call, runs before half of the rest is over.
fn preempted(
    sleeper: &Sleeper,
    before: impl Fn(&mut KnRgnDesc) -> bool,
    long: impl Fn(&mut KnRgnDesc) -> bool,
    after: impl Fn(&mut KnRgnDesc) -> bool,
) -> bool {
    let mut region = KnRgnDesc::default();
    let mut takes = 0;
    for _ in 0..TRIES {
        if !before(&mut region) {
            return false;
        }
        if takes > 0 {
            sleeper.sleep.store(takes / 2, SeqCst);
            // It is more urgent: it sleeps already when this returns.
            let _ = sleeper.go.release();
        }
        let began = now();
        let done = long(&mut region);
        let ended = now();
        if takes > 0 {
            let _ = sleeper.over.acquire(None);
        }
        if !after(&mut region) || !done {
            return false;
        }
        let (due, woke) = (sleeper.due.load(SeqCst), sleeper.woke.load(SeqCst));
        if takes > 0 && (began..ended).contains(&due) && woke < due + (ended - due) / 2 {
            return true;
        }
        takes = (ended - began).max(2);
    }
    false
}

/// Runs the checks.
pub fn check(verdict: &mut Verdict) {
    if start_info().kind != K_SUPACTOR {
        return;
    }
    let sleeper = Arc::new(Sleeper::new());
    let other = sleeper.clone();
    // Both are more urgent than the other actors that check something meanwhile.
    let began = thread::spawn(-20, move || other.run()).is_ok();
    let ready = began && set_priority(-10) && tie(0);
    let nothing = |_: &mut KnRgnDesc| true;
    let makes = ready && preempted(&sleeper, nothing, allocate, free);
    let frees = ready && preempted(&sleeper, allocate, free, nothing);
    verdict.check("NC-264", makes && frees);
    if !(makes && frees) {
        chorus_runtime::println!("making pages: {makes}, freeing them: {frees}");
    }
    sleeper.sleep.store(0, SeqCst);
    let _ = sleeper.go.release();
    set_priority(0);
    tie(K_ANYCPU);
}
