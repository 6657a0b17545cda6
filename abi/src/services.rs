//! Messages of the standard services: console, host files, cluster control, site manager.
//!
//! All are plain `ipcCall`s: the annex begins with the structure named here, text and data are the body. Little-endian, no padding that
//! matters. A reply's annex begins with [`Answer`]. What a service does not understand it answers with `K_EINVAL`.

use crate::types::{KnCap, KnUniqueId};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Console (gateway, `STAMP_CONSOLE`): write. Body: bytes of a stream of the actor. Annex: [`ConsoleRequest`].
pub const CONSOLE_WRITE: u32 = 1;
/// Console: read what people typed for this site. The reply's body has 1…`room` bytes, or none when the console was closed. The call waits.
pub const CONSOLE_READ: u32 = 2;
/// Files (gateway, `STAMP_FILES`): open. Body: the name. Annex: [`FileRequest`]. The answer's `cap` is the segment, `value` its size in bytes.
pub const FILE_OPEN: u32 = 10;
/// Files: `MpPullIn` in small: `size` bytes (at most 65536) at `offset` of the segment with `key`. The reply's body is shorter at the end.
pub const FILE_PULL_IN: u32 = 11;
/// Control (gateway, `STAMP_CONTROL`): the site has joined. Annex: [`ControlNotice`].
pub const CONTROL_JOINED: u32 = 20;
/// Control: an actor was started. Annex: [`ControlNotice`] with its UI and name.
pub const CONTROL_STARTED: u32 = 21;
/// Control: an actor has ended. Annex: [`ControlNotice`]. Body: text for people (the exception, say), may be empty.
pub const CONTROL_ENDED: u32 = 22;
/// Control: an actor of the boot list could not be started. Annex: [`ControlNotice`] with its name. Body: why.
pub const CONTROL_REFUSED: u32 = 23;
/// Site manager (`STAMP_SITE_MANAGER`): are you there? Answer: `value` = incarnation.
pub const SITE_PING: u32 = 30;
/// Site manager: list. The reply's body is an array of `KnActorStat`; `value` the number of actors. With `what` = 1: `KnThreadStat`s of the actor `ui`. With `what` = 2: one `KnSiteStat`.
pub const SITE_LIST: u32 = 31;
/// Site manager: start an actor. Annex: [`StartRequest`]; body: arguments, zero-terminated strings, the first is the name. Answer: `cap` of the actor.
pub const SITE_START: u32 = 32;
/// Site manager: delete the actor `ui`. Annex: [`SiteRequest`].
pub const SITE_KILL: u32 = 33;
/// Pages (gateway, `STAMP_PAGES`): keep the body, a page, of the calling site. Annex: [`PageRequest`]. `K_ENOMEM`: the site has no more room.
pub const PAGE_KEEP: u32 = 50;
/// Pages: the reply's body is the page that was kept last under this key and offset. `K_EUNKNOWN`: none was.
pub const PAGE_GIVE: u32 = 51;
/// Pages: forget all pages with this key.
pub const PAGE_FORGET: u32 = 52;
/// Site manager: which actor does the caller replace? Answer: `cap.ui` is its default port, or null. Annex: [`SiteRequest`].
pub const SITE_SUCCEED: u32 = 34;
/// Site manager: gives the port `what` (its LI) of the caller to the actor `ui` that replaces it, with what is queued there. Answer: `value` is its LI there. Annex: [`SiteRequest`].
pub const SITE_HAND: u32 = 35;
/// Message of the Nucleus to the port of `actorNotify`: the actor has ended. Annex: [`EndNotice`].
pub const ACTOR_ENDED: u32 = 40;
/// Default port of a server: give the caller, which replaces you, your port and your state. Annex: [`SiteRequest`]. Answer: `value` is the port's LI at the caller, `cap.ui` its
/// name; the body is the state.
pub const SERVER_REPLACE: u32 = 50;
/// Network Manager (`STAMP_NETWORK_MANAGER`): how are you? The reply's body is a view of its endpoint (`chorus_transport::View`). Annex: [`SiteRequest`]; `what` and `ui` are not looked at.
pub const NET_VIEW: u32 = 60;

/// Streams of the console.
pub const STREAM_OUT: u32 = 1;
/// Standard error.
pub const STREAM_ERR: u32 = 2;

macro_rules! annexes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $type:ty,)* })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct $name { $($(#[$fdoc])* pub $field: $type,)* }
        const _: () = assert!(size_of::<$name>() <= crate::K_CMSGANNEXSIZE);
        impl $name {
            /// Field names, types and offsets in bytes, for the C header.
            pub const LAYOUT: &'static [(&'static str, &'static str, usize)] =
                &[$((stringify!($field), stringify!($type), core::mem::offset_of!($name, $field)),)*];
            /// The annex that begins with this structure.
            pub fn to_annex(&self) -> [u8; 64] {
                let mut annex = [0; 64];
                annex[..size_of::<Self>()].copy_from_slice(self.as_bytes());
                annex
            }
            /// The structure at the beginning of an annex.
            pub fn from_annex(annex: &[u8; 64]) -> Self {
                Self::read_from_prefix(&annex[..]).map(|(value, _)| value).unwrap_or_default()
            }
        }
    )*
    /// Every structure of an annex: name, size in bytes, fields.
    pub const ANNEXES: &[crate::types::Structure] =
        &[$((stringify!($name), size_of::<$name>(), $name::LAYOUT),)*];
    };
}
annexes! {
    /// Request to the console.
    ConsoleRequest {
        /// `CONSOLE_WRITE` or `CONSOLE_READ`.
        service: u32,
        /// `STREAM_OUT` or `STREAM_ERR`.
        stream: u32,
        /// Default port of the actor.
        actor: KnUniqueId,
        /// Name of the actor, zero padded.
        name: [u8; 16],
        /// Read: at most so many bytes.
        room: u32,
        /// Site of the actor.
        site: u32,
    }
    /// Request to the file service.
    FileRequest {
        /// `FILE_OPEN` or `FILE_PULL_IN`.
        service: u32,
        /// Bytes wanted.
        size: u32,
        /// Key of the segment.
        key: u64,
        /// Offset in bytes.
        offset: u64,
    }
    /// Request to the store of pages.
    PageRequest {
        /// `PAGE_KEEP`…
        service: u32,
        /// Not used, zero.
        pad: u32,
        /// Key of the temporary segment.
        key: u64,
        /// Offset in it, whole pages.
        offset: u64,
    }
    /// Notice to cluster control.
    ControlNotice {
        /// `CONTROL_JOINED`…
        service: u32,
        /// Site it is about.
        site: u32,
        /// Default port of the actor.
        actor: KnUniqueId,
        /// Name of the actor, zero padded.
        name: [u8; 16],
        /// 0: ended by `actorExit` or deleted; else the exception number of spec 6.2.
        reason: u32,
        /// Status of `actorExit`; `i32::MIN` when it was deleted by another.
        status: i32,
        /// Instruction pointer of the exception.
        pc: u64,
        /// Address of the exception.
        address: u64,
    }
    /// Request to the site manager.
    SiteRequest {
        /// `SITE_PING`…
        service: u32,
        /// See `SITE_LIST`.
        what: u32,
        /// The actor that it is about.
        ui: KnUniqueId,
    }
    /// Request to start an actor.
    StartRequest {
        /// `SITE_START`.
        service: u32,
        /// `K_USERACTOR`, `K_SYSTEMACTOR` or `K_SUPACTOR`.
        kind: i32,
        /// Actor priority, 0…255.
        priority: i32,
        /// Bytes of the image.
        size: u32,
        /// Segment of the image at the file service (as `FILE_OPEN` answered).
        image: KnCap,
        /// Default port of the actor that the new one replaces, or null (`SITE_SUCCEED`).
        replaces: KnUniqueId,
    }
    /// Beginning of every answer.
    Answer {
        /// 0, or an error number.
        result: i32,
        /// A `LoadDiag` number when an image was refused.
        diag: u32,
        /// Meaning by service.
        value: u64,
        /// Meaning by service.
        cap: KnCap,
        /// Detail of the diagnosis.
        detail: u64,
    }
    /// The Nucleus' notice that an actor has ended.
    EndNotice {
        /// `ACTOR_ENDED`.
        service: u32,
        /// 0, or the exception number.
        reason: u32,
        /// Default port of the actor.
        actor: KnUniqueId,
        /// Name of the actor, zero padded.
        name: [u8; 16],
        /// Status of `actorExit`; `i32::MIN` when it was deleted by another.
        status: i32,
        /// LI of the thread that caused the exception.
        thread: i32,
        /// Instruction pointer of the exception.
        pc: u64,
        /// Address of the exception.
        address: u64,
    }
}

/// Names of the exceptions of spec 6.2, index = number.
pub const EXCEPTIONS: [&str; 13] = [
    "none",
    "division error",
    "overflow or bound",
    "floating point",
    "illegal instruction",
    "privileged instruction in user mode",
    "bad trap or trap index",
    "no region at address",
    "protection violation",
    "mapper failure",
    "breakpoint",
    "single step",
    "alignment or other",
];
