//! What a call between sites is for: that of a client, or one that Network Managers make of each other when a port moves.
//!
//! All have the layout of a REQUEST and kinds of their own, so that faults can be aimed at them and only managers make them.

use super::Malformed;
use chorus_abi::{KnUniqueId, UiType};

/// What a call is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Verb {
    /// A client's request.
    Request = 1,
    /// Make the port, but let nobody find it.
    Prepare = 21,
    /// It is live now.
    Activate = 22,
    /// Is it? If not, never.
    Ask = 23,
    /// The new place has it; the old one may forget it, and tells that it did.
    Have = 24,
    /// A request that was queued at the old place; PROGRESS at once.
    Pass = 25,
    /// An asynchronous message that was queued there; the reply says that it is queued here.
    PassSend = 26,
}

impl Verb {
    /// All that are about ports that move.
    pub const MOVES: [Verb; 6] = [
        Verb::Prepare,
        Verb::Activate,
        Verb::Ask,
        Verb::Have,
        Verb::Pass,
        Verb::PassSend,
    ];

    /// That of a kind of frame whose target is this. Errors: only clients call what is no port.
    pub(super) fn of(kind: u8, target: KnUniqueId) -> Result<Verb, Malformed> {
        if kind == Verb::Request as u8 {
            return Ok(Verb::Request);
        }
        let found = Verb::MOVES.into_iter().find(|verb| *verb as u8 == kind);
        found
            .filter(|_| target.kind() == Some(UiType::Port))
            .ok_or(Malformed)
    }

    /// Whether it ends without a server: the manager answers it.
    pub(crate) fn is_of_managers(self) -> bool {
        !matches!(self, Verb::Request | Verb::Pass)
    }
}
