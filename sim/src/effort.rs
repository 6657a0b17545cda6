//! How much a check does, with which seed, and what it did.
//!
//! A test takes the seed of `CHORUS_SIM_SEED` and counts that a build without optimisation can bear; `chorus soak` gives both, and asks afterwards what was done. They belong to the thread
//! that the check runs on, so that checks beside each other do not meet.

use std::cell::RefCell;

/// What was done.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Done {
    /// Worlds that were made.
    pub worlds: u64,
    /// Events that happened in them.
    pub events: u64,
    /// Calls that were made.
    pub calls: u64,
    /// Asynchronous messages.
    pub messages: u64,
    /// Frames that sites sent.
    pub frames: u64,
    /// Frames that a check made or changed.
    pub forged: u64,
    /// Virtual time in nanoseconds.
    pub time: u64,
}

#[derive(Clone, Copy, Default)]
struct Effort {
    full: bool,
    seed: Option<u64>,
    done: Done,
}

thread_local! {
    static EFFORT: RefCell<Effort> = RefCell::default();
}

/// Checks on this thread are made with full counts from now on, and from this seed if there is one.
pub fn demand(full: bool, seed: Option<u64>) {
    EFFORT.with_borrow_mut(|effort| {
        *effort = Effort {
            full,
            seed,
            done: Done::default(),
        }
    });
}

/// What checks on this thread have done since [`demand`].
pub fn done() -> Done {
    EFFORT.with_borrow(|effort| effort.done)
}

/// Adds to it.
pub(crate) fn count(add: impl FnOnce(&mut Done)) {
    // A world may end while its thread does.
    let _ = EFFORT.try_with(|effort| add(&mut effort.borrow_mut().done));
}

/// Seed of a check: the one that was demanded, that of `CHORUS_SIM_SEED`, or `default`.
pub fn seed(default: u64) -> u64 {
    let demanded = EFFORT.with_borrow(|effort| effort.seed);
    demanded.unwrap_or_else(|| {
        std::env::var("CHORUS_SIM_SEED")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    })
}

/// A count: of a test with optimisation, else a tenth.
pub fn times(count: u64) -> u64 {
    if cfg!(debug_assertions) {
        count / 10
    } else {
        count
    }
}

/// A count that only `chorus soak` makes in full; a test makes `usual`.
pub fn full(usual: u64, full: u64) -> u64 {
    if EFFORT.with_borrow(|effort| effort.full) {
        full
    } else {
        usual
    }
}
