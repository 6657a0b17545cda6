//! Ports against the reference: life, the enabled set, their names (NC-097…115, NC-129, NC-130, NC-283).

use super::scene::{FOREVER, NOWHERE, Party, Room};
use super::site::Site;
use chorus_abi::error::*;
use chorus_abi::*;

/// Receives on any enabled port without waiting: LI and body.
#[track_caller]
fn take_any(site: &mut Site, by: Party) -> Option<(i32, alloc::vec::Vec<u8>)> {
    let (room, li) = (site.room(by, 64), site.arg(by.actor, &K_ANYENABLED));
    match site.call(by.thread, "ipcReceive", &[room.desc, li, 0]) {
        Some(K_ETIMEOUT) => None,
        Some(size) if size >= 0 => Some((
            site.peek(by.actor, li),
            site.bytes(by.actor, room.body, size as usize),
        )),
        other => panic!("ipcReceive gave {other:?}"),
    }
}

/// Waits on any enabled port.
#[track_caller]
fn listen_any(site: &mut Site, by: Party) -> (Room, u64) {
    let (room, li) = (site.room(by, 64), site.arg(by.actor, &K_ANYENABLED));
    site.waits(by, "ipcReceive", &[room.desc, li, FOREVER]);
    (room, li)
}

fn enable(site: &mut Site, by: Party, li: i32, priority: u64) {
    assert_eq!(
        site.grants(by, "portEnable", &[0, li as u64, priority]),
        K_OK
    );
}

#[test]
fn nc_097_and_129_li_and_ui_name_the_same_port_in_its_actor() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let (li, ui) = site.port(user);
    assert!(li > 0);
    let (name, out) = (
        site.arg(user.actor, &ui),
        site.arg(user.actor, &KnUniqueId::NULL),
    );
    assert_eq!(site.grants(user, "portLi", &[name]), li);
    assert_eq!(site.grants(user, "portUi", &[out, li as u64]), K_OK);
    assert_eq!(site.peek::<KnUniqueId>(user.actor, out), ui);
    assert_eq!(
        site.grants(user, "portUi", &[out, K_DEFAULTPORT as u64]),
        K_OK
    );
    assert_eq!(
        site.peek::<KnUniqueId>(user.actor, out),
        site.door(user.actor)
    );
    let name = site.arg(other.actor, &ui);
    site.refuses(other, "portLi", &[name], K_EINVAL);
    let none = site.arg(user.actor, &KnUniqueId::well_known_port(1, 99));
    site.refuses(user, "portLi", &[none], K_EINVAL);
    site.refuses(user, "portLi", &[NOWHERE], K_EFAULT);
    site.refuses(user, "portUi", &[NOWHERE, li as u64], K_EFAULT);
    site.end();
}

#[test]
fn nc_130_and_175_a_li_of_another_actor_names_nothing() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let (li, _) = site.port(other);
    let li = li as u64;
    let (out, door) = (
        site.arg(user.actor, &KnUniqueId::NULL),
        site.door(other.actor),
    );
    site.refuses(user, "portUi", &[out, li], K_EINVAL);
    let (letter, dest) = (site.letter(user, b"x"), site.dest(user, door));
    site.refuses(user, "ipcSend", &[letter, li, dest], K_EINVAL);
    let room = site.room(user, 8);
    let call = [letter, li, dest, room.desc, FOREVER];
    site.refuses(user, "ipcCall", &call, K_EINVAL);
    let at = site.arg(user.actor, &(li as i32));
    site.refuses(user, "ipcReceive", &[room.desc, at, 0], K_EINVAL);
    for name in ["portDelete", "portEnable", "portDisable", "portGetSeqNum"] {
        site.refuses(user, name, &[0, li, out], K_EINVAL);
        site.refuses(user, name, &[NOWHERE, li, out], K_EFAULT);
        // With its actor's capability it is a name for anybody.
        let cap = site.cap_for(user, other.actor);
        let third = if name == "portEnable" { 0 } else { out };
        if name != "portDelete" {
            assert_eq!(site.grants(user, name, &[cap, li, third]), K_OK);
        }
    }
    site.end();
}

#[test]
fn nc_098_and_110_a_new_port_is_disabled_and_gives_its_message_when_enabled() {
    let mut site = Site::new(4);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let (li, ui) = site.port(user);
    assert_eq!(site.send(other, ui, b"early"), Some(K_OK));
    assert_eq!(take_any(&mut site, user), None);
    enable(&mut site, user, li, 0);
    assert_eq!(
        take_any(&mut site, user),
        Some((li, b"early".into())),
        "NC-112"
    );
    // The same with a thread that waits.
    site.grants(user, "portDisable", &[0, li as u64]);
    let fellow = site.fellow(user);
    let (room, at) = listen_any(&mut site, fellow);
    assert_eq!(site.send(other, ui, b"later"), Some(K_OK));
    assert_eq!(site.result(fellow.thread), None);
    enable(&mut site, user, li, 0);
    assert_eq!(site.result(fellow.thread), Some(5), "NC-115");
    assert_eq!(site.peek::<i32>(user.actor, at), li);
    assert_eq!(site.bytes(user.actor, room.body, 5), b"later");
    site.end();
}

#[test]
fn nc_099_a_port_has_the_identifier_of_its_creator() {
    let mut site = Site::new(2);
    let (creator, owner) = (site.party(K_SYSTEMACTOR), site.party(K_USERACTOR));
    let pi = KnProtId {
        uid: 1,
        gid: 2,
        did: 3,
        pad: 0,
    };
    site.nucleus.actors.get_mut(creator.actor).unwrap().pi = pi;
    let (cap, ui) = (
        site.cap_for(creator, owner.actor),
        site.arg(creator.actor, &KnUniqueId::NULL),
    );
    let li = site.grants(creator, "portCreate", &[cap, ui]);
    let port = site.nucleus.port_by_li(owner.actor, li).unwrap();
    assert_eq!(site.nucleus.ipc.ports.get(port).unwrap().pi, pi);
    let door = site.door(creator.actor);
    let (letter, dest) = (site.letter(owner, b""), site.dest(owner, door));
    site.grants(owner, "ipcSend", &[letter, li as u64, dest]);
    site.take(creator, K_DEFAULTPORT);
    let head = site.arg(creator.actor, &[0u8; size_of::<KnMsgHead>()]);
    site.grants(creator, "ipcSysInfo", &[head]);
    let head: KnMsgHead = site.peek(creator.actor, head);
    assert_eq!(
        (head.port_id, head.actor_id),
        (pi, KnProtId::default()),
        "NC-215"
    );
    site.end();
}

#[test]
fn nc_100_101_and_102_a_deleted_port_lets_go_of_all_but_what_is_held() {
    let mut site = Site::new(6);
    let server = site.party(K_USERACTOR);
    let waiting = site.fellow(server);
    let (held, queued) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let (li, ui) = site.port(server);
    let (quiet, _) = site.port(server);
    let quiet_waiter = site.fellow(server);
    site.ask(held, ui, b"held");
    assert_eq!(site.take(server, li).as_deref(), Some(&b"held"[..]));
    site.ask(queued, ui, b"queued");
    assert_eq!(site.send(server, ui, b"lost"), Some(K_OK));
    site.listen(quiet_waiter, quiet);
    listen_any(&mut site, waiting);
    for port in [li, quiet] {
        assert_eq!(site.grants(server, "portDelete", &[0, port as u64]), K_OK);
    }
    assert_eq!(site.result(quiet_waiter.thread), Some(K_ENOPORT));
    assert_eq!(site.result(queued.thread), Some(K_ENOPORT));
    assert_eq!(site.result(waiting.thread), None, "any port: it waits on");
    assert_eq!(site.result(held.thread), None);
    assert_eq!(site.answer(server, b"still"), Some(K_OK));
    assert_eq!(site.result(held.thread), Some(5));
    site.end();
}

#[test]
fn nc_103_104_and_106_what_a_port_s_name_means_after_its_end() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    site.refuses(user, "portDelete", &[0, 0], K_EINVAL);
    let door = site.arg(user.actor, &site.cap(user.actor).ui);
    let default = site.grants(user, "portLi", &[door]) as u64;
    site.refuses(user, "portDelete", &[0, default], K_EINVAL);
    let (li, ui) = site.port(user);
    assert_eq!(site.grants(user, "portDelete", &[0, li as u64]), K_OK);
    assert_eq!(site.send(other, ui, b"x"), Some(K_EUNKNOWN));
    let (room, at) = (site.room(user, 8), site.arg(user.actor, &li));
    site.refuses(user, "ipcReceive", &[room.desc, at, 0], K_EINVAL);
    site.refuses(user, "portDelete", &[0, li as u64], K_EINVAL);
    site.end();
}

#[test]
fn a_client_whose_source_port_is_deleted_leaves() {
    let mut site = Site::new(3);
    let (client, server) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let (fellow, (li, _)) = (site.fellow(client), site.port(client));
    for held in [false, true] {
        let (li, _) = if held {
            site.port(client)
        } else {
            (li, KnUniqueId::NULL)
        };
        let door = site.door(server.actor);
        let (letter, dest) = (site.letter(client, b"ask"), site.dest(client, door));
        let room = site.room(client, 8);
        let call = [letter, li as u64, dest, room.desc, FOREVER];
        site.waits(client, "ipcCall", &call);
        if held {
            assert!(site.take(server, K_DEFAULTPORT).is_some());
        }
        assert_eq!(site.grants(fellow, "portDelete", &[0, li as u64]), K_OK);
        assert_eq!(site.result(client.thread), Some(K_ENOPORT));
        match held {
            false => assert_eq!(site.take(server, K_DEFAULTPORT), None, "withdrawn"),
            true => assert!(site.answer(server, b"late").is_some(), "see nc_requests"),
        }
    }
    site.end();
}

#[test]
fn nc_107_and_108_declared_ports_need_trust_and_a_name_of_their_own() {
    let mut site = Site::new(2);
    let (user, system) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
    let name = KnUniqueId::well_known_port(1, 77);
    let ui = site.arg(user.actor, &name);
    site.refuses(user, "portDeclare", &[0, ui], K_EPRIV);
    let ui = site.arg(system.actor, &name);
    let li = site.grants(system, "portDeclare", &[0, ui]);
    assert!(li > 0);
    site.refuses(system, "portDeclare", &[0, ui], K_EBUSY);
    assert_eq!(site.send(user, name, b"known"), Some(K_OK));
    assert_eq!(site.take(system, li).as_deref(), Some(&b"known"[..]));
    for wrong in [
        KnUniqueId::NULL,
        KnUniqueId::static_group(false, 7),
        KnUniqueId::build(ui::K_UISITE, 1, 5).unwrap(),
        KnUniqueId::from_fields(1, UiType::Port, 1, 1000),
    ] {
        let wrong = site.arg(system.actor, &wrong);
        site.refuses(system, "portDeclare", &[0, wrong], K_EINVAL);
    }
    site.refuses(system, "portDeclare", &[0, NOWHERE], K_EFAULT);
    assert_eq!(site.grants(system, "portDelete", &[0, li as u64]), K_OK);
    assert!(site.grants(system, "portDeclare", &[0, ui]) > 0);
    site.end();
}

#[test]
fn nc_111_and_112_the_port_with_the_lower_number_is_served_first() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let (a, first) = site.port(user);
    let (b, second) = site.port(user);
    enable(&mut site, user, a, 9);
    enable(&mut site, user, b, 4);
    for _ in 0..2 {
        site.send(other, first, b"a");
        site.send(other, second, b"b");
    }
    assert_eq!(take_any(&mut site, user), Some((b, b"b".into())));
    // Enabling again only changes the priority.
    enable(&mut site, user, a, 3);
    assert_eq!(take_any(&mut site, user), Some((a, b"a".into())));
    site.refuses(user, "portEnable", &[0, b as u64, u64::MAX], K_EINVAL);
    enable(&mut site, user, b, 0);
    assert_eq!(take_any(&mut site, user), Some((b, b"b".into())));
    assert_eq!(take_any(&mut site, user), Some((a, b"a".into())));
    assert_eq!(take_any(&mut site, user), None);
    site.end();
}

#[test]
fn nc_113_and_114_disabling_takes_out_of_the_set_and_no_more() {
    let mut site = Site::new(3);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let (fellow, (li, ui)) = (site.fellow(user), site.port(user));
    enable(&mut site, user, li, 0);
    listen_any(&mut site, fellow);
    for _ in 0..2 {
        assert_eq!(site.grants(user, "portDisable", &[0, li as u64]), K_OK);
        assert_eq!(site.result(fellow.thread), None);
    }
    assert_eq!(site.send(other, ui, b"here"), Some(K_OK));
    assert_eq!(site.result(fellow.thread), None);
    assert_eq!(site.take(user, li).as_deref(), Some(&b"here"[..]));
    site.end();
}

#[test]
fn nc_115_threads_share_the_enabled_set_and_an_explicit_waiter_comes_first() {
    let mut site = Site::new(4);
    let (one, sender) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let (any, explicit) = (site.fellow(one), site.fellow(one));
    let (li, ui) = site.port(one);
    enable(&mut site, one, li, 0);
    listen_any(&mut site, any);
    site.listen(explicit, li);
    assert_eq!(site.send(sender, ui, b"first"), Some(K_OK));
    assert_eq!(site.result(any.thread), None);
    assert_eq!(site.result(explicit.thread), Some(5));
    assert_eq!(site.send(sender, ui, b"second"), Some(K_OK));
    assert_eq!(site.result(any.thread), Some(6));
    site.end();
}

#[test]
fn nc_204_sequence_numbers_count_what_was_received() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let ((li, ui), out) = (site.port(user), site.arg(user.actor, &9u32));
    let count = |site: &mut Site| {
        site.grants(user, "portGetSeqNum", &[0, li as u64, out]);
        site.peek::<u32>(user.actor, out)
    };
    assert_eq!(count(&mut site), 0);
    for number in 1..=3u32 {
        site.send(other, ui, b"m");
        assert_eq!(count(&mut site), number - 1, "queued is not received");
        let (room, at) = (site.room(user, 8), site.arg(user.actor, &li));
        site.grants(user, "ipcReceive", &[room.desc, at, 0]);
        assert_eq!(
            site.peek::<KnMsgDesc>(user.actor, room.desc).seq_num,
            number
        );
        assert_eq!(count(&mut site), number);
    }
    site.refuses(user, "portGetSeqNum", &[0, li as u64, NOWHERE], K_EFAULT);
    site.end();
}

#[test]
fn nc_283_a_full_table_of_ports_works_again_after_a_delete() {
    let mut site = Site::new(2);
    let (user, system) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
    let mut last = 0;
    while site.nucleus.ipc.ports.len() < 32 {
        last = site.port(user).0;
    }
    let ui = site.arg(user.actor, &KnUniqueId::NULL);
    site.refuses(user, "portCreate", &[0, ui], K_ENOMEM);
    let cap = site.arg(user.actor, &KnCap::default());
    site.refuses(user, "actorCreate", &[0, cap, 0, 0], K_ENOMEM);
    let name = site.arg(system.actor, &KnUniqueId::well_known_port(1, 5));
    site.refuses(system, "portDeclare", &[0, name], K_ENOMEM);
    assert_eq!(site.grants(user, "portDelete", &[0, last as u64]), K_OK);
    site.refuses(user, "portCreate", &[0, NOWHERE], K_EFAULT);
    assert!(site.grants(user, "portCreate", &[0, ui]) > 0);
    site.end();
}
