//! Clusters of all small shapes boot, join and run an actor on every site.

use crate::lab::Lab;

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn one_to_eight_sites_of_one_to_four_processors() {
    let lab = Lab::new();
    for (sites, vcpus) in [(1, 1), (1, 2), (1, 4), (2, 1), (4, 2), (8, 1), (8, 2)] {
        let (n, v) = (sites.to_string(), vcpus.to_string());
        let words = ["run", "-n", &n, "--vcpus", &v, "--timeout", "90", "hello"];
        let said = lab.chorus(&words).with(0);
        let mut expected: Vec<String> = (1..=sites)
            .map(|site| {
                format!(
                    "s{site}/hello | hello from site {site} of {sites}: user actor, {vcpus} cpus"
                )
            })
            .collect();
        expected.sort();
        assert_eq!(said.sorted(), expected, "{sites} × {vcpus}");
    }
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn the_call_reference_holds_for_every_kind_of_actor() {
    let lab = Lab::new();
    for kind in ["user", "system", "supervisor"] {
        let said = lab.chorus(&["run", "--vcpus", "2", "--kind", kind, "conformance"]);
        let said = said.with(0);
        let held = said
            .out
            .lines()
            .filter(|line| line.ends_with(" ok"))
            .count();
        assert!(held >= 90, "{kind}: {held} assertions: {said:#?}");
    }
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn the_same_file_runs_as_every_kind_of_actor() {
    let lab = Lab::new();
    for kind in ["user", "system", "supervisor"] {
        let said = lab.chorus(&["run", "--kind", kind, "hello"]).with(0);
        let line = format!("s1/hello | hello from site 1 of 1: {kind} actor, 1 cpus\n");
        assert_eq!(said.out, line);
    }
}
