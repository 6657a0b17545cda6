//! Groups and addressing modes on one site against the reference (NC-033, NC-133…163, NC-181, NC-217).

use super::scene::{FOREVER, NOWHERE, Party};
use super::site::Site;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;

/// Allocates a group; its capability.
#[track_caller]
fn group(site: &mut Site, by: Party, kind: i32, stamp: u32) -> KnCap {
    let at = site.arg(by.actor, &KnCap::default());
    let arguments = [kind as u64, at, u64::from(stamp)];
    assert_eq!(site.grants(by, "grpAllocate", &arguments), K_OK);
    site.peek(by.actor, at)
}

/// Inserts a port.
#[track_caller]
fn insert(site: &mut Site, by: Party, group: KnCap, port: KnUniqueId) {
    let (cap, ui) = (site.arg(by.actor, &group), site.arg(by.actor, &port));
    assert_eq!(site.grants(by, "grpPortInsert", &[cap, ui]), K_OK);
}

/// Removes a port.
#[track_caller]
fn remove(site: &mut Site, by: Party, group: KnCap, port: KnUniqueId) {
    let (cap, ui) = (site.arg(by.actor, &group), site.arg(by.actor, &port));
    assert_eq!(site.grants(by, "grpPortRemove", &[cap, ui]), K_OK);
}

/// How many messages wait at each of some ports of an actor; they are received.
fn drain(site: &mut Site, by: Party, ports: &[i32]) -> Vec<usize> {
    ports.iter().map(|&li| site.drain(by, li)).collect()
}

/// A user with three ports in a new group.
fn three() -> (Site, Party, KnCap, [(i32, KnUniqueId); 3]) {
    let mut site = Site::new(4);
    let user = site.party(K_USERACTOR);
    let all = group(&mut site, user, K_DYNAMIC, 0);
    let ports = [(); 3].map(|()| site.port(user));
    for (_, ui) in ports {
        insert(&mut site, user, all, ui);
    }
    (site, user, all, ports)
}

fn with(cap: KnCap, mode: i32) -> KnUniqueId {
    cap.ui.with_mode(mode).unwrap()
}

#[test]
fn nc_133_134_and_136_new_groups_differ_and_known_ones_do_not() {
    let mut site = Site::new(2);
    let (user, system) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
    let new = [0, 0].map(|stamp| group(&mut site, user, K_DYNAMIC, stamp));
    assert_ne!(new[0].ui, new[1].ui);
    let known = [user, system].map(|by| group(&mut site, by, K_STATUSER, 7));
    assert_eq!(known[0], known[1]);
    let trusted = group(&mut site, system, K_STATSYS, 7);
    assert!(trusted.ui != known[0].ui && trusted.key != known[0].key);
    assert_ne!(group(&mut site, user, K_STATUSER, 8), known[0]);
    let last = group(&mut site, user, K_STATUSER, u32::MAX);
    assert_eq!(last.ui.group().unwrap().kind, GroupKind::StaticUser);
    site.end();
}

#[test]
fn nc_135_known_groups_are_the_same_in_every_incarnation() {
    let caps = [1, 2].map(|epoch| {
        let mut site = Site::booted(1, epoch);
        let user = site.party(K_USERACTOR);
        let cap = group(&mut site, user, K_STATUSER, 7);
        site.end();
        cap
    });
    assert_eq!(caps[0], caps[1]);
}

#[test]
fn nc_137_and_141_system_groups_are_for_the_trusted() {
    let mut site = Site::new(2);
    let (user, system) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
    let out = site.arg(user.actor, &KnCap::default());
    site.refuses(user, "grpAllocate", &[K_STATSYS as u64, out, 7], K_EPRIV);
    for wrong in [-1, 3] {
        site.refuses(user, "grpAllocate", &[wrong as u64, out, 7], K_EINVAL);
    }
    site.refuses(user, "grpAllocate", &[0, NOWHERE, 7], K_EFAULT);
    let trusted = group(&mut site, system, K_STATSYS, 7);
    // It came by the capability, and may not use it.
    let (cap, ui) = (
        site.arg(user.actor, &trusted),
        site.arg(user.actor, &site.cap(user.actor).ui),
    );
    site.refuses(user, "grpPortInsert", &[cap, ui], K_EPRIV);
    let door = site.door(user.actor);
    insert(&mut site, system, trusted, door);
    site.refuses(user, "grpPortRemove", &[cap, ui], K_EPRIV);
    assert_eq!(
        site.send(user, trusted.ui, b"in"),
        Some(K_OK),
        "sending is free"
    );
    assert!(site.take(user, K_DEFAULTPORT).is_some());
    site.end();
}

#[test]
fn nc_138_140_142_and_146_membership_needs_the_key_and_a_port() {
    let (mut site, user, all, ports) = three();
    let stranger = site.arg(user.actor, &site.cap(user.actor).ui);
    for name in ["grpPortInsert", "grpPortRemove"] {
        for bit in 0..64 {
            let key = all.key ^ 1 << bit;
            let wrong = site.arg(user.actor, &KnCap { key, ..all });
            site.refuses(user, name, &[wrong, stranger], K_EINVAL);
        }
        let wrong = site.arg(user.actor, &site.cap(user.actor));
        site.refuses(user, name, &[wrong, stranger], K_EINVAL);
        let cap = site.arg(user.actor, &all);
        let far = site.arg(user.actor, &KnUniqueId::from_fields(2, UiType::Port, 1, 4));
        site.refuses(user, name, &[cap, far], K_EUNKNOWN);
        let inner = site.arg(user.actor, &all.ui);
        site.refuses(user, name, &[cap, inner], K_EINVAL);
        site.refuses(user, name, &[cap, NOWHERE], K_EFAULT);
        site.refuses(user, name, &[NOWHERE, stranger], K_EFAULT);
    }
    let cap = site.arg(user.actor, &all);
    site.refuses(user, "grpPortRemove", &[cap, stranger], K_EINVAL);
    remove(&mut site, user, all, ports[1].1);
    let gone = site.arg(user.actor, &ports[1].1);
    site.refuses(user, "grpPortRemove", &[cap, gone], K_EINVAL);
    site.end();
}

#[test]
fn nc_139_149_and_150_a_multicast_comes_once_to_each_member() {
    let (mut site, user, all, ports) = three();
    insert(&mut site, user, all, ports[0].1);
    let sender = site.party(K_USERACTOR);
    assert_eq!(site.send(sender, all.ui, b"all"), Some(K_OK));
    assert_eq!(
        site.send(sender, with(all, K_BROADMODE), b"all"),
        Some(K_OK)
    );
    assert_eq!(drain(&mut site, user, &ports.map(|port| port.0)), [2, 2, 2]);
    site.end();
}

#[test]
fn nc_143_144_153_and_033_who_left_gets_nothing_more() {
    let (mut site, user, all, ports) = three();
    let (sender, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let door = site.door(other.actor);
    insert(&mut site, sender, all, door);
    site.send(sender, all.ui, b"before");
    remove(&mut site, user, all, ports[0].1);
    assert_eq!(
        site.grants(user, "portDelete", &[0, ports[1].0 as u64]),
        K_OK
    );
    site.call(other.thread, "actorExit", &[0]);
    assert_eq!(site.nucleus.ipc.groups.members.len(), 1);
    assert_eq!(site.send(sender, all.ui, b"after"), Some(K_OK));
    assert_eq!(drain(&mut site, user, &[ports[0].0, ports[2].0]), [1, 2]);
    for _ in 0..4 {
        for _ in 0..25 {
            assert_eq!(site.send(sender, with(all, K_FUNCMODE), b"one"), Some(K_OK));
        }
        let came = drain(&mut site, user, &[ports[0].0, ports[2].0]);
        assert_eq!(came, [0, 25], "NC-153");
    }
    site.end();
}

#[test]
fn nc_145_a_port_can_be_in_two_groups() {
    let (mut site, user, all, ports) = three();
    let second = group(&mut site, user, K_STATUSER, 3);
    insert(&mut site, user, second, ports[0].1);
    site.send(user, all.ui, b"1");
    site.send(user, second.ui, b"2");
    assert_eq!(drain(&mut site, user, &ports.map(|port| port.0)), [2, 1, 1]);
    remove(&mut site, user, all, ports[0].1);
    site.send(user, second.ui, b"3");
    assert_eq!(drain(&mut site, user, &[ports[0].0]), [1]);
    site.end();
}

#[test]
fn nc_152_a_functional_send_comes_to_one_member_and_all_have_their_turn() {
    let (mut site, user, all, ports) = three();
    for sent in 1..=9 {
        assert_eq!(site.send(user, with(all, K_FUNCMODE), b"one"), Some(K_OK));
        assert_eq!(site.nucleus.ipc.messages.len(), sent);
    }
    assert_eq!(drain(&mut site, user, &ports.map(|port| port.0)), [3, 3, 3]);
    site.end();
}

/// Sends to the group in a mode with a co-target; the result.
fn send_but(site: &mut Site, by: Party, to: KnUniqueId, other: KnUniqueId) -> Option<i32> {
    let (letter, dest) = (site.letter(by, b"but"), site.dest_but(by, to, other));
    site.call(by.thread, "ipcSend", &[letter, 0, dest])
}

#[test]
fn nc_155_and_159_the_selective_mode_asks_the_site_of_the_co_target() {
    let (mut site, user, all, ports) = three();
    let lis = ports.map(|port| port.0);
    let to = with(all, K_FUNCUMODE);
    let here = KnUniqueId::build(ui::K_UISITE, 1, 0).unwrap();
    for other in [here, site.door(user.actor)] {
        assert_eq!(send_but(&mut site, user, to, other), Some(K_OK));
        assert_eq!(drain(&mut site, user, &lis).iter().sum::<usize>(), 1);
    }
    let far = KnUniqueId::build(ui::K_UISITE, 2, 0).unwrap();
    let dest = site.dest_but(user, to, far);
    let letter = site.letter(user, b"far");
    site.refuses(user, "ipcSend", &[letter, 0, dest], K_EUNKNOWN);
    // The site is known, and has no member: no other is tried.
    let empty = group(&mut site, user, K_STATUSER, 5);
    let dest = site.dest_but(user, with(empty, K_FUNCUMODE), here);
    site.refuses(user, "ipcSend", &[letter, 0, dest], K_EUNKNOWN);
    for mode in [K_FUNCUMODE, K_FUNCXMODE] {
        let dest = site.dest(user, with(all, mode));
        site.refuses(user, "ipcSend", &[letter, 0, dest], K_EINVAL);
    }
    site.end();
}

#[test]
fn nc_160_the_exclusive_mode_leaves_one_out() {
    let (mut site, user, all, ports) = three();
    let to = with(all, K_FUNCXMODE);
    for _ in 0..6 {
        assert_eq!(send_but(&mut site, user, to, ports[1].1), Some(K_OK));
    }
    assert_eq!(drain(&mut site, user, &ports.map(|port| port.0)), [3, 0, 3]);
    // All but this site, and there is no network.
    let here = KnUniqueId::build(ui::K_UISITE, 1, 0).unwrap();
    assert_eq!(send_but(&mut site, user, to, here), Some(K_EUNKNOWN));
    for port in [ports[0], ports[2]] {
        remove(&mut site, user, all, port.1);
    }
    assert_eq!(send_but(&mut site, user, to, ports[1].1), Some(K_EUNKNOWN));
    site.end();
}

#[test]
fn nc_162_and_163_an_empty_group_takes_multicasts_and_no_requests() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let empty = group(&mut site, user, K_DYNAMIC, 0);
    let (letter, room) = (site.letter(user, b"?"), site.room(user, 8));
    let dest = site.dest(user, with(empty, K_FUNCMODE));
    let call = [letter, 0, dest, room.desc, FOREVER];
    site.refuses(user, "ipcCall", &call, K_EUNKNOWN);
    site.refuses(user, "ipcSend", &[letter, 0, dest], K_EUNKNOWN);
    let dest = site.dest(user, empty.ui);
    site.refuses(user, "ipcSend", &[letter, 0, dest], K_OK);
    site.end();
}

#[test]
fn nc_181_a_request_to_all_members_is_refused() {
    let (mut site, user, all, _) = three();
    let (letter, room) = (site.letter(user, b"?"), site.room(user, 8));
    let dest = site.dest(user, all.ui);
    let call = [letter, 0, dest, room.desc, FOREVER];
    site.refuses(user, "ipcCall", &call, K_EINVAL);
    site.end();
}

#[test]
fn nc_217_the_group_is_the_target_that_the_receiver_sees() {
    let (mut site, user, all, ports) = three();
    let to = with(all, K_FUNCXMODE);
    assert_eq!(send_but(&mut site, user, to, ports[0].1), Some(K_OK));
    let got = ports.iter().find(|port| site.take(user, port.0).is_some());
    assert!(got.is_some());
    let head = site.arg(user.actor, &[0u8; size_of::<KnMsgHead>()]);
    site.grants(user, "ipcSysInfo", &[head]);
    let head: KnMsgHead = site.peek(user.actor, head);
    assert!(head.target.same(all.ui));
    assert_eq!((head.target, head.co_target), (to, ports[0].1));
    site.end();
}

#[test]
fn a_multicast_passes_over_full_queues_and_a_functional_send_does_not() {
    let (mut site, user, all, ports) = three();
    let other = site.party(K_SYSTEMACTOR);
    assert_eq!(site.fill(other, ports[0].1), Some(K_EFULL));
    assert_eq!(site.send(user, all.ui, b"all"), Some(K_OK));
    assert_eq!(drain(&mut site, user, &[ports[1].0, ports[2].0]), [1, 1]);
    remove(&mut site, user, all, ports[1].1);
    remove(&mut site, user, all, ports[2].1);
    assert_eq!(
        site.send(user, with(all, K_FUNCMODE), b"one"),
        Some(K_EFULL)
    );
    site.end();
}

#[test]
fn the_table_of_memberships_has_an_end() {
    let (mut site, user, all, _) = three();
    let door = site.arg(user.actor, &site.cap(user.actor).ui);
    for stamp in 0..29 {
        let cap = group(&mut site, user, K_STATUSER, stamp);
        let cap = site.arg(user.actor, &cap);
        assert_eq!(site.grants(user, "grpPortInsert", &[cap, door]), K_OK);
    }
    let cap = site.arg(user.actor, &all);
    site.refuses(user, "grpPortInsert", &[cap, door], K_ENOMEM);
    let first = group(&mut site, user, K_STATUSER, 0);
    let ui = site.door(user.actor);
    remove(&mut site, user, first, ui);
    assert_eq!(site.grants(user, "grpPortInsert", &[cap, door]), K_OK);
    site.end();
}
