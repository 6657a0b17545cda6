//! Ports that move between sites (spec 3.4 `portMigrate`; docs/protocol.md, *Migration*): the table of moves, of those that go and of those that come.
//!
//! A port that moves is taken from by nobody (`Taker::Nobody`), which is all that the rest of the Nucleus knows. That is a change of the port like any other, so that conversations
//! end by themselves and the fast path asks no more than it did. One that goes is found and queued at as before until it lives elsewhere; then it has no name here any more, and only its queue is left, which
//! the Network Manager takes message by message (`departing.rs`). One that comes has no name, no actor and no group until it lives (`arriving.rs`). What the manager is to be told of moves is not put in
//! its queue but read off this table when it takes it: so it needs no room, and what ends before it was taken was never said.

use super::message::Message;
use super::port::Port;
use crate::arena::{Arena, Id};
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;
use crate::machine::Machine;
use crate::nucleus::Nucleus;
use chorus_abi::*;

/// A port's move.
pub struct Move {
    pub(super) port: Id<Port>,
    /// Its name.
    pub(super) ui: KnUniqueId,
    pub(super) stage: Stage,
    /// The Network Manager knows of this stage, and says when it is over. Else it is to be told.
    pub(super) told: bool,
    /// The thread that moves it, and may still wait for the end.
    pub(super) mover: Option<Id<Thread>>,
}

/// How far a move is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// It goes, or stays.
    Departing(Departure),
    /// It lives elsewhere, with this local identifier; its queue follows.
    Passing(i32),
    /// It comes, or not, for this actor.
    Arriving(Id<Actor>),
}

/// What is asked of another site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Departure {
    /// The actor that is to get the port.
    pub(super) to: KnCap,
    /// The mover has at least system privilege.
    pub(super) trusted: bool,
    /// The last message that is lost if it goes: all that were queued when it departed.
    pub(super) doomed: Option<Id<Message>>,
}

/// An actor that there never is: it owns the ports whose actor is gone, or that are not its yet.
pub(super) const NOBODY: Id<Actor> = Id::from_word(u64::MAX);
/// So often may a port move: what is told of it is a positive number.
pub(super) const EPOCHS: u32 = i32::MAX as u32 - 1;
/// Words of bits for names that went.
const WENT: usize = 32;

/// All of them.
pub struct Moves {
    table: Arena<Move>,
    /// Of how many the Network Manager is to be told something.
    untold: usize,
    /// A bit for each name of this site that ever went to another one; some have one together.
    went: [u64; WENT],
}

impl Moves {
    /// Room for so many at once.
    pub(crate) fn new(limit: usize) -> Self {
        Moves {
            table: Arena::new(limit),
            untold: 0,
            went: [0; WENT],
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.table.has_room()
    }

    /// Whether there is anything that the Network Manager was not told.
    pub(super) fn has_untold(&self) -> bool {
        self.untold > 0
    }

    /// The first move of which it was not.
    pub(crate) fn first_untold(&self) -> Option<Id<Move>> {
        let mut all = self.table.iter().filter(|_| self.has_untold());
        all.find(|(_, it)| !it.told).map(|(id, _)| id)
    }

    pub(super) fn get(&self, id: Id<Move>) -> Option<&Move> {
        self.table.get(id)
    }

    /// The move of a port of this name whose stage is as asked for.
    pub(super) fn find(
        &self,
        ui: KnUniqueId,
        stage: impl Fn(&Stage) -> bool,
    ) -> Option<(Id<Move>, &Move)> {
        let mut all = self.table.iter();
        all.find(|(_, it)| it.ui == ui && stage(&it.stage))
    }

    /// One after the other, by slots; the table may change meanwhile.
    pub(super) fn ids(&self) -> core::ops::Range<usize> {
        0..self.table.extent()
    }

    /// The one in a slot.
    pub(super) fn at(&self, slot: usize) -> Option<Id<Move>> {
        self.table.at(slot)
    }

    /// A move begins; `None` when the table is full.
    pub(super) fn begin(&mut self, it: Move) -> Option<Id<Move>> {
        let untold = !it.told;
        let id = self.table.insert(it)?;
        self.untold += usize::from(untold);
        Some(id)
    }

    /// The Network Manager was told, or is to be.
    pub(super) fn tell(&mut self, id: Id<Move>, told: bool) {
        if let Some(it) = self.table.get_mut(id) {
            let before = core::mem::replace(&mut it.told, told);
            self.untold = self.untold + usize::from(before) - usize::from(told);
        }
    }

    /// The port lives elsewhere: its queue follows.
    pub(super) fn passes(&mut self, id: Id<Move>, li: i32) {
        if let Some(it) = self.table.get_mut(id) {
            it.stage = Stage::Passing(li);
        }
    }

    /// A move is over.
    pub(super) fn end(&mut self, id: Id<Move>) -> Option<Move> {
        let it = self.table.remove(id)?;
        self.untold -= usize::from(!it.told);
        Some(it)
    }

    /// A message left the queue of a port that moves; `previous` is the one before it.
    pub(super) fn unqueued(
        &mut self,
        id: Id<Move>,
        message: Id<Message>,
        previous: Option<Id<Message>>,
    ) {
        if let Some(it) = self.table.get_mut(id)
            && let Stage::Departing(departure) = &mut it.stage
            && departure.doomed == Some(message)
        {
            departure.doomed = previous;
        }
    }

    /// Whether messages are left that are lost when the port goes.
    pub(super) fn dooms(&self, id: Id<Move>) -> bool {
        let stage = self.get(id).map(|it| it.stage);
        matches!(stage, Some(Stage::Departing(departure)) if departure.doomed.is_some())
    }

    /// Word and bit of a name.
    fn bit(ui: KnUniqueId) -> (usize, u64) {
        let hash = (ui.word().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 53) as usize;
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

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// What holds between any two calls.
    #[cfg(test)]
    pub(crate) fn check(&self, moves_at: impl Fn(Id<Port>) -> Option<Id<Move>>) {
        let untold = self.table.iter().filter(|(_, it)| !it.told).count();
        assert_eq!(untold, self.untold, "moves to be told of");
        for (id, it) in self.table.iter() {
            assert_eq!(
                moves_at(it.port),
                Some(id),
                "the port of a move is another's"
            );
            let arrives = matches!(it.stage, Stage::Arriving(_));
            assert!(!arrives || it.told, "nobody is to be told of what comes");
        }
    }

    /// Whether a port that moves is found by its name.
    #[cfg(test)]
    pub(crate) fn is_named(&self, id: Id<Move>) -> bool {
        let stage = self.get(id).map(|it| it.stage);
        matches!(stage, Some(Stage::Departing(_)))
    }
}

impl<M: Machine> Nucleus<M> {
    /// A port that is to be changed or deleted is not in the middle of a move. Errors: `K_EBUSY` it is.
    pub(super) fn port_stays(&self, id: Id<Port>) -> Result<(), KError> {
        let moves = self.ipc.ports.get(id).and_then(Port::moving);
        moves.map_or(Ok(()), |_| Err(KError::Busy))
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
        let made_now = (self.configuration.epoch..=self.ui_epoch).contains(&ui.epoch());
        !ui.is_static_port() && (!made_now || self.ipc.moves.may_have_gone(ui))
    }

    /// The Network Manager's actor dies. What it was not told has not begun; of what it was told nobody knows how it ends, and a port must not be at two places: it is gone here.
    pub(super) fn moves_end(&mut self) {
        for slot in self.ipc.moves.ids() {
            let Some(id) = self.ipc.moves.at(slot) else {
                continue;
            };
            let Some(it) = self.ipc.moves.get(id) else {
                continue;
            };
            match it.stage {
                Stage::Departing(_) if !it.told => self.departure_fails(id, KError::LinkFailure),
                Stage::Departing(_) | Stage::Passing(_) => self.departure_lost(id),
                Stage::Arriving(_) => self.arrival_ends(id),
            }
        }
    }
}
