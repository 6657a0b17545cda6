//! Requests of other sites: each number is executed at most once, however often it comes.
//!
//! A channel remembers its highest number and what became of it; a repetition gets the same answer and is never delivered again. When
//! the memory of a channel is given up (a minute after its last use) its number goes into the peer's floor, below which nothing on an
//! unknown channel is believed to be new.

use super::link::To;
use super::passing::{Owner, PASSED};
use super::peer::Meeting;
use super::{Endpoint, Site, split_content};
use crate::config::{CHANNELS_MAX, MTU_MIN, SECOND};
use crate::fragments::Assembly;
use crate::frame::{Data, Header, Nack, Of, Payload, Reason, Txn, Verb};
use crate::hints::Hint;
use crate::timers::Due;
use alloc::vec::Vec;
use chorus_abi::error::{K_EFULL, K_ENOMEM, K_EUNKNOWN};
use chorus_abi::net::{KnNetItem, NET_CALL, NET_CANCEL, NET_SEND};
use chorus_abi::{K_FUNCUMODE, K_FUNCXMODE, KnUniqueId};

/// How often the channels of a peer are looked through for old ones.
pub(super) const FORGET_GAP: u64 = 5 * SECOND;

/// What became of a channel's last number.
#[derive(Debug)]
pub(super) enum State {
    /// It ended; nothing is kept.
    Ended,
    /// Delivered here; the token under which the Nucleus answers.
    Serving(u64),
    /// Answered; kept for repetition.
    Replied(Kept),
    /// Refused for good.
    Refused(Reason, i32, KnUniqueId, KnUniqueId),
    /// The client left, or its reply was given up.
    Gone(Reason),
}

/// A reply kept for repetition.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) content: Vec<u8>,
    pub(super) annex: bool,
    pub(super) result: i32,
    /// Bytes of a piece; the same at every repetition.
    pub(super) size: u32,
}

/// A request that is not yet complete.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) seq: u64,
    pub(super) assembly: Assembly,
    /// When its last piece came.
    fresh: u64,
}

/// One channel of a client site.
#[derive(Debug)]
pub(super) struct ServerChannel {
    pub(super) last: u64,
    pub(super) state: State,
    pub(super) incoming: Option<Incoming>,
    /// When the client last spoke of it.
    pub(super) asked: u64,
    due: u64,
}

/// The Nucleus' view of a message from the network.
pub(super) fn item_of(data: &Data<'_>, kind: u32, handle: u64) -> KnNetItem {
    KnNetItem {
        kind,
        handle,
        target: data.target,
        co_target: data.co_target,
        src_port: data.src_port,
        actor_pi: data.actor_pi,
        port_pi: data.port_pi,
        ..KnNetItem::default()
    }
}

impl Endpoint {
    pub(super) fn channel(&mut self, peer: u16, channel: u16) -> Option<&mut ServerChannel> {
        self.peers.get_mut(&peer)?.serving.get_mut(&channel)
    }

    /// A piece of a request.
    pub(super) fn on_request(
        &mut self,
        from: To,
        header: &Header,
        data: &Data<'_>,
        site: &mut dyn Site,
    ) {
        let txn = data.txn;
        if txn.channel >= CHANNELS_MAX || self.meet(from, header.mtu, site) != Meeting::Known {
            self.link.counters.over_bound += 1;
            return;
        }
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&from.site) else {
            return;
        };
        if !peer.serving.contains_key(&txn.channel) && txn.seq <= peer.floor {
            return self.refuse(
                from,
                txn,
                Reason::Forgotten,
                0,
                data.target,
                data.co_target,
                site,
            );
        }
        if peer.forget_due == 0 {
            self.timers.set(
                &mut peer.forget_due,
                Due::Forget(from.site),
                now + FORGET_GAP,
            );
        }
        let channel = peer.serving.entry(txn.channel).or_insert(ServerChannel {
            last: 0,
            state: State::Ended,
            incoming: None,
            asked: now,
            due: 0,
        });
        let assembling = channel.incoming.as_ref().map_or(0, |incoming| incoming.seq);
        if txn.seq < channel.last.max(assembling) {
            self.link.counters.duplicates += 1;
            return;
        }
        channel.asked = now;
        if txn.seq == channel.last {
            self.link.counters.duplicates += 1;
            // One answer to a repetition, whatever the number of its pieces.
            if data.piece.index == 0 {
                self.answer_again(from, txn, None, site);
            }
            return;
        }
        if assembling != txn.seq {
            // The client has gone on: what was before is over. If it was answered, the answer arrived.
            if matches!(channel.state, State::Replied(_)) {
                peer.heard = now;
            }
            self.retire(from.site, txn.channel, site);
        }
        if data.piece.count == 1 {
            self.request(from, data, data.piece.bytes, site);
        } else {
            self.add_piece(from, data, site);
        }
    }

    /// A piece of a request that consists of several.
    fn add_piece(&mut self, from: To, data: &Data<'_>, site: &mut dyn Site) {
        let (txn, bytes) = (data.txn, data.piece.total as usize);
        let (now, gap, again) = (self.now, self.config.gap, self.config.retransmit);
        let Some(peer) = self.peers.get_mut(&from.site) else {
            return;
        };
        let Some(channel) = peer.serving.get_mut(&txn.channel) else {
            return;
        };
        if channel.incoming.is_none() {
            if let Err(reason) = self.admits(data.target, data.co_target, site) {
                return self.end_refused(from, data, reason, 0, site);
            }
            let peer_bytes = self.peers.get(&from.site).map_or(0, |peer| peer.assembling);
            if peer_bytes + bytes > self.config.max_assembly_peer
                || self.assembling + bytes > self.config.max_assembly
            {
                self.link.counters.over_bound += 1;
                return self.end_refused(from, data, Reason::Busy, 0, site);
            }
        }
        let Some(peer) = self.peers.get_mut(&from.site) else {
            return;
        };
        let Some(channel) = peer.serving.get_mut(&txn.channel) else {
            return;
        };
        let incoming = channel.incoming.get_or_insert_with(|| {
            peer.assembling += bytes;
            self.assembling += bytes;
            Incoming {
                seq: txn.seq,
                assembly: Assembly::new(&data.piece),
                fresh: now,
            }
        });
        match incoming.assembly.add(&data.piece) {
            Some(true) => {
                if let Some(incoming) = self.take_incoming(from.site, txn.channel) {
                    self.request(from, data, incoming.assembly.content(), site);
                }
            }
            Some(false) => {
                incoming.fresh = now;
                let last = data.piece.index + 1 == data.piece.count;
                let at = now + if last { gap } else { again };
                self.timers
                    .set(&mut channel.due, Due::Request(from.site, txn.channel), at);
            }
            None => self.link.counters.malformed += 1,
        }
    }

    /// Takes an incomplete request from its channel and gives its memory back.
    fn take_incoming(&mut self, number: u16, channel_number: u16) -> Option<Incoming> {
        let peer = self.peers.get_mut(&number)?;
        let channel = peer.serving.get_mut(&channel_number)?;
        self.timers
            .clear(&mut channel.due, Due::Request(number, channel_number));
        let incoming = channel.incoming.take()?;
        peer.assembling -= incoming.assembly.bytes();
        self.assembling -= incoming.assembly.bytes();
        Some(incoming)
    }

    pub(super) fn request_timer(&mut self, number: u16, channel_number: u16, site: &mut dyn Site) {
        let (now, age, again) = (self.now, self.config.assembly_age, self.config.retransmit);
        let Some(peer) = self.peers.get_mut(&number) else {
            return;
        };
        let to = To {
            site: number,
            incarnation: peer.incarnation,
        };
        let Some(channel) = peer.serving.get_mut(&channel_number) else {
            return;
        };
        channel.due = 0;
        let Some(incoming) = &channel.incoming else {
            return;
        };
        if now.saturating_sub(incoming.fresh) >= age {
            // Not refused: the client may still send all of it again.
            self.take_incoming(number, channel_number);
            return;
        }
        let txn = Txn {
            channel: channel_number,
            seq: incoming.seq,
        };
        let received = incoming.assembly.received();
        self.timers.set(
            &mut channel.due,
            Due::Request(number, channel_number),
            now + again,
        );
        self.link.transmit(
            to,
            &Payload::Missing {
                txn,
                of: Of::Request,
                received,
            },
            site,
        );
    }

    /// Whether this site is one for a target in selective or exclusive mode.
    pub(super) fn admits(
        &self,
        target: KnUniqueId,
        co_target: KnUniqueId,
        site: &mut dyn Site,
    ) -> Result<(), Reason> {
        match target.group().map(|group| group.mode) {
            Some(K_FUNCUMODE) if !self.is_at_home(co_target, site) => Err(Reason::NotHere),
            Some(K_FUNCXMODE) if self.is_at_home(co_target, site) => Err(Reason::NotHere),
            _ => Ok(()),
        }
    }

    /// A whole request with a new number: the one place where an execution begins.
    fn request(&mut self, from: To, data: &Data<'_>, content: &[u8], site: &mut dyn Site) {
        if let Err(reason) = self.admits(data.target, data.co_target, site) {
            return self.end_refused(from, data, reason, 0, site);
        }
        if self.tokens.len() >= self.config.max_serving {
            self.link.counters.over_bound += 1;
            return self.end_refused(from, data, Reason::Busy, 0, site);
        }
        if data.verb.is_of_managers() {
            return self.serve_manager(from, data, content, site);
        }
        let token = self.next_token;
        let mut item = item_of(data, NET_CALL, token);
        let body = split_content(&mut item, data.annex, content);
        match site.deliver(&item, body) {
            0 => {
                self.next_token += 1;
                self.link.counters.delivered_calls += 1;
                self.serves(from, data.txn, token);
                if data.verb == Verb::Pass {
                    // The old place waits for this before it passes the next one.
                    self.link.transmit(from, &Payload::Progress(data.txn), site);
                }
            }
            K_EUNKNOWN => {
                let selective = data
                    .target
                    .group()
                    .is_some_and(|group| group.mode == K_FUNCUMODE);
                let reason = if selective {
                    Reason::NoMember
                } else {
                    Reason::NotHere
                };
                self.end_refused(from, data, reason, 0, site);
            }
            K_EFULL | K_ENOMEM => self.end_refused(from, data, Reason::Busy, 0, site),
            error => self.end_refused(from, data, Reason::Error, error, site),
        }
    }

    /// A number is in service, under a token.
    fn serves(&mut self, from: To, txn: Txn, token: u64) {
        let owner = Owner::Channel(from.site, txn.channel);
        self.tokens.insert(token, owner);
        if let Some(channel) = self.channel(from.site, txn.channel) {
            channel.last = txn.seq;
            channel.state = State::Serving(token);
        }
    }

    /// What managers ask of each other is answered at once.
    fn serve_manager(&mut self, from: To, data: &Data<'_>, content: &[u8], site: &mut dyn Site) {
        let mut answer = [0; 4];
        let answered = match data.verb {
            Verb::PassSend => {
                let mut item = item_of(data, NET_SEND, 0);
                let body = split_content(&mut item, data.annex, content);
                match site.deliver(&item, body) {
                    0 => Ok(0),
                    error => Err(error),
                }
            }
            _ => self.serve_move(from, data, content, &mut answer, site),
        };
        match answered {
            Ok(size) => {
                let token = self.next_token;
                self.next_token += 1;
                self.serves(from, data.txn, token);
                let item = KnNetItem {
                    handle: token,
                    ..KnNetItem::default()
                };
                self.take_reply(&item, &answer[..size], site);
            }
            Err(error) => {
                let passed = data.verb == Verb::PassSend;
                let reason = match error {
                    K_EUNKNOWN if passed => Reason::NotHere,
                    K_EFULL | K_ENOMEM if passed => Reason::Busy,
                    _ => Reason::Error,
                };
                self.end_refused(from, data, reason, error, site);
            }
        }
    }

    /// Refuses a number for good.
    fn end_refused(
        &mut self,
        from: To,
        data: &Data<'_>,
        reason: Reason,
        result: i32,
        site: &mut dyn Site,
    ) {
        if let Some(channel) = self.channel(from.site, data.txn.channel) {
            channel.last = data.txn.seq;
            channel.state = State::Refused(reason, result, data.target, data.co_target);
        }
        self.refuse(
            from,
            data.txn,
            reason,
            result,
            data.target,
            data.co_target,
            site,
        );
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one frame")]
    pub(super) fn refuse(
        &mut self,
        to: To,
        txn: Txn,
        reason: Reason,
        result: i32,
        target: KnUniqueId,
        co_target: KnUniqueId,
        site: &mut dyn Site,
    ) {
        let nack = Nack {
            txn,
            of: Of::Request,
            reason,
            result,
            target,
            co_target,
            hint: match reason {
                Reason::NotHere => self.note(target).map_or((0, 0, 0), Hint::place),
                _ => (0, 0, 0),
            },
        };
        self.link.transmit(to, &Payload::Nack(nack), site);
    }

    /// CANCEL: the client left. What was not delivered never will be.
    pub(super) fn on_cancel(&mut self, from: To, txn: Txn, site: &mut dyn Site) {
        if txn.channel >= CHANNELS_MAX || self.meet(from, MTU_MIN as u32, site) != Meeting::Known {
            self.link.counters.over_bound += 1;
            return;
        }
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&from.site) else {
            return;
        };
        if peer.serving.contains_key(&txn.channel) || txn.seq > peer.floor {
            if peer.forget_due == 0 {
                self.timers.set(
                    &mut peer.forget_due,
                    Due::Forget(from.site),
                    now + FORGET_GAP,
                );
            }
            let channel = peer.serving.entry(txn.channel).or_insert(ServerChannel {
                last: 0,
                state: State::Ended,
                incoming: None,
                asked: now,
                due: 0,
            });
            let assembling = channel.incoming.as_ref().map_or(0, |incoming| incoming.seq);
            if txn.seq >= channel.last.max(assembling) {
                self.retire(from.site, txn.channel, site);
                if let Some(channel) = self.channel(from.site, txn.channel) {
                    channel.last = txn.seq;
                    channel.state = State::Gone(Reason::Forgotten);
                    channel.asked = now;
                }
            }
        }
        self.link.transmit(from, &Payload::Cancelled(txn), site);
    }

    /// Ends whatever the channel's last number was about.
    pub(super) fn retire(&mut self, number: u16, channel_number: u16, site: &mut dyn Site) {
        self.take_incoming(number, channel_number);
        let Some(channel) = self.channel(number, channel_number) else {
            return;
        };
        let state = core::mem::replace(&mut channel.state, State::Ended);
        self.end_state(state, site);
    }

    pub(super) fn end_state(&mut self, state: State, site: &mut dyn Site) {
        match state {
            State::Serving(token) => {
                self.tokens.remove(&token);
                self.link.counters.delivered_cancels += 1;
                let item = KnNetItem {
                    kind: NET_CANCEL,
                    handle: token,
                    ..KnNetItem::default()
                };
                site.deliver(&item, &[]);
                // If it was passed on, it is withdrawn there.
                self.take_cancel(token | PASSED, site);
            }
            State::Replied(kept) => {
                self.kept -= kept.content.len();
                self.recycle(kept.content);
            }
            State::Ended | State::Refused(..) | State::Gone(_) => {}
        }
    }

    /// A channel of a peer entry that is over.
    pub(super) fn drop_server_channel(
        &mut self,
        number: u16,
        channel_number: u16,
        channel: ServerChannel,
        site: &mut dyn Site,
    ) {
        let mut channel = channel;
        self.timers
            .clear(&mut channel.due, Due::Request(number, channel_number));
        if let Some(incoming) = &channel.incoming {
            self.assembling -= incoming.assembly.bytes();
        }
        self.end_state(channel.state, site);
    }
}
