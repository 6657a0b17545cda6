//! A site whose incarnation is over takes another one.
//!
//! Others ended everything with the old incarnation, so it ends here too: calls that were sent have an unknown outcome, requests in service lose their clients. Calls that
//! only searched or waited go on. What this site held of others' ends is forgotten: it begins as one that was just switched on.

use super::{Endpoint, Event, Site};
use crate::config::ConfigError;
use alloc::vec::Vec;
use chorus_abi::ui::EPOCH_MAX;

impl Endpoint {
    /// The incarnation that the next must be above, if this one is over: until then nothing is sent and no frame is looked at.
    pub fn is_over(&self) -> Option<u16> {
        self.over
    }

    /// Takes a new incarnation. The driver answers for it that this site never used it. Errors: it is not above all that were used.
    pub fn renew(
        &mut self,
        now: u64,
        incarnation: u16,
        site: &mut dyn Site,
    ) -> Result<(), ConfigError> {
        let above = self.over.unwrap_or(0).max(self.config.incarnation);
        if incarnation <= above || incarnation > EPOCH_MAX {
            return Err(ConfigError::Incarnation);
        }
        self.now = self.now.max(now);
        self.link.now = self.now;
        self.over = None;
        self.config.incarnation = incarnation;
        self.link.renew(incarnation);
        self.life = 0;
        let numbers: Vec<u16> = self.members.iter().map(|(number, _)| number).collect();
        for number in numbers {
            self.stop_probe(number);
        }
        self.members.begin_anew();
        let peers: Vec<u16> = self.peers.keys().copied().collect();
        for number in peers {
            self.end_peer(number, site);
        }
        self.restart_watch();
        self.on_event(now, Event::Start, site);
        Ok(())
    }
}
