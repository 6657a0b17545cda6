//! Keys of the frames between sites: drawn when a cluster is planned, told to each site at its start.

use super::failure::{Failure, Outcome};
use super::process::seed_of;
use chorus_abi::keys::keyed_hash;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Says what the hashes are for.
const GROUPS: u64 = u64::from_le_bytes(*b"groups\0\0");

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

    /// The cluster's secret: keys of groups are made from it. A keyed hash of a keyed hash, each under another half of the key.
    pub fn secret(&self) -> [u64; 2] {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(self.0.chunks_exact(8)) {
            *word = bytes
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        let [first, second] = [(words[0], words[1]), (words[2], words[3])];
        [GROUPS, GROUPS + 1].map(|word| keyed_hash(second, keyed_hash(first, word)))
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

/// What a site's Nucleus is told of it: the secret that the keys of groups come from, which says nothing of the key itself, and the key.
pub fn fabric_words(key: &FabricKey, clear: bool, generation: u32) -> String {
    let [high, low] = key.secret();
    let frames: String = match clear {
        true => "clear".to_owned(),
        false => key.0.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    format!(
        "chorus.secret={high:016x}{low:016x} chorus.fabric={frames} chorus.generation={generation}"
    )
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
        let key = FabricKey([0xAB; 32]);
        let [high, low] = key.secret();
        assert_ne!(high, low);
        assert_ne!(key.secret(), FabricKey([0xAC; 32]).secret());
        for (clear, frames) in [(false, "ab".repeat(32)), (true, "clear".to_owned())] {
            let expected = format!(
                "chorus.secret={high:016x}{low:016x} chorus.fabric={frames} chorus.generation=3"
            );
            assert_eq!(fabric_words(&key, clear, 3), expected);
        }
    }
}
