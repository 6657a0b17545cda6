//! Ports of the model Nucleus: their queues, and how they leave and arrive (the Nucleus' side of a move, `chorus_abi::net`).

use super::nucleus::{Arrival, Nucleus, Request, annex, digest, to_all};
use chorus_abi::error::{K_EBUSY, K_EINVAL, K_ENOPORT, K_EUNKNOWN};
use chorus_abi::net::{
    KnNetItem, NET_ABANDON, NET_ACTIVATE, NET_ARRIVE, NET_CALL, NET_MIGRATE, NET_PASS, NET_REPLY,
    PASS_OTHER, PASS_OWN, PASS_SEND,
};
use chorus_abi::{K_DROPMSG, KnUniqueId};
use std::collections::VecDeque;
use std::rc::Rc;

/// What a port is on a site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Its own.
    Live,
    /// On its way to another site; what comes is queued, nothing is received.
    Departing {
        /// The caller of `portMigrate`.
        handle: u64,
        /// Messages at the front of the queue that do not follow.
        dropped: usize,
    },
    /// On its way here; nobody finds it.
    Arriving,
}

/// A port.
#[derive(Clone, Debug)]
pub struct Port {
    /// Requests that it takes at once.
    pub capacity: usize,
    /// How often it moved between sites.
    pub epoch: u32,
    /// What it is here.
    pub standing: Standing,
    /// Its actor receives from it.
    pub enabled: bool,
    /// Messages received since it was made or moved.
    pub received: u32,
    /// What waits while nothing is received.
    pub queue: VecDeque<Waiting>,
    groups: Vec<u64>,
}

/// What waits in a queue.
#[derive(Clone, Debug)]
pub enum Waiting {
    /// A request, by its key.
    Request(u64),
    /// An asynchronous message.
    Message(KnNetItem, Rc<[u8]>),
}

/// What is left of a port that went: its queue follows.
#[derive(Debug)]
pub struct Departed {
    handle: u64,
    li: i32,
    count: u32,
    queue: VecDeque<Waiting>,
}

/// A move that ended: handle, result, count of messages.
pub type Ended = (u64, i32, u32);

/// What the actors of the model have as keys.
const ACTOR_KEY: u64 = 0xAC7012;

/// Marks the key of a request whose client is on the site itself.
pub const OWN: u64 = 1 << 62;

impl Port {
    /// A live one whose actor receives.
    pub fn taking(capacity: usize) -> Port {
        Port {
            capacity,
            epoch: 0,
            standing: Standing::Live,
            enabled: true,
            received: 0,
            queue: VecDeque::new(),
            groups: Vec::new(),
        }
    }

    /// Whether messages are received from it.
    pub fn receives(&self) -> bool {
        self.enabled && self.standing == Standing::Live
    }
}

impl Nucleus {
    /// `portMigrate` to an actor of another site: the error if it is refused at once (SS-021, SS-025), else the end comes later.
    pub fn migrate(
        &mut self,
        handle: u64,
        port: KnUniqueId,
        actor: KnUniqueId,
        options: i32,
    ) -> i32 {
        if port.word() == self.actor || port.is_static_port() {
            return K_EINVAL;
        }
        let word = port.word();
        let Some(entry) = self.ports.get(&word) else {
            return K_EINVAL;
        };
        match entry.standing {
            Standing::Live if self.handlers.contains(&word) => return K_EINVAL,
            // It was here before, and what it left behind is not through yet.
            Standing::Live if self.departed.contains_key(&word) => return K_EBUSY,
            Standing::Live => {}
            Standing::Departing { .. } => return K_EBUSY,
            Standing::Arriving => return K_EINVAL,
        }
        let mut queued: Vec<(u64, u64)> = self
            .requests
            .iter()
            .filter(|(_, request)| request.port == port && !request.executing)
            .map(|(key, request)| (request.order, *key))
            .collect();
        queued.sort_unstable();
        let members = self.groups.iter();
        let groups: Vec<u64> = members
            .filter(|(_, ports)| ports.contains(&port))
            .map(|(group, _)| *group)
            .collect();
        let Some(entry) = self.ports.get_mut(&word) else {
            return K_EINVAL;
        };
        if entry.receives() {
            // What is queued waits as a list now, in its order.
            for (_, key) in &queued {
                if let Some(request) = self.requests.get_mut(key) {
                    request.waiting = true;
                }
            }
            let queue = queued.into_iter().map(|(_, key)| Waiting::Request(key));
            entry.queue = queue.collect();
        }
        let dropped = if options == K_DROPMSG {
            entry.queue.len()
        } else {
            0
        };
        let mut record = Vec::new();
        record.extend_from_slice(&ACTOR_KEY.to_le_bytes());
        record.extend_from_slice(&(entry.capacity as u64).to_le_bytes());
        for group in groups {
            record.extend_from_slice(&group.to_le_bytes());
        }
        let item = KnNetItem {
            kind: NET_MIGRATE,
            handle,
            target: port,
            co_target: actor,
            result: entry.epoch as i32,
            body_size: record.len() as u32,
            ..KnNetItem::default()
        };
        if !self.keeps_serving {
            entry.standing = Standing::Departing { handle, dropped };
            self.places.push((word, false));
        }
        self.outbound.push((item, record.into()));
        0
    }

    /// Its actor receives from a port; what waited is received.
    pub fn enable(&mut self, port: KnUniqueId) {
        let Some(entry) = self.ports.get_mut(&port.word()) else {
            return;
        };
        entry.enabled = true;
        self.drain(port);
    }

    /// Takes what waits in a queue if its port receives.
    fn drain(&mut self, port: KnUniqueId) {
        let Some(entry) = self.ports.get_mut(&port.word()) else {
            return;
        };
        if !entry.receives() {
            return;
        }
        for waiting in std::mem::take(&mut entry.queue) {
            match waiting {
                Waiting::Request(key) => {
                    if let Some(request) = self.requests.get_mut(&key) {
                        request.waiting = false;
                        self.new_requests.push(key);
                    }
                }
                Waiting::Message(item, body) => {
                    entry.received += 1;
                    self.arrivals.push(arrival(&item, port, &body));
                }
            }
        }
    }

    /// A message for a port that is here: taken, or put in its queue.
    pub(super) fn accept(&mut self, port: KnUniqueId, item: &KnNetItem, body: &[u8]) {
        let Some(entry) = self.ports.get_mut(&port.word()) else {
            return;
        };
        let receives = entry.receives();
        if item.kind != NET_CALL {
            if receives {
                entry.received += 1;
                self.arrivals.push(arrival(item, port, body));
            } else {
                entry.queue.push_back(Waiting::Message(*item, body.into()));
            }
            return;
        }
        self.order += 1;
        let request = Request {
            token: item.handle,
            call: item.src_port.counter(),
            port,
            executing: false,
            waiting: !receives,
            digest: digest(annex(item), body),
            identities: (item.actor_pi, item.port_pi),
            order: self.order,
            item: *item,
            body: body.into(),
        };
        self.requests.insert(item.handle, request);
        if receives {
            self.new_requests.push(item.handle);
        } else {
            entry.queue.push_back(Waiting::Request(item.handle));
        }
    }

    /// Whether a request may be executed now; then it is received.
    pub fn receive(&mut self, key: u64) -> bool {
        let Some(request) = self.requests.get_mut(&key) else {
            return false;
        };
        let receives = self
            .ports
            .get_mut(&request.port.word())
            .filter(|port| port.receives());
        let Some(port) = receives.filter(|_| !request.executing && !request.waiting) else {
            return false;
        };
        port.received += 1;
        request.executing = true;
        true
    }

    /// `nmComplete` about a port that leaves.
    pub(super) fn move_ended(&mut self, item: &KnNetItem) {
        let word = item.target.word();
        if self.keeps_serving {
            return self.moves_ended.push((item.handle, item.result, 0));
        }
        let Some(port) = self.ports.get_mut(&word) else {
            return;
        };
        let Standing::Departing { handle, dropped } = port.standing else {
            return;
        };
        if handle != item.handle {
            return;
        }
        if item.result < 0 {
            port.standing = Standing::Live;
            port.epoch += 2;
            self.places.push((word, true));
            self.moves_ended.push((handle, item.result, 0));
            return self.drain(item.target);
        }
        let Some(mut port) = self.ports.remove(&word) else {
            return;
        };
        for members in self.groups.values_mut() {
            members.retain(|member| *member != item.target);
        }
        self.regrouped = true;
        for waiting in port.queue.drain(..dropped.min(port.queue.len())) {
            if let Waiting::Request(key) = waiting
                && let Some(request) = self.requests.remove(&key)
            {
                self.dropped.push(request.call);
                if key & OWN != 0 {
                    self.ended.push((key & !OWN, K_ENOPORT, 0));
                } else {
                    let item = KnNetItem {
                        kind: NET_REPLY,
                        handle: key,
                        result: K_ENOPORT,
                        ..KnNetItem::default()
                    };
                    self.outbound.push((item, Rc::from([])));
                }
            }
        }
        let departed = Departed {
            handle,
            li: item.result,
            count: port.received + 1,
            queue: port.queue,
        };
        self.departed.insert(word, departed);
        self.pass_next(item.target);
    }

    /// Hands out the next message that follows a port; after the last one the move is over.
    pub(super) fn pass_next(&mut self, port: KnUniqueId) {
        let Some(departed) = self.departed.get_mut(&port.word()) else {
            return;
        };
        while let Some(waiting) = departed.queue.pop_front() {
            let (mut item, body, whose) = match waiting {
                Waiting::Message(item, body) => (item, body, PASS_SEND),
                Waiting::Request(key) => {
                    // Its client may have left.
                    let Some(request) = self.requests.remove(&key) else {
                        continue;
                    };
                    let whose = if key & OWN != 0 { PASS_OWN } else { PASS_OTHER };
                    (request.item, request.body, whose)
                }
            };
            item.handle &= !OWN;
            (item.kind, item.result, item.target) = (NET_PASS, whose, port);
            self.outbound.push((item, body));
            return;
        }
        let (handle, li, count) = (departed.handle, departed.li, departed.count);
        self.departed.remove(&port.word());
        self.moves_ended.push((handle, li, count));
    }

    /// `nmDeliver` about a port that comes.
    pub(super) fn comes(&mut self, item: &KnNetItem, record: &[u8]) -> i32 {
        let (port, word) = (item.target, item.target.word());
        let epoch = item.handle as u32;
        let arriving = |entry: &&mut Port| entry.standing == Standing::Arriving;
        match item.kind {
            NET_ARRIVE => {
                let mut words = record.as_chunks::<8>().0.iter().copied();
                let mut next = || words.next().map(u64::from_le_bytes);
                let (Some(key), Some(capacity)) = (next(), next()) else {
                    return K_EINVAL;
                };
                let here = self.ports.get(&word);
                let newer = here
                    .is_some_and(|here| here.standing != Standing::Arriving || here.epoch >= epoch);
                if item.co_target.word() != self.actor {
                    return K_EUNKNOWN;
                }
                if key != ACTOR_KEY || newer {
                    return K_EINVAL;
                }
                let port = Port {
                    epoch,
                    standing: Standing::Arriving,
                    enabled: false,
                    groups: words.map(u64::from_le_bytes).collect(),
                    ..Port::taking(capacity as usize)
                };
                self.ports.insert(word, port);
                // A local identifier of the model: anything that is not negative.
                (word & 0xFFFF) as i32
            }
            NET_ACTIVATE => {
                let found = self.ports.get_mut(&word).filter(arriving);
                let Some(entry) = found.filter(|entry| entry.epoch == epoch) else {
                    return K_EUNKNOWN;
                };
                entry.standing = Standing::Live;
                for group in std::mem::take(&mut entry.groups) {
                    self.groups.entry(group).or_default().push(port);
                }
                self.regrouped = true;
                self.places.push((word, true));
                self.arrived_ports.push(port);
                0
            }
            NET_ABANDON => {
                let found = self.ports.get_mut(&word).filter(arriving);
                if found.is_some_and(|entry| entry.epoch == epoch) {
                    self.ports.remove(&word);
                }
                0
            }
            _ => K_EINVAL,
        }
    }
}

fn arrival(item: &KnNetItem, port: KnUniqueId, body: &[u8]) -> Arrival {
    Arrival {
        message: item.src_port.counter(),
        port,
        all: to_all(item.target),
        digest: digest(annex(item), body),
        identities: (item.actor_pi, item.port_pi),
    }
}
