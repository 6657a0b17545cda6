//! Local access points: calls, deleting, names (NC-276…278, spec 3.12).

use super::exceptions::{ROUTINE, Scene};
use super::site::Site;
use crate::executive::thread::local_identifier;
use crate::supervisor::{Call, Then};
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

/// A LAP of the supervisor actor: the address of its descriptor there.
fn create(scene: &mut Scene, options: u32) -> u64 {
    let lap = scene.site.at(scene.actors[0], 0x800);
    let made = scene.call(0, "svLapCreate", &[0, ROUTINE, 3, options.into(), lap]);
    assert_eq!(made, Some(K_OK));
    lap
}

/// Its descriptor in another actor's memory.
fn copy(scene: &mut Scene, who: usize) -> u64 {
    let desc: KnLapDesc = scene.site.get(scene.actors[0], 0x800);
    scene.site.put(scene.actors[who], 0x800, &desc)
}

fn name(scene: &mut Scene, who: usize, name: &str) -> u64 {
    let mut bytes = [0u8; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    scene.site.put(scene.actors[who], 0x900, &bytes)
}

#[test]
fn a_lap_is_called_in_the_caller_s_thread() {
    let mut scene = Scene::new();
    create(&mut scene, K_LAP_SAFE);
    for who in [1, 2] {
        let lap = copy(&mut scene, who);
        assert_eq!(scene.call(who, "lapInvoke", &[lap, 77]), None);
        let upcall = scene.site.entered.take().unwrap();
        assert_eq!((upcall.routine, upcall.cookie), (ROUTINE, 3));
        assert_eq!(upcall.what, Call::Lap(77));
        let then = scene.site.back(scene.threads[who], 0);
        assert_eq!(then, Then::Resume { changed: true });
    }
    scene.site.end();
}

#[test]
fn a_thread_that_is_held_inside_runs_until_it_comes_out() {
    for hold in ["threadSuspend", "threadStop", "actorStop"] {
        let mut site = Site::new(1);
        let (owner, client) = (site.party(K_SUPACTOR), site.party(K_SYSTEMACTOR));
        let other = site.fellow(client);
        site.pass(1);
        let lap = site.arg(owner.actor, &KnLapDesc::default());
        let create = [0, ROUTINE, 3, K_LAP_SAFE.into(), lap];
        site.grants(owner, "svLapCreate", &create);
        let desc: KnLapDesc = site.peek(owner.actor, lap);
        let sem = site.arg(owner.actor, &KnSem::default());
        site.waits(owner, "semP", &[sem, 0]);
        let lap = site.arg(client.actor, &desc);
        assert_eq!(site.call(client.thread, "lapInvoke", &[lap, 0]), None);
        // Inside, it gives way to its fellow, and is queued.
        let zero = site.arg(owner.actor, &KnTimeVal::default());
        site.call(client.thread, "threadDelay", &[zero]);
        assert!(site.runs(other), "{hold}");
        let li = site.li(client.thread);
        site.call(
            other.thread,
            hold,
            &[0, if hold == "actorStop" { 0 } else { li }],
        );
        super::invariants::check(&site.nucleus);
        if site.runs(other) {
            let long = site.arg(client.actor, &KnTimeVal::from_ns(1_000_000_000));
            site.call(other.thread, "threadDelay", &[long]);
        }
        assert!(site.runs(client), "{hold}: lost inside");
        site.back(client.thread, 0);
        assert!(!site.runs(client), "{hold}: held outside");
        site.end();
    }
}

#[test]
fn nc_276_a_deleted_lap_cannot_be_called() {
    let mut scene = Scene::new();
    let lap = create(&mut scene, K_LAP_SAFE);
    let own = copy(&mut scene, 1);
    assert_eq!(scene.call(0, "svLapDelete", &[lap]), Some(K_OK));
    assert_eq!(scene.call(1, "lapInvoke", &[own, 0]), Some(K_EINVAL));
    assert_eq!(scene.call(0, "lapInvoke", &[lap, 0]), Some(K_EINVAL));
    assert_eq!(scene.call(0, "svLapDelete", &[lap]), Some(K_EINVAL));
    scene.site.end();
}

#[test]
fn only_safe_laps_are_called_from_user_mode_and_descriptors_cannot_be_made_up() {
    let mut scene = Scene::new();
    let lap = create(&mut scene, 0);
    for who in [1, 2] {
        let own = copy(&mut scene, who);
        assert_eq!(scene.call(who, "lapInvoke", &[own, 0]), Some(K_EINVAL));
        assert_eq!(scene.call(who, "lapInvoke", &[16, 0]), Some(K_EFAULT));
    }
    assert_eq!(scene.call(0, "lapInvoke", &[lap, 0]), None);
    scene.site.back(scene.threads[0], 0);
    let real: KnLapDesc = scene.site.get(scene.actors[0], 0x800);
    for forged in [
        KnLapDesc {
            key: real.key ^ 1,
            ..real
        },
        KnLapDesc {
            lap: real.lap + 1,
            ..real
        },
        KnLapDesc {
            lap: real.lap | 1 << 50,
            ..real
        },
    ] {
        let at = scene.site.put(scene.actors[0], 0x820, &forged);
        assert_eq!(scene.call(0, "lapInvoke", &[at, 0]), Some(K_EINVAL));
    }
    scene.site.end();
}

#[test]
fn deleting_a_safe_lap_waits_for_calls_inside_and_lets_nobody_in() {
    let mut scene = Scene::new();
    let lap = create(&mut scene, K_LAP_SAFE);
    let (one, two) = (copy(&mut scene, 1), copy(&mut scene, 2));
    assert_eq!(scene.call(1, "lapInvoke", &[one, 0]), None);
    assert_eq!(scene.call(0, "svLapDelete", &[lap]), None);
    assert_eq!(scene.call(2, "lapInvoke", &[two, 0]), Some(K_EINVAL));
    assert_eq!(scene.site.result(scene.threads[0]), None);
    scene.site.back(scene.threads[1], 0);
    assert_eq!(scene.site.result(scene.threads[0]), Some(K_OK));
    let lap = create(&mut scene, 0);
    assert_eq!(scene.call(0, "lapInvoke", &[lap, 0]), None);
    assert_eq!(scene.call(0, "svLapDelete", &[lap]), Some(K_OK), "inside");
    scene.site.back(scene.threads[0], 0);
    scene.site.end();
}

#[test]
fn the_end_of_the_owner_ends_the_calls_inside() {
    let mut scene = Scene::new();
    create(&mut scene, K_LAP_SAFE);
    let own = copy(&mut scene, 1);
    assert_eq!(scene.call(1, "lapInvoke", &[own, 0]), None);
    assert_eq!(scene.call(0, "actorExit", &[0]), None);
    assert!(!scene.alive(scene.actors[0]) && scene.alive(scene.actors[1]));
    assert_eq!(scene.call(1, "lapInvoke", &[own, 0]), Some(K_EINVAL));
    scene.site.end();
}

#[test]
fn calls_nest_eight_deep() {
    let mut scene = Scene::new();
    let lap = create(&mut scene, 0);
    for _ in 0..8 {
        assert_eq!(scene.call(0, "lapInvoke", &[lap, 0]), None);
    }
    assert_eq!(scene.call(0, "lapInvoke", &[lap, 0]), Some(K_ENOMEM));
    for _ in 0..8 {
        scene.site.back(scene.threads[0], 0);
    }
    assert_eq!(scene.call(0, "lapInvoke", &[lap, 0]), None);
    scene.site.back(scene.threads[0], 0);
    scene.site.end();
}

#[test]
fn nc_277_a_name_is_waited_for() {
    let mut scene = Scene::new();
    let lap = create(&mut scene, K_LAP_SAFE);
    let mut waiting = Vec::new();
    for who in [1, 2] {
        let at = name(&mut scene, who, "count");
        let place = scene.site.at(scene.actors[who], 0x840);
        assert_eq!(
            scene.call(who, "lapResolve", &[place, at, 4]),
            Some(K_EUNKNOWN)
        );
        assert_eq!(scene.call(who, "lapResolve", &[place, at, 0]), None);
        waiting.push(who);
    }
    let other = name(&mut scene, 0, "counts");
    assert_eq!(scene.call(0, "svLapBind", &[lap, other, 0]), Some(K_OK));
    assert_eq!(scene.site.result(scene.threads[1]), None);
    let at = name(&mut scene, 0, "count");
    assert_eq!(scene.call(0, "svLapBind", &[lap, at, 0]), Some(K_OK));
    assert_eq!(scene.call(0, "svLapBind", &[lap, at, 0]), Some(K_EBUSY));
    let desc: KnLapDesc = scene.site.get(scene.actors[0], 0x800);
    for who in waiting {
        assert_eq!(scene.site.result(scene.threads[who]), Some(K_OK));
        let found: KnLapDesc = scene.site.get(scene.actors[who], 0x840);
        assert_eq!(found, desc);
    }
    assert_eq!(scene.call(0, "svLapUnbind", &[at]), Some(K_OK));
    assert_eq!(scene.call(0, "svLapUnbind", &[at]), Some(K_EUNKNOWN));
    assert_eq!(scene.call(0, "svLapDelete", &[lap]), Some(K_OK));
    let other = name(&mut scene, 0, "counts");
    let gone = scene.call(0, "svLapUnbind", &[other]);
    assert_eq!(gone, Some(K_EUNKNOWN), "names go with their LAP");
    scene.site.end();
}

#[test]
fn a_wait_for_a_name_is_abortable_and_goes_with_its_thread() {
    let mut scene = Scene::new();
    let lap = create(&mut scene, K_LAP_SAFE);
    let [sup, user, _] = scene.actors;
    let at = name(&mut scene, 1, "count");
    let place = scene.site.at(user, 0x840);
    assert_eq!(scene.call(1, "lapResolve", &[place, at, 0]), None);
    let (cap, li) = (
        scene.cap_for(sup, user),
        local_identifier(scene.threads[1]) as u64,
    );
    assert_eq!(scene.call(0, "threadAbort", &[cap, li]), Some(K_OK));
    assert_eq!(scene.site.result(scene.threads[1]), Some(K_EABORT));
    assert_eq!(scene.call(0, "threadAbort", &[cap, li]), Some(K_OK));
    let aborted = scene.call(1, "lapResolve", &[place, at, 0]);
    assert_eq!(aborted, Some(K_EABORT));
    assert_eq!(scene.call(1, "lapResolve", &[place, at, 0]), None);
    assert_eq!(scene.call(0, "threadDelete", &[cap, li]), Some(K_OK));
    let at = name(&mut scene, 0, "count");
    assert_eq!(scene.call(0, "svLapBind", &[lap, at, 0]), Some(K_OK));
    scene.site.end();
}

#[test]
fn nc_278_names_have_at_most_seven_characters() {
    let mut scene = Scene::new();
    let lap = create(&mut scene, K_LAP_SAFE);
    let place = scene.site.at(scene.actors[0], 0x840);
    let long = name(&mut scene, 0, "eightchr");
    assert_eq!(scene.call(0, "svLapBind", &[lap, long, 0]), Some(K_ENOMEM));
    assert_eq!(scene.call(0, "svLapUnbind", &[long]), Some(K_ENOMEM));
    assert_eq!(
        scene.call(0, "lapResolve", &[place, long, 0]),
        Some(K_ENOMEM)
    );
    let empty = name(&mut scene, 0, "");
    assert_eq!(scene.call(0, "svLapBind", &[lap, empty, 0]), Some(K_EINVAL));
    let seven = name(&mut scene, 0, "seven77");
    assert_eq!(scene.call(0, "svLapBind", &[lap, seven, 8]), Some(K_EINVAL));
    assert_eq!(scene.call(0, "svLapBind", &[lap, seven, 0]), Some(K_OK));
    assert_eq!(scene.call(0, "svLapBind", &[lap, 16, 0]), Some(K_EFAULT));
    scene.site.end();
}

#[test]
fn protected_names_are_hidden_from_user_actors() {
    let mut scene = Scene::new();
    let lap = create(&mut scene, K_LAP_SAFE);
    let at = name(&mut scene, 1, "hidden");
    let place = scene.site.at(scene.actors[1], 0x840);
    assert_eq!(scene.call(1, "lapResolve", &[place, at, 0]), None);
    let own = name(&mut scene, 0, "hidden");
    let options = K_LAP_PROTECTED.into();
    assert_eq!(scene.call(0, "svLapBind", &[lap, own, options]), Some(K_OK));
    assert_eq!(scene.site.result(scene.threads[1]), None, "it waits still");
    let at = name(&mut scene, 2, "hidden");
    let place = scene.site.at(scene.actors[2], 0x840);
    assert_eq!(scene.call(2, "lapResolve", &[place, at, 0]), Some(K_OK));
    scene.call(0, "svLapUnbind", &[own]);
    assert_eq!(scene.call(0, "svLapBind", &[lap, own, 0]), Some(K_OK));
    assert_eq!(scene.site.result(scene.threads[1]), Some(K_OK));
    scene.site.end();
}

#[test]
fn what_the_calls_for_laps_refuse() {
    let mut scene = Scene::new();
    let [sup, user, _] = scene.actors;
    let lap = scene.site.at(sup, 0x800);
    for who in [1, 2] {
        for (name, arguments) in [
            ("svLapCreate", [0, ROUTINE, 0, 0, 0x1000]),
            ("svLapDelete", [0; 5]),
            ("svLapBind", [0; 5]),
            ("svLapUnbind", [0; 5]),
        ] {
            assert_eq!(scene.call(who, name, &arguments), Some(K_EPRIV), "{name}");
        }
    }
    let cap = scene.cap_for(sup, user);
    let foreign = scene.call(0, "svLapCreate", &[cap, ROUTINE, 0, 0, lap]);
    assert_eq!(foreign, Some(K_EINVAL), "no supervisor actor");
    let bad = scene.call(0, "svLapCreate", &[0, 0x1000, 0, 0, lap]);
    assert_eq!(bad, Some(K_EINVAL), "no routine");
    let bad = scene.call(0, "svLapCreate", &[0, ROUTINE, 0, 8, lap]);
    assert_eq!(bad, Some(K_EINVAL), "no option");
    let bad = scene.call(0, "svLapCreate", &[0, ROUTINE, 0, 0, 16]);
    assert_eq!(bad, Some(K_EFAULT));
    assert_eq!(scene.site.nucleus.points_left(), [0; 4]);
    for _ in 0..1024 {
        assert_eq!(
            scene.call(0, "svLapCreate", &[0, ROUTINE, 0, 0, lap]),
            Some(K_OK)
        );
    }
    let full = scene.call(0, "svLapCreate", &[0, ROUTINE, 0, 0, lap]);
    assert_eq!(full, Some(K_ENOMEM));
    scene.site.end();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]
    /// Threads go in and out of LAPs of two actors while LAPs and actors are deleted: who is inside is counted right, and in the end nobody is.
    #[test]
    fn whoever_is_inside_is_counted(steps in proptest::collection::vec((0u8..7, 0usize..4, 0usize..2), 0..60)) {
        let mut scene = Scene::new();
        let other = scene.site.actor(K_SUPACTOR, 140);
        let boss = scene.site.thread(other);
        let mut laps: Vec<KnLapDesc> = Vec::new();
        let mut threads = scene.threads.to_vec();
        threads.push(scene.site.thread(scene.actors[1]));
        for (what, which, more) in steps {
            let thread = threads[which];
            // Whoever waits, or is gone, does nothing.
            if scene.site.cpu_of(thread).is_none() || scene.site.cpu_of(boss).is_none() {
                continue;
            }
            let nucleus = &scene.site.nucleus;
            let actor = nucleus.execution_actor(thread).unwrap();
            match what {
                0 | 1 => {
                    let owner = if more == 0 { scene.actors[0] } else { other };
                    if scene.alive(owner) {
                        let cap = scene.cap(owner);
                        let cap = scene.site.put(other, 0x500, &cap);
                        let at = scene.site.at(other, 0x800);
                        scene.site.call(boss, "svLapCreate", &[cap, ROUTINE, 0, more as u64, at]);
                        laps.push(scene.site.get(other, 0x800));
                    }
                }
                2 | 3 => {
                    if let Some(lap) = laps.get(which % laps.len().max(1)) {
                        let at = scene.site.put(actor, 0x800, lap);
                        scene.site.call(thread, "lapInvoke", &[at, 0]);
                    }
                }
                4 => {
                    if scene.site.nucleus.chain(thread).next().is_some() {
                        scene.site.back(thread, 0);
                    }
                }
                5 => {
                    if let Some(lap) = laps.pop() {
                        let at = scene.site.put(other, 0x800, &lap);
                        scene.site.call(boss, "svLapDelete", &[at]);
                    }
                }
                _ => {
                    let victim = scene.actors[which % 2];
                    if more == 1 && which == 3 && scene.alive(victim) {
                        let cap = scene.cap(victim);
                        let cap = scene.site.put(other, 0x500, &cap);
                        scene.site.call(boss, "actorDelete", &[cap]);
                    }
                }
            }
            let nucleus = &scene.site.nucleus;
            let inside: usize = nucleus.threads.iter().map(|(id, _)| nucleus.chain(id).count()).sum();
            let guests: u32 = nucleus.actors.iter().map(|(_, actor)| actor.guests).sum();
            prop_assert_eq!((inside, inside), (nucleus.points_left()[1], guests as usize));
        }
        scene.site.end();
    }
}
