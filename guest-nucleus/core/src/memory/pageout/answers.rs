//! Answers of the default mapper, each checked before anything is done: one that lies, or dies, harms only those whose pages it has.

use super::slots::{PULLING, PUSHING, STORED};
use super::stores::Store;
use crate::arena::Id;
use crate::ipc::Body;
use crate::machine::Machine;
use crate::memory::mappers::{Kind, Request};
use crate::nucleus::Nucleus;
use chorus_abi::*;
use zerocopy::FromBytes;

impl<M: Machine> Nucleus<M> {
    /// Whether a request is one of page-out, whose answer is treated here.
    pub(in crate::memory) fn is_of_pageout(request: &Request) -> bool {
        request.store.is_some() || request.kind == Kind::Create
    }

    /// The default mapper answered, or (`None`) is gone.
    pub(in crate::memory) fn pageout_answered(
        &mut self,
        id: Id<Request>,
        request: &Request,
        annex: Option<[u8; K_CMSGANNEXSIZE]>,
        body: &mut Body,
    ) {
        let good = match request.kind {
            Kind::Create => self.store_created(request, annex),
            Kind::Out => self.page_taken(request, annex),
            Kind::In => self.page_given(request, annex, body),
            _ => true,
        };
        match request.kind {
            // Nobody waits for these: they wait for room.
            Kind::Create | Kind::Out => {
                self.memory.pageout.out = self.memory.pageout.out.saturating_sub(1);
                self.request_remove(id);
            }
            _ => self.request_end(id, request, good),
        }
    }

    /// A temporary segment was made, or not. Whether it was.
    fn store_created(&mut self, request: &Request, annex: Option<[u8; 64]>) -> bool {
        let Some(id) = request.cache else {
            return false;
        };
        let reply = annex.and_then(|annex| KnMpCreateReply::read_from_bytes(&annex).ok());
        let cap = reply
            .filter(|reply| reply.diag == 0 && reply.options == 0)
            .map(|reply| reply.seg_cap);
        let known = cap.is_some_and(|cap| {
            let mut all = self.memory.pageout.stores.iter();
            all.any(|(_, store)| store.cap == cap) || self.segment_find(cap).is_some()
        });
        let Some(cap) = cap.filter(|cap| !known && self.is_default_mapper_s(cap.ui)) else {
            if annex.is_some() {
                self.machine
                    .log("the default mapper made no temporary segment");
            }
            if let Some(cache) = self.memory.caches.get_mut(id) {
                cache.asked = cache.asked.saturating_add(1);
            }
            return false;
        };
        if self.cache(id).is_none_or(|cache| cache.store.is_some()) {
            self.store_refuse(cap);
            return true;
        }
        let store = Store {
            cap,
            cache: Some(id),
            slots: 0,
            refusals: 0,
            left: false,
        };
        let store = self.memory.pageout.stores.insert(store);
        if store.is_none() {
            self.store_refuse(cap);
        }
        if let Some(cache) = self.memory.caches.get_mut(id) {
            cache.store = store;
        }
        true
    }

    /// A page was taken, or not. Whether it was.
    fn page_taken(&mut self, request: &Request, annex: Option<[u8; 64]>) -> bool {
        let slot = request.page;
        let reply = annex.and_then(|annex| KnMpReply::read_from_bytes(&annex).ok());
        let taken = reply.is_some_and(|reply| reply.diag == 0);
        if let Some(store) = request.store {
            if taken {
                if let Some(store) = self.memory.pageout.stores.get_mut(store) {
                    store.refusals = 0;
                }
            } else {
                self.store_refused(store);
            }
        }
        let clear = if taken { 0 } else { STORED };
        self.memory.pageout.slots.set_flags(slot, 0, clear);
        if self.memory.pageout.slots.settle(slot, PUSHING) {
            self.slot_freed(slot);
            return taken;
        }
        if !taken {
            return false;
        }
        self.memory.pageout.pages_out += 1;
        // Nobody stored into it since, and nobody touched it: it goes at once.
        if let Some((cache, page)) = self.page_of_slot(slot)
            && let Some(frame) = self.memory.pages.find(cache, page)
            && self.memory.pageout.slots.flags(slot) & STORED != 0
            && self.memory.pages.locks(frame) == 0
            && !self.must_stay(cache, page, frame)
            && !self.was_touched(cache, page)
        {
            self.page_leaves(cache, page);
        }
        true
    }

    /// A page came back, or not. Whether it is the one that went.
    fn page_given(&mut self, request: &Request, annex: Option<[u8; 64]>, body: &mut Body) -> bool {
        let slot = request.page;
        let good = self.page_given_back(request, annex, body);
        if self.memory.pageout.slots.settle(slot, PULLING) {
            self.slot_freed(slot);
        }
        good
    }

    fn page_given_back(
        &mut self,
        request: &Request,
        annex: Option<[u8; 64]>,
        body: &mut Body,
    ) -> bool {
        let slot = request.page;
        let Some(annex) = annex else {
            return false;
        };
        let reply = KnMpReply::read_from_bytes(&annex).ok();
        let Some(reply) = reply.filter(|reply| reply.diag == 0) else {
            return false;
        };
        let asked = u64::from(slot) * PAGE_SIZE;
        let nothing = (reply.size, body.size) == (0, 0);
        let whole =
            (reply.offset, reply.size) == (asked, PAGE_SIZE) && u64::from(body.size) <= PAGE_SIZE;
        if !nothing && !whole {
            self.machine
                .log("the default mapper answered with another page than it was asked for");
            return false;
        }
        let Some((cache, page)) = self.page_of_slot(slot) else {
            return true;
        };
        if self.memory.pages.find(cache, page).is_some() {
            return true;
        }
        let Some(frame) = self.page_of_body(body, 0, 0) else {
            return false;
        };
        if self.sum_of(frame) != self.memory.pageout.slots.sum(slot) {
            self.machine
                .log("the default mapper gave back other bytes than it was given");
            self.machine.frame_free(frame);
            return false;
        }
        self.memory.pageout.pages_in += 1;
        self.page_put(cache, page, frame).is_some()
    }

    /// Which page of which cache a slot is of.
    pub(super) fn page_of_slot(
        &self,
        slot: u32,
    ) -> Option<(Id<crate::memory::caches::Cache>, u32)> {
        let (at, page) = self.memory.pageout.slots.holder(slot)?;
        Some((self.memory.caches.at(at)?, page))
    }
}
