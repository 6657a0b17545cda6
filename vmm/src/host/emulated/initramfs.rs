//! The initial file system of the emulated host: modules, this binary as `/init`, the order, and the files of the job.
//!
//! It is the only way in that keeps a run under `-icount` repeatable, so all input goes this way. Linux unpacks
//! archives that follow each other, so the part that is always the same is made once and kept in the cache. Time stamps,
//! owners and inode numbers are fixed: the same inputs give the same bytes.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use cpio::newc::{Builder, trailer};

use super::super::{HostError, cache};
use super::assets::{self, Kernel};

/// Where the order is found inside.
pub(super) const ORDER: &str = "/order.json";
/// Where the modules are found inside.
pub(super) const MODULES: &str = "/modules";
/// Where carried files lie, by number, until the first process moves them to their places.
pub(super) const CARRIED: &str = "/carried";

const DIRECTORY: u32 = 0o040_755;
const REGULAR: u32 = 0o100_000;

/// A newc archive in the making.
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn new() -> Archive {
        Archive {
            bytes: Vec::new(),
            entries: 0,
        }
    }

    fn add(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entries += 1;
        let size =
            u32::try_from(content.len()).map_err(|_| io::Error::other("larger than 4 GiB"))?;
        let nlink = if mode & DIRECTORY == DIRECTORY { 2 } else { 1 };
        let entry = Builder::new(name)
            .ino(self.entries)
            .mode(mode)
            .nlink(nlink)
            .mtime(0);
        let mut writer = entry.write(&mut self.bytes, size);
        writer.write_all(content)?;
        writer.finish()?;
        Ok(())
    }

    /// The whole archive, padded so that another may follow it.
    fn finish(self) -> io::Result<Vec<u8>> {
        let mut bytes = trailer(self.bytes)?;
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        Ok(bytes)
    }
}

/// The part that depends on the kernel alone, from the cache when it is there.
pub(super) fn base(kernel: &Kernel) -> Result<Vec<u8>, HostError> {
    let mut stamp = String::new();
    for file in &kernel.modules {
        let meta = fs::metadata(file)
            .map_err(HostError::doing(format!("looking at {}", file.display())))?;
        stamp.push_str(&format!(
            "{} {} {}\n",
            file.display(),
            meta.len(),
            meta.mtime()
        ));
    }
    let name = format!("{}-{:016x}.cpio", kernel.release, fnv(stamp.as_bytes()));
    let path = cache::folder().join("initramfs").join(name);
    if let Ok(bytes) = fs::read(&path)
        && bytes.len() % 512 == 0
        && bytes.starts_with(b"070701")
    {
        return Ok(bytes);
    }
    let bytes =
        make_base(kernel).map_err(HostError::doing("preparing the emulated host's modules"))?;
    // A cache that cannot be written (a full disk, a read-only home) costs time only.
    let _ = cache::store(&path, &bytes);
    Ok(bytes)
}

fn make_base(kernel: &Kernel) -> io::Result<Vec<u8>> {
    let mut archive = Archive::new();
    for folder in [
        "dev",
        "proc",
        "sys",
        "run",
        "tmp",
        "root",
        &MODULES[1..],
        &CARRIED[1..],
    ] {
        archive.add(folder, DIRECTORY, &[])?;
    }
    for ((module, _), file) in assets::MODULES.iter().zip(&kernel.modules) {
        let bytes = fs::read(file)?;
        let name = format!("{}/{}", &MODULES[1..], assets::file_name(module));
        archive.add(&name, REGULAR | 0o644, without_signature(&bytes))?;
    }
    archive.finish()
}

/// The part of one run: `program` as `/init`, the order, and the carried files in order.
pub(super) fn job(program: &Path, order: &[u8], files: &[&Path]) -> Result<Vec<u8>, HostError> {
    let init =
        fs::read(program).map_err(HostError::doing(format!("reading {}", program.display())))?;
    let mut archive = Archive::new();
    let full = |what: &str| HostError::doing(format!("packing {what}"));
    archive
        .add("init", REGULAR | 0o755, &loadable(init))
        .map_err(full("this program"))?;
    archive
        .add(&ORDER[1..], REGULAR | 0o600, order)
        .map_err(full("the order"))?;
    for (number, path) in files.iter().enumerate() {
        let unreadable = |source| HostError::File {
            path: path.to_path_buf(),
            source,
        };
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
        let content = fs::read(path).map_err(unreadable)?;
        let name = format!("{}/{number}", &CARRIED[1..]);
        archive
            .add(&name, REGULAR | mode, &content)
            .map_err(unreadable)?;
    }
    archive.finish().map_err(full("the job"))
}

/// A module without the signature at its end: hashing it under emulation takes most of a second, for a kernel that does
/// not ask for it.
fn without_signature(module: &[u8]) -> &[u8] {
    const MARKER: &[u8] = b"~Module signature appended~\n";
    // `struct module_signature` of Linux: eight bytes of algorithm and names, then the signature's length, big-endian.
    const TRAILER: usize = 12;
    let stripped = || {
        let rest = module.strip_suffix(MARKER)?;
        let (rest, length) = rest.split_last_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        rest.len()
            .checked_sub(TRAILER - 4)?
            .checked_sub(length)
            .map(|end| &module[..end])
    };
    stripped().unwrap_or(module)
}

/// The part of an ELF64 file that is loaded: symbols and debug information, most of its size, are cut off.
fn loadable(mut elf: Vec<u8>) -> Vec<u8> {
    if let Some(end) = end_of_segments(&elf) {
        elf.truncate(end);
        elf[40..48].fill(0); // e_shoff
        elf[60..64].fill(0); // e_shnum, e_shstrndx
    }
    elf
}

fn end_of_segments(elf: &[u8]) -> Option<usize> {
    let number = |at: usize, size: usize| -> Option<usize> {
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(elf.get(at..at.checked_add(size)?)?);
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let mut end = table.checked_add(size.checked_mul(count)?)?.max(64);
    for index in 0..count {
        let header = table.checked_add(index.checked_mul(size)?)?;
        end = end.max(number(header + 8, 8)?.checked_add(number(header + 32, 8)?)?);
    }
    (end <= elf.len()).then_some(end)
}

/// FNV-1a, to name a cache entry; nothing depends on its strength.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn small() -> io::Result<Vec<u8>> {
        let mut archive = Archive::new();
        archive.add("folder", DIRECTORY, &[])?;
        archive.add("folder/odd", REGULAR | 0o644, b"abc")?;
        archive.add("empty", REGULAR | 0o755, b"")?;
        archive.finish()
    }

    #[test]
    fn archives_repeat_and_follow_each_other() -> io::Result<()> {
        let bytes = small()?;
        assert_eq!(bytes, small()?);
        assert_eq!(bytes.len() % 512, 0);
        Ok(())
    }

    #[test]
    fn cpio_reads_what_we_write() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let started = Command::new("cpio")
            .args(["-idm", "--quiet"])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .spawn();
        let mut child = match started {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                eprintln!("skipped: cpio is not installed");
                return Ok(());
            }
            started => started?,
        };
        child
            .stdin
            .take()
            .map_or(Ok(()), |mut stdin| stdin.write_all(&small()?))?;
        assert!(child.wait()?.success());
        assert_eq!(fs::read(folder.path().join("folder/odd"))?, b"abc");
        assert_eq!(
            fs::metadata(folder.path().join("empty"))?
                .permissions()
                .mode()
                & 0o777,
            0o755
        );
        Ok(())
    }

    #[test]
    fn signatures_go_and_unsigned_modules_stay() {
        let mut signed = b"module text".to_vec();
        signed.extend_from_slice(&[9; 20]);
        signed.extend_from_slice(&[0; 8]);
        signed.extend_from_slice(&20u32.to_be_bytes());
        signed.extend_from_slice(b"~Module signature appended~\n");
        assert_eq!(without_signature(&signed), b"module text");
        assert_eq!(without_signature(b"module text"), b"module text");
        let mut lying = vec![0xff; 12];
        lying.extend_from_slice(b"~Module signature appended~\n");
        assert_eq!(without_signature(&lying), lying.as_slice());
    }

    #[test]
    fn this_program_runs_without_its_symbols() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let whole = fs::read(std::env::current_exe()?)?;
        let length = whole.len();
        let cut = loadable(whole);
        assert!(cut.len() < length);
        let program = folder.path().join("cut");
        fs::write(&program, cut)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        let out = Command::new(&program)
            .args(["--list", "loadable"])
            .output()?;
        assert!(out.status.success(), "{out:?}");
        assert_eq!(loadable(b"#!/bin/sh\n".to_vec()), b"#!/bin/sh\n");
        assert_eq!(
            loadable(b"\x7fELF\x02\x01 cut short".to_vec()),
            b"\x7fELF\x02\x01 cut short"
        );
        Ok(())
    }
}
