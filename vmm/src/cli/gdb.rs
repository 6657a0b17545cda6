//! `chorus gdb`: starts gdb at a site, with the symbols of the Nucleus and of actors.
//!
//! The site's stub listens on a unix socket of the runtime folder. The Nucleus image is put beside it, so that gdb finds symbols
//! whether the image is the built-in one or a file; it goes with the folder.

use super::actors;
use super::args::GdbArgs;
use super::context::Context;
use super::output;
use crate::cluster::client::Client;
use crate::cluster::control::{ActorInfo, Answer, Request};
use crate::cluster::failure::{Failure, Outcome};
use crate::cluster::images;
use crate::cluster::plan::Plan;
use crate::cluster::runtime::Runtime;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

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
    let commands = actors_symbols(context, &runtime, &mut client, site, &args.actor)?;
    if args.server_only {
        let mut text = format!(
            "target remote {address}\nsymbol-file {}\n",
            symbols.display()
        );
        for command in commands {
            text.push_str(&command);
            text.push('\n');
        }
        return output::text(&text);
    }
    let mut gdb = Command::new(&args.gdb);
    gdb.arg("-q")
        .arg(&symbols)
        .args(["-ex", &format!("target remote {address}")]);
    for command in commands {
        gdb.args(["-ex", &command]);
    }
    let error = gdb.args(&args.args).exec();
    let text = format!("{}: {}", args.gdb.display(), crate::cluster::reason(&error));
    Err(Failure::host(text)
        .hint("install it with: apt-get install gdb; or give another with --gdb"))
}

/// How long the site manager may take to list its actors. A site that is stopped does not answer.
const LIST_LIMIT: Duration = Duration::from_secs(5);
/// Stands on every site; its symbols are loaded only when asked for.
const SITE_MANAGER: &str = "site-manager";

/// gdb's commands that load the symbols of actors, each where its image is.
fn actors_symbols(
    context: &Context,
    runtime: &Runtime,
    client: &mut Client,
    site: u16,
    wanted: &[String],
) -> Outcome<Vec<String>> {
    client.limit(Some(LIST_LIMIT))?;
    let listed = client.ask(&Request::Actors { site: Some(site) });
    let actors = match listed {
        Ok(Answer::Actors { actors }) => actors,
        Ok(other) => return Err(client.unexpected(&other)),
        Err(failure) if wanted.is_empty() => {
            context.say(&format!("no symbols of actors: {}", failure.what));
            return Ok(Vec::new());
        }
        Err(failure) => return Err(failure),
    };
    let mut commands = Vec::new();
    for (name, file, base) in chosen(&actors, wanted)? {
        let path = match file {
            Some(file) => Some(PathBuf::from(file)),
            None => match images::symbols(&name) {
                Some(bytes) => {
                    let file = format!("{name}.elf");
                    runtime.write(&file, &bytes)?;
                    Some(runtime.folder().join(file))
                }
                None => None,
            },
        };
        match path {
            Some(path) => commands.push(format!("add-symbol-file {} -o {base}", path.display())),
            None => context.say(&format!(
                "no symbols of actor {name}: it is not a built-in one; give its file with --actor {name}=FILE"
            )),
        }
    }
    Ok(commands)
}

/// The actors whose symbols are to be loaded: name, file, base. Actors of different spaces lie at the same addresses, so that not all can be.
/// Errors: status 2, there is no such actor.
fn chosen(
    actors: &[ActorInfo],
    wanted: &[String],
) -> Outcome<Vec<(String, Option<String>, String)>> {
    let mut chosen = Vec::new();
    if wanted.is_empty() {
        let (supervisors, others): (Vec<_>, Vec<_>) =
            actors.iter().partition(|actor| actor.kind == "supervisor");
        let mut others = others.iter().filter(|actor| actor.name != SITE_MANAGER);
        let only = others.next().filter(|_| others.next().is_none());
        let all = supervisors.into_iter().chain(only.copied());
        chosen.extend(all.map(|actor| (actor.name.clone(), None, actor.base.clone())));
    }
    for wish in wanted {
        let (name, file) = match wish.split_once('=') {
            Some((name, file)) => (name, Some(file.to_owned())),
            None => (wish.as_str(), None),
        };
        let Some(actor) = actors.iter().find(|actor| actor.name == name) else {
            let names: Vec<&str> = actors.iter().map(|actor| actor.name.as_str()).collect();
            return Err(
                Failure::usage(format!("there is no actor {name} on this site"))
                    .hint(format!("there are: {}", names.join(", "))),
            );
        };
        chosen.push((name.to_owned(), file, actor.base.clone()));
    }
    Ok(chosen)
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
