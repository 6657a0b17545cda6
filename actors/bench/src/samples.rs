//! Samples of one operation, and the line that tells of them.

use alloc::vec::Vec;
use chorus_runtime::println;

/// The processor's clock.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: the Nucleus lets actors read the clock.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// What two readings of the clock with nothing between take.
fn nothing() -> u64 {
    (0..64)
        .map(|_| {
            let start = ticks();
            ticks() - start
        })
        .min()
        .unwrap_or(0)
}

/// Runs an operation so many times, after a few for warmth; the ticks of each run, less those of the measuring itself.
pub fn repeat(count: usize, mut operation: impl FnMut()) -> Vec<u64> {
    let own = nothing();
    (0..8).for_each(|_| operation());
    let mut samples = alloc::vec![0; count];
    for sample in &mut samples {
        let start = ticks();
        operation();
        *sample = (ticks() - start).saturating_sub(own);
    }
    samples
}

/// The ticks of one run, less those of the measuring itself.
pub fn once(operation: impl FnOnce()) -> Option<u64> {
    let own = nothing();
    let start = ticks();
    operation();
    Some((ticks() - start).saturating_sub(own))
}

/// Prints one operation as a line of JSON.
pub fn report(suite: &str, op: &str, unit: &str, samples: &mut [u64]) {
    samples.sort_unstable();
    let at = |part: usize| {
        let index = (samples.len() * part / 100).min(samples.len().saturating_sub(1));
        samples.get(index).copied().unwrap_or(0)
    };
    println!(
        "{{\"suite\":\"{suite}\",\"op\":\"{op}\",\"unit\":\"{unit}\",\"count\":{},\"min\":{},\"median\":{},\"p99\":{},\"max\":{}}}",
        samples.len(),
        at(0),
        at(50),
        at(99),
        at(100)
    );
}
