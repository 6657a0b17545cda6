//! The judge of a run: told each thing that happens when it happens, it says which promise that broke.
//!
//! It knows nothing of the protocol. Each request is executed at most once, as it was sent; an error that says *not executed* is true; a reply is that of this very request; every
//! call ends, once; a port gets an asynchronous message at most once, as it was sent. It is itself tested with planted violations (`history.rs`).

use super::history::Happening;
use chorus_abi::error::{K_EFULL, K_EUNKNOWN};
use std::collections::{HashMap, HashSet};

/// A broken promise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Violation {
    /// Executed a second time.
    ExecutedTwice,
    /// Executed with other content than was sent, or without having been sent.
    WrongRequest,
    /// The error said that nothing was executed, but it was.
    NotExecutedIsUntrue,
    /// Success with another reply than the server gave, or without one.
    WrongReply,
    /// The client was told twice, or after it left.
    EndedTwice,
    /// The call never ended.
    Hangs,
    /// A port got an asynchronous message a second time.
    ArrivedTwice,
    /// A message came with other content than was sent, or was never sent.
    WrongMessage,
    /// Two sites served one port.
    ServedTwice,
}

impl Violation {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Violation::ExecutedTwice => "was executed a second time",
            Violation::WrongRequest => "was executed with other content than was sent",
            Violation::NotExecutedIsUntrue => {
                "ended with an error that promises that it was not executed, and it was"
            }
            Violation::WrongReply => "ended with another reply than its server gave",
            Violation::EndedTwice => "ended a second time, or after its client had left",
            Violation::Hangs => "never ended",
            Violation::ArrivedTwice => "came to one port a second time",
            Violation::ServedTwice => "was served by two sites",
            Violation::WrongMessage => "came with other content than was sent",
        }
    }
}

/// Errors that promise that the call had no effect.
pub fn says_not_executed(result: i32) -> bool {
    result == K_EUNKNOWN || result == K_EFULL
}

/// What a call came to so far.
#[derive(Clone, Copy, Default)]
struct Seen {
    issued: Option<u64>,
    executed: u32,
    answered: Option<u64>,
    ended: Option<i32>,
    left: bool,
}

/// Calls by their number. They count up, so a list of all is enough; a number far beyond them was made up by somebody.
#[derive(Clone, Default)]
pub struct Judge {
    calls: Vec<Seen>,
    sent: Vec<u64>,
    arrived: HashSet<(u32, u64, u16)>,
    places: HashMap<u64, Option<u16>>,
}

/// Calls and messages that a judge remembers.
const MOST: u32 = 1 << 28;

impl Judge {
    /// Something happened to a call. The promise that it broke.
    pub fn take(&mut self, call: u32, happening: Happening) -> Result<(), Violation> {
        if call >= MOST {
            return Err(Violation::WrongRequest);
        }
        if self.calls.len() <= call as usize {
            self.calls.resize(call as usize + 1, Seen::default());
        }
        let seen = &mut self.calls[call as usize];
        let broken = match happening {
            Happening::Issued(digest) => {
                seen.issued = Some(digest);
                None
            }
            Happening::Executed(digest) => {
                seen.executed += 1;
                if seen.executed > 1 {
                    Some(Violation::ExecutedTwice)
                } else if seen.issued != Some(digest) {
                    Some(Violation::WrongRequest)
                } else {
                    let untrue = seen.ended.is_some_and(says_not_executed);
                    untrue.then_some(Violation::NotExecutedIsUntrue)
                }
            }
            Happening::Answered(digest) => {
                seen.answered = Some(digest);
                None
            }
            Happening::Ended(result, digest) => {
                let twice = seen.ended.replace(result).is_some() || seen.left;
                if twice {
                    Some(Violation::EndedTwice)
                } else if result == 0 && (seen.executed != 1 || seen.answered != Some(digest)) {
                    Some(Violation::WrongReply)
                } else if says_not_executed(result) && seen.executed != 0 {
                    Some(Violation::NotExecutedIsUntrue)
                } else {
                    None
                }
            }
            Happening::Left => {
                seen.left = true;
                None
            }
        };
        broken.map_or(Ok(()), Err)
    }

    /// A message was sent; they are numbered from 0.
    pub fn sent(&mut self, digest: u64) {
        self.sent.push(digest);
    }

    /// A port got a message; `place` tells places of a port apart at each of which it may get it.
    pub fn arrived(
        &mut self,
        message: u32,
        port: u64,
        place: u16,
        digest: u64,
    ) -> Result<(), Violation> {
        if self.sent.get(message as usize) != Some(&digest) {
            return Err(Violation::WrongMessage);
        }
        match self.arrived.insert((message, port, place)) {
            true => Ok(()),
            false => Err(Violation::ArrivedTwice),
        }
    }

    /// A site begins to serve a port, or serves it no longer.
    pub fn place(&mut self, port: u64, site: u16, serves: bool) -> Result<(), Violation> {
        let known = self.places.get(&port).copied().flatten();
        if known.is_some_and(|place| place != site) {
            return Err(Violation::ServedTwice);
        }
        self.places.insert(port, serves.then_some(site));
        Ok(())
    }

    /// A site begins to execute a request for a port. One that never moved is known by who serves it first.
    pub fn serves(&mut self, port: u64, site: u16) -> Result<(), Violation> {
        match self.places.get(&port) {
            Some(place) if *place != Some(site) => Err(Violation::ServedTwice),
            _ => Ok(()),
        }
    }

    /// A site lost its power: it serves nothing any more.
    pub fn crashed(&mut self, site: u16) {
        for place in self.places.values_mut() {
            if *place == Some(site) {
                *place = None;
            }
        }
    }

    /// Whether a call was executed, and answered.
    pub fn is_answered(&self, call: u32) -> Option<u64> {
        let seen = self.calls.get(call as usize)?;
        seen.answered.and(seen.issued)
    }

    /// How calls ended.
    pub fn results(&self) -> impl Iterator<Item = i32> {
        self.calls.iter().filter_map(|seen| seen.ended)
    }

    /// Everything is over: the first call that hangs.
    pub fn finish(&self) -> Result<(), (u32, Violation)> {
        let hangs = |seen: &Seen| seen.issued.is_some() && seen.ended.is_none() && !seen.left;
        match self.calls.iter().position(hangs) {
            Some(call) => Err((call as u32, Violation::Hangs)),
            None => Ok(()),
        }
    }
}
