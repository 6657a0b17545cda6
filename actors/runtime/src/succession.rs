//! Servers that are replaced while their clients run: another instance of the program, of another kind of actor perhaps, takes the port and the state.
//!
//! `chorus exec SITE --kind supervisor --replace NAME FILE` starts the successor. It asks the site manager whom it replaces and that actor for its place. The predecessor, between two
//! requests, has the site manager move its port (`portMigrate`: queued requests follow, memberships stay) and answers with its state, which no request changes any more. So each
//! request is executed by one of them, once, on the state that the one before left; clients know the port, and notice nothing. The move is the moment that counts: until
//! then the predecessor goes on if anything fails, afterwards the port is the successor's.

use crate::message::{Annex, Buffer, Message, call, call_annex, current, reply, reply_awaited};
use crate::port::{Port, receive_any};
use crate::server::{Next, Reply};
use crate::{check, site};
use alloc::vec::Vec;
use chorus_abi::services::{Answer, SERVER_REPLACE, SITE_HAND, SITE_SUCCEED, SiteRequest};
use chorus_abi::{K_CMSGSIZEMAX, KError, KnUniqueId, STAMP_SITE_MANAGER};
use core::time::Duration;

/// How long the predecessor may take for the request that it is at.
const LIMIT: Duration = Duration::from_secs(30);

/// What a server does, and what of it outlives the instance.
pub trait Server: Sized {
    /// The first instance, with a new port: to be made known. Errors end the actor.
    fn begin(port: &Port) -> Result<Self, KError>;
    /// A later instance, with what [`Server::state`] of the one before gave. Errors end the service.
    fn succeed(state: &[u8]) -> Result<Self, KError>;
    /// All that the next instance must know, at most 65,536 bytes. More goes into a segment whose capability is told here.
    fn state(&self) -> Vec<u8>;
    /// Treats one request, as in [`crate::server::serve`].
    fn treat(&mut self, request: &Buffer, reply: &mut Reply) -> Next;
}

/// Why serving ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The server said so.
    Stopped,
    /// Another instance serves now.
    Replaced,
}

fn manager() -> KnUniqueId {
    KnUniqueId::well_known_port(site::number(), STAMP_SITE_MANAGER)
}

fn ask_manager(service: u32, what: u32, ui: KnUniqueId) -> Result<Answer, KError> {
    let request = SiteRequest { service, what, ui };
    let mut annex: Annex = [0; 64];
    let message = Message {
        annex: Some(&request.to_annex()),
        body: &[],
    };
    call_annex(manager(), message, &mut annex, Some(LIMIT))?;
    let answer = Answer::from_annex(&annex);
    check(answer.result).map(|_| answer)
}

/// The actor that this one replaces. Without a site manager there is none.
fn predecessor() -> Result<Option<KnUniqueId>, KError> {
    match ask_manager(SITE_SUCCEED, 0, KnUniqueId::NULL) {
        Ok(answer) => Ok(Some(answer.cap.ui).filter(|ui| ui.is_valid())),
        Err(KError::Unknown) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes the place of another instance: its port and its state.
fn take_place(of: KnUniqueId) -> Result<(Port, Vec<u8>), KError> {
    let request = SiteRequest {
        service: SERVER_REPLACE,
        ..SiteRequest::default()
    };
    let message = Message {
        annex: Some(&request.to_annex()),
        body: &[],
    };
    let mut buffer = Buffer::with_room(K_CMSGSIZEMAX as usize);
    call(of, message, &mut buffer, Some(LIMIT))?;
    let answer = Answer::from_annex(&buffer.annex);
    check(answer.result)?;
    let port = Port::arrived(answer.value as i32, answer.cap.ui);
    Ok((port, buffer.body().to_vec()))
}

/// Gives the place to the actor that asks in the current message. The port back, when it stays.
fn give_place(port: Port, state: impl FnOnce() -> Vec<u8>) -> Option<Port> {
    let answer = |answer: &Answer, body: &[u8]| {
        // Whoever asked may have gone.
        let _ = reply(Message {
            annex: Some(&answer.to_annex()),
            body,
        });
    };
    let state = state();
    let handed = current().and_then(|head| {
        if state.len() > K_CMSGSIZEMAX as usize {
            return Err(KError::TooMuch);
        }
        ask_manager(SITE_HAND, port.li() as u32, head.src_port)
    });
    match handed {
        Ok(handed) => {
            let mut place = handed;
            place.cap.ui = port.ui();
            // It is the successor's now: not to be deleted here.
            core::mem::forget(port);
            answer(&place, &state);
            None
        }
        Err(error) => {
            let refusal = Answer {
                result: error.code(),
                ..Answer::default()
            };
            answer(&refusal, &[]);
            Some(port)
        }
    }
}

/// Serves a port, from the beginning or in succession of another instance, until the server says stop or is replaced. Bodies up to `room` bytes come whole. Requests to
/// the actor's default port are not the server's: they are where a successor asks. Errors: of the server's own; of `ipcReceive`; a predecessor that does not give its place,
/// and goes on.
pub fn serve<S: Server>(room: usize) -> Result<End, KError> {
    let (mut port, mut server) = match predecessor()? {
        Some(other) => {
            let (port, state) = take_place(other)?;
            (port, S::succeed(&state)?)
        }
        None => {
            let port = Port::create()?;
            let server = S::begin(&port)?;
            (port, server)
        }
    };
    Port::own().enable(5)?;
    port.enable(10)?;
    let mut buffer = Buffer::with_room(room);
    let mut answer = Reply {
        annex: [0; 64],
        body: Vec::new(),
    };
    loop {
        buffer.annex = [0; 64];
        let came = match receive_any(&mut buffer, None) {
            Ok(li) => li,
            Err(KError::Abort) => continue,
            Err(error) => return Err(error),
        };
        answer.annex = [0; 64];
        answer.body.clear();
        let next = if came == port.li() {
            server.treat(&buffer, &mut answer)
        } else if SiteRequest::from_annex(&buffer.annex).service == SERVER_REPLACE {
            match give_place(port, || server.state()) {
                None => return Ok(End::Replaced),
                Some(stays) => port = stays,
            }
            continue;
        } else {
            let refusal = Answer {
                result: KError::Inval.code(),
                ..Answer::default()
            };
            answer.annex = refusal.to_annex();
            Next::Serve
        };
        if next == Next::Leave {
            return Ok(End::Stopped);
        }
        if reply_awaited() {
            // The client may have left meanwhile: that is its own affair.
            let _ = reply(Message {
                annex: Some(&answer.annex),
                body: &answer.body,
            });
        }
        if next == Next::Stop {
            return Ok(End::Stopped);
        }
    }
}
