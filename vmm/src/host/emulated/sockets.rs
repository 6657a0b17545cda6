//! The sockets of the cluster, seen from outside: listeners under the same names, whose connections are carried in.
//!
//! A listener is there exactly while its socket is there inside, so that waiting for `control.sock` means what it always means.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::net::{Shutdown, shutdown};

use super::link::{self, Connection, Link};
use super::mux::{self, Kind};

/// All listeners of one run. Dropping it ends them and removes their files.
pub(super) struct Listeners {
    link: Arc<Link>,
    folders: Vec<PathBuf>,
    unix: HashMap<PathBuf, OwnedFd>,
    tcp: Vec<OwnedFd>,
    next: Arc<AtomicU32>,
}

impl Listeners {
    /// None yet. Only sockets directly in `folders` will be made.
    pub(super) fn new(link: Arc<Link>, folders: Vec<PathBuf>) -> Listeners {
        let next = Arc::new(AtomicU32::new(mux::CONNECTIONS));
        Listeners {
            link,
            folders,
            unix: HashMap::new(),
            tcp: Vec::new(),
            next,
        }
    }

    /// A socket appeared inside.
    pub(super) fn appeared(&mut self, path: &Path) -> io::Result<()> {
        if !path
            .parent()
            .is_some_and(|parent| self.folders.iter().any(|folder| folder == parent))
        {
            return Err(io::Error::other("a socket outside of the mirrored folders"));
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        if fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket()) {
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let handle = listener.as_fd().try_clone_to_owned()?;
        let target = [b"u", path.as_os_str().as_bytes()].concat();
        self.accept(target, move || {
            listener.accept().map(|(connection, _)| connection)
        });
        if let Some(before) = self.unix.insert(path.to_path_buf(), handle) {
            stop(&before);
        }
        Ok(())
    }

    /// A socket went away inside.
    pub(super) fn vanished(&mut self, path: &Path) {
        if let Some(handle) = self.unix.remove(path) {
            stop(&handle);
            let _ = fs::remove_file(path);
        }
    }

    /// Carries a loopback TCP port.
    pub(super) fn port(&mut self, port: u16) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        self.tcp.push(listener.as_fd().try_clone_to_owned()?);
        self.accept(format!("t{port}").into_bytes(), move || {
            let (connection, _) = listener.accept()?;
            connection.set_nodelay(true)?;
            Ok(connection)
        });
        Ok(())
    }

    fn accept<S: Connection>(
        &self,
        target: Vec<u8>,
        next: impl Fn() -> io::Result<S> + Send + 'static,
    ) {
        let (link, numbers) = (Arc::clone(&self.link), Arc::clone(&self.next));
        thread::spawn(move || {
            loop {
                let connection = match next() {
                    Ok(connection) => connection,
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                    // The listener was shut down, or this process has no descriptors left: either way it can take no more.
                    Err(_) => return,
                };
                let id = numbers.fetch_add(1, Ordering::Relaxed);
                if link.send(Kind::Open, id, &target).is_err()
                    || link::carry(&link, id, connection).is_err()
                {
                    return;
                }
            }
        });
    }
}

fn stop(listener: &OwnedFd) {
    // It wakes the thread in `accept` with an error.
    let _ = shutdown(listener, Shutdown::Both);
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for (path, handle) in self.unix.drain() {
            stop(&handle);
            let _ = fs::remove_file(path);
        }
        self.tcp.iter().for_each(stop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_come_and_go_under_their_names_and_nowhere_else() -> io::Result<()> {
        let home = tempfile::tempdir()?;
        let folder = home.path().join("cluster");
        let link = Link::new(Box::new(io::sink()), false);
        let mut listeners = Listeners::new(link, vec![folder.clone()]);
        let path = folder.join("control.sock");
        listeners.appeared(&path)?;
        assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
        assert!(listeners.appeared(&home.path().join("other.sock")).is_err());
        listeners.vanished(&path);
        assert!(!path.exists());
        listeners.appeared(&path)?;
        drop(listeners);
        assert!(!path.exists());
        Ok(())
    }
}
