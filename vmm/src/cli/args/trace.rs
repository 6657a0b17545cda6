//! Verbs that trace the sites of a running cluster.

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use std::path::PathBuf;

/// `chorus trace`.
#[derive(Subcommand, Debug, Clone)]
pub enum TraceVerb {
    /// Begin: what an earlier trace recorded is forgotten
    #[command(after_help = CLASSES_HELP)]
    Start(TraceStartArgs),
    /// End; what was recorded stays to be exported
    Stop,
    /// Write what was recorded, also while the trace goes on
    Export(TraceExportArgs),
}

/// What classes there are.
const CLASSES_HELP: &str = "\
Classes of events, and what each writes down:
  call        each Nucleus call with its arguments, and its result
  switch      which thread a vCPU runs
  wake        the end of a wait
  message     messages sent, queued, received, answered
  fault       exceptions
  interrupt   interrupts
  all         all of these

While switch, wake or message is traced, every call takes the way that does everything.";

/// `chorus trace start`.
#[derive(Args, Debug, Clone)]
pub struct TraceStartArgs {
    /// Classes of events
    #[arg(
        long,
        value_name = "CLASS,…",
        value_delimiter = ',',
        default_value = "call,switch,message"
    )]
    pub classes: Vec<String>,
    /// Memory for the newest events of each vCPU: 64 bytes an event
    #[arg(long, value_name = "SIZE", default_value = "4M")]
    pub size: String,
    /// Sites: numbers or names [default: all]
    #[arg(value_name = "SITE")]
    pub sites: Vec<String>,
}

/// How a trace is written.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TraceFormat {
    /// A line an event.
    #[default]
    Text,
    /// JSON for Chrome's trace viewer, and for Perfetto.
    Chrome,
    /// Perfetto's own format.
    Perfetto,
    /// Stacks with nanoseconds, for flame graphs.
    Folded,
}

/// `chorus trace export`.
#[derive(Args, Debug, Clone)]
pub struct TraceExportArgs {
    /// How to write
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: TraceFormat,
    /// File to write [default: stdout]
    #[arg(short = 'o', long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}
