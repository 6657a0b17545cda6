//! `chorus bench`: runs the benchmark actor, prints and compares.

use super::budgets::{self, Verdict};
use super::cluster;
use super::compare;
use super::counted;
use super::density;
use super::profile;
use super::record::{Facts, Record, host_cpu};
use super::remote;
use crate::cli::args::{BenchArgs, Format, HostArg};
use crate::cli::output;
use crate::cluster::failure::{Failure, Outcome, Status};
use crate::cluster::images;
use std::process::Command;

/// Partners of the measuring actor: kind, name, arguments (`actors/bench`).
pub(super) const PARTNERS: [(&str, &str, &[&str]); 4] = [
    ("user", "server-user", &["server", "user"]),
    ("supervisor", "server-sup", &["server", "supervisor"]),
    ("supervisor", "server-hdl", &["server", "handler"]),
    ("supervisor", "measure-sup", &["supervisor"]),
];

/// Suites of the benchmark actor on one site, and all of them.
const LOCAL: [&str; 7] = [
    "boot", "call", "fault", "ipc", "memory", "stretch", "switch",
];
const SUITES: [&str; 9] = [
    "boot", "call", "density", "fault", "ipc", "memory", "rpc", "stretch", "switch",
];

/// Name of the benchmark actor's image.
pub(super) const BENCH: &str = "bench";

/// The benchmark's cluster: everything on site 1.
fn local_topology(count: u32) -> String {
    let mut text = "version = 1\n[defaults]\nvcpus = 2\n[[site]]\n".to_owned();
    for (kind, name, args) in PARTNERS {
        text.push_str(&format!(
            "[[actor]]\nbuiltin = \"{BENCH}\"\nname = \"{name}\"\nsite = 1\nkind = \"{kind}\"\nargs = {args:?}\n"
        ));
    }
    text.push_str(&format!(
        "[[actor]]\nbuiltin = \"{BENCH}\"\nsite = 1\nkind = \"system\"\nargs = [\"{count}\"]\n"
    ));
    text
}

/// Runs `chorus bench`.
///
/// # Errors
/// The machine is not able (status 5), the guest failed (6), the base cannot be read (4), something got worse (3), nothing has such a name (2).
pub fn bench(args: &BenchArgs) -> Outcome<()> {
    if args.profile {
        return profile::profile(args, &nucleus(args)?);
    }
    let base = args
        .compare
        .as_ref()
        .map(|path| {
            let named = |why: String| Failure::bad_file(format!("{}: {why}", path.display()));
            let text = std::fs::read_to_string(path)
                .map_err(|error| named(crate::cluster::reason(&error)))?;
            compare::read_base(&text).map_err(named)
        })
        .transpose()?;
    let (facts, mut records) = if args.icount {
        counted::measure(args, &nucleus(args)?)?
    } else {
        timed(args)?
    };
    check_names(&args.suites, &records)?;
    records.retain(|record| record.matches(&args.suites));
    print(args, &facts, &records)?;
    match base {
        Some(base) => judge(&base, &records, args.tolerance),
        None => Ok(()),
    }
}

/// Refuses a name that no record has, with those that there are.
pub(super) fn check_names(wanted: &[String], records: &[Record]) -> Outcome<()> {
    let unknown = |word: &&String| {
        let word = std::slice::from_ref(*word);
        !records.iter().any(|record| record.matches(word))
    };
    let Some(word) = wanted.iter().find(unknown) else {
        return Ok(());
    };
    let mut names: Vec<&str> = Vec::new();
    for record in records {
        for name in [record.suite.as_str(), &record.op] {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let meant = crate::cluster::topology::nearest(word, names.iter().copied());
    let meant = meant.map_or(String::new(), |meant| format!("; did you mean {meant}?"));
    Err(
        Failure::usage(format!("nothing was measured for {word}{meant}"))
            .hint(format!("suites and operations: {}", names.join(", "))),
    )
}

fn nucleus(args: &BenchArgs) -> Outcome<Vec<u8>> {
    match &args.nucleus {
        Some(path) => std::fs::read(path).map_err(|error| {
            Failure::bad_file(format!(
                "{}: {}",
                path.display(),
                crate::cluster::reason(&error)
            ))
        }),
        None => images::builtin(images::NUCLEUS).map(<[u8]>::to_vec),
    }
}

/// Ticks of this machine's clock, and exits and frames: clusters run by this very command.
fn timed(args: &BenchArgs) -> Outcome<(Facts, Vec<Record>)> {
    let me = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("this program's own file: {error}")))?;
    let host = match args.host {
        HostArg::Auto => "auto",
        HostArg::Kvm => "kvm",
        HostArg::Emulated => "emulated",
    };
    let count = args.count.unwrap_or(1000);
    let mut command = Command::new(me);
    command.args(["--quiet", "run", "-f", "-", "--host", host]);
    if let Some(path) = &args.nucleus {
        command.arg("--nucleus").arg(path);
    }
    let nucleus = args.nucleus.as_deref();
    let mut records = Vec::new();
    if args.wants(&LOCAL) {
        let output = cluster::feed(command, &local_topology(count))?;
        records.extend(output.lines().filter_map(Record::in_line));
    }
    if args.wants(&["rpc"]) {
        records.extend(remote::measure(host, nucleus, count)?);
    }
    if args.wants(&["density"]) {
        records.extend(density::measure(host, nucleus)?);
    }
    let facts = Facts {
        chorus: env!("CARGO_PKG_VERSION").to_owned(),
        method: host.to_owned(),
        machine: "sites of 2 vCPUs; ticks of the time-stamp counter".to_owned(),
        host_cpu: host_cpu(),
    };
    Ok((facts, records))
}

impl BenchArgs {
    /// Whether one of these suites may hold what is asked for; a bare operation may be in any.
    fn wants(&self, suites: &[&str]) -> bool {
        let in_suite = |word: &String| {
            let (suite, _) = word.split_once('/').unwrap_or((word, ""));
            suites.contains(&suite) || !SUITES.contains(&suite)
        };
        self.suites.is_empty() || self.suites.iter().any(in_suite)
    }
}

fn print(args: &BenchArgs, facts: &Facts, records: &[Record]) -> Outcome<()> {
    if args.format.format == Format::Json {
        output::json_line(facts)?;
        return records.iter().try_for_each(output::json_line);
    }
    let budgets = records.iter().any(|record| record.budget.is_some());
    let mut headings = vec![
        "SUITE",
        "OPERATION",
        ">COUNT",
        ">MIN",
        ">MEDIAN",
        ">P99",
        ">MAX",
        "UNIT",
    ];
    if args.icount {
        headings.push(">KERNEL");
    }
    if budgets {
        headings.extend([">BUDGET", "VERDICT"]);
    }
    let row = |record: &Record| {
        let mut row = vec![
            record.suite.clone(),
            record.op.clone(),
            record.count.to_string(),
        ];
        row.extend([record.min, record.median, record.p99, record.max].map(number));
        row.push(record.unit.clone());
        row.push(record.kernel.map_or(String::new(), number));
        if let Some(budget) = &record.budget {
            row.extend([number(budget.most), verdict(budget)]);
        }
        row
    };
    let rows: Vec<Vec<String>> = records.iter().map(row).collect();
    let mut kernel = String::new();
    if args.icount {
        kernel.push_str("kernel: instructions of the Nucleus in the median run; budgets count those, or what is said\n");
        let missed = |record: &&Record| {
            let budget = record.budget.as_ref();
            record.kernel.is_some() && budget.is_some_and(|budget| !budget.reached)
        };
        let missed: Vec<&str> = records
            .iter()
            .filter(missed)
            .map(|record| record.op.as_str())
            .collect();
        if !missed.is_empty() {
            kernel.push_str(&format!(
                "where it goes: chorus bench --icount --profile {}\n",
                missed.join(" ")
            ));
        }
    }
    output::text(&format!(
        "{}\n{kernel}method: {}; {}\n",
        output::table(&headings, &rows),
        facts.method,
        facts.machine
    ))
}

/// Without decimals if there are none.
pub(super) fn number(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// `reached`, or by how much it was missed; and what was counted, if it is not simply the Nucleus' instructions.
fn verdict(budget: &Verdict) -> String {
    let mut text = if budget.reached {
        "reached".to_owned()
    } else {
        format!("missed by {}", number(budget.counted - budget.most))
    };
    if budget.of != budgets::KERNEL {
        text.push_str(&format!(": {} {}", number(budget.counted), budget.of));
    }
    text
}

fn judge(base: &[Record], records: &[Record], tolerance: f64) -> Outcome<()> {
    let (changes, alone) = compare::compare(base, records, tolerance);
    for line in alone {
        eprintln!("{line}");
    }
    let mut worse = Vec::new();
    for change in &changes {
        eprintln!("{}: {} -> {}", change.name, change.before, change.now);
        if change.regression {
            worse.push(format!(
                "{} ({} -> {})",
                change.name, change.before, change.now
            ));
        }
    }
    if worse.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Status::Regression,
        format!("worse by more than {tolerance} %: {}", worse.join(", ")),
    ))
}
