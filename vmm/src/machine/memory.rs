//! Guest memory: one range from address 0, taken from the host page by page as the guest touches it.

use super::Error;
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{
    GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, GuestRegionMmap,
    MmapRegion,
};

/// Least memory of a site in bytes.
pub const LEAST: u64 = 8 << 20;
/// Most memory of a site in bytes: devices begin behind it.
pub const MOST: u64 = 3 << 30;

/// Fresh memory of `size` bytes, a multiple of a page.
///
/// Huge pages are refused: a site touches little, and each huge page would cost 2 MiB at the first touch.
///
/// # Errors
/// The size is out of range, or the host has no address space left.
pub fn create(size: u64) -> Result<GuestMemoryMmap, Error> {
    if !(LEAST..=MOST).contains(&size) || !size.is_multiple_of(4096) {
        return Err(Error::Shape(format!(
            "a site has from {} MiB to {} MiB of memory, in pages of 4 KiB",
            LEAST >> 20,
            MOST >> 20
        )));
    }
    let failed = |error: String| Error::Host {
        what: "guest memory",
        source: std::io::Error::other(error),
    };
    let length = usize::try_from(size).map_err(|error| failed(error.to_string()))?;
    let region: MmapRegion = MmapRegionBuilder::new(length)
        .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
        .with_mmap_flags(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE)
        .build()
        .map_err(|error| failed(error.to_string()))?;
    // SAFETY: the range is the mapping made just above, and the advice changes no content.
    unsafe { libc::madvise(region.as_ptr().cast(), length, libc::MADV_NOHUGEPAGE) };
    let region = GuestRegionMmap::new(region, GuestAddress(0))
        .ok_or_else(|| failed("address 0 does not fit".to_owned()))?;
    GuestMemoryMmap::from_regions(vec![region]).map_err(|error| failed(error.to_string()))
}

/// Bytes of guest memory that the host has given so far: the pages that the guest, or who loaded it, has touched.
pub fn touched(memory: &GuestMemoryMmap) -> u64 {
    let resident = |region: &GuestRegionMmap| {
        let pages = region.len() / 4096;
        let mut seen = vec![0u8; usize::try_from(pages).unwrap_or(0)];
        // SAFETY: the range is one mapping that lives as long as `memory`; the vector has a byte for each of its pages.
        let done =
            unsafe { libc::mincore(region.as_ptr().cast(), seen.len() * 4096, seen.as_mut_ptr()) };
        let count = seen.iter().filter(|page| *page & 1 != 0).count();
        if done == 0 { count as u64 * 4096 } else { 0 }
    };
    memory.iter().map(resident).sum()
}

/// Ranges of guest memory.
pub fn regions(memory: &GuestMemoryMmap) -> usize {
    memory.num_regions()
}

/// Bytes of guest memory.
pub fn size(memory: &GuestMemoryMmap) -> u64 {
    memory.iter().map(GuestMemoryRegion::len).sum()
}
