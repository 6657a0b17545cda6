//! Ports that move between sites: what their clients notice, and what follows (SS-013 to SS-021, SS-025 to SS-027).

use crate::effort;
use crate::network::Faults;
use crate::ports::OWN;
use crate::workload::group;
use crate::world::{MS, Plan, SEC, World, pattern};
use chorus_abi::error::{K_EBUSY, K_EINVAL, K_ENOPORT, K_EUNKNOWN};
use chorus_abi::{K_DROPMSG, K_FUNCMODE, K_MIGRATEMSG, KnUniqueId};
use chorus_transport::frame::KIND_NAMES;

/// Frames of a kind that were sent.
fn sent(world: &World, kind: &str) -> usize {
    let of = |sent: &&crate::world::Sent| KIND_NAMES[usize::from(sent.kind)] == kind;
    world.sent.iter().filter(of).count()
}

/// A port of site 1 in a world that meets it from all other sites.
fn world_with_port(seed: u64, sites: u16) -> (World, KnUniqueId) {
    let mut world = World::new(seed, sites, Faults::NONE);
    let port = world.open(1, 2000);
    world.run(2 * SEC);
    let calls: Vec<u32> = (1..=sites)
        .map(|site| world.call(site, port, b"met", Plan::NULL))
        .collect();
    world.run(SEC);
    world.assert_answered_once(&calls);
    (world, port)
}

/// Clients on all sites call a port, one call after the other each, while it moves `moves` times; every call must be answered, and executed once.
fn calls_while_it_moves(name: &str, default_seed: u64, faults: Faults, moves: usize) {
    let seed = effort::seed(default_seed);
    let mut world = World::new(seed, 4, faults);
    world.keeps = false;
    let port = world.open(1, 64);
    world.run(2 * SEC);
    let plan = Plan {
        queue: MS / 20,
        service: MS / 10,
        reply: 40,
        annex: false,
        result: 0,
    };
    let mut waiting = [None; 8];
    let (mut answered, mut done) = (0u64, 0);
    let mut moving: Option<usize> = None;
    let mut random = crate::random::Random::new(seed);
    while done < moves || waiting.iter().any(Option::is_some) {
        if moving.is_none_or(|number| world.migrations[number].end.is_some()) && done < moves {
            if let Some(number) = moving {
                let (result, ..) = world.migrations[number].end.unwrap_or_default();
                // The last place may not know yet that it came.
                assert!(
                    result >= 0 || result == K_EBUSY,
                    "{name}: move {number} ended with {result}, seed {seed}"
                );
                done += usize::from(result >= 0);
            }
            let from = world.place_of(port).expect("a place");
            let to = (from + random.below(3) as u16) % 4 + 1;
            moving = Some(world.migrate(from, port, to, K_MIGRATEMSG));
        }
        for (client, slot) in waiting.iter_mut().enumerate() {
            if slot.is_none_or(|call| !world.waits(call)) {
                answered += u64::from(slot.is_some());
                *slot = None;
                if done < moves {
                    let site = client as u16 % 4 + 1;
                    let body = pattern(answered, random.below(100) as usize);
                    *slot = Some(world.call(site, port, &body, plan));
                }
            }
        }
        let limit = world.now + MS / 5;
        world.run_until(limit);
        assert!(world.now < 24 * 3600 * SEC, "{name}: it hangs, seed {seed}");
    }
    assert_eq!(world.broken, None, "{name}: seed {seed}");
    assert_eq!(world.judge.finish(), Ok(()), "{name}: seed {seed}");
    let failed = world.judge.results().filter(|result| *result != 0).count();
    assert_eq!(
        failed,
        0,
        "{name}: of {} calls, seed {seed}",
        world.plans.len()
    );
    assert!(
        world.plans.len() > moves,
        "{name}: {} calls",
        world.plans.len()
    );
    let passed: u64 = (1..=4).map(|site| world.counters(site).passed).sum();
    assert!(
        passed > 0,
        "{name}: no message was queued when the port left"
    );
}

#[cfg_attr(test, test)]
fn ss_013_calls_go_on_while_the_port_moves_a_hundred_times() {
    calls_while_it_moves("ss_013", 13, Faults::NONE, 100);
}

#[cfg_attr(test, test)]
fn ss_014_and_under_loss_duplication_and_reordering_ten_thousand_times() {
    let moves = effort::full(500, 10_000) as usize;
    calls_while_it_moves("ss_014", 14, Faults::all(50), moves);
}

#[cfg_attr(test, test)]
fn ss_015_queued_messages_follow_in_order_and_before_what_is_sent_afterwards() {
    for faults in [Faults::NONE, Faults::all(50)] {
        let (mut world, port) = world_with_port(15, 3);
        world.set_faults(faults);
        world.enables = None;
        // Nobody receives; 1,000 messages and requests wait, from all sites.
        let entry = world
            .site(1)
            .nucleus
            .ports
            .get_mut(&port.word())
            .expect("it");
        entry.enabled = false;
        let mut order = Vec::new();
        let mut calls = Vec::new();
        for number in 0..1000u64 {
            let from = 1 + (number % 3) as u16;
            let body = pattern(number, 20);
            if number % 4 == 0 {
                calls.push(world.call(from, port, &body, Plan::NULL));
                world.run(50 * MS);
            } else {
                order.push(world.send(from, port, &body, false).0);
                world.run(10 * MS);
            }
        }
        let held = world.site(1).nucleus.ports[&port.word()].queue.len();
        assert!(held > 800, "{held}");
        let queued: Vec<u32> = queued(&mut world, 1, port);
        let end = world.migrate_now(1, port, 3, K_MIGRATEMSG);
        assert!(end.0 >= 0, "{end:?}");
        let late = (0..10)
            .map(|_| world.send(2, port, b"late", false).0)
            .collect::<Vec<_>>();
        world.run(SEC);
        let there: Vec<u32> = self::queued(&mut world, 3, port);
        assert_eq!(there[..queued.len()], queued[..]);
        assert!(
            there[queued.len()..]
                .iter()
                .all(|number| late.contains(&(number & !REQUEST)))
        );
        world.enable(3, port);
        world.run(30 * SEC);
        world.assert_answered_once(&calls);
        assert_eq!(world.broken, None);
    }
}

/// Marks a request among the numbers of messages.
const REQUEST: u32 = 1 << 31;

/// What waits in a port's queue, in order.
fn queued(world: &mut World, site: u16, port: KnUniqueId) -> Vec<u32> {
    use crate::ports::Waiting;
    let nucleus = &world.site(site).nucleus;
    let number = |waiting: &Waiting| match waiting {
        Waiting::Request(key) => nucleus.requests[key].call | REQUEST,
        Waiting::Message(item, _) => item.src_port.counter(),
    };
    nucleus.ports[&port.word()]
        .queue
        .iter()
        .map(number)
        .collect()
}

#[cfg_attr(test, test)]
fn ss_016_with_the_option_drop_queued_requests_end_and_are_never_executed() {
    let (mut world, port) = world_with_port(16, 3);
    let entry = world
        .site(1)
        .nucleus
        .ports
        .get_mut(&port.word())
        .expect("it");
    entry.enabled = false;
    let calls: Vec<u32> = (0..30)
        .map(|number| world.call(1 + number % 3, port, &[7; 30], Plan::NULL))
        .collect();
    world.send(2, port, b"lost", false);
    world.run(SEC);
    let begun = world.now;
    assert!(world.migrate_now(1, port, 2, K_DROPMSG).0 >= 0);
    world.run(10 * SEC);
    for &call in &calls {
        let (result, time) = world.end(call).expect("an end");
        assert_eq!(
            (result, world.executions(call)),
            (K_ENOPORT, 0),
            "call {call}"
        );
        assert!(time - begun < 10 * MS, "{}", time - begun);
    }
    let entry = world.site(2).nucleus.ports.get(&port.word()).expect("it");
    assert_eq!((entry.received, entry.queue.len()), (0, 0));
    let after = world.call(3, port, &[], Plan::NULL);
    world.run(SEC);
    world.assert_answered_once(&[after]);
}

#[cfg_attr(test, test)]
fn ss_017_018_a_received_request_is_answered_from_the_old_site_and_its_repetitions_run_nowhere() {
    let (mut world, port) = world_with_port(17, 3);
    let slow = Plan {
        service: 4 * SEC,
        reply: 10,
        ..Plan::NULL
    };
    world.record = true;
    let call = world.call(3, port, b"slow", slow);
    world.run(SEC);
    assert_eq!(world.executions(call), 1);
    assert!(world.migrate_now(1, port, 2, K_MIGRATEMSG).0 >= 0);
    // Its repetition, at the old place and, by a mistake of the fabric, at the new one.
    let again: Vec<Vec<u8>> = world
        .heard
        .iter()
        .filter(|(to, bytes)| *to == 1 && bytes[chorus_transport::frame::ETHERNET + 1] == 1)
        .map(|(_, bytes)| bytes.clone())
        .collect();
    assert!(!again.is_empty());
    for bytes in again {
        world.inject(1, bytes.clone(), MS);
        world.inject(2, bytes, MS);
    }
    world.run(SEC);
    let meanwhile = world.call(3, port, b"new", Plan::NULL);
    world.run(SEC);
    world.assert_answered_once(&[meanwhile]);
    assert!(world.waits(call));
    world.run(3 * SEC);
    world.assert_answered_once(&[call]);
    assert_eq!(world.counters(2).delivered_calls, 1, "only the new one");
}

#[cfg_attr(test, test)]
fn ss_018_a_repetition_of_what_was_passed_on_is_not_executed_again() {
    // The client's request waits at the old place, its acknowledgements are lost, the port moves: what the client repeats goes to the old place still, and is in service there.
    let (mut world, port) = world_with_port(18, 3);
    world
        .site(1)
        .nucleus
        .ports
        .get_mut(&port.word())
        .expect("it")
        .enabled = false;
    let call = world.call(3, port, b"waits", Plan::NULL);
    world.run(100 * MS);
    world.enables = None;
    assert!(world.migrate_now(1, port, 2, K_MIGRATEMSG).0 >= 0);
    // Repeated and probed for ten seconds.
    world.run(10 * SEC);
    assert!(world.waits(call));
    assert_eq!(world.counters(2).delivered_calls, 1);
    world.enable(2, port);
    world.run(SEC);
    world.assert_answered_once(&[call]);
}

#[cfg_attr(test, test)]
fn ss_019_020_it_comes_disabled_in_its_groups_and_counts_anew() {
    let (mut world, port) = world_with_port(19, 3);
    world.join(1, group(), port);
    world.enables = None;
    world.run(SEC);
    // Three were received, five more, and one waits.
    for _ in 0..5 {
        world.send(2, port, b"counted", false);
    }
    world.run(SEC);
    let end = world.migrate_now(1, port, 3, K_MIGRATEMSG);
    assert_eq!((end.0, end.1), ((port.word() & 0xFFFF) as i32, 3 + 5 + 1));
    assert!(world.is_disabled(3, port));
    let target = group().with_mode(K_FUNCMODE).expect("a mode");
    let call = world.call(2, target, b"to the group", Plan::NULL);
    world.run(3 * SEC);
    assert!(world.waits(call), "it waits until the port is enabled");
    assert_eq!(world.site(3).nucleus.ports[&port.word()].received, 0);
    world.enable(3, port);
    world.run(SEC);
    world.assert_answered_once(&[call]);
    assert_eq!(world.site(3).nucleus.ports[&port.word()].received, 1);
    let end = world.migrate_now(3, port, 1, K_MIGRATEMSG);
    assert_eq!(end.1, 2);
}

#[cfg_attr(test, test)]
fn ss_021_what_may_not_move_stays() {
    let (mut world, port) = world_with_port(21, 3);
    let word = port.word();
    let default = KnUniqueId::from_word(world.site(1).nucleus.actor);
    let fixed = KnUniqueId::well_known_port(1, 9);
    world
        .site(1)
        .nucleus
        .ports
        .insert(fixed.word(), crate::ports::Port::taking(1));
    world.site(1).nucleus.handlers.insert(word);
    let before = world.frames;
    for port in [default, fixed, port] {
        assert_eq!(world.migrate_now(1, port, 2, K_MIGRATEMSG).0, K_EINVAL);
    }
    assert_eq!(world.frames, before);
    world.site(1).nucleus.handlers.clear();
    // No such actor there, and no such site: the port stays, and may move later.
    world.replace_actor(2);
    assert_eq!(world.migrate_now(1, port, 2, K_MIGRATEMSG).0, K_EUNKNOWN);
    assert_eq!(world.place_of(port), Some(1));
    assert_eq!(world.site(1).nucleus.ports[&word].epoch, 2);
    assert!(world.migrate_now(1, port, 3, K_MIGRATEMSG).0 >= 0);
    let call = world.call(2, port, &[], Plan::NULL);
    world.run(SEC);
    world.assert_answered_once(&[call]);
}

#[cfg_attr(test, test)]
fn ss_025_of_two_who_move_a_port_at_once_one_wins() {
    let (mut world, port) = world_with_port(25, 3);
    let first = world.migrate(1, port, 2, K_MIGRATEMSG);
    let second = world.migrate(1, port, 3, K_MIGRATEMSG);
    world.run(SEC);
    let ends = [first, second].map(|number| world.migrations[number].end.expect("an end").0);
    assert!(ends[0] >= 0 && ends[1] == K_EBUSY, "{ends:?}");
    // One is asked where it is not any more.
    assert_eq!(world.migrate_now(1, port, 3, K_MIGRATEMSG).0, K_EINVAL);
    assert_eq!(world.place_of(port), Some(2));
}

#[cfg_attr(test, test)]
fn ss_026_a_port_that_moves_every_five_milliseconds_is_reached() {
    let (mut world, port) = world_with_port(26, 4);
    world.keeps = true;
    let mut calls = Vec::new();
    let mut moving = None::<usize>;
    let mut next = world.now;
    let until = world.now + effort::full(2, 20) * SEC;
    while world.now < until {
        let over = moving.is_none_or(|number| world.migrations[number].end.is_some());
        if over && world.now >= next {
            let from = world.place_of(port).expect("a place");
            moving = Some(world.migrate(from, port, from % 4 + 1, K_MIGRATEMSG));
            next = world.now + 5 * MS;
        }
        let from = 1 + (calls.len() % 4) as u16;
        calls.push((world.call(from, port, &[1; 50], Plan::NULL), world.now));
        let step = world.now + MS;
        world.run_until(step);
    }
    world.run(5 * SEC);
    let mut fast = 0;
    let ends: std::collections::HashMap<u32, (i32, u64)> = world
        .history
        .events
        .iter()
        .filter_map(|(time, call, what)| match what {
            crate::history::Happening::Ended(result, _) => Some((*call, (*result, *time))),
            _ => None,
        })
        .collect();
    for &(call, begun) in &calls {
        let (result, time) = ends.get(&call).copied().expect("an end");
        assert_eq!(result, 0, "call {call}");
        assert!(time - begun < SEC, "call {call}: {} ns", time - begun);
        fast += usize::from(time - begun < 100 * MS);
    }
    assert!(world.migrations.len() > 200);
    assert!(fast * 10 >= calls.len() * 9, "{fast} of {}", calls.len());
    assert_eq!(world.broken, None);
}

#[cfg_attr(test, test)]
fn nc_128_who_had_it_cached_at_the_old_place_reaches_it() {
    let (mut world, port) = world_with_port(128, 4);
    // From the site that made it to another, and on from there.
    assert!(world.migrate_now(1, port, 2, K_MIGRATEMSG).0 >= 0);
    let at_two = world.call(4, port, &[], Plan::NULL);
    world.run(SEC);
    assert!(world.migrate_now(2, port, 3, K_MIGRATEMSG).0 >= 0);
    world.record = true;
    let call = world.call(4, port, &[], Plan::NULL);
    world.run(SEC);
    world.assert_answered_once(&[at_two, call]);
    // One refusal with the way, no search.
    assert_eq!((sent(&world, "NACK"), sent(&world, "LOCATE")), (1, 0));
    world.run(2 * SEC);
    world.sent.clear();
    let call = world.call(4, port, &[], Plan::NULL);
    world.run(100 * MS);
    world.assert_answered_once(&[call]);
    assert_eq!((sent(&world, "REQUEST"), world.sent.len()), (1, 2));
}

#[cfg_attr(test, test)]
fn nc_128_the_site_that_made_it_knows_where_it_is() {
    let (mut world, port) = world_with_port(129, 5);
    for (from, to) in [(1, 2), (2, 3), (3, 4)] {
        assert!(world.migrate_now(from, port, to, K_MIGRATEMSG).0 >= 0);
    }
    world.run(SEC);
    world.record = true;
    // Site 5 lost what it knew.
    world.crash(5);
    world.restart(5);
    world.run(3 * SEC);
    let call = world.call(5, port, &[], Plan::NULL);
    world.run(SEC);
    world.assert_answered_once(&[call]);
    let broadcasts = world.counters(5).locate_broadcasts;
    assert_eq!((sent(&world, "MOVED"), broadcasts), (1, 0));
}

#[cfg_attr(test, test)]
fn ss_027_notes_vanish_after_their_time_and_the_port_is_found() {
    let (mut world, port) = world_with_port(27, 4);
    assert!(world.migrate_now(1, port, 2, K_MIGRATEMSG).0 >= 0);
    let seen = world.call(4, port, &[], Plan::NULL);
    world.run(SEC);
    assert!(world.migrate_now(2, port, 3, K_MIGRATEMSG).0 >= 0);
    world.run(61 * SEC);
    world.record = true;
    // Site 4 has it at site 2, which says nothing of where it went any more; its creation site does.
    let call = world.call(4, port, &[], Plan::NULL);
    world.run(SEC);
    world.assert_answered_once(&[seen, call]);
    let way = (
        sent(&world, "NACK"),
        sent(&world, "LOCATE"),
        sent(&world, "MOVED"),
    );
    assert_eq!(way, (1, 1, 1));
    // And if that does not know either, all are asked.
    world.crash(1);
    world.restart(1);
    world.crash(4);
    world.restart(4);
    world.run(3 * SEC);
    let call = world.call(4, port, &[], Plan::NULL);
    world.run(SEC);
    world.assert_answered_once(&[call]);
    assert_eq!(world.counters(4).locate_broadcasts, 1);
}

#[cfg_attr(test, test)]
fn messages_that_come_to_the_old_place_are_sent_on() {
    let (mut world, port) = world_with_port(130, 3);
    assert!(world.migrate_now(1, port, 2, K_MIGRATEMSG).0 >= 0);
    for _ in 0..3 {
        world.send(3, port, b"to the old place", false);
    }
    world.run(SEC);
    assert_eq!(world.site(2).nucleus.arrivals.len(), 3);
    assert_eq!(world.counters(1).sent_on, 3);
    world.send(3, port, b"to the new place", false);
    world.run(SEC);
    assert_eq!(
        (
            world.site(2).nucleus.arrivals.len(),
            world.counters(1).sent_on
        ),
        (4, 3)
    );
}

#[cfg_attr(test, test)]
fn a_client_that_leaves_withdraws_what_was_passed_on() {
    let (mut world, port) = world_with_port(131, 3);
    world
        .site(1)
        .nucleus
        .ports
        .get_mut(&port.word())
        .expect("it")
        .enabled = false;
    world.enables = None;
    let calls = [1, 3].map(|site| world.call(site, port, b"leaves", Plan::NULL));
    world.run(SEC);
    assert!(world.migrate_now(1, port, 2, K_MIGRATEMSG).0 >= 0);
    assert_eq!(world.site(2).nucleus.requests.len(), 2);
    for call in calls {
        world.leave(call);
    }
    world.run(SEC);
    assert!(world.site(2).nucleus.requests.is_empty());
    assert!(
        world
            .site(1)
            .nucleus
            .requests
            .keys()
            .all(|key| key & OWN == 0)
    );
    world.enable(2, port);
    world.run(100 * SEC);
    for site in 1..=3 {
        let sizes = world.sizes(site);
        assert_eq!(
            (sizes.calls, sizes.serving, sizes.moves),
            (0, 0, 0),
            "site {site}"
        );
        assert_eq!(
            (sizes.server_channels, sizes.timers),
            (0, 0),
            "site {site}: {sizes:?}"
        );
    }
}

#[cfg_attr(test, test)]
fn a_call_on_its_way_to_where_its_port_came_from_is_delivered_at_home() {
    // The port comes to the very site of the client, while its call is on the way to the old place.
    let (mut world, port) = world_with_port(132, 2);
    let mut calls = Vec::new();
    for round in 0..20 {
        let (from, to) = if round % 2 == 0 { (1, 2) } else { (2, 1) };
        let number = world.migrate(from, port, to, K_MIGRATEMSG);
        for _ in 0..8 {
            calls.push(world.call(to, port, &[9; 9], Plan::NULL));
            world.run(MS / 10);
        }
        world.run(SEC);
        assert!(world.migrations[number].end.is_some_and(|end| end.0 >= 0));
    }
    world.assert_answered_once(&calls);
    assert_eq!(world.broken, None);
}

/// All of them.
pub(super) const CHECKS: &[super::Check] = super::checks![
    ss_013_calls_go_on_while_the_port_moves_a_hundred_times,
    ss_014_and_under_loss_duplication_and_reordering_ten_thousand_times,
    ss_015_queued_messages_follow_in_order_and_before_what_is_sent_afterwards,
    ss_016_with_the_option_drop_queued_requests_end_and_are_never_executed,
    ss_017_018_a_received_request_is_answered_from_the_old_site_and_its_repetitions_run_nowhere,
    ss_018_a_repetition_of_what_was_passed_on_is_not_executed_again,
    ss_019_020_it_comes_disabled_in_its_groups_and_counts_anew,
    ss_021_what_may_not_move_stays,
    ss_025_of_two_who_move_a_port_at_once_one_wins,
    ss_026_a_port_that_moves_every_five_milliseconds_is_reached,
    ss_027_notes_vanish_after_their_time_and_the_port_is_found,
    nc_128_who_had_it_cached_at_the_old_place_reaches_it,
    nc_128_the_site_that_made_it_knows_where_it_is,
    messages_that_come_to_the_old_place_are_sent_on,
    a_client_that_leaves_withdraws_what_was_passed_on,
    a_call_on_its_way_to_where_its_port_came_from_is_delivered_at_home,
];
