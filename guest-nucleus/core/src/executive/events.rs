//! Sets of event flags (spec 3.3): a post wakes everybody whom it satisfies, and stays until it is cleared.

use crate::executive::thread::Wait;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

const SIZE: u64 = size_of::<KnEventSet>() as u64;

/// A wait for event flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventWait {
    /// Physical place of the set.
    pub place: u64,
    /// Flags of interest.
    mask: u32,
    /// All of them, not just one.
    all: bool,
    /// Address in the thread's space that is told which are posted; 0: it is not told.
    got: u64,
}

impl EventWait {
    /// Where the thread is told which flags are posted, and how many bytes.
    pub(crate) fn told(&self) -> (u64, u64) {
        (self.got, if self.got == 0 { 0 } else { 4 })
    }

    fn satisfied(&self, flags: u32) -> bool {
        let posted = flags & self.mask;
        if self.all {
            posted == self.mask
        } else {
            posted != 0
        }
    }
}

impl<M: Machine> Nucleus<M> {
    /// `eventInit`.
    pub fn event_init(&mut self, caller: Caller, set: Out<KnEventSet>) -> Result<Outcome, KError> {
        self.place(caller, set.address(), SIZE)?;
        self.write(caller, set, &KnEventSet::default())?;
        Ok(Outcome::Done(K_OK))
    }

    /// `eventPost` (NC-093…096).
    pub fn event_post(
        &mut self,
        caller: Caller,
        set: InOut<KnEventSet>,
        mask: u32,
    ) -> Result<Outcome, KError> {
        let place = self.place(caller, set.address(), SIZE)?;
        let mut value: KnEventSet = self.read(caller, In::new(set.address()))?;
        value.flags |= mask;
        self.write(caller, Out::new(set.address()), &value)?;
        let flags = value.flags;
        // Each one that wakes leaves the list.
        let satisfied = |wait| matches!(wait, Wait::Events(wait) if wait.place == place && wait.satisfied(flags));
        while let Some(waiter) = self.oldest(place, satisfied) {
            let result = match self
                .threads
                .get(waiter)
                .map(|it| (it.actor, it.space, it.wait))
            {
                Some((actor, space, Wait::Events(wait))) if wait.got != 0 => {
                    let bytes = (flags & wait.mask).to_le_bytes();
                    match self.at_once(|it| it.write_bytes(actor, space, wait.got, &bytes)) {
                        Ok(()) => K_OK,
                        Err(error) => error.code(),
                    }
                }
                _ => K_OK,
            };
            self.wake(waiter, result);
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `eventClear` (NC-096).
    pub fn event_clear(
        &mut self,
        caller: Caller,
        set: InOut<KnEventSet>,
        mask: u32,
    ) -> Result<Outcome, KError> {
        self.place(caller, set.address(), SIZE)?;
        let mut value: KnEventSet = self.read(caller, In::new(set.address()))?;
        value.flags &= !mask;
        self.write(caller, Out::new(set.address()), &value)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `eventWait` (NC-093…096).
    pub fn event_wait(
        &mut self,
        caller: Caller,
        set: InOut<KnEventSet>,
        mask: u32,
        mode: i32,
        got: Out<u32>,
        limit: In<KnTimeVal>,
    ) -> Result<Outcome, KError> {
        let place = self.place(caller, set.address(), SIZE)?;
        if !got.is_null() {
            self.check_writable(caller, got.address(), size_of::<u32>() as u64)?;
        }
        let limit = self.interval(caller, limit)?;
        if mask == 0 || !matches!(mode, K_EVENT_OR | K_EVENT_AND) {
            return Err(KError::Inval);
        }
        let wait = EventWait {
            place,
            mask,
            all: mode == K_EVENT_AND,
            got: got.address(),
        };
        let value: KnEventSet = self.read(caller, In::new(set.address()))?;
        if self.consume_abort(caller.thread) {
            return Err(KError::Abort);
        }
        if wait.satisfied(value.flags) {
            self.write_optional(caller, got, &(value.flags & mask))?;
            return Ok(Outcome::Done(K_OK));
        }
        if limit == Some(0) {
            return Err(KError::Timeout);
        }
        let deadline = limit.map(|limit| self.machine.now().saturating_add(limit));
        self.wait_for_structure(caller.thread, place, Wait::Events(wait), deadline);
        Ok(self.waits(caller.cpu))
    }
}
