//! The hand: it passes over the frames and has pages leave that were not touched since it came by last.

use super::room::Marks;
use super::slots::{PUSHING, STORED};
use crate::arena::Id;
use crate::executive::thread::Wait;
use crate::machine::{Frame, Machine, Space};
use crate::memory::caches::Cache;
use crate::memory::mappers::Kind;
use crate::memory::pages::{DIRTY, PUSHING as SENT};
use crate::memory::{DEVICE, Region};
use crate::nucleus::Nucleus;
use chorus_abi::{K_CMSGANNEXSIZE, K_CMSGSIZEMAX, KnMsgDesc, PAGE_SIZE};

/// Frames that the hand passes in one step.
const STEP: usize = 64;
/// Requests that may be out to get pages away.
const OUT_MAX: usize = 8;

/// What became of a frame that the hand came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    /// Its page stays.
    Stays,
    /// Its page left, or something was asked for that lets it leave.
    Leaves,
}

impl<M: Machine> Nucleus<M> {
    /// One step: with few frames free, the hand moves on.
    #[inline]
    pub(crate) fn relieve(&mut self) {
        if self.memory.pageout.is_on() {
            self.step();
        }
    }

    #[inline(never)]
    fn step(&mut self) {
        self.stores_release();
        let (mut free, total) = self.machine.frames();
        let marks = Marks::of(total);
        let want = self.memory.pageout.want;
        if free >= marks.low + want && self.memory.pageout.room.is_none() {
            return;
        }
        for _ in 0..STEP {
            let all = self.memory.pages.extent();
            if free >= marks.high + want || all == 0 || self.memory.pageout.out >= OUT_MAX {
                break;
            }
            let pageout = &mut self.memory.pageout;
            let frame = pageout.hand as usize % all;
            pageout.hand = (frame + 1) as u32;
            pageout.idle += 1;
            if self.turn(Frame(frame as u32)) == Turn::Leaves {
                self.memory.pageout.idle = 0;
                free = self.machine.frames().0;
            }
        }
    }

    /// Whether the hand has been everywhere twice and found nothing, and no answer that is out will change that.
    pub(super) fn nothing_leaves(&self) -> bool {
        let all = self.memory.pages.extent();
        self.memory.pageout.idle > 2 * all && !self.is_anything_leaving()
    }

    /// Whether a request is out that gets pages away.
    pub(super) fn is_anything_leaving(&self) -> bool {
        let away = |kind| matches!(kind, Kind::Push | Kind::Out | Kind::Create);
        self.memory.pageout.out > 0
            || self
                .request_find(|request| away(request.kind))
                .is_some_and(|(_, failed)| failed == 0)
    }

    /// The hand comes to a frame.
    fn turn(&mut self, frame: Frame) -> Turn {
        let Some((at, page)) = self.memory.pages.holder(frame) else {
            return Turn::Stays;
        };
        let Some(cache) = self.memory.caches.at(at) else {
            return Turn::Stays;
        };
        if self.cache(cache).is_some_and(Cache::is_lost) {
            if let Some(held) = self.memory.pages.held(cache, page) {
                self.page_free(cache, held);
            }
            return Turn::Leaves;
        }
        let moving = self.memory.pages.flags(frame) & SENT != 0;
        if moving || self.memory.pages.locks(frame) > 0 || self.must_stay(cache, page, frame) {
            return Turn::Stays;
        }
        // In the second round what is touched all the time has to go as well.
        let patient = self.memory.pageout.idle <= self.memory.pages.extent();
        if self.was_touched(cache, page) && patient {
            return Turn::Stays;
        }
        if self.segment_of(cache).is_some() {
            return self.turn_of_segment(cache, page, frame);
        }
        let found = self.memory.pageout.slots.find(cache, page);
        let flags = found.map_or(0, |slot| self.memory.pageout.slots.flags(slot));
        if flags & PUSHING != 0 {
            return Turn::Stays;
        }
        if flags & STORED != 0 {
            self.page_leaves(cache, page);
            return Turn::Leaves;
        }
        let leaves = match self.store_of(cache) {
            Some(_) => self.store_push(cache, page, frame),
            None => self.store_create(cache),
        };
        if leaves { Turn::Leaves } else { Turn::Stays }
    }

    /// A page of a segment: its own mapper has it, or gets it.
    fn turn_of_segment(&mut self, cache: Id<Cache>, page: u32, frame: Frame) -> Turn {
        if self.cache(cache).is_none_or(|cache| cache.child.is_some()) {
            // A copy is to see what it saw, and the mapper may have something else by now.
            return Turn::Stays;
        }
        let Some((id, segment)) = self.segment_of(cache) else {
            return Turn::Stays;
        };
        if self.memory.pages.flags(frame) & DIRTY == 0 {
            self.page_unmap(cache, page);
            if let Some(held) = self.memory.pages.held(cache, page) {
                self.page_free(cache, held);
            }
            return Turn::Leaves;
        }
        if segment.bad || self.request(id, Kind::Push, page, 1).is_err() {
            return Turn::Stays;
        }
        Turn::Leaves
    }

    /// A page goes whose bytes are in a temporary segment. Others may have the frame as theirs: their turn comes too.
    pub(super) fn page_leaves(&mut self, cache: Id<Cache>, page: u32) {
        self.page_hide(cache, page);
        if let Some(held) = self.memory.pages.held(cache, page)
            && let (frame, true) = self.page_remove(cache, held)
        {
            self.machine.frame_free(frame);
        }
    }

    /// Runs over the regions that show a page, of its cache and of those that see it there, until one is found that is looked for.
    fn any_viewer(
        &mut self,
        cache: Id<Cache>,
        page: u32,
        mut found: impl FnMut(&mut Self, &Region, u64) -> bool,
    ) -> bool {
        let mut any = false;
        let mut next = Some((cache, page));
        while let Some((at, page)) = next {
            let mut region = self.cache(at).and_then(|cache| cache.regions);
            while let Some(&entry) = region.and_then(|id| self.memory.regions.get(id)) {
                region = entry.sharer;
                if let Some(address) = entry.address_of(page) {
                    any |= found(self, &entry, address);
                }
            }
            next = self.next_viewer(cache, at, page);
        }
        any
    }

    /// Whether a page was touched since the hand came by last.
    pub(super) fn was_touched(&mut self, cache: Id<Cache>, page: u32) -> bool {
        self.any_viewer(cache, page, |nucleus, region, address| {
            nucleus.machine.was_touched(region.space, address)
        })
    }

    /// Whether a page must not leave.
    pub(super) fn must_stay(&mut self, cache: Id<Cache>, page: u32, frame: Frame) -> bool {
        let fixed = self.any_viewer(cache, page, |nucleus, region, _| {
            region.is_fixed()
                || region.options & DEVICE != 0
                || region.space == Space::SUPERVISOR
                || nucleus.is_needed(region.actor)
        });
        fixed || self.is_waited_in(cache, page, frame)
    }

    /// Whether threads wait for a structure in a page, or with a buffer in it.
    fn is_waited_in(&mut self, cache: Id<Cache>, page: u32, frame: Frame) -> bool {
        let timers = !self.timers.is_empty();
        for slot in 0..self.threads.extent() {
            let Some(id) = self.threads.at(slot) else {
                continue;
            };
            let Some(thread) = self.threads.get(id) else {
                continue;
            };
            let wait = thread.wait;
            if let Some(place) = wait.structure()
                && place / PAGE_SIZE == u64::from(frame.0)
            {
                return true;
            }
            let mut space = thread.space;
            let buffers = match wait {
                Wait::Receive => {
                    let wait = &thread.receive;
                    space = wait.space;
                    let [annex, body] = parts(&wait.desc);
                    let desc = (wait.desc_addr, size_of::<KnMsgDesc>() as u64);
                    [desc, annex, body, (wait.port_li_addr, 4)]
                }
                Wait::Call => {
                    space = thread.call.space;
                    let [annex, body] = parts(&thread.call.reply);
                    [annex, body, (0, 0), (0, 0)]
                }
                Wait::Events(wait) => [wait.told(), (0, 0), (0, 0), (0, 0)],
                Wait::TimerPool(wait) => {
                    let [cookie, overrun] = wait.told();
                    [cookie, overrun, (0, 0), (0, 0)]
                }
                Wait::Semaphore(_, address) => [(address, 8), (0, 0), (0, 0), (0, 0)],
                _ => continue,
            };
            if self.shows_part(cache, page, space, &buffers) {
                return true;
            }
        }
        for slot in 0..self.ipc.handlings.extent() {
            // A client that works in a handler itself gets the reply when it comes out.
            let call = self.ipc.handlings.at(slot);
            let call = call.and_then(|id| self.ipc.handlings.get(id)?.own);
            if let Some(own) = call
                && self.shows_part(cache, page, own.call.space, &parts(&own.call.reply))
            {
                return true;
            }
        }
        timers && self.is_pool(frame)
    }

    /// Whether a page is seen in a space where one of these buffers is.
    fn shows_part(
        &mut self,
        cache: Id<Cache>,
        page: u32,
        space: Space,
        buffers: &[(u64, u64)],
    ) -> bool {
        self.any_viewer(cache, page, |_, region, address| {
            let end = address + PAGE_SIZE;
            let touches = |&(start, size): &(u64, u64)| {
                size > 0 && start < end && start.saturating_add(size) > address
            };
            region.space == space && buffers.iter().any(touches)
        })
    }
}

/// Where annex and body go that a descriptor is for.
fn parts(desc: &KnMsgDesc) -> [(u64, u64); 2] {
    let body = desc.body_size.min(K_CMSGSIZEMAX).into();
    let part = |at: u64, size: u64| if at == 0 { (0, 0) } else { (at, size) };
    [
        part(desc.annex_addr, K_CMSGANNEXSIZE as u64),
        part(desc.body_addr, body),
    ]
}

impl<M: Machine> Nucleus<M> {
    /// A frame holds a page that it did not: the hand may find something again.
    pub(in crate::memory) fn page_arrived(&mut self) {
        self.memory.pageout.idle = 0;
    }

    /// Whether a temporary segment has what a page holds, so that the first store has to be noticed. To change it (`own`): it has that no more.
    pub(in crate::memory) fn is_kept_outside(
        &mut self,
        cache: Id<Cache>,
        page: u32,
        own: bool,
    ) -> bool {
        let Some(slot) = self.page_slot(cache, page) else {
            return false;
        };
        if own {
            self.memory.pageout.slots.set_flags(slot, 0, STORED);
        }
        self.memory.pageout.slots.flags(slot) & STORED != 0
    }

    /// Regions of a cache showed some of its pages and do no more: what is outside of those that no other region shows goes to the child if it needs
    /// it, else away.
    pub(in crate::memory) fn slots_trim(&mut self, cache: Id<Cache>, first: u32, end: u32) {
        let list = self.cache(cache).map(|cache| cache.slots);
        let Some(list) = list.filter(|list| list.count > 0) else {
            return;
        };
        if end - first < list.count {
            for page in first..end {
                if let Some(slot) = self.memory.pageout.slots.find(cache, page) {
                    self.slot_trim(cache, slot, page);
                }
            }
            return;
        }
        let mut next = list.first();
        while let Some(slot) = next {
            next = self.memory.pageout.slots.next(slot);
            if let Some((_, page)) = self.memory.pageout.slots.holder(slot)
                && (first..end).contains(&page)
            {
                self.slot_trim(cache, slot, page);
            }
        }
    }

    fn slot_trim(&mut self, cache: Id<Cache>, slot: u32, page: u32) {
        let here = self.memory.pages.find(cache, page).is_some();
        let shown = self
            .regions_of(cache)
            .any(|(_, region)| region.address_of(page).is_some());
        if !shown && !here {
            let heir = self.history(cache, page);
            self.slot_bequeath(cache, slot, heir);
        }
    }

    /// Pages that are in temporary segments and not here.
    pub(in crate::memory) fn pages_outside(&self) -> u64 {
        let slots = 0..self.memory.pageout.slots.extent();
        let absent = |slot: &u32| {
            let page = self.page_of_slot(*slot);
            page.is_some_and(|(cache, page)| self.memory.pages.find(cache, page).is_none())
        };
        slots.filter(absent).count() as u64
    }
}
