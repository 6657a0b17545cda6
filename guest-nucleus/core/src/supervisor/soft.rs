//! Soft interrupts: work that a handler of interrupts puts off to the moment when its processor goes back to a thread (spec 3.11).

use super::interrupts::Service;
use super::points::{Maker, Point};
use crate::arena::Id;
use crate::machine::{Cpu, Machine};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// Soft interrupts of a site.
pub(super) const DECLARED: usize = 64;

impl<M: Machine> Nucleus<M> {
    /// The system timeout that expired first, or else the soft interrupt that was triggered last, to be called now. Then [`Nucleus::interrupt_returned`].
    pub fn soft_interrupt(&mut self, cpu: Cpu) -> Option<Service> {
        if self.in_interrupt(cpu) {
            return None;
        }
        if let Some(timeout) = self.system_timeout_due(cpu) {
            return Some(timeout);
        }
        let point = self.supervisor.interrupts.pending.pop()?;
        self.interrupt_level(cpu, point, None)
    }

    /// A point is closed: it is not called any more.
    pub(crate) fn soft_forget(&mut self, point: Id<Point>) {
        self.supervisor
            .interrupts
            .pending
            .retain(|&pending| pending != point);
    }

    fn soft(&mut self, caller: Caller, soft: In<KnSoftIntr>) -> Result<Id<Point>, KError> {
        let soft = self.read(caller, soft)?;
        let id = Id::from_word(soft.id);
        let known = self
            .point(id)
            .is_some_and(|point| point.maker == Maker::Soft && !point.closed);
        if known && id.word() == soft.id {
            Ok(id)
        } else {
            Err(KError::Inval)
        }
    }

    /// `svSoftIntrDeclare`.
    pub fn sv_soft_intr_declare(
        &mut self,
        caller: Caller,
        soft: InOut<KnSoftIntr>,
    ) -> Result<Outcome, KError> {
        self.check_writable(caller, soft.address(), size_of::<KnSoftIntr>() as u64)?;
        let mut value: KnSoftIntr = self.read(caller, In::new(soft.address()))?;
        let all = self.supervisor.points.points.iter();
        if all.filter(|(_, point)| point.maker == Maker::Soft).count() >= DECLARED {
            return Err(KError::NoMem);
        }
        let routine = (value.handler, value.cookie);
        let point = self.point_make(caller.actor, routine, Maker::Soft)?;
        value.id = point.word();
        self.write(caller, Out::new(soft.address()), &value)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `svSoftIntrTrigger`: a pending one is pending once.
    pub fn sv_soft_intr_trigger(
        &mut self,
        caller: Caller,
        soft: In<KnSoftIntr>,
    ) -> Result<Outcome, KError> {
        let point = self.soft(caller, soft)?;
        let interrupts = &mut self.supervisor.interrupts;
        if !interrupts.pending.contains(&point) {
            interrupts.pending.push(point);
        }
        if !self.in_interrupt(caller.cpu) {
            // From a thread: its processor takes an interrupt at once.
            self.machine.kick(caller.cpu);
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `svSoftIntrForget`.
    pub fn sv_soft_intr_forget(
        &mut self,
        caller: Caller,
        soft: In<KnSoftIntr>,
    ) -> Result<Outcome, KError> {
        let point = self.soft(caller, soft)?;
        self.point_close(point);
        Ok(self.await_point(caller.thread, point))
    }
}
