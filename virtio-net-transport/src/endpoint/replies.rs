//! Replies to other sites' requests: sent, kept for repetition, acknowledged, forgotten.
//!
//! A reply is kept until the client acknowledges it, explicitly or by its next request on the channel, or for a minute. If memory runs
//! short, clients are asked to acknowledge at once; if that does not help, the oldest reply is given up, and a client that still asks
//! learns that the outcome is unknown: the request is never run again.

use super::link::To;
use super::passing::Owner;
use super::server::{FORGET_GAP, Kept, State};
use super::{Endpoint, Site};
use crate::frame::{Acks, Of, Payload, Piece, Reason, Reply, Txn};
use crate::timers::Due;
use alloc::vec::Vec;
use chorus_abi::KnUniqueId;
use chorus_abi::net::KnNetItem;

impl Endpoint {
    /// Answers a repetition of the channel's last number. `received`: the pieces of the reply that the client has.
    pub(super) fn answer_again(
        &mut self,
        to: To,
        txn: Txn,
        received: Option<u64>,
        site: &mut dyn Site,
    ) {
        let Some(peer) = self.peers.get(&to.site) else {
            return;
        };
        let Some(channel) = peer.serving.get(&txn.channel) else {
            return;
        };
        match &channel.state {
            State::Ended => {}
            State::Serving(_) => self.link.transmit(to, &Payload::Progress(txn), site),
            State::Replied(kept) => {
                // Without word of what arrived, the first piece is enough: the client asks for the others.
                let received = received.unwrap_or(!1);
                self.link.counters.retransmissions += self.link.transmit_pieces(
                    to,
                    &kept.content,
                    kept.size,
                    received,
                    site,
                    |piece| reply_frame(txn, kept, false, piece),
                );
            }
            State::Refused(reason, result, target, co_target) => {
                let (reason, result, target, co_target) = (*reason, *result, *target, *co_target);
                self.refuse(to, txn, reason, result, target, co_target, site);
            }
            State::Gone(reason) => {
                let reason = *reason;
                self.refuse(to, txn, reason, 0, KnUniqueId::NULL, KnUniqueId::NULL, site);
            }
        }
    }

    /// PROBE, or MISSING of a reply: the client asks for its transaction.
    pub(super) fn on_probe(
        &mut self,
        from: To,
        txn: Txn,
        received: Option<u64>,
        site: &mut dyn Site,
    ) {
        let now = self.now;
        let floor = self.peers.get(&from.site).map_or(0, |peer| peer.floor);
        let Some(channel) = self.channel(from.site, txn.channel) else {
            if txn.seq <= floor {
                self.refuse(
                    from,
                    txn,
                    Reason::Forgotten,
                    0,
                    KnUniqueId::NULL,
                    KnUniqueId::NULL,
                    site,
                );
            } else {
                self.link.transmit(
                    from,
                    &Payload::Missing {
                        txn,
                        of: Of::Request,
                        received: 0,
                    },
                    site,
                );
            }
            return;
        };
        if txn.seq < channel.last {
            self.link.counters.duplicates += 1;
            return;
        }
        channel.asked = now;
        if txn.seq == channel.last {
            return self.answer_again(from, txn, received, site);
        }
        let have = channel
            .incoming
            .as_ref()
            .filter(|incoming| incoming.seq == txn.seq);
        let received = have.map_or(0, |incoming| incoming.assembly.received());
        self.link.transmit(
            from,
            &Payload::Missing {
                txn,
                of: Of::Request,
                received,
            },
            site,
        );
    }

    /// REPLY from the Nucleus: the request of this token ended.
    pub(super) fn take_reply(&mut self, item: &KnNetItem, body: &[u8], site: &mut dyn Site) {
        // A token that is not there was cancelled: the reply is accepted and thrown away.
        let (number, channel_number) = match self.tokens.remove(&item.handle) {
            Some(Owner::Channel(number, channel)) => (number, channel),
            Some(Owner::Here(slot)) => return self.replied_here(slot, item, body, site),
            None => return,
        };
        let annex = item.annex_size != 0;
        let content = self.content(item, body);
        self.kept += content.len();
        let now = self.now;
        let ack_now = self.kept > self.config.max_kept / 2;
        let Some(peer) = self.peers.get_mut(&number) else {
            return;
        };
        let to = To {
            site: number,
            incarnation: peer.incarnation,
        };
        let size = self.link.piece_size(peer.mtu);
        let Some(channel) = peer.serving.get_mut(&channel_number) else {
            return;
        };
        let txn = Txn {
            channel: channel_number,
            seq: channel.last,
        };
        let kept = Kept {
            content,
            annex,
            result: item.result.min(0),
            size,
        };
        self.link
            .transmit_pieces(to, &kept.content, size, 0, site, |piece| {
                reply_frame(txn, &kept, ack_now, piece)
            });
        channel.state = State::Replied(kept);
        channel.asked = now;
        while self.kept > self.config.max_kept && self.forget_oldest_reply() {}
    }

    /// Gives up the reply that was kept longest; its client, if it still asks, learns that the outcome is unknown.
    fn forget_oldest_reply(&mut self) -> bool {
        let oldest = self
            .peers
            .values_mut()
            .flat_map(|peer| peer.serving.values_mut())
            .filter(|channel| matches!(&channel.state, State::Replied(kept) if !kept.content.is_empty()))
            .min_by_key(|channel| channel.asked);
        let Some(channel) = oldest else { return false };
        if let State::Replied(kept) =
            core::mem::replace(&mut channel.state, State::Gone(Reason::Forgotten))
        {
            self.kept -= kept.content.len();
            self.link.counters.forgotten_replies += 1;
        }
        true
    }

    /// ACK: these replies arrived.
    pub(super) fn on_acks(&mut self, from: To, acks: Acks<'_>) {
        for txn in acks.iter() {
            let Some(channel) = self.channel(from.site, txn.channel) else {
                continue;
            };
            if channel.last != txn.seq || !matches!(channel.state, State::Replied(_)) {
                continue;
            }
            if let State::Replied(kept) = core::mem::replace(&mut channel.state, State::Ended) {
                self.kept -= kept.content.len();
                self.recycle(kept.content);
            }
        }
    }

    /// Looks for orphans, and for channels that are forgotten now.
    pub(super) fn forget_timer(&mut self, number: u16, site: &mut dyn Site) {
        let (now, orphan, remember) = (self.now, self.config.orphan, self.config.remember);
        let Some(peer) = self.peers.get_mut(&number) else {
            return;
        };
        peer.forget_due = 0;
        let mut orphans = Vec::new();
        let mut old = Vec::new();
        for (&channel_number, channel) in &peer.serving {
            let quiet = now.saturating_sub(channel.asked);
            if matches!(channel.state, State::Serving(_)) {
                if quiet >= orphan {
                    orphans.push(channel_number);
                }
            } else if quiet >= remember && channel.incoming.is_none() {
                old.push(channel_number);
            }
        }
        for channel_number in orphans {
            self.retire(number, channel_number, site);
            if let Some(channel) = self.channel(number, channel_number) {
                channel.state = State::Gone(Reason::Forgotten);
            }
        }
        for channel_number in old {
            let Some(peer) = self.peers.get_mut(&number) else {
                return;
            };
            if let Some(channel) = peer.serving.remove(&channel_number) {
                peer.floor = peer.floor.max(channel.last);
                self.end_state(channel.state, site);
            }
        }
        if let Some(peer) = self.peers.get_mut(&number)
            && !peer.serving.is_empty()
        {
            self.timers
                .set(&mut peer.forget_due, Due::Forget(number), now + FORGET_GAP);
        }
    }
}

fn reply_frame<'a>(txn: Txn, kept: &Kept, ack_now: bool, piece: Piece<'a>) -> Payload<'a> {
    Payload::Reply(Reply {
        txn,
        piece,
        annex: kept.annex,
        ack_now,
        result: kept.result,
    })
}
