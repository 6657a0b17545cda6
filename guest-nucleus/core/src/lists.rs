//! First-in-first-out lists of threads, threaded through one table of links: nothing is allocated when a thread joins one.
//!
//! A thread is in at most one list of each table. Lists live where they belong (a priority level, a port); the links live here.

use alloc::vec;
use alloc::vec::Vec;

const NONE: u16 = u16::MAX;

/// A list: its two ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct List {
    head: u16,
    tail: u16,
}

impl Default for List {
    fn default() -> Self {
        List {
            head: NONE,
            tail: NONE,
        }
    }
}

impl List {
    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.head == NONE
    }

    /// Slot of the first; of none if nobody is in it: no table has that many.
    #[inline(always)]
    pub fn first_slot(&self) -> usize {
        self.head as usize
    }

    /// Slot of the first.
    pub fn first(&self) -> Option<usize> {
        (self.head != NONE).then_some(self.head as usize)
    }
}

/// Links of all threads, by slot. Those of a thread that is in no list, or alone in one, lead nowhere.
pub struct Links {
    next: Vec<u16>,
    previous: Vec<u16>,
}

impl Links {
    /// Links for this many slots.
    pub fn new(slots: usize) -> Self {
        Links {
            next: vec![NONE; slots],
            previous: vec![NONE; slots],
        }
    }

    #[inline(always)]
    fn get(table: &[u16], slot: u16) -> u16 {
        table.get(slot as usize).copied().unwrap_or(NONE)
    }

    #[inline(always)]
    fn set(table: &mut [u16], slot: u16, value: u16) {
        if let Some(entry) = table.get_mut(slot as usize) {
            *entry = value;
        }
    }

    /// Joins at the end. The slot is in no list of this table.
    #[inline(always)]
    pub fn push_back(&mut self, list: &mut List, slot: usize) {
        let slot = slot as u16;
        if list.tail == NONE {
            // Its links lead nowhere already.
            list.head = slot;
        } else {
            self.link(list.tail, slot);
        }
        list.tail = slot;
    }

    /// Puts a slot behind the last of a list.
    #[cold]
    #[inline(never)]
    fn link(&mut self, last: u16, slot: u16) {
        Self::set(&mut self.next, last, slot);
        Self::set(&mut self.previous, slot, last);
    }

    /// Joins at the front. The slot is in no list of this table.
    pub fn push_front(&mut self, list: &mut List, slot: usize) {
        let slot = slot as u16;
        match list.head {
            NONE => list.tail = slot,
            head => self.link(slot, head),
        }
        list.head = slot;
    }

    /// The one behind a slot in its list.
    pub fn next(&self, slot: usize) -> Option<usize> {
        let next = Self::get(&self.next, slot as u16);
        (next != NONE).then_some(next as usize)
    }

    /// The first leaves.
    #[inline(always)]
    pub fn remove_first(&mut self, list: &mut List) {
        if list.head == list.tail {
            *list = List::default();
        } else {
            self.remove_of_many(list, list.head as usize);
        }
    }

    /// Leaves the list that it is in, most likely as the only one.
    #[inline(always)]
    pub fn remove_perhaps_first(&mut self, list: &mut List, slot: usize) {
        if list.first_slot() == slot && list.head == list.tail {
            *list = List::default();
        } else {
            self.remove_of_many(list, slot);
        }
    }

    #[cold]
    #[inline(never)]
    fn remove_of_many(&mut self, list: &mut List, slot: usize) {
        self.remove(list, slot);
    }

    /// Leaves the list that it is in.
    #[inline]
    pub fn remove(&mut self, list: &mut List, slot: usize) {
        let slot = slot as u16;
        let (previous, next) = (Self::get(&self.previous, slot), Self::get(&self.next, slot));
        match previous {
            NONE => list.head = next,
            previous => Self::set(&mut self.next, previous, next),
        }
        match next {
            NONE => list.tail = previous,
            next => Self::set(&mut self.previous, next, previous),
        }
        Self::set(&mut self.previous, slot, NONE);
        Self::set(&mut self.next, slot, NONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_queue(steps in proptest::collection::vec((0u8..3, 0usize..8), 0..200)) {
            let mut links = Links::new(8);
            let mut list = List::default();
            let mut model: VecDeque<usize> = VecDeque::new();
            for (step, slot) in steps {
                match (step, model.contains(&slot)) {
                    (0, false) => { links.push_back(&mut list, slot); model.push_back(slot); }
                    (1, false) => { links.push_front(&mut list, slot); model.push_front(slot); }
                    (2, true) => { links.remove(&mut list, slot); model.retain(|&other| other != slot); }
                    _ => {}
                }
                prop_assert_eq!(list.first(), model.front().copied());
            }
            while let Some(slot) = list.first() {
                prop_assert_eq!(Some(slot), model.pop_front());
                links.remove(&mut list, slot);
            }
            prop_assert!(model.is_empty());
        }
    }
}
