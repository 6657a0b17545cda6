//! From a run in which something broke to the shortest script that still breaks the same.
//!
//! First whole stretches of what was done are left out, then single acts; what links did by chance becomes single faults, of which again those are left out that are not needed; then each act is
//! made as simple as it can be, sites that nothing happens to go, and so does time in which nothing is done. Every candidate is run: only what breaks the same promise is kept.

use super::act::{Act, Ends, Target};
use super::invariants::{Broken, What};
use super::scenario::{Cluster, Keep, Scenario, Source};
use super::site::Plan;
use super::world::{MS, SEC};
use chorus_fabric::{Action, Cause, Change, Fate, Fault, Record, Shape, To};
use std::collections::{BTreeMap, BTreeSet};

/// A script that breaks something.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The run.
    pub scenario: Scenario,
    /// What it breaks.
    pub broken: Broken,
    /// Acts of the script.
    pub acts: usize,
    /// Acts of the run that it was made from.
    pub before: usize,
    /// Runs that were made.
    pub runs: u64,
}

type Script = Vec<(u64, Act)>;

struct Shrinking<'a> {
    cluster: Cluster,
    script: Script,
    wanted: What,
    runs: u64,
    most: u64,
    progress: &'a mut dyn FnMut(u64, usize),
}

/// Whether the same kind of thing was broken.
pub fn same(a: What, b: What) -> bool {
    match (a, b) {
        (What::Call(_, a), What::Call(_, b)) | (What::Message(_, a), What::Message(_, b)) => a == b,
        (What::Bound(a), What::Bound(b)) | (What::Leak(a, _), What::Leak(b, _)) => a == b,
        (a, b) => std::mem::discriminant(&a) == std::mem::discriminant(&b),
    }
}

/// Shrinks a run, with at most so many runs; `progress` is told of runs made and acts left. `None`: nothing breaks in it.
pub fn shrink(
    scenario: &Scenario,
    most: u64,
    progress: &mut dyn FnMut(u64, usize),
) -> Option<Shrunk> {
    let keep = Keep {
        acts: true,
        ..Keep::default()
    };
    let report = scenario.run(keep).ok()?;
    let mut shrinking = Shrinking {
        cluster: scenario.cluster.clone(),
        wanted: report.broken?.what,
        script: report.acts,
        runs: 1,
        most,
        progress,
    };
    let before = shrinking.script.len();
    // As a script it must break too: acts come before the events of their time in both.
    shrinking.breaks(&shrinking.cluster.clone(), &shrinking.script.clone())?;
    shrinking.leave_out();
    shrinking.faults_for_chance();
    shrinking.leave_out();
    shrinking.simplify();
    shrinking.leave_out();
    shrinking.fewer_sites();
    shrinking.less_time();
    shrinking.number_anew();
    let (cluster, script) = (shrinking.cluster.clone(), shrinking.script.clone());
    let broken = shrinking.breaks(&cluster, &script)?;
    Some(Shrunk {
        acts: script.len(),
        scenario: Scenario {
            cluster,
            source: Source::Script(script),
        },
        broken,
        before,
        runs: shrinking.runs,
    })
}

impl Shrinking<'_> {
    /// Runs a candidate; what it breaks, if that is the same.
    fn breaks(&mut self, cluster: &Cluster, script: &[(u64, Act)]) -> Option<Broken> {
        self.runs += 1;
        (self.progress)(self.runs, self.script.len());
        let scenario = Scenario {
            cluster: cluster.clone(),
            source: Source::Script(script.to_vec()),
        };
        let broken = scenario.run(Keep::default()).ok()?.broken?;
        same(broken.what, self.wanted).then_some(broken)
    }

    fn may_go_on(&self) -> bool {
        self.runs < self.most
    }

    /// Takes a candidate if it breaks the same.
    fn take(&mut self, cluster: Cluster, script: Script) -> bool {
        let broken = self.breaks(&cluster, &script);
        let Some(broken) = broken else {
            return false;
        };
        self.cluster = cluster;
        self.script = script;
        // What comes after the break is of no use.
        if !matches!(broken.what, What::Leak(..) | What::Views) {
            self.script.retain(|(time, _)| *time <= broken.time);
        }
        true
    }

    /// Leaves out stretches of acts, shorter and shorter ones, until none can be left out (Zeller's ddmin, complements only).
    fn leave_out(&mut self) {
        let mut length = self.script.len().div_ceil(2);
        while length > 0 {
            let mut at = 0;
            let mut any = false;
            while at < self.script.len() && self.may_go_on() {
                let end = (at + length).min(self.script.len());
                let mut script = self.script[..at].to_vec();
                script.extend_from_slice(&self.script[end..]);
                let taken = self.take(self.cluster.clone(), script);
                any |= taken;
                if !taken {
                    at = end;
                }
            }
            if !self.may_go_on() {
                return;
            }
            if length > 1 {
                length = length.div_ceil(2);
            } else if !any {
                return;
            }
        }
    }

    /// What links did by chance as single faults, if that breaks the same. Only where frames go over one link: a fault is met by the frame that its sender sends.
    fn faults_for_chance(&mut self) {
        if self.cluster.topology != Shape::Full {
            return;
        }
        let scenario = Scenario {
            cluster: self.cluster.clone(),
            source: Source::Script(self.script.clone()),
        };
        let keep = Keep {
            faults: true,
            ..Keep::default()
        };
        self.runs += 1;
        let Ok(report) = scenario.run(keep) else {
            return;
        };
        let first = self.script.first().map_or(2 * SEC, |(time, _)| *time);
        let mut script: Script = faults(&report.faults)
            .into_iter()
            .map(|fault| (first, Act::Fault { fault }))
            .collect();
        let rest = self.script.iter().filter_map(|(time, act)| match act {
            Act::Set { ends, change } => {
                let change = certain(change);
                let act = Act::Set {
                    ends: *ends,
                    change,
                };
                (!change.is_empty()).then_some((*time, act))
            }
            act => Some((*time, act.clone())),
        });
        script.extend(rest);
        let cluster = Cluster {
            links: certain(&self.cluster.links),
            ..self.cluster.clone()
        };
        self.take(cluster, script);
    }

    /// Each act as simple as it can be.
    fn simplify(&mut self) {
        let mut at = 0;
        while at < self.script.len() {
            for what in 0..SIMPLER {
                // A break that came earlier may have cut the script off.
                let Some((time, act)) = self.script.get(at) else {
                    break;
                };
                let simpler = simpler(act, what, self.cluster.sites);
                if simpler != *act && self.may_go_on() {
                    let mut script = self.script.clone();
                    script[at] = (*time, simpler);
                    self.take(self.cluster.clone(), script);
                }
            }
            at += 1;
        }
        for change in [
            |cluster: &mut Cluster| cluster.watch = false,
            |cluster: &mut Cluster| cluster.groups = false,
        ] {
            let mut cluster = self.cluster.clone();
            change(&mut cluster);
            if cluster != self.cluster && self.may_go_on() {
                self.take(cluster, self.script.clone());
            }
        }
    }

    /// Sites that nothing happens to go, and the others are numbered anew.
    fn fewer_sites(&mut self) {
        if self.cluster.topology != Shape::Full {
            return;
        }
        let mut used = BTreeSet::new();
        for (_, act) in &mut self.script {
            each_site(act, &mut |site| {
                used.insert(*site);
            });
        }
        used.retain(|site| *site > 0 && *site <= self.cluster.sites);
        let new: BTreeMap<u16, u16> = used.iter().copied().zip(1..).collect();
        let mut script = self.script.clone();
        for (_, act) in &mut script {
            each_site(act, &mut |site| *site = new.get(site).copied().unwrap_or(0));
        }
        let mut cluster = self.cluster.clone();
        cluster.sites = (used.len() as u16).max(2);
        if cluster.sites < self.cluster.sites {
            self.take(cluster, script);
        }
    }

    /// Calls are numbered from 1.
    fn number_anew(&mut self) {
        let mut script = self.script.clone();
        let mut numbers = BTreeMap::new();
        for (_, act) in &mut script {
            if let Act::Call { tag, .. } | Act::Leave { tag } = act {
                let next = numbers.len() as u32 + 1;
                *tag = *numbers.entry(*tag).or_insert(next);
            }
        }
        self.take(self.cluster.clone(), script);
    }

    /// Time in which nothing is done goes, and times become round.
    fn less_time(&mut self) {
        for gap in [MS, 10 * MS, 100 * MS, SEC] {
            let mut script = self.script.clone();
            let (mut last, mut now) = (2 * SEC, 2 * SEC);
            for (time, _) in &mut script {
                now += time.saturating_sub(last).min(gap).div_ceil(MS / 10) * (MS / 10);
                last = *time;
                *time = now;
            }
            if script != self.script && self.may_go_on() && self.take(self.cluster.clone(), script)
            {
                return;
            }
        }
    }
}

/// Ways in which [`simpler`] makes an act simpler.
const SIMPLER: usize = 8;

/// An act made simpler in one way, or as it was.
fn simpler(act: &Act, what: usize, sites: u16) -> Act {
    let mut act = act.clone();
    match &mut act {
        Act::Call {
            body,
            plan,
            to,
            from,
            ..
        } => match what {
            0 => (*body, *plan) = (0, Plan::NULL),
            1 => *body = 0,
            2 => plan.reply = 0,
            3 => plan.annex = false,
            4 => plan.queue = 0,
            5 => plan.service = 0,
            6 if plan.service > 0 => plan.service = plan.service.div_ceil(SEC) * SEC,
            7 if *to == Target::Group => *to = Target::Site(*from % sites + 1),
            _ => {}
        },
        Act::Send { body, .. } => *body = 0,
        Act::Migrate { drop, .. } => *drop = false,
        // Perhaps the first frame does as well; those before it are then not needed.
        Act::Fault { fault } => fault.nth = 1,
        _ => {}
    }
    act
}

/// Goes through all numbers of sites in an act.
fn each_site(act: &mut Act, see: &mut dyn FnMut(&mut u16)) {
    match act {
        Act::Call { from, to, .. } | Act::Send { from, to, .. } => {
            see(from);
            if let Target::Site(site) | Target::Nowhere(site) = to {
                see(site);
            }
        }
        Act::Migrate { server, to, .. } => {
            see(server);
            see(to);
        }
        Act::Replace { site }
        | Act::Kill { site }
        | Act::Restart { site }
        | Act::Pause { site }
        | Act::Resume { site } => see(site),
        Act::Set { ends, .. } => {
            if let Ends::Both(a, b) | Ends::OneWay(a, b) = ends {
                see(a);
                see(b);
            }
        }
        Act::Partition { parts } => {
            for part in parts {
                part.iter_mut().for_each(&mut *see);
                part.retain(|site| *site > 0);
            }
        }
        Act::Fault { fault } => {
            for site in [&mut fault.from, &mut fault.to].into_iter().flatten() {
                see(site);
            }
        }
        Act::Leave { .. } | Act::Heal => {}
    }
}

/// A change of links without what happens by chance.
fn certain(change: &Change) -> Change {
    Change {
        loss: None,
        burst: None,
        duplicate: None,
        reorder: None,
        corrupt: None,
        jitter: None,
        ..*change
    }
}

/// Frames that met something, as faults that their senders' frames meet.
fn faults(records: &[Record]) -> Vec<Fault> {
    let mut counts: BTreeMap<(u16, u16, u8), u64> = BTreeMap::new();
    let mut faults = Vec::new();
    for record in records {
        let To::Site(to) = record.meta.to else {
            continue;
        };
        let from = record.meta.from;
        let kind = record.meta.kind;
        let nth = counts.entry((from, to, kind)).or_default();
        *nth += 1;
        let action = match record.fate {
            Fate::Lost(Cause::Loss | Cause::Burst) => Action::Drop,
            Fate::Arrives {
                flipped: Some(bit), ..
            } => Action::Corrupt(bit),
            Fate::Arrives { again: Some(_), .. } => Action::Duplicate,
            Fate::Arrives { at, .. } if at > record.now + MS / 10 => {
                Action::Delay(at - record.now - MS / 10)
            }
            _ => continue,
        };
        faults.push(Fault {
            from: Some(from),
            to: Some(to),
            kind: Some(kind),
            nth: *nth,
            action,
        });
    }
    faults
}
