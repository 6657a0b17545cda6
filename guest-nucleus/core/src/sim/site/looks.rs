//! Where a site's threads are, and how far its long work is.

use super::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;

impl Site {
    /// Whether a thread is inside a routine, whether there are records of that or not.
    pub fn is_inside(&self, thread: Id<Thread>) -> bool {
        self.nucleus.chain(thread).next().is_some() || self.visits(thread)
    }

    /// Whether a thread is inside a handler without records.
    pub fn visits(&self, thread: Id<Thread>) -> bool {
        let cpus = 0..self.nucleus.scheduler.processors.len();
        let mut visitors = cpus.filter_map(|cpu| self.nucleus.visitor(cpu));
        visitors.any(|visitor| visitor == thread)
    }

    /// The actor that a thread works for.
    pub fn works_in(&self, thread: Id<Thread>) -> Option<Id<Actor>> {
        match self.visits(thread) {
            true => {
                let handler = self.nucleus.visited_handler(thread)?;
                self.nucleus.point(handler).map(|point| point.owner)
            }
            false => self.nucleus.execution_actor(thread),
        }
    }

    pub(super) fn may_step(&mut self) -> bool {
        let may = self.steps != Some(0);
        self.steps = self.steps.map(|steps| steps.saturating_sub(1));
        self.stepped += u64::from(may);
        may
    }

    /// Lets the processors make so many steps of long work; whether there was as much to do.
    pub fn step(&mut self, count: u64) -> bool {
        let before = self.stepped;
        self.steps = Some(count);
        self.settle();
        self.steps = Some(0);
        self.stepped - before == count
    }
}
