//! Segments in regions, and read and written by calls (spec 3.8, 3.9).

use super::attributes::range_of;
use super::caches::{Cache, pages};
use super::copies::COPY_MAX;
use super::copying::COPIED;
use super::faults::as_error;
use super::mappers::Kind;
use super::pages::DIRTY;
use super::regions::{OPTIONS, place_of};
use super::restarts::SECOND;
use super::segments::{Left, SEGMENT_MAX, Segment};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::machine::{Frame, Machine, Space};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::table::Privilege;
use chorus_abi::*;

/// A part of a segment: its name, first byte, bytes.
type Part = (KnCap, u64, u64);

/// The pages of a part that is whole pages; of size 0, all from its offset on. Errors: `K_EROUND`.
pub(super) fn part_in_pages(part: &KnObjDesc) -> Result<(u32, u32), KError> {
    let most = u64::from(SEGMENT_MAX) * PAGE_SIZE;
    if !(part.start_offset | part.size).is_multiple_of(PAGE_SIZE) {
        return Err(KError::Round);
    }
    let end = match part.size {
        0 => most,
        size => part.start_offset.saturating_add(size).min(most),
    };
    Ok((pages(part.start_offset.min(most)), pages(end)))
}

/// Pages that are made in one step.
const EFFORT: u32 = 8;

impl<M: Machine> Nucleus<M> {
    /// Reads the descriptor of a part of a segment. Errors: `K_EFAULT`, `K_EOFFSET`.
    fn part(&mut self, caller: Caller, part: In<KnObjDesc>) -> Result<Part, KError> {
        let part = self.read(caller, part)?;
        let end = part.start_offset.checked_add(part.size);
        let most = u64::from(SEGMENT_MAX) * PAGE_SIZE;
        if end.is_none_or(|end| end > most) {
            return Err(KError::Offset);
        }
        Ok((part.data_object, part.start_offset, part.size))
    }

    /// `rgnMap` (NC-242…244).
    pub fn rgn_map(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        region: InOut<KnRgnDesc>,
        segment: In<KnObjDesc>,
    ) -> Result<Outcome, KError> {
        self.region_of_segment(caller, cap, region, segment, false)
    }

    /// `rgnInit` (NC-251).
    pub fn rgn_init(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        region: InOut<KnRgnDesc>,
        segment: In<KnObjDesc>,
    ) -> Result<Outcome, KError> {
        self.region_of_segment(caller, cap, region, segment, true)
    }

    fn region_of_segment(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        region: InOut<KnRgnDesc>,
        segment: In<KnObjDesc>,
        copy: bool,
    ) -> Result<Outcome, KError> {
        let address = region.address();
        self.check_writable(caller, address, size_of::<KnRgnDesc>() as u64)?;
        let mut desc: KnRgnDesc = self.read(caller, In::new(address))?;
        let actor = self.actor_for_memory(caller, cap)?;
        let (segment, offset, data) = self.part(caller, segment)?;
        if !offset.is_multiple_of(PAGE_SIZE) {
            return Err(KError::Round);
        }
        let kind = self.actors.get(actor).ok_or(KError::Inval)?.kind;
        let supervisor_only = desc.options & K_SUPERVISOR != 0 && kind != K_SUPACTOR;
        if desc.options & (!OPTIONS | K_RESERVED) != 0 || supervisor_only {
            return Err(KError::Inval);
        }
        let (start, bounds) = place_of(&desc)?;
        let options = desc.options & !(K_ANYWHERE | K_RESTRICTIVE | K_FILLZERO);
        let (start, size) = self.region_place(actor, start, bounds, desc.size, options)?;
        let first = pages(offset);
        if first + pages(size) > SEGMENT_MAX {
            return Err(KError::Offset);
        }
        if !self.memory.regions.has_room() {
            return Err(KError::NoMem);
        }
        let source = self.segment_open(segment)?;
        let window = match copy {
            false => Ok((source, first)),
            true => self
                .cache_of_data(source, first, data.min(size), (actor, pages(size)))
                .map(|copy| (copy, 0)),
        };
        let made = window.map(|(cache, first)| {
            let (place, opaque) = ((start, size), (desc.opaque1, desc.opaque2));
            self.region_insert(actor, place, options, opaque, (Some(cache), first));
            self.cache_repay(cache);
        });
        // If it failed, nobody may use the segment now.
        self.cache_release(source);
        made?;
        (desc.start_addr, desc.size) = (start, size);
        self.region_told(caller, actor, options, (Out::new(address), desc))
    }

    /// A cache of so many pages for an actor that begins with a copy of a segment's data and goes on with zeros.
    fn cache_of_data(
        &mut self,
        source: Id<Cache>,
        first: u32,
        data: u64,
        (actor, size): (Id<Actor>, u32),
    ) -> Result<Id<Cache>, KError> {
        let (whole, rest) = (pages(data), (data % PAGE_SIZE) as usize);
        // The page that is data in part is copied now: nobody may see what the segment has behind.
        let mut tail = None;
        if rest > 0 {
            let frame = self.segment_page(source, first + whole, Kind::Pull)?;
            let copy = self.frame_like(Some(frame)).ok_or(KError::NoMem)?;
            let zeros = [0; PAGE_SIZE as usize];
            let zeros = zeros.get(rest..).unwrap_or(&[]);
            self.machine.frame_write(copy, rest, zeros);
            tail = Some(copy);
        }
        let made = if whole > 0 {
            self.cache_copy(source, first, whole, actor)
        } else {
            let mut fresh = Cache::new(size, Some(actor));
            fresh.window = 0;
            self.memory.caches.insert(fresh).ok_or(KError::NoMem)
        };
        let cache = made.inspect_err(|_| {
            if let Some(tail) = tail {
                self.machine.frame_free(tail);
            }
        })?;
        if let Some(cache) = self.memory.caches.get_mut(cache) {
            cache.size = size;
        }
        if let Some(tail) = tail {
            self.page_put(cache, whole, tail);
        }
        Ok(cache)
    }

    /// The frame of a segment's page, for reading (`Pull`) or for writing (`PullToStore`).
    ///
    /// # Errors
    /// `K_EFAULT` it must be waited for; `K_EMAPPER`.
    fn segment_page(&mut self, cache: Id<Cache>, page: u32, kind: Kind) -> Result<Frame, KError> {
        let Some(frame) = self.memory.pages.find(cache, page) else {
            return Err(as_error(self.await_mapper(cache, page, kind)));
        };
        if kind == Kind::PullToStore {
            self.may_store(cache, page).map_err(as_error)?;
        }
        Ok(frame)
    }

    /// `sgRead` (NC-245).
    pub fn sg_read(
        &mut self,
        caller: Caller,
        segment: In<KnObjDesc>,
        actor: In<KnCap>,
        address: u64,
        flags: u32,
    ) -> Result<Outcome, KError> {
        let part = self.part(caller, segment)?;
        let actor = self.actor_for_memory(caller, actor)?;
        self.transfer(part, actor, address, flags, false)
    }

    /// `sgWrite` (NC-246).
    pub fn sg_write(
        &mut self,
        caller: Caller,
        actor: In<KnCap>,
        address: u64,
        segment: In<KnObjDesc>,
        flags: u32,
    ) -> Result<Outcome, KError> {
        let part = self.part(caller, segment)?;
        let actor = self.actor_for_memory(caller, actor)?;
        self.transfer(part, actor, address, flags, true)
    }

    fn transfer(
        &mut self,
        part: Part,
        actor: Id<Actor>,
        address: u64,
        flags: u32,
        store: bool,
    ) -> Result<Outcome, KError> {
        if flags & !K_MOVE != 0 {
            return Err(KError::Inval);
        }
        if part.2 > COPY_MAX {
            return Err(KError::Size);
        }
        let cache = self.segment_open(part.0)?;
        let way = (store, flags & K_MOVE != 0);
        let done = self.transfer_bytes(cache, (part.1, part.2), actor, address, way);
        if done.is_err() && self.is_awaiting() {
            // What it has brought in so far must be there when it goes on.
            self.memory.mappers.held = self.cache(cache).and_then(|cache| cache.segment);
        } else {
            self.cache_release(cache);
        }
        done.map(|()| Outcome::Done(part.2 as i32))
    }

    /// Copies bytes between a segment and the memory of an actor, in steps (`restarts`): first all pages are made, then they are copied, or move if they can.
    ///
    /// # Errors
    /// Before anything is copied: `K_EADDR`, `K_EPROT`, `K_ENOMEM`, `K_EMAPPER`; later only if somebody takes a page away meanwhile. `K_EFAULT`: the call pauses or waits.
    pub(super) fn transfer_bytes(
        &mut self,
        cache: Id<Cache>,
        (offset, size): (u64, u64),
        actor: Id<Actor>,
        address: u64,
        (store, moves): (bool, bool),
    ) -> Result<(), KError> {
        let space = self.actors.get(actor).ok_or(KError::Inval)?.space;
        let progress = self.memory.mappers.progress;
        if progress < SECOND {
            self.transfer_check(cache, (offset, size), (actor, space, address), store)?;
            if size > COPIED * PAGE_SIZE {
                return Err(self.pause(SECOND));
            }
        }
        let mut done = progress.saturating_sub(SECOND);
        let mut pieces = 2 * COPIED;
        while done < size {
            if pieces == 0 {
                return Err(self.pause(SECOND + done));
            }
            let at = offset + done;
            let count = (size - done).min(PAGE_SIZE - at % PAGE_SIZE);
            let place = (actor, space, address + done);
            let copied = self.transfer_piece((cache, at), place, count, (store, moves));
            copied.inspect_err(|_| self.memory.mappers.progress = SECOND + done)?;
            done += count;
            pieces -= if count == PAGE_SIZE { 2 } else { 1 };
        }
        Ok(())
    }

    /// Makes all pages of a transfer.
    fn transfer_check(
        &mut self,
        cache: Id<Cache>,
        (offset, size): (u64, u64),
        (actor, space, address): (Id<Actor>, Space, u64),
        store: bool,
    ) -> Result<(), KError> {
        let kind = if store { Kind::PullToStore } else { Kind::Pull };
        let first = pages(offset);
        let last = address.checked_add(size).ok_or(KError::Addr)?;
        let begin = address & !(PAGE_SIZE - 1);
        // Pages of the segment, and behind them those of the actor.
        let count = u64::from(pages((offset + size).next_multiple_of(PAGE_SIZE)) - first);
        let all = count + (last - begin).div_ceil(PAGE_SIZE);
        let mut effort = EFFORT;
        for index in self.memory.mappers.progress..all {
            if effort == 0 {
                return Err(self.pause(index));
            }
            let made = match index.checked_sub(count) {
                None => {
                    let page = first + index as u32;
                    let there = self.segment_page(cache, page, kind).map(drop);
                    there.and_then(|()| match store {
                        true => self.page_own(cache, page).map(drop).ok_or(KError::NoMem),
                        false => Ok(()),
                    })
                }
                Some(index) => {
                    let at = (begin + index * PAGE_SIZE).max(address);
                    self.make_all(actor, space, (at, 1), !store)
                }
            };
            made.inspect_err(|_| self.memory.mappers.progress = index)?;
            effort -= 1;
        }
        Ok(())
    }

    /// A piece within a page of the segment, whose pages were there a moment ago.
    fn transfer_piece(
        &mut self,
        (cache, at): (Id<Cache>, u64),
        place: (Id<Actor>, Space, u64),
        count: u64,
        (store, moves): (bool, bool),
    ) -> Result<(), KError> {
        let kind = if store { Kind::PullToStore } else { Kind::Pull };
        let mut frame = self.segment_page(cache, pages(at), kind)?;
        self.make_all(place.0, place.1, (place.2, count), !store)?;
        if store {
            frame = self.page_own(cache, pages(at)).ok_or(KError::NoMem)?;
        }
        if moves && count == PAGE_SIZE && place.2.is_multiple_of(PAGE_SIZE) {
            let moved = match store {
                true => self.page_into_segment(place, cache, pages(at)),
                false => self.page_out_of_segment(place, cache, pages(at)),
            };
            if moved {
                return Ok(());
            }
        }
        let into = (at % PAGE_SIZE) as usize;
        if store {
            self.copy_in(place, frame, into, count as usize)?;
            self.memory.pages.set_flags(frame, DIRTY, 0);
        } else {
            self.copy_out(frame, into, place, count as usize)?;
        }
        Ok(())
    }

    /// `sgStat` (NC-252).
    pub fn sg_stat(
        &mut self,
        caller: Caller,
        segment: In<KnCap>,
        stat: Out<KnLcStat>,
    ) -> Result<Outcome, KError> {
        let cap = self.read(caller, segment)?;
        let (id, _) = self.segment_find(cap).ok_or(KError::Unknown)?;
        self.tell_segment(caller, id, stat)
    }

    /// Writes what there is of a segment. Errors: `K_EFAULT`.
    pub(super) fn tell_segment(
        &mut self,
        caller: Caller,
        id: Id<Segment>,
        stat: Out<KnLcStat>,
    ) -> Result<Outcome, KError> {
        let segment = *self.memory.segments.get(id).ok_or(KError::Unknown)?;
        let cache = self.cache(segment.cache).ok_or(KError::Unknown)?;
        let (mut named, mut own) = (segment.cap, segment.own);
        if caller.privilege < Privilege::System {
            (named.key, own.key) = (0, 0);
        }
        let (mut dirty, mut next) = (0, cache.list.first());
        while let Some(held) = next {
            next = self.memory.pages.next(held);
            let frame = self.memory.pages.frame(held);
            dirty += u64::from(self.memory.pages.flags(frame) & DIRTY != 0);
        }
        let value = KnLcStat {
            segment: named,
            cache: own,
            allocated: u64::from(cache.list.count) * PAGE_SIZE,
            fixed: u64::from(cache.list.locked) * PAGE_SIZE,
            dirty: dirty * PAGE_SIZE,
        };
        self.write(caller, stat, &value)?;
        Ok(Outcome::Done(K_OK))
    }

    /// What a flush may be asked, and by whom. Errors: `K_EINVAL`, `K_EPRIV`.
    pub(super) fn flush_flags(&self, caller: Caller, flags: u32) -> Result<(), KError> {
        let rights = flags & (K_READABLE | K_NOACCESS | K_DISCARD);
        let known = K_READABLE | K_NOACCESS | K_DISCARD | K_ASYNC | K_ORDERED;
        if flags & !known != 0 || rights.count_ones() > 1 || flags & K_ASYNC != 0 && rights != 0 {
            return Err(KError::Inval);
        }
        if rights != 0 && caller.privilege < Privilege::System {
            return Err(KError::Priv);
        }
        Ok(())
    }

    /// `sgFlush` (NC-247, NC-248, NC-258).
    pub fn sg_flush(
        &mut self,
        caller: Caller,
        segment: In<KnObjDesc>,
        flags: u32,
        order: u64,
    ) -> Result<Outcome, KError> {
        let part = self.read(caller, segment)?;
        self.flush_flags(caller, flags)?;
        let range = part_in_pages(&part)?;
        let (id, segment) = self.segment_find(part.data_object).ok_or(KError::Unknown)?;
        let cache = segment.cache;
        if self.is_late(id, flags, order) {
            return Ok(Outcome::Done(K_OK));
        }
        self.flush(cache, range, flags)?;
        Ok(Outcome::Done(K_OK))
    }

    /// Whether an order comes too late (`K_ORDERED`); one that does not is remembered.
    pub(super) fn is_late(&mut self, id: Id<Segment>, flags: u32, order: u64) -> bool {
        // A call that began anew was not late when it came.
        if flags & K_ORDERED == 0 || self.memory.mappers.progress > 0 {
            return false;
        }
        let Some(segment) = self.memory.segments.get_mut(id) else {
            return true;
        };
        let late = order <= segment.order;
        segment.order = segment.order.max(order);
        late
    }

    /// Pushes out a range of pages of a segment's cache, page after page: the call waits for each answer and begins anew.
    ///
    /// # Errors
    /// `K_EFAULT` it must be waited for; `K_EMAPPER` the mapper does not take them; `K_ENOMEM`.
    pub(super) fn flush(
        &mut self,
        cache: Id<Cache>,
        (first, end): (u32, u32),
        flags: u32,
    ) -> Result<(), KError> {
        let drop = flags & (K_NOACCESS | K_DISCARD) != 0;
        if flags & K_DISCARD == 0 {
            // Stores from now on need the mapper's leave, and so cannot go on for ever.
            if flags & (K_READABLE | K_NOACCESS) != 0 {
                self.segment_reduce(cache, (first, end), Left::Loads);
            }
            let begin = self.memory.mappers.progress as u32;
            self.push_range(cache, (first.max(begin), end), flags & K_ASYNC != 0)?;
        }
        if drop {
            self.segment_reduce(cache, (first, end), Left::Nothing);
            self.cache_release(cache);
        }
        Ok(())
    }

    /// Pushes out the next page of a range, and waits; returns when there is none any more. Errors: as `flush`.
    fn push_range(
        &mut self,
        cache: Id<Cache>,
        (first, end): (u32, u32),
        no_wait: bool,
    ) -> Result<(), KError> {
        let Some((id, segment)) = self.segment_of(cache) else {
            return Ok(());
        };
        if segment.bad && self.dirty_page(cache, 0, SEGMENT_MAX).is_some() {
            return Err(KError::Mapper);
        }
        let mut at = first;
        while let Some((page, frame)) = self.dirty_page(cache, at, end) {
            at = page + 1;
            let out = self.memory.pages.flags(frame) & super::pages::PUSHING != 0;
            if no_wait {
                let asked = out || self.push_waits(id, page);
                if !asked && self.request(id, Kind::Push, page, 1).is_err() {
                    return Err(KError::Mapper);
                }
                continue;
            }
            // A page that is on its way may have been stored into since: it is looked at again.
            let next = if out { page } else { page + 1 };
            self.memory.mappers.progress = u64::from(next).max(1);
            return Err(as_error(self.await_mapper(cache, page, Kind::Push)));
        }
        Ok(())
    }

    /// `sgSyncAll`.
    pub fn sg_sync_all(&mut self, _: Caller) -> Result<Outcome, KError> {
        let begin = self.memory.mappers.progress;
        for slot in (begin >> 32) as usize..self.memory.segments.extent() {
            let found = self.memory.segments.at(slot);
            let Some(segment) = found.and_then(|id| self.memory.segments.get(id)) else {
                continue;
            };
            let cache = segment.cache;
            let first = match (begin >> 32) as usize == slot {
                true => begin as u32,
                false => 0,
            };
            self.push_range(cache, (first, SEGMENT_MAX), false)
                .inspect_err(|_| {
                    self.memory.mappers.progress |= (slot as u64) << 32;
                })?;
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `vmFlush`.
    pub fn vm_flush(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        address: u64,
        size: u64,
        flags: u32,
    ) -> Result<Outcome, KError> {
        let actor = self.actor_for_memory(caller, cap)?;
        self.flush_flags(caller, flags)?;
        if !size.is_multiple_of(PAGE_SIZE) {
            return Err(KError::Round);
        }
        let range = range_of(address, size)?;
        if !self.is_covered(actor, range) {
            return Err(KError::Addr);
        }
        // How far it came counts regions in the upper half, and pages in the lower.
        let begin = self.memory.mappers.progress;
        let mut index = 0;
        loop {
            let found = self.regions_in(actor, range).nth(index);
            let Some(region) = found.map(|(_, region)| *region) else {
                return Ok(Outcome::Done(K_OK));
            };
            let (start, end) = (region.start.max(range.0), region.end().min(range.1));
            let segment = region
                .cache
                .filter(|&cache| self.segment_of(cache).is_some());
            if let Some(cache) = segment.filter(|_| begin >> 32 <= index as u64) {
                let window = (
                    region.page_at(start),
                    region.page_at(start) + pages(end - start),
                );
                self.memory.mappers.progress = match begin >> 32 == index as u64 {
                    true => begin & 0xffff_ffff,
                    false => 0,
                };
                self.flush(cache, window, flags).inspect_err(|_| {
                    self.memory.mappers.progress |= (index as u64) << 32;
                })?;
            }
            index += 1;
        }
    }
}
