//! Random calls with random arguments from real actors: the site goes on, and nothing of them is left.

use crate::lab::Lab;

/// Actors of site 1, as `ps -a` lists them.
fn actors(lab: &Lab) -> serde_json::Value {
    let said = lab.chorus(&["--name", "z", "ps", "-a", "--format", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&said.with(0).out).unwrap();
    listed["actors"].clone()
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn random_calls_leave_a_site_as_it_was() {
    let lab = Lab::new();
    let up = [
        "--name", "z", "up", "-n", "1", "--vcpus", "2", "-d", "--wait",
    ];
    lab.chorus(&up).with(0);
    // As user actor: a system actor learns the names of others and may change them.
    let run = |seed, count: &str| {
        let said = lab.chorus(&["--name", "z", "exec", "s1", "fuzz", seed, count]);
        let said = said.with(0);
        let done = format!("fuzz: {count} calls with seed {seed}");
        assert!(said.out.contains(&done), "{said:#?}");
    };
    // The first one makes the site's managers touch what they ever will.
    run("7", "2000");
    let before = actors(&lab);
    for seed in ["1", "2", "3", "4"] {
        run(seed, "10000");
    }
    assert_eq!(actors(&lab), before);
    lab.chorus(&["--name", "z", "exec", "s1", "conformance"])
        .with(0);
    lab.chorus(&["--name", "z", "down"]).with(0);
}
