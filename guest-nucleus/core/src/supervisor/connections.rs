//! Which points treat an actor's exceptions and aborts: the vectors and the single handlers (spec 3.11).

use super::points::{Maker, Point};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// Places of a vector, and behind them the one of the single handler.
pub(crate) const PLACES: usize = K_ACTOR_EXCVECT_MAX + 1;
const _: () = assert!(K_ACTOR_EXCVECT_MAX == K_ACTOR_ABORTVECT_MAX);

/// What handlers are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Vector {
    Exceptions,
    Aborts,
}

/// The handlers of an actor.
#[derive(Clone, Copy, Default)]
pub struct Handlers {
    exceptions: [Option<Id<Point>>; PLACES],
    aborts: [Option<Id<Point>>; PLACES],
}

impl Handlers {
    pub(crate) fn vector(&self, vector: Vector) -> &[Option<Id<Point>>; PLACES] {
        match vector {
            Vector::Exceptions => &self.exceptions,
            Vector::Aborts => &self.aborts,
        }
    }

    fn vector_mut(&mut self, vector: Vector) -> &mut [Option<Id<Point>>; PLACES] {
        match vector {
            Vector::Exceptions => &mut self.exceptions,
            Vector::Aborts => &mut self.aborts,
        }
    }

    fn all(&self) -> impl Iterator<Item = Id<Point>> + use<> {
        let (one, two) = (self.exceptions, self.aborts);
        one.into_iter().chain(two).flatten()
    }
}

impl<M: Machine> Nucleus<M> {
    /// A new actor has the handlers of its parent (NC-271).
    pub(crate) fn handlers_inherit(&mut self, parent: Id<Actor>, child: Id<Actor>) {
        let handlers = self.actors.get(parent).map(|actor| actor.handlers);
        let handlers = handlers.unwrap_or_default();
        if let Some(child) = self.actors.get_mut(child) {
            child.handlers = handlers;
        }
        for point in handlers.all() {
            self.point_connected(point);
        }
    }

    /// An actor dies: its handlers have one actor less.
    pub(crate) fn handlers_end(&mut self, actor: Id<Actor>) {
        let handlers = self
            .actors
            .get_mut(actor)
            .map(|actor| core::mem::take(&mut actor.handlers));
        for point in handlers.unwrap_or_default().all() {
            self.point_disconnected(point);
        }
    }

    /// A point is closed: it is nobody's handler any more.
    pub(crate) fn handlers_forget(&mut self, point: Id<Point>) {
        for slot in 0..self.actors.extent() {
            let Some(actor) = self
                .actors
                .at(slot)
                .and_then(|actor| self.actors.get_mut(actor))
            else {
                continue;
            };
            let handlers = &mut actor.handlers;
            for place in handlers.exceptions.iter_mut().chain(&mut handlers.aborts) {
                if *place == Some(point) {
                    *place = None;
                }
            }
        }
    }

    pub(crate) fn handler_at(
        &self,
        actor: Id<Actor>,
        vector: Vector,
        index: usize,
    ) -> Option<Id<Point>> {
        *self.actors.get(actor)?.handlers.vector(vector).get(index)?
    }

    fn handler_set(
        &mut self,
        actor: Id<Actor>,
        vector: Vector,
        index: usize,
        new: Option<Id<Point>>,
    ) {
        if let Some(new) = new {
            self.point_connected(new);
        }
        let old = self
            .actors
            .get_mut(actor)
            .and_then(|actor| actor.handlers.vector_mut(vector).get_mut(index))
            .and_then(|place| core::mem::replace(place, new));
        if let Some(old) = old {
            self.point_disconnected(old);
        }
    }

    fn set_single(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        routine: u64,
        vector: Vector,
    ) -> Result<Outcome, KError> {
        let actor = self.actor_by_cap(caller, cap)?;
        let point = match routine {
            0 => None,
            _ => Some(self.point_make(caller.actor, (routine, 0), Maker::Connection)?),
        };
        self.handler_set(actor, vector, PLACES - 1, point);
        Ok(Outcome::Done(K_OK))
    }

    fn vector_place(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        index: i32,
    ) -> Result<(Id<Actor>, usize), KError> {
        let actor = self.actor_by_cap(caller, cap)?;
        let index = usize::try_from(index).ok();
        let index = index.filter(|&index| index < K_ACTOR_EXCVECT_MAX);
        Ok((actor, index.ok_or(KError::Inval)?))
    }

    fn vector_connect(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        index: i32,
        lap: In<KnLapDesc>,
        vector: Vector,
    ) -> Result<Outcome, KError> {
        let (actor, index) = self.vector_place(caller, cap, index)?;
        let point = self.lap(caller, lap)?;
        if self.actors.get(actor).is_some_and(|actor| actor.dying) {
            return Err(KError::Inval);
        }
        if self.handler_at(actor, vector, index).is_some() {
            return Err(KError::Busy);
        }
        self.handler_set(actor, vector, index, Some(point));
        Ok(Outcome::Done(K_OK))
    }

    fn vector_disconnect(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        index: i32,
        lap: In<KnLapDesc>,
        vector: Vector,
    ) -> Result<Outcome, KError> {
        let (actor, index) = self.vector_place(caller, cap, index)?;
        let connected = self.handler_at(actor, vector, index).ok_or(KError::Inval)?;
        if !lap.is_null() && self.lap(caller, lap)? != connected {
            return Err(KError::Inval);
        }
        self.handler_set(actor, vector, index, None);
        Ok(Outcome::Done(K_OK))
    }

    fn vector_connected(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        index: i32,
        lap: Out<KnLapDesc>,
        vector: Vector,
    ) -> Result<Outcome, KError> {
        let (actor, index) = self.vector_place(caller, cap, index)?;
        let connected = self.handler_at(actor, vector, index).ok_or(KError::Inval)?;
        let desc = self.lap_desc(connected).ok_or(KError::Inval)?;
        self.write(caller, lap, &desc)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `svExcHandler` (NC-270, NC-271).
    pub fn sv_exc_handler(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        routine: u64,
    ) -> Result<Outcome, KError> {
        self.set_single(caller, cap, routine, Vector::Exceptions)
    }

    /// `svAbortHandler`.
    pub fn sv_abort_handler(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        routine: u64,
    ) -> Result<Outcome, KError> {
        self.set_single(caller, cap, routine, Vector::Aborts)
    }

    /// `svActorExcHandlerConnect`.
    pub fn sv_actor_exc_handler_connect(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        index: i32,
        lap: In<KnLapDesc>,
    ) -> Result<Outcome, KError> {
        self.vector_connect(caller, cap, index, lap, Vector::Exceptions)
    }

    /// `svActorExcHandlerDisconnect`.
    pub fn sv_actor_exc_handler_disconnect(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        index: i32,
        lap: In<KnLapDesc>,
    ) -> Result<Outcome, KError> {
        self.vector_disconnect(caller, cap, index, lap, Vector::Exceptions)
    }

    /// `svActorExcHandlerGetConnected`.
    pub fn sv_actor_exc_handler_get_connected(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        index: i32,
        lap: Out<KnLapDesc>,
    ) -> Result<Outcome, KError> {
        self.vector_connected(caller, cap, index, lap, Vector::Exceptions)
    }

    /// `svActorAbortHandlerConnect`.
    pub fn sv_actor_abort_handler_connect(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        index: i32,
        lap: In<KnLapDesc>,
    ) -> Result<Outcome, KError> {
        self.vector_connect(caller, cap, index, lap, Vector::Aborts)
    }

    /// `svActorAbortHandlerDisconnect`.
    pub fn sv_actor_abort_handler_disconnect(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        index: i32,
        lap: In<KnLapDesc>,
    ) -> Result<Outcome, KError> {
        self.vector_disconnect(caller, cap, index, lap, Vector::Aborts)
    }

    /// `svActorAbortHandlerGetConnected`.
    pub fn sv_actor_abort_handler_get_connected(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        index: i32,
        lap: Out<KnLapDesc>,
    ) -> Result<Outcome, KError> {
        self.vector_connected(caller, cap, index, lap, Vector::Aborts)
    }
}
