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

impl Done {
    /// Adds what another check did.
    pub fn add(&mut self, other: &Done) {
        self.worlds += other.worlds;
        self.events += other.events;
        self.calls += other.calls;
        self.messages += other.messages;
        self.frames += other.frames;
        self.forged += other.forged;
        self.time += other.time;
    }
}

#[derive(Clone, Default)]
struct Effort {
    /// Nobody asked: a test.
    asked: bool,
    full: bool,
    seed: Option<u64>,
    done: Done,
    notes: Vec<String>,
}

thread_local! {
    static EFFORT: RefCell<Effort> = RefCell::default();
}

/// Checks on this thread are made with full counts from now on, and from this seed if there is one.
pub fn demand(full: bool, seed: Option<u64>) {
    EFFORT.with_borrow_mut(|effort| {
        *effort = Effort {
            asked: true,
            full,
            seed,
            ..Effort::default()
        }
    });
}

/// What checks on this thread have done since [`demand`].
pub fn done() -> Done {
    EFFORT.with_borrow(|effort| effort.done)
}

/// What checks on this thread have said since [`demand`].
pub fn notes() -> Vec<String> {
    EFFORT.with_borrow_mut(|effort| std::mem::take(&mut effort.notes))
}

/// A check says something of itself: a figure, a seed.
pub fn say(text: impl Into<String>) {
    let text = text.into();
    EFFORT.with_borrow_mut(|effort| match effort.asked {
        true => effort.notes.push(text),
        false => println!("{text}"),
    });
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
