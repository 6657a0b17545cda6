//! Message handlers: who runs them, what clients get, and what happens to those that are inside (NC-124, NC-203, NC-220…223).

use super::exceptions::ROUTINE;
use super::invariants;
use super::scene::{FOREVER, Party, Room};
use super::site::Site;
use crate::arena::Id;
use crate::executive::thread::{Thread, Wait};
use crate::supervisor::{Arrived, Call, Then};
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

const COOKIE: u64 = 0x1234_5678_9abc;

/// A supervisor actor with a port that has a handler, a client, and another.
pub struct Scene {
    pub site: Site,
    pub server: Party,
    pub client: Party,
    pub other: Party,
    pub port: (i32, KnUniqueId),
}

impl Scene {
    pub fn new() -> Scene {
        let mut scene = Scene::unconnected();
        assert_eq!(scene.connect(ROUTINE), Some(K_OK));
        scene
    }

    pub fn unconnected() -> Scene {
        let mut site = Site::new(8);
        let server = site.party(K_SUPACTOR);
        let (client, other) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
        let port = site.port(server);
        Scene {
            site,
            server,
            client,
            other,
            port,
        }
    }

    pub fn connect(&mut self, routine: u64) -> Option<i32> {
        let arguments = [0, self.port.0 as u64, routine, 0, COOKIE];
        let result = self
            .site
            .call(self.server.thread, "svMsgHandler", &arguments);
        self.site.settle();
        self.check();
        result
    }

    /// The thread that the Nucleus made last for the port.
    pub fn worker(&self) -> Party {
        let threads = self.site.nucleus.threads.iter();
        let named = threads.filter(|(_, thread)| thread.name == *b"message handler\0");
        Party {
            thread: named.map(|(id, _)| id).last().expect("no worker"),
            actor: self.server.actor,
        }
    }

    /// Has it serve: the message that it goes inside with, or none if it waits.
    pub fn serve(&mut self, by: Party) -> Option<Arrived> {
        self.site.entered = None;
        let result = self
            .site
            .call(by.thread, "svMsgServe", &[self.port.0 as u64]);
        assert_eq!(result, None);
        self.check();
        self.site.entered.take().map(arrived)
    }

    /// A request with this body, whose handler the client's thread goes into; where the answer goes.
    pub fn ask(&mut self, by: Party, body: &[u8]) -> (Room, Arrived) {
        self.ask_for(by, body, FOREVER)
    }

    pub fn ask_for(&mut self, by: Party, body: &[u8], delay: u64) -> (Room, Arrived) {
        self.site.entered = None;
        let (letter, dest) = (self.site.letter(by, body), self.site.dest(by, self.port.1));
        let room = self.site.room(by, 256);
        let arguments = [letter, 0, dest, room.desc, delay];
        self.site.waits(by, "ipcCall", &arguments);
        self.check();
        (room, arrived(self.site.entered.take().expect("not inside")))
    }

    /// The handler that a party's thread is in prepares a reply.
    pub fn prepare(&mut self, inside: Party, body: &[u8]) -> Option<i32> {
        let letter = self.site.letter(self.server, body);
        let result = self.site.call(inside.thread, "svMsgHdlReply", &[letter]);
        self.check();
        result
    }

    /// It returns: the result of the call.
    pub fn back(&mut self, inside: Party) -> Option<i32> {
        let then = self.site.back(inside.thread, 0);
        assert!(matches!(then, Then::Resume { .. }));
        self.check();
        self.site.result(inside.thread)
    }

    pub fn check(&self) {
        invariants::check(&self.site.nucleus);
    }

    pub fn is_inside(&self, party: Party) -> bool {
        self.site.is_inside(party.thread)
    }

    /// Whether the whole thing ends clean.
    pub fn end(mut self) {
        self.site.end();
    }
}

pub fn arrived(upcall: crate::supervisor::Upcall) -> Arrived {
    assert_eq!((upcall.routine, upcall.cookie), (ROUTINE, COOKIE), "NC-221");
    match upcall.what {
        Call::Message(arrived) => arrived,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nc_221_and_223_a_request_is_worked_on_by_the_client_s_thread_and_answered_when_the_routine_returns()
 {
    let mut scene = Scene::new();
    let (client, server) = (scene.client, scene.server);
    for number in 1..4 {
        let (room, arrived) = scene.ask(client, b"what is it");
        assert_eq!((arrived.size, arrived.sequence), (10, number));
        assert_eq!(arrived.annex, None);
        // The routine fetches the body, and sees whose it is.
        let fetch = scene.site.room(server, 64);
        let got = scene.site.call(client.thread, "ipcGetData", &[fetch.desc]);
        assert_eq!(got, Some(10));
        assert_eq!(
            scene.site.bytes(server.actor, fetch.body, 10),
            b"what is it"
        );
        let head = scene.site.space(server.actor, size_of::<KnMsgHead>());
        let told = scene.site.call(client.thread, "ipcSysInfo", &[head]);
        assert_eq!(told, Some(K_OK));
        let head: KnMsgHead = scene.site.peek(server.actor, head);
        assert_eq!(
            (head.src_port, head.target),
            (scene.site.door(client.actor), scene.port.1)
        );
        assert_eq!((head.flags[0], head.body_size), (1, 10));
        assert_eq!(scene.prepare(client, b"this"), Some(K_OK));
        let before = scene.site.bytes(client.actor, room.body, 4);
        assert_eq!(before, [0xee; 4], "not before the routine returns");
        assert_eq!(scene.back(client), Some(4));
        assert_eq!(scene.site.bytes(client.actor, room.body, 5), b"this\xee");
        assert!(!scene.is_inside(client));
    }
    scene.end();
}

#[test]
fn an_annex_comes_with_the_call_and_goes_back() {
    let mut scene = Scene::new();
    let (client, server) = (scene.client, scene.server);
    let annex = scene.site.arg(client.actor, &[7u8; 64]);
    let desc = KnMsgDesc {
        annex_addr: annex,
        ..KnMsgDesc::default()
    };
    let desc = scene.site.arg(client.actor, &desc);
    let (dest, room) = (
        scene.site.dest(client, scene.port.1),
        scene.site.room(client, 64),
    );
    scene
        .site
        .waits(client, "ipcCall", &[desc, 0, dest, room.desc, FOREVER]);
    let seen = arrived(scene.site.entered.take().unwrap());
    assert_eq!((seen.size, seen.annex), (0, Some([7; 64])));
    let back = scene.site.arg(server.actor, &[9u8; 64]);
    let desc = KnMsgDesc {
        annex_addr: back,
        ..KnMsgDesc::default()
    };
    let desc = scene.site.arg(server.actor, &desc);
    assert_eq!(
        scene.site.call(client.thread, "svMsgHdlReply", &[desc]),
        Some(K_OK)
    );
    // What the routine's frame held is gone when it returns.
    scene.site.poke(server.actor, back, &[1u8; 64]);
    assert_eq!(scene.back(client), Some(0));
    assert_eq!(scene.site.bytes(client.actor, room.annex, 64), [9; 64]);
    scene.end();
}

#[test]
fn nc_223_without_a_reply_it_is_an_empty_one_and_the_last_one_counts() {
    let mut scene = Scene::new();
    let client = scene.client;
    scene.ask(client, b"1");
    assert_eq!(scene.back(client), Some(0));
    let (room, _) = scene.ask(client, b"2");
    for body in [&b"a long one"[..], b"", b"short"] {
        assert_eq!(scene.prepare(client, body), Some(K_OK));
    }
    assert_eq!(scene.back(client), Some(5));
    assert_eq!(scene.site.bytes(client.actor, room.body, 6), b"short\xee");
    // `ipcReply` prepares it too, and then there is no current message.
    let (room, _) = scene.ask(client, b"3");
    let letter = scene.site.letter(scene.server, b"again");
    assert_eq!(
        scene.site.call(client.thread, "ipcReply", &[letter]),
        Some(K_OK)
    );
    assert_eq!(
        scene.site.call(client.thread, "ipcReply", &[letter]),
        Some(K_EINVAL)
    );
    assert_eq!(scene.prepare(client, b"no"), Some(K_EINVAL));
    assert_eq!(scene.back(client), Some(5));
    assert_eq!(scene.site.bytes(client.actor, room.body, 5), b"again");
    scene.end();
}

#[test]
fn what_sv_msg_hdl_reply_refuses() {
    let mut scene = Scene::new();
    let (client, server) = (scene.client, scene.server);
    let letter = scene.site.letter(server, b"x");
    scene
        .site
        .refuses(server, "svMsgHdlReply", &[letter], K_EINVAL);
    let own = scene.site.letter(client, b"x");
    scene.site.refuses(client, "svMsgHdlReply", &[own], K_EPRIV);
    let (room, _) = scene.ask(client, b"x");
    assert_eq!(scene.prepare(client, b"good"), Some(K_OK));
    let huge = KnMsgDesc {
        body_size: K_CMSGSIZEMAX + 1,
        body_addr: scene.site.at(server.actor, 0),
        ..KnMsgDesc::default()
    };
    let huge = scene.site.arg(server.actor, &huge);
    let nowhere = KnMsgDesc {
        annex_addr: 16,
        ..KnMsgDesc::default()
    };
    let nowhere = scene.site.arg(server.actor, &nowhere);
    for (desc, error) in [(huge, K_ETOOMUCH), (nowhere, K_EFAULT), (16, K_EFAULT)] {
        assert_eq!(
            scene.site.call(client.thread, "svMsgHdlReply", &[desc]),
            Some(error)
        );
    }
    let frames = scene.site.hoard(0);
    assert_eq!(scene.prepare(client, b"no memory"), Some(K_ENOMEM));
    scene.site.give_back(frames);
    assert_eq!(scene.back(client), Some(4), "the earlier one stays");
    assert_eq!(scene.site.bytes(client.actor, room.body, 4), b"good");
    // An asynchronous message has no client.
    assert_eq!(scene.site.send(client, scene.port.1, b"async"), Some(K_OK));
    let worker = scene.worker();
    assert_eq!(scene.serve(worker).unwrap().size, 5);
    assert_eq!(scene.prepare(worker, b"x"), Some(K_EINVAL));
    scene.back(worker);
    scene.end();
}

#[test]
fn nc_220_what_is_queued_comes_in_order_and_so_does_what_is_sent() {
    let mut scene = Scene::unconnected();
    let (client, other) = (scene.client, scene.other);
    for body in [&b"1"[..], b"22"] {
        assert_eq!(scene.site.send(client, scene.port.1, body), Some(K_OK));
    }
    let room = scene.site.ask(other, scene.port.1, b"333");
    assert_eq!(scene.connect(ROUTINE), Some(K_OK));
    let worker = scene.worker();
    for (size, sequence) in [(1, 1), (2, 2)] {
        let arrived = scene.serve(worker).unwrap();
        assert_eq!((arrived.size, arrived.sequence), (size, sequence));
        assert_eq!(scene.back(worker), Some(K_OK));
    }
    // A client that comes now is behind the one that is queued.
    let (letter, dest) = (
        scene.site.letter(client, b"4444"),
        scene.site.dest(client, scene.port.1),
    );
    let mine = scene.site.room(client, 64);
    scene
        .site
        .waits(client, "ipcCall", &[letter, 0, dest, mine.desc, FOREVER]);
    assert!(!scene.is_inside(client));
    assert_eq!(scene.serve(worker).unwrap().size, 3);
    assert_eq!(scene.prepare(worker, b"three"), Some(K_OK));
    assert_eq!(scene.site.result(other.thread), None);
    scene.back(worker);
    assert_eq!(scene.site.result(other.thread), Some(5));
    assert_eq!(scene.site.bytes(other.actor, room.body, 5), b"three");
    assert_eq!(scene.serve(worker).unwrap().size, 4);
    scene.back(worker);
    assert_eq!(scene.site.result(client.thread), Some(0));
    assert!(scene.serve(worker).is_none(), "it waits");
    assert_eq!(scene.site.send(client, scene.port.1, b"later"), Some(K_OK));
    assert_eq!(
        scene.site.result(worker.thread),
        Some(K_OK),
        "it looks again"
    );
    assert_eq!(scene.serve(worker).unwrap().size, 5);
    scene.back(worker);
    scene.end();
}

#[test]
fn nc_222_and_what_sv_msg_handler_and_sv_msg_serve_refuse() {
    let mut scene = Scene::unconnected();
    let li = scene.port.0 as u64;
    let (server, client, other) = (scene.server, scene.client, scene.other);
    for party in [client, other] {
        let arguments = [0, 0, ROUTINE, 0, 0];
        scene
            .site
            .refuses(party, "svMsgHandler", &arguments, K_EPRIV);
        scene.site.refuses(party, "svMsgServe", &[0], K_EPRIV);
    }
    scene
        .site
        .refuses(server, "svMsgHandler", &[0, li, 0, 0, 0], K_EINVAL);
    scene.site.refuses(server, "svMsgServe", &[li], K_EINVAL);
    scene.site.refuses(server, "svMsgServe", &[77], K_EINVAL);
    for (port, routine) in [(li, 0x1000), (77, ROUTINE), (u64::MAX, ROUTINE)] {
        scene
            .site
            .refuses(server, "svMsgHandler", &[0, port, routine], K_EINVAL);
    }
    let user = scene.site.cap_for(server, client.actor);
    scene
        .site
        .refuses(server, "svMsgHandler", &[user, 0, ROUTINE], K_EINVAL);
    scene
        .site
        .refuses(server, "svMsgHandler", &[16, li, ROUTINE], K_EFAULT);
    let cap = KnCap {
        ui: KnUniqueId::from_fields(2, UiType::Port, 1, 7),
        key: 1,
    };
    let cap = scene.site.arg(server.actor, &cap);
    scene
        .site
        .refuses(server, "svMsgHandler", &[cap, li, ROUTINE], K_EUNKNOWN);
    scene.site.nucleus.machine.short = true;
    scene
        .site
        .refuses(server, "svMsgHandler", &[0, li, ROUTINE], K_ENOMEM);
    scene.site.nucleus.machine.short = false;
    assert_eq!(scene.connect(ROUTINE), Some(K_OK));
    scene
        .site
        .refuses(server, "svMsgHandler", &[0, li, ROUTINE], K_EBUSY);
    scene.end();
}

#[test]
fn nc_203_and_124_a_port_with_a_handler_is_neither_received_on_nor_enabled_nor_moved() {
    let mut scene = Scene::unconnected();
    let (server, li) = (scene.server, scene.port.0);
    let waiting = scene.site.fellow(server);
    scene.site.grants(server, "portEnable", &[0, li as u64, 1]);
    scene.site.listen(waiting, li);
    assert_eq!(scene.connect(ROUTINE), Some(K_OK));
    assert_eq!(scene.site.result(waiting.thread), Some(K_EINVAL));
    let (room, at) = (
        scene.site.room(server, 64),
        scene.site.arg(server.actor, &li),
    );
    scene
        .site
        .refuses(server, "ipcReceive", &[room.desc, at, 0], K_EINVAL);
    scene
        .site
        .refuses(server, "portEnable", &[0, li as u64, 1], K_EINVAL);
    let to = scene.site.cap_for(server, scene.other.actor);
    scene
        .site
        .refuses(server, "portMigrate", &[0, 0, li as u64, to, 0], K_EINVAL);
    assert_eq!(
        scene.site.send(scene.client, scene.port.1, b"x"),
        Some(K_OK)
    );
    let any = scene.site.arg(server.actor, &K_ANYENABLED);
    scene
        .site
        .refuses(server, "ipcReceive", &[room.desc, any, 0], K_ETIMEOUT);
    // An ordinary port again: it has what nobody served.
    assert_eq!(scene.connect(0), Some(K_OK));
    assert_eq!(scene.site.take(server, li).as_deref(), Some(&b"x"[..]));
    scene.site.grants(server, "portEnable", &[0, li as u64, 1]);
    scene.end();
}

#[test]
fn disconnecting_waits_for_those_inside_and_lets_nobody_in() {
    let mut scene = Scene::new();
    let (server, client, other) = (scene.server, scene.client, scene.other);
    let worker = scene.worker();
    assert!(scene.serve(worker).is_none());
    let (room, _) = scene.ask(client, b"x");
    assert_eq!(scene.connect(0), None);
    assert_eq!(
        scene.site.result(worker.thread),
        Some(K_EINVAL),
        "its work is over"
    );
    let dest = scene.site.dest(other, scene.port.1);
    let (letter, mine) = (scene.site.letter(other, b"y"), scene.site.room(other, 64));
    scene
        .site
        .waits(other, "ipcCall", &[letter, 0, dest, mine.desc, FOREVER]);
    assert!(!scene.is_inside(other), "it is queued");
    assert_eq!(scene.prepare(client, b"done"), Some(K_OK));
    assert_eq!(scene.back(client), Some(4));
    assert_eq!(scene.site.bytes(client.actor, room.body, 4), b"done");
    assert_eq!(scene.site.result(server.thread), Some(K_OK));
    assert_eq!(
        scene.site.take(server, scene.port.0).as_deref(),
        Some(&b"y"[..])
    );
    assert_eq!(scene.site.answer(server, b"by hand"), Some(K_OK));
    assert_eq!(scene.site.result(other.thread), Some(7));
    // One that is inside does not wait for itself.
    assert_eq!(scene.connect(ROUTINE), Some(K_OK));
    scene.ask(client, b"x");
    let disconnect = [0, scene.port.0 as u64, 0];
    assert_eq!(
        scene.site.call(client.thread, "svMsgHandler", &disconnect),
        Some(K_OK)
    );
    assert_eq!(scene.back(client), Some(0));
    scene.end();
}

#[test]
fn the_end_of_the_port_or_of_the_client_s_own() {
    let mut scene = Scene::new();
    let (server, client) = (scene.server, scene.client);
    let worker = scene.worker();
    assert!(scene.serve(worker).is_none());
    let (source, _) = scene.site.port(client);
    let dest = scene.site.dest(client, scene.port.1);
    let (letter, room) = (scene.site.letter(client, b"y"), scene.site.room(client, 64));
    scene.site.waits(
        client,
        "ipcCall",
        &[letter, source as u64, dest, room.desc, FOREVER],
    );
    let fellow = scene.site.fellow(client);
    scene.site.grants(fellow, "portDelete", &[0, source as u64]);
    assert_eq!(scene.prepare(client, b"late"), Some(K_OK));
    assert_eq!(scene.back(client), Some(K_ENOPORT));
    assert_eq!(scene.site.bytes(client.actor, room.body, 4), [0xee; 4]);
    let (room, _) = scene.ask(client, b"z");
    scene
        .site
        .grants(server, "portDelete", &[0, scene.port.0 as u64]);
    assert_eq!(scene.site.result(worker.thread), Some(K_ENOPORT));
    assert_eq!(scene.prepare(client, b"held"), Some(K_OK));
    assert_eq!(scene.back(client), Some(4), "what is held can be answered");
    assert_eq!(scene.site.bytes(client.actor, room.body, 4), b"held");
    scene.end();
}

#[test]
fn nc_223_the_end_of_the_server_or_a_fault_of_the_routine_is_no_port() {
    for how in 0..3 {
        let mut scene = Scene::new();
        let (server, client, other) = (scene.server, scene.client, scene.other);
        scene.ask(client, b"x");
        let (room, _) = scene.ask(other, b"y");
        assert_eq!(scene.prepare(other, b"prepared"), Some(K_OK));
        match how {
            0 => assert_eq!(scene.site.call(server.thread, "actorExit", &[0]), None),
            1 => assert_eq!(scene.site.call(client.thread, "actorDelete", &[0]), None),
            _ => {
                scene.site.exception(client.thread, 7, 0);
            }
        }
        scene.site.settle();
        scene.check();
        for party in [client, other] {
            assert_eq!(scene.site.result(party.thread), Some(K_ENOPORT), "{how}");
            assert!(!scene.is_inside(party) && scene.site.runs(party));
        }
        assert_eq!(scene.site.bytes(other.actor, room.body, 4), [0xee; 4]);
        assert!(scene.site.nucleus.actors.get(server.actor).is_none());
        scene.end();
    }
}

#[test]
fn a_plain_request_goes_straight_in_and_out() {
    let mut scene = Scene::new();
    let client = scene.client;
    scene.ask(client, b"");
    assert_eq!(scene.site.straight, 1);
    assert_eq!(scene.back(client), Some(0));
    assert_eq!(scene.site.straight, 2);
    // A body goes in the other way, and out straight.
    scene.ask(client, b"x");
    assert_eq!(scene.site.straight, 2);
    assert_eq!(scene.prepare(client, b"reply"), Some(K_OK));
    assert_eq!(scene.back(client), Some(5));
    assert_eq!(scene.site.straight, 3);
    // And in straight and out the other way.
    scene.ask(client, b"");
    scene.site.whole().abort(client.thread);
    assert_eq!(scene.back(client), Some(K_EABORT));
    assert_eq!(scene.site.straight, 4);
    scene.end();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 96, ..ProptestConfig::default() })]
    /// Clients come and go, answers are prepared, handlers connected and disconnected: each client gets what the model says, and in the end nothing is left.
    #[test]
    fn each_client_gets_its_answer(straight: bool, steps in proptest::collection::vec((0u8..10, 0usize..3, any::<u8>()), 0..80)) {
        let mut scene = Scene::new();
        scene.site.nucleus.without_fast_path = !straight;
        let clients = [scene.client, scene.other, scene.site.party(K_USERACTOR)];
        // What each client that is inside will get.
        let mut due: [Option<i32>; 3] = [None; 3];
        let mut connected = true;
        for (what, which, more) in steps {
            let client = clients[which];
            let runs = scene.site.runs(client);
            match what {
                0..=2 if runs && due[which].is_none() && connected => {
                    let queued = scene.site.nucleus.ipc.ports.iter().any(|(_, port)| port.queued > 0);
                    if !queued {
                        scene.ask(client, &[more; 3][..usize::from(more % 3)]);
                        due[which] = Some(0);
                    }
                }
                3 | 4 if due[which].is_some() && runs => {
                    let size = usize::from(more % 100);
                    let body = alloc::vec![more; size];
                    if scene.prepare(client, &body) == Some(K_OK) && due[which] != Some(K_EABORT) {
                        due[which] = Some(size as i32);
                    }
                }
                5 if due[which].is_some() && runs => {
                    prop_assert_eq!(scene.back(client), due[which].take());
                }
                6 if due[which].is_some() => {
                    let nucleus = scene.site.whole();
                    nucleus.entered = None;
                    nucleus.abort(client.thread);
                    scene.site.settle();
                    due[which] = Some(K_EABORT);
                }
                7 if runs && due[which].is_none() => {
                    scene.site.send(client, scene.port.1, &[more]);
                }
                8 if scene.site.runs(scene.server) => {
                    connected = !connected;
                    scene.connect(if connected { ROUTINE } else { 0 });
                }
                9 if connected && scene.site.runs(scene.server) => {
                    let worker = scene.worker();
                    let free = scene.site.runs(worker) && !scene.is_inside(worker);
                    if free && scene.serve(worker).is_some() {
                        scene.back(worker);
                    }
                }
                _ => {}
            }
            // Threads whose port has no handler any more end, as the machine has them do.
            let gone: Vec<Id<Thread>> = scene.site.nucleus.threads.iter()
                .filter(|(_, thread)| thread.name == *b"message handler\0" && !connected && thread.wait == Wait::None)
                .map(|(id, _)| id).collect();
            for thread in gone {
                scene.site.whole().entered = None;
                scene.site.nucleus.kill_thread(thread);
                scene.site.settle();
            }
            scene.check();
        }
        scene.end();
    }
}
