//! Real-time mutexes and thread semaphores (spec 3.3), for the threads of one actor.

use crate::time::interval;
use crate::{at, check};
use chorus_abi::{In, InOut, KError, KnRtMutex, KnThSem, Out};
use core::cell::UnsafeCell;
use core::time::Duration;

/// A mutex for the `lock_api` types whose owner inherits the priority of those who wait for it (NC-084, NC-085). Locking one that the thread has, or one
/// whose owner waits for the thread, can never end: it panics.
#[repr(align(16))]
pub struct RawRealTimeMutex(UnsafeCell<KnRtMutex>);

// SAFETY: only the Nucleus looks at the structure or changes it, under its own lock.
unsafe impl Sync for RawRealTimeMutex {}
// SAFETY: nobody moves a mutex while it is borrowed, and one that nobody borrows has no owner.
unsafe impl Send for RawRealTimeMutex {}

impl RawRealTimeMutex {
    fn structure(&self) -> InOut<KnRtMutex> {
        InOut::new(self.0.get() as u64)
    }
}

// SAFETY: the Nucleus gives the mutex to one thread at a time.
unsafe impl lock_api::RawMutex for RawRealTimeMutex {
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "what lock_api makes free mutexes from"
    )]
    const INIT: Self = RawRealTimeMutex(UnsafeCell::new(KnRtMutex {
        owner: 0,
        pad: 0,
        seal: 0,
    }));
    // Its owner alone may release it.
    type GuardMarker = lock_api::GuardNoSend;

    fn lock(&self) {
        // SAFETY: the structure lives as long as `self`.
        let result = check(unsafe { crate::raw::rt_mutex_get(self.structure()) });
        assert!(result.is_ok(), "a real-time mutex waits for itself");
    }

    fn try_lock(&self) -> bool {
        // SAFETY: the structure lives as long as `self`.
        unsafe { crate::raw::rt_mutex_try(self.structure()) == 0 }
    }

    unsafe fn unlock(&self) {
        // SAFETY: the structure lives as long as `self`.
        unsafe { crate::raw::rt_mutex_rel(self.structure()) };
    }
}

/// A value that one thread at a time may use, at the priority of the most urgent thread that wants it.
pub type RealTimeMutex<T> = lock_api::Mutex<RawRealTimeMutex, T>;

/// A post for one thread: the one that made it.
#[repr(align(8))]
pub struct ThreadSemaphore(UnsafeCell<KnThSem>);

// SAFETY: only the Nucleus looks at the structure or changes it, under its own lock.
unsafe impl Sync for ThreadSemaphore {}
// SAFETY: nobody moves one while it is borrowed, and one that nobody borrows has no thread that waits.
unsafe impl Send for ThreadSemaphore {}

impl ThreadSemaphore {
    /// A semaphore of the calling thread, not posted. Errors: `K_EFAULT`.
    pub fn new() -> Result<Self, KError> {
        let made = ThreadSemaphore(UnsafeCell::new(KnThSem::default()));
        // SAFETY: the structure lives through the call; it holds no address, so that it may move afterwards.
        check(unsafe { crate::raw::thread_sem_init(Out::new(made.0.get() as u64)) })?;
        Ok(made)
    }

    /// Takes the post; waits for it, at most `limit`. Errors: `K_ETIMEOUT`, `K_EABORT`; `K_EINVAL` in another thread.
    pub fn wait(&self, limit: Option<Duration>) -> Result<(), KError> {
        let limit = limit.map(interval);
        let address = limit.as_ref().map_or(0, at);
        let structure = InOut::new(self.0.get() as u64);
        // SAFETY: the structure lives as long as `self`, the interval through the call.
        check(unsafe { crate::raw::thread_sem_wait(structure, In::new(address)) }).map(|_| ())
    }

    /// Posts it, from any thread. Errors: `K_EFAULT`.
    pub fn post(&self) -> Result<(), KError> {
        // SAFETY: the structure lives as long as `self`.
        check(unsafe { crate::raw::thread_sem_post(InOut::new(self.0.get() as u64)) }).map(|_| ())
    }
}
