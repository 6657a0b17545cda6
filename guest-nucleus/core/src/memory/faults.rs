//! Page faults (spec 4.3): the page of an address is found, made or copied, and mapped.

use super::mappers::Kind;
use super::pages::{DIRTY, GRANTED};
use super::{Fault, Region};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Wait;
use crate::machine::{Cpu, Frame, Machine, Protection, Space};
use crate::nucleus::Nucleus;
use chorus_abi::*;

/// Exception: no region at the address.
pub(super) const NO_REGION: u32 = 7;
/// Exception: the region forbids the access.
pub(super) const PROTECTION: u32 = 8;
/// Exception: what should supply the page failed. Volatile pages come from the site's memory, so this is how it tells that it has none left.
pub(super) const SUPPLY: u32 = 9;

/// The mapper of a segment refused, or cannot be asked: the thread's exception is `SUPPLY`, a call's error `K_EMAPPER`.
pub(super) const MAPPER: u32 = 100;
/// No exception yet: a mapper was asked for the page.
pub(super) const WAITS: u32 = 101;

/// How a call tells an exception's number that its own access met.
pub(super) fn as_error(exception: u32) -> KError {
    match exception {
        NO_REGION => KError::Addr,
        PROTECTION => KError::Prot,
        MAPPER => KError::Mapper,
        // The call is made again (`failed`).
        WAITS => KError::Fault,
        _ => KError::NoMem,
    }
}

impl<M: Machine> Nucleus<M> {
    /// The region of an actor at an address. In the supervisor space, which its actors share, it may be another's.
    pub(super) fn region_at(&self, actor: Id<Actor>, address: u64) -> Option<Region> {
        self.find_region(actor, address).map(|(_, region)| *region)
    }

    /// The same, and its identifier.
    fn find_region(&self, id: Id<Actor>, address: u64) -> Option<(Id<Region>, &Region)> {
        let actor = self.actors.get(id)?;
        let has = |region: &Region| address >= region.start && address < region.end();
        // Faults come one after another in the same region.
        if let Some(lately) = actor.touched
            && let Some(region) = self.memory.regions.get(lately)
            && region.actor == id
            && has(region)
        {
            return Some((lately, region));
        }
        let mut next = actor.regions;
        while let Some((at, region)) = next.and_then(|at| Some((at, self.memory.regions.get(at)?)))
        {
            if region.start > address {
                break;
            }
            if address < region.end() {
                return Some((at, region));
            }
            next = region.next;
        }
        if actor.space != Space::SUPERVISOR {
            return None;
        }
        self.region_in(Space::SUPERVISOR, address)
    }

    /// The region of a space at an address, whoever's it is.
    pub(crate) fn region_in(&self, space: Space, address: u64) -> Option<(Id<Region>, &Region)> {
        let mut all = self.memory.regions.iter();
        all.find(|(_, region)| {
            region.space == space && (region.start..region.end()).contains(&address)
        })
    }

    /// Makes the page of an address accessible, if its region allows the access (spec 4.3).
    ///
    /// # Errors
    /// The number of the exception (spec 6.2): no region, protection, or supply when memory is short.
    // Out of line: then checked access, which needs it rarely, stays short where it is used.
    #[inline(never)]
    pub(crate) fn touch(
        &mut self,
        actor: Id<Actor>,
        address: u64,
        write: bool,
        fetch: bool,
    ) -> Result<(), u32> {
        let (id, region) = self.find_region(actor, address).ok_or(NO_REGION)?;
        let region = *region;
        if let Some(actor) = self.actors.get_mut(actor) {
            actor.touched = Some(id);
        }
        let allowed = region.protection();
        if region.options & K_RESERVED != 0 || write && !allowed.write || fetch && !allowed.execute
        {
            return Err(PROTECTION);
        }
        self.bring_in(&region, address, write).map(|_| ())
    }

    /// Finds or makes the page at an address of a region that has memory, and maps it: `own` to change it, also where the region forbids stores.
    #[inline(never)]
    pub(super) fn bring_in(
        &mut self,
        region: &Region,
        address: u64,
        own: bool,
    ) -> Result<Frame, u32> {
        let cache = region.cache.ok_or(PROTECTION)?;
        let page = region.page_at(address);
        let allowed = region.protection();
        let entry = self.cache(cache).ok_or(PROTECTION)?;
        let segment = entry.segment.is_some();
        let (payer, slots) = (entry.payer, entry.slots.count > 0);
        if !segment && entry.parent.is_none() && entry.child.is_none() {
            // Neither a copy nor copied from, as most memory is.
            let mut lent = false;
            let frame = match self.memory.pages.find(cache, page) {
                Some(frame) if self.memory.pages.is_shared(frame) => match own {
                    // It is counted already: this takes a frame, but no page more.
                    true => {
                        self.room_for(region.actor, None)?;
                        self.page_own(cache, page).ok_or(SUPPLY)?
                    }
                    false => {
                        lent = true;
                        frame
                    }
                },
                Some(frame) => frame,
                None => {
                    if slots && let Some(slot) = self.page_slot(cache, page) {
                        return Err(self.await_slot(slot));
                    }
                    self.room_for(region.actor, payer)?;
                    let zeros = self.frame_like(None).ok_or(SUPPLY)?;
                    self.page_put(cache, page, zeros).ok_or(SUPPLY)?
                }
            };
            let kept = slots && self.is_kept_outside(cache, page, own);
            let write = allowed.write && !kept && !lent;
            return self.page_map(region, address, frame, Protection { write, ..allowed });
        }
        // What a segment's mapper has need not be changed to be fixed.
        let own = own && (!segment || allowed.write);
        let seen = self.page_seen(cache, page);
        if seen.is_none()
            && let Some(slot) = self.slot_seen(cache, page)
        {
            return Err(self.await_slot(slot));
        }
        if seen.is_none()
            && let Some((supplier, page)) = self.page_supplier(cache, page)
        {
            let store = own && supplier == cache;
            let kind = if store { Kind::PullToStore } else { Kind::Pull };
            return Err(self.await_mapper(supplier, page, kind));
        }
        if own && segment {
            self.may_store(cache, page)?;
        }
        if seen.is_none_or(|(_, mine)| own && (!mine || self.history(cache, page).is_some())) {
            self.room_for(region.actor, payer)?;
        } else if own && seen.is_some_and(|(frame, _)| self.memory.pages.is_shared(frame)) {
            self.room_for(region.actor, None)?;
        }
        let (frame, mine) = match seen {
            Some(seen) if !own => seen,
            // Nobody has it: zeros of its own. A copy sees them through it, as it would without them.
            None if !own => {
                let zeros = self.frame_like(None).ok_or(SUPPLY)?;
                (self.page_put(cache, page, zeros).ok_or(SUPPLY)?, true)
            }
            _ => (self.page_own(cache, page).ok_or(SUPPLY)?, true),
        };
        if own && segment {
            self.memory.pages.set_flags(frame, DIRTY, 0);
        }
        // The first store into a clean page of a segment is to be noticed.
        let clean =
            segment && self.memory.pages.flags(frame) & (DIRTY | GRANTED) != DIRTY | GRANTED;
        let outside = mine && self.is_kept_outside(cache, page, own);
        let write = allowed.write
            && mine
            && !clean
            && !outside
            && !self.memory.pages.is_shared(frame)
            && (own || self.history(cache, page).is_none());
        self.page_map(region, address, frame, Protection { write, ..allowed })
    }

    fn page_map(
        &mut self,
        region: &Region,
        address: u64,
        frame: Frame,
        protection: Protection,
    ) -> Result<Frame, u32> {
        let at = address & !(PAGE_SIZE - 1);
        self.frames_spare();
        self.machine
            .map(region.space, at, frame, protection)
            .map_err(|_| SUPPLY)?;
        self.counters.faults += 1;
        Ok(frame)
    }

    /// A page fault of the thread on a processor. Without memory for the page the log says so, since the exception's number alone does not.
    pub fn fault(&mut self, cpu: Cpu, address: u64, write: bool, fetch: bool, user: bool) -> Fault {
        self.entered = Some(cpu);
        let Some(caller) = self.caller(cpu) else {
            return Fault::Exception(NO_REGION);
        };
        if user && caller.space == Space::SUPERVISOR {
            // No page there is for user mode: none that is made would help.
            return Fault::Exception(PROTECTION);
        }
        self.relieve();
        match self.touch(caller.actor, address, write, fetch) {
            Ok(()) => Fault::Resolved,
            Err(WAITS) => {
                if let Some(request) = self.awaited() {
                    self.block(caller.thread, Wait::Mapper(request), None);
                    self.room_tell();
                }
                Fault::Waits
            }
            Err(MAPPER) => Fault::Exception(SUPPLY),
            Err(number) => {
                if number == SUPPLY {
                    self.machine
                        .log("out of memory: a page that a thread touched cannot be made");
                }
                Fault::Exception(number)
            }
        }
    }
}
