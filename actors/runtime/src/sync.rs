//! Mutexes and semaphores of the Nucleus (spec 2.8), for the threads of one actor.

use crate::time::interval;
use crate::{at, check};
use chorus_abi::{In, InOut, KError, KnMutex, KnSem};
use core::cell::UnsafeCell;
use core::time::Duration;

// The Nucleus takes no structure that could lie across two pages: both are aligned to their size.

/// A mutex for the `lock_api` types: first come first served (NC-080…083).
#[repr(align(8))]
pub struct RawMutex(UnsafeCell<KnMutex>);

// SAFETY: only the Nucleus looks at the structure or changes it, under its own lock.
unsafe impl Sync for RawMutex {}
// SAFETY: nobody moves a mutex while it is borrowed, and one that nobody borrows has no waiters.
unsafe impl Send for RawMutex {}

impl RawMutex {
    fn address(&self) -> u64 {
        self.0.get() as u64
    }
}

// SAFETY: the Nucleus gives the mutex to one thread at a time (NC-080).
unsafe impl lock_api::RawMutex for RawMutex {
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "what lock_api makes free mutexes from"
    )]
    const INIT: Self = RawMutex(UnsafeCell::new(KnMutex {
        locked: 0,
        waiters: 0,
    }));
    // The Nucleus keeps no owner: any thread may release.
    type GuardMarker = lock_api::GuardSend;

    fn lock(&self) {
        // SAFETY: the structure lives as long as `self`. A wait needs a little memory of the Nucleus: without it we try again.
        while unsafe { crate::raw::mutex_get(InOut::new(self.address())) } != 0 {
            crate::thread::yield_now();
        }
    }

    fn try_lock(&self) -> bool {
        // SAFETY: the structure lives as long as `self`.
        unsafe { crate::raw::mutex_try(InOut::new(self.address())) == 0 }
    }

    unsafe fn unlock(&self) {
        // SAFETY: the structure lives as long as `self`.
        unsafe { crate::raw::mutex_rel(InOut::new(self.address())) };
    }
}

/// A value that one thread at a time may use.
pub type Mutex<T> = lock_api::Mutex<RawMutex, T>;
/// The use of a [`Mutex`]'s value.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;

/// A counting semaphore.
#[repr(align(8))]
pub struct Semaphore(UnsafeCell<KnSem>);

// SAFETY: only the Nucleus looks at the structure or changes it, under its own lock.
unsafe impl Sync for Semaphore {}
// SAFETY: nobody moves a semaphore while it is borrowed, and one that nobody borrows has no waiters.
unsafe impl Send for Semaphore {}

impl Semaphore {
    /// A semaphore with so many units.
    pub const fn new(units: i32) -> Self {
        Semaphore(UnsafeCell::new(KnSem {
            count: units,
            pad: 0,
        }))
    }

    /// Takes a unit; waits for it, at most `limit`. Errors: `K_ETIMEOUT`, `K_EABORT`.
    pub fn acquire(&self, limit: Option<Duration>) -> Result<(), KError> {
        let limit = limit.map(interval);
        let address = limit.as_ref().map_or(0, at);
        // SAFETY: the structure lives as long as `self`, the interval through the call.
        check(unsafe { crate::raw::sem_p(InOut::new(self.0.get() as u64), In::new(address)) })
            .map(|_| ())
    }

    /// Gives a unit. Errors: `K_EFULL`.
    pub fn release(&self) -> Result<(), KError> {
        // SAFETY: the structure lives as long as `self`.
        check(unsafe { crate::raw::sem_v(InOut::new(self.0.get() as u64)) }).map(|_| ())
    }
}
