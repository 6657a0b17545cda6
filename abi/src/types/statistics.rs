//! What is told of actors, of threads and of memory.

use super::KnCap;
use super::Structure;
use crate::args::CName;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

plain! {
    /// One actor in `actorStat`'s list.
    KnActorStat {
        /// Capability; the key is zero for unprivileged callers.
        cap: KnCap,
        /// `K_USERACTOR`…
        kind: i32,
        /// 1 when stopped.
        stopped: i32,
        /// Actor priority.
        priority: i32,
        /// Threads.
        threads: u32,
        /// Ports.
        ports: u32,
        /// Pages of memory that it owns.
        pages: u32,
        /// Name, zero padded.
        name: [u8; 16],
        /// Address that its image was loaded at, for debuggers; 0: none was loaded.
        base: u64,
    }
    /// One thread in `threadStat`'s list.
    KnThreadStat {
        /// LI in its actor.
        li: i32,
        /// `K_USERTHREAD` or `K_SUPTHREAD`.
        privilege: i32,
        /// State bits, see `THREAD_*`.
        state: u32,
        /// Suspend counter.
        suspended: u32,
        /// Relative priority.
        relative: i32,
        /// Absolute priority after cutting to 0..255, with what it inherits by real-time mutexes.
        absolute: i32,
        /// Processor it runs on or ran last.
        cpu: u32,
        /// Padding, zero.
        pad: u32,
        /// Processor time in nanoseconds.
        cpu_time_ns: u64,
    }
    /// Memory of the site (`vmStat`), in bytes.
    KnVmStat {
        /// All memory that the Nucleus manages.
        total: u64,
        /// Free now.
        free: u64,
        /// Fixed: kernel tables and fixed regions.
        fixed: u64,
        /// In temporary segments of the default mapper, and not in memory.
        outside: u64,
        /// Temporary segments that there are.
        segments: u64,
        /// Pages that left memory since the site began.
        pages_out: u64,
        /// Pages that came back.
        pages_in: u64,
    }
}
