//! The Network Manager's protocols as one deterministic state machine without I/O, clock or randomness.
//!
//! A site's [`Endpoint`] is told what happened (a frame, a timer, an item that its Nucleus handed out) and at what time, and acts
//! through the [`Site`] it is given: it transmits frames, delivers messages, completes calls. Because nothing else goes in or out, the
//! same code serves the guest's Network Manager, the host's gateway, the simulator in `sim/` and the dissector, and a run is
//! repeated exactly by repeating its events. `docs/protocol.md` describes the frames, the machines, the timers and the bounds.
//!
//! Sources: `subsystems.md` section 1 (SS-001…062) and `nucleus-calls.md` 3.13.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod config;
pub mod counters;
pub mod endpoint;
pub mod fragments;
pub mod frame;
mod hints;
mod members;
mod membership;
pub mod seal;
mod slab;
mod timers;
pub mod trust;
pub mod view;
mod window;

pub use config::{Config, ConfigError};
pub use counters::{Counters, Sizes};
pub use endpoint::{Endpoint, Event, Notice, Other, Site};
pub use members::Standing;
pub use seal::Seal;
pub use trust::Trust;
pub use view::View;
