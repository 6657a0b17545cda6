//! Regions against the reference: making, touching, freeing, and every error (NC-224…230, NC-239).

use super::scene::{NOWHERE, Party};
use super::site::Site;
use crate::memory::Fault;
use crate::supervisor::Trouble;
use chorus_abi::error::*;
use chorus_abi::*;

const BASE: u64 = 0x100_0000;
/// No region: spec 6.2.
const NO_REGION: u32 = 7;
/// Protection.
const PROTECTION: u32 = 8;

/// A descriptor of a region, as an argument.
fn region(site: &mut Site, by: Party, start_addr: u64, size: u64, options: u32) -> u64 {
    let desc = KnRgnDesc {
        start_addr,
        size,
        options,
        ..KnRgnDesc::default()
    };
    site.arg(by.actor, &desc)
}

/// Makes a region; what was written back.
#[track_caller]
fn make(site: &mut Site, by: Party, start: u64, size: u64, options: u32) -> KnRgnDesc {
    let at = region(site, by, start, size, options);
    assert_eq!(site.grants(by, "rgnAllocate", &[0, at]), K_OK);
    site.peek(by.actor, at)
}

/// What a touch of the party's thread gives: a load, a store or a fetch.
fn touch(site: &mut Site, by: Party, address: u64, what: char) -> Fault {
    let cpu = site.cpu_of(by.thread).unwrap();
    let fault = site
        .nucleus
        .fault(cpu, address, what == 's', what == 'f', true);
    site.settle();
    fault
}

#[test]
fn nc_224_and_227_a_region_anywhere_is_aligned_usable_and_zero() {
    let mut site = Site::new(2);
    for kind in [K_USERACTOR, K_SUPACTOR] {
        let party = site.party(kind);
        let made = make(&mut site, party, 0, 3 * PAGE_SIZE, K_ANYWHERE | K_WRITABLE);
        assert_eq!(made.start_addr % PAGE_SIZE, 0);
        for page in 0..3 {
            let at = made.start_addr + page * PAGE_SIZE;
            assert!(
                site.bytes(party.actor, at, 4096)
                    .iter()
                    .all(|&byte| byte == 0)
            );
            site.poke(party.actor, at + 4088, &u64::MAX);
        }
        // The pages of a freed region do not come back with their content.
        let at = site.arg(party.actor, &made);
        assert_eq!(site.grants(party, "rgnFree", &[0, at]), K_OK);
        let made = make(&mut site, party, 0, 3 * PAGE_SIZE, K_ANYWHERE | K_NODEMAND);
        assert!(
            site.bytes(party.actor, made.start_addr, 12288)
                .iter()
                .all(|&byte| byte == 0)
        );
    }
    site.end();
}

#[test]
fn nc_225_protection_is_as_the_options_say() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    for (index, (options, load, store, fetch)) in [
        (0, true, false, false),
        (K_WRITABLE, true, true, false),
        (K_EXECUTABLE, true, false, true),
        (K_RESERVED, false, false, false),
    ]
    .into_iter()
    .enumerate()
    {
        let start = BASE + index as u64 * 16 * PAGE_SIZE;
        make(&mut site, user, start, 2 * PAGE_SIZE, options);
        for page in [0, PAGE_SIZE] {
            for (what, allowed) in [('f', fetch), ('s', store), ('l', load)] {
                let fault = touch(&mut site, user, start + page + 8, what);
                let expected = match allowed {
                    true => Fault::Resolved,
                    false => Fault::Exception(PROTECTION),
                };
                assert_eq!(fault, expected, "{options:#x} {what}");
            }
        }
    }
    let fault = touch(&mut site, user, BASE - 1, 'l');
    assert_eq!(fault, Fault::Exception(NO_REGION));
    site.end();
}

#[test]
fn nc_226_regions_do_not_overlap() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    make(&mut site, user, BASE, 4 * PAGE_SIZE, K_WRITABLE);
    for (first, count) in [(0u64, 1u64), (3, 2), (0, 4), (1, 2)] {
        let at = region(
            &mut site,
            user,
            BASE + first * PAGE_SIZE,
            count * PAGE_SIZE,
            0,
        );
        site.refuses(user, "rgnAllocate", &[0, at], K_EOVERLAP);
    }
    let at = region(&mut site, user, BASE - PAGE_SIZE, 2 * PAGE_SIZE, 0);
    site.refuses(user, "rgnAllocate", &[0, at], K_EOVERLAP);
    // Beside each other they may lie.
    make(&mut site, user, BASE + 4 * PAGE_SIZE, PAGE_SIZE, 0);
    make(&mut site, user, BASE - PAGE_SIZE, PAGE_SIZE, 0);
    site.end();
}

#[test]
fn nc_228_and_the_other_errors_of_a_place_and_a_size() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let space = site.nucleus.actors.get(user.actor).unwrap().space;
    let (low, high) = crate::machine::Machine::space_bounds(&site.nucleus.machine, space);
    for (start, size, options, error) in [
        (BASE + 1, PAGE_SIZE, 0, K_EROUND),
        (BASE + 2048, PAGE_SIZE, 0, K_EROUND),
        (BASE, 0, 0, K_ESIZE),
        (BASE, u64::MAX, 0, K_ESIZE),
        (BASE, u64::MAX - PAGE_SIZE, 0, K_ESIZE),
        (0, 0, K_ANYWHERE, K_ESIZE),
        (low - PAGE_SIZE, 2 * PAGE_SIZE, 0, K_EADDR),
        (high - PAGE_SIZE, 2 * PAGE_SIZE, 0, K_EADDR),
        (0, PAGE_SIZE, 0, K_EADDR),
        (u64::MAX - PAGE_SIZE + 1, 2 * PAGE_SIZE, 0, K_EADDR),
        (0xffff_c000_0000_0000, PAGE_SIZE, 0, K_EADDR),
        (u64::MAX, PAGE_SIZE, K_RESTRICTIVE, K_EADDR),
        (BASE, PAGE_SIZE, 1 << 20, K_EINVAL),
        (BASE, PAGE_SIZE, K_SUPERVISOR, K_EINVAL),
        (BASE, PAGE_SIZE, K_WRITABLE | K_EXECUTABLE, K_EINVAL),
        (BASE, PAGE_SIZE, K_ANYWHERE | K_RESTRICTIVE, K_EINVAL),
        (BASE, PAGE_SIZE, K_RESERVED | K_NODEMAND, K_EINVAL),
    ] {
        let at = region(&mut site, user, start, size, options);
        site.refuses(user, "rgnAllocate", &[0, at], error);
    }
    let at = region(&mut site, user, BASE, PAGE_SIZE, 0);
    site.refuses(user, "rgnAllocate", &[NOWHERE, at], K_EFAULT);
    site.refuses(user, "rgnAllocate", &[0, NOWHERE], K_EFAULT);
    site.refuses(user, "rgnAllocate", &[K_SVACTOR, at], K_EINVAL);
    // A descriptor that can be read and not written back.
    let constant = make(&mut site, user, BASE, PAGE_SIZE, 0).start_addr;
    site.refuses(user, "rgnAllocate", &[0, constant], K_EFAULT);
    site.end();
}

#[test]
fn nc_229_sizes_are_rounded_up_to_pages() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let made = make(&mut site, user, BASE, 5000, K_WRITABLE);
    assert_eq!((made.start_addr, made.size), (BASE, 8192));
    assert_eq!(touch(&mut site, user, BASE + 8191, 's'), Fault::Resolved);
    let fault = touch(&mut site, user, BASE + 8192, 's');
    assert_eq!(fault, Fault::Exception(NO_REGION));
    site.end();
}

#[test]
fn a_restrictive_region_lies_between_its_bounds() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let desc = KnRgnDesc {
        start_addr: BASE + 100,
        end_addr: BASE + 8 * PAGE_SIZE,
        size: 2 * PAGE_SIZE,
        options: K_RESTRICTIVE,
        opaque1: 5,
        opaque2: 6,
        ..KnRgnDesc::default()
    };
    let mut found = 0;
    loop {
        let at = site.arg(user.actor, &desc);
        match site.call(user.thread, "rgnAllocate", &[0, at]) {
            Some(K_OK) => found += 1,
            other => break assert_eq!(other, Some(K_ESPACE)),
        }
        let made: KnRgnDesc = site.peek(user.actor, at);
        assert!(made.start_addr >= BASE + PAGE_SIZE && made.start_addr.is_multiple_of(PAGE_SIZE));
        assert!(made.start_addr + made.size <= desc.end_addr);
        assert_eq!((made.opaque1, made.opaque2), (5, 6));
    }
    // Seven pages, and one is left free behind each region.
    assert_eq!(found, 2);
    let at = site.arg(
        user.actor,
        &KnRgnDesc {
            end_addr: BASE,
            ..desc
        },
    );
    site.refuses(user, "rgnAllocate", &[0, at], K_ESPACE);
    site.end();
}

#[test]
fn nc_230_freeing_the_middle_leaves_both_ends() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    make(&mut site, user, BASE, 5 * PAGE_SIZE, K_WRITABLE);
    for page in 0..5 {
        site.poke(user.actor, BASE + page * PAGE_SIZE, &page);
    }
    let free = crate::machine::Machine::frames(&site.nucleus.machine).0;
    let at = region(&mut site, user, BASE + PAGE_SIZE, 2 * PAGE_SIZE + 5, 0);
    assert_eq!(site.grants(user, "rgnFree", &[0, at]), K_OK);
    assert_eq!(
        crate::machine::Machine::frames(&site.nucleus.machine).0,
        free + 3
    );
    for page in 0..5 {
        let fault = touch(&mut site, user, BASE + page * PAGE_SIZE, 's');
        let gone = (1..4).contains(&page);
        assert_eq!(fault == Fault::Exception(NO_REGION), gone, "page {page}");
        if !gone {
            assert_eq!(site.peek::<u64>(user.actor, BASE + page * PAGE_SIZE), page);
        }
    }
    // What is not there is passed over.
    let at = region(&mut site, user, BASE - PAGE_SIZE, 9 * PAGE_SIZE, 0);
    assert_eq!(site.grants(user, "rgnFree", &[0, at]), K_OK);
    site.refuses(user, "rgnFree", &[0, at], K_OK);
    make(&mut site, user, BASE, 5 * PAGE_SIZE, 0);
    site.end();
}

#[test]
fn freeing_has_its_errors_too() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    make(&mut site, user, BASE, 2 * PAGE_SIZE, K_WRITABLE);
    for (start, size, error) in [
        (BASE + 8, PAGE_SIZE, K_EROUND),
        (BASE, 0, K_ESIZE),
        (BASE, u64::MAX, K_ESIZE),
        (u64::MAX - PAGE_SIZE + 1, 2 * PAGE_SIZE, K_EADDR),
    ] {
        let at = region(&mut site, user, start, size, 0);
        site.refuses(user, "rgnFree", &[0, at], error);
    }
    let at = region(&mut site, user, BASE, PAGE_SIZE, 0);
    site.refuses(user, "rgnFree", &[NOWHERE, at], K_EFAULT);
    site.refuses(user, "rgnFree", &[0, NOWHERE], K_EFAULT);
    site.end();
}

#[test]
fn the_table_of_regions_has_an_end() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    make(&mut site, user, BASE, 3 * PAGE_SIZE, K_WRITABLE);
    while site.nucleus.memory.regions.len() < 64 {
        make(&mut site, user, 0, PAGE_SIZE, K_ANYWHERE);
    }
    let at = region(&mut site, user, 0, PAGE_SIZE, K_ANYWHERE);
    site.refuses(user, "rgnAllocate", &[0, at], K_ENOMEM);
    // Cutting one into two needs room for the second half; cutting off an end does not.
    let middle = region(&mut site, user, BASE + PAGE_SIZE, PAGE_SIZE, 0);
    site.refuses(user, "rgnFree", &[0, middle], K_ENOMEM);
    let end = region(&mut site, user, BASE + 2 * PAGE_SIZE, PAGE_SIZE, 0);
    assert_eq!(site.grants(user, "rgnFree", &[0, end]), K_OK);
    assert_eq!(
        touch(&mut site, user, BASE + PAGE_SIZE, 's'),
        Fault::Resolved
    );
    site.end();
}

#[test]
fn nc_239_fixed_memory_is_there_at_once_or_not_at_all() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let stat = site.space(user.actor, size_of::<KnVmStat>());
    site.poke(user.actor, stat, &KnVmStat::default());
    let totals = |site: &mut Site| {
        assert_eq!(site.grants(user, "vmStat", &[stat]), K_OK);
        site.peek::<KnVmStat>(user.actor, stat)
    };
    let before = totals(&mut site);
    assert_eq!((before.total, before.fixed), (512 * PAGE_SIZE, 0));
    let options = K_ANYWHERE | K_WRITABLE | K_NODEMAND | K_NOWAITFORMEMORY;
    let at = region(&mut site, user, 0, before.free + PAGE_SIZE, options);
    site.refuses(user, "rgnAllocate", &[0, at], K_ENOMEM);
    assert_eq!(totals(&mut site), before);
    make(&mut site, user, 0, 10 * PAGE_SIZE, options);
    let after = totals(&mut site);
    assert_eq!(after.free, before.free - 10 * PAGE_SIZE);
    assert_eq!(after.fixed, 10 * PAGE_SIZE);
    site.refuses(user, "vmStat", &[NOWHERE], K_EFAULT);
    assert_eq!(site.grants(user, "vmPageSize", &[]), 4096);
    site.end();
}

#[test]
fn nc_241_the_nucleus_memory_is_no_user_s_and_the_site_goes_on() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_SUPACTOR));
    let kernel = site.at(other.actor, 0);
    site.poke(other.actor, kernel, &7u64);
    let cpu = site.cpu_of(user.thread).unwrap();
    let fault = touch(&mut site, user, kernel, 'l');
    assert_eq!(fault, Fault::Exception(NO_REGION));
    let trouble = Trouble {
        number: NO_REGION,
        pc: 0x1000,
        address: kernel,
        ..Trouble::default()
    };
    site.nucleus.exception(cpu, trouble);
    site.settle();
    assert!(site.nucleus.actors.get(user.actor).is_none(), "NC-051");
    assert_eq!(site.nucleus.machine.log.len(), 1);
    assert_eq!(site.grants(other, "sysNull", &[]), K_OK);
    site.end();
}

#[test]
fn a_touch_without_memory_is_told_and_takes_nothing() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    make(&mut site, user, BASE, PAGE_SIZE, K_WRITABLE);
    let at = site.arg(user.actor, &1i32);
    let taken = site.hoard(0);
    assert_eq!(touch(&mut site, user, BASE, 's'), Fault::Exception(9));
    assert!(site.nucleus.machine.log.concat().contains("out of memory"));
    site.refuses(user, "uiLocalSite", &[BASE], K_EFAULT);
    assert_eq!(site.grants(user, "uiLocalSite", &[at]), K_OK);
    site.give_back(taken);
    assert_eq!(site.grants(user, "uiLocalSite", &[BASE]), K_OK);
    site.end();
}

#[test]
fn regions_of_another_actor_need_its_capability() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let cap = site.cap_for(user, other.actor);
    let at = region(&mut site, user, BASE, PAGE_SIZE, K_WRITABLE);
    assert_eq!(site.grants(user, "rgnAllocate", &[cap, at]), K_OK);
    assert_eq!(touch(&mut site, other, BASE, 's'), Fault::Resolved);
    let fault = touch(&mut site, user, BASE, 's');
    assert_eq!(fault, Fault::Exception(NO_REGION));
    site.refuses(user, "rgnAllocate", &[cap, at], K_EOVERLAP);
    assert_eq!(site.grants(user, "rgnFree", &[cap, at]), K_OK);
    let fault = touch(&mut site, other, BASE, 's');
    assert_eq!(fault, Fault::Exception(NO_REGION));
    site.end();
}
