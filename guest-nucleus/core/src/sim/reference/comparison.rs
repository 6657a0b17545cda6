//! Whether the site is as the model has it.

use super::episode::*;
use super::model::{STRUCTURES, Wait};
use crate::executive::thread::{Wait as Waits, local_identifier};
use chorus_abi::*;
use std::format;
use std::prelude::rust_2024::*;

impl Episode {
    /// Looks whether all is as the model has it.
    pub(super) fn compare(&mut self, whole: bool) -> Checked {
        let (mut running, mut ready) = (0, 0);
        // The least urgent that runs, and the most urgent that does not.
        let (mut last, mut next) = (None, None);
        for at in 0..self.threads.len() {
            if !self.model.threads[at].alive && !whole {
                continue;
            }
            let id = self.threads[at];
            if !self.model.threads[at].alive {
                let there = self.site.nucleus.threads.get(id).is_some();
                same!(there, false, "whether thread {at} is there");
                continue;
            }
            let thread = self
                .site
                .nucleus
                .threads
                .get(id)
                .ok_or_else(|| format!("thread {at} is gone"))?;
            let (state, suspended, result) = (thread.state(), thread.suspended, thread.result);
            // A dormant message is as good as none.
            let current = thread.current.0.filter(|_| !thread.receive.plain);
            let (waits, runs) = (thread.wait, thread.cpu.is_some());
            same!(
                state,
                self.model.state(at),
                "state of thread {at}, which waits for {waits:?}"
            );
            same!(
                suspended,
                self.model.threads[at].suspended,
                "suspensions of thread {at}"
            );
            let current = current.and_then(|id| self.site.nucleus.ipc.messages.get(id));
            same!(
                current.map(|message| [message.actor_pi, message.port_pi]),
                self.model.threads[at].current.as_ref().map(|it| it.stamps),
                "the stamps of the message that thread {at} has"
            );
            let kind = match self.model.threads[at].wait {
                Wait::Nothing => matches!(waits, Waits::None),
                Wait::Delay => matches!(waits, Waits::Delay),
                Wait::Mutex(_) => matches!(waits, Waits::Mutex(_)),
                Wait::Semaphore(_) => matches!(waits, Waits::Semaphore(..)),
                Wait::ThreadSemaphore(_) => matches!(waits, Waits::ThreadSemaphore(_)),
                Wait::Events(_) => matches!(waits, Waits::Events(_)),
                Wait::RealTimeMutex(_) => matches!(waits, Waits::RealTimeMutex(_)),
                Wait::Pool(_) => matches!(waits, Waits::TimerPool(_)),
                Wait::Receive(_) => matches!(waits, Waits::Receive),
                Wait::Call(..) => matches!(waits, Waits::Call),
            };
            same!(
                kind,
                true,
                "whether thread {at} waits for what it should, and not for {waits:?}"
            );
            if let Some((value, number)) = self.model.threads[at].ended.take() {
                same!(result, value, "result of the wait of thread {at}");
                *self
                    .tally
                    .entry(("a wait", Some(value.min(K_OK))))
                    .or_default() += 1;
                if let Some(number) = number {
                    same!(
                        self.get::<u64>(at, GOT),
                        number,
                        "what thread {at} was told"
                    );
                }
                if let Some(overrun) = self.model.threads[at].overrun.take() {
                    same!(
                        self.get::<u32>(at, OVERRUN),
                        overrun,
                        "expiries that thread {at} missed"
                    );
                }
            }
            if self.model.can_run(at) {
                let level = Some(self.model.absolute(at));
                if runs {
                    (running, last) = (running + 1, last.max(level));
                } else {
                    ready += 1;
                    next = next.min(level).or(level);
                }
            } else {
                same!(runs, false, "whether thread {at} runs");
            }
        }
        same!(running, self.cpus.min(running + ready), "threads that run");
        if let (Some(last), Some(next)) = (last, next)
            && last > next
        {
            return Err(format!(
                "a thread of {last} runs, and one of {next} does not"
            ));
        }
        for (at, port) in self.model.ports.iter().enumerate() {
            if !port.alive && !whole {
                continue;
            }
            let found = self.site.nucleus.ipc.ports.get(self.port_ids[at]);
            same!(found.is_some(), port.alive, "whether port {at} is there");
            if let Some(found) = found {
                same!(found.queued, port.queue.len(), "queue of port {at}");
                same!(
                    found.sequence,
                    port.received,
                    "messages received of port {at}"
                );
                same!(found.enabled, port.enabled, "priority of port {at}");
                same!(found.pi, port.pi, "protection identifier of port {at}");
                same!(found.owner, self.actors[port.owner], "actor of port {at}");
            }
        }
        if whole {
            self.structures()?;
        }
        Ok(())
    }

    pub(super) fn structures(&mut self) -> Checked {
        for at in 0..self.actors.len() {
            if !self.model.actors[at].alive {
                continue;
            }
            for which in 0..STRUCTURES {
                let offset = 8 * which as u64;
                let semaphore: KnSem = self.site.get(self.actors[at], SEMAPHORES + offset);
                same!(
                    semaphore.count,
                    self.model.actors[at].semaphores[which].count,
                    "semaphore {which} of actor {at}"
                );
                let mutex: KnMutex = self.site.get(self.actors[at], MUTEXES + offset);
                let expected = &self.model.actors[at].mutexes[which];
                same!(
                    mutex.locked != 0,
                    expected.locked,
                    "mutex {which} of actor {at}"
                );
                same!(
                    mutex.waiters as usize,
                    expected.waiters.len(),
                    "waiters of mutex {which} of actor {at}"
                );
                let set: KnEventSet = self.site.get(self.actors[at], EVENTS + offset);
                same!(
                    set.flags,
                    self.model.actors[at].events[which].flags,
                    "flags of event set {which} of actor {at}"
                );
                let semaphore: KnThSem = self.site.get(self.actors[at], THREAD_SEMAPHORES + offset);
                same!(
                    semaphore.posted != 0,
                    self.model.actors[at].thread_semaphores[which].posted,
                    "post of thread semaphore {which} of actor {at}"
                );
                let mutex: KnRtMutex = self.site.get(self.actors[at], REAL_TIME + 2 * offset);
                let owner = self.model.actors[at].real_time[which].owner;
                if let Some(owner) = owner {
                    same!(
                        mutex.owner,
                        local_identifier(self.threads[owner]),
                        "owner of real-time mutex {which} of actor {at}"
                    );
                }
            }
        }
        Ok(())
    }
}
