//! An episode: a site and the model of it, and random calls that are made in both.

use super::super::{invariants, site::Site};
use super::model::{Expected, Model};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;
use crate::ipc::Port;
use crate::machine::Machine;
use chorus_abi::error::*;
use chorus_abi::table::number;
use chorus_abi::*;
use std::collections::BTreeMap;
use std::format;
use std::prelude::rust_2024::*;

/// Messages that the site has room for.
pub const MESSAGES: usize = 256;
/// Groups of an episode.
pub(super) const GROUPS: u32 = 3;
/// Threads of an actor at a time.
pub(super) const THREADS: usize = 5;
/// Ports at a time.
pub(super) const PORTS: usize = 14;
/// Nanoseconds of a millisecond.
pub(super) const MS: u64 = 1_000_000;

/// Where a thread's arguments lie in the memory of its actor.
pub(super) const AREA: u64 = 0x200;
pub(super) const REQUEST: u64 = 0;
pub(super) const DEST: u64 = 0x40;
pub(super) const ANSWER: u64 = 0x60;
pub(super) const LI: u64 = 0xa0;
pub(super) const SENT: u64 = 0xa8;
pub(super) const GOT: u64 = 0xb0;
pub(super) const CAP: u64 = 0xc0;
pub(super) const UI: u64 = 0xd0;
pub(super) const LIMIT: u64 = 0xe0;
pub(super) const CAP_TO: u64 = 0xf0;
pub(super) const HEAD: u64 = 0x100;
pub(super) const SETTING: u64 = 0x140;
pub(super) const OLD: u64 = 0x160;
pub(super) const REGION: u64 = 0x180;
pub(super) const REGION_FROM: u64 = 0x1b8;
pub(super) const OVERRUN: u64 = 0x1f0;
/// A body that is not received at once; what is written there says nothing.
pub(super) const NOWHERE: u64 = 0x1f8;
/// Where structures lie that threads wait for.
pub(super) const SEMAPHORES: u64 = 0x100;
pub(super) const MUTEXES: u64 = 0x140;
pub(super) const THREAD_SEMAPHORES: u64 = 0x110;
pub(super) const EVENTS: u64 = 0x120;
pub(super) const POOLS: u64 = 0x130;
pub(super) const REAL_TIME: u64 = 0x150;
/// Where lists go.
pub(super) const STAT: u64 = 0x3000;
/// Where handlers are: an address of supervisor space.
pub(super) const ROUTINE: u64 = crate::sim::exceptions::ROUTINE;

/// One step, as drawn: what it means depends on what there is by then.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub(super) cpu: u8,
    pub(super) op: u8,
    pub(super) a: u8,
    pub(super) b: u8,
    pub(super) c: u8,
}

/// What an episode's site is like.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Processors.
    cpus: usize,
    /// With the fast path of messages; the results are the same without.
    fast: bool,
}

impl Step {
    /// The setting and the steps of a seed.
    pub fn all_of(seed: u64, count: usize) -> (Setting, Vec<Step>) {
        // SplitMix64 (Steele, Lea, Flood 2014).
        let mut state = seed.wrapping_mul(0x2545_f491_4f6c_dd1d);
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ mixed >> 31).to_le_bytes()
        };
        let [cpus, fast, ..] = next();
        let setting = Setting {
            cpus: 1 + usize::from(cpus) % 4,
            fast: fast % 4 != 0,
        };
        let step = |[cpu, op, a, b, c, ..]: [u8; 8]| Step { cpu, op, a, b, c };
        let steps = (0..count).map(|_| step(next())).collect();
        (setting, steps)
    }
}

/// The two, and which of the one is which of the other.
pub struct Episode {
    pub(super) site: Site,
    pub(super) model: Model,
    pub(super) cpus: usize,
    pub(super) actors: Vec<Id<Actor>>,
    pub(super) caps: Vec<KnCap>,
    pub(super) threads: Vec<Id<Thread>>,
    /// Which area of its actor's memory is a thread's.
    pub(super) areas: Vec<u64>,
    /// Name, and LI for its actor.
    pub(super) ports: Vec<(KnUniqueId, i32)>,
    pub(super) port_ids: Vec<Id<Port>>,
    pub(super) groups: Vec<KnCap>,
    /// LI of each timer.
    pub(super) timers: Vec<i32>,
    pub(super) soft: Vec<KnSoftIntr>,
    /// A thread that is never held, where there is a processor for it.
    pub(super) boss: Option<usize>,
    pub(super) made: u64,
    pub(super) last: &'static str,
    /// How often each call gave what; nothing: it waited.
    pub(super) tally: Tally,
    /// The calls, where they are wanted.
    pub(super) log: Option<Vec<String>>,
}

/// Calls by name and result, counted.
pub type Tally = BTreeMap<(&'static str, Option<i32>), u64>;

pub(super) type Checked = Result<(), String>;

impl Episode {
    pub fn new(Setting { cpus, fast }: Setting, told: bool) -> Episode {
        let mut episode = Episode {
            site: Site::new(cpus),
            model: Model::default(),
            cpus,
            actors: Vec::new(),
            caps: Vec::new(),
            threads: Vec::new(),
            areas: Vec::new(),
            ports: Vec::new(),
            port_ids: Vec::new(),
            groups: Vec::new(),
            timers: Vec::new(),
            soft: Vec::new(),
            boss: None,
            made: 0,
            last: "nothing",
            tally: Tally::new(),
            log: told.then(Vec::new),
        };
        episode.site.nucleus.without_fast_path = !fast;
        if cpus > 1 {
            let boss = episode.add_actor(K_SYSTEMACTOR, 0);
            episode.boss = Some(episode.add_thread(boss));
        }
        for kind in [K_SYSTEMACTOR, K_USERACTOR, K_SYSTEMACTOR, K_SUPACTOR] {
            let actor = episode.add_actor(kind, 140);
            for _ in 0..3 {
                episode.add_thread(actor);
            }
        }
        for stamp in 0..GROUPS {
            let ui = KnUniqueId::static_group(false, stamp);
            let home = episode.actors[0];
            let cap = episode.site.at(home, AREA);
            let runs = episode.site.nucleus.running(0).unwrap();
            let at = episode
                .threads
                .iter()
                .position(|&thread| thread == runs)
                .unwrap();
            let by = episode.actors[episode.model.threads[at].actor];
            let cap = cap - episode.site.at(home, 0) + episode.site.at(by, 0);
            let arguments = [K_STATUSER as u64, cap, stamp.into()];
            assert_eq!(
                episode.site.call_on(0, number::grp_allocate, &arguments),
                Some(K_OK)
            );
            let cap: KnCap = episode.site.get(by, AREA);
            assert_eq!(cap.ui, ui);
            episode.groups.push(cap);
            episode.model.groups.push(Default::default());
        }
        episode
    }

    pub(super) fn add_actor(&mut self, kind: i32, priority: i32) -> usize {
        let id = self.site.actor(kind, priority);
        let cap = self.site.nucleus.actors.get(id).unwrap().cap;
        self.actors.push(id);
        self.caps.push(cap);
        let actor = self.model.add_actor(kind, priority);
        self.note_port(cap.ui, K_DEFAULTPORT);
        self.model.add_port(actor, true, KnProtId::default());
        actor
    }

    /// Notes a port that there is.
    pub(super) fn note_port(&mut self, ui: KnUniqueId, li: i32) {
        let id = self.site.nucleus.port_by_ui(ui);
        self.ports.push((ui, li));
        self.port_ids.push(id.expect("no port of that name"));
    }

    /// Notes a thread that there is.
    pub(super) fn note_thread(&mut self, actor: usize, id: Id<Thread>, relative: i32) -> usize {
        let taken: Vec<u64> = self
            .model
            .threads_of(actor)
            .iter()
            .map(|&at| self.areas[at])
            .collect();
        let area = (1..)
            .map(|slot| slot * AREA)
            .find(|area| !taken.contains(area))
            .unwrap();
        self.areas.push(area);
        self.threads.push(id);
        self.model.add_thread(actor, relative)
    }

    pub(super) fn add_thread(&mut self, actor: usize) -> usize {
        let id = self.site.thread(self.actors[actor]);
        self.note_thread(actor, id, 0)
    }

    /// Puts a value into the area of a thread; its address.
    pub(super) fn put<T: zerocopy::IntoBytes + zerocopy::Immutable>(
        &mut self,
        of: usize,
        offset: u64,
        value: &T,
    ) -> u64 {
        let actor = self.actors[self.model.threads[of].actor];
        self.site.put(actor, self.areas[of] + offset, value)
    }

    pub(super) fn get<T: zerocopy::FromBytes + zerocopy::IntoBytes>(
        &mut self,
        of: usize,
        offset: u64,
    ) -> T {
        let actor = self.actors[self.model.threads[of].actor];
        self.site.get(actor, self.areas[of] + offset)
    }

    /// Makes the steps; how many calls were made, and what they gave.
    pub fn run(mut self, steps: &[Step]) -> Result<(u64, Tally), String> {
        for (at, step) in steps.iter().enumerate() {
            self.site.nucleus.machine.clock += 1;
            self.model.now = self.site.nucleus.machine.clock;
            // Which member of a group: the texts leave it open, so that the Nucleus says.
            self.model.turn = self.site.nucleus.ipc.rotation;
            let cpu = usize::from(step.cpu) % self.cpus;
            let done = match self.site.nucleus.running(cpu) {
                Some(thread) => {
                    let caller = self.threads.iter().rposition(|&other| other == thread);
                    let caller = caller.ok_or("a thread runs that the model does not know")?;
                    self.step(cpu, caller, *step)
                }
                None => self.pass(u64::from(step.c) * MS),
            };
            let whole = at % 64 == 0 || at + 1 == steps.len();
            let seen = done.and_then(|()| self.compare(whole));
            seen.map_err(|error| {
                let log = self.log.take().unwrap_or_default().join("\n");
                format!("step {at}, {}: {error}\n{log}", self.last)
            })?;
            if whole {
                invariants::check(&self.site.nucleus);
            }
        }
        self.site.end();
        let (free, total) = self.site.nucleus.machine.frames();
        same!(free, total, "frames at the end");
        Ok((self.made, self.tally))
    }

    pub(super) fn pass(&mut self, nanoseconds: u64) -> Checked {
        self.last = "time passes";
        self.site.pass(nanoseconds);
        let Episode {
            site,
            model,
            actors,
            areas,
            ..
        } = self;
        let now = site.nucleus.machine.clock;
        model.pass(now, &mut |actor, thread| {
            site.get(actors[actor], areas[thread] + GOT)
        });
        Ok(())
    }

    /// Makes a call, and looks whether the caller sees what the model says; the result, if it returned.
    pub(super) fn call(
        &mut self,
        cpu: usize,
        caller: usize,
        name: u16,
        arguments: &[u64],
        expected: Expected,
    ) -> Result<i32, String> {
        self.made += 1;
        self.last = table::CALLS
            .iter()
            .find(|call| call.number == name)
            .map_or("?", |call| call.name);
        let result = self.site.call_on(cpu, name, arguments);
        if let Some(log) = &mut self.log {
            let number = self.made;
            let name = self.last;
            log.push(format!("{number}: thread {caller} {name} {arguments:x?} gives {result:?}, should {expected:?}"));
        }
        // What is no error is one thing.
        *self
            .tally
            .entry((self.last, result.map(|result| result.min(K_OK))))
            .or_default() += 1;
        let id = self.threads[caller];
        // Memory that goes is given back when a processor has nothing more urgent to do, for which the model does not wait.
        while self.site.nucleus.going() > 0 {
            self.site.nucleus.reap(cpu);
            self.site.settle();
        }
        // A call that had to wait for another processor has returned by now.
        let result = result.or_else(|| self.site.result(id));
        match expected {
            Expected::Returns(value) => same!(result, Some(value), "the result"),
            Expected::Brings(value, body) => {
                same!(result, Some(value), "the result");
                same!(self.get::<u64>(caller, GOT), body, "the body");
            }
            Expected::Waits | Expected::Nothing => {}
        }
        Ok(result.unwrap_or(K_OK))
    }

    /// Notes what a call is about.
    pub(super) fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(what());
        }
    }
}
