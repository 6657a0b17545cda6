//! `chorus conformance`: what it says, and what it ends with.

use crate::lab::{Lab, Said};
use serde_json::Value;

/// Assertions that guests check on clusters, and those of one site.
const CHECKED: u64 = 274;
const CHECKED_ALONE: u64 = 240;

fn whole(said: &Said, checked: u64) -> Value {
    let report: Value = serde_json::from_str(&said.out).expect("JSON");
    let total = |name: &str| report["totals"][name].as_u64().unwrap();
    assert_eq!(total("assertions"), 284);
    let sum = ["passed", "failed", "by_host_test", "not_tested"].map(total);
    assert_eq!(sum.iter().sum::<u64>(), 284);
    assert!(
        total("passed") >= checked && total("failed") == 0,
        "{sum:?}"
    );
    for row in report["assertions"].as_array().unwrap() {
        let ran = !row["ran"].as_object().unwrap().is_empty();
        assert_eq!(ran, row["result"] == "passed", "{row}");
        assert_eq!(ran, row["reason"].is_null(), "{row}");
    }
    report
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn every_kind_of_actor_is_checked_on_a_cluster() {
    let lab = Lab::new();
    let said = lab
        .chorus_patiently(&["conformance", "--format", "json"])
        .with(0);
    let report = whole(&said, CHECKED);
    for (index, kind) in ["user", "system", "supervisor", "sites"]
        .into_iter()
        .enumerate()
    {
        assert_eq!(report["runs"][index]["kind"], kind);
    }
    let told = |name: &str| {
        let rows = report["assertions"].as_array().unwrap();
        let row = rows.iter().find(|row| row["assertion"] == name).unwrap();
        row["ran"].as_object().unwrap().keys().cloned().collect()
    };
    let every: Vec<String> = told("NC-117");
    assert_eq!(every, ["supervisor", "system", "user"]);
    let user: Vec<String> = told("NC-131");
    assert_eq!(user, ["user"]);
    let three_sites: Vec<String> = told("NC-151");
    assert_eq!(three_sites, ["sites"]);
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn bare_microvms_say_the_same_twice() {
    let lab = Lab::new();
    let words = ["conformance", "--host", "microvm", "--format", "json"];
    let said = lab.chorus_patiently(&words).with(0);
    whole(&said, CHECKED_ALONE);
    let again = lab.chorus_patiently(&words).with(0);
    assert_eq!(said.out, again.out);
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn a_part_is_shown_as_a_table_and_as_junit() {
    let lab = Lab::new();
    let filtered = ["conformance", "--host", "microvm", "--filter"];
    let words = [&filtered[..], &["NC-116..NC-119"]].concat();
    let said = lab.chorus_patiently(&words).with(0);
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(
        lines[0].starts_with("ASSERTION  RESULT  RAN AS"),
        "{}",
        lines[0]
    );
    for (line, number) in lines[1..5].iter().zip(116..) {
        let start = format!("NC-{number}     ok      user system supervisor  ");
        assert!(line.starts_with(&start), "{line}");
    }
    assert!(
        said.out
            .contains("\n4 assertions: 4 passed and 0 failed in guests;")
    );
    let words = [&filtered[..], &["NC-117,NC-256", "--format", "junit"]].concat();
    let said = lab.chorus_patiently(&words).with(0);
    assert!(said.out.starts_with("<?xml"));
    assert_eq!(said.out.matches("name=\"NC-117\"/>").count(), 3);
    assert_eq!(said.out.matches("name=\"NC-256\"><skipped").count(), 1);
}
