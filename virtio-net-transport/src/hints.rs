//! Where names were last found: soft, bounded, and wrong at times.
//!
//! A hint is used at once without asking (SS-002); a refusal repairs it. The table is bounded (SS-009) by the second-chance rule,
//! which is near to least-recently-used and costs a use nothing but one store.

use crate::frame::Place;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use chorus_abi::{K_FUNCUMODE, K_FUNCXMODE, KnUniqueId, UiType};

/// What is located: a port, a site, a group with mode (and co-target in exclusive mode), or the site that recognises a name: that name twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key {
    ui: u64,
    co_target: u64,
}

impl Key {
    /// What must be located to reach `target`. In selective mode it is the site of the co-target, whose name stands for it.
    pub(crate) fn of(target: KnUniqueId, co_target: KnUniqueId) -> Key {
        match target.group().map(|group| group.mode) {
            Some(K_FUNCUMODE) => Key {
                ui: co_target.word(),
                co_target: co_target.word(),
            },
            Some(K_FUNCXMODE) => Key {
                ui: target.word(),
                co_target: co_target.word(),
            },
            _ => Key {
                ui: target.word(),
                co_target: 0,
            },
        }
    }

    /// The key of a LOCATE, HERE or NOT-HERE frame.
    pub(crate) fn of_search(ui: KnUniqueId, co_target: KnUniqueId) -> Key {
        Key {
            ui: ui.word(),
            co_target: co_target.word(),
        }
    }

    pub(crate) fn ui(self) -> KnUniqueId {
        KnUniqueId::from_word(self.ui)
    }

    pub(crate) fn co_target(self) -> KnUniqueId {
        KnUniqueId::from_word(self.co_target)
    }

    /// The site to ask first: the creation site of a port or the site itself; 0 for groups and names without a site.
    pub(crate) fn home(self) -> u16 {
        match self.ui().kind() {
            Some(UiType::Port | UiType::Site) => self.ui().site(),
            _ => 0,
        }
    }
}

/// A location.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hint {
    pub(crate) site: u16,
    pub(crate) incarnation: u16,
    pub(crate) port_epoch: u32,
}

impl Hint {
    /// As it goes into frames.
    pub(crate) fn place(self) -> Place {
        (self.site, self.incarnation, self.port_epoch)
    }
}

#[derive(Debug)]
struct Slot {
    key: Key,
    hint: Hint,
    used: bool,
    /// Until when others are told: the port left this site.
    note: u64,
}

/// The table of locations.
#[derive(Debug)]
pub(crate) struct Hints {
    index: BTreeMap<Key, usize>,
    slots: Vec<Slot>,
    hand: usize,
    bound: usize,
}

impl Hints {
    pub(crate) fn new(bound: usize) -> Self {
        Hints {
            index: BTreeMap::new(),
            slots: Vec::new(),
            hand: 0,
            bound: bound.max(1),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The location of `key`, marked as used.
    pub(crate) fn find(&mut self, key: Key) -> Option<Hint> {
        let slot = &mut self.slots[*self.index.get(&key)?];
        slot.used = true;
        Some(slot.hint)
    }

    /// All locations.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, Hint)> {
        self.slots.iter().map(|slot| (slot.key, slot.hint))
    }

    /// Remembers a location, unless a newer one of the same site is known (SS-008).
    pub(crate) fn insert(&mut self, key: Key, hint: Hint) {
        if let Some(&at) = self.index.get(&key) {
            let known = &mut self.slots[at];
            let older = hint.port_epoch < known.hint.port_epoch
                || (hint.site == known.hint.site && hint.incarnation < known.hint.incarnation);
            if !older {
                known.hint = hint;
                known.used = true;
            }
            return;
        }
        let slot = Slot {
            key,
            hint,
            used: false,
            note: 0,
        };
        if self.slots.len() < self.bound {
            self.index.insert(key, self.slots.len());
            self.slots.push(slot);
            return;
        }
        while core::mem::take(&mut self.slots[self.hand].used) {
            self.hand = (self.hand + 1) % self.slots.len();
        }
        self.index.remove(&self.slots[self.hand].key);
        self.index.insert(key, self.hand);
        self.slots[self.hand] = slot;
        self.hand = (self.hand + 1) % self.slots.len();
    }

    /// Whether the location of `key` is thought to be a site.
    pub(crate) fn is_at(&self, key: Key, site: u16) -> bool {
        let slot = self.index.get(&key).and_then(|at| self.slots.get(*at));
        slot.is_some_and(|slot| slot.hint.site == site)
    }

    /// Remembers where the port of `key` went from here, and tells others until `note`.
    pub(crate) fn leave_note(&mut self, key: Key, hint: Hint, note: u64) {
        self.insert(key, hint);
        if let Some(&at) = self.index.get(&key) {
            self.slots[at].note = note;
        }
    }

    /// What others are told of a port that is not here: at its creation site, `home`, whatever is known of where it moved, elsewhere where it went from there.
    pub(crate) fn note(&self, key: Key, now: u64, home: u16) -> Option<Hint> {
        let slot = &self.slots[*self.index.get(&key)?];
        let told = slot.note > now || (key.home() == home && slot.hint.port_epoch > 0);
        (told && slot.hint.site != home).then_some(slot.hint)
    }

    /// Forgets the location of `key` if it is `site`.
    pub(crate) fn remove(&mut self, key: Key, site: u16) {
        if let Some(&at) = self.index.get(&key)
            && self.slots[at].hint.site == site
        {
            self.remove_at(at);
        }
    }

    /// Forgets all locations at `site`.
    pub(crate) fn remove_site(&mut self, site: u16) {
        let mut at = 0;
        while at < self.slots.len() {
            if self.slots[at].hint.site == site {
                self.remove_at(at);
            } else {
                at += 1;
            }
        }
    }

    fn remove_at(&mut self, at: usize) {
        let gone = self.slots.swap_remove(at);
        self.index.remove(&gone.key);
        if let Some(moved) = self.slots.get(at) {
            self.index.insert(moved.key, at);
        }
        if self.hand >= self.slots.len() {
            self.hand = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(n: u32) -> Key {
        Key::of(
            KnUniqueId::from_fields(3, UiType::Port, 1, n),
            KnUniqueId::NULL,
        )
    }

    fn hint(site: u16) -> Hint {
        Hint {
            site,
            incarnation: 1,
            port_epoch: 0,
        }
    }

    #[test]
    fn ss_008_older_port_epoch_changes_nothing() {
        let mut hints = Hints::new(4);
        hints.insert(
            key(1),
            Hint {
                site: 2,
                incarnation: 1,
                port_epoch: 5,
            },
        );
        hints.insert(
            key(1),
            Hint {
                site: 3,
                incarnation: 9,
                port_epoch: 4,
            },
        );
        assert_eq!(hints.find(key(1)).unwrap().site, 2);
    }

    #[test]
    fn ss_009_a_million_names_stay_within_the_bound_and_a_used_one_survives() {
        let mut hints = Hints::new(64);
        hints.insert(key(0), hint(7));
        for n in 1..=1_000_000 {
            hints.insert(key(n), hint(1));
            assert!(hints.find(key(0)).is_some());
        }
        assert_eq!(hints.len(), 64);
    }

    proptest! {
        #[test]
        fn answers_are_never_wrong(steps in proptest::collection::vec((0u8..4, 0u32..12, 1u16..4), 0..200)) {
            let mut hints = Hints::new(5);
            let mut model = BTreeMap::new();
            for (action, n, site) in steps {
                match action {
                    0 | 1 => { hints.insert(key(n), hint(site)); model.insert(n, site); }
                    2 => { hints.remove(key(n), site); if model.get(&n) == Some(&site) { model.remove(&n); } }
                    _ => { hints.remove_site(site); model.retain(|_, at| *at != site); }
                }
                prop_assert!(hints.len() <= 5);
                for n in 0..12 {
                    if let Some(found) = hints.find(key(n)) {
                        prop_assert_eq!(Some(&found.site), model.get(&n));
                    }
                }
            }
        }
    }
}
