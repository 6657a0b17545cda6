//! Semaphores on the fast path: a unit is there, or the thread that takes it is queued, and the processor goes from one thread to the next at once.
//!
//! As the fast path of messages: checks, then stores that cannot fail. What is not plain (a time limit, an abort, a thread that is tied to a processor,
//! inherits a priority, or has another class than the default) returns `None` with nothing changed, and the calls of `sync.rs` do it. What is known
//! about a thread is what conversations know (`ipc/conversation.rs`): its [`Standing`].

use crate::arena::Id;
use crate::executive::thread::{Thread, Wait};
use crate::ipc::Standing;
use crate::machine::{Cpu, Machine};
use crate::nucleus::{Nucleus, Outcome};
use chorus_abi::*;

impl<M: Machine> Nucleus<M> {
    /// `semP` without a time limit, if it is plain.
    #[inline(never)]
    pub(crate) fn sem_p_fast(&mut self, cpu: Cpu, registers: &[u64; 6]) -> Option<Outcome> {
        let &[address, limit, ..] = registers;
        let affairs = self.affairs();
        let id = self.steady(cpu, affairs)?;
        let space = self.threads.get(id)?.space;
        let (place, count) = self.machine.counter(space, address)?;
        if limit != 0 {
            return None;
        }
        if count > 0 {
            self.machine.set_counter(place, count - 1);
            return Some(Outcome::Done(K_OK));
        }
        let left = count.checked_sub(1)?;
        if self.scheduler.bound > 0 {
            return None;
        }
        let (_, slot) = self.scheduler.best()?;
        let (own, next, thread) = self.threads.progress_of_two(id.index(), slot)?;
        if thread.standing.affairs != affairs || thread.cpu.is_some() {
            return None;
        }
        // From here on nothing fails.
        self.machine.set_counter(place, left);
        self.waiters.push(place, id.index());
        own.wait = Wait::Semaphore(place, address);
        let (level, result, rest) = (thread.standing.level, thread.result, thread.quantum);
        self.scheduler.dequeue(slot);
        if let Some(processor) = self.scheduler.processors.get_mut(cpu) {
            processor.pass(&mut self.machine, cpu, own, (next, thread), level, result);
            processor.slice_end = None;
        }
        self.counters.switches += 1;
        if level >= K_SLICED_FIRST {
            self.slice_of_rest(cpu, rest);
        }
        self.offer_rest(cpu);
        Some(Outcome::HandedOver(slot as u32))
    }

    /// `semV`, if it is plain.
    #[inline(never)]
    pub(crate) fn sem_v_fast(&mut self, cpu: Cpu, registers: &[u64; 6]) -> Option<Outcome> {
        let address = registers[0];
        let affairs = self.affairs();
        let id = self.steady(cpu, affairs)?;
        let space = self.threads.get(id)?.space;
        let (place, count) = self.machine.counter(space, address)?;
        let count = count.checked_add(1)?;
        if count > 0 {
            self.machine.set_counter(place, count);
            return Some(Outcome::Done(K_OK));
        }
        let slot = self.waiters.first(place)?;
        let (_, waiter, thread) = self.threads.progress_of_two(id.index(), slot)?;
        let waits = matches!(thread.wait, Wait::Semaphore(at, _) if at == place);
        if !waits
            || thread.standing.affairs != affairs
            || thread.cpu.is_some()
            || self.timeouts.is_set(slot)
        {
            return None;
        }
        // From here on nothing fails.
        self.machine.set_counter(place, count);
        self.waiters.pop(place);
        thread.wait = Wait::None;
        thread.result = K_OK;
        thread.quantum = super::classes::WHOLE_SLICE;
        let level = thread.standing.level as u8;
        self.scheduler.enqueue(slot, level, false);
        self.offer(waiter, level);
        Some(Outcome::Done(K_OK))
    }

    /// The thread on a processor, if nothing keeps it from waiting and going on; it knows that of itself afterwards.
    #[inline(always)]
    fn steady(&mut self, cpu: Cpu, affairs: u64) -> Option<Id<Thread>> {
        let id = self.running(cpu)?;
        let thread = self.threads.get(id)?;
        if self.interrupts_run() {
            return None;
        }
        if thread.standing.affairs != affairs {
            let level = self.level_if_steady(thread)?;
            self.threads.progress(id)?.standing = Standing { affairs, level };
        }
        Some(id)
    }

    /// The thread on a processor has what is left of its time slice from now on.
    #[inline]
    fn slice_of_rest(&mut self, cpu: Cpu, rest: u64) {
        let end = self.machine.now().saturating_add(rest.min(K_RR_QUANTUM_NS));
        let Some(processor) = self.scheduler.processors.get_mut(cpu) else {
            return;
        };
        processor.slice_end = Some(end);
        // A timer that fires earlier is set anew then.
        if processor.due > end {
            self.set_timer(cpu);
        }
    }
}
