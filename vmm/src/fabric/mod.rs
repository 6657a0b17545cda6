//! The fabric of a running cluster: a switch in this process that moves frames between the sites.
//!
//! A frame goes from the sender's descriptors to the receiver's in one copy, guest memory to guest memory, unless a link delays it. One worker
//! thread sleeps until a doorbell rings, takes at most [`BATCH`] frames from each station, and publishes to each receiver once a batch.
//! Which way a frame takes and what happens to it there says [`chorus_fabric`], from one seed.

pub mod host_port;
pub mod switch;

pub use host_port::HostPort;
pub use switch::{BATCH, Station, Switch};

use vm_memory::VolatileSlice;

/// A frame on its way: pieces of memory one after another, from the Ethernet header on, without checksum.
pub type Pieces<'a> = &'a [VolatileSlice<'a>];

/// Longest frame in bytes: a body of 64 KiB and headers.
pub const FRAME_MAX: usize = 66_000;
/// Shortest frame: an Ethernet header.
pub const FRAME_MIN: usize = 14;

/// Counters of a station.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames that it sent.
    pub sent: u64,
    /// Bytes that it sent.
    pub sent_bytes: u64,
    /// Frames that it got.
    pub received: u64,
    /// Bytes that it got.
    pub received_bytes: u64,
    /// Frames for it that found no room.
    pub dropped_full: u64,
    /// Frames of it that were lost on the way.
    pub dropped_link: u64,
    /// Frames of it to nowhere: unknown address, malformed.
    pub dropped_address: u64,
}
