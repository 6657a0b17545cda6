//! The machine-independent Chorus Nucleus: actors, threads, ports, groups, messages, regions.
//!
//! Sequential, safe code over one [`machine::Machine`]. A call *checks* (may fail, changes nothing) and then *commits* (cannot fail).
//! It runs in the guest, on the host in tests, and N at a time in a simulation.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod arena;
pub mod changes;
pub mod executive;
pub mod ipc;
pub mod lists;
pub mod machine;
pub mod memory;
pub mod names;
pub mod nucleus;
#[cfg(test)]
mod sim;
pub mod supervisor;
mod traces;

pub use arena::{Arena, Id};
pub use executive::handing::Handed;
pub use executive::scheduler::Next;
pub use ipc::{Passed, Visited};
pub use memory::Fault;
pub use nucleus::{Caller, Configuration, Limits, Nucleus, Outcome};
