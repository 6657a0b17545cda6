//! Serving segments: what the Nucleus asks of a mapper, as a trait (`rgnMap` in the manual says it all).

use crate::message::current;
use crate::port::Port;
use crate::server::{self, Next};
use chorus_abi::{
    K_READABLE, K_WRITABLE, KError, KN_MPCREATE, KN_MPGETACCESS, KN_MPPULLIN, KN_MPPUSHOUT,
    KN_MPRELEASE, KnCap, KnMpCreateReply, KnMpReply, KnMpRequest, KnUniqueId,
};
use zerocopy::{FromBytes, IntoBytes};

/// Largest body of a request or an answer.
const ROOM: usize = 65536;

/// What a mapper allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Loads; the first store is asked for.
    Read,
    /// Loads and stores.
    Write,
}

/// Segments, by the keys of their capabilities. An error is a negative number: a thread that touched the page has exception 9, a call `K_EMAPPER`.
pub trait Segments {
    /// Fills whole pages, which are zeros, with the bytes of a segment from `offset` on.
    fn pull_in(&mut self, key: u64, offset: u64, pages: &mut [u8]) -> Result<Access, i32>;
    /// Keeps what was stored.
    fn push_out(&mut self, key: u64, offset: u64, bytes: &[u8]) -> Result<(), i32>;
    /// Whether stores into a part that was pulled in for loads are allowed now.
    fn store(&mut self, _key: u64, _offset: u64, _size: u64) -> Result<(), i32> {
        Ok(())
    }
    /// Makes a temporary segment, for the Nucleus, and says its key: only a default mapper does.
    fn create(&mut self) -> Result<u64, i32> {
        Err(KError::Inval.code())
    }
    /// A segment is of no use to this site any more.
    fn release(&mut self, _key: u64) {}
    /// Whether to go on serving: asked before each answer. A mapper that does not fails the request.
    fn goes_on(&mut self) -> bool {
        true
    }
}

/// Serves the requests that the Nucleus sends to a port; what others send there is refused. Errors: as [`server::serve`].
pub fn serve(port: &Port, segments: &mut impl Segments) -> Result<(), KError> {
    server::serve(port, ROOM, |buffer, answer| {
        let mut reply = KnMpReply {
            diag: KError::Inval.code(),
            ..KnMpReply::default()
        };
        // Only the Nucleus sends from no port.
        let nucleus = current().is_ok_and(|head| head.src_port == KnUniqueId::NULL);
        if let (true, Ok(request)) = (nucleus, KnMpRequest::read_from_bytes(&buffer.annex)) {
            if request.service == KN_MPCREATE {
                let made = create_for(port, segments);
                answer.annex.copy_from_slice(made.as_bytes());
                return Next::Serve;
            }
            answer_to(&request, buffer.body(), segments, &mut reply, answer);
        }
        answer.annex.copy_from_slice(reply.as_bytes());
        match segments.goes_on() {
            true => Next::Serve,
            false => Next::Leave,
        }
    })
}

fn create_for(port: &Port, segments: &mut impl Segments) -> KnMpCreateReply {
    let mut reply = KnMpCreateReply::default();
    match segments.create() {
        Ok(key) => reply.seg_cap = KnCap { ui: port.ui(), key },
        Err(diag) => reply.diag = diag.min(-1),
    }
    reply
}

fn answer_to(
    request: &KnMpRequest,
    body: &[u8],
    segments: &mut impl Segments,
    reply: &mut KnMpReply,
    answer: &mut server::Reply,
) {
    let (key, offset) = (request.seg_key, request.offset);
    let done = match request.service {
        KN_MPPULLIN => {
            let size = request.size.min(ROOM as u64);
            answer.body.resize(size as usize, 0);
            (reply.offset, reply.size) = (offset, size);
            let access = segments.pull_in(key, offset, &mut answer.body);
            access.map(|access| {
                reply.access = match access {
                    Access::Read => K_READABLE,
                    Access::Write => K_READABLE | K_WRITABLE,
                };
            })
        }
        KN_MPPUSHOUT => segments.push_out(key, offset, body),
        KN_MPGETACCESS => {
            reply.access = K_READABLE | K_WRITABLE;
            segments.store(key, offset, request.size)
        }
        KN_MPRELEASE => {
            segments.release(key);
            Ok(())
        }
        _ => Err(KError::Inval.code()),
    };
    reply.diag = done.err().map_or(0, |diag| diag.min(-1));
    if reply.diag < 0 {
        answer.body.clear();
    }
}
