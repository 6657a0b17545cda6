//! What sites know of each other's members of groups (SS-028…031, SS-035…040).

use crate::effort::seed;
use crate::network::Faults;
use crate::random::Random;
use crate::servers::GROUP_KEY;
use crate::workload::group;
use crate::world::{MS, Plan, SEC, World};
use chorus_abi::error::K_EUNKNOWN;
use chorus_abi::keys::keyed_hash_of;
use chorus_abi::{K_BROADMODE, K_FUNCMODE, K_FUNCUMODE, K_FUNCXMODE, KnUniqueId, UiType};
use chorus_transport::frame::news::{Groups, Membership};
use chorus_transport::frame::{self, Header, KIND_NAMES, News, Payload};
use std::collections::BTreeSet;

fn functional() -> KnUniqueId {
    group().with_mode(K_FUNCMODE).unwrap()
}

/// Sites that have met, with a member on each of some.
fn met(seed: u64, sites: u16, faults: Faults, members: &[u16]) -> (World, Vec<KnUniqueId>) {
    met_in(World::watching(seed, sites, faults), members)
}

/// The same without sealing, for tests that make frames of their own.
fn met_in_clear(seed: u64, sites: u16, members: &[u16]) -> (World, Vec<KnUniqueId>) {
    let world = World::watching_with(seed, sites, Faults::NONE, |config| config.seal = None);
    met_in(world, members)
}

fn met_in(mut world: World, members: &[u16]) -> (World, Vec<KnUniqueId>) {
    let ports = members
        .iter()
        .map(|&site| member(&mut world, site))
        .collect();
    world.run(5 * SEC);
    (world, ports)
}

fn member(world: &mut World, site: u16) -> KnUniqueId {
    let port = world.open(site, 20_000);
    world.join(site, group(), port);
    port
}

/// Members of the group that a site knows of: site and port.
fn known(world: &mut World, at: u16) -> BTreeSet<(u16, u64)> {
    let endpoint = world.site(at).endpoint.as_ref();
    let all = endpoint
        .into_iter()
        .flat_map(|endpoint| endpoint.group_members());
    all.filter(|(_, of, _)| *of == group().identity())
        .map(|(site, _, port)| (site, port.word()))
        .collect()
}

fn digests(world: &mut World) -> BTreeSet<u64> {
    let sites = world.sites.iter();
    sites
        .filter_map(|site| Some(site.endpoint.as_ref()?.view_digest()))
        .collect()
}

fn locates(world: &World) -> u64 {
    let all = 1..=world.sites.len() as u16;
    all.map(|site| world.counters(site).locate_broadcasts + world.counters(site).locate_unicasts)
        .sum()
}

#[cfg_attr(test, test)]
fn ss_028_one_member_costs_as_much_as_a_port_and_nobody_is_asked_for_it() {
    let (mut world, _) = met(seed(28), 4, Faults::NONE, &[1]);
    world.record = true;
    for _ in 0..100 {
        let call = world.call(2, functional(), &[], Plan::NULL);
        world.run(MS);
        assert_eq!(world.end(call).map(|end| end.0), Some(0));
    }
    let of_calls = |kind: &str| ["REQUEST", "REPLY"].contains(&kind);
    let frames = world
        .sent
        .iter()
        .map(|sent| KIND_NAMES[usize::from(sent.kind)]);
    let frames: Vec<&str> = frames
        .filter(|kind| !["PING", "PONG"].contains(kind))
        .collect();
    assert!(
        frames.len() == 200 && frames.iter().all(|kind| of_calls(kind)),
        "{frames:?}"
    );
    assert_eq!(locates(&world), 0);
}

#[cfg_attr(test, test)]
fn ss_029_servers_are_replaced_under_load_and_no_call_finds_none() {
    for (n, faults) in [Faults::NONE, Faults::all(50)].into_iter().enumerate() {
        let seed = seed(29) + n as u64;
        let (mut world, ports) = met(seed, 4, faults, &[1]);
        let mut serving = (1, ports[0]);
        let mut calls = Vec::new();
        for round in 0..40u16 {
            let next = 1 + (round + 1) % 3;
            let port = member(&mut world, next);
            let (site, old) = std::mem::replace(&mut serving, (next, port));
            for _ in 0..25 {
                let plan = Plan {
                    service: 3 * MS,
                    ..Plan::NULL
                };
                calls.push(world.call(4, functional(), b"work", plan));
                world.run(MS);
            }
            world.part(site, group(), old);
        }
        world.run(20 * SEC);
        for call in calls {
            assert_eq!(
                (world.end(call).map(|end| end.0), world.executions(call)),
                (Some(0), 1),
                "seed {seed}"
            );
        }
        assert_eq!(world.history.check(), Ok(()));
    }
}

#[cfg_attr(test, test)]
fn ss_030_031_selective_and_exclusive_modes_keep_to_their_sites_whatever_is_known() {
    let seed = seed(30);
    let (mut world, ports) = met(seed, 5, Faults::all(20), &[1, 2, 3]);
    let site_ui = |site| KnUniqueId::from_fields(site, UiType::Site, 0, 0);
    let mut random = Random::new(seed);
    for _ in 0..200 {
        let site = 1 + random.below(3) as u16;
        let selective = random.happens(500);
        let mode = if selective { K_FUNCUMODE } else { K_FUNCXMODE };
        let co_target = if random.happens(500) {
            site_ui(site)
        } else {
            ports[usize::from(site) - 1]
        };
        let plan = Plan {
            queue: SEC,
            ..Plan::NULL
        };
        let call = world.call_beside(5, group().with_mode(mode).unwrap(), co_target, &[], plan);
        world.run(900 * MS);
        let at = (1..=3).find(|&site| {
            world
                .site(site)
                .nucleus
                .requests
                .values()
                .any(|request| request.call == call)
        });
        assert!(
            at.is_none_or(|at| (at == site) == selective),
            "seed {seed}: {at:?} for {site}"
        );
        world.run(3 * SEC);
        assert_eq!(world.end(call).map(|end| end.0), Some(0), "seed {seed}");
    }
    // Site 4 has none: for the selective mode that is the end, and so is a group whose members are all on the excluded site.
    let call = world.call_beside(
        5,
        group().with_mode(K_FUNCUMODE).unwrap(),
        site_ui(4),
        &[],
        Plan::NULL,
    );
    world.run(3 * SEC);
    assert_eq!(
        (world.end(call).map(|end| end.0), world.executions(call)),
        (Some(K_EUNKNOWN), 0)
    );
    world.part(2, group(), ports[1]);
    world.part(3, group(), ports[2]);
    world.run(SEC);
    let call = world.call_beside(
        5,
        group().with_mode(K_FUNCXMODE).unwrap(),
        site_ui(1),
        &[],
        Plan::NULL,
    );
    world.run(3 * SEC);
    assert_eq!(
        (world.end(call).map(|end| end.0), world.executions(call)),
        (Some(K_EUNKNOWN), 0)
    );
}

#[cfg_attr(test, test)]
fn ss_032_033_messages_to_all_reach_all_that_are_known() {
    let (mut world, ports) = met(seed(32), 4, Faults::NONE, &[1, 2, 2, 3]);
    for _ in 0..100 {
        world.send(4, group().with_mode(K_BROADMODE).unwrap(), &[7; 3000], true);
        world.run(2 * MS);
    }
    let mut got = 0;
    for site in 1..=3 {
        let arrivals = std::mem::take(&mut world.site(site).nucleus.arrivals);
        let each: BTreeSet<(u32, u64)> = arrivals
            .iter()
            .map(|arrival| (arrival.message, arrival.port.word()))
            .collect();
        assert_eq!(each.len(), arrivals.len(), "none twice");
        got += each.len();
    }
    assert_eq!(got, 100 * ports.len());
}

#[cfg_attr(test, test)]
fn ss_035_members_of_a_crashed_site_are_gone_within_the_time_of_detection() {
    for trial in 0..100 {
        let seed = seed(35) + trial;
        let (mut world, ports) = met(seed, 6, Faults::NONE, &[1, 2, 3]);
        let victim = 1 + (trial % 3) as u16;
        world.crash(victim);
        let before = world.call(5, functional(), &[], Plan::NULL);
        world.run(1500 * MS);
        for at in (4..=6).chain((1..=3).filter(|site| *site != victim)) {
            let left = (1..=3).filter(|site| *site != victim);
            let left: BTreeSet<(u16, u64)> = left
                .map(|site| (site, ports[usize::from(site) - 1].word()))
                .collect();
            assert_eq!(known(&mut world, at), left, "site {at}, seed {seed}");
        }
        assert!(world.end(before).is_some(), "seed {seed}");
        for from in 4..=6 {
            let begin = world.now;
            let call = world.call(from, functional(), &[], Plan::NULL);
            world.run(10 * MS);
            let fast = world
                .end(call)
                .is_some_and(|(result, end)| result == 0 && end - begin < MS);
            assert!(fast, "seed {seed}");
        }
        assert_eq!(world.history.check(), Ok(()));
    }
}

/// A list of one member of the group, as a site would send it.
fn list(key: (u64, u64), from: u16, to: u16, version: u32) -> Vec<u8> {
    let mut entries = Vec::new();
    let port = KnUniqueId::from_fields(from, UiType::Port, 1, 666).word();
    Groups::push(
        &mut entries,
        true,
        &Membership {
            group: group().identity().word(),
            port,
        },
    );
    let mut list = Groups::new(true, 0, version, 0, 1).with(&entries);
    list.proof = keyed_hash_of(key, list.words(from, 1));
    let header = Header {
        dst_site: to,
        src_site: from,
        dst_incarnation: u16::from(to != 0),
        src_incarnation: 1,
        mtu: 1514,
        ..Header::default()
    };
    let mut bytes = Vec::new();
    frame::write(&header, &Payload::News(News::Groups(list)), &mut bytes);
    bytes
}

#[cfg_attr(test, test)]
fn ss_036_a_list_without_the_key_is_refused_and_one_with_it_is_taken() {
    // Here the Nucleus checks the key of a group (nc_138 and others); there the proof is checked.
    let (mut world, _) = met_in_clear(seed(36), 3, &[1]);
    let before = known(&mut world, 2);
    let wrong = [
        (0, 0),
        (GROUP_KEY.0, GROUP_KEY.1 ^ 1),
        (GROUP_KEY.1, GROUP_KEY.0),
    ];
    for (key, to) in wrong.into_iter().flat_map(|key| [(key, 2), (key, 0)]) {
        world.inject(2, list(key, 3, to, 9), 1);
    }
    // The proof of one site is none for another, nor for another version.
    let mut stolen = list(GROUP_KEY, 3, 2, 9);
    stolen[frame::ETHERNET + frame::HEADER + 5] ^= 1;
    world.inject(2, stolen, 1);
    world.run(MS);
    assert_eq!(
        (known(&mut world, 2), world.counters(2).refused_lists),
        (before.clone(), 7)
    );
    world.inject(2, list(GROUP_KEY, 3, 2, 9), 1);
    world.run(MS);
    assert_eq!(known(&mut world, 2).len(), before.len() + 1);
}

#[cfg_attr(test, test)]
fn ss_037_the_name_of_a_group_is_enough_to_send_and_not_to_be_in_it() {
    let (mut world, ports) = met_in_clear(seed(37), 3, &[1]);
    // Site 3 has only the name.
    let call = world.call(3, functional(), b"hello", Plan::NULL);
    world.send(3, functional(), b"hello", false);
    world.run(10 * MS);
    assert_eq!(
        (
            world.end(call).map(|end| end.0),
            world.site(1).nucleus.arrivals.len()
        ),
        (Some(0), 1)
    );
    world.inject(2, list((1, 2), 3, 2, 1), 1);
    world.run(MS);
    assert_eq!(known(&mut world, 2), BTreeSet::from([(1, ports[0].word())]));
}

#[cfg_attr(test, test)]
fn ss_038_after_a_partition_heals_all_know_the_same_within_two_seconds() {
    for trial in 0..50 {
        let seed = seed(38) + trial;
        let sites = 4 + (trial % 5) as u16;
        let all: Vec<u16> = (1..=sites).collect();
        let faults = if trial % 2 == 0 {
            Faults::NONE
        } else {
            Faults::all(20)
        };
        let (mut world, mut ports) = met(seed, sites, faults, &all);
        assert_eq!(digests(&mut world).len(), 1, "seed {seed}");
        let middle = usize::from(sites) / 2;
        world.split(&[all[..middle].to_vec(), all[middle..].to_vec()]);
        let mut random = Random::new(seed);
        for _ in 0..20 {
            let at = random.below(sites.into()) as usize;
            world.part(all[at], group(), ports[at]);
            ports[at] = member(&mut world, all[at]);
            world.run(random.below(SEC));
        }
        world.heal();
        world.run(2 * SEC);
        let expected: BTreeSet<(u16, u64)> = all
            .iter()
            .zip(&ports)
            .map(|(site, port)| (*site, port.word()))
            .collect();
        for &site in &all {
            assert_eq!(
                known(&mut world, site),
                expected,
                "site {site}, seed {seed}"
            );
        }
        assert_eq!(digests(&mut world).len(), 1, "seed {seed}");
    }
}

#[cfg_attr(test, test)]
fn ss_039_calls_spread_over_equal_members() {
    let seed = seed(39);
    let mut world = World::watching_with(seed, 6, Faults::NONE, |config| config.spread = true);
    for site in 1..=4 {
        member(&mut world, site);
    }
    world.run(5 * SEC);
    for _ in 0..10_000 {
        world.call(
            6,
            functional(),
            &[],
            Plan {
                service: 2 * MS,
                ..Plan::NULL
            },
        );
        world.run(MS);
    }
    world.run(SEC);
    let shares: Vec<u64> = (1..=4)
        .map(|site| world.counters(site).delivered_calls)
        .collect();
    crate::effort::say(format!("seed {seed}: {shares:?}"));
    assert_eq!(shares.iter().sum::<u64>(), 10_000);
    assert!(shares.iter().all(|share| *share <= 4000), "{shares:?}");
}

#[cfg_attr(test, test)]
fn ss_040_a_port_in_fifty_groups_that_dies_is_gone_from_all() {
    // With changes that fit a frame, and with more; with a frame lost and without.
    for (groups, lost) in [(50, false), (50, true), (80, false), (200, false)] {
        let (mut world, _) = met(seed(40), 4, Faults::NONE, &[]);
        let port = world.open(1, 8);
        let stays = world.open(1, 8);
        for stamp in 0..groups {
            let group = KnUniqueId::static_group(false, stamp);
            world.join(1, group, port);
            world.join(1, group, stays);
        }
        world.run(2 * SEC);
        assert_eq!(world.sizes(3).group_members, 2 * u64::from(groups));
        if lost {
            world.cut_one_way(1, 3);
        }
        world.close(1, port);
        world.run(MS);
        world.heal();
        world.run(if lost { 3 * SEC } else { SEC });
        for at in 2..=4 {
            let endpoint = world.site(at).endpoint.as_ref();
            let left: Vec<KnUniqueId> = endpoint
                .into_iter()
                .flat_map(|endpoint| endpoint.group_members())
                .map(|(_, _, port)| port)
                .collect();
            assert_eq!(left.len(), groups as usize, "site {at}");
            assert!(left.iter().all(|port| *port == stays));
        }
    }
}

#[cfg_attr(test, test)]
fn a_site_that_joins_late_knows_all_members() {
    let (mut world, ports) = met(seed(41), 20, Faults::all(20), &[1, 5, 9]);
    world.crash(20);
    world.run(600 * SEC);
    world.restart(20);
    world.run(3 * SEC);
    let expected = [1, 5, 9]
        .iter()
        .zip(&ports)
        .map(|(site, port)| (*site, port.word()))
        .collect();
    assert_eq!(known(&mut world, 20), expected);
    assert_eq!(digests(&mut world).len(), 1);
}

/// All of them.
pub(super) const CHECKS: &[super::Check] = super::checks![
    ss_028_one_member_costs_as_much_as_a_port_and_nobody_is_asked_for_it,
    ss_029_servers_are_replaced_under_load_and_no_call_finds_none,
    ss_030_031_selective_and_exclusive_modes_keep_to_their_sites_whatever_is_known,
    ss_032_033_messages_to_all_reach_all_that_are_known,
    ss_035_members_of_a_crashed_site_are_gone_within_the_time_of_detection,
    ss_036_a_list_without_the_key_is_refused_and_one_with_it_is_taken,
    ss_037_the_name_of_a_group_is_enough_to_send_and_not_to_be_in_it,
    ss_038_after_a_partition_heals_all_know_the_same_within_two_seconds,
    ss_039_calls_spread_over_equal_members,
    ss_040_a_port_in_fifty_groups_that_dies_is_gone_from_all,
    a_site_that_joins_late_knows_all_members,
];
