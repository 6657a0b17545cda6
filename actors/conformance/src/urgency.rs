//! Who runs: the most urgent threads, on as many processors as there are (spec 5).
//!
//! The threads that compute are of actors with planted code. What a host with other work can make late is looked at several times: a scheduler that is wrong is wrong each time.

use crate::actors::priority;
use crate::planted::{Code, Planted};
use crate::verdict::{Verdict, call};
use alloc::sync::Arc;
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::message::{Message, send};
use chorus_runtime::sync::Semaphore;
use chorus_runtime::{at, site, start_info, thread, time};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

/// Time in which a thread that runs is seen to.
const WHILE: Duration = Duration::from_millis(50);
/// Priority of the checker.
const CHECKER: i32 = K_SLICED_FIRST + 12;
/// Relative priority of threads that compute: less urgent than the checker.
const BEHIND: i32 = 10;

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let (Some(some), Some(other)) = (Planted::new(K_ACTIVE), Planted::new(K_ACTIVE)) else {
        return verdict.check("code in an empty actor", false);
    };
    let cpus = site::cpus() as usize;
    // One thread more than processors, each a little less urgent than the one before.
    for area in 0..=cpus {
        some.run(area, Code::Count, K_ACTIVE, BEHIND + area as i32);
    }
    let _ = thread::sleep(WHILE);
    let before: [u64; 17] = core::array::from_fn(|area| some.count(area));
    let grew = |area: usize| some.count(area) > before[area];
    let advance = within(|| (0..cpus).all(grew), || pause(WHILE));
    let name = if cpus == 1 { "NC-043" } else { "NC-044" };
    verdict.check(name, advance && !grew(cpus));
    drop(some);

    verdict.check("NC-042", overtakes(&other));
    drop(other);
    // Processors are picked, and such priorities given, by trusted actors; the checker keeps one for itself.
    if cpus > 1 && start_info().kind != K_USERACTOR {
        on_one(verdict, cpus as i32 - 1);
    }
}

fn pause(time: Duration) {
    let _ = thread::sleep(time);
}

/// Busy, without a call that waits.
fn spin(time: Duration) {
    let end = time::now() + time;
    while time::now() < end {
        // An emulator that runs one processor after the other goes on with the next.
        core::hint::spin_loop();
    }
}

/// Whether something comes true, with `wait` between looks.
fn within(comes_true: impl Fn() -> bool, wait: impl Fn()) -> bool {
    (0..60).any(|_| {
        let there = comes_true();
        if !there {
            wait();
        }
        there
    })
}

/// Whether a thread runs instead of less urgent ones as soon as its actor is more urgent, while the checker keeps its processor.
fn overtakes(late: &Planted) -> bool {
    let Some(running) = Planted::new(K_ACTIVE) else {
        return false;
    };
    let cpus = site::cpus() as usize;
    for area in 0..cpus {
        running.run(area, Code::Count, K_ACTIVE, BEHIND);
    }
    late.run(0, Code::Count, K_ACTIVE, BEHIND + 10);
    let waits = late.grows(0, WHILE) == 0;
    let set = priority(&late.cap, Some(CHECKER - 15)).0 == K_OK;
    let wait = if cpus == 1 { pause } else { spin };
    let runs = within(|| late.count(0) > 0, || wait(WHILE));
    let all = || (0..cpus).map(|area| running.count(area)).sum::<u64>();
    let before = all();
    (0..6).for_each(|_| wait(WHILE));
    // Of more processors than two some are left to the others.
    waits && set && runs && (cpus > 2 || all() == before)
}

fn bound(planted: &Planted, li: i32, cpu: i32) -> bool {
    let tied = call!(
        thread_bind,
        planted.actor(),
        li,
        Out::new(0),
        In::new(at(&cpu))
    ) == K_OK;
    tied && call!(thread_activate, planted.actor(), li) == K_OK
}

/// Threads of the checker's actor on one processor, of priorities 51 and 50: whether the more urgent runs before the call that wakes it returns, and how soon.
fn preempted(cpu: i32) -> bool {
    struct Shared {
        wake: Semaphore,
        end: Semaphore,
        woken: AtomicU64,
        least: AtomicU64,
    }
    const ROUNDS: u64 = 20;
    let shared = Arc::new(Shared {
        wake: Semaphore::new(0),
        end: Semaphore::new(0),
        woken: AtomicU64::new(0),
        least: AtomicU64::new(u64::MAX),
    });
    let tie = move || {
        let own = In::new(K_MYACTOR);
        call!(thread_bind, own, K_MYSELF, Out::new(0), In::new(at(&cpu)))
    };
    let urgent = shared.clone();
    let first = thread::spawn(50 - CHECKER, move || {
        tie();
        while urgent.wake.acquire(None).is_ok() && urgent.woken.load(Ordering::Acquire) < ROUNDS {
            urgent.woken.fetch_add(1, Ordering::AcqRel);
            let now = time::now().as_nanos() as u64;
            urgent.least.fetch_min(now, Ordering::AcqRel);
        }
        let _ = urgent.end.release();
    });
    pause(Duration::from_millis(5));
    let less = shared.clone();
    let second = thread::spawn(51 - CHECKER, move || {
        tie();
        let mut least = u64::MAX;
        for round in 1..=ROUNDS {
            less.least.store(u64::MAX, Ordering::Release);
            let start = time::now().as_nanos() as u64;
            let _ = less.wake.release();
            if less.woken.load(Ordering::Acquire) != round {
                break;
            }
            least = least.min(less.least.load(Ordering::Acquire) - start);
        }
        less.least.store(least, Ordering::Release);
        // One more: it ends.
        let _ = less.wake.release();
        let _ = less.end.release();
    });
    let limit = Some(Duration::from_secs(10));
    let both = (0..2).all(|_| shared.end.acquire(limit).is_ok());
    let each = shared.woken.load(Ordering::Acquire) == ROUNDS;
    let soon = shared.least.load(Ordering::Acquire) < 1_000_000;
    first.is_ok() && second.is_ok() && both && each && soon
}

/// Threads of one processor.
fn on_one(verdict: &mut Verdict, cpu: i32) {
    let Some(planted) = Planted::new(K_ACTIVE) else {
        return verdict.check("code in an empty actor", false);
    };
    let thread = |area: usize, relative: i32| {
        let li = planted.run(area, Code::Count, K_INACTIVE, relative);
        (li, bound(&planted, li, cpu))
    };
    let end = |li: i32| call!(thread_delete, planted.actor(), li) == K_OK;
    let set = |new: i32| priority(&planted.cap, Some(new)).0 == K_OK;
    let mut ready = set(150);
    let ((one, first), (two, second)) = (thread(0, 0), thread(1, 1));
    ready &= first && second && planted.comes(0, 1);
    let before = (planted.count(0), planted.count(1));
    let advances = within(|| planted.count(0) > before.0, || pause(WHILE));
    let stands = planted.grows(1, WHILE) == 0 && planted.count(1) == before.1;
    verdict.check("NC-043", ready && stands && advances);
    let ended = end(one) && end(two);

    // The first of two equals has the processor, and keeps it although more urgent threads take it now and then.
    let ready = ended && set(60);
    let (first, bound_first) = thread(2, 0);
    let began = planted.comes(2, 1);
    let (second, bound_second) = thread(3, 0);
    let stands = planted.grows(3, Duration::from_millis(400)) == 0 && planted.count(3) == 0;
    let ready = ready && bound_first && bound_second && began;
    verdict.check("NC-259", ready && stands && planted.advances(2));
    let li = planted.receiver(4, -1, 1000, -10);
    let mut woken = bound(&planted, li, cpu);
    for round in 1..=10 {
        woken &= send(planted.cap.ui, Message::default()).is_ok() && planted.comes(4, round);
    }
    let goes = planted.advances(2);
    verdict.check("NC-262", woken && goes && planted.count(3) == 0);
    let ended = end(first) && end(second);

    verdict.check("NC-261", ended && end(li) && preempted(cpu));

    let ready = set(200);
    let ((_, first), (_, second)) = (thread(6, 0), thread(7, 0));
    let fair = (0..3).any(|_| {
        let before = [6, 7].map(|area| planted.count(area));
        let _ = thread::sleep(Duration::from_secs(5));
        let grew = [0, 1].map(|index| planted.count(index + 6) - before[index]);
        let sum = grew[0] + grew[1];
        sum > 0 && grew[0].abs_diff(grew[1]) * 10 <= sum
    });
    verdict.check("NC-260", ready && first && second && fair);
}
