//! Segments, their caches, and mappers that are slow, die or lie (NC-242…252, NC-258).

use super::mapper_lab::{BASE, FINE, Lab, PAGE};
use crate::memory::Fault;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;

#[test]
fn nc_242_243_and_244_two_actors_share_one_page_that_is_pulled_in_once() {
    let mut lab = Lab::new();
    assert_eq!(lab.map(0, BASE, 2, 8 * PAGE), K_OK);
    assert_eq!(lab.map(1, 2 * BASE, 2, 8 * PAGE), K_OK);
    assert_eq!(lab.request(), None, "nothing is asked for before a touch");
    assert_eq!(lab.touch(0, BASE + 8, false), Fault::Waits);
    assert_eq!(lab.touch(1, 2 * BASE, false), Fault::Waits);
    assert_eq!(lab.give(5), 8 * PAGE);
    assert_eq!(lab.request(), None, "NC-243");
    for user in [0, 1] {
        assert_eq!(lab.site.result(lab.threads[user]), Some(K_OK));
    }
    assert_eq!(lab.touch(0, BASE, false), Fault::Resolved);
    assert_eq!((lab.load(0, BASE), lab.load(1, 2 * BASE)), (5, 5));
    // A store needs the mapper's leave.
    assert_eq!(lab.touch(0, BASE, true), Fault::Waits);
    let (request, _) = lab.expect(KN_MPGETACCESS);
    assert_eq!(request.offset, 8 * PAGE);
    let granted = KnMpReply {
        access: K_READABLE | K_WRITABLE,
        ..FINE
    };
    lab.answer(granted, &[]);
    assert_eq!(lab.touch(0, BASE, true), Fault::Resolved);
    lab.store(0, BASE, 6);
    assert_eq!(lab.load(1, 2 * BASE), 6);
    lab.store(1, 2 * BASE, 7);
    assert_eq!(lab.load(0, BASE), 7);
    lab.site.nucleus.check_memory();
    lab.finish();
}

#[test]
fn nc_245_246_247_and_248_reading_writing_and_flushing_agree_with_mappings() {
    let mut lab = Lab::new();
    lab.map(0, BASE, 2, 0);
    assert_eq!(lab.touch(0, BASE, true), Fault::Waits);
    lab.give(1);
    assert_eq!(lab.touch(0, BASE, true), Fault::Resolved);
    lab.store(0, BASE, 2);
    let (part, to) = (lab.part(1, 0, 8), lab.site.at(lab.users[1], 0x800));
    assert_eq!(lab.call(1, "sgRead", &[part, 0, to, 0]), Some(8));
    assert_eq!(lab.site.get::<u64>(lab.users[1], 0x800), 2, "NC-245");
    lab.site.put(lab.users[1], 0x800, &3u64);
    assert_eq!(lab.call(1, "sgWrite", &[0, to, part, 0]), Some(8));
    assert_eq!(lab.load(0, BASE), 3, "NC-246");
    // A page that is not here is pulled in, and the call goes on.
    let part = lab.part(1, PAGE + 8, 8);
    assert_eq!(lab.call(1, "sgRead", &[part, 0, to, 0]), None);
    assert_eq!(lab.give(9), PAGE);
    assert_eq!(lab.site.result(lab.threads[1]), Some(8));
    let behind: u64 = lab.site.get(lab.users[1], 0x800);
    assert_eq!(behind, 0xeeee_eeee_eeee_eeee);
    let whole = lab.part(1, 0, 0);
    assert_eq!(lab.call(1, "sgFlush", &[whole, 0, 0]), None);
    let (request, body) = lab.expect(KN_MPPUSHOUT);
    assert_eq!((request.offset, request.size, body), (0, PAGE, 3), "NC-247");
    assert_eq!(lab.site.result(lab.threads[1]), None);
    lab.answer(FINE, &[]);
    assert_eq!(lab.site.result(lab.threads[1]), Some(K_OK));
    assert_eq!(lab.request(), None, "NC-248: the second page is clean");
    assert_eq!(lab.call(1, "sgFlush", &[whole, 0, 0]), Some(K_OK));
    // Stores are noticed again.
    lab.store(0, BASE, 4);
    let cap = lab.site.put(lab.users[1], 0x900, &lab.cap);
    let stat = lab.site.at(lab.users[1], 0x980);
    assert_eq!(lab.call(1, "sgStat", &[cap, stat]), Some(K_OK));
    let stat: KnLcStat = lab.site.get(lab.users[1], 0x980);
    assert_eq!((stat.allocated, stat.dirty), (2 * PAGE, PAGE));
    assert_eq!(lab.call(1, "sgSyncAll", &[]), None);
    assert_eq!(lab.expect(KN_MPPUSHOUT).1, 4);
    lab.answer(FINE, &[]);
    assert_eq!(lab.site.result(lab.threads[1]), Some(K_OK));
    lab.store(0, BASE, 5);
    assert_eq!(lab.call(0, "vmFlush", &[0, BASE, 2 * PAGE, 0]), None);
    assert_eq!(lab.expect(KN_MPPUSHOUT).1, 5);
    lab.answer(FINE, &[]);
    assert_eq!(lab.site.result(lab.threads[0]), Some(K_OK));
    lab.finish();
}

#[test]
fn nc_249_and_250_a_mapper_that_refuses_or_dies_ends_the_fault_with_exception_9() {
    let mut lab = Lab::new();
    lab.map(0, BASE, 2, 0);
    assert_eq!(lab.touch(0, BASE, false), Fault::Waits);
    lab.expect(KN_MPPULLIN);
    lab.answer(KnMpReply { diag: -5, ..FINE }, &[]);
    assert_eq!(lab.touch(0, BASE, false), Fault::Exception(9), "NC-249");
    // A later touch asks again.
    assert_eq!(lab.touch(0, BASE, false), Fault::Waits);
    lab.expect(KN_MPPULLIN);
    let part = lab.part(1, PAGE, 8);
    let to = lab.site.at(lab.users[1], 0x800);
    assert_eq!(lab.call(1, "sgRead", &[part, 0, to, 0]), None);
    lab.site
        .nucleus
        .kill_actor(lab.mapper, crate::executive::actor::End::default());
    lab.site.settle();
    assert_eq!(lab.touch(0, BASE, false), Fault::Exception(9), "NC-250");
    assert_eq!(lab.site.result(lab.threads[1]), Some(K_EMAPPER));
    assert_eq!(lab.touch(0, BASE + PAGE, false), Fault::Exception(9));
    lab.finish();
}

#[test]
fn ss_103_a_mapper_that_lies_is_told_and_harms_nobody() {
    let lies = [
        (PAGE, PAGE, 1),
        (0, 0, 1),
        (0, 100, 1),
        (0, 2 * PAGE, 1),
        (0, PAGE, 2),
        (u64::MAX, u64::MAX, 1),
    ];
    for (offset, size, pages) in lies {
        let mut lab = Lab::new();
        lab.map(0, BASE, 2, 0);
        assert_eq!(lab.touch(0, BASE, false), Fault::Waits);
        lab.expect(KN_MPPULLIN);
        let reply = KnMpReply {
            offset,
            size,
            ..FINE
        };
        lab.answer(reply, &[1, 2][..pages]);
        assert_eq!(lab.touch(0, BASE, false), Fault::Exception(9));
        let log = &lab.site.nucleus.machine.log;
        assert!(log.iter().any(|line| line.contains("mapper")));
        lab.finish();
    }
}

#[test]
fn nc_251_a_copy_of_a_segment_shows_its_bytes_and_never_reaches_the_mapper() {
    let mut lab = Lab::new();
    let region = lab.region(0, BASE, 4, K_WRITABLE);
    let part = lab.part(0, 0, PAGE + 8);
    // The page that is data in part is fetched at once.
    assert_eq!(lab.call(0, "rgnInit", &[0, region, part]), None);
    assert_eq!(lab.give(8), PAGE);
    assert_eq!(lab.site.result(lab.threads[0]), Some(K_OK));
    assert_eq!(lab.load(0, BASE + PAGE), 8);
    assert_eq!(lab.load(0, BASE + PAGE + 8), 0, "not what is behind");
    assert_eq!(lab.load(0, BASE + 2 * PAGE), 0);
    assert_eq!(lab.touch(0, BASE, true), Fault::Waits);
    lab.give(7);
    assert_eq!(lab.touch(0, BASE, true), Fault::Resolved);
    assert_eq!(lab.load(0, BASE), 7);
    lab.store(0, BASE, 70);
    // The segment is as it was, and what is stored there is not seen in the copy.
    let (part, at) = (lab.part(1, 0, 8), lab.site.at(lab.users[1], 0x800));
    assert_eq!(lab.call(1, "sgRead", &[part, 0, at, 0]), Some(8));
    assert_eq!(lab.site.get::<u64>(lab.users[1], 0x800), 7);
    assert_eq!(lab.free(0, BASE, 4), K_OK);
    assert_eq!(lab.request(), None);
    lab.site.nucleus.check_memory();
    lab.finish();
}

#[test]
fn what_is_pushed_out_does_not_change_a_copy() {
    let mut lab = Lab::new();
    lab.map(1, BASE, 1, 0);
    assert_eq!(lab.touch(1, BASE, true), Fault::Waits);
    lab.give(1);
    assert_eq!(lab.touch(1, BASE, true), Fault::Resolved);
    lab.store(1, BASE, 2);
    let (region, part) = (lab.region(0, BASE, 1, K_WRITABLE), lab.part(0, 0, PAGE));
    assert_eq!(lab.call(0, "rgnInit", &[0, region, part]), Some(K_OK));
    lab.store(1, BASE, 3);
    let part = lab.part(1, 0, 0);
    let drop = u64::from(K_NOACCESS);
    assert_eq!(lab.call(1, "sgFlush", &[part, drop, 0]), None);
    assert_eq!(lab.expect(KN_MPPUSHOUT).1, 3);
    lab.answer(FINE, &[]);
    assert_eq!(lab.site.result(lab.threads[1]), Some(K_OK));
    assert_eq!(lab.load(0, BASE), 2, "as at the call");
    assert_eq!(lab.touch(1, BASE, false), Fault::Waits, "NC-258");
    lab.give(33);
    assert_eq!(lab.load(1, BASE), 33);
    lab.finish();
}

#[test]
fn nc_252_and_other_errors_of_segments() {
    let mut lab = Lab::new();
    let cap = lab.site.put(lab.users[0], 0x900, &lab.cap);
    let stat = lab.site.at(lab.users[0], 0x980);
    assert_eq!(lab.call(0, "sgStat", &[cap, stat]), Some(K_EUNKNOWN));
    let (part, to) = (lab.part(0, 0, 8), lab.site.at(lab.users[0], 0x800));
    assert_eq!(lab.call(0, "sgFlush", &[part, 0, 0]), Some(K_EROUND));
    let whole = lab.part(0, 0, 0);
    assert_eq!(lab.call(0, "sgFlush", &[whole, 0, 0]), Some(K_EUNKNOWN));
    let both = u64::from(K_READABLE | K_NOACCESS);
    assert_eq!(lab.call(0, "sgFlush", &[whole, both, 0]), Some(K_EINVAL));
    let drop = u64::from(K_DISCARD);
    assert_eq!(lab.call(0, "sgFlush", &[whole, drop, 0]), Some(K_EPRIV));
    assert_eq!(lab.call(0, "sgSyncAll", &[]), Some(K_EPRIV));
    assert_eq!(lab.call(0, "sgRead", &[whole, 0, to, 64]), Some(K_EINVAL));
    let region = lab.region(0, BASE, 1, K_WRITABLE);
    for (offset, size, result) in [
        (8, PAGE, K_EROUND),
        (1 << 60, 1, K_EOFFSET),
        (u64::MAX, 1, K_EOFFSET),
    ] {
        let part = lab.part(0, offset, size);
        for name in ["rgnMap", "rgnInit"] {
            assert_eq!(lab.call(0, name, &[0, region, part]), Some(result));
        }
    }
    let gone = lab.site.nucleus.actor_make(None, None, K_USERACTOR, false);
    let ui = lab.site.nucleus.actors.get(gone.unwrap()).unwrap().cap.ui;
    lab.site
        .nucleus
        .kill_actor(gone.unwrap(), Default::default());
    let real = lab.cap;
    for (ui, result) in [(ui, K_EUNKNOWN), (KnUniqueId::NULL, K_EINVAL)] {
        lab.cap.ui = ui;
        let part = lab.part(0, 0, PAGE);
        for name in ["rgnMap", "rgnInit"] {
            assert_eq!(lab.call(0, name, &[0, region, part]), Some(result));
        }
        assert_eq!(lab.call(0, "sgRead", &[part, 0, to, 0]), Some(result));
    }
    lab.cap = real;
    let part = lab.part(0, 0, PAGE);
    let far = BASE * 9;
    assert_eq!(lab.call(0, "sgRead", &[part, 0, far, 0]), None);
    lab.give(1);
    assert_eq!(lab.site.result(lab.threads[0]), Some(K_EADDR));
    assert_eq!(lab.site.nucleus.memory_objects().1, 3, "no cache is left");
    assert_eq!(lab.call(0, "vmFlush", &[0, BASE, PAGE, 0]), Some(K_EADDR));
    assert_eq!(lab.call(0, "vmFlush", &[0, BASE, 8, 0]), Some(K_EROUND));
    lab.finish();
}

#[test]
fn a_call_with_pointers_into_a_segment_waits_and_is_made_once() {
    let mut lab = Lab::new();
    lab.map(0, BASE, 2, 0);
    assert_eq!(lab.call(0, "semInit", &[BASE, 5]), None);
    lab.give(0);
    assert_eq!(lab.site.result(lab.threads[0]), Some(K_OK));
    assert_eq!(lab.load(0, BASE) as u32, 5);
    // A wait that begins in a call that was made again.
    assert_eq!(lab.call(0, "semInit", &[BASE + PAGE, 0]), None);
    lab.give(0);
    assert_eq!(lab.site.result(lab.threads[0]), Some(K_OK));
    let part = lab.part(1, 0, 0);
    let drop = u64::from(K_NOACCESS);
    assert_eq!(lab.call(1, "sgFlush", &[part, drop, 0]), None);
    for _ in 0..2 {
        lab.expect(KN_MPPUSHOUT);
        lab.answer(FINE, &[]);
    }
    assert_eq!(lab.site.result(lab.threads[1]), Some(K_OK));
    assert_eq!(lab.call(0, "semP", &[BASE + PAGE, 0]), None);
    lab.give(0);
    assert_eq!(lab.site.result(lab.threads[0]), None, "no unit yet");
    let other = lab.site.thread(lab.users[0]);
    assert_eq!(lab.site.call(other, "semV", &[BASE + PAGE]), Some(K_OK));
    assert_eq!(lab.site.result(lab.threads[0]), Some(K_OK));
    // One who dies while it waits leaves nothing.
    assert_eq!(lab.site.call(other, "semV", &[BASE]), None);
    lab.finish();
}

#[test]
fn a_mapper_that_takes_nothing_is_asked_three_times() {
    let mut lab = Lab::new();
    lab.map(1, BASE, 1, 0);
    assert_eq!(lab.touch(1, BASE, true), Fault::Waits);
    lab.give(1);
    assert_eq!(lab.touch(1, BASE, true), Fault::Resolved);
    lab.store(1, BASE, 2);
    let part = lab.part(1, 0, 0);
    assert_eq!(lab.call(1, "sgFlush", &[part, 0, 0]), None);
    for _ in 0..3 {
        assert_eq!(lab.expect(KN_MPPUSHOUT).1, 2);
        lab.answer(KnMpReply { diag: -1, ..FINE }, &[]);
    }
    assert_eq!(lab.site.result(lab.threads[1]), Some(K_EMAPPER));
    assert_eq!(lab.load(1, BASE), 2, "the page is kept");
    assert_eq!(lab.touch(1, BASE, true), Fault::Exception(9));
    lab.finish();
}

#[test]
fn what_was_stored_reaches_the_mapper_when_the_last_region_goes() {
    let mut lab = Lab::new();
    lab.map(0, BASE, 2, 0);
    for page in 0..2 {
        assert_eq!(lab.touch(0, BASE + page * PAGE, true), Fault::Waits);
        let (request, _) = lab.expect(KN_MPPULLIN);
        let reply = KnMpReply {
            access: K_READABLE | K_WRITABLE,
            offset: request.offset,
            size: PAGE,
            release: 1,
            ..FINE
        };
        lab.answer(reply, &[0]);
        assert_eq!(lab.touch(0, BASE + page * PAGE, true), Fault::Resolved);
        lab.store(0, BASE + page * PAGE, 10 + page);
    }
    assert_eq!(lab.free(0, BASE, 2), K_OK);
    for page in 0..2 {
        assert_eq!(lab.expect(KN_MPPUSHOUT).1, 10 + page);
        assert_eq!(lab.site.nucleus.memory_objects().1, 4);
        lab.answer(FINE, &[]);
    }
    assert_eq!(
        lab.site.nucleus.memory_objects().1,
        3,
        "then the cache goes"
    );
    lab.expect(KN_MPRELEASE);
    lab.answer(FINE, &[]);
    assert_eq!(lab.request(), None);
    lab.finish();
}

#[test]
fn a_release_waits_for_room_in_the_mapper_s_queue() {
    for dies in [false, true] {
        let mut lab = Lab::new();
        assert_eq!(lab.map(0, BASE, 1, 0), K_OK);
        assert_eq!(lab.touch(0, BASE, false), Fault::Waits);
        lab.expect(KN_MPPULLIN);
        let reply = KnMpReply { release: 1, ..FINE };
        lab.answer(reply, &[]);
        assert_eq!(lab.touch(0, BASE, false), Fault::Resolved);
        let message = lab.site.put(lab.users[0], 0x600, &KnMsgDesc::default());
        let dest = KnIpcDest {
            target: lab.cap.ui,
            co_target: KnUniqueId::NULL,
        };
        let dest = lab.site.put(lab.users[0], 0x700, &dest);
        while lab.call(0, "ipcSend", &[message, 0, dest]) == Some(K_OK) {}
        assert_eq!(lab.free(0, BASE, 1), K_OK);
        lab.site.nucleus.check_memory();
        if dies {
            assert_eq!(lab.site.call(lab.serves, "actorExit", &[0]), None);
            lab.site.settle();
            assert_eq!(lab.call(0, "sysNull", &[]), Some(K_OK));
        } else {
            let others = core::iter::from_fn(|| lab.request());
            let last = others.take(K_CPORTQUEUE + 1).last();
            let told = last.map(|(request, _)| (request.service, request.seg_key));
            assert_eq!(told, Some((KN_MPRELEASE, 77)));
            lab.answer(FINE, &[]);
            assert_eq!(lab.request(), None);
        }
        lab.finish();
    }
}

#[test]
fn a_mapper_may_give_more_pages_than_one_and_zeros() {
    let mut lab = Lab::new();
    lab.map(0, BASE, 8, 0);
    assert_eq!(lab.touch(0, BASE, false), Fault::Waits);
    lab.expect(KN_MPPULLIN);
    lab.answer(
        KnMpReply {
            in_cluster: 3,
            ..FINE
        },
        &[],
    );
    assert_eq!(lab.touch(0, BASE, false), Fault::Resolved);
    assert_eq!(lab.load(0, BASE), 0);
    assert_eq!(lab.touch(0, BASE + PAGE, false), Fault::Waits);
    let (request, _) = lab.expect(KN_MPPULLIN);
    assert_eq!((request.offset, request.size), (PAGE, 3 * PAGE));
    let reply = KnMpReply {
        offset: PAGE,
        size: 3 * PAGE,
        ..FINE
    };
    lab.answer(reply, &[1, 2]);
    let seen: Vec<u64> = (1..4).map(|page| lab.load(0, BASE + page * PAGE)).collect();
    assert_eq!(seen, [1, 2, 0]);
    lab.finish();
}

#[test]
fn a_duplicate_of_a_mapping_is_private_or_shared() {
    let mut lab = Lab::new();
    lab.map(1, BASE, 2, PAGE);
    assert_eq!(lab.touch(1, BASE, true), Fault::Waits);
    lab.give(1);
    assert_eq!(lab.touch(1, BASE, true), Fault::Resolved);
    let child = lab.site.nucleus.actor_make(None, None, K_USERACTOR, false);
    let child = child.unwrap();
    let cap = lab.site.nucleus.actors.get(child).unwrap().cap;
    let cap = lab.site.put(lab.users[1], 0x900, &cap);
    let copy = u64::from(K_INHERITCOPY);
    assert_eq!(lab.call(1, "rgnDup", &[cap, 0, copy]), Some(K_OK));
    lab.store(1, BASE, 2);
    lab.users[0] = child;
    assert_eq!(lab.load(0, BASE), 1);
    // Its other page comes from the mapper, through the source.
    let other = lab.site.thread(child);
    let fault = {
        let cpu = lab.site.cpu_of(other).unwrap();
        lab.site.nucleus.fault(cpu, BASE + PAGE, true, false, true)
    };
    lab.site.settle();
    assert_eq!(fault, Fault::Waits);
    let (request, _) = lab.expect(KN_MPPULLIN);
    assert_eq!((request.offset, request.access), (2 * PAGE, K_READABLE));
    let reply = KnMpReply {
        access: K_READABLE,
        offset: 2 * PAGE,
        size: PAGE,
        ..FINE
    };
    lab.answer(reply, &[9]);
    lab.store(0, BASE + PAGE, 90);
    assert_eq!(lab.load(1, BASE + PAGE), 9);
    lab.site.nucleus.check_memory();
    lab.finish();
}

#[test]
fn nc_258_a_mapper_orders_by_the_name_of_the_cache() {
    let mut lab = Lab::new();
    lab.map(0, BASE, 4, 0);
    for page in 0..3 {
        assert_eq!(lab.touch(0, BASE + page * PAGE, true), Fault::Waits);
        lab.give(page);
        assert_eq!(lab.touch(0, BASE + page * PAGE, true), Fault::Resolved);
        lab.store(0, BASE + page * PAGE, 10 + page);
    }
    let segment = lab.cap;
    let stat = lab.site.at(lab.users[1], 0x980);
    let at = lab.site.put(lab.users[1], 0x900, &segment);
    assert_eq!(lab.call(1, "sgStat", &[at, stat]), Some(K_OK));
    let stat_of: KnLcStat = lab.site.get(lab.users[1], 0x980);
    let part = |lab: &mut Lab, offset, size| {
        let part = KnObjDesc {
            data_object: stat_of.cache,
            start_offset: offset,
            size,
        };
        lab.site.put(lab.users[1], 0x400, &part)
    };
    let at = lab.site.put(lab.users[1], 0x900, &stat_of.cache);
    assert_eq!(lab.call(1, "lcStat", &[at, stat]), Some(K_OK));
    let at = lab.site.put(lab.users[1], 0x900, &segment);
    assert_eq!(lab.call(1, "lcStat", &[at, stat]), Some(K_EUNKNOWN));
    // Order 5 comes, order 4 is late.
    let one = part(&mut lab, 0, PAGE);
    let (ordered, drop) = (u64::from(K_ORDERED), u64::from(K_NOACCESS));
    assert_eq!(lab.call(1, "lcFlush", &[one, ordered, 5]), None);
    assert_eq!(lab.expect(KN_MPPUSHOUT).1, 10);
    lab.answer(FINE, &[]);
    assert_eq!(lab.site.result(lab.threads[1]), Some(K_OK));
    assert_eq!(
        lab.call(1, "lcFlush", &[one, ordered | drop, 4]),
        Some(K_OK)
    );
    assert_eq!(lab.load(0, BASE), 10);
    assert_eq!(lab.call(1, "lcFlush", &[one, drop, 0]), Some(K_OK));
    assert_eq!(lab.touch(0, BASE, false), Fault::Waits, "NC-258");
    lab.give(0);
    // Rights: what the mapper does not have stays, unless it says otherwise.
    let two = part(&mut lab, PAGE, PAGE);
    assert_eq!(lab.call(1, "lcSetRights", &[two, 0, 0, 0]), Some(K_OK));
    assert_eq!(lab.load(0, BASE + PAGE), 11);
    assert_eq!(lab.touch(0, BASE + PAGE, true), Fault::Waits);
    let (request, _) = lab.expect(KN_MPGETACCESS);
    let granted = KnMpReply {
        access: request.access,
        ..FINE
    };
    lab.answer(granted, &[]);
    assert_eq!(lab.touch(0, BASE + PAGE, true), Fault::Resolved);
    assert_eq!(lab.call(1, "lcSetRights", &[two, 0, drop, 0]), Some(K_OK));
    assert_eq!(lab.touch(0, BASE + PAGE, false), Fault::Waits);
    lab.give(21);
    let readable = u64::from(K_READABLE);
    for (access, flags) in [(readable, drop), (1, 0), (0, readable)] {
        let result = lab.call(1, "lcSetRights", &[two, access, flags, 0]);
        assert_eq!(result, Some(K_EINVAL));
    }
    // The segment ends within its second page.
    assert_eq!(lab.call(1, "lcTrunc", &[two, PAGE + 4, 0, 0]), Some(K_OK));
    assert_eq!(lab.load(0, BASE + PAGE), 21);
    assert_eq!(lab.load(0, BASE + PAGE + 8), 0);
    assert_eq!(lab.load(0, BASE), 0);
    assert_eq!(lab.touch(0, BASE + 2 * PAGE, false), Fault::Waits);
    lab.give(5);
    assert_eq!(lab.call(1, "lcTrunc", &[two, 0, 0, 0]), Some(K_EINVAL));
    let far = part(&mut lab, 3 * PAGE, PAGE);
    assert_eq!(lab.call(1, "lcFillZero", &[far]), Some(K_OK));
    lab.store(0, BASE + 3 * PAGE, 1);
    let all = part(&mut lab, 0, 0);
    assert_eq!(lab.call(1, "lcFillZero", &[all]), Some(K_ESIZE));
    let odd = part(&mut lab, 8, 0);
    for (name, arguments) in [
        ("lcFlush", [odd, 0, 0, 0]),
        ("lcSetRights", [odd, 0, 0, 0]),
        ("lcTrunc", [odd, 0, 0, 0]),
        ("lcFillZero", [odd, 0, 0, 0]),
    ] {
        assert_eq!(lab.call(1, name, &arguments), Some(K_EROUND), "{name}");
        let other = lab.part(1, 0, 0);
        let arguments = [other, 0, 0, 0];
        assert_eq!(lab.call(1, name, &arguments), Some(K_EUNKNOWN), "{name}");
        assert_eq!(lab.call(0, name, &arguments), Some(K_EPRIV), "{name}");
        part(&mut lab, 8, 0);
    }
    let all = part(&mut lab, 0, 0);
    assert_eq!(lab.call(1, "lcTrunc", &[all, 0, 0, 0]), Some(K_OK));
    assert_eq!(lab.touch(0, BASE, false), Fault::Waits);
    lab.give(1);
    lab.site.nucleus.check_memory();
    lab.finish();
}

#[test]
fn an_open_cache_stays_and_is_read_and_written_by_its_li() {
    let mut lab = Lab::new();
    let driver = lab.site.actor(K_SUPACTOR, 140);
    let thread = lab.site.thread(driver);
    let cap = lab.site.put(driver, 0, &lab.cap);
    let li = lab.site.at(driver, 0x40);
    assert_eq!(
        lab.site.call(thread, "lcOpen", &[cap, 1, li]),
        Some(K_EINVAL)
    );
    assert_eq!(lab.site.call(thread, "lcOpen", &[cap, 0, li]), Some(K_OK));
    let cache = lab.site.get::<i32>(driver, 0x40) as u64;
    let size = lab.site.put(driver, 0x48, &8u64);
    let word = lab.site.put(driver, 0x50, &33u64);
    let arguments = [cache, 16, 0, word, size];
    assert_eq!(lab.site.call(thread, "lcWrite", &arguments), None);
    lab.give(1);
    assert_eq!(lab.site.result(thread), Some(K_OK));
    lab.site.put(driver, 0x50, &0u64);
    assert_eq!(lab.site.call(thread, "lcRead", &arguments), Some(K_OK));
    assert_eq!(lab.site.get::<u64>(driver, 0x50), 33);
    assert_eq!(lab.site.call(thread, "lcCap", &[cache, size]), Some(K_OK));
    assert_eq!(lab.request(), None, "it is kept, and nothing is pushed out");
    for wrong in [cache + 1, u64::MAX] {
        let arguments = [wrong, 16, 0, word, size];
        let cap = lab.site.call(thread, "lcCap", &[wrong, word]);
        assert_eq!(cap, Some(K_EINVAL));
        for name in ["lcRead", "lcWrite", "lcClose"] {
            assert_eq!(lab.site.call(thread, name, &arguments), Some(K_EINVAL));
        }
    }
    assert_eq!(lab.site.call(thread, "lcClose", &[cache]), Some(K_OK));
    lab.expect(KN_MPPUSHOUT);
    lab.answer(FINE, &[]);
    assert_eq!(lab.site.call(thread, "lcClose", &[cache]), Some(K_EINVAL));
    // One that is left open goes with its actor.
    assert_eq!(lab.site.call(thread, "lcOpen", &[cap, 0, li]), Some(K_OK));
    for name in ["lcOpen", "lcClose", "lcCap", "lcRead", "lcWrite"] {
        assert_eq!(lab.call(1, name, &[]), Some(K_EPRIV), "{name}");
    }
    lab.finish();
}
