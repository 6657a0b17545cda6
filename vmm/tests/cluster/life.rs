//! A cluster in the background: what it tells, what it does, and that nothing is left of it.

use crate::lab::{Lab, wait};
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

fn up(lab: &Lab, sites: &str) {
    let words = ["--name", "x", "up", "-n", sites, "-d", "--wait"];
    lab.chorus(&words).with(0);
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn up_list_exec_pause_and_down() {
    let lab = Lab::new();
    up(&lab, "2");
    let listed = lab.chorus(&["--name", "x", "ps", "-a", "--format", "json"]);
    let listed = json(&listed.with(0).out);
    assert_eq!(listed["sites"][1]["state"], "ready");
    let actors = listed["actors"].as_array().unwrap();
    let managers = |name: &str| actors.iter().filter(|actor| actor["name"] == name).count();
    assert_eq!(
        (managers("network-manager"), managers("site-manager")),
        (2, 2)
    );

    let said = lab.chorus(&["--name", "x", "exec", "s2", "hello"]).with(0);
    assert_eq!(said.out, "hello from site 2 of 2: user actor, 1 cpus\n");
    lab.chorus(&["--name", "x", "exec", "s1", "ring", "0"])
        .with(2)
        .complaining("usage: ring");
    let log = lab.chorus(&["--name", "x", "logs", "s2"]).with(0);
    assert!(log.out.contains("hello from site 2"), "{log:#?}");
    assert!(!log.out.contains("site 1 of 2"), "{log:#?}");

    lab.chorus(&["--name", "x", "pause", "s1"]).with(0);
    // The other site finds that it is down, long before the time is over; when it runs again it takes a new incarnation.
    let words = ["--name", "x", "exec", "s1", "hello", "--timeout", "60"];
    lab.chorus(&words).with(6).complaining("K_ELINKFAILURE");
    lab.chorus(&["--name", "x", "resume", "s1"]).with(0);
    lab.chorus(&["--name", "x", "exec", "s1", "hello"]).with(0);

    lab.chorus(&["--name", "x", "down"]).with(0);
    lab.chorus(&["--name", "x", "down"]).with(0);
    let left = std::fs::read_dir(lab.folder().join("chorus")).unwrap();
    assert_eq!(left.count(), 0, "a runtime folder is left");
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn what_people_type_reaches_an_actor() {
    let lab = Lab::new();
    up(&lab, "1");
    lab.chorus(&["--name", "x", "exec", "s1", "--no-wait", "echo"])
        .with(0);
    let mut command = lab.command(&["--name", "x", "console", "s1"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut typed = child.stdin.take().unwrap();
    for text in ["one two\n", "bye\n", "\u{1}d"] {
        std::thread::sleep(Duration::from_secs(1));
        typed.write_all(text.as_bytes()).unwrap();
    }
    let said = wait(child);
    assert!(said.out.contains("echo: one two"), "{said:#?}");
    let listed = lab.chorus(&["--name", "x", "ps", "-a"]).with(0);
    assert!(!listed.out.contains("echo"), "it said bye: {listed:#?}");
    lab.chorus(&["--name", "x", "down"]).with(0);
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn a_killed_cluster_process_leaves_nothing_after_down() {
    let lab = Lab::new();
    up(&lab, "1");
    let pid = std::fs::read_to_string(lab.folder().join("chorus/x/pid")).unwrap();
    let pid = pid.split(' ').next().unwrap().to_owned();
    let kill = std::process::Command::new("kill")
        .args(["-9", &pid])
        .status();
    assert!(kill.unwrap().success());
    std::thread::sleep(Duration::from_millis(500));
    lab.chorus(&["--name", "x", "down"]).with(0);
    assert!(!lab.folder().join("chorus/x").exists());
    up(&lab, "1");
    lab.chorus(&["--name", "x", "down"]).with(0);
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn many_actors_come_and_go_without_a_trace() {
    let lab = Lab::new();
    up(&lab, "1");
    let pages = || {
        let listed = lab.chorus(&["--name", "x", "ps", "-a", "--format", "json"]);
        let listed = json(&listed.with(0).out);
        let actors = listed["actors"].as_array().unwrap().clone();
        let sum: u64 = actors
            .iter()
            .map(|actor| actor["pages"].as_u64().unwrap())
            .sum();
        (actors.len(), sum)
    };
    let exec = || drop(lab.chorus(&["--name", "x", "exec", "s1", "hello"]).with(0));
    (0..5).for_each(|_| exec());
    let before = pages();
    (0..40).for_each(|_| exec());
    let after = pages();
    // A manager may touch pages that it had not needed before; what each actor left would be forty.
    assert_eq!(after.0, before.0);
    assert!(
        after.1 < before.1 + 32,
        "{before:?} before, {after:?} after"
    );
    lab.chorus(&["--name", "x", "down"]).with(0);
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn a_site_that_dies_takes_its_callers_no_further_than_an_error() {
    let lab = Lab::new();
    up(&lab, "3");
    let command = lab
        .command(&["--name", "x", "exec", "all", "counter", "100000"])
        .spawn();
    std::thread::sleep(Duration::from_secs(2));
    // The server is there: calls are under way to it, and end with an error that tells the truth.
    lab.chorus(&["--name", "x", "kill", "s1"]).with(0);
    let said = wait(command.unwrap());
    assert!(said.status.is_some_and(|status| status != 0), "{said:#?}");
    let told = said.err.lines().filter(|line| line.contains("error: "));
    let truths = ["LinkFailure", "Unknown"];
    let told = told.filter(|line| truths.iter().any(|truth| line.contains(truth)));
    assert!(told.count() >= 2, "{said:#?}");
    for site in ["s2", "s3"] {
        lab.chorus(&["--name", "x", "exec", site, "hello"]).with(0);
    }
    lab.chorus(&["--name", "x", "down"]).with(0);
}
