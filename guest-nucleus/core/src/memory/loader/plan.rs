//! From bytes to a plan: what an actor's ELF file asks for, checked whole before anything is done.

use chorus_abi::image::*;
use chorus_abi::{ABI_VERSION, PAGE_SIZE, table};

/// Segments that an image may have.
pub const SEGMENTS: usize = 16;

/// One segment, addresses relative to the image.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Segment {
    /// First address.
    pub address: u64,
    /// Bytes in memory.
    pub memory_size: u64,
    /// Where its bytes are in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub file_size: u64,
    /// Stores.
    pub write: bool,
    /// Instruction fetches.
    pub execute: bool,
}

impl Segment {
    /// First and one past the last page.
    pub fn pages(&self) -> (u64, u64) {
        (
            self.address & !(PAGE_SIZE - 1),
            (self.address + self.memory_size).next_multiple_of(PAGE_SIZE),
        )
    }
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Segments in ascending order; the first `count` are used.
    pub segments: [Segment; SEGMENTS],
    /// Segments.
    pub count: usize,
    /// First instruction, relative.
    pub entry: u64,
    /// Bytes of address space, whole pages.
    pub extent: u64,
    /// Relocations: where in the file, and how many.
    pub relocations: (u64, u64),
    /// Import records: relative address and how many.
    pub imports: (u64, u64),
    /// Flags of the note.
    pub flags: u32,
}

/// Why not, and a detail.
pub type Refusal = (LoadDiag, u64);

fn refuse<T>(diag: LoadDiag, detail: u64) -> Result<T, Refusal> {
    Err((diag, detail))
}

/// Where an image is read from. It may change while it is read (an actor's memory can): whoever reads a field twice looks at it twice.
pub trait Source {
    /// Bytes of the image.
    fn size(&self) -> u64;
    /// Copies bytes out of it. `false`: they are not there.
    fn read(&mut self, at: u64, into: &mut [u8]) -> bool;
}

impl Source for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(&mut self, at: u64, into: &mut [u8]) -> bool {
        let start = usize::try_from(at).ok();
        let part = start.and_then(|start| self.get(start..start.checked_add(into.len())?));
        part.map(|part| into.copy_from_slice(part)).is_some()
    }
}

struct File<'a>(&'a mut dyn Source);

impl File<'_> {
    fn bytes<const N: usize>(&mut self, at: u64) -> Result<[u8; N], Refusal> {
        let mut bytes = [0; N];
        if self.0.read(at, &mut bytes) {
            Ok(bytes)
        } else {
            refuse(LoadDiag::Truncated, at)
        }
    }
    fn half(&mut self, at: u64) -> Result<u16, Refusal> {
        self.bytes(at).map(u16::from_le_bytes)
    }
    fn word(&mut self, at: u64) -> Result<u32, Refusal> {
        self.bytes(at).map(u32::from_le_bytes)
    }
    fn long(&mut self, at: u64) -> Result<u64, Refusal> {
        self.bytes(at).map(u64::from_le_bytes)
    }
}

impl Plan {
    /// The segments.
    pub fn segments(&self) -> &[Segment] {
        self.segments.get(..self.count).unwrap_or(&[])
    }

    /// Where in the file the bytes at a relative address are.
    fn file_offset(&self, address: u64, size: u64) -> Option<u64> {
        let end = address.checked_add(size)?;
        let segment = self.segments().iter().find(|segment| {
            segment.address <= address && end <= segment.address + segment.file_size
        })?;
        Some(segment.offset + (address - segment.address))
    }

    /// The relocation `index`: the relative address of the word, and the value less the load address.
    ///
    /// # Errors
    /// Another type than `R_X86_64_RELATIVE`, or a word outside of the image.
    pub fn relocation(&self, file: &mut dyn Source, index: u64) -> Result<(u64, u64), Refusal> {
        const RELATIVE: u64 = 8;
        let at = self.relocations.0 + index * 24;
        let mut file = File(file);
        let (place, info, addend) = (file.long(at)?, file.long(at + 8)?, file.long(at + 16)?);
        let inside = self.segments().iter().any(|segment| {
            place >= segment.address
                && place
                    .checked_add(8)
                    .is_some_and(|end| end <= segment.address + segment.memory_size)
        });
        if info != RELATIVE || !inside {
            refuse(LoadDiag::BadRelocation, place)
        } else {
            Ok((place, addend))
        }
    }

    /// The import `index`: the relative address of its slot, and the number of the call.
    ///
    /// # Errors
    /// No call of that name.
    pub fn import(&self, file: &mut dyn Source, index: u64) -> Result<(u64, u16), Refusal> {
        let address = self.imports.0 + index * size_of::<Import>() as u64;
        let at = self
            .file_offset(address, size_of::<Import>() as u64)
            .ok_or((LoadDiag::BadImports, address))?;
        let name: [u8; 32] = File(file).bytes(at)?;
        let length = name
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(name.len());
        let call = name
            .get(..length)
            .and_then(|name| core::str::from_utf8(name).ok())
            .and_then(table::by_name);
        match call {
            Some(call) => Ok((
                address + core::mem::offset_of!(Import, slot) as u64,
                call.number,
            )),
            None => refuse(
                LoadDiag::UnknownImport,
                u64::from_le_bytes([
                    name[0], name[1], name[2], name[3], name[4], name[5], name[6], name[7],
                ]),
            ),
        }
    }
}

/// Looks at an ELF file.
///
/// # Errors
/// Everything that [`LoadDiag`] names but want of memory, with the offending address or offset.
pub fn plan(source: &mut dyn Source) -> Result<Plan, Refusal> {
    let end = source.size();
    let file = &mut File(source);
    if file.bytes(0).ok() != Some(*b"\x7fELF") {
        return refuse(LoadDiag::NotElf, 0);
    }
    if file.bytes::<3>(4)? != [2, 1, 1] || file.half(18)? != 62 {
        return refuse(LoadDiag::WrongMachine, file.half(18)?.into());
    }
    if file.half(16)? != 3 {
        return refuse(LoadDiag::NotPie, file.half(16)?.into());
    }
    let (headers, size, count) = (file.long(32)?, file.half(54)?, file.half(56)?);
    if size != 56 || headers > end {
        return refuse(LoadDiag::BadSegment, headers);
    }
    let mut plan = Plan {
        segments: [Segment::default(); SEGMENTS],
        count: 0,
        entry: file.long(24)?,
        extent: 0,
        relocations: (0, 0),
        imports: (0, 0),
        flags: 0,
    };
    let (mut dynamic, mut note) = (None, None);
    for index in 0..u64::from(count) {
        let at = headers + index * 56;
        let (kind, flags) = (file.word(at)?, file.word(at + 4)?);
        let (offset, address, file_size, memory_size) = (
            file.long(at + 8)?,
            file.long(at + 16)?,
            file.long(at + 32)?,
            file.long(at + 40)?,
        );
        match kind {
            1 if memory_size > 0 => {
                let segment = Segment {
                    address,
                    memory_size,
                    offset,
                    file_size,
                    write: flags & 2 != 0,
                    execute: flags & 1 != 0,
                };
                add_segment(&mut plan, segment, end)?;
            }
            2 => dynamic = Some((offset, file_size)),
            3 => return refuse(LoadDiag::DynamicLinking, address),
            4 => note = note.or(find_note(file, offset, file_size)?),
            _ => {}
        }
    }
    finish(&mut plan, file, dynamic, note)?;
    Ok(plan)
}

fn add_segment(plan: &mut Plan, segment: Segment, file: u64) -> Result<(), Refusal> {
    let at = segment.address;
    if segment.write && segment.execute {
        return refuse(LoadDiag::WriteExecute, at);
    }
    let end = at
        .checked_add(segment.memory_size)
        .filter(|&end| end <= IMAGE_MAX);
    let (Some(_), true) = (end, segment.file_size <= segment.memory_size) else {
        return refuse(
            if segment.memory_size > IMAGE_MAX {
                LoadDiag::TooLarge
            } else {
                LoadDiag::BadSegment
            },
            at,
        );
    };
    if segment
        .offset
        .checked_add(segment.file_size)
        .is_none_or(|end| end > file)
    {
        return refuse(LoadDiag::Truncated, at);
    }
    let (start, _) = segment.pages();
    if plan
        .segments()
        .last()
        .is_some_and(|last| start < last.pages().1)
    {
        return refuse(LoadDiag::Overlap, at);
    }
    match plan.segments.get_mut(plan.count) {
        Some(entry) => *entry = segment,
        None => return refuse(LoadDiag::BadSegment, at),
    }
    plan.count += 1;
    Ok(())
}

/// Offset of our note's descriptor in a note segment.
fn find_note(file: &mut File<'_>, offset: u64, size: u64) -> Result<Option<u64>, Refusal> {
    let end = offset
        .checked_add(size)
        .ok_or((LoadDiag::BadSegment, offset))?;
    let mut at = offset;
    while at.checked_add(12).is_some_and(|after| after <= end) {
        let (name, descriptor, kind) = (
            u64::from(file.word(at)?),
            u64::from(file.word(at + 4)?),
            file.word(at + 8)?,
        );
        let body = at + 12 + name.next_multiple_of(4);
        let ours = kind == NOTE_TYPE
            && descriptor >= size_of::<NoteDescriptor>() as u64
            && (7..=8).contains(&name);
        if ours && file.bytes::<7>(at + 12)? == NOTE_OWNER[..7] {
            return Ok(Some(body));
        }
        at = body + descriptor.next_multiple_of(4);
    }
    Ok(None)
}

fn finish(
    plan: &mut Plan,
    file: &mut File<'_>,
    dynamic: Option<(u64, u64)>,
    note: Option<u64>,
) -> Result<(), Refusal> {
    let Some(last) = plan.segments().last() else {
        return refuse(LoadDiag::BadSegment, 0);
    };
    plan.extent = last.pages().1;
    let entry = plan.entry;
    let inside = |segment: &&Segment| {
        segment.execute && (segment.address..segment.address + segment.memory_size).contains(&entry)
    };
    if plan.segments().iter().find(inside).is_none() {
        return refuse(LoadDiag::BadEntry, entry);
    }
    let Some(note) = note else {
        return refuse(LoadDiag::NoNote, 0);
    };
    if file.word(note)? != ABI_VERSION {
        return refuse(LoadDiag::WrongAbi, file.word(note)?.into());
    }
    plan.flags = file.word(note + 4)?;
    // The offsets are relative to the fields' own addresses, which are those of the segment that holds the note.
    let holder = plan
        .segments()
        .iter()
        .find(|segment| note >= segment.offset && note + 32 <= segment.offset + segment.file_size);
    let Some(holder) = holder else {
        return refuse(LoadDiag::BadImports, note);
    };
    let field = holder.address + (note - holder.offset) + 16;
    let mut relative = |at: u64, base: u64| {
        file.word(at)
            .map(|offset| base.wrapping_add(offset.cast_signed() as u64))
    };
    let (start, stop) = (relative(note + 16, field)?, relative(note + 20, field + 4)?);
    let record = size_of::<Import>() as u64;
    let size = stop
        .checked_sub(start)
        .filter(|size| size.is_multiple_of(record))
        .ok_or((LoadDiag::BadImports, start))?;
    if size > 0 {
        let writable = plan.segments().iter().any(|segment| {
            segment.write && segment.address <= start && stop <= segment.address + segment.file_size
        });
        if !writable {
            return refuse(LoadDiag::BadImports, start);
        }
    }
    plan.imports = (start, size / record);
    if let Some((offset, size)) = dynamic {
        read_dynamic(plan, file, offset, size)?;
    }
    Ok(())
}

fn read_dynamic(
    plan: &mut Plan,
    file: &mut File<'_>,
    offset: u64,
    size: u64,
) -> Result<(), Refusal> {
    let (mut table, mut bytes) = (0, 0);
    for index in 0..size / 16 {
        let at = offset
            .checked_add(index * 16)
            .ok_or((LoadDiag::BadSegment, offset))?;
        let (tag, value) = (file.long(at)?, file.long(at + 8)?);
        match tag {
            0 => break,
            1 => return refuse(LoadDiag::DynamicLinking, value),
            7 => table = value,
            8 => bytes = value,
            // Relocations with symbols behind them, of other forms, or in text.
            2 | 17 | 22 | 23 | 36 if value != 0 || tag == 22 => {
                return refuse(LoadDiag::BadRelocation, value);
            }
            _ => {}
        }
    }
    if bytes > 0 {
        let at = plan
            .file_offset(table, bytes)
            .ok_or((LoadDiag::BadRelocation, table))?;
        plan.relocations = (at, bytes / 24);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_actor_is_refused_by_its_cause() {
        assert_eq!(plan(&mut &b""[..]).unwrap_err().0, LoadDiag::NotElf);
        assert_eq!(
            plan(&mut &b"\x7fELF"[..]).unwrap_err().0,
            LoadDiag::Truncated
        );
        let mut header = [0u8; 64];
        header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        header[18] = 183;
        assert_eq!(
            plan(&mut &header[..]).unwrap_err(),
            (LoadDiag::WrongMachine, 183)
        );
        header[18] = 62;
        header[16] = 2;
        assert_eq!(plan(&mut &header[..]).unwrap_err(), (LoadDiag::NotPie, 2));
        header[16] = 3;
        header[54] = 56;
        assert_eq!(plan(&mut &header[..]).unwrap_err().0, LoadDiag::BadSegment);
    }

    proptest! {
        #[test]
        fn no_bytes_stop_it(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), count in 0u8..6) {
            let good = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0";
            let size = good.len().min(bytes.len());
            bytes[..size].copy_from_slice(&good[..size]);
            if bytes.len() > 64 {
                bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
                bytes[54..58].copy_from_slice(&[56, 0, count, 0]);
                for index in 0..usize::from(count) {
                    if let Some(kind) = bytes.get_mut(64 + index * 56..68 + index * 56) {
                        kind.copy_from_slice(&[(index as u8 % 4) + 1, 0, 0, 0]);
                    }
                }
            }
            if let Ok(plan) = plan(&mut &bytes[..]) {
                for index in 0..plan.relocations.1.min(100) {
                    let _ = plan.relocation(&mut &bytes[..], index);
                }
            }
        }
    }
}
