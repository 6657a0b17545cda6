//! The site's random source: ChaCha20, seeded from the command line (repeatable) or from the processor.

use crate::cpu;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// The source.
pub struct Random(ChaCha20Rng);

impl Random {
    /// With a seed the numbers are the same at every boot of this site; sites differ from each other.
    pub fn new(seed: Option<u64>, site: u16) -> Self {
        let mut key = [0; 32];
        match seed {
            Some(seed) => {
                key[..8].copy_from_slice(&seed.to_le_bytes());
                key[8..10].copy_from_slice(&site.to_le_bytes());
            }
            None => {
                for word in key.chunks_exact_mut(8) {
                    word.copy_from_slice(
                        &(hardware().unwrap_or(0) ^ cpu::tsc().rotate_left(32)).to_le_bytes(),
                    );
                }
            }
        }
        Random(ChaCha20Rng::from_seed(key))
    }

    /// The secret of a cluster that was told none: with a seed the same on all sites that have the same seed, otherwise of this boot alone.
    pub fn secret(seed: Option<u64>) -> (u64, u64) {
        // No site has number 0.
        let mut random = Random::new(seed, 0);
        (random.next(), random.next())
    }

    /// The key for frames of a cluster that was told none, in the same way.
    pub fn fabric_key(seed: Option<u64>) -> [u8; 32] {
        let mut random = Random::new(seed, 0);
        // The first words are the secret.
        let words: [u64; 6] = core::array::from_fn(|_| random.next());
        let mut key = [0; 32];
        for (place, word) in key.chunks_exact_mut(8).zip(&words[2..]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        key
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// RDRAND, if the processor has it and it delivers.
fn hardware() -> Option<u64> {
    if cpu::cpuid(1, 0)[2] >> 30 & 1 == 0 {
        return None;
    }
    for _ in 0..16 {
        let (value, good): (u64, u8);
        // SAFETY: the processor has the instruction.
        unsafe {
            core::arch::asm!("rdrand {}", "setc {}", out(reg) value, out(reg_byte) good, options(nomem, nostack))
        };
        if good == 1 {
            return Some(value);
        }
    }
    None
}
