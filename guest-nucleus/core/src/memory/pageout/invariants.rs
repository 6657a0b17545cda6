//! What always holds of pages outside memory; for tests.

use super::slots::{PULLING, PUSHING, STORED};
use crate::arena::Id;
use crate::machine::Machine;
use crate::memory::caches::Cache;
use crate::nucleus::Nucleus;

impl<M: Machine> Nucleus<M> {
    /// The slots of a cache: each is of one of its pages, and says where the page is if it is not here.
    pub(in crate::memory) fn check_slots(&self, id: Id<Cache>, cache: &Cache) {
        let slots = &self.memory.pageout.slots;
        let (mut count, mut next) = (0, cache.slots.first());
        while let Some(slot) = next {
            next = slots.next(slot);
            let (at, page) = slots.holder(slot).expect("a slot of a cache");
            assert_eq!(at, id.index());
            assert!(page < cache.size);
            assert_eq!(slots.find(id, page), Some(slot));
            let here = self.memory.pages.find(id, page).is_some();
            assert!(here || slots.flags(slot) & STORED != 0, "a page is nowhere");
            let store = slots
                .store(slot)
                .and_then(|at| self.memory.pageout.stores.at(at));
            assert!(store.is_some(), "a page is in no temporary segment");
            count += 1;
        }
        assert_eq!(count, cache.slots.count);
        if let Some(store) = cache.store {
            let store = self.memory.pageout.stores.get(store).expect("it is there");
            assert_eq!(store.cache, Some(id));
        }
    }

    /// Temporary segments: each is some cache's, or has pages in it, or is on its way out.
    pub(in crate::memory) fn check_stores(&self) {
        let pageout = &self.memory.pageout;
        let (mut used, mut all) = (0, alloc::vec![0; pageout.stores.extent()]);
        for slot in 0..pageout.slots.extent() {
            let busy = pageout.slots.flags(slot) & (PUSHING | PULLING) != 0;
            if pageout.slots.holder(slot).is_some() || busy {
                used += 1;
                all[pageout.slots.store(slot).unwrap()] += 1;
            }
        }
        assert_eq!(used, pageout.slots.used());
        for (id, store) in pageout.stores.iter() {
            assert_eq!(all[id.index()], store.slots);
            assert_eq!(store.left, store.cache.is_none() && store.slots == 0);
            if let Some(cache) = store.cache.map(|cache| self.cache(cache)) {
                assert_eq!(cache.expect("it is there").store, Some(id));
            }
        }
        let leaving = pageout.stores.iter().filter(|(_, store)| store.left);
        assert_eq!(leaving.count(), pageout.leaving);
    }

    /// Temporary segments and slots in use.
    pub fn outside(&self) -> (usize, u32) {
        let pageout = &self.memory.pageout;
        (pageout.stores.len(), pageout.slots.used())
    }
}
