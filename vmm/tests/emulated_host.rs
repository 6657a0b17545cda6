//! The emulated host, booted for real: what goes in, what comes out, and how each kind of end looks from outside.
//!
//! This program plays all parts: the tests, the command outside (`outer …`), the first process inside, and the command inside.
//! So it tests the host room alone, whatever the command line does. Without QEMU or the kernel the tests count as skipped;
//! with `CHORUS_EXPECT_EMULATED` set they fail then.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use chorus::host::emulated::{self, Launch};
use chorus::host::{self, doctor};

type Outcome = Result<(), Box<dyn std::error::Error>>;

type Test = (&'static str, fn() -> Outcome);

const TESTS: [Test; 10] = [
    (
        "output_status_and_files_are_exact",
        output_status_and_files_are_exact,
    ),
    (
        "a_signal_inside_is_a_signal_outside",
        a_signal_inside_is_a_signal_outside,
    ),
    ("a_kernel_panic_is_a_crash", a_kernel_panic_is_a_crash),
    (
        "sockets_and_ports_are_carried",
        sockets_and_ports_are_carried,
    ),
    (
        "a_terminate_signal_reaches_the_command",
        a_terminate_signal_reaches_the_command,
    ),
    ("the_time_limit_ends_it", the_time_limit_ends_it),
    ("kvm_inside_is_faithful", kvm_inside_is_faithful),
    ("deterministic_runs_repeat", deterministic_runs_repeat),
    (
        "a_killed_command_leaves_no_machine",
        a_killed_command_leaves_no_machine,
    ),
    ("a_missing_file_is_named", a_missing_file_is_named),
];

fn main() -> ExitCode {
    if emulated::is_inner() {
        emulated::inner::main();
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    if host::inside() {
        return inside(&words);
    }
    match words.as_slice() {
        ["outer", words @ ..] => outer(words),
        ["--list", ..] => {
            TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
            ExitCode::SUCCESS
        }
        words => all(words),
    }
}

fn all(words: &[&str]) -> ExitCode {
    let filters: Vec<&&str> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let chosen = TESTS
        .iter()
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|part| name.contains(**part)));
    let missing = emulated::missing();
    if !missing.is_empty() {
        missing
            .iter()
            .for_each(|lack| eprintln!("missing: {}\n  install: {}", lack.what, lack.install));
        println!(
            "test result: 0 passed; 0 failed; {} skipped (no emulated host)",
            chosen.count()
        );
        return ExitCode::from(u8::from(
            std::env::var_os("CHORUS_EXPECT_EMULATED").is_some(),
        ));
    }
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in chosen {
        let start = Instant::now();
        let result = test();
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!(
            "test {name} ... {word} ({:.1} s)",
            start.elapsed().as_secs_f64()
        );
        match result {
            Ok(()) => passed += 1,
            Err(error) => {
                println!("{error}");
                failed += 1;
            }
        }
    }
    println!("test result: {passed} passed; {failed} failed; 0 skipped");
    ExitCode::from(u8::from(failed > 0))
}

/// The command outside: hands itself to the emulated host as the `chorus` command does.
fn outer(words: &[&str]) -> ExitCode {
    let folder = std::env::var_os("TEST_FOLDER")
        .map(PathBuf::from)
        .unwrap_or_default();
    let mut launch =
        Launch::new(words.iter().map(|word| word.to_string())).env("TEST_FOLDER", &folder);
    launch = launch.timeout(Some(Duration::from_secs(200)));
    launch = match words {
        ["copy", ..] => launch
            .file(folder.join("in"))
            .result(folder.join("out"))
            .stdin(true),
        ["serve", port] => launch.mirror(&folder).port(port.parse().unwrap_or(0)),
        ["sleep"] => launch.timeout(Some(Duration::from_secs(15))),
        ["missing"] => launch.file(folder.join("not there")),
        _ => launch,
    };
    match launch
        .deterministic(std::env::var_os("TEST_PINNED").is_some())
        .run()
    {
        Ok(status) => ExitCode::from(emulated::exit_code(status)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// The command inside.
fn inside(words: &[&str]) -> ExitCode {
    match act(words) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{words:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Bytes of every value, more than a window of the link holds.
fn pattern() -> Vec<u8> {
    (0..700_001u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

fn act(words: &[&str]) -> Result<u8, Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::var_os("TEST_FOLDER").unwrap_or_default());
    match words {
        ["copy"] => {
            let mut all = std::fs::read(folder.join("in"))?;
            io::stdin().read_to_end(&mut all)?;
            std::fs::write(folder.join("out"), &all)?;
            eprintln!("on standard error");
            io::stdout().write_all(&pattern())?;
            Ok(77)
        }
        ["die"] => {
            rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            )?;
            Ok(0)
        }
        ["panic"] => {
            println!("about to crash the machine");
            // What was written has to be outside before the machine is gone.
            std::thread::sleep(Duration::from_millis(500));
            std::fs::write("/proc/sysrq-trigger", "c")?;
            Ok(0)
        }
        ["serve", port] => serve(&folder.join("control.sock"), port.parse()?).map(|()| 5),
        ["sleep" | "wait"] => {
            println!("waiting");
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        ["doctor"] => {
            println!("{}", serde_json::to_string(&doctor::examine())?);
            Ok(0)
        }
        _ => Ok(99),
    }
}

fn serve(path: &Path, port: u16) -> Outcome {
    let tcp = std::net::TcpListener::bind(("127.0.0.1", port))?;
    let unix = UnixListener::bind(path)?;
    println!("serving");
    let (mut connection, _) = tcp.accept()?;
    io::copy(&mut connection.try_clone()?, &mut connection)?;
    drop(connection);
    loop {
        let (mut connection, _) = unix.accept()?;
        let mut word = [0; 4];
        connection.read_exact(&mut word)?;
        connection.write_all(&word)?;
        if &word == b"quit" {
            std::fs::remove_file(path)?;
            return Ok(());
        }
        io::copy(&mut connection.try_clone()?, &mut connection)?;
    }
}

fn command(words: &[&str], folder: &Path) -> Result<Command, io::Error> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("outer").args(words).env("TEST_FOLDER", folder);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

fn output(words: &[&str]) -> io::Result<Output> {
    command(words, Path::new("/nowhere"))?.output()
}

/// Fails with everything that is known when `yes` is false.
fn check(yes: bool, what: &str, seen: &Output) -> Outcome {
    if yes {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(4000)]).into_owned();
    Err(format!(
        "{what}\n  {}\n  out: {}\n  err: {}",
        seen.status,
        text(&seen.stdout),
        text(&seen.stderr)
    )
    .into())
}

fn output_status_and_files_are_exact() -> Outcome {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("in"), pattern())?;
    let mut child = command(&["copy"], folder.path())?
        .stdin(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .ok_or("no standard input")?
        .write_all(b"and standard input")?;
    let seen = child.wait_with_output()?;
    check(seen.status.code() == Some(77), "exit status", &seen)?;
    check(
        seen.stdout == pattern(),
        "standard output is not exact",
        &seen,
    )?;
    check(
        seen.stderr == b"on standard error\n",
        "standard error is not exact",
        &seen,
    )?;
    let result = std::fs::read(folder.path().join("out"))?;
    check(
        result == [pattern().as_slice(), b"and standard input"].concat(),
        "the result file is not exact",
        &seen,
    )
}

fn a_signal_inside_is_a_signal_outside() -> Outcome {
    let seen = output(&["die"])?;
    check(seen.status.code() == Some(137), "128 + SIGKILL", &seen)
}

fn a_kernel_panic_is_a_crash() -> Outcome {
    let seen = output(&["panic"])?;
    check(seen.status.code() == Some(5), "exit code 5", &seen)?;
    let text = String::from_utf8_lossy(&seen.stderr);
    check(
        text.contains("emulated host crashed") && text.contains("Kernel panic"),
        "the console's end is shown",
        &seen,
    )?;
    check(
        seen.stdout == b"about to crash the machine\n",
        "what was shown is not run twice",
        &seen,
    )
}

/// Stops a child that a failed test leaves.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> Result<T, String> {
    let limit = Instant::now() + Duration::from_secs(100);
    while Instant::now() < limit {
        if let Some(value) = attempt() {
            return Ok(value);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(format!("waited in vain: {what}"))
}

fn echo(mut connection: impl Read + Write, word: &[u8]) -> io::Result<bool> {
    connection.write_all(word)?;
    let mut back = vec![0; word.len()];
    connection.read_exact(&mut back)?;
    Ok(back == word)
}

fn sockets_and_ports_are_carried() -> Outcome {
    let folder = tempfile::tempdir()?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let mut child = Guard(command(&["serve", &port.to_string()], folder.path())?.spawn()?);
    let path = folder.path().join("control.sock");
    let mut first = until("the socket appears", || UnixStream::connect(&path).ok())?;
    let tcp = std::net::TcpStream::connect(("127.0.0.1", port))?;
    if !echo(tcp.try_clone()?, b"through a port")? {
        return Err("the port does not echo".into());
    }
    tcp.shutdown(std::net::Shutdown::Both)?;
    if !echo(&mut first, b"word and more than that")? {
        return Err("the socket does not echo".into());
    }
    drop(first);
    if !echo(UnixStream::connect(&path)?, b"quit")? {
        return Err("the second connection does not echo".into());
    }
    let status = until("the command ends", || child.0.try_wait().ok().flatten())?;
    if status.code() != Some(5) || path.exists() {
        return Err(format!("{status}, socket left behind: {}", path.exists()).into());
    }
    Ok(())
}

fn a_terminate_signal_reaches_the_command() -> Outcome {
    let mut child = Guard(command(&["wait"], Path::new("/nowhere"))?.spawn()?);
    let mut line = [0; 8];
    child
        .0
        .stdout
        .as_mut()
        .ok_or("no standard output")?
        .read_exact(&mut line)?;
    let pid = rustix::process::Pid::from_child(&child.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    let status = until("the command ends", || child.0.try_wait().ok().flatten())?;
    if status.code() == Some(143) {
        Ok(())
    } else {
        Err(format!("{status}").into())
    }
}

fn the_time_limit_ends_it() -> Outcome {
    let seen = output(&["sleep"])?;
    check(seen.status.code() == Some(124), "exit code 124", &seen)
}

fn kvm_inside_is_faithful() -> Outcome {
    let seen = output(&["doctor"])?;
    let report: doctor::Report =
        serde_json::from_slice(&seen.stdout).map_err(|_| format!("no report: {seen:?}"))?;
    check(report.vendor.as_deref() == Some("svm"), "SVM", &seen)?;
    check(
        report.faithful && report.nested,
        "faithful and nested",
        &seen,
    )?;
    check(report.debug.single_step, "single-step", &seen)?;
    // QEMU's TCG does not deliver these. When a newer one does, this line tells, and the stand-ins may go.
    check(
        !report.debug.sw_bp_exit && !report.debug.hw_bp_exit && !report.debug.watch_exit,
        "stand-ins needed",
        &seen,
    )
}

fn deterministic_runs_repeat() -> Outcome {
    let pinned = || {
        command(&["doctor"], Path::new("/nowhere"))?
            .env("TEST_PINNED", "1")
            .output()
    };
    let (first, second) = (pinned()?, pinned()?);
    check(
        first.status.success() && !first.stdout.is_empty(),
        "success",
        &first,
    )?;
    check(
        first.stdout == second.stdout && first.stderr == second.stderr,
        "the same bytes",
        &second,
    )
}

fn a_missing_file_is_named() -> Outcome {
    let seen = output(&["missing"])?;
    check(seen.status.code() == Some(4), "exit code 4", &seen)?;
    check(
        String::from_utf8_lossy(&seen.stderr).contains("/nowhere/not there"),
        "the file's name",
        &seen,
    )
}

fn a_killed_command_leaves_no_machine() -> Outcome {
    let mut child = Guard(command(&["wait"], Path::new("/nowhere"))?.spawn()?);
    let mut line = [0; 8];
    child
        .0
        .stdout
        .as_mut()
        .ok_or("no standard output")?
        .read_exact(&mut line)?;
    let id = child.0.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
    let machine = children
        .split_whitespace()
        .next()
        .ok_or("the machine is no child of the command")?;
    let comm = PathBuf::from(format!("/proc/{machine}/comm"));
    if !std::fs::read_to_string(&comm)?.starts_with("qemu") {
        return Err(format!("process {machine} is not QEMU").into());
    }
    child.0.kill()?;
    child.0.wait()?;
    // Whoever adopts it may take its time to collect it, but it runs no more.
    let stat = format!("/proc/{machine}/stat");
    let gone = || std::fs::read_to_string(&stat).map_or(true, |text| text.contains(") Z "));
    until("the machine ends", || gone().then_some(()))?;
    Ok(())
}
