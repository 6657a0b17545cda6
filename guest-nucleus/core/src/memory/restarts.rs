//! Calls that go on later: those that wait for a mapper, and those that have more to do than fits in one step.
//!
//! A call is made again from its beginning, which its check-then-commit shape allows, and finds how far it came: a number, and pages that it prepared where nobody sees
//! them. One that waits for a mapper is made again when that has answered; one that *pauses* has its thread stay able to run, so that the kernel
//! hears interrupts, runs whoever is more urgent, and has the call made again when its thread is the best. All that a step leaves behind
//! is kept with the thread, and goes with it.

use super::caches::Cache;
use super::loader::Loading;
use super::mappers::Request;
use super::segments::Segment;
use super::steps::Mapping;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, Wait};
use crate::machine::{Cpu, Machine};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// In the progress of a call that has two phases: it is in the second one; below that, how far.
pub(super) const SECOND: u64 = 1 << 32;

/// What is done when it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Again {
    /// The call of this number is made with these registers.
    Call(usize, [u64; 6]),
    /// Pages are mapped; the call has succeeded.
    Map(Mapping),
}

/// A call that goes on later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restart {
    thread: Id<Thread>,
    /// What it waits for; `None`: it pauses.
    request: Option<Id<Request>>,
    pub(super) segment: Option<Id<Segment>>,
    again: Again,
    progress: u64,
    /// Pages that it prepared.
    prepared: Option<Id<Cache>>,
    /// Pages of an actor that are to be unlocked if it goes no further.
    locked: Option<(Id<Actor>, (u64, u64))>,
    /// What it loads.
    loading: Option<Id<Loading>>,
    /// How often it has waited.
    turns: u32,
}

impl Restart {
    /// Whose call it is.
    pub(super) fn thread(&self) -> Id<Thread> {
        self.thread
    }
}

impl<M: Machine> Nucleus<M> {
    /// What the last `await_mapper` said that must be waited for.
    pub(crate) fn awaited(&mut self) -> Option<Id<Request>> {
        let (id, _) = self.memory.mappers.awaited.take()?;
        id
    }

    /// The call has done as much as fits in one step: it begins anew, with this progress, when whoever is more urgent has run. The error to leave with.
    pub(super) fn pause(&mut self, progress: u64) -> KError {
        self.memory.mappers.progress = progress;
        self.memory.mappers.awaited = Some((None, self.counters.calls));
        KError::Fault
    }

    /// A call failed: with its error, or because it cannot go on yet. Then it is made again later.
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
            self.memory.mappers.progress = 0;
            self.prepared_release();
            return Outcome::Done(error.code());
        };
        let again = Again::Call(number, *registers);
        if !self.restart(caller.thread, request, again) {
            if let Some(segment) = self.memory.mappers.held.take()
                && let Some(segment) = self.memory.segments.get(segment)
            {
                self.cache_release(segment.cache);
            }
            self.prepared_release();
            return Outcome::Done(KError::NoMem.code());
        }
        Outcome::Blocked
    }

    /// A thread's call goes on later. `false`: there is no room to note that.
    pub(super) fn restart(
        &mut self,
        thread: Id<Thread>,
        request: Option<Id<Request>>,
        again: Again,
    ) -> bool {
        if !self.memory.mappers.restarts.has_room() {
            return false;
        }
        let mappers = &mut self.memory.mappers;
        let restart = Restart {
            thread,
            request,
            segment: mappers.held.take().or_else(|| {
                let request = request.and_then(|request| mappers.requests.get(request));
                request.and_then(|out| out.segment)
            }),
            again,
            progress: core::mem::take(&mut mappers.progress),
            prepared: mappers.prepared.take(),
            locked: mappers.locked.take(),
            loading: mappers.loading.take(),
            turns: mappers.turns + u32::from(request.is_some()),
        };
        mappers.restarts.insert(restart);
        match request {
            Some(request) => {
                self.block(thread, Wait::Mapper(request), None);
                self.relieve();
                self.room_tell();
            }
            None => self.deadlines_changed(),
        }
        true
    }

    /// The call of a thread that waited has succeeded, but for pages that are to be mapped when it runs.
    pub(super) fn maps_later(&mut self, thread: Id<Thread>, mapping: Mapping) {
        // There is room for one of each thread.
        self.memory.mappers.restarts.insert(Restart {
            thread,
            request: None,
            segment: None,
            again: Again::Map(mapping),
            progress: 0,
            prepared: None,
            locked: None,
            loading: None,
            turns: 0,
        });
    }

    /// A call that was to go on will not: its thread dies, or goes elsewhere.
    #[inline]
    pub(crate) fn restart_forget(&mut self, thread: Id<Thread>) {
        if !self.memory.mappers.restarts.is_empty() {
            self.restart_drop(thread);
        }
    }

    #[cold]
    #[inline(never)]
    fn restart_drop(&mut self, thread: Id<Thread>) {
        let Some((id, restart)) = self.restart_of(thread) else {
            return;
        };
        self.memory.mappers.restarts.remove(id);
        let mappers = &mut self.memory.mappers;
        // It may be a call under way that ends the other.
        let own = (mappers.prepared, mappers.locked, mappers.loading);
        (mappers.prepared, mappers.locked, mappers.loading) =
            (restart.prepared, restart.locked, restart.loading);
        self.prepared_release();
        let mappers = &mut self.memory.mappers;
        (mappers.prepared, mappers.locked, mappers.loading) = own;
        if let Some(segment) = restart.segment.and_then(|id| self.memory.segments.get(id)) {
            self.cache_release(segment.cache);
        }
    }

    fn restart_of(&self, thread: Id<Thread>) -> Option<(Id<Restart>, Restart)> {
        let mut all = self.memory.mappers.restarts.iter();
        all.find(|(_, restart)| restart.thread == thread)
            .map(|(id, restart)| (id, *restart))
    }

    /// What the call under way prepared and did not use goes.
    fn prepared_release(&mut self) {
        if let Some(cache) = self.memory.mappers.prepared.take() {
            self.cache_release(cache);
        }
        self.locked_release();
        self.loading_release();
    }

    /// Whether the call under way has said that it must wait.
    pub(super) fn is_awaiting(&self) -> bool {
        let awaited = self.memory.mappers.awaited;
        awaited.is_some_and(|(_, at)| at == self.counters.calls)
    }

    /// Whether the thread on a processor pauses in a call: interrupts are to be heard before it goes on.
    #[inline]
    pub fn pauses(&self, cpu: Cpu) -> bool {
        if self.memory.mappers.restarts.is_empty() {
            return false;
        }
        let restart = self.running(cpu).and_then(|thread| self.restart_of(thread));
        restart.is_some_and(|(_, restart)| restart.request.is_none())
    }

    /// The call of the thread on a processor goes on after its wait: with its result, or, if it waited for a mapper or paused, from the beginning. `schedule`
    /// follows as after [`Nucleus::call`].
    pub fn resume(&mut self, cpu: Cpu) -> Outcome {
        if self.memory.mappers.restarts.is_empty() {
            return Outcome::Done(self.result(cpu));
        }
        let mine = self.running(cpu).and_then(|thread| self.restart_of(thread));
        let Some((id, restart)) = mine else {
            return Outcome::Done(self.result(cpu));
        };
        self.entered = Some(cpu);
        let mappers = &mut self.memory.mappers;
        mappers.restarts.remove(id);
        mappers.progress = restart.progress;
        mappers.turns = restart.turns;
        mappers.prepared = restart.prepared;
        mappers.locked = restart.locked;
        mappers.loading = restart.loading;
        let outcome = match restart.again {
            Again::Call(number, registers) => self.call(cpu, number, &registers),
            Again::Map(mapping) => self.map_on(restart.thread, mapping),
        };
        (self.memory.mappers.progress, self.memory.mappers.turns) = (0, 0);
        self.prepared_release();
        if let Some(segment) = restart.segment.and_then(|id| self.memory.segments.get(id)) {
            self.cache_release(segment.cache);
        }
        outcome
    }

    /// Whether a thread has a call to make again.
    #[cfg(test)]
    pub(crate) fn resumes(&self, thread: Id<Thread>) -> bool {
        self.restart_of(thread).is_some()
    }

    /// Whether a cache is one that a call prepares.
    #[cfg(test)]
    pub(super) fn is_prepared(&self, cache: Id<Cache>) -> bool {
        let mut all = self.memory.mappers.restarts.iter();
        all.any(|(_, restart)| restart.prepared == Some(cache))
    }

    /// Calls that go on are those of threads that are there, one each.
    #[cfg(test)]
    pub(crate) fn check_restarts(&self) {
        let all = &self.memory.mappers.restarts;
        for (_, restart) in all.iter() {
            let thread = self.threads.get(restart.thread);
            let thread = thread.expect("a call of a thread that is gone goes on");
            assert!(!thread.dying, "a call of a thread that dies goes on");
            let same = |(_, other): &(_, &Restart)| other.thread == restart.thread;
            assert_eq!(all.iter().filter(same).count(), 1);
            if restart.request.is_none() {
                assert_eq!(thread.wait, Wait::None, "who pauses waits for nothing");
            }
        }
    }
}
