//! An actor is loaded in steps: others run meanwhile, and cannot spoil it; whoever is deleted, nothing is left.

use super::going::check;
use super::mapper_lab::{BASE, Lab};
use super::nc_loading::{image, loader};
use super::scene::Party;
use super::site::Site;
use crate::machine::Machine;
use crate::memory::Fault;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;

/// The small image with much data behind, so that loading takes several steps.
fn large_image() -> Vec<u8> {
    let mut image = image();
    // The second segment's bytes in the file and in memory.
    let header = 64 + 56;
    let size = 0x6000u64;
    image.resize(0x1000 + size as usize, 0x5a);
    for field in [32, 40] {
        image[header + field..header + field + 8].copy_from_slice(&size.to_le_bytes());
    }
    image
}

/// A site whose loader has begun to load: the loader, the actor, a thread that can do something about it, its capability there.
fn begun() -> (
    Site,
    Party,
    crate::arena::Id<crate::executive::actor::Actor>,
    Party,
    u64,
) {
    let (mut site, by, desc) = loader(&large_image());
    let actor = site
        .nucleus
        .actor_make(None, None, K_USERACTOR, false)
        .unwrap();
    let other = site.party(K_SYSTEMACTOR);
    let (cap, load) = (site.cap_for(by, actor), site.arg(by.actor, &desc));
    site.steps = Some(0);
    assert_eq!(site.call(by.thread, "actorLoad", &[cap, load]), None);
    let name = site.cap_for(other, actor);
    (site, by, actor, other, name)
}

#[test]
fn nobody_changes_the_memory_of_an_actor_that_is_being_loaded() {
    let (mut site, by, actor, other, name) = begun();
    let mut steps = 0;
    loop {
        let region = KnRgnDesc {
            start_addr: 0x10_0000,
            size: 1 << 30,
            ..KnRgnDesc::default()
        };
        let region = site.arg(other.actor, &region);
        let load = site.arg(other.actor, &KnLoadDesc::default());
        let loading = site.nucleus.actors.get(actor).unwrap().loading;
        if loading {
            let freed = site.call(other.thread, "rgnFree", &[name, region]);
            assert_eq!(freed, Some(K_EINVAL));
            let loaded = site.call(other.thread, "actorLoad", &[name, load]);
            assert_eq!(loaded, Some(K_EBUSY));
        }
        if !site.step(1) {
            break;
        }
        check(&mut site);
        steps += 1;
    }
    assert!(steps >= 2, "{steps} steps");
    assert!(site.result(by.thread).is_some_and(|result| result > 0));
    let found = site.nucleus.actors.get(actor).unwrap();
    assert!(found.threads == 1 && !found.loading);
    site.end();
}

#[test]
fn whoever_is_deleted_while_an_actor_is_loaded_nothing_is_left() {
    for (loader, of_actor) in [(true, false), (true, true), (false, true)] {
        for made in 0..4 {
            let (mut site, by, actor, other, name) = begun();
            site.step(made);
            let over = site.result(by.thread).is_some();
            let cap = match loader {
                true => site.cap_for(other, by.actor),
                false => name,
            };
            let li = site.li(by.thread);
            site.steps = None;
            let (what, arguments): (_, &[u64]) = match of_actor {
                true => ("actorDelete", &[cap]),
                false => ("threadDelete", &[cap, li]),
            };
            site.grants(other, what, arguments);
            site.settle();
            check(&mut site);
            if loader && !over {
                let found = site.nucleus.actors.get(actor).unwrap();
                assert!(found.regions.is_none() && found.pages == 0 && !found.loading);
            } else if !over {
                assert_eq!(site.result(by.thread), Some(K_EINVAL));
            }
            site.end();
            let (free, total) = site.nucleus.machine.frames();
            assert_eq!(free, total);
        }
    }
}

#[test]
fn an_abort_in_the_middle_of_loading_is_left_for_the_next_wait() {
    let (mut site, by, _, other, _) = begun();
    let (cap, li) = (site.cap_for(other, by.actor), site.li(by.thread));
    site.grants(other, "threadAbort", &[cap, li]);
    site.step(1000);
    assert!(site.result(by.thread).is_some_and(|result| result > 0));
    assert_eq!(site.grants(by, "threadAborted", &[]), 1);
    site.end();
}

#[test]
fn memory_that_runs_out_in_the_middle_of_loading_leaves_the_actor_empty() {
    let (mut site, by, actor, _, _) = begun();
    let hoard = site.hoard(0);
    site.step(1000);
    assert_eq!(site.result(by.thread), Some(K_ENOMEM));
    check(&mut site);
    let found = site.nucleus.actors.get(actor).unwrap();
    assert!(found.regions.is_none() && found.pages == 0 && !found.loading);
    site.give_back(hoard);
    site.end();
}

/// Loads with arguments in a segment's page, which leaves memory after so many steps: how many regions the actor has then. `None`: it was loaded before.
fn loaded_with_arguments_that_leave(made: u64) -> Option<usize> {
    let mut lab = Lab::on(Site::new(4));
    let by = Party {
        actor: lab.users[1],
        thread: lab.threads[1],
    };
    assert_eq!(lab.map(1, BASE, 1, 0), K_OK);
    assert_eq!(lab.touch(1, BASE, false), Fault::Waits);
    lab.give(0x0065_6d61_6e00);
    let image = large_image();
    let desc = KnLoadDesc {
        image: lab.site.arg(by.actor, &image[..]),
        image_size: image.len() as u64,
        args: BASE,
        args_size: 8,
        ..KnLoadDesc::default()
    };
    let actor = lab
        .site
        .nucleus
        .actor_make(None, None, K_USERACTOR, false)
        .unwrap();
    let (cap, load) = (lab.site.cap_for(by, actor), lab.site.arg(by.actor, &desc));
    let other = lab.site.fellow(by);
    lab.site.steps = Some(0);
    assert_eq!(lab.site.call(by.thread, "actorLoad", &[cap, load]), None);
    lab.site.step(made);
    if lab.site.result(by.thread).is_some() {
        lab.finish();
        return None;
    }
    let drop = [0, BASE, PAGE_SIZE, u64::from(K_DISCARD)];
    assert_eq!(lab.site.call(other.thread, "vmFlush", &drop), Some(K_OK));
    while lab.site.result(by.thread).is_none() {
        if !lab.site.step(1) {
            lab.give(0x0065_6d61_6e00);
        }
    }
    assert!(lab.site.result(by.thread).is_some_and(|result| result > 0));
    let regions = lab.site.nucleus.memory.regions.iter();
    let count = regions.filter(|(_, region)| region.actor == actor).count();
    lab.finish();
    Some(count)
}

#[test]
fn arguments_that_leave_memory_before_the_end_leave_no_page_behind() {
    let mut made = 0;
    while let Some(regions) = loaded_with_arguments_that_leave(made) {
        // Two segments, the page of the start, the stack.
        assert_eq!(regions, 4, "after {made} steps");
        made += 1;
    }
    assert!(made >= 2, "{made} steps");
}

#[test]
fn a_copy_of_many_bytes_is_one_between_two_that_are_stored() {
    // In steps: what others store meanwhile does not matter to what was copied before.
    let mut scene = super::memory_scene::Scene::new(2);
    let (base, page) = (super::memory_scene::BASE, PAGE_SIZE);
    for which in 0..2 {
        assert_eq!(
            scene.range("rgnAllocate", which, base, 60, K_WRITABLE),
            K_OK
        );
    }
    for at in 0..60 {
        assert!(scene.put(0, base + at * page, at + 1));
    }
    let (source, target) = (scene.cap(0, 0), scene.cap(1, 1));
    let thread = scene.thread;
    scene.site.steps = Some(0);
    let arguments = [source, base, target, base, 60 * page];
    assert_eq!(scene.site.call(thread, "vmCopy", &arguments), None);
    let mut steps = 0;
    while scene.site.step(1) {
        scene.site.nucleus.check_memory();
        steps += 1;
    }
    assert!(steps > 6, "{steps} steps");
    assert_eq!(scene.site.result(thread), Some(K_OK));
    for at in 0..60 {
        assert_eq!(scene.get(1, base + at * page), Some(at + 1));
    }
    // Memory that is freed in the middle ends the copy.
    let other = scene.site.thread(scene.manager);
    assert_eq!(scene.site.call(thread, "vmCopy", &arguments), None);
    scene.site.step(3);
    let desc = scene.desc(0, base, 60, 0);
    let freed = scene.site.call(other, "rgnFree", &[source, desc]);
    scene.site.steps = None;
    scene.site.settle();
    assert!(freed.is_none() || freed == Some(K_OK));
    assert_eq!(scene.site.result(thread), Some(K_EADDR));
    scene.finish();
}
