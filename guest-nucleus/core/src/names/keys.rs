//! Keys of well-known groups: the same on all sites, without asking (spec 1.2).
//!
//! A keyed hash (SipHash-2-4, Aumasson and Bernstein 2012) of class and stamp under the installation's secret.

/// SipHash-2-4 of one word under a 128-bit secret.
pub fn keyed_hash(secret: (u64, u64), word: u64) -> u64 {
    let mut v = [
        secret.0 ^ 0x736f_6d65_7073_6575,
        secret.1 ^ 0x646f_7261_6e64_6f6d,
        secret.0 ^ 0x6c79_6765_6e65_7261,
        secret.1 ^ 0x7465_6462_7974_6573,
    ];
    for block in [word, 8 << 56] {
        v[3] ^= block;
        (0..2).for_each(|_| round(&mut v));
        v[0] ^= block;
    }
    v[2] ^= 0xff;
    (0..4).for_each(|_| round(&mut v));
    v[0] ^ v[1] ^ v[2] ^ v[3]
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
    #[test]
    fn it_is_siphash() {
        // The reference vector of eight bytes 00…07 under the key 00…0f.
        let secret = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        assert_eq!(
            super::keyed_hash(secret, 0x0706_0504_0302_0100),
            0x93f5_f579_9a93_2462
        );
    }
}
