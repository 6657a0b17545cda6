//! Names that actors declared: what this site recognises beyond its own objects (spec 1.7, 3.7 `uiDeclare`, `uiForget`).
//!
//! One entry a name and actor, with how often it was declared. An entry is in two lists: one of the names that hash alike, for the question whether the
//! site recognises a name, and one of its actor's, for the end of the actor.

use crate::arena::{Arena, Id};
use crate::executive::actor::Actor;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use alloc::vec::Vec;
use chorus_abi::table::Privilege;
use chorus_abi::*;

/// A name that an actor declared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Declaration {
    /// The name, without addressing mode.
    ui: KnUniqueId,
    owner: Id<Actor>,
    /// Declared so often, and not yet forgotten.
    count: u32,
    /// The next one with the same hash.
    next: Option<Id<Declaration>>,
    /// The next one of the actor.
    next_of_owner: Option<Id<Declaration>>,
}

/// What an actor has declared.
#[derive(Clone, Copy, Default)]
struct Owned {
    first: Option<Id<Declaration>>,
    names: u32,
}

/// Lists of names; alike ones are in one.
const BUCKETS: usize = 256;

/// All declarations of the site.
pub struct Declared {
    names: Arena<Declaration>,
    lists: [Option<Id<Declaration>>; BUCKETS],
    /// By slot of the actor.
    owned: Vec<Owned>,
}

impl Declared {
    /// Room for so many names, of so many actors.
    pub fn new(limit: usize, actors: usize) -> Self {
        Declared {
            names: Arena::new(limit),
            lists: [None; BUCKETS],
            owned: alloc::vec![Owned::default(); actors],
        }
    }

    /// Declarations of all actors together.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    fn bucket(ui: KnUniqueId) -> usize {
        (ui.word().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize % BUCKETS
    }

    fn of(&self, ui: KnUniqueId) -> impl Iterator<Item = (Id<Declaration>, Declaration)> {
        let mut at = self.lists.get(Self::bucket(ui)).copied().flatten();
        core::iter::from_fn(move || {
            while let Some(id) = at {
                let entry = *self.names.get(id)?;
                at = entry.next;
                if entry.ui == ui {
                    return Some((id, entry));
                }
            }
            None
        })
    }

    fn find(&self, ui: KnUniqueId, owner: Id<Actor>) -> Option<Id<Declaration>> {
        let mut all = self.of(ui);
        all.find(|(_, entry)| entry.owner == owner)
            .map(|(id, _)| id)
    }

    fn contains(&self, ui: KnUniqueId) -> bool {
        self.of(ui).next().is_some()
    }

    /// Counts a declaration. Errors: `K_EFULL`, then nothing changed.
    fn declare(&mut self, ui: KnUniqueId, owner: Id<Actor>) -> Result<(), KError> {
        if let Some(entry) = self.find(ui, owner).and_then(|id| self.names.get_mut(id)) {
            entry.count = entry.count.checked_add(1).ok_or(KError::Full)?;
            return Ok(());
        }
        let owned = self.owned.get_mut(owner.index()).ok_or(KError::Inval)?;
        let list = self.lists.get_mut(Self::bucket(ui)).ok_or(KError::Inval)?;
        if owned.names >= K_CUIDECLARED {
            return Err(KError::Full);
        }
        let entry = Declaration {
            ui,
            owner,
            count: 1,
            next: *list,
            next_of_owner: owned.first,
        };
        let id = self.names.insert(entry).ok_or(KError::Full)?;
        *list = Some(id);
        owned.first = Some(id);
        owned.names += 1;
        Ok(())
    }

    /// Takes one declaration back. Errors: `K_EINVAL` the actor has none of this name.
    fn forget(&mut self, ui: KnUniqueId, owner: Id<Actor>) -> Result<(), KError> {
        let id = self.find(ui, owner).ok_or(KError::Inval)?;
        let entry = self.names.get_mut(id).ok_or(KError::Inval)?;
        entry.count -= 1;
        if entry.count == 0 {
            self.unlink_owned(id, owner);
            self.remove(id);
        }
        Ok(())
    }

    fn unlink_owned(&mut self, id: Id<Declaration>, owner: Id<Actor>) {
        let next = self.names.get(id).and_then(|entry| entry.next_of_owner);
        let Some(owned) = self.owned.get_mut(owner.index()) else {
            return;
        };
        owned.names -= 1;
        if owned.first == Some(id) {
            owned.first = next;
            return;
        }
        let mut at = owned.first;
        while let Some(entry) = at.and_then(|at| self.names.get_mut(at)) {
            if entry.next_of_owner == Some(id) {
                entry.next_of_owner = next;
                return;
            }
            at = entry.next_of_owner;
        }
    }

    /// Takes an entry out of the list of its name, and away.
    fn remove(&mut self, id: Id<Declaration>) {
        let Some(gone) = self.names.remove(id) else {
            return;
        };
        let Some(list) = self.lists.get_mut(Self::bucket(gone.ui)) else {
            return;
        };
        if *list == Some(id) {
            *list = gone.next;
            return;
        }
        let mut at = *list;
        while let Some(entry) = at.and_then(|at| self.names.get_mut(at)) {
            if entry.next == Some(id) {
                entry.next = gone.next;
                return;
            }
            at = entry.next;
        }
    }

    /// An actor dies: its declarations go.
    fn owner_dies(&mut self, owner: Id<Actor>) {
        let Some(owned) = self.owned.get_mut(owner.index()) else {
            return;
        };
        let mut at = core::mem::take(owned).first;
        while let Some(id) = at {
            at = self.names.get(id).and_then(|entry| entry.next_of_owner);
            self.remove(id);
        }
    }
}

impl<M: Machine> Nucleus<M> {
    /// `uiDeclare` (NC-157).
    pub fn ui_declare(&mut self, caller: Caller, ui: In<KnUniqueId>) -> Result<Outcome, KError> {
        let ui = self.read(caller, ui)?;
        if ui.kind().is_none() {
            return Err(KError::Inval);
        }
        if !ui.is_dynamic() && caller.privilege < Privilege::System {
            return Err(KError::Priv);
        }
        self.declared.declare(ui.identity(), caller.actor)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `uiForget` (NC-158).
    pub fn ui_forget(&mut self, caller: Caller, ui: In<KnUniqueId>) -> Result<Outcome, KError> {
        let ui = self.read(caller, ui)?;
        self.declared.forget(ui.identity(), caller.actor)?;
        Ok(Outcome::Done(K_OK))
    }

    /// Whether an actor here declared a name.
    pub(crate) fn is_declared(&self, ui: KnUniqueId) -> bool {
        self.declared.contains(ui.identity())
    }

    /// An actor dies: the names that it declared are recognised no more.
    pub(crate) fn declarations_end(&mut self, owner: Id<Actor>) {
        self.declared.owner_dies(owner);
    }
}
