//! From guest virtual to guest physical addresses, by the page tables of the vCPU that is looked at.
//!
//! A breakpoint is keyed by the physical address: the same virtual address is another instruction in another actor. The walk is the
//! processor's (AMD64 APM volume 2, chapter 5: four levels, pages of 4 KiB, 2 MiB and 1 GiB); it ignores permissions, since a debugger may look everywhere.

use super::inferior::{Error, Inferior, Registers};

const PRESENT: u64 = 1;
const LARGE: u64 = 1 << 7;
/// The bits of an entry, and of CR3, that are an address.
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Paging is on (CR0).
pub const PAGING: u64 = 1 << 31;

/// The physical address of a virtual one, and how many bytes from there lie in the same page; `None` when it is not mapped.
pub fn translate(
    site: &mut dyn Inferior,
    registers: &Registers,
    address: u64,
) -> Result<Option<(u64, usize)>, Error> {
    if registers.cr0 & PAGING == 0 {
        return Ok(Some((address, 4096 - (address & 4095) as usize)));
    }
    let entry = |at| {
        let mut entry = [0; 8];
        site.read_physical(at, &mut entry).ok()?;
        Some(u64::from_le_bytes(entry))
    };
    Ok(walk(registers.cr3, address, entry))
}

/// The same by page tables alone: `entry` reads eight bytes of physical memory.
pub fn walk(
    cr3: u64,
    address: u64,
    mut entry: impl FnMut(u64) -> Option<u64>,
) -> Option<(u64, usize)> {
    let canonical = (address as i64) << 16 >> 16;
    if canonical as u64 != address {
        return None;
    }
    let mut table = cr3 & ADDRESS;
    for level in (0..4).rev() {
        let shift = 12 + 9 * level;
        let entry = entry(table + (address >> shift & 511) * 8)?;
        if entry & PRESENT == 0 {
            return None;
        }
        if level == 0 || (level < 3 && entry & LARGE != 0) {
            let size = 1u64 << shift;
            let offset = address & (size - 1);
            let physical = (entry & ADDRESS & !(size - 1)) + offset;
            return Some((physical, (size - offset).min(1 << 30) as usize));
        }
        table = entry & ADDRESS;
    }
    None
}

/// Reads virtual memory; returns how many bytes could be read from the start.
pub fn read(
    site: &mut dyn Inferior,
    registers: &Registers,
    address: u64,
    bytes: &mut [u8],
) -> Result<usize, Error> {
    let mut done = 0;
    while done < bytes.len() {
        let Some(at) = address.checked_add(done as u64) else {
            break;
        };
        let Some((physical, run)) = translate(site, registers, at)? else {
            break;
        };
        let count = run.min(bytes.len() - done);
        if site
            .read_physical(physical, &mut bytes[done..done + count])
            .is_err()
        {
            break;
        }
        done += count;
    }
    Ok(done)
}

/// Writes virtual memory, whatever its protection; an error names the first address that is not mapped.
pub fn write(
    site: &mut dyn Inferior,
    registers: &Registers,
    address: u64,
    bytes: &[u8],
) -> Result<(), Error> {
    let mut done = 0;
    while done < bytes.len() {
        let at = address.wrapping_add(done as u64);
        let Some((physical, run)) = translate(site, registers, at)? else {
            return Err(format!("{at:#x} is not mapped"));
        };
        let count = run.min(bytes.len() - done);
        site.write_physical(physical, &bytes[done..done + count])?;
        done += count;
    }
    Ok(())
}
