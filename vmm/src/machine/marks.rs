//! The marks of a site with their times: how long it took to boot, on the clock that all sites share and in the processor time of this process.
//!
//! Wall time is noisy where many machines share a processor, so both are kept. A guest can mark as often as it likes; only the first
//! [`KEPT`] marks are kept.

use rustix::time::{ClockId, clock_gettime};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Marks that are kept of a site.
pub const KEPT: usize = 1024;

/// A mark, and when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the mark (`chorus_abi::machine::Mark`, or an actor's own).
    pub mark: u32,
    /// vCPU that made it.
    pub vcpu: usize,
    /// The host's time stamp counter, which is the guests' too.
    pub tsc: u64,
    /// Processor time that this process had used.
    pub processor: Duration,
}

/// The marks of a site.
#[derive(Default)]
pub struct Marks(Mutex<Vec<Stamp>>);

impl Marks {
    /// Keeps a mark made just now.
    pub fn keep(&self, mark: u32, vcpu: usize) {
        // SAFETY: every x86-64 processor has RDTSC, and it touches no memory.
        let tsc = unsafe { std::arch::x86_64::_rdtsc() };
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let processor = Duration::new(
            u64::try_from(used.tv_sec).unwrap_or(0),
            u32::try_from(used.tv_nsec).unwrap_or(0),
        );
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.len() < KEPT {
            marks.push(Stamp {
                mark,
                vcpu,
                tsc,
                processor,
            });
        }
    }

    /// All that were kept, in the order in which they were made.
    pub fn all(&self) -> Vec<Stamp> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_kept_in_order_and_not_without_end() {
        let marks = Marks::default();
        for number in 0..KEPT as u32 + 10 {
            marks.keep(number, 3);
        }
        let all = marks.all();
        assert_eq!(
            (all.len(), all[0].mark, all[7].mark, all[7].vcpu),
            (KEPT, 0, 7, 3)
        );
        assert!(all.is_sorted_by_key(|stamp| stamp.processor));
    }
}
