//! Memory of actors: regions of zeroed volatile pages, made at first touch, and checked access to them.
//!
//! Every argument that points into an actor's memory is reached through [`Nucleus::read`], [`Nucleus::write`] and the copies here: a page that
//! is absent is made and the access tried again; what cannot be made is `K_EFAULT`.

mod access;
pub mod loader;
mod regions;

use crate::arena::{Arena, Id};
use crate::executive::actor::Actor;
use crate::machine::{Protection, Space};
use chorus_abi::*;

/// A region: a range of pages of an actor (spec 2.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region {
    /// Its owner.
    pub actor: Id<Actor>,
    /// Its space.
    pub space: Space,
    /// First address.
    pub start: u64,
    /// Bytes, whole pages.
    pub size: u64,
    /// `K_WRITABLE`…
    pub options: u32,
    /// The user's own.
    pub opaque: (u64, u64),
    /// Next region of the actor, by address.
    next: Option<Id<Region>>,
}

impl Region {
    fn end(&self) -> u64 {
        self.start + self.size
    }

    fn protection(&self) -> Protection {
        Protection {
            write: self.options & K_WRITABLE != 0,
            execute: self.options & K_EXECUTABLE != 0,
        }
    }
}

/// What became of a page fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The page is there now.
    Resolved,
    /// The thread takes this exception.
    Exception(u32),
}

/// Option of the Nucleus' own: the pages are device registers, not memory.
const DEVICE: u32 = 1 << 31;
/// Option of the Nucleus' own: every page was made with the region and stays, as devices need it.
const FIXED: u32 = 1 << 30;
/// Largest region in bytes: freeing one is one step of the Nucleus.
const REGION_MAX: u64 = 1 << 30;

/// The regions of the site.
pub struct Memory {
    pub(crate) regions: Arena<Region>,
}

impl Memory {
    /// Room for so many regions.
    pub fn new(regions: usize) -> Self {
        Memory {
            regions: Arena::new(regions),
        }
    }
}
