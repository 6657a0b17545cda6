//! An endpoint's view of itself, for people.

use super::Endpoint;
use super::client::{Call, CallState};
use super::passing::Owner;
use super::server::State;
use crate::view::{self, Table, View};
use alloc::collections::BTreeSet;

impl Endpoint {
    /// What it holds now.
    pub fn view(&self) -> View {
        // Sites with traffic are there without news of them, too: the gateway watches nobody.
        let known = self.members.iter().map(|(site, _)| site);
        let all: BTreeSet<u16> = known.chain(self.peers.keys().copied()).collect();
        View {
            site: self.config.site,
            incarnation: self.config.incarnation,
            sealed: self.link.sealer.is_some(),
            now: self.now,
            counters: *self.counters(),
            sizes: self.sizes(),
            peers: Table::of(all.into_iter(), |site| self.peer_row(site)),
            calls: Table::of(self.calls.iter(), |call| self.call_row(call)),
            services: Table::of(self.tokens.values(), |&at| self.service_row(at)),
            locations: Table::of(self.hints.iter(), |(key, hint)| view::Location {
                ui: key.ui().word(),
                co_target: key.co_target().word(),
                site: hint.site,
                incarnation: hint.incarnation,
                port_epoch: hint.port_epoch,
            }),
        }
    }

    fn ago(&self, time: u64) -> u64 {
        if time == 0 {
            return u64::MAX;
        }
        self.now.saturating_sub(time)
    }

    fn peer_row(&self, site: u16) -> view::Peer {
        let (peer, member) = (self.peers.get(&site), self.members.get(site));
        let incarnations = [
            peer.map(|peer| peer.incarnation),
            member.map(|m| m.incarnation),
        ];
        let heard = [peer.map(|peer| peer.heard), member.map(|m| m.heard)];
        let mtus = [peer.map(|peer| peer.mtu), member.map(|m| m.mtu)];
        let served = |wanted: fn(&State) -> bool| {
            let channels = peer.into_iter().flat_map(|peer| peer.serving.values());
            channels.filter(|channel| wanted(&channel.state)).count() as u32
        };
        let flag = |set: Option<bool>, bit: u8| if set == Some(true) { bit } else { 0 };
        view::Peer {
            site,
            incarnation: incarnations.into_iter().flatten().max().unwrap_or(0),
            standing: view::number_of(member.map(|member| member.standing)),
            flags: flag(member.map(|m| m.detour), 1) | flag(member.map(|m| m.watched), 2),
            mtu: mtus.into_iter().flatten().max().unwrap_or(0),
            calls: peer.map_or(0, |peer| {
                peer.channels
                    .iter()
                    .filter(|channel| channel.call.is_some())
                    .count() as u32
            }),
            queued: peer.map_or(0, |peer| peer.queued.len() as u32),
            serving: served(|state| matches!(state, State::Serving(_))),
            kept: served(|state| matches!(state, State::Replied(_))),
            heard: self.ago(heard.into_iter().flatten().max().unwrap_or(0)),
        }
    }

    fn call_row(&self, call: &Call) -> view::Call {
        let state = match call.state {
            CallState::Searching => 0,
            CallState::Queued => 1,
            CallState::Sent if call.served => 3,
            CallState::Sent => 2,
            CallState::Backoff => 4,
            CallState::Cancelling => 5,
            CallState::Here => 6,
        };
        view::Call {
            target: call.item.target.word(),
            state,
            site: call.peer,
            redirections: call.redirections,
            bytes: call.bytes(),
            heard: self.ago(call.heard),
        }
    }

    fn service_row(&self, owner: Owner) -> view::Service {
        let (site, channel, number) = match owner {
            Owner::Channel(site, channel) => (site, channel, None),
            Owner::Here(slot) => (self.config.site, 0, Some(u64::from(slot))),
        };
        let peer = self.peers.get(&site);
        let entry = peer.and_then(|peer| peer.serving.get(&channel));
        view::Service {
            site,
            channel,
            seq: number.or(entry.map(|entry| entry.last)).unwrap_or(0),
            asked: entry.map_or(u64::MAX, |entry| self.ago(entry.asked)),
        }
    }
}
