//! Locked pages: they stay in their frames, and who would take them away or change their protection waits (spec 3.9, `vmLock`).

use super::attributes::range_of;
use super::faults::as_error;
use super::restarts::SECOND;
use super::steps::MADE;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, Wait};
use crate::machine::{Frame, Machine};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// Pages that are unlocked in one step, or found locked.
const UNLOCKED: u64 = 32;

/// A change of a range that waits until none of its pages is locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockWait {
    actor: Id<Actor>,
    range: (u64, u64),
    /// The new protection; `None`: the range is to be freed.
    options: Option<u32>,
}

impl<M: Machine> Nucleus<M> {
    /// The frame of an actor's page, if it is one that can be locked: resident, and of the region's own cache.
    fn own_frame(&self, actor: Id<Actor>, page: u64) -> Option<Frame> {
        let region = self.region_at(actor, page)?;
        self.memory.pages.find(region.cache?, region.page_at(page))
    }

    fn add_locks(&mut self, frame: Frame, count: i32) {
        let Some((slot, _)) = self.memory.pages.holder(frame) else {
            return;
        };
        let locks = i32::from(self.memory.pages.locks(frame)) + count;
        if let Some(cache) = self.memory.caches.at(slot)
            && let Some(cache) = self.memory.caches.get_mut(cache)
        {
            let locks = locks.clamp(0, u16::MAX.into()) as u16;
            self.memory.pages.set_locks(&mut cache.list, frame, locks);
        }
    }

    /// Whether a page in a range of an actor is locked.
    pub(super) fn any_locked(&self, actor: Id<Actor>, range: (u64, u64)) -> bool {
        self.regions_in(actor, range).any(|(_, region)| {
            let list = region.cache.and_then(|id| self.cache(id));
            if list.is_none_or(|cache| cache.list.locked == 0) {
                return false;
            }
            let (start, end) = (region.start.max(range.0), region.end().min(range.1));
            let mut frames = (start..end)
                .step_by(PAGE_SIZE as usize)
                .filter_map(|page| self.memory.pages.find(region.cache?, region.page_at(page)));
            frames.any(|frame| self.memory.pages.locks(frame) > 0)
        })
    }

    /// The caller waits until no page of a range is locked; then the range is freed, or its protection set.
    pub(super) fn await_unlocked(
        &mut self,
        caller: Caller,
        actor: Id<Actor>,
        range: (u64, u64),
        options: Option<u32>,
    ) -> Outcome {
        let wait = LockWait {
            actor,
            range,
            options,
        };
        self.block(caller.thread, Wait::Unlocked(wait), None);
        Outcome::Blocked
    }

    /// Pages were unlocked, or have gone: those who waited for it go on.
    pub(super) fn unlocked(&mut self) {
        for slot in 0..self.threads.extent() {
            let waiting = |id: Id<Thread>| match self.threads.get(id)?.wait {
                Wait::Unlocked(wait) => Some((id, wait)),
                _ => None,
            };
            let Some((id, wait)) = self.threads.at(slot).and_then(waiting) else {
                continue;
            };
            if self.any_locked(wait.actor, wait.range) {
                continue;
            }
            let gone = self.actors.get(wait.actor).is_none_or(|actor| actor.dying);
            let result = match wait.options {
                _ if gone => Err(KError::Inval),
                Some(options) => self.regions_protect(wait.actor, wait.range, options),
                None => match self.region_free(wait.actor, wait.range.0, wait.range.1) {
                    true => Ok(()),
                    false => Err(KError::NoMem),
                },
            };
            if result.is_ok() && wait.options.is_some() {
                self.maps_later(id, Self::protected(wait.actor, wait.range));
            }
            self.wake(id, result.map_or_else(KError::code, |()| K_OK));
        }
    }

    /// A range that `vmLock` and `vmUnLock` are about.
    fn lock_arguments(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        address: u64,
        size: u64,
    ) -> Result<(Id<Actor>, (u64, u64)), KError> {
        let actor = self.actor_for_memory(caller, cap)?;
        if !size.is_multiple_of(PAGE_SIZE) {
            return Err(KError::Round);
        }
        let range = range_of(address, size)?;
        let mut all = self.regions_in(actor, range);
        if !self.is_covered(actor, range) || all.any(|(_, region)| region.cache.is_none()) {
            return Err(KError::Addr);
        }
        Ok((actor, range))
    }

    /// `vmLock`.
    pub fn vm_lock(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        address: u64,
        size: u64,
        flags: u32,
    ) -> Result<Outcome, KError> {
        let (actor, range) = self.lock_arguments(caller, cap, address, size)?;
        if flags & !K_WRITABLE != 0 {
            return Err(KError::Inval);
        }
        let forbidden = |options: u32| flags & !options != 0;
        let mut all = self.regions_in(actor, range);
        if all.any(|(_, region)| forbidden(region.options)) {
            return Err(KError::Prot);
        }
        drop(all);
        let done = self.memory.mappers.progress;
        if done == 0 {
            self.room_at_once(actor, range)?;
        }
        let (mut at, mut left) = (range.0 + done * PAGE_SIZE, MADE);
        while at < range.1 {
            let progress = (at - range.0) / PAGE_SIZE;
            if left == 0 {
                return Err(self.pause(progress));
            }
            let region = self.region_at(actor, at).ok_or(KError::Addr)?;
            let frame = self.bring_in(&region, at, true).map_err(|error| {
                self.memory.mappers.progress = progress;
                as_error(error)
            })?;
            if self.memory.pages.locks(frame) == u16::MAX {
                return Err(KError::NoMem);
            }
            self.add_locks(frame, 1);
            at += PAGE_SIZE;
            left -= 1;
            // If it goes no further.
            self.memory.mappers.locked = Some((actor, (range.0, at)));
        }
        self.memory.mappers.locked = None;
        Ok(Outcome::Done(K_OK))
    }

    /// The call under way locked pages, or was to unlock them, and goes no further: those are unlocked.
    pub(super) fn locked_release(&mut self) {
        if let Some((actor, range)) = self.memory.mappers.locked.take() {
            self.unlock(actor, range);
            self.unlocked();
        }
    }

    fn unlock(&mut self, actor: Id<Actor>, range: (u64, u64)) {
        for page in (range.0..range.1).step_by(PAGE_SIZE as usize) {
            if let Some(frame) = self.own_frame(actor, page) {
                self.add_locks(frame, -1);
            }
        }
    }

    /// `vmUnLock`.
    pub fn vm_un_lock(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        address: u64,
        size: u64,
    ) -> Result<Outcome, KError> {
        let (actor, range) = self.lock_arguments(caller, cap, address, size)?;
        let piece = |done: u64| {
            let start = range.0 + done * PAGE_SIZE;
            (
                start,
                range.1.min(start.saturating_add(UNLOCKED * PAGE_SIZE)),
            )
        };
        let progress = self.memory.mappers.progress;
        if progress < SECOND {
            let (start, end) = piece(progress);
            for page in (start..end).step_by(PAGE_SIZE as usize) {
                let locked = |frame| self.memory.pages.locks(frame) > 0;
                if !self.own_frame(actor, page).is_some_and(locked) {
                    return Err(KError::Inval);
                }
            }
            let next = progress + UNLOCKED;
            if end < range.1 {
                return Err(self.pause(next));
            }
            if progress > 0 {
                return Err(self.pause(SECOND));
            }
        }
        // From here on nothing fails.
        let done = progress.saturating_sub(SECOND);
        let (start, end) = piece(done);
        self.unlock(actor, (start, end));
        if end < range.1 {
            self.memory.mappers.locked = Some((actor, (end, range.1)));
            return Err(self.pause(SECOND + done + UNLOCKED));
        }
        self.memory.mappers.locked = None;
        self.unlocked();
        Ok(Outcome::Done(K_OK))
    }

    /// `vmPhysAddr`.
    pub fn vm_phys_addr(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        address: u64,
        physical: Out<u64>,
    ) -> Result<Outcome, KError> {
        let actor = self.actor_for_memory(caller, cap)?;
        let region = self.region_at(actor, address).ok_or(KError::Addr)?;
        let cache = region.cache.ok_or(KError::Addr)?;
        let (frame, _) = self
            .page_seen(cache, region.page_at(address))
            .ok_or(KError::Addr)?;
        let value = u64::from(frame.0) * PAGE_SIZE + address % PAGE_SIZE;
        self.write(caller, physical, &value)?;
        Ok(Outcome::Done(K_OK))
    }
}
