//! Ports that come from another site: made, but no part of this site before it is told that they live here (SS-013…025).

use super::moves::{EPOCHS, Move, NOBODY, Stage};
use super::port::{Port, Taker, Traffic};
use super::record::{self, Head};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::local_identifier;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus};
use chorus_abi::net::KnNetItem;
use chorus_abi::*;

impl<M: Machine> Nucleus<M> {
    /// `nmDeliver` of a port: it is made for its actor, but belongs to nobody and has no name; its local identifier.
    ///
    /// # Errors
    /// `K_EUNKNOWN` no such actor; `K_EINVAL` no port that may move, no record, a wrong key of the actor or of a group, a port of this name is here or comes already; `K_EPRIV` the actor is trusted, and
    /// who moves the port is not; `K_ENOMEM`; `K_EFAULT`. Then nothing comes.
    pub(super) fn port_arrives(
        &mut self,
        caller: Caller,
        item: &KnNetItem,
        body: In<u8>,
    ) -> Result<i32, KError> {
        let ui = item.target;
        let epoch = u32::try_from(item.handle).map_err(|_| KError::Inval)?;
        let may_move = ui.kind() == Some(UiType::Port) && !ui.is_static_port();
        if !may_move || epoch > EPOCHS || self.port_by_ui(ui).is_some() {
            return Err(KError::Inval);
        }
        let mut bytes = [0; record::HEAD];
        if (item.body_size as usize) < bytes.len() {
            return Err(KError::Inval);
        }
        let (own, space, mut at) = (caller.actor, caller.space, body.address());
        self.read_bytes(own, space, at, &mut bytes)?;
        let head = Head::from_bytes(&bytes, item.body_size).ok_or(KError::Inval)?;
        let owner = self.actor_to_arrive_at(item.co_target, &head)?;
        if let Some((earlier, port)) = self.arrival(ui) {
            if port.epoch >= epoch {
                return Err(KError::Inval);
            }
            // It does not come any more: the other site began anew.
            self.arrival_ends(earlier);
        }
        let groups = self.ipc.groups.members.room();
        if !self.port_room() || !self.ipc.moves.has_room() || groups < head.groups as usize {
            return Err(KError::NoMem);
        }
        let port = Port {
            ui,
            owner: NOBODY,
            pi: head.pi,
            enabled: None,
            groups: 0,
            epoch,
            taker: Taker::Threads,
            next: None,
            traffic: Traffic::default(),
        };
        let port = self.ipc.ports.insert(port).ok_or(KError::NoMem)?;
        let it = Move {
            port,
            ui,
            stage: Stage::Arriving(owner),
            told: true,
            mover: None,
        };
        let moving = self.ipc.moves.begin(it).ok_or(KError::NoMem)?;
        if let Some(port) = self.ipc.ports.get_mut(port) {
            port.taker = Taker::Nobody(moving);
        }
        at += bytes.len() as u64;
        for _ in 0..head.groups {
            // The record lies where other threads may write: it is read once.
            let mut bytes = [0; record::GROUP];
            let joined = self.read_bytes(own, space, at, &mut bytes).and_then(|()| {
                let group = record::group_from_bytes(&bytes).ok_or(KError::Inval)?;
                self.membership_prepare(port, group)
            });
            if let Err(error) = joined {
                self.arrival_ends(moving);
                return Err(error);
            }
            at += bytes.len() as u64;
        }
        Ok(local_identifier(port))
    }

    /// The actor that a port comes to. Errors: `K_EUNKNOWN`, `K_EINVAL`, `K_EPRIV`.
    fn actor_to_arrive_at(&self, ui: KnUniqueId, head: &Head) -> Result<Id<Actor>, KError> {
        let port = self.port_by_ui(ui).ok_or(KError::Unknown)?;
        let owner = self.port_owner(port).ok_or(KError::Unknown)?;
        let actor = self.actors.get(owner).ok_or(KError::Unknown)?;
        if actor.default_port != Some(port) {
            return Err(KError::Unknown);
        }
        if actor.cap.key != head.key {
            return Err(KError::Inval);
        }
        if actor.kind != K_USERACTOR && !head.trusted {
            return Err(KError::Priv);
        }
        Ok(owner)
    }

    /// The port of a name that comes.
    fn arrival(&self, ui: KnUniqueId) -> Option<(Id<Move>, &Port)> {
        let arrives = |stage: &Stage| matches!(stage, Stage::Arriving(_));
        let (id, it) = self.ipc.moves.find(ui, arrives)?;
        Some((id, self.ipc.ports.get(it.port)?))
    }

    /// The same if this is its epoch.
    fn arrival_of(&self, item: &KnNetItem) -> Option<Id<Move>> {
        let (id, port) = self.arrival(item.target)?;
        (u64::from(port.epoch) == item.handle).then_some(id)
    }

    /// `nmDeliver`: a port that came lives here from now on. Errors: `K_EUNKNOWN` none comes with this epoch.
    pub(super) fn port_lives(&mut self, item: &KnNetItem) -> Result<(), KError> {
        let id = self.arrival_of(item).ok_or(KError::Unknown)?;
        let it = self.ipc.moves.end(id).ok_or(KError::Unknown)?;
        if let Stage::Arriving(owner) = it.stage {
            self.port_moves(it.port, owner);
        }
        if let Some(port) = self.ipc.ports.get_mut(it.port) {
            port.taker = Taker::Threads;
        }
        self.ipc.names.insert(it.ui.word(), it.port.index());
        self.memberships_arrive(it.port);
        Ok(())
    }

    /// `nmDeliver`: a port does not come.
    pub(super) fn port_comes_not(&mut self, item: &KnNetItem) {
        if let Some(id) = self.arrival_of(item) {
            self.arrival_ends(id);
        }
    }

    /// A port that was to come does not.
    pub(super) fn arrival_ends(&mut self, id: Id<Move>) {
        if let Some(it) = self.ipc.moves.end(id) {
            self.memberships_end(it.port);
            self.ipc.ports.remove(it.port);
        }
    }

    /// An actor dies: what was to come to it does not.
    pub(super) fn arrivals_end(&mut self, owner: Id<Actor>) {
        for slot in self.ipc.moves.ids() {
            if let Some(id) = self.ipc.moves.at(slot)
                && let Some(it) = self.ipc.moves.get(id)
                && it.stage == Stage::Arriving(owner)
            {
                self.arrival_ends(id);
            }
        }
    }
}
