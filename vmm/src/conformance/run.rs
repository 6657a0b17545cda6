//! Runs the conformance actor as each kind of actor.

use crate::cli::args::ConformanceHost;
use crate::cluster::failure::{Failure, Outcome, Status};
use crate::cluster::{archive, images};
use crate::measure::microvm::{self, Microvm};
use serde::Serialize;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Name of the actor's image.
const ACTOR: &str = "conformance";
/// The kinds, and the names of the actors.
const KINDS: [&str; 3] = ["user", "system", "supervisor"];
/// What is said of the run over several sites, and the name of its actor.
pub const SITES: &str = "sites";
/// What is said of the run on a site with too little memory, and the name of its actor.
pub const PRESSURE: &str = "pressure";
/// All runs, in the order in which they are told.
pub const RUNS: [&str; 5] = [KINDS[0], KINDS[1], KINDS[2], SITES, PRESSURE];
/// The site of the actor that leads the run over several sites. Those behind it have its partners.
const LEADER: usize = 1;
/// The last of the partners: the host ends its site when the leader asks for it.
const DOOMED: usize = LEADER + 4;
/// Partners of the supervisor actor, beside it on its site: name, kind, argument. They end as it wants them to: by exceptions.
const PARTNERS: [(&str, &str, &str); 4] = [
    ("victim", "user", "victim"),
    ("saboteur", "supervisor", "saboteur"),
    ("overrunner", "supervisor", "saboteur stack"),
    ("faulter", "supervisor", "saboteur handler"),
];
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
    /// Kind of actor; `sites` for a user actor that checks what takes several sites, with partners on the others.
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
        ConformanceHost::Auto => on_clusters("auto", nucleus),
        ConformanceHost::Kvm => on_clusters("kvm", nucleus),
        ConformanceHost::Emulated => on_clusters("emulated", nucleus),
    }
}

fn actor(site: usize, vcpus: u32, name: &str, more: &str) -> String {
    format!(
        "[[site]]\nvcpus = {vcpus}\n[[actor]]\nbuiltin = \"{ACTOR}\"\nname = \"{name}\"\nsite = {site}\n{more}\n"
    )
}

/// A cluster with a site for each kind, so that none disturbs another.
fn kinds() -> String {
    let site = |(index, kind): (usize, &&str)| {
        actor(index + 1, VCPUS, kind, &format!("kind = \"{kind}\""))
    };
    let sites: String = KINDS.iter().enumerate().map(site).collect();
    let partners = PARTNERS.map(|(name, kind, arguments)| {
        let words: Vec<_> = arguments.split(' ').collect();
        format!(
            "[[actor]]\nbuiltin = \"{ACTOR}\"\nname = \"{name}\"\nsite = {}\nkind = \"{kind}\"\nargs = {words:?}\n",
            KINDS.len()
        )
    });
    format!("version = 1\n{sites}{}", partners.concat())
}

/// A cluster for what takes more than one site: a leader and its partners, two of them behind links with faults.
fn sites() -> String {
    let partners: Vec<usize> = (LEADER + 1..=DOOMED).collect();
    let words: Vec<String> = partners.iter().map(|site| format!("\"{site}\"")).collect();
    let order = format!("args = [\"leader\", {}]", words.join(", "));
    let mut text = format!("version = 1\n{}", actor(LEADER, 1, SITES, &order));
    for site in partners {
        text += &actor(
            site,
            1,
            "partner",
            "kind = \"system\"\nargs = [\"partner\"]",
        );
    }
    text += &format!(
        "[[actor]]\nbuiltin = \"{ACTOR}\"\nname = \"breaker\"\nsite = {LEADER}\nkind = \"supervisor\"\nargs = [\"breaker\"]\n"
    );
    for (site, fault) in [(DOOMED - 1, "loss = 20"), (DOOMED, "duplicate = 20")] {
        text += &format!("[[link]]\na = {LEADER}\nb = {site}\n{fault}\n");
    }
    text
}

/// A site with the least memory that one can have, and a default mapper: what is written is twice that.
fn pressure() -> String {
    format!(
        "version = 1\n[[site]]\nvcpus = 1\nmem = \"16M\"\nswap = \"64M\"\n[[actor]]\nbuiltin = \"{ACTOR}\"\nname = \"{PRESSURE}\"\nsite = 1\nargs = [\"pressure\"]\n"
    )
}

/// All, one after the other: what is measured in time is not disturbed by what the other does to the machine.
fn on_clusters(host: &str, nucleus: Option<&Path>) -> Outcome<Vec<Run>> {
    let mut runs = on_cluster(host, nucleus, &kinds(), &KINDS)?;
    runs.extend(on_cluster(host, nucleus, &sites(), &[SITES])?);
    runs.extend(on_cluster(host, nucleus, &pressure(), &[PRESSURE])?);
    Ok(runs)
}

/// Does what the leader asks of the host. Whether a site was ended.
fn obey(me: &Path, name: &str, line: &str) -> bool {
    let asked = line.strip_prefix(&format!("s{LEADER}/{SITES} | host: kill "));
    // No other site is ended, whatever a guest writes.
    if asked.map(str::trim_end) != Some(DOOMED.to_string().as_str()) {
        return false;
    }
    Command::new(me)
        .args(["--quiet", "--name", name, "kill", &DOOMED.to_string()])
        .stdin(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether a line of the cluster tells of an end that is as it should be: of the site whose end was asked for, or of a partner of the supervisor actor.
fn is_known(line: &str) -> bool {
    let of_partner = |(name, ..): &(&str, &str, &str)| {
        line.starts_with(&format!("error: actor {name} on site {}: ", KINDS.len()))
    };
    line == format!("error: actor partner on site {DOOMED}: its site ended")
        || PARTNERS.iter().any(of_partner)
}

/// Passes on what the cluster complains of, but not what should be.
fn pass_on(errors: impl Read) {
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        if !is_known(&line) {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }
}

/// Runs a cluster; what its first sites print, each an actor of a name, is a run each.
fn on_cluster(
    host: &str,
    nucleus: Option<&Path>,
    topology: &str,
    names: &[&'static str],
) -> Outcome<Vec<Run>> {
    let failed = |why: String| Failure::failed(format!("the conformance cluster: {why}"));
    let me = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let mut command = Command::new(&me);
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
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(topology.as_bytes())
            .map_err(|error| failed(error.to_string()))?;
    }
    let errors = child
        .stderr
        .take()
        .map(|errors| std::thread::spawn(move || pass_on(errors)));
    let mut console = String::new();
    let mut killed = false;
    let mut reader = BufReader::new(
        child
            .stdout
            .take()
            .ok_or_else(|| failed("no output".into()))?,
    );
    let mut line = Vec::new();
    while reader
        .read_until(b'\n', &mut line)
        .is_ok_and(|count| count > 0)
    {
        let text = String::from_utf8_lossy(&line);
        killed |= obey(&me, &name, &text);
        console.push_str(&text);
        line.clear();
    }
    let exit = child.wait().map_err(|error| failed(error.to_string()))?;
    let _ = errors.map(std::thread::JoinHandle::join);
    let status = exit.code();
    // The partner on the site that was ended did not end by itself, and those of the supervisor actor end by exceptions.
    let others_end = killed || names == KINDS;
    let well = exit.success() || (others_end && status == Some(i32::from(Status::Guest.code())));
    if console.is_empty() && !exit.success() {
        // It has told why on stderr.
        let status = Status::ALL
            .into_iter()
            .find(|known| Some(i32::from(known.code())) == status);
        let status = status.unwrap_or(Status::Failed);
        return Err(Failure::new(
            status,
            format!("the conformance cluster ended with {exit}"),
        ));
    }
    let machine = format!("{host} host, sites of {VCPUS} vCPUs");
    let mut runs: Vec<Run> = names
        .iter()
        .enumerate()
        .map(|(index, kind)| {
            let prefix = format!("s{}/{kind} | ", index + 1);
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
    if let (Some(run), true) = (runs.first_mut(), whole && !failed && !well) {
        run.complaint = Some(format!("the cluster ended with {exit}"));
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
            kind => {
                let partners = PARTNERS.map(|(name, of, arguments)| match kind == KINDS[2] {
                    true => format!("{ACTOR} {of} 140 {name} {arguments}\n"),
                    false => String::new(),
                });
                let partners = partners.concat();
                (
                    format!("{referee}{partners}{ACTOR} {kind} 140 {kind}\n"),
                    "",
                )
            }
        };
        let archive = archive::build(&conf, "the conformance boot list", None)?;
        let site = Microvm {
            nucleus: &nucleus,
            archive: &archive,
            vcpus: VCPUS,
            mem_mib: 64,
            words,
            timeout: LIMIT,
            line: None,
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
        SITES => "the user actor over five sites".to_owned(),
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
    fn ends_that_were_wanted_are_not_complained_of() {
        for known in [
            "error: actor victim on site 3: illegal instruction at 0x1",
            "error: actor partner on site 5: its site ended",
        ] {
            assert!(is_known(known), "{known}");
        }
        for other in [
            "error: actor supervisor on site 3: illegal instruction at 0x1",
            "error: actor victim on site 2: illegal instruction at 0x1",
            "error: actor partner on site 4: its site ended",
        ] {
            assert!(!is_known(other), "{other}");
        }
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
