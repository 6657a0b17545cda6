//! Requests to mappers, and threads that wait for the answers (spec 4.5).
//!
//! The Nucleus sends a request to the mapper's port as an ordinary message, and the thread that needs the page waits. A thread that faulted tries its
//! access again when the answer is there; a call begins anew ([`Nucleus::resume`]), which is right since a call that fails has changed nothing. An
//! answer is checked before anything is done: a mapper that lies, dies, or is never heard of harms only those who use its segments.

use super::caches::Cache;
use super::faults::{MAPPER, WAITS};
use super::loader::Loading;
use super::pageout::Store;
use super::pages::{DIRTY, PUSHING};
use super::restarts::Restart;
use super::segments::{SEGMENT_MAX, Segment};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::ipc::Body;
use crate::machine::Machine;
use crate::nucleus::Nucleus;
use chorus_abi::*;
use zerocopy::IntoBytes;

/// Most pages that are asked for at once.
pub(super) const CLUSTER_MAX: u32 = 16;
/// Negative answers after which a mapper is asked no more to take a page.
pub(super) const TRIES: u8 = 3;

/// What a mapper is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// For pages.
    Pull,
    /// For pages that are to be written.
    PullToStore,
    /// To allow stores.
    Access,
    /// To take a page.
    Push,
    /// Nothing: the cache goes.
    Release,
    /// The default mapper: for a temporary segment.
    Create,
    /// The default mapper: to take a page.
    Out,
    /// The default mapper: for a page that it took.
    In,
    /// Nobody: threads wait for frames.
    Room,
}

/// A request that was sent, or has failed and some who waited do not know it yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    pub(super) segment: Option<Id<Segment>>,
    /// The temporary segment that it is about.
    pub(super) store: Option<Id<Store>>,
    /// The cache that a temporary segment is asked for.
    pub(super) cache: Option<Id<Cache>>,
    pub(super) kind: Kind,
    /// The segment whose cache has gone, and that cache: its mapper is told.
    pub(super) gone: Option<(KnCap, KnCap)>,
    /// First page of the segment, or the slot.
    pub(super) page: u32,
    pub(super) count: u32,
    /// So many threads were woken and will find that it failed; 0: it is out.
    pub(super) failed: u32,
    pub(super) tries: u8,
    /// The mapper's queue was full: it is to be sent when there is room.
    pub(super) unsent: bool,
}

impl Request {
    /// The pages that are asked for, if it is for pages of a segment and nobody has answered: the first, and how many.
    pub(super) fn pulls(&self, segment: Id<Segment>) -> Option<(u32, u32)> {
        let pulls = matches!(self.kind, Kind::Pull | Kind::PullToStore);
        let out = self.segment == Some(segment) && self.failed == 0;
        (pulls && out).then_some((self.page, self.count))
    }
}

impl Request {
    /// The same about a temporary segment.
    pub(super) fn of_store(store: Id<Store>, kind: Kind, slot: u32) -> Request {
        Request {
            store: Some(store),
            ..Request::new(kind, slot, 1)
        }
    }

    /// For a temporary segment for a cache.
    pub(super) fn for_cache(cache: Id<Cache>) -> Request {
        Request {
            cache: Some(cache),
            ..Request::new(Kind::Create, 0, 0)
        }
    }

    /// About so many pages from one on.
    pub(super) fn new(kind: Kind, page: u32, count: u32) -> Request {
        Request {
            segment: None,
            store: None,
            cache: None,
            gone: None,
            kind,
            page,
            count,
            failed: 0,
            tries: 0,
            unsent: false,
        }
    }
}

/// The requests of the site.
pub(super) struct Mappers {
    pub(super) requests: crate::arena::Arena<Request>,
    pub(super) restarts: crate::arena::Arena<Restart>,
    /// The request that the call under way must wait for, or none if it pauses, and the number of that call.
    pub(super) awaited: Option<(Option<Id<Request>>, u64)>,
    /// How far the call under way came when it waited last.
    pub(super) progress: u64,
    /// The number of a call, and what its step under way has done (`message_steps`).
    pub(super) effort: (u64, u32),
    /// The segment that must not go while it waits or pauses.
    pub(super) held: Option<Id<Segment>>,
    /// Pages that it has prepared.
    pub(super) prepared: Option<Id<Cache>>,
    /// Pages of an actor that are to be unlocked if it goes no further.
    pub(super) locked: Option<(Id<Actor>, (u64, u64))>,
    /// What it loads.
    pub(super) loading: Option<Id<Loading>>,
    /// There may be requests that were not sent yet.
    pub(super) unsent: bool,
    /// Where the next look at them begins, so that each has its turn.
    pub(super) turn: usize,
    /// How often the call under way has begun anew.
    pub(super) turns: u32,
}

impl Mappers {
    /// Room for so many requests out, and calls that go on later.
    pub fn new(requests: usize, calls: usize) -> Self {
        Mappers {
            requests: crate::arena::Arena::new(requests),
            restarts: crate::arena::Arena::new(calls),
            awaited: None,
            progress: 0,
            effort: (0, 0),
            held: None,
            prepared: None,
            locked: None,
            loading: None,
            unsent: false,
            turn: 0,
            turns: 0,
        }
    }
}

impl<M: Machine> Nucleus<M> {
    /// Whether a request of a segment is out, or a call that waited for one has not gone on yet.
    pub(super) fn is_awaited(&self, segment: Id<Segment>) -> bool {
        let mappers = &self.memory.mappers;
        let out = |request: &Request| request.segment == Some(segment) && request.failed == 0;
        let waits = |restart: &Restart| {
            restart.segment == Some(segment) && self.threads.get(restart.thread()).is_some()
        };
        mappers.requests.iter().any(|(_, request)| out(request))
            || mappers.restarts.iter().any(|(_, restart)| waits(restart))
    }

    /// Nobody will hear how the requests of a segment ended.
    pub(super) fn requests_forget(&mut self, segment: Id<Segment>) {
        for slot in 0..self.memory.mappers.requests.extent() {
            if let Some(id) = self.memory.mappers.requests.at(slot)
                && let Some(request) = self.memory.mappers.requests.get(id)
                && request.segment == Some(segment)
            {
                self.memory.mappers.requests.remove(id);
            }
        }
    }

    /// Sends a request, or has it wait for room in the mapper's queue. Errors: `K_ENOMEM`, `K_EUNKNOWN`; nothing was sent.
    pub(super) fn request(
        &mut self,
        segment: Id<Segment>,
        kind: Kind,
        page: u32,
        count: u32,
    ) -> Result<Id<Request>, KError> {
        let request = Request {
            segment: Some(segment),
            ..Request::new(kind, page, count)
        };
        self.request_begin(request)
    }

    /// The same of a request that was made.
    fn request_begin(&mut self, request: Request) -> Result<Id<Request>, KError> {
        let id = self.memory.mappers.requests.insert(request);
        let id = id.ok_or(KError::NoMem)?;
        match self.request_out(id, &request) {
            Ok(()) => Ok(id),
            Err(KError::Full) => {
                self.request_later(id);
                Ok(id)
            }
            Err(error) => {
                self.memory.mappers.requests.remove(id);
                Err(error)
            }
        }
    }

    /// A request waits for room in its mapper's queue.
    pub(super) fn request_later(&mut self, id: Id<Request>) {
        if let Some(request) = self.memory.mappers.requests.get_mut(id) {
            request.unsent = true;
            self.memory.mappers.unsent = true;
        }
    }

    /// Sends what waited for room, as far as there is some. Those whose mapper has gone have failed.
    #[inline(always)]
    pub(crate) fn requests_retry(&mut self) {
        if self.memory.mappers.unsent {
            self.requests_sent_now();
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn requests_sent_now(&mut self) {
        let (count, turn) = (
            self.memory.mappers.requests.extent(),
            self.memory.mappers.turn,
        );
        self.memory.mappers.unsent = false;
        let mut first = None;
        for slot in (turn.min(count)..count).chain(0..turn.min(count)) {
            let Some(id) = self.memory.mappers.requests.at(slot) else {
                continue;
            };
            let found = self.memory.mappers.requests.get(id);
            let Some(&request) = found.filter(|request| request.unsent) else {
                continue;
            };
            let sent = self.request_out(id, &request);
            let Some(entry) = self.memory.mappers.requests.get_mut(id) else {
                continue;
            };
            entry.unsent = false;
            match sent {
                Ok(()) => {}
                Err(KError::Full | KError::NoMem) => {
                    first = first.or(Some(slot));
                    self.request_later(id);
                }
                // The page that was to be pushed out was dropped.
                Err(KError::Inval) if request.kind == Kind::Push => {
                    self.request_end(id, &request, true);
                }
                Err(error) => self.mapper_failed(id, error),
            }
        }
        self.memory.mappers.turn = first.unwrap_or(0);
    }

    pub(super) fn request_out(&mut self, id: Id<Request>, request: &Request) -> Result<(), KError> {
        let segment = request.segment.and_then(|id| self.memory.segments.get(id));
        let of = segment.map(|segment| (segment.cap, segment.own));
        let cache = segment.map(|segment| segment.cache);
        let (cap, own) = of.or(request.gone).ok_or(KError::Inval)?;
        let (service, access) = match request.kind {
            Kind::Pull => (KN_MPPULLIN, K_READABLE),
            Kind::PullToStore => (KN_MPPULLIN, K_READABLE | K_WRITABLE),
            Kind::Access => (KN_MPGETACCESS, K_READABLE | K_WRITABLE),
            Kind::Push => (KN_MPPUSHOUT, 0),
            Kind::Release => (KN_MPRELEASE, 0),
            Kind::Create | Kind::Out | Kind::In | Kind::Room => return Err(KError::Inval),
        };
        self.can_post_request(cap.ui)?;
        let offset = u64::from(request.page) * PAGE_SIZE;
        let annex = KnMpRequest {
            service,
            access,
            seg_key: cap.key,
            lc_cap: own,
            offset,
            size: u64::from(request.count) * PAGE_SIZE,
            required_offset: offset,
            id: id.word(),
        };
        let mut body = Body::EMPTY;
        let mut pushed = None;
        if request.kind == Kind::Push {
            let cache = cache.ok_or(KError::Inval)?;
            let frame = self.memory.pages.find(cache, request.page);
            let frame = frame.ok_or(KError::Inval)?;
            let copy = self.frame_get(M::frame_allocate).ok_or(KError::NoMem)?;
            // From here on stores make it dirty again.
            self.page_unmap(cache, request.page);
            self.machine.frame_copy(frame, copy);
            body = Body::of_frame(copy);
            pushed = Some(frame);
        }
        let mut bytes = [0; 64];
        bytes.copy_from_slice(annex.as_bytes());
        self.request_send(id, cap.ui, bytes, body)?;
        if let Some(frame) = pushed {
            self.memory.pages.set_flags(frame, PUSHING, DIRTY);
        }
        Ok(())
    }

    /// Tells a mapper that the cache of a segment has gone, when its queue has room; its answer means nothing.
    pub(super) fn mapper_release(&mut self, segment: &Segment) {
        // A mapper that is not there, and a full table, leave nobody to tell.
        let _ = self.request_begin(Request {
            gone: Some((segment.cap, segment.own)),
            ..Request::new(Kind::Release, 0, 0)
        });
    }

    /// A request with a number that is out.
    pub(super) fn request_by_number(&self, number: u64) -> Option<(Id<Request>, Request)> {
        let id = Id::from_word(number);
        Some((id, *self.memory.mappers.requests.get(id)?))
    }

    /// Whether a page is to be pushed out by a request that was not sent yet.
    pub(super) fn push_waits(&self, segment: Id<Segment>, page: u32) -> bool {
        let mut all = self.memory.mappers.requests.iter();
        all.any(|(_, request)| {
            request.unsent
                && (request.segment, request.kind, request.page)
                    == (Some(segment), Kind::Push, page)
        })
    }

    /// The thread must wait until a mapper has answered for a page: the request that is out already, or a new one. The exception to take instead:
    /// `WAITS`, or `MAPPER` if the mapper cannot be asked or has just refused.
    pub(super) fn await_mapper(&mut self, cache: Id<Cache>, page: u32, kind: Kind) -> u32 {
        let Some((segment, found)) = self.segment_of(cache) else {
            return MAPPER;
        };
        let same = |request: &Request| {
            let pulls = matches!(request.kind, Kind::Pull | Kind::PullToStore);
            request.segment == Some(segment)
                && (request.page..request.page + request.count).contains(&page)
                && match kind {
                    Kind::Pull | Kind::PullToStore => pulls,
                    kind => request.kind == kind,
                }
        };
        let all = &self.memory.mappers.requests;
        let there = all
            .iter()
            .find(|(_, request)| same(request))
            .map(|(id, request)| (id, request.failed));
        let cluster = match kind {
            Kind::Pull | Kind::PullToStore => found.cluster.clamp(1, CLUSTER_MAX),
            _ => 1,
        };
        let id = match there {
            Some((id, 0)) => id,
            Some((id, failed)) => {
                debug_assert!(failed > 0);
                self.request_told(id);
                return MAPPER;
            }
            None => {
                let mut count = 1;
                while count < cluster
                    && page + count < SEGMENT_MAX
                    && self.memory.pages.find(cache, page + count).is_none()
                {
                    count += 1;
                }
                match self.request(segment, kind, page, count) {
                    Ok(id) => id,
                    Err(_) => return MAPPER,
                }
            }
        };
        self.await_request(id);
        WAITS
    }

    /// The call, or the thread that faulted, must wait for a request.
    pub(super) fn await_request(&mut self, id: Id<Request>) {
        self.memory.mappers.awaited = Some((Some(id), self.counters.calls));
    }

    /// Room in the table for a request that is not about a segment.
    pub(super) fn request_insert(&mut self, request: Request) -> Option<Id<Request>> {
        self.memory.mappers.requests.insert(request)
    }

    /// The first request that is looked for, and how many are still to be told that it failed; 0: it is out.
    pub(super) fn request_find(
        &self,
        wanted: impl Fn(&Request) -> bool,
    ) -> Option<(Id<Request>, u32)> {
        let mut all = self.memory.mappers.requests.iter();
        let found = all.find(|(_, request)| wanted(request));
        found.map(|(id, request)| (id, request.failed))
    }

    /// One more thread knows that a request failed.
    pub(super) fn request_told(&mut self, id: Id<Request>) {
        let requests = &mut self.memory.mappers.requests;
        match requests.get_mut(id) {
            Some(request) if request.failed > 1 => request.failed -= 1,
            _ => self.request_remove(id),
        }
    }

    /// Nobody waits for a request, or will.
    pub(super) fn request_remove(&mut self, id: Id<Request>) {
        self.memory.mappers.requests.remove(id);
    }

    /// Whether a temporary segment was asked for for a cache.
    pub(super) fn is_creating(&self, cache: Id<Cache>) -> bool {
        self.request_find(|request| request.kind == Kind::Create && request.cache == Some(cache))
            .is_some()
    }

    /// What threads waited for is there.
    pub(super) fn request_over(&mut self, id: Id<Request>) {
        if let Some(request) = self.memory.mappers.requests.get(id).copied() {
            self.request_end(id, &request, true);
        }
    }

    /// An actor has gone: caches that only its threads waited for go too.
    pub(super) fn segments_settle(&mut self) {
        for slot in 0..self.memory.segments.extent() {
            if let Some(id) = self.memory.segments.at(slot)
                && let Some(segment) = self.memory.segments.get(id)
            {
                self.cache_release(segment.cache);
            }
        }
    }
}
