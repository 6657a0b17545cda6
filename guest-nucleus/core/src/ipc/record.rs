//! The record of a port that migrates: what its Nucleus tells the other one, through two Network Managers that do not read it.
//!
//! Version 1: pairs of 64-bit words, little-endian. First (from the lowest bits) version:16, bits:16 (1: who moves it may change trusted actors) and number of groups:32,
//! and the key of the destination actor; then the protection identifier (uid:16, gid:16, did:16, 0:16), and 0; then for each group its identifier and its key. The queue and the count of messages are not in
//! it: the queue follows when the port lives there, and the count begins anew.

use chorus_abi::net::NET_RECORD_MAX;
use chorus_abi::*;

/// Bytes of a pair of words.
pub(super) const PAIR: u32 = 16;
/// Pairs before the groups.
const HEAD: u32 = 2;
/// As many groups as fit.
pub(super) const GROUPS: u32 = NET_RECORD_MAX / PAIR - HEAD;

const VERSION: u64 = 1;
const TRUSTED: u64 = 1 << 16;
const GROUPS_FROM: u32 = 32;

/// What a record begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// Who moves the port has at least system privilege.
    pub(super) trusted: bool,
    /// Groups that follow.
    pub(super) groups: u32,
    /// Key of the actor that gets the port.
    pub(super) key: u64,
    /// The port's protection identifier.
    pub(super) pi: KnProtId,
}

impl Head {
    /// Bytes of the record.
    pub(super) fn size(&self) -> u32 {
        (HEAD + self.groups) * PAIR
    }

    pub(super) fn to_words(self) -> [[u64; 2]; HEAD as usize] {
        let trusted = if self.trusted { TRUSTED } else { 0 };
        let first = VERSION | trusted | u64::from(self.groups) << GROUPS_FROM;
        let KnProtId { uid, gid, did, .. } = self.pi;
        let pi = u64::from(uid) | u64::from(gid) << 16 | u64::from(did) << 32;
        [[first, self.key], [pi, 0]]
    }

    /// Of a record of so many bytes. `None`: it is none.
    pub(super) fn from_words(words: [[u64; 2]; HEAD as usize], size: u32) -> Option<Head> {
        let [[first, key], [pi, _]] = words;
        let head = Head {
            trusted: first & TRUSTED != 0,
            groups: (first >> GROUPS_FROM) as u32,
            key,
            pi: KnProtId {
                uid: pi as u16,
                gid: (pi >> 16) as u16,
                did: (pi >> 32) as u16,
                pad: 0,
            },
        };
        // What says the same in another way is none: there is one record of a port.
        let said = head.groups <= GROUPS && head.size() == size && head.to_words() == words;
        said.then_some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_of_a_thousand_groups_fits() {
        assert_eq!(GROUPS, 1022);
        let head = Head {
            trusted: true,
            groups: GROUPS,
            key: 7,
            pi: KnProtId::default(),
        };
        assert!(head.size() <= NET_RECORD_MAX);
        let fits = Head::from_words(head.to_words(), head.size());
        assert_eq!(fits, Some(head));
        let more = Head {
            groups: GROUPS + 1,
            ..head
        };
        assert_eq!(Head::from_words(more.to_words(), more.size()), None);
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(trusted: bool, groups in 0..=GROUPS, key: u64, uid: u16, gid: u16, did: u16) {
            let pi = KnProtId { uid, gid, did, pad: 0 };
            let head = Head { trusted, groups, key, pi };
            let words = head.to_words();
            prop_assert_eq!(Head::from_words(words, head.size()), Some(head));
            prop_assert_eq!(Head::from_words(words, head.size() + 1), None);
        }

        #[test]
        fn any_words_are_read_or_refused(words: [[u64; 2]; 2], simple in 0u64..4, size in prop_oneof![any::<u32>(), Just(32u32), Just(48)]) {
            for first in [words[0][0], simple, 1 | simple << 32, simple << 16 | 1] {
                let words = [[first, words[0][1]], words[1]];
                if let Some(head) = Head::from_words(words, size) {
                    prop_assert!(head.size() == size && head.groups <= GROUPS && head.to_words() == words);
                }
            }
        }
    }
}
