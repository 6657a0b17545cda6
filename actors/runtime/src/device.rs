//! Devices for drivers that are actors of their own space: who is there, its interrupt, its I/O ports. For privileged actors.

use crate::time::interval;
use crate::{at, at_mut, check};
use chorus_abi::{In, KError, KnDevDesc, Out};
use core::time::Duration;

/// `devGet`: the devices of the machine.
pub fn all() -> impl Iterator<Item = KnDevDesc> {
    (0..).map_while(|index| {
        let mut device = KnDevDesc::default();
        // SAFETY: the description lives through the call.
        check(unsafe { crate::raw::dev_get(index, Out::new(at_mut(&mut device))) }).ok()?;
        Some(device)
    })
}

/// A device interrupt of which this actor is the driver, until it ends.
#[derive(Debug)]
pub struct Interrupt(u32);

impl Interrupt {
    /// `devAttach`. Errors: `K_EBUSY`, it has a driver; `K_EINVAL`, `K_ENOMEM`, `K_EPRIV`.
    pub fn attach(irq: u32) -> Result<Interrupt, KError> {
        // SAFETY: no pointers.
        check(unsafe { crate::raw::dev_attach(irq) })?;
        Ok(Interrupt(irq))
    }

    /// `devWait`: waits for it, at most `limit`; how many came. Errors: `K_ETIMEOUT`, `K_EABORT`; `K_EBUSY`, another thread waits.
    pub fn wait(&self, limit: Option<Duration>) -> Result<u32, KError> {
        let limit = limit.map(interval);
        let address = limit.as_ref().map_or(0, at);
        // SAFETY: the interval lives through the call.
        check(unsafe { crate::raw::dev_wait(self.0, In::new(address)) })
    }
}

/// The I/O ports of a device.
#[derive(Clone, Copy, Debug)]
pub struct Ports(KnDevDesc);

impl Ports {
    /// Those of a device.
    pub fn of(device: &KnDevDesc) -> Ports {
        Ports(*device)
    }

    /// `devIn`: a byte from the port at an offset. Errors: `K_EINVAL`, the device has no such port; `K_EPRIV`.
    pub fn read(&self, offset: u32) -> Result<u8, KError> {
        let mut value = 0u32;
        let port = self.0.base as u32 + offset;
        // SAFETY: the value lives through the call.
        check(unsafe { crate::raw::dev_in(port, 1, Out::new(at_mut(&mut value))) })?;
        Ok(value as u8)
    }

    /// `devOut`: a byte to the port at an offset. Errors: as [`Ports::read`].
    pub fn write(&self, offset: u32, value: u8) -> Result<(), KError> {
        let port = self.0.base as u32 + offset;
        // SAFETY: no pointers.
        check(unsafe { crate::raw::dev_out(port, 1, value.into()) }).map(|_| ())
    }
}
