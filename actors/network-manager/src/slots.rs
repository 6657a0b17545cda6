//! Memory for frames: places that the device reads from or writes to, taken from the Nucleus a few at a time.
//!
//! Memory for devices is zeroed, so that each page of it is one that the site takes from its host. A site through which little goes keeps to few places; what was used last is
//! used first.

use crate::memory::{self, Block};
use crate::ring;
use alloc::vec::Vec;

/// Bytes of a place.
pub const FRAME: usize = 2048;
/// Places that are taken at a time.
pub const FEW: usize = 16;

/// Memory of one direction: at most a place for each descriptor of its ring.
#[derive(Default)]
pub struct Slots {
    blocks: Vec<Block>,
    free: Vec<usize>,
}

impl Slots {
    /// A place that is not in use. `None`: all that a ring has descriptors for are, or there is no memory for more.
    pub fn take(&mut self) -> Option<usize> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        let first = self.blocks.len() * FEW;
        if first >= ring::SIZE {
            return None;
        }
        self.blocks.push(memory::block(FEW * FRAME)?);
        self.free.extend((first + 1..first + FEW).rev());
        Some(first)
    }

    /// Whether [`Slots::take`] would need more memory.
    pub fn are_used_up(&self) -> bool {
        self.free.is_empty()
    }

    /// A place is not in use any more.
    pub fn give_back(&mut self, slot: usize) {
        self.free.push(slot);
    }

    /// Where the device finds a place; 0 for one that there is not.
    pub fn physical(&self, slot: usize) -> u64 {
        let block = self.blocks.get(slot / FEW);
        block.map_or(0, |block| block.physical + (slot % FEW * FRAME) as u64)
    }

    /// The bytes of a place; none of one that there is not.
    pub fn bytes(&self, slot: usize) -> &'static mut [u8] {
        let Some(block) = self.blocks.get(slot / FEW) else {
            return &mut [];
        };
        let address = block.address + (slot % FEW * FRAME) as u64;
        // SAFETY: the block has `FEW` places and is never given back; callers hold the place while the device does not, for one expression at a time.
        unsafe { core::slice::from_raw_parts_mut(address as *mut u8, FRAME) }
    }
}
