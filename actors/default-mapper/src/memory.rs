//! Pages in the memory of the default mapper itself, compressed (LZ4), in blocks of a pool that it has from its start.

use crate::Store;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use chorus_abi::{KError, PAGE_SIZE};
use lz4_flex::block;

/// Bytes of a block.
const BLOCK: usize = 256;
const PAGE: usize = PAGE_SIZE as usize;
/// No block.
const NONE: u32 = u32::MAX;
/// Most bytes that a compressed page may grow to.
const ROOM: usize = block::get_maximum_output_size(PAGE);

/// A page: its first block, and its bytes; a whole page is not compressed.
#[derive(Clone, Copy)]
struct Kept {
    first: u32,
    size: usize,
}

/// The pool.
pub struct Pool {
    bytes: Vec<u8>,
    /// The next block of a page, or of the free ones.
    next: Vec<u32>,
    free: u32,
    spare: usize,
    pages: BTreeMap<(u64, u64), Kept>,
}

impl Pool {
    /// A pool of so many bytes, all of which are in memory. `None`: there is not so much.
    pub fn new(size: usize) -> Option<Pool> {
        let count = u32::try_from(size / BLOCK)
            .ok()
            .filter(|&count| count < NONE)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(count as usize * BLOCK).ok()?;
        // Touched, so that its frames are taken now and not when there are none.
        bytes.resize(count as usize * BLOCK, 0xa5);
        let mut next = Vec::new();
        next.try_reserve_exact(count as usize).ok()?;
        next.extend((1..count).chain([NONE]));
        Some(Pool {
            bytes,
            next,
            free: if count == 0 { NONE } else { 0 },
            spare: count as usize,
            pages: BTreeMap::new(),
        })
    }

    fn block(&mut self, index: u32) -> Option<&mut [u8]> {
        let start = index as usize * BLOCK;
        self.bytes.get_mut(start..start + BLOCK)
    }

    fn put(&mut self, bytes: &[u8]) -> Option<Kept> {
        if bytes.len().div_ceil(BLOCK) > self.spare {
            return None;
        }
        // From the last piece to the first, so that each block knows the one behind it.
        let mut first = NONE;
        for piece in bytes.chunks(BLOCK).rev() {
            let index = self.free;
            let link = self.next.get_mut(index as usize)?;
            self.free = core::mem::replace(link, first);
            self.spare -= 1;
            self.block(index)?
                .get_mut(..piece.len())?
                .copy_from_slice(piece);
            first = index;
        }
        let size = bytes.len();
        Some(Kept { first, size })
    }

    fn drop_page(&mut self, page: Kept) {
        let mut at = page.first;
        while let Some(link) = self.next.get_mut(at as usize) {
            let next = core::mem::replace(link, self.free);
            self.free = at;
            self.spare += 1;
            at = next;
        }
    }
}

impl Store for Pool {
    fn keep(&mut self, key: u64, offset: u64, page: &[u8]) -> Result<(), KError> {
        if page.len() != PAGE {
            return Err(KError::Size);
        }
        if let Some(before) = self.pages.remove(&(key, offset)) {
            self.drop_page(before);
        }
        let mut room = [0; ROOM];
        let packed = block::compress_into(page, &mut room).ok();
        let packed = packed
            .filter(|&size| size < PAGE)
            .and_then(|size| room.get(..size));
        let kept = self.put(packed.unwrap_or(page)).ok_or(KError::NoMem)?;
        self.pages.insert((key, offset), kept);
        Ok(())
    }

    fn give(&mut self, key: u64, offset: u64, page: &mut [u8]) -> Result<(), KError> {
        let kept = *self.pages.get(&(key, offset)).ok_or(KError::Unknown)?;
        let mut room = [0; ROOM];
        let (mut at, mut left) = (kept.first, kept.size);
        for to in room.chunks_mut(BLOCK).take(kept.size.div_ceil(BLOCK)) {
            let count = left.min(BLOCK);
            let next = self.next.get(at as usize).copied().ok_or(KError::Mapper)?;
            let from = self.block(at).and_then(|block| block.get(..count));
            let (Some(from), Some(to)) = (from, to.get_mut(..count)) else {
                return Err(KError::Mapper);
            };
            to.copy_from_slice(from);
            (at, left) = (next, left - count);
        }
        let packed = room.get(..kept.size).ok_or(KError::Mapper)?;
        if kept.size == PAGE && page.len() == PAGE {
            page.copy_from_slice(packed);
            return Ok(());
        }
        match block::decompress_into(packed, page) {
            Ok(size) if size == page.len() => Ok(()),
            _ => Err(KError::Mapper),
        }
    }

    fn forget(&mut self, key: u64) {
        let range = (key, 0)..=(key, u64::MAX);
        while let Some((&at, &kept)) = self.pages.range(range.clone()).next() {
            self.pages.remove(&at);
            self.drop_page(kept);
        }
    }
}
