//! What a site tells of itself.

use super::Structure;
use crate::args::CName;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

plain! {
    /// Counters of the site (`siteStat`).
    KnSiteStat {
        /// Site number.
        site: u32,
        /// Incarnation.
        epoch: u32,
        /// Processors that run.
        cpus: u32,
        /// Actors alive.
        actors: u32,
        /// Threads alive.
        threads: u32,
        /// Ports alive.
        ports: u32,
        /// Nucleus calls made.
        calls: u64,
        /// Thread switches.
        switches: u64,
        /// Messages delivered on this site.
        messages: u64,
        /// Page faults resolved.
        faults: u64,
        /// Actors ended by an exception.
        exceptions: u64,
        /// Interrupts between `sti` and `hlt` that the idle fix-up met.
        idle_fixups: u64,
        /// Interrupts that an emulated processor delivered twice, and that were dropped.
        delivered_twice: u64,
        /// Timer interrupts.
        timer_interrupts: u64,
        /// Interprocessor interrupts sent.
        ipis: u64,
        /// Nanoseconds since boot.
        uptime_ns: u64,
        /// Bytes that the Nucleus copied: bodies of messages but those that the fast path delivers, `vmCopy`, pages of copies.
        copied: u64,
        /// The longest time that a processor heard no interrupts, since it was in the Nucleus or waited for another there. Calls that are short by construction (the null call,
        /// a request or reply that goes on with a conversation) and the boot are not looked at.
        longest_ns: u64,
        /// What that was in: the number of a call, or an interrupt's or exception's vector with bit 16 set, or only bit 17 for giving back what goes.
        longest_in: u32,
        /// What the longest since `siteStat` was called last was in.
        recent_in: u32,
        /// How long that took, in nanoseconds. A thread that is ready waits for a less urgent one just as long at most: after each stretch the most urgent runs.
        recent_ns: u64,
    }
}
