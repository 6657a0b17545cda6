//! Messages: what is sent, where to, and what comes back (spec 2.6).

use crate::time::milliseconds;
use crate::{at, at_mut, check};
use alloc::vec::Vec;
use chorus_abi::{
    In, InOut, K_ABORTABLE, K_DEFAULTPORT, K_FUNCMODE, KError, KnIpcDest, KnMsgDesc, KnMsgHead,
    KnUniqueId, Out,
};
use core::time::Duration;

/// The fixed part of a message.
pub type Annex = [u8; 64];

/// What is sent.
#[derive(Clone, Copy, Default, Debug)]
pub struct Message<'a> {
    /// The fixed part, or none.
    pub annex: Option<&'a Annex>,
    /// The body, at most 65,536 bytes.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// A message of a body alone.
    pub fn body(body: &'a [u8]) -> Self {
        Message { annex: None, body }
    }

    pub(crate) fn descriptor(&self) -> KnMsgDesc {
        KnMsgDesc {
            body_size: u32::try_from(self.body.len()).unwrap_or(u32::MAX),
            body_addr: if self.body.is_empty() {
                0
            } else {
                at(self.body)
            },
            annex_addr: self.annex.map_or(0, at),
            ..KnMsgDesc::default()
        }
    }
}

/// Where a message goes: a port, or a group in an addressing mode.
#[derive(Clone, Copy, Debug)]
pub struct Destination(pub KnIpcDest);

impl From<KnUniqueId> for Destination {
    fn from(target: KnUniqueId) -> Self {
        Destination(KnIpcDest {
            target,
            co_target: KnUniqueId::NULL,
        })
    }
}

impl Destination {
    /// One arbitrary member of a group. Errors: `K_EINVAL`, the name is not a group's.
    pub fn one_of(group: KnUniqueId) -> Result<Self, KError> {
        Ok(group.with_mode(K_FUNCMODE)?.into())
    }
}

/// Room for a message that comes, and the message after it came.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// The fixed part; unchanged when the message had none.
    pub annex: Annex,
    room: Vec<u8>,
    size: usize,
    sequence: u32,
}

impl Buffer {
    /// Room for bodies up to `room` bytes; of longer ones the rest is lost.
    pub fn with_room(room: usize) -> Self {
        Buffer {
            annex: [0; 64],
            room: alloc::vec![0; room],
            size: 0,
            sequence: 0,
        }
    }

    /// The body, as far as there was room.
    pub fn body(&self) -> &[u8] {
        self.room.get(..self.size).unwrap_or(&self.room)
    }

    /// Bytes of the body as it was sent.
    pub fn sent_size(&self) -> usize {
        self.size
    }

    /// Number of the message at its port.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    pub(crate) fn descriptor(&mut self) -> KnMsgDesc {
        KnMsgDesc {
            flags: K_ABORTABLE,
            body_size: self.room.len() as u32,
            body_addr: if self.room.is_empty() {
                0
            } else {
                at_mut(self.room.as_mut_slice())
            },
            annex_addr: at_mut(&mut self.annex),
            ..KnMsgDesc::default()
        }
    }

    pub(crate) fn came(&mut self, size: u32, desc: &KnMsgDesc) {
        self.size = size as usize;
        self.sequence = desc.seq_num;
    }
}

/// `ipcCall`: sends a request from the default port and waits for its reply, at most `limit`. Executed at most once, anywhere. Errors: those of `ipcCall`.
pub fn call(
    destination: impl Into<Destination>,
    request: Message<'_>,
    reply: &mut Buffer,
    limit: Option<Duration>,
) -> Result<(), KError> {
    let mut room = reply.descriptor();
    let size = exchange(&destination.into(), &request, &mut room, limit)?;
    reply.came(size, &room);
    Ok(())
}

/// The same for a reply of which only the annex matters: needs no memory.
pub fn call_annex(
    destination: impl Into<Destination>,
    request: Message<'_>,
    reply: &mut Annex,
    limit: Option<Duration>,
) -> Result<(), KError> {
    let mut room = KnMsgDesc {
        annex_addr: at_mut(reply),
        ..KnMsgDesc::default()
    };
    exchange(&destination.into(), &request, &mut room, limit).map(|_| ())
}

fn exchange(
    destination: &Destination,
    request: &Message<'_>,
    room: &mut KnMsgDesc,
    limit: Option<Duration>,
) -> Result<u32, KError> {
    let request = request.descriptor();
    // SAFETY: the descriptors and what they point at live through the call; the room is borrowed mutably.
    check(unsafe {
        crate::raw::ipc_call(
            In::new(at(&request)),
            K_DEFAULTPORT,
            In::new(at(&destination.0)),
            InOut::new(at_mut(room)),
            milliseconds(limit),
        )
    })
}

/// `ipcSend` from the default port: without waiting, and without a promise that it arrives. Errors: those of `ipcSend`.
pub fn send(destination: impl Into<Destination>, message: Message<'_>) -> Result<(), KError> {
    let (message, destination) = (message.descriptor(), destination.into());
    // SAFETY: the descriptors and what they point at live through the call.
    check(unsafe {
        crate::raw::ipc_send(
            In::new(at(&message)),
            K_DEFAULTPORT,
            In::new(at(&destination.0)),
        )
    })
    .map(|_| ())
}

/// `ipcReply`: answers the current message. Errors: those of `ipcReply`.
pub fn reply(message: Message<'_>) -> Result<(), KError> {
    let message = message.descriptor();
    // SAFETY: the descriptor and what it points at live through the call.
    check(unsafe { crate::raw::ipc_reply(In::new(at(&message))) }).map(|_| ())
}

/// `ipcSysInfo`: what the Nucleus knows about the current message. Errors: `K_EINVAL`, there is none.
pub fn current() -> Result<KnMsgHead, KError> {
    let mut head = KnMsgHead::default();
    // SAFETY: the structure lives through the call.
    check(unsafe { crate::raw::ipc_sys_info(Out::new(at_mut(&mut head))) })?;
    Ok(head)
}

/// Whether the sender of the current message waits for a reply.
pub fn reply_awaited() -> bool {
    current().is_ok_and(|head| head.flags[0] == 1)
}
