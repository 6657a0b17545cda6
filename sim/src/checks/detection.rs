//! Who is there: sites that are switched off, paused, cut off, and come back (SS-063…070).

use crate::effort::{seed, times};
use crate::network::Faults;
use crate::random::Random;
use crate::world::{MS, Plan, SEC, World};
use chorus_abi::KnUniqueId;
use chorus_abi::error::{K_ELINKFAILURE, K_EUNKNOWN};
use chorus_transport::{Notice, Standing};

/// Sites that have met.
fn met(seed: u64, sites: u16, faults: Faults) -> World {
    let mut world = World::watching(seed, sites, faults);
    world.run(5 * SEC);
    for site in 1..=sites {
        assert_eq!(
            live(&mut world, site),
            usize::from(sites) - 1,
            "seed {seed}"
        );
    }
    world
}

/// Sites that one site holds to be there.
fn live(world: &mut World, site: u16) -> usize {
    let endpoint = world.site(site).endpoint.as_ref();
    let others = endpoint.into_iter().flat_map(|endpoint| endpoint.others());
    others
        .filter(|other| other.standing != Standing::Down)
        .count()
}

/// What one site holds another to be.
fn standing(world: &mut World, at: u16, of: u16) -> Option<Standing> {
    let endpoint = world.site(at).endpoint.as_ref()?;
    let mut others = endpoint.others();
    others
        .find(|other| other.site == of)
        .map(|other| other.standing)
}

fn downs(world: &World) -> u64 {
    let all = 1..=world.sites.len() as u16;
    all.map(|site| world.counters(site).peers_down).sum()
}

fn slow(service: u64) -> Plan {
    Plan {
        service,
        ..Plan::NULL
    }
}

/// All calls between all pairs of these sites end well within a time.
fn all_pairs(world: &mut World, sites: &[u16], within: u64) {
    let ports: Vec<(u16, KnUniqueId)> = sites
        .iter()
        .map(|&site| (site, world.open(site, 100)))
        .collect();
    let mut calls = Vec::new();
    for &from in sites {
        for &(to, port) in &ports {
            if from != to {
                calls.push(world.call(from, port, b"pair", Plan::NULL));
            }
        }
    }
    world.run(within);
    for call in calls {
        assert_eq!(
            world.end(call).map(|end| end.0),
            Some(0),
            "{:?}",
            world.history.of(call)
        );
    }
}

#[cfg_attr(test, test)]
fn ss_063_a_site_that_is_switched_off_is_down_everywhere_within_a_second_and_a_half() {
    let first = seed(63);
    let mut worst = 0;
    for trial in 0..times(1000) {
        let sites = 2 + (trial % 15) as u16;
        let mut world = World::watching(first + trial, sites, Faults::NONE);
        world.run(3 * SEC + trial * 7 * MS);
        let mut random = Random::new(first + trial);
        let victim = 1 + random.below(sites.into()) as u16;
        world.crash(victim);
        let off = world.now;
        let others: Vec<u16> = (1..=sites).filter(|site| *site != victim).collect();
        while others
            .iter()
            .any(|&at| standing(&mut world, at, victim) != Some(Standing::Down))
        {
            world.run(MS);
            assert!(world.now - off <= 1500 * MS, "seed {}", first + trial);
        }
        worst = worst.max(world.now - off);
        assert_eq!(
            downs(&world),
            u64::from(sites) - 1,
            "nobody else is down; seed {}",
            first + trial
        );
    }
    crate::effort::say(format!(
        "seeds {first} to {}: at most {} ms",
        first + times(1000) - 1,
        worst / MS
    ));
}

#[cfg_attr(test, test)]
fn ss_043_and_047_calls_end_with_the_site_of_either_side() {
    for trial in 0..50 {
        let seed = seed(43) + trial;
        let mut world = met(seed, 4, Faults::NONE);
        let server = world.open(1, 8);
        let elsewhere = world.open(3, 8);
        let sent = world.call(2, server, b"x", slow(60 * SEC));
        let other = world.call(1, elsewhere, b"y", slow(60 * SEC));
        world.run(3 * SEC);
        world.crash(1);
        let off = world.now;
        let late = world.call(2, server, b"z", Plan::NULL);
        world.run(2 * SEC);
        for call in [sent, late] {
            let (result, end) = world.end(call).unwrap();
            assert_eq!(result, K_ELINKFAILURE, "it may have been executed");
            assert!(
                (600 * MS..=1500 * MS).contains(&(end - off)),
                "seed {seed}: {} ms",
                (end - off) / MS
            );
        }
        assert_eq!(world.site(3).nucleus.cancelled, [other], "seed {seed}");
        let begin = world.now;
        let call = world.call(2, server, b"z", Plan::NULL);
        world.run(SEC);
        world.assert_unknown_at_once(call, begin);
        assert_eq!(world.history.check(), Ok(()));
    }
}

#[cfg_attr(test, test)]
fn ss_063_the_time_to_find_a_site_down_is_what_it_was_set_to() {
    for limit in [350 * MS, 7 * SEC] {
        let seed = seed(630) + limit;
        let mut world = World::watching_with(seed, 4, Faults::NONE, |config| {
            config.detect_within(limit);
        });
        world.run(3 * limit);
        world.crash(2);
        let off = world.now;
        // It may have been asked just before, and is given its time then.
        world.run(limit / 2);
        assert_eq!(downs(&world), 0, "seed {seed}");
        world.run(limit / 2 + limit / 10);
        assert_eq!(downs(&world), 3, "seed {seed}: {}", world.now - off);
    }
}

#[cfg_attr(test, test)]
fn ss_064_a_day_without_a_false_down_idle_and_at_full_load() {
    let seed = seed(64);
    let mut world = met(seed, 8, Faults::NONE);
    world.run(times(24 * 3600) * SEC);
    assert_eq!(
        (downs(&world), world.counters(1).suspicions),
        (0, 0),
        "seed {seed}"
    );
    // Full load: every site is kept from running now and then, for up to 400 ms; frames are lost.
    let faults = Faults {
        loss: 10,
        ..Faults::NONE
    };
    let mut world = met(seed, 8, faults);
    let mut random = Random::new(seed);
    let end = world.now + times(24 * 3600) * SEC;
    while world.now < end {
        let site = 1 + random.below(8) as u16;
        world.pause(site);
        world.run(random.below(400 * MS));
        world.resume(site);
        world.run(random.below(20 * SEC));
    }
    assert!(
        downs(&world) <= 7,
        "at most one site, seed {seed}: {}",
        downs(&world)
    );
}

#[cfg_attr(test, test)]
fn ss_065_a_pause_of_200_ms_is_nothing_and_one_of_10_s_costs_the_incarnation() {
    for sites in [2, 3, 8, 16] {
        let seed = seed(65) + u64::from(sites);
        let mut world = met(seed, sites, Faults::NONE);
        for round in 0..100 {
            let site = 1 + round % sites;
            world.pause(site);
            world.run(200 * MS);
            world.resume(site);
            world.run(737 * MS);
        }
        assert_eq!(downs(&world), 0, "seed {seed}");
        let server = world.open(1, 64);
        let other = world.open(2, 64);
        let in_service = world.call(2, server, b"x", slow(60 * SEC));
        let waiting = world.call(1, other, b"y", slow(60 * SEC));
        world.run(SEC);
        world.pause(1);
        world.run(2 * SEC);
        assert_eq!(standing(&mut world, 2, 1), Some(Standing::Down));
        assert_eq!(world.end(in_service).map(|end| end.0), Some(K_ELINKFAILURE));
        assert_eq!(
            world.site(2).nucleus.cancelled,
            [waiting],
            "its requests lose their client"
        );
        world.run(8 * SEC);
        world.resume(1);
        world.run(SEC);
        assert_eq!(world.site(1).incarnation, 2, "seed {seed}");
        assert_eq!(world.end(waiting).map(|end| end.0), Some(K_ELINKFAILURE));
        assert!(
            world
                .site(1)
                .nucleus
                .notices
                .contains(&Notice::IncarnationOver { above: 1 })
        );
        assert_eq!(world.counters(1).clock_jumps, 1);
        for at in 2..=sites {
            assert_eq!(
                standing(&mut world, 1, at).map(|of| of != Standing::Down),
                Some(true)
            );
            assert_ne!(
                standing(&mut world, at, 1),
                Some(Standing::Down),
                "seed {seed}"
            );
            assert_eq!(
                world.site(at).incarnation,
                1,
                "the paused site judged nobody"
            );
        }
        let all: Vec<u16> = (1..=sites).collect();
        all_pairs(&mut world, &all, 2 * SEC);
        assert_eq!(world.history.check(), Ok(()));
    }
}

#[cfg_attr(test, test)]
fn a_site_whose_clock_jumped_refutes_and_declares_nobody() {
    let seed = seed(651);
    let mut world = met(seed, 5, Faults::NONE);
    // All are paused together, as by a host that stands still; they come back one after another.
    for site in 1..=5 {
        world.pause(site);
    }
    world.run(30 * SEC);
    for site in 1..=5 {
        world.resume(site);
        world.run(100 * MS);
    }
    world.run(10 * SEC);
    assert_eq!(downs(&world), 0, "seed {seed}");
    for site in 1..=5 {
        let counters = world.counters(site);
        assert!(
            counters.clock_jumps == 1 && counters.refutations >= 1,
            "{counters:?}"
        );
    }
}

#[cfg_attr(test, test)]
fn ss_066_a_link_that_works_one_way_is_noticed_by_both_ends() {
    // Two sites: whoever is not heard is down for the other, as with a full cut.
    let both = |one_way: bool, seed: u64| {
        let mut world = met(seed, 2, Faults::NONE);
        let begin = world.now;
        world.cut_one_way(1, 2);
        if !one_way {
            world.cut_one_way(2, 1);
        }
        let noticed = |world: &World, site: u16| world.counters(site).peers_down > 0;
        while !(noticed(&world, 1) && noticed(&world, 2)) {
            world.run(MS);
            assert!(world.now - begin < 10 * SEC, "seed {seed}");
        }
        world.now - begin
    };
    for trial in 0..50 {
        let seed = seed(66) + trial;
        let (full, one) = (both(false, seed), both(true, seed));
        assert!(
            one <= 3 * full,
            "seed {seed}: {} against {} ms",
            one / MS,
            full / MS
        );
    }
    // Among several the link is at fault, not a site: both ends learn that, nobody is down.
    for trial in 0..50 {
        let seed = seed(660) + trial;
        let mut world = met(seed, 6, Faults::NONE);
        let port = world.open(4, 8);
        assert!(world.sizes(2).members == 5);
        world.call(2, port, &[], Plan::NULL);
        world.run(2 * SEC);
        world.cut_one_way(2, 4);
        // A call that is not answered makes its site be asked out of turn.
        world.call(2, port, &[], Plan::NULL);
        world.run(4500 * MS);
        let ends = [
            (2, Notice::LinkLost { site: 4 }),
            (4, Notice::LinkLost { site: 2 }),
        ];
        for (site, notice) in ends {
            assert!(
                world.site(site).nucleus.notices.contains(&notice),
                "seed {seed}"
            );
        }
        assert_eq!(downs(&world), 0, "seed {seed}");
    }
}

#[cfg_attr(test, test)]
fn ss_067_nothing_of_an_incarnation_that_is_down_changes_a_table() {
    let seed = seed(67);
    let mut world = met(seed, 4, Faults::NONE);
    let ports = [1, 2].map(|site| world.open(site, 100));
    // Everything that sites 1 and 2 say to each other is recorded and comes again much later.
    world.set_faults(Faults {
        echo: 1000,
        late: 20 * SEC,
        ..Faults::NONE
    });
    for n in 0..200u16 {
        let (from, to) = if n % 2 == 0 { (1, 1) } else { (2, 0) };
        world.call(from, ports[to], b"again", Plan::NULL);
        world.send(from, ports[to], b"again", false);
        world.run(MS);
    }
    world.set_faults(Faults::NONE);
    world.crash(1);
    world.run(2 * SEC);
    assert_eq!(
        standing(&mut world, 2, 1),
        Some(Standing::Down),
        "seed {seed}"
    );
    let before = (
        world.sizes(2),
        world.counters(2).delivered_calls,
        world.counters(2).delivered_sends,
    );
    let view = world
        .site(2)
        .endpoint
        .as_ref()
        .map(|endpoint| endpoint.view_digest());
    // Most of them were opened before; what is new of it goes no further either.
    let refused = |world: &World| {
        let counters = world.counters(2);
        counters.dead_incarnation + counters.refused_replay + counters.refused_window
    };
    let dead = refused(&world);
    world.run(25 * SEC);
    assert!(refused(&world) > dead + 20, "frames of it came");
    let after = (
        world.sizes(2),
        world.counters(2).delivered_calls,
        world.counters(2).delivered_sends,
    );
    // Only the time of the last acknowledgements passed.
    let timers = |mut sizes: chorus_transport::Sizes| {
        (sizes.timers, sizes.kept_bytes) = (0, 0);
        sizes
    };
    assert_eq!(
        (timers(after.0), after.1, after.2),
        (timers(before.0), before.1, before.2)
    );
    assert_eq!(standing(&mut world, 2, 1), Some(Standing::Down));
    assert_eq!(
        world
            .site(2)
            .endpoint
            .as_ref()
            .map(|endpoint| endpoint.view_digest()),
        view
    );
}

#[cfg_attr(test, test)]
fn ss_068_what_a_site_sends_to_watch_others_does_not_grow_with_their_number() {
    let mut rates = Vec::new();
    for sites in [2, 4, 8, 16, 32, 64, 200] {
        let mut world = met(seed(68), sites, Faults::NONE);
        world.run(10 * SEC);
        world.record = true;
        world.run(60 * SEC);
        let most = (1..=sites)
            .map(|site| world.sent.iter().filter(|sent| sent.from == site).count())
            .max();
        rates.push((sites, most.unwrap_or(0) as f64 / 60.0));
    }
    crate::effort::say(format!("frames a second and site: {rates:?}"));
    assert!(rates.iter().all(|(_, rate)| *rate < 50.0));
    assert!(
        rates.iter().all(|(_, rate)| *rate <= rates[2].1 + 0.5),
        "{rates:?}"
    );
}

#[cfg_attr(test, test)]
fn ss_069_each_half_of_a_split_cluster_works_and_all_of_it_after_healing() {
    for trial in 0..20 {
        let seed = seed(69) + trial;
        let mut world = met(seed, 6, Faults::NONE);
        all_pairs(&mut world, &[1, 2, 3, 4, 5, 6], SEC);
        let halves = if trial % 2 == 0 {
            [vec![1, 2, 3], vec![4, 5, 6]]
        } else {
            [vec![1, 4, 5], vec![2, 3, 6]]
        };
        world.split(&halves);
        world.run(6 * SEC);
        for half in &halves {
            all_pairs(&mut world, half, SEC);
            for &site in half {
                assert_eq!(live(&mut world, site), 2, "seed {seed}");
            }
        }
        let port = world.open(halves[1][0], 8);
        let across = world.call(halves[0][0], port, &[], Plan::NULL);
        world.run(SEC);
        assert_eq!(world.end(across).map(|end| end.0), Some(K_EUNKNOWN));
        world.run(20 * SEC);
        world.heal();
        world.run(2 * SEC);
        all_pairs(&mut world, &[1, 2, 3, 4, 5, 6], SEC);
        assert_eq!(world.history.check(), Ok(()));
        let renewed = (1..=6)
            .filter(|&site| world.site(site).incarnation > 1)
            .count();
        assert!(
            (3..=6).contains(&renewed),
            "one half began anew, seed {seed}: {renewed}"
        );
    }
}

#[cfg_attr(test, test)]
fn a_site_that_was_cut_off_alone_begins_anew_and_the_others_do_not() {
    for trial in 0..20 {
        let seed = seed(690) + trial;
        let mut world = met(seed, 9, Faults::NONE);
        let alone = 1 + (trial % 9) as u16;
        world.split(&[vec![alone]]);
        world.run(20 * SEC);
        assert_eq!(live(&mut world, alone), 0, "seed {seed}");
        world.heal();
        world.run(3 * SEC);
        for site in 1..=9 {
            assert_eq!(
                world.site(site).incarnation > 1,
                site == alone,
                "site {site}, seed {seed}"
            );
            assert_eq!(live(&mut world, site), 8, "seed {seed}");
        }
    }
}

#[cfg_attr(test, test)]
fn ss_070_an_hour_of_sites_that_are_killed_and_restarted_leaves_nothing_behind() {
    let seed = seed(70);
    let mut world = met(seed, 6, Faults::all(20));
    let mut random = Random::new(seed);
    let mut ports: Vec<KnUniqueId> = (1..=6).map(|site| world.open(site, 64)).collect();
    for _ in 0..times(1800) {
        let victim = 1 + random.below(6) as u16;
        let until = world.now + 2 * SEC;
        world.crash(victim);
        for _ in 0..8 {
            let from = 1 + random.below(6) as u16;
            if world.site(from).endpoint.is_some() {
                let to = random.below(6) as usize;
                world.call(from, ports[to], b"work", slow(random.below(3 * SEC)));
            }
            world.run(random.below(150 * MS));
        }
        world.restart(victim);
        ports[usize::from(victim) - 1] = world.open(victim, 64);
        let group = crate::workload::group();
        world.join(victim, group, ports[usize::from(victim) - 1]);
        world.run_until(until);
    }
    world.set_faults(Faults::NONE);
    world.run(200 * SEC);
    assert_eq!(world.history.check(), Ok(()), "seed {seed}");
    let mut fresh = met(seed, 6, Faults::NONE);
    let group = crate::workload::group();
    for site in 1..=6 {
        let port = fresh.open(site, 64);
        fresh.join(site, group, port);
    }
    fresh.run(70 * SEC);
    for site in 1..=6 {
        let (was, is) = (fresh.sizes(site), world.sizes(site));
        for ((name, fresh), (_, now)) in was.list().zip(is.list()) {
            let bound = match name {
                "peers" => 5,
                "hints" => 7,
                "timers" => fresh + 2,
                _ => fresh,
            };
            assert!(
                now <= bound,
                "{name} of site {site}: {now}, fresh {fresh}; seed {seed}"
            );
        }
        assert_eq!(live(&mut world, site), 5, "seed {seed}");
        assert!(world.site(site).nucleus.requests.is_empty());
    }
}

#[cfg_attr(test, test)]
fn a_restarted_site_with_a_number_that_was_used_learns_a_higher_one() {
    let mut world = met(seed(71), 4, Faults::NONE);
    world.pause(3);
    world.run(10 * SEC);
    world.resume(3);
    world.run(2 * SEC);
    assert_eq!(world.site(3).incarnation, 2);
    // The loader counts boots only, and gives it the first number again.
    world.crash(3);
    world.site(3).incarnation = 0;
    world.restart(3);
    world.run(2 * SEC);
    assert_eq!(world.site(3).incarnation, 3);
    all_pairs(&mut world, &[1, 2, 3, 4], 2 * SEC);
}

/// All of them.
pub(super) const CHECKS: &[super::Check] = super::checks![
    ss_063_a_site_that_is_switched_off_is_down_everywhere_within_a_second_and_a_half,
    ss_043_and_047_calls_end_with_the_site_of_either_side,
    ss_063_the_time_to_find_a_site_down_is_what_it_was_set_to,
    ss_064_a_day_without_a_false_down_idle_and_at_full_load,
    ss_065_a_pause_of_200_ms_is_nothing_and_one_of_10_s_costs_the_incarnation,
    a_site_whose_clock_jumped_refutes_and_declares_nobody,
    ss_066_a_link_that_works_one_way_is_noticed_by_both_ends,
    ss_067_nothing_of_an_incarnation_that_is_down_changes_a_table,
    ss_068_what_a_site_sends_to_watch_others_does_not_grow_with_their_number,
    ss_069_each_half_of_a_split_cluster_works_and_all_of_it_after_healing,
    a_site_that_was_cut_off_alone_begins_anew_and_the_others_do_not,
    ss_070_an_hour_of_sites_that_are_killed_and_restarted_leaves_nothing_behind,
    a_restarted_site_with_a_number_that_was_used_learns_a_higher_one,
];
