//! Keys of the frames between sites: drawn when a cluster is planned, told to each site at its start.

use super::failure::{Failure, Outcome};
use super::process::seed_of;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The key of a cluster's frames. Each cluster has another, also one with the same seed, so that nothing recorded in one run is believed in the next.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FabricKey([u8; 32]);

impl FabricKey {
    /// From the machine's random source. Errors: it has none.
    pub fn fresh() -> Outcome<FabricKey> {
        let mut key = [0; 32];
        let drawn = rustix::rand::getrandom(&mut key[..], rustix::rand::GetRandomFlags::empty());
        match drawn {
            Ok(32) => Ok(FabricKey(key)),
            Ok(_) => Err(Failure::host(
                "the random source gave less than was asked for",
            )),
            Err(error) => Err(Failure::host(format!(
                "the random source: {}",
                super::reason(&error.into())
            ))),
        }
    }

    /// From a seed, for runs that have to repeat to the last byte.
    pub fn of_seed(seed: u64) -> FabricKey {
        let mut key = [0; 32];
        for (at, place) in key.chunks_exact_mut(8).enumerate() {
            // Site 0 is nobody's.
            let word = seed_of(seed.rotate_left(8 + 8 * at as u32), 0);
            place.copy_from_slice(&word.to_le_bytes());
        }
        FabricKey(key)
    }

    /// The key.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }
}

/// The key stays unsaid.
impl fmt::Debug for FabricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FabricKey")
    }
}

/// How often each site was started.
#[derive(Default)]
pub struct Starts {
    epochs: BTreeMap<u16, u16>,
    again: u32,
}

impl Starts {
    /// A site starts: its incarnation, and the generation that the cluster is in from now on (SS-072). Errors: it was started too often.
    pub fn start(&mut self, site: u16) -> Outcome<(u16, u32)> {
        let epoch = self.epochs.entry(site).or_insert(0);
        if *epoch >= chorus_abi::ui::EPOCH_MAX {
            return Err(Failure::failed("the site was started too often"));
        }
        *epoch += 1;
        self.again += u32::from(*epoch > 1);
        Ok((*epoch, self.again + 1))
    }
}

/// What a site's Nucleus is told of it.
pub fn fabric_words(key: Option<&FabricKey>, generation: u32) -> String {
    let key = match key {
        Some(key) => key.0.iter().map(|byte| format!("{byte:02x}")).collect(),
        None => "clear".to_owned(),
    };
    format!("chorus.fabric={key} chorus.generation={generation}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_from_cluster_to_cluster_and_repeat_by_seed_only() {
        let [one, two] = [(); 2].map(|()| FabricKey::fresh().unwrap());
        assert_ne!(one, two);
        assert_eq!(FabricKey::of_seed(7), FabricKey::of_seed(7));
        assert_ne!(FabricKey::of_seed(7), FabricKey::of_seed(8));
        assert!(!format!("{one:?}").contains(char::is_numeric));
        let words = fabric_words(Some(&FabricKey([0xAB; 32])), 3);
        let expected = format!("chorus.fabric={} chorus.generation=3", "ab".repeat(32));
        assert_eq!(words, expected);
        assert_eq!(
            fabric_words(None, 1),
            "chorus.fabric=clear chorus.generation=1"
        );
    }

    #[test]
    fn a_start_after_the_first_has_a_new_incarnation_and_begins_a_generation() {
        let mut starts = Starts::default();
        let order = [1, 2, 3, 2, 1, 2].map(|site| starts.start(site).unwrap());
        assert_eq!(order, [(1, 1), (1, 1), (1, 1), (2, 2), (2, 3), (3, 4)]);
        for _ in 3..chorus_abi::ui::EPOCH_MAX {
            starts.start(2).unwrap();
        }
        assert!(starts.start(2).is_err());
    }
}
