//! A split virtqueue (virtio 1.2, 2.7) of single buffers, with event indices.
//!
//! Our own, although the transport below is the driver crate's: that crate's queue (0.13) compares indices without regard to their wrapping, and has no
//! barrier between telling the device when to interrupt and looking at the ring, so that a site could sleep on frames that had come. Here
//! both sides of each index are a store, a full barrier, a load.

use crate::memory::{self, Block};
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, fence};

/// Descriptors of a ring.
pub const SIZE: usize = 128;
/// Bytes of a ring: descriptors and available part in the first page, used part in the second.
const BYTES: usize = 8192;
const AVAILABLE: u64 = SIZE as u64 * 16;
const USED: u64 = 4096;
/// Descriptor flag: the device writes.
const WRITE: u16 = 2;

/// A ring and its bookkeeping.
pub struct Ring {
    block: Block,
    free: [u16; SIZE],
    free_count: usize,
    available: u16,
    used: u16,
}

/// Whether an index that moves from `old` to `new` passes the one that the other side wants to hear of (virtio 1.2, 2.7.10).
const fn passes(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

impl Ring {
    /// An empty ring. `None`: no memory.
    pub fn new() -> Option<Ring> {
        let mut free = [0; SIZE];
        for (index, entry) in free.iter_mut().enumerate() {
            *entry = index as u16;
        }
        Some(Ring {
            block: memory::block(BYTES)?,
            free,
            free_count: SIZE,
            available: 0,
            used: 0,
        })
    }

    /// Where the device finds its parts: descriptors, available, used.
    pub fn parts(&self) -> (u64, u64, u64) {
        let at = self.block.physical;
        (at, at + AVAILABLE, at + USED)
    }

    fn half(&self, offset: u64) -> &AtomicU16 {
        debug_assert!(offset + 2 <= BYTES as u64);
        // SAFETY: inside the block (all offsets come from this file, with indices reduced to `SIZE`), aligned, shared with the device by atomic accesses only.
        unsafe { &*((self.block.address + offset) as *const AtomicU16) }
    }

    fn word(&self, offset: u64) -> &AtomicU32 {
        debug_assert!(offset + 4 <= BYTES as u64);
        // SAFETY: as for `half`.
        unsafe { &*((self.block.address + offset) as *const AtomicU32) }
    }

    fn long(&self, offset: u64) -> &AtomicU64 {
        debug_assert!(offset + 8 <= BYTES as u64);
        // SAFETY: as for `half`.
        unsafe { &*((self.block.address + offset) as *const AtomicU64) }
    }

    /// Offers a buffer to the device, to write or to read. Its descriptor, and whether the device wants to be told; `None`: all descriptors are taken.
    pub fn offer(&mut self, physical: u64, size: usize, write: bool) -> Option<(usize, bool)> {
        self.free_count = self.free_count.checked_sub(1)?;
        let index = *self.free.get(self.free_count)?;
        let at = u64::from(index) * 16;
        self.long(at).store(physical, Ordering::Relaxed);
        self.word(at + 8).store(size as u32, Ordering::Relaxed);
        let flags = if write { WRITE } else { 0 };
        self.half(at + 12).store(flags, Ordering::Relaxed);
        let slot = u64::from(self.available) % SIZE as u64;
        self.half(AVAILABLE + 4 + slot * 2)
            .store(index, Ordering::Relaxed);
        let old = self.available;
        self.available = old.wrapping_add(1);
        self.half(AVAILABLE + 2)
            .store(self.available, Ordering::Release);
        // The device looks at the index after it said what it wants to hear of.
        fence(Ordering::SeqCst);
        let event = self
            .half(USED + 4 + SIZE as u64 * 8)
            .load(Ordering::Relaxed);
        Some((usize::from(index), passes(event, self.available, old)))
    }

    /// Whether the device is done with all buffers that it was offered.
    pub fn is_used_up(&self) -> bool {
        self.half(USED + 2).load(Ordering::Relaxed) == self.available
    }

    /// Takes the next buffer that the device is done with: its descriptor, and the bytes that it wrote.
    pub fn take(&mut self) -> Option<(usize, usize)> {
        if self.half(USED + 2).load(Ordering::Acquire) == self.used {
            return None;
        }
        let at = USED + 4 + u64::from(self.used) % SIZE as u64 * 8;
        let index = self.word(at).load(Ordering::Relaxed) as usize % SIZE;
        let written = self.word(at + 4).load(Ordering::Relaxed) as usize;
        self.used = self.used.wrapping_add(1);
        if let Some(entry) = self.free.get_mut(self.free_count) {
            *entry = index as u16;
            self.free_count += 1;
        }
        Some((index, written))
    }

    /// Asks for an interrupt at the next buffer. After this the ring has to be looked at once more.
    pub fn listen(&self) {
        self.half(AVAILABLE + 4 + SIZE as u64 * 2)
            .store(self.used, Ordering::Relaxed);
        // The device looks at what we want to hear of after it moved its index.
        fence(Ordering::SeqCst);
    }

    /// Asks for no interrupts: the index that would cause one is as far away as can be.
    pub fn be_deaf(&self) {
        self.half(AVAILABLE + 4 + SIZE as u64 * 2)
            .store(self.used.wrapping_sub(1), Ordering::Relaxed);
    }
}
