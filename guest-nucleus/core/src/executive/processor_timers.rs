//! The timer of each processor: when it is to fire, and what happens then.

use crate::executive::scheduler::Processor;
use crate::executive::timeouts::Timeouts;
use crate::machine::{Cpu, Machine};
use crate::nucleus::Nucleus;
use chorus_abi::KError;

impl Processor {
    /// Its timer: the end of its slice, or the earliest deadline, whichever comes first. Tickless otherwise.
    pub(crate) fn set_timer<M: Machine>(&mut self, machine: &mut M, timeouts: &Timeouts) {
        self.due = match (self.slice_end, timeouts.next()) {
            (Some(slice), Some(due)) => Some(slice.min(due)),
            (slice, due) => slice.or(due),
        };
        machine.set_timer(self.cpu.into(), self.due);
    }
}

impl<M: Machine> Nucleus<M> {
    /// Sets a processor's timer anew.
    pub(crate) fn set_timer(&mut self, cpu: Cpu) {
        if let Some(processor) = self.scheduler.processors.get_mut(cpu) {
            processor.set_timer(&mut self.machine, &self.timeouts);
        }
    }

    /// The timer interrupt of a processor: wakes whose time has come. [`Nucleus::soft_interrupt`] until there is none, and `schedule` follow.
    pub fn timer(&mut self, cpu: Cpu) {
        self.entered = Some(cpu);
        self.counters.timer_interrupts += 1;
        if let Some(processor) = self.scheduler.processors.get_mut(cpu) {
            processor.due = None;
        }
        let now = self.machine.now();
        while let Some(slot) = self.timeouts.pop(now) {
            let limits = self.configuration.limits;
            let (timers, handlings) = (limits.timer_deadlines(), limits.handling_deadlines());
            let system = limits.system_deadlines();
            match slot {
                slot if slot >= handlings => self.handling_expires(slot - handlings),
                slot if slot >= system => self.system_timeout_expires(slot - system),
                slot if slot >= timers => self.timer_expires(slot - timers, now),
                slot => {
                    if let Some(id) = self.threads.at(slot) {
                        self.end_wait(id, KError::Timeout);
                    }
                }
            }
        }
        self.requests_retry();
    }
}
