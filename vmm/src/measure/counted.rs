//! Exact counts: the benchmark on a bare microvm, where one tick of the clock is one instruction.
//!
//! The actors count all instructions between two readings of the clock. How many of them were the Nucleus' tells a second, short run of the same image of which the emulator logs every instruction
//! outside of the Nucleus: the rest is the Nucleus'. The same site runs once without the log before, and both must print the same bytes, so the log changed nothing.

use super::bench::{BENCH, PARTNERS, check_names};
use super::budgets;
use super::code::{Code, Located, Side};
use super::microvm::{self, Ended, Microvm};
use super::record::{Facts, Record, host_cpu};
use super::windows::{Cutter, Window, median};
use crate::cli::args::BenchArgs;
use crate::cluster::archive;
use crate::cluster::failure::{Failure, Outcome, Status};
use std::time::Duration;

/// Repetitions of each operation in a run that is logged.
const LOGGED: u32 = 3;
/// MiB of a site: the boot is counted with as little as it always was, copies of large regions take more.
pub const SMALL: u32 = 64;
/// The same.
pub const LARGE: u32 = 128;
/// The operation that is the boot.
pub const BOOT: &str = "first-actor";

/// Boot list of the benchmark on a bare site: the measuring actor comes first, and ends the site. `last` is one more argument of all.
fn boot_conf(count: u32, last: &str) -> String {
    let mut conf = format!("{BENCH} system 140 {BENCH} {count} halt {last}\n");
    for (kind, name, args) in PARTNERS {
        conf.push_str(&format!(
            "{BENCH} {kind} 140 {name} {} {last}\n",
            args.join(" ")
        ));
    }
    conf
}

/// Measures all operations.
///
/// # Errors
/// The machine is not able (status 5), the guest failed (6), the image has no symbols (4).
pub fn measure(args: &BenchArgs, nucleus: &[u8]) -> Outcome<(Facts, Vec<Record>)> {
    let facts = facts()?;
    let conf = boot_conf(args.count.unwrap_or(1000), "");
    let mut records = bare_run(nucleus, &boot_conf(1, ""), 1, SMALL)?;
    records.retain(|record| record.suite == "boot");
    let mut operations = bare_run(nucleus, &conf, 1, LARGE)?;
    count_kernel(&mut operations, &trace(nucleus, LOGGED, LARGE, false, &[])?);
    records.extend(
        operations
            .into_iter()
            .filter(|record| record.suite != "boot"),
    );
    // The boot with two processors: of that run only this counts.
    let boot = bare_run(nucleus, &boot_conf(1, ""), 2, SMALL)?;
    records.extend(
        boot.into_iter()
            .filter(|record| record.suite == "boot")
            .map(|record| Record {
                op: format!("{}-2-vcpus", record.op),
                ..record
            }),
    );
    records.iter_mut().for_each(in_instructions);
    budgets::judge(&mut records);
    Ok((facts, records))
}

/// What is known of the machine. Errors: there is no emulator.
pub fn facts() -> Outcome<Facts> {
    let options = microvm::OPTIONS.join(" ");
    Ok(Facts {
        chorus: env!("CARGO_PKG_VERSION").to_owned(),
        method: "icount".to_owned(),
        machine: format!("{}; {} {options}", microvm::version()?, microvm::QEMU),
        host_cpu: host_cpu(),
    })
}

/// Ticks of such a machine's clock are instructions, and nanoseconds.
fn in_instructions(record: &mut Record) {
    if record.suite == "stretch" {
        record.unit = "ticks".to_owned();
        record.op = named_stretch(&record.op);
    }
    if record.unit == "ticks" {
        record.unit = "instructions".to_owned();
    }
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

fn site<'a>(nucleus: &'a [u8], archive: &'a [u8], vcpus: u32, mem_mib: u32) -> Microvm<'a> {
    Microvm {
        nucleus,
        archive,
        vcpus,
        mem_mib,
        words: "",
        timeout: Duration::from_secs(300),
        line: None,
    }
}

/// The records on the console of a site that ended well.
fn records(ended: &Ended) -> Outcome<Vec<Record>> {
    if ended.code != Some(0) {
        let last = microvm::last_line(&ended.console);
        let what = format!(
            "the benchmark ended with {:?}; last line: {last}",
            ended.code
        );
        return Err(Failure::new(Status::Guest, what));
    }
    Ok(ended.console.lines().filter_map(Record::in_line).collect())
}

/// One boot of the benchmark.
fn bare_run(nucleus: &[u8], conf: &str, vcpus: u32, mem_mib: u32) -> Outcome<Vec<Record>> {
    let archive = archive::build(conf, "the benchmark's boot list", None)?;
    records(&site(nucleus, &archive, vcpus, mem_mib).run(|_| ())?)
}

/// A run of the benchmark of which the emulator logged the instructions.
pub struct Trace {
    /// Whose they are.
    pub code: Code,
    /// What the actors printed, in order, and the runs of each operation that the record is about: none if it is about something else.
    pub operations: Vec<(Record, Vec<Window>)>,
    /// From the first instruction of the Nucleus to the first of an actor.
    pub boot: Window,
}

/// Runs the benchmark with each operation done `count` times, and logs it: all, or else what is not the Nucleus'. Names of operations that are `wanted` are checked first.
///
/// # Errors
/// Those of [`measure`]; no operation has such a name (status 2); status 1: the log does not fit to what the actors printed.
pub fn trace(
    nucleus: &[u8],
    count: u32,
    mem_mib: u32,
    all: bool,
    wanted: &[String],
) -> Outcome<Trace> {
    let conf = boot_conf(count, "located");
    let archive = archive::build(&conf, "the benchmark's boot list", None)?;
    let site = site(nucleus, &archive, 1, mem_mib);
    let plain = site.run(|_| ())?;
    let printed = records(&plain)?;
    check_names(wanted, &printed)?;
    let actors = plain.console.lines().filter_map(Located::in_line);
    let code = Code::new(nucleus, actors.collect())?;
    let ranges = if all {
        Vec::new()
    } else {
        code.but_the_nucleus()
    };
    let mut cutter = Cutter::new(code.readings());
    let mut boot = Window::default();
    let mut booting = true;
    let ended = site.traced(
        code.entries(),
        &ranges,
        |_| (),
        |step| {
            if booting {
                match code.side(step) {
                    Side::Kernel if code.is_nucleus(step.pc) => boot.add(step),
                    Side::Kernel => {}
                    Side::User | Side::Supervisor => booting = false,
                }
            }
            cutter.step(step);
        },
    )?;
    if ended.code != plain.code || ended.console != plain.console {
        return Err(Failure::failed(
            "the benchmark did something else when its instructions were logged",
        ));
    }
    let windows = cutter.records();
    if windows.len() != printed.len() {
        return Err(Failure::failed(format!(
            "the log of instructions ended after {} of {} operations",
            windows.len(),
            printed.len()
        )));
    }
    let mut operations: Vec<(Record, Vec<Window>)> = printed.into_iter().zip(windows).collect();
    for (record, windows) in &mut operations {
        in_instructions(record);
        if let Some(window) = median(windows).filter(|_| all)
            && window.total as f64 != record.median
        {
            return Err(Failure::failed(format!(
                "the log of instructions has {} for {}, the actor's clock {}",
                window.total, record.op, record.median
            )));
        }
    }
    Ok(Trace {
        code,
        operations,
        boot,
    })
}

/// Tells of each operation how many of its instructions were the Nucleus'.
fn count_kernel(records: &mut [Record], trace: &Trace) {
    for record in records.iter_mut() {
        let logged = trace
            .operations
            .iter()
            .find(|(other, _)| other.op == record.op);
        let Some(window) = logged.and_then(|(_, windows)| median(windows)) else {
            continue;
        };
        let actors = window.steps.iter();
        let actors = actors.filter(|(step, _)| trace.code.side(**step) != Side::Kernel);
        let actors: u64 = actors.map(|(_, times)| times).sum();
        record.kernel = Some(record.median - actors as f64);
    }
    // The actor computes this one from two others: clearing is the Nucleus' work in the one and the actor's in the other.
    let find = |op: &str| records.iter().find(|record| record.op == op);
    let cleared = find("zero-page").and_then(|record| record.kernel);
    let clearing = find("clearing-a-page").map(|record| record.median);
    if let (Some(cleared), Some(clearing)) = (cleared, clearing)
        && let Some(rest) = records
            .iter_mut()
            .find(|record| record.op == "zero-page-but-clearing")
    {
        rest.kernel = Some(cleared - clearing);
    }
}
