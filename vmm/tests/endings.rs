//! How the command ends when the world around it does not play along: full disks, readers that leave, killed clusters.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn chorus(runtime: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chorus"));
    command
        .args(args)
        .env("XDG_RUNTIME_DIR", runtime)
        .env("NO_COLOR", "1");
    command
}

fn run(runtime: &Path, args: &[&str]) -> Output {
    chorus(runtime, args).output().expect("chorus starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_full_disk_is_said_and_a_reader_that_left_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = chorus(folder.path(), &["version"])
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "error: cannot write to stdout: no space left on the disk\n"
    );

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = chorus(folder.path(), &["version"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(
        (output.status.code(), stderr(&output)),
        (Some(0), String::new())
    );
}

#[test]
fn what_a_killed_cluster_left_is_told_and_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("chorus/lab");
    fs::create_dir_all(left.join("logs")).unwrap();
    // A process of our own that has ended: its id may be taken again, but not with this start time.
    let mut gone = Command::new("/bin/true").spawn().unwrap();
    gone.wait().unwrap();
    fs::write(left.join("pid"), format!("{} 1\n", gone.id())).unwrap();
    fs::write(
        left.join("logs/s1.log"),
        "    0.000001 s1/nucleus | last words\n",
    )
    .unwrap();

    let output = run(folder.path(), &["ps", "--name", "lab"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("chorus down --name lab"),
        "{}",
        stderr(&output)
    );
    let output = run(folder.path(), &["logs", "--name", "lab"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "    0.000001 s1/nucleus | last words\n"
    );
    for _ in 0..2 {
        let output = run(folder.path(), &["down", "--name", "lab"]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(!left.exists());
    }
}

#[test]
fn a_runtime_folder_of_somebody_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let output = run(&file, &["ps"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(
        stderr(&output).contains("set XDG_RUNTIME_DIR"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn manual_pages_and_completions_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man");
    assert!(
        run(folder.path(), &["man", pages.to_str().unwrap()])
            .status
            .success()
    );
    let main = fs::read_to_string(pages.join("chorus.1")).unwrap();
    assert!(
        main.contains(".SH EXIT STATUS") && main.contains("124"),
        "{main}"
    );
    assert!(
        pages.join("chorus-run.1").exists() && !pages.join("chorus-cluster-process.1").exists()
    );
    for shell in ["bash", "zsh", "fish"] {
        let output = run(folder.path(), &["completion", shell]);
        assert!(
            output.status.success() && String::from_utf8_lossy(&output.stdout).contains("validate")
        );
    }
}
