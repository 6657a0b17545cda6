//! Deferred copies: making one, and what it takes to change a page that others still see (spec 4.4). The rules are those of `caches`.

use super::Region;
use super::caches::Cache;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Wait;
use crate::machine::{Frame, Machine};
use crate::nucleus::Nucleus;
use chorus_abi::{KError, PAGE_SIZE};

impl<M: Machine> Nucleus<M> {
    /// The child that loses sight of a page when it changes in this cache, and which of the child's pages it is.
    #[inline]
    pub(super) fn history(&self, cache: Id<Cache>, page: u32) -> Option<(Id<Cache>, u32)> {
        let child = self.memory.caches.get(cache)?.child?;
        let seen = self.memory.caches.get(child)?.sees(page)?;
        self.is_seen_through(child, seen).then_some((child, seen))
    }

    /// Whether anybody sees a page of the parent as this one: the cache lacks it, and a region shows it, here or further down.
    fn is_seen_through(&self, cache: Id<Cache>, page: u32) -> bool {
        if self.has_page(cache, page) {
            return false;
        }
        let mut next = Some((cache, page));
        while let Some((at, page)) = next {
            let shows = |(_, region): (_, &Region)| region.address_of(page).is_some();
            if self.regions_of(at).any(shows) {
                return true;
            }
            next = self.next_viewer(cache, at, page);
        }
        false
    }

    /// The caches that see a page of `root` through it, one after another: the next after `at`, which sees it as `page`, and as what it sees it.
    pub(super) fn next_viewer(
        &self,
        root: Id<Cache>,
        at: Id<Cache>,
        page: u32,
    ) -> Option<(Id<Cache>, u32)> {
        let (mut at, mut page) = (at, page);
        let mut candidate = self.cache(at)?.child;
        loop {
            while let Some(child) = candidate {
                let entry = self.cache(child)?;
                candidate = entry.sibling;
                if let Some(seen) = entry.sees(page)
                    && !self.has_page(child, seen)
                {
                    return Some((child, seen));
                }
            }
            if at == root {
                return None;
            }
            let entry = self.cache(at)?;
            (candidate, page) = (entry.sibling, page + entry.offset);
            at = entry.parent?;
        }
    }

    /// The same in all caches that see the page through this one.
    pub(super) fn page_hide(&mut self, cache: Id<Cache>, page: u32) {
        let mut next = Some((cache, page));
        while let Some((at, page)) = next {
            self.page_unmap(at, page);
            next = self.next_viewer(cache, at, page);
        }
    }

    /// Gives the child its own copy of a page that stays in its frame here. `false`: no memory.
    fn page_push(&mut self, cache: Id<Cache>, page: u32, frame: Frame) -> bool {
        // No region shows the copy that is being made yet.
        let child = self.cache(cache).and_then(|cache| cache.child);
        let seen = child.and_then(|child| Some((child, self.cache(child)?.sees(page)?)));
        let Some((child, seen)) = seen.filter(|&(child, seen)| !self.has_page(child, seen)) else {
            return true;
        };
        let copy = self.frame_like(Some(frame));
        if copy
            .and_then(|copy| self.page_put(child, seen, copy))
            .is_none()
        {
            return false;
        }
        self.page_hide(child, seen);
        true
    }

    /// The frame of a page that is about to change here: its own, and the child's is out of the way. `None`: no memory; what was done is right by itself.
    pub(super) fn page_own(&mut self, cache: Id<Cache>, page: u32) -> Option<Frame> {
        let mut heir = self.history(cache, page);
        let frame = match self.page_seen(cache, page) {
            Some((frame, true)) => frame,
            Some((frame, false)) => {
                heir = heir.filter(|&heir| !self.page_handed_down(frame, heir));
                let copy = self.frame_like(Some(frame))?;
                let copy = self.page_put(cache, page, copy)?;
                self.page_hide(cache, page);
                copy
            }
            None => {
                let zeros = self.frame_like(None)?;
                self.page_put(cache, page, zeros)?
            }
        };
        if heir.is_none() && !self.memory.pages.is_shared(frame) {
            return Some(frame);
        }
        // The child takes the frame itself, which it and its own children may have mapped; nobody waits in it, nor is it locked (see `cache_copy`). Without
        // one the others keep it.
        let held = self.memory.pages.held(cache, page)?;
        let copy = self.frame_like(Some(frame))?;
        let flags = self.memory.pages.flags(frame);
        self.page_remove(cache, held);
        match heir {
            Some((child, seen)) => _ = self.page_insert(child, seen, frame),
            None => self.lent_in_vain(cache),
        }
        self.page_unmap(cache, page);
        let copy = self.page_put(cache, page, copy)?;
        self.memory.pages.set_flags(copy, flags, 0);
        Some(copy)
    }

    /// A cache is about to make its own of a page that it sees from above, and its child sees it through there: the child has the frame from now on, together
    /// with the cache above, instead of a second copy (docs/memory.md). `false`: it cannot, as bodies could not be lent (`sharing`).
    fn page_handed_down(&mut self, frame: Frame, (child, seen): (Id<Cache>, u32)) -> bool {
        let holder = self.memory.pages.holder(frame);
        let Some(holder) = holder.and_then(|(slot, _)| self.memory.caches.at(slot)) else {
            return false;
        };
        let fits =
            |region: &Region| !region.is_fixed() && self.can_share(region.actor, region.space);
        let plain = self.cache(holder).is_some_and(|it| it.segment.is_none())
            && self.regions_of(holder).all(|(_, region)| fits(region));
        plain
            && self.memory.pages.can_be_shared(frame)
            && !self.structures().may_be_in(frame)
            && self.page_insert(child, seen, frame)
    }

    /// Gives the child its own copies of the pages of a range that have to stay in their frames. `false`: no memory.
    fn pinned_push(&mut self, source: Id<Cache>, range: (u32, u32)) -> bool {
        let locked = self
            .cache(source)
            .is_some_and(|cache| cache.list.locked > 0);
        let fixed = self.regions_of(source).any(|(_, region)| region.is_fixed());
        let mut next = self.cache(source).and_then(|cache| cache.list.first());
        while let Some(held) = next.filter(|_| locked || fixed) {
            next = self.memory.pages.next(held);
            let (page, frame) = (self.memory.pages.page(held), self.memory.pages.frame(held));
            let stays = self.memory.pages.locks(frame) > 0
                || self
                    .regions_of(source)
                    .any(|(_, region)| region.is_fixed() && region.address_of(page).is_some());
            if stays && (range.0..range.1).contains(&page) && !self.page_push(source, page, frame) {
                return false;
            }
        }
        let threads = if self.any_waits_for_a_structure() {
            self.threads.extent()
        } else {
            0
        };
        for slot in 0..threads {
            let wait = self
                .threads
                .at(slot)
                .and_then(|id| self.threads.get(id))
                .map(|thread| thread.wait);
            let Some(Wait::Mutex(place) | Wait::Semaphore(place, _)) = wait else {
                continue;
            };
            let frame = Frame((place / PAGE_SIZE) as u32);
            if let Some((holder, page)) = self.memory.pages.holder(frame)
                && holder == source.index()
                && (range.0..range.1).contains(&page)
                && !self.page_push(source, page, frame)
            {
                return false;
            }
        }
        true
    }

    /// A cache that shows `size` pages of another from `offset` on as they are now. No page is copied but those that must stay in their frames: locked
    /// ones, those of fixed regions, those that hold a structure for which threads wait. Stores into the source are forbidden until the old page is away.
    pub(super) fn cache_copy(
        &mut self,
        source: Id<Cache>,
        offset: u32,
        size: u32,
        payer: Id<Actor>,
    ) -> Result<Id<Cache>, KError> {
        if self.memory.caches.room() < 2 {
            return Err(KError::NoMem);
        }
        let found = *self.cache(source).ok_or(KError::Inval)?;
        let copy = Cache::new(size, Some(payer));
        let copy = self.memory.caches.insert(copy).ok_or(KError::NoMem)?;
        let parent = match found.child {
            None => source,
            Some(child)
                if self.cache(child).is_some_and(|child| {
                    child.working
                        && child.list.count == 0
                        && child.slots.count == 0
                        && child.size == found.size
                }) =>
            {
                child
            }
            Some(child) => {
                let working = Cache {
                    working: true,
                    ..Cache::new(found.size, Some(payer))
                };
                let working = self.memory.caches.insert(working).ok_or(KError::NoMem)?;
                let before = self.cache(child).map_or(0, |child| child.offset);
                self.cache_unlink(child);
                self.cache_link(working, source, 0);
                self.cache_link(child, working, before);
                working
            }
        };
        self.cache_link(copy, parent, offset);
        let range = (offset, offset + size);
        if !self.pinned_push(source, range) {
            self.cache_release(copy);
            return Err(KError::NoMem);
        }
        let mut next = found.regions;
        while let Some(region) = next.and_then(|id| self.memory.regions.get(id)) {
            next = region.sharer;
            let Some((start, end)) = region.addresses_of(range).filter(|_| !region.is_fixed())
            else {
                continue;
            };
            let space = region.space;
            self.machine.forbid_stores(space, start, end);
        }
        Ok(copy)
    }
}
