//! Points: routines of supervisor actors that the Nucleus calls in the threads of others, and who is inside them.
//!
//! Every handler is one: of exceptions, aborts, traps, interrupts, and the local access points that programs make themselves. A thread that is inside
//! works for the point's owner (its *execution actor*) until the routine returns, and can be inside several, one within the other. A point that is
//! closed lets nobody in; it goes when the last has left. When an actor is deleted its points are closed first, and its memory stays until nobody is
//! inside: whoever is there is put out, and sees the routine fail.

use super::upcall::{Trouble, Upcall};
use crate::arena::{Arena, Id};
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, Wait};
use crate::ipc::Handling;
use crate::machine::{Cpu, Machine};
use crate::nucleus::{Nucleus, Outcome};
use chorus_abi::*;

/// Points inside which a thread can be at once: its kernel stack bears no more.
const DEPTH: usize = 8;

/// What a point was made by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Maker {
    /// A connection that names a routine; it goes with it.
    Connection,
    /// `svLapCreate`; whether it is safe.
    Lap(bool),
    /// `svSoftIntrDeclare`.
    Soft,
}

/// A routine of a supervisor actor.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Whose it is.
    pub(crate) owner: Id<Actor>,
    /// Its address.
    pub(crate) routine: u64,
    /// What the routine gets beside its argument.
    pub(crate) cookie: u64,
    pub(crate) maker: Maker,
    /// Key of its descriptor.
    pub(crate) key: u64,
    /// Places that it is connected at.
    pub(crate) places: u32,
    /// Threads and processors inside.
    pub(crate) inside: u32,
    /// Nobody enters any more.
    pub(crate) closed: bool,
}

/// Why a thread is inside a point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// It took an exception.
    Exception(Trouble),
    /// It trapped.
    Trap {
        /// Number of the trap.
        number: u32,
        /// What the trap becomes if its handler is lost.
        trouble: Trouble,
    },
    /// It was aborted; the next place of the vector.
    Abort(usize),
    /// It called a LAP, with this argument.
    Lap(u64),
    /// It works on a message.
    Message(Id<Handling>),
}

/// A thread inside a point.
#[derive(Clone, Copy, Debug)]
pub struct Invocation {
    pub(crate) point: Id<Point>,
    /// The execution actor.
    pub(crate) actor: Id<Actor>,
    pub(crate) what: What,
    /// Where it was before.
    below: Option<Id<Invocation>>,
}

impl Invocation {
    /// Of a thread that is inside nothing else.
    #[inline(always)]
    pub(crate) fn outermost(point: Id<Point>, actor: Id<Actor>, what: What) -> Invocation {
        Invocation {
            point,
            actor,
            what,
            below: None,
        }
    }

    /// Whether the thread is inside nothing else.
    #[inline(always)]
    pub(crate) fn is_outermost(&self) -> bool {
        self.below.is_none()
    }
}

/// Points, and the threads inside.
pub(crate) struct Points {
    pub points: Arena<Point>,
    pub invocations: Arena<Invocation>,
    /// Threads that wait for others to leave.
    watchers: usize,
}

impl Points {
    pub fn new(inside: usize) -> Self {
        Points {
            points: Arena::new(1024),
            invocations: Arena::new(inside),
            watchers: 0,
        }
    }
}

impl Points {
    /// Whether somebody waits for threads to leave.
    #[inline(always)]
    pub(crate) fn watched(&self) -> bool {
        self.watchers > 0
    }
}

impl<M: Machine> Nucleus<M> {
    /// Whether an address may be a routine of a supervisor actor.
    pub(crate) fn is_routine(&self, address: u64) -> bool {
        let (low, high) = self.machine.space_bounds(crate::machine::Space::SUPERVISOR);
        (low..high).contains(&address)
    }

    /// Makes a point of a live supervisor actor. Errors: `K_EINVAL` neither such an actor nor a routine; `K_ENOMEM`.
    pub(crate) fn point_make(
        &mut self,
        owner: Id<Actor>,
        (routine, cookie): (u64, u64),
        maker: Maker,
    ) -> Result<Id<Point>, KError> {
        let actor = self.actors.get(owner).ok_or(KError::Inval)?;
        if actor.kind != K_SUPACTOR || actor.dying || !self.is_routine(routine) {
            return Err(KError::Inval);
        }
        let key = self.machine.random();
        let point = Point {
            owner,
            routine,
            cookie,
            maker,
            key,
            places: 0,
            inside: 0,
            closed: false,
        };
        self.supervisor
            .points
            .points
            .insert(point)
            .ok_or(KError::NoMem)
    }

    pub(crate) fn point(&self, id: Id<Point>) -> Option<&Point> {
        self.supervisor.points.points.get(id)
    }

    pub(crate) fn point_mut(&mut self, id: Id<Point>) -> Option<&mut Point> {
        self.supervisor.points.points.get_mut(id)
    }

    /// A point is connected at a further place.
    pub(crate) fn point_connected(&mut self, id: Id<Point>) {
        if let Some(point) = self.point_mut(id) {
            point.places += 1;
        }
    }

    /// A point is connected at one place less; one that was made for that goes.
    pub(crate) fn point_disconnected(&mut self, id: Id<Point>) {
        let Some(point) = self.point_mut(id) else {
            return;
        };
        point.places = point.places.saturating_sub(1);
        if point.places == 0 && point.maker == Maker::Connection {
            self.point_close(id);
        }
    }

    /// Nobody enters a point any more.
    pub(crate) fn point_close(&mut self, id: Id<Point>) {
        let Some(point) = self.point_mut(id) else {
            return;
        };
        point.closed = true;
        let (connected, empty) = (point.places > 0, point.inside == 0);
        if connected {
            self.handlers_forget(id);
            self.traps_forget(id);
            self.interrupts_forget(id);
        }
        self.names_forget(id);
        self.soft_forget(id);
        self.system_timeouts_forget(id);
        if empty {
            self.supervisor.points.points.remove(id);
        }
    }

    /// A processor or thread goes in. The point is open.
    pub(crate) fn point_enter(&mut self, id: Id<Point>) {
        if let Some(point) = self.point_mut(id) {
            point.inside += 1;
            let owner = point.owner;
            if let Some(actor) = self.actors.get_mut(owner) {
                actor.guests += 1;
            }
        }
    }

    /// And comes out: what waited for that goes on.
    pub(crate) fn point_leave(&mut self, id: Id<Point>) {
        let Some(point) = self.point_mut(id) else {
            return;
        };
        point.inside = point.inside.saturating_sub(1);
        let (owner, gone) = (point.owner, point.closed && point.inside == 0);
        if gone {
            self.supervisor.points.points.remove(id);
        }
        self.somebody_left(id);
        self.guest_left(owner);
    }

    /// Somebody who worked for an actor does so no more: one that was to be deleted may go then.
    pub(crate) fn guest_left(&mut self, owner: Id<Actor>) {
        let last = self.actors.get_mut(owner).is_some_and(|actor| {
            actor.guests = actor.guests.saturating_sub(1);
            actor.dying && actor.guests == 0 && actor.threads == 0
        });
        if last {
            self.bury_actor(owner);
        }
    }

    /// Wakes who waits for a point, or for a trap's use of it, to be empty.
    fn somebody_left(&mut self, id: Id<Point>) {
        if self.supervisor.points.watchers == 0 {
            return;
        }
        let empty = self.point(id).is_none_or(|point| point.inside == 0);
        for slot in 0..self.threads.extent() {
            let Some(thread) = self.threads.at(slot) else {
                continue;
            };
            let over = match self.threads.get(thread).map(|thread| thread.wait) {
                Some(Wait::Point(at)) => at == id && empty,
                Some(Wait::Trap(at, number)) => at == id && !self.traps_inside(id, number),
                _ => false,
            };
            if over {
                self.supervisor.points.watchers -= 1;
                self.wake(thread, K_OK);
            }
        }
    }

    /// A thread that waits for a point dies or is put out.
    pub(crate) fn unwatch(&mut self, wait: Wait) {
        if matches!(wait, Wait::Point(_) | Wait::Trap(..)) {
            self.supervisor.points.watchers = self.supervisor.points.watchers.saturating_sub(1);
        }
    }

    /// The caller waits until nobody else is inside; one that is inside itself does not wait.
    pub(crate) fn await_point(&mut self, caller: Id<Thread>, id: Id<Point>) -> Outcome {
        let busy = self.point(id).is_some_and(|point| point.inside > 0);
        self.await_empty(caller, id, busy, Wait::Point(id))
    }

    /// The same for the threads that trapped.
    pub(crate) fn await_trap(&mut self, caller: Id<Thread>, id: Id<Point>, number: u32) -> Outcome {
        let busy = self.traps_inside(id, number);
        self.await_empty(caller, id, busy, Wait::Trap(id, number))
    }

    fn await_empty(
        &mut self,
        caller: Id<Thread>,
        id: Id<Point>,
        busy: bool,
        wait: Wait,
    ) -> Outcome {
        if !busy || self.chain(caller).any(|invocation| invocation.point == id) {
            return Outcome::Done(K_OK);
        }
        self.supervisor.points.watchers += 1;
        self.block(caller, wait, None);
        Outcome::Blocked
    }

    fn traps_inside(&self, id: Id<Point>, trap: u32) -> bool {
        self.supervisor
            .points
            .invocations
            .iter()
            .any(|(_, invocation)| {
                invocation.point == id
                    && matches!(invocation.what, What::Trap { number, .. } if number == trap)
            })
    }

    /// Where a thread is inside, innermost first.
    pub(crate) fn chain(&self, thread: Id<Thread>) -> impl Iterator<Item = &Invocation> {
        let mut next = self.threads.get(thread).and_then(|thread| thread.inside);
        core::iter::from_fn(move || {
            let invocation = self.supervisor.points.invocations.get(next?)?;
            next = invocation.below;
            Some(invocation)
        })
    }

    /// Why a thread is inside the innermost point that it is in.
    pub(crate) fn innermost(&self, thread: Id<Thread>) -> Option<What> {
        self.chain(thread).next().map(|invocation| invocation.what)
    }

    /// The actor that a thread works for now.
    pub(crate) fn execution_actor(&self, thread: Id<Thread>) -> Option<Id<Actor>> {
        let found = self.threads.get(thread)?;
        match found.inside {
            Some(inside) => self
                .supervisor
                .points
                .invocations
                .get(inside)
                .map(|invocation| invocation.actor),
            None => Some(found.works_for.unwrap_or(found.actor)),
        }
    }

    /// Threads and processors inside an actor's points.
    #[cfg(test)]
    pub(crate) fn guests_inside(&self, actor: Id<Actor>) -> u32 {
        let points = self.supervisor.points.points.iter();
        points
            .filter(|(_, point)| point.owner == actor)
            .map(|(_, point)| point.inside)
            .sum()
    }

    /// Points, threads inside, names and attached handlers: what is left when all actors are gone.
    #[cfg(test)]
    pub(crate) fn points_left(&self) -> [usize; 4] {
        let room = &self.supervisor;
        let points = &room.points;
        let (names, attached) = (
            room.names.count(),
            room.interrupts.count() + room.timeouts.count() + room.drivers.count(),
        );
        [
            points.points.len(),
            points.invocations.len(),
            names,
            attached,
        ]
    }

    /// Whether a thread is inside as many points as it can be.
    pub(crate) fn is_deep(&self, thread: Id<Thread>) -> bool {
        self.chain(thread).count() >= DEPTH
    }

    /// Whether a thread may go into a point: it is open, and not too many are inside.
    pub(crate) fn may_invoke(&self, thread: Id<Thread>, id: Id<Point>) -> bool {
        // One that is being deleted goes nowhere: nobody would see it come out.
        let alive = self.threads.get(thread).is_some_and(|it| !it.dying);
        let open = self.point(id).is_some_and(|point| !point.closed);
        alive && open && !self.is_deep(thread) && self.supervisor.points.invocations.has_room()
    }

    /// A thread goes into a point. `None`: the point is closed, or too many are inside.
    pub(crate) fn invoke(
        &mut self,
        thread: Id<Thread>,
        id: Id<Point>,
        what: What,
    ) -> Option<Upcall> {
        if !self.may_invoke(thread, id) {
            return None;
        }
        let point = *self.point(id)?;
        let below = self.threads.get(thread)?.inside;
        let invocation = Invocation {
            point: id,
            actor: point.owner,
            what,
            below,
        };
        let inside = self.supervisor.points.invocations.insert(invocation)?;
        if let Some(thread) = self.threads.get_mut(thread) {
            thread.inside = Some(inside);
        }
        self.point_enter(id);
        Some(Upcall {
            routine: point.routine,
            cookie: point.cookie,
            lap: matches!(point.maker, Maker::Lap(_)),
            what: what.into(),
        })
    }

    /// A thread comes out of the innermost point that it is in. One that was to die meanwhile dies when it has come out of the last.
    pub(crate) fn come_out(&mut self, thread: Id<Thread>) -> Option<Invocation> {
        let inside = self.threads.get(thread)?.inside?;
        let invocation = self.supervisor.points.invocations.remove(inside)?;
        let ends = self.threads.get_mut(thread).is_some_and(|thread| {
            thread.inside = invocation.below;
            thread.inside.is_none() && thread.ending
        });
        self.point_leave(invocation.point);
        if ends {
            self.kill_thread(thread);
        } else {
            // Outside, it may be suspended or stopped.
            self.requeue(thread);
        }
        Some(invocation)
    }

    /// Whether the thread on a processor must not go on where it is inside: the actor is being deleted.
    pub fn doomed(&self, cpu: Cpu) -> bool {
        self.running(cpu)
            .and_then(|thread| self.chain(thread).next())
            .is_some_and(|invocation| {
                self.actors
                    .get(invocation.actor)
                    .is_none_or(|actor| actor.dying)
            })
    }

    /// An actor is being deleted: its points are closed, and the threads of others inside are put out.
    pub(crate) fn points_end(&mut self, actor: Id<Actor>) {
        self.system_timeouts_end(actor);
        for slot in 0..self.supervisor.points.points.extent() {
            if let Some(id) = self.supervisor.points.points.at(slot)
                && self.point(id).is_some_and(|point| point.owner == actor)
            {
                self.point_close(id);
            }
        }
        for slot in 0..self.threads.extent() {
            if let Some(thread) = self.threads.at(slot)
                && self
                    .threads
                    .get(thread)
                    .is_some_and(|thread| thread.inside.is_some())
                && self.execution_actor(thread) == Some(actor)
            {
                self.put_out(thread);
            }
        }
    }

    /// Whatever a thread waits for inside a point that is lost, it waits no longer; the machine sees to it that it comes out.
    fn put_out(&mut self, thread: Id<Thread>) {
        let Some(found) = self.threads.get(thread) else {
            return;
        };
        let wait = found.wait;
        if wait == Wait::None {
            // If it runs on another processor, that one looks again.
            return self.requeue(thread);
        }
        self.unwatch(wait);
        if matches!(wait, Wait::Mutex(_)) {
            self.mutex_undo(thread);
        }
        self.end_wait(thread, KError::Abort);
    }
}
