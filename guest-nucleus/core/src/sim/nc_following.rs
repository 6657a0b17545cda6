//! What is queued at a port that goes to another site: it follows in order, or is lost; and clients may leave at any time (NC-117, NC-118, NC-192, SS-015, SS-016).

use super::two_sites::Two;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::net::*;
use chorus_abi::*;

/// Receives all messages of a port of the first user of a site: the first bytes of their bodies.
fn drain(two: &mut Two, at: usize, li: i32) -> Vec<u8> {
    let user = two.users[at][0];
    let taken = core::iter::from_fn(|| two.sites[at].take(user, li));
    taken.map(|body| body[0]).collect()
}

#[test]
fn nc_117_and_ss_015_what_is_queued_follows_in_order_before_what_is_sent_later() {
    let mut two = Two::new();
    let [old, client] = two.users[0];
    let (li, ui) = two.sites[0].port(old);
    for number in 0..20u8 {
        // From here, and from the other site.
        match number % 2 {
            0 => assert_eq!(two.sites[0].send(client, ui, &[number]), Some(K_OK)),
            _ => {
                two.sites[1].send(two.users[1][1], ui, &[number]);
                two.settle();
            }
        }
        if number == 11 {
            two.departs(0, 0, li, K_MIGRATEMSG);
            // The manager has it in hand, and no more comes of it yet.
            let (item, record) = two.next(0).unwrap();
            let there = two.deliver(1, NET_ARRIVE, 1, &item, &record);
            two.deliver(1, NET_ACTIVATE, 1, &item, b"");
            for late in 12..16u8 {
                assert_eq!(two.sites[0].send(client, ui, &[late]), Some(K_OK));
            }
            assert_eq!(two.ends(0, &item, there), K_OK);
            // One at a time: the next one is told when this one is through.
            let (first, body) = two.next(0).unwrap();
            assert_eq!((first.kind, first.target, body[0]), (NET_PASS, ui, 0));
            assert!(two.next(0).is_none());
            assert_eq!(two.result(0, 0), None);
            two.deliver(1, NET_SEND, 0, &first, &body);
            assert_eq!(two.ends(0, &first, 0), K_OK);
            assert!(two.carry(0));
            two.settle();
            let arrived = two.result(0, 0).unwrap();
            assert_eq!(arrived, there);
            two.sites[0].send(client, ui, &[16]);
            two.settle();
            let got = drain(&mut two, 1, there);
            assert_eq!(got, (0..=16).collect::<Vec<_>>());
            break;
        }
    }
    two.end();
}

#[test]
fn what_follows_is_as_it_was_sent() {
    let mut two = Two::new();
    let [old, client] = two.users[0];
    let pi = KnProtId {
        uid: 4,
        gid: 5,
        did: 6,
        pad: 0,
    };
    two.sites[0]
        .nucleus
        .actors
        .get_mut(client.actor)
        .unwrap()
        .pi = pi;
    let (li, ui) = two.sites[0].port(old);
    let (source, source_ui) = two.sites[0].port(client);
    let site = &mut two.sites[0];
    let annex = site.arg(client.actor, &[7u8; 64]);
    let body_addr = site.arg(client.actor, b"a body");
    let desc = KnMsgDesc {
        body_size: 6,
        body_addr,
        annex_addr: annex,
        ..KnMsgDesc::default()
    };
    let (desc, dest) = (site.arg(client.actor, &desc), site.dest(client, ui));
    site.grants(client, "ipcSend", &[desc, source as u64, dest]);
    site.send(client, ui, b"");
    two.departs(0, 0, li, K_MIGRATEMSG);
    let (item, _) = two.next(0).unwrap();
    two.ends(0, &item, 9);
    let manager = two.managers[0];
    let site = &mut two.sites[0];
    let at = site.arg(manager.actor, &KnNetItem::default());
    let body = site.space(manager.actor, 64);
    site.refuses(manager, "nmTake", &[at, body, 5], K_ETOOMUCH);
    site.refuses(manager, "nmTake", &[at, super::scene::NOWHERE, 6], K_EFAULT);
    let (item, body) = two.next(0).unwrap();
    let expected = KnNetItem {
        kind: NET_PASS,
        result: PASS_SEND,
        target: ui,
        src_port: source_ui,
        actor_pi: pi,
        port_pi: pi,
        body_size: 6,
        annex_size: 64,
        annex: [7; 64],
        ..KnNetItem::default()
    };
    assert_eq!((item, &body[..]), (expected, &b"a body"[..]));
    two.ends(0, &item, 0);
    let (item, body) = two.next(0).unwrap();
    assert_eq!((item.body_size, item.annex_size, body.len()), (0, 0, 0));
    assert_eq!(two.ends(0, &item, 0), K_OK);
    assert_eq!(two.result(0, 0), Some(9));
    assert_eq!(two.ends(0, &item, 0), K_EUNKNOWN);
    two.end();
}

#[test]
fn nc_118_and_ss_016_what_was_queued_is_lost_when_it_goes_and_what_came_later_follows() {
    let mut two = Two::new();
    let [old, client] = two.users[0];
    let (li, ui) = two.sites[0].port(old);
    let other = two.sites[0].party(K_USERACTOR);
    two.sites[0].send(client, ui, b"1");
    two.sites[0].ask(other, ui, b"2");
    // The last that is lost leaves by itself; then the one before it is the last.
    let room = two.sites[0].room(client, 8).desc;
    let (letter, dest) = (
        two.sites[0].letter(client, b"3"),
        two.sites[0].dest(client, ui),
    );
    two.sites[0].waits(client, "ipcCall", &[letter, 0, dest, room, 5]);
    two.departs(0, 0, li, K_DROPMSG);
    two.sites[0].pass(5_000_000);
    assert_eq!(two.result(0, 1), Some(K_ETIMEOUT));
    two.sites[0].ask(client, ui, b"4");
    assert_eq!(two.sites[0].result(other.thread), None, "it may stay yet");
    two.settle();
    let there = two.result(0, 0).unwrap();
    assert_eq!(two.sites[0].result(other.thread), Some(K_ENOPORT));
    assert_eq!(drain_one(&mut two, there), b'4');
    two.settle();
    assert_eq!(two.result(0, 1), Some(2));
    two.end();
}

/// Receives the one message of a port of the second site and answers it with two bytes.
fn drain_one(two: &mut Two, li: i32) -> u8 {
    let user = two.users[1][0];
    let body = two.sites[1].take(user, li).expect("a message followed");
    assert_eq!(two.sites[1].answer(user, b"ok"), Some(K_OK));
    assert_eq!(two.sites[1].take(user, li), None);
    body[0]
}

#[test]
fn nc_192_requests_of_both_sites_that_were_queued_are_answered_by_the_new_actor() {
    let mut two = Two::new();
    let [old, near] = two.users[0];
    let far = two.users[1][1];
    let (li, ui) = two.sites[0].port(old);
    let here = two.sites[0].ask(near, ui, b"near");
    let there = two.sites[1].ask(far, ui, b"far");
    two.settle();
    two.departs(0, 0, li, K_MIGRATEMSG);
    two.settle();
    let li = two.result(0, 0).unwrap();
    let new = two.users[1][0];
    for body in [&b"near"[..], b"far"] {
        assert_eq!(two.sites[1].take(new, li).as_deref(), Some(body));
        assert_eq!(two.sites[1].answer(new, body), Some(K_OK));
    }
    two.settle();
    assert_eq!((two.result(0, 1), two.result(1, 1)), (Some(4), Some(3)));
    assert_eq!(two.sites[0].bytes(near.actor, here.body, 4), b"near");
    assert_eq!(two.sites[1].bytes(far.actor, there.body, 3), b"far");
    two.end();
}

#[test]
fn a_client_that_leaves_is_withdrawn_wherever_its_request_is() {
    // Queued at the port that departs; at the one that went, before the manager took it, and behind it; taken; queued there; held there.
    for place in 0..6 {
        let mut two = Two::new();
        let [old, client] = two.users[0];
        let (li, ui) = two.sites[0].port(old);
        if place == 2 {
            two.sites[0].send(two.users[0][1], ui, b"0");
        }
        let (letter, dest) = (
            two.sites[0].letter(client, b"1"),
            two.sites[0].dest(client, ui),
        );
        let room = two.sites[0].room(client, 8).desc;
        two.sites[0].waits(client, "ipcCall", &[letter, 0, dest, room, 5]);
        two.departs(0, 0, li, K_MIGRATEMSG);
        let leaves = |two: &mut Two| {
            two.sites[0].pass(5_000_000);
            two.check();
            assert_eq!(two.result(0, 1), Some(K_ETIMEOUT), "{place}");
        };
        if place == 0 {
            leaves(&mut two);
        }
        let (item, record) = two.next(0).unwrap();
        let there = two.deliver(1, NET_ARRIVE, 1, &item, &record);
        two.deliver(1, NET_ACTIVATE, 1, &item, b"");
        two.ends(0, &item, there);
        if place == 1 {
            leaves(&mut two);
            // Nothing is left that could follow: the manager finds nothing, and that is the end.
            assert!(two.next(0).is_none());
            assert_eq!(two.result(0, 0), Some(there));
        }
        if place == 2 {
            let (first, _) = two.next(0).unwrap();
            leaves(&mut two);
            two.ends(0, &first, 0);
        }
        if place == 3 {
            let (item, _) = two.next(0).unwrap();
            assert_eq!((item.kind, item.result), (NET_PASS, PASS_OWN));
            leaves(&mut two);
            two.ends(0, &item, 0);
            // The manager hears that it has no client any more.
            let (cancel, _) = two.next(0).unwrap();
            assert_eq!((cancel.kind, cancel.handle), (NET_CANCEL, item.handle));
        }
        two.settle();
        let new = two.users[1][0];
        if place == 5 {
            assert!(two.sites[1].take(new, there).is_some());
        }
        if place > 3 {
            leaves(&mut two);
            two.settle();
            // Who holds it is told.
            let told = i32::from(place == 5);
            assert_eq!(two.sites[1].grants(new, "threadAborted", &[]), told);
        }
        assert_eq!(two.sites[1].take(new, there), None, "{place}");
        assert_eq!(two.result(0, 0), Some(there));
        if place == 5 {
            assert_eq!(two.sites[1].answer(new, b"late"), Some(K_OK));
            two.settle();
        }
        two.end();
    }
}

#[test]
fn while_its_queue_still_follows_a_port_that_came_back_stays() {
    let mut two = Two::new();
    let [old, client] = two.users[0];
    let (li, ui) = two.sites[0].port(old);
    two.sites[0].send(client, ui, b"1");
    two.departs(0, 0, li, K_MIGRATEMSG);
    let (item, record) = two.next(0).unwrap();
    let there = two.deliver(1, NET_ARRIVE, 1, &item, &record);
    two.deliver(1, NET_ACTIVATE, 1, &item, b"");
    two.ends(0, &item, there);
    // It moves back at once; the old queue is still here.
    two.departs(1, 0, there, K_MIGRATEMSG);
    assert!(two.carry(1));
    let back = two.result(1, 0).unwrap();
    assert_eq!(two.query(0, ui), 3);
    // The first mover still waits: another thread of its actor tries.
    let fellow = two.sites[0].fellow(old);
    let again = two.wish(0, 0, back, K_MIGRATEMSG);
    two.sites[0].refuses(fellow, "portMigrate", &again, K_EBUSY);
    let (pass, body) = two.next(0).unwrap();
    // It came after the port, and finds it where it began.
    assert_eq!(two.deliver(1, NET_SEND, 0, &pass, &body), K_EUNKNOWN);
    assert_eq!(two.deliver(0, NET_SEND, 0, &pass, &body), K_OK);
    two.ends(0, &pass, 0);
    assert_eq!(two.result(0, 0), Some(there));
    assert_eq!(two.sites[0].take(fellow, back).as_deref(), Some(&b"1"[..]));
    two.sites[0].waits(fellow, "portMigrate", &again);
    two.settle();
    assert_eq!(two.query(1, ui), 4);
    two.end();
}
