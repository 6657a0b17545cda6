//! Whether the site is as the model has it.

use super::episode::*;
use super::model::{STRUCTURES, Wait};
use crate::executive::thread::Wait as Waits;
use chorus_abi::*;
use std::format;
use std::prelude::rust_2024::*;

impl Episode {
    /// Looks whether all is as the model has it.
    pub(super) fn compare(&mut self, whole: bool) -> Checked {
        let (mut running, mut ready) = (Vec::new(), Vec::new());
        for at in 0..self.threads.len() {
            let id = self.threads[at];
            if !self.model.threads[at].alive {
                if whole {
                    same!(
                        self.site.nucleus.threads.get(id).is_some(),
                        false,
                        "whether thread {at} is there"
                    );
                }
                continue;
            }
            let thread = self
                .site
                .nucleus
                .threads
                .get(id)
                .ok_or_else(|| format!("thread {at} is gone"))?;
            let (state, suspended, result) = (thread.state(), thread.suspended, thread.result);
            let (waits, current, runs) = (
                thread.wait,
                // A dormant message is as good as none.
                thread.current.0.is_some() && !thread.receive.plain,
                thread.cpu.is_some(),
            );
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
            same!(
                current,
                self.model.threads[at].current.is_some(),
                "whether thread {at} has a message"
            );
            let kind = match self.model.threads[at].wait {
                Wait::Nothing => waits == Waits::None,
                Wait::Delay => waits == Waits::Delay,
                Wait::Mutex(_) => matches!(waits, Waits::Mutex(_)),
                Wait::Semaphore(_) => matches!(waits, Waits::Semaphore(..)),
                Wait::Receive(_) => waits == Waits::Receive,
                Wait::Call(..) => waits == Waits::Call,
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
                        "body that thread {at} got"
                    );
                }
            }
            if self.model.can_run(at) {
                let list = if runs { &mut running } else { &mut ready };
                list.push(self.model.absolute(at));
            } else {
                same!(runs, false, "whether thread {at} runs");
            }
        }
        same!(
            running.len(),
            self.cpus.min(running.len() + ready.len()),
            "threads that run"
        );
        let (last, next) = (running.iter().max(), ready.iter().min());
        if let (Some(last), Some(next)) = (last, next)
            && last > next
        {
            return Err(format!(
                "a thread of {last} runs, and one of {next} does not"
            ));
        }
        for (at, port) in self.model.ports.iter().enumerate() {
            let (ui, _) = self.ports[at];
            let id = self.site.nucleus.port_by_ui(ui);
            same!(id.is_some(), port.alive, "whether port {at} is there");
            if let Some(found) = id.and_then(|id| self.site.nucleus.ipc.ports.get(id)) {
                same!(found.queued, port.queue.len(), "queue of port {at}");
                same!(
                    found.sequence,
                    port.received,
                    "messages received of port {at}"
                );
                same!(found.enabled, port.enabled, "priority of port {at}");
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
            }
        }
        Ok(())
    }
}
