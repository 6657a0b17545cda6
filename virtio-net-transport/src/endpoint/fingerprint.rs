//! One number for all that an endpoint remembers, for tests that ask whether something had an effect (SS-072).

use super::Endpoint;
use core::fmt::{self, Write};

/// FNV-1a over text.
struct Hash(u64);

impl Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
        }
        Ok(())
    }
}

impl Endpoint {
    /// A number that differs when any table, timer, replay window or number for what comes next differs. Counters, the time and the numbers of frames sent do not count.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Hash(0xCBF2_9CE4_8422_2325);
        let places = (self.random, self.hello_due, self.hellos, self.waiting_sends);
        let sums = (self.outbound, self.kept, self.assembling);
        let numbers = (self.next_token, self.next_broadcast);
        // Writing into a hash cannot fail.
        let _ = write!(
            hash,
            "{places:?} {sums:?} {numbers:?} {:?}",
            self.link.sealer
        );
        let _ = write!(hash, "{:?} {:?} {:?}", self.timers, self.peers, self.hints);
        let _ = write!(hash, "{:?} {:?}", self.searches, self.calls);
        let _ = write!(hash, "{:?} {:?}", self.handles, self.tokens);
        let _ = write!(hash, "{:?} {:?}", self.members, self.watch);
        let _ = write!(hash, "{:?} {:?}", self.groups, self.lists);
        let own = (self.life, self.over, self.first_seq, self.first_send);
        let _ = write!(hash, "{own:?} {:?}", self.moves);
        hash.0
    }
}
