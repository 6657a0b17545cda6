//! Regions, segments, local caches, and what the Nucleus and mappers say to each other.

use super::KnCap;
use super::Structure;
use crate::args::CName;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

plain! {
    /// Region descriptor (spec 4.1).
    KnRgnDesc {
        /// Start, in and out.
        start_addr: u64,
        /// Bytes, rounded up to pages.
        size: u64,
        /// `K_WRITABLE`…
        options: u32,
        /// Padding, zero.
        pad: u32,
        /// Upper bound, only with `K_RESTRICTIVE`.
        end_addr: u64,
        /// Kept for the user.
        opaque1: u64,
        /// Kept for the user.
        opaque2: u64,
    }
    /// One range of equal attributes in `rgnStat`'s list.
    KnRgnStat {
        /// First address.
        start_addr: u64,
        /// Bytes.
        size: u64,
        /// `K_WRITABLE`…
        options: u32,
        /// Padding, zero.
        pad: u32,
        /// The user's own.
        opaque1: u64,
        /// The user's own.
        opaque2: u64,
        /// Bytes of its own that are in memory. What a copy still shares with its source is not its own.
        resident: u64,
        /// Bytes of them that stay there.
        fixed: u64,
        /// Segment that it shows, null for none; the key is zero for unprivileged callers.
        segment: KnCap,
        /// Byte of the segment that it begins with.
        offset: u64,
    }
    /// A part of a segment, or of the local cache of one (spec 4.1).
    KnObjDesc {
        /// Capability of the segment or of the cache.
        data_object: KnCap,
        /// First byte.
        start_offset: u64,
        /// Bytes.
        size: u64,
    }
    /// The local cache of a segment (`sgStat`).
    KnLcStat {
        /// The segment.
        segment: KnCap,
        /// The cache itself; the key is zero for unprivileged callers.
        cache: KnCap,
        /// Bytes in memory here.
        allocated: u64,
        /// Bytes of them that are locked.
        fixed: u64,
        /// Bytes of them that the mapper does not have.
        dirty: u64,
    }
    /// Annex of a request of the Nucleus to a mapper (spec 4.5).
    KnMpRequest {
        /// `KN_MPPULLIN`…
        service: i32,
        /// Access that is needed: `K_READABLE`, or with `K_WRITABLE`.
        access: u32,
        /// Key of the segment.
        seg_key: u64,
        /// The cache that asks.
        lc_cap: KnCap,
        /// First byte that is wanted, or sent.
        offset: u64,
        /// Bytes that are wanted, or sent in the body: whole pages.
        size: u64,
        /// First byte of the page that is needed.
        required_offset: u64,
        /// Number of the request at this site.
        id: u64,
    }
    /// Annex of a mapper's answer. Zeros grant nothing and mean that all went well.
    KnMpReply {
        /// 0, or why it failed: negative.
        diag: i32,
        /// Access that is granted: `K_READABLE`, or with `K_WRITABLE`.
        access: u32,
        /// First byte of the body's range.
        offset: u64,
        /// Bytes of the range, whole pages; where the body ends before, zeros. None at all: the page that is needed is zeros.
        size: u64,
        /// Pages that should be asked for at once; 0: no change.
        in_cluster: u32,
        /// 1: the mapper wants to hear when the cache goes (`KN_MPRELEASE`).
        release: u32,
        /// Not used, zero.
        pad: [u64; 4],
    }
    /// Annex of the default mapper's answer to `KN_MPCREATE`.
    KnMpCreateReply {
        /// 0, or why it failed: negative.
        diag: i32,
        /// Zero.
        options: u32,
        /// The temporary segment: a port of the same mapper, and a key.
        seg_cap: KnCap,
        /// Not used, zero.
        pad: [u64; 5],
    }
}
