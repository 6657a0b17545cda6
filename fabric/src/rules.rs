//! The parameters of every link as they are now, and as they were at the start; and into which parts the cluster is split.

use crate::Site;
use crate::parameters::{Change, Parameters};
use std::collections::BTreeMap;

/// What holds for the links of a fabric.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Of links that have none of their own.
    default: Parameters,
    /// Of single directions.
    special: BTreeMap<(Site, Site), Parameters>,
    /// Both as they were at the start.
    initial: (Parameters, BTreeMap<(Site, Site), Parameters>),
    /// The part that each site is in, of site 0 (nobody) first; empty: the cluster is whole.
    parts: Vec<u16>,
}

impl Rules {
    /// All links alike but these directions of some.
    pub fn new(
        default: Parameters,
        special: impl IntoIterator<Item = ((Site, Site), Parameters)>,
    ) -> Rules {
        let special: BTreeMap<_, _> = special.into_iter().collect();
        Rules {
            default,
            initial: (default, special.clone()),
            special,
            parts: Vec::new(),
        }
    }

    /// Parameters of one direction, as they are set: a split of the cluster is not in them.
    pub fn set(&self, from: Site, to: Site) -> Parameters {
        *self.special.get(&(from, to)).unwrap_or(&self.default)
    }

    /// Parameters of one direction as they are in force.
    pub fn of(&self, from: Site, to: Site) -> Parameters {
        let mut parameters = self.set(from, to);
        parameters.cut |= !self.together(from, to);
        parameters
    }

    /// Whether anything passes.
    pub fn open(&self, from: Site, to: Site) -> bool {
        !self.set(from, to).cut && self.together(from, to)
    }

    /// The directions that have parameters of their own, in order.
    pub fn special(&self) -> impl Iterator<Item = (Site, Site)> {
        self.special.keys().copied()
    }

    /// Whether two sites are in different parts of the cluster.
    pub fn parted(&self, a: Site, b: Site) -> bool {
        !self.together(a, b)
    }

    fn together(&self, a: Site, b: Site) -> bool {
        let part = |site: Site| self.parts.get(usize::from(site)).copied().unwrap_or(0);
        part(a) == part(b)
    }

    /// Changes one direction.
    pub fn change(&mut self, from: Site, to: Site, change: &Change) {
        let parameters = self.special.entry((from, to)).or_insert(self.default);
        change.apply(parameters);
    }

    /// Changes all directions.
    pub fn change_all(&mut self, change: &Change) {
        change.apply(&mut self.default);
        for parameters in self.special.values_mut() {
            change.apply(parameters);
        }
    }

    /// One direction as it was at the start.
    pub fn reset(&mut self, from: Site, to: Site) {
        let initial = *self.initial.1.get(&(from, to)).unwrap_or(&self.initial.0);
        self.special.insert((from, to), initial);
    }

    /// All of them, and the cluster is whole.
    pub fn reset_all(&mut self) {
        (self.default, self.special) = self.initial.clone();
        self.parts.clear();
    }

    /// Splits the cluster: nothing passes between sites of different parts. Sites that are in none are a part of their own together.
    pub fn split(&mut self, parts: &[Vec<Site>]) {
        self.parts.clear();
        for (number, part) in parts.iter().enumerate() {
            for &site in part {
                let index = usize::from(site);
                if index >= self.parts.len() {
                    self.parts.resize(index + 1, 0);
                }
                self.parts[index] = number as u16 + 1;
            }
        }
    }

    /// The cluster is whole again; links that were cut one by one stay so.
    pub fn heal(&mut self) {
        self.parts.clear();
    }

    /// The part of each site, of site 0 (nobody) first, 0: in none; empty: the cluster is whole.
    pub fn parts(&self) -> &[u16] {
        &self.parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_splits_and_resets() {
        let slow = Parameters {
            latency: 5,
            ..Parameters::PERFECT
        };
        let mut rules = Rules::new(Parameters::PERFECT, [((1, 2), slow), ((2, 1), slow)]);
        let cut = Change {
            cut: Some(true),
            ..Change::default()
        };
        rules.change(1, 2, &cut);
        assert!(!rules.open(1, 2) && rules.open(2, 1));
        assert_eq!(rules.of(1, 2).latency, 5);
        let later = Change {
            latency: Some(9),
            ..Change::default()
        };
        rules.change_all(&later);
        assert_eq!((rules.of(1, 2).latency, rules.of(3, 4).latency), (9, 9));
        rules.reset(1, 2);
        assert_eq!((rules.of(1, 2), rules.of(2, 1).latency), (slow, 9));
        rules.split(&[vec![1, 3], vec![4]]);
        assert!(rules.open(1, 3) && !rules.open(1, 4) && !rules.open(1, 2) && rules.open(2, 5));
        assert!(rules.of(1, 4).cut && !rules.set(1, 4).cut);
        rules.heal();
        assert!(rules.open(1, 4));
        rules.split(&[vec![1]]);
        rules.reset_all();
        assert!(rules.open(1, 4));
        assert_eq!(rules.of(3, 4), Parameters::PERFECT);
    }
}
