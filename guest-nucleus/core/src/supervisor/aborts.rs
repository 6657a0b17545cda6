//! Abort handlers: what runs when an aborted thread goes back to its own code (spec 3.11, 6.4).

use super::connections::{PLACES, Vector};
use super::points::What;
use super::upcall::Upcall;
use crate::arena::Id;
use crate::executive::thread::Thread;
use crate::machine::{Cpu, Machine};
use crate::nucleus::{Caller, Nucleus};

impl<M: Machine> Nucleus<M> {
    /// Whether a thread's actor has somebody who treats aborts.
    pub(crate) fn treats_aborts(&self, thread: Id<Thread>) -> bool {
        let home = self
            .threads
            .get(thread)
            .and_then(|thread| self.actors.get(thread.works_for.unwrap_or(thread.actor)));
        home.is_some_and(|home| {
            home.handlers
                .vector(Vector::Aborts)
                .iter()
                .any(Option::is_some)
        })
    }

    /// Whether the thread on a processor is aborted, outside, and its actor treats aborts: then the machine asks [`Nucleus::homecoming`] before the thread's
    /// own code goes on.
    pub fn is_aborted(&self, cpu: Cpu) -> bool {
        let Some(id) = self.running(cpu) else {
            return false;
        };
        self.threads
            .get(id)
            .is_some_and(|thread| thread.aborted && thread.inside.is_none())
            && self.treats_aborts(id)
    }

    /// The thread on a processor goes back to its own code: the first abort handler, if it was aborted. The mark is used up.
    pub fn homecoming(&mut self, cpu: Cpu) -> Option<Upcall> {
        if !self.is_aborted(cpu) {
            return None;
        }
        let caller = self.caller(cpu)?;
        self.consume_abort(caller.thread);
        self.abort_next(caller, 0)
    }

    /// The next abort handler: all of them run.
    pub(crate) fn abort_next(&mut self, caller: Caller, mut next: usize) -> Option<Upcall> {
        while next < PLACES {
            let handler = self.handler_at(caller.actor, Vector::Aborts, next);
            next += 1;
            if let Some(handler) = handler
                && let Some(upcall) = self.invoke(caller.thread, handler, What::Abort(next))
            {
                return Some(upcall);
            }
        }
        None
    }
}
