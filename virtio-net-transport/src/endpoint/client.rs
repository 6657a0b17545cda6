//! Calls of local clients: each is executed at most once, and its client learns the truth about its end.
//!
//! A call goes through *attempts*. An attempt has a channel and a number that is never used again; a refusal (NACK) is final for its
//! attempt, so that the next one — at another site, or after a pause — cannot make a second execution. Silence is not a refusal: once
//! an attempt was sent, only the server's word or `K_ELINKFAILURE` (outcome unknown) ends it.

use super::link::To;
use super::locate::Waiter;
use super::peer::{ClientChannel, Meeting};
use super::{Endpoint, Site, split_content};
use crate::fragments::Assembly;
use crate::frame::{Data, Of, Payload, Piece, Txn, Verb};
use crate::hints::{Hint, Key};
use crate::timers::Due;
use alloc::vec::Vec;
use chorus_abi::error::{K_EFULL, K_EINVAL, K_ELINKFAILURE, K_EUNKNOWN};
use chorus_abi::net::{KnNetItem, NET_REPLY};
use chorus_abi::{K_BROADMODE, K_FUNCMODE, KnUniqueId, UiType};

/// Refusals "not here" after which a call is given up: the target moves faster than it can be followed.
pub(super) const REDIRECTIONS_MAX: u8 = 8;
/// CANCEL frames sent until the server confirms.
const CANCELS_MAX: u32 = 8;

/// Where a call stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CallState {
    /// Waits for a location.
    Searching,
    /// Waits for a channel to the site. Not sent.
    Queued,
    /// The attempt is under way.
    Sent,
    /// The last attempt met a full queue; pause.
    Backoff,
    /// The client left; the server is being told.
    Cancelling,
    /// The port came to this very site: delivered here, under the token that `seq` is.
    Here,
}

/// A call of a local client.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) item: KnNetItem,
    pub(super) verb: Verb,
    /// Of a message that is passed on: the Nucleus knows that it is through.
    pub(super) through: bool,
    pub(super) content: Vec<u8>,
    pub(super) key: Key,
    /// Epoch of the port as it was located; of a move, its number.
    pub(super) port_epoch: u32,
    pub(super) state: CallState,
    /// Site of the present attempt; 0 while there is none.
    pub(super) peer: u16,
    pub(super) channel: Option<u16>,
    pub(super) seq: u64,
    /// Bytes of a piece of the present attempt.
    piece_size: u32,
    pub(super) due: u64,
    interval: u64,
    /// When the server last said something about the present attempt, or it began.
    pub(super) heard: u64,
    /// The server confirmed the request.
    pub(super) served: bool,
    pub(super) reply: Option<Assembly>,
    cancels: u32,
    pub(super) redirections: u8,
    pub(super) busy_since: u64,
    pub(super) busy_wait: u64,
}

impl Call {
    /// Bytes of its request, the annex included.
    pub(super) fn bytes(&self) -> u32 {
        self.content.len() as u32
    }
}

/// What a call and an asynchronous message must satisfy before they may leave the site.
pub(super) fn addressable(target: KnUniqueId, co_target: KnUniqueId, broadcast: bool) -> bool {
    match (target.kind(), target.group().map(|group| group.mode)) {
        (Some(UiType::Port), _) | (_, Some(K_FUNCMODE)) => true,
        (_, Some(K_BROADMODE)) => broadcast,
        (Some(UiType::Group), _) => co_target.kind().is_some(),
        _ => false,
    }
}

/// A piece of a message as it goes into a frame.
pub(super) fn data<'a>(
    item: &KnNetItem,
    verb: Verb,
    port_epoch: u32,
    txn: Txn,
    piece: Piece<'a>,
) -> Data<'a> {
    Data {
        verb,
        txn,
        piece,
        annex: item.annex_size != 0,
        target: item.target,
        co_target: item.co_target,
        src_port: item.src_port,
        port_epoch,
        actor_pi: item.actor_pi,
        port_pi: item.port_pi,
    }
}

/// Whom the end of a call concerns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) verb: Verb,
    pub(super) handle: u64,
    pub(super) target: KnUniqueId,
    pub(super) port_epoch: u32,
    /// Of a message that is passed on: whose it is.
    pub(super) whose: i32,
    pub(super) through: bool,
    /// Where it was.
    pub(super) peer: u16,
}

impl Ending {
    pub(super) fn of(call: &Call) -> Ending {
        Ending {
            verb: call.verb,
            handle: call.item.handle,
            target: call.item.target,
            port_epoch: call.port_epoch,
            whose: call.item.result,
            through: call.through,
            peer: call.peer,
        }
    }
}

impl Endpoint {
    /// CALL from the Nucleus.
    pub(super) fn take_call(&mut self, item: &KnNetItem, body: &[u8], site: &mut dyn Site) {
        self.link.counters.calls += 1;
        let error = if !addressable(item.target, item.co_target, false)
            || self.handles.contains_key(&item.handle)
        {
            K_EINVAL
        } else if !self.has_room(body) {
            K_EFULL
        } else {
            0
        };
        if error != 0 {
            self.link.counters.calls_not_executed += 1;
            self.complete(item.handle, error, false, &[], site);
            return;
        }
        let key = Key::of(item.target, item.co_target);
        let slot = self.begin(item, Verb::Request, key, 0, body);
        self.handles.insert(item.handle, slot);
        self.resolve(slot, site);
    }

    /// Whether there is room for another call.
    pub(super) fn has_room(&self, body: &[u8]) -> bool {
        self.calls.len() < self.config.max_calls
            && self.outbound + body.len() <= self.config.max_outbound
    }

    /// A new call, which is to be resolved.
    pub(super) fn begin(
        &mut self,
        item: &KnNetItem,
        verb: Verb,
        key: Key,
        port_epoch: u32,
        body: &[u8],
    ) -> u32 {
        let content = self.content(item, body);
        self.outbound += content.len();
        let call = Call {
            item: *item,
            verb,
            through: false,
            content,
            key,
            port_epoch,
            state: CallState::Searching,
            peer: 0,
            channel: None,
            seq: 0,
            piece_size: 0,
            due: 0,
            interval: 0,
            heard: 0,
            served: false,
            reply: None,
            cancels: 0,
            redirections: 0,
            busy_since: 0,
            busy_wait: self.config.busy,
        };
        self.calls.insert(call)
    }

    /// Sends the call to where its target is thought to be, or searches.
    pub(super) fn resolve(&mut self, slot: u32, site: &mut dyn Site) {
        let Some(call) = self.calls.get_mut(slot) else {
            return;
        };
        call.state = CallState::Searching;
        call.peer = 0;
        let (key, target) = (call.key, call.item.target);
        match self.hints.find(key) {
            Some(hint) if !self.searches.contains_key(&key) => self.dispatch(slot, hint, site),
            _ => match self.place_of_group(target, key) {
                Some(hint) => self.dispatch(slot, hint, site),
                None => self.search(key, false, Waiter::Call(slot), site),
            },
        }
    }

    /// Begins an attempt at the site of `hint`, at once or when a channel is free.
    pub(super) fn dispatch(&mut self, slot: u32, hint: Hint, site: &mut dyn Site) {
        if hint.site == self.config.site {
            return self.deliver_here(slot, site);
        }
        let to = To {
            site: hint.site,
            incarnation: hint.incarnation,
        };
        let mtu = self.peers.get(&to.site).map_or(0, |peer| peer.mtu);
        match self.meet(to, mtu, site) {
            Meeting::Known => {}
            Meeting::Full => return self.fail(slot, K_EFULL, site),
            Meeting::Over => {
                let Some(call) = self.calls.get_mut(slot) else {
                    return;
                };
                let (key, target) = (call.key, call.item.target);
                call.redirections += 1;
                let given_up = call.redirections > REDIRECTIONS_MAX;
                self.refused_by(hint.site, target, key);
                if given_up {
                    return self.fail(slot, K_EUNKNOWN, site);
                }
                return self.search(key, false, Waiter::Call(slot), site);
            }
        }
        let (Some(call), Some(peer)) = (self.calls.get_mut(slot), self.peers.get_mut(&to.site))
        else {
            return;
        };
        call.peer = to.site;
        if !call.verb.is_of_managers() {
            call.port_epoch = hint.port_epoch;
        }
        let channel = match peer.free.pop() {
            Some(channel) => channel,
            None if peer.channels.len() < usize::from(self.config.max_channels) => {
                peer.channels.push(ClientChannel::default());
                peer.channels.len() as u16 - 1
            }
            None => {
                call.state = CallState::Queued;
                peer.queued.push_back(slot);
                return;
            }
        };
        self.attempt(slot, channel, site);
    }

    /// Sends the request on this channel of the call's peer.
    fn attempt(&mut self, slot: u32, channel: u16, site: &mut dyn Site) {
        let Some(call) = self.calls.get_mut(slot) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(&call.peer) else {
            return;
        };
        let Some(entry) = peer.channels.get_mut(usize::from(channel)) else {
            return;
        };
        *entry = ClientChannel {
            call: Some(slot),
            seq: peer.next_seq,
            unacked: false,
            freed: 0,
        };
        call.seq = peer.next_seq;
        peer.next_seq += 1;
        call.channel = Some(channel);
        call.state = CallState::Sent;
        call.served = false;
        call.reply = None;
        call.heard = self.now;
        call.interval = self.config.retransmit;
        call.piece_size = self.link.piece_size(peer.mtu);
        self.timers
            .set(&mut call.due, Due::Call(slot), self.now + call.interval);
        self.transmit_request(slot, 0, site);
    }

    /// Sends the pieces of the present attempt whose bit in `received` is clear.
    pub(super) fn transmit_request(
        &mut self,
        slot: u32,
        received: u64,
        site: &mut dyn Site,
    ) -> u64 {
        let Some((call, to, txn)) = attempt_of(&self.calls, &self.peers, slot) else {
            return 0;
        };
        self.link.transmit_pieces(
            to,
            &call.content,
            call.piece_size,
            received,
            site,
            |piece| Payload::Request(data(&call.item, call.verb, call.port_epoch, txn, piece)),
        )
    }

    /// Sends a frame about the present attempt to its site.
    fn tell(
        &mut self,
        slot: u32,
        site: &mut dyn Site,
        payload: impl FnOnce(Txn) -> Payload<'static>,
    ) {
        if let Some((_, to, txn)) = attempt_of(&self.calls, &self.peers, slot) {
            self.link.transmit(to, &payload(txn), site);
        }
    }

    pub(super) fn call_timer(&mut self, slot: u32, site: &mut dyn Site) {
        let Some(call) = self.calls.get_mut(slot) else {
            return;
        };
        call.due = 0;
        match call.state {
            CallState::Searching | CallState::Queued | CallState::Here => {}
            CallState::Backoff => self.resolve(slot, site),
            CallState::Cancelling => {
                call.cancels += 1;
                if call.cancels >= CANCELS_MAX {
                    self.release_channel(slot, true, site);
                    self.drop_call(slot);
                } else {
                    self.timers.set(
                        &mut call.due,
                        Due::Call(slot),
                        self.now + self.config.retransmit,
                    );
                    self.tell(slot, site, Payload::Cancel);
                }
            }
            CallState::Sent => self.repeat(slot, site),
        }
    }

    /// The server said nothing for an interval: ask again, or give up.
    fn repeat(&mut self, slot: u32, site: &mut dyn Site) {
        let Some(call) = self.calls.get_mut(slot) else {
            return;
        };
        let number = call.peer;
        let heard = self.peers.get(&number).map_or(0, |peer| peer.heard);
        let quiet = self.now.saturating_sub(call.heard);
        if quiet >= self.config.unanswered {
            return self.fail(slot, K_ELINKFAILURE, site);
        }
        if quiet >= self.config.dead && self.now.saturating_sub(heard) >= self.config.dead {
            return self.peer_silent(number, site);
        }
        self.doubt(number, site);
        let Some(call) = self.calls.get_mut(slot) else {
            return;
        };
        let wait = if call.served {
            self.config.probe_again
        } else {
            call.interval = (call.interval * 2).min(self.config.retransmit_max);
            call.interval
        };
        self.timers
            .set(&mut call.due, Due::Call(slot), self.now + wait);
        let single = call.content.len() <= call.piece_size as usize;
        match &call.reply {
            Some(reply) => {
                let received = reply.received();
                self.tell(slot, site, |txn| Payload::Missing {
                    txn,
                    of: Of::Reply,
                    received,
                });
            }
            None if single && !call.served => {
                self.link.counters.retransmissions += self.transmit_request(slot, 0, site);
            }
            None => {
                self.link.counters.probes += 1;
                self.tell(slot, site, Payload::Probe);
            }
        }
    }

    /// CANCEL from the Nucleus: the client of this handle left.
    pub(super) fn take_cancel(&mut self, handle: u64, site: &mut dyn Site) {
        let Some(slot) = self.handles.remove(&handle) else {
            return;
        };
        self.tell_through(slot, site);
        let Some(call) = self.calls.get_mut(slot) else {
            return;
        };
        self.link.counters.calls_cancelled += 1;
        if call.state != CallState::Sent {
            let (key, state, token) = (call.key, call.state, call.seq);
            if state == CallState::Searching {
                self.stop_waiting(key, slot);
            }
            if state == CallState::Here {
                self.cancel_here(token, site);
            }
            return self.drop_call(slot);
        }
        call.state = CallState::Cancelling;
        self.timers.set(
            &mut call.due,
            Due::Call(slot),
            self.now + self.config.retransmit,
        );
        self.tell(slot, site, Payload::Cancel);
    }

    /// Ends a call with an error. A server that may still work on it is told once that nobody waits.
    pub(super) fn fail(&mut self, slot: u32, error: i32, site: &mut dyn Site) {
        let Some(call) = self.calls.get(slot) else {
            return;
        };
        let ending = Ending::of(call);
        if ending.verb != Verb::Request {
        } else if error == K_ELINKFAILURE {
            self.link.counters.calls_unknown += 1;
        } else {
            self.link.counters.calls_not_executed += 1;
        }
        if call.channel.is_some() {
            self.tell(slot, site, Payload::Cancel);
            self.release_channel(slot, true, site);
        }
        self.drop_call(slot);
        match ending.verb {
            Verb::Request => self.complete(ending.handle, error, false, &[], site),
            _ => self.end_between(&ending, Err(error), site),
        }
    }

    /// Takes the channel from a call and gives it to the next that waits. `acked`: the server keeps no reply for it.
    pub(super) fn release_channel(&mut self, slot: u32, acked: bool, site: &mut dyn Site) {
        let Some(call) = self.calls.get_mut(slot) else {
            return;
        };
        let Some(channel) = call.channel.take() else {
            return;
        };
        let Some(peer) = self.peers.get_mut(&call.peer) else {
            return;
        };
        if let Some(entry) = peer.channels.get_mut(usize::from(channel)) {
            entry.call = None;
            entry.unacked = !acked;
            entry.freed = self.now;
        }
        let number = call.peer;
        while let Some(next) = peer.queued.pop_front() {
            // Entries of calls that left the queue are stale.
            if self
                .calls
                .get(next)
                .is_some_and(|call| call.state == CallState::Queued && call.peer == number)
            {
                return self.attempt(next, channel, site);
            }
        }
        peer.free.push(channel);
    }

    /// Forgets a call; its client must have been told, or have left. Its channel must have been released.
    pub(super) fn drop_call(&mut self, slot: u32) {
        let Some(mut call) = self.calls.remove(slot) else {
            return;
        };
        self.timers.clear(&mut call.due, Due::Call(slot));
        if self.handles.get(&call.item.handle) == Some(&slot) {
            self.handles.remove(&call.item.handle);
        }
        if let Some(peer) = self.peers.get_mut(&call.peer)
            && call.state == CallState::Queued
        {
            peer.queued.retain(|queued| *queued != slot);
        }
        self.outbound -= call.content.len();
        if let Some(reply) = &call.reply {
            self.assembling -= reply.bytes();
        }
        self.recycle(call.content);
    }

    pub(super) fn complete(
        &mut self,
        handle: u64,
        result: i32,
        annex: bool,
        content: &[u8],
        site: &mut dyn Site,
    ) {
        let mut item = KnNetItem {
            kind: NET_REPLY,
            result,
            handle,
            ..KnNetItem::default()
        };
        let body = split_content(&mut item, annex, content);
        site.complete(&item, body);
    }
}

/// The present attempt of a call: with whom, and its name.
pub(super) fn attempt_of<'a>(
    calls: &'a crate::slab::Slab<Call>,
    peers: &alloc::collections::BTreeMap<u16, super::peer::Peer>,
    slot: u32,
) -> Option<(&'a Call, To, Txn)> {
    let call = calls.get(slot)?;
    let incarnation = peers.get(&call.peer)?.incarnation;
    Some((
        call,
        To {
            site: call.peer,
            incarnation,
        },
        Txn {
            channel: call.channel?,
            seq: call.seq,
        },
    ))
}
