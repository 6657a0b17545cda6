//! Everything that a cluster process must know, in one value.
//!
//! The command line, the environment, the topology file and the working folder are read once, by the command that a person typed.
//! What comes out is a plan with absolute paths. The same plan is run in this process, handed to a background process,
//! or carried into the emulated host, so that all three do the same.

use super::failure::{Failure, Outcome};
use super::sealing::FabricKey;
use super::topology::{Image, Topology};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a cluster process does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Sites, links, actors.
    pub topology: Topology,
    /// Seed of all that is random.
    pub seed: u64,
    /// Milliseconds after its last word in which a site is found to be down; none: what fits the host.
    pub detect_ms: Option<u32>,
    /// Key of the frames between sites, from which the keys of groups come too.
    pub fabric_key: FabricKey,
    /// Frames between sites go in clear.
    pub insecure_fabric: bool,
    /// Which sites may speak for which domains of protection identifiers, as [`chorus_transport::Trust`] reads it; empty: all for all.
    pub domains: String,
    /// Nucleus instead of the built-in one.
    pub nucleus: Option<PathBuf>,
    /// Folder whose images go before the built-in ones.
    pub actor_dir: Option<PathBuf>,
    /// Text of `boot.conf`, if not the standard one.
    pub boot_conf: Option<String>,
    /// Sites stand before their first instruction until somebody lets them go.
    pub paused: bool,
    /// Seconds for all sites to join.
    pub join_timeout: f64,
    /// End when all actors of the topology have ended, with their status.
    pub until_ended: bool,
    /// Seconds after which such a run is given up.
    pub run_timeout: Option<f64>,
    /// Print the log on stdout.
    pub print_log: bool,
    /// 1: the log's times too; how actors ended.
    pub verbose: u8,
}

impl Plan {
    /// The files of the host that the plan names; the emulated host must be given them.
    pub fn files(&self) -> Vec<PathBuf> {
        let images = self
            .topology
            .actor
            .iter()
            .filter_map(|actor| match &actor.image {
                Image::File(path) => Some(path.clone()),
                Image::BuiltIn(_) => None,
            });
        let mut files: Vec<PathBuf> = images.chain(self.nucleus.clone()).collect();
        if let Some(entries) = self
            .actor_dir
            .as_ref()
            .and_then(|folder| std::fs::read_dir(folder).ok())
        {
            files.extend(
                entries
                    .flatten()
                    .map(|entry| entry.path())
                    .filter(|path| path.is_file()),
            );
        }
        files.sort();
        files.dedup();
        files
    }

    /// The plan as JSON.
    pub fn to_json(&self) -> Outcome<Vec<u8>> {
        serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::failed(format!("the plan cannot be written: {error}")))
    }

    /// A plan from JSON. Errors: it is none, or one of another version of this program.
    pub fn from_json(bytes: &[u8]) -> Outcome<Plan> {
        serde_json::from_slice(bytes)
            .map_err(|error| Failure::bad_file(format!("not a plan of this chorus: {error}")))
    }
}

/// A seed from the machine, for those who did not give one.
pub fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library takes these keys from the system's random source. One half is enough, and fits in TOML.
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
        >> 1
}
