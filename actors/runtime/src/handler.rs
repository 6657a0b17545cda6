//! Message handlers of supervisor actors: requests of the same site run them in the client's own thread (spec 3.6, `svMsgHandler`).

use crate::message::{Annex, Message};
use crate::port::Port;
use crate::{at, check};
use chorus_abi::{In, K_MYACTOR, KError, KnCap, KnMsgDesc};

/// What runs for each message: what came, and the cookie.
pub type Handler = extern "C" fn(&KnMsgDesc, u64);

const OWN: In<KnCap> = In::new(K_MYACTOR);

/// Connects a routine to a port, for the messages that are queued there too. Errors: `K_EPRIV`, `K_EBUSY`, `K_ENOMEM`.
pub fn connect(port: &Port, handler: Handler, cookie: u64) -> Result<(), KError> {
    let routine = handler as *const () as u64;
    // SAFETY: no pointers but the handler's, which lives as long as the actor.
    check(unsafe { crate::raw::sv_msg_handler(OWN, port.li(), routine, 0, cookie) }).map(|_| ())
}

/// Disconnects it: returns when the last call has ended. Errors: `K_EINVAL`, there is none.
pub fn disconnect(port: &Port) -> Result<(), KError> {
    // SAFETY: no pointers.
    check(unsafe { crate::raw::sv_msg_handler(OWN, port.li(), 0, 0, 0) }).map(|_| ())
}

/// The annex of what a handler was called with.
pub fn annex(message: &KnMsgDesc) -> Option<Annex> {
    // SAFETY: the Nucleus gives null or the address of 64 bytes that live as long as the handler's call.
    (message.annex_addr != 0).then(|| unsafe { (message.annex_addr as *const Annex).read() })
}

/// Fetches the body of what a handler was called with, as far as there is room: its size, or less. Errors: `K_EINVAL`, there is none, or it was fetched.
pub fn fetch(room: &mut [u8]) -> Result<usize, KError> {
    let desc = KnMsgDesc {
        body_size: u32::try_from(room.len()).unwrap_or(u32::MAX),
        body_addr: crate::at_mut(room),
        ..KnMsgDesc::default()
    };
    // SAFETY: descriptor and room live through the call.
    check(unsafe { crate::raw::ipc_get_data(In::new(at(&desc))) }).map(|size| size as usize)
}

/// Prepares the reply that the client gets when the handler returns; the last one counts. Errors: `K_EINVAL`, nobody waits for one; `K_ETOOMUCH`, `K_ENOMEM`.
pub fn prepare(reply: Message<'_>) -> Result<(), KError> {
    let desc = reply.descriptor();
    // SAFETY: the descriptor and what it points at live through the call.
    check(unsafe { crate::raw::sv_msg_hdl_reply(In::new(at(&desc))) }).map(|_| ())
}
