//! System timeouts (spec 3.10, `svSysTimeoutSet`), and `svLinkFailure` (NC-280).

use super::exceptions::{ROUTINE, Scene};
use super::site::Site;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;

/// A LAP of the supervisor actor: the address of its descriptor there.
fn lap(scene: &mut Scene, cookie: u64) -> u64 {
    let at = scene.site.at(scene.actors[0], 0x800 + cookie * 16);
    let made = scene.call(0, "svLapCreate", &[0, ROUTINE, cookie, 0, at]);
    assert_eq!(made, Some(K_OK));
    at
}

/// Address of a structure of the supervisor actor.
fn desc(scene: &Scene, which: u64) -> u64 {
    scene.site.at(scene.actors[0], 0xa00 + which * 16)
}

fn set(scene: &mut Scene, which: u64, nanoseconds: u64, lap: u64) -> Option<i32> {
    let delay = KnTimeVal::from_ns(nanoseconds);
    let delay = scene.site.put(scene.actors[0], 0x700, &delay);
    scene.call(0, "svSysTimeoutSet", &[desc(scene, which), delay, 0, lap])
}

fn cancel(scene: &mut Scene, which: u64) -> Option<i32> {
    scene.call(0, "svSysTimeoutCancel", &[desc(scene, which)])
}

/// What is called now on the last processor: structure and cookie.
fn called(site: &mut Site) -> Vec<(u64, u64)> {
    let mut called = Vec::new();
    while let Some(service) = site.nucleus.soft_interrupt(5) {
        assert_eq!(service.routine, ROUTINE);
        called.push((service.timeout.unwrap(), service.cookie));
        assert_eq!(site.nucleus.interrupt_returned(5, Some(0)), None);
    }
    site.settle();
    called
}

#[test]
fn a_timeout_is_called_once_when_its_time_has_come() {
    let mut scene = Scene::new();
    let (one, two) = (lap(&mut scene, 1), lap(&mut scene, 2));
    assert_eq!(set(&mut scene, 0, 10 * MS, one), Some(K_OK));
    assert_eq!(set(&mut scene, 1, 5 * MS + 1, two), Some(K_OK));
    scene.site.pass(5 * MS);
    assert_eq!(called(&mut scene.site), [], "never early");
    scene.site.pass(2 * MS);
    assert_eq!(called(&mut scene.site), [(desc(&scene, 1), 2)]);
    scene.site.pass(20 * MS);
    assert_eq!(called(&mut scene.site), [(desc(&scene, 0), 1)]);
    scene.site.pass(1000 * MS);
    assert_eq!(called(&mut scene.site), []);
    assert_eq!(set(&mut scene, 0, 0, one), Some(K_OK), "again");
    scene.site.pass(MS);
    assert_eq!(called(&mut scene.site).len(), 1);
    let at = scene.site.at(scene.actors[0], 0x700);
    assert_eq!(scene.call(0, "svTimeoutGetRes", &[at]), Some(K_OK));
    let resolution: KnTimeVal = scene.site.get(scene.actors[0], 0x700);
    assert_eq!(resolution, KnTimeVal::from_ns(MS));
    scene.site.end();
}

#[test]
fn what_is_cancelled_does_not_start_also_if_its_time_has_come() {
    let mut scene = Scene::new();
    let lap = lap(&mut scene, 1);
    for late in [false, true] {
        assert_eq!(set(&mut scene, 0, MS, lap), Some(K_OK));
        assert_eq!(set(&mut scene, 0, MS, lap), Some(K_EBUSY));
        if late {
            scene.site.pass(5 * MS);
            assert_eq!(set(&mut scene, 0, MS, lap), Some(K_EBUSY));
        }
        assert_eq!(cancel(&mut scene, 0), Some(K_OK));
        assert_eq!(cancel(&mut scene, 0), Some(K_EINVAL));
        scene.site.pass(5 * MS);
        assert_eq!(called(&mut scene.site), []);
    }
    assert_eq!(set(&mut scene, 0, MS, lap), Some(K_OK));
    // A copy of the structure is not it.
    let value: KnTimeout = scene.site.get(scene.actors[0], 0xa00);
    scene.site.put(scene.actors[0], 0xa10, &value);
    assert_eq!(cancel(&mut scene, 1), Some(K_EINVAL));
    scene.site.end();
}

#[test]
fn a_handler_may_set_its_timeout_again_and_post_and_nothing_else() {
    let mut scene = Scene::new();
    let lap = lap(&mut scene, 1);
    assert_eq!(set(&mut scene, 0, MS, lap), Some(K_OK));
    scene.site.pass(5 * MS);
    assert!(scene.site.nucleus.soft_interrupt(5).is_some());
    assert!(scene.site.nucleus.soft_interrupt(5).is_none());
    let number = |name| table::by_name(name).unwrap().number;
    let delay = scene.site.at(scene.actors[0], 0x700);
    let arguments = [desc(&scene, 0), delay, 0, lap];
    let again = scene.site.call_on(5, number("svSysTimeoutSet"), &arguments);
    assert_eq!(again, Some(K_OK));
    let cancelled = scene
        .site
        .call_on(5, number("svSysTimeoutCancel"), &arguments[..1]);
    assert_eq!(cancelled, Some(K_EINVAL));
    scene.site.nucleus.interrupt_returned(5, Some(0));
    scene.site.settle();
    scene.site.pass(5 * MS);
    assert_eq!(called(&mut scene.site).len(), 1);
    scene.site.end();
}

#[test]
fn timeouts_go_with_the_lap_with_who_set_them_and_with_a_handler_that_faults() {
    let mut scene = Scene::new();
    let other = scene.site.actor(K_SUPACTOR, 140);
    let boss = scene.site.thread(other);
    let own = lap(&mut scene, 1);
    let made: KnLapDesc = scene.site.get(scene.actors[0], 0x810);
    let shared = scene.site.put(other, 0x810, &made);
    let delay = scene.site.put(other, 0x700, &KnTimeVal::from_ns(MS));
    let at = scene.site.at(other, 0xa00);
    for expired in [false, true] {
        // Set by the other actor, for a LAP of the first; which is deleted.
        let arguments = [at, delay, 0, shared];
        if expired {
            let own = lap(&mut scene, 2);
            assert_eq!(set(&mut scene, 0, MS, own), Some(K_OK));
            scene.site.pass(5 * MS);
            assert_eq!(scene.call(0, "svLapDelete", &[own]), Some(K_OK));
        } else {
            let set = scene.site.call(boss, "svSysTimeoutSet", &arguments);
            assert_eq!(set, Some(K_OK));
            assert_eq!(scene.call(0, "svLapDelete", &[own]), Some(K_OK));
        }
        scene.site.pass(5 * MS);
        assert_eq!(called(&mut scene.site), []);
    }
    let own = lap(&mut scene, 3);
    let made: KnLapDesc = scene.site.get(scene.actors[0], 0x830);
    let shared = scene.site.put(other, 0x810, &made);
    let arguments = [at, delay, 0, shared];
    assert_eq!(
        scene.site.call(boss, "svSysTimeoutSet", &arguments),
        Some(K_OK)
    );
    assert_eq!(scene.site.call(boss, "actorExit", &[0]), None);
    scene.site.pass(5 * MS);
    assert_eq!(called(&mut scene.site), []);
    assert_eq!(set(&mut scene, 0, MS, own), Some(K_OK));
    scene.site.pass(5 * MS);
    assert!(scene.site.nucleus.soft_interrupt(5).is_some());
    scene.site.nucleus.exception(5, Default::default());
    assert_eq!(scene.site.nucleus.interrupt_returned(5, None), None);
    scene.site.settle();
    assert!(!scene.alive(scene.actors[0]));
    scene.site.end();
}

#[test]
fn what_the_calls_for_system_timeouts_refuse() {
    let mut scene = Scene::new();
    let own = lap(&mut scene, 1);
    let (at, sup) = (desc(&scene, 0), scene.actors[0]);
    let delay = scene.site.put(sup, 0x700, &KnTimeVal::from_ns(MS));
    let bad = KnTimeVal {
        tm_nsec: 1_000_000_000,
        ..KnTimeVal::default()
    };
    let bad = scene.site.put(sup, 0x710, &bad);
    let forged = scene.site.put(sup, 0x720, &KnLapDesc { lap: 7, key: 9 });
    for who in [1, 2] {
        for name in [
            "svSysTimeoutSet",
            "svSysTimeoutCancel",
            "svTimeoutGetRes",
            "svLinkFailure",
        ] {
            assert_eq!(scene.call(who, name, &[0; 4]), Some(K_EPRIV), "{name}");
        }
    }
    for (arguments, error) in [
        ([16, delay, 0, own], K_EFAULT),
        ([at, 16, 0, own], K_EFAULT),
        ([at, delay, 0, 16], K_EFAULT),
        ([at, 0, 0, own], K_EINVAL),
        ([at, bad, 0, own], K_EINVAL),
        ([at, delay, 1, own], K_EINVAL),
        ([at, delay, 0, forged], K_EINVAL),
    ] {
        let before = scene.site.picture();
        assert_eq!(scene.call(0, "svSysTimeoutSet", &arguments), Some(error));
        scene.site.unchanged(&before, "svSysTimeoutSet");
    }
    assert_eq!(scene.call(0, "svSysTimeoutCancel", &[16]), Some(K_EFAULT));
    assert_eq!(scene.call(0, "svTimeoutGetRes", &[16]), Some(K_EFAULT));
    assert_eq!(cancel(&mut scene, 0), Some(K_EINVAL));
    for which in 0..64 {
        assert_eq!(set(&mut scene, which, MS, own), Some(K_OK));
    }
    assert_eq!(set(&mut scene, 64, MS, own), Some(K_ENOMEM));
    scene.site.end();
}

#[test]
fn nc_280_a_broken_link_is_the_network_manager_s_affair() {
    let mut scene = Scene::new();
    for site in [0, 1, 8192, u64::from(u32::MAX)] {
        assert_eq!(scene.call(0, "svLinkFailure", &[site, 7]), Some(K_EINVAL));
    }
    assert_eq!(
        scene.call(0, "svLinkFailure", &[2, 7]),
        Some(K_OK),
        "nobody calls"
    );
    assert_eq!(scene.call(2, "nmAttach", &[u64::MAX]), Some(K_OK));
    let item = scene.site.at(scene.actors[2], 0x800);
    assert_eq!(scene.call(2, "nmTake", &[item, 0, 0]), Some(0), "groups");
    assert_eq!(scene.call(0, "svLinkFailure", &[2, 7]), Some(K_OK));
    assert_eq!(scene.call(2, "nmWait", &[0]), Some(net::NM_OUTBOUND));
    let item = scene.site.at(scene.actors[2], 0x800);
    assert_eq!(scene.call(2, "nmTake", &[item, 0, 0]), Some(0));
    let item: net::KnNetItem = scene.site.get(scene.actors[2], 0x800);
    assert_eq!(
        (item.kind, item.handle, item.result),
        (net::NET_LINKFAILURE, 2, 7)
    );
    for _ in 0..16 {
        assert_eq!(scene.call(0, "svLinkFailure", &[3, 0]), Some(K_OK));
    }
    assert_eq!(scene.call(0, "svLinkFailure", &[3, 0]), Some(K_EFULL));
    scene.site.end();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]
    /// Timeouts against a model: a time for each structure, and who is called when.
    #[test]
    fn timeouts_are_called_when_the_model_says(steps in proptest::collection::vec((0u8..3, 0u64..6, 0u64..20), 0..60)) {
        let mut scene = Scene::new();
        let lap = lap(&mut scene, 1);
        let mut due: [Option<u64>; 6] = [None; 6];
        for (what, which, more) in steps {
            let now = scene.site.nucleus.machine.clock;
            let entry = &mut due[which as usize];
            match what {
                0 => {
                    let result = set(&mut scene, which, more * MS / 2, lap);
                    prop_assert_eq!(result, Some(if entry.is_some() { K_EBUSY } else { K_OK }));
                    entry.get_or_insert((now + more * MS / 2).next_multiple_of(MS));
                }
                1 => {
                    let result = cancel(&mut scene, which);
                    prop_assert_eq!(result, Some(if entry.take().is_some() { K_OK } else { K_EINVAL }));
                }
                _ => {
                    scene.site.pass(more * MS / 3);
                    let now = scene.site.nucleus.machine.clock;
                    let mut expected: Vec<u64> = Vec::new();
                    for (which, entry) in due.iter_mut().enumerate() {
                        if entry.is_some_and(|at| at <= now) {
                            *entry = None;
                            expected.push(desc(&scene, which as u64));
                        }
                    }
                    let mut called: Vec<u64> = called(&mut scene.site).into_iter().map(|(desc, _)| desc).collect();
                    called.sort_unstable();
                    prop_assert_eq!(called, expected);
                }
            }
        }
        scene.site.end();
    }
}
