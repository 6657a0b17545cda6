//! Slots: which page of which cache is in a temporary segment, and whether what is there is still right.
//!
//! The page of a temporary segment that a page is pushed to has the number of its slot, which no other page of the site has: so a page may go from one
//! cache to another (a child takes what its parent had) without its bytes being moved, and no two pages ever meet in one place. A page keeps its slot
//! while it is here too: as long as nobody stores into it, it can be dropped without being pushed again. The table is allocated at boot.

use crate::Id;
use crate::memory::caches::Cache;
use alloc::vec;
use alloc::vec::Vec;

const NONE: u32 = u32::MAX;
/// No cache: the slot is free, or its page has gone while a request about it is out.
const FREE: u16 = u16::MAX;

/// The temporary segment has what the page holds.
pub(super) const STORED: u8 = 1;
/// It was sent, and has not been answered for.
pub(super) const PUSHING: u8 = 2;
/// It was asked for, and has not been answered for.
pub(super) const PULLING: u8 = 4;

#[derive(Clone, Copy, Debug)]
struct Entry {
    sum: u64,
    page: u32,
    chain: u32,
    next: u32,
    previous: u32,
    cache: u16,
    store: u16,
    flags: u8,
}

/// The slots of one cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::memory) struct SlotList {
    first: u32,
    /// How many there are.
    pub count: u32,
}

impl SlotList {
    /// No slot.
    pub const EMPTY: SlotList = SlotList {
        first: NONE,
        count: 0,
    };

    /// The first in the list.
    pub fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }
}

/// The table.
pub(in crate::memory) struct Slots {
    entries: Vec<Entry>,
    limit: usize,
    buckets: Vec<u32>,
    free: u32,
    used: u32,
    /// Where the search for a slot that can be spared begins.
    pub(super) hand: u32,
}

impl Slots {
    /// Room for so many pages in temporary segments.
    pub fn new(limit: usize) -> Self {
        let buckets = match limit {
            0 => 0,
            _ => (limit / 4).next_power_of_two().clamp(16, 1 << 16),
        };
        Slots {
            entries: Vec::with_capacity(limit),
            limit,
            buckets: vec![NONE; buckets],
            free: NONE,
            used: 0,
            hand: 0,
        }
    }

    /// How many there can be.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// One past the highest that was ever used.
    pub fn extent(&self) -> u32 {
        self.entries.len() as u32
    }

    /// How many are in use.
    pub fn used(&self) -> u32 {
        self.used
    }

    fn bucket(&self, cache: u16, page: u32) -> usize {
        let mixed = u32::from(cache).wrapping_mul(0x9E37_79B1) >> 8;
        mixed.wrapping_add(page) as usize & self.buckets.len().wrapping_sub(1)
    }

    fn entry(&self, slot: u32) -> Option<&Entry> {
        self.entries.get(slot as usize)
    }

    /// The slot of a page of a cache.
    #[inline]
    pub fn find(&self, cache: Id<Cache>, page: u32) -> Option<u32> {
        let cache = cache.index() as u16;
        let mut at = *self.buckets.get(self.bucket(cache, page))?;
        while let Some(entry) = self.entry(at) {
            if entry.cache == cache && entry.page == page {
                return Some(at);
            }
            at = entry.chain;
        }
        None
    }

    /// Slot of the arena of the cache that a slot belongs to, and which page it is of.
    pub fn holder(&self, slot: u32) -> Option<(usize, u32)> {
        let entry = self.entry(slot)?;
        (entry.cache != FREE).then_some((entry.cache as usize, entry.page))
    }

    /// Slot of the arena of its temporary segment.
    pub fn store(&self, slot: u32) -> Option<usize> {
        Some(self.entry(slot)?.store as usize)
    }

    /// The next slot in the list of its cache.
    pub fn next(&self, slot: u32) -> Option<u32> {
        let next = self.entry(slot)?.next;
        (next != NONE).then_some(next)
    }

    /// `STORED`, `PUSHING`, `PULLING`.
    pub fn flags(&self, slot: u32) -> u8 {
        self.entry(slot).map_or(0, |entry| entry.flags)
    }

    /// Sets some of them and clears others.
    pub fn set_flags(&mut self, slot: u32, set: u8, clear: u8) {
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            entry.flags = entry.flags & !clear | set;
        }
    }

    /// The sum of the bytes that were pushed last.
    pub fn sum(&self, slot: u32) -> u64 {
        self.entry(slot).map_or(0, |entry| entry.sum)
    }

    /// Sets it.
    pub fn set_sum(&mut self, slot: u32, sum: u64) {
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            entry.sum = sum;
        }
    }

    /// A slot in a temporary segment for a page that has none. `None`: all are in use.
    pub fn insert(
        &mut self,
        list: &mut SlotList,
        (cache, page): (Id<Cache>, u32),
        store: usize,
    ) -> Option<u32> {
        let slot = match self.entry(self.free) {
            Some(entry) => {
                let slot = self.free;
                self.free = entry.chain;
                slot
            }
            None if self.entries.len() < self.limit => {
                // Within the room of boot: nothing is allocated.
                self.entries.push(Entry {
                    sum: 0,
                    page: 0,
                    chain: NONE,
                    next: NONE,
                    previous: NONE,
                    cache: FREE,
                    store: 0,
                    flags: 0,
                });
                self.entries.len() as u32 - 1
            }
            None => return None,
        };
        let entry = self.entries.get_mut(slot as usize)?;
        (entry.store, entry.flags, entry.sum) = (store as u16, 0, 0);
        self.used += 1;
        self.link(list, slot, cache, page);
        Some(slot)
    }

    fn link(&mut self, list: &mut SlotList, slot: u32, cache: Id<Cache>, page: u32) {
        let cache = cache.index() as u16;
        let bucket = self.bucket(cache, page);
        let Some(head) = self.buckets.get_mut(bucket) else {
            return;
        };
        let chain = core::mem::replace(head, slot);
        let first = core::mem::replace(&mut list.first, slot);
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            (entry.cache, entry.page, entry.chain) = (cache, page, chain);
            (entry.next, entry.previous) = (first, NONE);
        }
        if let Some(entry) = self.entries.get_mut(first as usize) {
            entry.previous = slot;
        }
        list.count += 1;
    }

    fn unlink(&mut self, list: &mut SlotList, slot: u32) {
        let Some(&entry) = self.entry(slot) else {
            return;
        };
        let bucket = self.bucket(entry.cache, entry.page);
        let mut at = self.buckets.get(bucket).copied().unwrap_or(NONE);
        if at == slot {
            if let Some(head) = self.buckets.get_mut(bucket) {
                *head = entry.chain;
            }
        } else {
            while let Some(other) = self.entries.get_mut(at as usize) {
                if other.chain == slot {
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
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            entry.cache = FREE;
        }
    }

    /// The page of a slot has gone, or its bytes are of no use. While a request about it is out the slot stays taken. Whether it is free now.
    pub fn remove(&mut self, list: &mut SlotList, slot: u32) -> bool {
        self.unlink(list, slot);
        self.set_flags(slot, 0, STORED);
        self.give_back(slot)
    }

    /// A request about a slot is over. Whether the slot is free now.
    pub fn settle(&mut self, slot: u32, flag: u8) -> bool {
        self.set_flags(slot, 0, flag);
        self.holder(slot).is_none() && self.give_back(slot)
    }

    fn give_back(&mut self, slot: u32) -> bool {
        let free = self.free;
        match self.entries.get_mut(slot as usize) {
            Some(entry) if entry.flags & (PUSHING | PULLING) == 0 => {
                entry.chain = free;
                self.free = slot;
                self.used -= 1;
                true
            }
            _ => false,
        }
    }

    /// A slot's page is another cache's from now on.
    pub fn rehome(
        &mut self,
        from: &mut SlotList,
        to: &mut SlotList,
        slot: u32,
        cache: Id<Cache>,
        page: u32,
    ) {
        self.unlink(from, slot);
        self.link(to, slot, cache, page);
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
        fn agrees_with_a_map(steps in proptest::collection::vec((0u8..4, 0usize..3, 0u32..12, 0usize..3), 0..300)) {
            let mut arena = Arena::new(3);
            let ids: Vec<Id<Cache>> = (0..3).filter_map(|_| arena.insert(Cache::new(1, None))).collect();
            let mut lists = [SlotList::EMPTY; 3];
            let mut slots = Slots::new(16);
            let mut model: BTreeMap<(usize, u32), u32> = BTreeMap::new();
            let mut busy: Vec<u32> = Vec::new();
            for (what, cache, page, other) in steps {
                let there = model.get(&(cache, page)).copied();
                match (what, there) {
                    (0, None) => {
                        let made = slots.insert(&mut lists[cache], (ids[cache], page), 1);
                        prop_assert_eq!(made.is_some(), model.len() + busy.len() < 16);
                        if let Some(slot) = made {
                            prop_assert!(!busy.contains(&slot) && !model.values().any(|&used| used == slot));
                            model.insert((cache, page), slot);
                        }
                    }
                    (1, Some(slot)) => {
                        slots.set_flags(slot, PUSHING, 0);
                        prop_assert!(!slots.remove(&mut lists[cache], slot));
                        model.remove(&(cache, page));
                        busy.push(slot);
                    }
                    (2, Some(slot)) if cache != other && !model.contains_key(&(other, page)) => {
                        let mut from = lists[cache];
                        slots.rehome(&mut from, &mut lists[other], slot, ids[other], page);
                        lists[cache] = from;
                        model.remove(&(cache, page));
                        model.insert((other, page), slot);
                    }
                    (3, _) => {
                        if let Some(slot) = busy.pop() {
                            prop_assert!(slots.settle(slot, PUSHING));
                        } else if let Some(slot) = there {
                            prop_assert!(slots.remove(&mut lists[cache], slot));
                            model.remove(&(cache, page));
                        }
                    }
                    _ => {}
                }
                prop_assert_eq!(slots.used() as usize, model.len() + busy.len());
                for cache in 0..3 {
                    let mut listed = 0;
                    let mut next = lists[cache].first();
                    while let Some(slot) = next {
                        let (_, page) = slots.holder(slot).unwrap();
                        prop_assert_eq!(model.get(&(cache, page)), Some(&slot));
                        listed += 1;
                        next = slots.next(slot);
                    }
                    prop_assert_eq!(listed, lists[cache].count);
                    for page in 0..12 {
                        prop_assert_eq!(slots.find(ids[cache], page), model.get(&(cache, page)).copied());
                    }
                }
            }
        }
    }
}
