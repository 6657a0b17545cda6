//! Another site, as far as there is state about it, and what its reboot or death ends.
//!
//! An entry is about one incarnation. A frame of an older one changes nothing; one of a newer one ends everything that was with the old
//! (SS-045, SS-047, SS-067), and so does the word that the incarnation is over. A peer that stays silent while calls wait, though it is not found to be down, is dead for these
//! calls: they end, the entry stays.

use super::client::CallState;
use super::link::To;
use super::send::PartialSend;
use super::server::ServerChannel;
use super::{Endpoint, Notice, Site};
use crate::config::MTU_MIN;
use crate::timers::Due;
use crate::window::Window;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use chorus_abi::error::{K_ELINKFAILURE, K_EUNKNOWN};

/// A client's channel to a server site.
#[derive(Default, Debug)]
pub(super) struct ClientChannel {
    /// The call that uses it.
    pub(super) call: Option<u32>,
    /// Number of the last attempt on it.
    pub(super) seq: u64,
    /// The server keeps a reply for it.
    pub(super) unacked: bool,
    /// Since when it is free.
    pub(super) freed: u64,
}

/// State about one incarnation of another site.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) incarnation: u16,
    /// Largest frame that it takes.
    pub(super) mtu: u32,
    /// When it last answered something.
    pub(super) heard: u64,

    pub(super) next_seq: u64,
    pub(super) next_send: u64,
    pub(super) channels: Vec<ClientChannel>,
    pub(super) free: Vec<u16>,
    pub(super) queued: VecDeque<u32>,
    pub(super) acks_due: u64,

    pub(super) serving: BTreeMap<u16, ServerChannel>,
    /// Highest number of a forgotten server channel; numbers up to it on unknown channels are too old to judge.
    pub(super) floor: u64,
    pub(super) forget_due: u64,
    pub(super) assembling: usize,

    pub(super) sends: Window,
    pub(super) broadcasts: Window,
    pub(super) partial: Vec<PartialSend>,
    pub(super) sends_due: u64,
}

impl Peer {
    fn new(incarnation: u16) -> Peer {
        Peer {
            incarnation,
            mtu: MTU_MIN as u32,
            heard: 0,
            next_seq: 1,
            next_send: 1,
            channels: Vec::new(),
            free: Vec::new(),
            queued: VecDeque::new(),
            acks_due: 0,
            serving: BTreeMap::new(),
            floor: 0,
            forget_due: 0,
            assembling: 0,
            sends: Window::default(),
            broadcasts: Window::default(),
            partial: Vec::new(),
            sends_due: 0,
        }
    }
}

/// Result of [`Endpoint::meet`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meeting {
    /// There is an entry for this very incarnation.
    Known,
    /// The incarnation is over.
    Over,
    /// No room for another peer.
    Full,
}

impl Endpoint {
    /// Makes sure that there is an entry for this incarnation of a site, whose frames may have `mtu` bytes.
    pub(super) fn meet(&mut self, to: To, mtu: u32, site: &mut dyn Site) -> Meeting {
        match self.peers.get(&to.site) {
            Some(peer) if peer.incarnation == to.incarnation => return Meeting::Known,
            Some(peer) if peer.incarnation > to.incarnation => return Meeting::Over,
            Some(_) => self.returned(to.site, to.incarnation, site),
            None => {}
        }
        let member = self.members.get(to.site);
        let over = member.is_some_and(|member| {
            let incarnation = member.incarnation;
            incarnation > to.incarnation || (incarnation == to.incarnation && !member.is_live())
        });
        if over {
            return Meeting::Over;
        }
        if self.peers.len() >= self.config.max_peers {
            return Meeting::Full;
        }
        let told = member.map_or(0, |member| member.mtu);
        // Numbers go on, so that a frame of an old time can never be taken for one of a new.
        let peer = Peer {
            mtu: mtu.max(told),
            next_seq: self.first_seq,
            next_send: self.first_send,
            ..Peer::new(to.incarnation)
        };
        self.peers.insert(to.site, peer);
        Meeting::Known
    }

    /// All that was with a site's incarnation ends: calls that were sent have an unknown outcome, those that only waited go on elsewhere, requests in service lose their client.
    pub(super) fn end_peer(&mut self, number: u16, site: &mut dyn Site) {
        let Some(mut old) = self.peers.remove(&number) else {
            return;
        };
        self.timers.clear(&mut old.acks_due, Due::Acks(number));
        self.timers.clear(&mut old.forget_due, Due::Forget(number));
        self.timers.clear(&mut old.sends_due, Due::Sends(number));
        self.assembling -= old
            .partial
            .iter()
            .map(|partial| partial.assembly.bytes())
            .sum::<usize>();
        self.first_seq = self.first_seq.max(old.next_seq);
        self.first_send = self.first_send.max(old.next_send);
        for (channel_number, channel) in core::mem::take(&mut old.serving) {
            self.drop_server_channel(number, channel_number, channel, site);
        }
        for slot in self.calls.slots_where(|call| call.peer == number) {
            let Some(call) = self.calls.get_mut(slot) else {
                continue;
            };
            let state = call.state;
            match state {
                CallState::Sent | CallState::Cancelling => call.channel = None,
                CallState::Queued | CallState::Backoff | CallState::Searching | CallState::Here => {
                }
            }
            match state {
                CallState::Sent => self.fail(slot, K_ELINKFAILURE, site),
                CallState::Cancelling => self.drop_call(slot),
                CallState::Queued => self.resolve(slot, site),
                CallState::Backoff | CallState::Searching | CallState::Here => {}
            }
        }
        self.source_over(number, site);
    }

    /// A site gave no answer while a call waited: all its calls that are as old end now, and its locations are forgotten.
    pub(super) fn peer_silent(&mut self, peer: u16, site: &mut dyn Site) {
        self.link.counters.peers_dead += 1;
        site.notice(Notice::PeerDead { site: peer });
        self.hints.remove_site(peer);
        let (now, dead) = (self.now, self.config.dead);
        let silent = self.calls.slots_where(|call| {
            call.peer == peer
                && match call.state {
                    CallState::Sent => now.saturating_sub(call.heard) >= dead,
                    CallState::Queued => true,
                    _ => false,
                }
        });
        // The queued first: they must not follow into the channels of the failed.
        for wanted in [CallState::Queued, CallState::Sent] {
            for &slot in &silent {
                if self
                    .calls
                    .get(slot)
                    .is_some_and(|call| call.state == wanted && call.peer == peer)
                {
                    self.fail(
                        slot,
                        if wanted == CallState::Sent {
                            K_ELINKFAILURE
                        } else {
                            K_EUNKNOWN
                        },
                        site,
                    );
                }
            }
        }
    }
}
