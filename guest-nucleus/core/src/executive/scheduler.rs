//! Who runs: on k processors the k most urgent runnable threads (spec 5).
//!
//! One queue a priority level and a bitmap over them. A thread that becomes runnable takes the processor that runs the least urgent
//! thread, if that one is less urgent. Within a level: a preempted thread goes to the head, one whose slice is used up, or that yields, to the end.

use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::classes::{Class, WHOLE_SLICE};
use crate::executive::queues::NOBODY;
pub use crate::executive::queues::Scheduler;
use crate::executive::thread::{Thread, Wait, local_identifier};
use crate::ipc::Luggage;
use crate::machine::{Cpu, Machine};
use crate::nucleus::{Nucleus, Outcome};
use chorus_abi::*;

/// What a processor does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// The thread that it runs goes on.
    Same,
    /// The thread in this slot runs.
    Thread(usize),
    /// Nothing is to be run.
    Idle,
    /// No thread is to be run but what goes is to be given back: [`Nucleus::reap`], then `schedule`, until it says something else.
    Reap,
}

/// One processor.
#[derive(Clone, Default)]
pub struct Processor {
    /// Which one it is.
    pub(crate) cpu: u16,
    /// The thread on it; none if that is a visitor.
    pub current: Option<Id<Thread>>,
    /// The thread on it, if it is inside a handler without records.
    pub(crate) visitor: Option<Id<Thread>>,
    /// What is known of that.
    pub(crate) luggage: Luggage,
    /// The thread that `switched` has to finish.
    previous: Option<Id<Thread>>,
    /// When its slice ends.
    pub slice_end: Option<u64>,
    /// When its timer was last told to fire.
    pub(crate) due: Option<u64>,
    /// Its thread gives way to equals.
    yielding: bool,
}

impl Processor {
    /// One that runs nothing yet.
    pub(super) fn idle(cpu: Cpu) -> Self {
        Processor {
            cpu: cpu as u16,
            ..Processor::default()
        }
    }
}

impl Thread {
    /// Whether it may run (spec 2.3).
    #[inline]
    pub(crate) fn is_runnable(&self) -> bool {
        self.active
            && (self.suspended == 0 && !self.stopped || self.inside.is_some())
            && matches!(self.wait, Wait::None)
            && !self.dying
    }
}

impl<M: Machine> Nucleus<M> {
    /// Whether a thread may run (spec 2.3).
    pub(crate) fn runnable(&self, id: Id<Thread>) -> bool {
        self.threads.get(id).is_some_and(Thread::is_runnable)
    }

    /// A thread may have become runnable: queues it, and preempts the processor with the least urgent thread.
    pub(crate) fn ready(&mut self, id: Id<Thread>) {
        let Some(thread) = self.threads.get(id) else {
            return;
        };
        if !thread.is_runnable() || self.scheduler.is_queued(id.index()) {
            return;
        }
        if let Some(cpu) = thread.cpu {
            // It is still where it was: it goes on there unless something else is better.
            return self.poke(cpu);
        }
        let level = self.absolute_of(thread) as u8;
        if let Some(thread) = self.threads.progress(id) {
            thread.quantum = WHOLE_SLICE;
        }
        self.scheduler.enqueue(id.index(), level, false);
        self.offer(id, level);
    }

    /// As [`Nucleus::ready`], at the head of its queue: a thread that inherits a better priority.
    pub(crate) fn ready_first(&mut self, id: Id<Thread>) {
        self.ready(id);
        if self.scheduler.is_queued(id.index()) {
            let level = self.absolute(id) as u8;
            self.scheduler.dequeue(id.index());
            self.scheduler.enqueue(id.index(), level, true);
        }
    }

    /// Has a processor choose again: now if it is the one in the Nucleus, else by a kick.
    pub(crate) fn poke(&mut self, cpu: Cpu) {
        if self.entered == Some(cpu) {
            self.scheduler.changed = true;
        } else {
            self.counters.ipis += 1;
            self.machine.kick(cpu);
        }
    }

    /// A thread must not be picked any more; one that runs elsewhere is kicked off.
    pub(crate) fn unready(&mut self, id: Id<Thread>) {
        self.scheduler.dequeue(id.index());
        if let Some(cpu) = self.threads.get(id).and_then(|thread| thread.cpu) {
            self.poke(cpu);
        }
    }

    /// What a thread may do has changed: it is queued anew if it can run, as one can that is held but inside a point, and not if it cannot.
    pub(crate) fn requeue(&mut self, id: Id<Thread>) {
        self.unready(id);
        self.ready(id);
    }

    /// A deadline changed: the processor in the Nucleus sets its timer anew.
    pub(crate) fn deadlines_changed(&mut self) {
        self.scheduler.changed = true;
    }

    /// The caller's thread gives way to its equals at the next `schedule`.
    pub(crate) fn give_way(&mut self, cpu: Cpu) {
        self.scheduler.changed = true;
        if let Some(processor) = self.scheduler.processors.get_mut(cpu) {
            processor.yielding = true;
        }
    }

    /// A thread begins to wait. It runs again by [`Nucleus::wake`], at its deadline, or by an abort.
    pub(crate) fn block(&mut self, id: Id<Thread>, wait: Wait, deadline: Option<u64>) {
        self.scheduler.changed = true;
        if let Some(thread) = self.threads.progress(id) {
            thread.wait = wait;
        }
        if let Some(due) = deadline {
            self.timeouts.set(id.index(), due);
        }
    }

    /// What a thread waited for has come, with this result of its call.
    pub(crate) fn wake(&mut self, id: Id<Thread>, result: i32) {
        self.timeouts.clear(id.index());
        self.structure_left(id);
        if let Some(thread) = self.threads.progress(id) {
            thread.wait = Wait::None;
            thread.result = result;
            self.trace_wake(id, result);
            self.ready(id);
        }
    }

    /// Whether a call changed nothing that concerns who runs: then the caller goes on, and `schedule` would say just that.
    #[inline]
    pub fn caller_goes_on(&self) -> bool {
        !self.scheduler.changed || self.entered.is_some_and(|cpu| self.in_interrupt(cpu))
    }

    /// Chooses what a processor does next. It then switches if told so, and calls [`Nucleus::switched`] on the other side.
    pub fn schedule(&mut self, cpu: Cpu) -> Next {
        self.entered = Some(cpu);
        self.scheduler.changed = false;
        let (now, ticks) = (self.machine.now(), self.machine.ticks());
        let Some(processor) = self.scheduler.processors.get_mut(cpu) else {
            return Next::Idle;
        };
        let current = processor.current;
        let expired = processor.slice_end.is_some_and(|end| end <= now);
        let yielding = core::mem::take(&mut processor.yielding);
        let best = self.best_for(cpu);
        if let Some(id) = current
            && self.runnable(id)
        {
            let level = self.absolute(id);
            let keeps = match best {
                _ if !self.may_run_on(id, cpu) => false,
                None => true,
                Some((other, _)) if expired || yielding => i32::from(other) > level,
                Some((other, _)) => i32::from(other) >= level,
            };
            if keeps {
                if expired {
                    self.begin_slice(cpu, id, now, true);
                }
                // What was offered to this processor may have become less urgent than its thread since then, and still be for another.
                if best.is_some() {
                    self.offer_rest(cpu);
                }
                self.set_timer(cpu);
                return Next::Same;
            }
            if let Some(thread) = self.threads.progress(id) {
                let left = self
                    .scheduler
                    .processors
                    .get(cpu)
                    .and_then(|processor| processor.slice_end);
                thread.quantum = match left {
                    Some(end) if !expired && !yielding => end.saturating_sub(now).max(1),
                    _ => WHOLE_SLICE,
                };
            }
            self.scheduler
                .enqueue(id.index(), level as u8, !expired && !yielding);
        } else if current.is_none() && self.scheduler.reaper == Some(cpu) {
            if self.goes_on_reaping(best) {
                self.set_timer(cpu);
                return Next::Reap;
            }
        } else if current.is_none() && best.is_none() {
            self.set_timer(cpu);
            return Next::Same;
        }
        self.leave_processor(cpu, ticks);
        let next = best.and_then(|(_, slot)| self.threads.at(slot));
        match next {
            Some(id) => {
                self.scheduler.dequeue(id.index());
                if let Some(thread) = self.threads.progress(id) {
                    thread.cpu = Some(cpu);
                    thread.last_cpu = cpu;
                    thread.cpu_time = thread.cpu_time.wrapping_sub(ticks);
                }
                if let Some(processor) = self.scheduler.processors.get_mut(cpu) {
                    processor.current = Some(id);
                }
                self.begin_slice(cpu, id, now, false);
                self.offer_rest(cpu);
                self.counters.switches += 1;
                self.set_timer(cpu);
                if current == Some(id) {
                    self.came_back(cpu)
                } else {
                    Next::Thread(id.index())
                }
            }
            None => {
                let reaps = best.is_some_and(|(_, slot)| slot == self.scheduler.reaper_slot());
                if reaps {
                    self.scheduler.dequeue(self.scheduler.reaper_slot());
                    self.scheduler.reaper = Some(cpu);
                }
                self.offer_rest(cpu);
                self.set_timer(cpu);
                if reaps { Next::Reap } else { Next::Idle }
            }
        }
    }

    /// Whether a thread that waits without a time limit may have the processor of one that begins to wait: it can run, and of those that could it is
    /// the most urgent, so that it is what `schedule` would choose. Its level.
    #[inline(always)]
    pub(crate) fn may_take_over(&self, id: Id<Thread>, thread: &Thread) -> Option<i32> {
        let level = self.level_if_plain(thread)?;
        (thread.cpu.is_none() && !self.timeouts.is_set(id.index()) && self.scheduler.top > level)
            .then_some(level)
    }

    /// Priority of a thread that nothing but its wait keeps from running, anywhere, and that inherits none.
    #[inline(always)]
    pub(crate) fn level_if_plain(&self, thread: &Thread) -> Option<i32> {
        let actor = self.actors.get(thread.actor)?;
        let level = (actor.priority + thread.relative).clamp(0, 255);
        (thread.active
            && thread.suspended == 0
            && !thread.dying
            && !thread.stopped
            && thread.class == Class::Default
            && thread.inherited == NOBODY
            && thread.bound.is_none())
        .then_some(level)
    }

    /// Gives the processor of a thread that waits now to one of this level that waited until now, with its result.
    #[inline(always)]
    pub(crate) fn hand_over(
        &mut self,
        cpu: Cpu,
        from: Id<Thread>,
        to: Id<Thread>,
        level: i32,
        result: i32,
    ) {
        self.counters.switches += 1;
        let pair = self.threads.progress_of_two(from.index(), to.index());
        let processor = self.scheduler.processors.get_mut(cpu);
        if let (Some([(_, from), (id, to)]), Some(processor)) = (pair, processor) {
            to.result = result;
            processor.pass(&mut self.machine, from, (id, to));
            processor.slice_of(&mut self.machine, &self.timeouts, level);
        }
    }

    /// The outcome of a call whose caller has just begun to wait: if others wait for its processor, one of them has it now.
    #[inline]
    pub(crate) fn waits(&mut self, cpu: Cpu) -> Outcome {
        // Threads that are tied to a processor may leave none for this one.
        if self.scheduler.bound == 0
            && self.scheduler.best().is_some()
            && let Next::Thread(slot) = self.schedule(cpu)
        {
            return Outcome::HandedOver(slot as u32);
        }
        self.scheduler.changed = true;
        Outcome::Blocked
    }

    /// The thread that just left is the best again: nothing is to be switched.
    fn came_back(&mut self, cpu: Cpu) -> Next {
        if let Some(processor) = self.scheduler.processors.get_mut(cpu) {
            processor.previous = None;
        }
        Next::Same
    }

    fn begin_slice(&mut self, cpu: Cpu, id: Id<Thread>, now: u64, fresh: bool) {
        let whole = self.slice_of(id);
        let left = match self.threads.get(id) {
            Some(thread) if !fresh => thread.quantum,
            _ => WHOLE_SLICE,
        };
        if let Some(processor) = self.scheduler.processors.get_mut(cpu) {
            processor.slice_end = whole.map(|whole| now.saturating_add(left.min(whole)));
        }
    }

    fn leave_processor(&mut self, cpu: Cpu, ticks: u64) {
        let Some(processor) = self.scheduler.processors.get_mut(cpu) else {
            return;
        };
        let Some(id) = processor.current.take() else {
            return;
        };
        processor.previous = Some(id);
        processor.slice_end = None;
        if let Some(thread) = self.threads.progress(id) {
            thread.cpu_time = thread.cpu_time.wrapping_add(ticks);
            thread.cpu = None;
        }
    }

    /// The other side of a switch: the thread that left is on no processor any more.
    #[inline(always)]
    pub fn switched(&mut self, cpu: Cpu) {
        self.entered = Some(cpu);
        let processor = self.scheduler.processors.get_mut(cpu);
        if let Some(previous) = processor.and_then(|processor| processor.previous.take()) {
            self.left(cpu, previous);
        }
    }

    fn left(&mut self, cpu: Cpu, id: Id<Thread>) {
        let Some(thread) = self.threads.get(id) else {
            return;
        };
        let (dying, watched, actor) = (thread.dying, thread.watched, thread.actor);
        if watched && let Some(thread) = self.threads.get_mut(id) {
            thread.watched = false;
        }
        // This processor has chosen already: whoever wakes now and is best run here gets it by a kick, as from any other.
        self.entered = None;
        if dying {
            self.bury_thread(id);
        }
        if watched {
            let still = self.runs_elsewhere(actor, cpu);
            self.wake_all(|wait| wait == Wait::Off(id) || wait == Wait::Still(actor) && !still);
        }
        self.entered = Some(cpu);
    }

    /// Whether a thread of an actor is on another processor than this one.
    pub(crate) fn runs_elsewhere(&self, actor: Id<Actor>, cpu: Cpu) -> bool {
        let processors = self.scheduler.processors.iter().enumerate();
        processors
            .filter(|&(index, _)| index != cpu)
            .filter_map(|(_, processor)| self.threads.get(processor.current?))
            .any(|thread| thread.actor == actor)
    }

    /// Wakes every thread that waits for something, with success.
    pub(crate) fn wake_all(&mut self, what: impl Fn(Wait) -> bool) {
        for slot in 0..self.threads.extent() {
            if let Some(id) = self.threads.at(slot)
                && self.threads.get(id).is_some_and(|thread| what(thread.wait))
            {
                self.wake(id, K_OK);
            }
        }
    }

    /// The thread on a processor: its slot, space and mode; `None` when it idles.
    pub fn current(&self, cpu: Cpu) -> Option<(usize, crate::machine::Space, bool)> {
        let id = self.scheduler.processors.get(cpu)?.current?;
        let thread = self.threads.get(id)?;
        Some((id.index(), thread.space, thread.supervisor))
    }

    /// Whose thread is in a slot: the UI of its actor as a word, and its LI. For the report of a Nucleus that went wrong: reads, and cannot panic.
    pub fn identity(&self, slot: usize) -> Option<(u64, u32)> {
        let id = self.threads.at(slot)?;
        let actor = self.actors.get(self.threads.get(id)?.actor)?;
        Some((actor.cap.ui.word(), local_identifier(id) as u32))
    }

    /// Slot of the actor that the thread in a slot works for, for traces.
    pub fn works_for(&self, slot: usize) -> Option<usize> {
        let actor = self.execution_actor(self.threads.at(slot)?)?;
        Some(actor.index())
    }

    /// Processor time of a thread, in ticks of the machine.
    pub(crate) fn cpu_time(&mut self, id: Id<Thread>) -> u64 {
        let now = self.machine.ticks();
        self.threads.get(id).map_or(0, |thread| match thread.cpu {
            // Clocks of processors may differ a little.
            Some(_) => thread
                .cpu_time
                .wrapping_add(now)
                .cast_signed()
                .max(0)
                .cast_unsigned(),
            None => thread.cpu_time,
        })
    }

    /// Identifier of the thread on a processor.
    pub(crate) fn running(&self, cpu: Cpu) -> Option<Id<Thread>> {
        self.scheduler.processors.get(cpu)?.current
    }

    /// Result of the call that the thread on a processor waited in.
    pub fn result(&self, cpu: Cpu) -> i32 {
        self.outcome(cpu).0
    }

    /// The same, and whether the way back may lead elsewhere: the thread has been aborted, or is inside a routine that may have been lost meanwhile.
    #[inline]
    pub fn outcome(&self, cpu: Cpu) -> (i32, bool) {
        let thread = self.running(cpu).and_then(|id| self.threads.get(id));
        thread.map_or((0, false), |thread| {
            (thread.result, thread.aborted || thread.inside.is_some())
        })
    }
}
