//! Measuring: `chorus bench`.
//!
//! The benchmark is an actor (`actors/bench`) that prints one JSON object a line; this room runs it in the right machine, reads the lines
//! and presents them. With `--icount` that machine is the Nucleus image on a bare QEMU microvm under an instruction clock, where nothing else
//! runs and one tick is one instruction: exact, and the same everywhere. Otherwise it is a cluster, and the figures are ticks of this machine's clock.

mod bench;
mod budgets;
mod cluster;
mod code;
mod compare;
mod counted;
mod density;
pub mod microvm;
mod profile;
mod record;
mod remote;
mod steps;
mod windows;

pub use bench::bench;
pub use record::Record;
