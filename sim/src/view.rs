//! What a test may ask of a world without changing it.

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
}
