//! The straight way into a message handler and out of it: a request without a body, to a handler that nothing keeps from working on it at once.
//!
//! As on the fast path to threads everything is checked first, and then nothing fails. Whatever is not plain is left to `handling`, which this is tested against.
//! The way in is remembered, and leaves no records (`visits.rs`); the way out here is that of a thread whose records were made meanwhile.
//! The two halves need not be of the same kind: what went in straight may come out the other way, and the other way round.

use super::Current;
use super::handling::Answer;
use super::port::Port;
use super::visits::Visit;
use crate::arena::Id;
use crate::executive::thread::Thread;
use crate::machine::{Cpu, Machine, Space, Spot};
use crate::nucleus::Nucleus;
use crate::supervisor::{Arrived, Point, What};
use chorus_abi::trace::Class;
use chorus_abi::*;

/// Instead of the slot of a thread that has the processor: the caller goes into a handler.
pub(crate) const INSIDE: usize = usize::MAX;

/// The handler that a caller goes into.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Straight {
    /// Its address.
    pub routine: u64,
    /// Its second argument.
    pub cookie: u64,
    /// What came.
    pub arrived: Arrived,
}

/// Who calls, from where.
pub(super) struct Origin {
    pub(super) cpu: Cpu,
    pub(super) thread: Id<Thread>,
    pub(super) space: Space,
    /// Where its arguments are, as it said it and in memory, and the source that it named.
    pub(super) at: [u64; 3],
    pub(super) spots: [Spot; 3],
    pub(super) src_li: i32,
    /// Room for the reply, which was checked.
    pub(super) reply: KnMsgDesc,
}

impl<M: Machine> Nucleus<M> {
    /// A request to a port with a handler, whose queue is empty, from a thread that is inside nothing, without a time limit. There is room for a message.
    #[inline(always)]
    pub(super) fn straight_in(
        &mut self,
        origin: &Origin,
        (port, point): (Id<Port>, Id<Point>),
        request: &KnMsgDesc,
        dest: KnIpcDest,
    ) -> Option<usize> {
        let visitors = self.scheduler.processors.len();
        if request.body_addr != 0 && request.body_size > 0
            || self.ipc.handlings.room() < visitors
            || self.supervisor.points.invocations.room() < visitors
        {
            return None;
        }
        let annex: Option<[u8; K_CMSGANNEXSIZE]> = match request.annex_addr {
            0 => None,
            at => Some(self.machine.load(origin.space, at)?),
        };
        let entered = self.supervisor.points.points.get(point)?;
        let owner = self.actors.get(entered.owner)?;
        if entered.closed || owner.dying || owner.stopped {
            return None;
        }
        // From here on nothing fails.
        let visit = Visit {
            affairs: self.affairs(),
            at: origin.at,
            spots: origin.spots,
            src_li: origin.src_li,
            dest,
            space: origin.space,
            reply: origin.reply,
            port: port.index(),
            routine: entered.routine,
            cookie: entered.cookie,
        };
        self.ipc.visits.remember(origin.thread, visit);
        let sequence = self.ipc.ports.progress(port).map_or(0, |port| {
            port.sequence = port.sequence.wrapping_add(1);
            port.sequence
        });
        self.counters.messages += 1;
        self.goes_visiting(origin.cpu, annex.is_some());
        let straight = &mut self.ipc.straight;
        (straight.routine, straight.cookie) = (visit.routine, visit.cookie);
        straight.arrived.sequence = sequence;
        if annex.is_some() || straight.arrived.annex.is_some() {
            straight.arrived.annex = annex;
        }
        Some(INSIDE)
    }

    /// What the caller of a call that was [`crate::nucleus::Outcome::Inside`] goes into.
    #[inline(always)]
    pub fn straight(&self) -> &Straight {
        &self.ipc.straight
    }

    /// The routine that the thread on a processor is in returned: the result of its call if nothing has happened meanwhile that concerns anybody else. `None`: it is
    /// still inside, and [`Nucleus::returned`] does the rest.
    #[inline(never)]
    pub fn straight_out(&mut self, cpu: Cpu) -> Option<i32> {
        self.entered = Some(cpu);
        if self.machine.traces(Class::Message) {
            // The answer is told where everything is done.
            return None;
        }
        let id = self.running(cpu)?;
        let thread = self.threads.get_mut(id)?;
        let inside = thread.inside?;
        let invocation = self.supervisor.points.invocations.get(inside)?;
        let What::Message(handling) = invocation.what else {
            return None;
        };
        let begun = self.ipc.handlings.get(handling)?;
        let own = begun.own.as_ref()?;
        let held = thread.current == Current(Some(begun.message));
        let kept = match begun.answer {
            Answer::Open => None,
            Answer::Given(kept) => kept,
            Answer::Failed(_) => return None,
        };
        let as_it_was = invocation.is_outermost()
            && !thread.aborted
            && !thread.ending
            && !thread.dying
            && !thread.stopped
            && thread.suspended == 0
            && own.left.is_none()
            && own.deadline.is_none();
        if !held || !as_it_was || self.supervisor.points.watched() {
            return None;
        }
        let left = self.supervisor.points.points.get_mut(invocation.point)?;
        let owner = self.actors.get_mut(left.owner)?;
        if left.closed || owner.dying || left.inside == 0 || owner.guests == 0 {
            return None;
        }
        // From here on nothing fails.
        left.inside -= 1;
        owner.guests -= 1;
        thread.inside = None;
        thread.current = begun.before;
        let (message, to) = (begun.message, kept.map(|_| (own.actor, own.call)));
        self.supervisor.points.invocations.discard(inside);
        self.ipc.handlings.discard(handling);
        match self.ipc.messages.get(message) {
            Some(it) if it.kept.is_none() => self.ipc.messages.discard(message),
            _ => {
                self.message_free(message);
            }
        }
        Some(match to {
            None => K_OK,
            Some((actor, call)) => self.hand_back(actor, &call, kept),
        })
    }
}
