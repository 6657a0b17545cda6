//! Memory pressure: twice the memory of the site is written and read back, on a site with a default mapper and nothing else to do.

use crate::verdict::{OWN, Verdict, call};
use chorus_abi::*;
use chorus_runtime::{at, at_mut, println, thread};
use core::time::Duration;

/// Words of a page.
const WORDS: u64 = PAGE_SIZE / 8;

fn stat() -> KnVmStat {
    let mut stat = KnVmStat::default();
    call!(vm_stat, Out::new(at_mut(&mut stat)));
    stat
}

/// What a word of a page is in a round.
fn word(page: u64, round: u64) -> u64 {
    (page ^ round << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// The first word and the last one of a page.
fn ends(start: u64, page: u64) -> [*mut u64; 2] {
    let first = (start + page * PAGE_SIZE) as *mut u64;
    [first, first.wrapping_add(WORDS as usize - 1)]
}

fn store(start: u64, page: u64, round: u64) {
    for place in ends(start, page) {
        // SAFETY: a word of a region that the caller made, writable, and nobody else's.
        unsafe { place.write_volatile(word(page, round)) };
    }
}

fn is_as_written(start: u64, page: u64, round: u64) -> bool {
    // SAFETY: as above.
    let words = ends(start, page).map(|place| unsafe { place.read_volatile() });
    words == [word(page, round); 2]
}

/// All checks of this file.
pub fn check(verdict: &mut Verdict) {
    let before = stat();
    let mut region = KnRgnDesc {
        size: (2 * before.total).next_multiple_of(PAGE_SIZE),
        options: K_WRITABLE | K_ANYWHERE,
        ..KnRgnDesc::default()
    };
    let made = call!(rgn_allocate, OWN, InOut::new(at_mut(&mut region)));
    verdict.check("rgnAllocate of twice the memory", made == K_OK);
    if made != K_OK {
        return;
    }
    let (start, pages) = (region.start_addr, region.size / PAGE_SIZE);
    (0..pages).for_each(|page| store(start, page, 1));
    let first = stat();
    let mut wrong = 0;
    for page in 0..pages {
        wrong += u64::from(!is_as_written(start, page, 1));
        if page % 3 == 0 {
            store(start, page, 2);
        }
    }
    for page in 0..pages {
        let round = if page % 3 == 0 { 2 } else { 1 };
        wrong += u64::from(!is_as_written(start, page, round));
    }
    let second = stat();
    println!(
        "{pages} pages, {wrong} wrong; {} pages left memory, {} came back",
        second.pages_out, second.pages_in
    );
    verdict.check("NC-254", wrong == 0 && second.outside >= before.total / 2);
    call!(rgn_free, OWN, In::new(at(&region)));
    // The mapper hears of it by a message.
    let mut after = stat();
    for _ in 0..100 {
        if after.segments < second.segments {
            break;
        }
        let _ = thread::sleep(Duration::from_millis(10));
        after = stat();
    }
    println!(
        "temporary segments: {} before, {} then {} in use, {} left; {} bytes left outside",
        before.segments, first.segments, second.segments, after.segments, after.outside
    );
    // Other actors had pages put out too, each piece of memory in a segment of its own. However often this region's pages went, it has one, and that goes.
    let some = before.segments == 0 && first.segments > 0;
    let one = second.segments - after.segments == 1;
    verdict.check("NC-253", some && one && after.outside < before.total / 4);
    let free = after.free * 2 > after.total;
    verdict.check("rgnFree gives the frames back", free);
}
