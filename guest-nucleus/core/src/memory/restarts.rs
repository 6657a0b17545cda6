//! Calls that wait for a mapper: they are made again when it has answered, which their check-then-commit shape allows.

use super::mappers::Request;
use super::segments::Segment;
use crate::arena::Id;
use crate::executive::thread::{Thread, Wait};
use crate::machine::{Cpu, Machine};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// A call that waits for a mapper, to be made again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restart {
    pub(super) thread: Id<Thread>,
    pub(super) request: Id<Request>,
    pub(super) segment: Option<Id<Segment>>,
    pub(super) number: usize,
    pub(super) registers: [u64; 6],
    pub(super) progress: u64,
    /// How often it has begun anew.
    pub(super) turns: u32,
}

impl<M: Machine> Nucleus<M> {
    /// What the last `await_mapper` said that must be waited for.
    pub(crate) fn awaited(&mut self) -> Option<Id<Request>> {
        let (id, _) = self.memory.mappers.awaited.take()?;
        Some(id)
    }

    /// A call failed: with its error, or because a page of a segment is not here yet. Then it waits, and is made again.
    #[cold]
    pub(crate) fn failed(
        &mut self,
        caller: Caller,
        number: usize,
        registers: &[u64; 6],
        error: KError,
    ) -> Outcome {
        let call = self.counters.calls;
        let awaited = self.memory.mappers.awaited.take();
        let Some((request, _)) = awaited.filter(|&(_, at)| error == KError::Fault && at == call)
        else {
            return Outcome::Done(error.code());
        };
        let mappers = &mut self.memory.mappers;
        let restart = Restart {
            thread: caller.thread,
            request,
            segment: mappers.requests.get(request).and_then(|out| out.segment),
            number,
            registers: *registers,
            progress: core::mem::take(&mut mappers.progress),
            turns: mappers.turns + 1,
        };
        if mappers.restarts.room() == 0 {
            self.restarts_purge();
        }
        if self.memory.mappers.restarts.insert(restart).is_none() {
            return Outcome::Done(KError::NoMem.code());
        }
        self.block(caller.thread, Wait::Mapper(request), None);
        self.relieve();
        self.room_tell();
        Outcome::Blocked
    }

    /// Forgets calls of threads that are gone.
    pub(super) fn restarts_purge(&mut self) {
        for slot in 0..self.memory.mappers.restarts.extent() {
            if let Some(id) = self.memory.mappers.restarts.at(slot)
                && let Some(restart) = self.memory.mappers.restarts.get(id)
                && self.threads.get(restart.thread).is_none()
            {
                self.memory.mappers.restarts.remove(id);
            }
        }
    }

    /// The call of the thread on a processor goes on after its wait: with its result, or, if it waited for a mapper, from the beginning. `schedule`
    /// follows as after [`Nucleus::call`].
    pub fn resume(&mut self, cpu: Cpu) -> Outcome {
        if self.memory.mappers.restarts.is_empty() {
            return Outcome::Done(self.result(cpu));
        }
        let thread = self.running(cpu);
        let all = &self.memory.mappers.restarts;
        let mine = all
            .iter()
            .find(|(_, restart)| Some(restart.thread) == thread);
        let Some((id, restart)) = mine.map(|(id, restart)| (id, *restart)) else {
            return Outcome::Done(self.result(cpu));
        };
        self.memory.mappers.restarts.remove(id);
        self.memory.mappers.progress = restart.progress;
        self.memory.mappers.turns = restart.turns;
        let outcome = self.call(cpu, restart.number, &restart.registers);
        (self.memory.mappers.progress, self.memory.mappers.turns) = (0, 0);
        if let Some(segment) = restart.segment.and_then(|id| self.memory.segments.get(id)) {
            self.cache_release(segment.cache);
        }
        outcome
    }

    /// Whether a thread has a call to make again.
    #[cfg(test)]
    pub(crate) fn resumes(&self, thread: Id<Thread>) -> bool {
        let mut all = self.memory.mappers.restarts.iter();
        all.any(|(_, restart)| restart.thread == thread)
    }
}
