//! Calls about many pages do it in steps (NC-264): others run in between, and what comes out is what one step would have given.

use super::going::check;
use super::mapper_lab::{BASE, FINE, Lab, PAGE};
use super::scene::Party;
use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use chorus_abi::error::*;
use chorus_abi::*;

const PAGES: u64 = 60;
/// A step makes fewer pages than this.
const FEW: u64 = 20;

/// A region of an actor, made by `rgnAllocate`; its descriptor, as an argument.
fn region(site: &mut Site, of: Party, options: u32) -> (KnRgnDesc, u64) {
    let desc = KnRgnDesc {
        size: PAGES * PAGE,
        options: K_WRITABLE | K_ANYWHERE | options,
        ..KnRgnDesc::default()
    };
    let address = site.arg(of.actor, &desc);
    site.grants(of, "rgnAllocate", &[0, address]);
    (site.peek(of.actor, address), address)
}

/// Whether all pages of a range are mapped for stores.
fn is_there(site: &Site, of: Id<Actor>, start: u64) -> bool {
    let space = site.nucleus.actors.get(of).unwrap().space;
    site.nucleus.machine.may_write(space, start, PAGES * PAGE)
}

/// The call takes several steps, after each of which all invariants hold, and ends with this.
fn in_steps(site: &mut Site, caller: Party, name: &str, arguments: &[u64], result: i32) {
    site.steps = Some(0);
    assert_eq!(site.call(caller.thread, name, arguments), None, "{name}");
    let mut steps = 1;
    while site.result(caller.thread).is_none() {
        assert!(site.step(1), "{name}");
        check(site);
        steps += 1;
    }
    site.steps = None;
    assert!(steps > PAGES / FEW, "{name}: {steps} steps");
    assert_eq!(site.result(caller.thread), Some(result), "{name}");
}

#[test]
fn nc_237_regions_without_demand_are_duplicated_in_steps() {
    let mut site = Site::new(1);
    let parent = site.party(K_SYSTEMACTOR);
    let child = site
        .nucleus
        .actor_make(None, None, K_USERACTOR, false)
        .unwrap();
    let (first, _) = region(&mut site, parent, K_NODEMAND | K_INHERITCOPY);
    let (second, _) = region(&mut site, parent, K_INHERITCOPY);
    for page in 0..PAGES {
        for (start, word) in [
            (first.start_addr, page + 1),
            (second.start_addr, page + 100),
        ] {
            site.poke(parent.actor, start + page * PAGE, &word);
        }
    }
    let cap = site.cap_for(parent, child);
    in_steps(&mut site, parent, "rgnDup", &[cap, 0, 0], K_OK);
    assert!(is_there(&site, child, first.start_addr));
    assert!(!is_there(&site, child, second.start_addr), "it has demand");
    for page in 0..PAGES {
        let word: u64 = site.peek(child, first.start_addr + page * PAGE);
        assert_eq!(word, page + 1);
        let word: u64 = site.peek(child, second.start_addr + page * PAGE);
        assert_eq!(word, page + 100);
    }
    site.end();
}

#[test]
fn a_copy_without_demand_is_made_in_steps() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let (source, _) = region(&mut site, user, 0);
    for page in 0..PAGES {
        site.poke(user.actor, source.start_addr + page * PAGE, &(page + 1));
    }
    let from = site.arg(user.actor, &source);
    let into = KnRgnDesc {
        size: PAGES * PAGE,
        options: K_WRITABLE | K_ANYWHERE | K_NODEMAND,
        ..KnRgnDesc::default()
    };
    let into = site.arg(user.actor, &into);
    in_steps(
        &mut site,
        user,
        "rgnInitFromActor",
        &[0, into, 0, from],
        K_OK,
    );
    let made: KnRgnDesc = site.peek(user.actor, into);
    assert!(is_there(&site, user.actor, made.start_addr));
    for page in 0..PAGES {
        let word: u64 = site.peek(user.actor, made.start_addr + page * PAGE);
        assert_eq!(word, page + 1);
    }
    site.end();
}

#[test]
fn a_range_is_locked_and_unlocked_in_steps() {
    let mut site = Site::new(1);
    let user = site.party(K_SYSTEMACTOR);
    let (made, desc) = region(&mut site, user, 0);
    let range = [0, made.start_addr, PAGES * PAGE];
    let lock = [range[0], range[1], range[2], 0];
    let locked = |site: &Site| site.nucleus.memory.locked_pages();
    in_steps(&mut site, user, "vmLock", &lock, K_OK);
    assert_eq!(locked(&site), PAGES as usize);
    assert!(is_there(&site, user.actor, made.start_addr));
    in_steps(&mut site, user, "vmLock", &lock, K_OK);
    for _ in 0..2 {
        assert_eq!(locked(&site), PAGES as usize);
        site.grants(user, "vmUnLock", &range);
    }
    assert_eq!(locked(&site), 0);
    // One page that is not locked: none is unlocked.
    site.grants(user, "vmLock", &[0, range[1], range[2] - PAGE, 0]);
    assert_eq!(site.call(user.thread, "vmUnLock", &range), Some(K_EINVAL));
    assert_eq!(locked(&site), PAGES as usize - 1);
    site.grants(user, "vmUnLock", &[0, range[1], range[2] - PAGE]);
    site.grants(user, "rgnFree", &[0, desc]);
    site.end();
}

#[test]
fn a_thread_that_dies_while_it_locks_or_unlocks_leaves_nothing_locked() {
    for unlocks in [false, true] {
        let mut site = Site::new(1);
        let user = site.party(K_SYSTEMACTOR);
        let (made, desc) = region(&mut site, user, 0);
        let lock = [0, made.start_addr, PAGES * PAGE, 0];
        let locked = |site: &Site| site.nucleus.memory.locked_pages();
        let other = Party {
            thread: site.thread(user.actor),
            ..user
        };
        if unlocks {
            site.grants(user, "vmLock", &lock);
        }
        site.steps = Some(0);
        let name = if unlocks { "vmUnLock" } else { "vmLock" };
        assert_eq!(site.call(user.thread, name, &lock), None);
        assert!(site.step(2));
        assert!(locked(&site) > 0);
        site.nucleus.kill_thread(user.thread);
        site.steps = None;
        site.settle();
        // One that had unlocked none yet has done nothing.
        if unlocks && locked(&site) > 0 {
            assert_eq!(locked(&site), PAGES as usize);
            site.grants(other, "vmUnLock", &lock);
        }
        assert_eq!(locked(&site), 0);
        check(&mut site);
        site.grants(other, "rgnFree", &[0, desc]);
        site.end();
    }
}

#[test]
fn nc_245_and_246_segments_are_read_and_written_in_steps() {
    let mut lab = Lab::new();
    let user = Party {
        actor: lab.users[1],
        thread: lab.threads[1],
    };
    let (made, _) = region(&mut lab.site, user, 0);
    let part = lab.part(1, 0, PAGES * PAGE);
    // Each page is asked for; a segment of which nobody has anything mapped stays while the call goes on.
    assert_eq!(lab.call(1, "sgRead", &[part, 0, made.start_addr, 0]), None);
    for page in 0..PAGES {
        assert_eq!(lab.give(page + 1), page * PAGE);
    }
    assert_eq!(lab.site.result(user.thread), Some((PAGES * PAGE) as i32));
    for page in 0..PAGES {
        let word: u64 = lab.site.peek(user.actor, made.start_addr + page * PAGE);
        assert_eq!(word, page + 1);
    }
    // Mapped, all of it is here: written, in steps.
    assert_eq!(lab.map(0, BASE, PAGES, 0), K_OK);
    for page in 0..PAGES {
        assert_eq!(
            lab.touch(0, BASE + page * PAGE, true),
            crate::memory::Fault::Waits
        );
        lab.give(0);
        lab.store(0, BASE + page * PAGE, 7);
    }
    let size = (PAGES * PAGE) as i32;
    let arguments = [0, made.start_addr, part, 0];
    in_steps(&mut lab.site, user, "sgWrite", &arguments, size);
    for page in 0..PAGES {
        assert_eq!(lab.load(0, BASE + page * PAGE), page + 1);
        lab.site
            .poke(user.actor, made.start_addr + page * PAGE, &0u64);
    }
    let arguments = [part, 0, made.start_addr, 0];
    in_steps(&mut lab.site, user, "sgRead", &arguments, size);
    for page in 0..PAGES {
        let word: u64 = lab.site.peek(user.actor, made.start_addr + page * PAGE);
        assert_eq!(word, page + 1);
    }
    lab.site.nucleus.check_memory();
    end(lab);
}

#[test]
fn a_thread_that_dies_in_the_middle_of_a_transfer_leaves_no_segment() {
    let mut lab = Lab::new();
    let user = Party {
        actor: lab.users[1],
        thread: lab.threads[1],
    };
    let (made, _) = region(&mut lab.site, user, 0);
    let part = lab.part(1, 0, FEW * PAGE);
    assert_eq!(lab.call(1, "sgRead", &[part, 0, made.start_addr, 0]), None);
    for page in 0..FEW - 1 {
        assert_eq!(lab.give(page + 1), page * PAGE);
    }
    lab.site.steps = Some(0);
    lab.give(FEW);
    assert_eq!(
        lab.site.result(user.thread),
        None,
        "the last page is here, and it copies"
    );
    assert_eq!(lab.site.nucleus.memory.segments_here(), 1);
    lab.site.nucleus.kill_thread(user.thread);
    lab.site.steps = None;
    lab.site.settle();
    assert_eq!(lab.site.nucleus.memory.segments_here(), 0);
    lab.finish();
}

/// The mapper answers whatever is still pushed out, and all ends.
fn end(mut lab: Lab) {
    assert_eq!(lab.free(0, BASE, PAGES), K_OK);
    while let Some((request, _)) = lab.request() {
        assert_eq!(request.service, KN_MPPUSHOUT);
        lab.answer(FINE, &[]);
    }
    lab.finish();
}
