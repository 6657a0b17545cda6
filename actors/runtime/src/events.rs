//! Sets of event flags (spec 3.3), for the threads of one actor.

use crate::time::interval;
use crate::{at, at_mut, check};
use chorus_abi::{In, InOut, K_EVENT_AND, K_EVENT_OR, KError, KnEventSet, Out};
use core::cell::UnsafeCell;
use core::time::Duration;

/// 32 flags that are posted or not.
#[repr(align(8))]
pub struct EventSet(UnsafeCell<KnEventSet>);

// SAFETY: only the Nucleus looks at the structure or changes it, under its own lock.
unsafe impl Sync for EventSet {}
// SAFETY: nobody moves a set while it is borrowed, and one that nobody borrows has no thread that waits.
unsafe impl Send for EventSet {}

impl EventSet {
    /// A set without a posted flag.
    pub const fn new() -> Self {
        EventSet(UnsafeCell::new(KnEventSet { flags: 0, pad: 0 }))
    }

    fn structure(&self) -> InOut<KnEventSet> {
        InOut::new(self.0.get() as u64)
    }

    /// Posts flags: whoever waits for them wakes. Errors: `K_EFAULT`.
    pub fn post(&self, mask: u32) -> Result<(), KError> {
        // SAFETY: the structure lives as long as `self`.
        check(unsafe { crate::raw::event_post(self.structure(), mask) }).map(|_| ())
    }

    /// Unposts flags. Errors: `K_EFAULT`.
    pub fn clear(&self, mask: u32) -> Result<(), KError> {
        // SAFETY: the structure lives as long as `self`.
        check(unsafe { crate::raw::event_clear(self.structure(), mask) }).map(|_| ())
    }

    fn wait(&self, mask: u32, mode: i32, limit: Option<Duration>) -> Result<u32, KError> {
        let limit = limit.map(interval);
        let address = limit.as_ref().map_or(0, at);
        let mut got = 0u32;
        // SAFETY: the structure lives as long as `self`, the others through the call.
        check(unsafe {
            crate::raw::event_wait(
                self.structure(),
                mask,
                mode,
                Out::new(at_mut(&mut got)),
                In::new(address),
            )
        })?;
        Ok(got)
    }

    /// Waits until all of these flags are posted, at most `limit`. Errors: `K_ETIMEOUT`, `K_EABORT`; `K_EINVAL`: no flags.
    pub fn wait_all(&self, mask: u32, limit: Option<Duration>) -> Result<(), KError> {
        self.wait(mask, K_EVENT_AND, limit).map(|_| ())
    }

    /// Waits until one of these flags is posted, at most `limit`; which are. Errors: as [`EventSet::wait_all`].
    pub fn wait_any(&self, mask: u32, limit: Option<Duration>) -> Result<u32, KError> {
        self.wait(mask, K_EVENT_OR, limit)
    }
}

impl Default for EventSet {
    fn default() -> Self {
        EventSet::new()
    }
}
