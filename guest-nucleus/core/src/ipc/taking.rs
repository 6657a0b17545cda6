//! What the Network Manager takes (`nmTake`): who is in which group, ports that go and what follows them, and the outbound queue, in this order.

use super::departing::Following;
use super::groups::Membership;
use super::message::{Body, Place};
use super::moves::Stage;
use super::port::Port;
use super::record::{Head, PAIR};
use crate::arena::Id;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::net::*;
use chorus_abi::*;

/// What an item is made from.
enum From {
    /// Memberships.
    Groups,
    /// A port that is to go.
    Departing(Id<Port>, Head),
    /// A message that follows one that went.
    Following(Id<Port>, Following),
    /// The outbound queue.
    Outbound,
}

impl<M: Machine> Nucleus<M> {
    /// `nmTake`.
    pub fn nm_take(
        &mut self,
        caller: Caller,
        item: Out<KnNetItem>,
        body: Out<u8>,
        room: u32,
    ) -> Result<Outcome, KError> {
        self.manager(caller)?;
        let mut told = KnNetItem::default();
        let mut kept = Body::EMPTY;
        let from = self.next_to_take(&mut told, &mut kept)?;
        let size = told.body_size;
        if size > room {
            return Err(KError::TooMuch);
        }
        self.check_writable(caller, item.address(), size_of::<KnNetItem>() as u64)?;
        self.check_buffer(caller, body.address(), size)?;
        let to = (caller.actor, caller.space, body.address());
        match &from {
            From::Groups => self.groups_fill(to)?,
            From::Departing(port, head) => self.record_fill(*port, head, to)?,
            From::Following(..) | From::Outbound => {}
        }
        self.takes_body(kept.size)?;
        let whole = self.body_fill(&kept, to, room)?;
        self.write(caller, item, &told)?;
        // From here on nothing fails.
        match from {
            From::Groups => self.ipc.network.regrouped = false,
            From::Departing(port, _) => self.move_told(port),
            From::Following(port, following) => {
                self.kept_lands(following.kept, to, whole);
                self.follows(port, &following);
            }
            From::Outbound => {
                self.ipc.network.outbound.pop_front();
                self.body_land(&mut kept, to, whole);
                self.body_free(&mut kept);
            }
        }
        Ok(Outcome::Done(size as i32))
    }

    /// What comes next: its item, and its body if that is kept. Errors: `K_ETIMEOUT` nothing.
    fn next_to_take(&mut self, told: &mut KnNetItem, kept: &mut Body) -> Result<From, KError> {
        if self.ipc.network.regrouped {
            told.kind = NET_GROUPS;
            told.body_size = self.ipc.groups.count() as u32 * PAIR;
            told.annex_size = K_CMSGANNEXSIZE as u32;
            let key = self.group_proof_key();
            for (word, bytes) in key.into_iter().zip(told.annex.chunks_exact_mut(8)) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            return Ok(From::Groups);
        }
        while let Some(it) = self.ipc.moves.untold() {
            told.target = it.ui;
            let port = it.port;
            if it.stage == Stage::Departing {
                let found = self.ipc.ports.get(port).ok_or(KError::Inval)?;
                let head = Head {
                    trusted: it.trusted,
                    groups: found.groups,
                    key: it.to.key,
                    pi: found.pi,
                };
                told.kind = NET_MIGRATE;
                told.result = found.epoch as i32;
                told.handle = port.word();
                told.co_target = it.to.ui;
                told.body_size = head.size();
                return Ok(From::Departing(port, head));
            }
            if let Some(following) = self.next_to_follow(port) {
                self.following_item(&following, told, kept);
                return Ok(From::Following(port, following));
            }
            // The clients of what was left have gone since.
            self.follow_next(port);
        }
        (*told, *kept) = *self.ipc.network.outbound.front().ok_or(KError::Timeout)?;
        Ok(From::Outbound)
    }

    /// Writes a pair of words, as records and lists of memberships are made of, and goes behind it.
    fn pair_fill(&mut self, to: &mut Place, pair: [u64; 2]) -> Result<(), KError> {
        let pair = pair.map(u64::to_le);
        self.write_bytes(to.0, to.1, to.2, zerocopy::IntoBytes::as_bytes(&pair))?;
        to.2 += u64::from(PAIR);
        Ok(())
    }

    /// Who is in which group, of this site's ports.
    fn groups_fill(&mut self, mut to: Place) -> Result<(), KError> {
        for slot in 0..self.ipc.groups.members.extent() {
            let id = self.ipc.groups.members.at(slot);
            if let Some((group, port)) = id.and_then(|id| self.membership_names(id)) {
                self.pair_fill(&mut to, [group.word(), port.word()])?;
            }
        }
        Ok(())
    }

    /// The record of a port that is to go.
    fn record_fill(&mut self, port: Id<Port>, head: &Head, mut to: Place) -> Result<(), KError> {
        for pair in head.to_words() {
            self.pair_fill(&mut to, pair)?;
        }
        let mut slot = 0;
        while let Some(id) = self.next_membership(port, &mut slot) {
            let group = self.ipc.groups.members.get(id).map(Membership::group);
            let group = group.ok_or(KError::Inval)?;
            self.pair_fill(&mut to, [group.word(), self.group_key(group)])?;
        }
        Ok(())
    }
}
