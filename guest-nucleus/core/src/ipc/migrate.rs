//! Ports that change their actor, and their protection identifiers (spec 2.4, 3.4 `portMigrate`, `portPi`).
//!
//! A port keeps everything by which others know it: its UI, its memberships, its queue, its requests that somebody holds. All these name the port,
//! not its actor, so that only the owner changes here, in one step that nobody sees half done.

use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// Where a port is to go.
enum Destination {
    /// To an actor of this site.
    Here(Id<Actor>),
    /// To one of another, which checks the capability itself.
    Elsewhere(KnCap),
}

impl<M: Machine> Nucleus<M> {
    /// `portMigrate` (NC-116…128).
    pub fn port_migrate(
        &mut self,
        caller: Caller,
        options: i32,
        from: In<KnCap>,
        li: i32,
        to: In<KnCap>,
        seq_num: Out<u32>,
    ) -> Result<Outcome, KError> {
        if !seq_num.is_null() {
            self.check_writable(caller, seq_num.address(), size_of::<u32>() as u64)?;
        }
        let source = self.actor_by_cap(caller, from)?;
        let destination = self.destination(caller, to)?;
        if !matches!(options, K_MIGRATEMSG | K_DROPMSG) {
            return Err(KError::Inval);
        }
        let id = self.port_by_li(source, li)?;
        let port = self.ipc.ports.get(id).ok_or(KError::Inval)?;
        let (ui, received) = (port.ui, port.sequence);
        if port.handler().is_some() {
            return Err(KError::Inval);
        }
        let default = self.actors.get(source).and_then(|actor| actor.default_port);
        if default == Some(id) || ui.is_static_port() {
            return Err(KError::Inval);
        }
        self.may_change(caller, source)?;
        self.port_stays(id)?;
        match destination {
            Destination::Here(actor) => self.may_change(caller, actor)?,
            Destination::Elsewhere(_) => self.may_depart(id, ui)?,
        }
        // From a port that departs nobody receives: the count stays.
        self.write_optional(caller, seq_num, &received.wrapping_add(1))?;
        let destination = match destination {
            Destination::Here(actor) => actor,
            Destination::Elsewhere(to) => {
                return self.port_departs(caller, id, to, options == K_DROPMSG);
            }
        };
        // From here on nothing fails.
        if options == K_DROPMSG {
            self.port_empty(id);
        }
        self.port_waiters_leave(id, KError::NoPort);
        self.port_moves(id, destination);
        if let Some(port) = self.ipc.ports.get_mut(id) {
            port.enabled = None;
            port.sequence = 0;
        }
        Ok(Outcome::Done(crate::executive::thread::local_identifier(
            id,
        )))
    }

    /// The actor that a port is to go to. Errors: those of [`Nucleus::actor_by_cap`], but not `K_EUNKNOWN`.
    fn destination(&mut self, caller: Caller, cap: In<KnCap>) -> Result<Destination, KError> {
        match self.actor_by_cap(caller, cap) {
            Err(KError::Unknown) => {
                let cap = self.read(caller, cap)?;
                // It may be another by now.
                let elsewhere = cap.ui.site() != self.configuration.site;
                let is_port = cap.ui.kind() == Some(UiType::Port);
                match elsewhere && is_port {
                    true => Ok(Destination::Elsewhere(cap)),
                    false => Err(KError::Inval),
                }
            }
            here => here.map(Destination::Here),
        }
    }

    /// `portPi` (NC-131, NC-132).
    pub fn port_pi(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
        old: Out<KnProtId>,
        new: In<KnProtId>,
    ) -> Result<Outcome, KError> {
        let actor = self.actor_by_cap(caller, cap)?;
        let wanted = self.read_optional(caller, new)?;
        let id = self.port_by_li(actor, li)?;
        if wanted.is_some() {
            self.port_stays(id)?;
        }
        let pi = self.ipc.ports.get(id).ok_or(KError::Inval)?.pi;
        self.write_optional(caller, old, &pi)?;
        if let Some(wanted) = wanted {
            self.port_set_pi(id, KnProtId { pad: 0, ..wanted });
        }
        Ok(Outcome::Done(K_OK))
    }
}
