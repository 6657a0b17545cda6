//! Traps: both styles, disconnecting, and what becomes of threads inside (NC-265…269, spec 6.1).

use super::exceptions::{ROUTINE, Scene};
use crate::executive::thread::local_identifier;
use crate::supervisor::{Call, Then};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

const TRAP: u64 = K_TRAP_FIRST as u64;

fn routine_of(then: Then) -> u64 {
    match then {
        Then::Invoke(upcall) => upcall.routine,
        other => panic!("{other:?}"),
    }
}

/// The user actor's thread is inside the supervisor actor's trap handler.
fn inside() -> Scene {
    let mut scene = Scene::new();
    assert_eq!(scene.call(0, "svTrapConnect", &[TRAP, ROUTINE]), Some(K_OK));
    let then = scene
        .site
        .trap(scene.threads[1], K_TRAP_FIRST, 0, scene.context);
    let Then::Invoke(upcall) = then else {
        panic!("{then:?}")
    };
    assert_eq!(
        (upcall.routine, upcall.what),
        (ROUTINE, Call::Trap(K_TRAP_FIRST))
    );
    scene
}

#[test]
fn nc_265_the_handler_runs_and_its_registers_count() {
    let mut scene = inside();
    let then = scene.site.back(scene.threads[1], 5);
    assert_eq!(then, Then::Resume { changed: true });
    scene.site.end();
}

#[test]
fn nc_266_a_trap_has_one_handler() {
    let mut scene = inside();
    let sup = scene.actors[0];
    let busy = scene.call(0, "svTrapConnect", &[TRAP, ROUTINE]);
    assert_eq!(busy, Some(K_EBUSY));
    let table = scene.call(0, "svTrapTabConnect", &[TRAP, 0, ROUTINE]);
    assert_eq!(table, Some(K_EBUSY));
    let lap = scene.site.at(sup, 0x800);
    scene.call(0, "svLapCreate", &[0, ROUTINE, 3, 0, lap]);
    let busy = scene.call(0, "svSysTrapHandlerConnect", &[TRAP, lap]);
    assert_eq!(busy, Some(K_EBUSY));
    let none = scene.call(0, "svSysTrapHandlerDisconnect", &[TRAP, K_CONNECTED_LAP]);
    assert_eq!(none, Some(K_EINVAL), "it is no LAP");
    let connected = scene.call(0, "svSysTrapHandlerConnect", &[TRAP + 1, lap]);
    assert_eq!(connected, Some(K_OK));
    let then = scene
        .site
        .trap(scene.threads[2], K_TRAP_FIRST + 1, 0, scene.context);
    assert!(matches!(then, Then::Invoke(upcall) if upcall.lap && upcall.cookie == 3));
    scene.site.back(scene.threads[2], 0);
    let read = scene.site.at(sup, 0x820);
    let got = scene.call(0, "svSysTrapHandlerGetConnected", &[TRAP + 1, read]);
    assert_eq!(got, Some(K_OK));
    let same = scene.site.get::<KnLapDesc>(sup, 0x820);
    assert_eq!(same, scene.site.get::<KnLapDesc>(sup, 0x800));
    let routine = scene.call(0, "svTrapDisConnect", &[TRAP + 1, ROUTINE]);
    assert_eq!(routine, Some(K_EINVAL), "it is a LAP");
    let gone = scene.call(0, "svSysTrapHandlerDisconnect", &[TRAP + 1, lap]);
    assert_eq!(gone, Some(K_OK));
    let none = scene.call(0, "svSysTrapHandlerGetConnected", &[TRAP + 1, read]);
    assert_eq!(none, Some(K_EINVAL));
    scene.site.end();
}

#[test]
fn nc_267_a_register_picks_from_a_table_and_nc_268_nothing_there_is_exception_6() {
    let mut scene = Scene::new();
    let user = scene.threads[1];
    for index in [0u64, 9, 511] {
        let connected = scene.call(0, "svTrapTabConnect", &[TRAP, index, ROUTINE + index]);
        assert_eq!(connected, Some(K_OK));
        let taken = scene.call(0, "svTrapTabConnect", &[TRAP, index, ROUTINE]);
        assert_eq!(taken, Some(K_EBUSY));
    }
    for index in [511u64, 0, 9] {
        let then = scene.site.trap(user, K_TRAP_FIRST, index, scene.context);
        assert_eq!(routine_of(then), ROUTINE + index);
        scene.site.back(user, 0);
    }
    for number in [512, 0x10000] {
        let outside = scene.call(0, "svTrapTabConnect", &[TRAP, number, ROUTINE]);
        assert_eq!(outside, Some(K_EINVAL));
    }
    let cap = scene.cap_for(scene.actors[0], scene.actors[1]);
    scene.call(0, "svExcHandler", &[cap, ROUTINE + 0x800]);
    let unconnected = [
        (K_TRAP_FIRST, 1),
        (K_TRAP_FIRST, 512),
        (K_TRAP_FIRST, u64::MAX),
        (K_TRAP_LAST, 0),
        (K_TRAP_LAST + 1, 0),
    ];
    for (number, index) in unconnected {
        let then = scene.site.trap(user, number, index, scene.context);
        let bad = matches!(then, Then::Invoke(upcall) if matches!(upcall.what, Call::Exception(trouble) if trouble.number == 6));
        assert!(bad, "{then:?}");
        scene.site.back(user, 0);
    }
    for index in [0, 9, 511] {
        let gone = scene.call(0, "svTrapTabDisConnect", &[TRAP, index]);
        assert_eq!(gone, Some(K_OK));
        let none = scene.call(0, "svTrapTabDisConnect", &[TRAP, index]);
        assert_eq!(none, Some(K_EINVAL));
    }
    let free = scene.call(0, "svTrapConnect", &[TRAP, ROUTINE]);
    assert_eq!(free, Some(K_OK), "the table is gone");
    scene.site.end();
}

#[test]
fn nc_268_a_trap_without_a_handler_ends_the_actor_if_nobody_treats_it() {
    let mut scene = Scene::new();
    scene
        .site
        .trap(scene.threads[1], K_TRAP_FIRST, 0, scene.context);
    assert!(!scene.alive(scene.actors[1]));
    assert!(scene.site.nucleus.machine.log[0].contains("bad trap"));
    scene.site.end();
}

#[test]
fn nc_269_traps_are_for_supervisor_threads_and_their_own_numbers() {
    let mut scene = Scene::new();
    for who in [1, 2] {
        let names = ["svTrapConnect", "svTrapDisConnect", "svTrapTabConnect"];
        for name in names {
            let refused = scene.call(who, name, &[TRAP, ROUTINE, ROUTINE]);
            assert_eq!(refused, Some(K_EPRIV), "{name}");
        }
    }
    for number in [0u64, 14, 0x40, 0x50, 0x1_0000_0000] {
        let refused = scene.call(0, "svTrapConnect", &[number, ROUTINE]);
        assert_eq!(refused, Some(K_EINVAL), "{number:#x}");
    }
    for routine in [0u64, 0x1000, u64::MAX] {
        let refused = scene.call(0, "svTrapConnect", &[TRAP, routine]);
        assert_eq!(refused, Some(K_EINVAL), "{routine:#x}");
    }
    scene.site.end();
}

#[test]
fn disconnecting_waits_for_threads_inside() {
    let mut scene = inside();
    let waits = scene.call(0, "svTrapDisConnect", &[TRAP, ROUTINE]);
    assert_eq!(waits, None);
    let refused = scene
        .site
        .trap(scene.threads[2], K_TRAP_FIRST, 0, scene.context);
    assert_eq!(refused, Then::Resume { changed: false });
    assert!(!scene.alive(scene.actors[2]), "nobody enters any more");
    assert_eq!(scene.site.result(scene.threads[0]), None);
    let then = scene.site.back(scene.threads[1], 0);
    assert_eq!(then, Then::Resume { changed: true });
    assert_eq!(scene.site.result(scene.threads[0]), Some(K_OK));
    // A handler may disconnect itself.
    assert_eq!(scene.call(0, "svTrapConnect", &[TRAP, ROUTINE]), Some(K_OK));
    scene
        .site
        .trap(scene.threads[1], K_TRAP_FIRST, 0, scene.context);
    let own = scene.call(1, "svTrapDisConnect", &[TRAP, ROUTINE]);
    assert_eq!(own, Some(K_OK));
    scene.site.back(scene.threads[1], 0);
    scene.site.end();
}

#[test]
fn a_suspended_or_stopped_thread_finishes_the_handler_and_goes_no_further() {
    let mut scene = inside();
    let [sup, user, _] = scene.actors;
    let thread = scene.threads[1];
    let (cap, li) = (scene.cap_for(sup, user), local_identifier(thread) as u64);
    // The caller waits until the thread has left its processor.
    scene.call(0, "threadSuspend", &[cap, li]);
    assert!(scene.site.cpu_of(thread).is_some(), "it goes on inside");
    scene.site.back(thread, 0);
    assert!(scene.site.cpu_of(thread).is_none(), "and no further");
    assert_eq!(scene.site.result(scene.threads[0]), Some(K_OK));
    let cap = scene.cap_for(sup, user);
    assert_eq!(scene.call(0, "threadResume", &[cap, li]), Some(K_OK));
    assert!(scene.site.cpu_of(thread).is_some());
    scene.site.end();
}

#[test]
fn a_thread_that_is_deleted_finishes_the_handler_first() {
    let mut scene = inside();
    let [sup, user, _] = scene.actors;
    let thread = scene.threads[1];
    let cap = scene.cap_for(sup, user);
    assert_eq!(scene.call(0, "actorDelete", &[cap]), None);
    assert_eq!(scene.call(1, "sysNull", &[]), Some(K_OK), "it is inside");
    assert_eq!(scene.site.result(scene.threads[0]), None);
    scene.site.back(thread, 0);
    assert!(!scene.alive(user));
    assert_eq!(scene.site.result(scene.threads[0]), Some(K_OK));
    scene.site.end();
}

#[test]
fn deleting_the_handler_s_actor_puts_threads_out_whatever_they_wait_for() {
    for waits in [false, true] {
        let mut scene = inside();
        let [sup, user, system] = scene.actors;
        let thread = scene.threads[1];
        let cap = scene.cap_for(sup, user);
        assert_eq!(scene.call(0, "svExcHandler", &[cap, ROUTINE]), Some(K_OK));
        let other = scene.cap_for(system, user);
        let port = scene.cap(system).ui;
        let new = scene.site.put(system, 0x520, &port);
        scene.call(2, "actorExcept", &[other, 0, new]);
        if waits {
            let mutex = scene.site.at(sup, 0x700);
            scene.call(1, "mutexInit", &[mutex]);
            assert_eq!(scene.call(1, "mutexGet", &[mutex]), Some(K_OK));
            assert_eq!(scene.call(1, "mutexGet", &[mutex]), None);
        }
        let sup_cap = scene.cap_for(system, sup);
        scene.call(2, "actorDelete", &[sup_cap]);
        assert_eq!(scene.site.result(scene.threads[2]).unwrap_or(K_OK), K_OK);
        assert!(!scene.alive(sup) && scene.alive(user));
        // The trap was lost: that is exception 6, which has no handler any more, but a port.
        let then = scene.site.put_out;
        assert!(matches!(then, Some(Then::Report(trouble)) if trouble.number == 6));
        assert_eq!(scene.site.result(thread), None, "it waits for the verdict");
        scene.site.end();
    }
}

#[test]
fn a_trap_handler_that_faults_is_exception_6_for_the_thread_and_the_end_for_its_actor() {
    let mut scene = inside();
    let thread = scene.threads[1];
    scene.site.exception(thread, 7, scene.context);
    assert!(!scene.alive(scene.actors[0]));
    assert!(!scene.alive(scene.actors[1]), "nobody treats exception 6");
    let log = &scene.site.nucleus.machine.log;
    assert!(
        log[0].contains("no region") && log[1].contains("bad trap"),
        "{log:?}"
    );
    scene.site.end();
}

#[test]
fn a_wait_for_any_port_inside_is_the_handler_s_actor_s() {
    let mut scene = inside();
    let [sup, user, _] = scene.actors;
    let room = scene.site.put(sup, 0x200, &KnMsgDesc::default());
    let port = scene.site.put(sup, 0x300, &K_ANYENABLED);
    assert_eq!(scene.call(1, "ipcReceive", &[room, port, 100]), None);
    scene.site.pass(101_000_000);
    assert_eq!(scene.site.result(scene.threads[1]), Some(K_ETIMEOUT));
    assert_eq!(scene.call(0, "portEnable", &[0, 0, 1]), Some(K_OK));
    assert_eq!(scene.call(1, "ipcReceive", &[room, port, u64::MAX]), None);
    let target = scene.cap(sup).ui;
    let system = scene.actors[2];
    let dest = KnIpcDest {
        target,
        co_target: KnUniqueId::NULL,
    };
    let to = scene.site.put(system, 0x100, &dest);
    let message = scene.site.put(system, 0x200, &KnMsgDesc::default());
    assert_eq!(scene.call(2, "ipcSend", &[message, 0, to]), Some(K_OK));
    assert_eq!(scene.site.result(scene.threads[1]), Some(0));
    scene.site.back(scene.threads[1], 0);
    assert!(scene.alive(user));
    scene.site.end();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]
    /// Traps against a model: a single handler, or a table, or nothing.
    #[test]
    fn a_trap_has_a_handler_or_a_table(steps in proptest::collection::vec((0u8..5, 0u64..3, 0u64..4), 0..80)) {
        let mut scene = Scene::new();
        let user = scene.threads[1];
        let cap = scene.cap_for(scene.actors[0], scene.actors[1]);
        scene.call(0, "svExcHandler", &[cap, ROUTINE]);
        let mut single: BTreeMap<u64, u64> = BTreeMap::new();
        let mut tables: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for (what, trap, index) in steps {
            let (number, routine) = (TRAP + trap, ROUTINE + 0x100 + index);
            let in_table: Vec<u64> = tables.keys().filter(|key| key.0 == trap).map(|key| key.1).collect();
            match what {
                0 => {
                    let free = !single.contains_key(&trap) && in_table.is_empty();
                    let result = scene.call(0, "svTrapConnect", &[number, routine]);
                    prop_assert_eq!(result, Some(if free { K_OK } else { K_EBUSY }));
                    if free {
                        single.insert(trap, routine);
                    }
                }
                1 => {
                    let there = single.get(&trap) == Some(&routine);
                    let result = scene.call(0, "svTrapDisConnect", &[number, routine]);
                    prop_assert_eq!(result, Some(if there { K_OK } else { K_EINVAL }));
                    if there {
                        single.remove(&trap);
                    }
                }
                2 => {
                    let free = !single.contains_key(&trap) && !in_table.contains(&index);
                    let result = scene.call(0, "svTrapTabConnect", &[number, index, routine]);
                    prop_assert_eq!(result, Some(if free { K_OK } else { K_EBUSY }));
                    if free {
                        tables.insert((trap, index), routine);
                    }
                }
                3 => {
                    let there = in_table.contains(&index);
                    let result = scene.call(0, "svTrapTabDisConnect", &[number, index]);
                    prop_assert_eq!(result, Some(if there { K_OK } else { K_EINVAL }));
                    tables.remove(&(trap, index));
                }
                _ => {
                    let expected = single.get(&trap).or(tables.get(&(trap, index))).copied();
                    let then = scene.site.trap(user, number as u32, index, scene.context);
                    prop_assert_eq!(routine_of(then), expected.unwrap_or(ROUTINE));
                    scene.site.back(user, 0);
                }
            }
        }
        scene.site.end();
    }
}
