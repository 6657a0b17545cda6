//! The table of breakpoints and watchpoints of a site.
//!
//! A software breakpoint is an `int3` at a *physical* address, so that it is right whatever address space is in force. Hardware
//! breakpoints and watchpoints share the four debug registers where the host delivers their hits; where it does not, a hardware
//! breakpoint becomes a software one and a watchpoint is a range whose bytes are compared after every step.

use super::inferior::{DebugRegisters, Delivery, Error, Inferior};
use std::collections::BTreeMap;

/// The instruction `int3`.
const INT3: u8 = 0xCC;

/// What a watchpoint watches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Stores.
    Write,
    /// Loads and stores (x86 has no match for loads alone).
    ReadWrite,
}

/// A watched range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Virtual address.
    pub address: u64,
    /// Bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// What for.
    pub access: Access,
    /// Content when last looked at, where it is compared by stepping.
    pub last: Vec<u8>,
}

/// All that is planted in a site.
#[derive(Debug, Default)]
pub struct Breakpoints {
    /// Physical address → original byte and how often it was asked for.
    software: BTreeMap<u64, (u8, usize)>,
    /// Virtual address asked for → where it was planted: the mapping may have gone when it is taken away.
    asked: BTreeMap<u64, u64>,
    /// Addresses in debug registers.
    execute: Vec<u64>,
    watches: Vec<Watch>,
}

impl Breakpoints {
    /// Plants an `int3` at a physical address.
    pub fn plant(&mut self, site: &mut dyn Inferior, physical: u64) -> Result<(), Error> {
        if let Some((_, count)) = self.software.get_mut(&physical) {
            *count += 1;
            return Ok(());
        }
        let mut original = [0];
        site.read_physical(physical, &mut original)?;
        site.write_physical(physical, &[INT3])?;
        self.software.insert(physical, (original[0], 1));
        Ok(())
    }

    /// Notes that the breakpoint at a physical address was asked for by this virtual one.
    pub fn note(&mut self, address: u64, physical: u64) {
        self.asked.insert(address, physical);
    }

    /// Where the breakpoint was planted that was asked for at a virtual address; forgets it.
    pub fn forget(&mut self, address: u64) -> Option<u64> {
        self.asked.remove(&address)
    }

    /// Takes one `int3` away; `false` when there was none.
    pub fn remove(&mut self, site: &mut dyn Inferior, physical: u64) -> Result<bool, Error> {
        let Some((original, count)) = self.software.get_mut(&physical) else {
            return Ok(false);
        };
        *count -= 1;
        if *count == 0 {
            let original = *original;
            self.software.remove(&physical);
            Self::restore(site, physical, original)?;
        }
        Ok(true)
    }

    /// Whether there is one of ours at a physical address.
    pub fn planted(&self, physical: u64) -> bool {
        self.software.contains_key(&physical)
    }

    /// How often a breakpoint at a physical address was asked for.
    pub fn count(&self, physical: u64) -> usize {
        self.software.get(&physical).map_or(0, |(_, count)| *count)
    }

    /// Puts an original byte back, unless the page has become something else meanwhile: an actor that ended leaves its pages to others.
    fn restore(site: &mut dyn Inferior, physical: u64, original: u8) -> Result<(), Error> {
        let mut now = [0];
        site.read_physical(physical, &mut now)?;
        if now == [INT3] {
            site.write_physical(physical, &[original])?;
        }
        Ok(())
    }

    /// Puts the original byte back for a step over it; [`Breakpoints::replant`] undoes this.
    pub fn lift(&self, site: &mut dyn Inferior, physical: u64) -> Result<(), Error> {
        match self.software.get(&physical) {
            Some((original, _)) => Self::restore(site, physical, *original),
            None => Ok(()),
        }
    }

    /// Plants an `int3` again that was lifted.
    pub fn replant(&self, site: &mut dyn Inferior, physical: u64) -> Result<(), Error> {
        let Some((original, _)) = self.software.get(&physical) else {
            return Ok(());
        };
        let mut now = [0];
        site.read_physical(physical, &mut now)?;
        if now == [*original] {
            site.write_physical(physical, &[INT3])?;
        }
        Ok(())
    }

    /// Memory as the guest would see it without us: original bytes in place of our `int3`s.
    pub fn conceal(&self, physical: u64, bytes: &mut [u8]) {
        let end = physical.saturating_add(bytes.len() as u64);
        for (&address, &(original, _)) in self.software.range(physical..end) {
            let byte = &mut bytes[(address - physical) as usize];
            if *byte == INT3 {
                *byte = original;
            }
        }
    }

    /// A write of the debugger to memory that our `int3`s are in: they stay, and the new bytes become the originals.
    pub fn write_through(
        &mut self,
        site: &mut dyn Inferior,
        physical: u64,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let mut shown = bytes.to_vec();
        let end = physical.saturating_add(bytes.len() as u64);
        for (&address, (original, _)) in self.software.range_mut(physical..end) {
            let index = (address - physical) as usize;
            *original = bytes[index];
            shown[index] = INT3;
        }
        site.write_physical(physical, &shown)
    }

    /// Puts an address in a debug register; `false` when all four are in use.
    pub fn add_execute(&mut self, address: u64) -> bool {
        if self.slots_used() == 4 {
            return false;
        }
        self.execute.push(address);
        true
    }

    /// Takes an address out of a debug register; `false` when it is in none.
    pub fn remove_execute(&mut self, address: u64) -> bool {
        let found = self.execute.iter().position(|&have| have == address);
        found.map(|index| self.execute.remove(index)).is_some()
    }

    /// Watches a range; `false` when the range does not fit a debug register or all are in use (for stepped ones there is no limit but the shape).
    pub fn add_watch(&mut self, watch: Watch, delivery: Delivery) -> bool {
        let shaped = matches!(watch.size, 1 | 2 | 4 | 8)
            && watch.address.is_multiple_of(u64::from(watch.size));
        let room = !delivery.watchpoints || self.slots_used() < 4;
        // Loads leave no trace that a comparison could find.
        let possible = delivery.watchpoints || watch.access == Access::Write;
        if !(shaped && room && possible) {
            return false;
        }
        self.watches.push(watch);
        true
    }

    /// Stops watching; `false` when it was not watched.
    pub fn remove_watch(&mut self, address: u64, size: u8, access: Access) -> bool {
        let same = |watch: &Watch| {
            watch.address == address && watch.size == size && watch.access == access
        };
        let found = self.watches.iter().position(same);
        found.map(|index| self.watches.remove(index)).is_some()
    }

    /// The watched ranges.
    pub fn watches_mut(&mut self) -> &mut [Watch] {
        &mut self.watches
    }

    /// Whether running needs stepping, because the host delivers no watchpoints.
    pub fn needs_stepping(&self, delivery: Delivery) -> bool {
        !delivery.watchpoints && !self.watches.is_empty()
    }

    fn slots_used(&self) -> usize {
        self.execute.len() + self.watches.len()
    }

    /// Content of the debug registers: execute addresses first, then watches (Intel SDM volume 3, 17.2.4).
    pub fn debug_registers(&self, delivery: Delivery) -> DebugRegisters {
        let mut registers = DebugRegisters::default();
        let executes = self.execute.iter().map(|&address| (address, 0b0000));
        let watches = self
            .watches
            .iter()
            .filter(|_| delivery.watchpoints)
            .map(|watch| {
                let length = match watch.size {
                    1 => 0b00,
                    2 => 0b01,
                    8 => 0b10,
                    _ => 0b11,
                };
                let kind = if watch.access == Access::Write {
                    0b01
                } else {
                    0b11
                };
                (watch.address, length << 2 | kind)
            });
        for (slot, (address, condition)) in executes.chain(watches).take(4).enumerate() {
            registers.address[slot] = address;
            registers.control |=
                1 << (slot * 2 + 1) | (condition as u64) << (16 + slot * 4) | 1 << 9 | 1 << 10;
        }
        registers
    }

    /// What a slot of the debug registers stands for: an execute address, or a watch.
    pub fn slot(&self, slot: usize) -> Option<Result<u64, &Watch>> {
        match self.execute.get(slot) {
            Some(&address) => Some(Ok(address)),
            None => self
                .watches
                .get(slot.checked_sub(self.execute.len())?)
                .map(Err),
        }
    }

    /// Takes everything away, so that the guest goes on as if there had been no debugger.
    pub fn clear(&mut self, site: &mut dyn Inferior) -> Result<(), Error> {
        self.execute.clear();
        self.watches.clear();
        self.asked.clear();
        let mut outcome = Ok(());
        for (physical, (original, _)) in std::mem::take(&mut self.software) {
            outcome = outcome.and(Self::restore(site, physical, original));
        }
        outcome
    }
}
