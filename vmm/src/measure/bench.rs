//! `chorus bench`: runs the benchmark actor, prints and compares.

use super::compare;
use super::microvm::{self, Microvm};
use super::record::{Facts, Record, host_cpu};
use crate::cli::args::{BenchArgs, Format, HostArg};
use crate::cli::output;
use crate::cluster::failure::{Failure, Outcome, Status};
use crate::cluster::{archive, images};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Boot list of the benchmark on a bare site: the measuring actor starts its partners by these names and ends the site.
const BOOT_CONF: &str = "\
bench system 60 bench
";

/// Name of the benchmark actor.
const BENCH: &str = "bench";

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
    let count = args.count.unwrap_or(1000).to_string();
    let conf = format!("{} {count}\n", BOOT_CONF.trim_end());
    let archive = archive::build(&conf, "the benchmark's boot list", None)?;
    let site = Microvm {
        nucleus: &nucleus(args)?,
        archive: &archive,
        vcpus: 1,
        mem_mib: 64,
        timeout: Duration::from_secs(300),
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
    for record in &mut records {
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

/// Ticks of this machine's clock: a cluster of two sites, run by this very command.
fn timed(args: &BenchArgs) -> Outcome<(Facts, Vec<Record>)> {
    let me = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("this program's own file: {error}")))?;
    let host = match args.host {
        HostArg::Auto => "auto",
        HostArg::Kvm => "kvm",
        HostArg::Emulated => "emulated",
    };
    let mut command = Command::new(me);
    command.args([
        "--quiet", "run", "-n", "2", "--vcpus", "2", "--host", host, "--on", "1",
    ]);
    if let Some(path) = &args.nucleus {
        command.arg("--nucleus").arg(path);
    }
    command
        .arg(BENCH)
        .arg(args.count.unwrap_or(1000).to_string());
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::failed(format!("chorus run: {error}")))?;
    if !output.status.success() {
        return Err(Failure::new(
            Status::Guest,
            format!("the benchmark's cluster ended with {}", output.status),
        ));
    }
    let records = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(Record::in_line)
        .collect();
    let facts = Facts {
        chorus: env!("CARGO_PKG_VERSION").to_owned(),
        method: host.to_owned(),
        machine: "two sites of 2 vCPUs; ticks of the time-stamp counter".to_owned(),
        host_cpu: host_cpu(),
    };
    Ok((facts, records))
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
