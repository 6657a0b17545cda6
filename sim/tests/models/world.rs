//! A few endpoints and the frames between them, in which everything happens when it is told to.

use chorus_abi::net::{KnNetItem, NET_CALL, NET_REPLY};
use chorus_abi::{KnUniqueId, UiType};
use chorus_sim::history::{Happening, Judge};
use chorus_sim::nucleus::{Nucleus, annex, digest};
use chorus_sim::ports::{OWN, Port};
use chorus_transport::{Config, Endpoint, Event};
use std::rc::Rc;

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// How often what goes wrong, in all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Frames that are lost.
    pub losses: u8,
    /// Frames that come twice.
    pub doubles: u8,
    /// Times that the clock goes on to the next deadline, whatever is on its way.
    pub ticks: u8,
    /// Sites that lose their power, each at most once, and boot anew.
    pub crashes: u8,
}

/// What clients do.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// A client on a site calls a port or group.
    Call { site: usize, target: KnUniqueId },
    /// A port moves from a site to another.
    Move {
        from: usize,
        to: usize,
        port: KnUniqueId,
    },
    /// A port of a site goes into a group, or out of it.
    Join {
        site: usize,
        group: KnUniqueId,
        port: KnUniqueId,
        joins: bool,
    },
}

/// The beginning, and what is done in order.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Sites, from index 0, which is number 1.
    pub sites: usize,
    /// Ports at the beginning: site and name.
    pub ports: Vec<(usize, KnUniqueId)>,
    /// Members of groups at the beginning.
    pub members: Vec<(usize, KnUniqueId, KnUniqueId)>,
    /// What clients do.
    pub deeds: Vec<Deed>,
    /// A port that leaves goes on being served: a checker that does not find this is none.
    pub planted: bool,
}

/// One thing that can happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The next deed is done.
    Do,
    /// A frame arrives, by its place among those that are on their way.
    Arrive(usize),
    /// It is lost.
    Lose(usize),
    /// It arrives, and will once more.
    Double(usize),
    /// A server begins with a request.
    Begin(usize, u64),
    /// It answers.
    Answer(usize, u64),
    /// The clock goes on to the next deadline.
    Tick,
    /// A site loses its power.
    Crash(usize),
    /// It boots anew.
    Boot(usize),
}

/// A call was answered.
pub const ANSWERED: u32 = 1;
/// A call ended with an unknown outcome.
pub const UNKNOWN: u32 = 2;
/// A call ended as not executed.
pub const NOT_EXECUTED: u32 = 4;
/// A port arrived at its new place.
pub const MOVED: u32 = 8;
/// A move failed.
pub const STAYED: u32 = 16;
/// A call was answered by a site to which the port had moved.
pub const ANSWERED_THERE: u32 = 32;

/// A site.
struct Place {
    number: u16,
    incarnation: u16,
    endpoint: Option<Endpoint>,
    nucleus: Nucleus,
    crashed: bool,
}

/// All of it.
pub struct World {
    script: Script,
    bounds: Bounds,
    now: u64,
    places: Vec<Place>,
    /// Frames on their way: to which place, and bytes. In order, so that no two worlds differ by the order in which frames were sent.
    flight: Vec<(usize, Rc<[u8]>)>,
    done: usize,
    judge: Judge,
    /// How calls ended.
    results: Vec<Option<i32>>,
    /// Calls whose client lost its power.
    orphans: Vec<bool>,
    moves: Vec<Option<i32>>,
    /// What was seen so far.
    pub seen: u32,
    /// The first promise that was broken.
    pub broken: Option<String>,
}

/// The name of a port of a site.
pub const fn port(site: u16, number: u32) -> KnUniqueId {
    KnUniqueId::from_fields(site, UiType::Port, 1, number)
}

/// The actor of a site to which ports may come.
fn actor(site: u16) -> KnUniqueId {
    port(site, 1)
}

/// A Nucleus that has nothing yet.
fn nucleus(actor: u64, keeps_serving: bool) -> Nucleus {
    let mut nucleus = Nucleus::default();
    (nucleus.actor, nucleus.keeps_serving) = (actor, keeps_serving);
    nucleus
}

fn config(number: u16, incarnation: u16) -> Config {
    let mut config = Config::new(number, incarnation);
    // Nobody is watched, and few deadlines lie between a request and the end of patience: what matters is that they pass, not how many do.
    config.period = 0;
    config.retransmit = SECOND;
    config.retransmit_max = SECOND;
    config.dead = 2 * SECOND;
    config.unanswered = 2 * SECOND;
    config.locate_unicast = [SECOND; 4];
    config
}

impl World {
    /// The beginning.
    pub fn new(script: &Script, bounds: Bounds) -> World {
        let mut world = World {
            script: script.clone(),
            bounds,
            now: 1,
            places: Vec::new(),
            flight: Vec::new(),
            done: 0,
            judge: Judge::default(),
            results: Vec::new(),
            orphans: Vec::new(),
            moves: Vec::new(),
            seen: 0,
            broken: None,
        };
        for index in 0..script.sites {
            let number = index as u16 + 1;
            world.places.push(Place {
                number,
                incarnation: 1,
                endpoint: Endpoint::new(config(number, 1)).ok(),
                nucleus: nucleus(actor(number).word(), script.planted),
                crashed: false,
            });
        }
        for (site, port) in &script.ports {
            let nucleus = &mut world.places[*site].nucleus;
            nucleus.ports.insert(port.word(), Port::taking(4));
        }
        for (site, group, port) in &script.members {
            world.join(*site, *group, *port, true);
        }
        // The members that were there before are known to all.
        while let Some((to, frame)) = world.flight.pop() {
            world.event(to, Event::Frame(&frame));
        }
        world
    }

    /// What can happen next.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let deed = self.script.deeds.get(self.done);
        if deed.is_some_and(|deed| self.can(deed)) {
            steps.push(Step::Do);
        }
        for at in 0..self.flight.len() {
            // Equal frames are one choice.
            if at > 0 && self.key(at) == self.key(at - 1) {
                continue;
            }
            steps.push(Step::Arrive(at));
            if self.bounds.losses > 0 {
                steps.push(Step::Lose(at));
            }
            if self.bounds.doubles > 0 {
                steps.push(Step::Double(at));
            }
        }
        for (index, place) in self.places.iter().enumerate() {
            for (key, request) in &place.nucleus.requests {
                let entry = place.nucleus.ports.get(&request.port.word());
                if request.executing {
                    steps.push(Step::Answer(index, *key));
                } else if entry.is_some_and(Port::receives) {
                    steps.push(Step::Begin(index, *key));
                }
            }
            if place.endpoint.is_none() {
                steps.push(Step::Boot(index));
            } else if self.bounds.crashes > 0 && !place.crashed {
                steps.push(Step::Crash(index));
            }
        }
        if self.bounds.ticks > 0 && self.deadline().is_some() {
            steps.push(Step::Tick);
        }
        steps
    }

    fn can(&self, deed: &Deed) -> bool {
        let (Deed::Call { site, .. } | Deed::Move { from: site, .. } | Deed::Join { site, .. }) =
            deed;
        self.places[*site].endpoint.is_some()
    }

    fn deadline(&self) -> Option<u64> {
        let endpoints = self
            .places
            .iter()
            .filter_map(|place| place.endpoint.as_ref());
        endpoints.filter_map(Endpoint::next_deadline).min()
    }

    /// Does one step.
    pub fn act(&mut self, step: Step) {
        match step {
            Step::Do => {
                let deed = self.script.deeds[self.done];
                self.done += 1;
                self.deed(deed);
            }
            Step::Arrive(at) => {
                let (to, frame) = self.flight.remove(at);
                self.event(to, Event::Frame(&frame));
            }
            Step::Lose(at) => {
                self.bounds.losses -= 1;
                self.flight.remove(at);
            }
            Step::Double(at) => {
                self.bounds.doubles -= 1;
                let (to, frame) = self.flight[at].clone();
                self.event(to, Event::Frame(&frame));
            }
            Step::Begin(index, key) => self.begin(index, key),
            Step::Answer(index, key) => self.answer(index, key),
            Step::Tick => {
                self.bounds.ticks -= 1;
                self.now = self.deadline().map_or(self.now, |due| due.max(self.now));
                for index in 0..self.places.len() {
                    self.event(index, Event::Timer);
                }
            }
            Step::Crash(index) => self.crash(index),
            Step::Boot(index) => {
                let place = &mut self.places[index];
                place.incarnation += 1;
                place.endpoint = Endpoint::new(config(place.number, place.incarnation)).ok();
            }
        }
    }

    fn deed(&mut self, deed: Deed) {
        match deed {
            Deed::Call { site, target } => {
                let call = self.results.len() as u32;
                self.results.push(None);
                self.orphans.push(false);
                let place = &self.places[site];
                let source =
                    KnUniqueId::from_fields(place.number, UiType::Port, place.incarnation, call);
                let item = KnNetItem {
                    kind: NET_CALL,
                    handle: u64::from(call),
                    target,
                    src_port: source,
                    ..KnNetItem::default()
                };
                self.judged(call, Happening::Issued(digest(annex(&item), &[])));
                self.event(site, Event::Item(&item, &[]));
            }
            Deed::Move { from, to, port } => {
                let handle = self.moves.len() as u64;
                self.moves.push(None);
                let to = actor(self.places[to].number);
                let refused = self.places[from].nucleus.migrate(handle, port, to, 0);
                if refused != 0 {
                    self.moves[handle as usize] = Some(refused);
                }
                self.after(from);
            }
            Deed::Join {
                site,
                group,
                port,
                joins,
            } => self.join(site, group, port, joins),
        }
    }

    fn join(&mut self, site: usize, group: KnUniqueId, port: KnUniqueId, joins: bool) {
        let groups = &mut self.places[site].nucleus.groups;
        let members = groups.entry(group.identity().word()).or_default();
        members.retain(|member| *member != port);
        if joins {
            members.push(port);
        }
        self.regrouped(site);
    }

    fn regrouped(&mut self, site: usize) {
        let (item, body) = self.places[site].nucleus.members_item();
        self.event(site, Event::Item(&item, &body));
    }

    fn begin(&mut self, index: usize, key: u64) {
        let place = &mut self.places[index];
        let number = place.number;
        if !place.nucleus.receive(key) {
            return;
        }
        let request = place.nucleus.requests[&key].clone();
        if let Err(violation) = self.judge.serves(request.port.word(), number) {
            self.breaks(format!("{:?}: {}", request.port, violation.text()));
        }
        self.judged(request.call, Happening::Executed(request.digest));
        if request.port.site() != number {
            self.seen |= ANSWERED_THERE;
        }
    }

    fn answer(&mut self, index: usize, key: u64) {
        let Some(request) = self.places[index].nucleus.requests.remove(&key) else {
            return;
        };
        let body = request.call.to_le_bytes();
        let item = KnNetItem {
            kind: NET_REPLY,
            handle: key,
            body_size: 4,
            ..KnNetItem::default()
        };
        let answered = digest(None, &body);
        self.judged(request.call, Happening::Answered(answered));
        if key & OWN != 0 {
            let end = (key & !OWN, 0, answered);
            self.places[index].nucleus.ended.push(end);
            return self.after(index);
        }
        self.event(index, Event::Item(&item, &body));
    }

    fn crash(&mut self, index: usize) {
        self.bounds.crashes -= 1;
        let place = &mut self.places[index];
        place.crashed = true;
        place.endpoint = None;
        place.nucleus = nucleus(place.nucleus.actor, place.nucleus.keeps_serving);
        let number = place.number;
        self.judge.crashed(number);
        // Its clients are gone, and so are the callers of moves.
        let mut calls = 0;
        let mut moves = 0;
        for deed in &self.script.deeds[..self.done] {
            match deed {
                Deed::Call { site, .. } => {
                    if *site == index {
                        self.orphans[calls] = true;
                    }
                    calls += 1;
                }
                Deed::Move { from, .. } => {
                    if *from == index {
                        self.moves[moves].get_or_insert(0);
                    }
                    moves += 1;
                }
                Deed::Join { .. } => {}
            }
        }
    }

    fn event(&mut self, index: usize, event: Event<'_>) {
        let now = self.now;
        let place = &mut self.places[index];
        if let Some(endpoint) = &mut place.endpoint {
            endpoint.on_event(now, event, &mut place.nucleus);
        }
        self.after(index);
    }

    /// Carries on what a site did.
    fn after(&mut self, index: usize) {
        let number = self.places[index].number;
        let nucleus = &mut self.places[index].nucleus;
        nucleus.notices.clear();
        nucleus.new_requests.clear();
        nucleus.cancelled.clear();
        nucleus.dropped.clear();
        let frames = std::mem::take(&mut nucleus.frames);
        let ended = std::mem::take(&mut nucleus.ended);
        let places = std::mem::take(&mut nucleus.places);
        let came = std::mem::take(&mut nucleus.arrived_ports);
        let moves = std::mem::take(&mut nucleus.moves_ended);
        let items = std::mem::take(&mut nucleus.outbound);
        let regrouped = std::mem::take(&mut nucleus.regrouped);
        for frame in frames {
            self.transmit(index, &frame);
        }
        for (port, serves) in places {
            if let Err(violation) = self.judge.place(port, number, serves) {
                self.breaks(format!("port {port:x}: {}", violation.text()));
            }
        }
        for port in came {
            self.seen |= MOVED;
            self.places[index].nucleus.enable(port);
        }
        for (handle, result, digest) in ended {
            self.ended(handle as u32, result, digest);
        }
        for (handle, result, _) in moves {
            self.moves[handle as usize].get_or_insert(result);
            if result < 0 {
                self.seen |= STAYED;
            }
        }
        for (item, body) in items {
            self.event(index, Event::Item(&item, &body));
        }
        if regrouped {
            self.regrouped(index);
        }
    }

    fn ended(&mut self, call: u32, result: i32, digest: u64) {
        if self.orphans[call as usize] {
            return;
        }
        self.results[call as usize] = Some(result);
        self.seen |= match result {
            0 => ANSWERED,
            chorus_abi::error::K_ELINKFAILURE => UNKNOWN,
            _ => NOT_EXECUTED,
        };
        self.judged(call, Happening::Ended(result, digest));
    }

    fn judged(&mut self, call: u32, happening: Happening) {
        if let Err(violation) = self.judge.take(call, happening) {
            self.breaks(format!("call {call} {}", violation.text()));
        }
    }

    fn breaks(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    fn transmit(&mut self, from: usize, frame: &Rc<[u8]>) {
        let to = u16::from_le_bytes([frame[18], frame[19]]);
        for index in 0..self.places.len() {
            let meant = to == 0 || self.places[index].number == to;
            if index != from && meant {
                self.flight.push((index, frame.clone()));
            }
        }
        let mut flight = std::mem::take(&mut self.flight);
        flight.sort_by_key(|(to, frame)| (*to, key(frame)));
        self.flight = flight;
    }

    fn key(&self, at: usize) -> (usize, Vec<u8>) {
        let (to, frame) = &self.flight[at];
        (*to, key(frame))
    }

    /// Whether all that was begun has ended, and nothing is on its way.
    pub fn is_over(&self) -> bool {
        let calls = self.results.iter().zip(&self.orphans);
        self.done == self.script.deeds.len()
            && calls
                .clone()
                .all(|(result, orphan)| *orphan || result.is_some())
            && self.moves.iter().all(Option::is_some)
            && self.flight.is_empty()
    }

    /// A number for all that can make a difference later.
    pub fn print(&self) -> u64 {
        let mut words = vec![self.done as u64, self.now, u64::from(self.seen)];
        let bounds = self.bounds;
        words.extend([bounds.losses, bounds.doubles, bounds.ticks, bounds.crashes].map(u64::from));
        for place in &self.places {
            words.push(place.endpoint.as_ref().map_or(0, Endpoint::fingerprint));
            words.push(u64::from(place.incarnation) << 1 | u64::from(place.crashed));
            let nucleus = &place.nucleus;
            let text = format!(
                "{:?} {:?} {:?} {:?}",
                nucleus.ports, nucleus.requests, nucleus.groups, nucleus.departed
            );
            words.push(digest(None, text.as_bytes()));
        }
        for at in 0..self.flight.len() {
            let (to, frame) = self.key(at);
            words.push(digest(None, &frame) ^ to as u64);
        }
        let told = format!(
            "{:?} {:?} {:?} {:?}",
            self.results, self.orphans, self.moves, self.broken
        );
        words.push(digest(None, told.as_bytes()));
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        digest(None, &bytes)
    }
}

/// A frame without the count of its sender's frames, which is for people (`docs/protocol.md`: in clear).
fn key(frame: &[u8]) -> Vec<u8> {
    let mut key = frame.to_vec();
    key[26..34].fill(0);
    key
}
