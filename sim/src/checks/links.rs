//! Links and topologies end to end, and the simulator itself (SS-138…146, SS-057).

use crate::act::Act;
use crate::effort::{self, full, seed};
use crate::harm::Harm;
use crate::load::Load;
use crate::network::Faults;
use crate::plant::Plant;
use crate::scenario::{Cluster, Keep, Limit, Scenario, Source};
use crate::setup::Setup;
use crate::shrink::{self, shrink};
use crate::trace::{Arrow, Trace};
use crate::workload::{Mix, attempt};
use crate::world::{MS, Plan, SEC, World};
use chorus_abi::KnUniqueId;
use chorus_fabric::{Action, Chance, Change, Fault, Shape};
use chorus_transport::Standing;
use chorus_transport::frame::KIND_NAMES;

/// Sites on a topology whose links take `latency`; they watch each other or not.
fn joined(shape: &str, sites: u16, latency: u64, watch: bool) -> World {
    let seed = seed(141);
    let shape = Shape::parse(shape).expect("a topology");
    let setup = Setup {
        graph: Some(shape.graph(sites, seed).expect("its number of sites")),
        links: Change {
            latency: Some(latency),
            ..Change::default()
        },
        watch,
        seal: false,
        ..Setup::new(seed, sites, Faults::NONE)
    };
    World::build(&setup, |_| {})
}

fn call(world: &mut World, from: u16, port: KnUniqueId) -> u64 {
    let begin = world.now;
    let call = world.call(from, port, b"", Plan::NULL);
    world.run(2 * SEC);
    let end = world.end(call).filter(|(result, _)| *result == 0);
    end.expect("a reply").1 - begin
}

#[cfg_attr(test, test)]
fn ss_138_a_seed_gives_a_log_of_frames_that_is_the_same_to_the_byte() {
    let mix = Mix {
        calls: 400,
        faults: Faults::all(50),
        big: 50,
        crash: 5,
        pause: 5,
        split: 5,
        watch: true,
        ..Mix::CALM
    };
    let log = |seed| attempt(seed, mix).expect("nothing broken").log;
    let first = seed(138);
    let wanted = log(first);
    for time in 1..full(20, 100) {
        assert_eq!(log(first), wanted, "time {time} of seed {first}");
    }
    assert_ne!(log(first + 1), wanted);
    // What another computer had for it, and any will have: no clock, no address and no order of a table goes in.
    effort::say(format!("seed {first}: log {wanted:016x}"));
}

#[cfg_attr(test, test)]
fn ss_139_a_link_of_10_ms_and_a_megabyte_a_second_is_just_that() {
    let mut world = joined("full", 2, 10 * MS, false);
    let port = world.open(1, 1 << 20);
    world.run(SEC);
    call(&mut world, 2, port);
    world.wire.rule(|rules| {
        rules.change_all(&Change {
            bandwidth: Some(1_000_000),
            queue: Some(100_000),
            ..Change::default()
        });
    });
    let round = call(&mut world, 2, port);
    assert!((20 * MS..=21 * MS).contains(&round), "{round} ns");
    let begin = world.now;
    let before = world.wire.link(2, 1).1.bytes;
    for _ in 0..5_000 {
        world.send(2, port, &[7; 900], false);
    }
    while world.site(1).nucleus.arrivals.len() < 5_000 {
        world.run(MS);
        assert!(world.now - begin < 20 * SEC, "messages are missing");
    }
    let bytes = (world.wire.link(2, 1).1.bytes - before) as f64;
    let rate = bytes / ((world.now - begin - 10 * MS) as f64 / 1e9);
    assert!((980_000.0..=1_020_000.0).contains(&rate), "{rate}");
    effort::say(format!(
        "{} us a round trip, {rate:.0} bytes/s",
        round / 1000
    ));
}

#[cfg_attr(test, test)]
fn ss_140_one_percent_is_one_percent_and_turned_bits_are_noticed() {
    let setup = Setup {
        seal: false,
        checksum: true,
        ..Setup::new(seed(140), 2, Faults::NONE)
    };
    let mut world = World::build(&setup, |_| {});
    world.keeps = false;
    let port = world.open(1, 1 << 30);
    world.run(SEC);
    world.send(2, port, b"", false);
    world.run(SEC);
    let set = |world: &mut World, loss: f64, corrupt: f64| {
        world.wire.rule(|rules| {
            rules.change_all(&Change {
                loss: Some(Chance::percent(loss)),
                corrupt: Some(Chance::percent(corrupt)),
                ..Change::default()
            });
        });
    };
    let frames = |world: &mut World, count: u64| {
        let before = world.wire.link(2, 1).1;
        for n in 0..count {
            world.send(2, port, b"a frame", false);
            if n % 200 == 0 {
                world.run(MS);
            }
        }
        world.run(SEC);
        let arrived = std::mem::take(&mut world.site(1).nucleus.arrivals).len() as u64;
        world.site(1).nucleus.looked = 0;
        let after = world.wire.link(2, 1).1;
        let (lost, turned) = (after.lost - before.lost, after.corrupted - before.corrupted);
        (arrived, lost, turned)
    };
    frames(&mut world, 1);
    set(&mut world, 1.0, 0.0);
    let (arrived, lost, _) = frames(&mut world, 1_000_000);
    assert_eq!(arrived + lost, 1_000_000);
    assert!((9_000..=11_000).contains(&lost), "{lost}");
    set(&mut world, 0.0, 5.0);
    let (arrived, _, turned) = frames(&mut world, 100_000);
    assert!(turned > 4_000);
    assert_eq!(arrived + turned, 100_000, "none of them was delivered");
    assert_eq!(world.broken, None);
    effort::say(format!(
        "{lost} of 1000000 lost; {turned} turned, none taken"
    ));
}

#[cfg_attr(test, test)]
fn ss_141_every_pair_communicates_and_hops_are_those_of_the_topology() {
    let place = |site: u16| ((site - 1) % 4, (site - 1) / 4);
    let grid = move |a: u16, b: u16, far: &dyn Fn(u16, u16) -> u16| {
        let ((ax, ay), (bx, by)) = (place(a), place(b));
        far(ax, bx) + far(ay, by)
    };
    type Hops = Box<dyn Fn(u16, u16) -> u16>;
    let shapes: [(&str, Hops); 3] = [
        ("mesh,4,4", Box::new(move |a, b| grid(a, b, &u16::abs_diff))),
        (
            "torus,4,4",
            Box::new(move |a, b| grid(a, b, &|a, b| a.abs_diff(b).min(4 - a.abs_diff(b)))),
        ),
        (
            "hypercube,4",
            Box::new(|a, b| ((a - 1) ^ (b - 1)).count_ones() as u16),
        ),
    ];
    for (shape, hops) in shapes {
        let mut world = joined(shape, 16, MS, false);
        let ports: Vec<KnUniqueId> = (1..=16).map(|site| world.open(site, 64)).collect();
        world.run(SEC);
        for from in 1..=16 {
            for (to, port) in (1..=16).zip(&ports).filter(|(to, _)| *to != from) {
                call(&mut world, from, *port);
                // The place is known now: there and back, and nothing else.
                let took = call(&mut world, from, *port);
                let wanted = 2 * u64::from(hops(from, to)) * MS;
                assert_eq!(took, wanted, "{shape}: s{from} to s{to}");
            }
        }
    }
}

#[cfg_attr(test, test)]
fn ss_142_a_cut_link_is_gone_around_and_who_has_none_left_is_down() {
    let mut world = joined("mesh,3,3", 9, MS / 10, true);
    let port = world.open(2, 64);
    world.run(5 * SEC);
    call(&mut world, 1, port);
    assert_eq!(call(&mut world, 1, port), 2 * MS / 10);
    world.cut(1, 2);
    assert_eq!(call(&mut world, 1, port), 6 * MS / 10, "three links now");
    world.run(10 * SEC);
    let downs =
        |world: &World| -> u64 { (1..=9).map(|site| world.counters(site).peers_down).sum() };
    assert_eq!(downs(&world), 0);
    world.cut(1, 4);
    world.run(3 * SEC);
    let down = |world: &World, at: u16, of: u16| {
        let endpoint = world.sites[usize::from(at) - 1].endpoint.as_ref();
        let other = endpoint.and_then(|endpoint| endpoint.other(of));
        other.map(|other| other.standing) == Some(Standing::Down)
    };
    assert!((2..=9).all(|at| down(&world, at, 1)));
    world.run(10 * SEC);
    assert!(
        (2..=9).all(|of| down(&world, 1, of)),
        "for s1 all others are"
    );
}

#[cfg_attr(test, test)]
fn ss_143_a_scripted_fault_meets_just_its_frame_in_every_run() {
    let kind = |name: &str| {
        let place = KIND_NAMES.iter().position(|known| *known == name);
        place.expect("a kind of frame") as u8
    };
    let reply = kind("REPLY");
    for run in 0..100 {
        let mut world = World::new(seed(143) + run, 3, Faults::NONE);
        let port = world.open(1, 64);
        world.run(SEC);
        world.trace = Some(Trace::default());
        world.script(Fault {
            from: Some(1),
            to: Some(2),
            kind: Some(reply),
            nth: 3,
            action: Action::Drop,
        });
        for _ in 0..10 {
            for from in [2, 3] {
                world.call(from, port, b"", Plan::NULL);
                world.run(world.random.clone().below(3 * MS));
            }
        }
        world.run(SEC);
        assert_eq!(world.wire.scripted(), (0, 1));
        let trace = world.trace.take().expect("it was kept");
        let mut number = 0;
        // What was sent at last is still on its way.
        let landed = |arrow: &&Arrow| arrow.time + MS < world.now;
        for arrow in trace.arrows.iter().filter(landed) {
            let fits = arrow.kind == reply && (arrow.from, arrow.to) == (1, 2);
            number += u32::from(fits);
            let lost = arrow.landed.is_empty();
            assert_eq!(lost, fits && number == 3, "run {run}: {arrow:?}");
        }
        assert!(number >= 10);
    }
}

/// A run with a planted bug that is found, shrunk, and fails again by its script alone.
fn found_and_shrunk(plant: Plant, harms: &[&str], most: usize) {
    let cluster = Cluster {
        plant,
        ..Cluster::new(seed(1), 4)
    };
    let harms = harms.iter().filter_map(|name| Harm::named(name)).flatten();
    let source = Source::Programs {
        load: Load::named(["mixed"]).expect("a workload"),
        harms: harms.collect(),
        limit: Limit::Events(200_000),
    };
    let scenario = Scenario { cluster, source };
    let found = scenario.run(Keep::default()).expect("a run").broken;
    let found = found.expect("something broken");
    let shrunk = shrink(&scenario, 3000, &mut |_, _| {}).expect("a script");
    assert!(shrink::same(found.what, shrunk.broken.what), "{shrunk:?}");
    assert!(
        shrunk.acts <= most && shrunk.acts < shrunk.before,
        "{shrunk:#?}"
    );
    for _ in 0..2 {
        let again = shrunk.scenario.run(Keep::default()).expect("a run");
        assert_eq!(again.broken, Some(shrunk.broken));
    }
    effort::say(format!(
        "{}: {} acts shrunk to {} in {} runs",
        plant.name(),
        shrunk.before,
        shrunk.acts,
        shrunk.runs
    ));
    // Without the bug the same script breaks nothing.
    let mut sound = shrunk.scenario;
    sound.cluster.plant = Plant::None;
    assert_eq!(sound.run(Keep::default()).expect("a run").broken, None);
}

#[cfg_attr(test, test)]
fn ss_144_planted_bugs_are_found_and_shrunk_to_scripts_that_fail_again() {
    found_and_shrunk(Plant::Twice, &["loss"], 3);
    found_and_shrunk(Plant::Untrue, &["crash"], 3);
    found_and_shrunk(Plant::Lost, &["all"], 3);
}

#[cfg_attr(test, test)]
fn ss_146_hours_of_random_faults_break_nothing() {
    let load = Load {
        concurrent: 1,
        gap: SEC / 5,
        ..Load::named(["mixed"]).expect("a workload")
    };
    let source = Source::Programs {
        load,
        harms: Harm::named("all").expect("nemeses"),
        limit: Limit::Time(full(600, 8 * 3600) * SEC),
    };
    let cluster = Cluster::new(seed(146), 8);
    let report = Scenario { cluster, source }
        .run(Keep::default())
        .expect("a run");
    assert_eq!(report.broken, None, "seed {}", seed(146));
    assert!(report.ended[0] > report.calls / 2, "{report:?}");
    effort::say("invariants I1 to I5; D, H and C are about parts that are not there yet");
    effort::say(format!(
        "{:.1} h, {} calls: {} answered, {} not executed, {} unknown",
        report.time as f64 / 3.6e12,
        report.calls,
        report.ended[0],
        report.ended[1],
        report.ended[2]
    ));
}

#[cfg_attr(test, test)]
fn ss_057_a_slow_receiver_does_not_hold_up_another_pair_of_the_same_sites() {
    let ended = |with_slow: bool| {
        let mut world = World::new(seed(57), 2, Faults::NONE);
        let (fast, slow) = (world.open(1, 64), world.open(1, 2));
        world.run(SEC);
        let plan = |service| Plan {
            service,
            ..Plan::NULL
        };
        let (mut of_fast, mut of_slow, mut done) = (Vec::new(), Vec::new(), 0);
        let end = world.now + 5 * SEC;
        while world.now < end {
            of_slow.retain(|call| world.waits(*call));
            while with_slow && of_slow.len() < 64 {
                of_slow.push(world.call(2, slow, &[1; 5000], plan(50 * MS)));
            }
            let before = of_fast.len();
            of_fast.retain(|call| world.waits(*call));
            done += before - of_fast.len();
            while of_fast.len() < 4 {
                of_fast.push(world.call(2, fast, b"quick", plan(MS / 10)));
            }
            world.run(MS / 10);
        }
        done
    };
    let (alone, beside) = (ended(false), ended(true));
    effort::say(format!(
        "{alone} calls alone, {beside} beside a slow receiver"
    ));
    assert!(beside * 10 >= alone * 8, "{alone} and {beside}");
}

#[cfg_attr(test, test)]
fn acts_that_make_no_sense_are_left_out() {
    let acts = [
        Act::Leave { tag: 9 },
        Act::Resume { site: 1 },
        Act::Restart { site: 1 },
        Act::Restart { site: 99 },
        Act::Kill { site: 0 },
        Act::Kill { site: 2 },
        Act::Pause { site: 2 },
        Act::Replace { site: 2 },
        Act::Heal,
    ];
    let script = acts.into_iter().map(|act| (3 * SEC, act)).collect();
    let scenario = Scenario {
        cluster: Cluster::new(1, 3),
        source: Source::Script(script),
    };
    assert_eq!(scenario.run(Keep::default()).expect("a run").broken, None);
}

/// All of them.
pub(super) const CHECKS: &[super::Check] = super::checks![
    ss_138_a_seed_gives_a_log_of_frames_that_is_the_same_to_the_byte,
    ss_139_a_link_of_10_ms_and_a_megabyte_a_second_is_just_that,
    ss_140_one_percent_is_one_percent_and_turned_bits_are_noticed,
    ss_141_every_pair_communicates_and_hops_are_those_of_the_topology,
    ss_142_a_cut_link_is_gone_around_and_who_has_none_left_is_down,
    ss_143_a_scripted_fault_meets_just_its_frame_in_every_run,
    ss_144_planted_bugs_are_found_and_shrunk_to_scripts_that_fail_again,
    ss_146_hours_of_random_faults_break_nothing,
    ss_057_a_slow_receiver_does_not_hold_up_another_pair_of_the_same_sites,
    acts_that_make_no_sense_are_left_out,
];
