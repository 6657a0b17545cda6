//! Time: the site's clock and limits of waits.

use crate::at_mut;
use chorus_abi::{KnTimeVal, Out};
use core::time::Duration;

/// Time since the site's boot; never goes back.
pub fn now() -> Duration {
    let mut now = KnTimeVal::default();
    // SAFETY: the interval lives through the call.
    unsafe { crate::raw::sys_time(Out::new(at_mut(&mut now))) };
    Duration::new(now.tm_sec, now.tm_nsec)
}

/// An interval as calls take it.
pub fn interval(limit: Duration) -> KnTimeVal {
    KnTimeVal {
        tm_sec: limit.as_secs(),
        tm_nsec: limit.subsec_nanos(),
        pad: 0,
    }
}

/// Limit of the IPC calls: whole milliseconds, rounded up; without limit -1.
pub(crate) fn milliseconds(limit: Option<Duration>) -> i32 {
    match limit {
        None => chorus_abi::K_NODELAY_LIMIT,
        Some(limit) => i32::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX),
    }
}
