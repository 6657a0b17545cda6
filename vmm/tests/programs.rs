//! Programs in C, as user, system and supervisor actor: the same file prints what stands beside its source.
//!
//! Each runs on a bare QEMU microvm of its own; the referee of the conformance actor ends the site with the program's verdict.

use chorus::cluster::{archive, images};
use chorus::measure::microvm::Microvm;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/c")
}

fn make(folder: &Path) {
    let made = Command::new("make")
        .args(["-s", "-C"])
        .arg(folder)
        .status()
        .expect("make is installed by scripts/setup");
    assert!(made.success(), "make in {}", folder.display());
}

/// Names of the programs, by their sources.
fn programs() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(name.strip_suffix(".c")?.to_owned())
        })
        .collect();
    names.sort();
    names
}

fn expected(name: &str, kind: &str) -> String {
    let of_ring = folder().join(format!("{name}.{kind}.expected"));
    let of_all = folder().join(format!("{name}.expected"));
    let file = if of_ring.is_file() { of_ring } else { of_all };
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn c_programs_print_the_same_in_both_rings() {
    make(&folder());
    let names = programs();
    assert!(names.len() >= 6, "{names:?}");
    for name in &names {
        for (kind, vcpus) in [("user", 2), ("system", 1), ("supervisor", 2)] {
            let conf =
                format!("conformance system 60 referee referee {name}\n{name} {kind} 140 {name}\n");
            let archive =
                archive::build(&conf, "the test's boot list", Some(&folder().join("build")))
                    .unwrap();
            let site = Microvm {
                nucleus: images::builtin(images::NUCLEUS).unwrap(),
                archive: &archive,
                vcpus,
                mem_mib: 64,
                words: "",
                timeout: Duration::from_secs(60),
                line: None,
            };
            let ended = site.run(|_| {}).unwrap();
            let wanted = expected(name, kind);
            // The Nucleus says that it starts, and which actor an exception ended.
            let said: Vec<&str> = ended.console.lines().map(str::trim_end).collect();
            let said = said
                .into_iter()
                .filter(|line| !line.starts_with("chorus nucleus ") && !line.starts_with("actor "));
            assert!(
                ended.code == Some(0) && said.eq(wanted.lines()),
                "{name} as {kind} actor; expected:\n{wanted}\nends with {:?}:\n{}",
                ended.code,
                ended.console
            );
        }
    }
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn a_driver_in_an_actor_serves_a_serial_line_by_interrupts() {
    for kind in ["system", "supervisor"] {
        let conf = format!(
            "conformance system 60 referee referee client\nserial {kind} 100 serial\nserial user 140 client echo\n"
        );
        let archive = archive::build(&conf, "the test's boot list", None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("line");
        let socket = path.clone();
        let people = std::thread::spawn(move || talk(&socket));
        let site = Microvm {
            nucleus: images::builtin(images::NUCLEUS).unwrap(),
            archive: &archive,
            vcpus: 2,
            mem_mib: 64,
            words: "",
            timeout: Duration::from_secs(60),
            line: Some(&path),
        };
        let ended = site.run(|_| {}).unwrap();
        let console = &ended.console;
        let heard = people.join().unwrap();
        assert_eq!(ended.code, Some(0), "{kind}:\n{console}\nheard {heard:?}");
        let long = "x".repeat(100);
        assert_eq!(
            heard,
            [
                "ready",
                "echo: one",
                "echo: two words",
                &format!("echo: {long}"),
                "echo: bye"
            ],
            "{kind}:\n{console}"
        );
        assert!(
            console.contains("serial: ports from 0x2f8, interrupt 3"),
            "{console}"
        );
    }
}

/// Somebody at the other end of the line: types, and waits for the echo of each line. What was heard.
fn talk(socket: &Path) -> Vec<String> {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;
    let end = std::time::Instant::now() + Duration::from_secs(30);
    let mut stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(error) if std::time::Instant::now() > end => panic!("{error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    stream
        .set_read_timeout(Some(Duration::from_secs(50)))
        .unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut ready = String::new();
    reader.read_line(&mut ready).unwrap();
    let mut heard = vec![ready.trim_end().to_owned()];
    // Longer than the device's queue of 16 bytes.
    for line in ["one", "two words", &"x".repeat(100), "bye"] {
        if writeln!(stream, "{line}").is_err() {
            break;
        }
        let mut text = String::new();
        if reader.read_line(&mut text).is_err() {
            break;
        }
        heard.push(text.trim_end().to_owned());
    }
    heard
}
