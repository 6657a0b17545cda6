//! What goes out to other sites, and how calls to them end (NC-178, NC-187).

use super::nc_network::{attached, far, hand, take};
use super::scene::{FOREVER, NOWHERE};
use chorus_abi::error::*;
use chorus_abi::net::*;
use chorus_abi::*;

#[test]
fn nc_178_a_message_for_another_site_goes_out_as_it_was_sent() {
    let (mut site, manager, user, _) = attached();
    let pi = KnProtId {
        uid: 4,
        gid: 5,
        did: 6,
        pad: 0,
    };
    site.nucleus.actors.get_mut(user.actor).unwrap().pi = pi;
    let (li, ui) = site.port(user);
    let (body, annex) = (
        site.arg(user.actor, b"far away"),
        site.arg(user.actor, &[9u8; 64]),
    );
    let desc = KnMsgDesc {
        body_size: 8,
        body_addr: body,
        annex_addr: annex,
        ..KnMsgDesc::default()
    };
    let (desc, dest) = (site.arg(user.actor, &desc), site.dest_but(user, far(), ui));
    assert_eq!(site.grants(user, "ipcSend", &[desc, li as u64, dest]), K_OK);
    site.poke(user.actor, body, b"changed!");
    let (item, body) = take(&mut site, manager).expect("it goes out");
    assert_eq!(body, b"far away");
    let expected = KnNetItem {
        kind: NET_SEND,
        target: far(),
        co_target: ui,
        src_port: ui,
        actor_pi: pi,
        port_pi: pi,
        body_size: 8,
        annex_size: 64,
        annex: [9; 64],
        ..KnNetItem::default()
    };
    assert_eq!(item, expected);
    assert_eq!(site.held(), 0);
    assert!(take(&mut site, manager).is_none());
    site.end();
}

#[test]
fn nc_179_a_send_to_a_site_that_is_gone_waits_for_nobody() {
    let (mut site, manager, user, _) = attached();
    // Whether it answers is the manager's affair, which does not even run: the sender's calls end where they are made, also the one that finds no room.
    let ends = (0..40).map(|_| site.send(user, far(), b"x"));
    let ends: alloc::vec::Vec<_> = ends.collect();
    assert!(ends.iter().all(|end| matches!(end, Some(K_OK | K_EFULL))));
    assert_eq!(
        take(&mut site, manager).map(|(item, _)| item.kind),
        Some(NET_SEND)
    );
    site.end();
}

#[test]
fn taking_an_item_fails_without_losing_it() {
    let (mut site, manager, user, _) = attached();
    let (item, body) = (
        site.arg(manager.actor, &KnNetItem::default()),
        site.space(manager.actor, 64),
    );
    site.refuses(manager, "nmTake", &[item, body, 64], K_ETIMEOUT);
    site.send(user, far(), b"precious");
    site.refuses(manager, "nmTake", &[item, body, 7], K_ETOOMUCH);
    site.refuses(manager, "nmTake", &[NOWHERE, body, 8], K_EFAULT);
    site.refuses(manager, "nmTake", &[item, NOWHERE, 8], K_EFAULT);
    assert_eq!(site.grants(manager, "nmTake", &[item, body, 8]), 8);
    assert_eq!(site.bytes(manager.actor, body, 8), b"precious");
    site.end();
}

#[test]
fn the_outbound_queue_has_an_end_and_without_a_manager_there_is_none() {
    let (mut site, manager, user, other) = attached();
    assert_eq!(site.fill(user, far()), Some(K_EFULL));
    assert_eq!(site.nucleus.ipc.network.outbound.len(), 16);
    let (letter, dest) = (site.letter(user, b"one more"), site.dest(user, far()));
    site.refuses(user, "ipcSend", &[letter, 0, dest], K_EFULL);
    let room = site.room(user, 8);
    let call = [letter, 0, dest, room.desc, FOREVER];
    site.refuses(user, "ipcCall", &call, K_EFULL);
    take(&mut site, manager);
    let taken = site.hoard(0);
    site.refuses(user, "ipcSend", &[letter, 0, dest], K_ENOMEM);
    site.give_back(taken);
    site.waits(user, "ipcCall", &call);
    site.call(manager.thread, "actorExit", &[0]);
    assert_eq!(site.result(user.thread), Some(K_ELINKFAILURE));
    assert_eq!(site.nucleus.ipc.network.outbound.len(), 0);
    assert_eq!(site.held(), 0);
    assert_eq!(site.send(other, far(), b"x"), Some(K_EUNKNOWN));
    site.end();
}

#[test]
fn a_request_to_another_site_ends_as_the_manager_says() {
    let (mut site, manager, user, other) = attached();
    let room = site.ask(user, far(), b"ask");
    let (item, body) = take(&mut site, manager).expect("it goes out");
    assert_eq!((item.kind, body.as_slice()), (NET_CALL, &b"ask"[..]));
    assert_eq!((item.target, item.src_port), (far(), site.door(user.actor)));
    let reply = KnNetItem {
        handle: item.handle,
        annex_size: 64,
        annex: [3; 64],
        ..KnNetItem::default()
    };
    let (bad, good) = (
        site.arg(
            manager.actor,
            &KnNetItem {
                body_size: 8,
                ..reply
            },
        ),
        site.arg(manager.actor, &reply),
    );
    site.refuses(manager, "nmComplete", &[bad, NOWHERE], K_EFAULT);
    let much = site.arg(
        manager.actor,
        &KnNetItem {
            body_size: K_CMSGSIZEMAX + 1,
            ..reply
        },
    );
    site.refuses(manager, "nmComplete", &[much, NOWHERE], K_ETOOMUCH);
    let wrong = site.arg(
        manager.actor,
        &KnNetItem {
            handle: item.handle ^ 1 << 20,
            ..reply
        },
    );
    site.refuses(manager, "nmComplete", &[wrong, 0], K_EUNKNOWN);
    assert_eq!(hand(&mut site, manager, "nmComplete", reply, b"fine"), K_OK);
    assert_eq!(site.result(user.thread), Some(4));
    assert_eq!(site.bytes(user.actor, room.body, 4), b"fine");
    assert_eq!(site.peek::<[u8; 64]>(user.actor, room.annex), [3; 64]);
    site.refuses(manager, "nmComplete", &[good, 0], K_EUNKNOWN);
    for error in [K_ELINKFAILURE, K_EUNKNOWN, K_ENOPORT] {
        site.ask(other, far(), b"ask");
        let (item, _) = take(&mut site, manager).unwrap();
        let end = KnNetItem {
            handle: item.handle,
            result: error,
            ..KnNetItem::default()
        };
        assert_eq!(hand(&mut site, manager, "nmComplete", end, b""), K_OK);
        assert_eq!(site.result(other.thread), Some(error), "NC-187");
    }
    // A client of this site is not the manager's to answer.
    let door = site.door(other.actor);
    site.ask(user, door, b"here");
    let transaction = site.nucleus.ipc.transactions << 13 | user.thread.index() as u64;
    let wrong = site.arg(
        manager.actor,
        &KnNetItem {
            handle: transaction,
            ..reply
        },
    );
    site.refuses(manager, "nmComplete", &[wrong, 0], K_EUNKNOWN);
    site.end();
}

#[test]
fn a_client_that_leaves_is_told_to_the_manager_once() {
    let (mut site, manager, user, other) = attached();
    let (letter, dest) = (site.letter(user, b"ask"), site.dest(user, far()));
    let room = site.room(user, 8);
    for end in 0..3 {
        let delay = if end == 0 { 50 } else { FOREVER };
        site.waits(user, "ipcCall", &[letter, 0, dest, room.desc, delay]);
        let (call, _) = take(&mut site, manager).unwrap();
        let (cap, li) = (site.cap_for(manager, user.actor), site.li(user.thread));
        match end {
            0 => site.pass(50_000_000),
            1 => drop(site.grants(manager, "threadAbort", &[cap, li])),
            _ => drop(site.grants(manager, "actorDelete", &[cap])),
        }
        let (cancel, _) = take(&mut site, manager).expect("it is told");
        assert_eq!((cancel.kind, cancel.handle), (NET_CANCEL, call.handle));
        assert!(take(&mut site, manager).is_none());
        let late = KnNetItem {
            handle: call.handle,
            ..KnNetItem::default()
        };
        assert_eq!(
            hand(&mut site, manager, "nmComplete", late, b""),
            K_EUNKNOWN
        );
        if end < 2 {
            let result = if end == 0 { K_ETIMEOUT } else { K_EABORT };
            assert_eq!(site.result(user.thread), Some(result));
        }
    }
    assert_eq!(site.send(other, far(), b"x"), Some(K_OK));
    site.end();
}

#[test]
fn a_client_whose_source_port_is_deleted_leaves_also_a_call_to_another_site() {
    let (mut site, manager, user, _) = attached();
    let (fellow, (li, _)) = (site.fellow(user), site.port(user));
    let (letter, dest) = (site.letter(user, b"ask"), site.dest(user, far()));
    let room = site.room(user, 8);
    let call = [letter, li as u64, dest, room.desc, FOREVER];
    site.waits(user, "ipcCall", &call);
    take(&mut site, manager);
    site.grants(fellow, "portDelete", &[0, li as u64]);
    assert_eq!(site.result(user.thread), Some(K_ENOPORT));
    assert_eq!(take(&mut site, manager).unwrap().0.kind, NET_CANCEL);
    site.end();
}
