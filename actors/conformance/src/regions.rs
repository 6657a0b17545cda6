//! Protection, copies and sharing of regions (spec 3.8, 4.4): by the processor's own loads and stores where that does not end the actor.

use crate::verdict::{OWN, Verdict, call};
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::{at, at_mut, start_info, time};

const PAGE: u64 = PAGE_SIZE;

fn desc(start: u64, pages: u64, options: u32) -> KnRgnDesc {
    KnRgnDesc {
        start_addr: start,
        size: pages * PAGE,
        options,
        ..KnRgnDesc::default()
    }
}

/// A region of the caller's, somewhere; its address.
fn allocate(pages: u64, options: u32) -> u64 {
    let mut region = desc(0, pages, options | K_ANYWHERE);
    match call!(rgn_allocate, OWN, InOut::new(at_mut(&mut region))) {
        K_OK => region.start_addr,
        _ => 0,
    }
}

fn free(start: u64, pages: u64) -> i32 {
    call!(rgn_free, OWN, In::new(at(&desc(start, pages, 0))))
}

fn protect(start: u64, pages: u64, options: u32) -> i32 {
    call!(
        rgn_set_protect,
        OWN,
        In::new(at(&desc(start, pages, options)))
    )
}

/// Shows a range of the caller's at another place: a copy, or the same memory.
fn show(share: bool, start: u64, pages: u64, options: u32) -> u64 {
    let from = desc(start, pages, 0);
    let mut to = desc(0, pages, options | K_ANYWHERE);
    let (to_at, from_at) = (InOut::new(at_mut(&mut to)), In::new(at(&from)));
    let result = if share {
        call!(rgn_map_from_actor, OWN, to_at, OWN, from_at)
    } else {
        call!(rgn_init_from_actor, OWN, to_at, OWN, from_at)
    };
    if result == K_OK { to.start_addr } else { 0 }
}

fn load(address: u64) -> u64 {
    // SAFETY: the tests load from regions of theirs only.
    unsafe { (address as *const u64).read_volatile() }
}

fn store(address: u64, value: u64) {
    // SAFETY: the tests store to writable regions of theirs only.
    unsafe { (address as *mut u64).write_volatile(value) }
}

/// Nanoseconds that a copy takes of which nothing is touched; the least of some.
fn cost(start: u64, pages: u64) -> u128 {
    let once = |_| {
        let begin = time::now();
        let copy = show(false, start, pages, K_WRITABLE);
        let took = (time::now() - begin).as_nanos();
        free(copy, pages);
        took
    };
    (0..5).map(once).min().unwrap_or(0)
}

/// Whether the Nucleus may store for the caller.
fn may_store(address: u64) -> bool {
    // SAFETY: the Nucleus checks the address; what it writes is a region of the tests.
    unsafe { chorus_runtime::raw::sys_time(Out::new(address)) == K_OK }
}

fn stat(actor: In<KnCap>, start: u64, size: u64) -> (i32, [KnRgnStat; 4]) {
    let mut list = [KnRgnStat::default(); 4];
    let range = KnRgnDesc {
        start_addr: start,
        size,
        ..KnRgnDesc::default()
    };
    let count = call!(
        rgn_stat,
        actor,
        In::new(at(&range)),
        Out::new(at_mut(&mut list)),
        size_of_val(&list) as u32
    );
    (count, list)
}

fn free_memory() -> u64 {
    let mut stat = KnVmStat::default();
    call!(vm_stat, Out::new(at_mut(&mut stat)));
    stat.free
}

fn faults() -> u64 {
    let mut stat = KnSiteStat::default();
    call!(site_stat, Out::new(at_mut(&mut stat)));
    stat.faults
}

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    protection(verdict);
    copies(verdict);
    paging(verdict);
    duplicates(verdict);
}

fn protection(verdict: &mut Verdict) {
    let start = allocate(3, K_WRITABLE);
    (0..3).for_each(|page| store(start + page * PAGE, page));
    let done = protect(start + PAGE, 1, 0);
    let may = [0, 1, 2].map(|page| may_store(start + page * PAGE + 64));
    verdict.check(
        "NC-231",
        done == K_OK && may == [true, false, true] && load(start + PAGE) == 1,
    );
    store(start, 5);
    store(start + 2 * PAGE, 5);
    let (count, list) = stat(OWN, start, 3 * PAGE);
    let options = [list[0].options, list[1].options, list[2].options];
    verdict.check(
        "NC-232",
        count == 3 && options == [K_WRITABLE, 0, K_WRITABLE] && list[1].start_addr == start + PAGE,
    );
    let again = protect(start + PAGE, 1, K_WRITABLE);
    store(start + PAGE, 6);
    verdict.check(
        "rgnSetProtect",
        again == K_OK && stat(OWN, start, 3 * PAGE).0 == 1 && load(start + PAGE) == 6,
    );
    verdict.check(
        "NC-230",
        free(start + PAGE, 1) == K_OK
            && !may_store(start + PAGE)
            && (load(start), load(start + 2 * PAGE)) == (5, 5),
    );
    free(start, 3);
}

fn copies(verdict: &mut Verdict) {
    let source = allocate(3, K_WRITABLE);
    store(source, 1);
    store(source + PAGE, 2);
    let copy = show(false, source, 3, K_WRITABLE);
    store(source, 10);
    store(copy + PAGE, 20);
    let seen = [source, source + PAGE, copy, copy + PAGE, copy + 2 * PAGE].map(load);
    verdict.check("NC-233", copy != 0 && seen == [10, 2, 1, 20, 0]);
    let second = show(false, copy, 3, K_WRITABLE);
    let third = show(false, second, 3, 0);
    for start in [source, copy, second] {
        (0..3).for_each(|page| store(start + page * PAGE, 99));
        free(start, 3);
    }
    let seen = [third, third + PAGE, third + 2 * PAGE].map(load);
    verdict.check("NC-234", third != 0 && seen == [1, 20, 0]);
    free(third, 3);
    const LARGE: u64 = 64 << 20;
    let source = allocate(LARGE / PAGE, K_WRITABLE);
    (0..64).for_each(|megabyte| store(source + (megabyte << 20), megabyte));
    let before = free_memory();
    let copy = show(false, source, LARGE / PAGE, K_WRITABLE);
    let taken = before - free_memory();
    let same = (0..64).all(|megabyte| load(copy + (megabyte << 20)) == megabyte);
    store(source + (9 << 20), 1);
    verdict.check(
        "NC-235",
        copy != 0 && taken < 1 << 20 && same && load(copy + (9 << 20)) == 9,
    );
    free(source, LARGE / PAGE);
    verdict.check("NC-234 freed", load(copy + (8 << 20)) == 8);
    free(copy, LARGE / PAGE);
    let small = allocate(256, K_WRITABLE);
    (0..256).for_each(|page| store(small + page * PAGE, page));
    let source = allocate(LARGE / PAGE, K_WRITABLE);
    (0..4096).for_each(|page| store(source + page * PAGE, page));
    let costs = [(small, 256), (source, LARGE / PAGE)].map(|(start, pages)| cost(start, pages));
    verdict.check("SS-097", costs[1] <= 10 * costs[0]);
    free(small, 256);
    free(source, LARGE / PAGE);
    let one = allocate(2, K_WRITABLE);
    let other = show(true, one, 2, K_WRITABLE);
    store(one, 7);
    let there = load(other);
    store(other + PAGE, 8);
    verdict.check("NC-236", (there, load(one + PAGE)) == (7, 8));
    free(one, 2);
    verdict.check("NC-236 freed", load(other) == 7);
    free(other, 2);
}

fn paging(verdict: &mut Verdict) {
    let start = allocate(4, K_WRITABLE);
    let range = desc(start, 4, K_NODEMAND);
    let done = call!(rgn_set_paging, OWN, In::new(at(&range)));
    let before = faults();
    (0..4).for_each(|page| store(start + page * PAGE, page));
    verdict.check("NC-240", done == K_OK && faults() == before);
    // More than all memory, not more than is free: what others give back meanwhile would let the Nucleus make and zero nearly all pages.
    let mut memory = KnVmStat::default();
    call!(vm_stat, Out::new(at_mut(&mut memory)));
    let before = free_memory();
    let mut region = KnRgnDesc {
        size: memory.total + PAGE,
        options: K_ANYWHERE | K_NODEMAND | K_NOWAITFORMEMORY,
        ..KnRgnDesc::default()
    };
    let none = call!(rgn_allocate, OWN, InOut::new(at_mut(&mut region)));
    // A region may have a gibibyte at most.
    let refused = match memory.total < 1 << 30 {
        true => K_ENOMEM,
        false => K_ESIZE,
    };
    let lost = before.saturating_sub(free_memory());
    verdict.check("NC-239", none == refused && lost < memory.total / 4);
    let locked = call!(vm_lock, OWN, start, 4 * PAGE, K_WRITABLE);
    let copy = show(false, start, 4, 0);
    store(start, 50);
    let unlocked = call!(vm_un_lock, OWN, start, 4 * PAGE);
    verdict.check(
        "vmLock",
        (locked, unlocked) == (K_OK, K_OK) && load(copy) == 0 && free(start, 4) == K_OK,
    );
    let mut physical = 0u64;
    let told = call!(vm_phys_addr, OWN, copy + 8, Out::new(at_mut(&mut physical)));
    let supervisor = start_info().kind == K_SUPACTOR;
    verdict.check(
        "vmPhysAddr",
        if supervisor {
            told == K_OK && physical % PAGE == 8
        } else {
            told == K_EPRIV
        },
    );
    free(copy, 4);
}

fn duplicates(verdict: &mut Verdict) {
    const BASE: u64 = 0x4000_0000;
    let actors = [(); 2].map(|()| {
        let mut cap = KnCap::default();
        call!(
            actor_create,
            OWN,
            Out::new(at_mut(&mut cap)),
            K_USERACTOR,
            K_ACTIVE
        );
        cap
    });
    let [parent, child] = [0, 1].map(|index| In::new(at(&actors[index])));
    verdict.check("NC-015", stat(child, 0, u64::MAX).0 == 0);
    let put =
        |actor: In<KnCap>, address, value: u64| call!(vm_copy, OWN, at(&value), actor, address, 8);
    let get = |actor: In<KnCap>, address| {
        let mut value = 0u64;
        let done = call!(vm_copy, actor, address, OWN, at_mut(&mut value), 8);
        if done == K_OK { Ok(value) } else { Err(done) }
    };
    for (index, mark) in [K_INHERITCOPY, K_INHERITSHARE, 0].into_iter().enumerate() {
        let mut region = desc(BASE + index as u64 * 4 * PAGE, 2, K_WRITABLE);
        call!(rgn_allocate, parent, InOut::new(at_mut(&mut region)));
        region.options = mark;
        call!(rgn_set_inherit, parent, In::new(at(&region)));
        put(parent, region.start_addr, 1);
    }
    let [copied, shared, left] = [0, 4, 8].map(|page| BASE + page * PAGE);
    let done = call!(rgn_dup, child, parent, 0);
    put(parent, copied, 2);
    put(parent, shared, 2);
    verdict.check(
        "NC-237",
        done == K_OK
            && get(child, copied) == Ok(1)
            && get(child, shared) == Ok(2)
            && get(child, left) == Err(K_EADDR)
            && stat(child, 0, u64::MAX).0 == 2,
    );
    verdict.check("NC-238", call!(rgn_dup, child, parent, 0) == K_EINVAL);
    for actor in [parent, child] {
        call!(actor_delete, actor);
    }
}
