//! Timers, and the threads that wait for them (spec 3.10).

use crate::time::interval;
use crate::{at, at_mut, check};
use alloc::boxed::Box;
use alloc::sync::Arc;
use chorus_abi::{
    In, InOut, K_CLOCK_REALTIME, K_MYACTOR, KError, KnITimer, KnThreadPool, KnTimeVal, Out,
};
use core::cell::UnsafeCell;
use core::time::Duration;

#[repr(align(8))]
struct Structure(UnsafeCell<KnThreadPool>);

/// Where timers tell that they expired: any number of threads wait here.
pub struct Pool(Box<Structure>);

// SAFETY: only the Nucleus looks at the structure, under its own lock.
unsafe impl Sync for Pool {}
// SAFETY: the structure stays where it is.
unsafe impl Send for Pool {}

/// A timer that expired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expiry {
    /// What the timer was made with.
    pub cookie: u64,
    /// How often it expired beyond this time.
    pub overrun: u32,
}

impl Pool {
    /// A pool without timers. Errors: `K_EFAULT`.
    pub fn new() -> Result<Arc<Pool>, KError> {
        let pool = Pool(Box::new(Structure(
            UnsafeCell::new(KnThreadPool::default()),
        )));
        // SAFETY: the structure lives as long as the pool.
        check(unsafe { crate::raw::timer_thread_pool_init(Out::new(pool.0.0.get() as u64)) })?;
        Ok(Arc::new(pool))
    }

    fn structure(&self) -> InOut<KnThreadPool> {
        InOut::new(self.0.0.get() as u64)
    }

    /// Waits for an expiry, at most `limit`. Errors: `K_ETIMEOUT`, `K_EABORT`.
    pub fn wait(&self, limit: Option<Duration>) -> Result<Expiry, KError> {
        let limit = limit.map(interval);
        let address = limit.as_ref().map_or(0, at);
        let (mut cookie, mut overrun) = (0u64, 0i32);
        // SAFETY: the structure lives as long as the pool, the others through the call.
        check(unsafe {
            crate::raw::timer_thread_pool_wait(
                self.structure(),
                Out::new(at_mut(&mut cookie)),
                Out::new(at_mut(&mut overrun)),
                In::new(address),
            )
        })?;
        Ok(Expiry {
            cookie,
            overrun: overrun.unsigned_abs(),
        })
    }
}

/// A timer of this actor; it ends when it is dropped.
pub struct Timer {
    li: i32,
    _pool: Arc<Pool>,
}

impl Timer {
    /// A timer that is not armed. Errors: `K_ENOMEM`.
    pub fn new(pool: &Arc<Pool>, cookie: u64) -> Result<Timer, KError> {
        let mut li = 0i32;
        // SAFETY: the timer keeps the pool alive, and `li` lives through the call.
        check(unsafe {
            crate::raw::timer_create(
                In::new(K_MYACTOR),
                K_CLOCK_REALTIME,
                pool.structure(),
                cookie,
                Out::new(at_mut(&mut li)),
            )
        })?;
        Ok(Timer {
            li,
            _pool: pool.clone(),
        })
    }

    fn set(&self, value: KnTimeVal, period: KnTimeVal) -> Result<(), KError> {
        let new = KnITimer {
            it_interval: period,
            it_value: value,
        };
        // SAFETY: the setting lives through the call.
        check(unsafe {
            crate::raw::timer_set(
                In::new(K_MYACTOR),
                self.li,
                0,
                In::new(at(&new)),
                Out::new(0),
            )
        })
        .map(|_| ())
    }

    /// Expires once, after this time.
    pub fn once(&self, after: Duration) -> Result<(), KError> {
        self.set(interval(after), KnTimeVal::default())
    }

    /// Expires each time that this time has passed.
    pub fn every(&self, period: Duration) -> Result<(), KError> {
        self.set(interval(period), interval(period))
    }

    /// Expires no more; what is counted is still told.
    pub fn disarm(&self) -> Result<(), KError> {
        self.set(KnTimeVal::default(), KnTimeVal::default())
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: the call has no pointers but the null one.
        unsafe { crate::raw::timer_delete(In::new(K_MYACTOR), self.li) };
    }
}
