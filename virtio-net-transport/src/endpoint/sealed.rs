//! The way in: what is no frame, not for this site or not believed goes no further than here.
//!
//! With sealing nothing of a frame is believed before it is opened, and no table is touched for one that is not.

use super::link::To;
use super::{Endpoint, Site};
use crate::config::MILLISECOND;
use crate::frame::{self, FLAG_SEALED, Frame, News, Outer, Payload};
use crate::seal::Refusal;

/// Least time between two HELLOs that tell others of this incarnation and generation because of old frames.
const ANNOUNCE_GAP: u64 = 50 * MILLISECOND;

impl Endpoint {
    /// A frame came.
    pub(super) fn receive(&mut self, bytes: &[u8], site: &mut dyn Site) {
        self.link.counters.frames_in += 1;
        let Ok(outer) = frame::outer(bytes) else {
            self.link.counters.malformed += 1;
            return;
        };
        let to = outer.header.dst_site;
        if to != 0 && to != self.config.site {
            self.link.counters.misdirected += 1;
            return;
        }
        let mut opened = core::mem::take(&mut self.opened);
        match self.open(&outer, &mut opened) {
            Ok(()) => {
                let sealed = outer.header.flags & FLAG_SEALED != 0;
                let payload = if sealed { &opened } else { outer.payload };
                match frame::inner(&outer, payload) {
                    Ok(mut frame) => {
                        self.believe(&mut frame);
                        self.received(&frame, site);
                    }
                    Err(_) => self.link.counters.malformed += 1,
                }
            }
            Err(refusal) => self.refused(refusal, site),
        }
        self.opened = opened;
    }

    /// Opens a sealed frame into `opened`.
    fn open(&mut self, outer: &Outer<'_>, opened: &mut alloc::vec::Vec<u8>) -> Result<(), Refusal> {
        let header = &outer.header;
        let Some(sealer) = &mut self.link.sealer else {
            return if header.flags & FLAG_SEALED != 0 {
                Err(Refusal::NoKey)
            } else {
                Ok(())
            };
        };
        let reflected = header.src_incarnation == self.config.incarnation;
        if header.src_site == self.config.site && reflected {
            return Err(Refusal::Own);
        }
        sealer.open(outer, opened)?;
        self.link.counters.opened += 1;
        Ok(())
    }

    fn refused(&mut self, refusal: Refusal, site: &mut dyn Site) {
        let counters = &mut self.link.counters;
        *match refusal {
            Refusal::Clear => &mut counters.refused_clear,
            Refusal::NoKey => &mut counters.refused_no_key,
            Refusal::Own => &mut counters.own_site_heard,
            Refusal::Tag => &mut counters.refused_tag,
            Refusal::Replay => &mut counters.refused_replay,
            Refusal::Window => &mut counters.refused_window,
            Refusal::Incarnation | Refusal::Rebooted => &mut counters.refused_incarnation,
            Refusal::Generation => &mut counters.refused_generation,
            Refusal::Full => &mut counters.over_bound,
        } += 1;
        // Its sender does not know yet that this site has started again.
        let unknown = matches!(refusal, Refusal::Rebooted | Refusal::Generation);
        if unknown && self.now >= self.announce_from {
            self.announce_from = self.now + ANNOUNCE_GAP;
            let hello = self.own_hello();
            self.send_news(To::ALL, News::Hello(hello), site);
        }
    }

    /// Whether the frame under way is to have an effect: if it was sealed for more than this site, it is marked as opened.
    pub(super) fn takes(&mut self) -> bool {
        let Some(sealer) = &mut self.link.sealer else {
            return true;
        };
        let taken = sealer.take().is_ok();
        self.link.counters.over_bound += u64::from(!taken);
        taken
    }

    /// Replaces protection identifiers that the frame's site may not speak for by nobody's (SS-075).
    fn believe(&mut self, frame: &mut Frame<'_>) {
        let (Payload::Request(data) | Payload::Send(data)) = &mut frame.payload else {
            return;
        };
        for pi in [&mut data.actor_pi, &mut data.port_pi] {
            if !self.config.trust.speaks_for(frame.header.src_site, pi.did) {
                *pi = chorus_abi::KnProtId::NOBODY;
                self.link.counters.refused_identities += 1;
            }
        }
    }
}
