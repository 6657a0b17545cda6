//! Mutexes and semaphores of the model.

use super::model::{Expected, Model, Wait};
use chorus_abi::error::*;

impl Model {
    pub fn mutex_get(&mut self, caller: usize, which: usize, only_try: bool) -> Expected {
        let actor = self.threads[caller].actor;
        let mutex = &mut self.actors[actor].mutexes[which];
        match (mutex.locked, only_try) {
            (false, _) => {
                mutex.locked = true;
                Expected::Returns(K_OK)
            }
            (true, true) => Expected::Returns(1),
            (true, false) => {
                mutex.waiters.push_back(caller);
                self.wait(caller, Wait::Mutex(which), false, None)
            }
        }
    }

    /// Whoever has waited longest has it then.
    pub fn mutex_release(&mut self, caller: usize, which: usize) -> Expected {
        let actor = self.threads[caller].actor;
        let mutex = &mut self.actors[actor].mutexes[which];
        match mutex.waiters.pop_front() {
            Some(heir) => self.wake(heir, K_OK, None),
            None => mutex.locked = false,
        }
        Expected::Returns(K_OK)
    }

    pub fn semaphore_get(&mut self, caller: usize, which: usize, limit: Option<u64>) -> Expected {
        if self.consume(caller) {
            return Expected::Returns(K_EABORT);
        }
        let actor = self.threads[caller].actor;
        let semaphore = &mut self.actors[actor].semaphores[which];
        if semaphore.count > 0 {
            semaphore.count -= 1;
            return Expected::Returns(K_OK);
        }
        if limit == Some(0) {
            return Expected::Returns(K_ETIMEOUT);
        }
        semaphore.count -= 1;
        semaphore.waiters.push_back(caller);
        self.wait(caller, Wait::Semaphore(which), true, limit)
    }

    pub fn semaphore_give(&mut self, caller: usize, which: usize) -> Expected {
        self.semaphore_post(self.threads[caller].actor, which)
    }

    /// The same by nobody.
    pub fn semaphore_post(&mut self, actor: usize, which: usize) -> Expected {
        let semaphore = &mut self.actors[actor].semaphores[which];
        semaphore.count += 1;
        if let Some(heir) = semaphore.waiters.pop_front() {
            self.wake(heir, K_OK, None);
        }
        Expected::Returns(K_OK)
    }
}
