//! What happened in a run. A [`Judge`] goes through it and says which promise of `ipcCall` was broken.

pub use super::judge::{Judge, Violation, says_not_executed};

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

impl History {
    /// Adds an event.
    pub fn push(&mut self, time: u64, call: u32, happening: Happening) {
        self.events.push((time, call, happening));
    }

    /// The first broken promise: which call, what. A judge of its own goes through all that happened.
    pub fn check(&self) -> Result<(), (u32, Violation)> {
        let mut judge = Judge::default();
        for &(_, call, happening) in &self.events {
            judge
                .take(call, happening)
                .map_err(|violation| (call, violation))?;
        }
        judge.finish()
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
    use chorus_abi::error::{K_EFULL, K_ELINKFAILURE, K_EUNKNOWN};

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

    #[test]
    fn messages_come_once_and_as_they_were_sent() {
        let mut judge = Judge::default();
        judge.sent(7);
        judge.sent(8);
        assert_eq!(judge.arrived(1, 100, 0, 8), Ok(()));
        assert_eq!(judge.arrived(1, 101, 0, 8), Ok(()));
        assert_eq!(judge.arrived(1, 100, 0, 8), Err(Violation::ArrivedTwice));
        assert_eq!(judge.arrived(0, 100, 0, 8), Err(Violation::WrongMessage));
        assert_eq!(judge.arrived(2, 100, 0, 8), Err(Violation::WrongMessage));
        assert_eq!(judge.arrived(1, 100, 2, 8), Ok(()));
        assert_eq!(
            Judge::default().take(u32::MAX, Executed(0)),
            Err(Violation::WrongRequest)
        );
    }

    #[test]
    fn a_port_is_served_at_one_place() {
        // It moves from 1 to 2, stays there when it was to go on, and dies with its site.
        let mut judge = Judge::default();
        assert_eq!(judge.serves(7, 1), Ok(()));
        for (site, serves) in [(1, false), (2, true), (2, false), (2, true)] {
            assert_eq!(judge.place(7, site, serves), Ok(()));
        }
        assert_eq!(judge.serves(7, 2), Ok(()));
        // Planted: the old place serves it, or takes it back; nobody may while it is on its way.
        assert_eq!(judge.serves(7, 1), Err(Violation::ServedTwice));
        assert_eq!(judge.clone().place(7, 1, true), Err(Violation::ServedTwice));
        assert_eq!(
            judge.clone().place(7, 3, false),
            Err(Violation::ServedTwice)
        );
        let mut leaving = judge.clone();
        assert_eq!(leaving.place(7, 2, false), Ok(()));
        assert_eq!(leaving.serves(7, 2), Err(Violation::ServedTwice));
        judge.crashed(2);
        assert_eq!(judge.place(7, 1, true), Ok(()));
    }
}
