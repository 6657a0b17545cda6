//! Checked access to the memory of actors.

use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::machine::{AccessFault, CopyFault, Frame, Machine, Space};
use crate::nucleus::{Caller, Nucleus};
use chorus_abi::*;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

impl<M: Machine> Nucleus<M> {
    #[cold]
    #[inline(never)]
    pub(super) fn make(
        &mut self,
        actor: Id<Actor>,
        fault: AccessFault,
        last: &mut u64,
    ) -> Result<(), KError> {
        // A second fault at the same place means that making the page did not help.
        if *last == fault.address {
            return Err(KError::Fault);
        }
        *last = fault.address;
        self.touch(actor, fault.address, fault.write, false)
            .map_err(|_| KError::Fault)
    }

    /// Copies bytes out of an actor's memory.
    #[inline]
    pub(crate) fn read_bytes(
        &mut self,
        actor: Id<Actor>,
        space: Space,
        address: u64,
        bytes: &mut [u8],
    ) -> Result<(), KError> {
        let mut last = u64::MAX;
        loop {
            match self.machine.read(space, address, bytes) {
                Ok(()) => return Ok(()),
                Err(fault) => self.make(actor, fault, &mut last)?,
            }
        }
    }

    /// Copies bytes into an actor's memory.
    #[inline]
    pub(crate) fn write_bytes(
        &mut self,
        actor: Id<Actor>,
        space: Space,
        address: u64,
        bytes: &[u8],
    ) -> Result<(), KError> {
        let mut last = u64::MAX;
        loop {
            match self.machine.write(space, address, bytes) {
                Ok(()) => return Ok(()),
                Err(fault) => self.make(actor, fault, &mut last)?,
            }
        }
    }

    /// Reads an argument structure. Errors: `K_EFAULT`.
    pub(crate) fn read<T: FromBytes + IntoBytes + FromZeros>(
        &mut self,
        caller: Caller,
        from: In<T>,
    ) -> Result<T, KError> {
        if let Some(value) = self.machine.load(caller.space, from.address()) {
            return Ok(value);
        }
        let mut value = T::new_zeroed();
        self.read_bytes(
            caller.actor,
            caller.space,
            from.address(),
            value.as_mut_bytes(),
        )?;
        Ok(value)
    }

    /// Reads an argument structure unless the pointer is null.
    pub(crate) fn read_optional<T: FromBytes + IntoBytes>(
        &mut self,
        caller: Caller,
        from: In<T>,
    ) -> Result<Option<T>, KError> {
        if from.is_null() {
            Ok(None)
        } else {
            self.read(caller, from).map(Some)
        }
    }

    /// Writes a result structure. Errors: `K_EFAULT`.
    pub(crate) fn write<T: IntoBytes + Immutable>(
        &mut self,
        caller: Caller,
        to: Out<T>,
        value: &T,
    ) -> Result<(), KError> {
        if self.machine.store(caller.space, to.address(), value) {
            return Ok(());
        }
        self.write_bytes(caller.actor, caller.space, to.address(), value.as_bytes())
    }

    /// Writes a result structure unless the pointer is null.
    pub(crate) fn write_optional<T: IntoBytes + Immutable>(
        &mut self,
        caller: Caller,
        to: Out<T>,
        value: &T,
    ) -> Result<(), KError> {
        if to.is_null() {
            Ok(())
        } else {
            self.write(caller, to, value)
        }
    }

    /// Whether all of a range can be written; its pages are made. Errors: `K_EFAULT`.
    pub(crate) fn check_writable(
        &mut self,
        caller: Caller,
        address: u64,
        size: u64,
    ) -> Result<(), KError> {
        self.check_range(caller.actor, caller.space, address, size, true)
    }

    /// Whether all of a range can be accessed; its pages are made. Errors: `K_EFAULT`.
    #[inline]
    pub(crate) fn check_range(
        &mut self,
        actor: Id<Actor>,
        space: Space,
        address: u64,
        size: u64,
        write: bool,
    ) -> Result<(), KError> {
        if size == 0 {
            return Ok(());
        }
        let end = address.checked_add(size).ok_or(KError::Fault)?;
        let mut page = address & !(PAGE_SIZE - 1);
        while page < end {
            let at = page.max(address);
            let fine = match write {
                true => self.machine.writable(space, at, 1),
                false => self.machine.readable(space, at, 1),
            };
            if !fine {
                self.touch(actor, at, write, false)
                    .map_err(|_| KError::Fault)?;
                let mut probe = [0];
                if self.machine.read(space, at, &mut probe).is_err() {
                    return Err(KError::Fault);
                }
            }
            page += PAGE_SIZE;
            if page < end {
                page = self.machine.accessible_until(space, page, end, write);
            }
        }
        Ok(())
    }

    /// Copies between two actors' memories. Errors tell the side: `Err((true, …))` the source.
    pub(crate) fn copy(
        &mut self,
        from: (Id<Actor>, Space, u64),
        to: (Id<Actor>, Space, u64),
        size: usize,
    ) -> Result<(), (bool, KError)> {
        let (mut done, mut last) = (0, (u64::MAX, u64::MAX));
        loop {
            let at = |address: u64| address.wrapping_add(done as u64);
            let (source, target) = ((from.1, at(from.2)), (to.1, at(to.2)));
            let Err(fault) = self.machine.copy(source, target, size - done) else {
                self.counters.copied += size as u64;
                return Ok(());
            };
            // What is before the fault is there already.
            done += fault.after(source.1, target.1).min(size - done);
            match fault {
                CopyFault::Source(fault) => self
                    .make(from.0, fault, &mut last.0)
                    .map_err(|error| (true, error))?,
                CopyFault::Destination(fault) => self
                    .make(to.0, fault, &mut last.1)
                    .map_err(|error| (false, error))?,
            }
        }
    }

    /// Copies from an actor's memory into a frame.
    pub(crate) fn copy_in(
        &mut self,
        from: (Id<Actor>, Space, u64),
        frame: Frame,
        offset: usize,
        size: usize,
    ) -> Result<(), KError> {
        let mut last = u64::MAX;
        loop {
            match self.machine.copy_in((from.1, from.2), frame, offset, size) {
                Ok(()) => {
                    self.counters.copied += size as u64;
                    return Ok(());
                }
                Err(fault) => self.make(from.0, fault, &mut last)?,
            }
        }
    }

    /// Copies from a frame into an actor's memory.
    pub(crate) fn copy_out(
        &mut self,
        frame: Frame,
        offset: usize,
        to: (Id<Actor>, Space, u64),
        size: usize,
    ) -> Result<(), KError> {
        let mut last = u64::MAX;
        loop {
            match self.machine.copy_out(frame, offset, (to.1, to.2), size) {
                Ok(()) => {
                    self.counters.copied += size as u64;
                    return Ok(());
                }
                Err(fault) => self.make(to.0, fault, &mut last)?,
            }
        }
    }
}
