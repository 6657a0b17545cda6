//! What happened in a run, and the judge of it.
//!
//! The checker knows nothing of the protocol. It takes the list of events and says which promise of `ipcCall` was broken: each request is
//! executed at most once, as it was sent; an error that says *not executed* is true; a reply is that of this very request; every
//! call ends, once. It is itself tested with planted violations.

use chorus_abi::error::{K_EFULL, K_EUNKNOWN};
use std::collections::BTreeMap;

/// One thing that happened to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happening {
    /// A client called; digest of its request.
    Issued(u64),
    /// A server began to work on it; digest of what it got.
    Executed(u64),
    /// The server answered; digest of its reply.
    Answered(u64),
    /// The client learnt the end: result, digest of the reply.
    Ended(i32, u64),
    /// The client left, or its site crashed: it will learn nothing.
    Left,
}

/// A run: which call, what, in order of time.
#[derive(Clone, Default, Debug)]
pub struct History {
    /// Time, call, what.
    pub events: Vec<(u64, u32, Happening)>,
}

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
}

/// Errors that promise that the call had no effect.
pub fn says_not_executed(result: i32) -> bool {
    result == K_EUNKNOWN || result == K_EFULL
}

#[derive(Default)]
struct Seen {
    issued: Option<u64>,
    executed: u32,
    answered: Option<u64>,
    ended: Option<i32>,
    left: bool,
}

impl History {
    /// Adds an event.
    pub fn push(&mut self, time: u64, call: u32, happening: Happening) {
        self.events.push((time, call, happening));
    }

    /// The first broken promise: which call, what.
    pub fn check(&self) -> Result<(), (u32, Violation)> {
        let mut calls: BTreeMap<u32, Seen> = BTreeMap::new();
        for &(_, call, happening) in &self.events {
            let seen = calls.entry(call).or_default();
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
                        seen.ended
                            .filter(|result| says_not_executed(*result))
                            .map(|_| Violation::NotExecutedIsUntrue)
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
            if let Some(violation) = broken {
                return Err((call, violation));
            }
        }
        match calls
            .iter()
            .find(|(_, seen)| seen.issued.is_some() && seen.ended.is_none() && !seen.left)
        {
            Some((call, _)) => Err((*call, Violation::Hangs)),
            None => Ok(()),
        }
    }

    /// All events of one call, for people.
    pub fn of(&self, call: u32) -> Vec<(u64, Happening)> {
        self.events
            .iter()
            .filter(|event| event.1 == call)
            .map(|event| (event.0, event.2))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Happening::*;
    use super::*;
    use chorus_abi::error::K_ELINKFAILURE;

    fn judge(events: &[Happening]) -> Result<(), (u32, Violation)> {
        let mut history = History::default();
        for happening in [Issued(1), Executed(1), Answered(2), Ended(0, 2)] {
            history.push(0, 1, happening);
        }
        for happening in events {
            history.push(1, 2, *happening);
        }
        history.check()
    }

    #[test]
    fn true_histories_pass() {
        for good in [
            &[Issued(5), Executed(5), Answered(6), Ended(0, 6)][..],
            &[Issued(5), Ended(K_EUNKNOWN, 0)],
            &[Issued(5), Executed(5), Ended(K_ELINKFAILURE, 0)],
            &[Issued(5), Ended(K_ELINKFAILURE, 0), Executed(5)],
            &[Issued(5), Left, Executed(5), Answered(6)],
        ] {
            assert_eq!(judge(good), Ok(()));
        }
    }

    #[test]
    fn planted_violations_are_found() {
        for (bad, violation) in [
            (
                &[
                    Issued(5),
                    Executed(5),
                    Answered(6),
                    Executed(5),
                    Ended(0, 6),
                ][..],
                Violation::ExecutedTwice,
            ),
            (
                &[Issued(5), Executed(4), Answered(6), Ended(0, 6)],
                Violation::WrongRequest,
            ),
            (&[Executed(5)], Violation::WrongRequest),
            (
                &[Issued(5), Executed(5), Ended(K_EUNKNOWN, 0)],
                Violation::NotExecutedIsUntrue,
            ),
            (
                &[Issued(5), Ended(K_EFULL, 0), Executed(5)],
                Violation::NotExecutedIsUntrue,
            ),
            (
                &[Issued(5), Executed(5), Answered(6), Ended(0, 7)],
                Violation::WrongReply,
            ),
            (&[Issued(5), Ended(0, 0)], Violation::WrongReply),
            (
                &[
                    Issued(5),
                    Executed(5),
                    Answered(6),
                    Ended(0, 6),
                    Ended(0, 6),
                ],
                Violation::EndedTwice,
            ),
            (
                &[Issued(5), Left, Ended(K_EUNKNOWN, 0)],
                Violation::EndedTwice,
            ),
            (&[Issued(5), Executed(5), Answered(6)], Violation::Hangs),
        ] {
            assert_eq!(judge(bad), Err((2, violation)), "{bad:?}");
        }
    }
}
