//! The server's loop, as short as it can be: one call of the Nucleus a round, an annex back only if one came.

use crate::operations::Page;
use chorus_abi::{In, InOut, K_NODELAY_LIMIT, KError, KnCap, KnMsgDesc, PAGE_SIZE};
use chorus_runtime::message::Message;
use chorus_runtime::port::Port;
use chorus_runtime::sync::Semaphore;
use chorus_runtime::{at, at_mut, check, handler, raw};

/// Answers requests until one whose annex begins with `stop`.
pub fn run(port: &Port, stop: u8) -> Result<(), KError> {
    let mut annex = [0u8; 64];
    let place = at_mut(&mut annex);
    let mut body = Page([0; PAGE_SIZE as usize]);
    let mut room = KnMsgDesc {
        body_addr: at_mut(&mut body.0),
        body_size: PAGE_SIZE as u32,
        annex_addr: place,
        ..KnMsgDesc::default()
    };
    let mut li = port.li();
    // SAFETY: the descriptor, annex, body and LI live through the call.
    check(unsafe {
        raw::ipc_receive(
            InOut::new(at_mut(&mut room)),
            InOut::new(at_mut(&mut li)),
            K_NODELAY_LIMIT,
        )
    })?;
    loop {
        // SAFETY: `annex` is written by the Nucleus only while this thread is in a call.
        let first = unsafe { (place as *const u8).read_volatile() };
        if first == crate::partners::NAME {
            annex = [first; 64];
            annex[8..16].copy_from_slice(&port.ui().word().to_le_bytes());
        }
        let reply = KnMsgDesc {
            annex_addr: if first == 0 { 0 } else { place },
            ..KnMsgDesc::default()
        };
        if first == stop {
            // SAFETY: the descriptor and the annex live through the call.
            return check(unsafe { raw::ipc_reply(In::new(at(&reply))) }).map(|_| ());
        }
        // A message without annex leaves the last one there.
        // SAFETY: as for the read above.
        unsafe { (place as *mut u8).write_volatile(0) };
        // SAFETY: the descriptors, the annex and the LI live through the call.
        check(unsafe {
            raw::ipc_reply_receive(
                In::new(at(&reply)),
                InOut::new(at_mut(&mut room)),
                InOut::new(at_mut(&mut li)),
                K_NODELAY_LIMIT,
            )
        })?;
    }
}

static STOPPED: Semaphore = Semaphore::new(0);

/// Answers with an annex if one came; an empty request has an empty reply without a word. The cookie is the port's name.
extern "C" fn answer(message: &KnMsgDesc, port: u64) {
    let Some(mut annex) = handler::annex(message) else {
        return;
    };
    match annex[0] {
        0 => return,
        crate::partners::NAME => annex[8..16].copy_from_slice(&port.to_le_bytes()),
        crate::partners::STOP => {
            let _ = STOPPED.release();
        }
        _ => {}
    }
    let _ = handler::prepare(Message {
        annex: Some(&annex),
        body: &[],
    });
}

/// The same by a message handler, which runs in the client's thread.
pub fn handle(port: &Port, group: &KnCap) -> Result<(), KError> {
    handler::connect(port, answer, port.ui().word())?;
    port.join(group)?;
    STOPPED.acquire(None)?;
    handler::disconnect(port)
}
