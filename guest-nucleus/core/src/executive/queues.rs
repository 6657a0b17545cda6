//! Runnable threads that wait for a processor: one queue a priority level and a bitmap over them.

use crate::executive::scheduler::Processor;
use crate::lists::{Links, List};
use crate::machine::Cpu;
use alloc::vec;
use alloc::vec::Vec;

/// A level behind all.
pub(super) const NOBODY: i32 = 256;

/// Runnable threads that are on no processor, and the processors.
pub struct Scheduler {
    levels: Vec<List>,
    bitmap: [u64; 4],
    /// Most urgent level with a queued thread; [`NOBODY`]: none.
    pub(crate) top: i32,
    links: Links,
    /// Level that a slot is queued at.
    queued: Vec<Option<u8>>,
    /// Processors.
    pub processors: Vec<Processor>,
    /// How many of them have a visitor.
    pub(crate) visitors: usize,
    /// Threads that are tied to a processor.
    pub bound: usize,
    /// Something happened since the last `schedule` that may concern who runs.
    pub(super) changed: bool,
    /// The processor that gives back what goes (`memory/going.rs`).
    pub(crate) reaper: Option<Cpu>,
    /// How urgent that is.
    pub(crate) reaping: u8,
}

impl Scheduler {
    /// A scheduler for this many threads and processors.
    pub fn new(threads: usize, cpus: usize) -> Self {
        Scheduler {
            levels: vec![List::default(); 256],
            bitmap: [0; 4],
            top: NOBODY,
            // Behind the threads: what goes is queued like one.
            links: Links::new(threads + 1),
            queued: vec![None; threads + 1],
            processors: (0..cpus).map(Processor::idle).collect(),
            visitors: 0,
            bound: 0,
            changed: false,
            reaper: None,
            reaping: 0,
        }
    }

    /// Who waits for it by being offered it is told by `poke`: that a thread is queued alone is no reason to choose again.
    #[inline(always)]
    pub(crate) fn enqueue(&mut self, slot: usize, level: u8, front: bool) {
        let Some(list) = self.levels.get_mut(level as usize) else {
            return;
        };
        if front {
            self.links.push_front(list, slot)
        } else {
            self.links.push_back(list, slot)
        }
        self.bitmap[level as usize / 64] |= 1 << (level % 64);
        self.top = self.top.min(i32::from(level));
        if let Some(entry) = self.queued.get_mut(slot) {
            *entry = Some(level);
        }
    }

    pub(crate) fn dequeue(&mut self, slot: usize) {
        let Some(level) = self.queued.get_mut(slot).and_then(Option::take) else {
            return;
        };
        let Some(list) = self.levels.get_mut(level as usize) else {
            return;
        };
        self.links.remove(list, slot);
        if list.is_empty() {
            self.level_is_empty(level);
        }
    }

    /// The first thread of the most urgent level.
    #[inline(always)]
    pub(crate) fn first(&self) -> Option<usize> {
        self.levels.get(self.top as usize)?.first()
    }

    /// It is not queued any more.
    #[inline(always)]
    pub(crate) fn dequeue_first(&mut self) {
        let level = self.top as usize;
        let Some(list) = self.levels.get_mut(level) else {
            return;
        };
        if let Some(entry) = self.queued.get_mut(list.first_slot()) {
            *entry = None;
        }
        self.links.remove_first(list);
        if list.is_empty() {
            self.level_is_empty(level as u8);
        }
    }

    /// It is not queued any more, but another thread of its level is, as the last.
    #[inline(always)]
    pub(crate) fn rotate(&mut self, slot: usize) {
        let level = self.top;
        let Some(list) = self.levels.get_mut(level as usize) else {
            return;
        };
        if let Some(entry) = self.queued.get_mut(list.first_slot()) {
            *entry = None;
        }
        self.links.remove_first(list);
        self.links.push_back(list, slot);
        if let Some(entry) = self.queued.get_mut(slot) {
            *entry = Some(level as u8);
        }
    }

    /// Nobody is queued at a level any more.
    #[inline(always)]
    fn level_is_empty(&mut self, level: u8) {
        self.bitmap[level as usize / 64] &= !(1 << (level % 64));
        if self.top == i32::from(level) {
            self.top = self.best_level();
        }
    }

    /// Most urgent level with a queued thread, and its first thread.
    pub(crate) fn best(&self) -> Option<(u8, usize)> {
        let level = u8::try_from(self.top).ok()?;
        let slot = self.levels.get(level as usize)?.first()?;
        Some((level, slot))
    }

    /// The same as `top`, by looking.
    fn best_level(&self) -> i32 {
        let words = self.bitmap.iter().zip((0..).step_by(64));
        let mut found = words.filter(|&(&word, _)| word != 0);
        found
            .next()
            .map_or(NOBODY, |(word, first)| first + word.trailing_zeros() as i32)
    }

    /// Level that a slot is queued at.
    pub(crate) fn level_of(&self, slot: usize) -> Option<u8> {
        self.queued.get(slot).copied().flatten()
    }

    /// Panics if the most urgent level is not what it says.
    #[cfg(test)]
    pub(crate) fn check_top(&self) {
        assert_eq!(self.top, self.best_level());
    }

    /// The first thread of the queues that is fit, from the most urgent level on.
    pub(crate) fn best_of(&self, fit: impl Fn(usize) -> bool) -> Option<(u8, usize)> {
        self.levels.iter().enumerate().find_map(|(level, list)| {
            let mut slot = list.first();
            while let Some(at) = slot {
                if fit(at) {
                    return Some((level as u8, at));
                }
                slot = self.links.next(at);
            }
            None
        })
    }

    /// Slot at which giving back what goes is queued.
    pub(crate) fn reaper_slot(&self) -> usize {
        self.queued.len() - 1
    }

    pub(super) fn is_queued(&self, slot: usize) -> bool {
        self.queued.get(slot).is_some_and(Option::is_some)
    }
}
