//! Exceptions in user actors: the actor ends with a report that names it, its thread, address and cause; its site goes on.

use crate::lab::Lab;

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn an_exception_ends_its_actor_with_a_report_and_not_the_site() {
    let lab = Lab::new();
    lab.chorus(&[
        "--name", "x", "up", "-n", "1", "--vcpus", "2", "-d", "--wait",
    ])
    .with(0);
    let kinds = [
        ("read", "no region at address"),
        ("write", "no region at address"),
        ("execute", "protection violation"),
        ("code", "protection violation"),
        ("divide", "division error"),
        ("illegal", "illegal instruction"),
        ("privileged", "privileged instruction in user mode"),
        ("stack", "no region at address"),
    ];
    for (how, cause) in kinds {
        let said = lab
            .chorus(&["--name", "x", "exec", "s1", "fault", how])
            .with(6);
        let said = said.complaining("actor fault on site 1").complaining(cause);
        for word in ["thread 0x", " at 0x", "address 0x"] {
            assert!(said.err.contains(word), "no {word} in {said:#?}");
        }
    }
    lab.chorus(&["--name", "x", "exec", "s1", "fault", "panic"])
        .with(101)
        .complaining("as you wish");
    lab.chorus(&["--name", "x", "exec", "s1", "hello"]).with(0);
    lab.chorus(&["--name", "x", "down"]).with(0);
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn a_stack_that_is_run_over_ends_its_site_with_a_backtrace_and_no_other() {
    let lab = Lab::new();
    lab.chorus(&[
        "--name", "y", "up", "-n", "3", "--vcpus", "2", "-d", "--wait",
    ])
    .with(0);
    for (site, how) in [("s1", "stack"), ("s2", "nucleus")] {
        let exec = [
            "--name",
            "y",
            "exec",
            "--kind",
            "supervisor",
            site,
            "fault",
            how,
        ];
        lab.chorus(&exec).with(6);
        let report = lab.chorus(&["--name", "y", "logs", site]).with(0).out;
        for word in [
            "double fault (kernel stack overrun?)",
            "running thread ",
            "  at 0x",
            "  by 0x",
        ] {
            assert!(report.contains(word), "no {word} in {report}");
        }
        // In the Nucleus there are names, files and lines.
        let inside = report.contains("call_in_full+0x")
            && report.contains("(guest-nucleus/core/src/executive/dispatch.rs:");
        assert_eq!(inside, how == "nucleus", "{report}");
    }
    // The Nucleus' code cannot be written, not even in its own ring.
    let patch = [
        "--name",
        "y",
        "exec",
        "--kind",
        "supervisor",
        "s3",
        "fault",
        "patch",
    ];
    lab.chorus(&patch)
        .with(6)
        .complaining("no region at address");
    lab.chorus(&["--name", "y", "exec", "s3", "hello"]).with(0);
    lab.chorus(&["--name", "y", "down"]).with(0);
}
