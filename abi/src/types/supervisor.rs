//! What supervisor actors are called with: exceptions, traps, interrupts, timeouts.

use super::KnCap;
use super::Structure;
use crate::args::CName;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

plain! {
    /// What an exception is: the annex of a report to an exception port, and what a handler's `info` points at (spec 6.2).
    KnExcReport {
        /// `K_EXC_REPORT`.
        service: i32,
        /// Number of the exception.
        exc_no: i32,
        /// The thread's home actor, with its key: the receiver may act on it.
        actor_cap: KnCap,
        /// The thread.
        thread_li: i32,
        /// `K_EXC_WRITE`, `K_EXC_FETCH`.
        flags: i32,
        /// Instruction pointer.
        pc: u64,
        /// Address that could not be accessed.
        fault_addr: u64,
        /// Diagnosis of a mapper, or 0.
        diag: i32,
        /// Padding, zero.
        pad: i32,
    }
    /// Beginning of the annex of the answer to a report.
    KnExcVerdict {
        /// `K_EXC_CONTINUE`…
        verdict: i32,
    }
    /// Local access point: its name on this site. Nobody can make one up.
    KnLapDesc {
        /// Which one.
        lap: u64,
        /// Key that cannot be guessed.
        key: u64,
    }
    /// What a LAP gets that is connected to a trap.
    KnSysTrapDesc {
        /// Address of the thread's registers, a `KnThreadCtx`.
        thread_ctx: u64,
        /// Number of the trap.
        trap_number: u32,
        /// Padding, zero.
        pad: u32,
    }
    /// What a LAP gets that is connected to exceptions of an actor.
    KnExcDesc {
        /// Address of the thread's registers, a `KnThreadCtx`.
        thread_ctx: u64,
        /// Address of a `KnExcReport`.
        info: u64,
        /// Number of the exception.
        exc_no: i32,
        /// Out: 0 when it was treated; negative (as it is found) when not.
        result: i32,
    }
    /// Services for an attached interrupt (`svIntrAttach`): addresses of functions that take its identifier.
    KnIntrOps {
        /// `svIntrMask`.
        mask: u64,
        /// `svIntrUnmask`.
        unmask: u64,
    }
    /// A soft interrupt (`svSoftIntrDeclare`).
    KnSoftIntr {
        /// Address of the handler: `void handler(void *cookie)`.
        handler: u64,
        /// What it gets.
        cookie: u64,
        /// Out: its name, the Nucleus' business.
        id: u64,
    }
    /// A system timeout (`svSysTimeoutSet`).
    KnTimeout {
        /// Its name while it is set, the Nucleus' business.
        id: u64,
    }
}
