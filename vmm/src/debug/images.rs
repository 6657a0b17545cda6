//! The actors' images of a site, as a debugger finds them.
//!
//! The Nucleus keeps a table of loaded images in its memory (`chorus_abi::machine::KnImage`) and passes a function after each change. The
//! table is read from outside, so that it can be read of a site that stands still. What file an image came from is told by the build
//! identity in its memory (an ELF note), as it is for core files, not by the actor's name, which anybody may give.

use super::inferior::{Error, Inferior, Registers};
use super::paging;
use chorus_abi::machine::{IMAGES, KnImage};

/// Where the Nucleus tells of images and of its processors: physical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landmarks {
    /// The table.
    pub table: u64,
    /// The function that is passed after each change.
    pub changed: u64,
    /// The table of pointers to the records of processors.
    pub processors: u64,
}

/// An actor's image in a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Address that it was loaded at.
    pub base: u64,
    /// Bytes of address space.
    pub extent: u64,
    /// Physical address of its space's page table.
    pub root: u64,
    /// The actor's name when it was loaded.
    pub name: String,
    /// What its file is known by; `None` when it was linked without.
    pub build: Option<Vec<u8>>,
}

impl Image {
    /// Whether an address is in it.
    pub fn holds(&self, address: u64) -> bool {
        address
            .checked_sub(self.base)
            .is_some_and(|offset| offset < self.extent)
    }

    /// Registers with which its space is seen.
    pub fn view(&self) -> Registers {
        Registers {
            cr0: paging::PAGING,
            cr3: self.root,
            ..Registers::default()
        }
    }
}

/// Bytes of an image that are looked at for its note: the headers lie at its start.
const HEAD: usize = 4096;

/// The images of a stopped site, by address. A table that makes no sense (the Nucleus has not begun, or is another one) is empty.
pub fn images(site: &mut dyn Inferior) -> Result<Vec<Image>, Error> {
    const SLOT: usize = size_of::<KnImage>();
    let Some(landmarks) = site.landmarks() else {
        return Ok(Vec::new());
    };
    let mut table = vec![0; IMAGES * SLOT];
    if site.read_physical(landmarks.table, &mut table).is_err() {
        return Ok(Vec::new());
    }
    let mut images = Vec::new();
    for slot in table.chunks_exact(SLOT) {
        let [base, extent, root] = [0, 8, 16].map(|at| word(slot, at).unwrap_or(0));
        if base == 0 {
            continue;
        }
        let name = slot[24..40].split(|&byte| byte == 0).next().unwrap_or(&[]);
        let mut image = Image {
            base,
            extent,
            root,
            // It goes to a terminal.
            name: String::from_utf8_lossy(name).replace(char::is_control, "?"),
            build: None,
        };
        let mut head = [0; HEAD];
        let read = paging::read(site, &image.view(), base, &mut head)?;
        image.build = build(&head[..read]);
        images.push(image);
    }
    images.sort_by_key(|image| image.base);
    Ok(images)
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(8)?)?;
    part.try_into().ok().map(u64::from_le_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let part = bytes.get(at..at.checked_add(2)?)?;
    part.try_into().ok().map(u16::from_le_bytes)
}

fn quarter(bytes: &[u8], at: usize) -> Option<usize> {
    let part = bytes.get(at..at.checked_add(4)?)?;
    let number = part.try_into().ok().map(u32::from_le_bytes)?;
    usize::try_from(number).ok()
}

/// The build identity in the first bytes of an ELF file, or of its image in memory: where the note lies is the same in both. The bytes may be anything.
pub fn build(elf: &[u8]) -> Option<Vec<u8>> {
    const PT_NOTE: usize = 4;
    const NT_GNU_BUILD_ID: usize = 3;
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let headers = usize::try_from(word(elf, 32)?).ok()?;
    for index in 0..usize::from(half(elf, 56)?) {
        let at = headers.checked_add(index * usize::from(half(elf, 54)?))?;
        if quarter(elf, at)? != PT_NOTE {
            continue;
        }
        let start = usize::try_from(word(elf, at + 8)?).ok()?;
        let size = usize::try_from(word(elf, at + 32)?).ok()?;
        let Some(notes) = elf.get(start..start.checked_add(size)?) else {
            continue;
        };
        let mut next = 0;
        while let (Some(name), Some(size), Some(kind)) = (
            quarter(notes, next),
            quarter(notes, next + 4),
            quarter(notes, next + 8),
        ) {
            let text = next + 12;
            let Some(content) = text.checked_add(name.next_multiple_of(4)) else {
                break;
            };
            let Some(end) = content.checked_add(size) else {
                break;
            };
            if kind == NT_GNU_BUILD_ID && notes.get(text..text + name) == Some(b"GNU\0") {
                return notes.get(content..end).map(<[u8]>::to_vec);
            }
            next = end.next_multiple_of(4);
        }
    }
    None
}

/// Name of the file that holds an image's symbols: the one of `known`, else its build identity in hexadecimal; `None` when it has none.
pub fn library(image: &Image, known: &[Known]) -> Option<String> {
    let build = image.build.as_ref()?;
    let named = known.iter().find(|known| known.build == *build);
    Some(named.map_or_else(
        || format!("{}.elf", hexadecimal(build)),
        |known| known.file.clone(),
    ))
}

/// Bytes in hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An image whose file has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its build identity.
    pub build: Vec<u8>,
    /// Name of the file with its symbols.
    pub file: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The head of an ELF file with one note segment.
    fn head(notes: &[u8]) -> Vec<u8> {
        let mut head = vec![0; 64 + 56];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[32] = 64;
        head[54] = 56;
        head[56] = 1;
        head[64] = 4;
        head[64 + 8] = 120;
        head[64 + 32] = notes.len() as u8;
        head.extend(notes);
        head
    }

    #[test]
    fn the_build_identity_is_found_behind_other_notes() {
        let mut notes = b"\x08\0\0\0\x04\0\0\0\x07\0\0\0Chorus\0\0abcd".to_vec();
        assert_eq!(build(&head(&notes)), None);
        notes.extend(b"\x04\0\0\0\x03\0\0\0\x03\0\0\0GNU\0\x01\x02\x03\0");
        assert_eq!(build(&head(&notes)), Some(vec![1, 2, 3]));
        assert_eq!(build(b"\x7fELF"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(notes in proptest::collection::vec(any::<u8>(), 0..80), at in 0usize..200, byte: u8) {
            let mut bytes = head(&notes);
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = build(&bytes);
        }
    }
}
