//! Regions: the calls that make and free them (spec 3.8, 4.1, 4.2).

use super::{DEVICE, FIXED, REGION_MAX, Region};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::machine::{Machine, Space};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::table::Privilege;
use chorus_abi::*;

/// Every option that this Nucleus knows.
const OPTIONS: u32 = K_WRITABLE
    | K_EXECUTABLE
    | K_SUPERVISOR
    | K_FILLZERO
    | K_ANYWHERE
    | K_RESTRICTIVE
    | K_RESERVED
    | K_NODEMAND
    | K_NOWAITFORMEMORY;

impl<M: Machine> Nucleus<M> {
    /// Whether no region of the space touches a range.
    fn is_free(&self, space: Space, start: u64, end: u64) -> bool {
        !self
            .memory
            .regions
            .iter()
            .any(|(_, region)| region.space == space && region.start < end && start < region.end())
    }

    /// Lowest free range of `size` bytes between two addresses, with a page left free around every region.
    fn find_free(&self, space: Space, low: u64, high: u64, size: u64) -> Option<u64> {
        let mut start = low;
        loop {
            let end = start.checked_add(size).filter(|&end| end <= high)?;
            let blocking = self
                .memory
                .regions
                .iter()
                .filter(|(_, region)| {
                    region.space == space
                        && region.start < end + PAGE_SIZE
                        && start < region.end() + PAGE_SIZE
                })
                .map(|(_, region)| region.end())
                .max();
            match blocking {
                Some(end) => start = end.checked_add(PAGE_SIZE)?,
                None => return Some(start),
            }
        }
    }

    /// Makes a region of device registers; its pages are mapped by the caller.
    pub(crate) fn region_of_device(&mut self, actor: Id<Actor>, size: u64) -> Result<u64, KError> {
        self.region_make(actor, None, None, size, K_RESERVED | DEVICE, (0, 0))
    }

    /// Makes a region for memory that a device reaches; the caller maps all its pages.
    pub(crate) fn region_of_memory(&mut self, actor: Id<Actor>, size: u64) -> Result<u64, KError> {
        self.region_make(actor, None, None, size, K_WRITABLE | FIXED, (0, 0))
    }

    /// Pages that are neither free nor made by touch in a region that lets them go again: what the Nucleus holds for itself, and fixed regions.
    fn fixed_pages(&self) -> u64 {
        let (free, total) = self.machine.frames();
        let of_actors: u64 = self
            .actors
            .iter()
            .map(|(_, actor)| u64::from(actor.pages))
            .sum();
        let of_fixed_regions: u64 = self
            .memory
            .regions
            .iter()
            .filter(|(_, region)| region.options & (K_NODEMAND | FIXED) != 0)
            .map(|(_, region)| region.size / PAGE_SIZE)
            .sum();
        let made_by_touch = of_actors.saturating_sub(of_fixed_regions);
        total.saturating_sub(free).saturating_sub(made_by_touch)
    }

    /// Makes a region; all of it is checked. With `K_NODEMAND` its pages are made too.
    pub(crate) fn region_make(
        &mut self,
        actor_id: Id<Actor>,
        start: Option<u64>,
        bounds: Option<(u64, u64)>,
        size: u64,
        options: u32,
        opaque: (u64, u64),
    ) -> Result<u64, KError> {
        let space = self.actors.get(actor_id).ok_or(KError::Inval)?.space;
        let (low, high) = self.machine.space_bounds(space);
        if size == 0 {
            return Err(KError::Size);
        }
        let size = size
            .checked_next_multiple_of(PAGE_SIZE)
            .filter(|&size| size <= (high - low).min(REGION_MAX))
            .ok_or(KError::Size)?;
        if options & K_WRITABLE != 0 && options & K_EXECUTABLE != 0 {
            return Err(KError::Inval);
        }
        let start = match start {
            Some(start) => {
                if !start.is_multiple_of(PAGE_SIZE) {
                    return Err(KError::Round);
                }
                let end = start.checked_add(size).ok_or(KError::Addr)?;
                if start < low || end > high {
                    return Err(KError::Addr);
                }
                if !self.is_free(space, start, end) {
                    return Err(KError::Overlap);
                }
                start
            }
            None => {
                let begin = match bounds {
                    Some(_) => low,
                    None => self.machine.space_start(space),
                };
                let (from, to) = bounds.unwrap_or((low, high));
                let from = from
                    .max(low)
                    .checked_next_multiple_of(PAGE_SIZE)
                    .ok_or(KError::Addr)?;
                self.find_free(space, from.max(begin), to.min(high), size)
                    .or_else(|| self.find_free(space, from, to.min(high), size))
                    .ok_or(KError::Space)?
            }
        };
        let region = Region {
            actor: actor_id,
            space,
            start,
            size,
            options,
            opaque,
            next: None,
        };
        self.region_insert(region).ok_or(KError::NoMem)?;
        if options & K_NODEMAND != 0 {
            let mut page = start;
            while page < start + size {
                if self.touch(actor_id, page, false, false).is_err() {
                    self.region_free(actor_id, start, start + size);
                    return Err(KError::NoMem);
                }
                page += PAGE_SIZE;
            }
        }
        Ok(start)
    }

    /// Puts a region in its actor's list, which is kept by address.
    fn region_insert(&mut self, region: Region) -> Option<Id<Region>> {
        let mut previous: Option<Id<Region>> = None;
        let mut next = self.actors.get(region.actor)?.regions;
        while let Some(id) = next {
            let other = self.memory.regions.get(id)?;
            if other.start > region.start {
                break;
            }
            previous = next;
            next = other.next;
        }
        let id = self.memory.regions.insert(Region { next, ..region })?;
        match previous {
            Some(previous) => self.memory.regions.get_mut(previous)?.next = Some(id),
            None => self.actors.get_mut(region.actor)?.regions = Some(id),
        }
        Some(id)
    }

    fn region_unlink(&mut self, actor: Id<Actor>, id: Id<Region>) {
        let Some(region) = self.memory.regions.remove(id) else {
            return;
        };
        let Some(owner) = self.actors.get_mut(actor) else {
            return;
        };
        if owner.regions == Some(id) {
            owner.regions = region.next;
            return;
        }
        let mut next = owner.regions;
        while let Some(other) = next {
            let Some(entry) = self.memory.regions.get_mut(other) else {
                return;
            };
            if entry.next == Some(id) {
                entry.next = region.next;
                return;
            }
            next = entry.next;
        }
    }

    fn pages_free(&mut self, actor: Id<Actor>, region: &Region, start: u64, end: u64) {
        let (space, device) = (region.space, region.options & DEVICE != 0);
        let waiters = self.any_waits_for_a_structure();
        let mut page = start;
        while page < end {
            if let Some(frame) = self.machine.unmap(space, page)
                && !device
            {
                if waiters {
                    self.structures_end(frame);
                }
                self.machine.frame_free(frame);
                if let Some(actor) = self.actors.get_mut(actor) {
                    actor.pages = actor.pages.saturating_sub(1);
                }
            }
            page += PAGE_SIZE;
        }
    }

    /// Frees a range of an actor; regions across its ends are split. `false`: there is no room for the second half of a split.
    pub(crate) fn region_free(&mut self, actor: Id<Actor>, start: u64, end: u64) -> bool {
        let mut next = self.actors.get(actor).and_then(|actor| actor.regions);
        while let Some(id) = next {
            let Some(region) = self.memory.regions.get(id).copied() else {
                return true;
            };
            next = region.next;
            let (from, to) = (region.start.max(start), region.end().min(end));
            if from >= to {
                continue;
            }
            if from > region.start && to < region.end() && !self.memory.regions.has_room() {
                return false;
            }
            self.pages_free(actor, &region, from, to);
            if from == region.start {
                self.region_unlink(actor, id);
            } else if let Some(entry) = self.memory.regions.get_mut(id) {
                entry.size = from - region.start;
            }
            if to < region.end() {
                self.region_insert(Region {
                    start: to,
                    size: region.end() - to,
                    ..region
                });
            }
        }
        true
    }

    /// Frees all memory of an actor.
    pub(crate) fn regions_free_all(&mut self, actor: Id<Actor>) {
        self.region_free(actor, 0, u64::MAX);
    }

    /// `rgnAllocate` (NC-224…229).
    pub fn rgn_allocate(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        region: InOut<KnRgnDesc>,
    ) -> Result<Outcome, KError> {
        self.check_writable(caller, region.address(), size_of::<KnRgnDesc>() as u64)?;
        let mut desc: KnRgnDesc = self.read(caller, In::new(region.address()))?;
        let actor = self.actor_by_cap(caller, cap)?;
        let kind = self.actors.get(actor).ok_or(KError::Inval)?.kind;
        if kind != K_USERACTOR && actor != caller.actor && caller.privilege < Privilege::System {
            return Err(KError::Priv);
        }
        if desc.options & !OPTIONS != 0 || desc.options & K_SUPERVISOR != 0 && kind != K_SUPACTOR {
            return Err(KError::Inval);
        }
        let (start, bounds) = match desc.options & (K_ANYWHERE | K_RESTRICTIVE) {
            0 => (Some(desc.start_addr), None),
            K_ANYWHERE => (None, None),
            K_RESTRICTIVE => (None, Some((desc.start_addr, desc.end_addr))),
            _ => return Err(KError::Inval),
        };
        let options = desc.options & OPTIONS & !(K_ANYWHERE | K_RESTRICTIVE);
        if options & K_RESERVED != 0 && options & K_NODEMAND != 0 {
            return Err(KError::Inval);
        }
        desc.start_addr = self.region_make(
            actor,
            start,
            bounds,
            desc.size,
            options,
            (desc.opaque1, desc.opaque2),
        )?;
        desc.size = desc.size.next_multiple_of(PAGE_SIZE);
        self.write(caller, Out::new(region.address()), &desc)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `rgnFree` (NC-230): holes in the range are ignored.
    pub fn rgn_free(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        region: In<KnRgnDesc>,
    ) -> Result<Outcome, KError> {
        let desc = self.read(caller, region)?;
        let actor = self.actor_by_cap(caller, cap)?;
        let kind = self.actors.get(actor).ok_or(KError::Inval)?.kind;
        if kind != K_USERACTOR && actor != caller.actor && caller.privilege < Privilege::System {
            return Err(KError::Priv);
        }
        if !desc.start_addr.is_multiple_of(PAGE_SIZE) {
            return Err(KError::Round);
        }
        let size = desc
            .size
            .checked_next_multiple_of(PAGE_SIZE)
            .filter(|&size| size > 0)
            .ok_or(KError::Size)?;
        let end = desc.start_addr.checked_add(size).ok_or(KError::Addr)?;
        if self.region_free(actor, desc.start_addr, end) {
            Ok(Outcome::Done(K_OK))
        } else {
            Err(KError::NoMem)
        }
    }

    /// `vmPageSize`.
    pub fn vm_page_size(&mut self, _: Caller) -> Result<Outcome, KError> {
        Ok(Outcome::Done(PAGE_SIZE as i32))
    }

    /// `vmStat`.
    pub fn vm_stat(&mut self, caller: Caller, stat: Out<KnVmStat>) -> Result<Outcome, KError> {
        let (free, total) = self.machine.frames();
        let value = KnVmStat {
            total: total * PAGE_SIZE,
            free: free * PAGE_SIZE,
            fixed: self.fixed_pages() * PAGE_SIZE,
        };
        self.write(caller, stat, &value)?;
        Ok(Outcome::Done(K_OK))
    }
}
