//! The emulated host: a whole command of ours runs on the KVM of a Linux kernel in QEMU's TCG.
//!
//! Outside, [`Launch`] (or [`run`]) starts QEMU and carries bytes; inside, the same binary is the first process ([`inner`]) and
//! starts the command as its child. Between them runs one multiplexed byte stream ([`mux`]) that carries the output, the
//! exit status, files, and connections to the sockets of the cluster. So everything outside works as if the cluster
//! were run here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{HostError, Missing};

mod assets;
mod initramfs;
pub mod inner;
mod link;
mod mux;
mod outer;
mod qemu;
mod sockets;

pub(crate) use assets::{kernel, qemu as qemu_program};

/// Environment variable that is set inside the emulated host; see [`super::inside`].
pub const INSIDE: &str = "CHORUS_INSIDE";

/// Whether this process is the first process of the emulated host, and must call [`inner::main`] before anything else.
#[must_use]
pub fn is_inner() -> bool {
    std::process::id() == 1
        && std::env::args_os()
            .next()
            .is_some_and(|name| name == "/init")
}

/// A command to be run in the emulated host.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// Arguments of the `chorus` that runs inside, without the program's name.
    pub args: Vec<OsString>,
    /// Environment of that command. Nothing else of this process' environment gets in.
    pub env: BTreeMap<OsString, OsString>,
    /// Its working folder, made inside if need be. Default: this process'.
    pub folder: Option<PathBuf>,
    /// Files carried in: (path inside, path here).
    pub files: Vec<(PathBuf, PathBuf)>,
    /// Files carried out when the command has ended: (path inside, path here). One that was not made is not an error.
    pub results: Vec<(PathBuf, PathBuf)>,
    /// Folders whose unix sockets appear here, under the same path, while they exist inside.
    pub mirrors: Vec<PathBuf>,
    /// Loopback TCP ports that are carried inside, port to same port.
    pub ports: Vec<u16>,
    /// Whether standard input is carried in.
    pub stdin: bool,
    /// Virtual clock and everything pinned: same build and same inputs give the same bytes. Sockets, ports, standard input
    /// and signals are not carried then.
    pub deterministic: bool,
    /// Limit on the whole run. Default: none.
    pub timeout: Option<Duration>,
    /// Memory of the emulated machine in MiB. Default: `CHORUS_EMULATED_MEM`, which wins over this, else 1024.
    pub memory_mib: Option<u64>,
    /// Processors of the emulated machine, 1 to 4; a deterministic one has one. Default: 2. They share one thread of this
    /// machine, so more of them bring no speed.
    pub processors: Option<u32>,
}

/// Environment variable with the memory of the emulated machine: `1536`, `1536M` or `2G`.
pub const MEMORY: &str = "CHORUS_EMULATED_MEM";

impl Job {
    fn memory(&self) -> Result<u64, HostError> {
        let Some(text) = std::env::var_os(MEMORY).filter(|text| !text.is_empty()) else {
            return Ok(self.memory_mib.unwrap_or(1024));
        };
        let wrong =
            || std::io::Error::other(format!("{} is not a size from 256M to 64G", text.display()));
        let size = text
            .to_str()
            .and_then(mebibytes)
            .filter(|size| (256..=65536).contains(size));
        size.ok_or_else(wrong)
            .map_err(HostError::doing(format!("reading {MEMORY}")))
    }
}

fn mebibytes(text: &str) -> Option<u64> {
    let (digits, factor) = match text.strip_suffix(['G', 'g']) {
        Some(digits) => (digits, 1024),
        None => (text.strip_suffix(['M', 'm']).unwrap_or(text), 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// What is missing on this machine for the emulated host; empty when it can start.
#[must_use]
pub fn missing() -> Vec<Missing> {
    assets::missing()
}

/// Runs `job` in a fresh emulated host, with its output on this process' output, until it ends.
///
/// The caller's thread waits; SIGINT, SIGTERM and SIGHUP go to the command inside, and a second one ends the machine. Output files
/// are written before this returns. Nothing of the machine outlives the calling thread.
///
/// # Errors
/// See [`HostError`]; an exit status that is not 0 is not an error.
pub fn run(job: &Job) -> Result<std::process::ExitStatus, HostError> {
    let shown = Arc::new(AtomicBool::new(false));
    match outer::run(job, &shown) {
        // An emulator that fails once in a thousand starts is the emulator's fault, and costs a second start. A command
        // that has printed something is not run twice.
        Err(HostError::Crashed { how, .. }) if !shown.load(Ordering::Relaxed) => {
            eprintln!(
                "chorus: the emulated host crashed before it printed anything ({how}); starting it once more"
            );
            outer::run(job, &shown)
        }
        result => result,
    }
}

/// The exit code that a shell would see for `status`: its code, or 128 and the signal.
#[must_use]
pub fn exit_code(status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// Hands the very command that this process was started with to the emulated host.
///
/// The command's handler calls this first thing when [`super::resolve`] says [`super::Backend::Emulated`]. Inside, the same
/// arguments meet [`super::inside`] `== true`: there `resolve` takes KVM, and a handler does not detach.
#[derive(Clone, Debug)]
pub struct Launch {
    job: Job,
}

impl Launch {
    /// This process' own command line.
    #[must_use]
    pub fn of_this_command() -> Launch {
        Launch::new(std::env::args_os().skip(1))
    }

    /// The command line `chorus ARGS`.
    pub fn new<A: Into<OsString>>(args: impl IntoIterator<Item = A>) -> Launch {
        Launch {
            job: Job {
                args: args.into_iter().map(Into::into).collect(),
                ..Job::default()
            },
        }
    }

    /// Carries a file in, under its absolute path.
    #[must_use]
    pub fn file(mut self, path: impl AsRef<Path>) -> Launch {
        let path = absolute(path.as_ref());
        self.job.files.push((path.clone(), path));
        self
    }

    /// Carries a file out when the command has ended, to the same absolute path.
    #[must_use]
    pub fn result(mut self, path: impl AsRef<Path>) -> Launch {
        let path = absolute(path.as_ref());
        self.job.results.push((path.clone(), path));
        self
    }

    /// Shows the unix sockets of a folder here while they exist inside: a cluster's runtime folder.
    #[must_use]
    pub fn mirror(mut self, folder: impl AsRef<Path>) -> Launch {
        self.job.mirrors.push(absolute(folder.as_ref()));
        self
    }

    /// Carries a loopback TCP port inside.
    #[must_use]
    pub fn port(mut self, port: u16) -> Launch {
        self.job.ports.push(port);
        self
    }

    /// Sets a variable in the command's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Launch {
        self.job.env.insert(name.into(), value.into());
        self
    }

    /// Carries standard input in.
    #[must_use]
    pub fn stdin(mut self, yes: bool) -> Launch {
        self.job.stdin = yes;
        self
    }

    /// Runs on a virtual clock with everything pinned.
    #[must_use]
    pub fn deterministic(mut self, yes: bool) -> Launch {
        self.job.deterministic = yes;
        self
    }

    /// Limits the whole run.
    #[must_use]
    pub fn timeout(mut self, limit: Option<Duration>) -> Launch {
        self.job.timeout = limit;
        self
    }

    /// Sizes the emulated machine for a cluster of `sites` sites with `mib` MiB each.
    #[must_use]
    pub fn cluster(mut self, sites: u64, mib: u64) -> Launch {
        self.job.memory_mib = Some(memory_for(sites, mib));
        self
    }

    /// Runs it; see [`run`].
    ///
    /// # Errors
    /// See [`HostError`].
    pub fn run(&self) -> Result<std::process::ExitStatus, HostError> {
        run(&self.job)
    }
}

/// The path from the root, without asking the file system: a file that is not there gets its error when it is read.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// Memory for the emulated machine in MiB: 512 for its Linux and this program, and what the sites may touch, 1024 at least and
/// 8192 at most (a site's memory costs only what it touches).
fn memory_for(sites: u64, mib: u64) -> u64 {
    512u64
        .saturating_add(sites.saturating_mul(mib))
        .clamp(1024, 8192)
}

/// The program started inside, and what it needs; goes in as a file of the initramfs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    folder: PathBuf,
    files: Vec<PathBuf>,
    results: Vec<PathBuf>,
    mirrors: Vec<PathBuf>,
    stdin: bool,
    deterministic: bool,
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(exit_code(ExitStatus::from_raw(0)), 0);
        assert_eq!(exit_code(ExitStatus::from_raw(6 << 8)), 6);
        assert_eq!(exit_code(ExitStatus::from_raw(124 << 8)), 124);
        assert_eq!(exit_code(ExitStatus::from_raw(9)), 137);
    }

    #[test]
    fn sizes_are_read_and_nonsense_is_not() {
        assert_eq!(mebibytes("1536"), Some(1536));
        assert_eq!(mebibytes("512M"), Some(512));
        assert_eq!(mebibytes("2G"), Some(2048));
        assert_eq!(mebibytes("two"), None);
        assert_eq!(mebibytes("99999999999999999999G"), None);
    }

    #[test]
    fn memory_follows_the_cluster_within_bounds() {
        assert_eq!(memory_for(1, 16), 1024);
        assert_eq!(memory_for(8, 128), 1536);
        assert_eq!(memory_for(u64::MAX, 2), 8192);
    }
}
