//! Every example gives its expected output, also on links that lose frames.

use crate::lab::{Lab, root};
use std::process::Command;

/// How often each example runs; `CHORUS_REPEAT` asks for more.
fn rounds() -> usize {
    std::env::var("CHORUS_REPEAT")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2)
}

fn expected(example: &str) -> String {
    let file = root().join("examples").join(example).join("expected.txt");
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn every_example_gives_its_expected_output() {
    let lab = Lab::new();
    let mut names: Vec<String> = std::fs::read_dir(root().join("examples"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().join("expected.txt").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    assert!(names.len() >= 5, "{names:?}");
    for name in &names {
        let expected = expected(name);
        let file = format!("examples/{name}/chorus.toml");
        if root()
            .join("examples")
            .join(name)
            .join("Makefile")
            .is_file()
        {
            let built = Command::new("make")
                .arg("-C")
                .arg(root().join("examples").join(name))
                .status();
            assert!(built.is_ok_and(|status| status.success()), "make {name}");
        }
        for round in 0..rounds() {
            let said = lab.chorus(&["run", "-f", &file, "--timeout", "90"]).with(0);
            let lines: Vec<&str> = expected.lines().collect();
            assert_eq!(said.sorted(), lines, "{name}, round {round}: {said:#?}");
        }
    }
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn lost_frames_change_nothing() {
    let lab = Lab::new();
    for (example, seed) in [
        ("counter", "1"),
        ("replace-server", "2"),
        ("ring", "3"),
        ("pairs", "4"),
    ] {
        let file = format!("examples/{example}/chorus.toml");
        let words = ["run", "-f", &file, "--loss", "5%", "--seed", seed];
        let said = lab.chorus(&words).with(0);
        assert_eq!(said.out, expected(example), "{example}: {said:#?}");
    }
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn frames_in_clear_carry_the_same_and_sites_that_may_speak_for_nobody_are_heard() {
    let lab = Lab::new();
    let file = "examples/counter/chorus.toml";
    for word in ["--insecure-fabric", "--domains=1=;2="] {
        let said = lab.chorus(&["run", "-f", file, word]).with(0);
        assert_eq!(said.out, expected("counter"), "{word}: {said:#?}");
    }
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn a_deterministic_run_prints_the_same_bytes_again() {
    let lab = Lab::new();
    let words = ["run", "-n", "2", "--deterministic", "hello"];
    let (first, second) = (lab.chorus(&words).with(0), lab.chorus(&words).with(0));
    assert_eq!((&first.out, &first.err), (&second.out, &second.err));
    assert_eq!(first.out.lines().count(), 2, "{first:#?}");
}
