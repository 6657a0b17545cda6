//! Drivers in actors: a thread that waits for its device's interrupt, and I/O ports at second hand.
//!
//! A driver of this kind has no code at interrupt level: the Nucleus counts, and wakes. So it may be an actor with its own address space, and what is wrong with it ends
//! nothing but itself. Only ports of devices that the machine announced can be reached, never the Nucleus' own.

use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, Wait};
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use alloc::vec::Vec;
use chorus_abi::*;

/// Most drivers at a time.
const DRIVERS: usize = 16;

/// An actor that drives the device of an interrupt.
#[derive(Clone, Copy, Debug)]
struct Driver {
    irq: u32,
    actor: Id<Actor>,
    /// Interrupts that were not told yet.
    came: i32,
    /// The thread that waits for one, if it still does.
    waiting: Option<Id<Thread>>,
}

/// All of them.
pub(crate) struct Drivers(Vec<Driver>);

impl Drivers {
    pub fn new() -> Self {
        Drivers(Vec::with_capacity(DRIVERS))
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn of(&mut self, irq: u32) -> Option<&mut Driver> {
        self.0.iter_mut().find(|driver| driver.irq == irq)
    }
}

impl<M: Machine> Nucleus<M> {
    fn devices(&self) -> impl Iterator<Item = KnDevDesc> + '_ {
        (0..).map_while(|index| self.machine.device(index))
    }

    /// `devAttach`.
    pub fn dev_attach(&mut self, caller: Caller, irq: u32) -> Result<Outcome, KError> {
        if !self.devices().any(|device| device.irq == irq) {
            return Err(KError::Inval);
        }
        if self.network_has_interrupt(irq) || self.supervisor.drivers.of(irq).is_some() {
            return Err(KError::Busy);
        }
        let drivers = &mut self.supervisor.drivers.0;
        if drivers.len() == DRIVERS {
            return Err(KError::NoMem);
        }
        drivers.push(Driver {
            irq,
            actor: caller.actor,
            came: 0,
            waiting: None,
        });
        self.machine.enable_interrupt(irq);
        Ok(Outcome::Done(K_OK))
    }

    /// Whether a thread still waits for the interrupt.
    fn driver_waits(&self, thread: Option<Id<Thread>>, irq: u32) -> Option<Id<Thread>> {
        thread.filter(|&id| {
            let wait = self.threads.get(id).map(|thread| thread.wait);
            wait == Some(Wait::Device(irq))
        })
    }

    /// `devWait`.
    pub fn dev_wait(
        &mut self,
        caller: Caller,
        irq: u32,
        limit: In<KnTimeVal>,
    ) -> Result<Outcome, KError> {
        let limit = self.interval(caller, limit)?;
        let driver = self.supervisor.drivers.of(irq);
        let driver = *driver
            .filter(|driver| driver.actor == caller.actor)
            .ok_or(KError::Inval)?;
        if self.driver_waits(driver.waiting, irq).is_some() {
            return Err(KError::Busy);
        }
        if driver.came > 0 {
            return Ok(Outcome::Done(self.driver_told(irq)));
        }
        if self.consume_abort(caller.thread) {
            return Err(KError::Abort);
        }
        if limit == Some(0) {
            return Err(KError::Timeout);
        }
        let deadline = limit.map(|limit| self.machine.now().saturating_add(limit));
        if let Some(driver) = self.supervisor.drivers.of(irq) {
            driver.waiting = Some(caller.thread);
        }
        self.block(caller.thread, Wait::Device(irq), deadline);
        Ok(Outcome::Blocked)
    }

    /// The count, which begins anew.
    fn driver_told(&mut self, irq: u32) -> i32 {
        let driver = self.supervisor.drivers.of(irq);
        driver.map_or(0, |driver| core::mem::take(&mut driver.came))
    }

    /// A device interrupt, if it has a driver.
    pub(crate) fn driver_interrupt(&mut self, irq: u32) {
        let Some(driver) = self.supervisor.drivers.of(irq) else {
            return;
        };
        driver.came = driver.came.saturating_add(1);
        let waiting = driver.waiting.take();
        if let Some(thread) = self.driver_waits(waiting, irq) {
            let came = self.driver_told(irq);
            self.wake(thread, came);
        }
    }

    /// An actor dies: it drives nothing any more. Its threads are gone.
    pub(crate) fn driver_dies(&mut self, actor: Id<Actor>) {
        self.supervisor
            .drivers
            .0
            .retain(|driver| driver.actor != actor);
    }

    /// The ports, if they are those of one device.
    fn device_ports(&self, port: u32, size: u32) -> Result<u16, KError> {
        if !matches!(size, 1 | 2 | 4) {
            return Err(KError::Size);
        }
        let (first, end) = (u64::from(port), u64::from(port) + u64::from(size));
        let known = self.devices().any(|device| {
            device.device_id >= K_DEV_PORTS
                && device.base <= first
                && end <= device.base.saturating_add(device.size)
        });
        let port = u16::try_from(port).map_err(|_| KError::Inval)?;
        if known { Ok(port) } else { Err(KError::Inval) }
    }

    /// `devIn`.
    pub fn dev_in(
        &mut self,
        caller: Caller,
        port: u32,
        size: u32,
        value: Out<u32>,
    ) -> Result<Outcome, KError> {
        // Reading may change the device: nothing fails afterwards.
        self.check_writable(caller, value.address(), 4)?;
        let port = self.device_ports(port, size)?;
        let read = self.machine.port_in(port, size);
        self.write(caller, value, &read)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `devOut`.
    pub fn dev_out(
        &mut self,
        _: Caller,
        port: u32,
        size: u32,
        value: u32,
    ) -> Result<Outcome, KError> {
        let port = self.device_ports(port, size)?;
        self.machine.port_out(port, size, value);
        Ok(Outcome::Done(K_OK))
    }
}
