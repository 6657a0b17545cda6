//! Memory of actors: regions, the caches whose pages they show, deferred copies, and checked access.
//!
//! A region is a window on a cache (`regions`, `caches`); a page belongs to a cache and is made, or copied, when it is first touched (`faults`).
//! Every argument that points into an actor's memory is reached through [`Nucleus::read`], [`Nucleus::write`] and the copies of `access`: a page
//! that is absent is made and the access tried again; what cannot be made is `K_EFAULT`.
//!
//! [`Nucleus::read`]: crate::nucleus::Nucleus
//! [`Nucleus::write`]: crate::nucleus::Nucleus

mod access;
mod arrivals;
mod attributes;
mod caches;
mod copies;
mod copying;
mod faults;
mod first_touch;
mod giving_back;
mod going;
mod history;
#[cfg(test)]
mod invariants;
pub mod loader;
mod local_caches;
mod locks;
mod mappers;
mod message_steps;
mod moves;
mod pageout;
mod pages;
mod pushes;
mod regions;
mod replies;
mod restarts;
mod runs;
mod segments;
mod sharing;
mod steps;
mod transfers;

use crate::arena::{Arena, Id};
use crate::executive::actor::Actor;
use crate::machine::{Protection, Space};
use crate::nucleus::Limits;
use caches::Cache;
use chorus_abi::*;
use going::Going;
use local_caches::Open;
pub use locks::LockWait;
use mappers::Mappers;
pub use mappers::Request;
use pageout::Pageout;
use pages::Pages;
use segments::Segment;

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
    /// The cache that it shows; `None`: there is no memory behind it.
    cache: Option<Id<Cache>>,
    /// Page of the cache that it begins with.
    offset: u32,
    /// Next region of the cache.
    sharer: Option<Id<Region>>,
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

    /// Whether its pages are all there and stay where they are.
    fn is_fixed(&self) -> bool {
        self.options & (K_NODEMAND | FIXED) != 0
    }

    /// Page of the cache at an address of the region.
    fn page_at(&self, address: u64) -> u32 {
        self.offset + caches::pages(address - self.start)
    }

    /// Where it shows a page of its cache.
    fn address_of(&self, page: u32) -> Option<u64> {
        let into = u64::from(page.checked_sub(self.offset)?) * PAGE_SIZE;
        (into < self.size).then_some(self.start + into)
    }

    /// The pages of its cache that it shows: the first, and one past the last.
    fn window(&self) -> (u32, u32) {
        (self.offset, self.offset + caches::pages(self.size))
    }

    /// Where it shows those of a range of pages of its cache that it does show.
    fn addresses_of(&self, range: (u32, u32)) -> Option<(u64, u64)> {
        let (first, end) = self.window();
        let (from, to) = (range.0.max(first), range.1.min(end));
        let address = |page: u32| self.start + u64::from(page - first) * PAGE_SIZE;
        (from < to).then(|| (address(from), address(to)))
    }
}

/// What became of a page fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The page is there now.
    Resolved,
    /// The thread waits for a mapper; then it tries again. `schedule` follows.
    Waits,
    /// The thread takes this exception.
    Exception(u32),
}

/// Option of the Nucleus' own: the pages are device registers, not memory.
const DEVICE: u32 = 1 << 31;
/// Option of the Nucleus' own: every page was made with the region and stays, as devices need it.
const FIXED: u32 = 1 << 30;
/// Largest region in bytes: taking one out of sight is one step of the Nucleus.
const REGION_MAX: u64 = 1 << 30;

/// The memory of the site.
pub struct Memory {
    pub(crate) regions: Arena<Region>,
    caches: Arena<Cache>,
    pages: Pages,
    segments: Arena<Segment>,
    mappers: Mappers,
    opens: Arena<Open>,
    pageout: Pageout,
    pub(crate) going: Going,
    loadings: Arena<loader::Loading>,
}

/// Segments of which anything is here.
const SEGMENTS: usize = 256;
/// Requests to mappers that are out.
const REQUESTS: usize = 512;

/// Actors that are being loaded at the same time.
const LOADINGS: usize = 64;

impl Memory {
    /// Pages that are locked.
    #[cfg(test)]
    pub(crate) fn locked_pages(&self) -> usize {
        let all = self.caches.iter();
        all.map(|(_, cache)| cache.list.locked as usize).sum()
    }

    /// Segments of which anything is here.
    #[cfg(test)]
    pub(crate) fn segments_here(&self) -> usize {
        self.segments.len()
    }

    /// Room for so many regions and actors, for pages in frames below a number, and for so many outside.
    pub fn new(limits: &Limits, frames: usize, outside: (usize, u64)) -> Self {
        let regions = limits.regions;
        Memory {
            regions: Arena::new(regions),
            caches: Arena::new(regions),
            pages: Pages::new(frames),
            segments: Arena::new(SEGMENTS),
            mappers: Mappers::new(REQUESTS, limits.threads),
            opens: Arena::new(SEGMENTS),
            pageout: Pageout::new(outside.0, regions, outside.1),
            going: Going::new(regions, limits.actors),
            loadings: Arena::new(LOADINGS),
        }
    }
}
