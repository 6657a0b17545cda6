//! Frames about ports that move, from those who have nothing to do with it: forged, out of turn, and again.

use crate::effort;
use crate::network::Faults;
use crate::random::Random;
use crate::world::{MS, Plan, SEC, World, pattern};
use chorus_abi::{K_MIGRATEMSG, KnUniqueId, UiType};
use chorus_transport::frame::{self, Data, Header, Nack, Of, Payload, Reason, Txn, Verb};

/// A frame about the port from a site that has nothing to do with it.
fn forged(
    random: &mut Random,
    port: KnUniqueId,
    actors: [KnUniqueId; 2],
    seq: u64,
) -> (u16, Vec<u8>) {
    // Site 3 is there, the others are not.
    let from = if random.happens(700) {
        3
    } else {
        4 + random.below(60) as u16
    };
    let to = 1 + random.below(2) as u16;
    let target = match random.below(4) {
        0 => KnUniqueId::from_fields(to, UiType::Port, 1, random.below(50) as u32),
        _ => port,
    };
    let txn = Txn {
        channel: random.below(200) as u16,
        seq,
    };
    let epoch = [random.below(40) as u32, random.word() as u32][random.below(2) as usize];
    let content = pattern(random.word(), random.below(200) as usize);
    let piece = chorus_transport::frame::Piece {
        index: 0,
        count: 1,
        size: content.len().max(1) as u32,
        total: content.len() as u32,
        bytes: &content,
    };
    let data = |verb| {
        Payload::Request(Data {
            verb,
            txn,
            piece,
            annex: false,
            target,
            co_target: actors[usize::from(to) - 1],
            src_port: KnUniqueId::NULL,
            port_epoch: epoch,
            actor_pi: Default::default(),
            port_pi: Default::default(),
        })
    };
    let hint = (
        1 + random.below(70) as u16,
        random.below(3) as u16,
        epoch % 40,
    );
    let payload = match random.below(10) {
        // Passing on a message is sending one: who may send may do so. It is not about the port.
        at @ 0..4 => data(Verb::MOVES[at as usize]),
        4..7 => data(Verb::Prepare),
        7 => Payload::Moved {
            ui: target,
            nonce: random.below(2) * random.word(),
            hint,
        },
        8 => Payload::Nack(Nack {
            txn,
            of: Of::Request,
            reason: Reason::NotHere,
            result: 0,
            target,
            co_target: KnUniqueId::NULL,
            hint,
        }),
        _ => Payload::Here {
            ui: target,
            co_target: KnUniqueId::NULL,
            nonce: random.word(),
            port_epoch: epoch,
        },
    };
    let header = Header {
        dst_site: to,
        src_site: from,
        dst_incarnation: 1,
        src_incarnation: 1,
        mtu: 1514,
        ..Header::default()
    };
    let mut out = Vec::new();
    frame::write(&header, &payload, &mut out);
    (to, out)
}

#[cfg_attr(test, test)]
fn frames_about_a_move_from_strangers_change_nothing() {
    let mut world = World::in_clear(27, 3, Faults::NONE);
    world.keeps = false;
    let port = world.open(1, 64);
    world.run(2 * SEC);
    let mut random = Random::new(effort::seed(27));
    let rounds = effort::full(400, 10_000);
    let mut seq = 1;
    for round in 0..rounds {
        let (from, to) = if round % 2 == 0 { (1, 2) } else { (2, 1) };
        let actors = [1, 2].map(|site| KnUniqueId::from_word(world.site(site).nucleus.actor));
        let plan = Plan {
            queue: MS / 10,
            ..Plan::NULL
        };
        let calls = [1, 2].map(|site| world.call(site, port, &[1; 20], plan));
        let number = world.migrate(from, port, to, K_MIGRATEMSG);
        for _ in 0..100 {
            seq += 1;
            let (to, bytes) = forged(&mut random, port, actors, seq);
            world.inject(to, bytes, random.below(MS));
        }
        let limit = world.now + 5 * SEC;
        while world.migrations[number].end.is_none() || calls.iter().any(|call| world.waits(*call))
        {
            assert!(
                world.now < limit,
                "round {round}: {:?} {:?} {:?}",
                world.migrations[number],
                calls.map(|call| world.waits(call)),
                [1, 2].map(|site| world.sizes(site))
            );
            let next = world.next().expect("something happens");
            world.run_until(next);
        }
        world.run(MS);
        let end = world.migrations[number].end.expect("an end");
        assert!(end.0 >= 0, "round {round}: {end:?}");
        assert_eq!(world.place_of(port), Some(to), "round {round}");
        // Ports that nobody made are nowhere.
        for site in [1, 2] {
            assert!(world.site(site).nucleus.ports.len() <= 1, "round {round}");
        }
    }
    assert_eq!((world.broken, world.judge.finish()), (None, Ok(())));
    let failed = world.judge.results().filter(|result| *result != 0).count();
    assert_eq!(failed, 0);
    world.run(200 * SEC);
    for site in [1, 2] {
        let sizes = world.sizes(site);
        assert_eq!(
            (sizes.moves, sizes.calls, sizes.serving),
            (0, 0, 0),
            "{sizes:?}"
        );
    }
}

#[cfg_attr(test, test)]
fn what_a_stranger_activates_or_asks_for_in_the_middle_stays_as_it_is() {
    for verb in [Verb::Activate, Verb::Ask, Verb::Have] {
        let mut world = World::in_clear(28, 3, Faults::NONE);
        let port = world.open(1, 64);
        world.run(2 * SEC);
        let number = world.migrate(1, port, 2, K_MIGRATEMSG);
        // The port arrives at site 2; its answer is under way.
        while world.sizes(2).moves == 0 {
            let next = world.next().expect("something happens");
            world.run_until(next);
        }
        let before = (world.place_of(port), world.site(2).nucleus.is_here(port));
        assert_eq!(before, (Some(1), false));
        let content = [];
        let data = Data {
            verb,
            txn: Txn {
                channel: 0,
                seq: 1 << 30,
            },
            piece: frame::Piece {
                index: 0,
                count: 1,
                size: 1,
                total: 0,
                bytes: &content,
            },
            annex: false,
            target: port,
            co_target: KnUniqueId::NULL,
            src_port: KnUniqueId::NULL,
            port_epoch: 1,
            actor_pi: Default::default(),
            port_pi: Default::default(),
        };
        let header = Header {
            dst_site: 2,
            src_site: 3,
            dst_incarnation: 1,
            src_incarnation: 1,
            mtu: 1514,
            ..Header::default()
        };
        let mut bytes = Vec::new();
        frame::write(&header, &Payload::Request(data), &mut bytes);
        world.inject(2, bytes, 0);
        let now = world.now;
        world.run_until(now);
        let after = (world.place_of(port), world.site(2).nucleus.is_here(port));
        assert_eq!((after, world.sizes(2).moves), (before, 1), "{verb:?}");
        world.run(SEC);
        assert!(world.migrations[number].end.is_some_and(|end| end.0 >= 0));
        assert_eq!(world.place_of(port), Some(2));
    }
}

/// All of them.
pub(super) const CHECKS: &[super::Check] = super::checks![
    frames_about_a_move_from_strangers_change_nothing,
    what_a_stranger_activates_or_asks_for_in_the_middle_stays_as_it_is,
];
