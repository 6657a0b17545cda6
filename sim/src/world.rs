//! Sites, network and time: takes the next thing that happens, and lets it happen.

use super::effort;
use super::frames::{Wire, wire};
use super::history::{Happening, History, Judge};
use super::invariants::Broken;
use super::migration::Migration;
use super::network::Faults;
use super::nucleus::Nucleus;
use super::plant::Plant;
use super::random::Random;
use super::setup::Setup;
use super::site::RING;
pub use super::site::{Plan, SimSite};
use super::trace::{Moment, Trace};
use chorus_abi::KnProtId;
use chorus_abi::error::{K_ELINKFAILURE, K_EUNKNOWN};
use chorus_transport::{Config, Endpoint, Event, Seal};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::rc::Rc;

/// One millisecond of virtual time.
pub const MS: u64 = 1_000_000;
/// One second of virtual time.
pub const SEC: u64 = 1000 * MS;

/// What happens at a time.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Happens {
    Frame { to: u16, bytes: Rc<[u8]> },
    Execute { site: u16, boot: u32, token: u64 },
    Answer { site: u16, boot: u32, token: u64 },
    Enable { site: u16, boot: u32, port: u64 },
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
    /// Kind, index into [`chorus_transport::frame::KIND_NAMES`].
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
    /// What the network does at present; changed by [`World::set_faults`].
    pub faults: Faults,
    /// The fabric.
    pub wire: Wire,
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
    /// Messages made so far.
    pub messages: u32,
    /// Events that happened: frames, timers and items that a site took, and what its servers did.
    pub steps: u64,
    /// Starts of sites after their first, plus one.
    pub generation: u32,
    /// Whole frames that came, and to which site, if [`World::record`].
    pub heard: Vec<(u16, Vec<u8>)>,
    /// Ports that were to move.
    pub migrations: Vec<Migration>,
    /// How long after a port came its actor enables it; `None`: never.
    pub enables: Option<u64>,
    /// Protection identifiers of the actors and ports that send, from now on.
    pub identities: (KnProtId, KnProtId),
    /// Frames that sites sent.
    pub frames: u64,
    /// The judge of what happens, while it happens.
    pub judge: Judge,
    /// The first promise or invariant that was broken.
    pub broken: Option<Broken>,
    /// Nothing happens any more once something was broken.
    pub stops: bool,
    /// Whether [`World::history`] is kept; the judge needs none.
    pub keeps: bool,
    /// What is wrong on purpose.
    pub plant: Plant,
    /// Kept for pictures.
    pub trace: Option<Trace>,
    /// A number for all frames so far, their times and their bytes, if it is kept.
    pub log: Option<u64>,
    /// Calls whose clients wait.
    pub waiting: usize,
    /// The cards drop frames with turned bits, as the check sequence of Ethernet has them do.
    pub checksum: bool,
    /// Frames that land at this moment; kept for its memory.
    pub(super) landing: Vec<(u16, Rc<[u8]>)>,
    queue: BinaryHeap<Reverse<(u64, u64, Happens)>>,
    order: u64,
    /// Deadlines of the endpoints, with the site, and each site's own.
    deadlines: BTreeSet<(u64, u16)>,
    armed: Vec<Option<u64>>,
    pub(super) clients: Vec<u16>,
}

impl World {
    /// `sites` sites that are up and do not watch each other: what they send is about calls and messages alone.
    pub fn new(seed: u64, sites: u16, faults: Faults) -> World {
        Self::with(seed, sites, faults, |_| {})
    }

    /// The same without sealing, for tests that make frames of their own.
    pub fn in_clear(seed: u64, sites: u16, faults: Faults) -> World {
        Self::with(seed, sites, faults, |config| config.seal = None)
    }

    /// `sites` sites that are up and watch each other, as those of a cluster do.
    pub fn watching(seed: u64, sites: u16, faults: Faults) -> World {
        Self::watching_with(seed, sites, faults, |_| {})
    }

    /// As [`World::new`], with changed configurations.
    pub fn with(seed: u64, sites: u16, faults: Faults, change: impl Fn(&mut Config)) -> World {
        Self::watching_with(seed, sites, faults, |config| {
            config.period = 0;
            change(config);
        })
    }

    /// As [`World::watching`], with changed configurations.
    pub fn watching_with(
        seed: u64,
        sites: u16,
        faults: Faults,
        change: impl Fn(&mut Config),
    ) -> World {
        let setup = Setup {
            watch: true,
            ..Setup::new(seed, sites, faults)
        };
        World::build(&setup, change)
    }

    /// The world that a setup describes, with changed configurations of its sites.
    pub fn build(setup: &Setup, change: impl Fn(&mut Config)) -> World {
        let Setup { seed, sites, .. } = *setup;
        let mut world = World {
            now: 0,
            sites: Vec::new(),
            faults: setup.faults,
            wire: wire(setup),
            random: Random::new(seed),
            history: History::default(),
            plans: Vec::new(),
            sent: Vec::new(),
            record: false,
            messages: 0,
            steps: 0,
            generation: 1,
            heard: Vec::new(),
            migrations: Vec::new(),
            enables: Some(MS / 10),
            identities: Default::default(),
            frames: 0,
            judge: Judge::default(),
            broken: None,
            stops: false,
            keeps: true,
            plant: Plant::None,
            trace: None,
            log: None,
            waiting: 0,
            checksum: setup.checksum,
            landing: Vec::new(),
            queue: BinaryHeap::new(),
            order: 0,
            deadlines: BTreeSet::new(),
            armed: vec![None; usize::from(sites) + 1],
            clients: Vec::new(),
        };
        for number in 1..=sites {
            let mut config = Config::new(number, 1);
            config.seed = seed ^ u64::from(number);
            config.seal = setup.seal.then(|| Seal::new(cluster_key(seed), 1));
            if !setup.watch {
                config.period = 0;
            }
            change(&mut config);
            world.sites.push(SimSite {
                number,
                incarnation: 0,
                boots: 0,
                nucleus: Nucleus::default(),
                endpoint: None,
                paused: None,
                next_port: 1,
                config,
            });
        }
        for number in 1..=sites {
            world.switch_on(number, setup.hello);
        }
        world
    }

    /// The site with this number.
    pub fn site(&mut self, number: u16) -> &mut SimSite {
        &mut self.sites[usize::from(number) - 1]
    }

    /// Power off: all that the site held is gone.
    pub fn crash(&mut self, number: u16) {
        self.mark(number, Moment::Killed);
        for call in 0..self.clients.len() {
            if self.clients[call] == number {
                self.happened(number, call as u32, Happening::Left);
                self.clients[call] = 0;
                self.waiting -= 1;
            }
        }
        self.judge.crashed(number);
        let site = self.site(number);
        site.endpoint = None;
        site.paused = None;
        site.nucleus = Nucleus::default();
        self.arm(number);
    }

    /// A new incarnation.
    pub fn restart(&mut self, number: u16) {
        self.switch_on(number, true);
    }

    fn switch_on(&mut self, number: u16, hello: bool) {
        self.mark(number, Moment::Started);
        let now = self.now;
        // Starts after the first begin a new generation.
        self.generation += u32::from(self.site(number).incarnation > 0);
        let generation = self.generation;
        let site = self.site(number);
        site.incarnation += 1;
        site.boots += 1;
        site.next_port = 1;
        site.paused = None;
        site.nucleus = Nucleus {
            actor: actor_of(number, site.boots).word(),
            ..Nucleus::default()
        };
        site.config.incarnation = site.incarnation;
        if let Some(seal) = &mut site.config.seal {
            seal.generation = generation;
        }
        site.endpoint = Endpoint::new(site.config.clone()).ok();
        assert!(site.endpoint.is_some(), "configuration of site {number}");
        if let Some(endpoint) = site.endpoint.as_mut().filter(|_| hello) {
            endpoint.on_event(now, Event::Start, &mut site.nucleus);
        }
        self.after(number);
        self.members_changed(number);
    }

    /// The site's processors stop; time goes on.
    pub fn pause(&mut self, number: u16) {
        self.mark(number, Moment::Paused);
        self.site(number).paused.get_or_insert_default();
        self.arm(number);
    }

    /// They run again: the clock has jumped, and frames wait in the card's ring.
    pub fn resume(&mut self, number: u16) {
        let Some(held) = self.site(number).paused.take() else {
            return;
        };
        self.mark(number, Moment::Resumed);
        self.arm(number);
        // The driver looks at its deadline first.
        self.event(number, Event::Timer);
        for bytes in held.frames {
            self.event(number, Event::Frame(&bytes));
        }
        for work in held.works {
            self.happen(work);
        }
    }

    /// Lets one site's endpoint take an event.
    pub fn event(&mut self, number: u16, event: Event<'_>) {
        let now = self.now;
        self.steps += 1;
        if let (Plant::Twice, Event::Frame(bytes)) = (self.plant, event) {
            self.execute_again(number, bytes);
        }
        let from = match event {
            Event::Frame(bytes) => Self::sender(bytes),
            _ => None,
        };
        let site = self.site(number);
        if let Some(endpoint) = &mut site.endpoint {
            endpoint.on_event(now, event, &mut site.nucleus);
            // What the drivers do: a site whose incarnation is over takes the next one.
            if let Some(above) = endpoint.is_over() {
                site.incarnation = above + 1;
                let renewed = endpoint
                    .renew(now, site.incarnation, &mut site.nucleus)
                    .is_err();
                self.mark(number, Moment::Renewed);
                if renewed {
                    // Its incarnations are used up.
                    return self.crash(number);
                }
            }
            self.after(number);
            self.look(number, from);
        }
    }

    pub(super) fn push(&mut self, time: u64, what: Happens) {
        self.order += 1;
        self.queue.push(Reverse((time, self.order, what)));
    }

    /// Remembers when a site's endpoint wants to be called.
    fn arm(&mut self, number: u16) {
        let site = &self.sites[usize::from(number) - 1];
        let running = site.endpoint.as_ref().filter(|_| site.paused.is_none());
        let next = running.and_then(Endpoint::next_deadline);
        let armed = &mut self.armed[usize::from(number)];
        if *armed == next {
            return;
        }
        if let Some(old) = std::mem::replace(armed, next) {
            self.deadlines.remove(&(old, number));
        }
        if let Some(next) = next {
            self.deadlines.insert((next, number));
        }
    }

    /// Carries on what a site's endpoint did.
    pub(super) fn after(&mut self, number: u16) {
        self.arm(number);
        let now = self.now;
        let site = self.site(number);
        let boot = site.boots;
        let nucleus = &mut site.nucleus;
        let mut frames = std::mem::take(&mut nucleus.frames);
        let mut requests = std::mem::take(&mut nucleus.new_requests);
        let mut ended = std::mem::take(&mut nucleus.ended);
        for at in nucleus.looked..nucleus.arrivals.len() {
            let arrival = self.site(number).nucleus.arrivals[at];
            self.arrived(number, arrival);
        }
        let nucleus = &mut self.site(number).nucleus;
        nucleus.looked = nucleus.arrivals.len();
        for bytes in frames.drain(..) {
            self.put(number, bytes);
        }
        for token in requests.drain(..) {
            let Some(request) = self.site(number).nucleus.requests.get(&token) else {
                continue;
            };
            let call = request.call as usize;
            let queue = self.plans.get(call).map_or(0, |plan| plan.queue);
            let what = Happens::Execute {
                site: number,
                boot,
                token,
            };
            self.push(now + queue, what);
        }
        for (handle, mut result, digest) in ended.drain(..) {
            match self.plant {
                Plant::Untrue if result == K_ELINKFAILURE => result = K_EUNKNOWN,
                Plant::Lost if result != 0 => continue,
                _ => {}
            }
            self.happened(number, handle as u32, Happening::Ended(result, digest));
            if let Some(client) = self.clients.get_mut(handle as usize)
                && std::mem::take(client) != 0
            {
                self.waiting -= 1;
            }
        }
        // The lists are used again: most events fill none of them.
        let nucleus = &mut self.site(number).nucleus;
        nucleus.frames = frames;
        nucleus.new_requests = requests;
        nucleus.ended = ended;
        if nucleus.has_moved() {
            self.moved(number);
        }
    }

    /// Something happened to a call.
    pub(super) fn happened(&mut self, site: u16, call: u32, happening: Happening) {
        if self.keeps {
            self.history.push(self.now, call, happening);
        }
        if let Some(trace) = &mut self.trace {
            trace.call(self.now, site, call, happening);
        }
        if let Err(violation) = self.judge.take(call, happening) {
            self.breaks(Broken::promise(self.now, site, call, violation));
        }
    }

    /// Time of the next thing that happens.
    pub fn next(&self) -> Option<u64> {
        let deadline = self.deadlines.first().map(|(time, _)| *time);
        let queued = self.queue.peek().map(|Reverse((time, _, _))| *time);
        [deadline, queued, self.wire.next_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Lets everything happen until `time`.
    pub fn run_until(&mut self, time: u64) {
        while let Some(next) = self.next().filter(|next| *next <= time) {
            if self.stops && self.broken.is_some() {
                return;
            }
            self.now = self.now.max(next);
            let queued = self.queue.peek().map(|Reverse((time, _, _))| *time);
            if let Some(&(deadline, number)) = self.deadlines.first()
                && deadline <= next
            {
                self.event(number, Event::Timer);
            } else if self.wire.next_due().is_some_and(|due| due <= next) {
                self.land();
            } else if queued.is_some()
                && let Some(Reverse((_, _, what))) = self.queue.pop()
            {
                self.happen(what);
            }
        }
        self.now = self.now.max(time);
    }

    /// Lets time pass.
    pub fn run(&mut self, time: u64) {
        self.run_until(self.now + time);
    }

    pub(super) fn happen(&mut self, what: Happens) {
        let now = self.now;
        let (Happens::Frame { to: at, .. }
        | Happens::Execute { site: at, .. }
        | Happens::Answer { site: at, .. }
        | Happens::Enable { site: at, .. }) = what;
        if let Some(held) = &mut self.site(at).paused {
            match what {
                Happens::Frame { bytes, .. } if held.frames.len() < RING => {
                    held.frames.push_back(bytes);
                }
                Happens::Frame { .. } => {}
                work => held.works.push(work),
            }
            return;
        }
        match what {
            Happens::Frame { to, bytes } => {
                if let Some(trace) = &mut self.trace {
                    trace.landed(now, to, &bytes);
                }
                self.event(to, Event::Frame(&bytes));
                if self.record {
                    self.heard.push((to, bytes.to_vec()));
                }
            }
            Happens::Execute { site, boot, token } => {
                self.steps += 1;
                let at = self.site(site);
                if at.boots != boot {
                    return;
                }
                // A request that was withdrawn is not executed; nor is one whose port does not receive now.
                if !at.nucleus.receive(token) {
                    return;
                }
                let Some(request) = at.nucleus.requests.get(&token) else {
                    return;
                };
                let (call, digest, port) = (request.call, request.digest, request.port);
                self.serves(site, port);
                self.happened(site, call, Happening::Executed(digest));
                let service = self.plans.get(call as usize).map_or(0, |plan| plan.service);
                if service == 0 {
                    self.answer(site, token);
                } else {
                    self.push(now + service, Happens::Answer { site, boot, token });
                }
            }
            Happens::Answer { site, boot, token } => {
                if self.site(site).boots == boot {
                    self.answer(site, token);
                }
            }
            Happens::Enable { site, boot, port } => {
                if self.site(site).boots == boot {
                    self.enable(site, chorus_abi::KnUniqueId::from_word(port));
                }
            }
        }
    }
}

/// The actor of a site to which ports may come, in one of its starts.
pub(super) fn actor_of(site: u16, boot: u32) -> chorus_abi::KnUniqueId {
    chorus_abi::KnUniqueId::from_fields(site, chorus_abi::UiType::Port, boot as u16, 0)
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

impl Drop for World {
    /// What was done is told to whoever counts it.
    fn drop(&mut self) {
        effort::count(|done| {
            done.worlds += 1;
            done.events += self.steps;
            done.calls += self.plans.len() as u64;
            done.messages += u64::from(self.messages);
            done.frames += self.frames;
            done.time += self.now;
        });
    }
}
