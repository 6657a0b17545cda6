//! Exceptions of actors: who hears of them, and what becomes of the thread (spec 6.2).
//!
//! A debugger, or whoever looks after actors, has their exceptions reported to a port of its own ([`report_to`]), receives there, and says for each what is to happen
//! ([`answer`]).

use crate::message::{Annex, Buffer, Message, reply};
use crate::{at, at_mut, check};
use chorus_abi::{In, KError, KnCap, KnExcReport, KnThreadCtx, KnUniqueId, Out};

/// Room for the body of a report.
pub const ROOM: usize = size_of::<KnThreadCtx>();

/// `actorExcept`: has exceptions of an actor reported to a port (`None`: to nobody); the port until now. Errors: those of `actorExcept`.
pub fn report_to(actor: &KnCap, port: Option<KnUniqueId>) -> Result<KnUniqueId, KError> {
    let (mut old, new) = (KnUniqueId::NULL, port.unwrap_or(KnUniqueId::NULL));
    // SAFETY: all three live through the call.
    check(unsafe {
        crate::raw::actor_except(
            In::new(at(actor)),
            Out::new(at_mut(&mut old)),
            In::new(at(&new)),
        )
    })?;
    Ok(old)
}

/// What became of a thread's exception.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Which exception, whose.
    pub what: KnExcReport,
    /// The thread's registers.
    pub context: KnThreadCtx,
}

impl Report {
    /// The report in a message that came with room for it; `None`: it is no report.
    pub fn of(message: &Buffer) -> Option<Report> {
        let body = message.body();
        if message.sent_size() != ROOM || body.len() != ROOM {
            return None;
        }
        // SAFETY: both are plain words, of which every pattern is a value, and the bytes are there; they need not be aligned.
        let report = unsafe {
            Report {
                what: message
                    .annex
                    .as_ptr()
                    .cast::<KnExcReport>()
                    .read_unaligned(),
                context: body.as_ptr().cast::<KnThreadCtx>().read_unaligned(),
            }
        };
        (report.what.service == chorus_abi::K_EXC_REPORT).then_some(report)
    }
}

/// What is to become of the thread.
#[derive(Clone, Copy, Debug)]
pub enum Verdict<'a> {
    /// It goes on where it was.
    Continue,
    /// It goes on with these registers.
    ContinueWith(&'a KnThreadCtx),
    /// The exception is not treated: the actor ends.
    NotHandled,
    /// The thread is deleted.
    Delete,
}

/// Answers the report that is the current message. Errors: those of `ipcReply`.
pub fn answer(verdict: Verdict<'_>) -> Result<(), KError> {
    let (number, body): (i32, &[u8]) = match verdict {
        Verdict::Continue => (chorus_abi::K_EXC_CONTINUE, &[]),
        Verdict::ContinueWith(context) => {
            // SAFETY: plain words without padding, borrowed as long as the bytes are.
            let bytes = unsafe { core::slice::from_raw_parts(at(context) as *const u8, ROOM) };
            (chorus_abi::K_EXC_CONTINUE, bytes)
        }
        Verdict::NotHandled => (chorus_abi::K_EXC_NOTHANDLED, &[]),
        Verdict::Delete => (chorus_abi::K_EXC_DELETE, &[]),
    };
    let mut annex: Annex = [0; 64];
    annex[..4].copy_from_slice(&number.to_le_bytes());
    reply(Message {
        annex: Some(&annex),
        body,
    })
}
