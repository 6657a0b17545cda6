//! Message calls with large bodies in steps (`restarts`): what their callers' pages need is made before anything is handed over, and what a message takes fits in one step.
//!
//! A call pauses before it has done anything that others see, and is made again: what it made meanwhile is there. So it needs no other record of how far it came than how
//! often it has paused. If somebody takes away again and again what it made, it goes on without pausing: then its last step is longer.

use super::restarts::SECOND;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::ipc::Place;
use crate::machine::{Machine, Space};
use crate::nucleus::{Caller, Nucleus};
use chorus_abi::*;

/// What a step may take, in pages that are made.
const EFFORT: u32 = 6;
/// What handing over a body of the greatest size takes, in the same measure.
const BODY: u32 = 6;
/// How often a call pauses at most.
const PAUSES: u64 = 64;

impl<M: Machine> Nucleus<M> {
    /// The call under way is about to do what takes as long as making so many pages. Errors: `K_EFAULT` it pauses before, as this step has done enough.
    #[inline(never)]
    pub(crate) fn takes(&mut self, pages: u32) -> Result<(), KError> {
        let call = self.counters.calls;
        let mappers = &mut self.memory.mappers;
        let before = match mappers.effort {
            (at, before) if at == call => before,
            _ => 0,
        };
        let progress = mappers.progress;
        if before > 0 && before + pages > EFFORT && progress % SECOND < PAUSES {
            return Err(self.pause(progress + 1));
        }
        mappers.effort = (call, before + pages);
        Ok(())
    }

    /// The same of handing over a body.
    #[inline]
    pub(crate) fn takes_body(&mut self, size: u32) -> Result<(), KError> {
        if u64::from(size) < 2 * PAGE_SIZE {
            return Ok(());
        }
        self.takes(BODY)
    }

    /// Whether the step under way has done anything that counts.
    #[inline]
    pub(crate) fn has_toiled(&self) -> bool {
        self.memory.mappers.effort.0 == self.counters.calls
    }

    /// A call of two parts: whether the first one is over, as it was made again since.
    pub(crate) fn is_second_part(&self) -> bool {
        self.memory.mappers.progress >= SECOND
    }

    /// The second part of a call begins (`true`), or is over.
    pub(crate) fn second_part(&mut self, begins: bool) {
        self.memory.mappers.progress = if begins { SECOND } else { 0 };
    }

    /// Whether all of a body can be read; its pages are made, and with `moves` whole ones are made ready to leave. Errors: `K_EFAULT`, `K_ENOMEM`.
    #[inline]
    pub(crate) fn check_body(
        &mut self,
        (actor, space, address): Place,
        size: u32,
        moves: bool,
    ) -> Result<(), KError> {
        if u64::from(size) < PAGE_SIZE {
            return self.check_range(actor, space, address, size.into(), false);
        }
        self.check_large_body((actor, space, address), size, moves)
    }

    #[inline(never)]
    fn check_large_body(
        &mut self,
        (actor, space, address): Place,
        size: u32,
        moves: bool,
    ) -> Result<(), KError> {
        self.check_in_steps((actor, space), address, size.into(), false)?;
        if moves {
            self.pages_apart((actor, space, address), size)?;
        }
        Ok(())
    }

    /// As [`Nucleus::check_range`], and pauses when enough pages were made.
    #[inline(never)]
    pub(super) fn check_in_steps(
        &mut self,
        (actor, space): (Id<Actor>, Space),
        address: u64,
        size: u64,
        write: bool,
    ) -> Result<(), KError> {
        let end = address.checked_add(size).ok_or(KError::Fault)?;
        let mut at = address;
        while at < end {
            let page = at & !(PAGE_SIZE - 1);
            let reached = self.machine.accessible_until(space, page, end, write);
            at = at.max(reached);
            if at >= end {
                break;
            }
            self.takes(1)?;
            let next = (at & !(PAGE_SIZE - 1)).saturating_add(PAGE_SIZE).min(end);
            self.check_range(actor, space, at, next - at, write)?;
            at = next;
        }
        Ok(())
    }

    /// Makes the whole pages of a body that is to be moved the sender's own, where others see them through its cache or it sees others' (`moves`).
    #[inline(never)]
    fn pages_apart(&mut self, (actor, space, address): Place, size: u32) -> Result<(), KError> {
        let end = address + u64::from(size);
        let last = end & !(PAGE_SIZE - 1);
        let mut next = address.next_multiple_of(PAGE_SIZE);
        let mut known = None;
        while next < last {
            let at = next;
            next += PAGE_SIZE;
            let Some(ground) = self.ground_next(&mut known, (actor, space, at)) else {
                continue;
            };
            let lonely = self
                .cache(ground.cache)
                .is_some_and(|it| it.parent.is_none());
            if ground.smooth && lonely {
                // Those that are there are its own.
                next = ground.region.end();
                continue;
            }
            let (cache, page) = (ground.cache, ground.region.page_at(at));
            let plain = self.memory.pages.find(cache, page).is_some_and(|frame| {
                let pages = &self.memory.pages;
                !pages.is_shared(frame) || pages.can_be_lent(frame)
            });
            if plain && (ground.smooth || self.history(cache, page).is_none()) {
                continue;
            }
            self.takes(1)?;
            self.page_own(cache, page).ok_or(KError::NoMem)?;
        }
        Ok(())
    }

    /// As [`Nucleus::check_writable`] of a page or less; the call pauses when enough pages were made.
    pub(super) fn check_page(
        &mut self,
        caller: Caller,
        address: u64,
        size: u64,
    ) -> Result<(), KError> {
        self.check_in_steps((caller.actor, caller.space), address, size, true)
    }
}
