//! What the machine hands over at the door: memory map, command line, boot archive (`hvm_start_info` of the PVH standard).
//!
//! The records lie somewhere in memory that becomes ordinary memory later, so all but the archive is copied before anything is allocated.

/// A range of physical memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

const RANGES_MAX: usize = 32;
const LINE_MAX: usize = 4096;
const MAGIC: u32 = 0x336e_c578;
const RAM: u32 = 1;

/// Copy of the records.
pub struct BootRecord {
    ranges: [Range; RANGES_MAX],
    range_count: usize,
    line: [u8; LINE_MAX],
    line_size: usize,
    /// Where the boot archive lies; empty when there is none.
    pub archive: Range,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_entries: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct MapEntry {
    address: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

impl BootRecord {
    /// Copies the records. `None`: the address is not that of a start record.
    ///
    /// # Safety
    /// Physical memory below 4 GiB is mapped to itself, and `address` and the addresses in the record come from the machine.
    pub unsafe fn copy(address: u64) -> Option<Self> {
        if address == 0 {
            return None;
        }
        // SAFETY: the caller's promise, here and below.
        let info = unsafe { (address as *const StartInfo).read_unaligned() };
        if info.magic != MAGIC || info.version < 1 {
            return None;
        }
        let mut record = BootRecord {
            ranges: [Range::default(); RANGES_MAX],
            range_count: 0,
            line: [0; LINE_MAX],
            line_size: 0,
            archive: Range::default(),
        };
        for index in 0..u64::from(info.memory_map_entries) {
            let entry =
                // SAFETY: an entry of the list that the record announces.
                unsafe { ((info.memory_map + index * 24) as *const MapEntry).read_unaligned() };
            let Some(slot) = record
                .ranges
                .get_mut(record.range_count)
                .filter(|_| entry.kind == RAM)
            else {
                continue;
            };
            let (start, end) = (
                entry.address.next_multiple_of(4096),
                entry.address.saturating_add(entry.size) & !4095,
            );
            if start < end && end <= 1 << 39 {
                *slot = Range { start, end };
                record.range_count += 1;
            }
        }
        while info.command_line != 0 && record.line_size < LINE_MAX {
            let byte =
                // SAFETY: the text that the record announces, up to its end.
                unsafe { ((info.command_line + record.line_size as u64) as *const u8).read() };
            if byte == 0 {
                break;
            }
            record.line[record.line_size] = byte;
            record.line_size += 1;
        }
        if info.modules > 0 && info.module_list != 0 {
            // SAFETY: the first entry of the list that the record announces.
            let [start, size] = unsafe { (info.module_list as *const [u64; 2]).read_unaligned() };
            record.archive = Range {
                start,
                end: start.saturating_add(size),
            };
        }
        Some(record)
    }

    /// Ranges of RAM, page aligned.
    pub fn memory(&self) -> &[Range] {
        &self.ranges[..self.range_count]
    }

    /// The command line as far as it is text.
    pub fn line(&self) -> &str {
        let bytes = &self.line[..self.line_size];
        core::str::from_utf8(bytes).unwrap_or_else(|error| {
            core::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or("")
        })
    }
}
