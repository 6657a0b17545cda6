//! A whole run: sites, what clients do, what harms them, how long; and what it came to.

use super::act::{Act, Stage};
use super::harm::{Harm, Nemesis};
use super::history::says_not_executed;
use super::invariants::{Broken, What};
use super::load::{Clients, Load};
use super::network::Faults;
use super::plant::Plant;
use super::setup::Setup;
use super::trace::Trace;
use super::world::{SEC, World};
use chorus_fabric::{Change, Shape};
use chorus_transport::Counters;
use std::sync::PoisonError;

/// The sites, as a script says them too.
#[derive(Clone, PartialEq, Debug)]
pub struct Cluster {
    /// Decides everything.
    pub seed: u64,
    /// How many.
    pub sites: u16,
    /// How they are joined.
    pub topology: Shape,
    /// What all links do that is not as on one of 0.1 ms without faults.
    pub links: Change,
    /// Sites watch each other.
    pub watch: bool,
    /// Sites say hello when they are switched on; without, thousands are there at once.
    pub hello: bool,
    /// Servers are members of a group.
    pub groups: bool,
    /// Frames are sealed, as those of a cluster are. In clear a run is three times as fast.
    pub seal: bool,
    /// What is wrong on purpose.
    pub plant: Plant,
}

impl Cluster {
    /// Sites that watch each other and whose servers are in a group, on a network of all with all whose links take 0.1 ms.
    pub fn new(seed: u64, sites: u16) -> Cluster {
        Cluster {
            seed,
            sites,
            topology: Shape::Full,
            links: Change::default(),
            watch: true,
            hello: true,
            groups: true,
            seal: false,
            plant: Plant::None,
        }
    }
}

/// When a run is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// After so many events.
    Events(u64),
    /// After so much virtual time, in nanoseconds.
    Time(u64),
}

/// Where the acts of a run come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// From programs.
    Programs {
        /// Clients.
        load: Load,
        /// Nemeses.
        harms: Vec<Harm>,
        /// How long.
        limit: Limit,
    },
    /// From a list, in order of time.
    Script(Vec<(u64, Act)>),
}

/// A run to be made.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The sites.
    pub cluster: Cluster,
    /// What is done.
    pub source: Source,
}

/// What else is wanted of a run.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Keep {
    /// The acts, as a script.
    pub acts: bool,
    /// What happened where and when.
    pub trace: bool,
    /// Everything that links did that was not plain, as single faults.
    pub faults: bool,
}

/// What a run came to.
#[derive(Default, Debug)]
pub struct Report {
    /// Events that happened.
    pub events: u64,
    /// Frames that sites sent.
    pub frames: u64,
    /// Calls made.
    pub calls: u64,
    /// Asynchronous messages sent.
    pub messages: u64,
    /// Calls that were answered; surely not executed; of unknown outcome.
    pub ended: [u64; 3],
    /// Virtual time at the end.
    pub time: u64,
    /// All counters of the sites that were up at the end, added.
    pub counters: Counters,
    /// What was broken first.
    pub broken: Option<Broken>,
    /// What was done.
    pub acts: Vec<(u64, Act)>,
    /// What happened.
    pub trace: Option<Trace>,
    /// What links did that was not plain.
    pub faults: Vec<chorus_fabric::Record>,
}

/// Sites have met by then.
const MEETING: u64 = 2 * SEC;
/// Calls have ended so long after all is healed.
const ENDING: u64 = 60 * SEC;
/// What is remembered of ended calls is gone so long after that.
const FORGETTING: u64 = 70 * SEC;

impl Scenario {
    /// Makes the run. Errors: a sentence, when the topology is not for so many sites.
    pub fn run(&self, keep: Keep) -> Result<Report, String> {
        let cluster = &self.cluster;
        let setup = Setup {
            graph: Some(cluster.topology.graph(cluster.sites, cluster.seed)?),
            links: cluster.links,
            watch: cluster.watch,
            hello: cluster.hello,
            seal: cluster.seal,
            // Who seals notices turned bits by himself.
            checksum: !cluster.seal,
            ..Setup::new(cluster.seed, cluster.sites, Faults::NONE)
        };
        let mut world = World::build(&setup, |_| {});
        world.stops = true;
        world.keeps = false;
        world.plant = cluster.plant;
        world.trace = keep.trace.then(Trace::default);
        let records = keep.faults.then(|| world.observe_faults());
        let mut stage = Stage::new(world, cluster.groups);
        stage.world.run_until(MEETING);
        let mut acts = Vec::new();
        match &self.source {
            Source::Programs { load, harms, limit } => {
                self.programs(
                    &mut stage,
                    load,
                    harms,
                    *limit,
                    keep.acts.then_some(&mut acts),
                );
            }
            Source::Script(script) => {
                for (time, act) in script {
                    stage.world.run_until(*time);
                    if stage.world.broken.is_some() {
                        break;
                    }
                    stage.act(act);
                    if keep.acts {
                        acts.push((*time, act.clone()));
                    }
                }
            }
        }
        stage.finish(cluster.watch);
        let mut report = stage.report();
        report.acts = acts;
        report.trace = stage.world.trace.take();
        for event in report.trace.iter_mut().flat_map(|trace| &mut trace.calls) {
            event.2 = stage.tag(event.2);
        }
        if let Some(records) = records {
            report.faults =
                std::mem::take(&mut *records.lock().unwrap_or_else(PoisonError::into_inner));
        }
        Ok(report)
    }

    fn programs(
        &self,
        stage: &mut Stage,
        load: &Load,
        harms: &[Harm],
        limit: Limit,
        mut kept: Option<&mut Vec<(u64, Act)>>,
    ) {
        let Cluster { seed, sites, .. } = self.cluster;
        let begin = stage.world.now;
        let mut clients = Clients::new(*load, seed, sites, begin);
        let mut nemeses: Vec<Nemesis> = harms
            .iter()
            .zip(0..)
            .map(|(harm, number)| Nemesis::new(*harm, number, seed, sites, begin))
            .collect();
        let mut acts = Vec::new();
        loop {
            let first = nemeses.iter().map(Nemesis::next).min();
            let time = first.map_or(clients.next, |first| first.min(clients.next));
            stage.world.run_until(time);
            let over = match limit {
                Limit::Events(events) => stage.world.steps >= events,
                Limit::Time(limit) => time >= begin.saturating_add(limit),
            };
            if over || stage.world.broken.is_some() {
                return;
            }
            for nemesis in nemeses.iter_mut().filter(|nemesis| nemesis.next() <= time) {
                nemesis.step(stage, &mut acts);
            }
            if clients.next <= time {
                clients.step(stage, &mut acts);
            }
            for act in acts.drain(..) {
                stage.act(&act);
                if let Some(kept) = &mut kept {
                    kept.push((time, act));
                }
            }
        }
    }
}

impl Stage {
    /// All is mended; all calls end; then nothing may be left, and all sites know the same.
    fn finish(&mut self, watch: bool) {
        let world = &mut self.world;
        if world.broken.is_none() {
            self.mend();
            self.world.run(ENDING);
        }
        let world = &mut self.world;
        let hangs = world.judge.finish();
        if let (None, Err((call, violation))) = (world.broken, hangs) {
            let broken = Broken::promise(world.now, 0, call, violation);
            world.breaks(broken);
        }
        if world.broken.is_none() {
            world.run(FORGETTING);
        }
        if world.broken.is_none() {
            world.look_for_leaks(watch);
        }
    }

    fn report(&self) -> Report {
        let world = &self.world;
        let mut report = Report {
            events: world.steps,
            frames: world.frames,
            calls: world.plans.len() as u64,
            messages: world.messages.into(),
            time: world.now,
            broken: world.broken,
            ..Report::default()
        };
        if let Some(broken) = &mut report.broken
            && let What::Call(call, _) = &mut broken.what
        {
            *call = self.tag(*call);
        }
        for result in world.judge.results() {
            let place = match result {
                0 => 0,
                error if says_not_executed(error) => 1,
                _ => 2,
            };
            report.ended[place] += 1;
        }
        for site in 1..=world.sites.len() as u16 {
            report.counters.add(&world.counters(site));
        }
        report
    }
}

impl World {
    /// What is left in the tables of sites, now that all has ended a while ago.
    fn look_for_leaks(&mut self, watch: bool) {
        let mut first = None;
        for site in 1..=self.sites.len() as u16 {
            let sizes = self.sizes(site);
            let requests = self.site(site).nucleus.requests.len() as u64;
            // A site that watches has a time for that, one for each of two that it waits for, and one while it asks for lists of members.
            let timers = sizes.timers.saturating_sub(4 * u64::from(watch));
            let left = [
                ("calls", sizes.calls),
                ("kept local messages", sizes.outbound_bytes),
                ("searches", sizes.searches),
                ("waiting messages", sizes.waiting_sends),
                ("server channels", sizes.server_channels),
                ("requests in service", sizes.serving),
                ("moves", sizes.moves),
                ("kept replies", sizes.kept_bytes),
                ("incomplete messages", sizes.assembly_bytes),
                ("timers", timers),
                ("the queues of servers", requests),
            ];
            let time = self.now;
            let mut breaks = |what| {
                self.breaks(Broken { time, site, what });
            };
            if let Some((table, left)) = left.into_iter().find(|(_, left)| *left > 0) {
                breaks(What::Leak(table, left));
            }
            let endpoint = self.sites[usize::from(site) - 1].endpoint.as_ref();
            let view = endpoint.map(chorus_transport::Endpoint::view_digest);
            if watch && *first.get_or_insert(view) != view {
                let (time, what) = (self.now, What::Views);
                self.breaks(Broken { time, site, what });
            }
        }
    }
}
