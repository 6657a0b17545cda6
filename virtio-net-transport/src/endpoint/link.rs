//! The way out: puts this site's header before a payload and hands the frame to the site.
//!
//! One buffer is reused for all frames, so that sending allocates nothing.

use super::Site;
use crate::config::{Config, MTU_MIN};
use crate::counters::Counters;
use crate::fragments;
use crate::frame::{self, DATA_OVERHEAD, Header, Payload, Piece};
use crate::seal::{GENERATION, Sealer, TAG};
use alloc::vec::Vec;

/// A site in one of its incarnations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct To {
    pub(super) site: u16,
    /// 0: whichever it is.
    pub(super) incarnation: u16,
}

impl To {
    /// Every site.
    pub(super) const ALL: To = To {
        site: 0,
        incarnation: 0,
    };
}

/// Sites with which there may be keys: each may be asked whether it is there.
fn sites(config: &Config) -> usize {
    config.max_peers.max(config.max_members)
}

/// The sender of frames, and the counters.
pub(super) struct Link {
    site: u16,
    incarnation: u16,
    mtu: u32,
    counter: u64,
    frame: Vec<u8>,
    /// Nothing goes out: this incarnation is over.
    pub(super) mute: bool,
    /// Bytes that sealing adds to a frame.
    overhead: usize,
    /// None: frames go in clear.
    pub(super) sealer: Option<Sealer>,
    /// Time of the present event.
    pub(super) now: u64,
    pub(super) counters: Counters,
}

impl Link {
    pub(super) fn new(config: &Config) -> Link {
        Link {
            site: config.site,
            incarnation: config.incarnation,
            mtu: config.mtu as u32,
            counter: 0,
            frame: Vec::new(),
            mute: false,
            overhead: config.seal.as_ref().map_or(0, |_| TAG),
            sealer: config
                .seal
                .clone()
                .map(|seal| Sealer::new((config.site, config.incarnation), seal, sites(config))),
            now: 0,
            counters: Counters::default(),
        }
    }

    /// Speaks in a new incarnation from now on.
    pub(super) fn renew(&mut self, incarnation: u16) {
        self.incarnation = incarnation;
        self.mute = false;
        if let Some(sealer) = &mut self.sealer {
            sealer.renew(incarnation);
        }
    }

    pub(super) fn transmit(&mut self, to: To, payload: &Payload<'_>, site: &mut dyn Site) {
        if self.mute {
            return;
        }
        self.counter += 1;
        let header = Header {
            flags: 0,
            dst_site: to.site,
            src_site: self.site,
            dst_incarnation: to.incarnation,
            src_incarnation: self.incarnation,
            counter: self.counter,
            mtu: self.mtu,
        };
        frame::write(&header, payload, &mut self.frame);
        if let Some(sealer) = &mut self.sealer {
            let Some(renewed) = sealer.seal(self.now, (to.site, to.incarnation), &mut self.frame)
            else {
                self.counters.over_bound += 1;
                return;
            };
            self.counters.sealed += 1;
            self.counters.keys_renewed += u64::from(renewed);
        }
        self.counters.frames_out += 1;
        self.counters.bytes_out += self.frame.len() as u64;
        site.transmit(&self.frame);
    }

    /// Bytes of content in a frame that this site makes and a peer with frames of `mtu` bytes takes.
    pub(super) fn piece_size(&self, mtu: u32) -> u32 {
        let mtu = (mtu as usize)
            .clamp(MTU_MIN, frame::MTU_MAX)
            .min(self.mtu as usize);
        (mtu - DATA_OVERHEAD - self.overhead) as u32
    }

    /// The same of a frame for all sites.
    pub(super) fn broadcast_piece_size(&self, mtu: u32) -> u32 {
        let generation = if self.sealer.is_some() { GENERATION } else { 0 };
        self.piece_size(mtu) - generation as u32
    }

    /// Sends the pieces of `content` whose bit in `received` is clear; how many.
    pub(super) fn transmit_pieces(
        &mut self,
        to: To,
        content: &[u8],
        size: u32,
        received: u64,
        site: &mut dyn Site,
        payload: impl for<'a> Fn(Piece<'a>) -> Payload<'a>,
    ) -> u64 {
        let mut sent = 0;
        for index in 0..fragments::PIECES_MAX as u8 {
            if received >> index & 1 == 1 {
                continue;
            }
            let Some(piece) = fragments::piece(content, size as usize, index) else {
                break;
            };
            self.transmit(to, &payload(piece), site);
            sent += 1;
        }
        sent
    }
}
