//! What happens to clients inside message handlers: aborts, limits, ends, and requests that go elsewhere.

use super::handlers::Scene;
use super::scene::FOREVER;
use crate::executive::actor::End;
use crate::supervisor::Then;
use chorus_abi::error::*;
use chorus_abi::*;

#[test]
fn a_client_that_is_aborted_inside() {
    let mut scene = Scene::new();
    let (server, client, other) = (scene.server, scene.client, scene.other);
    let [cap, li] = scene.site.name(other.actor, client.thread);
    let (room, _) = scene.ask(client, b"x");
    // The routine waits: the abort is passed on to it.
    let sem = scene.site.arg(server.actor, &[0u8; 32]);
    assert_eq!(
        scene.site.call(client.thread, "semInit", &[sem, 0]),
        Some(K_OK)
    );
    assert_eq!(scene.site.call(client.thread, "semP", &[sem, 0]), None);
    scene.site.grants(other, "threadAbort", &[cap, li]);
    assert_eq!(scene.site.result(client.thread), Some(K_EABORT));
    assert_eq!(scene.prepare(client, b"dropped"), Some(K_OK));
    assert_eq!(scene.back(client), Some(K_EABORT));
    assert_eq!(scene.site.bytes(client.actor, room.body, 4), [0xee; 4]);
    assert_eq!(
        scene.site.call(client.thread, "threadAborted", &[]),
        Some(0),
        "used up"
    );
    // It does not wait: the mark is for the routine first, and goes with it.
    scene.ask(client, b"x");
    scene.site.grants(other, "threadAbort", &[cap, li]);
    assert_eq!(scene.back(client), Some(K_EABORT));
    assert_eq!(
        scene.site.call(client.thread, "threadAborted", &[]),
        Some(0)
    );
    // A call that is not abortable ends as it would, and the mark stays.
    let desc = scene.site.arg(client.actor, &KnMsgDesc::default());
    let dest = scene.site.dest(client, scene.port.1);
    scene
        .site
        .waits(client, "ipcCall", &[desc, 0, dest, desc, FOREVER]);
    scene.site.grants(other, "threadAbort", &[cap, li]);
    assert_eq!(scene.back(client), Some(0));
    assert_eq!(
        scene.site.call(client.thread, "threadAborted", &[]),
        Some(1)
    );
    // One that is aborted already does not go in.
    scene.site.grants(other, "threadAbort", &[cap, li]);
    let (letter, room) = (scene.site.letter(client, b""), scene.site.room(client, 16));
    let result = scene.site.call(
        client.thread,
        "ipcCall",
        &[letter, 0, dest, room.desc, FOREVER],
    );
    assert_eq!(result, Some(K_EABORT));
    scene.end();
}

#[test]
fn a_client_s_time_limit_is_over_inside() {
    let mut scene = Scene::new();
    let (server, client) = (scene.server, scene.client);
    let (room, _) = scene.ask_for(client, b"x", 200);
    let sem = scene.site.arg(server.actor, &[0u8; 32]);
    assert_eq!(
        scene.site.call(client.thread, "semInit", &[sem, 0]),
        Some(K_OK)
    );
    assert_eq!(scene.site.call(client.thread, "semP", &[sem, 0]), None);
    scene.site.pass(199_000_000);
    assert_eq!(scene.site.result(client.thread), None);
    scene.site.pass(2_000_000);
    assert_eq!(
        scene.site.result(client.thread),
        Some(K_EABORT),
        "passed on"
    );
    assert_eq!(scene.prepare(client, b"late"), Some(K_OK));
    assert_eq!(scene.back(client), Some(K_ETIMEOUT));
    assert_eq!(scene.site.bytes(client.actor, room.body, 4), [0xee; 4]);
    assert_eq!(
        scene.site.call(client.thread, "threadAborted", &[]),
        Some(0)
    );
    // In time.
    let (room, _) = scene.ask_for(client, b"x", 200);
    scene.site.pass(150_000_000);
    assert_eq!(scene.prepare(client, b"soon"), Some(K_OK));
    assert_eq!(scene.back(client), Some(4));
    assert_eq!(scene.site.bytes(client.actor, room.body, 4), b"soon");
    // A delay of 0 is enough for a handler, and not for what has to wait.
    scene.ask_for(client, b"x", 0);
    scene.site.pass(10_000_000);
    assert_eq!(scene.back(client), Some(0));
    assert_eq!(scene.site.send(scene.other, scene.port.1, b"q"), Some(K_OK));
    let (letter, dest) = (
        scene.site.letter(client, b""),
        scene.site.dest(client, scene.port.1),
    );
    let room = scene.site.room(client, 16);
    scene.site.refuses(
        client,
        "ipcCall",
        &[letter, 0, dest, room.desc, 0],
        K_ETIMEOUT,
    );
    scene.end();
}

#[test]
fn a_client_that_is_deleted_inside_finishes_the_routine() {
    for whole in [false, true] {
        let mut scene = Scene::new();
        let (client, other) = (scene.client, scene.other);
        scene.ask(client, b"x");
        assert_eq!(scene.prepare(client, b"nobody"), Some(K_OK));
        let [cap, li] = scene.site.name(other.actor, client.thread);
        match whole {
            true => scene.site.call(other.thread, "actorDelete", &[cap]),
            false => scene.site.call(other.thread, "threadDelete", &[cap, li]),
        };
        scene.site.settle();
        assert!(scene.is_inside(client));
        scene.site.back(client.thread, 0);
        scene.check();
        assert!(scene.site.nucleus.threads.get(client.thread).is_none());
        assert_eq!(scene.site.nucleus.ipc.messages.len(), 0);
        scene.end();
    }
}

#[test]
fn a_handler_that_calls_itself_comes_to_an_end() {
    let mut scene = Scene::new();
    let (server, client) = (scene.server, scene.client);
    scene.ask(client, b"x");
    // A message that is queued is no reason for a routine to wait.
    assert_eq!(scene.site.send(scene.other, scene.port.1, b"q"), Some(K_OK));
    let dest = scene.site.dest(server, scene.port.1);
    let (letter, room) = (
        scene.site.letter(server, b"deeper"),
        scene.site.room(server, 64),
    );
    let arguments = [letter, 0, dest, room.desc, FOREVER];
    for _ in 1..8 {
        scene.site.waits(client, "ipcCall", &arguments);
        assert!(scene.site.entered.take().is_some());
        scene.check();
    }
    let messages = scene.site.nucleus.ipc.messages.len();
    assert_eq!(
        scene.site.call(client.thread, "ipcCall", &arguments),
        Some(K_EFULL)
    );
    let serve = [scene.port.0 as u64];
    assert_eq!(
        scene.site.call(client.thread, "svMsgServe", &serve),
        Some(K_ENOMEM)
    );
    assert_eq!(scene.site.nucleus.ipc.messages.len(), messages);
    for depth in 0..8 {
        let body = [b'0' + depth];
        assert_eq!(scene.prepare(client, &body), Some(K_OK));
        assert_eq!(scene.back(client), Some(1));
    }
    assert!(!scene.is_inside(client));
    scene.end();
}

#[test]
fn a_request_that_a_handler_saved_is_answered_by_another_thread() {
    // Before the routine returns, and after.
    for early in [true, false] {
        let mut scene = Scene::new();
        let (server, client) = (scene.server, scene.client);
        let (room, _) = scene.ask(client, b"x");
        let id = scene.site.call(client.thread, "ipcSave", &[0]).unwrap();
        assert!(id > 0);
        assert_eq!(scene.prepare(client, b"no"), Some(K_EINVAL));
        if !early {
            assert_eq!(scene.back(client), None, "it waits as any client");
        }
        assert_eq!(
            scene.site.call(server.thread, "ipcRestore", &[id as u64]),
            Some(K_OK)
        );
        assert_eq!(scene.site.answer(server, b"saved"), Some(K_OK));
        scene.check();
        if early {
            assert_eq!(scene.back(client), Some(5));
        }
        assert_eq!(scene.site.result(client.thread), Some(5));
        assert_eq!(scene.site.bytes(client.actor, room.body, 5), b"saved");
        // It waits, and is aborted: the request has no client any more.
        scene.ask(client, b"y");
        let id = scene.site.call(client.thread, "ipcSave", &[0]).unwrap();
        assert_eq!(scene.back(client), None);
        let [cap, li] = scene.site.name(server.actor, client.thread);
        scene.site.grants(server, "threadAbort", &[cap, li]);
        assert_eq!(scene.site.result(client.thread), Some(K_EABORT));
        assert_eq!(
            scene.site.call(server.thread, "ipcRestore", &[id as u64]),
            Some(K_OK)
        );
        assert_eq!(scene.site.answer(server, b"saved"), Some(K_OK));
        scene.end();
    }
}

#[test]
fn a_request_that_is_supplanted_inside_fails_unless_an_answer_is_prepared() {
    for (prepared, result) in [(false, K_ENOPORT), (true, 4)] {
        let mut scene = Scene::new();
        let (server, client, other) = (scene.server, scene.client, scene.other);
        let door = scene.site.door(server.actor);
        scene.site.ask(other, door, b"another");
        scene.ask(client, b"x");
        if prepared {
            assert_eq!(scene.prepare(client, b"sure"), Some(K_OK));
        }
        let (room, li) = (
            scene.site.room(server, 64),
            scene.site.arg(server.actor, &K_DEFAULTPORT),
        );
        assert_eq!(
            scene
                .site
                .call(client.thread, "ipcReceive", &[room.desc, li, 0]),
            Some(7)
        );
        scene.check();
        assert_eq!(scene.back(client), Some(result));
        assert_eq!(
            scene.site.result(other.thread),
            Some(K_ENOPORT),
            "abandoned"
        );
        scene.end();
    }
}

#[test]
fn a_routine_that_calls_gets_its_reply_in_memory_of_its_own_actor() {
    let mut scene = Scene::new();
    let (server, client, other) = (scene.server, scene.client, scene.other);
    scene.ask(client, b"x");
    // A page that nobody has touched: it is not there before the reply is.
    let desc = KnMsgDesc {
        body_size: PAGE_SIZE as u32,
        body_addr: scene.site.at(server.actor, 0x1_0000 - PAGE_SIZE),
        ..KnMsgDesc::default()
    };
    let room = scene.site.arg(server.actor, &desc);
    let door = scene.site.door(other.actor);
    let (letter, dest) = (
        scene.site.letter(server, b"far"),
        scene.site.dest(server, door),
    );
    let call = [letter, 0, dest, room, FOREVER];
    scene.site.waits(client, "ipcCall", &call);
    let taken = scene.site.take(other, K_DEFAULTPORT);
    assert_eq!(taken.as_deref(), Some(&b"far"[..]));
    assert_eq!(scene.site.answer(other, b"here"), Some(K_OK));
    assert_eq!(scene.site.result(client.thread), Some(4));
    let got = scene.site.bytes(server.actor, desc.body_addr, 4);
    assert_eq!(got, b"here");
    assert_eq!(scene.back(client), Some(0));
    scene.end();
}

#[test]
fn the_current_message_that_the_client_had_comes_back() {
    let mut scene = Scene::new();
    let (client, other) = (scene.client, scene.other);
    let door = scene.site.door(client.actor);
    let room = scene.site.ask(other, door, b"a request");
    assert_eq!(
        scene.site.take(client, K_DEFAULTPORT).as_deref(),
        Some(&b"a request"[..])
    );
    scene.ask(client, b"x");
    assert_eq!(scene.back(client), Some(0));
    assert_eq!(scene.site.answer(client, b"an answer"), Some(K_OK));
    assert_eq!(scene.site.bytes(other.actor, room.body, 9), b"an answer");
    scene.end();
}

#[test]
fn requests_to_a_stopped_owner_wait() {
    let mut scene = Scene::new();
    let (client, other) = (scene.client, scene.other);
    let worker = scene.worker();
    let cap = scene.site.cap_for(other, scene.server.actor);
    scene.site.grants(other, "actorStop", &[cap]);
    scene.site.settle();
    let room = scene.site.ask(client, scene.port.1, b"wait");
    assert!(!scene.is_inside(client));
    scene.site.grants(other, "actorStart", &[cap]);
    scene.site.settle();
    assert_eq!(scene.serve(worker).unwrap().size, 4);
    assert_eq!(scene.prepare(worker, b"now"), Some(K_OK));
    scene.back(worker);
    assert_eq!(scene.site.result(client.thread), Some(3));
    assert_eq!(scene.site.bytes(client.actor, room.body, 3), b"now");
    scene.end();
}

#[test]
fn a_thread_that_works_and_ends_fails_its_client() {
    let mut scene = Scene::new();
    let (server, client) = (scene.server, scene.client);
    let worker = scene.worker();
    let cap = scene.site.cap_for(scene.other, server.actor);
    scene.site.grants(scene.other, "actorStop", &[cap]);
    scene.site.ask(client, scene.port.1, b"wait");
    scene.site.grants(scene.other, "actorStart", &[cap]);
    scene.site.settle();
    assert!(scene.serve(worker).is_some());
    scene.site.whole().entered = None;
    scene.site.nucleus.kill_actor(server.actor, End::default());
    scene.site.settle();
    assert_eq!(scene.site.result(client.thread), Some(K_ENOPORT));
    scene.end();
}

#[test]
fn an_exception_is_reported_to_a_handler_by_its_own_thread() {
    let mut scene = Scene::new();
    let (client, other, server) = (scene.client, scene.other, scene.server);
    let stacks = scene.site.actor(K_SUPACTOR, 140);
    let context = scene.site.put(stacks, 0, &KnThreadCtx::default());
    scene
        .site
        .put(stacks, size_of::<KnThreadCtx>() as u64, &[0u8; 64]);
    let (cap, port) = (
        scene.site.cap_for(other, client.actor),
        scene.site.arg(other.actor, &scene.port.1),
    );
    scene.site.grants(other, "actorExcept", &[cap, 0, port]);
    let then = scene.site.exception(client.thread, 1, context);
    let Then::Report(trouble) = then else {
        panic!("{then:?}")
    };
    let worker = scene.worker();
    let report = scene.serve(worker).unwrap();
    assert_eq!(
        report.annex.map(|annex| annex[4]),
        Some(1),
        "which exception"
    );
    let verdict = scene.site.arg(server.actor, &[0u8; 64]);
    let desc = KnMsgDesc {
        annex_addr: verdict,
        ..KnMsgDesc::default()
    };
    let desc = scene.site.arg(server.actor, &desc);
    assert_eq!(
        scene.site.call(worker.thread, "svMsgHdlReply", &[desc]),
        Some(K_OK)
    );
    scene.back(worker);
    let then = scene.site.reported(client.thread, &trouble);
    assert_eq!(then, Then::Resume { changed: false });
    scene.end();
}

#[test]
fn a_request_of_another_site_is_answered_through_the_network_manager() {
    let mut scene = Scene::new();
    let manager = scene.other;
    let worker = scene.worker();
    scene.site.grants(manager, "nmAttach", &[u64::MAX]);
    let item = scene.site.space(manager.actor, size_of::<net::KnNetItem>());
    scene.site.grants(manager, "nmTake", &[item, 0, 0]);
    for reply in [None, Some(&b"yes"[..])] {
        let item = net::KnNetItem {
            kind: net::NET_CALL,
            handle: 77,
            target: scene.port.1,
            body_size: 3,
            ..net::KnNetItem::default()
        };
        let (item, body) = (
            scene.site.arg(manager.actor, &item),
            scene.site.arg(manager.actor, b"far"),
        );
        scene.site.grants(manager, "nmDeliver", &[item, body]);
        assert_eq!(scene.serve(worker).unwrap().size, 3);
        if let Some(reply) = reply {
            assert_eq!(scene.prepare(worker, reply), Some(K_OK));
        }
        scene.back(worker);
        let item = scene.site.space(manager.actor, size_of::<net::KnNetItem>());
        let body = scene.site.space(manager.actor, 16);
        let taken = scene.site.call(manager.thread, "nmTake", &[item, body, 16]);
        assert_eq!(taken, Some(reply.map_or(0, |reply| reply.len() as i32)));
        let item: net::KnNetItem = scene.site.peek(manager.actor, item);
        assert_eq!(
            (item.kind, item.handle, item.result),
            (net::NET_REPLY, 77, K_OK)
        );
    }
    scene.end();
}
