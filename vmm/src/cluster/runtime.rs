//! The runtime folder of a cluster, and whether the process behind it is alive.
//!
//! One folder holds everything of a cluster that others must find: `pid`, `control.sock`, `cluster.json`, `logs/`. A cluster process
//! that was killed leaves its folder; process id and start time together tell such a left-over from a living one, since a
//! process id alone may belong to somebody else by now.

use super::failure::{Failure, Outcome};
use rustix::fs::{FlockOperation, Mode, flock};
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Longest path of a unix socket in bytes, as Linux has it.
const SOCKET_PATH_MAX: usize = 107;

/// A process that cannot be mixed up with a later one of the same id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Process id.
    pub pid: i32,
    /// Start time in clock ticks since the machine's boot.
    pub start: u64,
}

impl Identity {
    /// This process. Errors: `/proc` is not mounted.
    pub fn own() -> Outcome<Identity> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let start = start_time(pid).ok_or_else(|| {
            Failure::host("/proc is not mounted, or not readable").hint("mount -t proc proc /proc")
        })?;
        Ok(Identity { pid, start })
    }

    /// Whether the process still runs (a zombie does not).
    pub fn alive(self) -> bool {
        start_time(self.pid) == Some(self.start)
    }

    /// Reads `PID START`; nothing when it is not that.
    pub fn parse(text: &str) -> Option<Identity> {
        let mut words = text.split_ascii_whitespace();
        let identity = Identity {
            pid: words.next()?.parse().ok().filter(|pid| *pid > 0)?,
            start: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(identity)
    }
}

/// Start time of a process in clock ticks since boot; nothing when it is gone or only waits to be collected.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so count from the last parenthesis: state is field 3, start time 22.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

/// What is behind a runtime folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// No folder.
    Absent,
    /// A process that was killed.
    Stale,
    /// A living process.
    Alive(Identity),
}

/// Where runtime folders are: `$XDG_RUNTIME_DIR/chorus`, else the temporary folder with the user's id.
/// Errors: status 5 when that folder belongs to somebody else or cannot be made.
pub fn root() -> Outcome<PathBuf> {
    let root = base().join("chorus");
    private_folder(&base())?;
    private_folder(&root)?;
    Ok(root)
}

/// The folder that stands for `$XDG_RUNTIME_DIR`.
pub fn base() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
    {
        Some(path) => path,
        None => {
            std::env::temp_dir().join(format!("runtime-{}", rustix::process::getuid().as_raw()))
        }
    }
}

/// Makes a folder that only this user enters, or checks that it is one of this user's.
fn private_folder(path: &Path) -> Outcome<()> {
    let fail = |why: String| {
        Failure::host(format!("{}: {why}", path.display()))
            .hint("set XDG_RUNTIME_DIR to a folder that is yours alone")
    };
    match fs::DirBuilder::new()
        .mode(0o700)
        .recursive(false)
        .create(path)
    {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => {
            return Err(fail(format!(
                "cannot make the runtime folder: {}",
                super::reason(&error)
            )));
        }
    }
    let meta = fs::symlink_metadata(path).map_err(|error| fail(super::reason(&error)))?;
    if !meta.is_dir() || meta.uid() != rustix::process::getuid().as_raw() {
        return Err(fail(
            "the runtime folder is not a folder of yours".to_owned(),
        ));
    }
    Ok(())
}

/// The runtime folder of one cluster.
#[derive(Clone, Debug)]
pub struct Runtime {
    folder: PathBuf,
    name: String,
}

impl Runtime {
    /// The folder of the cluster `name`, which need not exist. Errors: a name that is none (status 2), or no place for it.
    pub fn of(name: &str) -> Outcome<Runtime> {
        super::topology::check_name(name)
            .map_err(|why| Failure::usage(format!("the cluster's name: {why}")))?;
        Self::at(&root()?, name)
    }

    /// The same below another root.
    pub fn at(root: &Path, name: &str) -> Outcome<Runtime> {
        let folder = root.join(name);
        if folder.join("control.sock").as_os_str().len() > SOCKET_PATH_MAX {
            let text = format!("{}: the path is too long for a socket", folder.display());
            return Err(
                Failure::host(text).hint("set XDG_RUNTIME_DIR to a folder with a shorter path")
            );
        }
        Ok(Runtime {
            folder,
            name: name.to_owned(),
        })
    }

    /// Every cluster that has a folder, by name.
    pub fn all() -> Outcome<Vec<Runtime>> {
        let root = root()?;
        let entries = fs::read_dir(&root).map_err(|error| {
            Failure::host(format!("{}: {}", root.display(), super::reason(&error)))
        })?;
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.retain(|name| super::topology::check_name(name).is_ok());
        names.sort();
        names.iter().map(|name| Self::at(&root, name)).collect()
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("control.sock")
    }

    /// What the cluster was started with.
    pub fn record(&self) -> PathBuf {
        self.folder.join("cluster.json")
    }

    /// The folder of the log files.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// What is behind the folder now.
    pub fn state(&self) -> State {
        match fs::read_to_string(self.folder.join("pid")) {
            Ok(text) => match Identity::parse(&text).filter(|identity| identity.alive()) {
                Some(identity) => State::Alive(identity),
                None => State::Stale,
            },
            Err(_) if self.folder.exists() => State::Stale,
            Err(_) => State::Absent,
        }
    }

    /// Takes the folder for this process: makes it anew, and takes away what a killed process left.
    /// Errors: status 1 when a living cluster has the name.
    pub fn claim(&self) -> Outcome<Claim> {
        let fail = |error: std::io::Error| {
            Failure::host(format!(
                "{}: {}",
                self.folder.display(),
                super::reason(&error)
            ))
        };
        let _lock = self.lock()?;
        match self.state() {
            State::Alive(identity) => {
                let text = format!(
                    "a cluster called {} is running already (process {})",
                    self.name, identity.pid
                );
                return Err(Failure::failed(text).hint(format!(
                    "end it with: chorus down --name {}, or choose another --name",
                    self.name
                )));
            }
            State::Stale => self.remove()?,
            State::Absent => {}
        }
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&self.folder)
            .map_err(fail)?;
        let own = Identity::own()?;
        let written = self.write("pid", format!("{} {}\n", own.pid, own.start).as_bytes());
        if let Err(failure) = written {
            self.remove()?;
            return Err(failure);
        }
        Ok(Claim {
            runtime: self.clone(),
            own,
        })
    }

    /// Writes a file of the folder whole or not at all. Errors: a full disk, say.
    pub fn write(&self, file: &str, bytes: &[u8]) -> Outcome<()> {
        let (path, fresh) = (
            self.folder.join(file),
            self.folder.join(format!(".{file}.new")),
        );
        fs::File::create(&fresh)
            .and_then(|mut out| out.write_all(bytes))
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(|error| {
                Failure::host(format!("{}: {}", path.display(), super::reason(&error)))
            })
    }

    /// Takes away the folder of a process that was killed. Returns whether there was one. Errors: a living one; no permission.
    pub fn clean(&self) -> Outcome<bool> {
        let _lock = self.lock()?;
        match self.state() {
            State::Absent => Ok(false),
            State::Stale => self.remove().map(|()| true),
            State::Alive(identity) => Err(Failure::failed(format!(
                "{} still runs (process {})",
                self.name, identity.pid
            ))),
        }
    }

    fn remove(&self) -> Outcome<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Failure::host(format!(
                "{}: cannot be removed: {}",
                self.folder.display(),
                super::reason(&error)
            ))),
            _ => Ok(()),
        }
    }

    /// Held while folders are made or taken away. The lock ends with the file, also when its process is killed.
    fn lock(&self) -> Outcome<rustix::fd::OwnedFd> {
        let root = self.folder.parent().unwrap_or(Path::new("/"));
        let flags = rustix::fs::OFlags::RDONLY
            | rustix::fs::OFlags::DIRECTORY
            | rustix::fs::OFlags::CLOEXEC;
        let fail = |error: rustix::io::Errno| {
            Failure::host(format!(
                "{}: {}",
                root.display(),
                super::reason(&error.into())
            ))
        };
        let root_fd = rustix::fs::open(root, flags, Mode::empty()).map_err(fail)?;
        flock(&root_fd, FlockOperation::LockExclusive).map_err(fail)?;
        Ok(root_fd)
    }
}

/// A runtime folder in this process' hands; dropping it takes the folder away.
#[derive(Debug)]
pub struct Claim {
    runtime: Runtime,
    own: Identity,
}

impl Claim {
    /// The folder.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // `down` may have taken the folder, and a new cluster the name: only what is still ours goes.
        if let Ok(_lock) = self.runtime.lock()
            && self.runtime.state() == State::Alive(self.own)
        {
            let _ = self.runtime.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_exclusive_and_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let runtime = Runtime::at(root.path(), "one").unwrap();
        assert_eq!(runtime.state(), State::Absent);
        let claim = runtime.claim().unwrap();
        assert!(matches!(runtime.state(), State::Alive(_)));
        let refused = runtime.claim().unwrap_err();
        assert!(refused.what.contains("running already"), "{refused}");
        assert!(runtime.clean().is_err());
        drop(claim);
        assert_eq!(runtime.state(), State::Absent);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_killed_process_is_told_from_a_living_one_with_its_id() {
        let root = tempfile::tempdir().unwrap();
        let runtime = Runtime::at(root.path(), "one").unwrap();
        let own = Identity::own().unwrap();
        fs::create_dir(runtime.folder()).unwrap();
        for (text, stale) in [
            (format!("{} {}", own.pid, own.start), false),
            (format!("{} {}", own.pid, own.start + 1), true),
            (format!("{} {}", i32::MAX, own.start), true),
            (String::new(), true),
            ("-1 0".to_owned(), true),
            ("0 0".to_owned(), true),
        ] {
            fs::write(runtime.folder().join("pid"), &text).unwrap();
            assert_eq!(runtime.state() == State::Stale, stale, "{text:?}");
        }
        assert_eq!(runtime.clean(), Ok(true));
        assert_eq!(runtime.clean(), Ok(false));
    }

    #[test]
    fn a_stale_folder_is_taken_over() {
        let root = tempfile::tempdir().unwrap();
        let runtime = Runtime::at(root.path(), "one").unwrap();
        fs::create_dir(runtime.folder()).unwrap();
        fs::write(runtime.socket(), "").unwrap();
        let _claim = runtime.claim().unwrap();
        assert!(!runtime.socket().exists());
    }

    #[test]
    fn paths_too_long_for_a_socket_are_refused() {
        let root = PathBuf::from(format!("/{}", "x".repeat(100)));
        assert!(
            Runtime::at(&root, "one")
                .unwrap_err()
                .what
                .contains("too long")
        );
    }
}
