//! Looks at the machine: what tests ask of it, and where bytes are.

use super::{PAGE, Sim};
use crate::machine::{AccessFault, Frame, Machine, Space, Spot};
use alloc::vec::Vec;
use chorus_abi::PAGE_SIZE;

impl Sim {
    /// Spaces of actors that there are.
    pub fn spaces(&self) -> usize {
        self.spaces.iter().skip(1).flatten().count()
    }

    /// What is in the memory: pages of zeros count for nothing.
    pub fn digest(&self) -> u64 {
        let word = |hash: u64, (at, bytes): (usize, &[u8])| {
            let word = bytes
                .iter()
                .fold(0u64, |word, &byte| word << 8 | u64::from(byte));
            let mixed = (word ^ at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash.wrapping_add(if word == 0 { 0 } else { mixed ^ mixed >> 31 })
        };
        let frames = self.memory.iter().enumerate();
        frames
            .filter_map(|(at, frame)| Some((at, frame.as_ref()?)))
            .flat_map(|(at, frame)| {
                let words = frame.chunks(8).enumerate();
                words.map(move |(index, bytes)| (at * PAGE + index, bytes))
            })
            .fold(0, word)
    }

    /// Whether all pages of a range may be written.
    pub fn may_write(&self, space: Space, address: u64, size: u64) -> bool {
        let table = self.spaces.get(space.0 as usize).and_then(Option::as_ref);
        let last = address + size.max(1) - 1;
        let mut pages = address / PAGE_SIZE..last / PAGE_SIZE + 1;
        pages.all(|page| {
            let found = table.and_then(|table| table.get(&(page * PAGE_SIZE)));
            found.is_some_and(|(_, protection)| protection.write)
        })
    }

    /// Where a byte is.
    pub fn whereabouts(&self, space: Space, address: u64) -> Option<Spot> {
        let table = self.spaces.get(space.0 as usize)?.as_ref()?;
        let (frame, _) = table.get(&(address / PAGE_SIZE * PAGE_SIZE))?;
        Some(Spot(
            (frame.0 as usize * PAGE + address as usize % PAGE + PAGE) as u64,
        ))
    }

    /// Runs over the pieces of a range; the frame and offset of each.
    pub(super) fn pieces(
        &mut self,
        space: Space,
        address: u64,
        size: usize,
        write: bool,
    ) -> Result<Vec<(Frame, usize, usize)>, AccessFault> {
        let mut pieces = Vec::new();
        let mut done = 0;
        while done < size {
            let at = address.wrapping_add(done as u64);
            let offset = at as usize % PAGE;
            let count = (PAGE - offset).min(size - done);
            let found = self.translate(space, at - offset as u64);
            match found {
                Some((frame, protection))
                    if (protection.write || !write) && (frame.0 as usize) < self.memory.len() =>
                {
                    self.touched.insert((space.0, at - offset as u64));
                    pieces.push((frame, offset, count))
                }
                _ => return Err(AccessFault { address: at, write }),
            }
            done += count;
        }
        Ok(pieces)
    }
}
