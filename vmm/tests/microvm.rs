//! The Nucleus on an independent machine: the image that this binary carries, on a bare QEMU microvm.
//!
//! The conformance actor prints a line for each assertion and ends the site with the verdict. The instruction clock makes each run the same run.

use chorus::cluster::{archive, images};
use chorus::measure::microvm::Microvm;
use chorus_abi::machine::EXIT_PANIC;
use std::time::Duration;

fn boot(conf: &str, vcpus: u32) -> (Option<u8>, String) {
    boot_with(conf, vcpus, "")
}

fn boot_with(conf: &str, vcpus: u32, words: &str) -> (Option<u8>, String) {
    let archive = archive::build(conf, "the test's boot list", None).unwrap();
    let nucleus = images::builtin(images::NUCLEUS).unwrap();
    let site = Microvm {
        nucleus,
        archive: &archive,
        vcpus,
        mem_mib: 64,
        words,
        timeout: Duration::from_secs(300),
        line: None,
    };
    let ended = site.run(|_| {}).unwrap();
    (ended.code, ended.console)
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn the_conformance_actor_passes_with_1_2_and_4_vcpus() {
    for vcpus in [1, 2, 4] {
        let (code, console) = boot("conformance system 140 conformance halt\n", vcpus);
        assert_eq!(code, Some(0), "{vcpus} vCPUs:\n{console}");
        assert!(
            console.contains(", 0 failed") && console.matches(" ok\n").count() >= 80,
            "{console}"
        );
    }
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn the_same_file_runs_as_user_system_and_supervisor_actor() {
    let conf = "hello user 100 hello\nhello system 100 hello\nhello supervisor 100 hello\nconformance system 140 conformance halt\n";
    let (code, console) = boot(conf, 1);
    assert_eq!(code, Some(0), "{console}");
    for kind in ["user", "system", "supervisor"] {
        assert!(
            console.contains(&format!("hello from site 1 of 1: {kind} actor, 1 cpus")),
            "{kind}:\n{console}"
        );
    }
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn two_runs_print_the_same_bytes() {
    let conf = "conformance system 140 conformance halt\n";
    assert_eq!(boot(conf, 2), boot(conf, 2));
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn a_nucleus_that_lost_its_gs_ends_the_site_with_a_report() {
    for vcpus in [1, 2] {
        let (code, console) = boot("fault supervisor 140 fault gs\n", vcpus);
        assert_eq!(code, Some(EXIT_PANIC), "{console}");
        assert!(
            console.matches("nucleus panic on processor").count() == 1
                && console.contains("  in thread "),
            "{console}"
        );
    }
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn the_conformance_actor_passes_as_supervisor_actor_with_its_partners() {
    let conf = "conformance user 140 victim victim\nconformance supervisor 140 saboteur saboteur\nconformance supervisor 140 overrunner saboteur stack\nconformance supervisor 140 faulter saboteur handler\nconformance supervisor 140 conformance halt\n";
    for vcpus in [1, 2, 4] {
        let (code, console) = boot(conf, vcpus);
        assert_eq!(code, Some(0), "{vcpus} vCPUs:\n{console}");
        assert!(
            console.contains("NC-265 ok")
                && console.contains("NC-223 a handler that faults ok")
                && console.contains("NC-051 gone ok"),
            "{console}"
        );
    }
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn twice_the_memory_of_a_site_is_written_and_read_back() {
    let conf = "default-mapper system 40 default-mapper memory 16M\nconformance system 60 referee referee pressure\nconformance user 140 pressure pressure\n";
    let (code, console) = boot_with(conf, 1, "chorus.swap=192M");
    assert_eq!(code, Some(0), "{console}");
    for assertion in ["NC-253 ok", "NC-254 ok"] {
        assert!(console.contains(assertion), "{console}");
    }
}
