//! `chorus gdb`: starts gdb at a site, with the Nucleus' symbols.
//!
//! The site's stub listens on a unix socket of the runtime folder. The Nucleus image is put beside it, so that gdb finds symbols
//! whether the image is the built-in one or a file; it goes with the folder.

use super::actors;
use super::args::GdbArgs;
use super::context::Context;
use super::output;
use crate::cluster::client::Client;
use crate::cluster::control::{Answer, Request};
use crate::cluster::failure::{Failure, Outcome};
use crate::cluster::images;
use crate::cluster::plan::Plan;
use crate::cluster::runtime::Runtime;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// File of the runtime folder that holds the Nucleus image.
const SYMBOLS: &str = "nucleus.elf";

/// `chorus gdb`. Does not come back when gdb starts: this process becomes it, so that Ctrl-C and the exit status are gdb's.
pub fn gdb(context: &Context, args: &GdbArgs) -> Outcome<()> {
    let runtime = context.runtime()?;
    let mut client = Client::connect(&runtime)?;
    let site = actors::site_number(&mut client, &args.site)?;
    let address = match client.ask(&Request::Gdb { site })? {
        Answer::Gdb { address } => address,
        other => return Err(client.unexpected(&other)),
    };
    if !Path::new(&address).exists() {
        return Err(Failure::failed(format!(
            "site {site} has no gdb stub at {address}"
        )));
    }
    let symbols = symbols(&runtime)?;
    if args.server_only {
        return output::text(&format!(
            "target remote {address}\nsymbol-file {}\n",
            symbols.display()
        ));
    }
    let error = Command::new(&args.gdb)
        .arg("-q")
        .arg(&symbols)
        .args(["-ex", &format!("target remote {address}")])
        .args(&args.args)
        .exec();
    let text = format!("{}: {}", args.gdb.display(), crate::cluster::reason(&error));
    Err(Failure::host(text)
        .hint("install it with: apt-get install gdb; or give another with --gdb"))
}

/// The Nucleus image of the cluster, as a file.
fn symbols(runtime: &Runtime) -> Outcome<PathBuf> {
    let path = runtime.folder().join(SYMBOLS);
    let record = runtime.record();
    let bytes = std::fs::read(&record).map_err(|error| {
        Failure::failed(format!(
            "{}: {}",
            record.display(),
            crate::cluster::reason(&error)
        ))
    })?;
    match Plan::from_json(&bytes)?.nucleus {
        Some(nucleus) => Ok(nucleus),
        None => runtime
            .write(SYMBOLS, images::builtin(images::NUCLEUS)?)
            .map(|()| path),
    }
}
