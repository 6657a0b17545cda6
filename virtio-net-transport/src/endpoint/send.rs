//! Asynchronous messages: to a port or one member of a group, and to all members of a group.
//!
//! They are not acknowledged and may be lost, but none is delivered twice and none in part (SS-033, SS-062). Those from one port to
//! another keep their order on an orderly link: they wait behind the same search and are numbered by one counter.

use super::client::{addressable, data};
use super::link::To;
use super::locate::Waiter;
use super::peer::Meeting;
use super::server::item_of;
use super::{Endpoint, Site, split_content};
use crate::config::MTU_MIN;
use crate::fragments::Assembly;
use crate::frame::{Data, Header, Nack, Of, Payload, Reason, Txn, Verb};
use crate::hints::{Hint, Key};
use crate::timers::Due;
use chorus_abi::error::K_EUNKNOWN;
use chorus_abi::net::{KnNetItem, NET_SEND};
use chorus_abi::{K_BROADMODE, UiType};

/// Largest frame of a message to all members: some sites may take no larger ones.
const BROADCAST_MTU: u32 = 1514;

/// An asynchronous message that is not yet complete.
#[derive(Debug)]
pub(super) struct PartialSend {
    broadcast: bool,
    number: u64,
    pub(super) assembly: Assembly,
    born: u64,
}

impl Endpoint {
    /// SEND from the Nucleus.
    pub(super) fn take_send(&mut self, item: &KnNetItem, body: &[u8], site: &mut dyn Site) {
        self.link.counters.sends += 1;
        if !addressable(item.target, item.co_target, true) {
            self.link.counters.lost_sends += 1;
            return;
        }
        if item
            .target
            .group()
            .is_some_and(|group| group.mode == K_BROADMODE)
        {
            let txn = Txn {
                channel: 0,
                seq: self.next_broadcast,
            };
            self.next_broadcast += 1;
            let content = self.content(item, body);
            let size = self.link.broadcast_piece_size(BROADCAST_MTU);
            self.link
                .transmit_pieces(To::ALL, &content, size, 0, site, |piece| {
                    Payload::Send(data(item, Verb::Request, 0, txn, piece))
                });
            return self.recycle(content);
        }
        let key = Key::of(item.target, item.co_target);
        let content = self.content(item, body);
        let searched = self.is_searched(key);
        let hint = self
            .hints
            .find(key)
            .or_else(|| self.place_of_group(item.target, key));
        match hint.filter(|_| !searched) {
            Some(hint) => {
                self.dispatch_send(item, &content, hint, site);
                self.recycle(content);
            }
            None if self.waiting_sends < self.config.max_waiting_sends
                && self.outbound + content.len() <= self.config.max_outbound =>
            {
                self.waiting_sends += 1;
                self.outbound += content.len();
                self.search(key, false, Waiter::Send(*item, content), site);
            }
            None => self.link.counters.lost_sends += 1,
        }
    }

    /// Sends the message to the site of `hint`.
    pub(super) fn dispatch_send(
        &mut self,
        item: &KnNetItem,
        content: &[u8],
        hint: Hint,
        site: &mut dyn Site,
    ) {
        if hint.site == self.config.site {
            let mut here = *item;
            here.kind = NET_SEND;
            here.handle = 0;
            let body = split_content(&mut here, item.annex_size != 0, content);
            match site.deliver(&here, body) {
                0 => self.link.counters.delivered_sends += 1,
                _ => self.link.counters.lost_sends += 1,
            }
            return;
        }
        let to = To {
            site: hint.site,
            incarnation: hint.incarnation,
        };
        let mtu = self
            .peers
            .get(&to.site)
            .map_or(MTU_MIN as u32, |peer| peer.mtu);
        if self.meet(to, mtu, site) != Meeting::Known {
            let key = Key::of(item.target, item.co_target);
            self.refused_by(hint.site, item.target, key);
            self.link.counters.lost_sends += 1;
            return;
        }
        let Some(peer) = self.peers.get_mut(&to.site) else {
            return;
        };
        let txn = Txn {
            channel: 0,
            seq: peer.next_send,
        };
        peer.next_send += 1;
        let size = self.link.piece_size(peer.mtu);
        self.link
            .transmit_pieces(to, content, size, 0, site, |piece| {
                Payload::Send(data(item, Verb::Request, hint.port_epoch, txn, piece))
            });
    }

    /// A piece of an asynchronous message.
    pub(super) fn on_send(
        &mut self,
        from: To,
        header: &Header,
        data: &Data<'_>,
        broadcast: bool,
        site: &mut dyn Site,
    ) {
        let mode = data.target.group().map(|group| group.mode);
        if broadcast {
            // A site without a member does no more than this look-up.
            if mode != Some(K_BROADMODE)
                || site.query(data.target.identity()).is_none()
                || !self.takes()
            {
                return;
            }
        } else if mode == Some(K_BROADMODE) || data.target.kind() == Some(UiType::Site) {
            self.link.counters.malformed += 1;
            return;
        }
        if self.meet(from, header.mtu, site) != Meeting::Known {
            self.link.counters.over_bound += 1;
            return;
        }
        let number = data.txn.seq;
        let Some(peer) = self.peers.get_mut(&from.site) else {
            return;
        };
        let window = if broadcast {
            &mut peer.broadcasts
        } else {
            &mut peer.sends
        };
        if window.contains(number) {
            self.link.counters.duplicates += 1;
            return;
        }
        if data.piece.count == 1 {
            window.insert(number);
            return self.deliver_send(from, data, data.piece.bytes, broadcast, site);
        }
        let found = peer
            .partial
            .iter()
            .position(|partial| partial.number == number && partial.broadcast == broadcast);
        let at = match found {
            Some(at) => at,
            None => {
                if !self.room_for_send(from.site, data.piece.total as usize) {
                    self.link.counters.over_bound += 1;
                    return;
                }
                let Some(peer) = self.peers.get_mut(&from.site) else {
                    return;
                };
                let assembly = Assembly::new(&data.piece);
                self.assembling += assembly.bytes();
                peer.assembling += assembly.bytes();
                peer.partial.push(PartialSend {
                    broadcast,
                    number,
                    assembly,
                    born: self.now,
                });
                if peer.sends_due == 0 {
                    let at = self.now + self.config.assembly_age;
                    self.timers
                        .set(&mut peer.sends_due, Due::Sends(from.site), at);
                }
                peer.partial.len() - 1
            }
        };
        let Some(peer) = self.peers.get_mut(&from.site) else {
            return;
        };
        match peer.partial[at].assembly.add(&data.piece) {
            Some(true) => {
                let whole = peer.partial.swap_remove(at);
                let window = if broadcast {
                    &mut peer.broadcasts
                } else {
                    &mut peer.sends
                };
                window.insert(number);
                peer.assembling -= whole.assembly.bytes();
                self.assembling -= whole.assembly.bytes();
                self.deliver_send(from, data, whole.assembly.content(), broadcast, site);
            }
            Some(false) => {}
            None => self.link.counters.malformed += 1,
        }
    }

    /// Makes room for an incomplete message of `bytes`: the oldest of the same site goes if there are too many.
    fn room_for_send(&mut self, number: u16, bytes: usize) -> bool {
        let Some(peer) = self.peers.get_mut(&number) else {
            return false;
        };
        while peer.partial.len() >= self.config.max_send_assemblies.max(1) {
            let oldest = (0..peer.partial.len())
                .min_by_key(|at| peer.partial[*at].born)
                .unwrap_or(0);
            let gone = peer.partial.swap_remove(oldest);
            peer.assembling -= gone.assembly.bytes();
            self.assembling -= gone.assembly.bytes();
            self.link.counters.lost_sends += 1;
        }
        peer.assembling + bytes <= self.config.max_assembly_peer
            && self.assembling + bytes <= self.config.max_assembly
    }

    /// Drops incomplete messages whose time is over: a lost piece loses an asynchronous message.
    pub(super) fn sends_timer(&mut self, number: u16) {
        let (now, age) = (self.now, self.config.assembly_age);
        let Some(peer) = self.peers.get_mut(&number) else {
            return;
        };
        peer.sends_due = 0;
        let (mut bytes, mut next) = (0, None::<u64>);
        peer.partial.retain(|partial| {
            let keep = now.saturating_sub(partial.born) < age;
            if keep {
                next = Some(next.map_or(partial.born, |next| next.min(partial.born)));
            } else {
                bytes += partial.assembly.bytes();
                self.link.counters.lost_sends += 1;
            }
            keep
        });
        peer.assembling -= bytes;
        self.assembling -= bytes;
        if let Some(born) = next {
            self.timers
                .set(&mut peer.sends_due, Due::Sends(number), born + age);
        }
    }

    /// A whole message with a new number.
    fn deliver_send(
        &mut self,
        from: To,
        data: &Data<'_>,
        content: &[u8],
        broadcast: bool,
        site: &mut dyn Site,
    ) {
        let mut item = item_of(data, NET_SEND, 0);
        let body = split_content(&mut item, data.annex, content);
        let refused = match self.admits(data.target, data.co_target, site) {
            Ok(()) => match site.deliver(&item, body) {
                0 => {
                    self.link.counters.delivered_sends += 1;
                    return;
                }
                K_EUNKNOWN => true,
                _ => false,
            },
            Err(_) => true,
        };
        let note = self.note(data.target).filter(|_| refused);
        match note {
            // It was sent before its sender could know: it is sent on. Epochs rise, so that it does not go round.
            Some(hint) if hint.port_epoch > data.port_epoch => {
                self.link.counters.sent_on += 1;
                self.dispatch_send(&item, content, hint, site);
            }
            _ => self.link.counters.lost_sends += 1,
        }
        if refused && !broadcast {
            // The next one is to go there, or to be searched for.
            let (target, co_target) = (data.target, data.co_target);
            let nack = Nack {
                txn: data.txn,
                of: Of::Send,
                reason: Reason::NotHere,
                result: 0,
                target,
                co_target,
                hint: note.map_or((0, 0, 0), Hint::place),
            };
            self.link.transmit(from, &Payload::Nack(nack), site);
        }
    }
}
