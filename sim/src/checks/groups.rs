//! Groups across sites (SS-028…037) and asynchronous messages (SS-032, SS-053).

use crate::network::Faults;
use crate::ports::Port;
use crate::workload::group;
use crate::world::{MS, Plan, SEC, World, pattern};
use chorus_abi::error::{K_EINVAL, K_EUNKNOWN};
use chorus_abi::{K_BROADMODE, K_FUNCMODE, K_FUNCUMODE, K_FUNCXMODE, KnUniqueId, UiType};
use chorus_transport::frame::KIND_NAMES;

fn mode(mode: i32) -> KnUniqueId {
    group().with_mode(mode).unwrap()
}

fn site_ui(site: u16) -> KnUniqueId {
    KnUniqueId::from_fields(site, UiType::Site, 0, 0)
}

/// A member on each of these sites.
fn members(world: &mut World, sites: &[u16]) -> Vec<KnUniqueId> {
    let open = |site: &u16| {
        let port = world.open(*site, 64);
        world.join(*site, group(), port);
        port
    };
    sites.iter().map(open).collect()
}

fn result(world: &mut World, call: u32) -> i32 {
    world.run(2 * SEC);
    world.end(call).map_or(i32::MIN, |end| end.0)
}

#[cfg_attr(test, test)]
fn ss_028_functional_mode_costs_as_much_as_unicast_after_the_first_call() {
    let mut world = World::new(28, 3, Faults::NONE);
    members(&mut world, &[1]);
    world.run(2 * SEC);
    world.call(2, mode(K_FUNCMODE), &[], Plan::NULL);
    world.run(MS);
    world.record = true;
    for _ in 0..100 {
        world.call(2, mode(K_FUNCMODE), &[], Plan::NULL);
        world.run(MS);
    }
    assert_eq!(world.sent.len(), 200);
}

#[cfg_attr(test, test)]
fn nc_154_ss_029_replacing_a_server_under_load_loses_and_doubles_nothing() {
    for (seed, faults) in [(29, Faults::NONE), (30, Faults::all(100))] {
        let mut world = World::new(seed, 3, faults);
        let mut serving = (1, members(&mut world, &[1])[0]);
        let mut calls = Vec::new();
        for round in 0..20 {
            for _ in 0..50 {
                calls.push(world.call(
                    3,
                    mode(K_FUNCMODE),
                    b"work",
                    Plan {
                        service: 3 * MS,
                        ..Plan::NULL
                    },
                ));
                world.run(MS);
            }
            let next = 1 + (round + 1) % 2;
            let port = members(&mut world, &[next])[0];
            // The old member leaves the group; what it holds it still answers.
            let (site, old) = std::mem::replace(&mut serving, (next, port));
            world
                .site(site)
                .nucleus
                .groups
                .values_mut()
                .for_each(|list| list.retain(|member| *member != old));
        }
        world.run(20 * SEC);
        world.assert_answered_once(&calls);
        assert_eq!(world.history.check(), Ok(()));
    }
}

#[cfg_attr(test, test)]
fn nc_156_ss_030_selective_mode_reaches_the_co_targets_site_only() {
    let mut world = World::new(30, 4, Faults::NONE);
    let ports = members(&mut world, &[1, 2]);
    let resource = world.open(2, 8);
    let lonely = world.open(3, 8);
    for co_target in [resource, site_ui(2)] {
        let call = world.call_beside(
            4,
            mode(K_FUNCUMODE),
            co_target,
            &[],
            Plan {
                service: SEC,
                ..Plan::NULL
            },
        );
        world.run(SEC / 2);
        assert!(
            world
                .site(2)
                .nucleus
                .requests
                .values()
                .any(|request| request.call == call && request.port == ports[1])
        );
        assert_eq!(result(&mut world, call), 0);
    }
    for co_target in [lonely, site_ui(3), site_ui(77)] {
        let call = world.call_beside(4, mode(K_FUNCUMODE), co_target, &[], Plan::NULL);
        assert_eq!(
            (result(&mut world, call), world.executions(call)),
            (K_EUNKNOWN, 0)
        );
    }
    let call = world.call_beside(4, mode(K_FUNCUMODE), KnUniqueId::NULL, &[], Plan::NULL);
    assert_eq!(result(&mut world, call), K_EINVAL);
}

#[cfg_attr(test, test)]
fn nc_157_and_158_a_declared_name_stands_for_its_site_until_it_is_forgotten() {
    let mut world = World::new(32, 4, Faults::NONE);
    let ports = members(&mut world, &[1, 2]);
    // A port of site 3, a port that nobody has, a group: site 2 declares each of them.
    let port = world.open(3, 8);
    let nobody = KnUniqueId::from_fields(3, UiType::Port, 1, 0xffff);
    let group = KnUniqueId::from_fields(4, UiType::Group, 1, 5);
    for name in [nobody, group] {
        let ask = |world: &mut World| {
            let call = world.call_beside(4, mode(K_FUNCUMODE), name, &[], Plan::NULL);
            result(world, call)
        };
        assert_eq!(ask(&mut world), K_EUNKNOWN);
        world.site(2).nucleus.declared.insert(name.word());
        for _ in 0..3 {
            assert_eq!(ask(&mut world), 0);
        }
        world.site(2).nucleus.declared.remove(&name.word());
        assert_eq!(ask(&mut world), K_EUNKNOWN, "after a refusal and a search");
    }
    assert!(world.site(1).nucleus.requests.is_empty());
    assert_ne!(ports[0], ports[1]);
    // A declaration attracts no messages to the name itself, wherever the name is looked for first.
    world.site(2).nucleus.declared.insert(port.word());
    world.site(2).nucleus.declared.insert(nobody.word());
    let call = world.call_beside(4, port, KnUniqueId::NULL, &[], Plan::NULL);
    assert_eq!(result(&mut world, call), 0);
    let call = world.call_beside(4, nobody, KnUniqueId::NULL, &[], Plan::NULL);
    assert_eq!(result(&mut world, call), K_EUNKNOWN);
}

#[cfg_attr(test, test)]
fn ss_031_exclusive_mode_never_picks_the_co_targets_site() {
    let mut world = World::new(31, 3, Faults::NONE);
    let ports = members(&mut world, &[1, 2]);
    for _ in 0..20 {
        for co_target in [site_ui(1), ports[0]] {
            let call = world.call_beside(
                3,
                mode(K_FUNCXMODE),
                co_target,
                &[],
                Plan {
                    service: 5 * MS,
                    ..Plan::NULL
                },
            );
            world.run(3 * MS);
            assert!(world.site(1).nucleus.requests.is_empty());
            assert_eq!(result(&mut world, call), 0);
        }
    }
    world.close(2, ports[1]);
    let call = world.call_beside(3, mode(K_FUNCXMODE), site_ui(1), &[], Plan::NULL);
    assert_eq!(
        (result(&mut world, call), world.executions(call)),
        (K_EUNKNOWN, 0)
    );
}

#[cfg_attr(test, test)]
fn nc_151_ss_032_multicast_reaches_every_member_once_by_one_broadcast_per_piece() {
    let mut world = World::new(32, 4, Faults::NONE);
    let ports = members(&mut world, &[1, 2, 2, 3]);
    world.run(2 * SEC);
    world.record = true;
    for length in [0, 100, 5000, 65_536] {
        world.sent.clear();
        let body = pattern(length as u64, length);
        let (message, digest) = world.send(4, mode(K_BROADMODE), &body, true);
        world.run(SEC);
        // 1514 less all headers, the tag and the generation.
        assert_eq!(world.sent.len(), (length + 64).div_ceil(1392).max(1));
        let mut got: Vec<KnUniqueId> = Vec::new();
        for site in 1..=3 {
            let arrivals = std::mem::take(&mut world.site(site).nucleus.arrivals);
            assert!(
                arrivals
                    .iter()
                    .all(|arrival| arrival.message == message && arrival.digest == digest)
            );
            got.extend(arrivals.iter().map(|arrival| arrival.port));
        }
        got.sort_by_key(|port| port.word());
        assert_eq!(got, ports);
    }
}

#[cfg_attr(test, test)]
fn ss_033_lossy_multicast_delivers_nothing_twice_and_nothing_in_part() {
    let mut world = World::new(
        33,
        3,
        Faults {
            late: 20 * MS,
            ..Faults::all(100)
        },
    );
    members(&mut world, &[1, 2]);
    let mut digests = Vec::new();
    for n in 0..2000 {
        let body = pattern(n, if n % 4 == 0 { 4000 } else { 50 });
        digests.push(world.send(3, mode(K_BROADMODE), &body, n % 2 == 0).1);
        world.run(MS);
    }
    world.run(5 * SEC);
    for site in 1..=2 {
        let arrivals = std::mem::take(&mut world.site(site).nucleus.arrivals);
        assert!(
            arrivals
                .iter()
                .all(|arrival| digests[arrival.message as usize] == arrival.digest)
        );
        let mut messages: Vec<u32> = arrivals.iter().map(|arrival| arrival.message).collect();
        messages.sort_unstable();
        let before = messages.len();
        messages.dedup();
        assert_eq!(before, messages.len(), "none twice");
        assert!((1400..2000).contains(&before), "{before}");
        assert_eq!(world.sizes(site).assembly_bytes, 0);
    }
}

#[cfg_attr(test, test)]
fn ss_034_a_call_to_a_group_in_broadcast_mode_is_refused_without_a_frame() {
    let mut world = World::new(34, 2, Faults::NONE);
    members(&mut world, &[1]);
    world.run(2 * SEC);
    world.record = true;
    let call = world.call(2, mode(K_BROADMODE), &[], Plan::NULL);
    assert_eq!(
        (world.end(call).map(|end| end.0), world.sent.len()),
        (Some(K_EINVAL), 0)
    );
}

#[cfg_attr(test, test)]
fn nc_164_ss_035_members_of_a_crashed_site_are_passed_over_once_it_is_known_to_be_dead() {
    let mut world = World::new(35, 3, Faults::NONE);
    members(&mut world, &[1]);
    let call = world.call(3, mode(K_FUNCMODE), &[], Plan::NULL);
    assert_eq!(result(&mut world, call), 0);
    members(&mut world, &[2]);
    world.crash(1);
    world.call(3, mode(K_FUNCMODE), &[], Plan::NULL);
    world.run(6 * SEC);
    let begin = world.now;
    let call = world.call(3, mode(K_FUNCMODE), &[], Plan::NULL);
    world.run(SEC);
    assert!(
        world
            .end(call)
            .is_some_and(|(result, end)| result == 0 && end - begin < 10 * MS)
    );
}

#[cfg_attr(test, test)]
fn a_refused_request_is_never_executed_even_if_the_member_returns() {
    let mut world = World::new(36, 3, Faults::NONE);
    let port = members(&mut world, &[1])[0];
    let call = world.call(3, mode(K_FUNCMODE), &[], Plan::NULL);
    assert_eq!(result(&mut world, call), 0);
    world.site(1).nucleus.groups.clear();
    members(&mut world, &[2]);
    // A second copy of every frame comes 100 ms later, when the member is back on site 1.
    world.set_faults(Faults {
        echo: 1000,
        late: 200 * MS,
        ..Faults::NONE
    });
    let calls: Vec<u32> = (0..50)
        .map(|_| world.call(3, mode(K_FUNCMODE), b"one", Plan::NULL))
        .collect();
    world.run(2 * MS);
    world.join(1, group(), port);
    world.run(10 * SEC);
    world.assert_answered_once(&calls);
    assert_eq!(world.history.check(), Ok(()));
}

#[cfg_attr(test, test)]
fn ss_053_a_message_to_a_dead_site_leaves_no_state() {
    let mut world = World::new(53, 2, Faults::NONE);
    let port = world.open(1, 8);
    world.run(2 * SEC);
    world.send(2, port, b"x", false);
    world.run(MS);
    assert_eq!(world.site(1).nucleus.arrivals.len(), 1);
    world.crash(1);
    let before = world.sizes(2);
    world.send(2, port, b"x", false);
    world.send(
        2,
        KnUniqueId::from_fields(1, UiType::Port, 1, 99),
        &[0; 5000],
        false,
    );
    world.run(5 * SEC);
    assert_eq!((world.sizes(2), world.counters(2).lost_sends), (before, 1));
}

#[cfg_attr(test, test)]
fn sends_keep_their_order_on_an_orderly_link_and_full_queues_lose_them() {
    let mut world = World::new(54, 2, Faults::NONE);
    let port = world.open(1, 8);
    let mut expected = Vec::new();
    for n in 0..200 {
        // The first wait for the search together; sizes of one and of many frames take turns.
        expected.push(world.send(
            2,
            port,
            &pattern(n, if n % 3 == 0 { 9000 } else { 10 }),
            n % 2 == 0,
        ));
        if n > 50 {
            world.run(MS / 10);
        }
    }
    world.run(SEC);
    let got: Vec<(u32, u64)> = world
        .site(1)
        .nucleus
        .arrivals
        .iter()
        .map(|arrival| (arrival.message, arrival.digest))
        .collect();
    assert_eq!(got, expected);
    world
        .site(1)
        .nucleus
        .ports
        .insert(port.word(), Port::taking(0));
    world.send(2, port, b"full", false);
    world.run(MS);
    assert_eq!(world.counters(1).lost_sends, 1);
}

#[cfg_attr(test, test)]
fn a_send_to_a_port_that_went_makes_the_next_one_search() {
    let mut world = World::new(55, 3, Faults::NONE);
    let port = world.open(1, 8);
    world.send(2, port, b"a", false);
    world.run(MS);
    world.close(1, port);
    world
        .site(3)
        .nucleus
        .ports
        .insert(port.word(), Port::taking(8));
    world.send(2, port, b"lost", false);
    world.run(MS);
    world.record = true;
    world.send(2, port, b"c", false);
    world.run(SEC);
    assert!(
        world
            .sent
            .iter()
            .any(|sent| KIND_NAMES[usize::from(sent.kind)] == "LOCATE")
    );
    assert_eq!(world.site(3).nucleus.arrivals.len(), 1);
}

/// All of them.
pub(super) const CHECKS: &[super::Check] = super::checks![
    ss_028_functional_mode_costs_as_much_as_unicast_after_the_first_call,
    nc_154_ss_029_replacing_a_server_under_load_loses_and_doubles_nothing,
    nc_156_ss_030_selective_mode_reaches_the_co_targets_site_only,
    nc_157_and_158_a_declared_name_stands_for_its_site_until_it_is_forgotten,
    ss_031_exclusive_mode_never_picks_the_co_targets_site,
    nc_151_ss_032_multicast_reaches_every_member_once_by_one_broadcast_per_piece,
    ss_033_lossy_multicast_delivers_nothing_twice_and_nothing_in_part,
    ss_034_a_call_to_a_group_in_broadcast_mode_is_refused_without_a_frame,
    nc_164_ss_035_members_of_a_crashed_site_are_passed_over_once_it_is_known_to_be_dead,
    a_refused_request_is_never_executed_even_if_the_member_returns,
    ss_053_a_message_to_a_dead_site_leaves_no_state,
    sends_keep_their_order_on_an_orderly_link_and_full_queues_lose_them,
    a_send_to_a_port_that_went_makes_the_next_one_search,
];
