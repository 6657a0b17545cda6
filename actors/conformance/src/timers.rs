//! Timers (spec 3.10).

use crate::verdict::Verdict;
use alloc::sync::Arc;
use chorus_abi::*;
use chorus_runtime::time;
use chorus_runtime::timer::{Pool, Timer};
use core::time::Duration;

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let Ok(pool) = Pool::new() else {
        return verdict.check("timerThreadPoolInit", false);
    };
    // A host that gives the site no time between an expiry and the clock's reading spoils one look, not all.
    verdict.check(
        "NC-272",
        (0..5).any(|_| a_hundred(&pool).is_ok_and(|beyond| beyond.abs() <= 2)),
    );
    verdict.check("NC-273", deleted(&pool) == Err(KError::Timeout));
}

/// Expiries of a timer of 10 ms in a second, or the little more that it became, beyond one for every 10 ms of it.
fn a_hundred(pool: &Arc<Pool>) -> Result<i64, KError> {
    let timer = Timer::new(pool, 77)?;
    let start = time::now();
    let end = start + Duration::from_secs(1);
    timer.every(Duration::from_millis(10))?;
    let mut count = 0;
    while time::now() < end {
        let expiry = pool.wait(Some(Duration::from_secs(30)))?;
        if expiry.cookie != 77 {
            return Err(KError::Inval);
        }
        count += 1 + expiry.overrun;
    }
    let passed = (time::now() - start).as_millis() as i64 / 10;
    Ok(i64::from(count) - passed)
}

/// What a wait gives after the only timer of the pool, with expiries not yet told, was deleted.
fn deleted(pool: &Arc<Pool>) -> Result<(), KError> {
    let timer = Timer::new(pool, 78)?;
    timer.every(Duration::from_millis(1))?;
    pool.wait(Some(Duration::from_secs(30)))?;
    let _ = chorus_runtime::thread::sleep(Duration::from_millis(5));
    drop(timer);
    pool.wait(Some(Duration::from_millis(30))).map(|_| ())
}
