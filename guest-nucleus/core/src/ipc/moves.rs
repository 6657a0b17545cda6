//! Ports that move between sites (spec 3.4 `portMigrate`; docs/protocol.md, *Migration*): the table of moves, of those that go and of those that come.
//!
//! A port that moves is taken from by nobody (`Taker::Nobody`), which is all that the rest of the Nucleus knows. That is a change of the port like any other, so that conversations
//! end by themselves and the fast path asks no more than it did. One that goes is found and queued at as before until it lives elsewhere; then it has no name here any more, and only its queue is left, which
//! the Network Manager takes message by message (`departing.rs`). One that comes has no name, no actor and no group until it lives (`arriving.rs`). What the manager is to be told of moves is not put in
//! its queue but read off this table when it takes it: so it needs no room, and what ends before it was taken was never said.

use super::message::Message;
use super::port::Port;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;
use crate::machine::Machine;
use crate::nucleus::Nucleus;
use alloc::vec::Vec;
use chorus_abi::*;

/// A port's move.
#[derive(Clone, Copy)]
pub struct Move {
    pub(super) port: Id<Port>,
    /// Its name.
    pub(super) ui: KnUniqueId,
    pub(super) stage: Stage,
    /// The Network Manager knows of this stage, and says when it is over. Else it is to be told.
    pub(super) told: bool,
    /// The actor that gets a port that comes.
    pub(super) owner: Id<Actor>,
    /// The thread that moves a port that goes, and may still wait for the end.
    pub(super) mover: Option<Id<Thread>>,
    /// The mover has at least system privilege.
    pub(super) trusted: bool,
    /// The actor that is to get the port.
    pub(super) to: KnCap,
    /// The last message that is lost if it goes: all that were queued when it departed.
    pub(super) doomed: Option<Id<Message>>,
    /// What it has as local identifier where it lives.
    pub(super) li: i32,
}

impl Move {
    /// A move that has just begun.
    pub(super) fn new(port: Id<Port>, ui: KnUniqueId, stage: Stage) -> Move {
        Move {
            port,
            ui,
            stage,
            told: false,
            owner: NOBODY,
            mover: None,
            trusted: false,
            to: KnCap::default(),
            doomed: None,
            li: 0,
        }
    }

    #[cfg(test)]
    pub(crate) fn port(&self) -> Id<Port> {
        self.port
    }
}

/// How far a move is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// It goes, or stays.
    Departing,
    /// It lives elsewhere; its queue follows.
    Passing,
    /// It comes, or not.
    Arriving,
}

/// An actor that there never is: it owns the ports whose actor is gone, or that are not its yet.
pub(super) const NOBODY: Id<Actor> = Id::from_word(u64::MAX);
/// So often may a port move: what is told of it is a positive number.
pub(super) const EPOCHS: u32 = i32::MAX as u32 - 1;
/// Words of bits for names that went.
const WENT: usize = 8;

/// All of them, of each port at most one. They are few.
pub struct Moves {
    all: Vec<Move>,
    /// A bit for each name of this site that ever went to another one; some have one together.
    went: [u64; WENT],
}

impl Moves {
    /// Room for so many at once.
    pub(crate) fn new(limit: usize) -> Self {
        Moves {
            all: Vec::with_capacity(limit),
            went: [0; WENT],
        }
    }

    /// The move of a port of this name that is so far.
    pub(super) fn find(&self, ui: KnUniqueId, stage: Stage) -> Option<&Move> {
        let mut all = self.all.iter();
        all.find(|it| it.ui == ui && it.stage == stage)
    }

    /// The first of which the Network Manager was not told.
    pub(crate) fn untold(&self) -> Option<&Move> {
        self.all.iter().find(|it| !it.told)
    }

    /// The port that is to come to an actor.
    pub(super) fn comes_to(&self, owner: Id<Actor>) -> Option<Id<Port>> {
        let it = self.all.iter().find(|it| it.owner == owner)?;
        Some(it.port)
    }

    /// Any.
    pub(super) fn any(&self) -> Option<&Move> {
        self.all.last()
    }

    /// That of a port.
    pub(super) fn of(&mut self, port: Id<Port>) -> Option<&mut Move> {
        self.all.iter_mut().find(|it| it.port == port)
    }

    /// Whether another fits.
    pub(super) fn has_room(&self) -> bool {
        self.all.len() < self.all.capacity()
    }

    /// A move begins, if there is room.
    pub(super) fn begin(&mut self, it: Move) {
        if self.has_room() {
            self.all.push(it);
        }
    }

    /// The move of a port is over.
    pub(super) fn end(&mut self, port: Id<Port>) -> Option<Move> {
        let place = self.all.iter().position(|it| it.port == port)?;
        Some(self.all.swap_remove(place))
    }

    /// Word and bit of a name.
    fn bit(ui: KnUniqueId) -> (usize, u64) {
        let hash = (ui.word().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize;
        (hash / 64 % WENT, 1 << (hash % 64))
    }

    /// A name lives on another site now.
    pub(super) fn goes(&mut self, ui: KnUniqueId) {
        let (word, bit) = Self::bit(ui);
        if let Some(word) = self.went.get_mut(word) {
            *word |= bit;
        }
    }

    /// Whether a name may have gone to another site; one that did not is rarely taken for one that did.
    fn may_have_gone(&self, ui: KnUniqueId) -> bool {
        let (word, bit) = Self::bit(ui);
        self.went.get(word).is_some_and(|word| word & bit != 0)
    }
}

#[cfg(test)]
impl Moves {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// What holds between any two calls.
    pub(crate) fn check(&self, moves: impl Fn(Id<Port>) -> bool) {
        for it in &self.all {
            assert!(moves(it.port), "a port that moves is taken from");
            let same = self.all.iter().filter(|other| other.port == it.port);
            assert_eq!(same.count(), 1, "a port moves twice");
            let arrives = it.stage == Stage::Arriving;
            assert!(!arrives || it.told, "nobody is to be told of what comes");
            assert_eq!(arrives, it.owner != NOBODY, "who gets it");
        }
    }

    /// Whether a port that moves is found by its name.
    pub(crate) fn is_named(&self, port: Id<Port>) -> bool {
        let mut all = self.all.iter();
        all.any(|it| it.stage == Stage::Departing && it.port == port)
    }
}

impl<M: Machine> Nucleus<M> {
    /// A port that is to be changed or deleted is not in the middle of a move. Errors: `K_EBUSY` it is.
    pub(super) fn port_stays(&self, id: Id<Port>) -> Result<(), KError> {
        match self.ipc.ports.get(id) {
            Some(port) if port.moves() => Err(KError::Busy),
            _ => Ok(()),
        }
    }

    /// The port of a name on this site.
    pub(super) fn port_here(&self, ui: KnUniqueId) -> Option<&Port> {
        self.ipc.ports.get(self.port_by_ui(ui)?)
    }

    /// Whether a port that is not here may be on another site: it was made there, or went there, in this life of the site or in an earlier one.
    pub(super) fn may_be_elsewhere(&self, ui: KnUniqueId) -> bool {
        if !self.network_attached() || ui.site() != self.configuration.site {
            return self.network_attached();
        }
        let made_now = ui.epoch() == self.ui_epoch;
        !ui.is_static_port() && (!made_now || self.ipc.moves.may_have_gone(ui))
    }

    /// The Network Manager's actor dies. What it was not told has not begun; of what it was told nobody knows how it ends, and a port must not be at two places: it is gone here.
    pub(super) fn moves_end(&mut self) {
        while let Some(it) = self.ipc.moves.any() {
            let (port, stays) = (it.port, !it.told);
            let error = KError::LinkFailure;
            match it.stage {
                Stage::Departing => self.departure_fails(port, stays, error),
                Stage::Passing => self.following_ends(port, error),
                Stage::Arriving => self.arrival_ends(port),
            }
        }
    }
}
