//! Names of objects, capabilities, and intervals of time.

use super::Structure;
use crate::args::CName;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

plain! {
    /// Unique identifier, 64 bits (spec 1.1).
    KnUniqueId {
        /// Bits 63..32: site, type, epoch.
        ui_head: u32,
        /// Bits 31..0: counter or stamp.
        ui_tail: u32,
    }
    /// Capability: UI and 64-bit key (spec 1.2, NC-001).
    KnCap {
        /// Name of the object, or of its manager's port.
        ui: KnUniqueId,
        /// Key that cannot be guessed.
        key: u64,
    }
    /// Protection identifier: user, group, domain (spec 1.4).
    KnProtId {
        /// User.
        uid: u16,
        /// Group.
        gid: u16,
        /// Domain.
        did: u16,
        /// Padding, zero.
        pad: u16,
    }
    /// Time interval (spec 0.3).
    KnTimeVal {
        /// Seconds.
        tm_sec: u64,
        /// Nanoseconds, 0..999999999.
        tm_nsec: u32,
        /// Padding, zero.
        pad: u32,
    }
}

impl KnProtId {
    /// Nobody's: what is seen of an identifier that a site claims without being allowed to speak for its domain.
    pub const NOBODY: KnProtId = KnProtId {
        uid: u16::MAX,
        gid: u16::MAX,
        did: u16::MAX,
        pad: 0,
    };
}

impl KnTimeVal {
    /// Interval of this many nanoseconds.
    pub const fn from_ns(ns: u64) -> Self {
        KnTimeVal {
            tm_sec: ns / 1_000_000_000,
            tm_nsec: (ns % 1_000_000_000) as u32,
            pad: 0,
        }
    }

    /// The interval in nanoseconds, saturating; `None` when the nanoseconds field is out of range (spec 0.3).
    pub const fn to_ns(self) -> Option<u64> {
        if self.tm_nsec > 999_999_999 {
            return None;
        }
        Some(
            self.tm_sec
                .saturating_mul(1_000_000_000)
                .saturating_add(self.tm_nsec as u64),
        )
    }
}

/// A name as a zero-padded field; longer names are cut to 15 bytes.
pub fn name_field(name: &str) -> [u8; 16] {
    let mut field = [0; 16];
    let length = name.len().min(crate::NAME_MAX);
    field[..length].copy_from_slice(&name.as_bytes()[..length]);
    field
}

/// The text in a zero-padded field; bytes that are not UTF-8 end it.
pub fn name_text(field: &[u8; 16]) -> &str {
    let length = field
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(field.len());
    match core::str::from_utf8(&field[..length]) {
        Ok(text) => text,
        Err(error) => core::str::from_utf8(&field[..error.valid_up_to()]).unwrap_or(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nc_001_sizes() {
        assert_eq!(size_of::<KnUniqueId>(), 8);
        assert_eq!(size_of::<KnCap>(), 16);
        assert_eq!(core::mem::offset_of!(KnCap, key), 8);
    }

    #[test]
    fn names_are_cut_and_read_back() {
        assert_eq!(
            name_text(&name_field("network-manager-x")),
            "network-manager"
        );
        assert_eq!(name_text(&[0xff; 16]), "");
    }
}
