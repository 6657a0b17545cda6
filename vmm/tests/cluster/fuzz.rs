//! Random calls with random arguments from real actors: the site goes on, and nothing of them is left.

use crate::lab::Lab;

/// Pages by which the site's managers may grow while 40,000 calls are made: one step of an actor's heap (`actors/runtime/src/memory.rs`). How much of it is touched
/// depends on what is under way together, so on how fast the machine is; a leak of a page in 600 calls is more.
const GROWTH: u64 = 64;

/// Actors of site 1, as `ps -a` lists them, without their pages; and these, in the same order.
fn actors(lab: &Lab) -> (Vec<serde_json::Value>, Vec<u64>) {
    let said = lab.chorus(&["--name", "z", "ps", "-a", "--format", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&said.with(0).out).unwrap();
    let mut actors = listed["actors"].as_array().unwrap().clone();
    let pages = actors
        .iter_mut()
        .map(|actor| actor["pages"].take().as_u64().unwrap())
        .collect();
    (actors, pages)
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
    let (before, pages_before) = actors(&lab);
    for seed in ["1", "2", "3", "4"] {
        run(seed, "10000");
    }
    let (after, pages) = actors(&lab);
    assert_eq!(after, before);
    for (pages, before) in pages.iter().zip(&pages_before) {
        assert!(
            *pages <= before + GROWTH,
            "{pages} pages, {before} before: {after:#?}"
        );
    }
    lab.chorus(&["--name", "z", "exec", "s1", "conformance"])
        .with(0);
    lab.chorus(&["--name", "z", "down"]).with(0);
}
