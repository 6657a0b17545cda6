//! Page-out: when frames are short, pages leave memory, and come back when they are touched (spec 4.5, 4.8).
//!
//! Pages of volatile memory go to *temporary segments* of the default mapper, one for each cache, made when its first page has to leave (`stores`). Which
//! page is where says the table of `slots`. Whose turn it is says a hand that passes over all frames and gives what was touched since a second chance
//! (`sweep`). A thread that needs a frame while there are few waits until there is room (`room`).
//!
//! Nothing leaves memory in the middle of a call: the hand moves when a thread faults, when a call has failed for want of a page and waits, and when a
//! mapper has answered. So what a call has found present stays present until it ends.
//!
//! What must never leave, since page-out itself needs it or nobody could wait for it: memory of supervisor actors, of actors with a member in the group of
//! default mappers, of the Network Manager; locked pages and pages of regions with `K_NODEMAND`; pages that hold a structure for which threads wait, or
//! a buffer into which a waiting thread gets its message, reply or event. The same actors may take the last frames. So the default mapper
//! always has what it needs to answer, unless it waits itself for somebody who is not among these: that server has to put a port in the group, or lock.

mod answers;
#[cfg(test)]
mod invariants;
mod room;
pub(super) mod slots;
mod stores;
mod sweep;

use super::mappers::Request;
use crate::arena::{Arena, Id};
use chorus_abi::{K_FUNCMODE, KnUniqueId, STAMP_DEFAULT_MAPPER};
pub(super) use slots::SlotList;
use slots::Slots;
pub(super) use stores::Store;

/// The group of default mappers: static system group stamp 1 (spec 4.5).
pub(crate) fn default_mappers() -> KnUniqueId {
    let group = KnUniqueId::static_group(true, STAMP_DEFAULT_MAPPER);
    group.with_mode(K_FUNCMODE).unwrap_or(group)
}

/// What page-out has to remember.
pub(super) struct Pageout {
    pub(super) slots: Slots,
    pub(super) stores: Arena<Store>,
    /// The frame that the hand comes to next.
    hand: u32,
    /// How many frames it has passed since it last found one that could leave.
    idle: usize,
    /// Requests to the default mapper that are out to get pages away.
    out: usize,
    /// Temporary segments whose end the mapper has not been told.
    leaving: usize,
    /// What threads wait for that need frames.
    room: Option<Id<Request>>,
    /// Frames that one of them needs at once.
    want: u64,
    /// Nobody can wait now: what is being done is for somebody else.
    at_once: bool,
    /// Makes the sums of pages differ from site to site.
    secret: u64,
    /// Pages that went, and came back.
    pub(super) pages_out: u64,
    /// The latter.
    pub(super) pages_in: u64,
}

impl Pageout {
    /// Room for so many pages outside, of so many caches.
    pub fn new(pages: usize, caches: usize, secret: u64) -> Self {
        let pages = pages.min(1 << 28);
        Pageout {
            slots: Slots::new(pages),
            stores: Arena::new(if pages == 0 { 0 } else { caches }),
            hand: 0,
            idle: 0,
            out: 0,
            leaving: 0,
            room: None,
            want: 0,
            at_once: false,
            secret,
            pages_out: 0,
            pages_in: 0,
        }
    }

    /// Whether pages can leave this site's memory at all.
    pub fn is_on(&self) -> bool {
        self.slots.limit() > 0
    }
}
