//! The table of port names: from a UI to a slot, open addressing, of fixed size.

use alloc::vec;
use alloc::vec::Vec;

const EMPTY: u16 = u16::MAX;

/// Names of ports, by word, and their slots.
pub struct NameTable {
    words: Vec<u64>,
    slots: Vec<u16>,
}

impl NameTable {
    /// A table for this many names, half full at most.
    pub fn new(names: usize) -> Self {
        let size = (names * 2).next_power_of_two();
        NameTable {
            words: vec![0; size],
            slots: vec![EMPTY; size],
        }
    }

    fn home(&self, word: u64) -> usize {
        (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (self.slots.len() - 1)
    }

    fn place(&self, word: u64) -> (usize, bool) {
        let mut at = self.home(word);
        loop {
            match self.slots.get(at) {
                Some(&EMPTY) | None => return (at, false),
                Some(_) if self.words.get(at) == Some(&word) => return (at, true),
                Some(_) => at = (at + 1) & (self.slots.len() - 1),
            }
        }
    }

    /// Slot of a name.
    pub fn get(&self, word: u64) -> Option<usize> {
        let (at, found) = self.place(word);
        if found {
            self.slots.get(at).map(|&slot| slot as usize)
        } else {
            None
        }
    }

    /// Adds a name that is not in it. There is room: names are as many as ports at most.
    pub fn insert(&mut self, word: u64, slot: usize) {
        let (at, _) = self.place(word);
        if let (Some(entry), Some(place)) = (self.words.get_mut(at), self.slots.get_mut(at)) {
            (*entry, *place) = (word, slot as u16);
        }
    }

    /// Removes a name; those behind it move up, so that none is cut off from its home.
    pub fn remove(&mut self, word: u64) {
        let (mut hole, found) = self.place(word);
        if !found {
            return;
        }
        let mask = self.slots.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let (Some(&slot), Some(&other)) = (self.slots.get(at), self.words.get(at)) else {
                return;
            };
            if slot == EMPTY {
                break;
            }
            let distance = at.wrapping_sub(self.home(other)) & mask;
            if distance >= at.wrapping_sub(hole) & mask {
                self.words[hole] = other;
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((any::<bool>(), 0u64..40), 0..400)) {
            let mut table = NameTable::new(40);
            let mut model = BTreeMap::new();
            for (index, (add, word)) in steps.into_iter().enumerate() {
                match (add, model.contains_key(&word)) {
                    (true, false) => { table.insert(word, index); model.insert(word, index); }
                    (false, _) => { table.remove(word); model.remove(&word); }
                    _ => {}
                }
                for word in 0..40 {
                    prop_assert_eq!(table.get(word), model.get(&word).copied());
                }
            }
        }
    }
}
