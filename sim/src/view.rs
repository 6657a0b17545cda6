//! What a test may ask of a world without changing it.

use super::world::{SEC, World};
use chorus_abi::error::K_EUNKNOWN;
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

    /// Every one of these calls was answered, and executed once.
    ///
    /// # Panics
    /// One was not.
    pub fn assert_answered_once(&self, calls: &[u32]) {
        for &call in calls {
            let seen = (self.end(call).map(|end| end.0), self.executions(call));
            assert_eq!(seen, (Some(0), 1), "call {call}");
        }
    }

    /// A call ended with K_EUNKNOWN within a second, and was not executed.
    ///
    /// # Panics
    /// It did not.
    pub fn assert_unknown_at_once(&self, call: u32, begun: u64) {
        let (result, end) = self.end(call).expect("an end");
        assert_eq!(
            (result, self.executions(call)),
            (K_EUNKNOWN, 0),
            "call {call}"
        );
        assert!(end - begun < SEC, "call {call}: {} ns", end - begun);
    }
}
