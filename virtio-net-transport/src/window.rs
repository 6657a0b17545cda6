//! Which numbered messages of a sender were seen already.
//!
//! Asynchronous messages are not acknowledged, but the network may double them; none may be delivered twice (SS-033).

const WORDS: usize = 4;
/// Numbers below the highest that are still told apart; older ones count as seen.
pub(crate) const WINDOW: u64 = WORDS as u64 * 64;

/// A sliding window over message numbers, which start at 1.
#[derive(Clone, Default)]
pub(crate) struct Window {
    highest: u64,
    seen: [u64; WORDS],
}

impl Window {
    /// Whether this number was seen, or is too old to tell.
    pub(crate) fn contains(&self, number: u64) -> bool {
        if number > self.highest {
            return false;
        }
        self.highest - number >= WINDOW || self.seen[Self::word(number)] >> (number % 64) & 1 == 1
    }

    /// Marks the number as seen. Numbers too old for the window change nothing.
    pub(crate) fn insert(&mut self, number: u64) {
        if number > self.highest {
            let gap = number - self.highest;
            if gap >= WINDOW {
                self.seen = [0; WORDS];
            } else {
                for skipped in self.highest + 1..=number {
                    self.seen[Self::word(skipped)] &= !(1 << (skipped % 64));
                }
            }
            self.highest = number;
        }
        if self.highest - number < WINDOW {
            self.seen[Self::word(number)] |= 1 << (number % 64);
        }
    }

    fn word(number: u64) -> usize {
        (number / 64 % WORDS as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_a_set_within_the_window(numbers in proptest::collection::vec(1u64..2000, 0..300)) {
            let mut window = Window::default();
            let mut model = BTreeSet::new();
            for number in numbers {
                let highest = model.last().copied().unwrap_or(0u64);
                let expected = model.contains(&number) || number + WINDOW <= highest;
                prop_assert_eq!(window.contains(number), expected);
                window.insert(number);
                model.insert(number);
            }
        }
    }

    #[test]
    fn a_jump_to_the_last_number_is_cheap_and_right() {
        let mut window = Window::default();
        window.insert(u64::MAX);
        assert!(window.contains(u64::MAX) && window.contains(5) && !window.contains(u64::MAX - 1));
    }
}
