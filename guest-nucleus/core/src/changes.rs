//! A count of what was rearranged: conversations rely on that nothing was, and compare one number to know it.
//!
//! Every table that they rely on counts here by itself, and so does the machine for mappings, so that no change can be forgotten. All under the site's lock: the
//! number is atomic only so that a site can be made by one thread and run by another.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Never reached by counting.
const SUSPENDED: u64 = 1 << 63;

/// The count; clones are the same one.
#[derive(Clone, Debug)]
pub struct Changes(Arc<AtomicU64>);

impl Default for Changes {
    fn default() -> Self {
        // 0 is before everything.
        Changes(Arc::new(AtomicU64::new(1)))
    }
}

impl Changes {
    /// Something was rearranged, or may be.
    #[inline(always)]
    pub fn happen(&self) {
        self.0.store(self.0.load(Relaxed) + 1, Relaxed);
    }

    /// Nothing that was remembered holds for the time being, or it does again.
    pub fn suspend(&self, suspend: bool) {
        let count = self.0.load(Relaxed) & !SUSPENDED;
        self.0
            .store(count | if suspend { SUSPENDED } else { 0 }, Relaxed);
    }

    /// A number that grows, and is another than any before while it is suspended.
    #[inline(always)]
    pub fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
