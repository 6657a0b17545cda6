//! What threads of an actor wait for each other by; it lies in the memory of the actor.

use super::Structure;
use crate::args::CName;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

plain! {
    /// Mutex in the user's memory (spec 2.8). All zero is a free mutex.
    KnMutex {
        /// 0 free, 1 locked.
        locked: u32,
        /// Threads that wait; the Nucleus' business.
        waiters: u32,
    }
    /// Semaphore in the user's memory (spec 2.8).
    KnSem {
        /// Units; negative: threads that wait.
        count: i32,
        /// Padding, zero.
        pad: u32,
    }
    /// Semaphore of one thread in the user's memory (spec 3.3).
    KnThSem {
        /// LI of the thread that may wait on it.
        owner: i32,
        /// 1 when posted.
        posted: u32,
    }
    /// Set of 32 event flags in the user's memory (spec 3.3). All zero: none is posted.
    KnEventSet {
        /// Flags that are posted.
        flags: u32,
        /// Padding, zero.
        pad: u32,
    }
    /// Real-time mutex in the user's memory (spec 3.3). All zero is a free one.
    KnRtMutex {
        /// LI of the thread that has it; 0: it is free.
        owner: i32,
        /// Padding, zero.
        pad: u32,
        /// By which the Nucleus knows that it wrote the owner itself.
        seal: u64,
    }
}
