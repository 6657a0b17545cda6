//! Which numbered things of a sender were seen already: messages, sealed frames.
//!
//! Asynchronous messages are not acknowledged, but the network may double them; none may be delivered twice (SS-033). A sealed frame is opened once (SS-072).

/// A sliding window over numbers, which start at 1: as many as it has bits are told apart, older ones count as seen.
#[derive(Clone, Debug)]
pub(crate) struct Window<const WORDS: usize = 4> {
    highest: u64,
    seen: [u64; WORDS],
}

impl<const WORDS: usize> Default for Window<WORDS> {
    fn default() -> Self {
        Window {
            highest: 0,
            seen: [0; WORDS],
        }
    }
}

impl<const WORDS: usize> Window<WORDS> {
    /// Numbers below the highest that are still told apart.
    const WIDTH: u64 = WORDS as u64 * 64;

    /// Whether the number is so old that nothing is known of it any more.
    pub(crate) fn is_past(&self, number: u64) -> bool {
        self.highest.saturating_sub(number) >= Self::WIDTH
    }

    /// Whether this number was seen, or is too old to tell.
    pub(crate) fn contains(&self, number: u64) -> bool {
        if number > self.highest {
            return false;
        }
        self.is_past(number) || self.seen[Self::word(number)] >> (number % 64) & 1 == 1
    }

    /// Marks the number as seen. Numbers too old for the window change nothing.
    pub(crate) fn insert(&mut self, number: u64) {
        if number > self.highest {
            let gap = number - self.highest;
            if gap >= Self::WIDTH {
                self.seen = [0; WORDS];
            } else {
                for skipped in self.highest + 1..=number {
                    self.seen[Self::word(skipped)] &= !(1 << (skipped % 64));
                }
            }
            self.highest = number;
        }
        if !self.is_past(number) {
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

    fn equals_a_set<const WORDS: usize>(numbers: &[u64]) -> Result<(), TestCaseError> {
        let mut window = Window::<WORDS>::default();
        let mut model = BTreeSet::new();
        for &number in numbers {
            let highest = model.last().copied().unwrap_or(0u64);
            let past = number + WORDS as u64 * 64 <= highest;
            prop_assert_eq!(window.contains(number), past || model.contains(&number));
            prop_assert_eq!(window.is_past(number), past);
            window.insert(number);
            model.insert(number);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn equals_a_set_within_the_window(numbers in proptest::collection::vec(1u64..2000, 0..300)) {
            equals_a_set::<4>(&numbers)?;
        }

        #[test]
        fn a_wide_one_does_too(numbers in proptest::collection::vec(1u64..6000, 0..300)) {
            equals_a_set::<32>(&numbers)?;
        }
    }

    #[test]
    fn a_jump_to_the_last_number_is_cheap_and_right() {
        let mut window = Window::<4>::default();
        window.insert(u64::MAX);
        assert!(window.contains(u64::MAX) && window.contains(5) && !window.contains(u64::MAX - 1));
    }
}
