//! Ports, groups, messages (spec 2.4–2.6, 3.4–3.6, 3.13).
//!
//! A message that finds a thread waiting is copied straight into its buffers; one that must wait has its body in page frames. Whole pages of large bodies are
//! lent instead (`memory/sharing`). A request ends in
//! exactly one of the ways of spec 2.6: replied, failed, withdrawn, abandoned, orphaned.

mod arriving;
mod asking;
mod conversation;
mod departing;
mod fast;
mod groups;
mod handlers;
mod handling;
mod inbound;
mod message;
mod migrate;
mod moves;
mod network;
mod port;
mod receive;
mod record;
mod requests;
mod send;
mod straight;
mod taking;
mod visits;

#[cfg(test)]
pub(crate) use conversation::{Annex, Remembered};
pub use conversation::{Passed, Seat, Standing, Way};
pub(crate) use handling::Handling;
pub(crate) use message::{Body, PIECES, Piece, Place, pieces};
pub use message::{Client, Message};
pub use port::Port;
pub(crate) use straight::INSIDE;
pub use straight::Straight;
pub(crate) use visits::Luggage;
pub use visits::Visited;

use crate::arena::{Arena, Id};
use crate::changes::Changes;
use crate::lists::{Links, List};
use crate::machine::Space;
use crate::names::table::NameTable;
use crate::nucleus::Limits;
use chorus_abi::*;
use groups::Groups;
use message::Kept;
use moves::Moves;
use network::Network;
use visits::Visits;

/// The current message of a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Current(pub(crate) Option<Id<Message>>);

impl Current {
    /// Slot of the message; any if there is none.
    #[inline(always)]
    pub(crate) fn slot(self) -> usize {
        self.0.map_or(0, Id::word) as u16 as usize
    }
}

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
    /// Ways into handlers.
    visits: Visits,
    pub(crate) groups: Groups,
    pub(crate) names: NameTable,
    /// Threads that wait for messages, in lists of ports and actors.
    pub(crate) links: Links,
    /// Threads that wait for any enabled port, by slot of their actor.
    pub(crate) any: alloc::vec::Vec<List>,
    pub(crate) network: Network,
    /// Ports that move between sites.
    pub(crate) moves: Moves,
    /// How many messages there may be, not counting dormant ones.
    pub(crate) message_limit: usize,
    /// How many became dormant so far, and how many of these not by a conversation.
    pub(crate) rested: u64,
    pub(crate) rested_else: u64,
    /// How many ceased to be, other than by the request of a conversation.
    pub(crate) roused: u64,
    /// Requests of this site so far, and those of them that were no conversations.
    pub(crate) transactions: u64,
    pub(crate) transactions_else: u64,
    pub(crate) rotation: usize,
}

impl Ipc {
    /// Empty tables; what conversations rely on counts its changes.
    pub fn new(limits: &Limits, cpus: usize, changes: &Changes) -> Self {
        Ipc {
            ports: Arena::counting(limits.ports, changes),
            // Each thread may have a dormant one.
            messages: Arena::new(limits.messages + limits.threads),
            message_limit: limits.messages,
            rested: 0,
            rested_else: 0,
            roused: 0,
            kept: Arena::new(limits.messages + limits.inside()),
            handlings: Arena::new(limits.inside()),
            straight: Straight::default(),
            visits: Visits::new(limits.threads, cpus),
            groups: Groups::new(limits.memberships, changes),
            names: NameTable::new(limits.ports),
            links: Links::new(limits.threads),
            any: alloc::vec![List::default(); limits.actors],
            network: Network::new(limits.outbound),
            moves: Moves::new(limits.moves),
            transactions: 0,
            transactions_else: 0,
            rotation: 0,
        }
    }
}
