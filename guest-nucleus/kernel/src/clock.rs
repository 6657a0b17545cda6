//! Time since boot from the time-stamp counter, and how fast that counts.
//!
//! The frequency comes from whoever knows it: command line, hypervisor leaf, processor leaf; else it is measured against the local APIC's timer.

use crate::{apic, cpu};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

static START: AtomicU64 = AtomicU64::new(0);
static KHZ: AtomicU64 = AtomicU64::new(1);
/// Nanoseconds a tick, times 2^32.
static SCALE: AtomicU64 = AtomicU64::new(0);

const MEASURED_NS: u64 = 500_000;

/// Begins time.
pub fn start() {
    START.store(cpu::tsc(), Relaxed);
}

/// Settles the frequency; says where it came from.
pub fn calibrate(told_khz: Option<u64>) -> &'static str {
    let hypervisor = cpu::cpuid(1, 0)[2] >> 31 == 1;
    let leaf = |limit: u32, leaf: u32| {
        if cpu::cpuid(limit, 0)[0] >= leaf {
            cpu::cpuid(leaf, 0)
        } else {
            [0; 4]
        }
    };
    let from_hypervisor = if hypervisor {
        u64::from(leaf(0x4000_0000, 0x4000_0010)[0])
    } else {
        0
    };
    let [denominator, numerator, crystal, _] = leaf(0, 0x15).map(u64::from);
    let (khz, source) = if let Some(khz) = told_khz {
        (khz, "command line")
    } else if from_hypervisor > 0 {
        (from_hypervisor, "hypervisor")
    } else if denominator > 0 && numerator * crystal > 0 {
        (crystal * numerator / denominator / 1000, "processor")
    } else {
        (measure(), "measured")
    };
    KHZ.store(khz.max(1), Relaxed);
    SCALE.store(
        ((1_000_000u128 << 32) / u128::from(khz.max(1))) as u64,
        Relaxed,
    );
    source
}

fn measure() -> u64 {
    apic::stopwatch(|elapsed| {
        let (begin, first) = (cpu::tsc(), elapsed());
        let mut patience = 50_000_000u32;
        while elapsed() - first < MEASURED_NS && patience > 0 {
            patience -= 1;
        }
        let (ticks, ns) = (cpu::tsc() - begin, elapsed() - first);
        if patience == 0 {
            1_000_000
        } else {
            ticks * 1_000_000 / ns.max(1)
        }
    })
}

/// Clock of the time-stamp counter.
pub fn khz() -> u64 {
    KHZ.load(Relaxed)
}

/// Nanoseconds since boot.
#[inline]
pub fn now() -> u64 {
    nanoseconds(cpu::tsc().saturating_sub(START.load(Relaxed)))
}

/// So many ticks of the time-stamp counter in nanoseconds.
#[inline]
pub fn nanoseconds(ticks: u64) -> u64 {
    ((u128::from(ticks) * u128::from(SCALE.load(Relaxed))) >> 32) as u64
}

/// Programs this processor's timer for a time.
pub fn arm(at: u64) {
    let ticks = (u128::from(at) * u128::from(khz()) / 1_000_000) as u64;
    apic::arm(
        START.load(Relaxed).saturating_add(ticks).saturating_add(1),
        at.saturating_sub(now()),
    );
}
