//! The processor that gives back what goes (`memory/going.rs`): the work is queued like a thread, and done by no thread.

use crate::machine::Machine;
use crate::nucleus::Nucleus;

impl<M: Machine> Nucleus<M> {
    /// Whether a processor that gives back goes on with that, and does not run the best of the queued threads. Else the work is queued anew.
    pub(crate) fn goes_on_reaping(&mut self, best: Option<(u8, usize)>) -> bool {
        let reaping = self.scheduler.reaping;
        if best.is_none_or(|(other, _)| other >= reaping) {
            return true;
        }
        self.scheduler.reaper = None;
        let slot = self.scheduler.reaper_slot();
        self.scheduler.enqueue(slot, reaping, true);
        false
    }

    /// What goes has changed: how urgent it is, or whether there is anything.
    pub(crate) fn reaper_changed(&mut self) {
        let (level, slot) = (self.going_level(), self.scheduler.reaper_slot());
        match (level, self.scheduler.reaper) {
            (Some(level), Some(_)) => self.scheduler.reaping = level,
            (None, Some(cpu)) => {
                self.scheduler.reaper = None;
                self.poke(cpu);
            }
            (level, None) => {
                let before = self.scheduler.level_of(slot);
                if before == level {
                    return;
                }
                self.scheduler.dequeue(slot);
                if let Some(level) = level {
                    self.scheduler.reaping = level;
                    self.scheduler.enqueue(slot, level, false);
                    self.offer_work(level, |_| true);
                }
            }
        }
    }
}
