//! Resident pages: which frame holds which page of which cache.
//!
//! One entry a frame, found by cache and page through a hash table, and all pages of a cache in a list. The table grows up to the highest
//! frame ever used, within room that was allocated at boot.

use super::caches::Cache;
use crate::arena::Id;
use crate::machine::Frame;
use alloc::vec;
use alloc::vec::Vec;

const NONE: u32 = u32::MAX;
/// No cache: the frame holds no page.
const FREE: u16 = u16::MAX;
/// Most lists of the hash table: beyond, they get longer.
const BUCKETS_MAX: usize = 1 << 16;

/// Of a segment's page: its mapper allows stores.
pub(super) const GRANTED: u8 = 1;
/// Of a segment's page: the mapper does not have what it holds.
pub(super) const DIRTY: u8 = 2;
/// Of a segment's page: the mapper was sent what it holds, or held, and has not answered.
pub(super) const PUSHING: u8 = 4;

/// What a frame holds.
#[derive(Clone, Copy, Debug)]
struct Entry {
    cache: u16,
    locks: u16,
    flags: u8,
    page: u32,
    /// Next in the list of the hash table.
    chain: u32,
    /// Neighbours in the list of the cache.
    next: u32,
    previous: u32,
}

const EMPTY: Entry = Entry {
    cache: FREE,
    locks: 0,
    flags: 0,
    page: 0,
    chain: NONE,
    next: NONE,
    previous: NONE,
};

/// The pages of one cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PageList {
    first: u32,
    /// How many there are.
    pub count: u32,
    /// How many of them are locked.
    pub locked: u32,
}

impl PageList {
    /// No page.
    pub const EMPTY: PageList = PageList {
        first: NONE,
        count: 0,
        locked: 0,
    };

    /// The first in the list.
    pub fn first(&self) -> Option<Frame> {
        (self.first != NONE).then_some(Frame(self.first))
    }
}

/// The table.
pub(super) struct Pages {
    entries: Vec<Entry>,
    limit: usize,
    buckets: Vec<u32>,
    used: u64,
}

impl Pages {
    /// Room for frames below `limit`.
    pub fn new(limit: usize) -> Self {
        let buckets = (limit / 4).next_power_of_two().clamp(16, BUCKETS_MAX);
        Pages {
            entries: Vec::with_capacity(limit),
            limit,
            buckets: vec![NONE; buckets],
            used: 0,
        }
    }

    /// One past the highest frame that ever held a page.
    pub fn extent(&self) -> usize {
        self.entries.len()
    }

    /// Pages in all.
    pub fn len(&self) -> u64 {
        self.used
    }

    fn bucket(&self, cache: u16, page: u32) -> usize {
        let mixed = u32::from(cache).wrapping_mul(0x9E37_79B1) >> 8;
        (mixed.wrapping_add(page)) as usize & (self.buckets.len() - 1)
    }

    fn entry(&self, frame: u32) -> Entry {
        self.entries.get(frame as usize).copied().unwrap_or(EMPTY)
    }

    /// The frame with a page of a cache.
    #[inline]
    pub fn find(&self, cache: Id<Cache>, page: u32) -> Option<Frame> {
        let cache = cache.index() as u16;
        let mut at = *self.buckets.get(self.bucket(cache, page))?;
        while let Some(entry) = self.entries.get(at as usize) {
            if entry.cache == cache && entry.page == page {
                return Some(Frame(at));
            }
            at = entry.chain;
        }
        None
    }

    /// Slot of the cache that a frame is a page of, and which page.
    pub fn holder(&self, frame: Frame) -> Option<(usize, u32)> {
        let entry = self.entry(frame.0);
        (entry.cache != FREE).then_some((entry.cache as usize, entry.page))
    }

    /// The next frame in the list of its cache.
    pub fn next(&self, frame: Frame) -> Option<Frame> {
        let next = self.entry(frame.0).next;
        (next != NONE).then_some(Frame(next))
    }

    /// `GRANTED`, `DIRTY`, `PUSHING` of a page.
    pub fn flags(&self, frame: Frame) -> u8 {
        self.entry(frame.0).flags
    }

    /// Sets some of them and clears others.
    pub fn set_flags(&mut self, frame: Frame, set: u8, clear: u8) {
        if let Some(entry) = self.entries.get_mut(frame.0 as usize) {
            entry.flags = entry.flags & !clear | set;
        }
    }

    /// Locks of a page.
    pub fn locks(&self, frame: Frame) -> u16 {
        self.entry(frame.0).locks
    }

    /// Sets the locks of a page of the cache with this list.
    pub fn set_locks(&mut self, list: &mut PageList, frame: Frame, locks: u16) {
        if let Some(entry) = self.entries.get_mut(frame.0 as usize) {
            list.locked -= u32::from(entry.locks > 0);
            list.locked += u32::from(locks > 0);
            entry.locks = locks;
        }
    }

    /// A frame holds a page of the cache with this list from now on. The page was not there, the frame held none. `false`: the frame is unknown.
    pub fn insert(
        &mut self,
        list: &mut PageList,
        cache: Id<Cache>,
        page: u32,
        frame: Frame,
    ) -> bool {
        let index = frame.0 as usize;
        if index >= self.limit {
            return false;
        }
        while self.entries.len() <= index {
            // Within the room of boot: nothing is allocated.
            self.entries.push(EMPTY);
        }
        let cache = cache.index() as u16;
        let bucket = self.bucket(cache, page);
        let (Some(head), first) = (self.buckets.get_mut(bucket), list.first) else {
            return false;
        };
        let chain = core::mem::replace(head, frame.0);
        if let Some(entry) = self.entries.get_mut(index) {
            *entry = Entry {
                cache,
                locks: 0,
                flags: 0,
                page,
                chain,
                next: first,
                previous: NONE,
            };
        }
        if let Some(entry) = self.entries.get_mut(first as usize) {
            entry.previous = frame.0;
        }
        list.first = frame.0;
        list.count += 1;
        self.used += 1;
        true
    }

    /// A frame holds no page any more.
    pub fn remove(&mut self, list: &mut PageList, frame: Frame) {
        let entry = self.entry(frame.0);
        if entry.cache == FREE {
            return;
        }
        let bucket = self.bucket(entry.cache, entry.page);
        let mut at = self.buckets.get(bucket).copied().unwrap_or(NONE);
        if at == frame.0 {
            if let Some(head) = self.buckets.get_mut(bucket) {
                *head = entry.chain;
            }
        } else {
            while let Some(other) = self.entries.get_mut(at as usize) {
                if other.chain == frame.0 {
                    other.chain = entry.chain;
                    break;
                }
                at = other.chain;
            }
        }
        match self.entries.get_mut(entry.previous as usize) {
            Some(previous) => previous.next = entry.next,
            None => list.first = entry.next,
        }
        if let Some(next) = self.entries.get_mut(entry.next as usize) {
            next.previous = entry.previous;
        }
        list.count -= 1;
        list.locked -= u32::from(entry.locks > 0);
        self.used -= 1;
        if let Some(entry) = self.entries.get_mut(frame.0 as usize) {
            *entry = EMPTY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_map(steps in proptest::collection::vec((0usize..3, 0u32..40, 0u32..100), 0..300)) {
            let mut arena = Arena::new(3);
            let ids: Vec<Id<Cache>> = (0..3).filter_map(|_| arena.insert(Cache::new(1, None))).collect();
            let mut lists = [PageList::EMPTY; 3];
            let mut pages = Pages::new(90);
            let mut model: BTreeMap<(usize, u32), u32> = BTreeMap::new();
            for (cache, page, frame) in steps {
                let taken = model.iter().find(|&(_, &other)| other == frame).map(|(&key, _)| key);
                match (model.get(&(cache, page)).copied(), taken) {
                    (Some(old), _) => {
                        pages.remove(&mut lists[cache], Frame(old));
                        model.remove(&(cache, page));
                    }
                    (None, None) => {
                        let done = pages.insert(&mut lists[cache], ids[cache], page, Frame(frame));
                        prop_assert_eq!(done, frame < 90);
                        if done {
                            model.insert((cache, page), frame);
                        }
                    }
                    (None, Some(key)) => prop_assert_eq!(pages.holder(Frame(frame)), Some((key.0, key.1))),
                }
                prop_assert_eq!(pages.len(), model.len() as u64);
                for cache in 0..3 {
                    let mut listed = Vec::new();
                    let mut next = lists[cache].first();
                    while let Some(frame) = next {
                        listed.push(frame.0);
                        next = pages.next(frame);
                    }
                    let mut wanted: Vec<u32> = model.iter().filter(|(key, _)| key.0 == cache).map(|(_, &frame)| frame).collect();
                    listed.sort_unstable();
                    wanted.sort_unstable();
                    prop_assert_eq!(listed, wanted);
                    for page in 0..40 {
                        prop_assert_eq!(pages.find(ids[cache], page).map(|frame| frame.0), model.get(&(cache, page)).copied());
                    }
                }
            }
        }
    }
}
