//! What supervisor and system actors ask for, and exceptions.

mod aborts;
mod connections;
mod devices;
mod drivers;
mod exceptions;
mod interrupts;
mod laps;
mod lent;
mod points;
mod ports;
mod site;
mod soft;
mod system_timeouts;
mod traps;
mod upcall;

pub use connections::Handlers;
#[cfg(test)]
pub(crate) use interrupts::ALLOWED;
pub use interrupts::Service;
pub use laps::NameWait;
pub use points::{Invocation, Point};
pub(crate) use points::{Maker, What};
pub(crate) use system_timeouts::SET as SYSTEM_TIMEOUTS;
pub use upcall::{Arrived, Call, Then, Trouble, Upcall};

/// The tables of this room.
pub(crate) struct Supervisor {
    pub points: points::Points,
    pub traps: traps::Traps,
    pub names: laps::Names,
    pub interrupts: interrupts::Interrupts,
    pub timeouts: system_timeouts::SystemTimeouts,
    pub drivers: drivers::Drivers,
    /// The LAP or message handler that the caller goes into.
    pub entered: Option<Upcall>,
}

impl Supervisor {
    pub fn new(inside: usize, cpus: usize) -> Self {
        Supervisor {
            points: points::Points::new(inside),
            traps: traps::Traps::new(),
            names: laps::Names::new(),
            interrupts: interrupts::Interrupts::new(cpus),
            timeouts: system_timeouts::SystemTimeouts::new(),
            drivers: drivers::Drivers::new(),
            entered: None,
        }
    }
}
