//! Ports that come from another site: what is looked at, who sees them before they live here, and what ends them (SS-013…025).

use super::nc_network::{attached, far, hand};
use super::scene::Party;
use super::site::Site;
use super::{invariants, nc_network};
use chorus_abi::error::*;
use chorus_abi::keys::keyed_hash;
use chorus_abi::net::*;
use chorus_abi::*;
use proptest::prelude::*;

/// A record as another Nucleus makes it, said a second time.
fn record(trusted: bool, key: u64, groups: &[(KnUniqueId, u64)]) -> alloc::vec::Vec<u8> {
    let first = 1 | u64::from(trusted) << 16 | (groups.len() as u64) << 32;
    let pi = 4 | 5 << 16 | 6 << 32;
    let mut words = alloc::vec![first, key, pi, 0];
    words.extend(groups.iter().flat_map(|&(group, key)| [group.word(), key]));
    words
        .iter()
        .flat_map(|word: &u64| word.to_le_bytes())
        .collect()
}

/// Group and key of a well-known group, on a site of tests.
fn group(stamp: u32) -> (KnUniqueId, u64) {
    let ui = KnUniqueId::static_group(false, stamp);
    (ui, keyed_hash((3, 5), ui.word()))
}

/// All that could change but the memory of actors, where the manager's items lie.
fn tables(site: &Site) -> alloc::string::String {
    let picture = site.picture();
    let lines = picture.lines().filter(|line| !line.starts_with("memory"));
    lines.collect::<alloc::vec::Vec<_>>().join("\n")
}

#[track_caller]
fn unchanged(site: &Site, before: &str, what: &str) {
    assert_eq!(tables(site), before, "{what} changed something");
}

/// A port comes for an actor.
fn arrives(site: &mut Site, manager: Party, to: Party, epoch: u64, record: &[u8]) -> i32 {
    let item = KnNetItem {
        co_target: site.door(to.actor),
        ..nc_network::message(NET_ARRIVE, epoch, far())
    };
    hand(site, manager, "nmDeliver", item, record)
}

/// It lives, or comes not.
fn says(site: &mut Site, manager: Party, kind: u32, epoch: u64) -> i32 {
    let item = nc_network::message(kind, epoch, far());
    let said = hand(site, manager, "nmDeliver", item, b"");
    invariants::check(&site.nucleus);
    said
}

#[test]
fn nc_128_a_port_that_comes_is_nobody_s_before_it_lives() {
    let (mut site, manager, user, other) = attached();
    let group = group(4);
    let key = site.cap(user.actor).key;
    let li = arrives(&mut site, manager, user, 1, &record(false, key, &[group]));
    assert!(li > 0);
    invariants::check(&site.nucleus);
    let door = site.arg(user.actor, &far());
    let li_at = li as u64;
    for (name, arguments) in [
        ("portEnable", &[0, li_at, 1][..]),
        ("portDelete", &[0, li_at]),
        ("portUi", &[door, li_at]),
        ("portLi", &[door]),
        ("portMigrate", &[0, 0, li_at, 0, 0]),
    ] {
        site.refuses(user, name, arguments, K_EINVAL);
    }
    assert_eq!(site.grants(user, "uiIsLocal", &[door]), 0);
    // Messages to it go where it may still be; those to its group find no member.
    assert_eq!(site.send(other, far(), b"x"), Some(K_OK));
    assert_eq!(
        nc_network::take(&mut site, manager).unwrap().0.target,
        far()
    );
    let to_port = nc_network::message(NET_SEND, 0, far());
    let to_group = nc_network::message(NET_SEND, 0, group.0.with_mode(K_FUNCMODE).unwrap());
    for item in [to_port, to_group] {
        assert_eq!(hand(&mut site, manager, "nmDeliver", item, b""), K_EUNKNOWN);
    }
    assert!(
        nc_network::take(&mut site, manager).is_none(),
        "no group changed"
    );
    assert_eq!(says(&mut site, manager, NET_ACTIVATE, 1), K_OK);
    let (item, body) = nc_network::take(&mut site, manager).unwrap();
    assert_eq!((item.kind, body.len()), (NET_GROUPS, 16));
    for item in [to_port, to_group] {
        assert_eq!(hand(&mut site, manager, "nmDeliver", item, b"in"), K_OK);
    }
    assert_eq!(site.take(user, K_ANYENABLED), None, "NC-119");
    assert_eq!(site.drain(user, li), 2);
    assert_eq!(site.grants(user, "portLi", &[door]), li);
    let pi = site.arg(manager.actor, &KnProtId::default());
    let cap = site.cap_for(manager, user.actor);
    site.grants(manager, "portPi", &[cap, li_at, pi, 0]);
    let pi: KnProtId = site.peek(manager.actor, pi);
    assert_eq!((pi.uid, pi.gid, pi.did), (4, 5, 6));
    assert_eq!(site.grants(user, "portDelete", &[0, li_at]), K_OK);
    site.end();
}

#[test]
fn what_does_not_come_leaves_nothing() {
    let (mut site, manager, user, _) = attached();
    let key = site.cap(user.actor).key;
    let record = record(false, key, &[group(4), group(5)]);
    let before = tables(&site);
    assert!(arrives(&mut site, manager, user, 1, &record) > 0);
    for (kind, epoch, error) in [
        (NET_ABANDON, 2, K_OK),
        (NET_ACTIVATE, 0, K_EUNKNOWN),
        (NET_ACTIVATE, 2, K_EUNKNOWN),
        (NET_ACTIVATE, 1 << 32 | 1, K_EUNKNOWN),
    ] {
        assert_eq!(says(&mut site, manager, kind, epoch), error);
    }
    assert_eq!(site.nucleus.ipc.moves.len(), 1);
    assert_eq!(says(&mut site, manager, NET_ABANDON, 1), K_OK);
    assert_eq!(says(&mut site, manager, NET_ABANDON, 1), K_OK);
    assert_eq!(says(&mut site, manager, NET_ACTIVATE, 1), K_EUNKNOWN);
    unchanged(&site, &before, "a port that did not come");
    // Its actor, or the manager, goes before.
    assert!(arrives(&mut site, manager, user, 1, &record) > 0);
    site.call(user.thread, "actorExit", &[0]);
    invariants::check(&site.nucleus);
    assert_eq!(site.nucleus.ipc.moves.len(), 0);
    assert_eq!(says(&mut site, manager, NET_ACTIVATE, 1), K_EUNKNOWN);
    let item = nc_network::message(NET_ARRIVE, 1, far());
    let refused = hand(&mut site, manager, "nmDeliver", item, &record);
    assert_eq!(refused, K_EUNKNOWN);
    let next = site.party(K_USERACTOR);
    let key = site.cap(next.actor).key;
    let last = self::record(false, key, &[group(4)]);
    assert!(arrives(&mut site, manager, next, 1, &last) > 0);
    site.call(manager.thread, "actorExit", &[0]);
    invariants::check(&site.nucleus);
    assert_eq!(site.nucleus.ipc.moves.len(), 0);
    site.end();
}

#[test]
fn of_one_name_only_what_is_newer_comes() {
    let (mut site, manager, user, other) = attached();
    let [first, second] =
        [user, other].map(|to| record(false, site.cap(to.actor).key, &[group(4)]));
    assert!(arrives(&mut site, manager, user, 3, &first) > 0);
    for epoch in [1, 2, 3] {
        assert_eq!(arrives(&mut site, manager, other, epoch, &second), K_EINVAL);
    }
    let li = arrives(&mut site, manager, other, 5, &second);
    assert!(li > 0);
    assert_eq!(site.nucleus.ipc.moves.len(), 1);
    assert_eq!(says(&mut site, manager, NET_ACTIVATE, 3), K_EUNKNOWN);
    assert_eq!(says(&mut site, manager, NET_ACTIVATE, 5), K_OK);
    let door = site.arg(other.actor, &far());
    assert_eq!(site.grants(other, "portLi", &[door]), li);
    // It lives here: none of its name comes.
    assert_eq!(arrives(&mut site, manager, user, 9, &first), K_EINVAL);
    let query = site.arg(manager.actor, &far());
    assert_eq!(site.grants(manager, "nmQuery", &[query]), 6);
    site.end();
}

#[test]
fn what_is_not_as_it_should_be_is_refused_and_changes_nothing() {
    let (mut site, manager, user, _) = attached();
    let trusted = site.party(K_SYSTEMACTOR);
    let cap = site.cap(user.actor);
    let (li, inner) = site.port(user);
    let good = record(false, cap.key, &[group(4)]);
    let wrong_key = record(false, cap.key ^ 1, &[group(4)]);
    let (ui, key) = group(4);
    let bad_group = record(false, cap.key, &[group(5), (ui, key ^ 1)]);
    let no_group = record(false, cap.key, &[(far(), key)]);
    let with_mode = ui.with_mode(K_FUNCMODE).unwrap();
    let mode = record(
        false,
        cap.key,
        &[(with_mode, keyed_hash((3, 5), with_mode.word()))],
    );
    let mut version = good.clone();
    version[0] = 2;
    let mut bits = good.clone();
    bits[2] = 2;
    let mut longer = good.clone();
    longer.push(0);
    let item = |target, co_target, handle| KnNetItem {
        kind: NET_ARRIVE,
        target,
        co_target,
        handle,
        ..KnNetItem::default()
    };
    let fine = item(far(), cap.ui, 1);
    let elsewhere = KnUniqueId::from_fields(1, UiType::Port, 1, 12345);
    let theirs = site.cap(trusted.actor);
    let to_trusted = item(far(), theirs.ui, 1);
    for (item, record, error) in [
        (fine, &wrong_key[..], K_EINVAL),
        (fine, &bad_group, K_EINVAL),
        (fine, &no_group, K_EINVAL),
        (fine, &mode, K_EINVAL),
        (fine, &version, K_EINVAL),
        (fine, &bits, K_EINVAL),
        (fine, &longer, K_EINVAL),
        (fine, &good[..47], K_EINVAL),
        (fine, &good[..31], K_EINVAL),
        (fine, b"", K_EINVAL),
        (item(far(), elsewhere, 1), &good, K_EUNKNOWN),
        (item(far(), far(), 1), &good, K_EUNKNOWN),
        // A port of the actor's, but not its name.
        (item(far(), inner, 1), &good, K_EUNKNOWN),
        (item(inner, cap.ui, 1), &good, K_EINVAL),
        (
            item(KnUniqueId::well_known_port(2, 4), cap.ui, 1),
            &good,
            K_EINVAL,
        ),
        (item(ui, cap.ui, 1), &good, K_EINVAL),
        (item(KnUniqueId::NULL, cap.ui, 1), &good, K_EINVAL),
        (item(far(), cap.ui, 1 << 31), &good, K_EINVAL),
        (item(far(), cap.ui, 1 << 32), &good, K_EINVAL),
        (to_trusted, &record(false, theirs.key, &[]), K_EPRIV),
    ] {
        let before = tables(&site);
        assert_eq!(hand(&mut site, manager, "nmDeliver", item, record), error);
        unchanged(&site, &before, "a port that may not come");
        invariants::check(&site.nucleus);
    }
    let trusts = record(true, theirs.key, &[]);
    assert!(hand(&mut site, manager, "nmDeliver", to_trusted, &trusts) > 0);
    let _ = li;
    site.end();
}

#[test]
fn short_tables_refuse_a_port_and_keep_nothing_of_it() {
    let (mut site, manager, user, _) = attached();
    let key = site.cap(user.actor).key;
    let one = record(false, key, &[group(4)]);
    let refused = |site: &mut Site, record: &[u8]| {
        let before = tables(site);
        assert_eq!(arrives(site, manager, user, 1, record), K_ENOMEM);
        unchanged(site, &before, "a port without room");
    };
    // More groups than there are memberships.
    let many: alloc::vec::Vec<_> = (0..33).map(group).collect();
    refused(&mut site, &record(false, key, &many));
    // No port.
    let mut ports = alloc::vec::Vec::new();
    let door = site.arg(user.actor, &KnUniqueId::NULL);
    while let Some(li) = site
        .call(user.thread, "portCreate", &[0, door])
        .filter(|li| *li > 0)
    {
        ports.push(li);
    }
    refused(&mut site, &one);
    for li in ports {
        site.grants(user, "portDelete", &[0, li as u64]);
    }
    // As many as may come at once.
    for counter in 0..4 {
        let item = KnNetItem {
            co_target: site.door(user.actor),
            ..nc_network::message(
                NET_ARRIVE,
                1,
                KnUniqueId::from_fields(2, UiType::Port, 1, counter),
            )
        };
        assert!(hand(&mut site, manager, "nmDeliver", item, &one) > 0);
    }
    refused(&mut site, &one);
    // In a group twice is in it once.
    let item = nc_network::message(
        NET_ABANDON,
        1,
        KnUniqueId::from_fields(2, UiType::Port, 1, 0),
    );
    assert_eq!(hand(&mut site, manager, "nmDeliver", item, b""), K_OK);
    let twice = record(false, key, &[group(4), group(4)]);
    assert!(arrives(&mut site, manager, user, 1, &twice) > 0);
    assert_eq!(says(&mut site, manager, NET_ACTIVATE, 1), K_OK);
    assert_eq!(site.nucleus.ipc.groups.count(), 1);
    site.end();
}

/// A word of a record: small, of a group, of a key, or any.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        0u64..40,
        (0u32..6).prop_map(|stamp| group(stamp).0.word()),
        (0u32..6).prop_map(|stamp| group(stamp).1),
        any::<u64>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_record_comes_whole_or_not_at_all(
        honest: bool,
        count in 0u64..6,
        words in proptest::collection::vec(word(), 0..12),
        cut in 0usize..9,
        epoch in prop_oneof![0u64..4, any::<u64>()],
        lives: bool,
    ) {
        let (mut site, manager, user, _) = attached();
        let key = if honest { site.cap(user.actor).key } else { 7 };
        let mut all = alloc::vec![1 | count << 32, key, 4, 0];
        all.extend(&words);
        let mut bytes: alloc::vec::Vec<u8> = all.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(bytes.len() - cut);
        let before = tables(&site);
        let li = arrives(&mut site, manager, user, epoch, &bytes);
        invariants::check(&site.nucleus);
        if li < 0 {
            unchanged(&site, &before, "a record");
        } else {
            prop_assert!(honest && bytes.len() == 32 + 16 * count as usize);
            if lives {
                prop_assert_eq!(says(&mut site, manager, NET_ACTIVATE, epoch), K_OK);
            }
        }
        site.end();
    }
}
