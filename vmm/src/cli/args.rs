//! The command line as types.
//!
//! Every verb, option and environment variable is declared here and nowhere else: the parser, the help, the completions and the
//! manual pages are all made from these types, so that they cannot disagree.

mod fabric;
mod reports;
mod sim;
mod trace;

pub use fabric::{FaultArgs, LINK_HELP, LinkVerb, NET_HELP, NetArgs, PartitionArgs, SiteVerb};
pub use reports::{BenchArgs, ConformanceArgs, ConformanceHost, ReportFormat};
pub use sim::{SimArgs, SoakArgs};
pub use trace::{TraceExportArgs, TraceFormat, TraceStartArgs, TraceVerb};

use clap::{Args, Command, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

/// What follows the options in `chorus --help`.
const AFTER_HELP: &str = "\
First steps:
  chorus doctor                  what this machine can do
  chorus run -n 4 hello          four sites, one actor on each
  chorus up -n 2 -d              a cluster that stays; then ps, logs, console, exec, down

Data goes to stdout, everything else to stderr. Exit codes: chorus help exit-codes";

/// Boots clusters of Chorus sites on KVM.
#[derive(Parser, Debug)]
#[command(name = "chorus", version, about, long_about = None, after_help = AFTER_HELP, propagate_version = false,
    subcommand_required = true, arg_required_else_help = true, max_term_width = 110, disable_help_subcommand = true)]
pub struct Cli {
    /// Options that every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// The verb.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The command as clap has it, for parsing, help, completions and manual pages. Help names the environment variables, but not
/// what they hold: it must be the same for everybody.
pub fn command() -> Command {
    fn quiet(command: Command) -> Command {
        command
            .mut_args(|arg| arg.hide_env_values(true))
            .mut_subcommands(quiet)
    }
    quiet(Cli::command())
}

/// Options that every verb takes.
#[derive(Args, Debug, Clone)]
pub struct Global {
    /// Name of the cluster [default: the topology's, else "default"]
    #[arg(
        long,
        global = true,
        env = "CHORUS_NAME",
        value_name = "CLUSTER",
        help_heading = "Global options"
    )]
    pub name: Option<String>,
    /// Change to this folder first
    #[arg(short = 'C', global = true, env = "CHORUS_DIRECTORY", value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Global options")]
    pub directory: Option<PathBuf>,
    /// Say more on stderr (twice: still more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// Say nothing on stderr but errors
    #[arg(
        short,
        long,
        global = true,
        env = "CHORUS_QUIET",
        conflicts_with = "verbose",
        help_heading = "Global options"
    )]
    pub quiet: bool,
    /// When to colour
    #[arg(
        long,
        global = true,
        env = "CHORUS_COLOR",
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        help_heading = "Global options"
    )]
    pub color: When,
}

/// When to colour.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a reading verb prints.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs: JSON, the fields never change their meaning.
    Json,
}

/// `--format` of a reading verb.
#[derive(Args, Debug, Clone)]
pub struct FormatArgs {
    /// How to print
    #[arg(
        long,
        env = "CHORUS_FORMAT",
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub format: Format,
}

/// Which KVM the sites run on.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostArg {
    /// KVM when it passes the self-test, else the emulated host.
    #[default]
    Auto,
    /// This machine's /dev/kvm.
    Kvm,
    /// A Linux with KVM inside QEMU's TCG: slower, works without any KVM.
    Emulated,
}

/// The cluster to boot: how many sites, how big, on what.
#[derive(Args, Debug, Clone)]
pub struct Shape {
    /// Number of sites [default: the topology's, else 1]
    #[arg(
        short = 'n',
        long = "sites",
        env = "CHORUS_SITES",
        value_name = "SITES",
        conflicts_with = "file"
    )]
    pub sites: Option<u16>,
    /// Processors of each site, 1 to 16 [default: 1]
    #[arg(long, env = "CHORUS_VCPUS", value_name = "COUNT")]
    pub vcpus: Option<u32>,
    /// Memory of each site, such as 64M or 1G [default: 64M]
    #[arg(long, env = "CHORUS_MEM", value_name = "SIZE")]
    pub mem: Option<String>,
    /// Room of each site for pages that leave its memory when it is full, such as 128M [default: none leaves]
    #[arg(long, env = "CHORUS_SWAP", value_name = "SIZE")]
    pub swap: Option<String>,
    /// Topology file, "-" for stdin [default: chorus.toml if no -n is given and it is there]
    #[arg(short = 'f', long = "file", env = "CHORUS_FILE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Seed of all that is random
    #[arg(long, env = "CHORUS_SEED", value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// How the sites are joined: full, line, ring, star, tree,3, mesh,4,4, torus,4,4, hypercube,4, random,3 [default: the topology's, else full]
    #[arg(long, env = "CHORUS_TOPO", value_name = "TOPOLOGY")]
    pub topo: Option<String>,
    /// Percent of frames that every link loses: 5 or 5%
    #[arg(long, env = "CHORUS_LOSS", value_name = "PCT")]
    pub loss: Option<String>,
    /// A parameter of every link, such as latency=10ms (chorus help links)
    #[arg(
        long,
        env = "CHORUS_LINK",
        value_name = "KEY=VALUE",
        value_delimiter = ','
    )]
    pub link: Vec<String>,
    /// Seconds of silence after which the others hold a site for down [default: 1.4; on the emulated host 7]
    #[arg(long, env = "CHORUS_DETECT", value_name = "SECONDS")]
    pub detect: Option<f64>,
    /// Frames between sites go in clear, to be looked at; whoever can send on the fabric is believed then
    #[arg(long, env = "CHORUS_INSECURE_FABRIC")]
    pub insecure_fabric: bool,
    /// Domains of protection identifiers that a site may speak for, such as 2=3,4 [default: every site for all]
    #[arg(
        long = "domains",
        env = "CHORUS_DOMAINS",
        value_name = "SITE=DID,…",
        value_delimiter = ';'
    )]
    pub domains: Vec<String>,
    /// Which KVM the sites run on
    #[arg(long, env = "CHORUS_HOST", value_name = "HOST", default_value = "auto")]
    pub host: HostArg,
    /// Emulated host under an instruction clock: the same build and input print the same bytes
    #[arg(long, env = "CHORUS_DETERMINISTIC")]
    pub deterministic: bool,
    /// Nucleus image to boot instead of the built-in one
    #[arg(long, env = "CHORUS_NUCLEUS", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub nucleus: Option<PathBuf>,
    /// Folder whose actor files go before the built-in ones
    #[arg(long, env = "CHORUS_ACTOR_DIR", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub actor_dir: Option<PathBuf>,
    /// boot.conf to use instead of the standard one (one actor a line: FILE KIND PRIORITY NAME [ARG…])
    #[arg(long, env = "CHORUS_BOOT_ACTORS", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub boot_actors: Option<PathBuf>,
    /// Print what would be started, and start nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `chorus up`.
#[derive(Args, Debug, Clone)]
pub struct UpArgs {
    /// The cluster.
    #[command(flatten)]
    pub shape: Shape,
    /// Leave the cluster running in the background
    #[arg(short = 'd', long = "detach", env = "CHORUS_DETACH")]
    pub detach: bool,
    /// With -d: return when all sites have joined (else when they started)
    #[arg(long, env = "CHORUS_WAIT")]
    pub wait: bool,
    /// Sites stand before their first instruction, until chorus resume or a debugger lets them go; then there is no --timeout
    #[arg(long, env = "CHORUS_PAUSED", conflicts_with = "wait")]
    pub paused: bool,
    /// Seconds for all sites to join
    #[arg(
        long,
        env = "CHORUS_TIMEOUT",
        value_name = "SECONDS",
        default_value = "120"
    )]
    pub timeout: f64,
}

/// `chorus run`.
#[derive(Args, Debug, Clone)]
pub struct RunArgs {
    /// The cluster.
    #[command(flatten)]
    pub shape: Shape,
    /// Seconds until the run is given up with status 124
    #[arg(long, env = "CHORUS_TIMEOUT", value_name = "SECONDS")]
    pub timeout: Option<f64>,
    /// Site that gets the actor: a number, a name, or "all"
    #[arg(long, value_name = "SITE", default_value = "all")]
    pub on: String,
    /// The actor's kind
    #[arg(long, value_name = "KIND", default_value = "user")]
    pub kind: KindArg,
    /// Built-in actor or ELF file, and its arguments
    #[arg(
        value_name = "ACTOR",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub actor: Vec<String>,
}

/// Kind of an actor.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KindArg {
    /// Own address space, no privilege.
    #[default]
    User,
    /// Own address space, trusted.
    System,
    /// In the Nucleus' address space.
    Supervisor,
}

/// `chorus exec`.
#[derive(Args, Debug, Clone)]
pub struct ExecArgs {
    /// Site: a number, a name, or "all"
    #[arg(value_name = "SITE")]
    pub site: String,
    /// Seconds until the wait is given up with status 124 (the actor is ended)
    #[arg(long, env = "CHORUS_TIMEOUT", value_name = "SECONDS")]
    pub timeout: Option<f64>,
    /// The actor's kind
    #[arg(long, value_name = "KIND", default_value = "user")]
    pub kind: KindArg,
    /// Relative priority, 0 (most urgent) to 255
    #[arg(long, value_name = "NUMBER", default_value_t = 160)]
    pub priority: u8,
    /// Do not wait for the actor's end
    #[arg(long)]
    pub no_wait: bool,
    /// Take the place of this running actor: its name, or its port
    #[arg(long, value_name = "RUNNING")]
    pub replace: Option<String>,
    /// Built-in actor or ELF file
    #[arg(value_name = "ACTOR-FILE")]
    pub actor: String,
    /// The actor's arguments
    #[arg(
        value_name = "ARGS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub args: Vec<String>,
}

/// `chorus logs`.
#[derive(Args, Debug, Clone)]
pub struct LogsArgs {
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Keep printing as lines come
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// Only the last lines
    #[arg(long, value_name = "LINES")]
    pub tail: Option<usize>,
    /// Print the time since the cluster's start before each line
    #[arg(short = 't', long)]
    pub timestamps: bool,
    /// Do not print site and actor before each line
    #[arg(long)]
    pub no_prefix: bool,
    /// Only this site: a number or a name
    #[arg(value_name = "SITE")]
    pub site: Option<String>,
}

/// A verb on one site, or on all.
#[derive(Args, Debug, Clone)]
pub struct SiteArgs {
    /// Site: a number or a name [default: all]
    #[arg(value_name = "SITE")]
    pub site: Option<String>,
}

/// A verb on one site.
#[derive(Args, Debug, Clone)]
pub struct OneSiteArgs {
    /// Site: a number or a name
    #[arg(value_name = "SITE")]
    pub site: String,
}

/// `chorus ps`.
#[derive(Args, Debug, Clone)]
pub struct PsArgs {
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Only this site: a number or a name
    #[arg(value_name = "SITE")]
    pub site: Option<String>,
    /// List the actors of the sites too
    #[arg(short = 'a', long)]
    pub actors: bool,
    /// List all clusters of this user
    #[arg(long, conflicts_with_all = ["site", "actors"])]
    pub clusters: bool,
}

/// `chorus down`.
#[derive(Args, Debug, Clone)]
pub struct DownArgs {
    /// All clusters of this user
    #[arg(long)]
    pub all: bool,
    /// Seconds until a cluster that does not end is killed
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    pub timeout: f64,
}

/// `chorus validate`.
#[derive(Args, Debug, Clone)]
pub struct ValidateArgs {
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Topology file, "-" for stdin
    #[arg(value_name = "FILE", default_value = "chorus.toml", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

/// `chorus topo`.
#[derive(Args, Debug, Clone)]
pub struct TopoArgs {
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Print the topology with all defaults, counts and lists written out
    #[arg(long)]
    pub expand: bool,
    /// Topology file, "-" for stdin
    #[arg(value_name = "FILE", default_value = "chorus.toml", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

/// `chorus gdb`.
#[derive(Args, Debug, Clone)]
pub struct GdbArgs {
    /// Site: a number or a name
    #[arg(value_name = "SITE")]
    pub site: String,
    /// ELF file of an actor that is not built in nor a file of the topology, for its symbols (linked with --build-id)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub symbols: Vec<PathBuf>,
    /// Print the address to connect to, start no gdb
    #[arg(long)]
    pub server_only: bool,
    /// gdb to start
    #[arg(long, env = "CHORUS_GDB", value_name = "FILE", default_value = "gdb", value_hint = ValueHint::CommandName)]
    pub gdb: PathBuf,
    /// Arguments for gdb, such as -batch -ex bt
    #[arg(value_name = "GDB-ARGS", last = true)]
    pub args: Vec<String>,
}

/// `chorus help`.
#[derive(Args, Debug, Clone)]
pub struct HelpArgs {
    /// A verb, "links", or "exit-codes"
    #[arg(value_name = "TOPIC")]
    pub topic: Vec<String>,
}

/// A reading verb without other options.
#[derive(Args, Debug, Clone)]
pub struct ReadArgs {
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// `chorus doctor`.
#[derive(Args, Debug, Clone)]
pub struct DoctorArgs {
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Fail unless sites can run on this host
    #[arg(long, env = "CHORUS_HOST", value_name = "HOST", default_value = "auto")]
    pub host: HostArg,
}

/// The verbs.
#[derive(Subcommand, Debug, Clone)]
pub enum Verb {
    /// Boot a cluster
    Up(UpArgs),
    /// List sites and actors
    Ps(PsArgs),
    /// Print what sites and actors wrote
    Logs(LogsArgs),
    /// Attach to a site's console (Ctrl-A h for help)
    Console(OneSiteArgs),
    /// Boot a fresh cluster, run actors, end with their status
    Run(RunArgs),
    /// Run an actor on a site of a running cluster, end with its status
    Exec(ExecArgs),
    /// Stop the processors of a site
    Pause(SiteArgs),
    /// Let the processors of a site run again
    Resume(SiteArgs),
    /// End a site at once, as a power cut would
    Kill(OneSiteArgs),
    /// Show and change what links do to frames
    #[command(subcommand)]
    Link(LinkVerb),
    /// Show what the Network Managers hold: peers, calls, locations, counters
    #[command(after_help = NET_HELP)]
    Net(NetArgs),
    /// Split a cluster into parts between which nothing passes
    Partition(PartitionArgs),
    /// Make a split cluster whole again
    Heal,
    /// Meet a single frame: drop, delay, double or corrupt it
    #[command(
        after_help = "Example, the third request from s1 to s2 from now on is lost:\n  chorus fault drop 3 REQUEST from s1 to s2"
    )]
    Fault(FaultArgs),
    /// Pause, resume, kill or restart a site
    #[command(subcommand)]
    Site(SiteVerb),
    /// End a cluster and leave nothing behind
    Down(DownArgs),
    /// Check a topology file
    Validate(ValidateArgs),
    /// Print a topology
    Topo(TopoArgs),
    /// Measure context switches, IPC, RPC and boot
    Bench(BenchArgs),
    /// Check the assertions of the call reference, on sites of its own
    Conformance(ConformanceArgs),
    /// Run many sites in this process, in virtual time, from one seed, and break them
    Sim(SimArgs),
    /// Check the assertions about many sites, SS-001 and on
    Soak(SoakArgs),
    /// Write down what sites do, call by call
    #[command(subcommand)]
    Trace(TraceVerb),
    /// Debug a site with gdb
    Gdb(GdbArgs),
    /// Tell what this machine can do, and what to install
    Doctor(DoctorArgs),
    /// Print the versions of all parts
    Version(ReadArgs),
    /// Print the completions for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    Man {
        /// The folder; made if it is missing
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Print help for a verb or a topic
    Help(HelpArgs),
    /// Own a cluster: what `up` and `run` start in the background and in the emulated host.
    #[command(hide = true)]
    ClusterProcess {
        /// The plan, as JSON; "-" for stdin
        #[arg(value_name = "FILE")]
        plan: PathBuf,
    },
}
