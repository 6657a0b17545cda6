//! What a world is made of.

use super::network::Faults;
use chorus_fabric::{Change, Graph};

/// A world before it begins.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Decides everything.
    pub seed: u64,
    /// Sites, from number 1 on.
    pub sites: u16,
    /// How they are joined; `None`: all with all.
    pub graph: Option<Graph>,
    /// What all links do.
    pub faults: Faults,
    /// What they do else.
    pub links: Change,
    /// Sites watch each other, as those of a cluster do; else what they send is about calls and messages alone.
    pub watch: bool,
    /// Sites that are switched on say hello to all. Without it thousands are there at once, and none has heard of another.
    pub hello: bool,
    /// Frames are sealed with a key of the cluster.
    pub seal: bool,
    /// Cards drop frames with turned bits, as the check sequence of Ethernet has them do.
    pub checksum: bool,
}

impl Setup {
    /// Sites that do not watch each other, on a network of all with all.
    pub fn new(seed: u64, sites: u16, faults: Faults) -> Setup {
        Setup {
            seed,
            sites,
            graph: None,
            faults,
            links: Change::default(),
            watch: false,
            hello: true,
            seal: true,
            checksum: false,
        }
    }
}
