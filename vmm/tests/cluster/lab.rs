//! Running the `chorus` command: a place of its own, a time limit, what it said.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a command said, and its exit status.
#[derive(Debug)]
pub struct Said {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    /// The same, if the status is this one.
    pub fn with(self, status: i32) -> Said {
        assert_eq!(self.status, Some(status), "{self:#?}");
        self
    }

    /// The same, if its standard error holds this.
    pub fn complaining(self, text: &str) -> Said {
        assert!(self.err.contains(text), "no \"{text}\" in {self:#?}");
        self
    }

    /// Lines of standard output, in order of the alphabet: those of several sites come in any order.
    pub fn sorted(&self) -> Vec<&str> {
        let mut lines: Vec<&str> = self.out.lines().collect();
        lines.sort_unstable();
        lines
    }
}

/// A machine of two processors carries one emulated host at a time.
static ONE: Mutex<()> = Mutex::new(());

/// Where clusters of a test live.
pub struct Lab {
    folder: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// The workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Lab {
    pub fn new() -> Lab {
        Lab {
            _turn: ONE.lock().unwrap_or_else(PoisonError::into_inner),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The runtime folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The command with these words, not started.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chorus"));
        command.args(words).current_dir(root());
        command.env("XDG_RUNTIME_DIR", self.folder());
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub fn chorus(&self, words: &[&str]) -> Said {
        wait(self.command(words).spawn().unwrap())
    }

    /// The same for what takes minutes.
    pub fn chorus_patiently(&self, words: &[&str]) -> Said {
        wait_for(self.command(words).spawn().unwrap(), PATIENCE)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A test that failed leaves its clusters.
        let clusters = std::fs::read_dir(self.folder().join("chorus"));
        for entry in clusters.into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let _ = self.chorus(&["--name", &name, "down"]);
        }
    }
}

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(120);
/// How long one that checks everything may.
const PATIENCE: Duration = Duration::from_secs(600);

/// Waits for a command's end, at most two minutes.
pub fn wait(child: Child) -> Said {
    wait_for(child, LIMIT)
}

fn wait_for(mut child: Child, limit: Duration) -> Said {
    fn reader(from: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut from) = from {
                let _ = from.read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }
    let (out, err) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let end = Instant::now() + limit;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status.code(),
            None if Instant::now() > end => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    Said {
        status,
        out: out.join().unwrap(),
        err: err.join().unwrap(),
    }
}
