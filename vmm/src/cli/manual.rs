//! What the command says about itself and its machine: help, manual pages, completions, versions, `doctor`.
//!
//! All of it is made from the types in `args` and from the table of exit statuses, so that it cannot lag behind them.

use super::args::{self, DoctorArgs, HelpArgs, HostArg, ReadArgs};
use super::context::Context;
use super::output;
use crate::cluster::control;
use crate::cluster::failure::{Failure, Outcome, Status};
use crate::cluster::images;
use crate::host::{Backend, doctor};
use serde::Serialize;
use std::path::Path;

/// `chorus help`.
pub fn help(asked: &HelpArgs) -> Outcome<()> {
    if asked.topic == ["exit-codes"] {
        return output::text(&exit_codes());
    }
    if asked.topic == ["links"] {
        return output::text(&format!("{}\n", args::LINK_HELP));
    }
    let mut command = args::command();
    command.build();
    let mut found = &mut command;
    for word in &asked.topic {
        let names: Vec<String> = found
            .get_subcommands()
            .filter(|verb| !verb.is_hide_set())
            .map(|verb| verb.get_name().to_owned())
            .collect();
        match found.find_subcommand_mut(word) {
            Some(verb) => found = verb,
            None => {
                let failure = Failure::usage(format!("there is no help on \"{word}\""));
                let topics = names
                    .iter()
                    .map(String::as_str)
                    .chain(["exit-codes", "links"]);
                return Err(match crate::cluster::topology::nearest(word, topics) {
                    Some(meant) => failure.hint(format!("did you mean: chorus help {meant}")),
                    None => failure.hint("the verbs are listed by: chorus help"),
                });
            }
        }
    }
    output::text(&found.render_long_help().to_string())
}

fn exit_codes() -> String {
    let mut out = "Exit codes of chorus:\n\n    0  it worked\n".to_owned();
    for status in Status::ALL {
        out.push_str(&format!("  {:>3}  {}\n", status.code(), status.meaning()));
    }
    out.push_str("\nrun and exec end with the status of their actor (0 to 255). With several actors it is the first that is not 0,\n");
    out.push_str(
        "in the order of the topology and the sites. -v says on stderr which actor that was.\n",
    );
    out
}

/// `chorus completion`.
pub fn completion(shell: clap_complete::Shell) -> Outcome<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "chorus", &mut script);
    output::text(&String::from_utf8_lossy(&script))
}

/// `chorus man`.
pub fn man(context: &Context, folder: &Path) -> Outcome<()> {
    let fail = |path: &Path, error: &std::io::Error| {
        Failure::bad_file(format!(
            "{}: {}",
            path.display(),
            crate::cluster::reason(error)
        ))
    };
    std::fs::create_dir_all(folder).map_err(|error| fail(folder, &error))?;
    let mut command = args::command();
    command.build();
    let mut pages = 0;
    let verbs = command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set())
        .cloned();
    for page in std::iter::once(command.clone()).chain(verbs) {
        let main = page.get_name() == "chorus";
        let name = if main {
            "chorus".to_owned()
        } else {
            format!("chorus-{}", page.get_name())
        };
        let mut bytes = Vec::new();
        let man = clap_mangen::Man::new(page.name(name.clone()));
        let path = folder.join(format!("{name}.1"));
        man.render(&mut bytes)
            .map_err(|error| fail(&path, &error))?;
        if main {
            bytes.extend_from_slice(exit_section().as_bytes());
        }
        std::fs::write(&path, bytes).map_err(|error| fail(&path, &error))?;
        pages += 1;
    }
    context.say(&format!(
        "wrote {pages} pages; read one with: man {}",
        folder.join("chorus.1").display()
    ));
    Ok(())
}

/// The section on exit codes of the main page, in roff.
fn exit_section() -> String {
    let mut out = ".SH EXIT STATUS\n.TP\n\\fB0\\fR\nit worked\n".to_owned();
    for status in Status::ALL {
        out.push_str(&format!(
            ".TP\n\\fB{}\\fR\n{}\n",
            status.code(),
            status.meaning()
        ));
    }
    out + ".PP\n\\fBrun\\fR and \\fBexec\\fR end with the status of their actor.\n"
}

/// What `version --format json` prints.
#[derive(Serialize)]
struct Versions {
    chorus: &'static str,
    abi: u32,
    control: u32,
    target: String,
    nucleus: bool,
    actors: Vec<&'static str>,
}

/// `chorus version`.
pub fn version(_context: &Context, args: &ReadArgs) -> Outcome<()> {
    let versions = Versions {
        chorus: env!("CARGO_PKG_VERSION"),
        abi: chorus_abi::ABI_VERSION,
        control: control::VERSION,
        target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        nucleus: images::builtin(images::NUCLEUS).is_ok(),
        actors: images::builtin_names().collect(),
    };
    output::either(args.format.format, &versions, || {
        let carried = if versions.nucleus {
            "carried"
        } else {
            "not carried (built without the guest side)"
        };
        let actors = if versions.actors.is_empty() {
            "none".to_owned()
        } else {
            versions.actors.join(" ")
        };
        format!(
            "chorus {} ({})\nNucleus interface {}, control protocol {}\nnucleus: {carried}\nactors: {actors}\n",
            versions.chorus, versions.target, versions.abi, versions.control
        )
    })
}

/// `chorus doctor`.
pub fn doctor(context: &Context, args: &DoctorArgs) -> Outcome<u8> {
    let report = doctor::examine();
    output::either(args.format.format, &report, || {
        let rows: Vec<Vec<String>> = report
            .checks
            .iter()
            .map(|check| {
                let word = match check.status {
                    doctor::Status::Pass => "pass",
                    doctor::Status::Warn => "warn",
                    doctor::Status::Fail => "FAIL",
                    doctor::Status::Skip => "skip",
                };
                vec![word.to_owned(), check.name.clone(), check.detail.clone()]
            })
            .collect();
        let mut out = output::table(&["", "CHECK", "FOUND"], &rows);
        let fixes: Vec<String> = report
            .checks
            .iter()
            .filter_map(|check| {
                check
                    .fix
                    .as_ref()
                    .map(|fix| format!("  {}: {fix}\n", check.name))
            })
            .collect();
        if !fixes.is_empty() {
            out.push_str("\nTo fix:\n");
            out.push_str(&fixes.concat());
        }
        out + "\n" + &report.verdict + "\n"
    })?;
    let able = match args.host {
        HostArg::Auto => report.auto.is_some(),
        HostArg::Kvm => report.faithful,
        HostArg::Emulated => crate::host::emulated::missing().is_empty(),
    };
    if context.verbose > 0 && report.auto == Some(Backend::Emulated) {
        context.say("--host auto takes the emulated host here");
    }
    Ok(if able { 0 } else { Status::Host.code() })
}
