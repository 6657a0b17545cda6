//! `chorus sim`: many sites in this one process, in virtual time, from one seed.

pub mod script;

use super::args::{Format, SimArgs};
use super::context::Context;
use super::output;
use crate::cluster::failure::{Failure, Outcome};
use crate::cluster::plan::fresh_seed;
use chorus_fabric::Shape;
use chorus_sim::harm::{HARMS, Harm};
use chorus_sim::load::{LOADS, Load};
use chorus_sim::plant::Plant;
use chorus_sim::scenario::{Cluster, Keep, Limit, Report, Scenario, Source};
use chorus_sim::{diagram, scale, shrink};
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};

/// Runs of one shrinking at most.
const SHRINKING: u64 = 5000;

/// Runs `chorus sim`.
///
/// # Errors
/// Status 1: something was broken; 2: a word on the command line is wrong; 4: a script is wrong, or a file cannot be written.
pub fn sim(context: &Context, args: &SimArgs) -> Outcome<()> {
    if args.list {
        return list(args.format.format);
    }
    if args.scale {
        return growth(context, args);
    }
    let mut scenario = match &args.script {
        Some(file) => {
            let text = read_file(file)?;
            script::read(&file.display().to_string(), &text)?
        }
        None => from_args(args)?,
    };
    let mut last = None;
    for _ in 0..args.runs.max(1) {
        let begin = processor_time();
        let report = scenario.run(Keep::default()).map_err(Failure::usage)?;
        let took = processor_time().saturating_sub(begin);
        say(context, &scenario, &report, took);
        let broken = report.broken.is_some();
        last = Some((scenario.clone(), report));
        if broken {
            break;
        }
        scenario.cluster.seed += 1;
    }
    let Some((scenario, report)) = last else {
        return Ok(());
    };
    let mut shown = scenario.clone();
    let mut written = None;
    if let (Some(file), Some(_)) = (&args.shrink, report.broken) {
        let (short, file) = shorten(context, &scenario, file.as_deref())?;
        shown = short;
        written = Some(file);
    }
    if let Some(file) = &args.diagram {
        draw(&shown, file)?;
    }
    output::either(
        args.format.format,
        &Printed::new(&scenario, &report, written.as_deref()),
        || table(&scenario, &report),
    )?;
    match report.broken {
        None => Ok(()),
        Some(broken) => {
            let what = format!(
                "seed {}: {} (at s{}, {:.6} s)",
                scenario.cluster.seed,
                broken.what,
                broken.site,
                broken.time as f64 / 1e9
            );
            Err(match &written {
                Some(file) if file == "-" => Failure::failed(what),
                Some(file) => Failure::failed(what).hint(format!("chorus sim --script {file}")),
                None => Failure::failed(what)
                    .hint("--shrink writes the shortest script that breaks the same"),
            })
        }
    }
}

/// The run that the options describe.
fn from_args(args: &SimArgs) -> Outcome<Scenario> {
    let topology = Shape::parse(&args.topo).map_err(Failure::usage)?;
    let sites = args
        .sites
        .or_else(|| topology.sites().and_then(|sites| u16::try_from(sites).ok()))
        .unwrap_or(8);
    let seed = args.seed.unwrap_or_else(|| fresh_seed() % 1_000_000_000);
    let listed = |name: String| {
        Failure::usage(format!("there is no workload {name}")).hint("chorus sim --list has all")
    };
    let load = Load::named(args.workload.iter().map(String::as_str)).map_err(listed)?;
    let mut harms = Vec::new();
    for word in &args.nemesis {
        harms.extend(nemesis(word)?);
    }
    let limit = match &args.duration {
        Some(time) => Limit::Time(script::parse_time(time).map_err(Failure::usage)?),
        None => Limit::Events(args.events),
    };
    let plant = match &args.plant {
        Some(name) => {
            Plant::find(name).ok_or_else(|| Failure::usage(format!("no such bug: {name}")))?
        }
        None => Plant::None,
    };
    let links = script::links(args.link.iter().map(String::as_str)).map_err(Failure::usage)?;
    let cluster = Cluster {
        topology,
        links,
        plant,
        seal: args.sealed,
        watch: !args.silent,
        hello: !args.silent,
        groups: !args.silent || load.uses_group(),
        ..Cluster::new(seed, sites)
    };
    Ok(Scenario {
        cluster,
        source: Source::Programs { load, harms, limit },
    })
}

/// `loss`, `loss=10%`, `crash=5s`.
fn nemesis(word: &str) -> Outcome<Vec<Harm>> {
    let (name, strength) = word.split_once('=').unwrap_or((word, ""));
    let mut harms = Harm::named(name).ok_or_else(|| {
        Failure::usage(format!("there is no nemesis {name}")).hint("chorus sim --list has all")
    })?;
    if strength.is_empty() {
        return Ok(harms);
    }
    for harm in &mut harms {
        harm.strength = match strength.strip_suffix('%') {
            Some(percent) if harm.deed.is_of_links() => percent
                .parse::<f64>()
                .ok()
                .filter(|percent| (0.0..=100.0).contains(percent))
                .map(|percent| (percent * 1000.0) as u64)
                .ok_or_else(|| Failure::usage(format!("{word}: not a percentage")))?,
            None if !harm.deed.is_of_links() => script::parse_time(strength)
                .ok()
                .filter(|time| *time > 0)
                .ok_or_else(|| Failure::usage(format!("{word}: not a time such as 5s")))?,
            _ => {
                return Err(Failure::usage(format!(
                    "{word}: links take a percentage, what is done to sites a time"
                )));
            }
        };
    }
    Ok(harms)
}

fn read_file(file: &Path) -> Outcome<String> {
    let read = match file.to_str() {
        Some("-") => std::io::read_to_string(std::io::stdin()),
        _ => std::fs::read_to_string(file),
    };
    read.map_err(|error| {
        let reason = crate::cluster::reason(&error);
        Failure::bad_file(format!("{}: {reason}", file.display()))
    })
}

/// Writes a file, "-" is stdout.
fn write_file(file: &Path, text: &str) -> Outcome<()> {
    if file.to_str() == Some("-") {
        return output::text(text);
    }
    std::fs::write(file, text).map_err(|error| {
        let reason = crate::cluster::reason(&error);
        Failure::bad_file(format!("{}: {reason}", file.display()))
    })
}

/// What this process has had of processors.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// How fast a run was, on stderr: it uses one processor, and others on the machine shall not count.
fn say(context: &Context, scenario: &Scenario, report: &Report, took: Duration) {
    let seconds = took.as_secs_f64().max(1e-9);
    context.say(&format!(
        "seed {}: {} events in {seconds:.2} s of a processor, {:.0} a second",
        scenario.cluster.seed,
        report.events,
        report.events as f64 / seconds
    ));
}

/// The shortest script that breaks the same, written to a file; its name.
fn shorten(
    context: &Context,
    scenario: &Scenario,
    file: Option<&Path>,
) -> Outcome<(Scenario, String)> {
    let begin = Instant::now();
    let shrunk = shrink::shrink(scenario, SHRINKING, &mut |_, _| {}).ok_or_else(|| {
        Failure::failed(
            "the run breaks nothing when it is made again; this is a bug of the simulator",
        )
    })?;
    let name = file.map_or_else(
        || format!("sim-{}.toml", scenario.cluster.seed),
        |file| file.display().to_string(),
    );
    let about = shrunk.broken.what.to_string();
    write_file(Path::new(&name), &script::text(&shrunk.scenario, &about))?;
    context.say(&format!(
        "{} acts shrunk to {} in {} runs, {:.1} s: {name}",
        shrunk.before,
        shrunk.acts,
        shrunk.runs,
        begin.elapsed().as_secs_f64()
    ));
    Ok((shrunk.scenario, name))
}

/// The run again, as a picture.
fn draw(scenario: &Scenario, file: &Path) -> Outcome<()> {
    let keep = Keep {
        trace: true,
        ..Keep::default()
    };
    let report = scenario.run(keep).map_err(Failure::usage)?;
    let cluster = &scenario.cluster;
    let title = format!(
        "{} sites, {}, seed {}",
        cluster.sites, cluster.topology, cluster.seed
    );
    write_file(file, &diagram::svg(&report, &title).unwrap_or_default())
}

/// A run for programs.
#[derive(Serialize)]
struct Printed<'a> {
    seed: u64,
    sites: u16,
    topology: String,
    events: u64,
    frames: u64,
    calls: u64,
    answered: u64,
    not_executed: u64,
    unknown: u64,
    messages: u64,
    virtual_ns: u64,
    broken: Option<String>,
    broken_at_ns: Option<u64>,
    script: Option<&'a str>,
    counters: std::collections::BTreeMap<&'static str, u64>,
}

impl<'a> Printed<'a> {
    fn new(scenario: &Scenario, report: &Report, script: Option<&'a str>) -> Printed<'a> {
        Printed {
            seed: scenario.cluster.seed,
            sites: scenario.cluster.sites,
            topology: scenario.cluster.topology.to_string(),
            events: report.events,
            frames: report.frames,
            calls: report.calls,
            answered: report.ended[0],
            not_executed: report.ended[1],
            unknown: report.ended[2],
            messages: report.messages,
            virtual_ns: report.time,
            broken: report.broken.map(|broken| broken.what.to_string()),
            broken_at_ns: report.broken.map(|broken| broken.time),
            script,
            counters: report.counters.list().collect(),
        }
    }
}

fn table(scenario: &Scenario, report: &Report) -> String {
    let cluster = &scenario.cluster;
    let verdict = match report.broken {
        Some(broken) => format!("BROKEN: {}", broken.what),
        None => "nothing broken".to_owned(),
    };
    let rows = [
        ("seed", cluster.seed.to_string()),
        ("sites", format!("{}, {}", cluster.sites, cluster.topology)),
        ("virtual time", format!("{:.3} s", report.time as f64 / 1e9)),
        ("events", report.events.to_string()),
        ("frames", report.frames.to_string()),
        (
            "calls",
            format!(
                "{}: {} answered, {} surely not executed, {} of unknown outcome",
                report.calls, report.ended[0], report.ended[1], report.ended[2]
            ),
        ),
        ("messages", report.messages.to_string()),
        ("verdict", verdict),
    ];
    let mut out = String::new();
    for (name, value) in rows {
        out.push_str(&format!("{name:<14}{value}\n"));
    }
    out
}

#[derive(Serialize)]
struct Listed {
    kind: &'static str,
    name: &'static str,
    about: &'static str,
}

fn list(format: Format) -> Outcome<()> {
    let loads = LOADS.iter().map(|load| Listed {
        kind: "workload",
        name: load.name,
        about: load.about,
    });
    let harms = HARMS.iter().map(|harm| Listed {
        kind: "nemesis",
        name: harm.name,
        about: harm.about,
    });
    let all: Vec<Listed> = loads.chain(harms).collect();
    output::either(format, &all, || {
        let rows: Vec<Vec<String>> = all
            .iter()
            .map(|one| [one.kind, one.name, one.about].map(str::to_owned).to_vec())
            .collect();
        output::table(&["KIND", "NAME", "WHAT IT DOES"], &rows)
    })
}

#[derive(Serialize)]
struct Growth {
    sites: u16,
    first_calls: u64,
    locating_frames: u64,
    broadcasts: u64,
    later_calls: u64,
    locating_frames_later: u64,
    frames_later: u64,
}

/// What it costs to find a port, as sites grow.
fn growth(context: &Context, args: &SimArgs) -> Outcome<()> {
    let seed = args.seed.unwrap_or(1);
    let mut rows = Vec::new();
    for sites in scale::SITES {
        let row = scale::row(seed, sites);
        context.say(&format!("{sites} sites: {} events", row.events));
        rows.push(row);
    }
    if let Some(file) = &args.diagram {
        write_file(file, &scale::plot(&rows))?;
    }
    let printed: Vec<Growth> = rows
        .iter()
        .map(|row| Growth {
            sites: row.sites,
            first_calls: row.first,
            locating_frames: row.locating,
            broadcasts: row.broadcasts,
            later_calls: row.later,
            locating_frames_later: row.locating_later,
            frames_later: row.frames_later,
        })
        .collect();
    output::either(args.format.format, &printed, || {
        let each = |frames: u64, calls: u64| format!("{:.3}", frames as f64 / calls.max(1) as f64);
        let rows: Vec<Vec<String>> = printed
            .iter()
            .map(|row| {
                vec![
                    row.sites.to_string(),
                    row.first_calls.to_string(),
                    each(row.locating_frames, row.first_calls),
                    row.broadcasts.to_string(),
                    each(row.locating_frames_later, row.later_calls),
                    each(row.frames_later, row.later_calls),
                ]
            })
            .collect();
        output::table(
            &[
                ">SITES",
                ">PAIRS",
                ">LOCATING FRAMES, FIRST CALL",
                ">BROADCASTS",
                ">LOCATING FRAMES, LATER",
                ">ALL FRAMES, LATER",
            ],
            &rows,
        )
    })
}
