//! Devices for driver actors in either ring: what there is, its registers, memory that it may access, its interrupt.

use crate::machine::{Cpu, Frame, Machine};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// Most memory that a device gets at once.
const MEMORY_MAX: u64 = 4 << 20;

impl<M: Machine> Nucleus<M> {
    /// `devGet`.
    pub fn dev_get(
        &mut self,
        caller: Caller,
        index: i32,
        device: Out<KnDevDesc>,
    ) -> Result<Outcome, KError> {
        let index = usize::try_from(index).map_err(|_| KError::Inval)?;
        let found = self.machine.device(index).ok_or(KError::Inval)?;
        self.write(caller, device, &found)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `devMap`: only registers of a device of the machine.
    pub fn dev_map(
        &mut self,
        caller: Caller,
        base: u64,
        size: u64,
        address: Out<u64>,
    ) -> Result<Outcome, KError> {
        self.check_writable(caller, address.address(), 8)?;
        let end = base
            .checked_add(size)
            .filter(|_| size > 0)
            .ok_or(KError::Inval)?;
        let known = (0..)
            .map_while(|index| self.machine.device(index))
            .filter(|device| device.device_id < K_DEV_PORTS)
            .any(|device| device.base <= base && end <= device.base + device.size);
        if !known {
            return Err(KError::Inval);
        }
        let (first, last) = (base & !(PAGE_SIZE - 1), end.next_multiple_of(PAGE_SIZE));
        let start = self.region_of_device(caller.actor, last - first)?;
        for page in (0..last - first).step_by(PAGE_SIZE as usize) {
            if self
                .machine
                .map_device(caller.space, start + page, first + page)
                .is_err()
            {
                self.region_free(caller.actor, start, start + (last - first));
                return Err(KError::NoMem);
            }
        }
        self.write(caller, address, &(start + (base - first)))?;
        Ok(Outcome::Done(K_OK))
    }

    /// `devMemory`: contiguous, zeroed, mapped at once.
    pub fn dev_memory(
        &mut self,
        caller: Caller,
        size: u64,
        address: Out<u64>,
        physical: Out<u64>,
    ) -> Result<Outcome, KError> {
        self.check_writable(caller, address.address(), 8)?;
        self.check_writable(caller, physical.address(), 8)?;
        if size == 0 || size > MEMORY_MAX {
            return Err(KError::Size);
        }
        let size = size.next_multiple_of(PAGE_SIZE);
        let count = (size / PAGE_SIZE) as u32;
        let start = self.region_of_memory(caller.actor, size)?;
        let Some(first) = self.machine.frames_contiguous(count as usize) else {
            self.region_free(caller.actor, start, start + size);
            return Err(KError::NoMem);
        };
        for index in 0..count {
            let at = start + u64::from(index) * PAGE_SIZE;
            if !self.region_put(caller.actor, at, Frame(first.0 + index)) {
                (index + 1..count).for_each(|rest| self.machine.frame_free(Frame(first.0 + rest)));
                self.region_free(caller.actor, start, start + size);
                return Err(KError::NoMem);
            }
        }
        self.write(caller, address, &start)?;
        self.write(caller, physical, &(u64::from(first.0) * PAGE_SIZE))?;
        Ok(Outcome::Done(K_OK))
    }

    /// A device interrupt that a processor took. `schedule` follows.
    pub fn interrupt(&mut self, cpu: Cpu, irq: u32) {
        self.entered = Some(cpu);
        self.network_interrupt(irq);
        self.driver_interrupt(irq);
    }
}
