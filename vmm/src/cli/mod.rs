//! The `chorus` command: from a command line to an exit status.
//!
//! Each verb is a file here. A verb returns the exit status that it wants, or a [`Failure`]; only [`main`] prints failures and turns
//! them into exit codes, so that all verbs fail alike.

pub mod args;
mod context;
mod manual;
mod output;
mod topology;

use crate::cluster::failure::{Failure, Outcome, Status};
use args::{Cli, Verb};
use clap::Parser;
use context::Context;
use std::process::ExitCode;

/// Runs the command that this process was started with.
pub fn main() -> ExitCode {
    if crate::host::emulated::is_inner() {
        crate::host::emulated::inner::main();
    }
    let arguments = match Cli::try_parse() {
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
        Verb::Validate(args) => topology::validate(context, &args).map(|()| 0),
        Verb::Topo(args) => topology::topo(context, &args).map(|()| 0),

        Verb::Doctor(args) => manual::doctor(context, &args),
        Verb::Version(args) => manual::version(context, &args).map(|()| 0),
        Verb::Completion { shell } => manual::completion(shell).map(|()| 0),
        Verb::Man { dir } => manual::man(context, &dir).map(|()| 0),
        Verb::Help(args) => manual::help(&args).map(|()| 0),
        _ => Err(unfinished("this verb")),
    }
}

/// A verb whose room is not in this build.
fn unfinished(verb: &str) -> Failure {
    Failure::failed(format!("chorus {verb} is not part of this build"))
        .hint("see docs/plan.md for what is next")
}
