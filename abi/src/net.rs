//! Items between the Nucleus and the Network Manager (`nmTake`, `nmDeliver`, `nmComplete`). Own addition; see `docs/architecture.md`.

use crate::args::{CName, c_names};
use crate::types::{KnProtId, KnUniqueId};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Item kind: an asynchronous message.
pub const NET_SEND: u32 = 1;
/// Item kind: a request whose client waits.
pub const NET_CALL: u32 = 2;
/// Item kind: the end of a delivered request (outbound only).
pub const NET_REPLY: u32 = 3;
/// Item kind: the client of a request left.
pub const NET_CANCEL: u32 = 4;

/// Item kind: the link to a site broke (outbound only); `handle` is the site, `result` the reason.
pub const NET_LINKFAILURE: u32 = 5;

/// Item kind: which ports of this site are in which groups, told after each change (outbound only). The body has 16 bytes for each: the words of the group's
/// identifier without mode and of the port's. The first 16 bytes of the annex are the key with which sites prove such lists to each other.
pub const NET_GROUPS: u32 = 6;

/// Bit of `nmWait`: there are outbound items.
pub const NM_OUTBOUND: i32 = 1;
/// Bit of `nmWait`: the device interrupt fired.
pub const NM_INTERRUPT: i32 = 2;

/// Bit of [`KnNetSeat::flags`]: frames go in clear.
pub const NET_CLEAR: u32 = 1;

/// What the cluster told this site about its network and nobody but the Network Manager may know (`nmAttach`).
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct KnNetSeat {
    /// Key of the cluster's frames.
    pub key: [u8; 32],
    /// Generation of the cluster in which this site started: 1, and one more for each start of a site after its first.
    pub generation: u32,
    /// `NET_CLEAR`.
    pub flags: u32,
}
c_names! { KnNetSeat = "KnNetSeat", }

/// The key stays unsaid.
impl core::fmt::Debug for KnNetSeat {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KnNetSeat")
            .field("generation", &self.generation)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

/// One item. Its body travels beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct KnNetItem {
    /// `NET_SEND`…
    pub kind: u32,
    /// Of a NET_REPLY and of `nmComplete`: 0, or the error that ends the call.
    pub result: i32,
    /// Outbound CALL and CANCEL, and `nmComplete`: the Nucleus' handle of the client. Inbound CALL and CANCEL, outbound REPLY: the manager's token.
    pub handle: u64,
    /// Where to: a port, or a group with its mode.
    pub target: KnUniqueId,
    /// For the selective and exclusive modes.
    pub co_target: KnUniqueId,
    /// Source port.
    pub src_port: KnUniqueId,
    /// Protection identifier of the sending actor.
    pub actor_pi: KnProtId,
    /// Protection identifier of the source port.
    pub port_pi: KnProtId,
    /// Bytes of the body.
    pub body_size: u32,
    /// 0 or 64.
    pub annex_size: u32,
    /// The annex.
    pub annex: [u8; 64],
}
c_names! { KnNetItem = "KnNetItem", }

impl Default for KnNetItem {
    fn default() -> Self {
        KnNetItem {
            kind: 0,
            result: 0,
            handle: 0,
            target: KnUniqueId::NULL,
            co_target: KnUniqueId::NULL,
            src_port: KnUniqueId::NULL,
            actor_pi: KnProtId::default(),
            port_pi: KnProtId::default(),
            body_size: 0,
            annex_size: 0,
            annex: [0; 64],
        }
    }
}
