//! Ports that move while frames are lost, sites die and the cluster is split (SS-022 to SS-024). After every event: no port is served by two sites.

use crate::act::{Act, Stage};
use crate::effort;
use crate::harm::Harm;
use crate::load::Load;
use crate::network::Faults;
use crate::plant::Plant;
use crate::scenario::{Cluster, Keep, Limit, Scenario, Source};
use crate::world::{MS, Plan, SEC, World};
use chorus_abi::error::K_EBUSY;
use chorus_abi::{K_MIGRATEMSG, KnUniqueId};
use chorus_fabric::{Action, Fault};
use chorus_transport::frame::KIND_NAMES;

/// The default time in which a site is found to be down.
const DETECTION: u64 = 1_400 * MS;

/// A port of site 1 with so many requests in its queue, in a world that watches.
fn queued(seed: u64, sites: u16, requests: u16) -> (World, KnUniqueId, Vec<u32>) {
    let mut world = World::watching(seed, sites, Faults::NONE);
    let port = world.open(1, 200);
    world.run(3 * SEC);
    let entry = world.site(1).nucleus.ports.get_mut(&port.word());
    entry.expect("a port").enabled = false;
    let calls = (0..requests)
        .map(|number| {
            // From sites that stay.
            let from = [1, 3][usize::from(number % 2)];
            world.call(from, port, &[number as u8; 50], Plan::NULL)
        })
        .collect();
    world.run(10 * MS);
    (world, port, calls)
}

/// Runs until so many frames of a kind were sent in all.
fn until_sent(world: &mut World, kind: &str, count: usize) {
    let seen = |world: &World| {
        let of = |sent: &&crate::world::Sent| KIND_NAMES[usize::from(sent.kind)] == kind;
        world.sent.iter().filter(of).count()
    };
    while seen(world) < count {
        let next = world.next().expect("something happens");
        world.run_until(next);
    }
}

#[cfg_attr(test, test)]
fn ss_022_the_destination_dies_before_it_is_ready_and_the_port_is_usable_at_once() {
    for lost in [None, Some("PREPARE"), Some("REPLY")] {
        let (mut world, port, calls) = queued(22, 3, 20);
        world.record = true;
        if let Some(name) = lost {
            let kind = KIND_NAMES.iter().position(|known| *known == name);
            let from = if name == "REPLY" { 2 } else { 1 };
            world.script(Fault {
                from: Some(from),
                to: None,
                kind: kind.map(|kind| kind as u8),
                nth: 1,
                action: Action::Drop,
            });
        }
        let number = world.migrate(1, port, 2, K_MIGRATEMSG);
        if lost.is_some() {
            until_sent(&mut world, "PREPARE", 1);
            world.run(MS / 2);
        }
        assert_eq!(world.migrations[number].end, None);
        let died = world.now;
        world.crash(2);
        world.run(5 * SEC);
        let (result, _, time) = world.migrations[number].end.expect("an end");
        assert!(result < 0, "{lost:?}");
        assert!(
            time - died <= DETECTION + 100 * MS,
            "{lost:?}: {}",
            time - died
        );
        assert_eq!(world.place_of(port), Some(1));
        world.enable(1, port);
        world.run(SEC);
        world.assert_answered_once(&calls);
        assert_eq!(world.broken, None);
        // It comes back, and the port may go there.
        world.restart(2);
        world.run(3 * SEC);
        assert!(world.migrate_now(1, port, 2, K_MIGRATEMSG).0 >= 0);
        let call = world.call(3, port, &[], Plan::NULL);
        world.run(SEC);
        world.assert_answered_once(&[call]);
    }
}

#[cfg_attr(test, test)]
fn ss_023_the_source_dies_after_the_hand_over_and_clients_reach_the_new_place() {
    // The port was made on site 4 or on site 1, and the source dies when all is over, or as soon as the port is live at the new place.
    for (home, early) in [(1, false), (1, true), (4, false), (4, true)] {
        let mut world = World::watching(23, 5, Faults::NONE);
        let port = world.open(home, 200);
        world.run(3 * SEC);
        if home != 1 {
            assert!(world.migrate_now(home, port, 1, K_MIGRATEMSG).0 >= 0);
            world.run(SEC);
        }
        let warm = [2, 3, 5].map(|site| world.call(site, port, &[], Plan::NULL));
        world.run(SEC);
        world.assert_answered_once(&warm);
        world.record = true;
        world.sent.clear();
        let number = world.migrate(1, port, 2, K_MIGRATEMSG);
        if early {
            until_sent(&mut world, "ACTIVATE", 1);
            world.run(MS / 5);
        } else {
            world.run(SEC);
            assert!(world.migrations[number].end.is_some());
        }
        let died = world.now;
        world.crash(1);
        world.run(MS);
        assert_eq!(world.place_of(port), Some(2), "{home} {early}");
        for client in [2, 3, 5] {
            // Each calls again and again until it is answered.
            loop {
                let call = world.call(client, port, &[], Plan::NULL);
                while world.waits(call) {
                    world.run(MS);
                }
                if world.end(call).is_some_and(|end| end.0 == 0) {
                    break;
                }
            }
            let after = world.now - died;
            assert!(
                after <= 2 * DETECTION,
                "site {client} after {after} ns, {home} {early}"
            );
        }
        assert_eq!(world.broken, None);
    }
}

/// How a cluster is split.
fn splits() -> [(u16, &'static [&'static [u16]]); 5] {
    [
        (2, &[&[1], &[2]]),
        (4, &[&[1], &[2, 3, 4]]),
        (4, &[&[2], &[1, 3, 4]]),
        (4, &[&[1, 3], &[2, 4]]),
        (5, &[&[1, 3], &[2, 4, 5]]),
    ]
}

#[cfg_attr(test, test)]
fn ss_024_a_partition_in_the_middle_and_at_every_instant_one_site_serves() {
    let mut gone = [0; 2];
    for (number, (sites, parts)) in (0..).zip(splits()) {
        // After each frame of the hand-over.
        for step in 0..14u64 {
            let mut world = World::watching(2400 + number, sites, Faults::NONE);
            let port = world.open(1, 200);
            world.run(3 * SEC);
            let mut calls: Vec<u32> = (1..=sites)
                .map(|site| world.call(site, port, &[], Plan::NULL))
                .collect();
            world.run(SEC);
            world.assert_answered_once(&calls);
            let slow = Plan {
                queue: 10 * MS,
                ..Plan::NULL
            };
            let waiting: Vec<u32> = (1..=sites)
                .map(|site| world.call(site, port, &[3; 3], slow))
                .collect();
            world.run(MS);
            let moved = world.migrate(1, port, 2, K_MIGRATEMSG);
            world.run(step * MS / 20);
            world.split(&parts.iter().map(|part| part.to_vec()).collect::<Vec<_>>());
            // 30 s, in which everybody calls.
            for _ in 0..60 {
                world.run(SEC / 2);
                for site in 1..=sites {
                    calls.push(world.call(site, port, &[1; 8], Plan::NULL));
                }
            }
            world.heal();
            world.run(20 * SEC);
            assert_eq!(world.broken, None, "{parts:?} after {step}");
            assert_eq!(world.judge.finish(), Ok(()));
            let (result, ..) = world.migrations[moved].end.expect("an end");
            gone[usize::from(result >= 0)] += 1;
            let place = if result >= 0 { 2 } else { 1 };
            assert_eq!(world.place_of(port), Some(place), "{parts:?} after {step}");
            // What was queued ended truthfully: the judge saw it. And all work again.
            assert!(waiting.iter().all(|call| !world.waits(*call)));
            let after: Vec<u32> = (1..=sites)
                .map(|site| world.call(site, port, &[], Plan::NULL))
                .collect();
            world.run(2 * SEC);
            world.assert_answered_once(&after);
            assert!(!world.site(3 - place).nucleus.is_here(port));
            world.run(130 * SEC);
            for site in 1..=sites {
                assert_eq!(world.sizes(site).moves, 0);
            }
        }
    }
    // Both happened: otherwise the cuts came at the wrong time.
    assert!(gone[0] > 5 && gone[1] > 5, "{gone:?}");
}

#[cfg_attr(test, test)]
fn any_frames_of_a_move_may_be_lost_and_it_ends_the_same_way() {
    for kind in [
        "PREPARE",
        "ACTIVATE",
        "HAVE",
        "PASS",
        "PASS-SEND",
        "REPLY",
        "PROGRESS",
        "MOVED",
    ] {
        for action in [Action::Drop, Action::Duplicate] {
            for nth in 1..=3 {
                let (mut world, port, calls) = queued(2500, 3, 12);
                for site in [1, 3] {
                    world.send(site, port, b"waits", false);
                }
                world.run(10 * MS);
                let kind = KIND_NAMES.iter().position(|known| *known == kind);
                world.script(Fault {
                    from: None,
                    to: None,
                    kind: kind.map(|kind| kind as u8),
                    nth,
                    action,
                });
                let end = world.migrate_now(1, port, 2, K_MIGRATEMSG);
                assert!(end.0 >= 0, "{kind:?} {nth}: {end:?}");
                world.run(5 * SEC);
                world.assert_answered_once(&calls);
                assert_eq!(world.site(2).nucleus.arrivals.len(), 2);
                assert_eq!(world.broken, None);
            }
        }
    }
}

#[cfg_attr(test, test)]
fn a_port_goes_on_only_when_its_last_place_knows_that_it_went() {
    // Otherwise, when the middle one of three sites dies, the first is told that the port is nowhere, and serves it beside the third.
    let mut world = World::watching(2207, 3, Faults::NONE);
    let port = world.open(1, 200);
    world.run(3 * SEC);
    let kind = KIND_NAMES.iter().position(|known| *known == "REPLY");
    world.script(Fault {
        from: Some(2),
        to: None,
        kind: kind.map(|kind| kind as u8),
        nth: 2,
        action: Action::Drop,
    });
    let first = world.migrate(1, port, 2, K_MIGRATEMSG);
    while !world.site(2).nucleus.is_here(port) {
        let next = world.next().expect("something happens");
        world.run_until(next);
    }
    world.cut(1, 2);
    world.run(50 * MS);
    let second = world.migrate(2, port, 3, K_MIGRATEMSG);
    world.run(50 * MS);
    let end = world.migrations[second].end.expect("an end");
    assert_eq!(end.0, K_EBUSY);
    world.crash(2);
    world.run(5 * SEC);
    world.heal();
    world.restart(2);
    world.run(5 * SEC);
    assert!(world.migrations[first].end.is_some_and(|end| end.0 < 0));
    let here = [1, 2, 3].map(|site| world.site(site).nucleus.is_here(port));
    assert_eq!((here, world.broken), ([true, false, false], None));
    assert!(world.migrate_now(1, port, 3, K_MIGRATEMSG).0 >= 0);
}

/// A run of the workload `migrate` with these nemeses.
fn scenario(seed: u64, sites: u16, harms: &[&str], events: u64, plant: Plant) -> Scenario {
    let harms = harms
        .iter()
        .flat_map(|name| Harm::named(name).expect("a nemesis"));
    Scenario {
        cluster: Cluster {
            plant,
            ..Cluster::new(seed, sites)
        },
        source: Source::Programs {
            load: Load::named(["migrate"]).expect("a workload"),
            harms: harms.collect(),
            limit: Limit::Events(events),
        },
    }
}

#[cfg_attr(test, test)]
fn ss_022_023_024_servers_move_while_sites_die_stand_still_and_are_cut_off() {
    let runs = effort::full(24, 60);
    let events = effort::full(40_000, 300_000);
    let sets: [&[&str]; 6] = [
        &["sever"],
        &["sever", "loss", "duplicate", "reorder"],
        &["crash", "snatch"],
        &["partition", "oneway", "loss"],
        &["pause", "sever", "snatch"],
        &["all"],
    ];
    let mut moved = 0;
    for run in 0..runs {
        let seed = effort::seed(2200) + run;
        let sites = 2 + (run % 5) as u16;
        let harms = sets[(run / 5 % 6) as usize];
        let scenario = scenario(seed, sites, harms, events, Plant::None);
        let report = scenario.run(Keep::default()).expect("a topology");
        assert_eq!(report.broken, None, "seed {seed}, {sites} sites, {harms:?}");
        moved += report.counters.moved_away + report.counters.moves_failed;
    }
    assert!(moved > runs * 5, "{moved} in {runs} runs");
}

#[cfg_attr(test, test)]
fn a_site_that_goes_on_serving_a_port_it_gave_away_is_found() {
    let scenario = scenario(7, 4, &["loss"], 200_000, Plant::Both);
    let report = scenario.run(Keep::default()).expect("a topology");
    let broken = report
        .broken
        .expect("the planted violation")
        .what
        .to_string();
    assert!(broken.contains("served by two sites"), "{broken}");
}

#[cfg_attr(test, test)]
fn acts_about_moves_that_make_no_sense_are_left_out() {
    let world = World::watching(3, 3, Faults::NONE);
    let mut stage = Stage::new(world, true);
    stage.world.run(2 * SEC);
    let migrate = |server, to| Act::Migrate {
        server,
        to,
        drop: false,
    };
    for act in [migrate(0, 1), migrate(9, 1), migrate(1, 1), migrate(1, 9)] {
        stage.act(&act);
    }
    assert!(stage.world.migrations.is_empty());
    stage.act(&migrate(1, 2));
    stage.act(&Act::Replace { site: 1 });
    stage.world.run(SEC);
    assert_eq!(stage.place(1), Some(2));
    stage.act(&Act::Replace { site: 1 });
    assert_eq!(stage.place(1), Some(1));
}

/// All of them.
pub(super) const CHECKS: &[super::Check] = super::checks![
    ss_022_the_destination_dies_before_it_is_ready_and_the_port_is_usable_at_once,
    ss_023_the_source_dies_after_the_hand_over_and_clients_reach_the_new_place,
    ss_024_a_partition_in_the_middle_and_at_every_instant_one_site_serves,
    any_frames_of_a_move_may_be_lost_and_it_ends_the_same_way,
    a_port_goes_on_only_when_its_last_place_knows_that_it_went,
    ss_022_023_024_servers_move_while_sites_die_stand_still_and_are_cut_off,
    a_site_that_goes_on_serving_a_port_it_gave_away_is_found,
    acts_about_moves_that_make_no_sense_are_left_out,
];
