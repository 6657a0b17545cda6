//! Verbs that measure and check, and how their reports print.

use super::{FormatArgs, HostArg};
use clap::{Args, ValueEnum, ValueHint};
use std::path::PathBuf;

/// `chorus bench`.
#[derive(Args, Debug, Clone)]
pub struct BenchArgs {
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Suites or operations to measure [default: all that this host can]
    #[arg(value_name = "SUITE")]
    pub suites: Vec<String>,
    /// Exact instruction counts: the image on a bare QEMU microvm under an instruction clock (local operations)
    #[arg(long)]
    pub icount: bool,
    /// Which functions the instructions of one run of each operation are in
    #[arg(long, requires = "icount", conflicts_with = "compare")]
    pub profile: bool,
    /// Write the profile as folded stacks (operation;ring;function count), which flame graphs are made of, "-" for stdout
    #[arg(long, value_name = "FILE", requires = "profile", value_hint = ValueHint::FilePath)]
    pub folded: Option<PathBuf>,
    /// Repetitions of each operation
    #[arg(long, value_name = "COUNT")]
    pub count: Option<u32>,
    /// Earlier result to compare with; exit status 3 on a regression
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub compare: Option<PathBuf>,
    /// Growth in percent that counts as a regression
    #[arg(long, value_name = "PCT", default_value = "2")]
    pub tolerance: f64,
    /// Which KVM the sites run on
    #[arg(long, env = "CHORUS_HOST", value_name = "HOST", default_value = "auto")]
    pub host: HostArg,
    /// Nucleus image to measure instead of the built-in one
    #[arg(long, env = "CHORUS_NUCLEUS", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub nucleus: Option<PathBuf>,
}

/// Where `chorus conformance` runs its sites.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConformanceHost {
    /// KVM when it passes the self-test, else the emulated host.
    #[default]
    Auto,
    /// This machine's /dev/kvm.
    Kvm,
    /// A Linux with KVM inside QEMU's TCG: slower, works without any KVM.
    Emulated,
    /// The image on bare QEMU microvms under an instruction clock: no cluster, every run is the same.
    Microvm,
}

/// How a report prints.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReportFormat {
    /// For people.
    #[default]
    Table,
    /// For programs: JSON, the fields never change their meaning.
    Json,
    /// For CI: XML as JUnit writes it.
    Junit,
}

/// `chorus conformance`.
#[derive(Args, Debug, Clone)]
pub struct ConformanceArgs {
    /// How to print
    #[arg(
        long,
        env = "CHORUS_FORMAT",
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub format: ReportFormat,
    /// Assertions to report: NC-069, NC-1 for all that begin so, NC-097..NC-149 (all are checked)
    #[arg(long, value_name = "ASSERTIONS", value_delimiter = ',')]
    pub filter: Vec<String>,
    /// Where the sites run
    #[arg(long, env = "CHORUS_HOST", value_name = "HOST", default_value = "auto")]
    pub host: ConformanceHost,
    /// Nucleus image to check instead of the built-in one
    #[arg(long, env = "CHORUS_NUCLEUS", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub nucleus: Option<PathBuf>,
}
