//! Ports that come from another site: made, but no part of this site before it is told that they live here (SS-013…025).

use super::moves::{EPOCHS, Move, NOBODY, Stage};
use super::port::{Port, Taker};
use super::record::{Head, PAIR};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::local_identifier;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus};
use chorus_abi::net::KnNetItem;
use chorus_abi::*;
use zerocopy::IntoBytes;

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
        if item.body_size < 2 * PAIR {
            return Err(KError::Inval);
        }
        let mut at = body.address();
        let head = [self.pair(caller, &mut at)?, self.pair(caller, &mut at)?];
        let head = Head::from_words(head, item.body_size).ok_or(KError::Inval)?;
        let owner = self.actor_to_arrive_at(item.co_target, &head)?;
        if let Some((earlier, older)) = self.arrival(ui) {
            if older >= item.handle {
                return Err(KError::Inval);
            }
            // It does not come any more: the other site began anew.
            self.arrival_ends(earlier);
        }
        let groups = self.ipc.groups.members.room();
        if !self.port_room() || !self.ipc.moves.has_room() || groups < head.groups as usize {
            return Err(KError::NoMem);
        }
        let port = self
            .port_begin((NOBODY, None), ui, head.pi)
            .ok_or(KError::NoMem)?;
        self.ipc.moves.begin(Move {
            told: true,
            owner,
            ..Move::new(port, ui, Stage::Arriving)
        });
        if let Some(port) = self.ipc.ports.get_mut(port) {
            (port.taker, port.epoch) = (Taker::Nobody, epoch);
        }
        for _ in 0..head.groups {
            // The record lies where other threads may write: it is read once.
            let joined = self
                .pair(caller, &mut at)
                .and_then(|group| self.membership_prepare(port, group));
            if let Err(error) = joined {
                self.arrival_ends(port);
                return Err(error);
            }
        }
        Ok(local_identifier(port))
    }

    /// Reads a pair of words and goes behind it. Errors: `K_EFAULT`.
    fn pair(&mut self, caller: Caller, at: &mut u64) -> Result<[u64; 2], KError> {
        let mut pair = [0u64; 2];
        self.read_bytes(caller.actor, caller.space, *at, pair.as_mut_bytes())?;
        *at += u64::from(PAIR);
        Ok(pair.map(u64::from_le))
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

    /// The port of a name that comes, and its epoch.
    fn arrival(&self, ui: KnUniqueId) -> Option<(Id<Port>, u64)> {
        let port = self.ipc.moves.find(ui, Stage::Arriving)?.port;
        Some((port, self.ipc.ports.get(port)?.epoch.into()))
    }

    /// `nmDeliver`: a port that came lives here from now on, or does not come. Errors: `K_EUNKNOWN` none comes with this epoch.
    pub(super) fn port_comes(&mut self, item: &KnNetItem, lives: bool) -> Result<(), KError> {
        let found = self.arrival(item.target);
        let (id, _) = found
            .filter(|&(_, epoch)| epoch == item.handle)
            .ok_or(KError::Unknown)?;
        if !lives {
            self.arrival_ends(id);
            return Ok(());
        }
        if let Some(it) = self.ipc.moves.end(id) {
            self.port_moves(id, it.owner);
        }
        if let Some(port) = self.ipc.ports.get_mut(id) {
            port.taker = Taker::Threads;
        }
        self.ipc.names.insert(item.target.word(), id.index());
        self.memberships_arrive(id);
        Ok(())
    }

    /// A port that was to come does not.
    pub(super) fn arrival_ends(&mut self, port: Id<Port>) {
        self.ipc.moves.end(port);
        self.memberships_end(port);
        self.ipc.ports.remove(port);
    }

    /// An actor dies: what was to come to it does not.
    pub(super) fn arrivals_end(&mut self, owner: Id<Actor>) {
        while let Some(port) = self.ipc.moves.comes_to(owner) {
            self.arrival_ends(port);
        }
    }
}
