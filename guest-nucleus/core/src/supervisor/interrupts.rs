//! Interrupts of devices for supervisor actors: handlers, in which order they are called, and what they may do (spec 3.11, 6.3).
//!
//! A handler runs on whatever stack its processor has, with interrupts off, in nobody's thread. So it may not wait, and of all calls only those are for it
//! that wake others ([`ALLOWED`]). What it wants beyond that it puts off, to a soft interrupt or to a thread.

use super::points::{Maker, Point};
use crate::arena::{Arena, Id};
use crate::machine::{Cpu, Machine, Space};
use crate::nucleus::{Caller, Nucleus, Outcome};
use alloc::vec;
use alloc::vec::Vec;
use chorus_abi::machine::irq_of;
use chorus_abi::table::{self, Privilege, number};
use chorus_abi::*;

const ATTACHED: usize = 64;
/// Calls that a handler may make.
pub(crate) const ALLOWED: [&str; 7] = [
    "semV",
    "threadSemPost",
    "eventPost",
    "svSoftIntrTrigger",
    "svSysTimeoutSet",
    "sysNull",
    "sysTime",
];

/// A handler that is attached to a vector.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attached {
    point: Id<Point>,
    vector: u32,
    /// When it was attached among the others: the order in which they are called.
    order: u64,
    masked: bool,
    /// It came while it was masked.
    pending: bool,
}

/// What runs on a processor at interrupt level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running {
    pub point: Id<Point>,
    pub owner: Id<crate::executive::actor::Actor>,
    /// The vector, and the order behind which the next handler is looked for; none for a soft interrupt.
    next: Option<(u32, u64)>,
}

/// The attached handlers, those that run, and the soft interrupts that wait.
pub(crate) struct Interrupts {
    attached: Arena<Attached>,
    orders: u64,
    /// By processor.
    running: Vec<Option<Running>>,
    /// Processors at interrupt level.
    busy: usize,
    /// Soft interrupts that were triggered, the last one last.
    pub pending: Vec<Id<Point>>,
}

/// A routine to be called at interrupt level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Service {
    /// Its address.
    pub routine: u64,
    /// What it gets.
    pub cookie: u64,
    /// Address of the structure of a system timeout: its routine gets that before the cookie.
    pub timeout: Option<u64>,
}

impl Interrupts {
    pub fn new(cpus: usize) -> Self {
        Interrupts {
            attached: Arena::new(ATTACHED),
            orders: 0,
            running: vec![None; cpus],
            busy: 0,
            pending: Vec::with_capacity(super::soft::DECLARED),
        }
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.attached.len() + self.busy + self.pending.len()
    }
}

impl<M: Machine> Nucleus<M> {
    #[cold]
    fn at_interrupt_level(&self, cpu: Cpu) -> Option<Running> {
        *self.supervisor.interrupts.running.get(cpu)?
    }

    /// Whether a handler of interrupts runs on any processor: what every call asks.
    #[inline(always)]
    pub(crate) fn interrupts_run(&self) -> bool {
        self.supervisor.interrupts.busy != 0
    }

    /// Whether a handler of interrupts runs on a processor.
    #[inline(always)]
    pub fn in_interrupt(&self, cpu: Cpu) -> bool {
        self.interrupts_run() && self.at_interrupt_level(cpu).is_some()
    }

    /// Who calls from a handler of interrupts.
    #[cold]
    pub(crate) fn interrupt_caller(&self, cpu: Cpu) -> Option<Caller> {
        let running = self.at_interrupt_level(cpu)?;
        Some(Caller {
            cpu,
            thread: Id::from_word(u64::MAX),
            actor: running.owner,
            space: Space::SUPERVISOR,
            privilege: Privilege::Supervisor,
        })
    }

    /// Whether a handler of interrupts may make a call.
    pub(crate) fn may_interrupt_call(number: usize) -> bool {
        u16::try_from(number)
            .ok()
            .and_then(table::by_number)
            .is_some_and(|call| ALLOWED.contains(&call.name))
    }

    /// A routine begins on a processor at interrupt level.
    pub(crate) fn interrupt_level(
        &mut self,
        cpu: Cpu,
        id: Id<Point>,
        next: Option<(u32, u64)>,
    ) -> Option<Service> {
        let point = *self.point(id)?;
        let entry = self.supervisor.interrupts.running.get_mut(cpu)?;
        *entry = Some(Running {
            point: id,
            owner: point.owner,
            next,
        });
        self.supervisor.interrupts.busy += 1;
        self.changes.suspend(true);
        self.point_enter(id);
        Some(Service {
            routine: point.routine,
            cookie: point.cookie,
            timeout: None,
        })
    }

    /// The first handler for a vector behind an order.
    fn next_handler(&mut self, cpu: Cpu, vector: u32, after: u64) -> Option<Service> {
        let mut found: Option<(u64, Id<Attached>)> = None;
        for (id, attached) in self.supervisor.interrupts.attached.iter() {
            let comes = attached.vector == vector && attached.order > after;
            if comes && found.is_none_or(|(order, _)| attached.order < order) {
                found = Some((attached.order, id));
            }
        }
        let (order, id) = found?;
        let attached = self.supervisor.interrupts.attached.get_mut(id)?;
        if attached.masked {
            attached.pending = true;
            return self.next_handler(cpu, vector, order);
        }
        let point = attached.point;
        self.interrupt_level(cpu, point, Some((vector, order)))
    }

    /// A device interrupt that a processor took: the first handler to be called. Then [`Nucleus::interrupt_returned`], then [`Nucleus::soft_interrupt`] until
    /// there is none, then `schedule`.
    pub fn interrupt_handler(&mut self, cpu: Cpu, vector: u32) -> Option<Service> {
        self.entered = Some(cpu);
        if self.supervisor.interrupts.attached.is_empty() || self.in_interrupt(cpu) {
            return None;
        }
        self.next_handler(cpu, vector, 0)
    }

    /// A routine at interrupt level is over (`None`: it was lost to an exception); the next one.
    pub fn interrupt_returned(&mut self, cpu: Cpu, result: Option<i32>) -> Option<Service> {
        self.entered = Some(cpu);
        let entry = self.supervisor.interrupts.running.get_mut(cpu);
        let running = entry.and_then(Option::take)?;
        self.supervisor.interrupts.busy -= 1;
        if !self.interrupts_run() {
            self.changes.suspend(false);
        }
        self.point_leave(running.point);
        let (vector, order) = running.next?;
        match result {
            Some(K_INTR_CLAIMED) => None,
            _ => self.next_handler(cpu, vector, order),
        }
    }

    /// A point is closed: it is attached to nothing.
    pub(crate) fn interrupts_forget(&mut self, point: Id<Point>) {
        for slot in 0..ATTACHED {
            let attached = &mut self.supervisor.interrupts.attached;
            if let Some(id) = attached.at(slot)
                && attached.get(id).is_some_and(|entry| entry.point == point)
            {
                attached.remove(id);
            }
        }
    }

    /// `svIntrAttach` (NC-275).
    pub fn sv_intr_attach(
        &mut self,
        caller: Caller,
        intr: u32,
        handler: u64,
        cookie: u64,
        ops: Out<KnIntrOps>,
        id: Out<u64>,
    ) -> Result<Outcome, KError> {
        if !ops.is_null() {
            self.check_writable(caller, ops.address(), size_of::<KnIntrOps>() as u64)?;
        }
        self.check_writable(caller, id.address(), 8)?;
        let irq = irq_of(intr).ok_or(KError::Inval)?;
        if !self.supervisor.interrupts.attached.has_room() {
            return Err(KError::NoMem);
        }
        let point = self.point_make(caller.actor, (handler, cookie), Maker::Connection)?;
        self.point_connected(point);
        let interrupts = &mut self.supervisor.interrupts;
        interrupts.orders += 1;
        let attached = interrupts
            .attached
            .insert(Attached {
                point,
                vector: intr,
                order: interrupts.orders,
                masked: false,
                pending: false,
            })
            .ok_or(KError::NoMem)?;
        let services = KnIntrOps {
            mask: self.machine.call_address(true, number::sv_intr_mask),
            unmask: self.machine.call_address(true, number::sv_intr_unmask),
        };
        self.machine.enable_interrupt(irq);
        self.write_optional(caller, ops, &services)?;
        self.write(caller, id, &attached.word())?;
        Ok(Outcome::Done(K_OK))
    }

    fn attached(&mut self, id: u64) -> Result<&mut Attached, KError> {
        let attached = &mut self.supervisor.interrupts.attached;
        attached
            .get_mut(Id::from_word(id))
            .filter(|_| id >> 48 == 0)
            .ok_or(KError::Inval)
    }

    /// `svIntrDetach`.
    pub fn sv_intr_detach(&mut self, caller: Caller, id: u64) -> Result<Outcome, KError> {
        let point = self.attached(id)?.point;
        self.supervisor
            .interrupts
            .attached
            .remove(Id::from_word(id));
        self.point_disconnected(point);
        Ok(self.await_point(caller.thread, point))
    }

    /// `svIntrMask`.
    pub fn sv_intr_mask(&mut self, _: Caller, id: u64) -> Result<Outcome, KError> {
        self.attached(id)?.masked = true;
        Ok(Outcome::Done(K_OK))
    }

    /// `svIntrUnmask`.
    pub fn sv_intr_unmask(&mut self, _: Caller, id: u64) -> Result<Outcome, KError> {
        let attached = self.attached(id)?;
        attached.masked = false;
        if core::mem::take(&mut attached.pending) {
            let vector = attached.vector;
            self.machine.raise(vector);
        }
        Ok(Outcome::Done(K_OK))
    }
}
