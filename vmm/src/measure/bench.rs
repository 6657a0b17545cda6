//! `chorus bench`: runs the benchmark actor, prints and compares.

use super::cluster;
use super::compare;
use super::density;
use super::microvm::{self, Microvm};
use super::record::{Facts, Record, host_cpu};
use super::remote;
use crate::cli::args::{BenchArgs, Format, HostArg};
use crate::cli::output;
use crate::cluster::failure::{Failure, Outcome, Status};
use crate::cluster::{archive, images};
use std::process::Command;
use std::time::Duration;

/// Partners of the measuring actor: kind, name, arguments (`actors/bench`).
const PARTNERS: [(&str, &str, &[&str]); 4] = [
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
const BENCH: &str = "bench";

/// Boot list of the benchmark on a bare site: the measuring actor comes first, and ends the site.
fn boot_conf(count: u32) -> String {
    let mut conf = format!("{BENCH} system 140 {BENCH} {count} halt\n");
    for (kind, name, args) in PARTNERS {
        conf.push_str(&format!("{BENCH} {kind} 140 {name} {}\n", args.join(" ")));
    }
    conf
}

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
/// The machine is not able (status 5), the guest failed (6), the base cannot be read (4), something got worse (3).
pub fn bench(args: &BenchArgs) -> Outcome<()> {
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
    let (facts, records) = if args.icount {
        counted(args)?
    } else {
        timed(args)?
    };
    let records: Vec<Record> = records
        .into_iter()
        .filter(|record| record.matches(&args.suites))
        .collect();
    if records.is_empty() {
        return Err(Failure::usage(format!(
            "nothing was measured for {}",
            args.suites.join(", ")
        ))
        .hint("chorus bench without a suite shows all of them"));
    }
    print(args, &facts, &records)?;
    match base {
        Some(base) => judge(&base, &records, args.tolerance),
        None => Ok(()),
    }
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

/// Exact counts: the image on a bare microvm, one tick an instruction.
fn counted(args: &BenchArgs) -> Outcome<(Facts, Vec<Record>)> {
    let version = microvm::version()?;
    let nucleus = nucleus(args)?;
    let conf = boot_conf(args.count.unwrap_or(1000));
    // Copies of large regions take memory; the boot is counted with as little as it always was.
    let mut records = bare_run(&nucleus, &boot_conf(1), 1, 64)?;
    records.retain(|record| record.suite == "boot");
    let operations = bare_run(&nucleus, &conf, 1, 128)?;
    records.extend(
        operations
            .into_iter()
            .filter(|record| record.suite != "boot"),
    );
    // The boot with two processors: of that run only this counts.
    let boot = bare_run(&nucleus, &boot_conf(1), 2, 64)?;
    records.extend(
        boot.into_iter()
            .filter(|record| record.suite == "boot")
            .map(|record| Record {
                op: format!("{}-2-vcpus", record.op),
                ..record
            }),
    );
    for record in &mut records {
        if record.suite == "stretch" {
            // One tick of the clock is one instruction, and a nanosecond.
            record.unit = "ticks".to_owned();
            record.op = named_stretch(&record.op);
        }
        if record.unit == "ticks" {
            record.unit = "instructions".to_owned();
        }
    }
    let facts = Facts {
        chorus: env!("CARGO_PKG_VERSION").to_owned(),
        method: "icount".to_owned(),
        machine: format!(
            "{version}; {} {}",
            microvm::QEMU,
            microvm::OPTIONS.join(" ")
        ),
        host_cpu: host_cpu(),
    };
    Ok((facts, records))
}

/// What the longest stretch was in, a call by its name: the actor knows its number only.
fn named_stretch(op: &str) -> String {
    let call = op.split_once("-in-call-").and_then(|(of, number)| {
        let number = number.parse::<u16>().ok()?;
        let calls = chorus_abi::table::CALLS;
        let call = calls.iter().find(|call| call.number == number)?;
        Some(format!("{of}-in-{}", call.name))
    });
    call.unwrap_or_else(|| op.to_owned())
}

/// One boot of the benchmark on a bare microvm.
fn bare_run(nucleus: &[u8], conf: &str, vcpus: u32, mem_mib: u32) -> Outcome<Vec<Record>> {
    let archive = archive::build(conf, "the benchmark's boot list", None)?;
    let site = Microvm {
        nucleus,
        archive: &archive,
        vcpus,
        mem_mib,
        words: "",
        timeout: Duration::from_secs(300),
        line: None,
    };
    let mut records = Vec::new();
    let ended = site.run(|line| records.extend(Record::in_line(line)))?;
    if ended.code != Some(0) {
        return Err(Failure::new(
            Status::Guest,
            format!(
                "the benchmark ended with {:?}; last line: {}",
                ended.code,
                microvm::last_line(&ended.console)
            ),
        ));
    }
    Ok(records)
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
    let number = |value: f64| {
        if value.fract() == 0.0 {
            format!("{value:.0}")
        } else {
            format!("{value:.1}")
        }
    };
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|record| {
            let mut row = vec![
                record.suite.clone(),
                record.op.clone(),
                record.count.to_string(),
            ];
            row.extend([record.min, record.median, record.p99, record.max].map(number));
            row.push(record.unit.clone());
            row
        })
        .collect();
    let headings = [
        "SUITE",
        "OPERATION",
        ">COUNT",
        ">MIN",
        ">MEDIAN",
        ">P99",
        ">MAX",
        "UNIT",
    ];
    output::text(&format!(
        "{}\nmethod: {}; {}\n",
        output::table(&headings, &rows),
        facts.method,
        facts.machine
    ))
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
