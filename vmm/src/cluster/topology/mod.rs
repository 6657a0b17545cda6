//! What a cluster is made of: sites, links, actors.
//!
//! A topology comes from a file (`chorus.toml`) or from options. Either way it ends as one [`Topology`]: every default, count and
//! list written out, every name resolved, so that nothing behind it has to guess. `chorus topo --expand` prints exactly this.

mod events;
mod expand;
mod fields;
mod links;
mod names;
mod read;
mod report;
pub mod settings;
mod size;
mod source;

#[cfg(test)]
mod tests;

pub use events::EventSpec;
pub use expand::to_toml;
pub use links::{FabricSpec, LinkSpec, Pattern};
pub use names::{check_name, nearest};
pub use read::{check_mem, check_swap, read, round_mib};
pub use report::{Problem, render};
pub use size::{format_size, parse_size};
pub use source::Source;

pub use crate::machine::boot::TRUE_SPEED;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Most sites of a cluster in this release. The addresses reach to 8190; the limit is what the fabric is tested with.
pub const SITES_MAX: u16 = 512;
/// Most processors of a site in this release.
pub const VCPUS_MAX: u32 = 16;
/// Least memory of a site in bytes: the Nucleus, the standard actors and their archive.
pub const MEM_MIN: u64 = 16 << 20;
/// Most memory of a site in bytes: RAM is one range below the device window.
pub const MEM_MAX: u64 = 3 << 30;
/// Most room in bytes for pages that leave a site's memory.
pub const SWAP_MAX: u64 = 64 << 30;
/// Processors of a site when nothing is said.
pub const VCPUS_DEFAULT: u32 = 1;
/// Memory of a site in bytes when nothing is said.
pub const MEM_DEFAULT: u64 = 64 << 20;
/// Relative priority of an actor when nothing is said: in the time-sliced band.
pub const PRIORITY_DEFAULT: u8 = 140;
/// Longest name of a cluster or site.
pub const NAME_MAX: usize = 32;

/// A cluster with everything written out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Topology {
    /// Version of the file format.
    pub version: u32,
    /// The cluster as a whole.
    pub cluster: ClusterSpec,
    /// Sites; the place in the list plus one is the site's number.
    pub site: Vec<SiteSpec>,
    /// How the sites are joined, and what every link does.
    #[serde(default)]
    pub fabric: FabricSpec,
    /// Links that are not as all others.
    pub link: Vec<LinkSpec>,
    /// Actors to start, in order.
    pub actor: Vec<ActorSpec>,
    /// What is done to the cluster while it runs, in the order of time.
    #[serde(default)]
    pub event: Vec<EventSpec>,
}

/// The cluster as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterSpec {
    /// Name: runtime folder, `--name`.
    pub name: String,
    /// Seed of the fabric and of the sites' random sources; none: taken from the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// One site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteSpec {
    /// Number, from 1.
    pub number: u16,
    /// Name.
    pub name: String,
    /// Processors.
    pub vcpus: u32,
    /// Memory in bytes, a multiple of 2 MiB.
    pub mem: u64,
    /// Room in bytes for pages that leave its memory; 0: none leaves.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub swap: u64,
    /// How fast its clock goes, in millionths of the true speed.
    #[serde(default = "true_speed", skip_serializing_if = "is_true_speed")]
    pub clock: u32,
}

const fn true_speed() -> u32 {
    TRUE_SPEED
}

fn is_true_speed(speed: &u32) -> bool {
    *speed == TRUE_SPEED
}

fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

/// An actor's kind, as the Nucleus counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Own address space, no privilege (`K_USERACTOR`).
    User,
    /// Own address space, trusted (`K_SYSTEMACTOR`).
    System,
    /// In the Nucleus' address space (`K_SUPACTOR`).
    Supervisor,
}

impl Kind {
    /// The word in `boot.conf`.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::User => "user",
            Kind::System => "system",
            Kind::Supervisor => "supervisor",
        }
    }

    /// The number of the Nucleus call.
    pub const fn number(self) -> i32 {
        match self {
            Kind::User => chorus_abi::K_USERACTOR,
            Kind::System => chorus_abi::K_SYSTEMACTOR,
            Kind::Supervisor => chorus_abi::K_SUPACTOR,
        }
    }
}

/// Where an actor's image comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Image {
    /// A file of the host.
    File(PathBuf),
    /// An actor that the `chorus` binary carries.
    BuiltIn(String),
}

/// One actor on one or more sites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActorSpec {
    /// Name.
    pub name: String,
    /// Image.
    #[serde(flatten)]
    pub image: Image,
    /// Site numbers, ascending.
    pub site: Vec<u16>,
    /// Kind.
    pub kind: Kind,
    /// Relative priority.
    pub priority: u8,
    /// Arguments.
    pub args: Vec<String>,
}

impl Topology {
    /// `count` equal sites called `s1`, `s2`, ….
    pub fn uniform(name: &str, count: u16, vcpus: u32, mem: u64) -> Self {
        let site = (1..=count)
            .map(|number| SiteSpec {
                number,
                name: format!("s{number}"),
                vcpus,
                mem,
                swap: 0,
                clock: TRUE_SPEED,
            })
            .collect();
        let cluster = ClusterSpec {
            name: name.to_owned(),
            seed: None,
        };
        Topology {
            version: 1,
            cluster,
            site,
            fabric: FabricSpec::default(),
            link: Vec::new(),
            actor: Vec::new(),
            event: Vec::new(),
        }
    }

    /// The site with this number or name.
    pub fn find_site(&self, text: &str) -> Option<&SiteSpec> {
        match text.parse::<u16>() {
            Ok(number) => self.site.iter().find(|site| site.number == number),
            Err(_) => self.site.iter().find(|site| site.name == text),
        }
    }

    /// Memory of all sites in bytes.
    pub fn total_mem(&self) -> u64 {
        self.site
            .iter()
            .map(|site| site.mem)
            .fold(0, u64::saturating_add)
    }
}
