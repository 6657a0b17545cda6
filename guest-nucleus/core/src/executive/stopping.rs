//! STOPPED, one thread at a time (spec 2.3, 3.2): for debuggers.
//!
//! There is one bit, whoever sets it: `actorStop` sets it in all threads of an actor, `threadStop` in one; `actorStart` clears it in all, `threadStart` in one.

use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

impl<M: Machine> Nucleus<M> {
    /// `threadStop`: returns when the thread is on no processor.
    pub fn thread_stop(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
    ) -> Result<Outcome, KError> {
        let id = self.thread_to_change(caller, cap, li)?;
        let thread = self.threads.get_mut(id).ok_or(KError::Inval)?;
        thread.stopped = true;
        let cpu = thread.cpu;
        self.requeue(id);
        Ok(self.await_off(caller, id, cpu))
    }

    /// `threadStart`.
    pub fn thread_start(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
    ) -> Result<Outcome, KError> {
        let id = self.thread_to_change(caller, cap, li)?;
        let thread = self.threads.get_mut(id).ok_or(KError::Inval)?;
        if !core::mem::take(&mut thread.stopped) {
            return Err(KError::Inval);
        }
        self.goes_on(id);
        Ok(Outcome::Done(K_OK))
    }
}
