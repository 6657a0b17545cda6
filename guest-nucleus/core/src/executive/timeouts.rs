//! Deadlines of waiting threads: an indexed binary heap of fixed capacity, one deadline a thread.

use alloc::vec;
use alloc::vec::Vec;

const ABSENT: u16 = u16::MAX;

/// The deadlines, earliest first.
pub struct Timeouts {
    heap: Vec<u16>,
    place: Vec<u16>,
    due: Vec<u64>,
}

impl Timeouts {
    /// Room for this many threads.
    pub fn new(threads: usize) -> Self {
        Timeouts {
            heap: Vec::with_capacity(threads),
            place: vec![ABSENT; threads],
            due: vec![0; threads],
        }
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<u64> {
        self.heap
            .first()
            .and_then(|&slot| self.due.get(slot as usize).copied())
    }

    /// Takes a thread whose deadline has come.
    pub fn pop(&mut self, now: u64) -> Option<usize> {
        let slot = *self.heap.first()? as usize;
        if self.due.get(slot).copied()? > now {
            return None;
        }
        self.clear(slot);
        Some(slot)
    }

    /// Sets a thread's deadline; it has none now.
    pub fn set(&mut self, slot: usize, due: u64) {
        self.clear(slot);
        if let (Some(place), Some(entry)) = (self.place.get_mut(slot), self.due.get_mut(slot)) {
            *place = self.heap.len() as u16;
            *entry = due;
            self.heap.push(slot as u16);
            self.up(self.heap.len() - 1);
        }
    }

    /// Whether a thread has a deadline.
    pub fn is_set(&self, slot: usize) -> bool {
        self.place.get(slot).is_some_and(|&place| place != ABSENT)
    }

    /// Forgets a thread's deadline, if it has one.
    pub fn clear(&mut self, slot: usize) {
        let Some(&place) = self.place.get(slot) else {
            return;
        };
        if place == ABSENT {
            return;
        }
        let place = place as usize;
        let last = self.heap.len() - 1;
        self.swap(place, last);
        self.heap.pop();
        if let Some(entry) = self.place.get_mut(slot) {
            *entry = ABSENT;
        }
        if place < last {
            self.up(place);
            self.down(place);
        }
    }

    fn key(&self, place: usize) -> u64 {
        self.heap
            .get(place)
            .and_then(|&slot| self.due.get(slot as usize).copied())
            .unwrap_or(u64::MAX)
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        for place in [a, b] {
            if let Some(entry) = self
                .heap
                .get(place)
                .and_then(|&slot| self.place.get_mut(slot as usize))
            {
                *entry = place as u16;
            }
        }
    }

    fn up(&mut self, mut place: usize) {
        while place > 0 && self.key(place) < self.key((place - 1) / 2) {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
    }

    fn down(&mut self, mut place: usize) {
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let child = if right < self.heap.len() && self.key(right) < self.key(left) {
                right
            } else {
                left
            };
            if child >= self.heap.len() || self.key(place) <= self.key(child) {
                return;
            }
            self.swap(place, child);
            place = child;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_earliest_comes_first(steps in proptest::collection::vec((0usize..16, proptest::option::of(0u64..100)), 0..200)) {
            let mut timeouts = Timeouts::new(16);
            let mut model = BTreeMap::new();
            for (slot, due) in steps {
                match due {
                    Some(due) => { timeouts.set(slot, due); model.insert(slot, due); }
                    None => { timeouts.clear(slot); model.remove(&slot); }
                }
                prop_assert_eq!(timeouts.next(), model.values().min().copied());
            }
            for now in 0..100 {
                while let Some(slot) = timeouts.pop(now) {
                    prop_assert_eq!(model.remove(&slot), Some(now));
                }
            }
            prop_assert!(model.is_empty());
        }
    }
}
