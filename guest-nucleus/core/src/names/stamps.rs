//! Stamps of new names: all different, and not to be foreseen (spec 1.1, "Forgery").
//!
//! A counter goes through a permutation of the 32-bit numbers that only this site knows: a Feistel network of four rounds over the two halves, with the
//! keyed hash of [`chorus_abi::keys`] as its round function (Luby and Rackoff 1988). Since it is a permutation no stamp comes twice within an epoch; since its
//! secret is the random source's, who has seen some stamps does not know the next.

use chorus_abi::keys::keyed_hash;

/// Where the stamps of a site come from.
pub struct Stamps {
    secret: (u64, u64),
    next: u32,
}

impl Stamps {
    /// The stamps of a site that has just booted.
    pub fn new(secret: (u64, u64)) -> Self {
        Stamps { secret, next: 0 }
    }

    /// The next stamp, and whether it was the last of its epoch.
    pub fn take(&mut self) -> (u32, bool) {
        let stamp = self.permute(self.next);
        self.next = self.next.wrapping_add(1);
        (stamp, self.next == 0)
    }

    /// As if so many names had been made.
    #[cfg(test)]
    pub(crate) fn skip_to(&mut self, count: u32) {
        self.next = count;
    }

    fn permute(&self, number: u32) -> u32 {
        let (mut left, mut right) = (number >> 16, number & 0xffff);
        for round in 0..4u64 {
            let mixed = keyed_hash(self.secret, round << 16 | u64::from(right)) as u32 & 0xffff;
            (left, right) = (right, left ^ mixed);
        }
        left << 16 | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn nc_003_a_million_stamps_are_different() {
        let mut stamps = Stamps::new((1, 2));
        let mut seen = vec![0u64; 1 << 26];
        for _ in 0..1_000_000 {
            let (stamp, last) = stamps.take();
            let (word, bit) = ((stamp >> 6) as usize, 1u64 << (stamp & 63));
            assert_eq!(seen[word] & bit, 0);
            seen[word] |= bit;
            assert!(!last);
        }
    }

    #[test]
    fn another_secret_gives_another_order_and_the_same_secret_the_same() {
        let first = |secret| {
            let mut stamps = Stamps::new(secret);
            [stamps.take().0, stamps.take().0, stamps.take().0]
        };
        assert_eq!(first((1, 2)), first((1, 2)));
        assert_ne!(first((1, 2)), first((1, 3)));
        let [a, b, c] = first((1, 2));
        assert_ne!(b.wrapping_sub(a), c.wrapping_sub(b));
    }

    #[test]
    fn the_last_stamp_of_an_epoch_is_told() {
        let mut stamps = Stamps::new((1, 2));
        stamps.next = u32::MAX;
        let (last, ended) = stamps.take();
        assert!(ended);
        let (first, _) = stamps.take();
        assert_ne!(first, last, "the counter begins again in another epoch");
    }
}
