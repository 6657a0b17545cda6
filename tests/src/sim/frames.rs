//! Frames on their way: the very fabric that a cluster has (`chorus-fabric`), and an adversary that repeats frames.

use super::network::Faults;
use super::world::{Happens, Sent, World};
use chorus_fabric::{Change, Fabric, Fault, Graph, Landing, Meta, Rules, To};
use chorus_transport::frame;
use std::rc::Rc;

/// Frames on their way at once.
const FLIGHTS: usize = 1 << 20;

/// The fabric of a simulation; frames on their way are shared.
pub type Wire = Fabric<Rc<[u8]>>;

/// A network of all with all.
pub(super) fn wire(seed: u64, sites: u16, faults: &Faults) -> Wire {
    let rules = Rules::new(faults.parameters(), []);
    Fabric::new(seed, Graph::Full { sites }, rules, [], FLIGHTS)
}

/// Nothing passes, or something does again.
fn cut(cut: bool) -> Change {
    Change {
        cut: Some(cut),
        ..Change::default()
    }
}

/// A frame as it arrives: some of its bits are turned.
fn landed(bytes: &[u8], flipped: &[u64]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let bits = bytes.len() as u64 * 8;
    for bit in flipped.iter().filter(|_| bits > 0).map(|bit| bit % bits) {
        if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
            *byte ^= 1 << (bit % 8);
        }
    }
    bytes
}

impl World {
    /// From now on all links have these faults.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
        self.wire.rule(|rules| rules.change_all(&faults.change()));
    }

    /// Nothing passes between two sites, in either direction.
    pub fn cut(&mut self, a: u16, b: u16) {
        self.wire.change(a, b, &cut(true));
    }

    /// Nothing passes from one site to another; the way back stays.
    pub fn cut_one_way(&mut self, from: u16, to: u16) {
        self.wire.rule(|rules| rules.change(from, to, &cut(true)));
    }

    /// Splits the cluster into parts.
    pub fn split(&mut self, parts: &[Vec<u16>]) {
        self.wire.rule(|rules| rules.split(parts));
    }

    /// Takes all cuts and splits back.
    pub fn heal(&mut self) {
        self.wire.rule(|rules| {
            rules.heal();
            rules.change_all(&cut(false));
        });
    }

    /// A fault for one frame.
    pub fn script(&mut self, fault: Fault) {
        self.wire.script(fault);
    }

    /// Hands a frame of a site to the fabric.
    pub(super) fn put(&mut self, from: u16, bytes: Vec<u8>) {
        let now = self.now;
        let to = match bytes[0] {
            0xFF => 0,
            _ => u16::from_be_bytes([bytes[4], bytes[5]]),
        };
        let kind = bytes[frame::ETHERNET + 1];
        let size = bytes.len();
        if self.record {
            self.sent.push(Sent {
                time: now,
                from,
                to,
                kind,
                bytes: size,
            });
        }
        let bytes: Rc<[u8]> = bytes.into();
        if self.faults.echo > 0 {
            self.echo(from, to, &bytes);
        }
        let meta = Meta {
            from,
            to: if to == 0 { To::All } else { To::Site(to) },
            size,
            kind,
        };
        let mut arrived = Vec::new();
        let mut land = |landing: Landing<'_, Rc<[u8]>>| {
            arrived.push((landing.to, landed(&bytes, landing.flipped)));
        };
        self.wire.send(now, meta, &mut || bytes.clone(), &mut land);
        for (to, bytes) in arrived {
            self.push(now, Happens::Frame { to, bytes });
        }
    }

    /// Somebody records the frame, and lets it arrive once more.
    fn echo(&mut self, from: u16, to: u16, bytes: &Rc<[u8]>) {
        for site in 1..=self.sites.len() as u16 {
            let reached = site != from && (to == 0 || to == site);
            if reached && self.random.happens(self.faults.echo) {
                let delay = self.faults.delay + self.random.below(self.faults.late + 1);
                self.inject(site, bytes.to_vec(), delay);
            }
        }
    }

    /// Lets the frames land whose time has come.
    pub(super) fn land(&mut self) {
        let mut arrived = Vec::new();
        self.wire.advance(self.now, &mut |landing| {
            if let Some(bytes) = landing.kept {
                arrived.push((landing.to, landed(bytes, landing.flipped)));
            }
        });
        for (to, bytes) in arrived {
            self.happen(Happens::Frame { to, bytes });
        }
    }

    /// A frame arrives at a site after `delay`, whoever made it.
    pub fn inject(&mut self, to: u16, bytes: Vec<u8>, delay: u64) {
        self.push(self.now + delay, Happens::Frame { to, bytes });
    }
}
