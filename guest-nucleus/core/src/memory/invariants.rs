//! What always holds of the memory of a site; for tests.

use super::Region;
use super::caches::Cache;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::ipc::PIECES;
use crate::machine::Machine;
use crate::nucleus::Nucleus;
use chorus_abi::*;

impl<M: Machine> Nucleus<M> {
    /// Objects of memory in the tables: regions, caches, pages.
    pub fn memory_objects(&self) -> (usize, usize, u64) {
        let memory = &self.memory;
        (
            memory.regions.len(),
            memory.caches.len(),
            memory.pages.len(),
        )
    }

    /// Pages that have no frame of their own, since others have it too.
    pub fn memory_together(&self) -> u64 {
        self.memory.pages.len() - self.memory.pages.frames()
    }

    /// Pages of an actor from an address on, up to so many, that its region's own cache has in memory.
    pub fn pages_here(&self, actor: Id<Actor>, start: u64, count: u64) -> usize {
        let Some(region) = self.region_at(actor, start) else {
            return 0;
        };
        let has = |at| {
            let page = region.page_at(at);
            region
                .cache
                .is_some_and(|cache| self.memory.pages.find(cache, page).is_some())
        };
        (0..count)
            .filter(|page| has(start + page * PAGE_SIZE))
            .count()
    }

    fn check_cache(&self, id: Id<Cache>, cache: &Cache) {
        let children = || {
            let mut next = cache.child;
            core::iter::from_fn(move || {
                let id = next?;
                next = self.cache(id).expect("a child is there").sibling;
                Some(id)
            })
        };
        for child in children() {
            assert_eq!(self.cache(child).unwrap().parent, Some(id));
        }
        if let Some(parent) = cache.parent {
            assert!(self.cache(parent).is_some(), "a parent is there");
        }
        let regions = self.regions_of(id).count();
        match regions {
            0 if self.is_prepared(id) => assert_eq!((cache.child, cache.parent), (None, None)),
            _ if cache.going && regions == 0 => assert!(children().count() <= 1),
            _ if cache.segment.is_some() => assert!(children().count() <= 1 && !cache.working),
            0 => assert!(
                children().count() >= 2 && cache.working,
                "{id:?} is of no use: {cache:?}"
            ),
            _ => assert!(children().count() <= 1 && !cache.working),
        }
        let (mut count, mut locked, mut next) = (0, 0, cache.list.first());
        while let Some(held) = next {
            next = self.memory.pages.next(held);
            let (page, frame) = (self.memory.pages.page(held), self.memory.pages.frame(held));
            assert!(page < cache.size);
            assert_eq!(self.memory.pages.held(id, page), Some(held));
            count += 1;
            locked += u32::from(self.memory.pages.locks(frame) > 0);
        }
        assert_eq!((count, locked), (cache.list.count, cache.list.locked));
        self.check_slots(id, cache);
        let payer = cache.payer.and_then(|id| self.actors.get(id));
        assert!(payer.is_some() || regions == 0, "nobody pays for {id:?}");
    }

    fn check_region(&mut self, id: Id<Region>, region: Region) {
        let Some(cache) = region.cache else { return };
        assert!(self.regions_of(cache).any(|(other, _)| other == id));
        assert!(region.window().1 <= self.cache(cache).unwrap().size);
        for at in (region.start..region.end()).step_by(PAGE_SIZE as usize) {
            let page = region.page_at(at);
            let Some((frame, allowed)) = self.machine.translate(region.space, at) else {
                continue;
            };
            let (seen, mine) = self.page_seen(cache, page).expect("a mapped page is there");
            assert_eq!(frame, seen, "{at:#x} shows another frame");
            if allowed.write {
                assert!(
                    !self.is_kept_outside(cache, page, false),
                    "a store would not be noticed"
                );
                assert!(region.options & K_WRITABLE != 0);
                assert!(mine && self.history(cache, page).is_none());
                assert!(!self.memory.pages.is_shared(frame), "{at:#x} is lent");
            }
        }
    }

    /// What messages have of frames that pages have, or had.
    fn check_lent(&self) {
        let mut lent = alloc::collections::BTreeMap::new();
        for body in self.bodies() {
            for frame in (0..PIECES).filter_map(|index| body.frame(index)) {
                *lent.entry(frame).or_insert(0) += 1;
            }
        }
        for (frame, count) in self.memory.pages.check() {
            assert_eq!(lent.remove(&frame), Some(count), "{frame:?} is lent");
        }
        // Nobody else has the rest.
        for (frame, count) in lent {
            assert_eq!(count, 1, "{frame:?} is in two messages");
            assert_eq!(self.memory.pages.holder(frame), None);
        }
    }

    /// Checks all of it.
    pub fn check_memory(&mut self) {
        let (mut pages, mut total) = (0, 0);
        for slot in 0..self.memory.caches.extent() {
            if let Some(id) = self.memory.caches.at(slot) {
                let cache = *self.cache(id).unwrap();
                self.check_cache(id, &cache);
                total += u64::from(cache.list.count);
                if cache.payer.is_some() {
                    pages += u64::from(cache.list.count);
                }
            }
        }
        assert_eq!(self.memory.pages.len(), total);
        self.check_stores();
        self.check_lent();
        let counted: u64 = self
            .actors
            .iter()
            .map(|(_, actor)| u64::from(actor.pages))
            .sum();
        assert_eq!(counted, pages, "pages are counted with actors");
        let mut regions = 0;
        for slot in 0..self.actors.extent() {
            let Some(actor) = self.actors.at(slot) else {
                continue;
            };
            let mut last = 0;
            let mut next = self.actors.get(actor).and_then(|actor| actor.regions);
            while let Some(id) = next {
                let region = *self.memory.regions.get(id).expect("a region is there");
                assert!(region.start >= last && region.size > 0 && region.actor == actor);
                (last, next) = (region.end(), region.next);
                regions += 1;
                self.check_region(id, region);
            }
        }
        assert_eq!(self.memory.regions.len(), regions);
    }
}
