//! Thread semaphores and sets of event flags: what is posted, and who waits for it.

use super::episode::*;
use super::model::{Expected, Model, STRUCTURES, Wait};
use chorus_abi::error::*;
use chorus_abi::table::number;
use chorus_abi::*;
use std::prelude::rust_2024::*;

#[derive(Debug, Default)]
pub struct ThreadSemaphore {
    /// Who may wait.
    pub owner: Option<usize>,
    pub posted: bool,
}

#[derive(Debug, Default)]
pub struct EventSet {
    pub flags: u32,
    /// Who waits, for which flags, and whether for all of them.
    pub waiters: Vec<(usize, u32, bool)>,
}

/// Whether flags are what somebody waits for.
fn satisfied(flags: u32, mask: u32, all: bool) -> bool {
    match all {
        true => flags & mask == mask,
        false => flags & mask != 0,
    }
}

impl Model {
    fn thread_semaphore(&mut self, caller: usize, which: usize) -> &mut ThreadSemaphore {
        let actor = self.threads[caller].actor;
        &mut self.actors[actor].thread_semaphores[which]
    }

    pub fn thread_semaphore_init(&mut self, caller: usize, which: usize) -> Expected {
        *self.thread_semaphore(caller, which) = ThreadSemaphore {
            owner: Some(caller),
            posted: false,
        };
        Expected::Returns(K_OK)
    }

    pub fn thread_semaphore_wait(
        &mut self,
        caller: usize,
        which: usize,
        limit: Option<u64>,
    ) -> Expected {
        if self.thread_semaphore(caller, which).owner != Some(caller) {
            return Expected::Returns(K_EINVAL);
        }
        if self.consume(caller) {
            return Expected::Returns(K_EABORT);
        }
        if std::mem::take(&mut self.thread_semaphore(caller, which).posted) {
            return Expected::Returns(K_OK);
        }
        if limit == Some(0) {
            return Expected::Returns(K_ETIMEOUT);
        }
        self.wait(caller, Wait::ThreadSemaphore(which), true, limit)
    }

    /// Whoever waits takes the post; else it is there once, however often it is made.
    pub fn thread_semaphore_post(&mut self, actor: usize, which: usize) -> Expected {
        let semaphore = &mut self.actors[actor].thread_semaphores[which];
        match semaphore.owner {
            Some(owner) if self.threads[owner].wait == Wait::ThreadSemaphore(which) => {
                self.wake(owner, K_OK, None);
            }
            _ => semaphore.posted = true,
        }
        Expected::Returns(K_OK)
    }

    pub fn event_post(&mut self, actor: usize, which: usize, mask: u32) -> Expected {
        let set = &mut self.actors[actor].events[which];
        set.flags |= mask;
        let flags = set.flags;
        for (waiter, mask, all) in set.waiters.clone() {
            if satisfied(flags, mask, all) {
                self.leave(waiter);
                self.wake(waiter, K_OK, Some((flags & mask).into()));
            }
        }
        Expected::Returns(K_OK)
    }

    pub fn event_clear(&mut self, caller: usize, which: usize, mask: u32) -> Expected {
        let actor = self.threads[caller].actor;
        self.actors[actor].events[which].flags &= !mask;
        Expected::Returns(K_OK)
    }

    pub fn event_wait(
        &mut self,
        caller: usize,
        which: usize,
        (mask, mode): (u32, i32),
        limit: Option<u64>,
    ) -> Expected {
        let all = match mode {
            K_EVENT_AND => true,
            K_EVENT_OR => false,
            _ => return Expected::Returns(K_EINVAL),
        };
        if mask == 0 {
            return Expected::Returns(K_EINVAL);
        }
        if self.consume(caller) {
            return Expected::Returns(K_EABORT);
        }
        let actor = self.threads[caller].actor;
        let flags = self.actors[actor].events[which].flags;
        if satisfied(flags, mask, all) {
            return Expected::Brings(K_OK, (flags & mask).into());
        }
        if limit == Some(0) {
            return Expected::Returns(K_ETIMEOUT);
        }
        let waiter = (caller, mask, all);
        self.actors[actor].events[which].waiters.push(waiter);
        self.wait(caller, Wait::Events(which), true, limit)
    }
}

impl Episode {
    /// Calls about thread semaphores and event flags.
    pub(super) fn posts(
        &mut self,
        cpu: usize,
        caller: usize,
        op: u8,
        (a, b, c): (u8, u8, u8),
    ) -> Checked {
        let home = self.model.threads[caller].actor;
        let actor = self.actors[home];
        // One that the caller may wait on, most often, if there is one.
        let all = &self.model.actors[home].thread_semaphores;
        let own = all.iter().position(|it| it.owner == Some(caller));
        let which = match own.filter(|_| op == 57 && a < 240) {
            Some(own) => own,
            None => usize::from(a) % STRUCTURES,
        };
        let semaphore = self.site.at(actor, THREAD_SEMAPHORES + 8 * which as u64);
        let set = self.site.at(actor, EVENTS + 8 * which as u64);
        // Few flags, so that they meet.
        let mask = u32::from(b & 7) | u32::from(b & 8 != 0) << 31;
        let owner = self.model.actors[home].thread_semaphores[which].owner;
        let waits =
            owner.is_some_and(|at| self.model.threads[at].wait == Wait::ThreadSemaphore(which));
        let idle = self.model.actors[home].events[which].waiters.is_empty();
        let (name, arguments, expected) = match op {
            56 | 57 if !waits && c < if own.is_none() { 160 } else { 16 } => (
                number::thread_sem_init,
                [semaphore, 0, 0, 0, 0],
                self.model.thread_semaphore_init(caller, which),
            ),
            56 => (
                number::thread_sem_post,
                [semaphore, 0, 0, 0, 0],
                self.model.thread_semaphore_post(home, which),
            ),
            57 => {
                let (at, limit) = self.interval(caller, c);
                (
                    number::thread_sem_wait,
                    [semaphore, at, 0, 0, 0],
                    self.model.thread_semaphore_wait(caller, which, limit),
                )
            }
            58 => (
                number::event_post,
                [set, mask.into(), 0, 0, 0],
                self.model.event_post(home, which, mask),
            ),
            59 if c < 16 && idle => (
                number::event_init,
                [set, 0, 0, 0, 0],
                self.model.event_clear(caller, which, u32::MAX),
            ),
            59 => (
                number::event_clear,
                [set, mask.into(), 0, 0, 0],
                self.model.event_clear(caller, which, mask),
            ),
            _ => {
                let (at, limit) = self.interval(caller, c);
                let mode = [K_EVENT_OR, K_EVENT_OR, K_EVENT_AND, 2][usize::from(b >> 4) % 4];
                let got = self.put(caller, GOT, &0u64);
                (
                    number::event_wait,
                    [set, mask.into(), mode as u64, got, at],
                    self.model.event_wait(caller, which, (mask, mode), limit),
                )
            }
        };
        self.call(cpu, caller, name, &arguments, expected).map(drop)
    }
}
