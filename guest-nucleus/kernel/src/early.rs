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
const RESERVE: u64 = 256 << 10;

/// Opens the physical range for allocation. It lies in RAM, is used for nothing else, and begins below 2 GiB.
pub fn open(start: u64, end: u64) {
    FIRST.store(start, Relaxed);
    NEXT.store(start, Relaxed);
    END.store(end, Relaxed);
}

/// Physical address of a zeroed page, for page tables, while the tables of the door are in force.
pub fn table() -> Option<u64> {
    let page = bump(4096, 4096)?;
    // SAFETY: the page was never given out, and the door's tables map the low 2 GiB at KBASE.
    unsafe { ((KBASE + page) as *mut u8).write_bytes(0, 4096) };
    Some(page)
}

/// As [`table`], when the Nucleus' own tables are in force.
pub fn table_direct() -> Option<u64> {
    let page = bump(4096, 4096)?;
    // SAFETY: the page was never given out, and all RAM is mapped at DIRECT.
    unsafe { ((DIRECT + page) as *mut u8).write_bytes(0, 4096) };
    Some(page)
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

fn bump(size: u64, align: u64) -> Option<u64> {
    let mut next = NEXT.load(Relaxed);
    loop {
        let start = next.next_multiple_of(align);
        let end = start
            .checked_add(size)
            .filter(|&end| end <= END.load(Relaxed))?;
        match NEXT.compare_exchange(next, end, Relaxed, Relaxed) {
            Ok(_) => return Some(start),
            Err(now) => next = now,
        }
    }
}

struct Heap;

// SAFETY: `bump` never gives the same memory twice, except after the owner of the last piece gave it back.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        bump(layout.size() as u64, layout.align() as u64)
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
