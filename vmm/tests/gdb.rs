//! Real gdb at real sites, in batch mode: what a person who debugs does, and what gdb shows.
//!
//! The sites run where the command puts them by itself, which is the emulated host where KVM is not faithful: there no debug exit comes but that of
//! a step, so that every stand-in is tested. gdb itself starts the commands that make the site do something, when it holds the site: so nothing is a race.

#[path = "cluster/lab.rs"]
#[allow(dead_code, reason = "the cluster tests use all of it")]
mod lab;

use lab::Lab;
use std::process::Stdio;
use std::time::{Duration, Instant};

const IPC_CALL: &str = "ipc_call<chorus_nucleus::machine::X86>";

fn up(lab: &Lab, words: &[&str]) {
    let gdb = std::process::Command::new("gdb").arg("--version").output();
    assert!(
        gdb.is_ok_and(|gdb| gdb.status.success()),
        "gdb is missing; install it with: apt-get install gdb"
    );
    let mut all = vec!["--name", "x", "up", "--vcpus", "2", "-d"];
    all.extend(words);
    lab.chorus(&all).with(0);
}

/// gdb's line that starts a command of `chorus` in the background, while the site stands.
fn shell(words: &str) -> String {
    let chorus = env!("CARGO_BIN_EXE_chorus");
    format!("shell {chorus} --name x {words} >/dev/null 2>&1 &\n")
}

/// What gdb says to a script at a site.
fn gdb(lab: &Lab, site: &str, script: &str) -> String {
    let said = gdb_ends(lab, site, script);
    assert_eq!(said.status, Some(0), "{said:#?}");
    println!("{}", said.out);
    said.out
}

/// The same, however gdb ends.
fn gdb_ends(lab: &Lab, site: &str, script: &str) -> lab::Said {
    let file = lab.folder().join(format!("{site}.gdb-script"));
    std::fs::write(&file, format!("set pagination off\n{script}")).unwrap();
    // What a stub says comes on gdb's standard error: both in one, in the order in which they were said.
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "exec \"$@\" 2>&1", "sh", env!("CARGO_BIN_EXE_chorus")]);
    command.args(["--name", "x", "gdb", site, "--", "-batch", "-x"]);
    command.arg(&file).env("XDG_RUNTIME_DIR", lab.folder());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    lab::wait(command.spawn().unwrap())
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn state(lab: &Lab, site: usize) -> String {
    let listed = lab.chorus(&["--name", "x", "ps", "--format", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed.with(0).out).unwrap();
    listed["sites"][site]["state"].as_str().unwrap().to_owned()
}

/// Whether these are in the text, in this order.
#[track_caller]
fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => panic!("no \"{part}\" in its place in:\n{text}"),
        }
    }
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn from_the_first_instruction_to_the_first_call() {
    let lab = Lab::new();
    up(&lab, &["-n", "2", "--paused"]);
    lab.chorus(&["--name", "x", "resume", "s2"]).with(0);
    until("site 2 joins", || state(&lab, 1) == "ready");
    assert_eq!(state(&lab, 0), "created");
    let said = gdb(
        &lab,
        "s1",
        &format!(
            "info symbol $pc\ninfo threads\nmonitor status\nmonitor actors\nstepi\ninfo symbol $pc\n\
             tbreak {IPC_CALL}\ncontinue\nbacktrace\ninfo sharedlibrary\n"
        ),
    );
    in_order(
        &said,
        &[
            "entry64 in section .text",
            "s1 vCPU 0, ring 0",
            "s1 vCPU 1, ring 0",
            "2 vCPUs, stopped",
            "software breakpoints:",
            "entry64 + 1 in section .text",
            "hit Temporary breakpoint",
            "#0  ipc_call",
            " full_call ",
            " exchange ",
            " join () at actors/site-manager/src/control.rs:",
            " chorus_thread_begin ",
            "site-manager.elf",
            "network-manager.elf",
        ],
    );
    // gdb has left: the site goes on, and nothing is in its way.
    until("the site joins", || state(&lab, 0) == "ready");
    let said = lab.chorus(&["--name", "x", "exec", "s1", "hello"]).with(0);
    assert_eq!(said.out, "hello from site 1 of 2: user actor, 2 cpus\n");
    lab.chorus(&["--name", "x", "down"]).with(0);
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn a_call_is_caught_on_a_chosen_vcpu_and_traced_into_its_actor() {
    let lab = Lab::new();
    up(&lab, &["-n", "1", "--wait"]);
    // Clients and server change places on the vCPUs, so that each makes calls.
    let calls = shell("exec s1 counter 200");
    let said = gdb(
        &lab,
        "s1",
        &format!(
            "thread 2\nbreak {IPC_CALL} thread 2\nbreak hello/src/main.rs:10\n{calls}{calls}continue\n\
             info threads\nbacktrace\ndelete 1\n{}continue\nbacktrace\ndelete\n",
            shell("exec s1 hello")
        ),
    );
    in_order(
        &said,
        &[
            "Switching to thread 2",
            "Thread 2 hit Breakpoint 1, ipc_call",
            "* 2 ",
            "s1 vCPU 1, ring 0, actor ",
            "#0  ipc_call",
            "full_call () at guest-nucleus/kernel/src/calls.rs:",
            "exchange () at actors/runtime/src/message.rs:",
            "__chorus_main () at actors/runtime/src/lib.rs:",
            "_start () from ",
            // It waited for an actor that was not there yet.
            "hit Breakpoint 2, main () at actors/hello/src/main.rs:10",
            "begin () at actors/runtime/src/start.rs:",
        ],
    );
    assert!(!said.contains("Backtrace stopped"), "{said}");
    lab.chorus(&["--name", "x", "exec", "s1", "hello"]).with(0);
    lab.chorus(&["--name", "x", "down"]).with(0);
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn interrupts_steps_and_watchpoints() {
    let lab = Lab::new();
    up(&lab, &["-n", "1", "--wait"]);
    let script = format!(
        "shell (sleep 2; kill -INT $PPID) &\ncontinue\ntbreak hello/src/main.rs:10\n{}continue\n\
             echo next:\\n\nnext\nset language c\nwatch -l *(unsigned long *)($rsp - 8)\ncontinue\ndelete\n\
             set $stub = *(unsigned long *)((char *)&__chorus_import_ipcCall + 32)\n\
             tbreak *($stub + 8)\ncontinue\nx/i $pc\nstepi\ninfo symbol $pc\nstepi\nstepi\nbacktrace\n\
             hbreak chorus_images_changed\ncontinue\nbacktrace 1\ndelete\n",
        shell("exec s1 hello")
    );
    let said = gdb(&lab, "s1", &script);
    in_order(
        &said,
        &[
            "received signal SIGINT",
            " hit Temporary breakpoint 1, main ()",
            "next:",
            "12\t",
            "Hardware watchpoint 2: -location",
            "hit Hardware watchpoint 2",
            "Old value = ",
            "New value = ",
            "hit Temporary breakpoint",
            "syscall",
            "call_entry in section .text",
            "#0 ",
            "call_annex",
            "__chorus_main ()",
            "Hardware assisted breakpoint",
            "chorus_images_changed ()",
        ],
    );
    lab.chorus(&["--name", "x", "exec", "s1", "hello"]).with(0);
    lab.chorus(&["--name", "x", "down"]).with(0);
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn a_person_and_a_debugger_hold_a_site_each_by_himself() {
    let lab = Lab::new();
    up(&lab, &["-n", "2", "--wait"]);
    lab.chorus(&["--name", "x", "pause", "s1"]).with(0);
    // A resume by the person while gdb holds the site: it stands. The `exec` must not end before gdb lets go.
    let mark = lab.folder().join("held");
    let chorus = env!("CARGO_BIN_EXE_chorus");
    let said = gdb(
        &lab,
        "s1",
        &format!(
            "monitor status\nshell {chorus} --name x resume s1\nmonitor status\n\
             shell timeout 3 {chorus} --name x exec s1 hello; echo ended with $? > {}\n",
            mark.display()
        ),
    );
    assert_eq!(said.matches("paused by a person too").count(), 1, "{said}");
    let held = std::fs::read_to_string(mark).unwrap();
    assert_ne!(held, "ended with 0\n", "the site ran while gdb held it");
    lab.chorus(&["--name", "x", "exec", "s1", "hello"]).with(0);
    // The other way round: gdb goes, and the person's pause stays.
    lab.chorus(&["--name", "x", "pause", "s1"]).with(0);
    gdb(&lab, "s1", "info threads\n");
    let words = ["--name", "x", "exec", "s1", "hello", "--timeout", "2"];
    lab.chorus(&words).with(124);
    lab.chorus(&["--name", "x", "resume", "s1"]).with(0);
    lab.chorus(&["--name", "x", "exec", "s1", "hello"]).with(0);
    // A gdb that is killed leaves as one that detaches.
    let script = "shell (sleep 1; kill -9 $PPID) &\nbreak chorus_images_changed\ncontinue\n";
    let said = gdb_ends(&lab, "s1", script);
    assert_ne!(said.status, Some(0), "{said:#?}");
    lab.chorus(&["--name", "x", "exec", "s1", "hello"]).with(0);
    // gdb's kill ends its site, and no other.
    gdb(&lab, "s2", "kill\n");
    until("site 2 ends", || state(&lab, 1) == "killed");
    assert_eq!(state(&lab, 0), "ready");
    lab.chorus(&["--name", "x", "exec", "s1", "hello"]).with(0);
    lab.chorus(&["--name", "x", "down"]).with(0);
}
