//! Verbs that show, break and mend links and sites of a running cluster.

use super::{FormatArgs, OneSiteArgs};
use clap::{Args, Subcommand};

/// `chorus link`.
#[derive(Subcommand, Debug, Clone)]
pub enum LinkVerb {
    /// Show the links: what they do, and what went through them
    Show {
        /// How to print.
        #[command(flatten)]
        format: FormatArgs,
        /// Only the links of these sites
        #[arg(value_name = "SITE")]
        sites: Vec<String>,
    },
    /// Change parameters of links; those that are not named stay as they are
    #[command(after_help = LINK_HELP)]
    Set {
        /// A B, A->B for one direction, or all; then KEY=VALUE…
        #[arg(value_name = "LINK AND VALUES", required = true)]
        words: Vec<String>,
    },
    /// Give links the parameters back that they had at the start
    Reset {
        /// A B, A->B for one direction, or all [default: all, and partitions heal]
        #[arg(value_name = "LINK")]
        words: Vec<String>,
    },
}

/// What `chorus net` shows.
pub const NET_HELP: &str = "\
Without SITE: a line a site and one for the gateway, by which the chorus command talks to the sites. With SITE: its peers,
calls under way, requests in service, locations, and all counters that are not 0.

Examples:
  chorus net
  chorus net s2
  chorus net gateway --format json";

/// `chorus net`.
#[derive(Args, Debug, Clone)]
pub struct NetArgs {
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Only this site, whole: a number, a name, or gateway
    #[arg(value_name = "SITE")]
    pub site: Option<String>,
}

/// What parameters of links there are.
pub const LINK_HELP: &str = "\
Parameters of a link, and what they mean:
  latency=10ms            time on the way
  jitter=1ms              so much more or less; jitter=normal:1ms with that standard deviation; frames keep their order
  bandwidth=1MB           bytes a second (kB, MB, GB), or bits (kbit, mbit, gbit); off: as many as come
  queue=256               frames that wait for the bandwidth; what comes when it is full is lost
  loss=5%                 frames lost
  burst=1%/10%/100%       losses in bursts: that one begins with a frame, that it ends with one, frames lost meanwhile; off
  duplicate=1%            frames that come twice
  reorder=1%, late=1ms    frames that others overtake, and how late these are at most
  corrupt=0.1%            frames of which a bit is turned
  cut=yes                 nothing passes; ways of the topology around it are taken

Which frame meets what depends on the seed, the link, its direction and the number of the frame on it, and on nothing else.";

/// `chorus partition`.
#[derive(Args, Debug, Clone)]
pub struct PartitionArgs {
    /// The parts, each as sites with commas between: s1,s2 s3,s4. Sites that no part names are one together
    #[arg(value_name = "SITES", required = true)]
    pub parts: Vec<String>,
}

/// `chorus fault`.
#[derive(Args, Debug, Clone)]
pub struct FaultArgs {
    /// drop, duplicate, delay=TIME or corrupt=BIT; then which frame of its kind from now on, the kind (any, REQUEST, REPLY…), and from SITE, to SITE
    #[arg(value_name = "FAULT", required = true)]
    pub words: Vec<String>,
}

/// `chorus site`.
#[derive(Subcommand, Debug, Clone)]
pub enum SiteVerb {
    /// Stop its processors
    Pause(OneSiteArgs),
    /// Let them run again
    Resume(OneSiteArgs),
    /// End it at once, as a power cut would
    Kill(OneSiteArgs),
    /// Boot it anew, in a new incarnation, with the actors that the topology has for it; one that runs is ended first
    Restart(OneSiteArgs),
}
