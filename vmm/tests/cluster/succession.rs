//! A server is replaced while its clients run: from user to supervisor actor and back, by one flag.

use crate::lab::{Lab, wait};
use std::time::Duration;

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn a_server_changes_its_ring_and_its_clients_notice_nothing() {
    let lab = Lab::new();
    let words = ["--name", "x", "up", "-n", "2", "-d", "--wait"];
    lab.chorus(&words).with(0);
    let exec = |words: &[&str]| lab.chorus(&[&["--name", "x", "exec"], words].concat());
    exec(&["s1", "--no-wait", "tally", "serve"]).with(0);
    // Clients beside the server, and on another site.
    let clients = ["s1", "s2"].map(|site| {
        let words = ["--name", "x", "exec", site, "tally", "ask", "3"];
        lab.command(&words).spawn().unwrap()
    });
    for kind in ["supervisor", "user", "system"] {
        std::thread::sleep(Duration::from_millis(1500));
        let listed = lab.chorus(&["--name", "x", "ps", "-a", "--format", "json"]);
        let listed: serde_json::Value = serde_json::from_str(&listed.with(0).out).unwrap();
        // The clients have the same name: the server is told by its port.
        let server =
            listed["actors"].as_array().unwrap().iter().find(|actor| {
                actor["name"] == "tally" && actor["site"] == 1 && actor["ports"] == 2
            });
        let port = server.expect("a server")["actor"].as_str().unwrap();
        let words = [
            "s1",
            "--no-wait",
            "--kind",
            kind,
            "--replace",
            port,
            "tally",
            "serve",
        ];
        exec(&words).with(0);
    }
    for client in clients {
        let said = wait(client).with(0);
        let wanted: Vec<String> = (0..3)
            .map(|number| format!("tally: client {number}, served by user, supervisor, user, system actor: each request answered and counted once"))
            .collect();
        assert_eq!(said.sorted(), wanted, "{said:#?}");
    }

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
