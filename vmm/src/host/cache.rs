//! The per-user cache folder: the emulated host's kernel, its prepared initramfs, and the answer of the last KVM probe.
//!
//! Everything in it can be made again (`scripts/setup`, or the first run), so it lives under the XDG cache folder and is
//! written by rename: a reader sees a whole file or none.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The folder: `$XDG_CACHE_HOME/chorus`, else `~/.cache/chorus`, else a folder of this user in the temporary folder.
#[must_use]
pub fn folder() -> PathBuf {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(cache) = set("XDG_CACHE_HOME").filter(|path| path.is_absolute()) {
        return cache.join("chorus");
    }
    if let Some(home) = set("HOME").filter(|path| path.is_absolute()) {
        return home.join(".cache/chorus");
    }
    std::env::temp_dir().join(format!(
        "chorus-cache-{}",
        rustix::process::getuid().as_raw()
    ))
}

/// Writes `bytes` to `path` whole or not at all, making the folder first.
///
/// # Errors
/// What the file system says: full disk, no permission.
pub fn store(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path
        .parent()
        .ok_or_else(|| io::Error::other("a cache file needs a folder"))?;
    fs::create_dir_all(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = folder.join(name);
    let written = fs::File::create(&fresh)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        // The reason for the failure is what the caller needs; a left-over of a full disk is only tidied.
        let _ = fs::remove_file(&fresh);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_replaces_and_leaves_nothing_else() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("deep/file");
        store(&path, b"one")?;
        store(&path, b"two")?;
        assert_eq!(fs::read(&path)?, b"two");
        assert_eq!(fs::read_dir(folder.path().join("deep"))?.count(), 1);
        assert!(store(&folder.path().join("deep/file/below"), b"x").is_err());
        Ok(())
    }
}
