//! What servers say about the calls of local clients: replies, progress, missing pieces, refusals.
//!
//! Only words about the present attempt of a call are believed; anything else is late or doubled and changes nothing, except that a
//! server which keeps a reply for nobody is told so.

use super::client::{CallState, Ending, REDIRECTIONS_MAX, attempt_of};
use super::link::To;
use super::locate::Waiter;
use super::{Endpoint, Site};
use crate::fragments::Assembly;
use crate::frame::{Acks, Nack, Of, Payload, Reason, Reply, Txn, Verb};
use crate::hints::Key;
use crate::timers::Due;
use alloc::vec::Vec;
use chorus_abi::error::{K_EFULL, K_EINVAL, K_ELINKFAILURE, K_EUNKNOWN};
use chorus_abi::{KError, UiType};

impl Endpoint {
    /// The slot of the call whose present attempt this is, marked as heard of.
    fn heard(&mut self, from: To, txn: Txn) -> Option<u32> {
        let now = self.now;
        let peer = self.peers.get_mut(&from.site)?;
        let channel = peer.channels.get(usize::from(txn.channel))?;
        let slot = channel.call.filter(|_| channel.seq == txn.seq)?;
        peer.heard = now;
        let call = self.calls.get_mut(slot)?;
        call.heard = now;
        Some(slot)
    }

    /// A piece of a reply.
    pub(super) fn on_reply(&mut self, from: To, reply: &Reply<'_>, site: &mut dyn Site) {
        let current = self.heard(from, reply.txn).filter(|slot| {
            self.calls
                .get(*slot)
                .is_some_and(|call| call.state == CallState::Sent)
        });
        let Some(slot) = current else {
            self.link.counters.duplicates += 1;
            // The server keeps it for nothing: tell it so. (Of a reply in many pieces, once.)
            if reply.piece.index == 0 && self.peers.contains_key(&from.site) {
                self.acknowledge(from, reply.txn, site);
            }
            return;
        };
        if reply.piece.count == 1 {
            return self.replied(slot, reply, reply.piece.bytes, site);
        }
        let Some(call) = self.calls.get_mut(slot) else {
            return;
        };
        call.served = true;
        if call.reply.is_none() {
            let bytes = reply.piece.total as usize;
            if self.assembling + bytes > self.config.max_assembly {
                self.link.counters.over_bound += 1;
                return;
            }
            self.assembling += bytes;
            call.reply = Some(Assembly::new(&reply.piece));
        }
        let Some(assembly) = &mut call.reply else {
            return;
        };
        match assembly.add(&reply.piece) {
            Some(true) => {
                if let Some(assembly) = call.reply.take() {
                    self.assembling -= assembly.bytes();
                    self.replied(slot, reply, assembly.content(), site);
                }
            }
            Some(false) => {
                let last = reply.piece.index + 1 == reply.piece.count;
                let wait = if last {
                    self.config.gap
                } else {
                    self.config.retransmit
                };
                self.timers
                    .set(&mut call.due, Due::Call(slot), self.now + wait);
            }
            None => self.link.counters.malformed += 1,
        }
    }

    /// A whole reply.
    fn replied(&mut self, slot: u32, reply: &Reply<'_>, content: &[u8], site: &mut dyn Site) {
        let Some(call) = self.calls.get(slot) else {
            return;
        };
        let ending = Ending::of(call);
        let peer = ending.peer;
        let ack_now = reply.ack_now;
        if ack_now && let Some((_, to, txn)) = attempt_of(&self.calls, &self.peers, slot) {
            self.acknowledge(to, txn, site);
        }
        self.release_channel(slot, ack_now, site);
        self.drop_call(slot);
        if !ack_now {
            self.arm_acks(peer);
        }
        // A positive result has no meaning to a client.
        let result = reply.result.min(0);
        self.ended(&ending, result, reply.annex, content, site);
    }

    /// A call was answered; nothing is left of it.
    pub(super) fn ended(
        &mut self,
        ending: &Ending,
        result: i32,
        annex: bool,
        content: &[u8],
        site: &mut dyn Site,
    ) {
        if ending.verb == Verb::Request {
            self.link.counters.calls_replied += 1;
            self.complete(ending.handle, result, annex, content, site);
        } else {
            self.end_between(ending, Ok((result, annex, content)), site);
        }
    }

    fn acknowledge(&mut self, to: To, txn: Txn, site: &mut dyn Site) {
        let mut list = Vec::new();
        Acks::push(&mut list, txn);
        self.link
            .transmit(to, &Payload::Ack(Acks::new(&list)), site);
    }

    fn arm_acks(&mut self, number: u16) {
        if let Some(peer) = self.peers.get_mut(&number)
            && peer.acks_due == 0
        {
            self.timers.set(
                &mut peer.acks_due,
                Due::Acks(number),
                self.now + self.config.ack_idle,
            );
        }
    }

    /// Acknowledges the replies of channels that stayed idle: one frame for all of them.
    pub(super) fn acks_timer(&mut self, number: u16, site: &mut dyn Site) {
        let (now, idle) = (self.now, self.config.ack_idle);
        let Some(peer) = self.peers.get_mut(&number) else {
            return;
        };
        peer.acks_due = 0;
        let mut list = Vec::new();
        let mut next = None::<u64>;
        for (channel, entry) in peer.channels.iter_mut().enumerate() {
            if entry.call.is_some() || !entry.unacked {
                continue;
            }
            // 100 transactions of 10 bytes at a time: they fit into the smallest frame.
            if entry.freed + idle <= now && list.len() < 1000 {
                Acks::push(
                    &mut list,
                    Txn {
                        channel: channel as u16,
                        seq: entry.seq,
                    },
                );
                entry.unacked = false;
            } else {
                let at = (entry.freed + idle).max(now + 1);
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        if let Some(at) = next {
            self.timers.set(&mut peer.acks_due, Due::Acks(number), at);
        }
        if !list.is_empty() {
            let to = To {
                site: number,
                incarnation: peer.incarnation,
            };
            self.link
                .transmit(to, &Payload::Ack(Acks::new(&list)), site);
        }
    }

    /// The request is in service.
    pub(super) fn on_progress(&mut self, from: To, txn: Txn, site: &mut dyn Site) {
        let Some(slot) = self.heard(from, txn) else {
            self.link.counters.duplicates += 1;
            return;
        };
        if let Some(call) = self.calls.get_mut(slot)
            && call.state == CallState::Sent
        {
            call.served = true;
            self.timers
                .set(&mut call.due, Due::Call(slot), self.now + self.config.probe);
            if call.verb == Verb::Pass {
                self.tell_through(slot, site);
            }
        }
    }

    /// The server lacks pieces of the request.
    pub(super) fn on_missing(&mut self, from: To, txn: Txn, received: u64, site: &mut dyn Site) {
        let Some(slot) = self.heard(from, txn) else {
            self.link.counters.duplicates += 1;
            return;
        };
        if let Some(call) = self.calls.get_mut(slot)
            && call.state == CallState::Sent
        {
            self.timers.set(
                &mut call.due,
                Due::Call(slot),
                self.now + self.config.retransmit,
            );
            self.link.counters.retransmissions += self.transmit_request(slot, received, site);
        }
    }

    /// A refusal of a request, or of an asynchronous message.
    pub(super) fn on_nack(&mut self, from: To, nack: &Nack, site: &mut dyn Site) {
        self.link.counters.refusals += 1;
        if nack.of == Of::Send {
            let key = Key::of(nack.target, nack.co_target);
            // Nobody knows which messages were sent; who is asked next is known.
            let asked = self.hints.is_at(key, from.site);
            self.refused_by(from.site, nack.target, key);
            if asked {
                self.learn_place(key, nack.hint, site);
            }
            return;
        }
        let Some(slot) = self.heard(from, nack.txn) else {
            self.link.counters.duplicates += 1;
            return;
        };
        self.release_channel(slot, true, site);
        let Some(call) = self.calls.get_mut(slot) else {
            return;
        };
        self.timers.clear(&mut call.due, Due::Call(slot));
        if call.state == CallState::Cancelling {
            return self.drop_call(slot);
        }
        let (key, target) = (call.key, call.item.target);
        let group = target.kind() == Some(UiType::Group);
        match nack.reason {
            Reason::NotHere => {
                call.redirections += 1;
                let skip_home = key.home() == from.site;
                call.state = CallState::Searching;
                call.peer = 0;
                let given_up = call.redirections > REDIRECTIONS_MAX;
                self.refused_by(from.site, target, key);
                self.learn_place(key, nack.hint, site);
                if given_up {
                    return self.fail(slot, K_EUNKNOWN, site);
                }
                let searched = self.is_searched(key);
                let hint = self
                    .hints
                    .find(key)
                    .or_else(|| self.place_of_group(target, key));
                match hint.filter(|_| !searched) {
                    Some(hint) => self.dispatch(slot, hint, site),
                    None => self.search(key, skip_home && !group, Waiter::Call(slot), site),
                }
            }
            Reason::Busy => self.wait_for_room(slot, site),
            Reason::NoMember => self.fail(slot, K_EUNKNOWN, site),
            Reason::Error => {
                let known = KError::from_code(nack.result).map_or(K_EINVAL, KError::code);
                self.fail(slot, known, site);
            }
            Reason::Rebooted | Reason::Forgotten => self.fail(slot, K_ELINKFAILURE, site),
        }
    }

    /// The queue of the target is full: the call is tried again later, for a while.
    pub(super) fn wait_for_room(&mut self, slot: u32, site: &mut dyn Site) {
        let Some(call) = self.calls.get_mut(slot) else {
            return;
        };
        call.state = CallState::Backoff;
        call.peer = 0;
        if call.busy_since == 0 {
            call.busy_since = self.now.max(1);
        }
        if self.now.saturating_sub(call.busy_since) >= self.config.busy_patience {
            return self.fail(slot, K_EFULL, site);
        }
        let wait = call.busy_wait;
        call.busy_wait = (wait * 2).min(self.config.busy_max);
        self.timers
            .set(&mut call.due, Due::Call(slot), self.now + wait);
    }

    /// The server knows that the client left.
    pub(super) fn on_cancelled(&mut self, from: To, txn: Txn, site: &mut dyn Site) {
        match self.heard(from, txn) {
            Some(slot)
                if self
                    .calls
                    .get(slot)
                    .is_some_and(|call| call.state == CallState::Cancelling) =>
            {
                self.release_channel(slot, true, site);
                self.drop_call(slot);
            }
            _ => self.link.counters.duplicates += 1,
        }
    }
}
