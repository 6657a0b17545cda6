//! Local caches by their own names: for trusted actors that read and write segments often, and for mappers (spec 3.9, `lc…`).

use super::copies::COPY_MAX;
use super::pages::{DIRTY, GRANTED};
use super::segments::{Left, SEGMENT_MAX, Segment};
use super::steps::MADE;
use super::transfers::part_in_pages;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::local_identifier;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// What an order of a mapper is about: the segment, and pages.
type Order = (Id<Segment>, Segment, (u32, u32));

/// A cache that an actor opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Open {
    segment: Id<Segment>,
    actor: Id<Actor>,
}

impl<M: Machine> Nucleus<M> {
    /// Whether somebody opened a segment's cache.
    pub(super) fn is_open(&self, segment: Id<Segment>) -> bool {
        let mut all = self.memory.opens.iter();
        all.any(|(_, open)| open.segment == segment)
    }

    /// An actor has gone: what it opened is closed.
    pub(super) fn opens_end(&mut self, actor: Id<Actor>) {
        for slot in 0..self.memory.opens.extent() {
            if let Some(id) = self.memory.opens.at(slot)
                && self
                    .memory
                    .opens
                    .get(id)
                    .is_some_and(|open| open.actor == actor)
            {
                self.memory.opens.remove(id);
            }
        }
    }

    /// What the caller's actor opened under an LI. Errors: `K_EINVAL`.
    fn opened(&self, caller: Caller, li: i32) -> Result<(Id<Open>, Segment), KError> {
        let id = self.memory.opens.at((li & 0x1fff) as usize);
        let id = id
            .filter(|&id| local_identifier(id) == li)
            .ok_or(KError::Inval)?;
        let open = self.memory.opens.get(id).ok_or(KError::Inval)?;
        let segment = self.memory.segments.get(open.segment);
        match segment.filter(|_| open.actor == caller.actor) {
            Some(segment) => Ok((id, *segment)),
            None => Err(KError::Inval),
        }
    }

    /// `lcOpen`.
    pub fn lc_open(
        &mut self,
        caller: Caller,
        segment: In<KnCap>,
        flags: u32,
        li: Out<i32>,
    ) -> Result<Outcome, KError> {
        self.check_writable(caller, li.address(), 4)?;
        let cap = self.read(caller, segment)?;
        if flags != 0 {
            return Err(KError::Inval);
        }
        if !self.memory.opens.has_room() {
            return Err(KError::NoMem);
        }
        let cache = self.segment_open(cap)?;
        let (segment, _) = self.segment_of(cache).ok_or(KError::Inval)?;
        let open = Open {
            segment,
            actor: caller.actor,
        };
        let open = self.memory.opens.insert(open).ok_or(KError::NoMem)?;
        self.write(caller, li, &local_identifier(open))?;
        Ok(Outcome::Done(K_OK))
    }

    /// `lcClose`.
    pub fn lc_close(&mut self, caller: Caller, li: i32) -> Result<Outcome, KError> {
        let (open, segment) = self.opened(caller, li)?;
        self.memory.opens.remove(open);
        self.cache_release(segment.cache);
        Ok(Outcome::Done(K_OK))
    }

    /// `lcCap`.
    pub fn lc_cap(&mut self, caller: Caller, li: i32, cap: Out<KnCap>) -> Result<Outcome, KError> {
        self.check_writable(caller, cap.address(), size_of::<KnCap>() as u64)?;
        let (_, segment) = self.opened(caller, li)?;
        self.write(caller, cap, &segment.own)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `lcRead`.
    pub fn lc_read(
        &mut self,
        caller: Caller,
        li: i32,
        offset: u64,
        actor: In<KnCap>,
        address: u64,
        size: InOut<u64>,
    ) -> Result<Outcome, KError> {
        self.lc_transfer(caller, (li, offset), (actor, address), size, false)
    }

    /// `lcWrite`.
    pub fn lc_write(
        &mut self,
        caller: Caller,
        li: i32,
        offset: u64,
        actor: In<KnCap>,
        address: u64,
        size: InOut<u64>,
    ) -> Result<Outcome, KError> {
        self.lc_transfer(caller, (li, offset), (actor, address), size, true)
    }

    fn lc_transfer(
        &mut self,
        caller: Caller,
        (li, offset): (i32, u64),
        (actor, address): (In<KnCap>, u64),
        size: InOut<u64>,
        store: bool,
    ) -> Result<Outcome, KError> {
        self.check_writable(caller, size.address(), 8)?;
        let wanted: u64 = self.read(caller, In::new(size.address()))?;
        let (_, segment) = self.opened(caller, li)?;
        let actor = self.actor_for_memory(caller, actor)?;
        if wanted > COPY_MAX {
            return Err(KError::Size);
        }
        let most = u64::from(SEGMENT_MAX) * PAGE_SIZE;
        let end = offset.checked_add(wanted);
        if end.is_none_or(|end| end > most) {
            return Err(KError::Offset);
        }
        self.transfer_bytes(
            segment.cache,
            (offset, wanted),
            actor,
            address,
            (store, false),
        )?;
        Ok(Outcome::Done(K_OK))
    }

    /// A mapper's order about a part of a cache: which segment, the pages. Errors: `K_EFAULT`, `K_EUNKNOWN`, `K_EROUND`.
    fn order(&mut self, caller: Caller, part: In<KnObjDesc>) -> Result<Order, KError> {
        let part = self.read(caller, part)?;
        let range = part_in_pages(&part)?;
        let found = self.segment_by_cache(part.data_object);
        let (id, segment) = found.ok_or(KError::Unknown)?;
        Ok((id, *segment, range))
    }

    /// `lcFlush` (NC-258).
    pub fn lc_flush(
        &mut self,
        caller: Caller,
        part: In<KnObjDesc>,
        flags: u32,
        order: u64,
    ) -> Result<Outcome, KError> {
        self.flush_flags(caller, flags)?;
        let (id, segment, range) = self.order(caller, part)?;
        if !self.is_late(id, flags, order) {
            self.flush(segment.cache, range, flags)?;
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `lcSetRights`.
    pub fn lc_set_rights(
        &mut self,
        caller: Caller,
        part: In<KnObjDesc>,
        access: u32,
        flags: u32,
        order: u64,
    ) -> Result<Outcome, KError> {
        let left = match (access, flags & !K_ORDERED) {
            (K_READABLE, 0) => Left::Loads,
            (0, 0) => Left::Dirty,
            (0, K_NOACCESS) => Left::Nothing,
            _ => return Err(KError::Inval),
        };
        let (id, segment, range) = self.order(caller, part)?;
        if !self.is_late(id, flags, order) {
            self.segment_reduce(segment.cache, range, left);
            self.cache_release(segment.cache);
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `lcFillZero`.
    pub fn lc_fill_zero(&mut self, caller: Caller, part: In<KnObjDesc>) -> Result<Outcome, KError> {
        let (_, segment, (first, end)) = self.order(caller, part)?;
        if u64::from(end - first) * PAGE_SIZE > COPY_MAX {
            return Err(KError::Size);
        }
        let cache = segment.cache;
        let begin = first + self.memory.mappers.progress as u32;
        // A page may be new, and a copy may need the old one.
        let most = 2 * u64::from(end.saturating_sub(begin));
        if self.frames_left() < most {
            return Err(KError::NoMem);
        }
        for page in begin..end {
            if page - begin == MADE {
                return Err(self.pause((page - first).into()));
            }
            self.page_zero(cache, page, 0);
        }
        self.cache_release(cache);
        Ok(Outcome::Done(K_OK))
    }

    /// Makes the bytes of a segment's page from `from` on zeros, which its mapper does not have; there is memory for it.
    fn page_zero(&mut self, cache: Id<super::caches::Cache>, page: u32, from: usize) {
        let Some(frame) = self.page_own(cache, page) else {
            return;
        };
        if from == 0 {
            self.machine.frame_zero(frame);
        } else {
            let zeros = [0; 64];
            for at in (from..PAGE_SIZE as usize).step_by(zeros.len()) {
                let count = zeros.len().min(PAGE_SIZE as usize - at);
                let part = zeros.get(..count).unwrap_or(&[]);
                self.machine.frame_write(frame, at, part);
            }
        }
        self.memory.pages.set_flags(frame, GRANTED | DIRTY, 0);
    }

    /// `lcTrunc`.
    pub fn lc_trunc(
        &mut self,
        caller: Caller,
        part: In<KnObjDesc>,
        zero_offset: u64,
        flags: u32,
        order: u64,
    ) -> Result<Outcome, KError> {
        let desc = self.read(caller, part)?;
        let (id, segment, (first, end)) = self.order(caller, part)?;
        if flags & !K_ORDERED != 0 {
            return Err(KError::Inval);
        }
        let (cache, last) = (segment.cache, if desc.size == 0 { first } else { end });
        let inside =
            (u64::from(first) * PAGE_SIZE..u64::from(last) * PAGE_SIZE).contains(&zero_offset);
        if desc.size > 0 && !inside {
            return Err(KError::Inval);
        }
        // Pages that are here are zeroed, each of which a copy may need as it was.
        let here = self.cache(cache).map_or(0, |cache| cache.list.count);
        if self.frames_left() < u64::from(here) {
            return Err(KError::NoMem);
        }
        if self.is_late(id, flags, order) {
            return Ok(Outcome::Done(K_OK));
        }
        let mut next = self.cache(cache).and_then(|cache| cache.list.first());
        while let Some(held) = next {
            // A page whose frame a copy takes has a new one, before this in the list.
            next = self.memory.pages.next(held);
            let (page, frame) = (self.memory.pages.page(held), self.memory.pages.frame(held));
            if !(first..last).contains(&page) {
                continue;
            }
            self.memory.pages.set_flags(frame, GRANTED, 0);
            let begin = u64::from(page) * PAGE_SIZE;
            if zero_offset < begin + PAGE_SIZE {
                self.page_zero(cache, page, zero_offset.saturating_sub(begin) as usize);
            }
        }
        self.segment_reduce(cache, (last, SEGMENT_MAX), Left::Nothing);
        self.cache_release(cache);
        Ok(Outcome::Done(K_OK))
    }

    /// `lcStat`.
    pub fn lc_stat(
        &mut self,
        caller: Caller,
        cache: In<KnCap>,
        stat: Out<KnLcStat>,
    ) -> Result<Outcome, KError> {
        let cap = self.read(caller, cache)?;
        let (id, _) = self.segment_by_cache(cap).ok_or(KError::Unknown)?;
        self.tell_segment(caller, id, stat)
    }
}
