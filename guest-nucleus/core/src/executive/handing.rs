//! Semaphores and giving way on the fast path: a unit is there, or the thread that takes it is queued, and the processor goes from one thread to the next at once.
//!
//! As the fast path of messages: checks, then stores that cannot fail. What is not plain (a time limit, an abort, a thread that is tied to a processor,
//! inherits a priority, or has another class than the default) returns `None` with nothing changed, and the calls of `sync.rs` and `time.rs` do it. What is
//! known about a thread is what conversations know (`ipc/conversation.rs`): its [`Standing`]. The machine asks here first, with the thread that it runs.

use super::classes::WHOLE_SLICE;
use super::scheduler::Processor;
use super::timeouts::Timeouts;
use crate::executive::thread::Wait;
use crate::ipc::{Passed, Standing};
use crate::machine::{Cpu, Machine};
use crate::nucleus::Nucleus;
use chorus_abi::*;

/// What became of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handed {
    /// It is done, with success.
    Done,
    /// The same, and somebody more urgent can run now: `schedule` follows.
    Outdone,
    /// Another thread has the processor now.
    Passed(Passed),
}

impl<M: Machine> Nucleus<M> {
    /// `semP` without a time limit, if it is plain.
    #[inline(always)]
    pub fn sem_p_plain(
        &mut self,
        cpu: Cpu,
        thread: usize,
        address: u64,
        limit: u64,
    ) -> Option<Handed> {
        if limit != 0 {
            return None;
        }
        let (affairs, space) = self.stands(thread)?;
        let (place, count) = self.machine.counter(space, address)?;
        if count > 0 {
            self.machine.set_counter(place, count - 1);
            self.counters.calls += 1;
            return Some(Handed::Done);
        }
        let left = count.checked_sub(1)?;
        if self.scheduler.bound > 0 {
            return None;
        }
        let slot = self.scheduler.first()?;
        let processor = self.scheduler.processors.get_mut(cpu)?;
        let [(_, own), (next, to)] = self.threads.progress_of_two(thread, slot)?;
        if to.standing.affairs != affairs {
            return None;
        }
        // From here on nothing fails.
        self.machine.set_counter(place, left);
        self.waiters.push(place, thread);
        own.wait = Wait::Semaphore(place, address);
        self.counters.calls += 1;
        self.counters.switches += 1;
        processor.pass(&mut self.machine, own, (next, to));
        processor.rest_of_slice(
            &mut self.machine,
            &self.timeouts,
            to.standing.level,
            to.quantum,
        );
        let passed = Passed {
            thread: slot as u32,
            context: to.context,
            result: to.result,
        };
        self.scheduler.dequeue_first();
        self.rest_is_offered(cpu);
        Some(Handed::Passed(passed))
    }

    /// `semV`, if it is plain.
    #[inline(always)]
    pub fn sem_v_plain(&mut self, cpu: Cpu, thread: usize, address: u64) -> Option<Handed> {
        let (affairs, space) = self.stands(thread)?;
        let (place, count) = self.machine.counter(space, address)?;
        let count = count.checked_add(1)?;
        if count > 0 {
            self.machine.set_counter(place, count);
            self.counters.calls += 1;
            return Some(Handed::Done);
        }
        let mut slot = self.waiters.first_slot(place);
        let waits = |wait: Wait| matches!(wait, Wait::Semaphore(at, _) if at == place);
        if !waits(self.threads.in_slot(slot)?.wait) {
            // Somebody else's structure is in the same list.
            slot = self.oldest(place, waits)?.index();
        }
        let [(_, own), (&waiter, to)] = self.threads.progress_of_two(thread, slot)?;
        if to.standing.affairs != affairs || to.cpu.is_some() || self.timeouts.is_set(slot) {
            return None;
        }
        // From here on nothing fails.
        self.machine.set_counter(place, count);
        self.waiters.leaves(place, slot);
        self.counters.calls += 1;
        to.wait = Wait::None;
        to.result = K_OK;
        to.quantum = WHOLE_SLICE;
        let (level, more_urgent) = (to.standing.level, to.standing.level < own.standing.level);
        self.scheduler.enqueue(slot, level as u8, false);
        if more_urgent || self.scheduler.processors.len() > 1 {
            self.register_visitors();
            self.entered = Some(cpu);
            self.offer(waiter, level as u8);
            if !self.caller_goes_on() {
                return Some(Handed::Outdone);
            }
        }
        Some(Handed::Done)
    }

    /// `threadDelay` of no time, if it is plain: the thread goes behind its equals. It has no result then but that the time has passed.
    #[inline(always)]
    pub fn give_way_plain(&mut self, cpu: Cpu, thread: usize, limit: u64) -> Option<Handed> {
        let (affairs, space) = self.stands(thread)?;
        let at = self
            .machine
            .spot(space, limit, size_of::<KnTimeVal>(), false)?;
        if self.machine.peek::<u64>(at) != 0 || self.machine.peek::<u64>(at.at(8)) != 0 {
            return None;
        }
        let level = self.threads.in_slot(thread)?.standing.level;
        if self.scheduler.bound > 0 || self.scheduler.top != level {
            return None;
        }
        let slot = self.scheduler.first()?;
        let processor = self.scheduler.processors.get_mut(cpu)?;
        let [(_, own), (next, to)] = self.threads.progress_of_two(thread, slot)?;
        if to.standing.affairs != affairs {
            return None;
        }
        // From here on nothing fails.
        self.counters.calls += 1;
        self.counters.switches += 1;
        own.quantum = WHOLE_SLICE;
        processor.pass(&mut self.machine, own, (next, to));
        processor.rest_of_slice(&mut self.machine, &self.timeouts, level, to.quantum);
        let passed = Passed {
            thread: slot as u32,
            context: to.context,
            result: to.result,
        };
        self.scheduler.rotate(thread);
        self.rest_is_offered(cpu);
        Some(Handed::Passed(passed))
    }

    /// What else waits for a processor is told to the others, if there are any.
    #[inline(always)]
    fn rest_is_offered(&mut self, cpu: Cpu) {
        if self.scheduler.processors.len() > 1 {
            self.register_visitors();
            self.entered = Some(cpu);
            self.offer_rest(cpu);
        }
    }

    /// That nothing keeps a thread, which runs, from waiting and going on: the count that it is known by, and its space.
    #[inline(always)]
    fn stands(&mut self, thread: usize) -> Option<(u64, crate::machine::Space)> {
        let affairs = self.affairs();
        let found = self.threads.in_slot(thread)?;
        let space = found.space;
        if found.standing.affairs != affairs {
            self.stand(thread, affairs)?;
        }
        Some((affairs, space))
    }

    /// Finds it out. While handlers of interrupts run nobody knows: the count is another then.
    #[cold]
    #[inline(never)]
    fn stand(&mut self, thread: usize, affairs: u64) -> Option<()> {
        if self.interrupts_run() {
            return None;
        }
        let level = self.level_if_steady(self.threads.in_slot(thread)?)?;
        self.threads.progress_at(thread)?.standing = Standing { affairs, level };
        Some(())
    }
}

impl Processor {
    /// The thread that has the processor now has what is left of its time slice from now on, if it has one.
    #[inline(always)]
    fn rest_of_slice<M: Machine>(
        &mut self,
        machine: &mut M,
        timeouts: &Timeouts,
        level: i32,
        rest: u64,
    ) {
        if level < K_SLICED_FIRST {
            self.slice_end = None;
            return;
        }
        let end = machine.now().saturating_add(rest.min(K_RR_QUANTUM_NS));
        self.slice_end = Some(end);
        // A timer that fires earlier is set anew then.
        if self.due.is_none_or(|due| due > end) {
            self.set_timer(machine, timeouts);
        }
    }
}
