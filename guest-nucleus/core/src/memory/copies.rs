//! Memory from actor to actor: deferred copies, sharing, duplicating a whole space, copying bytes (spec 3.8, 3.9, 4.4).

use super::attributes::{INHERITANCE, range_of};
use super::caches::{Cache, pages};
use super::faults::as_error;
use super::regions::{OPTIONS, place_of};
use super::{DEVICE, FIXED, Region};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::machine::{Machine, Space};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// Most bytes that one call copies.
pub(super) const COPY_MAX: u64 = 16 << 20;

impl<M: Machine> Nucleus<M> {
    /// `rgnInitFromActor` (NC-233…235).
    pub fn rgn_init_from_actor(
        &mut self,
        caller: Caller,
        target: In<KnCap>,
        target_region: InOut<KnRgnDesc>,
        source: In<KnCap>,
        source_region: In<KnRgnDesc>,
    ) -> Result<Outcome, KError> {
        self.region_from_actor(
            caller,
            (target, target_region),
            (source, source_region),
            false,
        )
    }

    /// `rgnMapFromActor` (NC-236).
    pub fn rgn_map_from_actor(
        &mut self,
        caller: Caller,
        target: In<KnCap>,
        target_region: InOut<KnRgnDesc>,
        source: In<KnCap>,
        source_region: In<KnRgnDesc>,
    ) -> Result<Outcome, KError> {
        self.region_from_actor(
            caller,
            (target, target_region),
            (source, source_region),
            true,
        )
    }

    fn region_from_actor(
        &mut self,
        caller: Caller,
        (target, target_region): (In<KnCap>, InOut<KnRgnDesc>),
        (source, source_region): (In<KnCap>, In<KnRgnDesc>),
        share: bool,
    ) -> Result<Outcome, KError> {
        let address = target_region.address();
        self.check_writable(caller, address, size_of::<KnRgnDesc>() as u64)?;
        let mut desc: KnRgnDesc = self.read(caller, In::new(address))?;
        let from: KnRgnDesc = self.read(caller, source_region)?;
        let target = self.actor_for_memory(caller, target)?;
        let source = self.actor_for_memory(caller, source)?;
        let kind = self.actors.get(target).ok_or(KError::Inval)?.kind;
        let supervisor_only = desc.options & K_SUPERVISOR != 0 && kind != K_SUPACTOR;
        if desc.options & (!OPTIONS | K_RESERVED) != 0 || supervisor_only {
            return Err(KError::Inval);
        }
        let (start, bounds) = place_of(&desc)?;
        let options = desc.options & !(K_ANYWHERE | K_RESTRICTIVE);
        let range = range_of(from.start_addr, from.size)?;
        let (start, size) = self.region_place(target, start, bounds, desc.size, options)?;
        if size != range.1 - range.0 {
            return Err(KError::Size);
        }
        let mut count = 0;
        for (_, region) in self.regions_in(source, range) {
            count += 1;
            if region.cache.is_none() {
                return Err(KError::Addr);
            }
        }
        if !self.is_covered(source, range) {
            return Err(KError::Addr);
        }
        if self.memory.regions.room() < count {
            return Err(KError::NoMem);
        }
        let opaque = (desc.opaque1, desc.opaque2);
        let end = start + size;
        let mut at = range.0;
        while at < range.1 {
            let region = self.region_at(source, at).ok_or(KError::Addr)?;
            let piece = (at, region.end().min(range.1));
            let place = start + (at - range.0);
            if let Err(error) =
                self.region_of_piece(&region, piece, target, place, (options, opaque), share)
            {
                self.region_free(target, start, end);
                return Err(error);
            }
            at = piece.1;
        }
        self.regions_merge(target, start, end);
        (desc.start_addr, desc.size) = (start, size);
        self.region_told(caller, target, options, (Out::new(address), desc))
    }

    /// Makes a region that shares, or has a copy of, a piece of another. Errors: `K_ENOMEM`.
    fn region_of_piece(
        &mut self,
        region: &Region,
        piece: (u64, u64),
        target: Id<Actor>,
        place: u64,
        (options, opaque): (u32, (u64, u64)),
        share: bool,
    ) -> Result<(), KError> {
        let cache = region.cache.ok_or(KError::Addr)?;
        let (first, size) = (region.page_at(piece.0), piece.1 - piece.0);
        let window = if share {
            (Some(cache), first)
        } else {
            let count = pages(size);
            (Some(self.cache_copy(cache, first, count, target)?), 0)
        };
        self.region_insert(target, (place, size), options, opaque, window);
        Ok(())
    }

    /// `rgnDup` (NC-237, NC-238).
    pub fn rgn_dup(
        &mut self,
        caller: Caller,
        target: In<KnCap>,
        source: In<KnCap>,
        flags: u32,
    ) -> Result<Outcome, KError> {
        let target = self.actor_for_memory(caller, target)?;
        let source = self.actor_for_memory(caller, source)?;
        if flags & !INHERITANCE != 0 || flags == INHERITANCE {
            return Err(KError::Inval);
        }
        let in_space = |id| self.actors.get(id).map(|actor: &Actor| actor.space);
        let shared = [target, source].map(in_space);
        let empty = self.regions_by_address(target).next().is_none();
        if target == source || shared.contains(&Some(Space::SUPERVISOR)) || !empty {
            return Err(KError::Inval);
        }
        if self.memory.regions.room() < self.regions_by_address(source).count() {
            return Err(KError::NoMem);
        }
        let done = self.duplicate(target, source, flags);
        for slot in 0..self.memory.caches.extent() {
            if let Some(id) = self.memory.caches.at(slot)
                && let Some(cache) = self.memory.caches.get_mut(id)
            {
                cache.copy = None;
            }
        }
        if let Err(error) = done {
            self.regions_free_all(target);
            return Err(error);
        }
        let mut bounds = (u64::MAX, 0);
        for (_, region) in self.regions_by_address(target) {
            bounds = (bounds.0.min(region.start), region.end());
        }
        self.regions_made(caller.thread, target, bounds, |_| Ok(()))
    }

    fn duplicate(
        &mut self,
        target: Id<Actor>,
        source: Id<Actor>,
        flags: u32,
    ) -> Result<(), KError> {
        let mut next = self.actors.get(source).and_then(|actor| actor.regions);
        while let Some(&region) = next.and_then(|id| self.memory.regions.get(id)) {
            next = region.next;
            let wanted = if flags == 0 {
                region.options & INHERITANCE
            } else {
                flags
            };
            if wanted == 0 || region.options & DEVICE != 0 {
                continue;
            }
            let window = match region.cache {
                None => (None, 0),
                Some(cache) if wanted == K_INHERITSHARE => (Some(cache), region.offset),
                Some(cache) => (Some(self.copy_whole(cache, target)?), region.offset),
            };
            let options = region.options & !FIXED;
            let place = (region.start, region.size);
            self.region_insert(target, place, options, region.opaque, window);
        }
        self.regions_merge(target, 0, u64::MAX);
        Ok(())
    }

    /// The copy of a cache in the duplication under way: regions that share a cache have copies that share one.
    fn copy_whole(&mut self, cache: Id<Cache>, target: Id<Actor>) -> Result<Id<Cache>, KError> {
        let found = *self.cache(cache).ok_or(KError::Inval)?;
        if let Some(copy) = found.copy {
            return Ok(copy);
        }
        let copy = self.cache_copy(cache, 0, found.size, target)?;
        if let Some(entry) = self.memory.caches.get_mut(cache) {
            entry.copy = Some(copy);
        }
        Ok(copy)
    }

    /// `vmCopy`.
    pub fn vm_copy(
        &mut self,
        caller: Caller,
        source: In<KnCap>,
        from: u64,
        target: In<KnCap>,
        to: u64,
        size: u64,
    ) -> Result<Outcome, KError> {
        let source = self.actor_for_memory(caller, source)?;
        let target = self.actor_for_memory(caller, target)?;
        if size == 0 {
            return Ok(Outcome::Done(K_OK));
        }
        if size > COPY_MAX {
            return Err(KError::Size);
        }
        let space = |id| self.actors.get(id).map(|actor| actor.space);
        let (Some(from_space), Some(to_space)) = (space(source), space(target)) else {
            return Err(KError::Inval);
        };
        let (source, target) = ((source, from_space, from), (target, to_space, to));
        self.copy_in_steps(source, target, size)
    }

    /// Makes all pages of a range that is to be copied. Errors: `K_EADDR`, `K_EPROT`, `K_ENOMEM`.
    pub(super) fn make_all(
        &mut self,
        actor: Id<Actor>,
        space: Space,
        (start, size): (u64, u64),
        write: bool,
    ) -> Result<(), KError> {
        let end = start.checked_add(size).ok_or(KError::Addr)?;
        let mut page = start & !(PAGE_SIZE - 1);
        while page < end {
            let at = page.max(start);
            if self.check_range(actor, space, at, 1, write).is_err() {
                self.touch(actor, at, write, false).map_err(as_error)?;
                self.check_range(actor, space, at, 1, write)?;
            }
            page += PAGE_SIZE;
        }
        Ok(())
    }
}
