//! The current message, put aside and taken up again, against the reference (NC-209…214).

use super::nc_requests::{hold, three};
use chorus_abi::error::*;
use chorus_abi::*;

#[test]
fn nc_209_and_213_saved_requests_are_answered_in_any_order_and_once() {
    let (mut site, server, client, other) = three();
    let first = hold(&mut site, server, client, b"one");
    let one = site.grants(server, "ipcSave", &[K_NONEPORT as u64]) as u64;
    let second = hold(&mut site, server, other, b"two");
    let two = site.grants(server, "ipcSave", &[K_NONEPORT as u64]) as u64;
    assert_ne!(one, two);
    for (id, by, room, body) in [(two, other, second, b"2nd"), (one, client, first, b"1st")] {
        assert_eq!(site.grants(server, "ipcRestore", &[id]), K_OK);
        assert_eq!(site.answer(server, body), Some(K_OK));
        assert_eq!(site.result(by.thread), Some(3));
        assert_eq!(site.bytes(by.actor, room.body, 3), body);
        site.refuses(server, "ipcRestore", &[id], K_EINVAL);
    }
    site.end();
}

#[test]
fn nc_210_and_211_without_a_current_message_there_is_nothing_to_tell() {
    let (mut site, server, client, other) = three();
    let head = site.space(server.actor, size_of::<KnMsgHead>());
    site.refuses(server, "ipcSysInfo", &[head], K_EINVAL);
    site.refuses(server, "ipcSave", &[0], K_EINVAL);
    hold(&mut site, server, client, b"one");
    let id = site.grants(server, "ipcSave", &[0]) as u64;
    for (name, argument) in [("ipcSysInfo", head), ("ipcSave", 0)] {
        site.refuses(server, name, &[argument], K_EINVAL);
    }
    hold(&mut site, server, other, b"three");
    for wrong in [0, id + 1, u64::MAX, 0x1fff] {
        site.refuses(server, "ipcRestore", &[wrong], K_EINVAL);
    }
    // Another actor's message has no name here.
    let stranger = site.party(K_USERACTOR);
    site.refuses(stranger, "ipcRestore", &[id], K_EINVAL);
    assert_eq!(site.grants(server, "ipcSysInfo", &[head]), K_OK);
    let told: KnMsgHead = site.peek(server.actor, head);
    assert_eq!((told.body_size, told.flags[0]), (5, 1));
    assert_ne!(told.trans_id, 0);
    // What is restored supplants what was current.
    assert_eq!(site.grants(server, "ipcRestore", &[id]), K_OK);
    assert_eq!(site.result(other.thread), Some(K_ENOPORT));
    assert_eq!(site.answer(server, b"yes"), Some(K_OK));
    assert_eq!(site.result(client.thread), Some(3));
    site.end();
}

#[test]
fn nc_212_an_actor_saves_so_many_messages() {
    let (mut site, server, client, _) = three();
    let (door, mut last) = (site.door(server.actor), 0);
    for _ in 0..K_CMSGSAVEDMAX {
        assert_eq!(site.send(client, door, b"save me"), Some(K_OK));
        assert!(site.take(server, K_DEFAULTPORT).is_some());
        last = site.grants(server, "ipcSave", &[0]) as u64;
    }
    hold(&mut site, server, client, b"no more");
    site.refuses(server, "ipcSave", &[0], K_ETOOMUCH);
    assert_eq!(site.answer(server, b"yes"), Some(K_OK));
    assert_eq!(site.grants(server, "ipcRestore", &[last]), K_OK);
    assert!(site.grants(server, "ipcSave", &[0]) > 0, "room again");
    site.end();
}

#[test]
fn nc_214_another_thread_of_the_actor_restores_and_answers() {
    let (mut site, server, client, _) = three();
    let fellow = site.fellow(server);
    // The body that was not fetched is saved with it.
    let door = site.door(server.actor);
    site.ask(client, door, b"unfetched");
    let (room, li) = (KnMsgDesc::default(), site.arg(server.actor, &K_DEFAULTPORT));
    let room = site.arg(server.actor, &room);
    assert_eq!(site.grants(server, "ipcReceive", &[room, li, 0]), 9);
    let id = site.grants(server, "ipcSave", &[0]) as u64;
    assert_eq!(site.grants(fellow, "ipcRestore", &[id]), K_OK);
    site.refuses(server, "ipcRestore", &[id], K_EINVAL);
    let room = site.room(fellow, 16);
    assert_eq!(site.grants(fellow, "ipcGetData", &[room.desc]), 9);
    assert_eq!(site.bytes(fellow.actor, room.body, 9), b"unfetched");
    assert_eq!(site.answer(fellow, b"yes"), Some(K_OK));
    assert_eq!(site.result(client.thread), Some(3));
    site.end();
}
