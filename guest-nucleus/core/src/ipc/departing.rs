//! Ports that go to another site: until it is known whether they go, and then the messages that follow (SS-013…022).

use super::message::{Body, Client, Kept, Message};
use super::moves::{EPOCHS, Move, NOBODY, Stage};
use super::port::{Port, Taker};
use super::record;
use crate::arena::Id;
use crate::executive::thread::Wait;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::net::*;
use chorus_abi::table::Privilege;
use chorus_abi::*;

/// A message that follows a port.
#[derive(Clone, Copy)]
pub(super) struct Following {
    message: Id<Message>,
    /// What it carries.
    pub(super) kept: Option<Id<Kept>>,
    /// `PASS_SEND`…
    whose: i32,
    /// Of its client.
    handle: u64,
}

impl<M: Machine> Nucleus<M> {
    /// Whether a port may go to another site now.
    ///
    /// # Errors
    /// `K_EUNKNOWN` there is no Network Manager; `K_ETOOMUCH` it is in too many groups, or moved too often; `K_EBUSY` messages of an earlier move still follow it; `K_ENOMEM`.
    pub(super) fn may_depart(&self, id: Id<Port>, ui: KnUniqueId) -> Result<(), KError> {
        let port = self.ipc.ports.get(id).ok_or(KError::Inval)?;
        if port.epoch > EPOCHS - 2 || port.groups > record::GROUPS {
            return Err(KError::TooMuch);
        }
        if !self.network_attached() {
            return Err(KError::Unknown);
        }
        if self.ipc.moves.find(ui, Stage::Passing).is_some() {
            return Err(KError::Busy);
        }
        if !self.ipc.moves.has_room() {
            return Err(KError::NoMem);
        }
        Ok(())
    }

    /// `portMigrate` to an actor of another site, of a port that may go there. The caller waits until it is over. Errors: `K_EABORT`.
    pub(super) fn port_departs(
        &mut self,
        caller: Caller,
        id: Id<Port>,
        to: KnCap,
        drop: bool,
    ) -> Result<Outcome, KError> {
        if self.consume_abort(caller.thread) {
            return Err(KError::Abort);
        }
        let port = self.ipc.ports.get(id).ok_or(KError::Inval)?;
        let (ui, last) = (port.ui, port.queue.map(|(_, last)| last));
        let it = Move {
            mover: Some(caller.thread),
            trusted: caller.privilege >= Privilege::System,
            to,
            doomed: last.filter(|_| drop),
            ..Move::new(id, ui, Stage::Departing)
        };
        self.ipc.moves.begin(it);
        if let Some(port) = self.ipc.ports.get_mut(id) {
            port.taker = Taker::Nobody;
        }
        self.network_wake();
        self.block(caller.thread, Wait::Migration(id), None);
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
    fn mover_hears(&mut self, it: &Move, result: i32) {
        if let Some(mover) = it.mover
            && let Some(thread) = self.threads.get(mover)
            && thread.wait == Wait::Migration(it.port)
        {
            self.wake(mover, result);
        }
    }

    /// The Network Manager knows how far a move is.
    pub(super) fn move_told(&mut self, port: Id<Port>) {
        if let Some(it) = self.ipc.moves.of(port) {
            it.told = true;
        }
    }

    /// `nmComplete` of a departure.
    pub(super) fn departure_ends(&mut self, item: &KnNetItem) -> Result<Outcome, KError> {
        let port = Id::from_word(item.handle);
        let it = self.ipc.moves.of(port).ok_or(KError::Unknown)?;
        if it.stage != Stage::Departing || !it.told || it.ui != item.target {
            return Err(KError::Unknown);
        }
        match KError::from_code(item.result) {
            Some(error) => self.departure_fails(port, true, error),
            None if item.result < 0 => return Err(KError::Inval),
            None => self.port_goes(port, item.target, item.result),
        }
        Ok(Outcome::Done(K_OK))
    }

    /// A port that was to go does not. If it stays, everything is as before, but it is known by another epoch. Without an actor it goes all the same.
    pub(super) fn departure_fails(&mut self, id: Id<Port>, stays: bool, error: KError) {
        let Some(it) = self.ipc.moves.end(id) else {
            return;
        };
        if let Some(port) = self.ipc.ports.get_mut(id) {
            port.taker = Taker::Threads;
            port.epoch += 2;
            if stays && port.owner != NOBODY {
                self.serve(id);
            } else {
                self.port_remove(id);
            }
        }
        self.mover_hears(&it, error.code());
    }

    /// A message left the queue of a port that departs, `previous` the one before it: if it was the last that is lost, that is it now.
    pub(super) fn doomed_leaves(
        &mut self,
        id: Id<Port>,
        message: Id<Message>,
        previous: Option<Id<Message>>,
    ) {
        if let Some(it) = self.ipc.moves.of(id)
            && it.doomed == Some(message)
        {
            it.doomed = previous;
        }
    }

    /// The port lives elsewhere. Here it has no name, no actor and no group any more; its queue follows.
    fn port_goes(&mut self, id: Id<Port>, ui: KnUniqueId, li: i32) {
        while self.ipc.moves.of(id).is_some_and(|it| it.doomed.is_some())
            && let Some(message) = self.dequeue(id)
        {
            self.message_fail(message, KError::NoPort);
        }
        if let Some(it) = self.ipc.moves.of(id) {
            (it.stage, it.li) = (Stage::Passing, li);
        }
        self.ipc.moves.goes(ui);
        self.ipc.names.remove(ui.word());
        self.memberships_end(id);
        self.port_disowned(id);
        if let Some(port) = self.ipc.ports.get_mut(id) {
            port.groups = 0;
        }
        // Requests of the Nucleus that waited for room in its queue have nobody to go to.
        self.requests_retry();
        self.follow_next(id);
    }

    /// The next message follows, or all are through.
    pub(super) fn follow_next(&mut self, id: Id<Port>) {
        if self.next_to_follow(id).is_some() {
            if let Some(it) = self.ipc.moves.of(id) {
                it.told = false;
            }
            return self.network_wake();
        }
        self.ipc.ports.remove(id);
        if let Some(it) = self.ipc.moves.end(id) {
            self.mover_hears(&it, it.li);
        }
    }

    /// The first message of a queue that follows. Those whose client is no other site's affair, or has gone, end here.
    pub(super) fn next_to_follow(&mut self, id: Id<Port>) -> Option<Following> {
        loop {
            let (first, _) = self.ipc.ports.get(id)?.queue?;
            let message = self.ipc.messages.get(first)?;
            let kept = message.kept;
            let (whose, handle) = match message.client {
                Client::None => (PASS_SEND, 0),
                Client::Remote(token) => (PASS_OTHER, token),
                Client::Thread(thread, transaction)
                    if self.awaits(thread, transaction).is_some() =>
                {
                    (PASS_OWN, transaction)
                }
                // A segment's mapper is on the site.
                Client::Memory(_) | Client::Left | Client::Thread(..) => {
                    self.unqueue(id, first);
                    self.message_fail(first, KError::NoPort);
                    continue;
                }
            };
            return Some(Following {
                message: first,
                kept,
                whose,
                handle,
            });
        }
    }

    /// What a message that follows says of itself.
    pub(super) fn following_item(
        &self,
        following: &Following,
        told: &mut KnNetItem,
        body: &mut Body,
    ) {
        let Some(message) = self.ipc.messages.get(following.message) else {
            return;
        };
        told.kind = NET_PASS;
        told.result = following.whose;
        told.handle = following.handle;
        told.co_target = message.co_target;
        told.src_port = message.src_port;
        told.actor_pi = message.actor_pi;
        told.port_pi = message.port_pi;
        told.body_size = message.body_size;
        if let Some(kept) = following.kept.and_then(|kept| self.ipc.kept.get(kept)) {
            *body = kept.body;
            if let Some(annex) = kept.annex {
                told.annex_size = K_CMSGANNEXSIZE as u32;
                told.annex = annex;
            }
        }
    }

    /// The Network Manager has a message: it is gone from here, and its client waits for the network.
    pub(super) fn follows(&mut self, port: Id<Port>, following: &Following) {
        self.unqueue(port, following.message);
        if let Some(message) = self.ipc.messages.get_mut(following.message) {
            message.kept = None;
        }
        if let Some(Client::Thread(client, _)) = self.message_free(following.message)
            && let Some(client) = self.threads.progress(client)
        {
            client.call.request = None;
        }
        self.move_told(port);
    }

    /// `nmComplete` of a message that followed.
    pub(super) fn passed(&mut self, item: &KnNetItem) -> Result<Outcome, KError> {
        let found = self.ipc.moves.find(item.target, Stage::Passing);
        let it = found.filter(|it| it.told).ok_or(KError::Unknown)?;
        self.follow_next(it.port);
        Ok(Outcome::Done(K_OK))
    }

    /// What is left of a queue does not follow.
    pub(super) fn following_ends(&mut self, id: Id<Port>, error: KError) {
        if let Some(it) = self.ipc.moves.of(id) {
            it.li = error.code();
        }
        self.port_empty(id);
        self.follow_next(id);
    }
}
