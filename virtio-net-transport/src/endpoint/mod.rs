//! One site's end of the protocols: what it is told, what it does, and who is told what.
//!
//! The parts share the tables below and each has its file: finding names (`locate`), calls of local clients (`client`, `answers`),
//! requests of other sites (`server`, `replies`), asynchronous messages (`send`), other sites and their incarnations (`peer`). All memory has a bound in
//! [`Config`]; nothing here can panic on any frame.

mod answers;
mod bounds;
mod client;
mod detect;
mod failure;
mod fingerprint;
mod groups;
mod link;
mod locate;
mod moves;
mod news;
mod passing;
mod peer;
mod renew;
mod replies;
mod sealed;
mod send;
mod server;
mod viewing;

use crate::config::{Config, ConfigError, MILLISECOND};
use crate::counters::{Counters, Sizes};
use crate::frame::{Frame, Header, Nack, News, Of, Payload, Reason};
use crate::hints::{Hints, Key};
use crate::members::{Member, Members, Standing};
use crate::membership::Groups;
use crate::slab::Slab;
use crate::timers::{Due, Timers};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use chorus_abi::net::{
    KnNetItem, NET_CALL, NET_CANCEL, NET_GROUPS, NET_LINKFAILURE, NET_MIGRATE, NET_PASS, NET_REPLY,
    NET_SEND,
};
use chorus_abi::{K_CMSGANNEXSIZE, K_CMSGSIZEMAX, KnUniqueId};
use client::Call;
use link::{Link, To};
use locate::Search;
use peer::Peer;

/// The site around an endpoint: its Nucleus and its link. Calls come from within [`Endpoint::on_event`].
pub trait Site {
    /// Sends a whole Ethernet frame; the destination address is in it. May lose it.
    fn transmit(&mut self, frame: &[u8]);
    /// `nmDeliver`: a SEND, CALL (`handle` is the token for its REPLY) or CANCEL from another site. 0, `K_EUNKNOWN`: the port is not
    /// here, or the group has no member here; `K_EFULL`, `K_ENOMEM`: try later; others are final. Of a port that moves here from another site: ARRIVE, which
    /// gives its local identifier, ACTIVATE and ABANDON (`abi::net` says what each does).
    fn deliver(&mut self, item: &KnNetItem, body: &[u8]) -> i32;
    /// `nmComplete`: the call of `handle` ended with `result` and, if that is 0, this reply. With kind MIGRATE: how the port's move ended; PASS: the message is through.
    fn complete(&mut self, item: &KnNetItem, body: &[u8]);
    /// `nmQuery`: whether messages to this port, or to a member of this group, can be delivered here; of a port how often it moved between sites.
    fn query(&mut self, ui: KnUniqueId) -> Option<u32>;
    /// `uiIsLocal`: whether the site recognises a name, for selective addressing: also one that was only declared there.
    fn recognises(&mut self, ui: KnUniqueId) -> bool {
        self.query(ui).is_some()
    }
    /// Something for people and for the site manager.
    fn notice(&mut self, _notice: Notice) {}
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The link is up: tell the others that this incarnation exists.
    Start,
    /// A whole Ethernet frame came.
    Frame(&'a [u8]),
    /// The time of [`Endpoint::next_deadline`] came.
    Timer,
    /// An item taken from the Nucleus (`nmTake`): SEND, CALL, REPLY, CANCEL or LINKFAILURE, and its body.
    Item(&'a KnNetItem, &'a [u8]),
}

/// News about sites.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// Another machine uses this site's number; its frames are refused.
    OwnSiteHeard {
        /// Its incarnation.
        incarnation: u16,
    },
    /// A site gave no answer while a call waited; its calls fail.
    PeerDead {
        /// Which site.
        site: u16,
    },
    /// Somebody on this site said that the link to a site broke; its calls fail.
    LinkFailed {
        /// Which site.
        site: u16,
        /// What they said.
        reason: i32,
    },
    /// A site came back in a new incarnation.
    PeerRebooted {
        /// Which site.
        site: u16,
        /// Its incarnation now.
        incarnation: u16,
    },
    /// A site that said hello answered.
    PeerUp {
        /// Which site.
        site: u16,
    },
    /// A site does not answer; it may still refute that.
    PeerSuspect {
        /// Which site.
        site: u16,
    },
    /// An incarnation of a site is over: it does not answer, or others say so.
    PeerDown {
        /// Which site.
        site: u16,
        /// Which incarnation.
        incarnation: u16,
    },
    /// A site is there, but frames do not go both ways between it and this one.
    LinkLost {
        /// Which site.
        site: u16,
    },
    /// They do again.
    LinkBack {
        /// Which site.
        site: u16,
    },
    /// This site's own incarnation is over for others. The driver calls [`Endpoint::renew`] with a higher one that was never used; until then the endpoint is mute.
    IncarnationOver {
        /// The new incarnation must be above this one.
        above: u16,
    },
}

/// Another site, as this one sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Other {
    /// Its number.
    pub site: u16,
    /// Its incarnation.
    pub incarnation: u16,
    /// What it is for this site.
    pub standing: Standing,
    /// It takes part in the watch.
    pub watched: bool,
    /// It was last reached by way of others only.
    pub detour: bool,
}

impl Other {
    fn of(site: u16, member: &Member) -> Other {
        Other {
            site,
            incarnation: member.incarnation,
            standing: member.standing,
            watched: member.watched,
            detour: member.detour,
        }
    }
}

/// Waits between the three HELLOs of a new incarnation.
const HELLO_GAPS: [u64; 2] = [200 * MILLISECOND, 800 * MILLISECOND];
/// Buffers kept for reuse, and the largest of them in bytes.
const SPARE: (usize, usize) = (32, 2048);

/// The protocols of one site.
pub struct Endpoint {
    config: Config,
    now: u64,
    link: Link,
    timers: Timers,
    random: u64,
    hello_due: u64,
    hellos: usize,
    peers: BTreeMap<u16, Peer>,
    hints: Hints,
    searches: BTreeMap<Key, Search>,
    waiting_sends: usize,
    locate_allowance: u64,
    locate_time: u64,
    announce_from: u64,
    opened: Vec<u8>,
    calls: Slab<Call>,
    handles: BTreeMap<u64, u32>,
    outbound: usize,
    tokens: BTreeMap<u64, passing::Owner>,
    next_token: u64,
    kept: usize,
    assembling: usize,
    next_broadcast: u64,
    spare: Vec<Vec<u8>>,
    members: Members,
    watch: detect::Watch,
    /// How often this site refuted a suspicion in this incarnation.
    life: u32,
    /// This incarnation is over; the next must be above this.
    over: Option<u16>,
    /// The first numbers for a new peer.
    first_seq: u64,
    first_send: u64,
    groups: Groups,
    lists: groups::Asking,
    group_key: Option<(u64, u64)>,
    moves: moves::Moves,
}

impl Endpoint {
    /// A new incarnation of a site. Errors: a field of `config` that cannot be used.
    pub fn new(config: Config) -> Result<Endpoint, ConfigError> {
        config.check()?;
        Ok(Endpoint {
            now: 0,
            link: Link::new(&config),
            timers: Timers::default(),
            random: config.seed,
            hello_due: 0,
            hellos: 0,
            peers: BTreeMap::new(),
            hints: Hints::new(config.max_hints),
            searches: BTreeMap::new(),
            waiting_sends: 0,
            locate_allowance: crate::config::SECOND,
            locate_time: 0,
            announce_from: 0,
            opened: Vec::new(),
            calls: Slab::new(),
            handles: BTreeMap::new(),
            outbound: 0,
            tokens: BTreeMap::new(),
            next_token: 1,
            kept: 0,
            assembling: 0,
            next_broadcast: 1,
            spare: Vec::new(),
            members: Members::new(config.max_members),
            watch: detect::Watch::default(),
            life: 0,
            over: None,
            first_seq: 1,
            first_send: 1,
            groups: Groups::new(config.max_group_members),
            lists: groups::Asking::default(),
            group_key: None,
            moves: moves::Moves::default(),
            config,
        })
    }

    /// Takes one event at time `now` (nanoseconds on any clock that does not go back) and everything whose time has come.
    pub fn on_event(&mut self, now: u64, event: Event<'_>, site: &mut dyn Site) {
        self.now = self.now.max(now);
        self.link.now = self.now;
        if self.has_jumped() {
            self.jumped(site);
        }
        match event {
            Event::Start => {
                self.hellos = 0;
                self.hello(site);
            }
            Event::Frame(_) if self.over.is_some() => {}
            Event::Frame(frame) => self.receive(frame, site),
            Event::Timer => {}
            Event::Item(item, body) => self.take(item, body, site),
        }
        while let Some(due) = self.timers.pop(self.now) {
            match due {
                Due::Call(slot) => self.call_timer(slot, site),
                Due::Search(key) => self.search_timer(key, site),
                Due::Request(peer, channel) => self.request_timer(peer, channel, site),
                Due::Sends(peer) => self.sends_timer(peer),
                Due::Acks(peer) => self.acks_timer(peer, site),
                Due::Forget(peer) => self.forget_timer(peer, site),
                Due::Period => self.period_timer(site),
                Due::Lists => self.lists_timer(site),
                Due::Probe(peer) => self.probe_timer(peer, site),
                Due::Moves => self.moves_timer(site),
                Due::Hello => {
                    self.hello_due = 0;
                    self.hello(site);
                }
            }
        }
    }

    /// When [`Event::Timer`] is wanted at the latest; `None`: only when something else happens.
    pub fn next_deadline(&self) -> Option<u64> {
        self.timers.next()
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.link.counters
    }

    /// What it was made of.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How full the tables are.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            calls: self.calls.len() as u64,
            outbound_bytes: self.outbound as u64,
            searches: self.searches.len() as u64,
            waiting_sends: self.waiting_sends as u64,
            hints: self.hints.len() as u64,
            peers: self.peers.len() as u64,
            members: self.members.len() as u64,
            group_members: self.groups.entries() as u64,
            server_channels: self
                .peers
                .values()
                .map(|peer| peer.serving.len() as u64)
                .sum(),
            serving: self.tokens.len() as u64,
            moves: self.moves.len() as u64,
            kept_bytes: self.kept as u64,
            assembly_bytes: self.assembling as u64,
            sessions: self.link.sealer.as_ref().map_or(0, |sealer| sealer.len()) as u64,
            timers: self.timers.len() as u64,
        }
    }

    /// The sites that this one knows of.
    pub fn others(&self) -> impl Iterator<Item = Other> {
        let all = self.members.iter();
        all.map(|(site, member)| Other::of(site, member))
    }

    /// One of them.
    pub fn other(&self, site: u16) -> Option<Other> {
        let member = self.members.get(site)?;
        Some(Other::of(site, member))
    }

    /// What this site knows of all, as one number: equal where the same sites, incarnations and versions of lists are known.
    pub fn view_digest(&self) -> u64 {
        self.members.view(&self.own_item()).2
    }

    fn take(&mut self, item: &KnNetItem, body: &[u8], site: &mut dyn Site) {
        let body = &body[..body.len().min(K_CMSGSIZEMAX as usize)];
        match item.kind {
            NET_SEND => self.take_send(item, body, site),
            NET_CALL => self.take_call(item, body, site),
            NET_REPLY => self.take_reply(item, body, site),
            NET_CANCEL => self.take_cancel(item.handle, site),
            NET_GROUPS => self.take_groups(item, body, site),
            NET_MIGRATE => self.take_migrate(item, body, site),
            NET_PASS => self.take_pass(item, body, site),
            NET_LINKFAILURE => self.link_failed(item.handle, item.result, site),
            _ => {}
        }
    }

    /// A frame for this site or for all that is believed to come from the site that it names.
    fn received(&mut self, frame: &Frame<'_>, site: &mut dyn Site) {
        let header = &frame.header;
        let from = To {
            site: header.src_site,
            incarnation: header.src_incarnation,
        };
        if from.site == self.config.site {
            self.link.counters.own_site_heard += 1;
            site.notice(Notice::OwnSiteHeard {
                incarnation: from.incarnation,
            });
            return;
        }
        let broadcast = header.dst_site == 0;
        // An incarnation with which there is state is not over: that state would have ended with it.
        let known = self.peers.get_mut(&from.site);
        let known = known.filter(|peer| peer.incarnation == from.incarnation);
        let stands = known.map(|peer| peer.mtu = header.mtu).is_some();
        let news = frame.payload.is_news();
        if !stands || news {
            // What says something of sites has an effect, and so has a sign of an incarnation that was not known or is over.
            if (news || self.is_unexpected(from)) && !self.takes() {
                return;
            }
            if !self.admit(from, frame, site) {
                return;
            }
        }
        let to_anyone = matches!(
            frame.payload,
            Payload::Locate { .. } | Payload::News(News::Hello(_))
        );
        if broadcast {
            match frame.payload {
                Payload::Send(data) => self.on_send(from, header, &data, true, site),
                Payload::Locate {
                    ui,
                    co_target,
                    nonce,
                } => self.on_locate(from, ui, co_target, nonce, true, site),
                Payload::News(news) => self.on_news(from, header.mtu, &news, true, site),
                _ => self.link.counters.malformed += 1,
            }
            return;
        }
        if header.dst_incarnation != self.config.incarnation
            && !(to_anyone && header.dst_incarnation == 0)
        {
            self.link.counters.dead_incarnation += 1;
            self.refuse_incarnation(from, header, &frame.payload, site);
            return;
        }
        match frame.payload {
            Payload::Request(data) => self.on_request(from, header, &data, site),
            Payload::Send(data) => self.on_send(from, header, &data, false, site),
            Payload::Reply(reply) => self.on_reply(from, &reply, site),
            Payload::Ack(acks) => self.on_acks(from, acks),
            Payload::Progress(txn) => self.on_progress(from, txn, site),
            Payload::Probe(txn) => self.on_probe(from, txn, None, site),
            Payload::Missing {
                txn,
                of: Of::Request,
                received,
            } => self.on_missing(from, txn, received, site),
            Payload::Missing {
                txn,
                of: Of::Reply,
                received,
            } => self.on_probe(from, txn, Some(received), site),
            Payload::Missing { of: Of::Send, .. } => {}
            Payload::Nack(nack) => self.on_nack(from, &nack, site),
            Payload::Cancel(txn) => self.on_cancel(from, txn, site),
            Payload::Cancelled(txn) => self.on_cancelled(from, txn, site),
            Payload::Locate {
                ui,
                co_target,
                nonce,
            } => self.on_locate(from, ui, co_target, nonce, false, site),
            Payload::Here {
                ui,
                co_target,
                nonce,
                port_epoch,
            } => {
                self.on_here(
                    from,
                    header,
                    Key::of_search(ui, co_target),
                    nonce,
                    port_epoch,
                    site,
                );
            }
            Payload::NotHere {
                ui,
                co_target,
                nonce,
            } => self.on_not_here(from, Key::of_search(ui, co_target), nonce, site),
            Payload::Moved { ui, nonce, hint } => self.on_moved(from, ui, nonce, hint, site),
            Payload::News(news) => self.on_news(from, header.mtu, &news, false, site),
        }
    }

    fn on_news(&mut self, from: To, mtu: u32, news: &News<'_>, all: bool, site: &mut dyn Site) {
        match news {
            News::Hello(hello) => self.on_hello(from, hello, mtu),
            News::Tell(view) => self.hear(*view, site),
            News::Groups(groups) => self.on_groups(from, groups, site),
            _ if all => self.link.counters.malformed += 1,
            News::Ping(ping) => self.on_ping(from, ping, mtu, site),
            News::Pong(pong) => self.on_pong(from, pong, mtu, site),
            News::Relay(relay) => self.on_relay(from, relay, site),
            News::GroupsAsk(have) => self.on_groups_ask(from, *have, site),
        }
    }

    /// A frame that means an earlier incarnation of this site: its sender must learn that (SS-045).
    fn refuse_incarnation(
        &mut self,
        from: To,
        header: &Header,
        payload: &Payload<'_>,
        site: &mut dyn Site,
    ) {
        if header.dst_incarnation == 0 || header.dst_incarnation > self.config.incarnation {
            return;
        }
        if let Payload::News(News::Ping(_)) = payload {
            // Whoever asks after an earlier incarnation learns of this one.
            let hello = self.own_hello();
            return self.send_news(from, News::Hello(hello), site);
        }
        let (txn, of) = match payload {
            Payload::Request(data) => (data.txn, Of::Request),
            Payload::Send(data) => (data.txn, Of::Send),
            Payload::Probe(txn)
            | Payload::Cancel(txn)
            | Payload::Missing {
                txn, of: Of::Reply, ..
            } => (*txn, Of::Request),
            _ => return,
        };
        let (target, co_target) = (KnUniqueId::NULL, KnUniqueId::NULL);
        let nack = Nack {
            txn,
            of,
            reason: Reason::Rebooted,
            result: 0,
            target,
            co_target,
            hint: (0, 0, 0),
        };
        self.link.transmit(from, &Payload::Nack(nack), site);
    }

    fn hello(&mut self, site: &mut dyn Site) {
        let hello = self.own_hello();
        self.send_news(To::ALL, News::Hello(hello), site);
        if let Some(gap) = HELLO_GAPS.get(self.hellos) {
            self.timers
                .set(&mut self.hello_due, Due::Hello, self.now + gap);
        }
        self.hellos += 1;
    }

    /// The next number of the endpoint's own sequence (splitmix64): not secret, but not to be met by chance.
    fn nonce(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random
            ^ u64::from(self.config.incarnation) << 48
            ^ u64::from(self.config.site) << 32;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// The content of a message: annex, then body.
    fn content(&mut self, item: &KnNetItem, body: &[u8]) -> Vec<u8> {
        let mut content = self.spare.pop().unwrap_or_default();
        if item.annex_size != 0 {
            content.extend_from_slice(&item.annex);
        }
        content.extend_from_slice(body);
        content
    }

    fn recycle(&mut self, mut content: Vec<u8>) {
        if content.capacity() > 0 && content.capacity() <= SPARE.1 && self.spare.len() < SPARE.0 {
            content.clear();
            self.spare.push(content);
        }
    }
}

/// Splits content into the annex, which goes into the item, and the body.
fn split_content<'a>(item: &mut KnNetItem, annex: bool, content: &'a [u8]) -> &'a [u8] {
    let mut body = content;
    item.annex_size = 0;
    if annex && let Some((front, rest)) = content.split_first_chunk::<K_CMSGANNEXSIZE>() {
        item.annex = *front;
        item.annex_size = K_CMSGANNEXSIZE as u32;
        body = rest;
    }
    item.body_size = body.len() as u32;
    body
}
