//! Caches: the pages of a piece of memory, whoever maps it, and the history of copies.
//!
//! A region is a window on a cache, and every resident page belongs to one. A deferred copy is a cache too: it has the pages that were written
//! since, and its *parent* has the rest. The newest data of a cache are always in itself; before one of its pages changes, the old page goes
//! *down* to the child, its *history*. So a source that lives long (a program that makes children again and again) grows no chain and its faults
//! stay short, its regions never change caches, and for a segment what is pushed out is found at once: that is why there are history objects
//! here and not shadows.
//!
//! What holds always:
//!
//! - A cache that is mapped has at most one child. A second copy puts a *working* cache between, which nobody maps and which has two children
//!   or more; with one child left it is merged into that child, and so is a cache that is mapped no more.
//! - A page that a cache sees is its own, else its parent's, and so on; nobody has it: zeros.
//! - A region maps only the frame that its cache sees, and for stores only when the page is its own, nobody else has its frame (`sharing`), and the
//!   child, if it sees that page, has one of its own.

use super::Region;
use super::pageout::{SlotList, Store};
use super::pages::{Held, PageList};
use super::segments::Segment;
use super::sharing::Credit;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::machine::{Frame, Machine};
use crate::nucleus::Nucleus;
use chorus_abi::PAGE_SIZE;

/// The pages of a piece of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cache {
    /// How many pages it is about.
    pub(super) size: u32,
    /// How many of them the parent has if it lacks them; the rest begins as zeros.
    pub(super) window: u32,
    /// The segment whose pages it has.
    pub(super) segment: Option<Id<Segment>>,
    /// Its resident pages.
    pub(super) list: PageList,
    /// First of the regions that map it.
    pub(super) regions: Option<Id<Region>>,
    /// Where the pages are that it lacks.
    pub(super) parent: Option<Id<Cache>>,
    /// Page of the parent that is this one's first.
    pub(super) offset: u32,
    pub(super) child: Option<Id<Cache>>,
    pub(super) sibling: Option<Id<Cache>>,
    /// It only keeps old pages for its children.
    pub(super) working: bool,
    /// Actor that its pages are counted with.
    pub(super) payer: Option<Id<Actor>>,
    /// Its copy in the duplication under way.
    pub(super) copy: Option<Id<Cache>>,
    /// Where its pages are that left memory, and copies of some that are here.
    pub(super) slots: SlotList,
    /// The temporary segment that its pages go to.
    pub(super) store: Option<Id<Store>>,
    /// How often the default mapper refused to make one.
    pub(super) asked: u8,
    /// Whether bodies of messages are lent and borrowed here.
    pub(super) credit: Credit,
    /// It is in the queue of what goes (`going`).
    pub(super) going: bool,
    /// Pages that regions showed and may show no more: those that none does are to go.
    pub(super) trim: Option<(u32, u32)>,
}

impl Cache {
    /// No page of so many.
    pub(super) fn new(size: u32, payer: Option<Id<Actor>>) -> Self {
        Cache {
            size,
            window: size,
            segment: None,
            list: PageList::EMPTY,
            regions: None,
            parent: None,
            offset: 0,
            child: None,
            sibling: None,
            working: false,
            payer,
            copy: None,
            slots: SlotList::EMPTY,
            store: None,
            asked: 0,
            credit: Credit::default(),
            going: false,
            trim: None,
        }
    }

    /// Whether nobody will ever see its pages again.
    pub(super) fn is_lost(&self) -> bool {
        self.going && self.regions.is_none() && self.child.is_none() && self.segment.is_none()
    }

    /// Which of its pages shows this one of the parent.
    pub(super) fn sees(&self, page: u32) -> Option<u32> {
        page.checked_sub(self.offset)
            .filter(|&page| page < self.window)
    }
}

impl<M: Machine> Nucleus<M> {
    pub(super) fn cache(&self, id: Id<Cache>) -> Option<&Cache> {
        self.memory.caches.get(id)
    }

    /// The regions that map a cache.
    pub(super) fn regions_of(
        &self,
        cache: Id<Cache>,
    ) -> impl Iterator<Item = (Id<Region>, &Region)> {
        let mut next = self.cache(cache).and_then(|cache| cache.regions);
        core::iter::from_fn(move || {
            let id = next?;
            let region = self.memory.regions.get(id)?;
            next = region.sharer;
            Some((id, region))
        })
    }

    /// Whether a cache has a page of its own: here, or in a temporary segment.
    pub(super) fn has_page(&self, cache: Id<Cache>, page: u32) -> bool {
        self.memory.pages.find(cache, page).is_some() || self.page_slot(cache, page).is_some()
    }

    /// The slot of a page of a cache.
    #[inline]
    pub(super) fn page_slot(&self, cache: Id<Cache>, page: u32) -> Option<u32> {
        let any = self.memory.caches.get(cache)?.slots.count > 0;
        any.then(|| self.memory.pageout.slots.find(cache, page))?
    }

    /// The frame that a cache sees as one of its pages, and whether it is its own; none either while the page is in a temporary segment.
    #[inline]
    pub(super) fn page_seen(&self, cache: Id<Cache>, page: u32) -> Option<(Frame, bool)> {
        let (mut at, mut page) = (cache, page);
        loop {
            if let Some(frame) = self.memory.pages.find(at, page) {
                return Some((frame, at == cache));
            }
            let entry = self.memory.caches.get(at)?;
            if page >= entry.window {
                return None;
            }
            if entry.slots.count > 0 && self.memory.pageout.slots.find(at, page).is_some() {
                return None;
            }
            page += entry.offset;
            at = entry.parent?;
        }
    }

    /// The slot of a page that a cache sees and no cache has here.
    pub(super) fn slot_seen(&self, cache: Id<Cache>, page: u32) -> Option<u32> {
        let (mut at, mut page) = (cache, page);
        loop {
            if let Some(slot) = self.page_slot(at, page) {
                return Some(slot);
            }
            let entry = self.cache(at)?;
            if page >= entry.window {
                return None;
            }
            page += entry.offset;
            at = entry.parent?;
        }
    }

    /// The cache of a segment whose mapper has a page that a cache sees and no cache has; `None`: the page is zeros.
    pub(super) fn page_supplier(&self, cache: Id<Cache>, page: u32) -> Option<(Id<Cache>, u32)> {
        let (mut at, mut page) = (cache, page);
        loop {
            let entry = self.cache(at)?;
            if entry.segment.is_some() {
                return Some((at, page));
            }
            if page >= entry.window {
                return None;
            }
            page += entry.offset;
            at = entry.parent?;
        }
    }

    /// A frame becomes a page of a cache, and is counted with its payer.
    pub(super) fn page_insert(&mut self, cache: Id<Cache>, page: u32, frame: Frame) -> bool {
        let Some(entry) = self.memory.caches.get_mut(cache) else {
            return false;
        };
        if !self
            .memory
            .pages
            .insert(&mut entry.list, cache, page, frame)
        {
            return false;
        }
        if let Some(actor) = entry.payer.and_then(|payer| self.actors.get_mut(payer)) {
            actor.pages += 1;
        }
        self.page_arrived();
        true
    }

    /// A page is none of its cache any more; its frame, and whether nobody else has that.
    pub(super) fn page_remove(&mut self, cache: Id<Cache>, held: Held) -> (Frame, bool) {
        let Some(entry) = self.memory.caches.get_mut(cache) else {
            return (self.memory.pages.frame(held), false);
        };
        let removed = self.memory.pages.remove(&mut entry.list, held);
        if let Some(actor) = entry.payer.and_then(|payer| self.actors.get_mut(payer)) {
            actor.pages = actor.pages.saturating_sub(1);
        }
        removed
    }

    /// A page goes away, with its frame if nobody else has that; nobody maps it.
    pub(super) fn page_free(&mut self, cache: Id<Cache>, held: Held) {
        if self.memory.pageout.is_on() {
            self.slot_drop(cache, self.memory.pages.page(held));
        }
        let (frame, alone) = self.page_remove(cache, held);
        if !alone {
            return;
        }
        if self.any_waits_for_a_structure() {
            self.structures_end(frame);
        }
        self.machine.frame_free(frame);
    }

    /// Takes a page from the regions of a cache; touching makes the mapping anew.
    pub(super) fn page_unmap(&mut self, cache: Id<Cache>, page: u32) {
        let mut next = self.cache(cache).and_then(|cache| cache.regions);
        while let Some(region) = next.and_then(|id| self.memory.regions.get(id)) {
            next = region.sharer;
            let (space, address) = (region.space, region.address_of(page));
            if let Some(address) = address {
                self.machine.unmap(space, address);
            }
        }
    }

    /// A new frame with the content of another; for `None`, zeros.
    pub(super) fn frame_like(&mut self, frame: Option<Frame>) -> Option<Frame> {
        let Some(frame) = frame else {
            return self.frame_get(M::frame_allocate_zeroed);
        };
        let new = self.frame_get(M::frame_allocate)?;
        self.counters.copied += PAGE_SIZE;
        self.machine.frame_copy(frame, new);
        Some(new)
    }

    /// Puts a new frame in a cache; without room for it there the frame goes back.
    pub(super) fn page_put(&mut self, cache: Id<Cache>, page: u32, frame: Frame) -> Option<Frame> {
        if self.page_insert(cache, page, frame) {
            return Some(frame);
        }
        self.machine.frame_free(frame);
        None
    }

    pub(super) fn cache_link(&mut self, child: Id<Cache>, parent: Id<Cache>, offset: u32) {
        let sibling = self
            .memory
            .caches
            .get_mut(parent)
            .and_then(|parent| parent.child.replace(child));
        if let Some(child) = self.memory.caches.get_mut(child) {
            (child.parent, child.offset, child.sibling) = (Some(parent), offset, sibling);
        }
    }

    pub(super) fn cache_unlink(&mut self, child: Id<Cache>) {
        let Some(entry) = self.memory.caches.get_mut(child) else {
            return;
        };
        let sibling = entry.sibling.take();
        entry.offset = 0;
        let Some(parent) = entry.parent.take() else {
            return;
        };
        let mut at = match self.memory.caches.get_mut(parent) {
            Some(entry) if entry.child == Some(child) => {
                entry.child = sibling;
                return;
            }
            Some(entry) => entry.child,
            None => return,
        };
        while let Some(entry) = at.and_then(|id| self.memory.caches.get_mut(id)) {
            if entry.sibling == Some(child) {
                entry.sibling = sibling;
                return;
            }
            at = entry.sibling;
        }
    }

    /// A cache that nobody maps and that has no pages left is replaced by its only child.
    pub(super) fn cache_merge(&mut self, id: Id<Cache>, child: Id<Cache>) {
        let (Some(&entry), Some(&heir)) = (self.cache(id), self.cache(child)) else {
            return;
        };
        if self.memory.pageout.is_on() {
            self.cache_merge_store(id, child);
        }
        self.cache_unlink(child);
        self.cache_unlink(id);
        self.cache_remove(id);
        let window = entry.window.saturating_sub(heir.offset);
        if let Some(child) = self.memory.caches.get_mut(child) {
            child.window = child.window.min(window);
        }
        if let Some(parent) = entry.parent {
            self.cache_link(child, parent, heir.offset + entry.offset);
        }
    }

    /// A page that no region of its cache maps any more: the heir takes it, or it goes.
    pub(super) fn page_bequeath(
        &mut self,
        cache: Id<Cache>,
        held: Held,
        heir: Option<(Id<Cache>, u32)>,
    ) {
        let Some((heir, page)) = heir else {
            return self.page_free(cache, held);
        };
        if self.any_waits_for_a_structure() {
            self.structures_end(self.memory.pages.frame(held));
        }
        if self.memory.pageout.is_on() {
            self.slot_drop(cache, self.memory.pages.page(held));
        }
        let (frame, _) = self.page_remove(cache, held);
        self.page_insert(heir, page, frame);
    }

    /// Pages of a range that no region maps go to the child if it needs them, else away.
    pub(super) fn trim_now(&mut self, cache: Id<Cache>, (first, end): (u32, u32)) {
        let Some(list) = self.cache(cache).map(|cache| cache.list) else {
            return;
        };
        let one = |nucleus: &mut Self, page: u32, held: Held| {
            let mapped = nucleus
                .regions_of(cache)
                .any(|(_, region)| region.address_of(page).is_some());
            if !mapped {
                let heir = nucleus.history(cache, page);
                nucleus.page_bequeath(cache, held, heir);
            }
        };
        if self.memory.pageout.is_on() {
            self.slots_trim(cache, first, end);
        }
        if end - first < list.count {
            for page in first..end {
                if let Some(held) = self.memory.pages.held(cache, page) {
                    one(self, page, held);
                }
            }
            return;
        }
        let mut next = list.first();
        while let Some(held) = next {
            next = self.memory.pages.next(held);
            let page = self.memory.pages.page(held);
            if (first..end).contains(&page) {
                one(self, page, held);
            }
        }
    }

    /// The actor that the pages of a cache should be counted with: the first that maps it, or a copy of it.
    fn payer_of(&self, cache: Id<Cache>) -> Option<Id<Actor>> {
        let mut at = cache;
        loop {
            let entry = self.cache(at)?;
            if let Some(region) = entry.regions {
                return Some(self.memory.regions.get(region)?.actor);
            }
            at = entry.child?;
        }
    }

    /// Counts the pages of a cache with the right actor.
    pub(super) fn cache_repay(&mut self, cache: Id<Cache>) {
        let right = self.payer_of(cache);
        let Some(entry) = self.memory.caches.get_mut(cache) else {
            return;
        };
        let (before, count) = (entry.payer, entry.list.count);
        entry.payer = right;
        if let Some(actor) = before.and_then(|id| self.actors.get_mut(id)) {
            actor.pages = actor.pages.saturating_sub(count);
        }
        if let Some(actor) = right.and_then(|id| self.actors.get_mut(id)) {
            actor.pages += count;
        }
    }

    /// An actor has lost all its regions: what was counted with it is counted with others. Looks at so many caches from one on; where to go on.
    pub(super) fn caches_repay(&mut self, actor: Id<Actor>, from: usize, count: usize) -> usize {
        let end = from.saturating_add(count);
        for slot in from..end.min(self.memory.caches.extent()) {
            if let Some(id) = self.memory.caches.at(slot)
                && self
                    .cache(id)
                    .is_some_and(|cache| cache.payer == Some(actor))
            {
                self.cache_repay(id);
            }
        }
        end
    }

    /// A region begins to map its cache.
    pub(super) fn cache_mapped(&mut self, cache: Id<Cache>, region: Id<Region>) {
        let before = self
            .memory
            .caches
            .get_mut(cache)
            .and_then(|cache| cache.regions.replace(region));
        if let Some(region) = self.memory.regions.get_mut(region) {
            region.sharer = before;
        }
    }

    /// A region maps its cache no more. What becomes of the cache is for the caller to say.
    pub(super) fn cache_unmapped(&mut self, cache: Id<Cache>, region: Id<Region>) {
        let Some(&Region { sharer, actor, .. }) = self.memory.regions.get(region) else {
            return;
        };
        let Some(entry) = self.memory.caches.get_mut(cache) else {
            return;
        };
        if entry.regions == Some(region) {
            entry.regions = sharer;
        } else {
            let mut at = entry.regions;
            while let Some(other) = at.and_then(|id| self.memory.regions.get_mut(id)) {
                if other.sharer == Some(region) {
                    other.sharer = sharer;
                    break;
                }
                at = other.sharer;
            }
        }
        let payer = self.cache(cache).and_then(|cache| cache.payer);
        if payer == Some(actor)
            && !self
                .regions_of(cache)
                .any(|(_, other)| other.actor == actor)
        {
            self.cache_repay(cache);
        }
    }
}

/// Pages of so many bytes.
pub(super) const fn pages(bytes: u64) -> u32 {
    (bytes / PAGE_SIZE) as u32
}
