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

/// Item kind: `portMigrate` to an actor of another site (outbound), and its end (`nmComplete`).
///
/// Outbound: `handle` names the move, `target` is the port, `co_target` the actor that is to get it, whose site is the destination; `result` is the port's epoch: how often
/// it moved between sites, 0 at first. The body is a record of the Nucleus' own making that the Network Manager carries to the other Nucleus unread: at most
/// [`NET_RECORD_MAX`] bytes. From then on the port is *departing*: what comes to it is queued as before, but nothing that is for all
/// members of a group (it may be live elsewhere already, and get that there); no thread receives from it, it is not moved, and those who wait on it wait on.
///
/// `nmComplete` with this kind comes exactly once for each, with the same `handle` and `target`. `result` < 0: the port stays; it is as before, but its epoch is two higher, threads go on
/// receiving, and `portMigrate` ends with that error. `result` >= 0: the port lives elsewhere, and the result is its local
/// identifier there. Here it is gone: `nmQuery` does not know it, it leaves its groups, threads that wait on it leave with `K_ENOPORT`; requests that somebody received stay and
/// are answered with `NET_REPLY` as ever. What is in its queue is handed out with `NET_PASS`, or dropped (`K_DROPMSG`, what was queued when it departed: requests end with
/// `K_ENOPORT`). `portMigrate` ends when all of that is through, so that nothing that is sent after its end comes before what was queued.
/// A port that came back meanwhile may not leave again before that (`K_EBUSY`); what it left behind is handed out all the same.
pub const NET_MIGRATE: u32 = 7;

/// Item kind: a message that was queued at a port which lives elsewhere now (outbound), and that it is through (`nmComplete`).
///
/// Outbound: the fields as of `NET_CALL` and `NET_SEND`, `target` is the port; `result` says whose it is: `PASS_SEND`, `PASS_OWN` or `PASS_OTHER`. The next one of the port is handed
/// out after `nmComplete` with this kind and the same `target` said that this one is in the queue of the other site, or ended: so they keep their order. Of a request of a client of
/// this site, `handle` is that of `NET_CALL`, and it ends like one: `nmComplete` with `NET_REPLY`, also `NET_CANCEL` names it. Of a request that came from another site, `handle` is
/// the manager's token; its end is no matter of the Nucleus any more, and nothing more comes of that token.
pub const NET_PASS: u32 = 8;
/// `result` of a `NET_PASS`: an asynchronous message.
pub const PASS_SEND: i32 = 0;
/// `result` of a `NET_PASS`: a request of a client on this site.
pub const PASS_OWN: i32 = 1;
/// `result` of a `NET_PASS`: a request that came from another site.
pub const PASS_OTHER: i32 = 2;

/// Item kind: a port is to arrive (`nmDeliver`).
///
/// `target` is the port, `co_target` the actor, `handle` the epoch that it will have, the body the record of the other Nucleus. The port is made for the actor: disabled, its count of messages 0,
/// a member of its groups, but *arriving*: nobody finds it (`nmQuery`, sends and calls from here, members of groups), and no thread may receive from it. The result is its local
/// identifier, or an error: `K_EUNKNOWN` no such actor, `K_EINVAL` no record, a wrong key, or a port of this name is here, `K_EPRIV` the actor is trusted and who moves the port is not, `K_ENOMEM` no room. One that arrives already with a lower epoch is replaced.
pub const NET_ARRIVE: u32 = 9;
/// Item kind: an arriving port (`target`, epoch `handle`) is live from now on, still disabled (`nmDeliver`). `K_EUNKNOWN`: none arrives with this epoch; its actor is gone, perhaps.
pub const NET_ACTIVATE: u32 = 10;
/// Item kind: an arriving port (`target`, epoch `handle`) does not come; it is deleted, if it is still arriving with this epoch (`nmDeliver`). Always 0.
pub const NET_ABANDON: u32 = 11;
/// Most bytes of the record of a port that migrates.
pub const NET_RECORD_MAX: u32 = 16_384;

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
