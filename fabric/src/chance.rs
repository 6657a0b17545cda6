//! Chance: probabilities as exact fractions, and draws that a seed decides.
//!
//! Probabilities are compared as whole numbers, never as floating point, so that two computers with the same seed decide alike (SS-138).

/// How often something happens: in this many of 2^32 cases.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Chance(u64);

const ALWAYS: u64 = 1 << 32;

impl Chance {
    /// Never.
    pub const NEVER: Chance = Chance(0);
    /// Always.
    pub const ALWAYS: Chance = Chance(ALWAYS);

    /// So many in a hundred. What is below 0 or no number is never, above 100 always.
    pub fn percent(percent: f64) -> Chance {
        // A cast of a float saturates, and makes no number 0.
        Chance(((percent / 100.0 * ALWAYS as f64).round() as u64).min(ALWAYS))
    }

    /// In a hundred, for people.
    pub fn as_percent(self) -> f64 {
        // Nine digits are more than the fraction has.
        (self.0 as f64 / ALWAYS as f64 * 100.0 * 1e6).round() / 1e6
    }

    /// Whether it happens with this draw.
    pub fn happens(self, draw: Draw) -> bool {
        draw.0 >> 32 < self.0
    }
}

/// A random word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draw(pub u64);

impl Draw {
    /// The draw for one purpose of one event: a keyed hash, so that no draw depends on how many others were made.
    pub fn of(seed: u64, key: u64, index: u64, purpose: u64) -> Draw {
        Draw(mix(mix(mix(seed ^ key) ^ index) ^ purpose))
    }

    /// A number below a bound; 0 if there is none.
    pub fn below(self, bound: u64) -> u64 {
        // The high word of the product: no number is favoured by more than one in 2^64 / bound.
        ((u128::from(self.0) * u128::from(bound)) >> 64) as u64
    }

    /// A number around 0 with about the standard deviation `sigma`, as a normal distribution has it within six deviations: the sum of twelve even draws.
    pub fn around(self, sigma: u64) -> i64 {
        let sum: i128 = (0..12)
            .map(|part| i128::from(mix(self.0 ^ part) >> 32))
            .sum();
        let centred = sum - 6 * (1 << 32);
        ((centred * i128::from(sigma)) >> 32) as i64
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014).
pub fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_are_kept() {
        assert_eq!(Chance::percent(0.0), Chance::NEVER);
        assert_eq!(Chance::percent(100.0), Chance::ALWAYS);
        assert_eq!(Chance::percent(-3.0), Chance::NEVER);
        assert_eq!(Chance::percent(f64::NAN), Chance::NEVER);
        assert_eq!(Chance::percent(1e9), Chance::ALWAYS);
        for percent in [0.001, 0.5, 2.0, 33.3, 99.999] {
            assert_eq!(Chance::percent(percent).as_percent(), percent);
        }
    }

    #[test]
    fn a_chance_happens_as_often_as_it_says() {
        let chance = Chance::percent(1.0);
        let happened = (0..1_000_000)
            .filter(|&index| chance.happens(Draw::of(1, 2, index, 3)))
            .count();
        // SS-140: 1 % is 1 % ± 0.1 % over a million.
        assert!((9_000..11_000).contains(&happened), "{happened}");
        assert!(!Chance::NEVER.happens(Draw(0)));
        assert!(Chance::ALWAYS.happens(Draw(u64::MAX)));
    }

    #[test]
    fn what_is_around_zero_has_its_deviation() {
        let draws: Vec<i64> = (0..100_000)
            .map(|index| Draw::of(9, 9, index, 9).around(1000))
            .collect();
        let mean = draws.iter().sum::<i64>() / draws.len() as i64;
        let square = draws.iter().map(|draw| (draw - mean).pow(2)).sum::<i64>();
        let deviation = (square as f64 / draws.len() as f64).sqrt();
        assert!(mean.abs() < 20, "{mean}");
        assert!((980.0..1020.0).contains(&deviation), "{deviation}");
    }
}
