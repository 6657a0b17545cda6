//! Frames about sites, of any content: no panic, no table beyond its bound, and sites that are together again once it is over.

use crate::effort::{seed, times};
use crate::network::Faults;
use crate::random::Random;
use crate::world::{MS, Plan, SEC, World};
use chorus_abi::{KnUniqueId, UiType};
use chorus_transport::frame::news::{
    Claim, Groups, Hello, Item, Membership, PING_OVER, PING_SUSPECT, Ping, Pong, Relay, View,
};
use chorus_transport::frame::{self, Header, News, Payload};

/// Sites that are there; some frames name others.
const SITES: u16 = 4;

fn one_of<const N: usize>(random: &mut Random, all: [u16; N]) -> u16 {
    all[random.below(N as u64) as usize]
}

/// A frame as some site might send it.
fn made(random: &mut Random) -> Vec<u8> {
    let site = |random: &mut Random| match random.below(4) {
        0 => 1 + random.below(100) as u16,
        _ => 1 + random.below(SITES.into()) as u16,
    };
    let mut items = Vec::new();
    for _ in 0..random.below(8) {
        let item = Item {
            site: site(random),
            incarnation: 1 + random.below(6) as u16,
            life: random.below(4) as u32,
            claim: [Claim::Alive, Claim::Suspect, Claim::Down][random.below(3) as usize],
            groups: random.below(5) as u32,
        };
        View::push(&mut items, &item);
    }
    let view = View::new(
        1 + random.below(9) as u16,
        site(random),
        random.word(),
        &items,
    );
    let mut entries = Vec::new();
    for _ in 0..random.below(40) {
        let member = Membership {
            group: KnUniqueId::static_group(false, random.below(9) as u32).word(),
            port: KnUniqueId::from_fields(1, UiType::Port, 1, random.below(50) as u32).word(),
        };
        Groups::push(&mut entries, random.happens(700), &member);
    }
    let numbers = [random.below(6), random.below(6)].map(|number| number as u32);
    let (index, count) = (random.below(3) as u8, 3 + random.below(200) as u8);
    let mut list =
        Groups::new(random.happens(500), numbers[0], numbers[1], index, count).with(&entries);
    let from = site(random);
    let incarnation = one_of(random, [1, 1, 1, 2, 5]);
    if random.happens(800) {
        let key = crate::servers::GROUP_KEY;
        list.proof = chorus_abi::keys::keyed_hash_of(key, list.words(from, incarnation));
    }
    let nonce = random.below(3) as u32;
    let flags = [0, PING_OVER, PING_SUSPECT, 4][random.below(4) as usize];
    let news = match random.below(7) {
        0 => News::Hello(Hello {
            watched: random.happens(800),
            life: random.below(4) as u32,
            groups: random.below(5) as u32,
        }),
        1 => News::Ping(Ping {
            nonce,
            origin: one_of(random, [0, 0, 1, 3, 77]),
            flags,
            view,
        }),
        2 => News::Pong(Pong {
            nonce,
            origin: one_of(random, [0, 0, 1, 2, 78]),
            subject: site(random),
            incarnation: 1,
            view,
        }),
        3 => News::Relay(Relay {
            nonce,
            subject: site(random),
            incarnation: 1,
        }),
        4 => News::Tell(view),
        5 => News::Groups(list),
        _ => News::GroupsAsk(random.below(4) as u32),
    };
    let to = one_of(random, [0, 1, 2, 3, 4]);
    let header = Header {
        dst_site: to,
        src_site: from,
        dst_incarnation: if to == 0 {
            0
        } else {
            one_of(random, [1, 1, 2])
        },
        src_incarnation: incarnation,
        mtu: 1514,
        ..Header::default()
    };
    let mut bytes = Vec::new();
    frame::write(&header, &Payload::News(news), &mut bytes);
    bytes
}

/// Whether a frame names no incarnation so high that a site would have none left.
fn is_bearable(bytes: &[u8]) -> bool {
    frame::parse(bytes).is_ok_and(|frame| {
        let mut items = frame
            .payload
            .view()
            .into_iter()
            .flat_map(|view| view.items());
        frame.header.src_incarnation < 99 && items.all(|item| item.incarnation < 99)
    })
}

#[cfg_attr(test, test)]
fn frames_about_sites_of_any_content_do_no_lasting_harm() {
    let seed = seed(781);
    crate::effort::say(format!("repeat with CHORUS_SIM_SEED={seed}"));
    let mut random = Random::new(seed);
    let mut world = World::watching_with(seed, SITES, Faults::all(20), |config| {
        config.max_members = 30;
        config.max_group_members = 100;
        // It is about what holds for whoever has the key.
        config.seal = None;
    });
    world.run(3 * SEC);
    let mut taken = 0;
    for n in 0..times(100_000) {
        let mut bytes = made(&mut random);
        if random.happens(500) {
            for _ in 0..1 + random.below(4) {
                let at =
                    frame::ETHERNET + random.below((bytes.len() - frame::ETHERNET) as u64) as usize;
                bytes[at] ^= 1 << random.below(8);
            }
        }
        if frame::parse(&bytes).is_ok() && !is_bearable(&bytes) {
            continue;
        }
        taken += u32::from(frame::parse(&bytes).is_ok());
        let to = 1 + random.below(SITES.into()) as u16;
        world.inject(to, bytes, random.below(MS));
        world.run(50_000);
        if n % 1000 == 0 {
            for site in 1..=SITES {
                let sizes = world.sizes(site);
                assert!(
                    sizes.members <= 30 && sizes.group_members <= 100,
                    "{sizes:?}"
                );
                assert!(sizes.timers <= 100 && sizes.peers <= 110, "{sizes:?}");
            }
        }
    }
    assert!(taken > times(50_000) as u32, "{taken}");
    // The adversary is gone: sites that were lied about are together again.
    world.run(60 * SEC);
    let ports: Vec<KnUniqueId> = (1..=SITES).map(|site| world.open(site, 100)).collect();
    let mut calls = Vec::new();
    for from in 1..=SITES {
        for (to, port) in (1..=SITES).zip(&ports).filter(|(to, _)| *to != from) {
            calls.push((from, to, world.call(from, *port, b"after", Plan::NULL)));
        }
    }
    world.run(5 * SEC);
    for (from, to, call) in calls {
        assert_eq!(
            world.end(call).map(|end| end.0),
            Some(0),
            "{from} to {to}, seed {seed}"
        );
    }
}

/// All of them.
pub(super) const CHECKS: &[super::Check] =
    super::checks![frames_about_sites_of_any_content_do_no_lasting_harm,];
