//! What an actor may do, and as whom its messages go: its kind and its protection identifier (spec 1.4, 2.2, 3.1).

use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::table::Privilege;
use chorus_abi::*;

/// Trusted callers only.
fn trusted(caller: Caller) -> Result<(), KError> {
    if caller.privilege < Privilege::System {
        Err(KError::Priv)
    } else {
        Ok(())
    }
}

impl<M: Machine> Nucleus<M> {
    fn trust_of(&mut self, caller: Caller, cap: In<KnCap>) -> Result<Id<Actor>, KError> {
        let id = self.actor_by_cap(caller, cap)?;
        if id != caller.actor {
            trusted(caller)?;
        }
        Ok(id)
    }

    /// `actorPi`: messages sent from now on carry the new one; ports keep theirs.
    pub fn actor_pi(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        old: Out<KnProtId>,
        new: In<KnProtId>,
    ) -> Result<Outcome, KError> {
        let id = self.trust_of(caller, cap)?;
        if !new.is_null() {
            trusted(caller)?;
        }
        let pi = self.actors.get(id).ok_or(KError::Inval)?.pi;
        let wanted = self.read_optional(caller, new)?;
        self.write_optional(caller, old, &pi)?;
        if let (Some(wanted), Some(actor)) = (wanted, self.actors.get_mut(id)) {
            actor.pi = KnProtId { pad: 0, ..wanted };
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `actorPrivilege`: each thread has the new privilege from its next call on.
    pub fn actor_privilege(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        old: Out<i32>,
        new: In<i32>,
    ) -> Result<Outcome, KError> {
        let id = self.actor_by_cap(caller, cap)?;
        if !new.is_null() {
            trusted(caller)?;
        }
        let kind = self.actors.get(id).ok_or(KError::Inval)?.kind;
        let wanted = self.read_optional(caller, new)?;
        if let Some(wanted) = wanted
            && (!matches!(wanted, K_USERACTOR | K_SYSTEMACTOR) || kind == K_SUPACTOR)
            && wanted != kind
        {
            return Err(KError::Inval);
        }
        self.write_optional(caller, old, &kind)?;
        if let (Some(wanted), Some(actor)) = (wanted, self.actors.get_mut(id)) {
            actor.kind = wanted;
        }
        Ok(Outcome::Done(K_OK))
    }
}
