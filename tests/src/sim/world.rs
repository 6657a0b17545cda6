//! Sites, network and time: takes the next thing that happens, and lets it happen.

use super::history::{Happening, History};
use super::network::Faults;
use super::nucleus::{Nucleus, annex, digest};
use super::random::Random;
use chorus_abi::net::{KnNetItem, NET_CALL, NET_CANCEL, NET_LINKFAILURE, NET_REPLY, NET_SEND};
use chorus_abi::{KnProtId, KnUniqueId, UiType};
use chorus_transport::{Config, Endpoint, Event, Seal, frame};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One millisecond of virtual time.
pub const MS: u64 = 1_000_000;
/// One second of virtual time.
pub const SEC: u64 = 1000 * MS;

/// One site.
pub struct SimSite {
    /// Its number.
    pub number: u16,
    /// Its incarnation; grows at each restart.
    pub incarnation: u16,
    /// Its model Nucleus.
    pub nucleus: Nucleus,
    /// Its protocols; none while it is down.
    pub endpoint: Option<Endpoint>,
    next_port: u32,
    config: Config,
}

/// A call as its client made it, and as its server will treat it.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Time in the server's queue before it is executed.
    pub queue: u64,
    /// Time of the execution.
    pub service: u64,
    /// Bytes of the reply.
    pub reply: usize,
    /// The request has an annex, and so has the reply.
    pub annex: bool,
    /// Result with which the server answers: 0, or an error of the Nucleus.
    pub result: i32,
}

impl Plan {
    /// A server that answers at once with nothing.
    pub const NULL: Plan = Plan {
        queue: 0,
        service: 0,
        reply: 0,
        annex: false,
        result: 0,
    };
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Happens {
    Frame {
        to: u16,
        bytes: Vec<u8>,
    },
    Execute {
        site: u16,
        incarnation: u16,
        token: u64,
    },
    Answer {
        site: u16,
        incarnation: u16,
        token: u64,
    },
}

/// A frame on the wire, for tests that count them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// When.
    pub time: u64,
    /// From which site.
    pub from: u16,
    /// To which site; 0: to all.
    pub to: u16,
    /// Kind, index into [`frame::KIND_NAMES`].
    pub kind: u8,
    /// Bytes.
    pub bytes: usize,
}

/// The whole simulation.
pub struct World {
    /// Virtual time in nanoseconds.
    pub now: u64,
    /// The sites, in order of their numbers from 1.
    pub sites: Vec<SimSite>,
    /// What the network does at present.
    pub faults: Faults,
    /// Chance.
    pub random: Random,
    /// What happened.
    pub history: History,
    /// Plans of the calls made, index = number of the call.
    pub plans: Vec<Plan>,
    /// Frames sent, if [`World::record`].
    pub sent: Vec<Sent>,
    /// Whether frames are recorded.
    pub record: bool,
    /// Both directions between these two sites are cut.
    pub cut: Vec<(u16, u16)>,
    /// Messages made so far.
    pub messages: u32,
    /// Events that happened.
    pub steps: u64,
    /// Starts of sites after their first, plus one.
    pub generation: u32,
    /// Whole frames that came, and to which site, if [`World::record`].
    pub heard: Vec<(u16, Vec<u8>)>,
    /// Protection identifiers of the actors and ports that send, from now on.
    pub identities: (KnProtId, KnProtId),
    queue: BinaryHeap<Reverse<(u64, u64, Happens)>>,
    order: u64,
    pub(super) clients: Vec<u16>,
}

impl World {
    /// `sites` sites that are up.
    pub fn new(seed: u64, sites: u16, faults: Faults) -> World {
        Self::with(seed, sites, faults, |_| {})
    }

    /// The same without sealing, for tests that make frames of their own.
    pub fn in_clear(seed: u64, sites: u16, faults: Faults) -> World {
        Self::with(seed, sites, faults, |config| config.seal = None)
    }

    /// The same with changed configurations.
    pub fn with(seed: u64, sites: u16, faults: Faults, change: impl Fn(&mut Config)) -> World {
        let mut world = World {
            now: 0,
            sites: Vec::new(),
            faults,
            random: Random::new(seed),
            history: History::default(),
            plans: Vec::new(),
            sent: Vec::new(),
            record: false,
            cut: Vec::new(),
            messages: 0,
            steps: 0,
            generation: 1,
            heard: Vec::new(),
            identities: Default::default(),
            queue: BinaryHeap::new(),
            order: 0,
            clients: Vec::new(),
        };
        for number in 1..=sites {
            let mut config = Config::new(number, 1);
            config.seed = seed ^ u64::from(number);
            config.seal = Some(Seal::new(cluster_key(seed), 1));
            change(&mut config);
            let nucleus = Nucleus::default();
            world.sites.push(SimSite {
                number,
                incarnation: 0,
                nucleus,
                endpoint: None,
                next_port: 1,
                config,
            });
            world.restart(number);
        }
        world
    }

    /// The site with this number.
    pub fn site(&mut self, number: u16) -> &mut SimSite {
        &mut self.sites[usize::from(number) - 1]
    }

    /// Power off: all that the site held is gone.
    pub fn crash(&mut self, number: u16) {
        let now = self.now;
        for call in 0..self.clients.len() {
            if self.clients[call] == number {
                self.history.push(now, call as u32, Happening::Left);
                self.clients[call] = 0;
            }
        }
        let site = self.site(number);
        site.endpoint = None;
        site.nucleus = Nucleus::default();
    }

    /// A new incarnation.
    pub fn restart(&mut self, number: u16) {
        let now = self.now;
        // Starts after the first begin a new generation.
        self.generation += u32::from(self.site(number).incarnation > 0);
        let generation = self.generation;
        let site = self.site(number);
        site.incarnation += 1;
        site.next_port = 1;
        site.nucleus = Nucleus::default();
        site.config.incarnation = site.incarnation;
        if let Some(seal) = &mut site.config.seal {
            seal.generation = generation;
        }
        site.endpoint = Endpoint::new(site.config.clone()).ok();
        assert!(site.endpoint.is_some(), "configuration of site {number}");
        if let Some(endpoint) = &mut site.endpoint {
            endpoint.on_event(now, Event::Start, &mut site.nucleus);
        }
        self.after(number);
    }

    /// A new port that takes `capacity` requests at once.
    pub fn open(&mut self, number: u16, capacity: usize) -> KnUniqueId {
        let site = self.site(number);
        let ui = KnUniqueId::from_fields(number, UiType::Port, site.incarnation, site.next_port);
        site.next_port += 1;
        site.nucleus.ports.insert(ui.word(), capacity);
        ui
    }

    /// Deletes a port: requests in its queue end with `K_ENOPORT`; those in service go on.
    pub fn close(&mut self, number: u16, port: KnUniqueId) {
        let nucleus = &mut self.site(number).nucleus;
        nucleus.ports.remove(&port.word());
        nucleus
            .groups
            .values_mut()
            .for_each(|members| members.retain(|member| *member != port));
        let queued = nucleus
            .requests
            .values()
            .filter(|request| request.port == port && !request.executing);
        let tokens: Vec<u64> = queued.map(|request| request.token).collect();
        for token in tokens {
            self.site(number).nucleus.requests.remove(&token);
            let item = KnNetItem {
                kind: NET_REPLY,
                handle: token,
                result: chorus_abi::error::K_ENOPORT,
                ..Default::default()
            };
            self.event(number, Event::Item(&item, &[]));
        }
    }

    /// Puts a port into a group.
    pub fn join(&mut self, number: u16, group: KnUniqueId, port: KnUniqueId) {
        self.site(number)
            .nucleus
            .groups
            .entry(group.identity().word())
            .or_default()
            .push(port);
    }

    /// A client on site `from` calls; the number of the call.
    pub fn call(&mut self, from: u16, target: KnUniqueId, body: &[u8], plan: Plan) -> u32 {
        self.call_beside(from, target, KnUniqueId::NULL, body, plan)
    }

    /// The same with a co-target.
    pub fn call_beside(
        &mut self,
        from: u16,
        target: KnUniqueId,
        co_target: KnUniqueId,
        body: &[u8],
        plan: Plan,
    ) -> u32 {
        let call = self.plans.len() as u32;
        self.plans.push(plan);
        self.clients.push(from);
        let item = self.item(NET_CALL, from, target, co_target, call, body, plan.annex);
        self.history.push(
            self.now,
            call,
            Happening::Issued(digest(annex(&item), body)),
        );
        self.event(from, Event::Item(&item, body));
        call
    }

    /// Somebody on a site says that the link to another broke, for reason 7.
    pub fn link_failure(&mut self, on: u16, to: u16) {
        let item = KnNetItem {
            kind: NET_LINKFAILURE,
            handle: to.into(),
            result: 7,
            ..KnNetItem::default()
        };
        self.event(on, Event::Item(&item, &[]));
    }

    /// An asynchronous message; its number and digest.
    pub fn send(
        &mut self,
        from: u16,
        target: KnUniqueId,
        body: &[u8],
        with_annex: bool,
    ) -> (u32, u64) {
        let message = self.messages;
        self.messages += 1;
        let item = self.item(
            NET_SEND,
            from,
            target,
            KnUniqueId::NULL,
            message,
            body,
            with_annex,
        );
        self.event(from, Event::Item(&item, body));
        (message, digest(annex(&item), body))
    }

    /// The client of a call leaves.
    pub fn leave(&mut self, call: u32) {
        let from = std::mem::take(&mut self.clients[call as usize]);
        if from != 0 {
            self.history.push(self.now, call, Happening::Left);
            let item = KnNetItem {
                kind: NET_CANCEL,
                handle: u64::from(call),
                ..Default::default()
            };
            self.event(from, Event::Item(&item, &[]));
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one item")]
    fn item(
        &self,
        kind: u32,
        from: u16,
        target: KnUniqueId,
        co_target: KnUniqueId,
        number: u32,
        body: &[u8],
        with_annex: bool,
    ) -> KnNetItem {
        KnNetItem {
            kind,
            handle: u64::from(number),
            target,
            co_target,
            src_port: KnUniqueId::from_fields(from, UiType::Port, 1, number),
            body_size: body.len() as u32,
            annex_size: if with_annex { 64 } else { 0 },
            annex: [number as u8; 64],
            actor_pi: self.identities.0,
            port_pi: self.identities.1,
            ..KnNetItem::default()
        }
    }

    /// Lets one site's endpoint take an event.
    pub fn event(&mut self, number: u16, event: Event<'_>) {
        let now = self.now;
        let site = self.site(number);
        if let Some(endpoint) = &mut site.endpoint {
            endpoint.on_event(now, event, &mut site.nucleus);
            self.after(number);
        }
    }

    /// A frame arrives at a site after `delay`, whoever made it.
    pub fn inject(&mut self, to: u16, bytes: Vec<u8>, delay: u64) {
        self.push(self.now + delay, Happens::Frame { to, bytes });
    }

    fn push(&mut self, time: u64, what: Happens) {
        self.order += 1;
        self.queue.push(Reverse((time, self.order, what)));
    }

    /// Carries on what a site's endpoint did.
    fn after(&mut self, number: u16) {
        let now = self.now;
        let site = self.site(number);
        let incarnation = site.incarnation;
        let nucleus = &mut site.nucleus;
        let frames = std::mem::take(&mut nucleus.frames);
        let requests = std::mem::take(&mut nucleus.new_requests);
        let ended = std::mem::take(&mut nucleus.ended);
        for bytes in frames {
            let to = if bytes[0] == 0xFF {
                0
            } else {
                u16::from_be_bytes([bytes[4], bytes[5]])
            };
            if self.record {
                self.sent.push(Sent {
                    time: now,
                    from: number,
                    to,
                    kind: bytes[frame::ETHERNET + 1],
                    bytes: bytes.len(),
                });
            }
            for other in 1..=self.sites.len() as u16 {
                let cut =
                    self.cut.contains(&(number, other)) || self.cut.contains(&(other, number));
                if other == number || cut || (to != 0 && to != other) {
                    continue;
                }
                for delay in self.faults.copies(&mut self.random) {
                    self.push(
                        now + delay,
                        Happens::Frame {
                            to: other,
                            bytes: bytes.clone(),
                        },
                    );
                }
            }
        }
        for token in requests {
            let Some(request) = self.site(number).nucleus.requests.get(&token) else {
                continue;
            };
            let call = request.call as usize;
            let queue = self.plans.get(call).map_or(0, |plan| plan.queue);
            self.push(
                now + queue,
                Happens::Execute {
                    site: number,
                    incarnation,
                    token,
                },
            );
        }
        for (handle, result, digest) in ended {
            self.history
                .push(now, handle as u32, Happening::Ended(result, digest));
            self.clients[handle as usize] = 0;
        }
    }

    /// Time of the next thing that happens.
    pub fn next(&self) -> Option<u64> {
        let deadlines = self
            .sites
            .iter()
            .filter_map(|site| site.endpoint.as_ref()?.next_deadline());
        deadlines
            .chain(self.queue.peek().map(|Reverse((time, _, _))| *time))
            .min()
    }

    /// Lets everything happen until `time`.
    pub fn run_until(&mut self, time: u64) {
        while let Some(next) = self.next().filter(|next| *next <= time) {
            self.steps += 1;
            self.now = self.now.max(next);
            let timer = self.sites.iter().find(|site| {
                site.endpoint
                    .as_ref()
                    .and_then(Endpoint::next_deadline)
                    .is_some_and(|deadline| deadline <= next)
            });
            match timer.map(|site| site.number) {
                Some(number) => self.event(number, Event::Timer),
                None => {
                    if let Some(Reverse((_, _, what))) = self.queue.pop() {
                        self.happen(what);
                    }
                }
            }
        }
        self.now = self.now.max(time);
    }

    /// Lets time pass.
    pub fn run(&mut self, time: u64) {
        self.run_until(self.now + time);
    }

    fn happen(&mut self, what: Happens) {
        let now = self.now;
        match what {
            Happens::Frame { to, bytes } => {
                self.event(to, Event::Frame(&bytes));
                if self.record {
                    self.heard.push((to, bytes));
                }
            }
            Happens::Execute {
                site,
                incarnation,
                token,
            } => {
                let at = self.site(site);
                if at.incarnation != incarnation {
                    return;
                }
                // A request that was withdrawn is not executed.
                let Some(request) = at.nucleus.requests.get_mut(&token) else {
                    return;
                };
                request.executing = true;
                let (call, digest) = (request.call, request.digest);
                self.history.push(now, call, Happening::Executed(digest));
                let service = self.plans.get(call as usize).map_or(0, |plan| plan.service);
                if service == 0 {
                    self.answer(site, token);
                } else {
                    self.push(
                        now + service,
                        Happens::Answer {
                            site,
                            incarnation,
                            token,
                        },
                    );
                }
            }
            Happens::Answer {
                site,
                incarnation,
                token,
            } => {
                if self.site(site).incarnation == incarnation {
                    self.answer(site, token);
                }
            }
        }
    }

    fn answer(&mut self, number: u16, token: u64) {
        let Some(request) = self.site(number).nucleus.requests.remove(&token) else {
            return;
        };
        let plan = self
            .plans
            .get(request.call as usize)
            .copied()
            .unwrap_or(Plan::NULL);
        let body = pattern(u64::from(request.call) ^ 0xA5, plan.reply);
        let mut item = self.item(
            NET_REPLY,
            number,
            KnUniqueId::NULL,
            KnUniqueId::NULL,
            request.call,
            &body,
            plan.annex,
        );
        item.handle = token;
        item.result = plan.result;
        self.history.push(
            self.now,
            request.call,
            Happening::Answered(digest(annex(&item), &body)),
        );
        self.event(number, Event::Item(&item, &body));
    }
}

/// A key that the sites of the world of this seed have in common.
fn cluster_key(seed: u64) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(&pattern(!seed, 32));
    key
}

/// `length` bytes that differ from those of other seeds.
pub fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.word().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
