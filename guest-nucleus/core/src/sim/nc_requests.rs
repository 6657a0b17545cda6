//! Requests against the reference: calls and replies (NC-180…193, NC-205…208, NC-219).

use super::scene::{FOREVER, NOWHERE, Party};
use super::site::Site;
use chorus_abi::error::*;
use chorus_abi::*;

/// A server, and two clients.
pub(super) fn three() -> (Site, Party, Party, Party) {
    let mut site = Site::new(6);
    let server = site.party(K_SYSTEMACTOR);
    let clients = [(); 2].map(|()| site.party(K_USERACTOR));
    (site, server, clients[0], clients[1])
}

/// Begins a request and has the server receive it.
#[track_caller]
pub(super) fn hold(
    site: &mut Site,
    server: Party,
    client: Party,
    body: &[u8],
) -> super::scene::Room {
    let door = site.door(server.actor);
    let room = site.ask(client, door, body);
    assert_eq!(site.take(server, K_DEFAULTPORT).as_deref(), Some(body));
    room
}

#[test]
fn nc_180_and_188_a_reply_comes_however_late() {
    let (mut site, server, client, _) = three();
    let room = hold(&mut site, server, client, b"ask");
    site.pass(20_000_000_000);
    assert_eq!(site.result(client.thread), None);
    let (body, annex) = (
        site.arg(server.actor, b"answer"),
        site.arg(server.actor, &[8u8; 64]),
    );
    let reply = KnMsgDesc {
        body_size: 6,
        body_addr: body,
        annex_addr: annex,
        ..KnMsgDesc::default()
    };
    let reply = site.arg(server.actor, &reply);
    assert_eq!(site.grants(server, "ipcReply", &[reply]), K_OK);
    assert_eq!(site.result(client.thread), Some(6));
    assert_eq!(site.bytes(client.actor, room.body, 7), b"answer\xee");
    assert_eq!(site.peek::<[u8; 64]>(client.actor, room.annex), [8; 64]);
    site.refuses(server, "ipcReply", &[reply], K_EINVAL);
    site.end();
}

#[test]
fn nc_184_a_late_reply_is_nobody_s() {
    let (mut site, server, client, _) = three();
    let door = site.door(server.actor);
    let (letter, dest) = (site.letter(client, b"old"), site.dest(client, door));
    let room = site.room(client, 64);
    site.waits(client, "ipcCall", &[letter, 0, dest, room.desc, 50]);
    site.take(server, K_DEFAULTPORT);
    site.pass(50_000_000);
    assert_eq!(site.result(client.thread), Some(K_ETIMEOUT));
    let id = site.grants(server, "ipcSave", &[0]) as u64;
    let room = hold(&mut site, server, client, b"new");
    let now = site.grants(server, "ipcSave", &[0]) as u64;
    assert_eq!(site.grants(server, "ipcRestore", &[id]), K_OK);
    assert_eq!(site.answer(server, b"to the old"), Some(K_OK), "dropped");
    assert_eq!(site.result(client.thread), None);
    assert_eq!(site.grants(server, "ipcRestore", &[now]), K_OK);
    assert_eq!(site.answer(server, b"to the new"), Some(K_OK));
    assert_eq!(site.result(client.thread), Some(10));
    assert_eq!(site.bytes(client.actor, room.body, 10), b"to the new");
    site.end();
}

#[test]
fn nc_189_a_name_that_never_was_is_unknown() {
    let (mut site, _, client, _) = three();
    let (letter, room) = (site.letter(client, b"?"), site.room(client, 8));
    for site_number in [1, 2] {
        let never = KnUniqueId::from_fields(site_number, UiType::Port, 1, 9999);
        let dest = site.dest(client, never);
        let call = [letter, 0, dest, room.desc, FOREVER];
        site.refuses(client, "ipcCall", &call, K_EUNKNOWN);
        site.refuses(client, "ipcSend", &[letter, 0, dest], K_EUNKNOWN);
    }
    site.end();
}

#[test]
fn nc_191_two_threads_of_an_actor_get_each_its_own_reply() {
    let (mut site, server, client, _) = three();
    let fellow = site.fellow(client);
    let rooms = [hold(&mut site, server, client, b"one"), {
        assert!(site.grants(server, "ipcSave", &[0]) > 0);
        hold(&mut site, server, fellow, b"two")
    }];
    assert_eq!(site.answer(server, b"to two"), Some(K_OK));
    assert_eq!(site.result(fellow.thread), Some(6));
    assert_eq!(site.result(client.thread), None);
    assert_eq!(site.bytes(client.actor, rooms[1].body, 6), b"to two");
    assert_eq!(site.bytes(client.actor, rooms[0].body, 1), [0xee]);
    site.end();
}

#[test]
fn nc_193_a_server_asks_another_and_still_answers() {
    let (mut site, server, client, other) = three();
    let room = hold(&mut site, server, client, b"ask");
    let door = site.door(other.actor);
    let inner = site.ask(server, door, b"help");
    site.take(other, K_DEFAULTPORT);
    assert_eq!(site.answer(other, b"here"), Some(K_OK));
    assert_eq!(site.result(server.thread), Some(4));
    assert_eq!(site.bytes(server.actor, inner.body, 4), b"here");
    assert_eq!(site.answer(server, b"done!"), Some(K_OK));
    assert_eq!(site.result(client.thread), Some(5));
    assert_eq!(site.bytes(client.actor, room.body, 5), b"done!");
    site.end();
}

#[test]
fn a_call_is_refused_before_anything_is_sent() {
    let (mut site, server, client, _) = three();
    site.listen(server, K_DEFAULTPORT);
    let door = site.door(server.actor);
    let (letter, dest) = (site.letter(client, b"ask"), site.dest(client, door));
    let room = site.room(client, 8);
    let end = site.at(client.actor, 16 * PAGE_SIZE);
    for (body_addr, annex_addr) in [(NOWHERE, 0), (end - 4, 0), (0, NOWHERE), (0, end - 60)] {
        let reply = KnMsgDesc {
            body_size: 8,
            body_addr,
            annex_addr,
            ..KnMsgDesc::default()
        };
        let reply = site.arg(client.actor, &reply);
        let call = [letter, 0, dest, reply, FOREVER];
        site.refuses(client, "ipcCall", &call, K_EFAULT);
    }
    for (at, value, error) in [
        (0, NOWHERE, K_EFAULT),
        (2, NOWHERE, K_EFAULT),
        (3, NOWHERE, K_EFAULT),
        (1, 4711, K_EINVAL),
        (4, 0, K_ETIMEOUT),
    ] {
        let mut call = [letter, 0, dest, room.desc, FOREVER];
        call[at] = value;
        site.refuses(client, "ipcCall", &call, error);
    }
    assert_eq!(site.result(server.thread), None);
    site.end();
}

#[test]
fn a_request_to_a_full_queue_is_refused() {
    let (mut site, server, client, _) = three();
    let door = site.door(server.actor);
    assert_eq!(site.fill(client, door), Some(K_EFULL));
    let (letter, dest) = (site.letter(client, b"ask"), site.dest(client, door));
    let room = site.room(client, 8);
    let call = [letter, 0, dest, room.desc, FOREVER];
    site.refuses(client, "ipcCall", &call, K_EFULL);
    assert!(site.take(server, K_DEFAULTPORT).is_some());
    site.waits(client, "ipcCall", &call);
    site.end();
}

#[test]
fn a_reply_into_buffers_that_are_gone_is_the_client_s_affair() {
    let (mut site, server, client, _) = three();
    let fellow = site.fellow(client);
    let gone = 0x90_0000;
    let region = KnRgnDesc {
        start_addr: gone,
        size: PAGE_SIZE,
        options: K_WRITABLE,
        ..KnRgnDesc::default()
    };
    let region = site.arg(client.actor, &region);
    site.grants(client, "rgnAllocate", &[0, region]);
    let reply = KnMsgDesc {
        body_size: 8,
        body_addr: gone,
        ..KnMsgDesc::default()
    };
    let door = site.door(server.actor);
    let (letter, dest) = (site.letter(client, b"ask"), site.dest(client, door));
    let reply = site.arg(client.actor, &reply);
    site.waits(client, "ipcCall", &[letter, 0, dest, reply, FOREVER]);
    site.take(server, K_DEFAULTPORT);
    site.grants(fellow, "rgnFree", &[0, region]);
    assert_eq!(site.answer(server, b"here"), Some(K_OK));
    assert_eq!(site.result(client.thread), Some(K_EFAULT));
    site.end();
}

#[test]
fn nc_205_a_request_that_is_supplanted_is_abandoned() {
    let (mut site, server, client, other) = three();
    hold(&mut site, server, client, b"first");
    hold(&mut site, server, other, b"second");
    assert_eq!(site.result(client.thread), Some(K_ENOPORT));
    assert_eq!(site.result(other.thread), None);
    site.end();
}

#[test]
fn nc_206_to_208_and_219_replies_have_their_errors_and_can_be_tried_again() {
    let (mut site, server, client, other) = three();
    let (good, bad) = (site.letter(server, b"yes"), KnMsgDesc::default());
    site.refuses(server, "ipcReply", &[good], K_EINVAL);
    let room = hold(&mut site, server, client, b"ask");
    for (body_size, body_addr, annex_addr, error) in [
        (K_CMSGSIZEMAX + 1, 0x10_0000, 0, K_ETOOMUCH),
        (8, NOWHERE, 0, K_EFAULT),
        (0, 0, NOWHERE, K_EFAULT),
    ] {
        let bad = KnMsgDesc {
            body_size,
            body_addr,
            annex_addr,
            ..bad
        };
        let bad = site.arg(server.actor, &bad);
        site.refuses(server, "ipcReply", &[bad], error);
    }
    site.refuses(server, "ipcReply", &[NOWHERE], K_EFAULT);
    assert_eq!(site.grants(server, "ipcReply", &[good]), K_OK);
    site.refuses(server, "ipcReply", &[good], K_EINVAL);
    assert_eq!(site.bytes(client.actor, room.body, 3), b"yes");
    // An asynchronous message is answered at its source port.
    let (li, ui) = site.port(client);
    let door = site.door(server.actor);
    let (letter, dest) = (site.letter(client, b"tell"), site.dest(client, door));
    site.grants(client, "ipcSend", &[letter, li as u64, dest]);
    site.take(server, K_DEFAULTPORT);
    assert_eq!(site.fill(other, ui), Some(K_EFULL));
    site.refuses(server, "ipcReply", &[good], K_EFULL);
    assert_eq!(site.drain(client, li), K_CPORTQUEUE);
    let taken = site.hoard(0);
    site.refuses(server, "ipcReply", &[good], K_ENOMEM);
    site.give_back(taken);
    assert_eq!(site.grants(server, "ipcReply", &[good]), K_OK);
    assert_eq!(site.take(client, li).as_deref(), Some(&b"yes"[..]));
    site.grants(client, "ipcSend", &[letter, li as u64, dest]);
    site.take(server, K_DEFAULTPORT);
    site.grants(client, "portDelete", &[0, li as u64]);
    site.refuses(server, "ipcReply", &[good], K_EUNKNOWN);
    site.end();
}

#[test]
fn a_reply_to_a_client_that_has_gone_is_dropped() {
    let (mut site, server, client, other) = three();
    hold(&mut site, server, client, b"ask");
    let cap = site.cap_for(server, client.actor);
    assert_eq!(site.grants(server, "actorDelete", &[cap]), K_OK);
    assert!(site.answer(server, b"late").is_some());
    // One whose request is still queued takes it along.
    let door = site.door(server.actor);
    site.ask(other, door, b"never");
    let cap = site.cap_for(server, other.actor);
    assert_eq!(site.grants(server, "actorDelete", &[cap]), K_OK);
    assert_eq!(site.take(server, K_DEFAULTPORT), None);
    site.end();
}

#[test]
fn a_reply_to_a_client_whose_time_is_over_arrives_nowhere() {
    let (mut site, server, client, _) = three();
    let door = site.door(server.actor);
    let (letter, dest) = (site.letter(client, b"ask"), site.dest(client, door));
    let room = site.room(client, 8);
    site.waits(client, "ipcCall", &[letter, 0, dest, room.desc, 50]);
    site.take(server, K_DEFAULTPORT);
    site.pass(50_000_000);
    assert_eq!(site.result(client.thread), Some(K_ETIMEOUT));
    assert_eq!(site.answer(server, b"late"), Some(K_OK));
    assert_eq!(site.take(client, K_DEFAULTPORT), None, "spec 3.6: dropped");
    site.end();
}

#[test]
fn a_reply_to_a_client_whose_actor_is_gone_is_no_error() {
    let (mut site, server, client, _) = three();
    hold(&mut site, server, client, b"ask");
    let cap = site.cap_for(server, client.actor);
    assert_eq!(site.grants(server, "actorDelete", &[cap]), K_OK);
    assert_eq!(site.answer(server, b"late"), Some(K_OK));
    site.end();
}

#[test]
fn reply_and_receive_in_one_call_do_both_or_stop_after_the_reply_failed() {
    let (mut site, server, client, other) = three();
    let (letter, room) = (site.letter(server, b"yes"), site.room(server, 16));
    let (li, door) = (
        site.arg(server.actor, &K_DEFAULTPORT),
        site.door(server.actor),
    );
    let arguments = [letter, room.desc, li, FOREVER];
    site.refuses(server, "ipcReplyReceive", &arguments, K_EINVAL);
    hold(&mut site, server, client, b"one");
    site.ask(other, door, b"two!");
    let bad = [NOWHERE, room.desc, li, FOREVER];
    site.refuses(server, "ipcReplyReceive", &bad, K_EFAULT);
    assert_eq!(site.grants(server, "ipcReplyReceive", &arguments), 4);
    assert_eq!(site.result(client.thread), Some(3));
    assert_eq!(site.bytes(server.actor, room.body, 4), b"two!");
    site.waits(server, "ipcReplyReceive", &arguments);
    assert_eq!(site.result(other.thread), Some(3));
    assert_eq!(site.send(client, door, b"three"), Some(K_OK));
    assert_eq!(site.result(server.thread), Some(5));
    // The reply is out when the receive finds nothing.
    hold(&mut site, server, client, b"last");
    let result = site.call(
        server.thread,
        "ipcReplyReceive",
        &[letter, room.desc, li, 0],
    );
    assert_eq!(result, Some(K_ETIMEOUT));
    assert_eq!(site.result(client.thread), Some(3));
    site.end();
}
