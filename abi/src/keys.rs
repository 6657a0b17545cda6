//! Keyed hashes: keys of groups, which are the same on all sites without asking (spec 1.2), and what proves who made something.
//!
//! SipHash-2-4 (Aumasson and Bernstein 2012) under a 128-bit secret.

/// The hash of one word, as of its eight bytes.
pub fn keyed_hash(secret: (u64, u64), word: u64) -> u64 {
    keyed_hash_of(secret, [word])
}

/// The hash of words, as of their bytes, the lowest first.
pub fn keyed_hash_of(secret: (u64, u64), words: impl IntoIterator<Item = u64>) -> u64 {
    let mut v = [
        secret.0 ^ 0x736f_6d65_7073_6575,
        secret.1 ^ 0x646f_7261_6e64_6f6d,
        secret.0 ^ 0x6c79_6765_6e65_7261,
        secret.1 ^ 0x7465_6462_7974_6573,
    ];
    let mut length = 0u64;
    for word in words {
        length = length.wrapping_add(8);
        block(&mut v, word);
    }
    block(&mut v, length << 56);
    v[2] ^= 0xff;
    (0..4).for_each(|_| round(&mut v));
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn block(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    (0..2).for_each(|_| round(v));
    v[0] ^= word;
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::{keyed_hash, keyed_hash_of};

    #[test]
    fn it_is_siphash() {
        // The reference vectors of eight bytes 00…07 and of none under the key 00…0f.
        let secret = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        assert_eq!(
            keyed_hash(secret, 0x0706_0504_0302_0100),
            0x93f5_f579_9a93_2462
        );
        assert_eq!(keyed_hash_of(secret, []), 0x726f_db47_dd0e_0e31);
    }
}
