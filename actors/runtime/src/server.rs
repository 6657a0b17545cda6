//! Serving: take a request, answer it, take the next, with one call of the Nucleus a round (`ipcReplyReceive`).

use crate::message::{Annex, Buffer, Message, reply_awaited};
use crate::port::Port;
use crate::{at, at_mut, check};
use alloc::vec::Vec;
use chorus_abi::{In, InOut, KError};

/// The answer in the making.
#[derive(Debug)]
pub struct Reply {
    /// The fixed part; zeros unless set.
    pub annex: Annex,
    /// The body; empty unless filled.
    pub body: Vec<u8>,
}

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Answer and take the next request.
    Serve,
    /// Answer and return.
    Stop,
    /// Return without an answer: whoever asked hears of it when the thread ends, or takes another message.
    Leave,
}

/// Serves the requests that come to a port until `handler` says stop. An asynchronous message is handled too; its reply is dropped.
/// Errors: `K_ENOPORT` when the port is deleted; others of `ipcReceive`.
pub fn serve(
    port: &Port,
    room: usize,
    mut handler: impl FnMut(&Buffer, &mut Reply) -> Next,
) -> Result<(), KError> {
    let mut buffer = Buffer::with_room(room);
    let mut reply = Reply {
        annex: [0; 64],
        body: Vec::new(),
    };
    port.receive(&mut buffer, None)?;
    loop {
        reply.annex = [0; 64];
        reply.body.clear();
        let next = handler(&buffer, &mut reply);
        let message = Message {
            annex: Some(&reply.annex),
            body: &reply.body,
        };
        match (next, reply_awaited()) {
            (Next::Leave, _) => return Ok(()),
            // The client may have left meanwhile: that is its own affair.
            (Next::Stop, true) => return crate::message::reply(message).or(Ok(())),
            (Next::Stop, false) => return Ok(()),
            (Next::Serve, true) => answer_and_take(port, message, &mut buffer)?,
            (Next::Serve, false) => port.receive(&mut buffer, None)?,
        }
    }
}

fn answer_and_take(port: &Port, message: Message<'_>, buffer: &mut Buffer) -> Result<(), KError> {
    let message = message.descriptor();
    let mut room = buffer.descriptor();
    let mut li = port.li();
    // SAFETY: the descriptors, what they point at, and the LI live through the call.
    let result = check(unsafe {
        crate::raw::ipc_reply_receive(
            In::new(at(&message)),
            InOut::new(at_mut(&mut room)),
            InOut::new(at_mut(&mut li)),
            chorus_abi::K_NODELAY_LIMIT,
        )
    });
    match result {
        Ok(size) => {
            buffer.came(size, &room);
            Ok(())
        }
        Err(error @ (KError::NoPort | KError::Fault | KError::Abort)) => Err(error),
        // The reply failed, because the client has left or the answer is too large: the server goes on.
        Err(_) => port.receive(buffer, None),
    }
}
