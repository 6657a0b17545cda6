//! Aborting, sleeping and the context pointer against the reference (NC-070…077).

use super::scene::{FOREVER, NOWHERE, Party};
use super::site::Site;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;

#[test]
fn nc_070_and_071_a_call_that_is_not_abortable_gets_its_reply_and_the_mark() {
    let mut site = Site::new(3);
    let (client, server) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
    let door = site.door(server.actor);
    let (letter, dest) = (site.letter(client, b"ask"), site.dest(client, door));
    let room = site.room(client, 16);
    site.poke(client.actor, room.desc, &0u32);
    site.waits(client, "ipcCall", &[letter, 0, dest, room.desc, FOREVER]);
    site.take(server, K_DEFAULTPORT);
    let (cap, li) = (site.cap_for(server, client.actor), site.li(client.thread));
    site.grants(server, "threadAbort", &[cap, li]);
    assert_eq!(site.result(client.thread), None);
    let state = site.state_of(server, client).state;
    assert_eq!(state, THREAD_ACTIVE | THREAD_WAITING | THREAD_ABORTED);
    assert_eq!(site.answer(server, b"done"), Some(K_OK));
    assert_eq!(site.result(client.thread), Some(4));
    assert_eq!(site.grants(client, "threadAborted", &[]), 1);
    assert_eq!(site.grants(client, "threadAborted", &[]), 0, "NC-071");
    assert_eq!(site.grants(server, "threadAborted", &[]), 0);
    site.end();
}

#[test]
fn nc_072_a_mark_ends_the_next_abortable_wait_before_it_begins() {
    let mut site = Site::new(2);
    let (user, door) = (
        site.party(K_SYSTEMACTOR),
        KnUniqueId::well_known_port(1, 16),
    );
    let ui = site.arg(user.actor, &door);
    site.grants(user, "portDeclare", &[0, ui]);
    site.grants(user, "nmAttach", &[u64::MAX]);
    let item = site.arg(user.actor, &net::KnNetItem::default());
    site.grants(user, "nmTake", &[item, 0, 0]);
    let sem = site.arg(user.actor, &KnSem { count: 0, pad: 0 });
    let (letter, dest) = (site.letter(user, b""), site.dest(user, door));
    let (room, li) = (site.room(user, 8), site.arg(user.actor, &K_DEFAULTPORT));
    let waits: [(&str, Vec<u64>); 5] = [
        ("semP", [sem, 0].into()),
        ("threadDelay", [0].into()),
        ("ipcReceive", [room.desc, li, FOREVER].into()),
        ("ipcCall", [letter, 0, dest, room.desc, FOREVER].into()),
        ("nmWait", [0].into()),
    ];
    for (name, arguments) in waits {
        // Two aborts are one.
        site.grants(user, "threadAbort", &[0, 0]);
        site.grants(user, "threadAbort", &[0, 0]);
        let result = site.call(user.thread, name, &arguments);
        assert_eq!(result, Some(K_EABORT), "{name}");
        assert_eq!(site.grants(user, "threadAborted", &[]), 0, "{name}");
    }
    assert_eq!(site.peek::<KnSem>(user.actor, sem).count, 0);
    site.end();
}

#[test]
fn nc_073_the_abort_of_a_client_marks_its_server() {
    let mut site = Site::new(4);
    let (client, server) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let (system, door) = (site.party(K_SYSTEMACTOR), site.door(server.actor));
    site.ask(client, door, b"ask");
    site.take(server, K_DEFAULTPORT);
    let (cap, li) = (site.cap_for(system, client.actor), site.li(client.thread));
    site.grants(system, "threadAbort", &[cap, li]);
    assert_eq!(site.result(client.thread), Some(K_EABORT));
    assert_eq!(site.grants(client, "threadAborted", &[]), 0);
    assert_eq!(site.grants(server, "threadAborted", &[]), 1);
    assert_eq!(site.answer(server, b"late"), Some(K_OK), "it is dropped");
    site.end();
}

#[test]
fn a_user_aborts_threads_of_its_own_actor_only() {
    let mut site = Site::new(3);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let (cap, li) = (site.cap_for(user, other.actor), site.li(other.thread));
    site.refuses(user, "threadAbort", &[cap, li], K_EPRIV);
    let fellow = site.fellow(user);
    let li = site.li(fellow.thread);
    assert_eq!(site.grants(user, "threadAbort", &[0, li]), K_OK);
    assert_eq!(site.grants(fellow, "threadAborted", &[]), 1);
    site.end();
}

#[test]
fn nc_074_a_sleep_is_never_too_short() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let limit = site.arg(user.actor, &KnTimeVal::from_ns(50_000_000));
    site.waits(user, "threadDelay", &[limit]);
    site.pass(49_999_999);
    assert_eq!(site.result(user.thread), None);
    site.pass(1);
    assert_eq!(site.result(user.thread), Some(K_ETIMEOUT));
    let wrong = KnTimeVal {
        tm_nsec: 1_000_000_000,
        ..KnTimeVal::default()
    };
    let wrong = site.arg(user.actor, &wrong);
    site.refuses(user, "threadDelay", &[wrong], K_EINVAL);
    site.refuses(user, "threadDelay", &[NOWHERE], K_EFAULT);
    site.end();
}

#[test]
fn nc_075_a_sleep_of_nothing_lets_equals_run_first() {
    let mut site = Site::new(1);
    let (one, two) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let zero = site.arg(one.actor, &KnTimeVal::default());
    assert!(site.runs(one) && !site.runs(two));
    let result = site.call(one.thread, "threadDelay", &[zero]);
    assert_eq!(result, Some(K_ETIMEOUT));
    assert!(!site.runs(one) && site.runs(two));
    site.end();
}

#[test]
fn nc_076_a_sleep_without_limit_ends_by_an_abort() {
    let mut site = Site::new(2);
    let user = site.party(K_USERACTOR);
    let fellow = site.fellow(user);
    site.waits(fellow, "threadDelay", &[0]);
    site.pass(1_000_000_000_000);
    assert_eq!(site.result(fellow.thread), None);
    let li = site.li(fellow.thread);
    site.grants(user, "threadAbort", &[0, li]);
    assert_eq!(site.result(fellow.thread), Some(K_EABORT));
    site.end();
}

#[test]
fn nc_077_each_thread_has_its_own_context_pointer() {
    let mut site = Site::new(2);
    let user = site.party(K_USERACTOR);
    let (fellow, at) = (site.fellow(user), site.space(user.actor, 8));
    let load = |site: &mut Site, by: Party| {
        site.grants(by, "threadLoad", &[at]);
        site.peek::<u64>(user.actor, at)
    };
    assert_eq!(load(&mut site, user), 0);
    assert_eq!(site.grants(user, "threadStore", &[u64::MAX - 1]), K_OK);
    assert_eq!(load(&mut site, user), u64::MAX - 1);
    assert_eq!(load(&mut site, fellow), 0);
    site.refuses(user, "threadLoad", &[NOWHERE], K_EFAULT);
    site.end();
}
