//! A model of a Nucleus, as far as a Network Manager meets it: ports with bounded queues, groups, requests in service.

use chorus_abi::error::{K_EFULL, K_EUNKNOWN};
use chorus_abi::net::{KnNetItem, NET_CALL, NET_CANCEL};
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
    /// [`digest`] of what arrived.
    pub digest: u64,
    /// Protection identifiers of actor and port that it came with.
    pub identities: (KnProtId, KnProtId),
}

/// An asynchronous message that was delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Which message (the counter of its source port).
    pub message: u32,
    /// Port that got it.
    pub port: KnUniqueId,
    /// [`digest`] of what arrived.
    pub digest: u64,
    /// Protection identifiers of actor and port that it came with.
    pub identities: (KnProtId, KnProtId),
}

/// One site's model Nucleus, and what it was told since the world last looked.
#[derive(Default, Debug)]
pub struct Nucleus {
    /// Ports and the requests that each takes at once.
    pub ports: BTreeMap<u64, usize>,
    /// Members here of each group, by its identity.
    pub groups: BTreeMap<u64, Vec<KnUniqueId>>,
    /// Names that were declared here (`uiDeclare`).
    pub declared: BTreeSet<u64>,
    /// Requests in queue or service, by token.
    pub requests: BTreeMap<u64, Request>,
    rotation: usize,
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
            return self
                .ports
                .contains_key(&target.word())
                .then_some(target)
                .into_iter()
                .collect();
        }
        let members = self
            .groups
            .get(&target.identity().word())
            .cloned()
            .unwrap_or_default();
        if members.is_empty()
            || target
                .group()
                .is_some_and(|group| group.mode == K_BROADMODE)
        {
            return members;
        }
        self.rotation += 1;
        vec![members[self.rotation % members.len()]]
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
        let digest = digest(annex(item), body);
        let identities = (item.actor_pi, item.port_pi);
        let receivers = self.receivers(item.target);
        if receivers.is_empty() {
            return K_EUNKNOWN;
        }
        let mut full = true;
        for port in receivers {
            if self.in_queue(port) >= self.ports.get(&port.word()).copied().unwrap_or(0) {
                continue;
            }
            full = false;
            if item.kind == NET_CALL {
                let request = Request {
                    token: item.handle,
                    call: item.src_port.counter(),
                    port,
                    executing: false,
                    digest,
                    identities,
                };
                self.requests.insert(item.handle, request);
                self.new_requests.push(item.handle);
            } else {
                self.arrivals.push(Arrival {
                    message: item.src_port.counter(),
                    port,
                    digest,
                    identities,
                });
            }
        }
        if full { K_EFULL } else { 0 }
    }

    fn complete(&mut self, item: &KnNetItem, body: &[u8]) {
        self.ended
            .push((item.handle, item.result, digest(annex(item), body)));
    }

    fn query(&mut self, ui: KnUniqueId) -> Option<u32> {
        self.queries += 1;
        let here = self.ports.contains_key(&ui.word())
            || self
                .groups
                .get(&ui.identity().word())
                .is_some_and(|members| !members.is_empty());
        here.then_some(0)
    }

    fn recognises(&mut self, ui: KnUniqueId) -> bool {
        self.queries += 1;
        self.ports.contains_key(&ui.word()) || self.declared.contains(&ui.identity().word())
    }

    fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }
}
