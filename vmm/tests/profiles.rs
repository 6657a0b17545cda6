//! `chorus bench --icount`: what the Nucleus takes of each operation, what budgets say of it, and in which functions it is.

use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn chorus(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chorus"));
    command.args(words);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The objects of a command that ends well.
fn objects(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    let lines = lines.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn of<'a>(objects: &'a [Value], op: &str) -> &'a Value {
    objects.iter().find(|object| object["op"] == op).unwrap()
}

/// A run of `chorus bench --icount --profile` of these operations: its standard output, and the folded stacks.
fn profile(folder: &Path, ops: &[&str]) -> (Output, String) {
    let folded = folder.join("folded");
    let words = ["bench", "--icount", "--profile", "--format", "json"];
    let mut command = chorus(&words);
    let output = command.args(ops).arg("--folded").arg(&folded).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (output, std::fs::read_to_string(folded).unwrap())
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn the_profile_adds_up_to_what_the_clock_says_and_is_the_same_each_time() {
    let output = chorus(&["bench", "--icount", "--format", "json"]).output();
    let table = objects(&output.unwrap());
    let budgets = table.iter().filter(|record| !record["budget"].is_null());
    // Those of the design that are about one site, two of the boot, two of bytes.
    assert_eq!(budgets.count(), 12, "{table:?}");
    for record in table.iter().filter(|record| !record["kernel"].is_null()) {
        let (kernel, median) = (record["kernel"].as_f64(), record["median"].as_f64());
        assert!(kernel < median && kernel >= Some(0.0), "{record}");
        let Some(most) = record["budget"]["most"].as_f64() else {
            continue;
        };
        let reached = record["budget"]["counted"].as_f64() <= Some(most);
        assert_eq!(record["budget"]["reached"], reached, "{record}");
    }

    let folder = tempfile::tempdir().unwrap();
    let ops = ["null-user", "user-handler", "fault/zero-page"];
    let (output, folded) = profile(folder.path(), &ops);
    let profiles = objects(&output);
    assert_eq!(profiles.len(), 1 + ops.len());
    for op in ["null-user", "user-handler", "zero-page"] {
        let (profile, record) = (of(&profiles, op), of(&table, op));
        let number = |name: &str| profile[name].as_u64().unwrap();
        // The one is from the emulator's log, the other from the clock of the machine: to the instruction.
        assert_eq!(
            number("kernel") + number("user") + number("supervisor"),
            number("total")
        );
        assert_eq!(
            Some(number("total") as f64),
            record["median"].as_f64(),
            "{op}"
        );
        assert_eq!(
            Some(number("kernel") as f64),
            record["kernel"].as_f64(),
            "{op}"
        );
        let parts = profile["functions"].as_array().unwrap();
        let parts = parts
            .iter()
            .map(|part| part["instructions"].as_u64().unwrap());
        assert_eq!(parts.sum::<u64>(), number("total"));
        let stacks = folded
            .lines()
            .filter(|line| line.starts_with(&format!("{op};")));
        let counts = stacks.map(|line| {
            let (frames, count) = line.rsplit_once(' ').unwrap();
            let frames: Vec<&str> = frames.split(';').collect();
            assert!(frames.len() >= 3 && ["kernel", "user", "supervisor"].contains(&frames[1]));
            assert!(frames.iter().all(|frame| !frame.is_empty()));
            count.parse::<u64>().unwrap()
        });
        assert_eq!(counts.sum::<u64>(), number("total"));
    }
    let names = |op: &str| {
        let functions = of(&profiles, op)["functions"].as_array().unwrap();
        let name = |part: &Value| format!("{} {}", part["ring"], part["function"]);
        functions.iter().map(name).collect::<Vec<_>>().join("\n")
    };
    for function in [
        "\"kernel\" \"call_entry\"",
        "null_call\"",
        "\"user\" \"sysNull\"",
    ] {
        assert!(
            names("null-user").contains(function),
            "{function}: {}",
            names("null-user")
        );
    }
    // The routine of a message handler is the actor's, in the Nucleus' ring.
    assert!(names("user-handler").contains("\"supervisor\" \"chorus_bench::server::answer\""));
    assert!(names("zero-page").contains("\"kernel\" \"trap_common\""));

    let (again, folded_again) = profile(folder.path(), &ops);
    assert_eq!((again.stdout, folded_again), (output.stdout, folded));
}

/// The command ends with this status, and says this.
fn refused(command: &mut Command, status: i32, says: &[&str]) {
    let output = command.output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{said}");
    for part in says {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn what_cannot_be_profiled_is_told() {
    let words = ["bench", "--icount", "--profile", "nul-user"];
    let says = ["nul-user; did you mean null-user?", "user-user-annex"];
    refused(&mut chorus(&words), 2, &says);
    refused(&mut chorus(&["bench", "--profile"]), 2, &["--icount"]);
    let words = ["bench", "--icount", "--profile"];
    refused(
        chorus(&words).env("PATH", "/nowhere"),
        5,
        &["qemu-system-x86_64 cannot be started"],
    );

    // An emulator whose log is lost.
    let folder = tempfile::tempdir().unwrap();
    let emulator = folder.path().join("qemu-system-x86_64");
    let path = std::env::var("PATH").unwrap();
    let script = format!("#!/bin/sh\nPATH='{path}' exec qemu-system-x86_64 \"$@\" 2>/dev/null\n");
    std::fs::write(&emulator, script).unwrap();
    std::fs::set_permissions(&emulator, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = chorus(&["bench", "--icount", "null-user"]);
    command.env("PATH", format!("{}:{path}", folder.path().display()));
    refused(
        &mut command,
        1,
        &["the log of instructions ended after 0 of"],
    );
}
