//! Time (spec 0.3, 3.10) and sleeping.

use crate::executive::thread::Wait;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

impl<M: Machine> Nucleus<M> {
    /// An interval argument in nanoseconds; `None` is no limit. Errors: `K_EFAULT`, `K_EINVAL`.
    pub(crate) fn interval(
        &mut self,
        caller: Caller,
        limit: In<KnTimeVal>,
    ) -> Result<Option<u64>, KError> {
        match self.read_optional(caller, limit)? {
            None => Ok(None),
            Some(value) => value.to_ns().map(Some).ok_or(KError::Inval),
        }
    }

    /// When a delay of the message calls ends: milliseconds, negative without limit.
    pub(crate) fn deadline_ms(&mut self, delay: i32) -> Option<u64> {
        u64::try_from(delay)
            .ok()
            .map(|delay| self.machine.now().saturating_add(delay * 1_000_000))
    }

    /// `threadDelay` (NC-074…076).
    pub fn thread_delay(
        &mut self,
        caller: Caller,
        limit: In<KnTimeVal>,
    ) -> Result<Outcome, KError> {
        let limit = self.interval(caller, limit)?;
        if self.consume_abort(caller.thread) {
            return Err(KError::Abort);
        }
        if limit == Some(0) {
            self.give_way(caller.cpu);
            return Err(KError::Timeout);
        }
        let deadline = limit.map(|limit| self.machine.now().saturating_add(limit));
        self.block(caller.thread, Wait::Delay, deadline);
        Ok(Outcome::Blocked)
    }

    /// `sysTime`.
    pub fn sys_time(&mut self, caller: Caller, time: Out<KnTimeVal>) -> Result<Outcome, KError> {
        let now = self.machine.now();
        self.write(caller, time, &KnTimeVal::from_ns(now))?;
        Ok(Outcome::Done(K_OK))
    }

    /// `sysTimeGetRes`.
    pub fn sys_time_get_res(
        &mut self,
        caller: Caller,
        resolution: Out<KnTimeVal>,
    ) -> Result<Outcome, KError> {
        let value = KnTimeVal::from_ns(self.machine.clock_resolution());
        self.write(caller, resolution, &value)?;
        Ok(Outcome::Done(K_OK))
    }
}
