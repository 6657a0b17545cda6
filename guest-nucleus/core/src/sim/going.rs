//! What goes is given back in steps: between two of them others run, and whatever happens to whom caused it, nothing is lost.

use super::memory_scene::{BASE, PAGE, Scene};
use super::scene::Party;
use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::machine::Machine;
use chorus_abi::error::*;
use chorus_abi::*;

/// Pages of the region that goes.
const PAGES: u64 = 100;

/// A site of so many processors with an actor that has a large region, and a thread of it.
fn large(cpus: usize, kind: i32, priority: i32) -> (Site, Party, u64) {
    let mut site = Site::new(cpus);
    let actor = site.actor(kind, priority);
    let thread = site.thread(actor);
    let party = Party { actor, thread };
    let desc = region(&mut site, party, PAGES);
    (site, party, desc)
}

/// A region all of whose pages are there; its descriptor, as an argument.
fn region(site: &mut Site, of: Party, pages: u64) -> u64 {
    let desc = KnRgnDesc {
        size: pages * PAGE,
        options: K_WRITABLE | K_ANYWHERE,
        ..KnRgnDesc::default()
    };
    let desc = site.arg(of.actor, &desc);
    site.grants(of, "rgnAllocate", &[0, desc]);
    let made: KnRgnDesc = site.peek(of.actor, desc);
    for page in 0..pages {
        site.poke(of.actor, made.start_addr + page * PAGE, &(page + 1));
    }
    desc
}

fn free(site: &Site) -> u64 {
    site.nucleus.machine.frames().0
}

/// All invariants hold.
pub(super) fn check(site: &mut Site) {
    super::invariants::check(&site.nucleus);
    site.nucleus.check_memory();
}

fn pages_of(site: &Site, actor: Id<Actor>) -> u32 {
    site.nucleus.actors.get(actor).unwrap().pages
}

#[test]
fn a_region_goes_at_once_and_its_frames_in_steps() {
    let (mut site, user, desc) = large(1, K_USERACTOR, 140);
    let (before, had) = (free(&site), pages_of(&site, user.actor));
    let made: KnRgnDesc = site.peek(user.actor, desc);
    site.steps = Some(0);
    site.waits(user, "rgnFree", &[0, desc]);
    // Nobody sees it, and it is counted with nobody; the frames are not free yet.
    let (actor, space) = (
        user.actor,
        site.nucleus.actors.get(user.actor).unwrap().space,
    );
    let mut bytes = [0];
    let read = site
        .nucleus
        .read_bytes(actor, space, made.start_addr, &mut bytes);
    assert!(read.is_err());
    assert_eq!(pages_of(&site, actor), had - PAGES as u32);
    assert!(free(&site) < before + PAGES / 2);
    let mut steps = 0;
    while site.step(1) {
        check(&mut site);
        steps += 1;
        let done = site.result(user.thread).is_some();
        assert_eq!(
            done,
            free(&site) == before + PAGES,
            "it returns when all is free"
        );
    }
    assert!(steps >= 4, "{steps} steps");
    assert_eq!(site.result(user.thread), Some(K_OK));
    site.end();
}

#[test]
fn whoever_is_deleted_in_the_middle_nothing_is_lost() {
    for (name, of_actor) in [("threadDelete", false), ("actorDelete", true)] {
        for made in 0..4 {
            let (mut site, user, desc) = large(2, K_USERACTOR, 140);
            let system = site.party(K_SYSTEMACTOR);
            site.steps = Some(0);
            site.waits(user, "rgnFree", &[0, desc]);
            site.step(made);
            let cap = site.cap_for(system, user.actor);
            let li = site.li(user.thread);
            site.steps = None;
            let arguments: &[u64] = if of_actor { &[cap] } else { &[cap, li] };
            site.grants(system, name, arguments);
            check(&mut site);
            assert_eq!(site.nucleus.going(), 0);
            site.end();
        }
    }
}

#[test]
fn an_abort_in_the_middle_is_left_for_the_next_wait() {
    let (mut site, user, desc) = large(2, K_USERACTOR, 140);
    let system = site.party(K_SYSTEMACTOR);
    site.steps = Some(0);
    site.waits(user, "rgnFree", &[0, desc]);
    let (cap, li) = (site.cap_for(system, user.actor), site.li(user.thread));
    site.grants(system, "threadAbort", &[cap, li]);
    assert_eq!(site.result(user.thread), None, "it waits on");
    site.step(100);
    assert_eq!(site.result(user.thread), Some(K_OK));
    assert_eq!(site.grants(user, "threadAborted", &[]), 1);
    site.end();
}

#[test]
fn nc_264_a_more_urgent_thread_preempts_a_long_call() {
    // One processor: a supervisor thread frees much, and a thread that time wakes in the middle runs before the call ends.
    let (mut site, slow, desc) = large(1, K_SUPACTOR, 140);
    let actor = site.actor(K_SUPACTOR, 100);
    let urgent = Party {
        actor,
        thread: site.thread(actor),
    };
    assert!(site.runs(urgent) && !site.runs(slow));
    let delay = site.arg(actor, &KnTimeVal::from_ns(1000));
    site.waits(urgent, "threadDelay", &[delay]);
    assert!(site.runs(slow));
    site.steps = Some(0);
    site.waits(slow, "rgnFree", &[0, desc]);
    assert!(site.step(2));
    assert!(site.result(slow.thread).is_none() && !site.runs(urgent));
    site.pass(2000);
    assert!(site.runs(urgent), "it runs at once");
    assert!(site.result(slow.thread).is_none(), "the call is not over");
    assert!(!site.step(1), "and does not go on meanwhile");
    check(&mut site);
    // Only when it waits again.
    let delay = site.arg(actor, &KnTimeVal::from_ns(1_000_000));
    site.waits(urgent, "threadDelay", &[delay]);
    site.step(100);
    assert_eq!(site.result(slow.thread), Some(K_OK));
    site.end();
}

#[test]
fn a_less_urgent_thread_does_not_run_before_what_goes() {
    // An actor exits: its memory is as urgent as it was itself.
    let (mut site, user, _) = large(1, K_USERACTOR, 140);
    let late = site.actor(K_USERACTOR, 180);
    let late = Party {
        actor: late,
        thread: site.thread(late),
    };
    site.steps = Some(0);
    assert_eq!(site.call(user.thread, "actorExit", &[0]), None);
    for _ in 0..3 {
        assert!(!site.runs(late));
        assert!(site.step(1));
        check(&mut site);
    }
    site.step(100);
    assert!(site.runs(late));
    assert!(site.nucleus.actors.get(user.actor).is_none());
    site.end();
}

#[test]
fn who_deletes_an_actor_waits_until_it_is_gone_and_makes_it_as_urgent_as_he_is() {
    let (mut site, user, _) = large(2, K_USERACTOR, 200);
    let system = site.actor(K_SYSTEMACTOR, 50);
    let system = Party {
        actor: system,
        thread: site.thread(system),
    };
    let cap = site.cap_for(system, user.actor);
    site.steps = Some(0);
    site.waits(system, "actorDelete", &[cap]);
    assert_eq!(site.nucleus.going_level(), Some(50));
    // Nobody can name it any more, and its memory is no more to be changed.
    let other = site.party(K_SYSTEMACTOR);
    let name = site.cap_for(other, user.actor);
    assert_eq!(
        site.call(other.thread, "actorStop", &[name]),
        Some(K_EINVAL)
    );
    while site.step(1) {
        check(&mut site);
        let gone = site.nucleus.actors.get(user.actor).is_none();
        assert_eq!(site.result(system.thread).is_some(), gone);
    }
    assert_eq!(site.result(system.thread), Some(K_OK));
    site.end();
}

#[test]
fn frames_that_go_are_as_good_as_free() {
    let (mut site, user, desc) = large(2, K_USERACTOR, 140);
    let other = site.party(K_USERACTOR);
    let desc_of = KnRgnDesc {
        size: PAGES * PAGE,
        options: K_WRITABLE | K_ANYWHERE,
        ..KnRgnDesc::default()
    };
    let taken = site.arg(other.actor, &desc_of);
    site.grants(other, "rgnAllocate", &[0, taken]);
    site.steps = Some(0);
    site.waits(user, "rgnFree", &[0, desc]);
    let hoard = site.hoard(0);
    // All pages that the other wants come from what goes.
    let made: KnRgnDesc = site.peek(other.actor, taken);
    for page in 0..PAGES - 20 {
        site.poke(other.actor, made.start_addr + page * PAGE, &page);
    }
    site.settle();
    check(&mut site);
    site.give_back(hoard);
    site.steps = None;
    site.settle();
    assert_eq!(site.result(user.thread), Some(K_OK));
    site.end();
}

#[test]
fn who_has_a_limit_may_take_anew_what_he_gave_back() {
    let (mut site, user, desc) = large(1, K_USERACTOR, 140);
    let limit = pages_of(&site, user.actor) + 4;
    site.nucleus.actors.get_mut(user.actor).unwrap().limit = limit;
    for _ in 0..3 {
        site.grants(user, "rgnFree", &[0, desc]);
        let made: KnRgnDesc = site.peek(user.actor, desc);
        let again = KnRgnDesc {
            options: K_WRITABLE | K_NODEMAND,
            ..made
        };
        site.poke(user.actor, desc, &again);
        site.grants(user, "rgnAllocate", &[0, desc]);
    }
    site.end();
}

#[test]
fn what_was_copied_moves_to_the_copy_in_steps() {
    for touched in [0, 7] {
        let mut scene = Scene::new(2);
        scene.in_steps((1, 2));
        assert_eq!(scene.range("rgnAllocate", 0, BASE, 40, K_WRITABLE), K_OK);
        for page in 0..40 {
            assert!(scene.put(0, BASE + page * PAGE, page + 1));
        }
        assert_eq!(
            scene.from("rgnInitFromActor", (1, BASE, K_WRITABLE), (0, BASE), 40),
            K_OK
        );
        for page in 0..touched {
            assert!(scene.put(1, BASE + page * PAGE, 1000 + page));
        }
        // Half of the source, then the rest of it; the copy is read between the steps.
        let read = |scene: &mut Scene| {
            for page in 0..40 {
                let wanted = if page < touched {
                    1000 + page
                } else {
                    page + 1
                };
                assert_eq!(scene.get(1, BASE + page * PAGE), Some(wanted));
            }
        };
        for (start, pages) in [(20, 20), (0, 20)] {
            let cap = scene.cap(0, 0);
            let desc = scene.desc(0, BASE + start * PAGE, pages, 0);
            let thread = scene.thread;
            assert_eq!(scene.site.call(thread, "rgnFree", &[cap, desc]), None);
            let mut steps = 0;
            while scene.site.step(1) {
                read(&mut scene);
                scene.site.nucleus.check_memory();
                steps += 1;
            }
            assert!(steps > 2, "{steps} steps");
            assert_eq!(scene.site.result(thread), Some(K_OK));
        }
        read(&mut scene);
        scene.site.steps = None;
        scene.finish();
    }
}

#[test]
fn a_copy_of_a_copy_in_the_middle_of_a_merge_sees_what_it_saw() {
    let mut scene = Scene::new(3);
    scene.in_steps((0, 1));
    assert_eq!(scene.range("rgnAllocate", 0, BASE, 12, K_WRITABLE), K_OK);
    for page in 0..12 {
        assert!(scene.put(0, BASE + page * PAGE, page + 1));
    }
    let copy = |scene: &mut Scene, to, from| {
        scene.from("rgnInitFromActor", (to, BASE, K_WRITABLE), (from, BASE), 12)
    };
    assert_eq!(copy(&mut scene, 1, 0), K_OK);
    let other = scene.site.thread(scene.manager);
    let cap = scene.cap(0, 0);
    let desc = scene.desc(0, BASE, 12, 0);
    let thread = scene.thread;
    assert_eq!(scene.site.call(thread, "rgnFree", &[cap, desc]), None);
    scene.site.step(3);
    // The other thread of the manager calls while the first waits.
    scene.thread = other;
    assert_eq!(copy(&mut scene, 2, 1), K_OK);
    scene.site.nucleus.check_memory();
    assert!(scene.put(1, BASE, 77) && scene.put(2, BASE + PAGE, 88));
    while scene.site.step(1) {
        scene.site.nucleus.check_memory();
    }
    for page in 0..12 {
        let (one, two) = (
            if page == 0 { 77 } else { page + 1 },
            if page == 1 { 88 } else { page + 1 },
        );
        assert_eq!(scene.get(1, BASE + page * PAGE), Some(one));
        assert_eq!(scene.get(2, BASE + page * PAGE), Some(two));
    }
    scene.site.steps = None;
    scene.finish();
}

/// A descriptor of a region all of whose pages are to be there.
fn nodemand(site: &mut Site, of: Party, pages: u64) -> u64 {
    let desc = KnRgnDesc {
        size: pages * PAGE,
        options: K_WRITABLE | K_ANYWHERE | K_NODEMAND,
        ..KnRgnDesc::default()
    };
    site.arg(of.actor, &desc)
}

#[test]
fn a_region_without_demand_is_seen_when_all_its_pages_are_there() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let desc = nodemand(&mut site, user, PAGES);
    let (before, had) = (free(&site), site.nucleus.memory.regions.len());
    site.steps = Some(0);
    assert_eq!(site.call(user.thread, "rgnAllocate", &[0, desc]), None);
    let mut steps = 0;
    while site.step(1) {
        check(&mut site);
        steps += 1;
        let there = site.nucleus.memory.regions.len() > had;
        assert_eq!(
            there,
            free(&site) + PAGES <= before,
            "it is there with all its pages"
        );
    }
    assert!(steps > 4, "{steps} steps");
    assert_eq!(site.result(user.thread), Some(K_OK));
    let made: KnRgnDesc = site.peek(user.actor, desc);
    let space = site.nucleus.actors.get(user.actor).unwrap().space;
    for page in 0..PAGES {
        let mapped = site
            .nucleus
            .machine
            .may_write(space, made.start_addr + page * PAGE, 1);
        assert!(mapped, "page {page} faults");
    }
    site.end();
}

#[test]
fn who_dies_in_the_middle_of_making_pages_leaves_none() {
    for made in 0..12 {
        let mut site = Site::new(2);
        let (user, system) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
        let desc = nodemand(&mut site, user, PAGES);
        let other = site.fellow(user);
        site.steps = Some(0);
        site.call(user.thread, "rgnAllocate", &[0, desc]);
        site.step(made);
        let (cap, li) = (site.cap_for(system, user.actor), site.li(user.thread));
        let over = site.result(user.thread).is_some();
        site.steps = None;
        site.grants(system, "threadDelete", &[cap, li]);
        check(&mut site);
        let pages = u64::from(pages_of(&site, user.actor));
        let seen = site.nucleus.memory.regions.len() == 3;
        assert!(over || seen || pages <= 16, "{pages} pages are nobody's");
        let _ = other;
        site.end();
    }
}

#[test]
fn memory_that_runs_out_in_the_middle_of_making_pages_is_given_back() {
    let mut site = Site::new(2);
    let user = site.party(K_USERACTOR);
    let desc = nodemand(&mut site, user, PAGES);
    let had = pages_of(&site, user.actor);
    site.steps = Some(0);
    assert_eq!(site.call(user.thread, "rgnAllocate", &[0, desc]), None);
    site.step(2);
    let hoard = site.hoard(10);
    let left = free(&site);
    site.step(100);
    assert_eq!(site.result(user.thread), Some(K_ENOMEM));
    check(&mut site);
    assert_eq!(pages_of(&site, user.actor), had);
    assert!(free(&site) > left, "what was made is free again");
    site.give_back(hoard);
    site.end();
}

#[test]
fn nc_264_a_more_urgent_thread_runs_while_pages_are_made() {
    let mut site = Site::new(1);
    let slow = site.party(K_SUPACTOR);
    let actor = site.actor(K_SUPACTOR, 100);
    let urgent = Party {
        actor,
        thread: site.thread(actor),
    };
    let delay = site.arg(actor, &KnTimeVal::from_ns(1000));
    site.waits(urgent, "threadDelay", &[delay]);
    let desc = nodemand(&mut site, slow, PAGES);
    site.steps = Some(0);
    assert_eq!(site.call(slow.thread, "rgnAllocate", &[0, desc]), None);
    assert!(site.step(2) && site.runs(slow));
    site.pass(2000);
    assert!(site.runs(urgent) && site.result(slow.thread).is_none());
    assert!(!site.step(1), "the call does not go on meanwhile");
    let delay = site.arg(actor, &KnTimeVal::from_ns(1_000_000));
    site.waits(urgent, "threadDelay", &[delay]);
    site.step(100);
    assert_eq!(site.result(slow.thread), Some(K_OK));
    site.end();
}

#[test]
fn pages_of_a_region_that_is_to_have_no_demand_are_made_in_steps() {
    let mut site = Site::new(2);
    let (user, system) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
    let desc = KnRgnDesc {
        size: PAGES * PAGE,
        options: K_WRITABLE | K_ANYWHERE,
        ..KnRgnDesc::default()
    };
    let desc = site.arg(user.actor, &desc);
    site.grants(user, "rgnAllocate", &[0, desc]);
    let made: KnRgnDesc = site.peek(user.actor, desc);
    let paging = KnRgnDesc {
        options: K_NODEMAND,
        ..made
    };
    let paging = site.arg(user.actor, &paging);
    site.steps = Some(0);
    assert_eq!(site.call(user.thread, "rgnSetPaging", &[0, paging]), None);
    assert!(site.step(3));
    check(&mut site);
    // In the middle half of it is freed: the call then finds that the range is not covered.
    let cap = site.cap_for(system, user.actor);
    let half = KnRgnDesc {
        start_addr: made.start_addr + PAGES / 2 * PAGE,
        size: PAGES / 2 * PAGE,
        ..KnRgnDesc::default()
    };
    let half = site.arg(system.actor, &half);
    site.waits(system, "rgnFree", &[cap, half]);
    site.steps = None;
    site.settle();
    assert_eq!(site.result(user.thread), Some(K_EADDR));
    check(&mut site);
    // What is left has all its pages afterwards.
    let rest = KnRgnDesc {
        size: PAGES / 2 * PAGE,
        options: K_NODEMAND,
        ..made
    };
    let rest = site.arg(user.actor, &rest);
    site.grants(user, "rgnSetPaging", &[0, rest]);
    let space = site.nucleus.actors.get(user.actor).unwrap().space;
    let mapped = site
        .nucleus
        .machine
        .may_write(space, made.start_addr, PAGES / 2 * PAGE);
    assert!(mapped);
    site.end();
}
