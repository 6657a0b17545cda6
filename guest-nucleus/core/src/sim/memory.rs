//! Regions and deferred copies against the reference (NC-015, NC-224…240).

use super::memory_scene::{BASE, PAGE, Scene};
use super::site::Site;
use crate::machine::Machine;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;

#[test]
fn nc_015_a_new_actor_has_no_region() {
    let mut scene = Scene::new(1);
    assert_eq!(scene.stat(0, 0, u64::MAX), []);
    scene.finish();
}

#[test]
fn nc_230_both_ends_stay_when_the_middle_is_freed() {
    let mut scene = Scene::new(1);
    scene.range("rgnAllocate", 0, BASE, 3, K_WRITABLE);
    for page in 0..3 {
        assert!(scene.put(0, BASE + page * PAGE, 7 + page));
    }
    let before = scene.free();
    assert_eq!(scene.range("rgnFree", 0, BASE + PAGE, 1, 0), K_OK);
    assert_eq!(scene.free(), before + 1);
    assert_eq!(scene.get(0, BASE), Some(7));
    assert_eq!(scene.get(0, BASE + PAGE), None);
    assert_eq!(scene.get(0, BASE + 2 * PAGE), Some(9));
    scene.finish();
}

#[test]
fn nc_231_and_232_one_page_of_three_is_made_read_only() {
    let mut scene = Scene::new(1);
    scene.range("rgnAllocate", 0, BASE, 3, K_WRITABLE);
    for page in 0..3 {
        assert!(scene.put(0, BASE + page * PAGE, page));
    }
    assert_eq!(scene.range("rgnSetProtect", 0, BASE + PAGE, 1, 0), K_OK);
    for page in 0..3 {
        assert_eq!(scene.put(0, BASE + page * PAGE, 5), page != 1);
        assert_eq!(
            scene.get(0, BASE + page * PAGE),
            Some(if page == 1 { 1 } else { 5 })
        );
    }
    let stat = scene.stat(0, 0, u64::MAX);
    let seen: Vec<_> = stat
        .iter()
        .map(|stat| (stat.start_addr, stat.size, stat.options, stat.resident))
        .collect();
    let row = |page: u64, options| (BASE + page * PAGE, PAGE, options, PAGE);
    assert_eq!(seen, [row(0, K_WRITABLE), row(1, 0), row(2, K_WRITABLE)]);
    // And back again: one region, as before.
    assert_eq!(
        scene.range("rgnSetProtect", 0, BASE + PAGE, 1, K_WRITABLE),
        K_OK
    );
    assert_eq!(scene.stat(0, 0, u64::MAX).len(), 1);
    assert_eq!(
        scene.site.nucleus.memory_objects().0,
        2,
        "and the manager's"
    );
    assert!(scene.put(0, BASE + PAGE, 6));
    scene.finish();
}

#[test]
fn attributes_are_refused_by_their_errors() {
    let mut scene = Scene::new(1);
    scene.range("rgnAllocate", 0, BASE, 4, K_WRITABLE);
    for name in [
        "rgnSetProtect",
        "rgnSetInherit",
        "rgnSetOpaque",
        "rgnSetPaging",
    ] {
        let mut call = |start, pages, options| scene.range(name, 0, start, pages, options);
        assert_eq!(call(BASE + 1, 1, 0), K_EROUND, "{name}");
        assert_eq!(call(BASE, 0, 0), K_ESIZE, "{name}");
        assert_eq!(call(BASE + 3 * PAGE, 2, 0), K_EADDR, "{name}");
        assert_eq!(call(u64::MAX - PAGE + 1, 1, 0), K_EADDR, "{name}");
        assert_eq!(call(BASE, 4, 0), K_OK, "{name}");
        if name != "rgnSetOpaque" {
            assert_eq!(call(BASE, 1, K_RESERVED), K_EINVAL, "{name}");
        }
    }
    let both = K_INHERITCOPY | K_INHERITSHARE;
    assert_eq!(scene.range("rgnSetInherit", 0, BASE, 1, both), K_EINVAL);
    let both = K_WRITABLE | K_EXECUTABLE;
    assert_eq!(scene.range("rgnSetProtect", 0, BASE, 1, both), K_EINVAL);
    assert_eq!(
        scene.range("rgnSetProtect", 0, BASE, 1, K_SUPERVISOR),
        K_EINVAL
    );
    scene.range("rgnAllocate", 0, 2 * BASE, 1, K_RESERVED);
    assert_eq!(
        scene.range("rgnSetPaging", 0, 2 * BASE, 1, K_NODEMAND),
        K_EINVAL
    );
    scene.finish();
}

#[test]
fn a_full_table_of_regions_refuses_a_split_and_changes_nothing() {
    let mut scene = Scene::new(1);
    scene.range("rgnAllocate", 0, BASE, 3, K_WRITABLE);
    let mut more = 0;
    while scene.range("rgnAllocate", 0, 2 * BASE + more * 4 * PAGE, 1, 0) == K_OK {
        more += 1;
    }
    assert_eq!(scene.range("rgnSetProtect", 0, BASE + PAGE, 1, 0), K_ENOMEM);
    assert_eq!(scene.range("rgnFree", 0, BASE + PAGE, 1, 0), K_ENOMEM);
    assert_eq!(scene.stat(0, BASE, 3 * PAGE).len(), 1);
    assert_eq!(scene.range("rgnSetProtect", 0, BASE, 3, 0), K_OK);
    scene.finish();
}

#[test]
fn nc_239_and_240_pages_are_fixed_at_once_or_not_at_all() {
    let mut scene = Scene::new(1);
    let (options, free) = (K_WRITABLE | K_NODEMAND | K_NOWAITFORMEMORY, scene.free());
    let none = scene.range("rgnAllocate", 0, BASE, free + 1, options);
    assert_eq!((none, scene.free()), (K_ENOMEM, free));
    scene.range("rgnAllocate", 0, BASE, 4, K_WRITABLE);
    assert_eq!(scene.range("rgnSetPaging", 0, BASE, 4, K_NODEMAND), K_OK);
    let faults = scene.site.nucleus.counters.faults;
    assert!((0..4).all(|page| scene.put(0, BASE + page * PAGE, page)));
    assert_eq!(scene.site.nucleus.counters.faults, faults);
    // A copy takes its pages at once, and the source goes on without faults.
    assert_eq!(
        scene.from("rgnInitFromActor", (0, 2 * BASE, 0), (0, BASE), 4),
        K_OK
    );
    let faults = scene.site.nucleus.counters.faults;
    assert!((0..4).all(|page| scene.put(0, BASE + page * PAGE, 9)));
    assert_eq!(scene.site.nucleus.counters.faults, faults);
    assert_eq!(scene.get(0, 2 * BASE + PAGE), Some(1));
    let stat = scene.stat(0, BASE, PAGE);
    assert_eq!((stat[0].resident, stat[0].fixed), (PAGE, PAGE));
    let hoard = scene.site.hoard(1);
    scene.range("rgnAllocate", 0, 3 * BASE, 4, K_WRITABLE);
    assert_eq!(
        scene.range("rgnSetPaging", 0, 3 * BASE, 4, K_NODEMAND),
        K_ENOMEM
    );
    scene.site.give_back(hoard);
    assert_eq!(scene.stat(0, 3 * BASE, PAGE)[0].options, K_WRITABLE);
    scene.finish();
}

#[test]
fn nc_233_stores_of_source_and_copy_are_not_seen_by_the_other() {
    let mut scene = Scene::new(2);
    scene.range("rgnAllocate", 0, BASE, 4, K_WRITABLE);
    for page in 0..3 {
        scene.put(0, BASE + page * PAGE, 10 + page);
    }
    let free = scene.free();
    let made = scene.from("rgnInitFromActor", (1, 2 * BASE, K_WRITABLE), (0, BASE), 4);
    assert_eq!((made, scene.free()), (K_OK, free), "nothing is copied yet");
    scene.put(0, BASE, 20);
    scene.put(1, 2 * BASE + PAGE, 30);
    let all = |scene: &mut Scene, which, start| -> Vec<Option<u64>> {
        (0..4)
            .map(|page| scene.get(which, start + page * PAGE))
            .collect()
    };
    assert_eq!(all(&mut scene, 0, BASE), [20, 11, 12, 0].map(Some));
    assert_eq!(all(&mut scene, 1, 2 * BASE), [10, 30, 12, 0].map(Some));
    // The third page is one frame for both, and so is the fourth, which nobody had.
    assert_eq!(scene.free(), free - 3);
    scene.site.nucleus.check_memory();
    scene.finish();
}

#[test]
fn nc_234_copies_of_copies_outlive_all_sources() {
    let mut scene = Scene::new(4);
    scene.range("rgnAllocate", 0, BASE, 2, K_WRITABLE);
    scene.put(0, BASE, 1);
    for which in 1..4 {
        let made = scene.from(
            "rgnInitFromActor",
            (which, BASE, K_WRITABLE),
            (which - 1, BASE),
            2,
        );
        assert_eq!(made, K_OK);
    }
    for which in 0..3 {
        scene.put(which, BASE, 100);
        scene.put(which, BASE + PAGE, 100);
    }
    for which in 0..3 {
        assert_eq!(scene.range("rgnFree", which, BASE, 2, 0), K_OK);
        scene.site.nucleus.check_memory();
    }
    assert_eq!(scene.get(3, BASE), Some(1));
    assert_eq!(scene.get(3, BASE + PAGE), Some(0));
    assert_eq!(scene.site.nucleus.memory_objects(), (2, 2, 16 + 2));
    scene.finish();
}

#[test]
fn nc_235_a_copy_of_64_megabytes_takes_no_memory() {
    let mut scene = Scene::new(2);
    const LARGE: u64 = 64 << 20;
    scene.range("rgnAllocate", 0, BASE, LARGE / PAGE, K_WRITABLE);
    for page in 0..64 {
        scene.put(0, BASE + page * (1 << 20), page);
    }
    let (free, copies) = (scene.free(), scene.site.nucleus.machine.copies);
    let made = scene.from("rgnInitFromActor", (1, BASE, 0), (0, BASE), LARGE / PAGE);
    assert_eq!(made, K_OK);
    assert_eq!(
        (scene.free(), scene.site.nucleus.machine.copies),
        (free, copies)
    );
    scene.finish();
}

#[test]
fn nc_236_stores_into_shared_memory_are_seen_by_all() {
    let mut scene = Scene::new(2);
    scene.range("rgnAllocate", 0, BASE, 2, K_WRITABLE);
    scene.put(0, BASE, 1);
    let made = scene.from(
        "rgnMapFromActor",
        (1, 2 * BASE, K_WRITABLE),
        (0, BASE + PAGE),
        1,
    );
    assert_eq!(made, K_OK);
    scene.put(1, 2 * BASE, 5);
    assert_eq!(scene.get(0, BASE + PAGE), Some(5));
    scene.put(0, BASE + PAGE, 6);
    assert_eq!(scene.get(1, 2 * BASE), Some(6));
    // The first owner goes: what is shared stays, what nobody maps does not.
    let free = scene.free();
    scene.end(0);
    scene.site.nucleus.check_memory();
    assert_eq!(scene.free(), free + 1);
    assert_eq!(scene.get(1, 2 * BASE), Some(6));
    scene.actors.remove(0);
    scene.finish();
}

#[test]
fn nc_237_and_238_a_duplicate_follows_the_marks_of_regions() {
    let mut scene = Scene::new(3);
    for (index, options) in [K_INHERITCOPY, K_INHERITSHARE, 0].into_iter().enumerate() {
        let start = BASE + index as u64 * 16 * PAGE;
        scene.range("rgnAllocate", 0, start, 2, K_WRITABLE | options);
        scene.put(0, start, 1);
    }
    let [copied, shared, left] = [0, 16, 32].map(|page| BASE + page * PAGE);
    assert_eq!(scene.dup(1, 0, 0), K_OK);
    assert_eq!(scene.dup(1, 0, 0), K_EINVAL, "NC-238");
    assert_eq!(scene.dup(2, 0, K_INHERITCOPY | K_INHERITSHARE), K_EINVAL);
    assert_eq!(scene.dup(0, 0, 0), K_EINVAL);
    for start in [copied, shared] {
        scene.put(0, start, 2);
    }
    assert_eq!(scene.get(1, copied), Some(1));
    assert_eq!(scene.get(1, shared), Some(2));
    assert_eq!(scene.get(1, left), None);
    // All, whatever the marks.
    assert_eq!(scene.dup(2, 0, K_INHERITCOPY), K_OK);
    for start in [copied, shared, left] {
        scene.put(0, start, 3);
    }
    assert_eq!(scene.get(2, shared), Some(2));
    assert_eq!(scene.get(2, left), Some(1));
    let options: Vec<u32> = scene
        .stat(2, 0, u64::MAX)
        .iter()
        .map(|stat| stat.options)
        .collect();
    assert_eq!(
        options,
        [K_INHERITCOPY, K_INHERITSHARE, 0].map(|mark| mark | K_WRITABLE)
    );
    scene.finish();
}

#[test]
fn copies_are_refused_by_their_errors() {
    let mut scene = Scene::new(2);
    scene.range("rgnAllocate", 0, BASE, 2, K_WRITABLE);
    scene.range("rgnAllocate", 0, 4 * BASE, 1, K_RESERVED);
    for name in ["rgnInitFromActor", "rgnMapFromActor"] {
        let mut call =
            |start, options, at, pages| scene.from(name, (1, start, options), (0, at), pages);
        assert_eq!(call(BASE + 8, 0, BASE, 2), K_EROUND);
        assert_eq!(call(BASE, 0, BASE + 8, 2), K_EROUND);
        assert_eq!(call(BASE, 0, BASE, 3), K_EADDR, "a hole");
        assert_eq!(call(BASE, 0, 4 * BASE, 1), K_EADDR, "no memory");
        assert_eq!(call(BASE, 0, BASE, 0), K_ESIZE);
        assert_eq!(call(BASE, K_RESERVED, BASE, 2), K_EINVAL);
        assert_eq!(call(BASE, K_WRITABLE | K_EXECUTABLE, BASE, 2), K_EINVAL);
        assert_eq!(call(u64::MAX - PAGE + 1, 0, BASE, 2), K_EADDR);
        assert_eq!(call(BASE, 0, BASE, 2), K_OK);
        assert_eq!(call(BASE + PAGE, 0, BASE, 2), K_EOVERLAP);
        assert_eq!(scene.range("rgnFree", 1, BASE, 2, 0), K_OK);
    }
    scene.finish();
}

#[test]
fn ss_096_a_parent_that_has_children_again_and_again_keeps_its_objects() {
    let mut scene = Scene::new(1);
    scene.range("rgnAllocate", 0, BASE, 4, K_WRITABLE | K_INHERITCOPY);
    let before = scene.site.nucleus.memory_objects();
    for round in 0..200 {
        let child = scene.add();
        assert_eq!(scene.dup(child, 0, 0), K_OK);
        assert!(scene.put(0, BASE, round) && scene.put(child, BASE + PAGE, round));
        if round % 3 == 0 {
            // A grandchild that outlives the child.
            let grandchild = scene.add();
            assert_eq!(scene.dup(grandchild, child, 0), K_OK);
            scene.end(child);
            assert_eq!(scene.get(grandchild, BASE + PAGE), Some(round));
            scene.end(grandchild);
            scene.actors.pop();
        } else {
            scene.end(child);
        }
        scene.actors.pop();
        let now = scene.site.nucleus.memory_objects();
        assert_eq!((now.0, now.1), (before.0, before.1));
    }
    scene.site.nucleus.check_memory();
    scene.finish();
}

#[test]
fn locked_pages_stay_and_who_would_free_them_waits() {
    let mut scene = Scene::new(1);
    scene.range("rgnAllocate", 0, BASE, 2, K_WRITABLE);
    scene.range("rgnAllocate", 0, 2 * BASE, 1, 0);
    assert_eq!(scene.lock("vmLock", 0, BASE + 1, 1, 0), K_EROUND);
    assert_eq!(scene.lock("vmLock", 0, BASE, 3, 0), K_EADDR);
    assert_eq!(scene.lock("vmLock", 0, BASE, 1, K_EXECUTABLE), K_EINVAL);
    assert_eq!(scene.lock("vmLock", 0, 2 * BASE, 1, K_WRITABLE), K_EPROT);
    assert_eq!(scene.lock("vmUnLock", 0, BASE, 1, 0), K_EINVAL);
    let hoard = scene.site.hoard(0);
    assert_eq!(scene.lock("vmLock", 0, BASE, 1, 0), K_ENOMEM);
    scene.site.give_back(hoard);
    assert_eq!(scene.lock("vmLock", 0, BASE, 2, K_WRITABLE), K_OK);
    scene.put(0, BASE, 4);
    let (_, space) = scene.place(0);
    let frame = scene.site.nucleus.machine.translate(space, BASE).unwrap().0;
    // A copy does not move them.
    assert_eq!(
        scene.from("rgnInitFromActor", (0, 3 * BASE, 0), (0, BASE), 2),
        K_OK
    );
    scene.put(0, BASE, 5);
    assert_eq!(
        scene.site.nucleus.machine.translate(space, BASE).unwrap().0,
        frame
    );
    assert_eq!(scene.get(0, 3 * BASE), Some(4));
    assert_eq!(scene.stat(0, BASE, PAGE)[0].fixed, PAGE);
    let other = scene.site.thread(scene.manager);
    let (cap, desc) = (scene.cap(0, 2), scene.desc(2, BASE, 1, 0));
    for name in ["rgnSetProtect", "rgnFree"] {
        assert_eq!(scene.site.call(other, name, &[cap, desc]), None);
        assert_eq!(scene.lock("vmUnLock", 0, BASE + PAGE, 1, 0), K_OK);
        assert_eq!(scene.site.result(other), None);
        assert_eq!(scene.lock("vmUnLock", 0, BASE, 1, 0), K_OK);
        assert_eq!(scene.site.result(other), Some(K_OK));
        if name == "rgnSetProtect" {
            assert!(!scene.put(0, BASE, 6));
            assert_eq!(scene.lock("vmLock", 0, BASE, 2, 0), K_OK);
        }
    }
    assert_eq!(scene.get(0, BASE), None);
    // The actor goes with a lock and a waiter.
    assert_eq!(scene.lock("vmLock", 0, BASE + PAGE, 1, 0), K_OK);
    let desc = scene.desc(2, BASE + PAGE, 1, 0);
    assert_eq!(scene.site.call(other, "rgnFree", &[cap, desc]), None);
    scene.end(0);
    assert_eq!(scene.site.result(other), Some(K_EINVAL));
    scene.actors.clear();
    scene.finish();
}

#[test]
fn bytes_are_copied_between_actors_also_where_ranges_overlap() {
    let mut scene = Scene::new(2);
    scene.range("rgnAllocate", 0, BASE, 4, K_WRITABLE);
    scene.range("rgnAllocate", 1, BASE, 4, 0);
    let fill = |scene: &mut Scene| {
        for word in 0..2048 {
            scene.put(0, BASE + word * 8, word);
        }
    };
    for (to, from) in [(0u64, 1000u64), (1000, 0), (4096, 0), (8, 4104)] {
        fill(&mut scene);
        assert_eq!(scene.copy((0, BASE + to), (0, BASE + from), 9000), K_OK);
        for word in 0..1125 {
            assert_eq!(scene.get(0, BASE + to + word * 8), Some(from / 8 + word));
        }
    }
    assert_eq!(scene.copy((1, BASE), (0, BASE), 8), K_EPROT);
    assert_eq!(scene.copy((0, BASE), (1, 2 * BASE), 8), K_EADDR);
    assert_eq!(
        scene.copy((0, BASE + 3 * PAGE), (1, BASE), 2 * PAGE),
        K_EADDR
    );
    assert_eq!(scene.copy((0, u64::MAX), (1, BASE), 2), K_EADDR);
    assert_eq!(scene.copy((0, BASE), (1, BASE), 1 << 40), K_ESIZE);
    assert_eq!(scene.copy((0, 0), (1, 0), 0), K_OK);
    scene.range("rgnAllocate", 0, 2 * BASE, 1, K_WRITABLE);
    let hoard = scene.site.hoard(0);
    assert_eq!(scene.copy((0, 2 * BASE), (0, BASE), 8), K_ENOMEM);
    scene.site.give_back(hoard);
    scene.finish();
}

#[test]
fn a_thread_that_waits_for_a_structure_is_found_after_a_copy() {
    let mut site = Site::new(2);
    let [manager, actor] = [K_SYSTEMACTOR, K_USERACTOR].map(|kind| site.actor(kind, 140));
    let [boss, waits] = [manager, actor].map(|actor| site.thread(actor));
    let sem = site.at(actor, 0x700);
    site.call(waits, "semInit", &[sem, 0]);
    assert_eq!(site.call(waits, "semP", &[sem, 0]), None);
    let child = site.nucleus.actor_make(None, None, K_USERACTOR, false);
    let child = child.unwrap();
    let caps = [child, actor].map(|id| site.nucleus.actors.get(id).unwrap().cap);
    let at = site.put(manager, 0, &caps);
    let copy = u64::from(K_INHERITCOPY);
    assert_eq!(site.call(boss, "rgnDup", &[at, at + 16, copy]), Some(K_OK));
    let gives = site.thread(actor);
    assert_eq!(site.call(gives, "semV", &[sem]), Some(K_OK));
    assert_eq!(site.result(waits), Some(K_OK));
    site.nucleus.check_memory();
    site.end();
    let (free, total) = site.nucleus.machine.frames();
    assert_eq!(free, total);
}

#[test]
fn a_user_touches_no_memory_of_trusted_actors() {
    let mut site = Site::new(2);
    let [user, system] = [K_USERACTOR, K_SYSTEMACTOR].map(|kind| site.actor(kind, 140));
    let thread = site.thread(user);
    let cap = site.nucleus.actors.get(system).unwrap().cap;
    let cap = site.put(user, 0, &cap);
    let desc = KnRgnDesc {
        start_addr: site.at(system, 0),
        size: PAGE,
        ..KnRgnDesc::default()
    };
    let desc = site.put(user, 64, &desc);
    let own = site.at(user, 0);
    for (name, arguments) in [
        ("rgnSetProtect", [cap, desc, 0, 0, 0]),
        ("rgnSetInherit", [cap, desc, 0, 0, 0]),
        ("rgnSetOpaque", [cap, desc, 0, 0, 0]),
        ("rgnSetPaging", [cap, desc, 0, 0, 0]),
        ("rgnFree", [cap, desc, 0, 0, 0]),
        ("rgnStat", [cap, desc, own, 0, 0]),
        ("vmCopy", [cap, desc, 0, own, 8]),
        ("vmCopy", [0, own, cap, own, 8]),
        ("vmLock", [cap, own, PAGE, 0, 0]),
        ("vmUnLock", [cap, own, PAGE, 0, 0]),
        ("rgnInitFromActor", [0, desc, cap, desc, 0]),
        ("rgnMapFromActor", [cap, desc, 0, desc, 0]),
        ("rgnDup", [0, cap, 0, 0, 0]),
        ("vmPhysAddr", [0, own, own, 0, 0]),
    ] {
        assert_eq!(site.call(thread, name, &arguments), Some(K_EPRIV), "{name}");
    }
    site.end();
}

#[test]
fn the_physical_address_of_a_resident_page_is_told() {
    let mut site = Site::new(1);
    let actor = site.actor(K_SUPACTOR, 140);
    let thread = site.thread(actor);
    let address = site.put(actor, 0x1010, &5u64);
    let out = site.at(actor, 0);
    let told = site.call(thread, "vmPhysAddr", &[0, address, out]);
    assert_eq!(told, Some(K_OK));
    let physical: u64 = site.get(actor, 0);
    let space = crate::machine::Space::SUPERVISOR;
    let frame = site.nucleus.machine.translate(space, address).unwrap().0;
    assert_eq!(physical, u64::from(frame.0) * PAGE + 0x10);
    let absent = site.at(actor, 0x5000);
    for address in [absent, 0] {
        let told = site.call(thread, "vmPhysAddr", &[0, address, out]);
        assert_eq!(told, Some(K_EADDR));
    }
    site.end();
}

#[test]
fn a_store_in_the_middle_of_a_chain_of_copies_copies_one_page() {
    let mut scene = Scene::new(3);
    assert_eq!(scene.range("rgnAllocate", 0, BASE, 4, K_WRITABLE), K_OK);
    for page in 0..4 {
        assert!(scene.put(0, BASE + page * PAGE, page + 1));
    }
    for which in 1..3 {
        let made = scene.from(
            "rgnInitFromActor",
            (which, BASE, K_WRITABLE),
            (which - 1, BASE),
            4,
        );
        assert_eq!(made, K_OK);
    }
    let (free, copied) = (scene.free(), scene.site.nucleus.counters.copied);
    for page in 0..4 {
        assert!(scene.put(1, BASE + page * PAGE, page + 11));
    }
    // The copy of the copy has the frames of the first together with it.
    assert_eq!(scene.site.nucleus.counters.copied - copied, 4 * PAGE);
    assert_eq!(
        (free - scene.free(), scene.site.nucleus.memory_together()),
        (4, 4)
    );
    scene.site.nucleus.check_memory();
    // Whoever of the two stores has a page of its own, and the other has the frame.
    for page in 0..2 {
        assert!(scene.put(0, BASE + page * PAGE, page + 21));
        assert!(scene.put(2, BASE + (page + 2) * PAGE, page + 33));
        assert!(scene.put(0, BASE + (page + 2) * PAGE, page + 43));
    }
    assert_eq!(scene.site.nucleus.memory_together(), 0);
    assert_eq!(free - scene.free(), 8);
    let seen = |scene: &mut Scene, which| -> Vec<u64> {
        let pages = (0..4).map(|page| scene.get(which, BASE + page * PAGE));
        pages.map(Option::unwrap).collect()
    };
    assert_eq!(seen(&mut scene, 0), [21, 22, 43, 44]);
    assert_eq!(seen(&mut scene, 1), [11, 12, 13, 14]);
    assert_eq!(seen(&mut scene, 2), [1, 2, 33, 34]);
    scene.finish();
}
