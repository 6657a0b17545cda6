//! The seam to the Network Manager (docs/architecture.md): outbound items, and what comes in.
//!
//! The core knows two things about the network: a name is not here, and a message is to be delivered.

use super::message::{Body, Client, Place};
use super::send::{Letter, Parcel, Way};
use crate::arena::Id;
use crate::executive::actor::{Actor, End};
use crate::executive::thread::{Thread, Wait};
use crate::machine::{Machine, Space};
use crate::nucleus::{Caller, Nucleus, Outcome};
use alloc::collections::VecDeque;
use chorus_abi::net::*;
use chorus_abi::services::{ACTOR_ENDED, EndNotice};
use chorus_abi::*;

/// The Network Manager's seat.
pub struct Network {
    manager: Option<Id<Actor>>,
    irq: Option<u32>,
    interrupted: bool,
    /// Memberships changed since the manager was told of them.
    pub(super) regrouped: bool,
    /// Somebody was told the cluster's key. Nobody else could know which numbers of frames, and which incarnations, were used with it.
    told: bool,
    /// The thread that waits in `nmWait`, if it still does.
    waiting: Option<Id<Thread>>,
    pub(crate) outbound: VecDeque<(KnNetItem, Body)>,
    limit: usize,
    /// Room that replies have beyond the limit: they must not be lost.
    replies: usize,
}

impl Network {
    pub(crate) fn new(limit: usize) -> Self {
        let replies = limit;
        Network {
            manager: None,
            irq: None,
            interrupted: false,
            regrouped: false,
            told: false,
            waiting: None,
            outbound: VecDeque::with_capacity(limit + replies),
            limit,
            replies,
        }
    }
}

#[cfg(test)]
impl Network {
    /// The bodies of the outbound items.
    pub(super) fn bodies(&self) -> impl Iterator<Item = Body> {
        self.outbound.iter().map(|&(_, body)| body)
    }
}

impl<M: Machine> Nucleus<M> {
    /// Whether there is a Network Manager.
    pub(crate) fn network_attached(&self) -> bool {
        self.ipc.network.manager.is_some()
    }

    /// Whether an actor is the Network Manager.
    pub(crate) fn is_network_manager(&self, actor: Id<Actor>) -> bool {
        self.ipc.network.manager == Some(actor)
    }

    /// Puts an item in the outbound queue. Errors: `K_EFULL`, `K_EUNKNOWN` no manager, `K_EFAULT`, `K_ENOMEM` body.
    pub(crate) fn network_put(
        &mut self,
        item: KnNetItem,
        body: Option<(Place, bool)>,
    ) -> Result<(), KError> {
        if !self.network_attached() {
            return Err(KError::Unknown);
        }
        if self.ipc.network.outbound.len() >= self.ipc.network.limit {
            return Err(KError::Full);
        }
        let body = match body {
            Some((place, true)) => self.body_lift(place, item.body_size, false)?,
            Some((place, false)) => self.body_lend(place, item.body_size)?,
            None => Body::EMPTY,
        };
        self.ipc.network.outbound.push_back((item, body));
        self.trace_outbound(&item);
        self.network_wake();
        Ok(())
    }

    /// An item that must not be lost: an end of a request, a cancellation.
    fn network_must(&mut self, item: KnNetItem, mut body: Body) {
        let network = &mut self.ipc.network;
        if network.manager.is_none() || network.outbound.len() >= network.limit + network.replies {
            // The manager's own time limits find out.
            self.body_free(&mut body);
            return;
        }
        network.outbound.push_back((item, body));
        self.network_wake();
    }

    /// A delivered request ended: the manager hears of it once.
    pub(crate) fn network_reply(
        &mut self,
        token: u64,
        result: i32,
        annex: Option<[u8; 64]>,
        body: Body,
    ) {
        let item = KnNetItem {
            kind: NET_REPLY,
            result,
            handle: token,
            body_size: body.size,
            annex_size: if annex.is_some() {
                K_CMSGANNEXSIZE as u32
            } else {
                0
            },
            annex: annex.unwrap_or([0; 64]),
            ..KnNetItem::default()
        };
        self.network_must(item, body);
    }

    /// The client of a call that the manager has left.
    pub(crate) fn network_cancel(&mut self, transaction: u64) {
        self.network_must(
            KnNetItem {
                kind: NET_CANCEL,
                handle: transaction,
                ..KnNetItem::default()
            },
            Body::EMPTY,
        );
    }

    fn network_bits(&self) -> i32 {
        let network = &self.ipc.network;
        let moves = self.ipc.moves.untold().is_some();
        let items = network.regrouped || moves || !network.outbound.is_empty();
        let outbound = if items { NM_OUTBOUND } else { 0 };
        outbound | if network.interrupted { NM_INTERRUPT } else { 0 }
    }

    /// A port came into a group or left one: the manager tells other sites.
    pub(crate) fn network_regrouped(&mut self) {
        if self.network_attached() {
            self.ipc.network.regrouped = true;
            self.network_wake();
        }
    }

    /// The manager looks what there is for it.
    pub(super) fn network_wake(&mut self) {
        let bits = self.network_bits();
        let waiting = self.ipc.network.waiting.take().filter(|&id| {
            self.threads
                .get(id)
                .is_some_and(|thread| thread.wait == Wait::NetworkManager)
        });
        if let Some(id) = waiting {
            self.ipc.network.interrupted = false;
            self.wake(id, bits);
        }
    }

    /// Whether an interrupt is the manager's.
    pub(crate) fn network_has_interrupt(&self, irq: u32) -> bool {
        self.ipc.network.irq == Some(irq)
    }

    /// A device interrupt, if it is the manager's.
    pub(crate) fn network_interrupt(&mut self, irq: u32) {
        if self.ipc.network.irq == Some(irq) {
            self.ipc.network.interrupted = true;
            self.network_wake();
        }
    }

    /// The manager's actor dies: calls that it had end, requests from other sites have no client any more.
    pub(crate) fn network_actor_dies(&mut self, actor: Id<Actor>) {
        if self.ipc.network.manager != Some(actor) {
            return;
        }
        self.ipc.network.manager = None;
        self.ipc.network.irq = None;
        self.ipc.network.interrupted = false;
        self.ipc.network.regrouped = false;
        while let Some((_, mut body)) = self.ipc.network.outbound.pop_front() {
            self.body_free(&mut body);
        }
        self.moves_end();
        for slot in 0..self.ipc.messages.extent() {
            if let Some(message) = self
                .ipc
                .messages
                .at(slot)
                .and_then(|id| self.ipc.messages.get_mut(id))
                && matches!(message.client, Client::Remote(_))
            {
                message.client = Client::Left;
            }
        }
        for slot in 0..self.threads.extent() {
            let Some(id) = self.threads.at(slot) else {
                continue;
            };
            let calls = self.threads.get(id).filter(|at| at.wait == Wait::Call);
            if calls.is_some_and(|thread| thread.call.request.is_none()) {
                self.wake(id, KError::LinkFailure.code());
            }
        }
    }

    /// `svLinkFailure` (NC-280): the manager knows which calls go there.
    pub fn sv_link_failure(
        &mut self,
        _: Caller,
        site: u32,
        reason: i32,
    ) -> Result<Outcome, KError> {
        let own = u32::from(self.configuration.site);
        if site == own || !(1..=u32::from(SITE_MAX)).contains(&site) {
            return Err(KError::Inval);
        }
        let item = KnNetItem {
            kind: NET_LINKFAILURE,
            result: reason,
            handle: site.into(),
            ..KnNetItem::default()
        };
        // Without a manager nobody calls another site.
        if self.network_attached() {
            self.network_put(item, None)?;
        }
        Ok(Outcome::Done(K_OK))
    }

    pub(super) fn manager(&self, caller: Caller) -> Result<(), KError> {
        if self.ipc.network.manager == Some(caller.actor) {
            Ok(())
        } else {
            Err(KError::Inval)
        }
    }

    /// `nmAttach`.
    pub fn nm_attach(
        &mut self,
        caller: Caller,
        irq: i32,
        seat: Out<KnNetSeat>,
    ) -> Result<Outcome, KError> {
        if !seat.is_null() {
            self.check_writable(caller, seat.address(), size_of::<KnNetSeat>() as u64)?;
        }
        if self.network_attached() {
            return Err(KError::Busy);
        }
        let irq = match irq {
            -1 => None,
            irq => Some(
                u32::try_from(irq)
                    .ok()
                    .filter(|irq| *irq < 64)
                    .ok_or(KError::Inval)?,
            ),
        };
        let wants = seat.address() != 0;
        if wants && self.ipc.network.told {
            return Err(KError::Busy);
        }
        let told = self.configuration.fabric;
        self.write_optional(caller, seat, &told)?;
        self.ipc.network.told |= wants;
        self.ipc.network.manager = Some(caller.actor);
        self.ipc.network.irq = irq;
        self.ipc.network.regrouped = true;
        if let Some(irq) = irq {
            self.machine.enable_interrupt(irq);
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `nmWait`.
    pub fn nm_wait(&mut self, caller: Caller, limit: In<KnTimeVal>) -> Result<Outcome, KError> {
        self.manager(caller)?;
        let limit = self.interval(caller, limit)?;
        let bits = self.network_bits();
        if bits != 0 {
            self.ipc.network.interrupted = false;
            return Ok(Outcome::Done(bits));
        }
        if self.consume_abort(caller.thread) {
            return Err(KError::Abort);
        }
        if limit == Some(0) {
            return Err(KError::Timeout);
        }
        let deadline = limit.map(|limit| self.machine.now().saturating_add(limit));
        self.ipc.network.waiting = Some(caller.thread);
        self.block(caller.thread, Wait::NetworkManager, deadline);
        Ok(Outcome::Blocked)
    }

    /// Tells the port that an actor named for it how it ended (`actorNotify`).
    pub(crate) fn notify_end(&mut self, actor: &Actor) {
        if !actor.notify.is_valid() {
            return;
        }
        let End {
            reason,
            status,
            thread,
            pc,
            address,
        } = actor.end;
        let notice = EndNotice {
            service: ACTOR_ENDED,
            reason,
            actor: actor.cap.ui,
            name: actor.name,
            status,
            thread,
            pc,
            address,
        };
        let nobody = (Id::from_word(u64::MAX), Space::SUPERVISOR, 0);
        let parcel = Parcel {
            annex: Some(notice.to_annex()),
            body: nobody,
            size: 0,
            moves: false,
        };
        let dest = KnIpcDest {
            target: actor.notify,
            co_target: KnUniqueId::NULL,
        };
        let none = KnProtId::default();
        let letter = Letter {
            src_port: KnUniqueId::NULL,
            actor_pi: none,
            port_pi: none,
            dest,
            client: Client::None,
            remote: false,
            sender: None,
        };
        // Asynchronous messages may be lost: a full queue is the owner's affair.
        let _ = match self.way(&dest) {
            Ok(Way::Port(port)) => self.post(port, &letter, &parcel).map(|_| ()),
            Ok(_) => {
                let item = KnNetItem {
                    kind: NET_SEND,
                    target: dest.target,
                    annex_size: 64,
                    annex: notice.to_annex(),
                    ..KnNetItem::default()
                };
                self.network_put(item, None)
            }
            Err(error) => Err(error),
        };
    }
}
