//! Pages that are given instead of copied (`K_MOVE`, NC-177): they leave the memory of a sender, and arrive in that of a receiver, with their frames.
//!
//! Only whole pages move, and only between places that agree about where in a page they are; the rest is copied. What leaves is gone from the cache that the
//! sender's region shows, for all that show it, as if zeros had been stored: so the sender must be allowed to store there, a copy made earlier keeps
//! what it saw, and an older version that the cache would see behind the page stays hidden. Pages that have to stay in their frames (locked, or of
//! regions with `K_NODEMAND`) are copied, and zeroed; pages of segments are copied, and stay: they are not the sender's.

use super::Region;
use super::caches::Cache;
use super::pages::{DIRTY, PUSHING};
use super::{DEVICE, FIXED};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::ipc::{Body, PIECES, Place, pieces};
use crate::machine::{Frame, Machine, Protection, Space};
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

/// A region of an actor's own where it may store, and which shows memory that is no segment's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ground {
    region: Region,
    cache: Id<Cache>,
    /// Some pages of the cache have to stay in their frames, as if all had.
    fixed: bool,
    /// No other region shows the cache.
    alone: bool,
}

impl Ground {
    fn has(&self, address: u64) -> bool {
        address >= self.region.start && address < self.region.end()
    }
}

/// Where a page can arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Landing {
    page: u32,
    /// The frame that it supplants.
    old: Option<Frame>,
}

impl<M: Machine> Nucleus<M> {
    /// The ground at an address.
    fn ground(&self, actor: Id<Actor>, space: Space, address: u64) -> Option<Ground> {
        let region = self.region_at(actor, address)?;
        let options = region.options & (K_WRITABLE | K_RESERVED | DEVICE | FIXED);
        if region.actor != actor || region.space != space || options != K_WRITABLE {
            return None;
        }
        let cache = region.cache?;
        self.cache(cache)?.segment.is_none().then(|| Ground {
            region,
            cache,
            fixed: self.regions_of(cache).any(|(_, region)| region.is_fixed()),
            alone: self.regions_of(cache).nth(1).is_none(),
        })
    }

    /// The same; most often it is that of the page before.
    #[inline]
    fn ground_next(
        &self,
        known: &mut Option<Ground>,
        (actor, space, address): Place,
    ) -> Option<Ground> {
        if known.is_none_or(|ground| !ground.has(address)) {
            *known = self.ground(actor, space, address);
        }
        *known
    }

    /// The page at an address, made ready to leave. Errors: `K_ENOMEM`.
    fn page_to_leave(&mut self, ground: &Ground, address: u64) -> Result<Leaving, KError> {
        let cache = ground.cache;
        let page = ground.region.page_at(address);
        let frame = self.page_own(cache, page).ok_or(KError::NoMem)?;
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
        self.page_remove(cache, frame);
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
                self.machine.frame_free(frame);
            }
        }
        Ok(body)
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
            let page = self.page_to_leave(&ground, at)?;
            // Two windows may show one page: it leaves once.
            let again = |page: &Leaving| {
                let mut all = leaving.iter().flatten();
                all.any(|other| other.frame == page.frame)
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
    #[inline]
    fn landing(&self, ground: &Ground, address: u64) -> Option<Landing> {
        let page = ground.region.page_at(address);
        let old = self.memory.pages.find(ground.cache, page);
        let held = old.is_some_and(|frame| {
            self.memory.pages.locks(frame) > 0
                || self.any_waits_for_a_structure() && self.is_structure_in(frame)
        });
        if held || ground.fixed || self.history(ground.cache, page).is_some() {
            return None;
        }
        Some(Landing { page, old })
    }

    /// A frame becomes the page at an address, and is mapped there.
    fn page_lands(&mut self, ground: &Ground, landing: Landing, address: u64, frame: Frame) {
        let (cache, Landing { page, old }) = (ground.cache, landing);
        // The only region that shows it has the mapping replaced.
        if !ground.alone {
            self.page_unmap(cache, page);
        }
        if let Some(old) = old {
            self.page_remove(cache, old);
        }
        // What is kept outside of the page that was there is older.
        self.slot_drop(cache, page);
        self.page_insert(cache, page, frame);
        let stores = Protection {
            write: true,
            execute: false,
        };
        let space = ground.region.space;
        let mapped = self.machine.map(space, address, frame, stores);
        if mapped.is_err() {
            // It is mapped when it is touched.
            self.page_unmap(cache, page);
        }
        if let Some(old) = old {
            self.machine.frame_free(old);
        }
    }

    /// Copies into a receiver's buffer what of a body cannot arrive there as pages; a bit for each page that can. Errors: `K_EFAULT`.
    pub(crate) fn body_fill(&mut self, body: &Body, to: Place, room: u32) -> Result<u32, KError> {
        let (mut whole, mut known, mut more) = (0, None, 0);
        for (index, piece) in pieces(body.lead, body.size.min(room)).enumerate() {
            let Some(frame) = body.frame(index) else {
                continue;
            };
            let at = to.2.wrapping_add(piece.offset as u64);
            if piece.count == PAGE_SIZE as usize
                && at.is_multiple_of(PAGE_SIZE)
                && let Some(ground) = self.ground_next(&mut known, (to.0, to.1, at))
                && let Some(landing) = self.landing(&ground, at)
                && (landing.old.is_some() || self.may_grow(ground.cache, more + 1))
            {
                more += u32::from(landing.old.is_none());
                whole |= 1 << index;
                continue;
            }
            self.copy_out(frame, piece.into, (to.0, to.1, at), piece.count)?;
        }
        Ok(whole)
    }

    /// Puts the pages that `body_fill` named into the receiver's buffer.
    pub(crate) fn body_land(&mut self, body: &mut Body, to: Place, whole: u32) {
        if whole == 0 {
            return;
        }
        let mut known = None;
        for (index, piece) in pieces(body.lead, body.size).enumerate() {
            let Some(frame) = body.frame(index).filter(|_| whole & 1 << index != 0) else {
                continue;
            };
            let at = to.2.wrapping_add(piece.offset as u64);
            let ground = self.ground_next(&mut known, (to.0, to.1, at));
            let landing = ground.and_then(|ground| Some((ground, self.landing(&ground, at)?)));
            match landing {
                Some((ground, landing)) => {
                    body.take(index);
                    self.page_lands(&ground, landing, at, frame);
                }
                // What was copied since made a page that has to stay: it has memory.
                None => {
                    let _ = self.copy_out(frame, 0, (to.0, to.1, at), piece.count);
                }
            }
        }
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
        address.checked_add(size.into()).ok_or(KError::Fault)?;
        let mut known = None;
        for piece in pieces((address % PAGE_SIZE) as u32, size) {
            let at = address + piece.offset as u64;
            if self.machine.writable(caller.space, at, 1) {
                continue;
            }
            let brought = piece.count == PAGE_SIZE as usize
                && self.machine.translate(caller.space, at).is_none()
                && self
                    .ground_next(&mut known, (caller.actor, caller.space, at))
                    .is_some_and(|ground| self.landing(&ground, at).is_some());
            if !brought {
                self.check_writable(caller, at, piece.count as u64)?;
            }
        }
        Ok(())
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
        let Some(ground) = self.ground(actor, space, address) else {
            return false;
        };
        let Ok(leaving) = self.page_to_leave(&ground, address) else {
            return false;
        };
        if leaving.stays {
            // The caller copies, and what is moved need not be lost.
            return false;
        }
        let flags = self.memory.pages.flags(old);
        self.page_unmap(cache, page);
        self.page_free(cache, old);
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
        let ground = self.ground(actor, space, address);
        let Some((ground, landing)) =
            ground.and_then(|ground| Some((ground, self.landing(&ground, address)?)))
        else {
            return false;
        };
        self.page_unmap(cache, page);
        self.page_remove(cache, frame);
        self.page_lands(&ground, landing, address, frame);
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
