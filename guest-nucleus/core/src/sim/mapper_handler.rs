//! A mapper that answers from a message handler, with bodies from anywhere in its pages, moved or not.

use super::handlers::Scene;
use crate::machine::Machine;
use crate::memory::Fault;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;

const BASE: u64 = 0x100_0000;
const PAGE: u64 = PAGE_SIZE;
/// Pages of the segment.
const PAGES: u64 = 3;

/// A scene whose client shows a segment of the server's, and where the server has what it answers with.
fn shown() -> (Scene, u64) {
    let mut scene = Scene::new();
    let (server, client) = (scene.server, scene.client);
    let region = KnRgnDesc {
        start_addr: BASE,
        size: (1 + PAGES) * PAGE,
        options: K_WRITABLE,
        ..KnRgnDesc::default()
    };
    let part = KnObjDesc {
        data_object: KnCap {
            ui: scene.port.1,
            key: 77,
        },
        ..KnObjDesc::default()
    };
    let region = scene.site.arg(client.actor, &region);
    let part = scene.site.arg(client.actor, &part);
    let mapped = scene.site.call(client.thread, "rgnMap", &[0, region, part]);
    assert_eq!(mapped, Some(K_OK));
    let own = KnRgnDesc {
        size: (PAGES + 2) * PAGE,
        options: K_WRITABLE | K_ANYWHERE,
        ..KnRgnDesc::default()
    };
    let own = scene.site.arg(server.actor, &own);
    let made = scene.site.call(server.thread, "rgnAllocate", &[0, own]);
    assert_eq!(made, Some(K_OK));
    let at = scene.site.peek::<KnRgnDesc>(server.actor, own).start_addr;
    (scene, at)
}

fn pattern() -> Vec<u8> {
    (0..(PAGES + 2) * PAGE)
        .map(|at| (at * 11 + at / PAGE * 3) as u8 | 1)
        .collect()
}

/// The client loads at an offset; the handler answers with these.
fn handled(scene: &mut Scene, at: u64, reply: &KnMpReply, body: KnMsgDesc) {
    let (server, client) = (scene.server, scene.client);
    let cpu = scene.site.cpu_of(client.thread).expect("it runs");
    let fault = scene.site.nucleus.fault(cpu, BASE + at, false, false, true);
    scene.site.settle();
    assert_eq!(fault, Fault::Waits);
    // It runs on no thread of a client: the Nucleus has made one for it.
    let worker = scene.worker();
    let arrived = scene.serve(worker).expect("no request");
    let request: KnMpRequest = zerocopy::transmute!(arrived.annex.expect("no annex"));
    assert_eq!((request.service, request.offset), (KN_MPPULLIN, at));
    let answer = KnMsgDesc {
        annex_addr: scene.site.arg(server.actor, reply),
        ..body
    };
    let answer = scene.site.arg(server.actor, &answer);
    let said = scene.site.call(worker.thread, "svMsgHdlReply", &[answer]);
    assert_eq!(said, Some(K_OK));
    scene.back(worker);
    scene.site.nucleus.check_memory();
}

/// The client loads; the handler answers with a body from so far into its pages: what the client sees then, and what the server has left.
fn pulled(into: u64, size: u64, moves: bool) -> (Vec<u8>, Vec<u8>) {
    let (mut scene, own) = shown();
    let (server, client) = (scene.server, scene.client);
    scene.site.poke(server.actor, own, &pattern()[..]);
    // The first answer is a page of zeros, and says how many pages should be asked for at once.
    let first = KnMpReply {
        access: K_READABLE | K_WRITABLE,
        in_cluster: PAGES as u32,
        ..KnMpReply::default()
    };
    handled(&mut scene, 0, &first, KnMsgDesc::default());
    let reply = KnMpReply {
        access: K_READABLE | K_WRITABLE,
        offset: PAGE,
        size: PAGES * PAGE,
        ..KnMpReply::default()
    };
    let body = KnMsgDesc {
        flags: if moves { K_MOVE } else { 0 },
        body_addr: own + into,
        body_size: size as u32,
        ..KnMsgDesc::default()
    };
    handled(&mut scene, PAGE, &reply, body);
    let seen = scene
        .site
        .bytes(client.actor, BASE + PAGE, (PAGES * PAGE) as usize);
    let left = scene
        .site
        .bytes(server.actor, own, ((PAGES + 2) * PAGE) as usize);
    // What the client has is its own: neither end sees what the other stores.
    scene
        .site
        .poke(client.actor, BASE + PAGE + 5, &[0xee_u8][..]);
    scene
        .site
        .poke(server.actor, own + into + 6, &[0xdd_u8][..]);
    assert_eq!(
        scene.site.bytes(client.actor, BASE + PAGE + 6, 1)[0],
        seen[6]
    );
    let at = own + into + 5;
    let kept = left[(into + 5) as usize];
    assert_eq!(scene.site.bytes(server.actor, at, 1)[0], kept);
    scene.site.nucleus.check_memory();
    let (free, total) = {
        scene.site.end();
        scene.site.nucleus.machine.frames()
    };
    assert_eq!(free, total, "frames are lost");
    (seen, left)
}

#[test]
fn ss_099_a_handler_answers_from_the_middle_of_a_page() {
    for moves in [false, true] {
        for into in [0, 8, 100, PAGE - 1, PAGE, PAGE + 2048] {
            for size in [
                1,
                50,
                PAGE,
                PAGE + 1,
                2 * PAGE,
                PAGES * PAGE - 7,
                PAGES * PAGE,
            ] {
                let (seen, left) = pulled(into, size, moves);
                let what = std::format!("{size} bytes from {into}, moved: {moves}");
                // The body, and zeros behind it.
                let mut wanted = pattern()[into as usize..(into + size) as usize].to_vec();
                wanted.resize((PAGES * PAGE) as usize, 0);
                assert!(seen == wanted, "{what}: the client's");
                // Whole pages that are moved are gone.
                let mut rest = pattern();
                let whole = into.next_multiple_of(PAGE)..(into + size) / PAGE * PAGE;
                if moves && whole.start < whole.end {
                    rest[whole.start as usize..whole.end as usize].fill(0);
                }
                assert!(left == rest, "{what}: the server's");
            }
        }
    }
}
