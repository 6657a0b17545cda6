//! Calls that make many pages do it in steps (`restarts`): pages are prepared where nobody sees them, or mapped one after the other when all are there.

use super::caches::Cache;
use super::restarts::Again;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;
use crate::machine::Machine;
use crate::nucleus::{Nucleus, Outcome};
use chorus_abi::*;

/// Pages that are made in one step.
pub(super) const MADE: u32 = 12;
/// Pages that are there and mapped in one step.
const MAPPED: u64 = 16;

/// A range of an actor in which pages of a cache are still to be mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mapping {
    pub actor: Id<Actor>,
    /// `None`: whatever its regions show.
    pub cache: Option<Id<Cache>>,
    /// First address that was not looked at yet, and one past the last.
    pub range: (u64, u64),
    /// Where the region begins that goes again if there is no memory for tables.
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

    /// A call has succeeded, and pages are to be mapped before it ends, in steps.
    pub(super) fn map_on(&mut self, thread: Id<Thread>, mapping: Mapping) -> Outcome {
        let (mut at, end) = mapping.range;
        let mut left = MAPPED;
        while at < end {
            let region = self.region_at(mapping.actor, at);
            let shows = |cache| mapping.cache.is_none_or(|wanted| wanted == cache);
            // What was freed meanwhile, or is another region now, is nobody's affair.
            if let Some(region) = region
                && region.cache.is_some_and(shows)
            {
                let done = self.bring_in(&region, at, true);
                if let (Err(_), Some(start)) = (done, mapping.made) {
                    self.region_free(mapping.actor, start.max(region.start), end);
                    return Outcome::Done(KError::NoMem.code());
                }
                left -= 1;
            }
            at += PAGE_SIZE;
            if left == 0 && at < end {
                let rest = Mapping {
                    range: (at, end),
                    ..mapping
                };
                if self.restart(thread, None, Again::Map(rest)) {
                    return Outcome::Blocked;
                }
                left = MAPPED;
            }
        }
        Outcome::Done(K_OK)
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
