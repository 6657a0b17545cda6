//! Changes of many regions, or of regions with many pages, in steps (NC-264), and what others do in between.

use super::going::check;
use super::scene::Party;
use super::site::Site;
use crate::executive::actor::End;
use crate::machine::Machine;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;

const PAGE: u64 = PAGE_SIZE;
/// Pages of a large region, and regions of a range.
const MANY: u64 = 60;
const STEPS: usize = 4;

fn place(start_addr: u64, pages: u64, options: u32) -> KnRgnDesc {
    KnRgnDesc {
        start_addr,
        size: pages * PAGE,
        options,
        ..KnRgnDesc::default()
    }
}

/// A region without demand, of an actor that is there: its first address.
fn fixed(site: &mut Site, of: Party) -> u64 {
    let desc = place(0, MANY, K_WRITABLE | K_ANYWHERE | K_NODEMAND);
    let desc = site.arg(of.actor, &desc);
    site.grants(of, "rgnAllocate", &[0, desc]);
    let start = site.peek::<KnRgnDesc>(of.actor, desc).start_addr;
    for page in 0..MANY {
        site.poke(of.actor, start + page * PAGE, &(page + 1));
    }
    start
}

/// Regions of a page, of which no two are alike: their first address.
fn many(site: &mut Site, of: Party) -> u64 {
    let desc = place(0, MANY, K_WRITABLE | K_ANYWHERE);
    let desc = site.arg(of.actor, &desc);
    site.grants(of, "rgnAllocate", &[0, desc]);
    let start = site.peek::<KnRgnDesc>(of.actor, desc).start_addr;
    for page in 0..MANY {
        let one = KnRgnDesc {
            opaque1: page,
            ..place(start + page * PAGE, 1, 0)
        };
        let one = site.arg(of.actor, &one);
        site.grants(of, "rgnSetOpaque", &[0, one]);
        site.poke(of.actor, start + page * PAGE, &(page + 1));
    }
    start
}

/// How many of the pages are mapped, and how many of them for stores.
fn mapped(site: &mut Site, of: Party, start: u64) -> (u64, u64) {
    let space = site.nucleus.actors.get(of.actor).unwrap().space;
    let pages = (0..MANY).map(|page| start + page * PAGE);
    let found = pages.map(|page| site.nucleus.machine.translate(space, page));
    let found: Vec<_> = found.flatten().collect();
    let stores = found.iter().filter(|(_, allowed)| allowed.write).count();
    (found.len() as u64, stores as u64)
}

fn regions(site: &Site) -> usize {
    site.nucleus.memory.regions.len()
}

/// Makes a call and all its steps; how many there were.
fn steps(site: &mut Site, of: Party, name: &str, arguments: &[u64]) -> usize {
    site.steps = Some(0);
    let mut result = site.call(of.thread, name, arguments);
    let mut steps = 1;
    while result.is_none() {
        assert!(site.step(1), "{name}");
        check(site);
        steps += 1;
        result = site.result(of.thread);
    }
    site.steps = None;
    assert_eq!(result, Some(K_OK), "{name}");
    steps
}

#[test]
fn nc_231_the_protection_of_a_region_without_demand_is_set_in_steps() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let start = fixed(&mut site, user);
    for (options, stores) in [(0, 0), (K_WRITABLE, MANY), (K_EXECUTABLE, 0)] {
        let desc = site.arg(user.actor, &place(start, MANY, options));
        let made = steps(&mut site, user, "rgnSetProtect", &[0, desc]);
        assert!(made >= STEPS, "{made} steps");
        assert_eq!(mapped(&mut site, user, start), (MANY, stores));
    }
    for page in 0..MANY {
        let word: u64 = site.peek(user.actor, start + page * PAGE);
        assert_eq!(word, page + 1);
    }
    site.end();
}

#[test]
fn a_region_without_demand_that_was_locked_is_mapped_again_for_who_waited() {
    let mut site = Site::new(2);
    let user = site.party(K_SYSTEMACTOR);
    let other = Party {
        thread: site.thread(user.actor),
        ..user
    };
    let start = fixed(&mut site, user);
    site.grants(other, "vmLock", &[0, start, PAGE, 0]);
    let desc = site.arg(user.actor, &place(start, MANY, 0));
    assert_eq!(
        site.call(user.thread, "rgnSetProtect", &[0, desc]),
        None,
        "it waits"
    );
    site.grants(other, "vmUnLock", &[0, start, PAGE]);
    site.settle();
    assert_eq!(site.result(user.thread), Some(K_OK));
    assert_eq!(mapped(&mut site, user, start), (MANY, 0));
    check(&mut site);
    site.end();
}

#[test]
fn what_happens_while_a_protection_is_set_does_no_harm() {
    for event in 0..4 {
        for count in 1..STEPS as u64 {
            let mut site = Site::new(2);
            let user = site.party(K_USERACTOR);
            let other = Party {
                thread: site.thread(user.actor),
                ..user
            };
            let start = fixed(&mut site, user);
            let desc = site.arg(user.actor, &place(start, MANY, 0));
            site.steps = Some(0);
            assert_eq!(site.call(user.thread, "rgnSetProtect", &[0, desc]), None);
            assert!(count == 1 || site.step(count - 1));
            match event {
                0 => site.nucleus.kill_thread(user.thread),
                1 => _ = site.nucleus.kill_actor(user.actor, End::default()),
                2 => {
                    let gone = site.arg(user.actor, &place(start + 8 * PAGE, 40, 0));
                    site.call(other.thread, "rgnFree", &[0, gone]);
                }
                _ => {
                    // Whoever touches a page meanwhile has it, as it may be touched now.
                    let word: u64 = site.peek(user.actor, start + (MANY - 1) * PAGE);
                    assert_eq!(word, MANY);
                    let back = site.arg(user.actor, &place(start, MANY, K_WRITABLE));
                    site.call(other.thread, "rgnSetProtect", &[0, back]);
                }
            }
            site.steps = None;
            site.settle();
            site.settle();
            check(&mut site);
            match event {
                0 => {
                    // All is there at a touch.
                    for page in 0..MANY {
                        let word: u64 = site.peek(user.actor, start + page * PAGE);
                        assert_eq!(word, page + 1);
                    }
                    assert_eq!(mapped(&mut site, user, start), (MANY, 0));
                }
                1 => {}
                2 => {
                    assert_eq!(site.result(user.thread), Some(K_OK));
                    assert_eq!(mapped(&mut site, user, start), (MANY - 40, 0));
                }
                _ => {
                    assert_eq!(site.result(user.thread), Some(K_OK));
                    assert_eq!(mapped(&mut site, user, start), (MANY, MANY));
                }
            }
            site.end();
        }
    }
}

#[test]
fn nc_230_many_regions_are_freed_in_steps() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let before = regions(&site);
    let start = many(&mut site, user);
    assert_eq!(regions(&site), before + MANY as usize);
    let desc = site.arg(user.actor, &place(start, MANY, 0));
    let made = steps(&mut site, user, "rgnFree", &[0, desc]);
    assert!(made >= STEPS, "{made} steps");
    assert_eq!(regions(&site), before);
    assert_eq!(mapped(&mut site, user, start), (0, 0));
    // With holes, and ends within regions.
    let start = many(&mut site, user);
    let hole = site.arg(user.actor, &place(start + 20 * PAGE, 10, 0));
    site.grants(user, "rgnFree", &[0, hole]);
    let most = site.arg(user.actor, &place(start + PAGE, MANY - 2, 0));
    site.grants(user, "rgnFree", &[0, most]);
    assert_eq!(regions(&site), before + 2);
    let word: u64 = site.peek(user.actor, start + (MANY - 1) * PAGE);
    assert_eq!(word, MANY);
    site.end();
}

#[test]
fn what_happens_while_regions_are_freed_is_its_own_affair() {
    for event in 0..4 {
        for count in 1..STEPS as u64 {
            let mut site = Site::new(2);
            let user = site.party(K_SYSTEMACTOR);
            let other = Party {
                thread: site.thread(user.actor),
                ..user
            };
            let start = many(&mut site, user);
            let last = start + (MANY - 1) * PAGE;
            let desc = site.arg(user.actor, &place(start, MANY, 0));
            site.steps = Some(0);
            assert_eq!(site.call(user.thread, "rgnFree", &[0, desc]), None);
            assert!(count == 1 || site.step(count - 1));
            let before = regions(&site);
            match event {
                0 => site.nucleus.kill_thread(user.thread),
                1 => _ = site.nucleus.kill_actor(user.actor, End::default()),
                2 => {
                    // Where it was freed already, somebody makes a region: that stays.
                    let new = site.arg(user.actor, &place(start, 1, K_WRITABLE));
                    let made = site.call(other.thread, "rgnAllocate", &[0, new]);
                    assert_eq!(made, Some(K_OK));
                }
                _ => {
                    // A page that is locked meanwhile is waited for.
                    let lock = [0, last, PAGE, 0];
                    assert_eq!(site.call(other.thread, "vmLock", &lock), Some(K_OK));
                }
            }
            site.steps = None;
            site.settle();
            site.settle();
            check(&mut site);
            match event {
                0 => assert_eq!(regions(&site), before, "what was not freed is there"),
                1 => {}
                2 => {
                    assert_eq!(site.result(user.thread), Some(K_OK));
                    site.poke(user.actor, start, &7u64);
                    assert_eq!(mapped(&mut site, user, start), (1, 1));
                }
                _ => {
                    assert_eq!(site.result(user.thread), None);
                    site.grants(other, "vmUnLock", &[0, last, PAGE]);
                    site.settle();
                    assert_eq!(site.result(user.thread), Some(K_OK));
                    assert_eq!(mapped(&mut site, user, start), (0, 0));
                }
            }
            site.end();
        }
    }
}
