//! What a test may ask of a world without changing it.

use super::history::Happening;
use super::world::World;
use chorus_transport::Endpoint;

impl World {
    /// Counters of a site that is up.
    pub fn counters(&self, number: u16) -> chorus_transport::Counters {
        self.sites[usize::from(number) - 1]
            .endpoint
            .as_ref()
            .map(|endpoint| *endpoint.counters())
            .unwrap_or_default()
    }

    /// A number for all that a site's endpoint remembers.
    pub fn fingerprint(&self, number: u16) -> u64 {
        self.sites[usize::from(number) - 1]
            .endpoint
            .as_ref()
            .map_or(0, Endpoint::fingerprint)
    }

    /// Tables of a site that is up.
    pub fn sizes(&self, number: u16) -> chorus_transport::Sizes {
        self.sites[usize::from(number) - 1]
            .endpoint
            .as_ref()
            .map(Endpoint::sizes)
            .unwrap_or_default()
    }

    /// Whether the call's client still waits.
    pub fn waits(&self, call: u32) -> bool {
        self.clients[call as usize] != 0
    }

    /// How a call ended and when; `None` while it has not.
    pub fn end(&self, call: u32) -> Option<(i32, u64)> {
        self.history
            .events
            .iter()
            .rev()
            .find_map(|(time, of, happening)| match happening {
                Happening::Ended(result, _) if *of == call => Some((*result, *time)),
                _ => None,
            })
    }

    /// How often a call was executed.
    pub fn executions(&self, call: u32) -> usize {
        self.history
            .of(call)
            .iter()
            .filter(|(_, happening)| matches!(happening, Happening::Executed(_)))
            .count()
    }
}
