//! Memory before there is an allocator: a pointer that goes up behind the image.
//!
//! Page tables and every table of the Nucleus come from here while the site boots. After [`seal`] the rest belongs to the frame allocator;
//! a small reserve remains, untouched unless something small is still allocated. Nothing is given back but the last piece.

use crate::paging::{DIRECT, KBASE};
use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

static NEXT: AtomicU64 = AtomicU64::new(0);
static FIRST: AtomicU64 = AtomicU64::new(0);
static END: AtomicU64 = AtomicU64::new(0);
/// Memory from here to the end is full of zeros.
static ZEROED: AtomicU64 = AtomicU64::new(u64::MAX);
const RESERVE: u64 = 256 << 10;

/// Opens the physical range for allocation. It lies in RAM, is used for nothing else, and begins below 2 GiB; `zeroed`: it is full of zeros.
pub fn open(start: u64, end: u64, zeroed: bool) {
    ZEROED.store(if zeroed { start } else { u64::MAX }, Relaxed);
    FIRST.store(start, Relaxed);
    NEXT.store(start, Relaxed);
    END.store(end, Relaxed);
}

/// Physical address of a zeroed page, for page tables, while the tables of the door are in force.
pub fn table() -> Option<u64> {
    zeroed(4096, 4096, KBASE)
}

/// As [`table`], when the Nucleus' own tables are in force.
pub fn table_direct() -> Option<u64> {
    zeroed(4096, 4096, DIRECT)
}

/// Physical address of a piece full of zeros. It is mapped at `map`, as low memory is at KBASE by the door's tables, and all RAM at DIRECT by ours.
fn zeroed(size: u64, align: u64, map: u64) -> Option<u64> {
    let (physical, zeroed) = bump(size, align)?;
    if !zeroed {
        // SAFETY: the piece was never given out, and it is mapped there.
        unsafe { ((map + physical) as *mut u8).write_bytes(0, size as usize) };
    }
    Some(physical)
}

/// Where allocation began.
pub fn opened() -> u64 {
    FIRST.load(Relaxed)
}

/// Bytes given out so far.
pub fn used() -> u64 {
    NEXT.load(Relaxed) - FIRST.load(Relaxed)
}

/// Ends the boot: gives the physical range that is left.
pub fn seal() -> crate::boot::Range {
    let end = END.load(Relaxed);
    let start = (NEXT.load(Relaxed) + RESERVE)
        .next_multiple_of(4096)
        .min(end);
    END.store(start, Relaxed);
    crate::boot::Range { start, end }
}

/// Physical address of a piece, and whether it is full of zeros.
fn bump(size: u64, align: u64) -> Option<(u64, bool)> {
    let mut next = NEXT.load(Relaxed);
    loop {
        let start = next.next_multiple_of(align);
        let end = start
            .checked_add(size)
            .filter(|&end| end <= END.load(Relaxed))?;
        match NEXT.compare_exchange(next, end, Relaxed, Relaxed) {
            // A piece that was given back is below.
            Ok(_) => return Some((start, start >= ZEROED.fetch_max(end, Relaxed))),
            Err(now) => next = now,
        }
    }
}

struct Heap;

// SAFETY: `bump` never gives the same memory twice, except after the owner of the last piece gave it back.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        bump(layout.size() as u64, layout.align() as u64)
            .map_or(core::ptr::null_mut(), |(physical, _)| {
                (DIRECT + physical) as *mut u8
            })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        zeroed(layout.size() as u64, layout.align() as u64, DIRECT)
            .map_or(core::ptr::null_mut(), |physical| {
                (DIRECT + physical) as *mut u8
            })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let start = pointer as u64 - DIRECT;
        let _ = NEXT.compare_exchange(start + layout.size() as u64, start, Relaxed, Relaxed);
    }
}

#[global_allocator]
static HEAP: Heap = Heap;
