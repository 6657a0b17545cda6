//! Frames that only the cluster's sites can make and read, each of which is believed once (`subsystems.md` 1.9, SS-072…077).
//!
//! There is no handshake. Both ends make the key of a direction from the cluster's key and from what the frame's header says in clear: who sends in which
//! incarnation to whom in which incarnation. A frame to no incarnation in particular (a broadcast, or the first question to a site) has a key of its
//! sender alone. A site that starts again has a new incarnation, so that frames from or to the old one are as good as noise.
//!
//! What only the sender's key proves could have been recorded before its receiver started: such a frame says in which *generation* of the cluster it was
//! sent, and a site believes none that is older than its own start. Each start of a site after the cluster's first begins a generation; a site
//! hears of it by the newcomer's HELLO and counts itself to it from then on.

mod keys;
mod streams;
#[cfg(test)]
mod tests;

use crate::frame::{COUNTER_AT, ETHERNET, FLAG_SEALED, FLAGS_AT, HEADER, LENGTH_AT, Outer};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use keys::{Direction, Key};
use streams::{Incoming, Look, Outgoing, parts};

/// Bytes of the tag of a sealed frame.
pub const TAG: usize = keys::TAG;
/// Bytes that the generation takes in a frame that has one.
pub const GENERATION: usize = 4;
/// Bytes that sealing adds to a frame at most.
pub const OVERHEAD: usize = TAG + GENERATION;
/// Frames after which a key is renewed, if the configuration says nothing else.
const RENEW_FRAMES: u32 = 1 << 20;
/// Nanoseconds after which a key is renewed, if the configuration says nothing else.
const RENEW_AGE: u64 = 120 * crate::config::SECOND;

/// What a site is told about sealing.
#[derive(Clone, PartialEq, Eq)]
pub struct Seal {
    /// The cluster's key. Never used by another cluster, nor by an earlier run of this one.
    pub key: [u8; 32],
    /// How often sites of the cluster had been started when this one was, not counting the first starts; larger at each start of the same site.
    pub generation: u32,
    /// Frames after which the key of a direction is renewed.
    pub renew_frames: u32,
    /// Nanoseconds after which the key of a direction is renewed.
    pub renew_age: u64,
}

impl Seal {
    /// With this key, in this generation; keys are renewed after 2^20 frames or two minutes.
    pub const fn new(key: [u8; 32], generation: u32) -> Seal {
        Seal {
            key,
            generation,
            renew_frames: RENEW_FRAMES,
            renew_age: RENEW_AGE,
        }
    }
}

/// The key stays unsaid.
impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal")
            .field("generation", &self.generation)
            .field("renew_frames", &self.renew_frames)
            .field("renew_age", &self.renew_age)
            .finish_non_exhaustive()
    }
}

/// Why a frame is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// It is not sealed.
    Clear,
    /// It is sealed, and this site has no key.
    NoKey,
    /// This site sent it.
    Own,
    /// It is not what the holder of a key sealed.
    Tag,
    /// It was opened before.
    Replay,
    /// It is too old to tell, or its key is over.
    Window,
    /// Its sender, or the site that it is for, has another incarnation now.
    Incarnation,
    /// It is genuine, but for an earlier incarnation of this site: its sender should learn of the present one.
    Rebooted,
    /// It is genuine, but may have been sent before this site started: its sender should learn of this generation.
    Generation,
    /// No room for another site.
    Full,
}

/// Another site in one of its incarnations.
#[derive(Debug)]
struct Session {
    incarnation: u16,
    out: Option<Outgoing>,
    /// Frames to this site alone.
    own: Incoming,
    /// Frames to all who have the cluster's key.
    common: Incoming,
}

impl Session {
    fn new(incarnation: u16) -> Session {
        Session {
            incarnation,
            out: None,
            own: Incoming::default(),
            common: Incoming::default(),
        }
    }

    /// Whether neither side spoke to the other alone.
    fn is_slight(&self) -> bool {
        self.out.is_none() && self.own.is_empty()
    }
}

/// A frame that was opened and not yet taken.
#[derive(Clone, Copy)]
struct Opened {
    from: (u16, u16),
    common: bool,
    counter: u64,
    key: Key,
}

/// Seals and opens the frames of one incarnation of a site.
pub(crate) struct Sealer {
    own: (u16, u16),
    seal: Seal,
    /// The latest generation that this site heard of.
    generation: u32,
    common: Outgoing,
    sessions: BTreeMap<u16, Session>,
    bound: usize,
    pending: Option<Opened>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation {}: {:?}", self.generation, self.sessions)
    }
}

impl Sealer {
    /// For this site and incarnation; with at most `bound` other sites at once.
    pub(crate) fn new(own: (u16, u16), seal: Seal, bound: usize) -> Sealer {
        let to_all = Direction {
            from: own,
            to: (0, 0),
        };
        Sealer {
            own,
            generation: seal.generation,
            common: Outgoing::new(keys::derive(&seal.key, to_all, 0)),
            sessions: BTreeMap::new(),
            bound,
            pending: None,
            seal,
        }
    }

    /// This site goes on in another incarnation, in which nothing was ever sealed. What was for the old one alone is over, in both directions; which frames for all were
    /// opened is remembered, since those may come again.
    pub(crate) fn renew(&mut self, incarnation: u16) {
        self.own.1 = incarnation;
        let to_all = Direction {
            from: self.own,
            to: (0, 0),
        };
        self.common = Outgoing::new(keys::derive(&self.seal.key, to_all, 0));
        self.pending = None;
        for session in self.sessions.values_mut() {
            session.out = None;
            session.own = Incoming::default();
        }
    }

    /// Sites with state.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Seals a frame to this incarnation of a site (0: to whoever has the cluster's key); whether its key was renewed for it.
    /// `None`: there is no room for another site, or the incarnation is over; the frame cannot be sent.
    pub(crate) fn seal(&mut self, now: u64, to: (u16, u16), frame: &mut Vec<u8>) -> Option<bool> {
        let (cluster, frames, age) = (&self.seal.key, self.seal.renew_frames, self.seal.renew_age);
        let common = to.1 == 0;
        let direction = Direction {
            from: self.own,
            to: if common { (0, 0) } else { to },
        };
        let derive = |number| keys::derive(cluster, direction, number);
        let out = if common {
            frame.extend_from_slice(&self.generation.to_le_bytes());
            &mut self.common
        } else {
            let session = session(&mut self.sessions, self.bound, to)?;
            session.out.get_or_insert_with(|| Outgoing::new(derive(0)))
        };
        let (counter, renewed) = out.next(now, frames, age, derive)?;
        let key = out.key;
        let flags = u16::from_le_bytes(frame.get(FLAGS_AT..FLAGS_AT + 2)?.try_into().ok()?);
        let length = (frame.len() - ETHERNET - HEADER + TAG) as u32;
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(place) = frame.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        put(FLAGS_AT, &(flags | FLAG_SEALED).to_le_bytes());
        put(COUNTER_AT, &counter.to_le_bytes());
        put(LENGTH_AT, &length.to_le_bytes());
        let (head, content) = frame.split_at_mut_checked(ETHERNET + HEADER)?;
        let tag = keys::seal(&key, counter, head.get(ETHERNET..)?, content)?;
        frame.extend_from_slice(&tag);
        Some(renewed)
    }

    /// Opens what a frame for this site, or for all, carries, into `out`. It will not be opened again, except as [`Sealer::take`] says.
    pub(crate) fn open(&mut self, outer: &Outer<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.pending = None;
        let header = &outer.header;
        if header.flags & FLAG_SEALED == 0 {
            return Err(Refusal::Clear);
        }
        let from = (header.src_site, header.src_incarnation);
        let to = (header.dst_site, header.dst_incarnation);
        let common = to.0 == 0 || to.1 == 0;
        if !common && to.1 > self.own.1 {
            return Err(Refusal::Incarnation);
        }
        let direction = Direction {
            from,
            to: if common { (0, 0) } else { to },
        };
        let derived = || keys::derive(&self.seal.key, direction, parts(header.counter).0);
        let key = match self.sessions.get_mut(&from.0) {
            Some(session) if session.incarnation > from.1 => return Err(Refusal::Incarnation),
            Some(session) if session.incarnation == from.1 && (common || to == self.own) => {
                let incoming = if common {
                    &mut session.common
                } else {
                    &mut session.own
                };
                match incoming.look(header.counter) {
                    Look::Fresh(key) => key,
                    Look::Later => derived(),
                    Look::Seen => return Err(Refusal::Replay),
                    Look::Past => return Err(Refusal::Window),
                }
            }
            _ => derived(),
        };
        let (content, tag) = outer.payload.split_last_chunk().ok_or(Refusal::Tag)?;
        out.clear();
        out.extend_from_slice(content);
        if !keys::open(&key, header.counter, outer.bytes, out, tag) {
            return Err(Refusal::Tag);
        }
        let opened = Opened {
            from,
            common,
            counter: header.counter,
            key,
        };
        if !common {
            if to != self.own {
                return Err(Refusal::Rebooted);
            }
            return self.enter(opened);
        }
        let (rest, generation) = out.split_last_chunk().ok_or(Refusal::Tag)?;
        let (length, generation) = (rest.len(), u32::from_le_bytes(*generation));
        if generation < self.seal.generation {
            return Err(Refusal::Generation);
        }
        self.generation = self.generation.max(generation);
        out.truncate(length);
        if self.sessions.contains_key(&from.0) || self.sessions.len() < self.bound {
            return self.enter(opened);
        }
        self.pending = Some(opened);
        Ok(())
    }

    /// Takes the frame that was opened last for good: it will not be opened again. Only one to more than this site, from a site for which there was no room,
    /// is not taken already; what concerns nobody here may stay so.
    pub(crate) fn take(&mut self) -> Result<(), Refusal> {
        match self.pending.take() {
            Some(opened) => self.enter(opened),
            None => Ok(()),
        }
    }

    fn enter(&mut self, opened: Opened) -> Result<(), Refusal> {
        let session = session(&mut self.sessions, self.bound, opened.from).ok_or(Refusal::Full)?;
        let incoming = if opened.common {
            &mut session.common
        } else {
            &mut session.own
        };
        incoming.take(opened.counter, &opened.key);
        Ok(())
    }
}

/// The entry of a site in this incarnation, made if there is none. Among many sites one may have to go of which nothing was heard but what was for all.
/// `None`: no room, or the incarnation is over.
fn session(
    sessions: &mut BTreeMap<u16, Session>,
    bound: usize,
    of: (u16, u16),
) -> Option<&mut Session> {
    if sessions.len() >= bound && !sessions.contains_key(&of.0) {
        let (&least, _) = sessions.iter().find(|(_, session)| session.is_slight())?;
        sessions.remove(&least);
    }
    let session = sessions.entry(of.0).or_insert_with(|| Session::new(of.1));
    if session.incarnation < of.1 {
        *session = Session::new(of.1);
    }
    (session.incarnation == of.1).then_some(session)
}
