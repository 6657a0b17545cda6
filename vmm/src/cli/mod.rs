//! The `chorus` command: from a command line to an exit status.
//!
//! Each verb is a file here. A verb returns the exit status that it wants, or a [`Failure`](crate::cluster::failure::Failure); only [`main`] prints failures and turns
//! them into exit codes, so that all verbs fail alike.
#![forbid(unsafe_code)]

mod actors;
pub mod args;
mod console;
mod context;
mod down;
mod gdb;
mod launch;
mod links;
mod listing;
mod logs;
mod manual;
mod net;
pub(crate) mod output;
mod progress;
mod shape;
mod sim;
mod soak;
mod topology;
mod trace;

use crate::cluster::failure::{Outcome, Status};
use args::{Cli, Verb};
use clap::FromArgMatches;
use context::Context;
use std::process::ExitCode;

/// Runs the command that this process was started with.
pub fn main() -> ExitCode {
    if crate::host::emulated::is_inner() {
        crate::host::emulated::inner::main();
    }
    let arguments = match args::command()
        .try_get_matches()
        .and_then(|found| Cli::from_arg_matches(&found))
    {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let context = Context::new(&arguments.global);
    match context.enter().and_then(|()| run(&context, arguments.verb)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            context.complain(&failure);
            ExitCode::from(failure.status.code())
        }
    }
}

/// Prints what clap has to say: help and version to stdout, mistakes to stderr.
fn usage(error: &clap::Error) -> ExitCode {
    // A closed stdout or stderr is no reason to fail: nobody is left to be told.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() {
        Status::Usage.code()
    } else {
        0
    })
}

/// Runs one verb. The value is the exit status.
fn run(context: &Context, verb: Verb) -> Outcome<u8> {
    match verb {
        Verb::Up(args) => launch::up(context, &args),
        Verb::Run(args) => launch::run(context, &args),
        Verb::ClusterProcess { plan } => launch::cluster_process(context, &plan),
        Verb::Ps(args) => listing::ps(context, &args).map(|()| 0),
        Verb::Logs(args) => logs::logs(context, &args).map(|()| 0),
        Verb::Console(args) => console::console(context, &args).map(|()| 0),
        Verb::Exec(args) => actors::exec(context, &args),
        Verb::Pause(args) => actors::pause(context, &args).map(|()| 0),
        Verb::Resume(args) => actors::resume(context, &args).map(|()| 0),
        Verb::Kill(args) => actors::kill(context, &args).map(|()| 0),
        Verb::Link(verb) => links::link(context, &verb).map(|()| 0),
        Verb::Net(args) => net::net(context, &args).map(|()| 0),
        Verb::Partition(args) => links::partition(context, &args).map(|()| 0),
        Verb::Heal => links::heal(context).map(|()| 0),
        Verb::Fault(args) => links::fault(context, &args).map(|()| 0),
        Verb::Site(verb) => links::site(context, &verb).map(|()| 0),
        Verb::Down(args) => down::down(context, &args).map(|()| 0),
        Verb::Validate(args) => topology::validate(context, &args).map(|()| 0),
        Verb::Topo(args) => topology::topo(context, &args).map(|()| 0),
        Verb::Bench(args) => crate::measure::bench(&args).map(|()| 0),
        Verb::Conformance(args) => crate::conformance::conformance(&args).map(|()| 0),
        Verb::Sim(args) => sim::sim(context, &args).map(|()| 0),
        Verb::Soak(args) => soak::soak(context, &args).map(|()| 0),
        Verb::Trace(verb) => trace::trace(context, &verb).map(|()| 0),
        Verb::Gdb(args) => gdb::gdb(context, &args).map(|()| 0),
        Verb::Doctor(args) => manual::doctor(context, &args),
        Verb::Version(args) => manual::version(context, &args).map(|()| 0),
        Verb::Completion { shell } => manual::completion(shell).map(|()| 0),
        Verb::Man { dir } => manual::man(context, &dir).map(|()| 0),
        Verb::Help(args) => manual::help(&args).map(|()| 0),
    }
}
