//! Regions: making, splitting, merging and freeing them, and the calls that do (spec 3.8, 4.1, 4.2).

use super::attributes::range_of;
use super::caches::{Cache, pages};
use super::steps::Mapping;
use super::{DEVICE, FIXED, REGION_MAX, Region};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::machine::{Frame, Machine, Space};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// Every option that makers of regions may name.
pub(super) const OPTIONS: u32 = K_WRITABLE
    | K_EXECUTABLE
    | K_SUPERVISOR
    | K_FILLZERO
    | K_ANYWHERE
    | K_RESTRICTIVE
    | K_RESERVED
    | K_NODEMAND
    | K_NOWAITFORMEMORY
    | K_INHERITCOPY
    | K_INHERITSHARE;

/// Regions that are freed in one step.
const FREED: usize = 2;

/// Where a descriptor wants its region: an address, or bounds, or anywhere. Errors: `K_EINVAL`, also for both kinds of inheritance.
#[allow(clippy::type_complexity, reason = "an address or bounds")]
pub(super) fn place_of(desc: &KnRgnDesc) -> Result<(Option<u64>, Option<(u64, u64)>), KError> {
    if desc.options & K_INHERITCOPY != 0 && desc.options & K_INHERITSHARE != 0 {
        return Err(KError::Inval);
    }
    match desc.options & (K_ANYWHERE | K_RESTRICTIVE) {
        0 => Ok((Some(desc.start_addr), None)),
        K_ANYWHERE => Ok((None, None)),
        K_RESTRICTIVE => Ok((None, Some((desc.start_addr, desc.end_addr)))),
        _ => Err(KError::Inval),
    }
}

impl<M: Machine> Nucleus<M> {
    /// The regions of an actor, by address.
    pub(super) fn regions_by_address(
        &self,
        actor: Id<Actor>,
    ) -> impl Iterator<Item = (Id<Region>, &Region)> {
        let mut next = self.actors.get(actor).and_then(|actor| actor.regions);
        core::iter::from_fn(move || {
            let id = next?;
            let region = self.memory.regions.get(id)?;
            next = region.next;
            Some((id, region))
        })
    }

    /// End of the last region in an actor's space that a range touches. Supervisor actors share theirs.
    fn last_in(&self, actor: Id<Actor>, space: Space, start: u64, end: u64) -> Option<u64> {
        let touches = |region: &Region| region.start < end && start < region.end();
        if space == Space::SUPERVISOR {
            let all = self.memory.regions.iter().map(|(_, region)| region);
            return all
                .filter(|region| region.space == space && touches(region))
                .map(Region::end)
                .max();
        }
        self.regions_by_address(actor)
            .take_while(|(_, region)| region.start < end)
            .filter(|(_, region)| touches(region))
            .map(|(_, region)| region.end())
            .last()
    }

    /// Lowest free range of `size` bytes between two addresses, with a page left free around every region.
    fn find_free(
        &self,
        actor: Id<Actor>,
        space: Space,
        (low, high): (u64, u64),
        size: u64,
    ) -> Option<u64> {
        let mut start = low;
        loop {
            let end = start.checked_add(size).filter(|&end| end <= high)?;
            let from = start.saturating_sub(PAGE_SIZE);
            match self.last_in(actor, space, from, end + PAGE_SIZE) {
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
        let of_caches = self.memory.pages.frames();
        let fixed: u64 = self
            .memory
            .regions
            .iter()
            .filter(|(_, region)| region.is_fixed())
            .map(|(_, region)| region.size / PAGE_SIZE)
            .sum();
        let locked: u64 = self
            .memory
            .caches
            .iter()
            .map(|(_, cache)| u64::from(cache.list.locked))
            .sum();
        let used = total.saturating_sub(free);
        used.saturating_sub(of_caches) + (fixed + locked).min(of_caches)
    }

    /// Maps a frame at an address of a region made for it. `false`: no memory for a table; the frame is given back.
    pub(crate) fn region_put(&mut self, actor: Id<Actor>, address: u64, frame: Frame) -> bool {
        let region = self.region_at(actor, address);
        let put = region.and_then(|region| {
            self.page_put(region.cache?, region.page_at(address), frame)?;
            Some(region)
        });
        put.is_some_and(|region| self.bring_in(&region, address, false).is_ok())
    }

    /// Where a region of an actor goes, and its size in whole pages; all of it is checked.
    pub(super) fn region_place(
        &self,
        actor_id: Id<Actor>,
        start: Option<u64>,
        bounds: Option<(u64, u64)>,
        size: u64,
        options: u32,
    ) -> Result<(u64, u64), KError> {
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
                if self.last_in(actor_id, space, start, end).is_some() {
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
                let to = to.min(high);
                self.find_free(actor_id, space, (from.max(begin), to), size)
                    .or_else(|| self.find_free(actor_id, space, (from, to), size))
                    .ok_or(KError::Space)?
            }
        };
        Ok((start, size))
    }

    /// Makes a region of fresh memory. With `K_NODEMAND` its pages are there, but mapped only when they are touched.
    pub(crate) fn region_make(
        &mut self,
        actor: Id<Actor>,
        start: Option<u64>,
        bounds: Option<(u64, u64)>,
        size: u64,
        options: u32,
        opaque: (u64, u64),
    ) -> Result<u64, KError> {
        let (start, size) = self.region_place(actor, start, bounds, size, options)?;
        if self.memory.regions.room() < 1 {
            return Err(KError::NoMem);
        }
        let mut cache = None;
        if options & K_NODEMAND != 0 {
            cache = Some(self.prepare(actor, pages(size))?);
        } else if options & K_RESERVED == 0 {
            let fresh = Cache::new(pages(size), Some(actor));
            cache = Some(self.memory.caches.insert(fresh).ok_or(KError::NoMem)?);
        }
        let window = (start, size);
        self.region_insert(actor, window, options, opaque, (cache, 0));
        Ok(start)
    }

    /// Makes a region that shows a cache from a page on; there is room for it.
    pub(super) fn region_insert(
        &mut self,
        actor: Id<Actor>,
        (start, size): (u64, u64),
        options: u32,
        opaque: (u64, u64),
        (cache, offset): (Option<Id<Cache>>, u32),
    ) -> Option<Id<Region>> {
        let region = Region {
            actor,
            space: self.actors.get(actor)?.space,
            start,
            size,
            options,
            opaque,
            cache,
            offset,
            sharer: None,
            next: None,
        };
        let id = self.region_list(region)?;
        if let Some(cache) = cache {
            self.cache_mapped(cache, id);
        }
        Some(id)
    }

    /// Puts a region in its actor's list, which is kept by address.
    fn region_list(&mut self, region: Region) -> Option<Id<Region>> {
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

    /// Splits the region across an address, if one is; there is room for it.
    pub(super) fn region_split(&mut self, actor: Id<Actor>, address: u64) {
        let mut all = self.regions_by_address(actor);
        let across = all.find(|(_, region)| region.start < address && address < region.end());
        let Some((id, region)) = across.map(|(id, region)| (id, *region)) else {
            return;
        };
        drop(all);
        if let Some(entry) = self.memory.regions.get_mut(id) {
            entry.size = address - region.start;
        }
        let rest = (address, region.end() - address);
        let offset = match region.cache {
            Some(_) => region.page_at(address),
            None => 0,
        };
        let window = (region.cache, offset);
        self.region_insert(actor, rest, region.options, region.opaque, window);
    }

    /// Whether the regions across the ends of a range can be split.
    pub(super) fn can_split(&self, actor: Id<Actor>, start: u64, end: u64) -> bool {
        let across = |address: u64| {
            self.regions_by_address(actor)
                .any(|(_, region)| region.start < address && address < region.end())
        };
        self.memory.regions.room() >= usize::from(across(start)) + usize::from(across(end))
    }

    /// Merges the regions of a range, and those beside it, with their neighbours wherever nobody can tell.
    pub(super) fn regions_merge(&mut self, actor: Id<Actor>, start: u64, end: u64) {
        let mut next = self.actors.get(actor).and_then(|actor| actor.regions);
        while let Some((id, region)) = next.and_then(|id| Some((id, *self.memory.regions.get(id)?)))
        {
            next = region.next;
            let Some((other_id, other)) =
                next.and_then(|id| Some((id, *self.memory.regions.get(id)?)))
            else {
                return;
            };
            if region.start > end {
                return;
            }
            let continues = region.cache.is_none() || other.offset == region.window().1;
            if region.end() < start
                || other.start != region.end()
                || (other.options, other.opaque, other.cache)
                    != (region.options, region.opaque, region.cache)
                || !continues
                || region.size + other.size > REGION_MAX
            {
                continue;
            }
            if let Some(cache) = other.cache {
                self.cache_unmapped(cache, other_id);
            }
            self.region_unlink(actor, other_id);
            if let Some(entry) = self.memory.regions.get_mut(id) {
                entry.size += other.size;
            }
            next = Some(id);
        }
    }

    /// Frees a range of an actor; regions across its ends are split. `false`: there is no room for the second half of a split; nothing was done.
    pub(crate) fn region_free(&mut self, actor: Id<Actor>, start: u64, end: u64) -> bool {
        // Splitting at both ends would take two regions where one suffices.
        let middle = self
            .regions_by_address(actor)
            .any(|(_, region)| region.start < start && end < region.end());
        if middle && !self.memory.regions.has_room() {
            return false;
        }
        let mut next = self.actors.get(actor).and_then(|actor| actor.regions);
        while let Some((id, region)) = next.and_then(|id| Some((id, *self.memory.regions.get(id)?)))
        {
            next = region.next;
            let (from, to) = (region.start.max(start), region.end().min(end));
            if region.start >= end {
                break;
            }
            if from >= to {
                continue;
            }
            self.machine.unmap_range(region.space, from, to);
            if to < region.end() {
                let rest = (to, region.end() - to);
                if from > region.start {
                    self.region_split(actor, to);
                } else if let Some(entry) = self.memory.regions.get_mut(id) {
                    (entry.start, entry.size) = rest;
                    if region.cache.is_some() {
                        entry.offset = region.page_at(to);
                    }
                }
            }
            if from > region.start
                && let Some(entry) = self.memory.regions.get_mut(id)
            {
                entry.size = from - region.start;
            }
            let whole = (from, to) == (region.start, region.end());
            if let Some(cache) = region.cache {
                if whole {
                    self.cache_unmapped(cache, id);
                }
                if self
                    .cache(cache)
                    .is_some_and(|cache| cache.regions.is_none())
                {
                    self.cache_release(cache);
                } else {
                    let first = region.page_at(from);
                    self.cache_trim(cache, first, first + pages(to - from));
                }
            }
            if whole {
                self.region_unlink(actor, id);
            }
        }
        true
    }

    /// Frees all memory of an actor.
    pub(crate) fn regions_free_all(&mut self, actor: Id<Actor>) {
        self.region_free(actor, 0, u64::MAX);
        self.caches_repay(actor, 0, usize::MAX);
        self.memory_left(actor);
    }

    /// An actor has no memory any more: nobody waits for it, and what only it used goes.
    pub(crate) fn memory_left(&mut self, actor: Id<Actor>) {
        self.opens_end(actor);
        self.segments_settle();
        self.unlocked();
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
        let actor = self.actor_for_memory(caller, cap)?;
        let kind = self.actors.get(actor).ok_or(KError::Inval)?.kind;
        if desc.options & !OPTIONS != 0 || desc.options & K_SUPERVISOR != 0 && kind != K_SUPACTOR {
            return Err(KError::Inval);
        }
        let (start, bounds) = place_of(&desc)?;
        let options = desc.options & !(K_ANYWHERE | K_RESTRICTIVE);
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
        if options & K_NODEMAND == 0 {
            return Ok(Outcome::Done(K_OK));
        }
        let made = self.region_at(actor, desc.start_addr);
        let mapping = Mapping {
            actor,
            cache: made.and_then(|region| region.cache),
            range: (desc.start_addr, desc.start_addr + desc.size),
            made: Some(desc.start_addr),
        };
        Ok(self.map_on(caller.thread, mapping))
    }

    /// `rgnFree` (NC-230): holes in the range are ignored; it waits while a page of the range is locked.
    pub fn rgn_free(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        region: In<KnRgnDesc>,
    ) -> Result<Outcome, KError> {
        let desc = self.read(caller, region)?;
        let actor = self.actor_for_memory(caller, cap)?;
        let range = range_of(desc.start_addr, desc.size)?;
        // What was freed in earlier steps may be somebody's again.
        let done = self.memory.mappers.progress.saturating_mul(PAGE_SIZE);
        let begin = range.0.saturating_add(done).min(range.1);
        if self.any_locked(actor, (begin, range.1)) {
            return Ok(self.await_unlocked(caller, actor, (begin, range.1), None));
        }
        let mut all = self.regions_in(actor, (begin, range.1));
        let next = all.nth(FREED).map(|(_, region)| region.start);
        drop(all);
        if !self.region_free(actor, begin, next.unwrap_or(range.1)) {
            return Err(KError::NoMem);
        }
        match next {
            Some(next) => Err(self.pause((next - range.0) / PAGE_SIZE)),
            None => Ok(Outcome::Done(K_OK)),
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
            outside: self.pages_outside() * PAGE_SIZE,
            segments: self.memory.pageout.stores.len() as u64,
            pages_out: self.memory.pageout.pages_out,
            pages_in: self.memory.pageout.pages_in,
        };
        self.write(caller, stat, &value)?;
        Ok(Outcome::Done(K_OK))
    }
}
