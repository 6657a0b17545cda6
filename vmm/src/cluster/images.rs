//! Images of actors and of the Nucleus: the ones that this binary carries, and files of the host.
//!
//! A file is looked at before anything is started, so that a wrong one is refused by its name and not by a site that ends. The
//! loader in the guest checks everything again, and more; it trusts nobody.

use super::failure::{Failure, Outcome};
use super::topology::Image;
use chorus_abi::image::IMAGE_MAX;
use std::io::Read;
use std::path::Path;

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Everything that this binary carries: name and bytes. The Nucleus is called `nucleus`, the others are actors.
fn assets() -> &'static [(&'static str, &'static [u8])] {
    ASSETS
}

/// Name of the Nucleus among the images that this binary carries.
pub const NUCLEUS: &str = "nucleus";

/// Names of the actors that this binary carries.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    assets()
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| *name != NUCLEUS)
}

/// Whether this binary carries an actor of that name.
pub fn is_builtin(name: &str) -> bool {
    builtin_names().any(|builtin| builtin == name)
}

/// The bytes of an image that this binary carries. Errors: it was built without the guest side.
pub fn builtin(name: &str) -> Outcome<&'static [u8]> {
    assets().iter().find(|(builtin, _)| *builtin == name).map(|(_, bytes)| *bytes).ok_or_else(|| {
        let failure = Failure::failed(format!("this chorus carries no image called {name}"));
        if assets().is_empty() {
            failure.hint("it was built without the guest side; build it with cargo build --release, without CHORUS_SKIP_GUEST")
        } else {
            failure.hint(format!("it carries: {}", builtin_names().collect::<Vec<_>>().join(", ")))
        }
    })
}

/// The whole ELF file of a built-in actor, with its symbols; `None` when this binary does not carry it.
pub fn symbols(name: &str) -> Option<Vec<u8>> {
    let (_, packed) = SYMBOLS.iter().find(|(known, _)| *known == name)?;
    miniz_oxide::inflate::decompress_to_vec(packed).ok()
}

/// Name of an actor for which none was given: the file's name without its ending, cut to what the Nucleus keeps.
pub fn default_name(image: &Image) -> String {
    let name = match image {
        Image::BuiltIn(name) => name.clone(),
        Image::File(path) => path.file_stem().map_or_else(
            || "actor".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        ),
    };
    let word: String = name
        .chars()
        .map(|c| {
            if c.is_whitespace() || c.is_control() {
                '-'
            } else {
                c
            }
        })
        .collect();
    chorus_abi::name_text(&chorus_abi::name_field(&word)).to_owned()
}

/// The image named on a command line: a built-in actor, a file of `folder`, or a file. Errors: status 4 with the reason.
pub fn find(name: &str, folder: Option<&Path>) -> Outcome<Image> {
    if let Some(path) = folder
        .map(|folder| folder.join(name))
        .filter(|path| path.is_file())
    {
        return check(&path).map(|()| Image::File(path));
    }
    let path = Path::new(name);
    if !name.contains('/') && !path.is_file() {
        if is_builtin(name) {
            return Ok(Image::BuiltIn(name.to_owned()));
        }
        let failure = Failure::bad_file(format!("{name}: neither a built-in actor nor a file"));
        return Err(match super::topology::nearest(name, builtin_names()) {
            Some(meant) => failure.hint(format!("did you mean the built-in actor {meant}?")),
            None if builtin_names().next().is_none() => {
                failure.hint("this chorus was built without its built-in actors")
            }
            None => failure.hint(format!(
                "the built-in actors are: {}",
                builtin_names().collect::<Vec<_>>().join(", ")
            )),
        });
    }
    check(path)?;
    Ok(Image::File(
        std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    ))
}

/// The bytes of an image. Errors: status 4 naming the file and the cause.
pub fn load(image: &Image) -> Outcome<Vec<u8>> {
    match image {
        Image::BuiltIn(name) => builtin(name).map(<[u8]>::to_vec),
        Image::File(path) => load_file(path),
    }
}

/// The bytes of an image file, checked. Errors: status 4 naming the file and the cause.
pub fn load_file(path: &Path) -> Outcome<Vec<u8>> {
    read_file(path)
        .and_then(|bytes| check_elf(&bytes).map(|()| bytes))
        .map_err(|why| Failure::bad_file(format!("{}: {why}", path.display())))
}

fn check(path: &Path) -> Outcome<()> {
    check_file(path).map_err(|why| Failure::bad_file(format!("{}: {why}", path.display())))
}

/// Whether a file can be an actor's image. Errors: a few words that say why not.
pub fn check_file(path: &Path) -> Result<(), String> {
    read_file(path).and_then(|bytes| check_elf(&bytes))
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let reason = |error: std::io::Error| super::reason(&error);
    let file = std::fs::File::open(path).map_err(reason)?;
    if !file.metadata().map_err(reason)?.is_file() {
        return Err("not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(IMAGE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(reason)?;
    if bytes.len() as u64 > IMAGE_MAX {
        return Err(format!(
            "larger than the {} MiB that an image may have",
            IMAGE_MAX >> 20
        ));
    }
    Ok(bytes)
}

const EM_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PF_X: u32 = 1;
const PF_W: u32 = 2;

/// Checks what can be said about an ELF image without loading it. Errors: a few words that say what is wrong.
pub fn check_elf(bytes: &[u8]) -> Result<(), String> {
    if !bytes.starts_with(b"\x7fELF") {
        return Err("not an ELF file".to_owned());
    }
    let truncated = || "the ELF file is truncated".to_owned();
    let half = |at: usize| {
        bytes
            .get(at..at + 2)
            .map(|b| u16::from_le_bytes([b[0], b[1]]))
            .ok_or_else(truncated)
    };
    let word = |at: usize| {
        bytes
            .get(at..at + 8)
            .and_then(|b| b.try_into().ok())
            .map(u64::from_le_bytes)
            .ok_or_else(truncated)
    };
    if bytes.get(4..6) != Some(&[2, 1]) {
        return Err("not a 64-bit little-endian ELF file".to_owned());
    }
    let machine = half(18)?;
    if machine != EM_X86_64 {
        return Err(format!(
            "made for another machine (ELF machine {machine}, x86-64 is {EM_X86_64})"
        ));
    }
    let (table, size, count) = (word(32)?, half(54)?, half(56)?);
    if count == 0 || size < 56 {
        return Err("no program headers: an object file is not an image, link it first".to_owned());
    }
    let mut loaded: Vec<(u64, u64)> = Vec::new();
    for index in 0..u64::from(count) {
        let at = table
            .checked_add(index * u64::from(size))
            .and_then(|at| usize::try_from(at).ok())
            .filter(|at| *at < bytes.len())
            .ok_or_else(truncated)?;
        let kind = word(at)? as u32;
        let flags = (word(at)? >> 32) as u32;
        if kind != PT_LOAD {
            continue;
        }
        let (offset, address, in_file, in_memory) = (
            word(at + 8)?,
            word(at + 16)?,
            word(at + 32)?,
            word(at + 40)?,
        );
        if offset
            .checked_add(in_file)
            .is_none_or(|end| end > bytes.len() as u64)
        {
            return Err(truncated());
        }
        if flags & (PF_W | PF_X) == PF_W | PF_X {
            return Err(format!(
                "the segment at {address:#x} is writable and executable"
            ));
        }
        let end = address.checked_add(in_memory).ok_or_else(|| {
            format!("the segment at {address:#x} goes round the end of the address space")
        })?;
        if loaded.iter().any(|&(from, to)| address < to && from < end) {
            return Err(format!("the segment at {address:#x} overlaps another one"));
        }
        loaded.push((address, end));
    }
    if loaded.is_empty() {
        Err("nothing in it is to be loaded".to_owned())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An image with these loadable segments: flags, address, bytes in memory.
    fn elf(segments: &[(u32, u64, u64)]) -> Vec<u8> {
        let mut image = vec![0u8; 64];
        image[..6].copy_from_slice(b"\x7fELF\x02\x01");
        image[18..20].copy_from_slice(&EM_X86_64.to_le_bytes());
        image[32..40].copy_from_slice(&64u64.to_le_bytes());
        image[54..56].copy_from_slice(&56u16.to_le_bytes());
        image[56..58].copy_from_slice(&(segments.len() as u16).to_le_bytes());
        for (flags, address, size) in segments {
            image.extend_from_slice(&PT_LOAD.to_le_bytes());
            image.extend_from_slice(&flags.to_le_bytes());
            for field in [0, *address, *address, 0, *size, 4096] {
                image.extend_from_slice(&field.to_le_bytes());
            }
        }
        image
    }

    #[test]
    fn good_and_bad_images_are_told_apart() {
        assert_eq!(check_elf(&elf(&[(5, 0, 4096), (6, 4096, 4096)])), Ok(()));
        assert!(check_elf(b"#!/bin/sh").unwrap_err().contains("not an ELF"));
        assert!(
            check_elf(&elf(&[(7, 0, 1)]))
                .unwrap_err()
                .contains("writable and executable")
        );
        assert!(
            check_elf(&elf(&[(5, 0, 4097), (6, 4096, 1)]))
                .unwrap_err()
                .contains("overlaps")
        );
        assert!(
            check_elf(&elf(&[(5, u64::MAX, 2)]))
                .unwrap_err()
                .contains("end of the address space")
        );
        assert!(
            check_elf(&elf(&[]))
                .unwrap_err()
                .contains("no program headers")
        );
        let mut other = elf(&[(5, 0, 1)]);
        other[18] = 183;
        assert!(check_elf(&other).unwrap_err().contains("another machine"));
        let whole = elf(&[(5, 0, 1)]);
        for cut in 6..whole.len() - 8 {
            assert!(check_elf(&whole[..cut]).is_err(), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = b"\x7fELF\x02\x01".to_vec();
            bytes.extend(tail);
            let _ = check_elf(&bytes);
        }
    }
}
