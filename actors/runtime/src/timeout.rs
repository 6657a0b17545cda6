//! System timeouts of supervisor actors: LAPs that are called at interrupt level after a delay (spec 3.10, `svSysTimeoutSet`).

use crate::lap::Lap;
use crate::{at, at_mut, check};
use alloc::boxed::Box;
use chorus_abi::{In, InOut, KError, KnTimeVal, KnTimeout};
use core::cell::UnsafeCell;
use core::time::Duration;

/// A timeout, which can be set again and again. It is cancelled when dropped.
pub struct Timeout(Box<UnsafeCell<KnTimeout>>);

// SAFETY: only the Nucleus looks at the structure, under its own lock.
unsafe impl Sync for Timeout {}
// SAFETY: the structure stays where it is.
unsafe impl Send for Timeout {}

impl Default for Timeout {
    fn default() -> Self {
        Timeout(Box::new(UnsafeCell::new(KnTimeout::default())))
    }
}

impl Timeout {
    /// Has a LAP called once when a delay has passed; its argument is the address of the structure. Errors: `K_EBUSY`, it is set; `K_EINVAL`, no such LAP; `K_ENOMEM`.
    pub fn set(&self, delay: Duration, lap: &Lap) -> Result<(), KError> {
        let ns = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        let delay = KnTimeVal::from_ns(ns);
        let desc = InOut::new(self.0.get() as u64);
        // SAFETY: the structure lives until it is cancelled, delay and descriptor through the call.
        check(unsafe {
            crate::raw::sv_sys_timeout_set(desc, In::new(at(&delay)), 0, In::new(at(&lap.0)))
        })
        .map(|_| ())
    }

    /// Takes it back: the LAP does not start any more. Errors: `K_EINVAL`, it is not set.
    pub fn cancel(&self) -> Result<(), KError> {
        // SAFETY: the structure lives.
        check(unsafe { crate::raw::sv_sys_timeout_cancel(In::new(self.0.get() as u64)) })
            .map(|_| ())
    }

    /// The width of the grid that timeouts expire on. Errors: `K_EPRIV`.
    pub fn resolution() -> Result<Duration, KError> {
        let mut value = KnTimeVal::default();
        // SAFETY: the structure lives through the call.
        check(unsafe { crate::raw::sv_timeout_get_res(chorus_abi::Out::new(at_mut(&mut value))) })?;
        Ok(Duration::from_nanos(value.to_ns().unwrap_or(0)))
    }
}

impl Drop for Timeout {
    fn drop(&mut self) {
        let _ = self.cancel();
    }
}
