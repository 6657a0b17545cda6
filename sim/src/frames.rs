//! Frames on their way: the very fabric that a cluster has (`chorus-fabric`), and an adversary that repeats frames.

use super::effort;
use super::network::Faults;
use super::nucleus::digest;
use super::setup::Setup;
use super::world::{Happens, Sent, World};
use chorus_fabric::{Change, Fabric, Fault, Graph, Landing, Meta, Record, Rules, To};
use chorus_transport::frame;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

/// Frames on their way at once.
const FLIGHTS: usize = 1 << 20;

/// The fabric of a simulation; frames on their way are shared.
pub type Wire = Fabric<Rc<[u8]>>;

/// The network of a setup.
pub(super) fn wire(setup: &Setup) -> Wire {
    let mut parameters = setup.faults.parameters();
    setup.links.apply(&mut parameters);
    let graph = setup
        .graph
        .clone()
        .unwrap_or(Graph::Full { sites: setup.sites });
    Fabric::new(setup.seed, graph, Rules::new(parameters, []), [], FLIGHTS)
}

/// Nothing passes, or something does again.
fn cut(cut: bool) -> Change {
    Change {
        cut: Some(cut),
        ..Change::default()
    }
}

/// A frame as it arrives: some of its bits are turned.
fn landed(bytes: &Rc<[u8]>, flipped: &[u64]) -> Rc<[u8]> {
    let bits = bytes.len() as u64 * 8;
    if flipped.is_empty() || bits == 0 {
        return bytes.clone();
    }
    let mut bytes = bytes.to_vec();
    for bit in flipped.iter().map(|bit| bit % bits) {
        if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
            *byte ^= 1 << (bit % 8);
        }
    }
    bytes.into()
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

    /// From now on, what links do that is not plain is written down.
    pub fn observe_faults(&mut self) -> Arc<Mutex<Vec<Record>>> {
        let records = Arc::new(Mutex::new(Vec::new()));
        let kept = records.clone();
        self.wire.observe(Some(Box::new(move |record| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push(*record);
        })));
        records
    }

    /// A fault for one frame.
    pub fn script(&mut self, fault: Fault) {
        self.wire.script(fault);
    }

    /// Hands a frame of a site to the fabric.
    pub(super) fn put(&mut self, from: u16, bytes: Rc<[u8]>) {
        let now = self.now;
        let to = match bytes[0] {
            0xFF => 0,
            _ => u16::from_be_bytes([bytes[4], bytes[5]]),
        };
        let kind = bytes[frame::ETHERNET + 1];
        let size = bytes.len();
        self.frames += 1;
        if let Some(log) = &mut self.log {
            let time = *log ^ now ^ u64::from(from) << 48;
            *log = digest(None, &bytes) ^ time.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        }
        if let Some(trace) = &mut self.trace {
            trace.sent(now, from, to, &bytes);
        }
        self.look_at_frame(from, &bytes);
        if self.record {
            self.sent.push(Sent {
                time: now,
                from,
                to,
                kind,
                bytes: size,
            });
        }
        if self.faults.echo > 0 {
            self.echo(from, to, &bytes);
        }
        let checksum = self.checksum;
        let meta = Meta {
            from,
            to: if to == 0 { To::All } else { To::Site(to) },
            size,
            kind,
        };
        let mut arrived = Vec::new();
        let mut land = |landing: Landing<'_, Rc<[u8]>>| {
            if landing.flipped.is_empty() || !checksum {
                arrived.push((landing.to, landed(&bytes, landing.flipped)));
            }
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
                let bytes = bytes.clone();
                self.push(self.now + delay, Happens::Frame { to: site, bytes });
            }
        }
    }

    /// Lets the frames land whose time has come.
    pub(super) fn land(&mut self) {
        let checksum = self.checksum;
        let mut arrived = std::mem::take(&mut self.landing);
        self.wire.advance(self.now, &mut |landing| {
            if let Some(bytes) = landing.kept
                && (landing.flipped.is_empty() || !checksum)
            {
                arrived.push((landing.to, landed(bytes, landing.flipped)));
            }
        });
        for (to, bytes) in arrived.drain(..) {
            self.happen(Happens::Frame { to, bytes });
        }
        self.landing = arrived;
    }

    /// A frame arrives at a site after `delay`, whoever made it.
    pub fn inject(&mut self, to: u16, bytes: Vec<u8>, delay: u64) {
        effort::count(|done| done.forged += 1);
        let bytes = bytes.into();
        self.push(self.now + delay, Happens::Frame { to, bytes });
    }
}
