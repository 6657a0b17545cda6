//! Receiving and fetching against the reference (NC-195…202).

use super::nc_messages::{desc, head, memory, pair};
use super::scene::{FOREVER, NOWHERE, Party};
use super::site::Site;
use chorus_abi::error::*;
use chorus_abi::*;

#[test]
fn nc_195_an_empty_port_gives_nothing_at_once() {
    let (mut site, _, receiver) = pair();
    let room = site.room(receiver, 8);
    for port in [K_DEFAULTPORT, K_ANYENABLED] {
        let li = site.arg(receiver.actor, &port);
        site.refuses(receiver, "ipcReceive", &[room.desc, li, 0], K_ETIMEOUT);
    }
    let li = site.arg(receiver.actor, &K_DEFAULTPORT);
    site.waits(receiver, "ipcReceive", &[room.desc, li, 100]);
    site.pass(99_999_999);
    assert_eq!(site.result(receiver.thread), None);
    site.pass(1);
    assert_eq!(site.result(receiver.thread), Some(K_ETIMEOUT));
    site.end();
}

#[test]
fn nc_196_and_200_a_message_comes_into_the_buffers_that_were_given() {
    for waiting in [false, true] {
        let (mut site, sender, receiver) = pair();
        let regions = site.nucleus.memory.regions.len();
        let (room, li) = (
            site.room(receiver, 10),
            site.arg(receiver.actor, &K_DEFAULTPORT),
        );
        let door = site.door(receiver.actor);
        if waiting {
            site.waits(receiver, "ipcReceive", &[room.desc, li, FOREVER]);
        }
        assert_eq!(site.send(sender, door, &[3; 100]), Some(K_OK));
        let size = match waiting {
            true => site.result(receiver.thread),
            false => site.call(receiver.thread, "ipcReceive", &[room.desc, li, 0]),
        };
        assert_eq!(size, Some(100));
        let body = site.bytes(receiver.actor, room.body, 16);
        assert_eq!((&body[..10], &body[10..]), (&[3; 10][..], &[0xee; 6][..]));
        assert_eq!(site.nucleus.memory.regions.len(), regions);
        assert_eq!(head(&mut site, receiver).body_size, 100);
        site.end();
    }
}

#[test]
fn nc_197_198_and_199_a_body_is_fetched_once_after_its_annex() {
    for waiting in [false, true] {
        let (mut site, sender, receiver) = pair();
        let door = site.door(receiver.actor);
        let room = site.room(receiver, 200);
        site.refuses(receiver, "ipcGetData", &[room.desc], K_EINVAL);
        let annex = site.arg(receiver.actor, &[0xeeu8; 64]);
        let li = site.arg(receiver.actor, &K_DEFAULTPORT);
        let head = desc(&mut site, receiver, (0, 0), annex);
        if waiting {
            site.waits(receiver, "ipcReceive", &[head, li, FOREVER]);
        }
        let (body, card) = (
            site.arg(sender.actor, &[4u8; 150]),
            site.arg(sender.actor, &[5u8; 64]),
        );
        let (message, dest) = (
            desc(&mut site, sender, (body, 150), card),
            site.dest(sender, door),
        );
        assert_eq!(site.grants(sender, "ipcSend", &[message, 0, dest]), K_OK);
        site.poke(sender.actor, body, &[6u8; 150]);
        let size = match waiting {
            true => site.result(receiver.thread),
            false => site.call(receiver.thread, "ipcReceive", &[head, li, 0]),
        };
        assert_eq!(size, Some(150));
        assert_eq!(site.peek::<[u8; 64]>(receiver.actor, annex), [5; 64]);
        let bad = desc(&mut site, receiver, (NOWHERE, 200), 0);
        site.refuses(receiver, "ipcGetData", &[bad], K_EFAULT);
        site.refuses(receiver, "ipcGetData", &[NOWHERE], K_EFAULT);
        assert_eq!(site.grants(receiver, "ipcGetData", &[room.desc]), 150);
        assert_eq!(site.bytes(receiver.actor, room.body, 150), [4; 150]);
        assert_eq!(site.held(), 0);
        site.refuses(receiver, "ipcGetData", &[room.desc], K_EINVAL);
        site.end();
    }
}

#[test]
fn a_body_that_is_fetched_into_less_is_cut() {
    let (mut site, sender, receiver) = pair();
    let (door, li) = (
        site.door(receiver.actor),
        site.arg(receiver.actor, &K_DEFAULTPORT),
    );
    site.send(sender, door, &[4; 150]);
    let head = desc(&mut site, receiver, (0, 0), 0);
    assert_eq!(site.grants(receiver, "ipcReceive", &[head, li, 0]), 150);
    let room = site.room(receiver, 10);
    assert_eq!(site.grants(receiver, "ipcGetData", &[room.desc]), 10);
    let body = site.bytes(receiver.actor, room.body, 16);
    assert_eq!((&body[..10], &body[10..]), (&[4; 10][..], &[0xee; 6][..]));
    site.refuses(receiver, "ipcGetData", &[room.desc], K_EINVAL);
    site.end();
}

#[test]
fn nc_201_and_202_a_failed_receive_keeps_queue_and_current_message() {
    let (mut site, sender, receiver) = pair();
    let door = site.door(receiver.actor);
    for body in [b"one", b"two", b"six"] {
        site.send(sender, door, body);
    }
    site.take(receiver, K_DEFAULTPORT);
    let li = site.arg(receiver.actor, &K_DEFAULTPORT);
    let room = site.room(receiver, 8);
    let end = site.at(receiver.actor, 16 * PAGE_SIZE);
    for (body, annex) in [((NOWHERE, 8), 0), ((end - 4, 8), 0), ((0, 0), NOWHERE)] {
        let bad = desc(&mut site, receiver, body, annex);
        site.refuses(receiver, "ipcReceive", &[bad, li, 0], K_EFAULT);
    }
    site.refuses(receiver, "ipcReceive", &[NOWHERE, li, 0], K_EFAULT);
    site.refuses(receiver, "ipcReceive", &[room.desc, NOWHERE, 0], K_EFAULT);
    for port in [12345, K_NONEPORT] {
        let wrong = site.arg(receiver.actor, &port);
        let call = [room.desc, wrong, 0];
        site.refuses(receiver, "ipcReceive", &call, K_EINVAL);
    }
    assert_eq!(head(&mut site, receiver).body_size, 3);
    for body in [b"two", b"six"] {
        let got = site.take(receiver, K_DEFAULTPORT);
        assert_eq!(got.as_deref(), Some(&body[..]), "the order is as it was");
    }
    site.refuses(receiver, "ipcReceive", &[room.desc, li, 0], K_ETIMEOUT);
    assert_eq!(site.answer(receiver, b"ok"), Some(K_OK), "still current");
    site.end();
}

#[test]
fn the_longest_waiting_thread_gets_the_message() {
    let (mut site, sender, receiver) = pair();
    let fellow = site.fellow(receiver);
    site.listen(fellow, K_DEFAULTPORT);
    site.listen(receiver, K_DEFAULTPORT);
    let door = site.door(receiver.actor);
    for (size, (first, second)) in [(Some(1), None), (Some(1), Some(2))]
        .into_iter()
        .enumerate()
    {
        site.send(sender, door, &[0; 2][..=size]);
        assert_eq!(site.result(fellow.thread), first);
        assert_eq!(site.result(receiver.thread), second);
    }
    site.end();
}

/// A receiver, whose thread waits with its buffers in a region that is then freed by a fellow.
fn waits_in_vain(site: &mut Site, receiver: Party, fellow: Party, port: i32) {
    let gone = memory(site, receiver, PAGE_SIZE);
    let room = KnMsgDesc {
        body_addr: gone,
        body_size: 8,
        ..KnMsgDesc::default()
    };
    let (room, li) = (
        site.arg(receiver.actor, &room),
        site.arg(receiver.actor, &port),
    );
    site.waits(receiver, "ipcReceive", &[room, li, FOREVER]);
    let region = KnRgnDesc {
        start_addr: gone,
        size: PAGE_SIZE,
        ..KnRgnDesc::default()
    };
    let region = site.arg(receiver.actor, &region);
    assert_eq!(site.grants(fellow, "rgnFree", &[0, region]), K_OK);
}

#[test]
fn a_message_goes_to_the_next_who_waits_when_the_first_cannot_take_it() {
    let (mut site, sender, receiver) = pair();
    let fellow = site.fellow(receiver);
    waits_in_vain(&mut site, receiver, fellow, K_DEFAULTPORT);
    let room = site.listen(fellow, K_DEFAULTPORT);
    let door = site.door(receiver.actor);
    assert_eq!(site.send(sender, door, b"next"), Some(K_OK));
    assert_eq!(site.result(receiver.thread), Some(K_EFAULT));
    assert_eq!(site.result(fellow.thread), Some(4));
    assert_eq!(site.bytes(fellow.actor, room.body, 4), b"next");
    site.end();
}

#[test]
fn a_message_that_could_not_be_taken_keeps_its_place() {
    let (mut site, sender, receiver) = pair();
    let (fellow, (li, ui)) = (site.fellow(receiver), site.port(receiver));
    site.send(sender, ui, b"1st");
    site.send(sender, ui, b"2nd");
    waits_in_vain(&mut site, receiver, fellow, K_ANYENABLED);
    site.grants(fellow, "portEnable", &[0, li as u64, 0]);
    assert_eq!(site.result(receiver.thread), Some(K_EFAULT));
    assert_eq!(site.take(fellow, li).as_deref(), Some(&b"1st"[..]));
    assert_eq!(site.take(fellow, li).as_deref(), Some(&b"2nd"[..]));
    site.end();
}

#[test]
fn of_ports_of_one_priority_the_oldest_message_is_served_first() {
    let (mut site, sender, receiver) = pair();
    let ports = [(); 2].map(|()| site.port(receiver));
    for (li, _) in ports {
        site.grants(receiver, "portEnable", &[0, li as u64, 0]);
    }
    for (at, body) in [(0, b"1"), (1, b"2"), (0, b"3")] {
        site.send(sender, ports[at].1, body);
        site.pass(1000);
    }
    for body in [b"1", b"2", b"3"] {
        let got = site.take(receiver, K_ANYENABLED);
        assert_eq!(got.as_deref(), Some(&body[..]));
    }
    site.end();
}
