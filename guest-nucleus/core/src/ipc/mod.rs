//! Ports, groups, messages (spec 2.4–2.6, 3.4–3.6, 3.13).
//!
//! A message that finds a thread waiting is copied straight into its buffers; one that must wait has its body in page frames. Whole pages of large bodies are
//! lent instead (`memory/sharing`). A request ends in
//! exactly one of the ways of spec 2.6: replied, failed, withdrawn, abandoned, orphaned.

mod asking;
mod conversation;
mod fast;
mod groups;
mod handlers;
mod handling;
mod message;
mod migrate;
mod network;
mod port;
mod receive;
mod requests;
mod send;
mod straight;

pub use conversation::{Passed, Seat, Standing, Way};
#[cfg(test)]
pub(crate) use conversation::{Remembered, same_room};
pub(crate) use handling::Handling;
pub use message::Message;
pub(crate) use message::{Body, PIECES, Piece, Place, pieces};
pub use port::Port;
pub(crate) use straight::INSIDE;
pub use straight::Straight;

use crate::arena::{Arena, Id};
use crate::lists::{Links, List};
use crate::machine::Space;
use crate::names::table::NameTable;
use crate::nucleus::Limits;
use chorus_abi::*;
use groups::Groups;
use message::Kept;
use network::Network;

/// The current message of a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Current(pub(crate) Option<Id<Message>>);

/// What a thread that waits for a message said; it stays until the thread says it anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReceiveWait {
    pub(crate) space: Space,
    /// The port; none: any enabled one.
    pub(crate) port: Option<Id<Port>>,
    pub(crate) desc_addr: u64,
    pub(crate) desc: KnMsgDesc,
    pub(crate) port_li_addr: u64,
    /// It waits without a time limit since it replied on the fast path, and its current message is dormant.
    pub(crate) plain: bool,
}

impl ReceiveWait {
    /// Whether `threadAbort` ends it.
    pub fn abortable(&self) -> bool {
        self.desc.flags & K_ABORTABLE != 0
    }
}

/// What a thread that waits for a reply said; it stays until the thread says it anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CallWait {
    pub(crate) space: Space,
    pub(crate) reply: KnMsgDesc,
    /// Number of this call: replies to another are not for it.
    pub(crate) transaction: u64,
    /// The port that it calls from.
    pub(crate) src_port: KnUniqueId,
    /// Where the request is: a message of this site, or with the Network Manager.
    pub(crate) request: Option<Id<Message>>,
    /// Number of the way that the request went, without a time limit; 0: not on the fast path.
    pub(crate) way: u64,
}

impl CallWait {
    /// Whether `threadAbort` ends it.
    pub fn abortable(&self) -> bool {
        self.reply.flags & K_ABORTABLE != 0
    }
}

/// Why a wait for a message or a reply ends without it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IpcEnd {
    /// Its time limit.
    Timeout,
    /// `threadAbort`.
    Abort,
}

/// The tables of this room.
pub struct Ipc {
    pub(crate) ports: Arena<Port>,
    pub(crate) messages: Arena<Message>,
    /// What messages carry while the Nucleus holds it for them, and answers of handlers; as many as both.
    pub(crate) kept: Arena<Kept>,
    /// Messages inside handlers; as many as threads can be inside.
    pub(crate) handlings: Arena<Handling>,
    pub(crate) straight: Straight,
    pub(crate) groups: Groups,
    pub(crate) names: NameTable,
    /// Threads that wait for messages, in lists of ports and actors.
    pub(crate) links: Links,
    /// Threads that wait for any enabled port, by slot of their actor.
    pub(crate) any: alloc::vec::Vec<List>,
    pub(crate) network: Network,
    /// How many messages there may be, not counting dormant ones.
    pub(crate) message_limit: usize,
    /// How many are dormant.
    pub(crate) dormant: usize,
    pub(crate) transactions: u64,
    pub(crate) rotation: usize,
}

impl Ipc {
    /// Empty tables.
    pub fn new(limits: &Limits) -> Self {
        Ipc {
            ports: Arena::new(limits.ports),
            // Each thread may have a dormant one.
            messages: Arena::new(limits.messages + limits.threads),
            message_limit: limits.messages,
            dormant: 0,
            kept: Arena::new(limits.messages + limits.inside()),
            handlings: Arena::new(limits.inside()),
            straight: Straight::default(),
            groups: Groups::new(limits.memberships),
            names: NameTable::new(limits.ports),
            links: Links::new(limits.threads),
            any: alloc::vec![List::default(); limits.actors],
            network: Network::new(limits.outbound),
            transactions: 0,
            rotation: 0,
        }
    }
}
