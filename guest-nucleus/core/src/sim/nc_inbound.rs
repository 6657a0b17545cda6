//! What comes in from other sites, and how requests of theirs end (NC-109, NC-218).

use super::nc_network::{attached, far, hand, message, take};
use super::scene::NOWHERE;
use super::site::Site;
use chorus_abi::error::*;
use chorus_abi::net::*;
use chorus_abi::*;

#[test]
fn nc_109_and_218_what_comes_in_is_delivered_as_it_was_sent() {
    let (mut site, manager, user, _) = attached();
    let door = site.door(user.actor);
    let pi = KnProtId {
        uid: 4,
        gid: 5,
        did: 6,
        pad: 0,
    };
    let item = KnNetItem {
        actor_pi: pi,
        port_pi: pi,
        annex_size: 64,
        annex: [2; 64],
        ..message(NET_SEND, 0, door)
    };
    let room = site.listen(user, K_DEFAULTPORT);
    assert_eq!(
        hand(&mut site, manager, "nmDeliver", item, b"from far"),
        K_OK
    );
    assert_eq!(site.result(user.thread), Some(8));
    assert_eq!(site.bytes(user.actor, room.body, 8), b"from far");
    assert_eq!(site.peek::<[u8; 64]>(user.actor, room.annex), [2; 64]);
    let head = site.space(user.actor, size_of::<KnMsgHead>());
    site.grants(user, "ipcSysInfo", &[head]);
    let head: KnMsgHead = site.peek(user.actor, head);
    assert_eq!((head.actor_id, head.port_id), (pi, pi));
    assert_eq!((head.src_port, head.flags), (far(), [0, 1, 1, 0]));
    // Its answer goes out again.
    assert_eq!(site.answer(user, b"back"), Some(K_OK));
    let (item, body) = take(&mut site, manager).unwrap();
    assert_eq!((item.kind, item.target), (NET_SEND, far()));
    assert_eq!(body, b"back");
    site.end();
}

#[test]
fn nc_127_who_knows_only_the_name_reaches_the_port_after_it_moved() {
    let (mut site, manager, user, other) = attached();
    let (li, ui) = site.port(user);
    let request = message(NET_CALL, 7, ui);
    let to = site.cap_for(user, other.actor);
    let count = site.space(user.actor, 4);
    let arguments = [K_MIGRATEMSG as u64, 0, li as u64, to, count];
    let moved = site.grants(user, "portMigrate", &arguments);
    assert!(moved > 0);
    assert_eq!(hand(&mut site, manager, "nmDeliver", request, b"far"), K_OK);
    assert_eq!(site.take(other, moved).as_deref(), Some(&b"far"[..]));
    assert_eq!(site.answer(other, b"here"), Some(K_OK));
    let (item, body) = take(&mut site, manager).unwrap();
    assert_eq!((item.kind, item.handle, item.result), (NET_REPLY, 7, 0));
    assert_eq!(body, b"here");
    site.end();
}

#[test]
fn what_cannot_be_delivered_is_told_and_does_not_go_out_again() {
    let (mut site, manager, user, _) = attached();
    let group = KnUniqueId::static_group(false, 4);
    let functional = group.with_mode(K_FUNCMODE).unwrap();
    let selective = group.with_mode(K_FUNCUMODE).unwrap();
    let here = KnUniqueId::well_known_port(1, 99);
    let door = site.door(user.actor);
    for (item, error) in [
        (message(NET_SEND, 0, far()), K_EUNKNOWN),
        (message(NET_CALL, 9, far()), K_EUNKNOWN),
        (message(NET_SEND, 0, here), K_EUNKNOWN),
        (message(NET_SEND, 0, functional), K_EUNKNOWN),
        (message(NET_CALL, 9, functional), K_EUNKNOWN),
        (
            KnNetItem {
                co_target: far(),
                ..message(NET_CALL, 9, selective)
            },
            K_EUNKNOWN,
        ),
        (message(NET_CALL, 9, group), K_EINVAL),
        (message(NET_SEND, 0, KnUniqueId::NULL), K_EINVAL),
        (message(NET_REPLY, 9, door), K_EINVAL),
        (message(0, 9, door), K_EINVAL),
        (
            KnNetItem {
                body_size: K_CMSGSIZEMAX + 1,
                ..message(NET_SEND, 0, door)
            },
            K_ETOOMUCH,
        ),
        (
            KnNetItem {
                body_size: 4,
                ..message(NET_SEND, 0, door)
            },
            K_EFAULT,
        ),
    ] {
        let at = site.arg(manager.actor, &item);
        site.refuses(manager, "nmDeliver", &[at, NOWHERE], error);
    }
    site.refuses(manager, "nmDeliver", &[NOWHERE, 0], K_EFAULT);
    site.fill(user, door);
    let at = site.arg(manager.actor, &message(NET_CALL, 9, door));
    site.refuses(manager, "nmDeliver", &[at, 0], K_EFULL);
    site.drain(user, K_DEFAULTPORT);
    let (at, body) = (
        site.arg(
            manager.actor,
            &KnNetItem {
                body_size: 4,
                ..message(NET_CALL, 9, door)
            },
        ),
        site.arg(manager.actor, b"body"),
    );
    let taken = site.hoard(0);
    site.refuses(manager, "nmDeliver", &[at, body], K_ENOMEM);
    site.give_back(taken);
    assert!(take(&mut site, manager).is_none());
    site.end();
}

#[test]
fn each_request_that_comes_in_has_one_end() {
    let (mut site, manager, user, other) = attached();
    let door = site.door(user.actor);
    // Answered.
    assert_eq!(
        hand(
            &mut site,
            manager,
            "nmDeliver",
            message(NET_CALL, 71, door),
            b"ask"
        ),
        K_OK
    );
    assert_eq!(site.take(user, K_DEFAULTPORT).as_deref(), Some(&b"ask"[..]));
    assert!(take(&mut site, manager).is_none());
    assert_eq!(site.answer(user, b"yes"), Some(K_OK));
    let (item, body) = take(&mut site, manager).unwrap();
    assert_eq!((item.kind, item.handle, item.result), (NET_REPLY, 71, 0));
    assert_eq!(body, b"yes");
    // Its port deleted, itself supplanted, its server deleted: queued, held, saved.
    let (li, ui) = site.port(user);
    hand(
        &mut site,
        manager,
        "nmDeliver",
        message(NET_CALL, 72, ui),
        b"ask",
    );
    site.grants(user, "portDelete", &[0, li as u64]);
    hand(
        &mut site,
        manager,
        "nmDeliver",
        message(NET_CALL, 73, door),
        b"ask",
    );
    site.take(user, K_DEFAULTPORT);
    site.send(other, door, b"next");
    site.take(user, K_DEFAULTPORT);
    for (handle, saved) in [(74, true), (75, false), (76, false)] {
        hand(
            &mut site,
            manager,
            "nmDeliver",
            message(NET_CALL, handle, door),
            b"ask",
        );
        if handle < 76 {
            site.take(user, K_DEFAULTPORT);
        }
        if saved {
            site.grants(user, "ipcSave", &[0]);
        }
    }
    let ends = |site: &mut Site| {
        core::iter::from_fn(|| take(site, manager))
            .map(|(item, _)| (item.kind, item.handle, item.result))
            .collect::<alloc::collections::BTreeSet<_>>()
    };
    let lost = |handles: &[u64]| {
        handles
            .iter()
            .map(|&handle| (NET_REPLY, handle, K_ENOPORT))
            .collect()
    };
    assert_eq!(ends(&mut site), lost(&[72, 73]));
    site.call(user.thread, "actorExit", &[0]);
    assert_eq!(ends(&mut site), lost(&[74, 75, 76]));
    site.end();
}

#[test]
fn a_request_that_is_cancelled_is_withdrawn_or_marks_its_server() {
    let (mut site, manager, user, _) = attached();
    let door = site.door(user.actor);
    let cancel = |site: &mut Site, handle| {
        hand(
            site,
            manager,
            "nmDeliver",
            message(NET_CANCEL, handle, KnUniqueId::NULL),
            b"",
        )
    };
    hand(
        &mut site,
        manager,
        "nmDeliver",
        message(NET_CALL, 81, door),
        b"queued",
    );
    assert_eq!(cancel(&mut site, 80), K_OK, "nobody's");
    assert_eq!(cancel(&mut site, 81), K_OK);
    assert_eq!(site.take(user, K_DEFAULTPORT), None);
    hand(
        &mut site,
        manager,
        "nmDeliver",
        message(NET_CALL, 82, door),
        b"held",
    );
    site.take(user, K_DEFAULTPORT);
    assert_eq!(cancel(&mut site, 82), K_OK);
    assert_eq!(site.grants(user, "threadAborted", &[]), 1);
    assert_eq!(site.held(), 0);
    assert!(take(&mut site, manager).is_none());
    site.end();
}

#[test]
fn the_reply_to_a_cancelled_request_is_dropped() {
    let (mut site, manager, user, _) = attached();
    let door = site.door(user.actor);
    hand(
        &mut site,
        manager,
        "nmDeliver",
        message(NET_CALL, 82, door),
        b"held",
    );
    site.take(user, K_DEFAULTPORT);
    hand(
        &mut site,
        manager,
        "nmDeliver",
        message(NET_CANCEL, 82, KnUniqueId::NULL),
        b"",
    );
    assert_eq!(site.answer(user, b"late"), Some(K_OK));
    assert!(take(&mut site, manager).is_none());
    site.end();
}

#[test]
fn when_the_manager_ends_requests_from_elsewhere_lose_their_client() {
    let (mut site, manager, user, _) = attached();
    let door = site.door(user.actor);
    hand(
        &mut site,
        manager,
        "nmDeliver",
        message(NET_CALL, 9, door),
        b"ask",
    );
    site.call(manager.thread, "actorExit", &[0]);
    assert_eq!(site.take(user, K_DEFAULTPORT).as_deref(), Some(&b"ask"[..]));
    let head = site.space(user.actor, size_of::<KnMsgHead>());
    site.grants(user, "ipcSysInfo", &[head]);
    assert_eq!(site.peek::<KnMsgHead>(user.actor, head).flags[0], 0);
    site.end();
}
