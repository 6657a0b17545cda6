//! A model of a Nucleus, as far as a Network Manager meets it: ports with bounded queues, groups, requests in service.

use super::ports::{Departed, Ended, Port, Standing};
use chorus_abi::error::{K_EFULL, K_EUNKNOWN};
use chorus_abi::net::{KnNetItem, NET_CALL, NET_CANCEL, NET_MIGRATE, NET_PASS, NET_SEND};
use chorus_abi::{K_BROADMODE, KnProtId, KnUniqueId, UiType};
use chorus_transport::{Notice, Site};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A request that was delivered.
#[derive(Clone, Debug)]
pub struct Request {
    /// The manager's token.
    pub token: u64,
    /// Which call (the counter of its source port).
    pub call: u32,
    /// Port that has it.
    pub port: KnUniqueId,
    /// Its execution began.
    pub executing: bool,
    /// It is in a queue from which nothing is received.
    pub waiting: bool,
    /// [`digest`] of what arrived.
    pub digest: u64,
    /// Protection identifiers of actor and port that it came with.
    pub identities: (KnProtId, KnProtId),
    /// Requests that came to the site before it.
    pub order: u64,
    /// As it came.
    pub item: KnNetItem,
    /// Its body.
    pub body: Rc<[u8]>,
}

/// An asynchronous message that was delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Which message (the counter of its source port).
    pub message: u32,
    /// Port that got it.
    pub port: KnUniqueId,
    /// It was for all members of a group.
    pub all: bool,
    /// [`digest`] of what arrived.
    pub digest: u64,
    /// Protection identifiers of actor and port that it came with.
    pub identities: (KnProtId, KnProtId),
}

/// One site's model Nucleus, and what it was told since the world last looked.
#[derive(Default, Debug)]
pub struct Nucleus {
    /// Ports.
    pub ports: BTreeMap<u64, Port>,
    /// The actor to which ports may come: its name.
    pub actor: u64,
    /// Ports with a message handler.
    pub handlers: BTreeSet<u64>,
    /// Ports that went, and whose queues follow.
    pub departed: BTreeMap<u64, Departed>,
    /// Requests that came.
    pub order: u64,
    /// Planted: a port that leaves goes on being served.
    pub keeps_serving: bool,
    /// Items for the manager.
    pub outbound: Vec<(KnNetItem, Rc<[u8]>)>,
    /// Memberships changed.
    pub regrouped: bool,
    /// Ports that the site began to serve, or serves no longer.
    pub places: Vec<(u64, bool)>,
    /// Ports that came.
    pub arrived_ports: Vec<KnUniqueId>,
    /// Moves that ended.
    pub moves_ended: Vec<Ended>,
    /// Calls whose requests were dropped with a queue.
    pub dropped: Vec<u32>,
    /// Members here of each group, by its identity.
    pub groups: BTreeMap<u64, Vec<KnUniqueId>>,
    /// Names that were declared here (`uiDeclare`).
    pub declared: BTreeSet<u64>,
    /// Requests in queue or service, by token.
    pub requests: BTreeMap<u64, Request>,
    pub(super) rotation: usize,
    /// Frames to transmit.
    pub frames: Vec<Rc<[u8]>>,
    /// Tokens of new requests.
    pub new_requests: Vec<u64>,
    /// Calls whose requests were cancelled.
    pub cancelled: Vec<u32>,
    /// Asynchronous messages that arrived.
    pub arrivals: Vec<Arrival>,
    /// Arrivals that the world has looked at.
    pub looked: usize,
    /// Ended calls: handle, result, digest of the reply.
    pub ended: Vec<(u64, i32, u64)>,
    /// Questions asked (`nmQuery`).
    pub queries: u64,
    /// News.
    pub notices: Vec<Notice>,
}

/// Whether a message is for all members of a group.
pub fn to_all(target: KnUniqueId) -> bool {
    let group = target.group();
    group.is_some_and(|group| group.mode == K_BROADMODE)
}

/// A number for annex and body together, eight bytes at a time.
pub fn digest(annex: Option<&[u8]>, body: &[u8]) -> u64 {
    let step = |hash: u64, word: u64| {
        (hash ^ word)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(27)
    };
    let words = |start: u64, bytes: &[u8]| {
        let (words, rest) = bytes.as_chunks::<8>();
        let hash = words
            .iter()
            .fold(start, |hash, word| step(hash, u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        step(hash, u64::from_le_bytes(last))
    };
    let hash = words(0xCBF2_9CE4_8422_2325 ^ body.len() as u64, body);
    annex.map_or(hash, |annex| words(hash ^ 1, annex))
}

/// The annex of an item, if it has one.
pub fn annex(item: &KnNetItem) -> Option<&[u8]> {
    (item.annex_size != 0).then_some(&item.annex[..])
}

impl Nucleus {
    /// Ports here that a target reaches.
    fn receivers(&mut self, target: KnUniqueId) -> Vec<KnUniqueId> {
        if target.kind() == Some(UiType::Port) {
            return self.is_here(target).then_some(target).into_iter().collect();
        }
        let members = self
            .groups
            .get(&target.identity().word())
            .cloned()
            .unwrap_or_default();
        if members.is_empty() {
            return members;
        }
        if to_all(target) {
            // One that leaves may be live elsewhere already, and get it there.
            let ports = &self.ports;
            let stays = |port: &KnUniqueId| {
                let entry = ports.get(&port.word());
                entry.is_some_and(|entry| entry.standing == Standing::Live)
            };
            return members.into_iter().filter(stays).collect();
        }
        self.rotation += 1;
        vec![members[self.rotation % members.len()]]
    }

    /// Whether something is to be carried on about ports that move.
    pub fn has_moved(&self) -> bool {
        self.regrouped
            || !self.places.is_empty()
            || !self.outbound.is_empty()
            || !self.moves_ended.is_empty()
    }

    /// Whether messages to a port are for this site.
    pub fn is_here(&self, port: KnUniqueId) -> bool {
        let entry = self.ports.get(&port.word());
        entry.is_some_and(|entry| entry.standing != Standing::Arriving)
    }

    fn in_queue(&self, port: KnUniqueId) -> usize {
        self.requests
            .values()
            .filter(|request| request.port == port)
            .count()
    }
}

impl Site for Nucleus {
    fn transmit(&mut self, frame: &[u8]) {
        self.frames.push(frame.into());
    }

    fn deliver(&mut self, item: &KnNetItem, body: &[u8]) -> i32 {
        if item.kind == NET_CANCEL {
            if let Some(request) = self.requests.remove(&item.handle) {
                self.cancelled.push(request.call);
            }
            return 0;
        }
        if !matches!(item.kind, NET_CALL | NET_SEND) {
            return self.comes(item, body);
        }
        let receivers = self.receivers(item.target);
        if receivers.is_empty() {
            return K_EUNKNOWN;
        }
        let mut full = true;
        for port in receivers {
            let capacity = self.ports.get(&port.word()).map_or(0, |port| port.capacity);
            if self.in_queue(port) < capacity {
                full = false;
                self.accept(port, item, body);
            }
        }
        if full { K_EFULL } else { 0 }
    }

    fn complete(&mut self, item: &KnNetItem, body: &[u8]) {
        match item.kind {
            NET_MIGRATE => return self.move_ended(item),
            NET_PASS => return self.pass_next(item.target),
            _ => {}
        }
        self.ended
            .push((item.handle, item.result, digest(annex(item), body)));
    }

    fn query(&mut self, ui: KnUniqueId) -> Option<u32> {
        self.queries += 1;
        if let Some(port) = self.ports.get(&ui.word()) {
            return (port.standing != Standing::Arriving).then_some(port.epoch);
        }
        let members = self.groups.get(&ui.identity().word());
        members
            .is_some_and(|members| !members.is_empty())
            .then_some(0)
    }

    fn recognises(&mut self, ui: KnUniqueId) -> bool {
        self.queries += 1;
        self.is_here(ui) || self.declared.contains(&ui.identity().word())
    }

    fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }
}
