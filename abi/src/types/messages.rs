//! Messages as calls describe them.

use super::Structure;
use super::{KnProtId, KnUniqueId};
use crate::args::CName;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

plain! {
    /// Message descriptor (spec 2.6).
    KnMsgDesc {
        /// `K_ABORTABLE`, `K_MOVE`.
        flags: u32,
        /// Bytes to send, or room for receiving.
        body_size: u32,
        /// Null: no body to send, or fetch it later with `ipcGetData`.
        body_addr: u64,
        /// Null: no annex to send, or drop it.
        annex_addr: u64,
        /// Out, on receive: sequence number of the message at its port.
        seq_num: u32,
        /// Padding, zero.
        pad: u32,
    }
    /// Destination of a message (spec 2.6).
    KnIpcDest {
        /// Port UI, or group UI with its addressing mode.
        target: KnUniqueId,
        /// Only for `K_FUNCUMODE` and `K_FUNCXMODE`.
        co_target: KnUniqueId,
    }
    /// What the Nucleus knows about the current message (`ipcSysInfo`).
    KnMsgHead {
        /// Bytes of the body as sent.
        body_size: u32,
        /// Byte 0: 1 when a reply is awaited; byte 1: 1 when there is an annex; byte 2: 1 when it came from another site.
        flags: [u8; 4],
        /// Port that the sender named as its source.
        src_port: KnUniqueId,
        /// Target as sent: the group UI for messages to a group (NC-217).
        target: KnUniqueId,
        /// Co-target as sent.
        co_target: KnUniqueId,
        /// Null for asynchronous messages.
        trans_id: u64,
        /// Protection identifier of the sending actor.
        actor_id: KnProtId,
        /// Protection identifier of the source port.
        port_id: KnProtId,
    }
}
