//! One simulated site, and what a call does there.

use super::nucleus::Nucleus;
use super::world::Happens;
use chorus_transport::{Config, Endpoint};
use std::collections::VecDeque;
use std::rc::Rc;

/// One site.
pub struct SimSite {
    /// Its number.
    pub number: u16,
    /// Its incarnation; grows at each restart, and when the others hold the last one for dead.
    pub incarnation: u16,
    /// How often it was switched on.
    pub boots: u32,
    /// Its model Nucleus.
    pub nucleus: Nucleus,
    /// Its protocols; none while it is down.
    pub endpoint: Option<Endpoint>,
    /// While it is paused: what it will find when it runs again.
    pub(super) paused: Option<Held>,
    pub(super) next_port: u32,
    pub(super) config: Config,
}

/// What waits for a site that is paused.
#[derive(Default)]
pub(super) struct Held {
    /// Frames in the ring of its card.
    pub(super) frames: VecDeque<Rc<[u8]>>,
    /// What its servers were about to do.
    pub(super) works: Vec<Happens>,
}

/// Frames that a card has room for while nobody takes any.
pub(super) const RING: usize = 256;

/// A call as its client made it, and as its server will treat it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Time in the server's queue before it is executed.
    pub queue: u64,
    /// Time of the execution.
    pub service: u64,
    /// Bytes of the reply.
    pub reply: usize,
    /// The request has an annex, and so has the reply.
    pub annex: bool,
    /// Result with which the server answers: 0, or an error of the Nucleus.
    pub result: i32,
}

impl Plan {
    /// A server that answers at once with nothing.
    pub const NULL: Plan = Plan {
        queue: 0,
        service: 0,
        reply: 0,
        annex: false,
        result: 0,
    };
}
