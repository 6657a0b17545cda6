//! Pages that are given instead of copied (`K_MOVE`, NC-177): they leave the memory of a sender, and arrive in that of a receiver, with their frames.
//!
//! Only whole pages move, and only between places that agree about where in a page they are; the rest is copied. What leaves is gone from the cache that the
//! sender's region shows, for all that show it, as if zeros had been stored: so the sender must be allowed to store there, a copy made earlier keeps
//! what it saw, and an older version that the cache would see behind the page stays hidden. Pages that have to stay in their frames (locked, or of
//! regions with `K_NODEMAND`) are copied, and zeroed; pages of segments are copied, and stay: they are not the sender's.

use super::Region;
use super::arrivals::Origin;
use super::caches::{Cache, pages};
use super::pages::{DIRTY, PUSHING};
use super::runs::{Ground, Run, Structures};
use crate::arena::Id;
use crate::ipc::{Body, PIECES, Piece, Place, pieces};
use crate::machine::{Frame, Machine};
use crate::nucleus::{Caller, Nucleus};
use chorus_abi::*;

/// A page that is about to leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Leaving {
    cache: Id<Cache>,
    page: u32,
    frame: Frame,
    /// Zeros that hide what the cache would see behind the page.
    spare: Option<Frame>,
    /// The frame stays, and is zeroed.
    stays: bool,
}

/// Where a page can arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Landing {
    pub(super) page: u32,
    /// The frame that it supplants.
    pub(super) old: Option<Frame>,
}

impl<M: Machine> Nucleus<M> {
    /// The page at an address, made ready to leave; `alone`: with a frame that nobody else has. Errors: `K_ENOMEM`.
    fn page_to_leave(
        &mut self,
        ground: &Ground,
        address: u64,
        alone: bool,
    ) -> Result<Leaving, KError> {
        let cache = ground.cache;
        let page = ground.region.page_at(address);
        let lent = self.memory.pages.find(cache, page).filter(|&frame| {
            let pages = &self.memory.pages;
            !alone && pages.is_shared(frame) && pages.can_be_lent(frame)
        });
        let frame = match lent.filter(|_| self.history(cache, page).is_none()) {
            // The others keep it.
            Some(frame) => frame,
            None => self.page_own(cache, page).ok_or(KError::NoMem)?,
        };
        let stays = ground.fixed || self.memory.pages.locks(frame) > 0;
        let behind = self
            .cache(cache)
            .is_some_and(|cache| cache.parent.is_some() && page < cache.window);
        let spare = match behind && !stays {
            true => Some(self.frame_like(None).ok_or(KError::NoMem)?),
            false => None,
        };
        Ok(Leaving {
            cache,
            page,
            frame,
            spare,
            stays,
        })
    }

    /// A page leaves; its frame, unless that stays.
    fn page_lifted(&mut self, leaving: &Leaving) -> Option<Frame> {
        let &Leaving {
            cache, page, frame, ..
        } = leaving;
        if leaving.stays {
            self.machine.frame_zero(frame);
            return None;
        }
        self.page_unmap(cache, page);
        if self.any_waits_for_a_structure() {
            self.structures_end(frame);
        }
        self.slot_drop(cache, page);
        let held = self.memory.pages.held(cache, page)?;
        if let (frame, false) = self.page_remove(cache, held) {
            self.memory.pages.lend(frame);
        }
        if let Some(spare) = leaving.spare {
            self.page_insert(cache, page, spare);
        }
        Some(frame)
    }

    /// Takes a body out of a sender's memory: its whole pages leave. `whole_pages`: what becomes of it needs frames that begin with the body's bytes.
    ///
    /// # Errors
    /// `K_EFAULT`, `K_ENOMEM`; then nothing has left.
    pub(crate) fn body_lift(
        &mut self,
        from: Place,
        size: u32,
        whole_pages: bool,
    ) -> Result<Body, KError> {
        let lead = (from.2 % PAGE_SIZE) as u32;
        if (lead == 0 || !whole_pages)
            && let Some(body) = self.smooth_lift(from, size, lead)
        {
            return body;
        }
        let mut leaving = [None; PIECES];
        let made = self.body_made(from, size, lead, whole_pages, &mut leaving);
        let mut body = match made {
            Ok(body) => body,
            Err(error) => {
                for spare in leaving.iter().flatten().filter_map(|page| page.spare) {
                    self.machine.frame_free(spare);
                }
                return Err(error);
            }
        };
        // From here on nothing fails.
        for (index, page) in leaving.iter().enumerate() {
            let Some(frame) = page.and_then(|page| self.page_lifted(&page)) else {
                continue;
            };
            if body.lead != lead || !body.put(index, frame) {
                self.frame_release(frame);
            }
        }
        Ok(body)
    }

    /// The same where nothing is special about the whole pages; `None`: something is, or there are none.
    fn smooth_lift(&mut self, from: Place, size: u32, lead: u32) -> Option<Result<Body, KError>> {
        let first = usize::from(lead != 0);
        let begin = (from.2.wrapping_neg() % PAGE_SIZE) as u32;
        let count = (size.checked_sub(begin)? / PAGE_SIZE as u32) as usize;
        let place = (from.0, from.1, from.2 + u64::from(begin));
        let (ground, all) = self.smooth_pages(place, count)?;
        let Some(spares) = self.spares(&ground, place.2, count) else {
            return Some(Err(KError::NoMem));
        };
        let mut body = Body::begins(lead, size);
        let ends = [(0, begin), (begin + count as u32 * PAGE_SIZE as u32, size)];
        for (offset, end) in ends {
            if offset >= end {
                continue;
            }
            let piece = Piece {
                into: ((from.2 + u64::from(offset)) % PAGE_SIZE) as usize,
                offset: offset as usize,
                count: (end - offset) as usize,
            };
            let at = (from.0, from.1, from.2 + u64::from(offset));
            if let Err(error) = self.piece_keep(at, &mut body, piece) {
                self.body_free(&mut body);
                self.spares_free(&spares);
                return Some(Err(error));
            }
        }
        // From here on nothing fails.
        let mut index = first;
        self.smooth_leave(&ground, place.2, all.get(..count)?, |frame| {
            body.put(index, frame);
            index += 1;
        });
        for (page, &spare) in (ground.region.page_at(place.2)..).zip(&spares) {
            if let Some(spare) = spare {
                self.page_insert(ground.cache, page, spare);
            }
        }
        Some(Ok(body))
    }

    /// Zeros that hide what a cache would see behind so many pages from an address on. `None`: no memory.
    fn spares(
        &mut self,
        ground: &Ground,
        address: u64,
        count: usize,
    ) -> Option<[Option<Frame>; PIECES]> {
        let mut spares = [None; PIECES];
        let cache = self.cache(ground.cache)?;
        let window = cache.parent.map_or(0, |_| cache.window);
        let first = ground.region.page_at(address);
        for (_, spare) in (first..window).zip(spares.iter_mut().take(count)) {
            *spare = self.frame_like(None);
            if spare.is_none() {
                self.spares_free(&spares);
                return None;
            }
        }
        Some(spares)
    }

    fn spares_free(&mut self, spares: &[Option<Frame>; PIECES]) {
        for &spare in spares.iter().flatten() {
            self.machine.frame_free(spare);
        }
    }

    /// The body with copies of what does not leave; the rest is in `leaving`. Errors: those of `body_lift`; the spares are left in `leaving`.
    fn body_made(
        &mut self,
        (actor, space, address): Place,
        size: u32,
        lead: u32,
        whole_pages: bool,
        leaving: &mut [Option<Leaving>; PIECES],
    ) -> Result<Body, KError> {
        let mut known = None;
        for (piece, slot) in pieces(lead, size).zip(0..PIECES) {
            let at = address + piece.offset as u64;
            if piece.count < PAGE_SIZE as usize {
                continue;
            }
            let Some(ground) = self.ground_next(&mut known, (actor, space, at)) else {
                // Not the actor's to give.
                continue;
            };
            let page = self.page_to_leave(&ground, at, whole_pages)?;
            // Two windows may show one page: it leaves once.
            let again = |page: &Leaving| {
                let mut all = leaving.iter().flatten();
                all.any(|other| (other.cache, other.page) == (page.cache, page.page))
            };
            if !ground.alone && again(&page) {
                if let Some(spare) = page.spare {
                    self.machine.frame_free(spare);
                }
            } else if let Some(entry) = leaving.get_mut(slot) {
                *entry = Some(page);
            }
        }
        if lead != 0 && whole_pages {
            return self.body_keep((actor, space, address), size);
        }
        let mut body = Body::begins(lead, size);
        for (piece, page) in pieces(lead, size).zip(leaving.iter()) {
            if page.is_some_and(|page| !page.stays) {
                continue;
            }
            let from = (actor, space, address + piece.offset as u64);
            let copied = self.piece_keep(from, &mut body, piece);
            if let Err(error) = copied {
                self.body_free(&mut body);
                return Err(error);
            }
        }
        Ok(body)
    }

    /// Whether a page can arrive at an address, which begins one, instead of being copied.
    pub(super) fn landing(
        &self,
        ground: &Ground,
        address: u64,
        structures: &Structures,
    ) -> Option<Landing> {
        let page = ground.region.page_at(address);
        let old = self.memory.pages.find(ground.cache, page);
        let held = old
            .is_some_and(|frame| self.memory.pages.locks(frame) > 0 || structures.may_be_in(frame));
        let seen = !ground.smooth && self.history(ground.cache, page).is_some();
        if held || ground.fixed || seen {
            return None;
        }
        Some(Landing { page, old })
    }

    /// Copies into a receiver's buffer what of a body cannot arrive there as pages; a bit for each page that can. Errors: `K_EFAULT`.
    #[inline]
    pub(crate) fn body_fill(&mut self, body: &Body, to: Place, room: u32) -> Result<u32, KError> {
        if u64::from(body.size.min(room)) >= PAGE_SIZE {
            return self.large_body_fill(body, to, room);
        }
        for (index, piece) in pieces(body.lead, body.size.min(room)).enumerate() {
            if let Some(frame) = body.frame(index) {
                let at = to.2.wrapping_add(piece.offset as u64);
                self.copy_out(frame, piece.into, (to.0, to.1, at), piece.count)?;
            }
        }
        Ok(0)
    }

    #[inline(never)]
    fn large_body_fill(&mut self, body: &Body, to: Place, room: u32) -> Result<u32, KError> {
        let size = body.size.min(room);
        if let Some((_, at)) = self.easy_landing(body, to, size) {
            let all = pieces(body.lead, size).enumerate();
            for (_, piece) in all.filter(|(index, _)| !at.contains(index)) {
                self.kept_copy(body, to, (piece.offset, piece.offset + piece.count))?;
            }
            return Ok((1 << at.end) - (1 << at.start));
        }
        let (mut whole, mut known, mut more, mut copied) = (0, None, 0, 0);
        let structures = self.structures();
        let mut borrows = None;
        for (index, piece) in pieces(body.lead, size).enumerate() {
            let Some(frame) = body.frame(index) else {
                continue;
            };
            let at = to.2.wrapping_add(piece.offset as u64);
            if piece.count == PAGE_SIZE as usize
                && at.is_multiple_of(PAGE_SIZE)
                && let Some(ground) = self.ground_next(&mut known, (to.0, to.1, at))
                && let Some(landing) = self.landing(&ground, at, &structures)
                && (landing.old.is_some() || self.may_grow(ground.cache, more + 1))
                && (self.memory.pages.lent(frame) == 0
                    || *borrows.get_or_insert_with(|| self.may_borrow(to, &ground)))
            {
                more += u32::from(landing.old.is_none());
                whole |= 1 << index;
                self.kept_copy(body, to, (copied, piece.offset))?;
                copied = piece.offset + piece.count;
            }
        }
        self.kept_copy(body, to, (copied, size as usize))?;
        Ok(whole)
    }

    /// Copies a part of a body that is in frames to a receiver. Errors: `K_EFAULT`.
    fn kept_copy(&mut self, body: &Body, to: Place, part: (usize, usize)) -> Result<(), KError> {
        if part.0 >= part.1 {
            return Ok(());
        }
        let copied = self.body_copy(Origin::Kept(body), to, part);
        copied.map_err(|(_, error)| error)
    }

    /// Whether frames of a body are there, and nobody else's.
    fn are_own(&self, body: &Body, mut range: core::ops::Range<usize>) -> bool {
        range.all(|index| {
            let frame = body.frame(index);
            frame.is_some_and(|frame| self.memory.pages.lent(frame) == 0)
        })
    }

    /// Where all whole pages of the beginning of a body can arrive, if nothing is special about any, and which they are.
    fn easy_landing(
        &self,
        body: &Body,
        to: Place,
        size: u32,
    ) -> Option<(Ground, core::ops::Range<usize>)> {
        let first = usize::from(body.lead != 0);
        let end = ((body.lead + size) / PAGE_SIZE as u32) as usize;
        let offset = (first as u64 * PAGE_SIZE).saturating_sub(body.lead.into());
        let place = (to.0, to.1, to.2.checked_add(offset)?);
        if !place.2.is_multiple_of(PAGE_SIZE) || !self.are_own(body, first..end) {
            return None;
        }
        let ground = self.smooth_landing(place, end.checked_sub(first)?)?;
        Some((ground, first..end))
    }

    /// Puts the pages that `body_fill` named into the receiver's buffer.
    #[inline]
    pub(crate) fn body_land(&mut self, body: &mut Body, to: Place, whole: u32) {
        if whole != 0 {
            self.pages_land(body, to, whole);
        }
    }

    #[inline(never)]
    fn pages_land(&mut self, body: &mut Body, to: Place, whole: u32) {
        let first = whole.trailing_zeros() as usize;
        let count = (whole >> first).trailing_ones() as usize;
        let offset = (first as u64 * PAGE_SIZE).saturating_sub(body.lead.into());
        let place = (to.0, to.1, to.2 + offset);
        if whole.count_ones() as usize == count
            && self.are_own(body, first..first + count)
            && let Some(ground) = self.smooth_landing(place, count)
        {
            let mut frames = [Frame(0); PIECES];
            for (index, entry) in (first..first + count).zip(&mut frames) {
                *entry = body.take(index).unwrap_or(*entry);
            }
            return self.smooth_enter(&ground, place.2, frames.get(..count).unwrap_or(&[]));
        }
        let (mut known, mut run) = (None, Run::none());
        let structures = self.structures();
        for (index, piece) in pieces(body.lead, body.size).enumerate() {
            let Some(frame) = body.frame(index).filter(|_| whole & 1 << index != 0) else {
                continue;
            };
            let at = to.2.wrapping_add(piece.offset as u64);
            let ground = self.ground_next(&mut known, (to.0, to.1, at));
            let ground = ground.filter(|ground| {
                let room =
                    self.memory.pages.lent(frame) == 0 || self.memory.pages.can_be_shared(frame);
                room && self.landing(ground, at, &structures).is_some()
            });
            match ground {
                Some(ground) => {
                    body.take(index);
                    self.page_arrives(&ground, at, frame, &mut run);
                }
                // What was copied since made a page that has to stay, or too many have the frame: the receiver has memory.
                None => {
                    self.run_map(&mut run);
                    let _ = self.copy_out(frame, 0, (to.0, to.1, at), piece.count);
                }
            }
        }
        self.run_map(&mut run);
    }

    /// Whether all of a receiver's buffer can be written. Its pages are made, but for whole ones that a body may bring. Errors: `K_EFAULT`.
    #[inline]
    pub(crate) fn check_buffer(
        &mut self,
        caller: Caller,
        address: u64,
        size: u32,
    ) -> Result<(), KError> {
        if u64::from(size) < PAGE_SIZE {
            return self.check_writable(caller, address, size.into());
        }
        self.check_large_buffer(caller, address, size)
    }

    #[inline(never)]
    fn check_large_buffer(
        &mut self,
        caller: Caller,
        address: u64,
        size: u32,
    ) -> Result<(), KError> {
        let end = address.checked_add(size.into()).ok_or(KError::Fault)?;
        let structures = self.structures();
        let mut at = address;
        while at < end {
            let next = (at & !(PAGE_SIZE - 1)).saturating_add(PAGE_SIZE).min(end);
            let ground = match at.is_multiple_of(PAGE_SIZE) && next - at == PAGE_SIZE {
                true => self.ground((caller.actor, caller.space, at)),
                false => None,
            };
            let Some(ground) = ground else {
                self.check_page(caller, at, next - at)?;
                at = next;
                continue;
            };
            let past = ground.region.end().min(end & !(PAGE_SIZE - 1));
            let (first, count) = (ground.region.page_at(at), pages(past - at));
            if !ground.smooth || self.any_structure(&structures, ground.cache, first..first + count)
            {
                let mut page = at;
                while page < past {
                    let space = caller.space;
                    page = self.machine.accessible_until(space, page, past, true);
                    if page < past && !self.is_brought(&ground, page, &structures) {
                        self.check_page(caller, page, PAGE_SIZE)?;
                    }
                    page += PAGE_SIZE;
                }
            }
            at = past;
        }
        Ok(())
    }

    /// Whether a body may bring the page at an address, and can be copied there if it does not: what is outside has to come back first.
    fn is_brought(&self, ground: &Ground, address: u64, structures: &Structures) -> bool {
        let landing = self.landing(ground, address, structures);
        landing.is_some_and(|landing| {
            landing.old.is_some() || self.slot_seen(ground.cache, landing.page).is_none()
        })
    }

    /// The page at an address takes the place of a segment's page, which is the cache's own and which no copy needs. `false`: it is to be copied.
    pub(super) fn page_into_segment(
        &mut self,
        (actor, space, address): Place,
        cache: Id<Cache>,
        page: u32,
    ) -> bool {
        let Some(old) = self.memory.pages.find(cache, page) else {
            return false;
        };
        if !self.may_be_replaced(cache, page, old) {
            return false;
        }
        let Some(ground) = self.ground((actor, space, address)) else {
            return false;
        };
        let Ok(leaving) = self.page_to_leave(&ground, address, true) else {
            return false;
        };
        if leaving.stays {
            // The caller copies, and what is moved need not be lost.
            return false;
        }
        let flags = self.memory.pages.flags(old);
        self.page_unmap(cache, page);
        if let Some(held) = self.memory.pages.held(cache, page) {
            self.page_free(cache, held);
        }
        if let Some(frame) = self.page_lifted(&leaving) {
            self.page_insert(cache, page, frame);
            self.memory.pages.set_flags(frame, flags | DIRTY, 0);
        }
        true
    }

    /// A segment's page that its mapper has goes to an address. `false`: it is to be copied.
    pub(super) fn page_out_of_segment(
        &mut self,
        (actor, space, address): Place,
        cache: Id<Cache>,
        page: u32,
    ) -> bool {
        let Some(frame) = self.memory.pages.find(cache, page) else {
            return false;
        };
        let clean = self.memory.pages.flags(frame) & (DIRTY | PUSHING) == 0;
        if !clean
            || !self.may_be_replaced(cache, page, frame)
            || self.history(cache, page).is_some()
        {
            return false;
        }
        let structures = self.structures();
        let ground = self.ground((actor, space, address));
        let ground = ground.filter(|ground| self.landing(ground, address, &structures).is_some());
        let (Some(ground), Some(held)) = (ground, self.memory.pages.held(cache, page)) else {
            return false;
        };
        self.page_unmap(cache, page);
        self.page_remove(cache, held);
        let mut run = Run::none();
        self.page_arrives(&ground, address, frame, &mut run);
        self.run_map(&mut run);
        true
    }

    /// Whether nothing keeps a page in its frame.
    pub(super) fn may_be_replaced(&self, cache: Id<Cache>, page: u32, frame: Frame) -> bool {
        let waited = self.any_waits_for_a_structure() && self.is_structure_in(frame);
        let fixed =
            |(_, region): (_, &Region)| region.is_fixed() && region.address_of(page).is_some();
        !waited && self.memory.pages.locks(frame) == 0 && !self.regions_of(cache).any(fixed)
    }
}
