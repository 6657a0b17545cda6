//! Which processor a thread may run on, and which one should take it (spec 5.1, `threadBind`).
//!
//! A processor runs the most urgent runnable thread that may run on it and on no other one does. While no thread is tied to a processor, that is the
//! head of the most urgent queue.

use crate::arena::Id;
use crate::executive::thread::Thread;
use crate::machine::{Cpu, Machine};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

impl<M: Machine> Nucleus<M> {
    /// Whether a thread may run on a processor.
    pub(crate) fn may_run_on(&self, id: Id<Thread>, cpu: Cpu) -> bool {
        let bound = self.threads.get(id).and_then(|thread| thread.bound);
        bound.is_none_or(|to| to == cpu)
    }

    /// Level and slot of the queued thread that a processor should take next.
    #[inline]
    pub(crate) fn best_for(&self, cpu: Cpu) -> Option<(u8, usize)> {
        let best = self.scheduler.best()?;
        if self.scheduler.bound == 0 {
            return Some(best);
        }
        let fit = |slot| {
            let id = self.threads.at(slot);
            // What goes may be given back anywhere.
            id.map_or(slot == self.scheduler.reaper_slot(), |id| {
                self.may_run_on(id, cpu)
            })
        };
        self.scheduler.best_of(fit)
    }

    /// Priority of what a processor runs; 256 when that is nothing.
    fn occupied(&self, cpu: Cpu) -> i32 {
        if self.scheduler.reaper == Some(cpu) {
            return self.scheduler.reaping.into();
        }
        self.running(cpu)
            .and_then(|current| self.threads.get(current))
            .filter(|thread| thread.is_runnable())
            .map_or(256, |thread| self.absolute_of(thread))
    }

    /// A queued thread is offered to the processor that runs the least urgent thread.
    pub(crate) fn offer(&mut self, id: Id<Thread>, level: u8) {
        let bound = self.threads.get(id).and_then(|thread| thread.bound);
        self.offer_work(level, |cpu| bound.is_none_or(|to| to == cpu));
    }

    /// The same of anything that is queued, to those where it may be done.
    pub(crate) fn offer_work(&mut self, level: u8, may: impl Fn(Cpu) -> bool) {
        let mut worst: Option<(Cpu, i32)> = None;
        for cpu in 0..self.scheduler.processors.len() {
            let priority = self.occupied(cpu);
            if worst.is_none_or(|(_, than)| priority > than) && may(cpu) {
                worst = Some((cpu, priority));
            }
        }
        if let Some((cpu, priority)) = worst
            && i32::from(level) < priority
        {
            self.poke(cpu);
        }
    }

    /// This processor has taken its thread: if one that is left is for another processor, that one is told. Two threads that become runnable at once may
    /// both have been offered to this one.
    pub(crate) fn offer_rest(&mut self, own: Cpu) {
        let processors = self.scheduler.processors.len();
        if processors == 1 || self.scheduler.best().is_none() {
            return;
        }
        for cpu in (0..processors).filter(|&cpu| cpu != own) {
            if let Some((level, _)) = self.best_for(cpu)
                && i32::from(level) < self.occupied(cpu)
            {
                self.poke(cpu);
            }
        }
    }

    /// `threadBind`: when it returns, the thread is on no other processor.
    pub fn thread_bind(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
        old: Out<i32>,
        new: In<i32>,
    ) -> Result<Outcome, KError> {
        let id = self.thread_to_change(caller, cap, li)?;
        let before = self.threads.get(id).ok_or(KError::Inval)?.bound;
        let wanted = match self.read_optional(caller, new)? {
            None => None,
            Some(K_ANYCPU) => Some(None),
            Some(cpu) => {
                let cpu = usize::try_from(cpu).map_err(|_| KError::Inval)?;
                if cpu >= self.scheduler.processors.len() {
                    return Err(KError::Inval);
                }
                Some(Some(cpu))
            }
        };
        let told = before.map_or(K_ANYCPU, |cpu| cpu as i32);
        self.write_optional(caller, old, &told)?;
        let Some(bound) = wanted else {
            return Ok(Outcome::Done(K_OK));
        };
        self.unready(id);
        self.unbind(id);
        let on = self.threads.get_mut(id).and_then(|thread| {
            thread.bound = bound;
            thread.cpu
        });
        self.scheduler.bound += usize::from(bound.is_some());
        self.ready(id);
        match on {
            // The caller itself goes over when the call ends.
            Some(cpu) if id != caller.thread && !self.may_run_on(id, cpu) => {
                self.watch(caller.thread, id);
                Ok(Outcome::Blocked)
            }
            _ => Ok(Outcome::Done(K_OK)),
        }
    }

    /// A thread is tied to no processor.
    pub(crate) fn unbind(&mut self, id: Id<Thread>) {
        let bound = self
            .threads
            .get_mut(id)
            .and_then(|thread| thread.bound.take());
        self.scheduler.bound -= usize::from(bound.is_some());
    }
}
