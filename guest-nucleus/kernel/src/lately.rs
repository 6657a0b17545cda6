//! Translations that the Nucleus made lately, so that it need not walk page tables for every argument of a call.
//!
//! Only pages that are there are remembered, and only what an actor may do with them: a hit needs no further check. Whoever takes a page away, or changes
//! what may be done with it, says so. All under the site's lock.

use crate::paging::{DIRECT, Tables, UNCACHED, WRITE};
use chorus_nucleus_core::changes::Changes;
use chorus_nucleus_core::machine::Space;
use core::cell::Cell;

const ENTRIES: usize = 64;

/// A page.
#[derive(Clone, Copy)]
struct Entry {
    /// Its key if it may be read, and if it may be written.
    keys: [u64; 2],
    /// Where it is in the direct map.
    direct: u64,
}

/// The translations.
pub struct Lately {
    entries: [Cell<Entry>; ENTRIES],
    changes: Changes,
}

/// No page begins there: the low bits hold a space.
const NO_KEY: u64 = u64::MAX;
const NOTHING: Entry = Entry {
    keys: [NO_KEY; 2],
    direct: 0,
};

/// Page and space in one word: there are fewer spaces than bytes in a page.
#[inline(always)]
fn key(space: Space, address: u64) -> u64 {
    address & !4095 | u64::from(space.0)
}

impl Lately {
    /// None yet.
    pub fn new() -> Self {
        Lately {
            entries: [const { Cell::new(NOTHING) }; ENTRIES],
            changes: Changes::default(),
        }
    }

    #[inline(always)]
    fn entry(&self, space: Space, address: u64) -> &Cell<Entry> {
        &self.entries[(address >> 12 ^ u64::from(space.0)) as usize % ENTRIES]
    }

    /// Where a byte of an actor is in the direct map, if it is known that it may be accessed so.
    #[inline(always)]
    pub fn find(&self, space: Space, address: u64, write: bool) -> Option<u64> {
        let entry = self.entry(space, address).get();
        (entry.keys[usize::from(write)] == key(space, address))
            .then_some(entry.direct | address & 4095)
    }

    /// The same by the tables, which is remembered.
    #[cold]
    #[inline(never)]
    pub fn look_up(&self, tables: Tables, space: Space, address: u64, write: bool) -> Option<u64> {
        let (physical, flags) = tables.translate(address)?;
        if flags & UNCACHED != 0 || write && flags & WRITE == 0 {
            return None;
        }
        let key = key(space, address);
        let writable = if flags & WRITE != 0 { key } else { NO_KEY };
        let direct = DIRECT + physical;
        self.entry(space, address).set(Entry {
            keys: [key, writable],
            direct,
        });
        Some(direct | address & 4095)
    }

    /// From now on it is counted there whenever something is forgotten: what was there is not any more.
    pub fn count(&mut self, changes: &Changes) {
        self.changes = changes.clone();
    }

    /// A page is mapped otherwise from now on, or not at all.
    pub fn forget(&self, space: Space, address: u64) {
        self.changes.happen();
        let entry = self.entry(space, address);
        if entry.get().keys[0] == key(space, address) {
            entry.set(NOTHING);
        }
    }

    /// A space has gone; its number comes again.
    pub fn forget_all(&self) {
        self.changes.happen();
        for entry in &self.entries {
            entry.set(NOTHING);
        }
    }
}
