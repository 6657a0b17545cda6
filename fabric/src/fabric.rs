//! The fabric: frames on their way from site to site, over one link after another.
//!
//! A frame that meets no delay is there at once, and is never kept: the caller has it in its hands and copies it straight to where it goes. One that is on its way is
//! kept by the caller's own means, once, whoever it goes to. Sites that pass frames on do so by their links, not by their processors: a site that is paused or dead still passes
//! on what others send.
//!
//! Sites outside the graph (the gateway of the host) are joined with everyone, by links without faults.

use crate::graph::Graph;
use crate::link::{Cause, Counts, Fate, Link};
use crate::parameters::{Change, Parameters};
use crate::routes::Routes;
use crate::rules::Rules;
use crate::script::{Action, Fault, Script};
use crate::{Nanoseconds, Site};
use std::collections::{BinaryHeap, HashMap};

/// Whom a frame is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum To {
    /// One site.
    Site(Site),
    /// All but its sender.
    All,
}

/// What the fabric has to know of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// Its sender.
    pub from: Site,
    /// Whom it is for.
    pub to: To,
    /// Its length in bytes.
    pub size: usize,
    /// Its kind, as the caller counts kinds; only scripts look at it.
    pub kind: u8,
}

/// A frame that has arrived.
pub struct Landing<'a, K> {
    /// Where.
    pub to: Site,
    /// Its sender.
    pub from: Site,
    /// What was kept of it; `None`: it is the one that is being sent.
    pub kept: Option<&'a K>,
    /// Bits of it that are turned, each modulo their number.
    pub flipped: &'a [u64],
}

/// What a link decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// When.
    pub now: Nanoseconds,
    /// The link: from, to. The same site twice: none was reached, the frame met its fate at its sender.
    pub link: (Site, Site),
    /// Number of the frame on the link.
    pub index: u64,
    /// The frame.
    pub meta: Meta,
    /// The decision.
    pub fate: Fate,
}

/// Told of each decision.
pub type Observer = Box<dyn FnMut(&Record) + Send>;

struct Flight<K> {
    due: Nanoseconds,
    order: u64,
    at: Site,
    meta: Meta,
    flipped: Vec<u64>,
    kept: K,
}

impl<K> PartialEq for Flight<K> {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl<K> Eq for Flight<K> {}
impl<K> PartialOrd for Flight<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Flight<K> {
    /// The earliest is the greatest.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.due, other.order).cmp(&(self.due, self.order))
    }
}

/// A frame at a site, on its way.
struct Step {
    at: Site,
    flipped: Vec<u64>,
}

/// The fabric of a cluster. `K` is what is kept of a frame that is on its way.
pub struct Fabric<K> {
    seed: u64,
    graph: Graph,
    outside: Vec<Site>,
    rules: Rules,
    routes: Routes,
    links: HashMap<(Site, Site), Link>,
    script: Script,
    flights: BinaryHeap<Flight<K>>,
    limit: usize,
    order: u64,
    observer: Option<Observer>,
    lost: HashMap<Cause, u64>,
    lost_of: HashMap<Site, u64>,
}

impl<K: Clone> Fabric<K> {
    /// A fabric over a graph; `outside` are the sites that are joined with everyone. At most `limit` frames are on their way at once, what comes then is lost.
    pub fn new(
        seed: u64,
        graph: Graph,
        rules: Rules,
        outside: impl IntoIterator<Item = Site>,
        limit: usize,
    ) -> Self {
        Fabric {
            seed,
            graph,
            outside: outside.into_iter().collect(),
            rules,
            routes: Routes::default(),
            links: HashMap::new(),
            script: Script::default(),
            flights: BinaryHeap::new(),
            limit,
            order: 0,
            observer: None,
            lost: HashMap::new(),
            lost_of: HashMap::new(),
        }
    }

    /// Has someone told of each decision from now on.
    pub fn observe(&mut self, observer: Option<Observer>) {
        self.observer = observer;
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What holds for the links now.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Changes what holds for the links.
    pub fn rule<T>(&mut self, change: impl FnOnce(&mut Rules) -> T) -> T {
        self.routes.forget();
        change(&mut self.rules)
    }

    /// Changes a link in both directions.
    pub fn change(&mut self, a: Site, b: Site, change: &Change) {
        self.rule(|rules| {
            rules.change(a, b, change);
            rules.change(b, a, change);
        });
    }

    /// Adds a scripted fault.
    pub fn script(&mut self, fault: Fault) {
        self.script.add(fault);
    }

    /// Scripted faults: still waiting for their frame, and done.
    pub fn scripted(&self) -> (usize, u64) {
        (self.script.waiting(), self.script.met())
    }

    /// Parameters as set, and counts, of one direction of a link.
    pub fn link(&self, from: Site, to: Site) -> (Parameters, Counts) {
        let counts = self.links.get(&(from, to)).map(Link::counts);
        (self.rules.set(from, to), counts.unwrap_or_default())
    }

    /// Frames lost so far for a cause; one of a broadcast that is lost for several sites counts once a link.
    pub fn lost(&self, cause: Cause) -> u64 {
        self.lost.get(&cause).copied().unwrap_or(0)
    }

    /// Frames of a sender that were lost so far.
    pub fn lost_of(&self, from: Site) -> u64 {
        self.lost_of.get(&from).copied().unwrap_or(0)
    }

    /// Links between two sites at present; `None`: there is no way.
    pub fn hops(&mut self, from: Site, to: Site) -> Option<u16> {
        let rules = &self.rules;
        let open = |a, b| rules.open(a, b);
        if matches!(self.graph, Graph::Full { .. }) {
            return (self.graph.joins(from, to) && open(from, to)).then_some(1);
        }
        self.routes.hops(&self.graph, &open, from, to)
    }

    /// Frames on their way.
    pub fn flights(&self) -> usize {
        self.flights.len()
    }

    /// When the next frame on its way comes to a site; [`Fabric::advance`] is wanted then.
    pub fn next_due(&self) -> Option<Nanoseconds> {
        self.flights.peek().map(|flight| flight.due)
    }

    /// A site sends a frame. `keep` is called if it is not there at once, at most once; `land` for each site that it has reached when this returns.
    pub fn send(
        &mut self,
        now: Nanoseconds,
        meta: Meta,
        keep: &mut dyn FnMut() -> K,
        land: &mut dyn FnMut(Landing<'_, K>),
    ) {
        let to = match meta.to {
            To::Site(site) => Some(site),
            To::All => None,
        };
        let mut kept = None;
        let mut flipped = Vec::new();
        let mut twice = false;
        match self.script.judge(meta.from, to, meta.kind) {
            None => {}
            Some(Action::Drop) => {
                return self.lose(now, (meta.from, meta.from), 0, meta, Cause::Script);
            }
            Some(Action::Corrupt(bit)) => flipped.push(bit),
            Some(Action::Duplicate) => twice = true,
            Some(Action::Delay(time)) => {
                let step = Step {
                    at: meta.from,
                    flipped,
                };
                return self.fly(now, now.saturating_add(time), step, meta, keep());
            }
        }
        if twice {
            let step = Step {
                at: meta.from,
                flipped: flipped.clone(),
            };
            self.travel(now, step, meta, &mut kept, keep, land);
        }
        let step = Step {
            at: meta.from,
            flipped,
        };
        self.travel(now, step, meta, &mut kept, keep, land);
    }

    /// Time has come to `now`: frames on their way go on, and land.
    pub fn advance(&mut self, now: Nanoseconds, land: &mut dyn FnMut(Landing<'_, K>)) {
        while self.flights.peek().is_some_and(|flight| flight.due <= now) {
            let Some(flight) = self.flights.pop() else {
                return;
            };
            let step = Step {
                at: flight.at,
                flipped: flight.flipped,
            };
            let meta = flight.meta;
            let mut kept = Some(flight.kept);
            // It goes on when it was due, not when somebody came to look: so links are as fast as they say.
            self.arrive(flight.due, step, meta, &mut kept, &mut || None, land);
        }
    }

    fn lose(&mut self, now: u64, link: (Site, Site), index: u64, meta: Meta, cause: Cause) {
        *self.lost.entry(cause).or_default() += 1;
        *self.lost_of.entry(meta.from).or_default() += 1;
        self.tell(now, link, index, meta, Fate::Lost(cause));
    }

    fn tell(&mut self, now: u64, link: (Site, Site), index: u64, meta: Meta, fate: Fate) {
        if let Some(observer) = &mut self.observer {
            observer(&Record {
                now,
                link,
                index,
                meta,
                fate,
            });
        }
    }

    fn fly(&mut self, now: u64, due: u64, step: Step, meta: Meta, kept: K) {
        if self.flights.len() >= self.limit {
            return self.lose(now, (step.at, step.at), 0, meta, Cause::Flights);
        }
        self.order += 1;
        self.flights.push(Flight {
            due,
            order: self.order,
            at: step.at,
            meta,
            flipped: step.flipped,
            kept,
        });
    }

    /// A frame that its caller has in its hands.
    fn travel(
        &mut self,
        now: Nanoseconds,
        step: Step,
        meta: Meta,
        kept: &mut Option<K>,
        keep: &mut dyn FnMut() -> K,
        land: &mut dyn FnMut(Landing<'_, K>),
    ) {
        self.arrive(now, step, meta, kept, &mut || Some(keep()), land);
    }

    /// A frame is at a site: it lands there, or goes on, or both.
    fn arrive(
        &mut self,
        now: Nanoseconds,
        step: Step,
        meta: Meta,
        kept: &mut Option<K>,
        keep: &mut dyn FnMut() -> Option<K>,
        land: &mut dyn FnMut(Landing<'_, K>),
    ) {
        let own = kept.is_some();
        let mut current = Some(step);
        // Further copies that are there at once. Most frames go one way, and need no list.
        let mut waiting = Vec::new();
        // A copy of a doubled frame goes its own way; a broadcast that loops cannot be, since it follows a tree.
        while let Some(step) = current.take().or_else(|| waiting.pop()) {
            let here = match meta.to {
                To::Site(site) => site == step.at,
                To::All => step.at != meta.from,
            };
            if here {
                land(Landing {
                    to: step.at,
                    from: meta.from,
                    kept: kept.as_ref().filter(|_| own),
                    flipped: &step.flipped,
                });
                if meta.to == To::Site(step.at) {
                    continue;
                }
            }
            let (first, others) = self.onward(now, &step, meta);
            for next in first.into_iter().chain(others) {
                let out = self.pass(now, (step.at, next), meta, &step.flipped);
                for (due, flipped) in out.into_iter().flatten() {
                    let on = Step { at: next, flipped };
                    if due <= now {
                        waiting.push(on);
                        continue;
                    }
                    if kept.is_none() {
                        *kept = keep();
                    }
                    if let Some(kept) = kept.clone() {
                        self.fly(now, due, on, meta, kept);
                    }
                }
            }
        }
    }

    fn is_outside(&self, site: Site) -> bool {
        self.outside.contains(&site)
    }

    /// The sites that a frame goes to from here: one, or those of a broadcast.
    fn onward(&mut self, now: Nanoseconds, step: &Step, meta: Meta) -> (Option<Site>, Vec<Site>) {
        let at = step.at;
        let all = 1..=self.graph.sites();
        match meta.to {
            To::Site(to) if self.is_outside(to) || self.is_outside(at) => {
                let there = self.is_outside(to) || all.contains(&to);
                if there {
                    return (Some(to), Vec::new());
                }
            }
            To::Site(to) => {
                let rules = &self.rules;
                let open = |a, b| rules.open(a, b);
                if let Some(next) = self.routes.next(&self.graph, &open, at, to) {
                    return (Some(next), Vec::new());
                }
            }
            To::All if self.is_outside(at) => {
                // It does not go on from the sites that it reaches: `pass` lands it there by links of their own.
                let others = self.outside.iter().copied().filter(|&site| site != at);
                return match at == meta.from {
                    true => (None, all.chain(others).collect()),
                    false => (None, Vec::new()),
                };
            }
            To::All if self.is_outside(meta.from) => return (None, Vec::new()),
            To::All => {
                let rules = &self.rules;
                let open = |a, b| rules.open(a, b);
                let mut next = self.routes.onward(&self.graph, &open, meta.from, at);
                if at == meta.from {
                    next.extend_from_slice(&self.outside);
                }
                return (None, next);
            }
        }
        self.lose(now, (at, at), 0, meta, Cause::NoWay);
        (None, Vec::new())
    }

    /// What comes out of a link, and when.
    fn pass(
        &mut self,
        now: Nanoseconds,
        link: (Site, Site),
        meta: Meta,
        flipped: &[u64],
    ) -> [Option<(Nanoseconds, Vec<u64>)>; 2] {
        if self.is_outside(link.0) || self.is_outside(link.1) {
            let fate = Fate::Arrives {
                at: now,
                again: None,
                flipped: None,
            };
            self.tell(now, link, 0, meta, fate);
            return [Some((now, flipped.to_vec())), None];
        }
        let parameters = self.rules.of(link.0, link.1);
        let state = self.links.entry(link).or_default();
        let fate = state.judge(&parameters, (self.seed, link), now, meta.size);
        let index = state.index();
        match fate {
            Fate::Lost(cause) => {
                self.lose(now, link, index, meta, cause);
                [None, None]
            }
            Fate::Arrives {
                at,
                again,
                flipped: turned,
            } => {
                self.tell(now, link, index, meta, fate);
                let bits: Vec<u64> = flipped.iter().copied().chain(turned).collect();
                let second = again.map(|again| (again, bits.clone()));
                [Some((at, bits)), second]
            }
        }
    }

    /// The directions of links, in order; of a network that joins everyone with everyone those that frames went over or that have parameters of their own.
    pub fn directions(&self) -> Vec<(Site, Site)> {
        let mut all: Vec<_> = match &self.graph {
            // All pairs would be too many to look at.
            Graph::Full { .. } => {
                let used = self.links.keys().copied();
                used.chain(self.rules.special()).collect()
            }
            Graph::Listed(_) => self
                .graph
                .links()
                .into_iter()
                .flat_map(|(a, b)| [(a, b), (b, a)])
                .collect(),
        };
        all.sort_unstable();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests;
