//! Runs the conformance actor as each kind of actor.

use crate::cli::args::ConformanceHost;
use crate::cluster::failure::{Failure, Outcome};
use crate::cluster::{archive, images};
use crate::measure::microvm::{self, Microvm};
use serde::Serialize;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Name of the actor's image.
const ACTOR: &str = "conformance";
/// The kinds, and the names of the actors.
const KINDS: [&str; 3] = ["user", "system", "supervisor"];
/// What is said of the run over three sites, and the name of its actor.
pub const SITES: &str = "sites";
/// What is said of the run on a site with too little memory, and the name of its actor.
pub const PRESSURE: &str = "pressure";
/// All runs, in the order in which they are told.
pub const RUNS: [&str; 5] = [KINDS[0], KINDS[1], KINDS[2], SITES, PRESSURE];
/// The site of the actor that leads the run over three sites. The two behind it have its partners.
const LEADER: usize = KINDS.len() + 1;
/// Its site.
const PRESSED: usize = LEADER + 3;
/// Processors of each site.
const VCPUS: u32 = 2;
/// Longest that all of it may take on one host.
const LIMIT: Duration = Duration::from_secs(300);

/// One check that the actor made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// What it is of: `NC-191, NC-209`, `NC-011 deleted`, `threadStat`.
    pub of: String,
    /// Whether it holds.
    pub holds: bool,
}

/// One run of the actor.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Kind of actor; `sites` for a user actor that checks what takes three sites, with partners on the others.
    pub kind: &'static str,
    /// Where it ran.
    pub machine: String,
    /// What it checked.
    #[serde(skip)]
    pub checks: Vec<Check>,
    /// Why the run is no good, if it is not.
    pub complaint: Option<String>,
}

/// Runs it as every kind of actor.
///
/// # Errors
/// Status 5: the host is not able; others: a site could not be started.
pub fn all(host: ConformanceHost, nucleus: Option<&Path>) -> Outcome<Vec<Run>> {
    match host {
        ConformanceHost::Microvm => on_microvms(nucleus),
        ConformanceHost::Auto => on_cluster("auto", nucleus),
        ConformanceHost::Kvm => on_cluster("kvm", nucleus),
        ConformanceHost::Emulated => on_cluster("emulated", nucleus),
    }
}

/// A cluster with a site for each kind, so that none disturbs another, and three for what takes more than one.
fn topology() -> String {
    let mut text = format!("version = 1\n[defaults]\nvcpus = {VCPUS}\n");
    for (index, kind) in KINDS.iter().enumerate() {
        text += &format!(
            "[[site]]\n[[actor]]\nbuiltin = \"{ACTOR}\"\nname = \"{kind}\"\nsite = {}\nkind = \"{kind}\"\n",
            index + 1
        );
    }
    let (near, far) = (LEADER + 1, LEADER + 2);
    text += &format!(
        "[[site]]\nvcpus = 1\n[[actor]]\nbuiltin = \"{ACTOR}\"\nname = \"{SITES}\"\nsite = {LEADER}\nargs = [\"leader\", \"{near}\", \"{far}\"]\n"
    );
    text += &format!(
        "[[actor]]\nbuiltin = \"{ACTOR}\"\nname = \"breaker\"\nsite = {LEADER}\nkind = \"supervisor\"\nargs = [\"breaker\"]\n"
    );
    for site in [near, far] {
        text += &format!(
            "[[site]]\nvcpus = 1\n[[actor]]\nbuiltin = \"{ACTOR}\"\nname = \"partner\"\nsite = {site}\nkind = \"system\"\nargs = [\"partner\"]\n"
        );
    }
    // The least memory that a site can have: what is written is twice that.
    text += &format!(
        "[[site]]\nvcpus = 1\nmem = \"16M\"\nswap = \"64M\"\n[[actor]]\nbuiltin = \"{ACTOR}\"\nname = \"{PRESSURE}\"\nsite = {PRESSED}\nargs = [\"pressure\"]\n"
    );
    text
}

fn on_cluster(host: &str, nucleus: Option<&Path>) -> Outcome<Vec<Run>> {
    let failed = |why: String| Failure::failed(format!("the conformance cluster: {why}"));
    let me = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let mut command = Command::new(me);
    let name = format!("conformance-{}", std::process::id());
    let limit = LIMIT.as_secs().to_string();
    command.args(["--quiet", "--name", &name, "run", "-f", "-"]);
    command.args(["--host", host, "--timeout", &limit]);
    if let Some(path) = nucleus {
        command.arg("--nucleus").arg(path);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(topology().as_bytes())
            .map_err(|error| failed(error.to_string()))?;
    }
    let output = child
        .wait_with_output()
        .map_err(|error| failed(error.to_string()))?;
    let console = String::from_utf8_lossy(&output.stdout);
    let status = output.status.code();
    if console.is_empty() && !output.status.success() {
        // It has told why on stderr.
        let status = crate::cluster::failure::Status::ALL
            .into_iter()
            .find(|known| Some(i32::from(known.code())) == status);
        let status = status.unwrap_or(crate::cluster::failure::Status::Failed);
        return Err(Failure::new(
            status,
            format!("the conformance cluster ended with {}", output.status),
        ));
    }
    let machine = format!("{host} host, sites of {VCPUS} vCPUs");
    let mut runs: Vec<Run> = RUNS
        .iter()
        .enumerate()
        .map(|(index, kind)| {
            let site = if *kind == PRESSURE {
                PRESSED
            } else {
                index + 1
            };
            let prefix = format!("s{site}/{kind} | ");
            let lines = console
                .lines()
                .filter_map(|line| line.strip_prefix(&prefix));
            read(kind, machine.clone(), lines)
        })
        .collect();
    let whole = runs.iter().all(|run| run.complaint.is_none());
    let failed = runs
        .iter()
        .flat_map(|run| &run.checks)
        .any(|check| !check.holds);
    if let (Some(run), true) = (
        runs.first_mut(),
        whole && !failed && !output.status.success(),
    ) {
        run.complaint = Some(format!("the cluster ended with {}", output.status));
    }
    Ok(runs)
}

/// A bare microvm for each kind; a referee ends it.
fn on_microvms(nucleus: Option<&Path>) -> Outcome<Vec<Run>> {
    let version = microvm::version()?;
    let nucleus = match nucleus {
        Some(path) => std::fs::read(path).map_err(|error| {
            let why = crate::cluster::reason(&error);
            Failure::bad_file(format!("{}: {why}", path.display()))
        })?,
        None => images::builtin(images::NUCLEUS)?.to_vec(),
    };
    let mut runs = Vec::new();
    for kind in [KINDS[0], KINDS[1], KINDS[2], PRESSURE] {
        let referee = format!("{ACTOR} system 60 referee referee {kind}\n");
        let (conf, words) = match kind {
            PRESSURE => (
                format!(
                    "default-mapper system 40 default-mapper memory 16M\n{referee}{ACTOR} user 140 {kind} pressure\n"
                ),
                "chorus.swap=192M",
            ),
            kind => (format!("{referee}{ACTOR} {kind} 140 {kind}\n"), ""),
        };
        let archive = archive::build(&conf, "the conformance boot list", None)?;
        let site = Microvm {
            nucleus: &nucleus,
            archive: &archive,
            vcpus: VCPUS,
            mem_mib: 64,
            words,
            timeout: LIMIT,
        };
        let ended = site.run(|_| {})?;
        let machine = format!("bare microvm of {VCPUS} vCPUs, {version}");
        let mut run = read(kind, machine, ended.console.lines());
        let failed = run.checks.iter().any(|check| !check.holds);
        if run.complaint.is_none() && (ended.code != Some(0)) != failed {
            run.complaint = Some(format!(
                "{}: the site ended with {:?}",
                named(kind),
                ended.code
            ));
        }
        runs.push(run);
    }
    Ok(runs)
}

/// A run, for people.
pub fn named(kind: &str) -> String {
    match kind {
        SITES => "the user actor over three sites".to_owned(),
        PRESSURE => "the user actor that writes twice its site's memory".to_owned(),
        kind => format!("the {kind} actor"),
    }
}

/// What a run printed.
fn read<'a>(kind: &'static str, machine: String, lines: impl Iterator<Item = &'a str>) -> Run {
    let mut checks = Vec::new();
    let mut said = None;
    let mut last = String::new();
    for line in lines.map(str::trim_end) {
        if let Some(of) = line.strip_suffix(" ok") {
            checks.push(Check {
                of: of.to_owned(),
                holds: true,
            });
        } else if let Some(of) = line.strip_suffix(" FAILED") {
            checks.push(Check {
                of: of.to_owned(),
                holds: false,
            });
        } else if let Some(counts) = line.strip_prefix("conformance: ") {
            said = Some(counts.to_owned());
        }
        last = line.to_owned();
    }
    let failed = checks.iter().filter(|check| !check.holds).count();
    let counted = format!("{} passed, {failed} failed", checks.len() - failed);
    let complaint = match said {
        None => Some(format!(
            "{} did not get to its end; its last line: {}",
            named(kind),
            if last.is_empty() { "none" } else { &last }
        )),
        Some(said) if said != counted => Some(format!(
            "{} says {said}, but the lines say {counted}",
            named(kind)
        )),
        Some(_) => None,
    };
    Run {
        kind,
        machine,
        checks,
        complaint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_checks_and_the_last_one_counts_them() {
        let good = "boot\nNC-002 ok\nNC-011 deleted FAILED\nconformance: 1 passed, 1 failed\n";
        let run = read("user", String::new(), good.lines());
        assert_eq!(run.complaint, None);
        let names: Vec<_> = run
            .checks
            .iter()
            .map(|check| (check.of.as_str(), check.holds))
            .collect();
        assert_eq!(names, [("NC-002", true), ("NC-011 deleted", false)]);
    }

    #[test]
    fn a_run_that_breaks_off_or_loses_lines_is_no_good() {
        let broken = read("user", String::new(), "NC-002 ok\n".lines());
        assert!(broken.complaint.unwrap().contains("NC-002 ok"));
        let lost = read(
            "user",
            String::new(),
            "conformance: 1 passed, 0 failed".lines(),
        );
        assert!(lost.complaint.unwrap().contains("0 passed"));
        assert!(read("user", String::new(), "".lines()).complaint.is_some());
    }
}
