//! Keys and the cipher.
//!
//! A frame is sealed with XChaCha20-Poly1305 under the cluster's key. Of its 24-byte nonce the first 16 say whose frame it is: sender and receiver with
//! their incarnations, and the number of the key; the last 8 are the counter. The cipher itself makes a key of its own out of the first part and goes on
//! with ChaCha20-Poly1305. Here that key is kept, so that a frame costs no more than that; "the key of a direction" is nothing else.
//! A site never has an incarnation twice, so no nonce is ever used twice.

use chacha20::R20;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};

/// A key for frames.
pub(super) type Key = [u8; 32];
/// Bytes of a tag.
pub(super) const TAG: usize = 16;
/// Keeps these keys apart from all that could be made from the same secret otherwise.
const LABEL: [u8; 4] = *b"chf1";

/// Whose frames a key is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Direction {
    /// Sender and its incarnation.
    pub(super) from: (u16, u16),
    /// Receiver and its incarnation; zeros: whoever has the cluster's key.
    pub(super) to: (u16, u16),
}

/// The key of this direction with this number.
pub(super) fn derive(cluster: &Key, direction: Direction, number: u32) -> Key {
    let mut input = [0; 16];
    let words = [
        direction.from.0,
        direction.from.1,
        direction.to.0,
        direction.to.1,
    ];
    for (place, word) in input.chunks_exact_mut(2).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    input[8..12].copy_from_slice(&number.to_le_bytes());
    input[12..].copy_from_slice(&LABEL);
    chacha20::hchacha::<R20>(&(*cluster).into(), &input.into()).into()
}

fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce
}

/// Seals `content` in place; the tag, or nothing if it is longer than the cipher allows.
pub(super) fn seal(
    key: &Key,
    counter: u64,
    header: &[u8],
    content: &mut [u8],
) -> Option<[u8; TAG]> {
    ChaCha20Poly1305::new(&(*key).into())
        .encrypt_inout_detached(&nonce(counter).into(), header, content.into())
        .ok()
        .map(Into::into)
}

/// Opens `content` in place, if the tag is that of header and content.
pub(super) fn open(
    key: &Key,
    counter: u64,
    header: &[u8],
    content: &mut [u8],
    tag: &[u8; TAG],
) -> bool {
    ChaCha20Poly1305::new(&(*key).into())
        .decrypt_inout_detached(
            &nonce(counter).into(),
            header,
            content.into(),
            &(*tag).into(),
        )
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chacha20poly1305::XChaCha20Poly1305;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_frame_is_what_the_whole_cipher_makes(
            cluster: [u8; 32], from: (u16, u16), to: (u16, u16), number: u32, frame: u32, header: [u8; 28],
            content in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let counter = u64::from(number) << 32 | u64::from(frame);
            let key = derive(&cluster, Direction { from, to }, number);
            let mut ours = content.clone();
            let tag = seal(&key, counter, &header, &mut ours).unwrap();
            let mut nonce = [0u8; 24];
            for (at, word) in [from.0, from.1, to.0, to.1].into_iter().enumerate() {
                nonce[2 * at..2 * at + 2].copy_from_slice(&word.to_le_bytes());
            }
            nonce[8..12].copy_from_slice(&number.to_le_bytes());
            nonce[12..16].copy_from_slice(b"chf1");
            nonce[16..].copy_from_slice(&counter.to_le_bytes());
            let mut theirs = content.clone();
            let whole = XChaCha20Poly1305::new(&cluster.into());
            let other = whole.encrypt_inout_detached(&nonce.into(), &header, theirs.as_mut_slice().into()).unwrap();
            prop_assert_eq!((&ours, tag), (&theirs, other.into()));
            prop_assert!(open(&key, counter, &header, &mut ours, &tag));
            prop_assert_eq!(ours, content);
        }
    }
}
