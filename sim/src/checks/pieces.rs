//! Large messages, memory bounds and frames of any content (SS-055…062, SS-078).

use crate::effort::seed;
use crate::network::Faults;
use crate::ports::Port;
use crate::random::Random;
use crate::workload::Mix;
use crate::world::{MS, Plan, SEC, Sent, World, pattern};
use chorus_abi::KnUniqueId;
use chorus_transport::Config;
use chorus_transport::frame::{self, KIND_NAMES};

fn pair(faults: Faults, change: impl Fn(&mut Config)) -> (World, KnUniqueId) {
    let mut world = World::with(55, 2, Faults::NONE, change);
    let port = world.open(1, 64);
    world.run(2 * SEC);
    world.call(2, port, &[], Plan::NULL);
    world.run(2 * SEC);
    world.set_faults(faults);
    (world, port)
}

#[cfg_attr(test, test)]
fn ss_055_062_bodies_of_all_sizes_with_and_without_annex_arrive_unchanged() {
    let (mut world, port) = pair(Faults::NONE, |_| {});
    let sizes = (0..65_536).step_by(997).chain([
        1, 63, 64, 65, 1347, 1348, 1349, 1411, 1412, 1413, 65_535, 65_536,
    ]);
    for (n, size) in sizes.enumerate() {
        let call = world.call(
            2,
            port,
            &pattern(n as u64, size),
            Plan {
                reply: 65_536 - size,
                annex: n % 2 == 0,
                ..Plan::NULL
            },
        );
        world.run(10 * MS);
        assert_eq!(world.end(call).map(|end| end.0), Some(0), "{size}");
    }
    assert_eq!(world.history.check(), Ok(()));
}

#[cfg_attr(test, test)]
fn a_64_kib_call_without_loss_costs_48_frames_and_no_acknowledgement() {
    let (mut world, port) = pair(Faults::NONE, |_| {});
    world.record = true;
    world.call(2, port, &[7; 65_536], Plan::NULL);
    world.run(100 * MS);
    assert_eq!(world.sent.len(), 48, "47 pieces and the reply");
}

#[cfg_attr(test, test)]
fn ss_056_large_calls_under_20_percent_loss_resend_little_more_than_was_lost() {
    let (mut world, port) = pair(
        Faults {
            loss: 200,
            ..Faults::NONE
        },
        |_| {},
    );
    world.record = true;
    let calls: Vec<u32> = (0..50)
        .map(|n| {
            let call = world.call(
                2,
                port,
                &pattern(n, 65_536),
                Plan {
                    reply: 65_536,
                    ..Plan::NULL
                },
            );
            world.run(5 * SEC);
            call
        })
        .collect();
    assert!(
        calls
            .iter()
            .all(|call| world.end(*call).is_some_and(|end| end.0 == 0))
    );
    let data = |sent: &&Sent| matches!(KIND_NAMES[usize::from(sent.kind)], "REQUEST" | "REPLY");
    let pieces = world.sent.iter().filter(data).count();
    // 94 pieces a call; a fifth is lost each time: 94 / 0.8 = 117.5 if nothing is sent needlessly.
    assert!(pieces < 50 * 94 * 14 / 10, "{pieces}");
    assert_eq!(world.history.check(), Ok(()));
}

#[cfg_attr(test, test)]
fn ss_061_sites_with_frames_of_different_sizes_understand_each_other() {
    for (one, two) in [
        (1514, 9014),
        (9014, 1514),
        (frame::MTU_MAX, 1514),
        (frame::MTU_MAX, frame::MTU_MAX),
        (1200, 65_000),
    ] {
        let (mut world, port) = pair(Faults::all(50), |config| {
            config.mtu = if config.site == 1 { one } else { two }
        });
        world.record = true;
        for n in 0..20 {
            let call = world.call(
                2,
                port,
                &pattern(n, 65_536),
                Plan {
                    reply: 65_536,
                    annex: true,
                    ..Plan::NULL
                },
            );
            world.run(5 * SEC);
            assert_eq!(world.end(call).map(|end| end.0), Some(0), "{one} {two}");
        }
        assert!(
            world.sent.iter().all(|sent| sent.bytes <= one.min(two)),
            "no frame is larger than both take"
        );
        assert_eq!(world.history.check(), Ok(()));
    }
}

#[cfg_attr(test, test)]
fn ss_058_first_pieces_only_do_not_exceed_the_bound_and_honest_peers_succeed() {
    let mut world = World::in_clear(58, 3, Faults::NONE);
    let port = world.open(1, 64);
    world.run(2 * SEC);
    let body = vec![9; 1000];
    for seq in 1..3000u64 {
        let piece = frame::Piece {
            index: 0,
            count: 60,
            size: 1000,
            total: 60_000,
            bytes: &body,
        };
        let data = frame::Data {
            verb: frame::Verb::Request,
            txn: frame::Txn {
                channel: (seq % 1024) as u16,
                seq,
            },
            piece,
            annex: false,
            target: port,
            co_target: KnUniqueId::NULL,
            src_port: KnUniqueId::NULL,
            port_epoch: 0,
            actor_pi: Default::default(),
            port_pi: Default::default(),
        };
        for payload in [frame::Payload::Request(data), frame::Payload::Send(data)] {
            let header = frame::Header {
                dst_site: 1,
                src_site: 3,
                dst_incarnation: 1,
                src_incarnation: 1,
                mtu: 1514,
                ..Default::default()
            };
            let mut bytes = Vec::new();
            frame::write(&header, &payload, &mut bytes);
            world.inject(1, bytes, 1);
        }
        world.run(MS);
        assert!(world.sizes(1).assembly_bytes <= 1 << 20);
        if seq % 100 == 0 {
            let call = world.call(2, port, &[3; 60_000], Plan::NULL);
            world.run(10 * MS);
            assert_eq!(world.end(call).map(|end| end.0), Some(0));
        }
    }
    assert!(world.counters(1).over_bound > 1000);
    world.run(10 * SEC);
    assert_eq!(world.sizes(1).assembly_bytes, 0);
}

#[cfg_attr(test, test)]
fn kept_replies_stay_within_their_bound() {
    let (mut world, port) = pair(Faults::NONE, |config| config.max_kept = 300_000);
    world
        .site(1)
        .nucleus
        .ports
        .insert(port.word(), Port::taking(1000));
    let calls: Vec<u32> = (0..200)
        .map(|_| {
            world.call(
                2,
                port,
                &[],
                Plan {
                    reply: 60_000,
                    ..Plan::NULL
                },
            )
        })
        .collect();
    world.run(20 * SEC);
    assert!(calls.iter().all(|call| world.end(*call).is_some()));
    assert!(world.sizes(1).kept_bytes <= 300_000);
    assert_eq!(world.history.check(), Ok(()));
}

/// Runs a noisy world and changes copies of its frames at random: nothing may panic, grow, or break what the honest frames do.
#[cfg_attr(test, test)]
fn ss_078_mutated_frames_never_panic_and_no_table_passes_its_bound() {
    let seed = seed(78);
    crate::effort::say(format!("repeat with CHORUS_SIM_SEED={seed}"));
    let mut random = Random::new(seed);
    let mut world = World::with(seed, 3, Faults::all(20), |config| {
        config.max_peers = 20;
        config.max_serving = 50;
        config.max_assembly = 500_000;
        config.max_assembly_peer = 300_000;
        config.max_kept = 200_000;
        config.seal = None;
    });
    let ports: Vec<KnUniqueId> = (1..=3).map(|site| world.open(site, 8)).collect();
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for n in 0..crate::effort::full(110_000, 10_000_000) {
        if n % 40 == 0 {
            let from = 1 + random.below(3) as u16;
            let length = if random.happens(200) {
                random.below(20_000)
            } else {
                30
            } as usize;
            let target = ports[random.below(3) as usize];
            world.call(
                from,
                target,
                &pattern(n, length),
                Plan {
                    reply: length,
                    service: random.below(10 * MS),
                    ..Plan::NULL
                },
            );
            // The valid frames that the mutations start from.
            for payload in 0..3 {
                seeds.push(valid(&mut random, from, target, payload));
            }
            if seeds.len() > 300 {
                seeds.drain(..100);
            }
        }
        let mut bytes = seeds[random.below(seeds.len() as u64) as usize].clone();
        for _ in 0..1 + random.below(4) {
            let at =
                frame::ETHERNET + random.below((bytes.len() - frame::ETHERNET) as u64) as usize;
            match random.below(4) {
                0 => bytes[at] = random.word() as u8,
                1 => bytes[at] ^= 1 << random.below(8),
                2 => bytes.truncate(at.max(frame::ETHERNET + 2)),
                _ => bytes[at] = [0, 1, 0x7F, 0xFF][random.below(4) as usize],
            }
        }
        let to = 1 + random.below(3) as u16;
        world.inject(to, bytes, random.below(MS));
        world.run(20_000);
        if n % 1000 == 0 {
            for site in 1..=3 {
                let sizes = world.sizes(site);
                assert!(
                    sizes.peers <= 20 && sizes.serving <= 50 && sizes.hints <= 4096,
                    "{sizes:?}"
                );
                assert!(
                    sizes.assembly_bytes <= 500_000 && sizes.kept_bytes <= 200_000,
                    "{sizes:?}"
                );
                assert!(
                    sizes.server_channels <= 20 * 1024 && sizes.timers <= 25_000,
                    "{sizes:?}"
                );
            }
        }
    }
    let malformed: u64 = (1..=3).map(|site| world.counters(site).malformed).sum();
    assert!(malformed > 10_000, "{malformed}");
}

/// A valid frame about things that exist.
fn valid(random: &mut Random, from: u16, target: KnUniqueId, kind: u64) -> Vec<u8> {
    let txn = frame::Txn {
        channel: random.below(8) as u16,
        seq: 1 + random.below(3000),
    };
    let content = pattern(random.word(), 64 + random.below(300) as usize);
    let size = 64 + random.below(100);
    let (total, count) = (
        content.len() as u32,
        (content.len() as u64).div_ceil(size) as u8,
    );
    let index = random.below(count.into());
    let bytes = &content[(index * size) as usize..content.len().min(((index + 1) * size) as usize)];
    let piece = frame::Piece {
        index: index as u8,
        count,
        size: size as u32,
        total,
        bytes,
    };
    let verb = match random.below(10) {
        at @ 0..6 => frame::Verb::MOVES[at as usize],
        _ => frame::Verb::Request,
    };
    let data = frame::Data {
        verb,
        txn,
        piece,
        annex: random.happens(500),
        target,
        co_target: KnUniqueId::NULL,
        src_port: KnUniqueId::NULL,
        port_epoch: random.below(4) as u32,
        actor_pi: Default::default(),
        port_pi: Default::default(),
    };
    let of = [frame::Of::Request, frame::Of::Reply][random.below(2) as usize];
    let mut list = Vec::new();
    frame::Acks::push(&mut list, txn);
    let nack = frame::Nack {
        txn,
        of,
        reason: frame::Reason::Busy,
        result: 0,
        target,
        co_target: KnUniqueId::NULL,
        hint: (0, 0, 0),
    };
    let payload = match (kind, random.below(5)) {
        (0, 0..3) => frame::Payload::Request(data),
        (0, _) => frame::Payload::Send(data),
        (1, 0) => frame::Payload::Reply(frame::Reply {
            txn,
            piece,
            annex: false,
            ack_now: false,
            result: 0,
        }),
        (1, 1) => frame::Payload::Nack(nack),
        (1, 2) => frame::Payload::Ack(frame::Acks::new(&list)),
        (1, 3) => frame::Payload::Progress(txn),
        (1, _) => frame::Payload::Cancelled(txn),
        (_, 0) => frame::Payload::Cancel(txn),
        (_, 1) => frame::Payload::Probe(txn),
        (_, 2) => frame::Payload::Missing {
            txn,
            of,
            received: random.word(),
        },
        (_, 3) => frame::Payload::Locate {
            ui: target,
            co_target: KnUniqueId::NULL,
            nonce: 1,
        },
        _ => frame::Payload::Here {
            ui: target,
            co_target: KnUniqueId::NULL,
            nonce: 1,
            port_epoch: 0,
        },
    };
    // Some from a site that does not exist; the sites' MAC addresses follow their numbers.
    let from = if random.happens(300) {
        4 + random.below(60) as u16
    } else {
        from
    };
    let to = 1 + random.below(3) as u16;
    let header = frame::Header {
        dst_site: to,
        src_site: from,
        dst_incarnation: 1,
        src_incarnation: 1,
        mtu: 1514,
        ..Default::default()
    };
    let mut out = Vec::new();
    frame::write(&header, &payload, &mut out);
    out
}

#[cfg_attr(test, test)]
fn a_different_seed_gives_a_different_run_and_the_same_seed_the_same() {
    let mix = Mix {
        calls: 500,
        faults: Faults::all(100),
        big: 50,
        ..Mix::CALM
    };
    let steps = |seed| crate::workload::attempt(seed, mix).unwrap().steps;
    assert_eq!(steps(1), steps(1));
    assert_ne!(steps(1), steps(2));
}

/// All of them.
pub(super) const CHECKS: &[super::Check] = super::checks![
    ss_055_062_bodies_of_all_sizes_with_and_without_annex_arrive_unchanged,
    a_64_kib_call_without_loss_costs_48_frames_and_no_acknowledgement,
    ss_056_large_calls_under_20_percent_loss_resend_little_more_than_was_lost,
    ss_061_sites_with_frames_of_different_sizes_understand_each_other,
    ss_058_first_pieces_only_do_not_exceed_the_bound_and_honest_peers_succeed,
    kept_replies_stay_within_their_bound,
    ss_078_mutated_frames_never_panic_and_no_table_passes_its_bound,
    a_different_seed_gives_a_different_run_and_the_same_seed_the_same,
];
