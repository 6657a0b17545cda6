//! Thread semaphores (spec 3.3): one post, for one thread.

use crate::executive::thread::{Wait, local_identifier};
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

const SIZE: u64 = size_of::<KnThSem>() as u64;

impl<M: Machine> Nucleus<M> {
    /// `threadSemInit`.
    pub fn thread_sem_init(
        &mut self,
        caller: Caller,
        sem: Out<KnThSem>,
    ) -> Result<Outcome, KError> {
        self.place(caller, sem.address(), SIZE)?;
        let value = KnThSem {
            owner: local_identifier(caller.thread),
            posted: 0,
        };
        self.write(caller, sem, &value)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `threadSemWait` (NC-091, NC-092).
    pub fn thread_sem_wait(
        &mut self,
        caller: Caller,
        sem: InOut<KnThSem>,
        limit: In<KnTimeVal>,
    ) -> Result<Outcome, KError> {
        let place = self.place(caller, sem.address(), SIZE)?;
        let limit = self.interval(caller, limit)?;
        let value: KnThSem = self.read(caller, In::new(sem.address()))?;
        if value.owner != local_identifier(caller.thread) {
            return Err(KError::Inval);
        }
        if self.consume_abort(caller.thread) {
            return Err(KError::Abort);
        }
        if value.posted != 0 {
            let value = KnThSem { posted: 0, ..value };
            self.write(caller, Out::new(sem.address()), &value)?;
            return Ok(Outcome::Done(K_OK));
        }
        if limit == Some(0) {
            return Err(KError::Timeout);
        }
        let deadline = limit.map(|limit| self.machine.now().saturating_add(limit));
        let wait = Wait::ThreadSemaphore(place);
        self.wait_for_structure(caller.thread, place, wait, deadline);
        Ok(self.waits(caller.cpu))
    }

    /// `threadSemPost` (NC-091): a thread that waits takes the post with it.
    pub fn thread_sem_post(
        &mut self,
        caller: Caller,
        sem: InOut<KnThSem>,
    ) -> Result<Outcome, KError> {
        let place = self.place(caller, sem.address(), SIZE)?;
        if let Some(waiter) = self.oldest(place, |wait| wait == Wait::ThreadSemaphore(place)) {
            self.wake(waiter, K_OK);
            return Ok(Outcome::Done(K_OK));
        }
        let value: KnThSem = self.read(caller, In::new(sem.address()))?;
        let value = KnThSem { posted: 1, ..value };
        self.write(caller, Out::new(sem.address()), &value)?;
        Ok(Outcome::Done(K_OK))
    }
}
