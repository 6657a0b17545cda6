//! A request of one processor to others, which it waits for: one at a time.
//!
//! Its sender holds the site's lock. A processor that waits for that lock answers from there, so that nobody waits for one who waits for him.

use crate::atomic::{AtomicU64, Ordering};

/// The request that is under way.
pub struct Requests {
    what: AtomicU64,
    /// Processors that have not answered, a bit each.
    pending: AtomicU64,
}

impl Requests {
    /// None, of two zeros: a model checker brings its own (`tests/tests/interleavings.rs`).
    pub const fn of(what: AtomicU64, pending: AtomicU64) -> Self {
        Requests { what, pending }
    }

    /// Asks the processors in `mask` for `what`. Only the holder of the site's lock does.
    #[inline]
    pub fn raise(&self, what: u64, mask: u64) {
        self.what.store(what, Ordering::Relaxed);
        self.pending.store(mask, Ordering::Release);
    }

    /// Whether all have done what was asked.
    #[inline]
    pub fn all_answered(&self) -> bool {
        self.pending.load(Ordering::Acquire) == 0
    }

    /// Whether a request is under way, to whomever.
    #[inline]
    pub fn any(&self) -> bool {
        self.pending.load(Ordering::Acquire) != 0
    }

    /// Does what processor `index` is asked for, if it is.
    #[inline]
    pub fn answer(&self, index: usize, obey: impl FnOnce(u64)) {
        if self.pending.load(Ordering::Acquire) >> index & 1 == 1 {
            obey(self.what.load(Ordering::Relaxed));
            self.pending.fetch_and(!(1 << index), Ordering::Release);
        }
    }
}
