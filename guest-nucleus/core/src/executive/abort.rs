//! Ending another thread's wait (spec 3.2, `threadAbort`).

use crate::arena::Id;
use crate::executive::thread::{Thread, Wait};
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::table::Privilege;
use chorus_abi::*;

impl<M: Machine> Nucleus<M> {
    /// `threadAbort` (NC-069…073): an untrusted caller aborts threads of its own actor only.
    pub fn thread_abort(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
    ) -> Result<Outcome, KError> {
        let id = self.thread_to_change(caller, cap, li)?;
        let home = self.threads.get(id).map(|thread| thread.actor);
        if home != Some(caller.actor) && caller.privilege < Privilege::System {
            return Err(KError::Priv);
        }
        self.abort(id);
        Ok(Outcome::Done(K_OK))
    }

    /// Ends an abortable wait, or leaves the mark.
    pub(crate) fn abort(&mut self, id: Id<Thread>) {
        self.handling_aborted(id);
        self.abort_wait(id);
    }

    /// The same for what the thread does now, wherever it is inside.
    pub(crate) fn abort_wait(&mut self, id: Id<Thread>) {
        let Some(thread) = self.threads.get_mut(id) else {
            return;
        };
        let wait = thread.wait;
        let abortable = match wait {
            Wait::Delay
            | Wait::Semaphore(..)
            | Wait::ThreadSemaphore(_)
            | Wait::Events(_)
            | Wait::TimerPool(_)
            | Wait::Name(_)
            | Wait::NetworkManager
            | Wait::Migration(_)
            | Wait::Device(_) => true,
            Wait::Receive => thread.receive.abortable(),
            Wait::Call => thread.call.abortable(),
            _ => false,
        };
        if abortable {
            self.end_wait(id, KError::Abort);
        }
        let treated = self.treats_aborts(id);
        if let Some(thread) = self.threads.get_mut(id)
            && (treated || !abortable)
        {
            thread.aborted = true;
            if let (true, Some(cpu)) = (treated, thread.cpu) {
                // Its handler runs at once, not at its next call.
                self.machine.kick(cpu);
            }
        }
    }

    /// Whether the caller is ABORTED; the mark is used up. For the start of abortable waits.
    pub(crate) fn consume_abort(&mut self, id: Id<Thread>) -> bool {
        if !self.threads.get(id).is_some_and(|thread| thread.aborted) {
            return false;
        }
        self.threads
            .get_mut(id)
            .is_some_and(|thread| core::mem::take(&mut thread.aborted))
    }

    /// `threadAborted` (NC-071).
    pub fn thread_aborted(&mut self, caller: Caller) -> Result<Outcome, KError> {
        Ok(Outcome::Done(self.consume_abort(caller.thread).into()))
    }
}
