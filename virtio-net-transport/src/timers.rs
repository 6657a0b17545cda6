//! Armed timers in order of time.
//!
//! Each object keeps the time of its own timer (0 for none) and is named by a [`Due`]; so a timer can be moved or taken away exactly,
//! and [`Timers::next`] never names a time at which nothing is to be done.

use crate::hints::Key;
use alloc::collections::BTreeSet;

/// What a timer is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Due {
    /// The call in this slot: repeat, probe, retry or give up.
    Call(u32),
    /// The search for this name: next question or failure.
    Search(Key),
    /// Incomplete request of (site, channel): ask for pieces or drop it.
    Request(u16, u16),
    /// Incomplete asynchronous messages of this site: drop the old ones.
    Sends(u16),
    /// Explicit acknowledgements to this site.
    Acks(u16),
    /// Look through the server channels of this site for what has lived long enough.
    Forget(u16),
    /// Say hello.
    Hello,
    /// Ask the next sites whether they are there.
    Period,
    /// Ask for lists of members that are older here than at their sites.
    Lists,
    /// Moves of ports: ask again, forget.
    Moves,
    /// The question to this site was not answered.
    Probe(u16),
}

/// All armed timers of an endpoint.
#[derive(Default, Debug)]
pub(crate) struct Timers {
    armed: BTreeSet<(u64, Due)>,
}

impl Timers {
    /// Arms the timer `due`, whose time is kept in `at`, for `time`.
    pub(crate) fn set(&mut self, at: &mut u64, due: Due, time: u64) {
        self.clear(at, due);
        // Time 0 means "none"; a timer for time 0 comes a nanosecond late.
        *at = time.max(1);
        self.armed.insert((*at, due));
    }

    /// Takes the timer away if it is armed.
    pub(crate) fn clear(&mut self, at: &mut u64, due: Due) {
        if *at != 0 {
            self.armed.remove(&(*at, due));
            *at = 0;
        }
    }

    /// The earliest time.
    pub(crate) fn next(&self) -> Option<u64> {
        self.armed.first().map(|(time, _)| *time)
    }

    /// Takes the earliest timer that is not later than `now`. Its owner must set its own time to 0 or arm it anew.
    pub(crate) fn pop(&mut self, now: u64) -> Option<Due> {
        if self.next()? > now {
            return None;
        }
        self.armed.pop_first().map(|(_, due)| due)
    }

    pub(crate) fn len(&self) -> usize {
        self.armed.len()
    }
}
