//! The record of a port that migrates: what its Nucleus tells the other one, through two Network Managers that do not read it.
//!
//! Version 1, little-endian: version:2, bits:2 (1: who moves it may change trusted actors), groups:4, key of the destination actor:8, protection identifier
//! (uid:2, gid:2, did:2, 0:2), and for each group its identifier:8 and key:8. The queue and the count of messages are not in it: the queue follows when the port
//! lives there, and the count begins anew.

use chorus_abi::net::NET_RECORD_MAX;
use chorus_abi::*;

const VERSION: u16 = 1;
const TRUSTED: u16 = 1;
/// Bytes before the groups.
pub(super) const HEAD: usize = 24;
/// Bytes of a group.
pub(super) const GROUP: usize = 16;
/// As many groups as fit.
pub(super) const GROUPS: u32 = (NET_RECORD_MAX - HEAD as u32) / GROUP as u32;

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
        HEAD as u32 + self.groups * GROUP as u32
    }

    pub(super) fn to_bytes(self) -> [u8; HEAD] {
        let KnProtId { uid, gid, did, .. } = self.pi;
        let pi = [uid, gid, did, 0].map(u64::from);
        let pi = pi.iter().rev().fold(0, |all, part| all << 16 | part);
        let bits = if self.trusted { TRUSTED } else { 0 };
        let first = u64::from(VERSION) | u64::from(bits) << 16 | u64::from(self.groups) << 32;
        let mut bytes = [0; HEAD];
        for (place, word) in bytes.chunks_exact_mut(8).zip([first, self.key, pi]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Of a record of so many bytes. `None`: it is none.
    pub(super) fn from_bytes(bytes: &[u8; HEAD], size: u32) -> Option<Head> {
        let [first, key, pi] = words(bytes)?;
        let part = |word: u64, at: u32| (word >> at) as u16;
        let head = Head {
            trusted: part(first, 16) == TRUSTED,
            groups: (first >> 32) as u32,
            key,
            pi: KnProtId {
                uid: part(pi, 0),
                gid: part(pi, 16),
                did: part(pi, 32),
                pad: 0,
            },
        };
        // What says the same in another way is none: there is one record of a port.
        let said = head.groups <= GROUPS && head.size() == size && head.to_bytes() == *bytes;
        said.then_some(head)
    }
}

/// A group as it is in a record.
pub(super) fn group_to_bytes(cap: KnCap) -> [u8; GROUP] {
    let mut bytes = [0; GROUP];
    for (place, word) in bytes.chunks_exact_mut(8).zip([cap.ui.word(), cap.key]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// The capability that a record has of a group; whether it is one is not looked at.
pub(super) fn group_from_bytes(bytes: &[u8; GROUP]) -> Option<KnCap> {
    let [ui, key] = words(bytes)?;
    let ui = KnUniqueId::from_word(ui);
    Some(KnCap { ui, key })
}

fn words<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let mut words = [0; N];
    for (word, part) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(part.try_into().ok()?);
    }
    Some(words)
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
        let fits = Head::from_bytes(&head.to_bytes(), head.size());
        assert_eq!(fits, Some(head));
        let more = Head {
            groups: GROUPS + 1,
            ..head
        };
        assert_eq!(Head::from_bytes(&more.to_bytes(), more.size()), None);
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(trusted: bool, groups in 0..=GROUPS, key: u64, uid: u16, gid: u16, did: u16) {
            let pi = KnProtId { uid, gid, did, pad: 0 };
            let head = Head { trusted, groups, key, pi };
            let bytes = head.to_bytes();
            prop_assert_eq!(Head::from_bytes(&bytes, head.size()), Some(head));
            prop_assert_eq!(Head::from_bytes(&bytes, head.size() + 1), None);
            // The layout, a second time.
            prop_assert_eq!(u16::from_le_bytes([bytes[0], bytes[1]]), 1);
            prop_assert_eq!(u32::from_le_bytes(bytes[4..8].try_into().unwrap()), groups);
            prop_assert_eq!(u64::from_le_bytes(bytes[8..16].try_into().unwrap()), key);
            prop_assert_eq!(u16::from_le_bytes([bytes[20], bytes[21]]), did);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: [u8; HEAD], size: u32, word: u64, key: u64) {
            if let Some(head) = Head::from_bytes(&bytes, size) {
                prop_assert!(head.size() == size && head.groups <= GROUPS && head.to_bytes() == bytes);
            }
            let cap = KnCap { ui: KnUniqueId::from_word(word), key };
            prop_assert_eq!(group_from_bytes(&group_to_bytes(cap)), Some(cap));
        }
    }
}
