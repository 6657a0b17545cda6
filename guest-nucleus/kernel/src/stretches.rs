//! The longest stretches in which a processor hears no interrupts because it is in the Nucleus, or waits for another that is.
//!
//! They begin when a processor asks for the site's lock and end when it lets go of it, whichever thread does. Who waits for a thread to be preempted waits that long at
//! most. The calls that are short by construction ([`crate::site::enter_briefly`]) are not measured: what they take is counted (`chorus bench --icount`).

use crate::clock;
use crate::cpu;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// In [`Stretch::what`]: an interrupt or exception, and below that its vector; without, the number of a call.
pub const VECTOR: u32 = 1 << 16;
/// In [`Stretch::what`]: giving back what goes.
pub const REAPING: u32 = 1 << 17;

/// When the stretch under way began; 0: none is measured. All of these belong to whoever holds the lock.
static BEGAN: AtomicU64 = AtomicU64::new(0);
static WHAT: AtomicU32 = AtomicU32::new(0);
static LONGEST: AtomicU64 = AtomicU64::new(0);
static LONGEST_IN: AtomicU32 = AtomicU32::new(0);
/// The longest since somebody asked.
static RECENT: AtomicU64 = AtomicU64::new(0);
static RECENT_IN: AtomicU32 = AtomicU32::new(0);

/// Ticks of the clock, to be given to [`begin`].
#[inline(always)]
pub fn now() -> u64 {
    cpu::tsc()
}

/// A stretch began at this time. The lock is held.
#[inline(always)]
pub fn begin(at: u64) {
    BEGAN.store(at, Relaxed);
}

/// What the processor that holds the lock came for.
#[inline(always)]
pub fn is_in(what: u32) {
    WHAT.store(what, Relaxed);
}

/// The lock is about to be free: the stretch is over.
#[inline(always)]
pub fn end() {
    let began = BEGAN.load(Relaxed);
    if began != 0 {
        BEGAN.store(0, Relaxed);
        let ticks = cpu::tsc().wrapping_sub(began);
        if ticks > RECENT.load(Relaxed) {
            RECENT.store(ticks, Relaxed);
            RECENT_IN.store(WHAT.load(Relaxed), Relaxed);
        }
    }
}

/// The longest so far in nanoseconds, and what it was in; and the same since this was asked last. The lock is held.
pub fn longest() -> [(u64, u32); 2] {
    let recent = (RECENT.swap(0, Relaxed), RECENT_IN.load(Relaxed));
    if recent.0 > LONGEST.load(Relaxed) {
        LONGEST.store(recent.0, Relaxed);
        LONGEST_IN.store(recent.1, Relaxed);
    }
    let longest = (LONGEST.load(Relaxed), LONGEST_IN.load(Relaxed));
    [longest, recent].map(|(ticks, what)| (clock::nanoseconds(ticks), what))
}
