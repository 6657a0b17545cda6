//! Regions, semaphores, the clock (spec 3.3, 3.8, 3.11).

use crate::verdict::{OWN, Verdict, call};
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::{at, at_mut};

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let mut region = KnRgnDesc {
        size: 5000,
        options: K_WRITABLE | K_ANYWHERE,
        ..KnRgnDesc::default()
    };
    let made = call!(rgn_allocate, OWN, InOut::new(at_mut(&mut region)));
    verdict.check(
        "NC-229",
        made == K_OK && region.size == 8192 && region.start_addr.is_multiple_of(4096),
    );
    // SAFETY: the region was just made, 8192 bytes long, and is nobody else's.
    let bytes = unsafe { core::slice::from_raw_parts_mut(region.start_addr as *mut u8, 8192) };
    verdict.check("NC-227", bytes.iter().all(|&byte| byte == 0));
    bytes[8191] = 1;
    let again = KnRgnDesc {
        options: K_WRITABLE,
        ..region
    };
    let mut overlapping = again;
    verdict.check(
        "NC-226",
        call!(rgn_allocate, OWN, InOut::new(at_mut(&mut overlapping))) == K_EOVERLAP,
    );
    verdict.check("rgnFree", call!(rgn_free, OWN, In::new(at(&again))) == K_OK);
    pieces(verdict);
    let mut sem = KnSem::default();
    call!(sem_init, Out::new(at_mut(&mut sem)), 1);
    let none = KnTimeVal::default();
    let take = |sem: &mut KnSem, limit: &KnTimeVal| {
        call!(sem_p, InOut::new(at_mut(sem)), In::new(at(limit)))
    };
    verdict.check(
        "NC-086",
        take(&mut sem, &none) == K_OK && take(&mut sem, &none) == K_ETIMEOUT,
    );
    // At once: the shortest of some, since the host has other work too.
    let (mut empty, mut least) = (true, core::time::Duration::MAX);
    for _ in 0..5 {
        let start = chorus_runtime::time::now();
        empty &= take(&mut sem, &none) == K_ETIMEOUT;
        least = least.min(chorus_runtime::time::now() - start);
    }
    verdict.check(
        "NC-090",
        empty && least < core::time::Duration::from_millis(10),
    );
    let clock = || {
        let mut now = KnTimeVal::default();
        call!(sys_time, Out::new(at_mut(&mut now)));
        now.to_ns().unwrap_or(0)
    };
    let start = clock();
    let limit = KnTimeVal::from_ns(20_000_000);
    verdict.check(
        "NC-088",
        take(&mut sem, &limit) == K_ETIMEOUT && clock() - start >= 20_000_000,
    );
    let start = clock();
    call!(thread_delay, In::new(at(&limit)));
    verdict.check("NC-074", clock() - start >= 20_000_000);
}

/// Regions that the Nucleus places, that are refused, that lose their middle.
fn pieces(verdict: &mut Verdict) {
    let allocate = |region: &mut KnRgnDesc| call!(rgn_allocate, OWN, InOut::new(at_mut(region)));
    let mut region = KnRgnDesc {
        size: 3 * PAGE_SIZE,
        options: K_WRITABLE | K_ANYWHERE,
        ..KnRgnDesc::default()
    };
    let made = allocate(&mut region) == K_OK;
    let start = region.start_addr;
    let word = |page: u64| (start + page * PAGE_SIZE) as *mut u64;
    // SAFETY: the region was just made, three pages long, and is nobody else's.
    unsafe { (0..3).for_each(|page| word(page).write_volatile(page + 7)) };
    // SAFETY: as above.
    let usable = unsafe { word(2).read_volatile() == 9 };
    verdict.check("NC-224", made && usable && start.is_multiple_of(PAGE_SIZE));
    let mut odd = KnRgnDesc {
        start_addr: start + 8,
        options: K_WRITABLE,
        ..region
    };
    verdict.check("NC-228", allocate(&mut odd) == K_EROUND);
    let middle = KnRgnDesc {
        start_addr: start + PAGE_SIZE,
        size: PAGE_SIZE,
        ..region
    };
    let freed = call!(rgn_free, OWN, In::new(at(&middle))) == K_OK;
    // SAFETY: the first and the last page are still there.
    let ends = unsafe {
        word(0).write_volatile(1);
        (word(0).read_volatile(), word(2).read_volatile()) == (1, 9)
    };
    let mut again = KnRgnDesc {
        options: K_WRITABLE,
        ..middle
    };
    let hole = allocate(&mut again) == K_OK;
    // SAFETY: the middle is there again, and is new.
    let zero = unsafe { word(1).read_volatile() == 0 };
    verdict.check("NC-230", freed && ends && hole && zero);
    let whole = KnRgnDesc {
        size: 3 * PAGE_SIZE,
        ..region
    };
    call!(rgn_free, OWN, In::new(at(&whole)));
}
