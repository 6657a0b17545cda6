//! A server is replaced while its clients run: from user to supervisor actor and back, by one flag.

use crate::lab::{Lab, wait};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Starts a server on site 1, replaces it by others, each of a kind and a file, and holds what clients beside it and on another site found against `kinds`.
fn replaced(lab: &Lab, first: &str, others: [(&str, &str); 3], kinds: &str) {
    let exec = |words: &[&str]| lab.chorus(&[&["--name", "x", "exec"], words].concat());
    exec(&["s1", "--no-wait", first, "serve"]).with(0);
    let clients = ["s1", "s2"].map(|site| {
        let words = ["--name", "x", "exec", site, "tally", "ask", "3"];
        lab.command(&words).spawn().unwrap()
    });
    for (kind, file) in others {
        std::thread::sleep(Duration::from_millis(1500));
        let listed = lab.chorus(&["--name", "x", "ps", "-a", "--format", "json"]);
        let listed: serde_json::Value = serde_json::from_str(&listed.with(0).out).unwrap();
        // The clients have the same name: the server is told by its port.
        let server =
            listed["actors"].as_array().unwrap().iter().find(|actor| {
                actor["name"] == "tally" && actor["site"] == 1 && actor["ports"] == 2
            });
        let port = server.expect("a server")["actor"].as_str().unwrap();
        let kind = ["--kind", kind, "--replace", port, file, "serve"];
        exec(&[&["s1", "--no-wait"], &kind[..]].concat()).with(0);
    }
    for client in clients {
        let said = wait(client).with(0);
        let wanted: Vec<String> = (0..3)
            .map(|number| format!("tally: client {number}, served by {kinds} actor: each request answered and counted once"))
            .collect();
        assert_eq!(said.sorted(), wanted, "{said:#?}");
    }
}

fn two_sites() -> Lab {
    let lab = Lab::new();
    let words = ["--name", "x", "up", "-n", "2", "-d", "--wait"];
    lab.chorus(&words).with(0);
    lab
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn a_server_in_c_changes_its_ring_too_and_gives_way_to_one_in_rust() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/c");
    let made = Command::new("make")
        .args(["-s", "-C"])
        .arg(&folder)
        .status();
    assert!(made.expect("make is installed by scripts/setup").success());
    let file = folder.join("build/tally");
    let in_c = file.to_str().unwrap();
    let lab = two_sites();
    let others = [("supervisor", in_c), ("user", in_c), ("system", "tally")];
    replaced(&lab, in_c, others, "user, supervisor, user, system");
    lab.chorus(&["--name", "x", "down"]).with(0);
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn a_server_changes_its_ring_and_its_clients_notice_nothing() {
    let lab = two_sites();
    let others = ["supervisor", "user", "system"].map(|kind| (kind, "tally"));
    replaced(&lab, "tally", others, "user, supervisor, user, system");
    let exec = |words: &[&str]| lab.chorus(&[&["--name", "x", "exec"], words].concat());

    // One that takes no successor goes on, and the command says so.
    exec(&["s2", "--no-wait", "echo"]).with(0);
    exec(&["s2", "--no-wait", "--replace", "nobody", "tally", "serve"])
        .with(2)
        .complaining("there is no actor nobody on site 2");
    exec(&["s2", "--no-wait", "--replace", "echo", "hello"])
        .with(6)
        .complaining("without taking the other's place");
    let listed = lab.chorus(&["--name", "x", "ps", "-a"]).with(0);
    assert!(listed.out.contains("echo"), "{listed:#?}");
    lab.chorus(&["--name", "x", "down"]).with(0);
}
