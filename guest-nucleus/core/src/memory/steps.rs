//! Calls that make many pages do it in steps (`restarts`): pages are prepared where nobody sees them, or mapped one after the other when all are there.

use super::Region;
use super::caches::Cache;
use super::faults::as_error;
use super::restarts::Again;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// Pages that are made in one step.
pub(super) const MADE: u32 = 12;
/// What a step may take: pages that are there and are mapped, and pages that are made.
const EFFORT: u32 = 48;
const MAPPING: u32 = 3;
const MAKING: u32 = 8;

/// A range of an actor in which pages of a cache are still to be mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mapping {
    pub actor: Id<Actor>,
    /// `None`: whatever its regions show.
    pub cache: Option<Id<Cache>>,
    /// First address that was not looked at yet, and one past the last.
    pub range: (u64, u64),
    /// Where the regions begin that go again if a page cannot be had.
    pub made: Option<u64>,
}

impl<M: Machine> Nucleus<M> {
    /// A cache of so many pages of zeros, all of which are there, for an actor that pays for them. It is made in steps.
    ///
    /// # Errors
    /// `K_ENOMEM`; `K_EFAULT` the call pauses, or waits for frames.
    pub(super) fn prepare(&mut self, actor: Id<Actor>, count: u32) -> Result<Id<Cache>, KError> {
        let begun = self.memory.mappers.prepared;
        let begun = begun.filter(|&id| self.cache(id).is_some_and(|cache| cache.size == count));
        let cache = match begun {
            Some(cache) => cache,
            None => self.prepare_first(actor, count)?,
        };
        let there = self.cache(cache).map_or(0, |cache| cache.list.count);
        let limit = self.actors.get(actor).map_or(0, |actor| actor.limit);
        for page in there..count {
            if page - there >= MADE {
                return Err(self.pause(u64::from(page)));
            }
            if limit > 0 && self.actors.get(actor).is_some_and(|it| it.pages >= limit) {
                return Err(KError::NoMem);
            }
            let zeros = self.frame_like(None).ok_or(KError::NoMem)?;
            self.page_put(cache, page, zeros).ok_or(KError::NoMem)?;
        }
        self.memory.mappers.prepared = None;
        Ok(cache)
    }

    fn prepare_first(&mut self, actor: Id<Actor>, count: u32) -> Result<Id<Cache>, KError> {
        let found = self.actors.get(actor).ok_or(KError::Inval)?;
        if found.limit > 0 && u64::from(found.pages) + u64::from(count) > found.limit.into() {
            return Err(KError::NoMem);
        }
        self.room_for_many(actor, count.into())?;
        // With what tables take: failing after all of it was zeroed would keep others out for long.
        if self.frames_left() < u64::from(count) + u64::from(count / 512) {
            return Err(KError::NoMem);
        }
        let cache = Cache::new(count, Some(actor));
        let cache = self.memory.caches.insert(cache).ok_or(KError::NoMem)?;
        self.memory.mappers.prepared = Some(cache);
        Ok(cache)
    }

    /// A call has succeeded, but for the pages of its regions with `K_NODEMAND`: those are made and mapped before it ends, in steps.
    pub(super) fn map_on(&mut self, thread: Id<Thread>, mapping: Mapping) -> Outcome {
        let (mut at, end) = mapping.range;
        let mut effort = EFFORT;
        // What was freed meanwhile, or is another region now, is nobody's affair.
        while let Some((region, cache)) = self.region_to_map(&mapping, (at, end)) {
            at = at.max(region.start);
            while at < region.end().min(end) {
                let rest = Mapping {
                    range: (at, end),
                    ..mapping
                };
                if effort == 0 {
                    if self.restart(thread, None, Again::Map(rest)) {
                        return Outcome::Blocked;
                    }
                    effort = EFFORT;
                }
                let there = self.memory.pages.find(cache, region.page_at(at)).is_some();
                if let Err(error) = self.bring_in(&region, at, true) {
                    let ended = self.map_later(thread, rest, &region, as_error(error));
                    if let Some(outcome) = ended {
                        return outcome;
                    }
                }
                effort = effort.saturating_sub(if there { MAPPING } else { MAKING });
                at += PAGE_SIZE;
            }
        }
        Outcome::Done(K_OK)
    }

    /// The first region that has part of a range and whose pages a mapping is about.
    fn region_to_map(&self, of: &Mapping, range: (u64, u64)) -> Option<(Region, Id<Cache>)> {
        if range.0 >= range.1 {
            return None;
        }
        let wanted = |(_, region): (_, &Region)| {
            let shown = region.cache.filter(|_| region.is_fixed())?;
            (of.cache.is_none() || of.cache == Some(shown)).then_some((*region, shown))
        };
        self.regions_in(of.actor, range).find_map(wanted)
    }

    /// The first region that has part of a range.
    fn region_from(&self, actor: Id<Actor>, range: (u64, u64)) -> Option<Region> {
        let next = || {
            self.regions_in(actor, range)
                .next()
                .map(|(_, region)| *region)
        };
        let here = self.region_at(actor, range.0);
        here.filter(|_| range.0 < range.1).or_else(next)
    }

    /// A page cannot be mapped now: it is waited for, or the regions go again. `None`: there are none to go, and the next page may fare better.
    fn map_later(
        &mut self,
        thread: Id<Thread>,
        rest: Mapping,
        region: &Region,
        error: KError,
    ) -> Option<Outcome> {
        if self.is_awaiting() {
            let request = self.awaited();
            if self.restart(thread, request, Again::Map(rest)) {
                return Some(Outcome::Blocked);
            }
        }
        let start = rest.made?;
        let start = match rest.cache {
            Some(_) => start.max(region.start),
            None => start,
        };
        self.region_free(rest.actor, start, rest.range.1);
        Some(Outcome::Done(match error {
            KError::Fault => KError::NoMem.code(),
            error => error.code(),
        }))
    }

    /// Regions were made where a descriptor says: it is written for the caller, and with `K_NODEMAND` their pages are made and mapped before the call ends.
    ///
    /// # Errors
    /// Those of [`Nucleus::regions_made`].
    pub(super) fn region_told(
        &mut self,
        caller: Caller,
        actor: Id<Actor>,
        options: u32,
        (out, desc): (Out<KnRgnDesc>, KnRgnDesc),
    ) -> Result<Outcome, KError> {
        let range = (desc.start_addr, desc.start_addr + desc.size);
        let tell = |nucleus: &mut Self| nucleus.write(caller, out, &desc);
        if options & K_NODEMAND == 0 {
            return tell(self).map(|()| Outcome::Done(K_OK));
        }
        self.regions_made(caller.thread, actor, range, tell)
    }

    /// Regions of a range were made, some of them with `K_NODEMAND`: their maker is told with `tell`, and the pages of those with `K_NODEMAND` are made and mapped before the call ends.
    ///
    /// # Errors
    /// `K_ENOMEM`, `K_EFAULT` frames are waited for: nobody was told, and the regions are gone.
    pub(super) fn regions_made(
        &mut self,
        thread: Id<Thread>,
        actor: Id<Actor>,
        range: (u64, u64),
        tell: impl FnOnce(&mut Self) -> Result<(), KError>,
    ) -> Result<Outcome, KError> {
        let mut at = range.0;
        while let Some(region) = self.region_from(actor, (at, range.1)) {
            at = region.end();
            let part = (region.start.max(range.0), at.min(range.1));
            if region.options & K_NODEMAND != 0 {
                let room = self.room_at_once(actor, part);
                room.inspect_err(|_| {
                    self.region_free(actor, range.0, range.1);
                })?;
            }
        }
        tell(self)?;
        let mapping = Mapping {
            actor,
            cache: None,
            range,
            made: Some(range.0),
        };
        Ok(self.map_on(thread, mapping))
    }

    /// Makes pages of a range, which regions cover, their regions' own, in steps: a page that is made is not looked at again.
    ///
    /// # Errors
    /// `K_ENOMEM`; what was made stays. `K_EFAULT`: the call pauses or waits.
    pub(super) fn bring_in_steps(
        &mut self,
        actor: Id<Actor>,
        (start, end): (u64, u64),
    ) -> Result<(), KError> {
        let done = self.memory.mappers.progress;
        if done == 0 {
            self.room_at_once(actor, (start, end))?;
        }
        let (mut at, mut left) = (start + done * PAGE_SIZE, MADE);
        while at < end {
            let progress = (at - start) / PAGE_SIZE;
            if left == 0 {
                return Err(self.pause(progress));
            }
            let region = self.region_at(actor, at).ok_or(KError::Addr)?;
            if region.cache.is_some() {
                if let Err(error) = self.bring_in(&region, at, true) {
                    self.memory.mappers.progress = progress;
                    return Err(super::faults::as_error(error));
                }
                left -= 1;
            }
            at += PAGE_SIZE;
        }
        Ok(())
    }
}
