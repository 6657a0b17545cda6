//! Segments and their local caches: at most one cache a segment on this site (spec 2.7, 3.9).
//!
//! A segment is named by its capability; its mapper, whose port or group that names, has its bytes, and knows who may use it: the first request with
//! a wrong key is refused. The cache lives while a region shows it, a copy needs it, it is open, a request is out, or it holds what the mapper does
//! not have: when nobody uses it any more that is pushed out, and then it goes.

use super::Region;
use super::caches::Cache;
use super::mappers::Kind;
use super::pages::{DIRTY, GRANTED, PUSHING};
use crate::arena::Id;
use crate::machine::{Frame, Machine};
use crate::nucleus::Nucleus;
use chorus_abi::*;

/// Pages of the largest segment.
pub(super) const SEGMENT_MAX: u32 = 1 << 28;

/// What is left of a range of a cache whose rights are reduced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Left {
    /// Its pages, for loads.
    Loads,
    /// What the mapper does not have, for loads.
    Dirty,
    /// Nothing.
    Nothing,
}

/// A segment of which something is here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Its name, and its mapper's.
    pub(super) cap: KnCap,
    pub(super) cache: Id<Cache>,
    /// The name of the cache, for the mapper.
    pub(super) own: KnCap,
    /// The mapper did not take what was pushed out: stores fail.
    pub(super) bad: bool,
    /// Pages to ask for at once.
    pub(super) cluster: u32,
    /// The mapper wants to hear of the cache's end.
    pub(super) release: bool,
    /// Largest order number so far.
    pub(super) order: u64,
}

impl<M: Machine> Nucleus<M> {
    /// The segment of a cache.
    pub(super) fn segment_of(&self, cache: Id<Cache>) -> Option<(Id<Segment>, &Segment)> {
        let id = self.cache(cache)?.segment?;
        Some((id, self.memory.segments.get(id)?))
    }

    /// The segment with a capability, if anything of it is here.
    pub(super) fn segment_find(&self, cap: KnCap) -> Option<(Id<Segment>, &Segment)> {
        let mut all = self.memory.segments.iter();
        all.find(|(_, segment)| segment.cap == cap)
    }

    /// The segment whose cache has a capability.
    pub(super) fn segment_by_cache(&self, own: KnCap) -> Option<(Id<Segment>, &Segment)> {
        let mut all = self.memory.segments.iter();
        all.find(|(_, segment)| segment.own == own)
    }

    /// The cache of a segment; a new one if there is none yet, which goes with `cache_release` unless somebody uses it.
    ///
    /// # Errors
    /// `K_EINVAL` no capability of a segment; `K_EUNKNOWN` its mapper is not here; `K_ENOMEM`.
    pub(super) fn segment_open(&mut self, cap: KnCap) -> Result<Id<Cache>, KError> {
        if let Some((_, segment)) = self.segment_find(cap) {
            return Ok(segment.cache);
        }
        self.can_request(cap.ui)?;
        if !self.memory.segments.has_room() {
            return Err(KError::NoMem);
        }
        let cache = Cache::new(SEGMENT_MAX, None);
        let cache = self.memory.caches.insert(cache).ok_or(KError::NoMem)?;
        let own = KnCap {
            ui: self.new_ui(UiType::Port),
            key: self.machine.random(),
        };
        let segment = Segment {
            cap,
            cache,
            own,
            bad: false,
            cluster: 1,
            release: false,
            order: 0,
        };
        let segment = self.memory.segments.insert(segment);
        if let Some(cache) = self.memory.caches.get_mut(cache) {
            cache.segment = segment;
        }
        Ok(cache)
    }

    /// Whether nobody uses the cache of a segment any more. What the mapper does not have is pushed out first.
    pub(super) fn segment_may_go(&mut self, id: Id<Segment>) -> bool {
        let Some(&segment) = self.memory.segments.get(id) else {
            return true;
        };
        let used = self
            .cache(segment.cache)
            .is_some_and(|cache| cache.regions.is_some() || cache.child.is_some());
        if used || self.is_awaited(id) || self.is_open(id) {
            return false;
        }
        let dirty = self.dirty_page(segment.cache, 0, SEGMENT_MAX);
        if let Some((page, _)) = dirty.filter(|_| !segment.bad)
            && self.request(id, Kind::Push, page, 1).is_ok()
        {
            return false;
        }
        if dirty.is_some() {
            self.machine
                .log("a segment's mapper is gone: what was stored last is lost");
        }
        self.requests_forget(id);
        if segment.release {
            self.mapper_release(&segment);
        }
        true
    }

    /// The first page in a range that the mapper does not have.
    pub(super) fn dirty_page(
        &self,
        cache: Id<Cache>,
        first: u32,
        end: u32,
    ) -> Option<(u32, Frame)> {
        let mut best: Option<(u32, Frame)> = None;
        let mut next = self.cache(cache).and_then(|cache| cache.list.first());
        while let Some(held) = next {
            next = self.memory.pages.next(held);
            let (page, frame) = (self.memory.pages.page(held), self.memory.pages.frame(held));
            if self.memory.pages.flags(frame) & (DIRTY | PUSHING) != 0
                && (first..end).contains(&page)
                && best.is_none_or(|(least, _)| page < least)
            {
                best = Some((page, frame));
            }
        }
        best
    }

    /// Whether stores into a page of a segment may go on; asks the mapper if it has not allowed them.
    ///
    /// # Errors
    /// Exceptions, as `touch`.
    pub(super) fn may_store(&mut self, cache: Id<Cache>, page: u32) -> Result<(), u32> {
        let Some((_, segment)) = self.segment_of(cache) else {
            return Ok(());
        };
        if segment.bad {
            return Err(super::faults::MAPPER);
        }
        let frame = self.memory.pages.find(cache, page);
        match frame.map(|frame| self.memory.pages.flags(frame) & GRANTED) {
            Some(GRANTED) => Ok(()),
            _ => Err(self.await_mapper(cache, page, Kind::Access)),
        }
    }

    /// What `rgnStat` says of the segment behind a region.
    pub(super) fn shown_segment(&self, region: &Region) -> KnCap {
        let cache = region.cache;
        cache
            .and_then(|cache| self.segment_of(cache))
            .map_or_else(KnCap::default, |(_, segment)| segment.cap)
    }

    /// Takes the rights to store from a range of a cache, or its pages; locked pages stay.
    pub(super) fn segment_reduce(&mut self, cache: Id<Cache>, (first, end): (u32, u32), to: Left) {
        let mut next = self.cache(cache).and_then(|cache| cache.list.first());
        while let Some(held) = next {
            next = self.memory.pages.next(held);
            let (page, frame) = (self.memory.pages.page(held), self.memory.pages.frame(held));
            if !(first..end).contains(&page) || self.memory.pages.locks(frame) > 0 {
                continue;
            }
            let dirty = self.memory.pages.flags(frame) & (DIRTY | PUSHING) != 0;
            if to == Left::Loads || to == Left::Dirty && dirty {
                self.page_unmap(cache, page);
                self.memory.pages.set_flags(frame, 0, GRANTED);
                continue;
            }
            // A copy keeps what it saw: it takes the page.
            let heir = self.history(cache, page);
            match heir {
                Some(_) => self.page_unmap(cache, page),
                None => self.page_hide(cache, page),
            }
            self.memory
                .pages
                .set_flags(frame, 0, GRANTED | DIRTY | PUSHING);
            self.page_bequeath(cache, held, heir);
        }
    }
}
