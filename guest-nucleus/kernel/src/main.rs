//! The bootable Chorus Nucleus for x86-64: everything below the `Machine` trait, and the boot.
//!
//! All unsafe code of the Nucleus is in this crate; the Nucleus itself is `chorus-nucleus-core`. On the host only the parts without hardware are
//! built, for their tests.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![cfg_attr(
    not(target_os = "none"),
    allow(
        dead_code,
        reason = "on the host only the tests use the parts without hardware"
    )
)]

extern crate alloc;

/// The atomics of the files that a model checker builds with its own.
use core::sync::atomic;

mod archive;
mod command_line;
mod frames;
mod lock;

#[cfg(target_os = "none")]
mod apic;
#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod calls;
#[cfg(target_os = "none")]
mod clock;
#[cfg(target_os = "none")]
mod context;
#[cfg(target_os = "none")]
mod cpu;
#[cfg(target_os = "none")]
mod early;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod fpu;
#[cfg(target_os = "none")]
mod images;
#[cfg(target_os = "none")]
mod lately;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
#[cfg(target_os = "none")]
mod paging;
#[cfg(target_os = "none")]
mod panic;
#[cfg(target_os = "none")]
mod processor;
#[cfg(target_os = "none")]
mod random;
#[cfg(target_os = "none")]
mod reach;
#[cfg(target_os = "none")]
mod registers;
mod requests;
#[cfg(target_os = "none")]
mod serial;
#[cfg(target_os = "none")]
mod shootdown;
#[cfg(target_os = "none")]
mod short_calls;
#[cfg(target_os = "none")]
mod site;
#[cfg(target_os = "none")]
mod smp;
#[cfg(target_os = "none")]
mod spaces;
#[cfg(target_os = "none")]
mod spots;
#[cfg(target_os = "none")]
mod stacks;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
mod stretches;
#[cfg(target_os = "none")]
mod trace;
#[cfg(target_os = "none")]
mod traps;
#[cfg(target_os = "none")]
mod upcalls;
#[cfg(target_os = "none")]
mod visits;

#[cfg(not(target_os = "none"))]
fn main() {}
