//! The sockets of the cluster, seen from inside: which there are, and connections to them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::super::link::{self, Link};
use super::super::mux::{Frame, Kind};

/// How often the folders are looked at. A cluster's sockets appear once, while it boots.
const LOOK: Duration = Duration::from_millis(100);

/// Tells the outside for ever which sockets appear in and vanish from `folders`.
pub(super) fn watch(link: Arc<Link>, folders: Vec<PathBuf>) {
    if folders.is_empty() {
        return;
    }
    thread::spawn(move || {
        let mut known = BTreeSet::new();
        loop {
            let now: BTreeSet<PathBuf> = folders
                .iter()
                .flat_map(|folder| sockets_in(folder))
                .collect();
            for (paths, kind) in [
                (now.difference(&known), Kind::Appeared),
                (known.difference(&now), Kind::Vanished),
            ] {
                for path in paths {
                    if link.send(kind, 0, path.as_os_str().as_bytes()).is_err() {
                        return;
                    }
                }
            }
            known = now;
            thread::sleep(LOOK);
        }
    });
}

fn sockets_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()))
        .map(|entry| entry.path())
        .collect()
}

/// Connects a stream that the outside opened; a connection that is refused resets it.
pub(super) fn open(link: &Arc<Link>, frame: &Frame) {
    if connect(link, frame.stream, &frame.body).is_err() {
        let _ = link.send(Kind::Reset, frame.stream, &[]);
    }
}

fn connect(link: &Arc<Link>, stream: u32, target: &[u8]) -> io::Result<()> {
    match target.split_first() {
        Some((b'u', path)) => {
            link::carry(link, stream, UnixStream::connect(OsStr::from_bytes(path))?)
        }
        Some((b't', digits)) => {
            let port = std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse().ok());
            let port: u16 = port.ok_or(io::ErrorKind::InvalidInput)?;
            let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            connection.set_nodelay(true)?;
            link::carry(link, stream, connection)
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}
