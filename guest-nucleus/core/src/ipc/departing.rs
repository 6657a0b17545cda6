//! Ports that go to another site: until it is known whether they go, and then the messages that follow (SS-013…022).

use super::message::Client;
use super::moves::{Departure, EPOCHS, Move, NOBODY, Stage};
use super::port::{Port, Taker};
use super::record::{self, Head};
use crate::arena::Id;
use crate::executive::thread::{Thread, Wait};
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::net::*;
use chorus_abi::table::Privilege;
use chorus_abi::*;

impl<M: Machine> Nucleus<M> {
    /// `portMigrate` to an actor of another site, of a port that may leave its actor. The caller waits until it is over.
    ///
    /// # Errors
    /// `K_EUNKNOWN` there is no Network Manager; `K_ETOOMUCH` it is in too many groups, or moved too often; `K_EBUSY` messages of an earlier move still follow it; `K_ENOMEM`; `K_EFAULT`;
    /// `K_EABORT`.
    pub(super) fn port_departs(
        &mut self,
        caller: Caller,
        id: Id<Port>,
        to: KnCap,
        drop: bool,
        seq_num: Out<u32>,
    ) -> Result<Outcome, KError> {
        let port = self.ipc.ports.get(id).ok_or(KError::Inval)?;
        let (ui, received) = (port.ui, port.sequence);
        let last = port.queue.map(|(_, last)| last);
        if port.epoch > EPOCHS - 2 || port.groups > record::GROUPS {
            return Err(KError::TooMuch);
        }
        if !self.network_attached() {
            return Err(KError::Unknown);
        }
        let passes = |stage: &Stage| matches!(stage, Stage::Passing(_));
        if self.ipc.moves.find(ui, passes).is_some() {
            return Err(KError::Busy);
        }
        if !self.ipc.moves.has_room() {
            return Err(KError::NoMem);
        }
        // Nobody receives from it until the end: the count stays.
        self.write_optional(caller, seq_num, &received.wrapping_add(1))?;
        if self.consume_abort(caller.thread) {
            return Err(KError::Abort);
        }
        let departure = Departure {
            to,
            trusted: caller.privilege >= Privilege::System,
            doomed: last.filter(|_| drop),
        };
        let it = Move {
            port: id,
            ui,
            stage: Stage::Departing(departure),
            told: false,
            mover: Some(caller.thread),
        };
        let moving = self.ipc.moves.begin(it).ok_or(KError::NoMem)?;
        if let Some(port) = self.ipc.ports.get_mut(id) {
            port.taker = Taker::Nobody(moving);
        }
        self.network_wake();
        self.block(caller.thread, Wait::Migration(moving), None);
        Ok(Outcome::Blocked)
    }

    /// The actor of a port that moves is gone: the port belongs to nobody, and who waits on it leaves. Whether it goes is seen later.
    pub(super) fn port_disowned(&mut self, id: Id<Port>) {
        self.port_waiters_leave(id, KError::NoPort);
        if let Some((owner, next)) = self.ipc.ports.get(id).map(|port| (port.owner, port.next)) {
            self.port_leaves(id, owner, next);
        }
        if let Some(port) = self.ipc.ports.get_mut(id) {
            (port.owner, port.next, port.enabled) = (NOBODY, None, None);
        }
    }

    /// Who moved a port hears the end, if it still waits for that.
    fn mover_hears(&mut self, id: Id<Move>, mover: Option<Id<Thread>>, result: i32) {
        let waits = |thread: &Thread| thread.wait == Wait::Migration(id);
        if let Some(mover) = mover
            && self.threads.get(mover).is_some_and(waits)
        {
            self.wake(mover, result);
        }
    }

    /// `nmComplete` of a departure.
    pub(super) fn departure_ends(&mut self, item: &KnNetItem) -> Result<Outcome, KError> {
        let id = Id::from_word(item.handle);
        let it = self.ipc.moves.get(id).ok_or(KError::Unknown)?;
        let departs = matches!(it.stage, Stage::Departing(_)) && it.told;
        if !departs || it.ui != item.target {
            return Err(KError::Unknown);
        }
        match KError::from_code(item.result) {
            Some(error) => self.departure_fails(id, error),
            None if item.result < 0 => return Err(KError::Inval),
            None => self.port_goes(id, item.result),
        }
        Ok(Outcome::Done(K_OK))
    }

    /// The port stays: everything is as before, but it is known by another epoch. Without an actor it goes all the same.
    pub(super) fn departure_fails(&mut self, id: Id<Move>, error: KError) {
        let Some(it) = self.ipc.moves.end(id) else {
            return;
        };
        if let Some(port) = self.ipc.ports.get_mut(it.port) {
            port.taker = Taker::Threads;
            port.epoch += 2;
            if port.owner == NOBODY {
                self.port_remove(it.port);
            } else {
                self.serve(it.port);
            }
        }
        self.mover_hears(id, it.mover, error.code());
    }

    /// The port lives elsewhere. Here it has no name, no actor and no group any more; its queue follows.
    fn port_goes(&mut self, id: Id<Move>, li: i32) {
        let Some((port, ui)) = self.ipc.moves.get(id).map(|it| (it.port, it.ui)) else {
            return;
        };
        while self.ipc.moves.dooms(id)
            && let Some(message) = self.dequeue(port)
        {
            self.message_fail(message, KError::NoPort);
        }
        self.ipc.moves.passes(id, li);
        self.ipc.moves.goes(ui);
        self.ipc.names.remove(ui.word());
        self.memberships_end(port);
        self.port_disowned(port);
        if let Some(port) = self.ipc.ports.get_mut(port) {
            port.groups = 0;
        }
        // Requests of the Nucleus that waited for room in its queue have nobody to go to.
        self.requests_retry();
        self.pass_next(id);
    }

    /// The next message follows, or all are through.
    fn pass_next(&mut self, id: Id<Move>) {
        let Some(port) = self.ipc.moves.get(id).map(|it| it.port) else {
            return;
        };
        if self.next_to_pass(port).is_some() {
            self.ipc.moves.tell(id, false);
            return self.network_wake();
        }
        self.ipc.ports.remove(port);
        if let Some(it) = self.ipc.moves.end(id)
            && let Stage::Passing(li) = it.stage
        {
            self.mover_hears(id, it.mover, li);
        }
    }

    /// The first message of a queue that follows, and how: `result` and `handle` of its item. Those whose client is no other's affair, or has gone, end here.
    fn next_to_pass(&mut self, port: Id<Port>) -> Option<(i32, u64)> {
        loop {
            let (first, _) = self.ipc.ports.get(port)?.queue?;
            match self.ipc.messages.get(first)?.client {
                Client::None => return Some((PASS_SEND, 0)),
                Client::Remote(token) => return Some((PASS_OTHER, token)),
                Client::Thread(thread, transaction)
                    if self.awaits(thread, transaction).is_some() =>
                {
                    return Some((PASS_OWN, transaction));
                }
                // A segment's mapper is on the site.
                Client::Memory(_) | Client::Left | Client::Thread(..) => {}
            }
            let message = self.dequeue(port)?;
            self.message_fail(message, KError::NoPort);
        }
    }

    /// `nmComplete` of a message that followed.
    pub(super) fn passed(&mut self, item: &KnNetItem) -> Result<Outcome, KError> {
        let passes = |stage: &Stage| matches!(stage, Stage::Passing(_));
        let found = self.ipc.moves.find(item.target, passes);
        let (id, _) = found.filter(|(_, it)| it.told).ok_or(KError::Unknown)?;
        self.pass_next(id);
        Ok(Outcome::Done(K_OK))
    }

    /// Nobody will say how it ends: what is here is gone.
    pub(super) fn departure_lost(&mut self, id: Id<Move>) {
        let Some(it) = self.ipc.moves.end(id) else {
            return;
        };
        if matches!(it.stage, Stage::Departing(_)) {
            if let Some(port) = self.ipc.ports.get_mut(it.port) {
                port.taker = Taker::Threads;
            }
            self.port_remove(it.port);
        } else {
            self.port_empty(it.port);
            self.ipc.ports.remove(it.port);
        }
        self.mover_hears(id, it.mover, KError::LinkFailure.code());
    }

    /// `nmTake` of what is to be told of ports that go; `None`: nothing.
    pub(super) fn take_move(
        &mut self,
        caller: Caller,
        item: Out<KnNetItem>,
        body: Out<u8>,
        room: u32,
    ) -> Result<Option<Outcome>, KError> {
        while let Some(id) = self.ipc.moves.first_untold() {
            let Some(it) = self.ipc.moves.get(id) else {
                break;
            };
            let (port, ui) = (it.port, it.ui);
            let told = KnNetItem {
                target: ui,
                ..KnNetItem::default()
            };
            let size = match it.stage {
                Stage::Departing(departure) => {
                    let told = KnNetItem {
                        kind: NET_MIGRATE,
                        handle: id.word(),
                        co_target: departure.to.ui,
                        ..told
                    };
                    self.take_departure(caller, (port, departure), (told, item), body, room)?
                }
                _ => match self.next_to_pass(port) {
                    Some((result, handle)) => {
                        let told = KnNetItem {
                            kind: NET_PASS,
                            result,
                            handle,
                            ..told
                        };
                        self.take_passed(caller, port, (told, item), body, room)?
                    }
                    None => {
                        // Its clients have left since.
                        self.pass_next(id);
                        continue;
                    }
                },
            };
            self.ipc.moves.tell(id, true);
            return Ok(Some(Outcome::Done(size as i32)));
        }
        Ok(None)
    }

    /// The item that asks for a move, with the port's record; the size of that.
    fn take_departure(
        &mut self,
        caller: Caller,
        (id, departure): (Id<Port>, Departure),
        (told, item): (KnNetItem, Out<KnNetItem>),
        body: Out<u8>,
        room: u32,
    ) -> Result<u32, KError> {
        let port = self.ipc.ports.get(id).ok_or(KError::Inval)?;
        let epoch = port.epoch as i32;
        let head = Head {
            trusted: departure.trusted,
            groups: port.groups,
            key: departure.to.key,
            pi: port.pi,
        };
        let size = head.size();
        if size > room {
            return Err(KError::TooMuch);
        }
        self.check_writable(caller, item.address(), size_of::<KnNetItem>() as u64)?;
        self.check_buffer(caller, body.address(), size)?;
        let (actor, space, mut at) = (caller.actor, caller.space, body.address());
        self.write_bytes(actor, space, at, &head.to_bytes())?;
        at += record::HEAD as u64;
        let mut written = Ok(());
        self.each_membership(id, |it, _, member| {
            let ui = member.group();
            let key = it.group_key(ui);
            let bytes = record::group_to_bytes(KnCap { ui, key });
            written = written.and_then(|()| it.write_bytes(actor, space, at, &bytes));
            at += bytes.len() as u64;
        });
        written?;
        let told = KnNetItem {
            result: epoch,
            body_size: size,
            ..told
        };
        self.write(caller, item, &told)?;
        Ok(size)
    }

    /// The item of the first message of a queue, which is the manager's from now on; the size of its body.
    fn take_passed(
        &mut self,
        caller: Caller,
        port: Id<Port>,
        (told, item): (KnNetItem, Out<KnNetItem>),
        body: Out<u8>,
        room: u32,
    ) -> Result<u32, KError> {
        let queue = self.ipc.ports.get(port).and_then(|port| port.queue);
        let (id, _) = queue.ok_or(KError::Inval)?;
        let message = *self.ipc.messages.get(id).ok_or(KError::Inval)?;
        let size = message.body_size;
        if size > room {
            return Err(KError::TooMuch);
        }
        self.check_writable(caller, item.address(), size_of::<KnNetItem>() as u64)?;
        self.check_buffer(caller, body.address(), size)?;
        let to = (caller.actor, caller.space, body.address());
        let kept = message
            .kept
            .and_then(|kept| self.ipc.kept.get(kept))
            .copied();
        let annex = kept.and_then(|kept| kept.annex);
        let whole = match kept {
            Some(kept) => self.body_fill(&kept.body, to, room)?,
            None => 0,
        };
        let told = KnNetItem {
            co_target: message.co_target,
            src_port: message.src_port,
            actor_pi: message.actor_pi,
            port_pi: message.port_pi,
            body_size: size,
            annex_size: annex.map_or(0, |annex| annex.len() as u32),
            annex: annex.unwrap_or([0; K_CMSGANNEXSIZE]),
            ..told
        };
        self.write(caller, item, &told)?;
        // From here on nothing fails.
        self.kept_lands(message.kept, to, whole);
        self.unqueue(port, id);
        if let Some(entry) = self.ipc.messages.get_mut(id) {
            entry.kept = None;
        }
        if let Some(Client::Thread(client, _)) = self.message_free(id)
            && let Some(client) = self.threads.progress(client)
        {
            client.call.request = None;
        }
        Ok(size)
    }
}
