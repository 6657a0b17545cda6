//! Protection identifiers between sites (SS-071, SS-075).

use crate::network::Faults;
use crate::world::{MS, Plan, SEC, World};
use chorus_abi::KnProtId;
use chorus_transport::Trust;
use std::collections::BTreeMap;

fn identity(uid: u16, did: u16) -> KnProtId {
    KnProtId {
        uid,
        gid: 5,
        did,
        pad: 0,
    }
}

#[cfg_attr(test, test)]
fn ss_071_a_server_sees_the_identifiers_of_actor_and_port_on_another_site() {
    let mut world = World::new(71, 2, Faults::NONE);
    let port = world.open(1, 8);
    world.run(2 * SEC);
    let sent = (identity(1000, 3), identity(1001, 4));
    world.identities = sent;
    world.call(
        2,
        port,
        &[],
        Plan {
            service: SEC,
            ..Plan::NULL
        },
    );
    world.send(2, port, &[], false);
    world.run(100 * MS);
    let nucleus = &world.site(1).nucleus;
    let seen = nucleus
        .requests
        .values()
        .map(|request| request.identities)
        .chain(nucleus.arrivals.iter().map(|arrival| arrival.identities));
    assert_eq!(seen.collect::<Vec<_>>(), [sent, sent]);
    assert_eq!(world.counters(1).refused_identities, 0);
}

#[cfg_attr(test, test)]
fn ss_075_a_site_that_claims_a_domain_of_others_is_seen_as_nobody() {
    let mut world = World::with(75, 3, Faults::NONE, |config| {
        config.trust = Trust::parse("2=3,4;3=").unwrap();
    });
    let port = world.open(1, 64);
    world.run(2 * SEC);
    let slow = Plan {
        service: SEC,
        ..Plan::NULL
    };
    let mut expected = BTreeMap::new();
    for (from, did) in [(2, 3), (2, 4), (2, 5), (2, 0), (3, 3), (3, 0)] {
        let own = identity(1000 + did, did);
        world.identities = (own, identity(7, 3));
        let call = world.call(from, port, &[], slow);
        let believed = |pi: KnProtId| {
            if from == 2 && [3, 4].contains(&pi.did) {
                pi
            } else {
                KnProtId::NOBODY
            }
        };
        expected.insert(call, (believed(own), believed(identity(7, 3))));
    }
    world.run(100 * MS);
    let requests = &world.site(1).nucleus.requests;
    let seen: BTreeMap<_, _> = requests
        .values()
        .map(|request| (request.call, request.identities))
        .collect();
    assert_eq!(seen, expected);
    // Two claims of site 2, four of site 3.
    assert_eq!(world.counters(1).refused_identities, 2 + 4);
}

/// All of them.
pub(super) const CHECKS: &[super::Check] = super::checks![
    ss_071_a_server_sees_the_identifiers_of_actor_and_port_on_another_site,
    ss_075_a_site_that_claims_a_domain_of_others_is_seen_as_nobody,
];
