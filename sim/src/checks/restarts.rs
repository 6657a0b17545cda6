//! Sites that begin anew while nobody hears of it.

use crate::network::Faults;
use crate::workload::group;
use crate::world::{MS, Plan, SEC, World};
use chorus_abi::error::K_ELINKFAILURE;
use chorus_abi::{K_BROADMODE, KnUniqueId};

/// Site 1 starts again while its HELLOs are lost; its port that both others have spoken to before.
fn unheard_restart() -> (World, KnUniqueId) {
    let mut world = World::new(79, 3, Faults::NONE);
    let (one, two) = (world.open(1, 8), world.open(2, 8));
    world.run(2 * SEC);
    let warm =
        [(2, one), (1, two), (3, one)].map(|(from, to)| world.call(from, to, &[], Plan::NULL));
    world.run(SEC);
    assert!(warm.iter().all(|call| world.end(*call).is_some()));
    world.cut(1, 2);
    world.cut(1, 3);
    world.crash(1);
    world.restart(1);
    world.run(2 * SEC);
    world.heal();
    (world, one)
}

#[cfg_attr(test, test)]
fn who_speaks_to_an_old_incarnation_learns_of_the_new_one_at_once() {
    let (mut world, one) = unheard_restart();
    let (call, began) = (world.call(2, one, &[], Plan::NULL), world.now);
    world.run(10 * MS);
    let end = world.end(call).expect("an end");
    assert_eq!(end.0, K_ELINKFAILURE);
    assert!(end.1 - began < MS);
    assert_eq!(world.counters(1).delivered_calls, 0);
}

#[cfg_attr(test, test)]
fn who_speaks_to_all_as_before_a_restart_learns_of_it_at_once() {
    let (mut world, _) = unheard_restart();
    let port = world.open(1, 8);
    world.join(1, group(), port);
    let mode = group().with_mode(K_BROADMODE).unwrap();
    for expected in [0, 1, 2] {
        world.send(3, mode, &[], false);
        world.run(MS);
        assert_eq!(world.site(1).nucleus.arrivals.len(), expected);
    }
    assert_eq!(world.counters(1).refused_generation, 1);
}

/// All of them.
pub(super) const CHECKS: &[super::Check] = super::checks![
    who_speaks_to_an_old_incarnation_learns_of_the_new_one_at_once,
    who_speaks_to_all_as_before_a_restart_learns_of_it_at_once,
];
