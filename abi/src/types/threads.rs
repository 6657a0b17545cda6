//! Threads: their parameters, registers and timers.

use super::KnTimeVal;
use super::Structure;
use crate::args::CName;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

plain! {
    /// Pool of threads that wait for timers, in the user's memory (spec 3.10).
    KnThreadPool {
        /// Tells a pool that was prepared.
        mark: u32,
        /// Padding, zero.
        pad: u32,
    }
    /// Setting of a timer (spec 3.10).
    KnITimer {
        /// From one expiry to the next; zero: it expires once.
        it_interval: KnTimeVal,
        /// Until the first expiry; zero: it is not armed.
        it_value: KnTimeVal,
    }
    /// Scheduling class of a thread and its parameters (spec 5.3).
    KnThParms {
        /// `CLASS_DEFAULT`…
        th_class: i32,
        /// Relative to the actor's, -255…255; of `CLASS_RT` 100…159, where larger is more urgent.
        th_priority: i32,
        /// Time slice of `CLASS_RT`; zero: it has none. Of other classes as it is, and not looked at.
        th_quantum: KnTimeVal,
    }
    /// Registers of a thread (spec 3.2, `threadContext`).
    KnThreadCtx {
        /// General register.
        rax: u64,
        /// General register.
        rbx: u64,
        /// General register.
        rcx: u64,
        /// General register.
        rdx: u64,
        /// General register.
        rsi: u64,
        /// General register.
        rdi: u64,
        /// General register.
        rbp: u64,
        /// Stack pointer.
        rsp: u64,
        /// General register.
        r8: u64,
        /// General register.
        r9: u64,
        /// General register.
        r10: u64,
        /// General register.
        r11: u64,
        /// General register.
        r12: u64,
        /// General register.
        r13: u64,
        /// General register.
        r14: u64,
        /// General register.
        r15: u64,
        /// Instruction pointer.
        rip: u64,
        /// Flags; only the arithmetic ones, direction and trap can be set.
        rflags: u64,
        /// Base of the FS segment: zero.
        fs_base: u64,
        /// Base of the GS segment: zero.
        gs_base: u64,
        /// Address of 512 bytes in the caller's memory for x87 and SSE, laid out as by FXSAVE, in both directions; null: not them.
        fpu_area: u64,
        /// Out: 1 when the thread is inside a call, and only `rip`, `rsp`, `rflags` and the registers of its arguments are known.
        in_call: u64,
    }
}

/// Thread state bit: logically able to run (spec 2.3).
pub const THREAD_ACTIVE: u32 = 1 << 0;
/// Thread state bit: suspend counter above zero.
pub const THREAD_SUSPENDED: u32 = 1 << 1;
/// Thread state bit: its actor, or it, was stopped.
pub const THREAD_STOPPED: u32 = 1 << 2;
/// Thread state bit: waits for an event.
pub const THREAD_WAITING: u32 = 1 << 3;
/// Thread state bit: an abort is not yet consumed.
pub const THREAD_ABORTED: u32 = 1 << 4;
