//! Verbs of the simulator.

use super::{FormatArgs, ReportFormat};
use clap::{Args, ValueHint};
use std::path::PathBuf;

/// `chorus sim`.
#[derive(Args, Debug, Clone)]
pub struct SimArgs {
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Sites [default: the topology's, else 8]
    #[arg(short = 'n', long, value_name = "SITES", value_parser = clap::value_parser!(u16).range(2..=8190))]
    pub sites: Option<u16>,
    /// How they are joined (chorus help run)
    #[arg(long, value_name = "TOPOLOGY", default_value = "full")]
    pub topo: String,
    /// A parameter of every link, such as latency=1ms (chorus help links)
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    pub link: Vec<String>,
    /// What clients do; several are combined (--list)
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "calls"
    )]
    pub workload: Vec<String>,
    /// What harms sites and links: names, none or all; NAME=PCT or NAME=TIME says how much or how often (--list)
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "none"
    )]
    pub nemesis: Vec<String>,
    /// Decides everything [default: a new one, which is printed]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Runs, each with the next seed, until one breaks something
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub runs: u64,
    /// End after so many events
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 1_000_000,
        conflicts_with = "duration"
    )]
    pub events: u64,
    /// End after so much virtual time, such as 10m
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,
    /// Sites that neither say hello nor watch each other: thousands are there at once
    #[arg(long)]
    pub silent: bool,
    /// Frames are sealed, as those of a cluster are; slower
    #[arg(long)]
    pub sealed: bool,
    /// List the workloads and nemeses
    #[arg(long)]
    pub list: bool,
    /// Run this script instead of a workload, "-" for stdin
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath,
        conflicts_with_all = ["sites", "topo", "link", "workload", "nemesis", "seed", "runs", "events", "duration", "silent", "sealed"])]
    pub script: Option<PathBuf>,
    /// Write the shortest script that breaks the same to a file, "-" for stdout [default: sim-SEED.toml]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, value_hint = ValueHint::FilePath)]
    pub shrink: Option<Option<PathBuf>>,
    /// Draw the run, of a shrunk one the short script, as a space-time diagram (SVG)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub diagram: Option<PathBuf>,
    /// Frames that it costs to find a port, as sites grow from 2 to 8,000; --diagram is a plot then
    #[arg(long, conflicts_with_all = ["script", "shrink"])]
    pub scale: bool,
    /// Break something on purpose: twice, untrue or lost
    #[arg(long, value_name = "BUG", hide = true, conflicts_with = "sealed")]
    pub plant: Option<String>,
}

/// `chorus soak`.
#[derive(Args, Debug, Clone)]
pub struct SoakArgs {
    /// How to print
    #[arg(
        long,
        env = "CHORUS_FORMAT",
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub format: ReportFormat,
    /// Assertions to check: SS-041, SS-0 for all that begin so, SS-063..SS-070
    #[arg(long, value_name = "ASSERTIONS", value_delimiter = ',')]
    pub filter: Vec<String>,
    /// Say where each is checked, and check nothing
    #[arg(long)]
    pub list: bool,
    /// Afterwards break sites and links at random for so long, each time with another seed, such as 1h
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,
    /// Seed of all checks [default: the one of each]
    #[arg(long, env = "CHORUS_SEED", value_name = "NUMBER")]
    pub seed: Option<u64>,
}
