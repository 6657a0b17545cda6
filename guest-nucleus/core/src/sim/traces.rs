//! What is told to traces: every message that is sent is told once more when it is received, and every answer belongs to a request.

use super::handlers::Scene;
use super::machine::{Sim, Traced};
use super::nc_messages::pair;
use super::nc_network::{attached, far, hand, message, take};
use super::scene::Party;
use super::site::Site;
use crate::nucleus::Nucleus;
use alloc::vec::Vec;
use chorus_abi::error::K_EUNKNOWN;
use chorus_abi::net::*;
use chorus_abi::trace::{Kind, Place};
use chorus_abi::*;

/// From now on everything is written down.
fn begin(site: &mut Site) {
    site.nucleus.machine.traced = Some(Vec::new());
}

/// What was written down so far of some kinds.
fn told(site: &mut Site, kinds: &[Kind]) -> Vec<Traced> {
    let all = site.nucleus.machine.traced.as_mut().unwrap();
    let all = core::mem::take(all);
    all.into_iter()
        .filter(|((kind, _), ..)| kinds.contains(kind))
        .collect()
}

const MESSAGES: &[Kind] = &[Kind::Send, Kind::Queue, Kind::Receive, Kind::Reply];

fn slots(of: Party) -> (usize, Option<usize>) {
    (of.thread.index(), Some(of.actor.index()))
}

#[test]
fn a_request_is_told_from_its_client_to_its_server_and_back() {
    for waiting in [false, true] {
        let (mut site, client, server) = pair();
        let (door, from) = (site.door(server.actor), site.door(client.actor));
        begin(&mut site);
        let place = Place::Here as u8;
        if waiting {
            site.listen(server, K_DEFAULTPORT);
        }
        site.ask(client, door, b"what?");
        if !waiting {
            assert_eq!(
                site.take(server, K_DEFAULTPORT).as_deref(),
                Some(&b"what?"[..])
            );
        }
        assert_eq!(site.answer(server, b"that"), Some(K_OK));
        let told = told(&mut site, MESSAGES);
        let [message, transaction, ..] = told[0].2;
        assert_eq!(
            Nucleus::<Sim>::client_slot(transaction),
            client.thread.index()
        );
        let words = |size, last| [message, transaction, from.word(), door.word(), size, last];
        let mut expected = alloc::vec![((Kind::Send, place), slots(client), words(5, 1))];
        if !waiting {
            expected.push(((Kind::Queue, place), slots(client), words(5, 1)));
        }
        expected.push(((Kind::Receive, place), slots(server), words(5, 1)));
        expected.push(((Kind::Reply, place), slots(server), words(4, 0)));
        assert_eq!(told, expected);
        assert_ne!((message, transaction), (0, 0));
        site.end();
    }
}

#[test]
fn the_end_of_each_wait_is_told_once() {
    let (mut site, client, server) = pair();
    let door = site.door(server.actor);
    begin(&mut site);
    site.listen(server, K_DEFAULTPORT);
    site.ask(client, door, b"what?");
    site.answer(server, b"that");
    let wakes = told(&mut site, &[Kind::Wake]);
    let expected = [(server, 5), (client, 4)]
        .map(|(who, size)| ((Kind::Wake, 0), slots(who), [size, 0, 0, 0, 0, 0]));
    assert_eq!(wakes, expected);
    site.end();
}

#[test]
fn a_handler_receives_and_answers_on_the_client_s_own_thread() {
    let mut scene = Scene::new();
    begin(&mut scene.site);
    let client = scene.client;
    scene.ask(client, b"");
    scene.prepare(client, b"so");
    assert_eq!(scene.back(client), Some(2));
    let told = told(&mut scene.site, MESSAGES);
    let kinds: Vec<Kind> = told.iter().map(|((kind, _), ..)| *kind).collect();
    assert_eq!(kinds, [Kind::Send, Kind::Receive, Kind::Reply]);
    for (_, (thread, _), words) in &told {
        assert_eq!(*thread, client.thread.index());
        assert_eq!(words[..2], told[0].2[..2]);
    }
    scene.end();
}

#[test]
fn what_goes_to_another_site_and_comes_from_one_says_so() {
    let (mut site, manager, user, other) = attached();
    let (from, door) = (site.door(user.actor), site.door(other.actor));
    begin(&mut site);
    site.ask(user, far(), b"ask");
    let (item, _) = take(&mut site, manager).expect("it goes out");
    let reply = KnNetItem {
        handle: item.handle,
        ..KnNetItem::default()
    };
    assert_eq!(hand(&mut site, manager, "nmComplete", reply, b"hm"), K_OK);
    let request = message(NET_CALL, 7, door);
    assert_eq!(
        hand(&mut site, manager, "nmDeliver", request, b"you?"),
        K_OK
    );
    assert!(site.take(other, K_DEFAULTPORT).is_some());
    assert_eq!(site.answer(other, b"me"), Some(K_OK));
    let told = told(&mut site, MESSAGES);
    let (out, back) = (told[0], told[1]);
    let words = [0, item.handle, from.word(), far().word(), 3, 1];
    assert_eq!(out, ((Kind::Send, Place::Out as u8), slots(user), words));
    let words = [0, item.handle, 0, 0, 2, 0];
    assert_eq!(back, ((Kind::Reply, Place::In as u8), slots(user), words));
    let [number, ..] = told[2].2;
    let words = |size, last| [number, 7, far().word(), door.word(), size, last];
    let expected = [
        ((Kind::Send, Place::In as u8), slots(manager), words(4, 1)),
        (
            (Kind::Queue, Place::Here as u8),
            slots(manager),
            words(4, 1),
        ),
        (
            (Kind::Receive, Place::Here as u8),
            slots(other),
            words(4, 1),
        ),
        ((Kind::Reply, Place::Out as u8), slots(other), words(2, 0)),
    ];
    assert_eq!(told[2..], expected);
    site.end();
}

#[test]
fn a_message_without_a_client_has_no_transaction_and_a_refused_one_is_not_told() {
    let (mut site, sender, receiver) = pair();
    let door = site.door(receiver.actor);
    begin(&mut site);
    assert_eq!(site.send(sender, far(), b"x"), Some(K_EUNKNOWN));
    assert_eq!(told(&mut site, MESSAGES), []);
    assert_eq!(site.send(sender, door, b"x"), Some(K_OK));
    for (_, _, words) in told(&mut site, &[Kind::Send]) {
        assert_eq!((words[1], words[5]), (0, 0));
    }
    site.end();
}
