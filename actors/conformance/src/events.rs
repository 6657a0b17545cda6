//! Thread semaphores, event flags, real-time mutexes (spec 3.3).

use crate::threads::{pause, states};
use crate::verdict::{OWN, Verdict, call};
use alloc::sync::Arc;
use chorus_abi::*;
use chorus_runtime::events::EventSet;
use chorus_runtime::real_time::{RealTimeMutex, ThreadSemaphore};
use chorus_runtime::sync::Semaphore;
use chorus_runtime::thread;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

const LONG: Option<Duration> = Some(Duration::from_secs(30));

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let sem = Arc::new(ThreadSemaphore::new());
    let Ok(sem) = &*sem else {
        return verdict.check("threadSemInit", false);
    };
    let posted = (0..3).all(|_| sem.post().is_ok());
    let once = sem.wait(LONG).is_ok() && sem.wait(Some(Duration::ZERO)) == Err(KError::Timeout);
    verdict.check("NC-091", posted && once);
    verdict.check("NC-092", foreign_wait() == Err(KError::Inval));
    flags(verdict);
    inheritance(verdict);
}

/// What a thread gets that waits on another's semaphore.
fn foreign_wait() -> Result<(), KError> {
    let told = Arc::new((AtomicU32::new(0), Semaphore::new(0)));
    let sem = Arc::new(ThreadSemaphore::new()?);
    let (mine, tells) = (sem, told.clone());
    thread::spawn(0, move || {
        let result = mine.wait(LONG).err().map_or(0, KError::code);
        tells.0.store(result.cast_unsigned(), Ordering::Release);
        let _ = tells.1.release();
    })?;
    told.1.acquire(LONG)?;
    match KError::from_code(told.0.load(Ordering::Acquire).cast_signed()) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn flags(verdict: &mut Verdict) {
    let shared = Arc::new((EventSet::new(), AtomicU32::new(0)));
    for number in 0..4 {
        let shared = shared.clone();
        let _ = thread::spawn(0, move || {
            let woken = if number == 0 {
                shared.0.wait_all(0b110, LONG).is_ok()
            } else {
                shared.0.wait_any(0b110, LONG) == Ok(0b010)
            };
            if woken {
                shared.1.fetch_or(1 << number, Ordering::AcqRel);
            }
        });
    }
    let seen = || {
        pause();
        shared.1.load(Ordering::Acquire)
    };
    let posted = shared.0.post(0b1001).is_ok();
    verdict.check("NC-094 none", posted && seen() == 0);
    let posted = shared.0.post(0b010).is_ok();
    let woken = seen();
    verdict.check("NC-094", posted && woken != 0);
    verdict.check("NC-095", woken == 0b1110);
    let posted = shared.0.post(0b100).is_ok();
    verdict.check("NC-093", posted && seen() == 0b1111);
    let stay = (0..2).all(|_| shared.0.wait_all(0b1111, Some(Duration::ZERO)).is_ok());
    let cleared = shared.0.clear(0b0110).is_ok()
        && shared.0.wait_any(0b0110, Some(Duration::ZERO)) == Err(KError::Timeout);
    verdict.check("NC-096", stay && cleared);
}

/// Absolute priority of a thread of this actor.
fn absolute(li: i32) -> i32 {
    states(OWN)
        .iter()
        .find(|stat| stat.li == li)
        .map_or(-1, |stat| stat.absolute)
}

/// A chain of threads: each has a mutex, and all but the first wait for that of the one before.
fn inheritance(verdict: &mut Verdict) {
    let locks = Arc::new([const { RealTimeMutex::new(()) }; 3]);
    let go = Arc::new(Semaphore::new(0));
    let base = absolute(call!(thread_self));
    let mut chain = [0; 3];
    for number in 0..3 {
        let (locks, go) = (locks.clone(), go.clone());
        let body = move || {
            let own = locks[number].lock();
            let before = (number > 0).then(|| locks[number - 1].lock());
            if number == 0 {
                let _ = go.acquire(LONG);
            }
            drop(own);
            drop(before);
            let _ = go.acquire(LONG);
        };
        chain[number] = thread::spawn(20 - 5 * number as i32, body).unwrap_or(0);
        pause();
    }
    verdict.check(
        "NC-085 three",
        chain.map(absolute) == [(base + 10).min(255); 3],
    );
    let wants = locks.clone();
    let urgent = thread::spawn(-4, move || drop(wants[2].lock())).unwrap_or(0);
    pause();
    verdict.check("NC-085", urgent > 0 && chain.map(absolute) == [base - 4; 3]);
    let _ = go.release();
    pause();
    let own = [20, 15, 10].map(|relative| (base + relative).min(255));
    verdict.check("NC-084", chain.map(absolute) == own);
    verdict.check(
        "rtMutexTry",
        locks.iter().all(|lock| lock.try_lock().is_some()),
    );
    for _ in 0..3 {
        let _ = go.release();
    }
    pause();
}
