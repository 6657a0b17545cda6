//! Real-time mutexes: the most urgent waiter goes first, and who has one is as urgent as those who wait for it.

use super::episode::*;
use super::model::{Expected, Model, STRUCTURES, Wait};
use chorus_abi::error::*;
use chorus_abi::table::number;
use std::collections::VecDeque;
use std::prelude::rust_2024::*;

#[derive(Debug, Default)]
pub struct RealTimeMutex {
    /// Who has it.
    pub owner: Option<usize>,
    /// The longest waiter first.
    pub waiters: VecDeque<usize>,
}

impl Model {
    /// Who waits for what a thread has. Real-time mutexes are those of its own actor.
    pub fn heirs(&self, at: usize) -> impl Iterator<Item = usize> {
        let mutexes = self.actors[self.threads[at].actor].real_time.iter();
        let own = mutexes.filter(move |mutex| mutex.owner == Some(at));
        own.flat_map(|mutex| mutex.waiters.iter().copied())
    }

    /// Whom a thread waits for.
    fn awaited(&self, at: usize) -> Option<usize> {
        match self.threads[at].wait {
            Wait::RealTimeMutex(which) => {
                self.actors[self.threads[at].actor].real_time[which].owner
            }
            _ => None,
        }
    }

    /// The most urgent of those who wait has a mutex from now on; of equals the one who has waited longer.
    fn pass_on(&mut self, actor: usize, which: usize) {
        let waiters = &self.actors[actor].real_time[which].waiters;
        let best = waiters.iter().copied().min_by_key(|&at| self.absolute(at));
        self.actors[actor].real_time[which].owner = best;
        if let Some(best) = best {
            self.leave(best);
            self.wake(best, K_OK, None);
        }
    }

    /// What a thread has that is deleted goes to others.
    pub fn owner_dies(&mut self, at: usize) {
        let actor = self.threads[at].actor;
        for which in 0..STRUCTURES {
            if self.actors[actor].real_time[which].owner == Some(at) {
                self.pass_on(actor, which);
            }
        }
    }

    pub fn real_time_get(&mut self, caller: usize, which: usize, only_try: bool) -> Expected {
        let actor = self.threads[caller].actor;
        let mutex = &mut self.actors[actor].real_time[which];
        let Some(owner) = mutex.owner else {
            mutex.owner = Some(caller);
            return Expected::Returns(K_OK);
        };
        if only_try {
            return Expected::Returns(1);
        }
        // Its own, or of somebody who waits for the caller: nobody would ever get on.
        let mut at = Some(owner);
        while let Some(other) = at {
            if other == caller {
                return Expected::Returns(K_EINVAL);
            }
            at = self.awaited(other);
        }
        self.actors[actor].real_time[which]
            .waiters
            .push_back(caller);
        self.wait(caller, Wait::RealTimeMutex(which), false, None)
    }

    pub fn real_time_release(&mut self, caller: usize, which: usize) -> Expected {
        let actor = self.threads[caller].actor;
        if self.actors[actor].real_time[which].owner != Some(caller) {
            return Expected::Returns(K_EINVAL);
        }
        self.pass_on(actor, which);
        Expected::Returns(K_OK)
    }

    pub fn real_time_init(&mut self, caller: usize, which: usize) -> Expected {
        let actor = self.threads[caller].actor;
        self.actors[actor].real_time[which].owner = None;
        Expected::Returns(K_OK)
    }
}

impl Episode {
    /// Calls about real-time mutexes.
    pub(super) fn inherit(
        &mut self,
        cpu: usize,
        caller: usize,
        op: u8,
        (a, c): (u8, u8),
    ) -> Checked {
        let which = usize::from(a) % STRUCTURES;
        let home = self.model.threads[caller].actor;
        let mutex = self
            .site
            .at(self.actors[home], REAL_TIME + 16 * which as u64);
        let idle = self.model.actors[home].real_time[which].waiters.is_empty();
        let owner = self.model.actors[home].real_time[which].owner;
        let (name, expected) = match op {
            62..=64 if c < 208 => (
                number::rt_mutex_get,
                self.model.real_time_get(caller, which, false),
            ),
            62..=64 => (
                number::rt_mutex_try,
                self.model.real_time_get(caller, which, true),
            ),
            // Those who wait would be lost (spec 3.3, `mutexInit`).
            65 if c < 6 && idle => (
                number::rt_mutex_init,
                self.model.real_time_init(caller, which),
            ),
            // Most often its own: what is kept long has chains of waiters.
            _ if owner != Some(caller) && c < 208 => return Ok(()),
            _ => (
                number::rt_mutex_rel,
                self.model.real_time_release(caller, which),
            ),
        };
        self.call(cpu, caller, name, &[mutex], expected).map(drop)
    }
}
