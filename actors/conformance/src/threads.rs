//! Threads: starting, suspending, aborting, sleeping, mutexes (spec 3.2, 3.3).

use crate::verdict::{OWN, Verdict, call};
use alloc::sync::Arc;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::sync::{Mutex, Semaphore};
use chorus_runtime::{at, at_mut, site, start_info, thread, time};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use core::time::Duration;

/// Processor time after which a thread that computes has had its turn, in nanoseconds. What the host takes from the processor meanwhile counts too, so it is long.
const TURN: u64 = 30_000_000;

/// Whether something comes true, in five seconds.
pub(crate) fn becomes(holds: impl Fn() -> bool) -> bool {
    (0..500).any(|_| {
        let there = holds();
        if !there {
            let _ = thread::sleep(Duration::from_millis(10));
        }
        there
    })
}

/// Lets the other threads of the actor get as far as they can: until each waits, is held, or has had a turn on a processor, however busy the host of the site is.
pub(crate) fn pause() {
    let own = call!(thread_self);
    let before = states(OWN);
    let settled = |now: &KnThreadStat| {
        let held = THREAD_WAITING | THREAD_STOPPED | THREAD_SUSPENDED;
        let active = now.state & THREAD_ACTIVE != 0 && now.state & held == 0;
        let began = before.iter().find(|stat| stat.li == now.li);
        let ran = now.cpu_time_ns - began.map_or(0, |stat| stat.cpu_time_ns);
        now.li == own || !active || ran > TURN
    };
    for _ in 0..300 {
        let _ = thread::sleep(Duration::from_millis(10));
        if states(OWN).iter().all(settled) {
            break;
        }
    }
}

/// A thread that counts, and lets others run after each step.
pub(crate) struct Counter {
    count: AtomicU64,
    end: AtomicBool,
}

impl Counter {
    pub(crate) fn start() -> (Arc<Counter>, i32) {
        let counter = Arc::new(Counter {
            count: AtomicU64::new(0),
            end: AtomicBool::new(false),
        });
        let own = counter.clone();
        let li = thread::spawn(0, move || {
            while !own.end.load(Ordering::Acquire) {
                own.count.fetch_add(1, Ordering::AcqRel);
                let _ = thread::sleep(Duration::from_millis(1));
            }
        });
        (counter, li.unwrap_or(0))
    }

    /// Whether it advances, in five seconds.
    pub(crate) fn goes(&self) -> bool {
        let before = self.count.load(Ordering::Acquire);
        (0..500).any(|_| {
            let _ = thread::sleep(Duration::from_millis(10));
            self.count.load(Ordering::Acquire) > before + 1
        })
    }

    /// Whether it does not.
    pub(crate) fn stands(&self) -> bool {
        let before = self.count.load(Ordering::Acquire);
        let _ = thread::sleep(Duration::from_millis(30));
        self.count.load(Ordering::Acquire) == before
    }
}

/// The threads of an actor.
pub fn states(actor: In<KnCap>) -> Vec<KnThreadStat> {
    let mut list = alloc::vec![KnThreadStat::default(); 32];
    let count = call!(
        thread_stat,
        actor,
        Out::new(at_mut(list.as_mut_slice())),
        32
    );
    list.truncate(count.max(0) as usize);
    list
}

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let own = Arc::new(AtomicI32::new(0));
    let told = own.clone();
    let li =
        thread::spawn(0, move || told.store(call!(thread_self), Ordering::Release)).unwrap_or(-1);
    let said = becomes(|| own.load(Ordering::Acquire) == li);
    verdict.check("NC-053", li > 0 && said);
    let other = if start_info().kind == K_SUPACTOR {
        K_USERTHREAD
    } else {
        K_SUPTHREAD
    };
    let refused = call!(thread_create, OWN, other, K_ACTIVE, 0, 0x1000, 0x1000);
    match start_info().kind {
        K_USERACTOR => verdict.check("NC-057", refused == K_EPRIV),
        K_SYSTEMACTOR => verdict.check("NC-057 system", refused == K_EINVAL),
        _ => verdict.check("NC-056", refused == K_EINVAL),
    }
    let (counter, li) = Counter::start();
    let went = counter.goes();
    let stands = call!(thread_suspend, OWN, li) == K_OK && counter.stands();
    verdict.check(
        "NC-064",
        went && stands && call!(thread_resume, OWN, li) == K_OK && counter.goes(),
    );
    call!(thread_suspend, OWN, li);
    call!(thread_suspend, OWN, li);
    call!(thread_resume, OWN, li);
    let still = counter.stands();
    call!(thread_resume, OWN, li);
    verdict.check("NC-065", still && counter.goes());
    let needless = call!(thread_resume, OWN, li) == K_OK;
    call!(thread_suspend, OWN, li);
    verdict.check("NC-066", needless && counter.stands());
    let suspended = states(OWN)
        .iter()
        .any(|stat| stat.li == li && stat.suspended == 1 && stat.state & THREAD_SUSPENDED != 0);
    verdict.check("threadStat", suspended);
    call!(thread_resume, OWN, li);
    let sum = states(OWN).iter().all(|stat| {
        stat.absolute - stat.relative == states(OWN)[0].absolute - states(OWN)[0].relative
    });
    verdict.check("NC-041", sum);
    verdict.check(
        "NC-063",
        call!(thread_delete, OWN, li) == K_OK
            && matches!(call!(thread_delete, OWN, li), K_EINVAL | K_EBUSY),
    );
    verdict.check("NC-026 thread", counter.stands());
    waits(verdict);
    verdict.check("NC-077", stored());
    verdict.check("NC-080", excluded());
    // Supervisor actors may not use the FPU.
    if start_info().kind != K_SUPACTOR {
        verdict.check(
            "FPU state",
            vectors_kept(4, || (0..200).for_each(|_| thread::yield_now())),
        );
        // One thread more than processors, none of which gives way.
        let (from, end) = (switches(), time::now() + Duration::from_millis(250));
        let busy = move || while time::now() < end {};
        let kept = vectors_kept(u64::from(site::cpus()) + 1, busy);
        verdict.check("FPU state preempted", kept && switches() - from >= 4);
    }
}

fn waits(verdict: &mut Verdict) {
    let result = Arc::new(AtomicI32::new(1));
    let told = result.clone();
    let li = thread::spawn(0, move || {
        told.store(call!(thread_delay, In::new(0)), Ordering::Release);
    })
    .unwrap_or(0);
    pause();
    let sleeps = result.load(Ordering::Acquire) == 1;
    call!(thread_abort, OWN, li);
    let ended = becomes(|| result.load(Ordering::Acquire) == K_EABORT);
    verdict.check("NC-076", sleeps && ended);
    let sem = Arc::new(Semaphore::new(1));
    let (mine, told) = (sem.clone(), Arc::new(AtomicI32::new(0)));
    let seen = told.clone();
    let go = Arc::new(AtomicBool::new(false));
    let wait = go.clone();
    let li = thread::spawn(0, move || {
        while !wait.load(Ordering::Acquire) {
            thread::yield_now();
        }
        let result = mine.acquire(None).err().map_or(1, KError::code);
        seen.store(result, Ordering::Release);
    })
    .unwrap_or(0);
    // The thread runs, or is about to: the abort marks it, or ends a yield of zero length, which is no wait.
    pause();
    call!(thread_abort, OWN, li);
    go.store(true, Ordering::Release);
    becomes(|| told.load(Ordering::Acquire) != 0);
    let result = told.load(Ordering::Acquire);
    verdict.check("NC-072", result == K_EABORT || result == 1);
    let order = Arc::new(Mutex::new(Vec::new()));
    let gate = Arc::new(Semaphore::new(0));
    for number in 0..4 {
        let (order, gate) = (order.clone(), gate.clone());
        let _ = thread::spawn(0, move || {
            let _ = gate.acquire(None);
            order.lock().push(number);
        });
        pause();
    }
    for _ in 0..4 {
        let _ = gate.release();
        pause();
    }
    verdict.check("NC-087", *order.lock() == [0, 1, 2, 3]);
    let short = gate.acquire(Some(Duration::from_millis(5))) == Err(KError::Timeout);
    let _ = gate.release();
    let once = gate.acquire(Some(Duration::ZERO)).is_ok()
        && gate.acquire(Some(Duration::ZERO)) == Err(KError::Timeout);
    verdict.check("NC-089", short && once);
    let mut mutex = KnMutex::default();
    call!(mutex_get, InOut::new(at_mut(&mut mutex)));
    let busy = call!(mutex_try, InOut::new(at_mut(&mut mutex))) > 0;
    call!(mutex_rel, InOut::new(at_mut(&mut mutex)));
    verdict.check(
        "NC-082",
        busy && call!(mutex_try, InOut::new(at_mut(&mut mutex))) == K_OK && at(&mutex) != 0,
    );
}

/// Whether the context pointer belongs to its thread.
fn stored() -> bool {
    call!(thread_store, 0x1234_5678_9abc);
    let other = Arc::new(AtomicU64::new(1));
    let told = other.clone();
    let _ = thread::spawn(0, move || {
        let mut value = 7u64;
        call!(thread_load, Out::new(at_mut(&mut value)));
        told.store(value, Ordering::Release);
    });
    let said = becomes(|| other.load(Ordering::Acquire) == 0);
    let mut own = 0u64;
    call!(thread_load, Out::new(at_mut(&mut own)));
    said && own == 0x1234_5678_9abc
}

/// Switches of threads on this site since boot.
fn switches() -> u64 {
    let mut stat = KnSiteStat::default();
    call!(site_stat, Out::new(at_mut(&mut stat)));
    stat.switches
}

/// Whether each of so many threads keeps a vector register of its own over `busy`, while the others use it too.
fn vectors_kept(threads: u64, busy: impl Fn() + Copy + Send + 'static) -> bool {
    let table = Arc::new((AtomicBool::new(true), Semaphore::new(0)));
    for number in 1..=threads {
        let table = table.clone();
        let _ = thread::spawn(0, move || {
            let mark = number * 0x1111_1111_1111_1111;
            // SAFETY: this code is compiled without vector registers, so nobody else in this thread uses one.
            unsafe { core::arch::asm!("movq xmm7, {}", in(reg) mark) };
            busy();
            let now: u64;
            // SAFETY: as above.
            unsafe { core::arch::asm!("movq {}, xmm7", out(reg) now) };
            if now != mark {
                table.0.store(false, Ordering::Release);
            }
            let _ = table.1.release();
        });
    }
    let ended = (0..threads).all(|_| table.1.acquire(Some(Duration::from_secs(30))).is_ok());
    ended && table.0.load(Ordering::Acquire)
}

/// Whether two threads under a mutex lose no step.
fn excluded() -> bool {
    const STEPS: u64 = 2000;
    let table = Arc::new((Mutex::new(0u64), Semaphore::new(0)));
    for _ in 0..2 {
        let table = table.clone();
        let _ = thread::spawn(0, move || {
            for _ in 0..STEPS {
                *table.0.lock() += 1;
            }
            let _ = table.1.release();
        });
    }
    let ended = (0..2).all(|_| table.1.acquire(Some(Duration::from_secs(30))).is_ok());
    ended && *table.0.lock() == 2 * STEPS
}
