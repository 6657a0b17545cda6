//! What happened where and when, for a picture.

use super::history::Happening;
use super::world::World;
use chorus_transport::frame;
use std::collections::HashMap;

/// What happened to a site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// It was switched on.
    Started,
    /// It lost its power.
    Killed,
    /// Its processors stopped.
    Paused,
    /// They go on.
    Resumed,
    /// It took the next incarnation by itself.
    Renewed,
}

/// A frame on its way.
#[derive(Clone, Debug)]
pub struct Arrow {
    /// When it was sent.
    pub time: u64,
    /// From which site.
    pub from: u16,
    /// To which; 0: to all.
    pub to: u16,
    /// Its kind.
    pub kind: u8,
    /// Where it landed, and when; nowhere if it was lost.
    pub landed: Vec<(u64, u16)>,
}

/// All of it. Frames that nobody of the protocol sent are not in it.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Frames, in the order in which they were sent.
    pub arrows: Vec<Arrow>,
    /// Time, site, call, what happened.
    pub calls: Vec<(u64, u16, u32, Happening)>,
    /// Time, site, what happened to it.
    pub moments: Vec<(u64, u16, Moment)>,
    /// By what names a frame: its place in `arrows`.
    known: HashMap<Name, usize>,
}

/// What names a frame: its sender, the sender's incarnation, to whom, and its number; that is of the pair where frames are sealed.
type Name = (u16, u16, u16, u64);

fn name(from: u16, bytes: &[u8]) -> Option<Name> {
    let to = u16::from_be_bytes(bytes.get(4..6)?.try_into().ok()?);
    let incarnation = frame::peek(bytes)?.incarnation;
    let counter = bytes.get(frame::ETHERNET + 12..frame::ETHERNET + 20)?;
    let counter = u64::from_le_bytes(counter.try_into().ok()?);
    Some((from, incarnation, to, counter))
}

impl Trace {
    pub(super) fn sent(&mut self, time: u64, from: u16, to: u16, bytes: &[u8]) {
        let Some((name, peek)) = name(from, bytes).zip(frame::peek(bytes)) else {
            return;
        };
        self.known.insert(name, self.arrows.len());
        self.arrows.push(Arrow {
            time,
            from,
            to,
            kind: peek.kind,
            landed: Vec::new(),
        });
    }

    pub(super) fn landed(&mut self, time: u64, at: u16, bytes: &[u8]) {
        let arrow = World::sender(bytes)
            .and_then(|from| self.known.get(&name(from, bytes)?))
            .and_then(|&place| self.arrows.get_mut(place));
        if let Some(arrow) = arrow {
            arrow.landed.push((time, at));
        }
    }

    pub(super) fn call(&mut self, time: u64, site: u16, call: u32, happening: Happening) {
        self.calls.push((time, site, call, happening));
    }
}

impl World {
    /// Something happens to a site.
    pub(super) fn mark(&mut self, site: u16, moment: Moment) {
        if let Some(trace) = &mut self.trace {
            trace.moments.push((self.now, site, moment));
        }
    }
}
