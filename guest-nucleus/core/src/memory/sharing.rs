//! Large bodies that are lent instead of copied: sender and receiver, or a message that waits, have the same frames, which nobody may store into. Who
//! stores first gets a copy; who is left alone has the frame as if nothing had been (`pages`).
//!
//! Only whole pages are lent, and only between places that agree about where in a page they are; the rest is copied. Nothing is lent that has to stay in its
//! frame or must be there for stores at any time: locked pages, those of regions with `K_NODEMAND`, of segments, with structures that threads wait
//! for, of supervisor actors and of those that page-out needs. Each page is counted with its actor as if it had been copied, so that a store into it needs a frame and
//! nobody's leave.
//!
//! A store into a page that was lent costs more than the copy that was saved. So memory where that happens loses its *credit* for some time: its bodies
//! are copied, the longer the more often it happened.

use super::Region;
use super::arrivals::Origin;
use super::caches::{Cache, pages};
use super::runs::{Ground, Run};
use super::{DEVICE, FIXED};
use crate::arena::Id;
use crate::ipc::{Body, PIECES, Place, pieces};
use crate::machine::{Frame, Machine};
use crate::nucleus::Nucleus;
use chorus_abi::*;

/// Smaller bodies are copied.
const LENT_MIN: usize = 4 * PAGE_SIZE as usize;
/// Most bodies that are copied before it is tried again to lend one.
const PATIENCE: u8 = 63;

/// Whether it pays to lend pages of a cache, or to borrow them there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Credit {
    /// Bodies that are copied before it is tried again.
    left: u8,
    /// How many there were the last time.
    last: u8,
    /// A body was lent or borrowed, and no page of it stored into, as far as is known.
    good: bool,
}

impl Credit {
    /// Whether a body is to be lent now, of which there is one.
    fn asked(&mut self) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        if self.good {
            self.last /= 2;
        }
        self.good = true;
        true
    }

    /// A page that was lent was stored into.
    fn lost(&mut self) {
        if self.left == 0 {
            self.last = (2 * self.last + 1).min(PATIENCE);
            (self.left, self.good) = (self.last, false);
        }
    }
}

/// Where pages are that may be lent: a region, and its cache.
#[derive(Clone, Copy)]
struct Lender {
    region: Region,
    cache: Id<Cache>,
}

impl<M: Machine> Nucleus<M> {
    /// A page that was lent or borrowed was stored into.
    pub(super) fn lent_in_vain(&mut self, cache: Id<Cache>) {
        if let Some(cache) = self.memory.caches.get_mut(cache) {
            cache.credit.lost();
        }
    }

    /// Whether pages of a cache are to be lent or borrowed now.
    fn has_credit(&mut self, cache: Id<Cache>) -> bool {
        let entry = self.memory.caches.get_mut(cache);
        entry.is_some_and(|cache| cache.credit.asked())
    }

    /// What may be lent at an address.
    fn lender(&self, (actor, space, address): Place) -> Option<Lender> {
        if !self.can_share(actor, space) {
            return None;
        }
        let region = self.region_at(actor, address)?;
        let special = region.options & (K_RESERVED | DEVICE | FIXED) != 0;
        if special || region.actor != actor || region.space != space {
            return None;
        }
        let cache = region.cache?;
        let plain = self.cache(cache)?.segment.is_none() && !self.any_fixed(cache);
        plain.then_some(Lender { region, cache })
    }

    /// Forbids stores into pages of a cache, for all that show it.
    fn lent_protect(&mut self, cache: Id<Cache>, range: (u32, u32)) {
        let mut next = self.cache(cache).and_then(|cache| cache.regions);
        while let Some(region) = next.and_then(|id| self.memory.regions.get(id)) {
            next = region.sharer;
            let space = region.space;
            if let Some((start, end)) = region.addresses_of(range) {
                self.machine.forbid_stores(space, start, end);
            }
        }
    }

    /// Has a receiver that waits get a body: its whole pages are lent, or it is copied. Errors: as `copy`.
    #[inline]
    pub(crate) fn body_pass(
        &mut self,
        from: Place,
        to: Place,
        size: usize,
    ) -> Result<(), (bool, KError)> {
        if size < PAGE_SIZE as usize {
            return self.copy(from, to, size);
        }
        if size < LENT_MIN || !(from.2 ^ to.2).is_multiple_of(PAGE_SIZE) {
            return self.body_copy(Origin::Sender(from), to, (0, size));
        }
        self.large_body_pass(from, to, size)
    }

    #[inline(never)]
    fn large_body_pass(
        &mut self,
        from: Place,
        to: Place,
        size: usize,
    ) -> Result<(), (bool, KError)> {
        let page = PAGE_SIZE as usize;
        let at = |place: Place, offset: usize| (place.0, place.1, place.2 + offset as u64);
        let lead = (from.2.wrapping_neg() % PAGE_SIZE) as usize;
        let count = (size - lead) / page;
        let lent = self.pages_lend(at(from, lead), at(to, lead), count);
        // What was not lent is copied, as few pieces as it is.
        let mut done = 0;
        for index in (0..count).filter(|index| lent & 1 << index != 0) {
            let begin = lead + index * page;
            if done < begin {
                self.body_copy(Origin::Sender(from), to, (done, begin))?;
            }
            done = begin + page;
        }
        if done == size {
            return Ok(());
        }
        self.body_copy(Origin::Sender(from), to, (done, size))
    }

    /// Lends what can be lent of so many pages; a bit for each that was.
    fn pages_lend(&mut self, from: Place, to: Place, count: usize) -> u32 {
        let Some(lender) = self.lender(from).filter(|_| self.can_share(to.0, to.1)) else {
            return 0;
        };
        let ground = self.ground(to).filter(|ground| !ground.fixed);
        let Some(ground) = ground.filter(|ground| ground.cache != lender.cache) else {
            return 0;
        };
        if !self.has_credit(lender.cache) | !self.has_credit(ground.cache) {
            return 0;
        }
        let left = |region: &Region, at: u64| pages(region.end() - at) as usize;
        let count = count.min(left(&lender.region, from.2));
        let count = count.min(left(&ground.region, to.2));
        let (first, into) = (lender.region.page_at(from.2), ground.region.page_at(to.2));
        let structures = self.structures();
        let (mut lent, mut fresh, mut more, mut run) = (0, false, 0, Run::none());
        for index in 0..count.min(PIECES) {
            let (page, target) = (first + index as u32, into + index as u32);
            let Some(frame) = self.memory.pages.find(lender.cache, page) else {
                continue;
            };
            let old = self.memory.pages.find(ground.cache, target);
            if old == Some(frame) {
                // Neither has stored into it since the last time.
                lent |= 1 << index;
                continue;
            }
            if !self.memory.pages.can_be_shared(frame) {
                continue;
            }
            let held =
                |frame: Frame| self.memory.pages.locks(frame) > 0 || structures.may_be_in(frame);
            let stays = held(frame) || old.is_some_and(held);
            let seen = !ground.smooth && self.history(ground.cache, target).is_some();
            more += u32::from(old.is_none());
            if stays || seen || old.is_none() && !self.may_grow(ground.cache, more) {
                continue;
            }
            (lent, fresh) = (lent | 1 << index, true);
            let address = to.2 + index as u64 * PAGE_SIZE;
            self.page_borrowed(&ground, target, address, frame, &mut run);
        }
        if fresh {
            self.lent_protect(lender.cache, (first, first + count as u32));
            self.run_map(&mut run);
        }
        lent
    }

    /// A frame that others have, or nobody, becomes a page; it is to be mapped with the run.
    pub(super) fn page_borrowed(
        &mut self,
        ground: &Ground,
        page: u32,
        address: u64,
        frame: Frame,
        run: &mut Run,
    ) {
        if !ground.smooth {
            // The only region that shows it has the mapping replaced.
            if !ground.alone {
                // It may be one of the run itself.
                self.run_map(run);
                self.page_unmap(ground.cache, page);
            }
            self.slot_drop(ground.cache, page);
        }
        self.page_enters(ground.cache, page, frame, run);
        let write = !self.memory.pages.is_shared(frame);
        self.run_add(run, (ground.region.space, address), frame, write);
    }

    /// The same of a frame that a message has.
    pub(super) fn page_arrives(
        &mut self,
        ground: &Ground,
        address: u64,
        frame: Frame,
        run: &mut Run,
    ) {
        self.memory.pages.unlend(frame);
        let page = ground.region.page_at(address);
        self.page_borrowed(ground, page, address, frame, run);
    }

    /// Keeps a body: its whole pages are lent to the message, or it is copied. Errors: as `body_keep`.
    #[inline]
    pub(crate) fn body_lend(&mut self, from: Place, size: u32) -> Result<Body, KError> {
        if (size as usize) < LENT_MIN {
            return self.body_keep(from, size);
        }
        self.large_body_lend(from, size)
    }

    #[inline(never)]
    fn large_body_lend(&mut self, from: Place, size: u32) -> Result<Body, KError> {
        let lender = self.lender(from);
        let Some(lender) = lender.filter(|lender| self.has_credit(lender.cache)) else {
            return self.body_keep(from, size);
        };
        let lead = (from.2 % PAGE_SIZE) as u32;
        let mut body = Body::begins(lead, size);
        let structures = self.structures();
        let (mut rest, mut range) = (0, None);
        for (index, piece) in pieces(lead, size).enumerate() {
            let at = from.2 + piece.offset as u64;
            let whole = piece.count == PAGE_SIZE as usize && at < lender.region.end();
            let page = whole.then(|| lender.region.page_at(at));
            let frame = page.and_then(|page| self.memory.pages.find(lender.cache, page));
            let frame = frame.filter(|&frame| {
                self.memory.pages.can_be_lent(frame) && !structures.may_be_in(frame)
            });
            match (page, frame) {
                (Some(page), Some(frame)) if body.put(index, frame) => {
                    self.memory.pages.lend(frame);
                    let first = range.map_or(page, |(first, _)| first);
                    range = Some((first, page + 1));
                }
                _ => rest += 1,
            }
        }
        let Some(range) = range else {
            return self.body_keep(from, size);
        };
        self.lent_protect(lender.cache, range);
        if !self.room_for_body(from.0, rest) {
            self.body_free(&mut body);
            return Err(KError::NoMem);
        }
        for (index, piece) in pieces(lead, size).enumerate() {
            let at = (from.0, from.1, from.2 + piece.offset as u64);
            if body.frame(index).is_none()
                && let Err(error) = self.piece_keep(at, &mut body, piece)
            {
                self.body_free(&mut body);
                return Err(error);
            }
        }
        Ok(body)
    }

    /// A body's frame is none of it any more.
    #[inline]
    pub(crate) fn frame_release(&mut self, frame: Frame) {
        if self.memory.pages.unlend(frame) {
            self.machine.frame_free(frame);
        }
    }

    /// Whether frames that others have may become pages of a receiver's buffer.
    pub(super) fn may_borrow(&mut self, to: Place, ground: &Ground) -> bool {
        self.can_share(to.0, to.1) && self.has_credit(ground.cache)
    }

    /// Makes a body one whose frames begin with its bytes and are nobody else's, so that they can become pages of a segment. `false`: no memory.
    pub(super) fn body_own(&mut self, body: &mut Body) -> bool {
        let all = || (0..PIECES).filter_map(|index| body.frame(index));
        if body.lead == 0 && all().all(|frame| self.memory.pages.lent(frame) == 0) {
            return true;
        }
        let mut own = Body::begins(0, body.size);
        let mut bytes = [0; 256];
        for at in (0..body.size as usize).step_by(bytes.len()) {
            let into = at + body.lead as usize;
            let page = PAGE_SIZE as usize;
            let mut done = 0;
            let count = bytes.len().min(body.size as usize - at);
            while done < count {
                let place = into + done;
                let part = (page - place % page).min(count - done);
                if let (Some(frame), Some(part)) =
                    (body.frame(place / page), bytes.get_mut(done..done + part))
                {
                    self.machine.frame_read(frame, place % page, part);
                }
                done += part;
            }
            if at.is_multiple_of(page) {
                let Some(frame) = self.machine.frame_allocate() else {
                    self.body_free(&mut own);
                    return false;
                };
                if !own.put(at / page, frame) {
                    self.machine.frame_free(frame);
                }
            }
            if let (Some(frame), Some(part)) = (own.frame(at / page), bytes.get(..count)) {
                self.machine.frame_write(frame, at % page, part);
            }
        }
        self.counters.copied += u64::from(body.size);
        self.body_free(body);
        *body = own;
        true
    }
}
