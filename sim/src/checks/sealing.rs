//! Sealed frames (SS-072…074, SS-076…078).

use crate::effort::seed;
use crate::network::Faults;
use crate::random::Random;
use crate::workload::group;
use crate::world::{MS, Plan, SEC, World, pattern};
use chorus_abi::error::K_EUNKNOWN;
use chorus_abi::{K_BROADMODE, K_MIGRATEMSG, KnUniqueId, UiType};
use chorus_transport::frame::{self, KIND_NAMES};
use chorus_transport::{Counters, Event, Seal};
use std::collections::{BTreeMap, BTreeSet};

/// A frame, and the site to which it came.
type Heard = (u16, Vec<u8>);

/// How many times something is tried: `default`, or what the environment says (`CHORUS_SEAL_TRIALS`).
fn trials(default: u64) -> u64 {
    std::env::var("CHORUS_SEAL_TRIALS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| crate::effort::full(default, 10 * default))
}

fn refusals(counters: &Counters) -> u64 {
    let names = ["malformed", "misdirected", "own_site_heard"];
    counters
        .list()
        .filter(|(name, _)| {
            names.contains(name) || (name.starts_with("refused_") && *name != "refused_identities")
        })
        .map(|(_, count)| count)
        .sum()
}

/// Lets a site hear a frame now; whether it was refused and counted. Fails if it had any effect, an announcement aside.
fn without_effect(world: &mut World, to: u16, bytes: &[u8]) -> bool {
    let before = (world.fingerprint(to), refusals(&world.counters(to)));
    let nucleus = format!("{:?}", world.site(to).nucleus);
    world.sent.clear();
    crate::effort::count(|done| done.forged += 1);
    world.event(to, Event::Frame(bytes));
    let kind = KIND_NAMES[usize::from(bytes[frame::ETHERNET + 1]) % KIND_NAMES.len()];
    assert_eq!(
        world.fingerprint(to),
        before.0,
        "tables of site {to} after a {kind}"
    );
    assert_eq!(
        format!("{:?}", world.site(to).nucleus),
        nucleus,
        "Nucleus of site {to} after a {kind}"
    );
    assert!(
        world
            .sent
            .iter()
            .all(|sent| KIND_NAMES[usize::from(sent.kind)] == "HELLO"),
        "answers to a {kind}"
    );
    refusals(&world.counters(to)) == before.1 + 1
}

/// A world in which frames of all kinds were heard, at rest again.
fn eventful(seed: u64, change: impl Fn(&mut chorus_transport::Config)) -> (World, Vec<Heard>) {
    let mut world = World::watching_with(seed, 3, Faults::all(100), change);
    world.record = true;
    world.run(2 * SEC);
    let ports: Vec<_> = (1..=3).map(|site| world.open(site, 2)).collect();
    world.join(1, group(), ports[0]);
    world.join(2, group(), ports[1]);
    let mode = group().with_mode(K_BROADMODE).unwrap();
    let mut random = Random::new(seed);
    for round in 0..60u64 {
        let (from, to) = (1 + (round % 3) as u16, (round + 1) % 3);
        let length = [0, 100, 9000][(round % 3) as usize];
        let plan = Plan {
            service: random.below(3) * 600 * MS,
            reply: length,
            ..Plan::NULL
        };
        let target = ports[to as usize];
        let body = pattern(round, length);
        let call = world.call(from, target, &body, plan);
        world.send(from, target, &body, true);
        world.send(3, mode, &body, false);
        let nowhere = KnUniqueId::from_fields(1 + to as u16, UiType::Port, 9, 7);
        world.call(from, nowhere, &[], Plan::NULL);
        world.run(random.below(500 * MS));
        if round % 5 == 0 {
            world.leave(call);
        }
        if round == 30 {
            // The others find site 3 to be down; it goes on in another incarnation.
            world.pause(3);
            world.run(5 * SEC);
            world.resume(3);
            world.run(5 * SEC);
            assert!(world.site(3).incarnation > 1);
        }
        if round == 40 {
            // The others miss that a port joins, and ask for the list.
            world.cut(1, 2);
            world.cut(1, 3);
            let port = world.open(1, 2);
            world.join(1, group(), port);
            world.run(50 * MS);
            world.heal();
        }
    }
    // A port goes: NACK.
    world.close(2, ports[1]);
    world.call(1, ports[1], &[], Plan::NULL);
    world.run(40 * SEC);
    world.set_faults(Faults::NONE);
    moves(&mut world, ports[2]);
    world.run(200 * SEC);
    let heard = world.heard.clone();
    let kinds: BTreeSet<_> = heard
        .iter()
        .map(|(_, bytes)| KIND_NAMES[usize::from(bytes[frame::ETHERNET + 1])])
        .collect();
    assert_eq!(
        kinds.len(),
        KIND_NAMES.len() - 1,
        "not all kinds: {kinds:?}"
    );
    (world, heard)
}

/// A port of site 3 moves to site 1 with what waits at it, and on to site 2, whose answer comes late.
fn moves(world: &mut World, port: KnUniqueId) {
    if let Some(entry) = world.site(3).nucleus.ports.get_mut(&port.word()) {
        entry.enabled = false;
    }
    world.call(2, port, b"waits", Plan::NULL);
    world.send(1, port, b"waits", false);
    world.run(SEC);
    assert!(world.migrate_now(3, port, 1, K_MIGRATEMSG).0 >= 0);
    let number = world.migrate(1, port, 2, K_MIGRATEMSG);
    let activated = |world: &World| {
        let mut sent = world.sent.iter();
        sent.any(|sent| sent.from == 1 && KIND_NAMES[usize::from(sent.kind)] == "ACTIVATE")
    };
    while !activated(world) {
        let next = world.next().expect("something happens");
        world.run_until(next);
    }
    world.cut(1, 2);
    world.run(10 * SEC);
    assert_eq!(world.migrations[number].end, None);
    world.heal();
    world.run(10 * SEC);
    assert!(world.migrations[number].end.is_some());
}

fn renewing(config: &mut chorus_transport::Config) {
    if let Some(seal) = &mut config.seal {
        seal.renew_frames = 50;
    }
}

#[cfg_attr(test, test)]
fn ss_072_a_recorded_frame_has_no_effect_at_any_later_time() {
    let seed = seed(72);
    crate::effort::say(format!("repeat with CHORUS_SIM_SEED={seed}"));
    let (mut world, heard) = eventful(seed, renewing);
    assert!(heard.len() > 1000 && world.counters(1).keys_renewed > 3);
    // At rest, after some time, and at whoever else may hear it.
    for wait in [MS, SEC, 1000 * SEC] {
        world.run(wait);
        for (to, bytes) in &heard {
            assert!(without_effect(&mut world, *to, bytes));
            // A broadcast may have been lost on its way to the other: that would be its first time.
            if bytes[0] != 0xFF {
                assert!(without_effect(&mut world, 1 + *to % 3, bytes));
            }
        }
    }
    // After more keys.
    let port = world.open(1, 8);
    for _ in 0..300 {
        world.call(2, port, &[], Plan::NULL);
        world.run(MS);
    }
    world.run(70 * SEC);
    for (to, bytes) in &heard {
        assert!(without_effect(&mut world, *to, bytes));
    }
    // After each site started again, and after all did. None serves what it heard before.
    for site in [1, 2, 3] {
        world.crash(site);
        world.restart(site);
        let port = world.open(site, 8);
        world.join(site, group(), port);
        for (to, bytes) in &heard {
            without_effect(&mut world, *to, bytes);
        }
        world.run(2 * SEC);
        for (to, bytes) in &heard {
            assert!(without_effect(&mut world, *to, bytes));
        }
        // And it is heard again.
        let from = 1 + site % 3;
        let call = world.call(from, port, &[], Plan::NULL);
        world.run(SEC);
        assert_eq!(world.end(call).map(|end| end.0), Some(0));
        world.run(70 * SEC);
    }
    // Another run of the same cluster: same sites, incarnations and seed, another key.
    let mut world = World::with(seed, 3, Faults::NONE, |config| {
        config.seal = Some(Seal::new([1; 32], 1));
    });
    world.record = true;
    world.run(2 * SEC);
    for (to, bytes) in &heard {
        assert!(without_effect(&mut world, *to, bytes));
    }
}

/// Whatever sites go through, starting again and going on in another incarnation by themselves: no two frames are sealed with the same key and number.
#[cfg_attr(test, test)]
fn no_key_seals_two_frames_with_the_same_number() {
    let seed = seed(721);
    crate::effort::say(format!("repeat with CHORUS_SIM_SEED={seed}"));
    let mut world = World::watching_with(seed, 4, Faults::all(30), renewing);
    world.record = true;
    let mut random = Random::new(seed);
    let mut ports: Vec<_> = (1..=4).map(|site| world.open(site, 8)).collect();
    for _ in 0..60 {
        let site = 1 + random.below(4) as u16;
        match random.below(3) {
            0 => {
                world.crash(site);
                world.run(random.below(3 * SEC));
                world.restart(site);
                ports[usize::from(site) - 1] = world.open(site, 8);
            }
            1 => {
                world.pause(site);
                world.run(random.below(5 * SEC));
                world.resume(site);
            }
            _ => {
                let rest: Vec<u16> = (1..=4).filter(|other| *other != site).collect();
                world.split(&[vec![site], rest]);
                world.run(random.below(5 * SEC));
                world.heal();
            }
        }
        for from in 1..=4u16 {
            world.call(from, ports[usize::from(from) % 4], &[], Plan::NULL);
        }
        world.run(random.below(2 * SEC));
    }
    let counts: Vec<_> = (1..=4).map(|site| world.counters(site)).collect();
    let (renewed, boots) = (1..=4).fold((0, 0), |(renewed, boots), number| {
        let site = world.site(number);
        let by_itself = u32::from(site.incarnation) - site.boots;
        (renewed + by_itself, boots + site.boots)
    });
    assert!(renewed > 5 && boots > 10, "{renewed}, {boots}: {counts:?}");
    // What the nonce is made of (`seal/keys.rs`), and what was sealed with it. A frame that comes twice is the same frame.
    let mut sealed = BTreeMap::new();
    for (_, bytes) in &world.heard {
        let outer = frame::outer(bytes).expect("a header");
        let header = &outer.header;
        let to = match header.dst_incarnation {
            0 => (0, 0),
            incarnation => (header.dst_site, incarnation),
        };
        let from = (header.src_site, header.src_incarnation);
        let before = sealed.entry((from, to, header.counter)).or_insert(bytes);
        assert_eq!(*before, bytes, "{from:?} to {to:?}: {}", header.counter);
    }
    assert!(sealed.len() > 2000, "{}", sealed.len());
}

/// While calls are under way every frame comes a second time, a millisecond to a second later: nothing changes by it.
#[cfg_attr(test, test)]
fn ss_072_replays_under_load_have_no_effect() {
    let seed = seed(720);
    crate::effort::say(format!("repeat with CHORUS_SIM_SEED={seed}"));
    let mut world = World::with(seed, 3, Faults::all(50), renewing);
    world.record = true;
    let ports: Vec<_> = (1..=3).map(|site| world.open(site, 64)).collect();
    world.run(2 * SEC);
    let mut random = Random::new(seed);
    let (mut replayed, mut at) = (0, 0);
    for round in 0..1500u64 {
        let from = 1 + (round % 3) as u16;
        let length = random.below(3000) as usize;
        let plan = Plan {
            service: random.below(20 * MS),
            reply: length,
            ..Plan::NULL
        };
        let target = ports[usize::from(from) % 3];
        world.call(from, target, &pattern(round, length), plan);
        world.run(random.below(2 * MS));
        // What came a while ago, again.
        while at + 50 < world.heard.len() {
            let (to, bytes) = world.heard[at].clone();
            without_effect(&mut world, to, &bytes);
            at += 1 + random.below(3) as usize;
            replayed += 1;
        }
    }
    world.faults = Faults::NONE;
    world.run(60 * SEC);
    assert_eq!(world.history.check(), Ok(()));
    assert!(replayed > 1000, "{replayed}");
}

/// `CHORUS_SEAL_TRIALS=10000000` for the whole count of SS-073.
#[cfg_attr(test, test)]
fn ss_073_any_flipped_bit_in_any_frame_makes_it_be_dropped_and_counted() {
    let seed = seed(73);
    crate::effort::say(format!("repeat with CHORUS_SIM_SEED={seed}"));
    let (mut world, heard) = eventful(seed, |_| {});
    let mut random = Random::new(seed);
    for _ in 0..trials(100_000) {
        let (to, bytes) = &heard[random.below(heard.len() as u64) as usize];
        let mut bytes = bytes.clone();
        let bit = random.below(bytes.len() as u64 * 8) as usize;
        bytes[bit / 8] ^= 1 << (bit % 8);
        world.sent.clear();
        let before = refusals(&world.counters(*to));
        let tables = world.fingerprint(*to);
        world.event(*to, Event::Frame(&bytes));
        let counted = refusals(&world.counters(*to)) == before + 1;
        assert!(counted, "bit {bit} of {bytes:02x?} is not counted");
        assert_eq!(world.fingerprint(*to), tables, "bit {bit} of {bytes:02x?}");
        assert!(world.sent.is_empty(), "bit {bit} of {bytes:02x?}");
    }
}

/// What the site with number 3 has in place of the cluster's key.
fn stranger(seal: Option<Seal>) -> World {
    let mut world = World::with(74, 3, Faults::NONE, |config| {
        if config.site == 3 {
            config.seal.clone_from(&seal);
        }
    });
    world.record = true;
    world
}

#[cfg_attr(test, test)]
fn ss_074_a_site_without_the_key_gets_no_answer_joins_no_group_and_learns_no_location() {
    for seal in [None, Some(Seal::new([9; 32], 1))] {
        let clear = seal.is_none();
        let mut world = stranger(seal);
        world.run(2 * SEC);
        let ports: Vec<_> = (1..=3).map(|site| world.open(site, 8)).collect();
        for (site, port) in (1..=3).zip(&ports) {
            world.join(site, group(), *port);
        }
        let mode = group().with_mode(K_BROADMODE).unwrap();
        world.run(SEC);
        let tables = (world.fingerprint(1), world.fingerprint(2));
        let calls: Vec<_> = ports[..2]
            .iter()
            .flat_map(|port| {
                world.send(3, *port, &[1], false);
                world.send(3, mode, &[1], false);
                [port, port].map(|port| world.call(3, *port, &[], Plan::NULL))
            })
            .collect();
        world.run(20 * SEC);
        for call in calls {
            assert_eq!(world.end(call).map(|end| end.0), Some(K_EUNKNOWN));
        }
        assert_eq!((world.fingerprint(1), world.fingerprint(2)), tables);
        assert!(world.sent.iter().all(|sent| sent.from == 3 || sent.to == 0));
        assert!(
            world
                .sent
                .iter()
                .all(|sent| sent.from == 3 || sent.time < 3 * SEC)
        );
        // Nor does the stranger get anything that the others say to their group.
        world.send(1, mode, &[7; 10], false);
        world.run(SEC);
        assert_eq!(world.site(2).nucleus.arrivals.len(), 1);
        assert_eq!(world.site(3).nucleus.arrivals.len(), 0);
        let (one, three) = (world.counters(1), world.counters(3));
        if clear {
            assert!(one.refused_clear > 5 && three.refused_no_key > 0);
            assert_eq!(one.refused_tag, 0);
        } else {
            assert!(one.refused_tag > 5 && three.refused_tag > 0);
        }
        assert_eq!((one.opened, three.opened), (world.counters(2).sealed, 0));
    }
}

/// Calls that each client repeats as soon as it has its answer; the longest time in which no call ended.
fn steady(world: &mut World, port: KnUniqueId, calls: u32) -> u64 {
    let mut waiting: Vec<u32> = (0..16)
        .map(|_| world.call(2, port, &[1; 100], Plan::NULL))
        .collect();
    let (mut made, mut last, mut gap) = (16, world.now, 0);
    while !waiting.is_empty() {
        world.run(MS / 10);
        let before = waiting.len();
        waiting.retain(|call| world.waits(*call));
        let ended = before - waiting.len();
        if ended > 0 {
            gap = gap.max(world.now - last);
            last = world.now;
        }
        for _ in 0..ended {
            if made < calls {
                made += 1;
                waiting.push(world.call(2, port, &[1; 100], Plan::NULL));
            }
        }
    }
    gap
}

#[cfg_attr(test, test)]
fn ss_076_keys_are_renewed_under_load_without_a_failed_call_or_a_gap() {
    let by_frames = |seal: &mut Seal| seal.renew_frames = 100;
    let by_age = |seal: &mut Seal| seal.renew_age = 5 * MS;
    for renew in [by_frames, by_age as fn(&mut Seal)] {
        let world = |faults| {
            let mut world = World::with(76, 2, Faults::NONE, |config| {
                if let Some(seal) = &mut config.seal {
                    renew(seal);
                }
            });
            let port = world.open(1, 64);
            world.run(2 * SEC);
            world.faults = faults;
            (world, port)
        };
        let reordered = Faults {
            loss: 0,
            duplicate: 0,
            ..Faults::all(200)
        };
        for (faults, longest) in [
            (Faults::NONE, MS),
            (reordered, 10 * MS),
            (Faults::all(100), SEC),
        ] {
            let (mut world, port) = world(faults);
            let gap = steady(&mut world, port, 4000);
            world.run(10 * SEC);
            assert!(gap <= longest, "{gap} ns without an answer");
            let renewed = world.counters(2).keys_renewed;
            assert!(renewed >= 10, "{renewed} renewals");
            assert_eq!(world.history.check(), Ok(()));
            assert!((0..4000).all(|call| world.end(call).is_some_and(|end| end.0 == 0)));
            let refused = [1, 2].map(|site| world.counters(site).refused_window);
            assert_eq!(refused, [0, 0], "frames of a key that was over too early");
        }
    }
}

#[cfg_attr(test, test)]
fn ss_077_bodies_do_not_appear_on_the_wire() {
    const MARK: &[u8] = b"a marker that would be seen";
    let seen = |mut world: World| {
        let port = world.open(1, 8);
        world.run(2 * SEC);
        world.record = true;
        let body = MARK.repeat(200);
        let call = world.call(2, port, &body, Plan::NULL);
        world.send(2, port, MARK, false);
        world.run(SEC);
        assert_eq!(world.end(call).map(|end| end.0), Some(0));
        let shows = |(_, bytes): &Heard| bytes.windows(MARK.len()).any(|window| window == MARK);
        world.heard.iter().filter(|heard| shows(heard)).count()
    };
    assert_eq!(seen(World::new(77, 2, Faults::NONE)), 0);
    assert!(
        seen(World::in_clear(77, 2, Faults::NONE)) >= 5,
        "the search finds nothing"
    );
}

/// Bytes of any content and length, most of them with a believable header, while honest calls go on.
#[cfg_attr(test, test)]
fn ss_078_random_bytes_on_a_sealed_wire_do_nothing() {
    let seed = seed(78);
    crate::effort::say(format!("repeat with CHORUS_SIM_SEED={seed}"));
    let mut world = World::new(seed, 2, Faults::NONE);
    let port = world.open(1, 8);
    world.run(2 * SEC);
    let mut random = Random::new(seed);
    world.call(2, port, &[], Plan::NULL);
    world.run(100 * SEC);
    let tables = (world.fingerprint(1), world.sizes(1));
    let injected = trials(100_000);
    for n in 0..injected {
        let length = random.below(if n % 50 == 0 { 1514 } else { 130 });
        let mut bytes = pattern(random.word(), length as usize);
        if bytes.len() >= frame::ETHERNET + frame::HEADER && n % 10 != 0 {
            let (from, broadcast) = (1 + random.below(4) as u16, random.happens(300));
            let to = if broadcast { 0 } else { 1 };
            bytes[..6].copy_from_slice(&frame::mac(to));
            bytes[6..12].copy_from_slice(&frame::mac(from));
            bytes[12..14].copy_from_slice(&frame::ETHERTYPE.to_be_bytes());
            bytes[14] = frame::VERSION;
            bytes[16] &= 3;
            bytes[17] = if random.happens(900) { 0x80 } else { 0 };
            bytes[18..20].copy_from_slice(&to.to_le_bytes());
            bytes[20..22].copy_from_slice(&from.to_le_bytes());
            bytes[22..24].copy_from_slice(&(random.below(3) as u16).to_le_bytes());
            bytes[24..26].copy_from_slice(&(1 + random.below(3) as u16).to_le_bytes());
            let payload = (bytes.len() - frame::ETHERNET - frame::HEADER) as u32;
            bytes[34..38].copy_from_slice(&payload.to_le_bytes());
        }
        world.event(1, Event::Frame(&bytes));
    }
    let counters = world.counters(1);
    assert_eq!((world.fingerprint(1), world.sizes(1)), tables);
    assert!(counters.refused_tag > injected / 3, "{counters:?}");
    assert!(counters.refused_clear > injected / 50, "{counters:?}");
    let call = world.call(2, port, &[], Plan::NULL);
    world.run(MS);
    assert_eq!(world.end(call).map(|end| end.0), Some(0));
}

/// The first contact costs no frame more than without sealing, and the steady state is two frames a call.
#[cfg_attr(test, test)]
fn sealing_costs_no_frame() {
    let kinds = |mut world: World| {
        let port = world.open(1, 8);
        world.run(2 * SEC);
        world.record = true;
        for _ in 0..3 {
            world.call(2, port, &[], Plan::NULL);
            world.run(MS);
        }
        world.sent.iter().map(|sent| sent.kind).collect::<Vec<_>>()
    };
    let sealed = kinds(World::new(70, 2, Faults::NONE));
    assert_eq!(sealed, kinds(World::in_clear(70, 2, Faults::NONE)));
    assert_eq!(sealed.len(), 4 + 2 + 2);
}

/// All of them.
pub(super) const CHECKS: &[super::Check] = super::checks![
    ss_072_a_recorded_frame_has_no_effect_at_any_later_time,
    no_key_seals_two_frames_with_the_same_number,
    ss_072_replays_under_load_have_no_effect,
    ss_073_any_flipped_bit_in_any_frame_makes_it_be_dropped_and_counted,
    ss_074_a_site_without_the_key_gets_no_answer_joins_no_group_and_learns_no_location,
    ss_076_keys_are_renewed_under_load_without_a_failed_call_or_a_gap,
    ss_077_bodies_do_not_appear_on_the_wire,
    ss_078_random_bytes_on_a_sealed_wire_do_nothing,
    sealing_costs_no_frame,
];
