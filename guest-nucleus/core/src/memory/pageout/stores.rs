//! Temporary segments: asked for, given up, and pages sent to them and asked back from them (`MpCreate`, `MpRelease`, `MpPushOut`, `MpPullIn`).

use super::default_mappers;
use super::slots::{PULLING, PUSHING, STORED};
use crate::arena::Id;
use crate::ipc::Body;
use crate::ipc::Port;
use crate::machine::{Frame, Machine};
use crate::memory::caches::Cache;
use crate::memory::faults::{MAPPER, WAITS};
use crate::memory::mappers::{Kind, Request};
use crate::nucleus::Nucleus;
use chorus_abi::*;
use zerocopy::IntoBytes;

/// Times that the default mapper is asked for a temporary segment for one cache, or to take one's pages, in vain.
pub(super) const TRIES: u8 = 3;

/// A temporary segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Store {
    /// Its name, and its mapper's.
    pub(super) cap: KnCap,
    /// The cache that it was made for; `None`: that has gone.
    pub(super) cache: Option<Id<Cache>>,
    /// Slots in it.
    pub(super) slots: u32,
    /// How often its mapper has refused a page, one time after another.
    pub(super) refusals: u8,
    /// Nobody needs it; the mapper is to be told, or was.
    pub(super) left: bool,
}

impl<M: Machine> Nucleus<M> {
    /// A port of a default mapper of this site.
    pub(super) fn default_mapper(&self) -> Option<Id<Port>> {
        let group = default_mappers().identity();
        self.ipc.groups.members_of(group).next()
    }

    /// Whether a port belongs to a default mapper of this site: it cannot have others asked in its name.
    pub(super) fn is_default_mapper_s(&mut self, ui: KnUniqueId) -> bool {
        let port = self.can_request(ui).ok();
        let owner = port.and_then(|port| self.port_owner(port));
        let group = default_mappers().identity();
        let mut members = self.ipc.groups.members_of(group);
        owner.is_some() && members.any(|port| self.port_owner(port) == owner)
    }

    /// Sends a request about a temporary segment. Errors: those of `request_send`; it was not sent, the body is freed.
    fn store_request(
        &mut self,
        request: Request,
        cap: KnCap,
        service: i32,
        body: Body,
    ) -> Result<Id<Request>, KError> {
        let mut body = body;
        let Some(id) = self.request_insert(request) else {
            self.body_free(&mut body);
            return Err(KError::NoMem);
        };
        let offset = u64::from(request.page) * PAGE_SIZE;
        let annex = KnMpRequest {
            service,
            access: if service == KN_MPPULLIN {
                K_READABLE | K_WRITABLE
            } else {
                0
            },
            seg_key: cap.key,
            lc_cap: KnCap::default(),
            offset,
            size: u64::from(request.count) * PAGE_SIZE,
            required_offset: offset,
            id: id.word(),
        };
        let mut bytes = [0; K_CMSGANNEXSIZE];
        bytes.copy_from_slice(annex.as_bytes());
        self.request_send(id, cap.ui, bytes, body)
            .inspect_err(|_| self.request_remove(id))?;
        Ok(id)
    }

    /// Asks for a temporary segment for a cache. `false`: it was not asked.
    pub(super) fn store_create(&mut self, cache: Id<Cache>) -> bool {
        let Some(port) = self.default_mapper() else {
            return false;
        };
        let Some(ui) = self.ipc.ports.get(port).map(|port| port.ui) else {
            return false;
        };
        let asked = self.cache(cache).is_none_or(|cache| cache.asked >= TRIES);
        if asked || !self.memory.pageout.stores.has_room() || self.is_creating(cache) {
            return false;
        }
        let request = Request::for_cache(cache);
        let cap = KnCap { ui, key: 0 };
        let sent = self
            .store_request(request, cap, KN_MPCREATE, Body::EMPTY)
            .is_ok();
        if sent {
            self.memory.pageout.out += 1;
        }
        sent
    }

    /// Sends a page away. `false`: it was not sent; nothing happened.
    pub(super) fn store_push(&mut self, cache: Id<Cache>, page: u32, frame: Frame) -> bool {
        let Some(store) = self.cache(cache).and_then(|cache| cache.store) else {
            return false;
        };
        let Some(&Store { cap, .. }) = self.memory.pageout.stores.get(store) else {
            return false;
        };
        let found = self.memory.pageout.slots.find(cache, page);
        let Some(slot) = found.or_else(|| self.slot_insert(cache, page, store)) else {
            return false;
        };
        // A slot that came with the page may be in the temporary segment of another cache.
        let at = self.memory.pageout.slots.store(slot);
        let at = at.and_then(|at| self.memory.pageout.stores.at(at));
        let (store, cap) = match at.and_then(|at| Some((at, self.memory.pageout.stores.get(at)?))) {
            Some((at, found)) if found.refusals < TRIES => (at, found.cap),
            _ if at == Some(store) => (store, cap),
            _ => {
                self.slot_drop(cache, page);
                return false;
            }
        };
        let Some(copy) = self.frame_get(M::frame_allocate) else {
            return false;
        };
        // From here on stores are noticed.
        self.page_hide(cache, page);
        let sum = self.sum_of(frame);
        self.machine.frame_copy(frame, copy);
        self.memory.pageout.slots.set_sum(slot, sum);
        let request = Request::of_store(store, Kind::Out, slot);
        let sent = self.store_request(request, cap, KN_MPPUSHOUT, Body::of_frame(copy));
        if let Err(error) = sent {
            if !matches!(error, KError::Full | KError::NoMem) {
                self.store_refused(store);
            }
            return false;
        }
        let slots = &mut self.memory.pageout.slots;
        slots.set_flags(slot, STORED | PUSHING, 0);
        self.memory.pageout.out += 1;
        true
    }

    /// The mapper did not take a page.
    pub(super) fn store_refused(&mut self, store: Id<Store>) {
        if let Some(store) = self.memory.pageout.stores.get_mut(store) {
            store.refusals = store.refusals.saturating_add(1);
        }
    }

    /// The temporary segment of a cache if its mapper takes pages; one whose mapper has gone is given up, so that another is asked for.
    pub(super) fn store_of(&mut self, cache: Id<Cache>) -> Option<Id<Store>> {
        let store = self.cache(cache)?.store?;
        let entry = *self.memory.pageout.stores.get(store)?;
        if entry.refusals < TRIES {
            return Some(store);
        }
        if self.can_request(entry.cap.ui).is_err() {
            if let Some(cache) = self.memory.caches.get_mut(cache) {
                (cache.store, cache.asked) = (None, 0);
            }
            if let Some(entry) = self.memory.pageout.stores.get_mut(store) {
                entry.cache = None;
            }
            self.store_settle(store);
        }
        None
    }

    /// A page is in a temporary segment: the thread must wait for it. The exception to take instead: `WAITS`, or `MAPPER` if it cannot be had.
    pub(in crate::memory) fn await_slot(&mut self, slot: u32) -> u32 {
        let same = |request: &Request| request.kind == Kind::In && request.page == slot;
        let there = self.request_find(same);
        let id = match there {
            Some((id, 0)) => id,
            Some((id, _)) => {
                self.request_told(id);
                return MAPPER;
            }
            None => {
                let store = self.memory.pageout.slots.store(slot);
                let Some(store) = store.and_then(|at| self.memory.pageout.stores.at(at)) else {
                    return MAPPER;
                };
                let Some(&Store { cap, .. }) = self.memory.pageout.stores.get(store) else {
                    return MAPPER;
                };
                let request = Request::of_store(store, Kind::In, slot);
                match self.store_request(request, cap, KN_MPPULLIN, Body::EMPTY) {
                    Ok(id) => {
                        self.memory.pageout.slots.set_flags(slot, PULLING, 0);
                        id
                    }
                    Err(_) => return MAPPER,
                }
            }
        };
        self.await_request(id);
        WAITS
    }

    /// A cache goes: its slots, and its temporary segment if nobody else has pages in it.
    pub(in crate::memory) fn cache_forget_slots(&mut self, cache: Id<Cache>) {
        while let Some(slot) = self.cache(cache).and_then(|cache| cache.slots.first()) {
            self.slot_remove(cache, slot);
        }
        let store = self.memory.caches.get_mut(cache);
        let Some(store) = store.and_then(|cache| cache.store.take()) else {
            return;
        };
        if let Some(entry) = self.memory.pageout.stores.get_mut(store) {
            entry.cache = None;
        }
        self.store_settle(store);
    }

    /// What a cache that is merged into its only child has in a slot goes to the child, if the child sees it.
    pub(in crate::memory) fn slot_moves(&mut self, id: Id<Cache>, slot: u32, child: Id<Cache>) {
        let page = self.memory.pageout.slots.holder(slot).map(|(_, page)| page);
        let seen = page.and_then(|page| self.cache(child)?.sees(page));
        let heir = seen.filter(|&page| !self.has_page(child, page));
        self.slot_bequeath(id, slot, heir.map(|page| (child, page)));
    }

    /// The temporary segment of a cache that is merged into its only child goes to the child, if that has none.
    pub(in crate::memory) fn cache_merge_store(&mut self, id: Id<Cache>, child: Id<Cache>) {
        let free = self.cache(child).is_some_and(|child| child.store.is_none());
        let store = self.cache(id).and_then(|cache| cache.store);
        if let Some(store) = store.filter(|_| free) {
            if let Some(cache) = self.memory.caches.get_mut(id) {
                cache.store = None;
            }
            if let Some(heir) = self.memory.caches.get_mut(child) {
                heir.store = Some(store);
            }
            if let Some(entry) = self.memory.pageout.stores.get_mut(store) {
                entry.cache = Some(child);
            }
        }
        self.cache_forget_slots(id);
    }

    /// A slot whose page no region of its cache shows any more: the heir takes it, or it goes.
    pub(in crate::memory) fn slot_bequeath(
        &mut self,
        cache: Id<Cache>,
        slot: u32,
        heir: Option<(Id<Cache>, u32)>,
    ) {
        let Some((heir, page)) = heir else {
            return self.slot_remove(cache, slot);
        };
        let list = |nucleus: &Self, id| nucleus.cache(id).map(|cache| cache.slots);
        let (Some(mut from), Some(mut to)) = (list(self, cache), list(self, heir)) else {
            return;
        };
        let slots = &mut self.memory.pageout.slots;
        slots.rehome(&mut from, &mut to, slot, heir, page);
        for (id, list) in [(cache, from), (heir, to)] {
            if let Some(cache) = self.memory.caches.get_mut(id) {
                cache.slots = list;
            }
        }
    }

    /// A new slot for a page; one that can be spared is given up for it if all are in use.
    fn slot_insert(&mut self, cache: Id<Cache>, page: u32, store: Id<Store>) -> Option<u32> {
        if self.memory.pageout.slots.used() as usize >= self.memory.pageout.slots.limit() {
            self.slot_spare();
        }
        let list = &mut self.memory.caches.get_mut(cache)?.slots;
        let slots = &mut self.memory.pageout.slots;
        let slot = slots.insert(list, (cache, page), store.index())?;
        if let Some(store) = self.memory.pageout.stores.get_mut(store) {
            store.slots += 1;
        }
        Some(slot)
    }

    /// Gives up a slot whose page is here, if it finds one among the next few.
    fn slot_spare(&mut self) {
        for _ in 0..64 {
            let slots = &mut self.memory.pageout.slots;
            let slot = slots.hand;
            slots.hand = (slot + 1) % slots.limit().max(1) as u32;
            let Some((at, page)) = slots.holder(slot) else {
                continue;
            };
            let Some(cache) = self.memory.caches.at(at) else {
                continue;
            };
            if self.memory.pages.find(cache, page).is_some()
                && self.memory.pageout.slots.flags(slot) & (PUSHING | PULLING) == 0
            {
                return self.slot_remove(cache, slot);
            }
        }
    }

    /// A slot is of no use any more.
    pub(in crate::memory) fn slot_remove(&mut self, cache: Id<Cache>, slot: u32) {
        let Some(list) = self.memory.caches.get_mut(cache).map(|it| &mut it.slots) else {
            return;
        };
        if self.memory.pageout.slots.remove(list, slot) {
            self.slot_freed(slot);
        }
    }

    /// The same by the page.
    pub(in crate::memory) fn slot_drop(&mut self, cache: Id<Cache>, page: u32) {
        if self.cache(cache).is_none_or(|cache| cache.slots.count == 0) {
            return;
        }
        if let Some(slot) = self.memory.pageout.slots.find(cache, page) {
            self.slot_remove(cache, slot);
        }
    }

    /// A slot is free.
    pub(super) fn slot_freed(&mut self, slot: u32) {
        let store = self.memory.pageout.slots.store(slot);
        let Some(store) = store.and_then(|at| self.memory.pageout.stores.at(at)) else {
            return;
        };
        if let Some(entry) = self.memory.pageout.stores.get_mut(store) {
            entry.slots -= 1;
        }
        self.store_settle(store);
    }

    /// Tells the mapper if nobody needs a temporary segment any more.
    fn store_settle(&mut self, store: Id<Store>) {
        let Some(entry) = self.memory.pageout.stores.get_mut(store) else {
            return;
        };
        if entry.cache.is_some() || entry.slots > 0 || entry.left {
            return;
        }
        entry.left = true;
        self.memory.pageout.leaving += 1;
        self.store_release(store);
    }

    /// Sends the release of a temporary segment; without room for it at the mapper it is sent later.
    fn store_release(&mut self, store: Id<Store>) {
        let Some(&Store { cap, .. }) = self.memory.pageout.stores.get(store) else {
            return;
        };
        let request = Request::new(Kind::Release, 0, 0);
        match self.store_request(request, cap, KN_MPRELEASE, Body::EMPTY) {
            Err(KError::Full | KError::NoMem) => {}
            _ => {
                self.memory.pageout.stores.remove(store);
                self.memory.pageout.leaving -= 1;
            }
        }
    }

    /// Sends what could not be sent before.
    pub(super) fn stores_release(&mut self) {
        if self.memory.pageout.leaving == 0 {
            return;
        }
        for slot in 0..self.memory.pageout.stores.extent() {
            if let Some(id) = self.memory.pageout.stores.at(slot)
                && self.memory.pageout.stores.get(id).is_some_and(|it| it.left)
            {
                self.store_release(id);
            }
        }
    }

    /// A temporary segment whose cache has gone before it came.
    pub(super) fn store_refuse(&mut self, cap: KnCap) {
        let request = Request::new(Kind::Release, 0, 0);
        let _ = self.store_request(request, cap, KN_MPRELEASE, Body::EMPTY);
    }

    /// A sum of a frame's bytes that a mapper cannot make for others.
    pub(super) fn sum_of(&mut self, frame: Frame) -> u64 {
        let mut sum = self.memory.pageout.secret;
        let mut bytes = [0; 512];
        for offset in (0..PAGE_SIZE as usize).step_by(bytes.len()) {
            self.machine.frame_read(frame, offset, &mut bytes);
            for word in bytes.chunks_exact(8) {
                let word = word.try_into().map_or(0, u64::from_le_bytes);
                let wide = u128::from(sum ^ word) * 0x9e37_79b9_7f4a_7c15_u128;
                sum = (wide as u64 ^ (wide >> 64) as u64).wrapping_add(word.rotate_left(32));
            }
        }
        sum
    }
}
