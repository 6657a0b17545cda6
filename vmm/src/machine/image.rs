//! The Nucleus image: looked at before anything starts, then copied into guest memory by physical addresses.

use super::Error;
use object::LittleEndian;
use object::elf::{EM_X86_64, ET_EXEC, FileHeader64, PF_W, PF_X, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Lowest physical address of an image: what is below belongs to the boot contract.
pub const LOWEST: u64 = 1 << 20;

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    physical: u64,
    memory_size: u64,
    offset: u64,
    file_size: u64,
}

/// An image that can be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// First instruction, a virtual address.
    pub entry: u64,
    /// One past the highest physical address that it takes.
    pub end: u64,
    segments: Vec<Segment>,
}

fn refuse<T>(why: impl Into<String>) -> Result<T, Error> {
    Err(Error::Image(why.into()))
}

impl Image {
    /// Looks at an ELF file.
    ///
    /// # Errors
    /// What is wrong with it: not an ELF file, another machine, truncated, segments that overlap, are writable and executable, or lie below 1 MiB.
    pub fn parse(bytes: &[u8]) -> Result<Image, Error> {
        if bytes.len() < 4 || bytes[..4] != *b"\x7fELF" {
            return refuse("not an ELF file");
        }
        let Ok(header) = FileHeader64::<LittleEndian>::parse(bytes) else {
            return refuse("truncated, or not a 64-bit little-endian ELF file");
        };
        let Ok(endian) = header.endian() else {
            return refuse("not a little-endian ELF file");
        };
        if header.e_machine(endian) != EM_X86_64 {
            return refuse("built for another machine than x86-64");
        }
        if header.e_type(endian) != ET_EXEC {
            return refuse(
                "not an executable linked at fixed addresses (ET_EXEC), as a Nucleus is",
            );
        }
        let Ok(headers) = header.program_headers(endian, bytes) else {
            return refuse("truncated: the program headers lie behind the end of the file");
        };
        let mut segments = Vec::new();
        for header in headers
            .iter()
            .filter(|header| header.p_type(endian) == PT_LOAD)
        {
            let segment = Segment {
                physical: header.p_paddr(endian),
                memory_size: header.p_memsz(endian),
                offset: header.p_offset(endian),
                file_size: header.p_filesz(endian),
            };
            let at = segment.physical;
            if segment.memory_size == 0 {
                continue;
            }
            let flags = header.p_flags(endian);
            if flags & PF_W != Default::default() && flags & PF_X != Default::default() {
                return refuse(format!(
                    "the segment at {at:#x} is writable and executable at once"
                ));
            }
            if segment.file_size > segment.memory_size
                || segment.memory_size > 1 << 32
                || at > 1 << 40
            {
                return refuse(format!("the segment at {at:#x} has impossible sizes"));
            }
            let in_file = segment
                .offset
                .checked_add(segment.file_size)
                .is_some_and(|end| end <= bytes.len() as u64);
            if !in_file {
                return refuse(format!(
                    "truncated: the file ends before the segment at {at:#x} does"
                ));
            }
            if at < LOWEST {
                return refuse(format!("the segment at {at:#x} lies below {LOWEST:#x}"));
            }
            segments.push(segment);
        }
        segments.sort_by_key(|segment| segment.physical);
        for pair in segments.windows(2) {
            if pair[0].physical + pair[0].memory_size > pair[1].physical {
                return refuse(format!(
                    "the segments at {:#x} and {:#x} overlap",
                    pair[0].physical, pair[1].physical
                ));
            }
        }
        let Some(last) = segments.last() else {
            return refuse("nothing in it is to be loaded");
        };
        Ok(Image {
            entry: header.e_entry(endian),
            end: last.physical + last.memory_size,
            segments,
        })
    }

    /// Copies the image into fresh (zero) guest memory. Errors: it does not fit.
    pub fn load(&self, bytes: &[u8], memory: &GuestMemoryMmap) -> Result<(), Error> {
        for segment in &self.segments {
            let part = usize::try_from(segment.offset).ok().and_then(|start| {
                bytes.get(start..start.checked_add(usize::try_from(segment.file_size).ok()?)?)
            });
            let written = part.map(|part| memory.write_slice(part, GuestAddress(segment.physical)));
            if !matches!(written, Some(Ok(()))) {
                return Err(Error::Shape(format!(
                    "the Nucleus needs memory up to {:#x}, more than the site has",
                    self.end
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::memory;
    use proptest::prelude::*;

    /// An ELF file with these segments `(flags, physical, file bytes, memory size)`.
    pub(crate) fn elf(machine: u16, kind: u16, segments: &[(u32, u64, &[u8], u64)]) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        file.extend(kind.to_le_bytes());
        file.extend(machine.to_le_bytes());
        file.extend(1u32.to_le_bytes());
        file.extend(0x10_0000u64.to_le_bytes());
        file.extend(64u64.to_le_bytes());
        file.extend([0; 12]);
        for half in [64u16, 56, segments.len() as u16, 64, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        let mut offset = 64 + 56 * segments.len() as u64;
        for (flags, physical, bytes, size) in segments {
            file.extend(1u32.to_le_bytes());
            file.extend(flags.to_le_bytes());
            for word in [
                offset,
                *physical,
                *physical,
                bytes.len() as u64,
                *size,
                4096,
            ] {
                file.extend(word.to_le_bytes());
            }
            offset += bytes.len() as u64;
        }
        segments
            .iter()
            .for_each(|(_, _, bytes, _)| file.extend(*bytes));
        file
    }

    #[test]
    fn a_good_image_is_loaded_where_it_says() {
        let file = elf(
            62,
            2,
            &[(5, 0x10_0000, b"code", 4), (6, 0x10_1000, b"data", 0x2000)],
        );
        let image = Image::parse(&file).unwrap();
        assert_eq!((image.entry, image.end), (0x10_0000, 0x10_3000));
        let memory = memory::create(8 << 20).unwrap();
        image.load(&file, &memory).unwrap();
        let mut got = [0; 5];
        memory
            .read_slice(&mut got, GuestAddress(0x10_1000))
            .unwrap();
        assert_eq!(&got, b"data\0");
        let far = elf(62, 2, &[(5, 0x1000_0000, b"code", 4)]);
        assert!(Image::parse(&far).unwrap().load(&far, &memory).is_err());
    }

    #[test]
    fn bad_images_are_refused_by_their_cause() {
        let good: (u32, u64, &[u8], u64) = (5, 0x10_0000, b"code", 4);
        let cases: [(Vec<u8>, &str); 10] = [
            (b"hello".to_vec(), "not an ELF"),
            (Vec::new(), "not an ELF"),
            (b"\x7fELF\x02\x01".to_vec(), "truncated"),
            (elf(183, 2, &[good]), "another machine"),
            (elf(62, 3, &[good]), "fixed addresses"),
            (elf(62, 2, &[]), "nothing"),
            (
                elf(62, 2, &[(7, 0x10_0000, b"x", 1)]),
                "writable and executable",
            ),
            (elf(62, 2, &[(5, 0x1000, b"x", 1)]), "below"),
            (
                elf(
                    62,
                    2,
                    &[(5, 0x10_0000, b"xxxx", 0x2000), (4, 0x10_1000, b"x", 1)],
                ),
                "overlap",
            ),
            (elf(62, 2, &[(5, 0x10_0000, b"xxxx", 1)]), "impossible"),
        ];
        for (file, why) in cases {
            let error = Image::parse(&file).unwrap_err().to_string();
            assert!(error.contains(why), "{error} does not say {why}");
        }
        let mut short = elf(62, 2, &[good]);
        short.truncate(short.len() - 1);
        assert!(
            Image::parse(&short)
                .unwrap_err()
                .to_string()
                .contains("truncated")
        );
    }

    proptest! {
        #[test]
        fn no_bytes_stop_it(mut file in proptest::collection::vec(any::<u8>(), 0..300), keep in 0usize..64) {
            let good = elf(62, 2, &[(5, 0x10_0000, b"code", 4)]);
            let keep = keep.min(file.len());
            file[..keep].copy_from_slice(&good[..keep]);
            let _ = Image::parse(&file);
        }
    }
}
