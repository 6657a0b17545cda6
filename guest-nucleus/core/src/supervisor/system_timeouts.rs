//! System timeouts: a LAP of a supervisor actor that is called at interrupt level when a delay has passed (spec 3.10, `svSysTimeoutSet`).
//!
//! They expire on the grid of the timers, and are called in the order in which they expired, as soft interrupts are: with interrupts off, in nobody's thread. Until
//! it is called a timeout can be cancelled, also when its time has come. It goes with the actor that set it, and with the LAP.

use super::interrupts::Service;
use super::points::Point;
use crate::arena::{Arena, Id};
use crate::executive::actor::Actor;
use crate::executive::timers::{TICK, grid};
use crate::machine::{Cpu, Machine};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// Timeouts of a site that can be set at once.
pub(crate) const SET: usize = 64;
const SIZE: u64 = size_of::<KnTimeout>() as u64;

/// A timeout that is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeout {
    /// Who set it.
    actor: Id<Actor>,
    /// Address of its structure.
    desc: u64,
    point: Id<Point>,
    /// Its time has come: which one that was.
    expired: Option<u64>,
}

/// The timeouts that are set.
pub(crate) struct SystemTimeouts {
    set: Arena<Timeout>,
    /// How many of them have expired, and how many ever did.
    due: usize,
    expiries: u64,
}

impl SystemTimeouts {
    pub fn new() -> Self {
        SystemTimeouts {
            set: Arena::new(SET),
            due: 0,
            expiries: 0,
        }
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.set.len() + self.due
    }
}

impl<M: Machine> Nucleus<M> {
    fn system_timeout_place(&self, id: Id<Timeout>) -> usize {
        self.configuration.limits.system_deadlines() + id.index()
    }

    /// The timeout that a structure is set for.
    fn system_timeout(&self, desc: u64, value: KnTimeout) -> Option<Id<Timeout>> {
        let id = Id::from_word(value.id);
        let set = self.supervisor.timeouts.set.get(id)?;
        (id.word() == value.id && set.desc == desc).then_some(id)
    }

    fn system_timeout_remove(&mut self, id: Id<Timeout>) -> Option<Timeout> {
        let place = self.system_timeout_place(id);
        self.timeouts.clear(place);
        let timeouts = &mut self.supervisor.timeouts;
        let gone = timeouts.set.remove(id)?;
        timeouts.due -= usize::from(gone.expired.is_some());
        Some(gone)
    }

    fn system_timeouts_remove(&mut self, which: impl Fn(&Timeout) -> bool) {
        for slot in 0..self.supervisor.timeouts.set.extent() {
            let set = &self.supervisor.timeouts.set;
            if let Some(id) = set.at(slot)
                && set.get(id).is_some_and(&which)
            {
                self.system_timeout_remove(id);
            }
        }
    }

    /// An actor is being deleted: what it set is cancelled.
    pub(crate) fn system_timeouts_end(&mut self, actor: Id<Actor>) {
        self.system_timeouts_remove(|timeout| timeout.actor == actor);
    }

    /// A point is closed: no timeout calls it.
    pub(crate) fn system_timeouts_forget(&mut self, point: Id<Point>) {
        self.system_timeouts_remove(|timeout| timeout.point == point);
    }

    /// The time of a timeout has come: it is called when the processor that heard of it goes back to a thread.
    pub(crate) fn system_timeout_expires(&mut self, slot: usize) {
        let timeouts = &mut self.supervisor.timeouts;
        if let Some(timeout) = timeouts
            .set
            .at(slot)
            .and_then(|id| timeouts.set.get_mut(id))
        {
            timeouts.expiries += 1;
            timeouts.due += 1;
            timeout.expired = Some(timeouts.expiries);
        }
    }

    /// The timeout that expired first, to be called now.
    pub(crate) fn system_timeout_due(&mut self, cpu: Cpu) -> Option<Service> {
        if self.supervisor.timeouts.due == 0 {
            return None;
        }
        let set = self.supervisor.timeouts.set.iter();
        let expired = set.filter_map(|(id, timeout)| Some((timeout.expired?, id)));
        let (_, id) = expired.min_by_key(|&(order, _)| order)?;
        let timeout = self.system_timeout_remove(id)?;
        let service = self.interrupt_level(cpu, timeout.point, None)?;
        Some(Service {
            timeout: Some(timeout.desc),
            ..service
        })
    }

    /// `svSysTimeoutSet`.
    pub fn sv_sys_timeout_set(
        &mut self,
        caller: Caller,
        desc: InOut<KnTimeout>,
        delay: In<KnTimeVal>,
        flags: i32,
        handler: In<KnLapDesc>,
    ) -> Result<Outcome, KError> {
        self.check_writable(caller, desc.address(), SIZE)?;
        let value: KnTimeout = self.read(caller, In::new(desc.address()))?;
        let delay = self.interval(caller, delay)?.ok_or(KError::Inval)?;
        let point = self.lap(caller, handler)?;
        if flags != 0 {
            return Err(KError::Inval);
        }
        if self.system_timeout(desc.address(), value).is_some() {
            return Err(KError::Busy);
        }
        if !self.supervisor.timeouts.set.has_room() {
            return Err(KError::NoMem);
        }
        let due = grid(self.machine.now().saturating_add(delay));
        let set = self.supervisor.timeouts.set.insert(Timeout {
            actor: caller.actor,
            desc: desc.address(),
            point,
            expired: None,
        });
        let id = set.ok_or(KError::NoMem)?;
        let place = self.system_timeout_place(id);
        self.timeouts.set(place, due);
        self.deadlines_changed();
        let value = KnTimeout { id: id.word() };
        self.write(caller, Out::new(desc.address()), &value)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `svSysTimeoutCancel`.
    pub fn sv_sys_timeout_cancel(
        &mut self,
        caller: Caller,
        desc: In<KnTimeout>,
    ) -> Result<Outcome, KError> {
        let value = self.read(caller, desc)?;
        let id = self.system_timeout(desc.address(), value);
        self.system_timeout_remove(id.ok_or(KError::Inval)?);
        Ok(Outcome::Done(K_OK))
    }

    /// `svTimeoutGetRes`.
    pub fn sv_timeout_get_res(
        &mut self,
        caller: Caller,
        resolution: Out<KnTimeVal>,
    ) -> Result<Outcome, KError> {
        self.write(caller, resolution, &KnTimeVal::from_ns(TICK))?;
        Ok(Outcome::Done(K_OK))
    }
}
