//! What mappers answer: it is checked before anything is done (spec 4.5, SS-103).

use super::caches::Cache;
use super::mappers::{CLUSTER_MAX, Kind, Request, TRIES};
use super::pages::{DIRTY, GRANTED, PUSHING};
use crate::arena::Id;
use crate::executive::thread::Wait;
use crate::ipc::Body;
use crate::machine::{Frame, Machine};
use crate::nucleus::Nucleus;
use chorus_abi::*;
use zerocopy::FromBytes;

impl<M: Machine> Nucleus<M> {
    /// A request ended without an answer: the mapper is gone.
    pub(crate) fn mapper_failed(&mut self, id: Id<Request>, _: KError) {
        let Some(request) = self.memory.mappers.requests.get(id).copied() else {
            return;
        };
        if Self::is_of_pageout(&request) {
            self.pageout_answered(id, &request, None, &mut Body::EMPTY.clone());
            return self.room_tell();
        }
        if request.kind == Kind::Push {
            self.push_failed(&request);
        }
        self.request_end(id, &request, false);
        self.room_tell();
    }

    /// A mapper answered.
    pub(crate) fn mapper_replied(
        &mut self,
        id: Id<Request>,
        annex: Option<[u8; 64]>,
        mut body: Body,
    ) {
        // One that a handler gave may lie otherwise in its frames, or in those of pages.
        let annex = annex.filter(|_| self.body_own(&mut body));
        let request = self.memory.mappers.requests.get(id).copied();
        if let Some(request) = request.filter(Self::is_of_pageout) {
            self.pageout_answered(id, &request, annex, &mut body);
            self.body_free(&mut body);
            self.relieve();
            return self.room_tell();
        }
        let cache = request
            .and_then(|request| self.memory.segments.get(request.segment?))
            .map(|segment| segment.cache);
        let reply = annex.and_then(|annex| KnMpReply::read_from_bytes(&annex).ok());
        if let (Some(request), Some(cache)) = (request, cache) {
            let good = match (request.kind, reply.filter(|reply| reply.diag == 0)) {
                (Kind::Push, reply) => {
                    let taken = reply.is_some();
                    if !taken && self.push_again(id, &request) {
                        self.body_free(&mut body);
                        return;
                    }
                    if taken && let Some(frame) = self.memory.pages.find(cache, request.page) {
                        self.memory.pages.set_flags(frame, 0, PUSHING);
                    }
                    taken
                }
                (_, None) => false,
                (Kind::Access, Some(reply)) => {
                    let granted = reply.access & K_WRITABLE != 0;
                    let frame = self.memory.pages.find(cache, request.page);
                    if let Some(frame) = frame.filter(|_| granted) {
                        self.memory.pages.set_flags(frame, GRANTED, 0);
                    }
                    granted
                }
                (_, Some(reply)) => self.pulled_in(cache, &request, &reply, &mut body),
            };
            if let (true, Some(reply)) = (good, reply)
                && let Some(segment) = request
                    .segment
                    .and_then(|id| self.memory.segments.get_mut(id))
            {
                segment.release |= reply.release != 0;
                if reply.in_cluster > 0 {
                    segment.cluster = reply.in_cluster.min(CLUSTER_MAX);
                }
            }
            self.request_end(id, &request, good);
        } else {
            self.memory.mappers.requests.remove(id);
        }
        self.body_free(&mut body);
        self.relieve();
        self.room_tell();
    }

    /// Takes pages from an answer. `false`: it is not one to the request, or there is no memory.
    pub(super) fn pulled_in(
        &mut self,
        cache: Id<Cache>,
        request: &Request,
        reply: &KnMpReply,
        body: &mut Body,
    ) -> bool {
        let flags = if reply.access & K_WRITABLE != 0 {
            GRANTED
        } else {
            0
        };
        let asked = u64::from(request.page) * PAGE_SIZE;
        let most = u64::from(request.count) * PAGE_SIZE;
        let (offset, size) = match (reply.size, body.size) {
            (0, 0) => (asked, PAGE_SIZE),
            _ => (reply.offset, reply.size),
        };
        let fits = offset == asked
            && size.is_multiple_of(PAGE_SIZE)
            && (PAGE_SIZE..=most).contains(&size)
            && u64::from(body.size) <= size;
        if !fits {
            self.machine
                .log("a mapper answered with other pages than it was asked for");
            return false;
        }
        for index in 0..super::caches::pages(size) {
            let page = request.page + index;
            if self.memory.pages.find(cache, page).is_some() {
                continue;
            }
            let begin = index * PAGE_SIZE as u32;
            let Some(frame) = self.page_of_body(body, index as usize, begin) else {
                return index > 0;
            };
            if self.page_put(cache, page, frame).is_some() {
                self.memory.pages.set_flags(frame, flags, 0);
            }
        }
        true
    }

    /// A page of an answer; behind its end, zeros.
    pub(super) fn page_of_body(
        &mut self,
        body: &mut Body,
        index: usize,
        begin: u32,
    ) -> Option<Frame> {
        let Some(frame) = body.take(index) else {
            return self.frame_like(None);
        };
        let mut used = body.size.saturating_sub(begin).min(PAGE_SIZE as u32) as usize;
        while used < PAGE_SIZE as usize {
            let zeros = [0; 64];
            let count = zeros.len().min(PAGE_SIZE as usize - used);
            let part = zeros.get(..count).unwrap_or(&[]);
            self.machine.frame_write(frame, used, part);
            used += count;
        }
        Some(frame)
    }

    /// Asks once more to take a page; `false` when that was often enough.
    pub(super) fn push_again(&mut self, id: Id<Request>, request: &Request) -> bool {
        let again = Request {
            tries: request.tries + 1,
            ..*request
        };
        if again.tries < TRIES {
            let sent = self.request_out(id, &again);
            if matches!(sent, Ok(()) | Err(KError::Full)) {
                if let Some(entry) = self.memory.mappers.requests.get_mut(id) {
                    *entry = again;
                }
                if sent.is_err() {
                    self.request_later(id);
                }
                return true;
            }
        }
        self.push_failed(request);
        false
    }

    /// A page was not taken: it is kept, and the segment takes no more stores.
    pub(super) fn push_failed(&mut self, request: &Request) {
        let Some(segment) = request
            .segment
            .and_then(|id| self.memory.segments.get_mut(id))
        else {
            return;
        };
        segment.bad = true;
        let cache = segment.cache;
        if let Some(frame) = self.memory.pages.find(cache, request.page) {
            self.memory.pages.set_flags(frame, DIRTY, PUSHING);
        }
    }

    /// A request is over: those who wait for it go on.
    pub(super) fn request_end(&mut self, id: Id<Request>, request: &Request, good: bool) {
        let mut woken = 0;
        for slot in 0..self.threads.extent() {
            if let Some(thread) = self.threads.at(slot)
                && self
                    .threads
                    .get(thread)
                    .is_some_and(|thread| thread.wait == Wait::Mapper(id))
            {
                self.wake(thread, K_OK);
                woken += 1;
            }
        }
        if good || woken == 0 || request.kind == Kind::Push {
            self.memory.mappers.requests.remove(id);
        } else if let Some(request) = self.memory.mappers.requests.get_mut(id) {
            request.failed = woken;
        }
        let segment = request.segment.and_then(|id| self.memory.segments.get(id));
        if let Some(cache) = segment.map(|segment| segment.cache) {
            self.cache_release(cache);
        }
    }
}
