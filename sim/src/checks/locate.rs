//! Finding ports (SS-001…012).

use crate::network::Faults;
use crate::ports::Port;
use crate::world::{MS, Plan, SEC, World};
use chorus_abi::error::K_EUNKNOWN;
use chorus_abi::{K_FUNCUMODE, KnUniqueId, UiType};
use chorus_transport::frame::{self, Header, KIND_NAMES, Payload};

fn recorded(sites: u16) -> World {
    let mut world = World::new(7, sites, Faults::NONE);
    world.run(2 * SEC);
    world.record = true;
    world
}

fn frames(world: &World, kind: &str) -> usize {
    world
        .sent
        .iter()
        .filter(|sent| KIND_NAMES[usize::from(sent.kind)] == kind)
        .count()
}

fn broadcasts(world: &World) -> usize {
    world.sent.iter().filter(|sent| sent.to == 0).count()
}

#[cfg_attr(test, test)]
fn ss_001_003_first_call_finds_the_port_by_one_unicast_query() {
    let mut world = recorded(3);
    let port = world.open(1, 8);
    let call = world.call(2, port, b"hello", Plan::NULL);
    world.run(SEC / 2);
    assert_eq!(world.end(call).map(|end| end.0), Some(0));
    assert_eq!((frames(&world, "LOCATE"), broadcasts(&world)), (1, 0));
    assert_eq!(world.sent.len(), 4, "LOCATE, HERE, REQUEST, REPLY");
}

#[cfg_attr(test, test)]
fn ss_002_second_call_causes_no_locate_and_costs_two_frames() {
    let mut world = recorded(3);
    let port = world.open(1, 8);
    world.call(2, port, &[], Plan::NULL);
    world.run(MS);
    world.sent.clear();
    for _ in 0..1000 {
        let call = world.call(2, port, &[], Plan::NULL);
        world.run(MS);
        assert!(!world.waits(call));
    }
    assert_eq!((frames(&world, "LOCATE"), world.sent.len()), (0, 2000));
    world.run(2 * SEC);
    assert_eq!(
        (frames(&world, "ACK"), world.sent.len()),
        (1, 2001),
        "one acknowledgement once idle"
    );
}

#[cfg_attr(test, test)]
fn nc_190_ss_004_unknown_port_fails_as_not_executed_within_a_second_and_three_broadcasts() {
    for faults in [Faults::NONE, Faults::all(200)] {
        let mut world = World::new(4, 3, faults);
        world.run(2 * SEC);
        world.record = true;
        let nowhere = KnUniqueId::from_fields(1, UiType::Port, 1, 12345);
        let begin = world.now;
        let call = world.call(2, nowhere, &[], Plan::NULL);
        world.run(2 * SEC);
        let (result, end) = world.end(call).unwrap();
        assert_eq!(result, K_EUNKNOWN);
        assert!(end - begin < SEC, "{} ms", (end - begin) / MS);
        assert!((1..=3).contains(&broadcasts(&world)));
        // Also of a site that does not exist, and of no site at all.
        for target in [
            KnUniqueId::from_fields(99, UiType::Port, 1, 1),
            KnUniqueId::from_fields(0, UiType::Port, 1, 1),
        ] {
            let begin = world.now;
            let call = world.call(2, target, &[], Plan::NULL);
            world.run(2 * SEC);
            world.assert_unknown_at_once(call, begin);
        }
    }
}

#[cfg_attr(test, test)]
fn ss_005_a_hundred_calls_cause_one_locate_exchange() {
    let mut world = recorded(3);
    let port = world.open(1, 200);
    let calls: Vec<u32> = (0..100)
        .map(|_| world.call(2, port, &[], Plan::NULL))
        .collect();
    world.run(SEC / 2);
    assert!(
        calls
            .iter()
            .all(|call| world.end(*call).is_some_and(|end| end.0 == 0))
    );
    assert_eq!((frames(&world, "LOCATE"), frames(&world, "HERE")), (1, 1));
}

#[cfg_attr(test, test)]
fn nc_105_ss_006_a_call_to_a_deleted_port_is_not_executed_and_its_hint_goes() {
    let mut world = recorded(3);
    let port = world.open(1, 8);
    world.call(2, port, &[], Plan::NULL);
    world.run(MS);
    assert_eq!(world.sizes(2).hints, 1);
    world.close(1, port);
    let call = world.call(2, port, &[], Plan::NULL);
    world.run(SEC);
    assert_eq!(world.end(call).map(|end| end.0), Some(K_EUNKNOWN));
    assert_eq!((world.executions(call), world.sizes(2).hints), (0, 0));
}

#[cfg_attr(test, test)]
fn a_name_that_was_not_found_is_found_once_it_exists() {
    let mut world = recorded(2);
    let port = world.open(1, 8);
    world.close(1, port);
    let call = world.call(2, port, &[], Plan::NULL);
    world.run(SEC);
    assert_eq!(world.end(call).map(|end| end.0), Some(K_EUNKNOWN));
    world
        .site(1)
        .nucleus
        .ports
        .insert(port.word(), Port::taking(8));
    let call = world.call(2, port, &[], Plan::NULL);
    world.run(SEC);
    assert_eq!(
        world.end(call).map(|end| end.0),
        Some(0),
        "absence is not cached"
    );
}

#[cfg_attr(test, test)]
fn a_port_away_from_its_creation_site_is_found_by_broadcast() {
    let mut world = recorded(4);
    let port = world.open(1, 8);
    world.close(1, port);
    world
        .site(3)
        .nucleus
        .ports
        .insert(port.word(), Port::taking(8));
    let call = world.call(2, port, &[], Plan::NULL);
    world.run(SEC);
    assert_eq!(world.end(call).map(|end| end.0), Some(0));
    assert_eq!((frames(&world, "NOT-HERE"), broadcasts(&world)), (1, 1));
}

#[cfg_attr(test, test)]
fn ss_008_a_late_or_forged_here_changes_nothing() {
    let mut world = World::in_clear(7, 3, Faults::NONE);
    world.run(2 * SEC);
    world.record = true;
    let port = world.open(1, 8);
    world.call(2, port, &[], Plan::NULL);
    world.run(MS);
    let before = world.sizes(2);
    let mut bytes = Vec::new();
    let header = Header {
        dst_site: 2,
        src_site: 3,
        dst_incarnation: 1,
        src_incarnation: 1,
        mtu: 1514,
        ..Header::default()
    };
    let here = Payload::Here {
        ui: port,
        co_target: KnUniqueId::NULL,
        nonce: 99,
        port_epoch: 0,
    };
    frame::write(&header, &here, &mut bytes);
    world.inject(2, bytes, 1);
    world.run(MS);
    assert_eq!(world.sizes(2), before);
    let call = world.call(2, port, &[], Plan::NULL);
    world.run(MS);
    assert_eq!(
        (world.end(call).map(|end| end.0), frames(&world, "NACK")),
        (Some(0), 0)
    );
}

#[cfg_attr(test, test)]
fn ss_009_hints_stay_within_their_bound_and_old_ones_are_found_again() {
    let mut world = World::with(9, 2, Faults::NONE, |config| config.max_hints = 50);
    let ports: Vec<KnUniqueId> = (0..500).map(|_| world.open(1, 8)).collect();
    for round in 0..2 {
        for port in &ports {
            let call = world.call(2, *port, &[], Plan::NULL);
            world.run(MS);
            assert_eq!(world.end(call).map(|end| end.0), Some(0), "round {round}");
            assert!(world.sizes(2).hints <= 50);
        }
    }
}

#[cfg_attr(test, test)]
fn ss_010_a_broadcast_costs_an_uninvolved_site_one_look_up_and_no_memory() {
    let mut world = recorded(3);
    let before = world.sizes(3);
    let queries = world.site(3).nucleus.queries;
    world.call(
        2,
        KnUniqueId::from_fields(0, UiType::Port, 1, 1),
        &[],
        Plan::NULL,
    );
    world.run(10 * MS);
    assert_eq!(world.site(3).nucleus.queries - queries, 1);
    assert_eq!(world.sizes(3), before);
}

#[cfg_attr(test, test)]
fn ss_011_a_site_that_joins_late_reaches_every_port() {
    let mut world = recorded(3);
    world.crash(3);
    let port = world.open(1, 8);
    world.call(2, port, &[], Plan::NULL);
    world.run(600 * SEC);
    world.restart(3);
    let call = world.call(3, port, &[], Plan::NULL);
    world.run(MS);
    assert_eq!(world.end(call).map(|end| end.0), Some(0));
}

#[cfg_attr(test, test)]
fn ss_012_a_declared_name_is_found_until_it_is_forgotten() {
    let mut world = recorded(4);
    let group = KnUniqueId::static_group(false, 12);
    let member = world.open(3, 8);
    world.join(3, group, member);
    let name = KnUniqueId::from_fields(2, UiType::Port, 1, 4321);
    let ask = |world: &mut World| {
        let target = group.with_mode(K_FUNCUMODE).unwrap();
        let (begin, call) = (
            world.now,
            world.call_beside(1, target, name, &[], Plan::NULL),
        );
        world.run(2 * SEC);
        let (result, end) = world.end(call).unwrap();
        assert!(end - begin < SEC, "{} ms", (end - begin) / MS);
        result
    };
    assert_eq!(ask(&mut world), K_EUNKNOWN);
    world.site(3).nucleus.declared.insert(name.word());
    assert_eq!((ask(&mut world), ask(&mut world)), (0, 0));
    world.site(3).nucleus.declared.remove(&name.word());
    assert_eq!(
        ask(&mut world),
        K_EUNKNOWN,
        "at once: the site itself is asked"
    );
}

#[cfg_attr(test, test)]
fn broadcast_searches_are_limited_in_rate() {
    let mut world = World::with(5, 2, Faults::NONE, |config| config.locate_rate = 10);
    for counter in 0..100 {
        world.call(
            1,
            KnUniqueId::from_fields(0, UiType::Port, 1, counter),
            &[],
            Plan::NULL,
        );
    }
    world.run(3 * SEC);
    assert!(
        world.counters(1).locate_broadcasts <= 41,
        "{:?}",
        world.counters(1)
    );
    world.run(60 * SEC);
    assert_eq!(
        world.counters(1).calls_not_executed,
        100,
        "all end all the same"
    );
}

/// All of them.
pub(super) const CHECKS: &[super::Check] = super::checks![
    ss_001_003_first_call_finds_the_port_by_one_unicast_query,
    ss_002_second_call_causes_no_locate_and_costs_two_frames,
    nc_190_ss_004_unknown_port_fails_as_not_executed_within_a_second_and_three_broadcasts,
    ss_005_a_hundred_calls_cause_one_locate_exchange,
    nc_105_ss_006_a_call_to_a_deleted_port_is_not_executed_and_its_hint_goes,
    a_name_that_was_not_found_is_found_once_it_exists,
    a_port_away_from_its_creation_site_is_found_by_broadcast,
    ss_008_a_late_or_forged_here_changes_nothing,
    ss_009_hints_stay_within_their_bound_and_old_ones_are_found_again,
    ss_010_a_broadcast_costs_an_uninvolved_site_one_look_up_and_no_memory,
    ss_011_a_site_that_joins_late_reaches_every_port,
    ss_012_a_declared_name_is_found_until_it_is_forgotten,
    broadcast_searches_are_limited_in_rate,
];
