//! Exception ports: whom the Nucleus asks what becomes of a thread (spec 3.1, 6.2).

use super::upcall::Trouble;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::machine::{Machine, Space};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;
use zerocopy::IntoBytes;

impl<M: Machine> Nucleus<M> {
    /// A new actor has its parent's exception port, unless its code is trusted more than its parent's: whoever treats exceptions has the registers.
    pub(crate) fn exception_port_inherit(&mut self, parent: Id<Actor>, child: Id<Actor>) {
        let Some((port, kind)) = self
            .actors
            .get(parent)
            .map(|parent| (parent.exception_port, parent.kind))
        else {
            return;
        };
        if let Some(child) = self.actors.get_mut(child)
            && child.kind <= kind
        {
            child.exception_port = port;
        }
    }

    /// `actorExcept` (NC-048…052).
    pub fn actor_except(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        old: Out<KnUniqueId>,
        new: In<KnUniqueId>,
    ) -> Result<Outcome, KError> {
        let id = self.actor_by_cap(caller, cap)?;
        if id != caller.actor && caller.privilege < chorus_abi::table::Privilege::System {
            return Err(KError::Priv);
        }
        let present = self.actors.get(id).ok_or(KError::Inval)?.exception_port;
        let wanted = self.read_optional(caller, new)?;
        if let Some(wanted) = wanted
            && wanted != KnUniqueId::NULL
            && !matches!(wanted.kind(), Some(UiType::Port | UiType::Group))
        {
            return Err(KError::Inval);
        }
        self.write_optional(caller, old, &present)?;
        if let (Some(wanted), Some(actor)) = (wanted, self.actors.get_mut(id)) {
            actor.exception_port = wanted;
        }
        Ok(Outcome::Done(K_OK))
    }

    /// Where the verdict goes: behind the registers.
    fn verdict_at(trouble: &Trouble) -> u64 {
        trouble.context + size_of::<KnThreadCtx>() as u64
    }

    /// Asks the home actor's exception port about a thread, as a call in the thread's name that no abort ends. Errors: there is no such port, or it cannot be
    /// asked; nothing has changed.
    pub(crate) fn report_exception(
        &mut self,
        caller: Caller,
        trouble: &Trouble,
    ) -> Result<(), KError> {
        let port = self
            .actors
            .get(caller.actor)
            .ok_or(KError::Inval)?
            .exception_port;
        if !port.is_valid() {
            return Err(KError::Unknown);
        }
        let report = self.report_of(caller.cpu, trouble);
        let mut annex = [0; K_CMSGANNEXSIZE];
        if let Some(part) = annex.get_mut(..size_of::<KnExcReport>()) {
            part.copy_from_slice(report.as_bytes());
        }
        // An answer without an annex is no verdict.
        let verdict_at = Self::verdict_at(trouble);
        let none = K_EXC_NOTHANDLED.to_le_bytes();
        self.write_bytes(caller.actor, Space::SUPERVISOR, verdict_at, &none)?;
        let answer = KnMsgDesc {
            body_size: size_of::<KnThreadCtx>() as u32,
            body_addr: trouble.context,
            annex_addr: verdict_at,
            ..KnMsgDesc::default()
        };
        self.ask(caller, port, annex, answer)
    }

    /// What the answer to a report says; `size`: what the call gave.
    pub(crate) fn verdict(&mut self, caller: Caller, trouble: &Trouble, size: i32) -> i32 {
        let mut verdict = [0; 4];
        let at = Self::verdict_at(trouble);
        if size < 0
            || self
                .read_bytes(caller.actor, Space::SUPERVISOR, at, &mut verdict)
                .is_err()
        {
            return K_EXC_NOTHANDLED;
        }
        i32::from_le_bytes(verdict)
    }
}
