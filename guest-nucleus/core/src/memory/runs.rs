//! Pages that come and go together: runs of pages of one region of which nothing is special, which take one look at the region, one change of the page
//! table and one request to other processors, and then a few steps a page.

use super::caches::Cache;
use super::pages::Held;
use super::{DEVICE, FIXED, Region};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::ipc::{PIECES, Place};
use crate::machine::{Frame, Machine, Protection, Space};
use crate::nucleus::Nucleus;
use chorus_abi::*;

/// A region of an actor's own where it may store, and which shows memory that is no segment's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ground {
    pub(super) region: Region,
    pub(super) cache: Id<Cache>,
    /// Some pages of the cache have to stay in their frames, as if all had.
    pub(super) fixed: bool,
    /// No other region shows the cache.
    pub(super) alone: bool,
    /// No page is locked or outside.
    steady: bool,
    /// Any page can arrive, but where a thread waits for a structure: nor was one copied from here.
    pub(super) smooth: bool,
}

impl Ground {
    pub(super) fn has(&self, address: u64) -> bool {
        address >= self.region.start && address < self.region.end()
    }
}

/// The frames with structures for which threads wait, as far as there are few.
pub(super) struct Structures {
    frames: [Frame; 16],
    count: usize,
    many: bool,
}

impl Structures {
    /// Whether there may be one in a frame.
    pub(super) fn may_be_in(&self, frame: Frame) -> bool {
        let few = self.frames.get(..self.count).unwrap_or(&[]);
        self.many || few.contains(&frame)
    }
}

/// Pages that are to be mapped one after another.
pub(super) struct Run {
    space: Space,
    start: u64,
    write: bool,
    frames: [Frame; PIECES],
    count: usize,
    /// Frames that nobody has once the pages are mapped.
    gone: [Frame; PIECES],
    gone_count: usize,
}

impl Run {
    /// No page.
    pub(super) fn none() -> Run {
        Run {
            space: Space::SUPERVISOR,
            start: 0,
            write: false,
            frames: [Frame(0); PIECES],
            count: 0,
            gone: [Frame(0); PIECES],
            gone_count: 0,
        }
    }

    /// Whether a page continues it.
    fn goes_on(&self, space: Space, address: u64, write: bool) -> bool {
        let next = self.start + self.count as u64 * PAGE_SIZE;
        (self.space, next, self.write) == (space, address, write) && self.count < PIECES
    }
}

impl<M: Machine> Nucleus<M> {
    /// The ground at an address.
    pub(super) fn ground(&self, (actor, space, address): Place) -> Option<Ground> {
        let region = self.region_at(actor, address)?;
        let options = region.options & (K_WRITABLE | K_RESERVED | DEVICE | FIXED);
        if region.actor != actor || region.space != space || options != K_WRITABLE {
            return None;
        }
        let cache = region.cache?;
        let entry = self.cache(cache)?;
        if entry.segment.is_some() {
            return None;
        }
        let fixed = self.any_fixed(cache);
        let alone = self.regions_of(cache).nth(1).is_none();
        let quiet = entry.list.locked == 0 && entry.slots.count == 0;
        let steady = alone && quiet && !fixed;
        Some(Ground {
            region,
            cache,
            fixed,
            alone,
            steady,
            smooth: steady && entry.child.is_none(),
        })
    }

    /// The same; most often it is that of the page before.
    #[inline]
    pub(super) fn ground_next(&self, known: &mut Option<Ground>, place: Place) -> Option<Ground> {
        if known.is_none_or(|ground| !ground.has(place.2)) {
            *known = self.ground(place);
        }
        *known
    }

    /// Whether a region shows a cache whose pages stay in their frames.
    pub(super) fn any_fixed(&self, cache: Id<Cache>) -> bool {
        self.regions_of(cache).any(|(_, region)| region.is_fixed())
    }

    /// The frames with structures for which threads wait.
    pub(super) fn structures(&self) -> Structures {
        let mut all = Structures {
            frames: [Frame(0); 16],
            count: 0,
            many: false,
        };
        if !self.any_waits_for_a_structure() {
            return all;
        }
        self.each_structure(|place| {
            let frame = Frame((place / PAGE_SIZE) as u32);
            match all.frames.get_mut(all.count) {
                Some(entry) => (*entry, all.count) = (frame, all.count + 1),
                None => all.many = true,
            }
        });
        all
    }

    /// A frame becomes a page of a cache; what was there goes. It is to be mapped with the run.
    pub(super) fn page_enters(&mut self, cache: Id<Cache>, page: u32, frame: Frame, run: &mut Run) {
        let old = match self.memory.pages.held(cache, page) {
            Some(held) if self.memory.pages.frame(held) == frame => None,
            Some(held) => match self.memory.pages.exchange(held, frame) {
                Some(old) => Some(old),
                None => {
                    let old = self.page_remove(cache, held);
                    self.page_insert(cache, page, frame);
                    Some(old)
                }
            },
            None => {
                self.page_insert(cache, page, frame);
                None
            }
        };
        let Some((old, true)) = old else { return };
        match run.gone.get_mut(run.gone_count) {
            Some(entry) => (*entry, run.gone_count) = (old, run.gone_count + 1),
            // There are as many as pages.
            None => self.machine.frame_free(old),
        }
    }

    /// A page is to be mapped; a run that it does not continue is over.
    pub(super) fn run_add(
        &mut self,
        run: &mut Run,
        (space, address): (Space, u64),
        frame: Frame,
        write: bool,
    ) {
        if !run.goes_on(space, address, write) {
            self.run_map(run);
            (run.space, run.start, run.write) = (space, address, write);
        }
        if let Some(entry) = run.frames.get_mut(run.count) {
            (*entry, run.count) = (frame, run.count + 1);
        }
    }

    /// Maps the pages of a run, which begins anew. What cannot be mapped is when it is touched.
    pub(super) fn run_map(&mut self, run: &mut Run) {
        let (space, start, count) = (run.space, run.start, run.count);
        let protection = Protection {
            write: run.write,
            execute: false,
        };
        let frames = run.frames.get(..count).unwrap_or(&[]);
        let done = match frames {
            [] => 0,
            frames => self.machine.map_run(space, start, frames, protection),
        };
        if done < count {
            let at = |index: usize| start + index as u64 * PAGE_SIZE;
            self.machine.unmap_range(space, at(done), at(count));
        }
        for &frame in run.gone.get(..run.gone_count).unwrap_or(&[]) {
            self.machine.frame_free(frame);
        }
        (run.count, run.gone_count) = (0, 0);
    }

    /// The ground of so many pages from a place on, if it is one, and smooth there.
    fn smooth_ground(&self, place: Place, count: usize) -> Option<Ground> {
        let ground = self.ground(place).filter(|ground| ground.steady)?;
        let last = place.2 + (count as u64).checked_sub(1)? * PAGE_SIZE;
        let first = ground.region.page_at(place.2);
        let seen = |page| self.history(ground.cache, page).is_some();
        let smooth = ground.smooth || !(first..first + count as u32).any(seen);
        (smooth && ground.has(last)).then_some(ground)
    }

    /// So many pages from a place on, if nothing is special about any: they lie in one region, nobody else sees them or has their frames, and they
    /// need not stay.
    pub(super) fn smooth_pages(
        &self,
        place: Place,
        count: usize,
    ) -> Option<(Ground, [Held; PIECES])> {
        let ground = self.smooth_ground(place, count)?;
        let structures = self.structures();
        let first = ground.region.page_at(place.2);
        let mut all = [Held::NONE; PIECES];
        for (page, entry) in (first..).zip(all.get_mut(..count)?) {
            let held = self.memory.pages.held(ground.cache, page)?;
            let frame = self.memory.pages.frame(held);
            if self.memory.pages.is_shared(frame) || structures.may_be_in(frame) {
                return None;
            }
            *entry = held;
        }
        Some((ground, all))
    }

    /// Such pages leave; each frame is told, and is the caller's then.
    pub(super) fn smooth_leave(
        &mut self,
        ground: &Ground,
        address: u64,
        all: &[Held],
        mut left: impl FnMut(Frame),
    ) {
        let end = address + all.len() as u64 * PAGE_SIZE;
        self.machine.unmap_range(ground.region.space, address, end);
        let Some(entry) = self.memory.caches.get_mut(ground.cache) else {
            return;
        };
        for &held in all {
            left(self.memory.pages.remove(&mut entry.list, held).0);
        }
        let less = all.len() as u32;
        if let Some(actor) = entry.payer.and_then(|payer| self.actors.get_mut(payer)) {
            actor.pages = actor.pages.saturating_sub(less);
        }
    }

    /// The ground where so many pages can arrive, if nothing is special about it: no thread waits for a structure there, and who pays has no limit.
    pub(super) fn smooth_landing(&self, place: Place, count: usize) -> Option<Ground> {
        let ground = self.smooth_ground(place, count)?;
        let structures = self.structures();
        let first = ground.region.page_at(place.2);
        if self.any_structure(&structures, ground.cache, first..first + count as u32) {
            return None;
        }
        let payer = self.cache(ground.cache)?.payer;
        let free = payer.and_then(|payer| self.actors.get(payer));
        free.is_none_or(|payer| payer.limit == 0).then_some(ground)
    }

    /// Whether a thread may wait for a structure in a range of pages of a cache. Nobody else has the frame of such a page.
    pub(super) fn any_structure(
        &self,
        all: &Structures,
        cache: Id<Cache>,
        range: core::ops::Range<u32>,
    ) -> bool {
        let mut few = all.frames.get(..all.count).unwrap_or(&[]).iter();
        let inside = |(holder, page)| holder == cache.index() && range.contains(&page);
        all.many || few.any(|&frame| self.memory.pages.holder(frame).is_some_and(inside))
    }

    /// Frames that nobody has become the pages from an address on.
    pub(super) fn smooth_enter(&mut self, ground: &Ground, address: u64, frames: &[Frame]) {
        let Some(entry) = self.memory.caches.get_mut(ground.cache) else {
            return;
        };
        let (first, before) = (ground.region.page_at(address), entry.list.count);
        let (mut gone, mut gone_count) = ([Frame(0); PIECES], 0);
        for (page, &frame) in (first..).zip(frames) {
            let pages = &mut self.memory.pages;
            if let Some(held) = pages.held(ground.cache, page)
                && let (old, true) = pages.remove(&mut entry.list, held)
                && let Some(place) = gone.get_mut(gone_count)
            {
                (*place, gone_count) = (old, gone_count + 1);
            }
            pages.insert(&mut entry.list, ground.cache, page, frame);
        }
        let more = entry.list.count.saturating_sub(before);
        if let Some(actor) = entry.payer.and_then(|payer| self.actors.get_mut(payer)) {
            actor.pages += more;
        }
        self.page_arrived();
        let space = ground.region.space;
        let stores = Protection {
            write: true,
            execute: false,
        };
        let done = self.machine.map_run(space, address, frames, stores);
        if done < frames.len() {
            let at = |index: usize| address + index as u64 * PAGE_SIZE;
            // They are mapped when they are touched.
            self.machine.unmap_range(space, at(done), at(frames.len()));
        }
        for &frame in gone.get(..gone_count).unwrap_or(&[]) {
            self.machine.frame_free(frame);
        }
    }

    /// Whether all of an actor's pages may be read-only for a while: page-out does not need the actor, nor do interrupts.
    pub(super) fn can_share(&self, actor: Id<Actor>, space: Space) -> bool {
        space != Space::SUPERVISOR && !self.is_needed(actor)
    }
}
