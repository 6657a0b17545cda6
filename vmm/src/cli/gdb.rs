//! `chorus gdb`: starts gdb at a site, with the symbols of the Nucleus and of the actors.
//!
//! The site's stub listens on a unix socket of the runtime folder, and tells gdb which actors' images lie where. The files with their symbols are put
//! into that folder too, the Nucleus' among them, whether they are built in or the user's; they go with the folder.

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
use crate::debug;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// File of the runtime folder that holds the Nucleus image.
const NUCLEUS: &str = "nucleus.elf";

/// `chorus gdb`. Does not come back when gdb starts: this process becomes it, so that Ctrl-C and the exit status are gdb's.
pub fn gdb(context: &Context, args: &GdbArgs) -> Outcome<()> {
    let runtime = context.runtime()?;
    let mut client = Client::connect(&runtime)?;
    let site = actors::site_number(&mut client, &args.site)?;
    let address = match client.ask(&Request::Gdb { site })? {
        Answer::Gdb { address } => address,
        other => return Err(client.unexpected(&other)),
    };
    // From the emulated host it comes out a moment later.
    let limit = Instant::now() + Duration::from_secs(5);
    while !Path::new(&address).exists() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(20));
    }
    if !Path::new(&address).exists() {
        return Err(Failure::failed(format!(
            "site {site} has no gdb stub at {address}"
        )));
    }
    let plan = plan(&runtime)?;
    let nucleus = nucleus(&runtime, &plan)?;
    actors_symbols(context, &runtime, &plan, &args.symbols)?;
    // The stub tells which images lie where; gdb finds their files here. Sites are no Linux, whatever gdb would guess from the ELF files.
    let before = [
        "set osabi none".to_owned(),
        "set sysroot /".to_owned(),
        format!("set solib-search-path {}", runtime.folder().display()),
        "set breakpoint pending on".to_owned(),
    ];
    let connect = format!("target remote {address}");
    if args.server_only {
        let mut text = before.join("\n");
        text.push_str(&format!("\nfile {}\n{connect}\n", nucleus.display()));
        return output::text(&text);
    }
    let mut gdb = Command::new(&args.gdb);
    gdb.arg("-q");
    for command in &before {
        gdb.args(["-iex", command]);
    }
    gdb.arg(&nucleus).args(["-ex", &connect]).args(&args.args);
    let error = gdb.exec();
    let text = format!("{}: {}", args.gdb.display(), crate::cluster::reason(&error));
    Err(Failure::host(text)
        .hint("install it with: apt-get install gdb; or give another with --gdb"))
}

/// Puts the symbols of actors where gdb looks for them: of the built-in ones under their names, of files of the user under their build identities.
fn actors_symbols(
    context: &Context,
    runtime: &Runtime,
    plan: &Plan,
    given: &[PathBuf],
) -> Outcome<()> {
    for name in images::builtin_names() {
        if let Some(bytes) = images::symbols(name) {
            runtime.write(&format!("{name}.elf"), &bytes)?;
        }
    }
    for (path, asked) in plan
        .files()
        .into_iter()
        .map(|path| (path, false))
        .chain(given.iter().map(|path| (path.clone(), true)))
    {
        let place = |error: std::io::Error| {
            let reason = crate::cluster::reason(&error);
            Failure::bad_file(format!("{}: {reason}", path.display()))
        };
        let build = match std::fs::read(&path) {
            Ok(bytes) => debug::images::build(&bytes),
            Err(error) if asked => return Err(place(error)),
            Err(_) => continue,
        };
        let Some(build) = build else {
            if asked {
                let text = format!("{}: no ELF file with a build identity", path.display());
                return Err(Failure::bad_file(text).hint("link it with --build-id"));
            }
            context.say(&format!(
                "no symbols from {}: it was linked without --build-id",
                path.display()
            ));
            continue;
        };
        let link = runtime
            .folder()
            .join(format!("{}.elf", debug::images::hexadecimal(&build)));
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(std::path::absolute(&path).map_err(place)?, &link)
            .map_err(place)?;
    }
    Ok(())
}

/// The plan of the cluster.
fn plan(runtime: &Runtime) -> Outcome<Plan> {
    let record = runtime.record();
    let bytes = std::fs::read(&record).map_err(|error| {
        let reason = crate::cluster::reason(&error);
        Failure::failed(format!("{}: {reason}", record.display()))
    })?;
    Plan::from_json(&bytes)
}

/// The Nucleus image of the cluster, as a file.
fn nucleus(runtime: &Runtime, plan: &Plan) -> Outcome<PathBuf> {
    match &plan.nucleus {
        Some(nucleus) => Ok(nucleus.clone()),
        None => runtime
            .write(NUCLEUS, images::builtin(images::NUCLEUS)?)
            .map(|()| runtime.folder().join(NUCLEUS)),
    }
}
