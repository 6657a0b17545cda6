//! Resident pages: which frame holds which page of which cache.
//!
//! One entry a frame, found by cache and page through a hash table, and all pages of a cache in a list. The table grows up to the highest
//! frame ever used, within room that was allocated at boot.
//!
//! A frame may hold the same bytes for several pages (`sharing`): one has the frame's own entry, the others have *stubs*, entries of a second table that the
//! frame's own leads to. Messages that are under way may have it too; they are only counted. Whoever is left last has it alone.

mod stubs;

use super::caches::Cache;
use crate::arena::Id;
use crate::machine::Frame;
use alloc::vec;
use alloc::vec::Vec;

const NONE: u32 = u32::MAX;
/// No cache: the entry holds no page.
const FREE: u16 = u16::MAX;
/// Most lists of the hash table: beyond, they get longer.
const BUCKETS_MAX: usize = 1 << 16;
/// Of a number that names an entry: it is a stub's.
const STUB: u32 = 1 << 31;
/// Most stubs of a frame.
const STUBS_MAX: usize = 3;

/// Of a segment's page: its mapper allows stores.
pub(super) const GRANTED: u8 = 1;
/// Of a segment's page: the mapper does not have what it holds.
pub(super) const DIRTY: u8 = 2;
/// Of a segment's page: the mapper was sent what it holds, or held, and has not answered.
pub(super) const PUSHING: u8 = 4;

/// A page that is here: an entry of one of the tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Held(u32);

impl Held {
    /// No page.
    pub const NONE: Held = Held(NONE);
}

/// What a frame holds, or a page that has a frame together with others.
#[derive(Clone, Copy, Debug)]
struct Entry {
    cache: u16,
    /// Of a frame: locks of its page, which nobody has with it then.
    locks: u16,
    flags: u8,
    /// Of a frame: messages that have it.
    lent: u8,
    page: u32,
    /// Next in the list of the hash table; of a stub that is not used: the next such.
    chain: u32,
    /// Neighbours in the list of the cache.
    next: u32,
    previous: u32,
    /// Of a frame: its first stub. Of a stub: the next, or, of the last one, the frame.
    ring: u32,
}

const EMPTY: Entry = Entry {
    cache: FREE,
    locks: 0,
    flags: 0,
    lent: 0,
    page: 0,
    chain: NONE,
    next: NONE,
    previous: NONE,
    ring: NONE,
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
    pub fn first(&self) -> Option<Held> {
        (self.first != NONE).then_some(Held(self.first))
    }
}

/// The tables.
pub(super) struct Pages {
    entries: Vec<Entry>,
    limit: usize,
    buckets: Vec<u32>,
    used: u64,
    stubs: Vec<Entry>,
    stubs_limit: usize,
    /// First stub that is not used any more.
    spare: u32,
    /// Pages that have a frame that another page has, counted without one for each frame.
    together: u64,
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
            stubs: Vec::with_capacity(limit / 4),
            stubs_limit: limit / 4,
            spare: NONE,
            together: 0,
        }
    }

    /// One past the highest frame that ever held a page.
    pub fn extent(&self) -> usize {
        self.entries.len()
    }

    /// Pages in all.
    #[cfg(test)]
    pub fn len(&self) -> u64 {
        self.used
    }

    /// How many more they are than they have frames.
    pub fn shared(&self) -> u64 {
        self.together
    }

    /// How many frames they have.
    pub fn frames(&self) -> u64 {
        self.used - self.together
    }

    #[inline(always)]
    fn bucket(&self, cache: u16, page: u32) -> usize {
        let mixed = u32::from(cache).wrapping_mul(0x9E37_79B1) >> 8;
        (mixed.wrapping_add(page)) as usize & (self.buckets.len() - 1)
    }

    #[inline(always)]
    fn get(&self, at: u32) -> Option<&Entry> {
        match self.entries.get(at as usize) {
            Some(entry) => Some(entry),
            None => self.stubs.get((at ^ STUB) as usize),
        }
    }

    #[inline(always)]
    fn get_mut(&mut self, at: u32) -> Option<&mut Entry> {
        match self.entries.get_mut(at as usize) {
            Some(entry) => Some(entry),
            None => self.stubs.get_mut((at ^ STUB) as usize),
        }
    }

    #[inline(always)]
    fn entry(&self, at: u32) -> Entry {
        self.get(at).copied().unwrap_or(EMPTY)
    }

    /// A page of a cache.
    #[inline]
    pub fn held(&self, cache: Id<Cache>, page: u32) -> Option<Held> {
        let cache = cache.index() as u16;
        let mut at = *self.buckets.get(self.bucket(cache, page))?;
        while at != NONE {
            let entry = self.get(at)?;
            if entry.cache == cache && entry.page == page {
                return Some(Held(at));
            }
            at = entry.chain;
        }
        None
    }

    /// The frame of a page.
    #[inline(always)]
    pub fn frame(&self, held: Held) -> Frame {
        if held.0 & STUB == 0 {
            return Frame(held.0);
        }
        // Most often there is but one.
        match self.stubs.get((held.0 ^ STUB) as usize) {
            Some(stub) if stub.ring & STUB == 0 => Frame(stub.ring),
            _ => self.frame_of_stub(held.0),
        }
    }

    /// The frame with a page of a cache.
    #[inline]
    pub fn find(&self, cache: Id<Cache>, page: u32) -> Option<Frame> {
        self.held(cache, page).map(|held| self.frame(held))
    }

    /// Which page of its cache a page is.
    pub fn page(&self, held: Held) -> u32 {
        self.entry(held.0).page
    }

    /// Slot of a cache that a frame has a page of, and which page.
    pub fn holder(&self, frame: Frame) -> Option<(usize, u32)> {
        let mut entry = self.entry(frame.0);
        if entry.cache == FREE && entry.ring != NONE {
            entry = self.entry(entry.ring);
        }
        (entry.cache != FREE).then_some((entry.cache as usize, entry.page))
    }

    /// The next in the list of its cache.
    pub fn next(&self, held: Held) -> Option<Held> {
        let next = self.entry(held.0).next;
        (next != NONE).then_some(Held(next))
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

    /// A frame holds a page of the cache with this list from now on, perhaps with others. The page was not there. `false`: the frame is unknown, or too many have it.
    #[inline]
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
        let of = (cache.index() as u16, page);
        let Some(own) = self.entries.get(index) else {
            return false;
        };
        if own.cache != FREE {
            return self.insert_stub(list, of, frame);
        }
        self.together += u64::from(own.ring != NONE);
        self.link(list, of, frame.0)
    }

    fn insert_stub(&mut self, list: &mut PageList, of: (u16, u32), frame: Frame) -> bool {
        let Some(stub) = self.stub_take(frame) else {
            return false;
        };
        self.together += 1;
        self.link(list, of, stub)
    }

    /// Puts an entry into the hash table and the list of its cache.
    #[inline(always)]
    fn link(&mut self, list: &mut PageList, (cache, page): (u16, u32), at: u32) -> bool {
        let bucket = self.bucket(cache, page);
        let (Some(head), first) = (self.buckets.get_mut(bucket), list.first) else {
            return false;
        };
        let chain = core::mem::replace(head, at);
        if let Some(entry) = self.get_mut(at) {
            (entry.cache, entry.page) = (cache, page);
            (entry.locks, entry.flags) = (0, 0);
            (entry.chain, entry.next, entry.previous) = (chain, first, NONE);
        }
        if first != NONE
            && let Some(entry) = self.get_mut(first)
        {
            entry.previous = at;
        }
        list.first = at;
        list.count += 1;
        self.used += 1;
        true
    }

    /// A page is gone; its frame, and whether nobody else has that.
    #[inline]
    pub fn remove(&mut self, list: &mut PageList, held: Held) -> (Frame, bool) {
        let (at, entry) = (held.0, self.entry(held.0));
        if entry.cache == FREE {
            return (Frame(at), false);
        }
        let bucket = self.bucket(entry.cache, entry.page);
        let mut before = self.buckets.get(bucket).copied().unwrap_or(NONE);
        if before == at {
            if let Some(head) = self.buckets.get_mut(bucket) {
                *head = entry.chain;
            }
        } else {
            while let Some(other) = self.get_mut(before) {
                if other.chain == at {
                    other.chain = entry.chain;
                    break;
                }
                before = other.chain;
            }
        }
        match self.get_mut(entry.previous) {
            Some(previous) => previous.next = entry.next,
            None => list.first = entry.next,
        }
        if let Some(next) = self.get_mut(entry.next) {
            next.previous = entry.previous;
        }
        list.count -= 1;
        self.used -= 1;
        if at & STUB == 0 {
            list.locked -= u32::from(entry.locks > 0);
            if let Some(own) = self.entries.get_mut(at as usize) {
                *own = Entry {
                    ring: entry.ring,
                    lent: entry.lent,
                    ..EMPTY
                };
            }
            self.together -= u64::from(entry.ring != NONE);
            return (Frame(at), entry.ring == NONE && entry.lent == 0);
        }
        self.remove_stub(list, at)
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
        fn agrees_with_a_map(steps in proptest::collection::vec((0u8..4, 0usize..3, 0u32..40, 0u32..50), 0..400)) {
            let mut arena = Arena::new(3);
            let ids: Vec<Id<Cache>> = (0..3).filter_map(|_| arena.insert(Cache::new(1, None))).collect();
            let mut lists = [PageList::EMPTY; 3];
            let mut pages = Pages::new(45);
            let mut model: BTreeMap<(usize, u32), u32> = BTreeMap::new();
            let mut lent: BTreeMap<u32, u8> = BTreeMap::new();
            let others = |model: &BTreeMap<(usize, u32), u32>, lent: &BTreeMap<u32, u8>, frame: u32| {
                model.values().filter(|&&other| other == frame).count() + usize::from(lent.get(&frame).copied().unwrap_or(0))
            };
            for (what, cache, page, frame) in steps {
                let there = pages.held(ids[cache], page);
                match (what, model.get(&(cache, page)).copied()) {
                    (0 | 1, Some(old)) => {
                        model.remove(&(cache, page));
                        let alone = others(&model, &lent, old) == 0;
                        prop_assert_eq!(pages.remove(&mut lists[cache], there.unwrap()), (Frame(old), alone));
                    }
                    (0 | 1, None) => {
                        let done = pages.insert(&mut lists[cache], ids[cache], page, Frame(frame));
                        let full = model.values().filter(|&&other| other == frame).count() > STUBS_MAX;
                        let used_up = pages.spare == NONE && pages.stubs.len() == pages.stubs_limit;
                        prop_assert!(done == (frame < 45 && !full) || used_up);
                        if done {
                            model.insert((cache, page), frame);
                        }
                    }
                    (2, Some(old)) if others(&model, &lent, frame) > 0 && old != frame => {
                        if let Some((was, alone)) = pages.exchange(there.unwrap(), Frame(frame)) {
                            model.insert((cache, page), frame);
                            prop_assert_eq!((was, alone), (Frame(old), others(&model, &lent, old) == 0));
                        }
                    }
                    (3, _) if lent.contains_key(&frame) => {
                        *lent.get_mut(&frame).unwrap() -= 1;
                        lent.retain(|_, count| *count > 0);
                        prop_assert_eq!(pages.unlend(Frame(frame)), others(&model, &lent, frame) == 0);
                    }
                    (3, _) if others(&model, &lent, frame) > 0 && pages.can_be_shared(Frame(frame)) => {
                        pages.lend(Frame(frame));
                        *lent.entry(frame).or_default() += 1;
                    }
                    _ => {}
                }
                prop_assert_eq!(pages.len(), model.len() as u64);
                let frames: alloc::collections::BTreeSet<_> = model.values().collect();
                prop_assert_eq!(pages.frames(), frames.len() as u64);
                let counted: Vec<(u32, u8)> = pages.check().into_iter().map(|(frame, count)| (frame.0, count)).collect();
                prop_assert_eq!(counted, lent.clone().into_iter().collect::<Vec<_>>());
                for frame in 0..50 {
                    prop_assert_eq!(pages.is_shared(Frame(frame)), others(&model, &lent, frame) > 1);
                    let holds = pages.holder(Frame(frame));
                    prop_assert!(holds.is_none_or(|(cache, page)| model.get(&(cache, page)) == Some(&frame)));
                    prop_assert_eq!(holds.is_some(), model.values().any(|&other| other == frame));
                }
                for cache in 0..3 {
                    let mut listed = Vec::new();
                    let mut next = lists[cache].first();
                    while let Some(held) = next {
                        listed.push((pages.page(held), pages.frame(held).0));
                        next = pages.next(held);
                    }
                    let mut wanted: Vec<(u32, u32)> = model.iter().filter(|(key, _)| key.0 == cache).map(|(key, &frame)| (key.1, frame)).collect();
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
