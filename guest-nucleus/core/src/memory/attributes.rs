//! What regions are: the calls that change it over a range, and the one that tells (spec 3.8, 4.2).
//!
//! A range may begin and end within regions: they are split there. Regions that nobody can tell apart any more are merged, and [`Nucleus::rgn_stat`]
//! shows ranges of equal attributes, so that no result depends on how the table happens to be cut.

use super::caches::pages;
use super::steps::Mapping;
use super::{DEVICE, FIXED, Region};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::table::Privilege;
use chorus_abi::*;

/// What [`Nucleus::rgn_set_protect`] sets.
const PROTECTIONS: u32 = K_WRITABLE | K_EXECUTABLE | K_SUPERVISOR;
/// A change of regions: of whom, where, what.
type Change = (Id<Actor>, (u64, u64), KnRgnDesc);
/// What [`Nucleus::rgn_set_paging`] sets.
const PAGING: u32 = K_NODEMAND | K_NOWAITFORMEMORY;
/// What [`Nucleus::rgn_set_inherit`] sets.
pub(super) const INHERITANCE: u32 = K_INHERITCOPY | K_INHERITSHARE;

/// First address and one past the last of a descriptor's range.
///
/// # Errors
/// `K_EROUND`, `K_ESIZE`, `K_EADDR` it ends beyond all addresses.
pub(super) fn range_of(start: u64, size: u64) -> Result<(u64, u64), KError> {
    if !start.is_multiple_of(PAGE_SIZE) {
        return Err(KError::Round);
    }
    let size = size
        .checked_next_multiple_of(PAGE_SIZE)
        .filter(|&size| size > 0)
        .ok_or(KError::Size)?;
    Ok((start, start.checked_add(size).ok_or(KError::Addr)?))
}

impl<M: Machine> Nucleus<M> {
    /// The actor whose memory a call is about.
    ///
    /// # Errors
    /// Those of `actor_by_cap`; `K_EPRIV` a user caller does not touch the memory of other trusted actors.
    pub(super) fn actor_for_memory(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
    ) -> Result<Id<Actor>, KError> {
        let id = self.actor_by_cap(caller, cap)?;
        let actor = self.actors.get(id).ok_or(KError::Inval)?;
        let foreign = actor.kind != K_USERACTOR && id != caller.actor;
        if foreign && caller.privilege < Privilege::System {
            return Err(KError::Priv);
        }
        // A dying actor's memory goes with its last thread, and no more comes; that of one that is being loaded is its loader's.
        if actor.dying || actor.loading {
            return Err(KError::Inval);
        }
        Ok(id)
    }

    /// The regions that a range touches.
    pub(super) fn regions_in(
        &self,
        actor: Id<Actor>,
        (start, end): (u64, u64),
    ) -> impl Iterator<Item = (Id<Region>, &Region)> {
        self.regions_by_address(actor)
            .skip_while(move |(_, region)| region.end() <= start)
            .take_while(move |(_, region)| region.start < end)
    }

    /// Whether regions cover all of a range.
    pub(super) fn is_covered(&self, actor: Id<Actor>, range: (u64, u64)) -> bool {
        let mut reached = range.0;
        for (_, region) in self.regions_in(actor, range) {
            if region.start > reached {
                return false;
            }
            reached = region.end();
        }
        reached >= range.1
    }

    /// Arguments of a call that changes regions: actor, range, descriptor. The range is covered and its ends can be split.
    fn change_arguments(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        region: In<KnRgnDesc>,
    ) -> Result<Change, KError> {
        let desc = self.read(caller, region)?;
        let actor = self.actor_for_memory(caller, cap)?;
        let range = range_of(desc.start_addr, desc.size)?;
        self.can_change(actor, range)?;
        Ok((actor, range, desc))
    }

    fn can_change(&self, actor: Id<Actor>, range: (u64, u64)) -> Result<(), KError> {
        if !self.is_covered(actor, range) {
            return Err(KError::Addr);
        }
        match self.can_split(actor, range.0, range.1) {
            true => Ok(()),
            false => Err(KError::NoMem),
        }
    }

    /// Changes all regions of a range, which can be split.
    fn regions_change(
        &mut self,
        actor: Id<Actor>,
        (start, end): (u64, u64),
        change: impl Fn(&mut Region),
    ) {
        self.region_split(actor, start);
        self.region_split(actor, end);
        let mut next = self.actors.get(actor).and_then(|actor| actor.regions);
        while let Some(region) = next.and_then(|id| self.memory.regions.get_mut(id)) {
            next = region.next;
            if start <= region.start && region.end() <= end {
                change(region);
            }
        }
        self.regions_merge(actor, start, end);
    }

    /// `rgnSetProtect` (NC-231): waits while a page of the range is locked.
    pub fn rgn_set_protect(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        region: In<KnRgnDesc>,
    ) -> Result<Outcome, KError> {
        let (actor, range, desc) = self.change_arguments(caller, cap, region)?;
        if desc.options & !PROTECTIONS != 0 {
            return Err(KError::Inval);
        }
        if self.any_locked(actor, range) {
            return Ok(self.await_unlocked(caller, actor, range, Some(desc.options)));
        }
        self.regions_protect(actor, range, desc.options)?;
        Ok(self.map_on(caller.thread, Self::protected(actor, range)))
    }

    /// Gives all regions of a range another protection; what is [`Nucleus::protected`] is to be mapped then.
    ///
    /// # Errors
    /// `K_EINVAL` writable and executable, or supervisor-only where it cannot be; `K_EADDR` a hole; `K_EPROT` registers of a device; `K_ENOMEM`. Nothing is done then.
    pub(super) fn regions_protect(
        &mut self,
        actor: Id<Actor>,
        range: (u64, u64),
        options: u32,
    ) -> Result<(), KError> {
        let kind = self.actors.get(actor).ok_or(KError::Inval)?.kind;
        let both = K_WRITABLE | K_EXECUTABLE;
        if options & both == both || options & K_SUPERVISOR != 0 && kind != K_SUPACTOR {
            return Err(KError::Inval);
        }
        self.can_change(actor, range)?;
        let device = |(_, region): (_, &Region)| region.options & DEVICE != 0;
        if self.regions_in(actor, range).any(device) {
            return Err(KError::Prot);
        }
        self.regions_change(actor, range, |region| {
            region.options = region.options & !PROTECTIONS | options;
        });
        let space = self.actors.get(actor).ok_or(KError::Inval)?.space;
        self.machine.unmap_range(space, range.0, range.1);
        Ok(())
    }

    /// What is still to be mapped when regions have another protection: pages of fixed ones, which are their own.
    pub(super) fn protected(actor: Id<Actor>, range: (u64, u64)) -> Mapping {
        Mapping {
            actor,
            cache: None,
            range,
            made: None,
        }
    }

    /// `rgnSetInherit` (NC-237).
    pub fn rgn_set_inherit(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        region: In<KnRgnDesc>,
    ) -> Result<Outcome, KError> {
        let (actor, range, desc) = self.change_arguments(caller, cap, region)?;
        if desc.options & !INHERITANCE != 0 || desc.options == INHERITANCE {
            return Err(KError::Inval);
        }
        self.regions_change(actor, range, |region| {
            region.options = region.options & !INHERITANCE | desc.options;
        });
        Ok(Outcome::Done(K_OK))
    }

    /// `rgnSetOpaque`.
    pub fn rgn_set_opaque(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        region: In<KnRgnDesc>,
    ) -> Result<Outcome, KError> {
        let (actor, range, desc) = self.change_arguments(caller, cap, region)?;
        self.regions_change(actor, range, |region| {
            region.opaque = (desc.opaque1, desc.opaque2);
        });
        Ok(Outcome::Done(K_OK))
    }

    /// `rgnSetPaging` (NC-240): with `K_NODEMAND` all pages are there when it returns.
    pub fn rgn_set_paging(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        region: In<KnRgnDesc>,
    ) -> Result<Outcome, KError> {
        let (actor, range, desc) = self.change_arguments(caller, cap, region)?;
        if desc.options & !PAGING != 0 {
            return Err(KError::Inval);
        }
        if desc.options & K_NODEMAND != 0 {
            let mut all = self.regions_in(actor, range);
            if all.any(|(_, region)| region.cache.is_none()) {
                return Err(KError::Inval);
            }
            drop(all);
            self.bring_in_steps(actor, range)?;
        }
        self.regions_change(actor, range, |region| {
            region.options = region.options & !PAGING | desc.options;
        });
        if desc.options & K_NODEMAND == 0 {
            return Ok(Outcome::Done(K_OK));
        }
        // Until now pages could still leave.
        Ok(self.map_on(caller.thread, Self::protected(actor, range)))
    }

    /// Resident and locked pages of a cache in a range of its pages.
    fn residents(&self, region: &Region, (first, end): (u32, u32)) -> (u64, u64) {
        let Some(cache) = region.cache.and_then(|id| self.cache(id)) else {
            return (0, 0);
        };
        let list = cache.list;
        if (first, end) == (0, cache.size) && (list.locked == 0 || region.is_fixed()) {
            return (list.count.into(), list.locked.into());
        }
        let (mut there, mut locked) = (0, 0);
        let mut count = |frame| {
            there += 1;
            locked += u64::from(self.memory.pages.locks(frame) > 0);
        };
        if end - first < list.count {
            let seen = |page| self.memory.pages.find(region.cache?, page);
            (first..end).filter_map(seen).for_each(count);
        } else {
            let mut next = list.first();
            while let Some(held) = next {
                next = self.memory.pages.next(held);
                if (first..end).contains(&self.memory.pages.page(held)) {
                    count(self.memory.pages.frame(held));
                }
            }
        }
        (there, locked)
    }

    /// What `rgnStat` says of the part of a region that is in a range.
    fn describe(&self, region: &Region, range: (u64, u64)) -> KnRgnStat {
        let (start, end) = (region.start.max(range.0), region.end().min(range.1));
        let (mut resident, mut fixed) = (0, 0);
        if region.cache.is_some() {
            let window = (
                region.page_at(start),
                region.page_at(start) + pages(end - start),
            );
            (resident, fixed) = self.residents(region, window);
            if region.is_fixed() {
                fixed = resident;
            }
        }
        KnRgnStat {
            start_addr: start,
            size: end - start,
            options: region.options & !(DEVICE | FIXED),
            pad: 0,
            opaque1: region.opaque.0,
            opaque2: region.opaque.1,
            resident: resident * PAGE_SIZE,
            fixed: fixed * PAGE_SIZE,
            segment: self.shown_segment(region),
            offset: match self.shown_segment(region) == KnCap::default() {
                true => 0,
                false => u64::from(region.page_at(start)) * PAGE_SIZE,
            },
        }
    }

    /// `rgnStat` (NC-015, NC-232): neighbours of equal attributes are one entry.
    pub fn rgn_stat(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        region: In<KnRgnDesc>,
        stat: Out<KnRgnStat>,
        size: u32,
    ) -> Result<Outcome, KError> {
        let desc = self.read(caller, region)?;
        let actor = self.actor_for_memory(caller, cap)?;
        let room = size as usize / size_of::<KnRgnStat>();
        let end = desc.start_addr.saturating_add(desc.size);
        let range = (
            desc.start_addr & !(PAGE_SIZE - 1),
            end.checked_next_multiple_of(PAGE_SIZE).unwrap_or(end),
        );
        let mut count = 0;
        let mut last: Option<KnRgnStat> = None;
        let mut next = self.regions_in(actor, range).next().map(|(id, _)| id);
        loop {
            let found = next
                .and_then(|id| self.memory.regions.get(id))
                .filter(|region| region.start < range.1);
            next = found.and_then(|region| region.next);
            let found = found.map(|region| {
                let mut stat = self.describe(region, range);
                if caller.privilege < Privilege::System {
                    stat.segment.key = 0;
                }
                stat
            });
            if let (Some(last), Some(found)) = (&mut last, found)
                && last.start_addr + last.size == found.start_addr
                && (last.options, last.opaque1, last.opaque2)
                    == (found.options, found.opaque1, found.opaque2)
                && last.segment == found.segment
                && (last.segment == KnCap::default() || last.offset + last.size == found.offset)
            {
                last.size += found.size;
                last.resident += found.resident;
                last.fixed += found.fixed;
                continue;
            }
            if let Some(last) = last {
                if count < room {
                    let at = stat.address() + (count * size_of::<KnRgnStat>()) as u64;
                    self.write(caller, Out::new(at), &last)?;
                }
                count += 1;
            }
            last = found;
            if last.is_none() {
                return Ok(Outcome::Done(count as i32));
            }
        }
    }
}
