//! Room: who may take which frames, and threads that wait until there are enough.
//!
//! Of the last frames of a site the Nucleus needs some to get pages away, the default mapper to take them, and everybody a few for small calls. So
//! an actor that has much already leaves them alone, and waits if pages can leave; what it has over a limit of its own it does not get at all.

use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::machine::{Machine, Space};
use crate::memory::caches::Cache;
use crate::memory::faults::{SUPPLY, WAITS};
use crate::memory::mappers::{Kind, Request};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// An actor with fewer pages is small: it may take from what is left for small calls.
const SMALL: u32 = 64;
/// Sites with fewer frames keep none back.
const TINY: u64 = 4096;
/// A call that waits for frames more often than this fails.
const TURNS: u32 = 10_000;

/// Frames that decide what is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Marks {
    /// The last ones, which ordinary faults leave alone.
    pub floor: u64,
    /// With fewer free, pages leave.
    pub low: u64,
    /// With so many free, no more leave.
    pub high: u64,
}

impl Marks {
    pub(super) fn of(total: u64) -> Marks {
        let floor = (total / 64).clamp(8, 512);
        Marks {
            floor,
            low: 2 * floor,
            high: 3 * floor,
        }
    }
}

impl<M: Machine> Nucleus<M> {
    /// Whether page-out must not touch an actor's memory, and waits for it rather than it for page-out.
    pub(in crate::memory) fn is_needed(&self, actor: Id<Actor>) -> bool {
        let supervisor = self
            .actors
            .get(actor)
            .is_some_and(|actor| actor.space == Space::SUPERVISOR);
        let mapper = || {
            let group = super::default_mappers().identity();
            let mut members = self.ipc.groups.members_of(group);
            members.any(|port| self.port_owner(port) == Some(actor))
        };
        supervisor || self.is_network_manager(actor) || mapper()
    }

    /// Whether a page may be made for an actor now, which another may pay. The payer's limit first; then what is left for others.
    ///
    /// # Errors
    /// Exceptions, as `touch`: `SUPPLY`, or `WAITS` until pages have left.
    #[inline]
    pub(in crate::memory) fn room_for(
        &mut self,
        actor: Id<Actor>,
        payer: Option<Id<Actor>>,
    ) -> Result<(), u32> {
        if let Some(payer) = payer
            && let Some(payer) = self.actors.get(payer)
            && payer.limit > 0
            && payer.pages >= payer.limit
        {
            return Err(SUPPLY);
        }
        let (free, total) = self.machine.frames();
        if free > Marks::of(total).floor {
            return Ok(());
        }
        self.last_frames(actor, free, total)
    }

    /// Whether a page may be made for an actor that pays itself, without a second thought: it is below its limit, and there are frames enough.
    #[inline(always)]
    pub(in crate::memory) fn is_roomy(&self, payer: &Actor) -> bool {
        let (free, total) = self.machine.frames();
        (payer.limit == 0 || payer.pages < payer.limit) && free > Marks::of(total).floor
    }

    /// Whether who pays for a cache may have so many pages more.
    pub(in crate::memory) fn may_grow(&self, cache: Id<Cache>, pages: u32) -> bool {
        let payer = self.cache(cache).and_then(|cache| cache.payer);
        payer
            .and_then(|payer| self.actors.get(payer))
            .is_none_or(|payer| {
                payer.limit == 0 || payer.pages.saturating_add(pages) <= payer.limit
            })
    }

    /// Whether a cache may have a page more now, without a second thought: who pays for it is below his limit, and there are frames enough.
    pub(in crate::memory) fn may_arrive(&self, cache: Id<Cache>) -> bool {
        let payer = self.cache(cache).and_then(|cache| cache.payer);
        let payer = payer.and_then(|payer| self.actors.get(payer));
        let roomy = payer.is_none_or(|payer| self.is_roomy(payer));
        self.may_grow(cache, 1) && (roomy || self.memory.pageout.at_once)
    }

    /// The same when there are few.
    #[cold]
    #[inline(never)]
    fn last_frames(&mut self, actor: Id<Actor>, free: u64, total: u64) -> Result<(), u32> {
        let floor = Marks::of(total).floor;
        if !self.memory.going.is_empty() && self.frames_left() > floor {
            return Ok(());
        }
        let small = self
            .actors
            .get(actor)
            .is_some_and(|actor| actor.pages < SMALL);
        if self.memory.pageout.at_once || self.is_needed(actor) || small && free > floor / 2 {
            return Ok(());
        }
        if !self.memory.pageout.is_on() || self.default_mapper().is_none() {
            let kept = if total < TINY { 0 } else { floor / 4 };
            return if free > kept { Ok(()) } else { Err(SUPPLY) };
        }
        Err(self.await_room(0))
    }

    /// Whether an actor can have all pages of a range at once. Errors: `K_ENOMEM`; `K_EFAULT` when it must wait for the frames.
    pub(in crate::memory) fn room_at_once(
        &mut self,
        actor: Id<Actor>,
        range: (u64, u64),
    ) -> Result<(), KError> {
        let limit = self.actors.get(actor).map_or(0, |it| u64::from(it.limit));
        if limit == 0 && !self.memory.pageout.is_on() {
            return Ok(());
        }
        let absent = |page: &u64| {
            let region = self.region_at(actor, *page);
            let cache = region.and_then(|region| Some((region.cache?, region.page_at(*page))));
            cache.is_some_and(|(cache, page)| self.memory.pages.find(cache, page).is_none())
        };
        let all = (range.0..range.1).step_by(PAGE_SIZE as usize);
        let pages = all.filter(absent).count() as u64;
        let has = self.actors.get(actor).map_or(0, |it| u64::from(it.pages));
        if limit > 0 && has + pages > limit {
            return Err(KError::NoMem);
        }
        self.room_for_many(actor, pages)
    }

    /// Whether so many frames can be taken for an actor, which does not wait later. Errors: as `room_at_once`.
    pub(in crate::memory) fn room_for_many(
        &mut self,
        actor: Id<Actor>,
        pages: u64,
    ) -> Result<(), KError> {
        let (free, total) = (self.frames_left(), self.machine.frames().1);
        let needed = pages + Marks::of(total).floor;
        let waits = self.memory.pageout.is_on()
            && !self.memory.pageout.at_once
            && !self.is_needed(actor)
            && self.default_mapper().is_some();
        if free > needed || !waits {
            return Ok(());
        }
        if needed >= total {
            return Err(KError::NoMem);
        }
        Err(crate::memory::faults::as_error(self.await_room(pages)))
    }

    /// Whether a body of more than a page, or one of an actor that has much, may take frames.
    pub(crate) fn room_for_body(&mut self, actor: Id<Actor>, pages: u64) -> bool {
        let (free, total) = self.machine.frames();
        let kept = if total < TINY {
            0
        } else {
            Marks::of(total).floor / 2
        };
        let enough = free >= kept + pages || self.frames_left() >= kept + pages;
        pages <= 1 || enough || self.memory.pageout.at_once || self.is_needed(actor)
    }

    /// The caller waits for frames, `want` of them at once. The exception to take instead: `WAITS`, or `SUPPLY` if nothing more can leave.
    fn await_room(&mut self, want: u64) -> u32 {
        if self.nothing_leaves() || self.memory.mappers.turns > TURNS {
            return SUPPLY;
        }
        let room = self.memory.pageout.room;
        let there = room
            .filter(|&id| self.request_find(|it| it.kind == Kind::Room).map(|it| it.0) == Some(id));
        let id = there.or_else(|| self.request_insert(Request::new(Kind::Room, 0, 0)));
        let Some(id) = id else { return SUPPLY };
        let pageout = &mut self.memory.pageout;
        pageout.room = Some(id);
        pageout.want = pageout.want.max(want);
        self.await_request(id);
        WAITS
    }

    /// Those who wait for frames go on if there are some, or if nothing is out that could bring any: then they see to it themselves.
    pub(in crate::memory) fn room_tell(&mut self) {
        let Some(id) = self.memory.pageout.room else {
            return;
        };
        let (free, total) = self.machine.frames();
        let enough = free > Marks::of(total).floor + self.memory.pageout.want;
        if enough || !self.is_anything_leaving() {
            self.memory.pageout.room = None;
            self.memory.pageout.want = 0;
            self.request_over(id);
        }
    }

    /// Does something that is for a thread that waits already: it takes what frames there are.
    pub(crate) fn at_once<R>(&mut self, action: impl FnOnce(&mut Self) -> R) -> R {
        let before = core::mem::replace(&mut self.memory.pageout.at_once, true);
        let result = action(self);
        self.memory.pageout.at_once = before;
        result
    }

    /// `actorLimit`.
    pub fn actor_limit(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        old: Out<u32>,
        new: In<u32>,
    ) -> Result<Outcome, KError> {
        let id = self.actor_by_cap(caller, cap)?;
        let before = self.actors.get(id).ok_or(KError::Inval)?.limit;
        let wanted = self.read_optional(caller, new)?;
        if wanted.is_some() && caller.privilege < chorus_abi::table::Privilege::System {
            return Err(KError::Priv);
        }
        self.write_optional(caller, old, &before)?;
        if let (Some(wanted), Some(actor)) = (wanted, self.actors.get_mut(id)) {
            actor.limit = wanted;
        }
        Ok(Outcome::Done(K_OK))
    }
}
