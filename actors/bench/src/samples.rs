//! Samples of one operation, and the line that tells of them.
//!
//! Each reading of the clock leaves its address in a section that is not loaded (`chorus_abi::readings`), by which `chorus bench --icount` cuts a trace into operations.

use alloc::vec::Vec;
use chorus_abi::readings::Reading;
use chorus_runtime::println;
use core::arch::asm;

/// The processor's clock; `READING` is what it is read for.
#[inline(always)]
fn ticks<const READING: u64>() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: the Nucleus lets actors read the clock, which clears the upper halves of both registers.
    unsafe {
        asm!(
            "2: rdtsc",
            ".pushsection .clock_readings,\"\",@progbits",
            ".quad 2b, {reading}",
            ".popsection",
            reading = const READING,
            out("rax") low,
            out("rdx") high,
            options(nomem, nostack, preserves_flags)
        );
    }
    high << 32 | low
}

/// The ticks of an operation.
#[inline(always)]
fn timed<const BEGIN: u64, const END: u64>(operation: impl FnOnce()) -> u64 {
    let start = ticks::<BEGIN>();
    operation();
    ticks::<END>() - start
}

/// What two readings of the clock with nothing between take.
fn nothing() -> u64 {
    (0..64)
        .map(|_| timed::<{ Reading::OwnBegin as u64 }, { Reading::OwnEnd as u64 }>(|| ()))
        .min()
        .unwrap_or(0)
}

/// The ticks of an operation, less `own`, those of the measuring itself.
#[inline(always)]
fn sample(own: u64, operation: impl FnOnce()) -> u64 {
    timed::<{ Reading::Begin as u64 }, { Reading::End as u64 }>(operation).saturating_sub(own)
}

/// Runs an operation so many times, after a few for warmth; the ticks of each run, less those of the measuring itself.
pub fn repeat(count: usize, mut operation: impl FnMut()) -> Vec<u64> {
    let own = nothing();
    (0..8).for_each(|_| operation());
    let mut samples = alloc::vec![0; count];
    for ticks in &mut samples {
        *ticks = sample(own, &mut operation);
    }
    samples
}

/// The ticks of one run, less those of the measuring itself.
pub fn once(operation: impl FnOnce()) -> Option<u64> {
    Some(sample(nothing(), operation))
}

/// Prints one operation as a line of JSON.
#[inline(never)]
pub fn report(suite: &str, op: &str, unit: &str, samples: &mut [u64]) {
    // SAFETY: no instruction.
    unsafe {
        asm!(
            "2:",
            ".pushsection .clock_readings,\"\",@progbits",
            ".quad 2b, {reading}",
            ".popsection",
            reading = const Reading::Report as u64,
            options(nomem, nostack, preserves_flags)
        );
    }
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
