//! How the end of the network on a site stands, as the control protocol and `chorus net --format json` say it.

use chorus_abi::KnUniqueId;
use chorus_transport::View;
use chorus_transport::view::{CALL_STATES, Table, standing_of};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rows of a table, as many as there was room for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rows<T> {
    /// Rows that there are.
    pub total: u32,
    /// The first of them.
    pub rows: Vec<T>,
}

impl<T> Rows<T> {
    fn of<R>(table: &Table<R>, row: impl Fn(&R) -> T) -> Rows<T> {
        Rows {
            total: table.total,
            rows: table.rows.iter().map(row).collect(),
        }
    }
}

/// Another site. Times are nanoseconds before the answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeerInfo {
    /// Site number.
    pub site: u16,
    /// Its incarnation.
    pub incarnation: u16,
    /// `greeting`, `up`, `suspect`, `down`, or `unwatched`.
    pub standing: String,
    /// It was last reached by way of others only.
    pub detour: bool,
    /// Largest frame that it takes, in bytes; 0: not heard of.
    pub mtu: u32,
    /// Calls to it under way.
    pub calls: u32,
    /// Calls to it that wait for a channel.
    pub queued: u32,
    /// Requests of it in service.
    pub serving: u32,
    /// Replies kept for it.
    pub kept: u32,
    /// When it last answered; none: never.
    pub heard_ns: Option<u64>,
}

/// A call of a client of the site.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallInfo {
    /// UI of the port or group.
    pub target: String,
    /// `searching`, `queued`, `sent`, `served`, `refused`, `cancelling`, `here` (its port came to this very site).
    pub state: String,
    /// The site that it was sent to; none: not yet.
    pub site: Option<u16>,
    /// Times that it was sent elsewhere.
    pub redirections: u8,
    /// Bytes of the request.
    pub bytes: u32,
    /// When the server last said something of it; none: never.
    pub heard_ns: Option<u64>,
}

/// A request of another site in service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServiceInfo {
    /// Site of the client.
    pub site: u16,
    /// Channel of that site.
    pub channel: u16,
    /// Number of the request on the channel.
    pub seq: u64,
    /// When the client last asked for it; none: never.
    pub asked_ns: Option<u64>,
}

/// Where a name was last found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LocationInfo {
    /// UI of the port, group or site.
    pub ui: String,
    /// The co-target that it was looked for with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub co_target: Option<String>,
    /// Site.
    pub site: u16,
    /// Its incarnation.
    pub incarnation: u16,
    /// How often the port has moved.
    pub port_epoch: u32,
}

/// One end of the network.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NetInfo {
    /// Site number; 8191: the gateway.
    pub site: u16,
    /// Its incarnation.
    pub incarnation: u16,
    /// Its frames are sealed.
    pub sealed: bool,
    /// Nanoseconds of its clock.
    pub now_ns: u64,
    /// Events so far, by name.
    pub counters: BTreeMap<String, u64>,
    /// How full its tables are, by name.
    pub sizes: BTreeMap<String, u64>,
    /// Other sites.
    pub peers: Rows<PeerInfo>,
    /// Calls of its clients.
    pub calls: Rows<CallInfo>,
    /// Requests of others in service.
    pub services: Rows<ServiceInfo>,
    /// Locations.
    pub locations: Rows<LocationInfo>,
}

fn ago(time: u64) -> Option<u64> {
    (time != u64::MAX).then_some(time)
}

fn word(ui: u64) -> String {
    KnUniqueId::from_word(ui).to_string()
}

fn named(list: impl Iterator<Item = (&'static str, u64)>) -> BTreeMap<String, u64> {
    list.map(|(name, value)| (name.to_owned(), value)).collect()
}

impl NetInfo {
    /// The view in the words of the protocol.
    pub fn of(view: &View) -> NetInfo {
        NetInfo {
            site: view.site,
            incarnation: view.incarnation,
            sealed: view.sealed,
            now_ns: view.now,
            counters: named(view.counters.list()),
            sizes: named(view.sizes.list()),
            peers: Rows::of(&view.peers, |peer| PeerInfo {
                site: peer.site,
                incarnation: peer.incarnation,
                standing: standing_of(peer.standing).to_owned(),
                detour: peer.flags & 1 != 0,
                mtu: peer.mtu,
                calls: peer.calls,
                queued: peer.queued,
                serving: peer.serving,
                kept: peer.kept,
                heard_ns: ago(peer.heard),
            }),
            calls: Rows::of(&view.calls, |call| CallInfo {
                target: word(call.target),
                state: CALL_STATES
                    .get(usize::from(call.state))
                    .unwrap_or(&"?")
                    .to_string(),
                site: (call.site != 0).then_some(call.site),
                redirections: call.redirections,
                bytes: call.bytes,
                heard_ns: ago(call.heard),
            }),
            services: Rows::of(&view.services, |service| ServiceInfo {
                site: service.site,
                channel: service.channel,
                seq: service.seq,
                asked_ns: ago(service.asked),
            }),
            locations: Rows::of(&view.locations, |location| LocationInfo {
                ui: word(location.ui),
                co_target: (location.co_target != 0).then(|| word(location.co_target)),
                site: location.site,
                incarnation: location.incarnation,
                port_epoch: location.port_epoch,
            }),
        }
    }
}
