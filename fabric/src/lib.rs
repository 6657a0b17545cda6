//! What the fabric does to frames: who is joined with whom, which way a frame takes, and what each link does to it.
//!
//! There is no I/O, no clock and no randomness of its own in here: time comes with each call, chance from one seed, frames are whatever the caller moves. So the
//! switch of a running cluster (`vmm/src/fabric`) and the simulator of thousands of sites make the very same decisions. A decision depends on nothing
//! but the seed, the link, its direction and the number of the frame on it: the same frames meet the same fate, whatever the timing of guests
//! (spec `subsystems.md` 6.3).
#![forbid(unsafe_code)]

pub mod chance;
pub mod fabric;
pub mod graph;
pub mod link;
pub mod parameters;
pub mod routes;
pub mod rules;
pub mod script;
pub mod shape;

pub use chance::Chance;
pub use fabric::{Fabric, Landing, Meta, Record, To};
pub use graph::Graph;
pub use link::{Cause, Counts, Fate};
pub use parameters::{Burst, Change, Jitter, Parameters};
pub use rules::Rules;
pub use script::{Action, Fault};
pub use shape::Shape;

/// Number of a site. Those of a graph are 1…n.
pub type Site = u16;
/// Nanoseconds.
pub type Nanoseconds = u64;
