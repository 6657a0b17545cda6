//! Translations that the Nucleus made lately, so that it need not walk page tables for every argument of a call.
//!
//! Only pages that are there are remembered; whoever takes one away says so. All under the site's lock.

use crate::paging::Tables;
use chorus_nucleus_core::machine::Space;
use core::cell::Cell;

const ENTRIES: usize = 32;

/// The translations.
pub struct Lately {
    entries: [Cell<(u64, u64, u64)>; ENTRIES],
}

/// No page begins there: the low bits hold a space.
const NOTHING: (u64, u64, u64) = (u64::MAX, 0, 0);

/// Page and space in one word: there are fewer spaces than bytes in a page.
fn key(space: Space, address: u64) -> u64 {
    address & !4095 | u64::from(space.0)
}

impl Lately {
    /// None yet.
    pub fn new() -> Self {
        Lately {
            entries: [const { Cell::new(NOTHING) }; ENTRIES],
        }
    }

    fn entry(&self, key: u64) -> &Cell<(u64, u64, u64)> {
        &self.entries[(key >> 12 ^ key) as usize % ENTRIES]
    }

    /// Physical page and flags behind an address of a space with these tables.
    #[inline]
    pub fn translate(&self, tables: Tables, space: Space, address: u64) -> Option<(u64, u64)> {
        let key = key(space, address);
        let entry = self.entry(key);
        let (known, physical, flags) = entry.get();
        if known == key {
            return Some((physical, flags));
        }
        let (physical, flags) = tables.translate(address)?;
        entry.set((key, physical, flags));
        Some((physical, flags))
    }

    /// A page is mapped otherwise from now on, or not at all.
    pub fn forget(&self, space: Space, address: u64) {
        let key = key(space, address);
        let entry = self.entry(key);
        if entry.get().0 == key {
            entry.set(NOTHING);
        }
    }

    /// A space has gone; its number comes again.
    pub fn forget_all(&self) {
        for entry in &self.entries {
            entry.set(NOTHING);
        }
    }
}
