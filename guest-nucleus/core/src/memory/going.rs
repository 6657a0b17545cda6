//! What goes: memory that nobody can see any more is given back in steps.
//!
//! A call that frees memory takes it out of everybody's sight at once, which is short. What takes long, giving its frames back page by page, is put into a
//! queue here, and a processor makes it step after step when nothing more urgent is to run: the work is queued with the threads, at the priority of whoever
//! caused it ([`Nucleus::schedule`] says `Reap`). The caller waits until all that it caused is done. So between two steps interrupts are heard and a more urgent thread
//! runs, and since the work belongs to no thread, nothing is lost when its caller is deleted meanwhile.
//!
//! In the queue are caches that nobody maps (their pages go, or move to the one child that is left), caches of which regions show less than before, and actors
//! that have no thread left. A frame that goes is as good as free: who finds none makes a step himself.

use super::caches::Cache;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, Wait};
use crate::machine::{Cpu, Frame, Machine, Space};
use crate::nucleus::{Nucleus, Outcome};
use alloc::vec::Vec;

/// Pages that a call gives back itself.
const AT_ONCE: u32 = 8;
/// Pages that are given back in a step.
const STEP: u32 = 24;
/// Entries of a table that a step looks at.
const ENTRIES: usize = 256;

/// What goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Goes {
    /// A cache that nobody maps, or less of than before.
    Cache(Id<Cache>),
    /// An actor without threads: its regions, its tables, then itself. Caches from this slot on may still be counted with it.
    Actor(Id<Actor>, usize),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    what: Goes,
    /// How urgent it is: the priority of whoever caused it, or waits for it.
    level: u8,
    /// Who waits until all is gone that it caused.
    of: Option<Id<Thread>>,
}

/// The queue.
pub(crate) struct Going {
    queue: Vec<Entry>,
    /// For whom the step under way is made.
    step: Option<(u8, Option<Id<Thread>>)>,
    /// Something was put here since somebody looked.
    more: bool,
    /// Pages that a call gives back itself.
    pub(crate) at_once: u32,
    /// Pages that are given back in a step.
    pub(crate) in_step: u32,
}

impl Going {
    /// Room for all caches and actors.
    pub fn new(caches: usize, actors: usize) -> Self {
        Going {
            queue: Vec::with_capacity(caches + actors),
            step: None,
            more: false,
            at_once: AT_ONCE,
            in_step: STEP,
        }
    }

    /// Whether there is nothing to be done.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What is done next: of the most urgent the last, which others may wait for.
    fn next(&self) -> Option<usize> {
        let all = self.queue.iter().enumerate();
        all.rev()
            .min_by_key(|(_, entry)| entry.level)
            .map(|(at, _)| at)
    }

    fn has(&self, what: impl Fn(&Entry) -> bool) -> bool {
        self.queue.iter().any(what)
    }
}

impl<M: Machine> Nucleus<M> {
    fn going_push(&mut self, what: Goes, level: u8, of: Option<Id<Thread>>) {
        let going = &mut self.memory.going;
        // Within the room of boot: each cache and each actor is here once.
        going.queue.push(Entry { what, level, of });
        going.more = true;
        self.reaper_changed();
    }

    /// How urgent what is caused now is, and who waits for it.
    fn cause(&self) -> (u8, Option<Id<Thread>>) {
        if let Some(step) = self.memory.going.step {
            return step;
        }
        let thread = self.entered.and_then(|cpu| self.running(cpu));
        match thread {
            Some(thread) => (self.absolute(thread).clamp(0, 255) as u8, Some(thread)),
            None => (u8::MAX, None),
        }
    }

    /// The rest of what is to be done with a cache is done in steps.
    pub(super) fn cache_later(&mut self, id: Id<Cache>) {
        let Some(cache) = self.memory.caches.get_mut(id) else {
            return;
        };
        if !core::mem::replace(&mut cache.going, true) {
            let (level, of) = self.cause();
            self.going_push(Goes::Cache(id), level, of);
        }
    }

    /// An actor has lost its last thread: its memory goes, then its end is told.
    pub(crate) fn actor_goes(&mut self, id: Id<Actor>) {
        let is = |entry: &Entry| matches!(entry.what, Goes::Actor(actor, _) if actor == id);
        if self.memory.going.has(is) {
            return;
        }
        if self.memory.going.at_once > 0 && self.is_small(id) {
            let step = self.memory.going.step;
            let level = self.actor_level(id);
            self.memory.going.step = step.or(Some((level, None)));
            self.actor_empty(id);
            self.memory.going.step = step;
            let mut from = 0;
            if self.actor_over(id, &mut from) || self.actor_over(id, &mut from) {
                return self.actor_gone(id);
            }
        }
        let level = self.actor_level(id);
        self.going_push(Goes::Actor(id, 0), level, None);
    }

    /// How urgent an actor's end is: as the actor is, or as whoever waits for it.
    fn actor_level(&self, id: Id<Actor>) -> u8 {
        let own = self.actors.get(id).map_or(255, |actor| actor.priority);
        let threads = self.threads.iter();
        let waits = threads.filter(|(_, thread)| thread.wait == Wait::Gone(id));
        let best = waits.map(|(_, thread)| self.absolute_of(thread)).min();
        own.min(best.unwrap_or(255)).clamp(0, 255) as u8
    }

    /// Whether the memory of an actor is gone as fast as a few pages of a large one.
    fn is_small(&self, id: Id<Actor>) -> bool {
        let few = self.regions_by_address(id).take(5).count() < 5;
        few && self
            .actors
            .get(id)
            .is_some_and(|actor| actor.pages <= 2 * AT_ONCE)
    }

    fn actor_empty(&mut self, id: Id<Actor>) {
        while let Some(region) = self.actors.get(id).and_then(|actor| actor.regions) {
            let Some(&region) = self.memory.regions.get(region) else {
                return;
            };
            self.region_free(id, region.start, region.end());
        }
    }

    /// Somebody waits for the end of an actor: it is as urgent as he is.
    pub(crate) fn actor_awaited(&mut self, id: Id<Actor>, by: Id<Thread>) {
        let wanted = self.absolute(by).clamp(0, 255) as u8;
        let mut all = self.memory.going.queue.iter_mut();
        let found = all.find(|entry| matches!(entry.what, Goes::Actor(actor, _) if actor == id));
        if let Some(entry) = found {
            entry.level = entry.level.min(wanted);
            self.reaper_changed();
        }
    }

    /// The outcome of a call that may have made something go: its caller waits until that is gone.
    #[inline]
    pub(crate) fn after_going(&mut self, thread: Id<Thread>, outcome: Outcome) -> Outcome {
        if !self.memory.going.more {
            return outcome;
        }
        self.await_gone(thread, outcome)
    }

    #[cold]
    #[inline(never)]
    fn await_gone(&mut self, id: Id<Thread>, outcome: Outcome) -> Outcome {
        self.memory.going.more = false;
        let Outcome::Done(result) = outcome else {
            return outcome;
        };
        // In the middle of an interrupt nobody can wait.
        let waits = self.threads.get(id).is_some_and(|it| !it.dying)
            && self.entered.is_some_and(|cpu| !self.in_interrupt(cpu))
            && self.memory.going.has(|entry| entry.of == Some(id));
        if !waits {
            return outcome;
        }
        self.block(id, Wait::Going(result), None);
        Outcome::Blocked
    }

    /// How urgent the most urgent of all is; `None`: there is nothing to be done.
    pub(crate) fn going_level(&self) -> Option<u8> {
        self.memory
            .going
            .queue
            .iter()
            .map(|entry| entry.level)
            .min()
    }

    /// Frames that go: as good as free. Those that somebody else has too are not, so that as many are left out as there are such anywhere.
    pub(super) fn frames_going(&self) -> u64 {
        let shared = self.memory.pages.shared();
        let all = self.memory.going.queue.iter();
        all.filter_map(|entry| match entry.what {
            Goes::Cache(id) => self.cache(id).filter(|it| it.is_lost()),
            Goes::Actor(..) => None,
        })
        .map(|cache| u64::from(cache.list.count))
        .sum::<u64>()
        .saturating_sub(shared)
    }

    /// Frames that are free, and those that go.
    pub(super) fn frames_left(&self) -> u64 {
        self.machine.frames().0 + self.frames_going()
    }

    /// Sees to it that some frames are free if any go: for what the machine takes itself.
    #[inline]
    pub(crate) fn frames_spare(&mut self) {
        if !self.memory.going.is_empty() && self.machine.frames().0 < u64::from(STEP) {
            self.lost_step();
        }
    }

    /// A frame that `allocate` gives, if need be one of those that go.
    pub(crate) fn frame_get(&mut self, allocate: fn(&mut M) -> Option<Frame>) -> Option<Frame> {
        let frame = allocate(&mut self.machine);
        if frame.is_some() || self.memory.going.is_empty() {
            return frame;
        }
        self.frame_of_going(allocate)
    }

    #[cold]
    #[inline(never)]
    fn frame_of_going(&mut self, allocate: fn(&mut M) -> Option<Frame>) -> Option<Frame> {
        self.lost_step();
        allocate(&mut self.machine)
    }

    fn lost_step(&mut self) {
        let lost = |entry: &Entry| match entry.what {
            Goes::Cache(id) => self
                .cache(id)
                .is_some_and(|it| it.is_lost() && it.list.count > 0),
            Goes::Actor(..) => false,
        };
        if let Some(at) = self.memory.going.queue.iter().position(lost) {
            self.going_step(at);
        }
    }

    /// One step on a processor that has nothing more urgent to do. `schedule` follows.
    pub fn reap(&mut self, cpu: Cpu) {
        self.entered = Some(cpu);
        if let Some(at) = self.memory.going.next() {
            self.going_step(at);
        }
        self.room_tell();
        self.requests_retry();
    }

    fn going_step(&mut self, at: usize) {
        let Some(&Entry { what, level, of }) = self.memory.going.queue.get(at) else {
            return;
        };
        let (before, more) = (self.memory.going.step, self.memory.going.more);
        self.memory.going.step = Some((level, of));
        match what {
            Goes::Cache(id) => {
                self.memory.going.queue.remove(at);
                if let Some(cache) = self.memory.caches.get_mut(id) {
                    cache.going = false;
                }
                let mut effort = self.memory.going.in_step;
                self.cache_goes(id, &mut effort);
            }
            Goes::Actor(id, from) => self.actor_step(id, from),
        }
        (self.memory.going.step, self.memory.going.more) = (before, more);
        self.going_done(of);
    }

    /// Something is not in the queue any more: who waited for the last of what he caused goes on.
    fn going_done(&mut self, of: Option<Id<Thread>>) {
        if let Some(thread) = of
            && !self.memory.going.has(|entry| entry.of == of)
            && let Some(Wait::Going(result)) = self.threads.get(thread).map(|it| it.wait)
        {
            self.wake(thread, result);
        }
        self.reaper_changed();
    }

    /// A cache is no more.
    pub(super) fn cache_remove(&mut self, id: Id<Cache>) {
        let Some(cache) = self.memory.caches.remove(id) else {
            return;
        };
        let queue = &mut self.memory.going.queue;
        let is = |entry: &Entry| entry.what == Goes::Cache(id);
        if cache.going
            && let Some(at) = queue.iter().position(is)
        {
            let entry = queue.remove(at);
            self.going_done(entry.of);
        }
    }

    /// A step of an actor's end. What its regions showed is in the queue behind it, and is done before the next.
    fn actor_step(&mut self, id: Id<Actor>, from: usize) {
        let first = self.actors.get(id).and_then(|actor| actor.regions);
        if let Some(region) = first
            .and_then(|region| self.memory.regions.get(region))
            .copied()
        {
            self.region_free(id, region.start, region.end());
            return;
        }
        let mut from = from;
        let over = self.actor_over(id, &mut from);
        let mut all = self.memory.going.queue.iter_mut();
        let at = all.position(|entry| matches!(entry.what, Goes::Actor(actor, _) if actor == id));
        let Some(at) = at else { return };
        if over {
            self.memory.going.queue.remove(at);
            self.actor_gone(id);
        } else if let Some(entry) = self.memory.going.queue.get_mut(at) {
            entry.what = Goes::Actor(id, from);
        }
    }

    /// What an actor without regions is still counted for, and its tables. `false`: another step is needed.
    fn actor_over(&mut self, id: Id<Actor>, from: &mut usize) -> bool {
        if *from < self.memory.caches.extent() {
            *from = self.caches_repay(id, *from, ENTRIES);
            return false;
        }
        let space = self.actors.get(id).map(|actor| actor.space);
        space.is_none_or(|space| space == Space::SUPERVISOR || self.machine.space_shrink(space))
    }
}

#[cfg(test)]
impl<M: Machine> Nucleus<M> {
    /// How many caches and actors go.
    pub(crate) fn going(&self) -> usize {
        self.memory.going.queue.len()
    }

    /// What is in the queue is there, once; what waits has something there; and what should be there is.
    pub(crate) fn check_going(&self) {
        let queue = &self.memory.going.queue;
        for (at, entry) in queue.iter().enumerate() {
            let same = |other: &&Entry| match (other.what, entry.what) {
                (Goes::Cache(one), Goes::Cache(other)) => one == other,
                (Goes::Actor(one, _), Goes::Actor(other, _)) => one == other,
                _ => false,
            };
            assert_eq!(
                queue.iter().filter(same).count(),
                1,
                "entry {at} is there twice"
            );
            match entry.what {
                Goes::Cache(id) => assert!(self.cache(id).is_none_or(|cache| cache.going)),
                Goes::Actor(id, _) => {
                    let actor = self.actors.get(id).expect("an actor that goes is there");
                    assert!(actor.dying && actor.threads == 0 && actor.guests == 0);
                }
            }
        }
        for (id, cache) in self.memory.caches.iter() {
            let queued = queue.iter().any(|entry| entry.what == Goes::Cache(id));
            assert_eq!(queued, cache.going, "{id:?}");
            assert!(cache.trim.is_none() || cache.going, "{id:?} is not trimmed");
        }
        for (id, thread) in self.threads.iter() {
            if matches!(thread.wait, Wait::Going(_)) {
                assert!(
                    queue.iter().any(|entry| entry.of == Some(id)),
                    "{id:?} waits for what has gone"
                );
            }
        }
        for (id, actor) in self.actors.iter() {
            let over = actor.dying && actor.threads == 0 && actor.guests == 0;
            let queued = queue
                .iter()
                .any(|entry| matches!(entry.what, Goes::Actor(actor, _) if actor == id));
            assert_eq!(over, queued, "{id:?} is forgotten");
        }
    }
}
