//! Buffers that go away while their thread waits: whoever waits is told, and nothing is lost.

use super::site::Site;
use crate::machine::Machine;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;

const FOREVER: u64 = u64::MAX;
/// Where the receiver's annex is: a region that goes away.
const GOES: u64 = 0x80_0000;
/// Bytes of the body: so few that it is copied.
const SIZE: u32 = 3 * PAGE_SIZE as u32;

/// A receiver waits with its annex in a region, another thread of its actor frees the region, then a body comes.
fn receive_without_annex(body_addr: bool, memory_for_body: bool) {
    let mut site = Site::new(4);
    let actors = [K_USERACTOR, K_USERACTOR].map(|kind| site.actor(kind, 140));
    let [asks, serves] = actors.map(|actor| site.thread(actor));
    let [client, server] = actors;
    let frees = site.thread(server);
    let region = KnRgnDesc {
        start_addr: GOES,
        size: PAGE_SIZE,
        options: K_WRITABLE,
        ..KnRgnDesc::default()
    };
    let region = site.put(server, 0x800, &region);
    assert_eq!(site.call(frees, "rgnAllocate", &[0, region]), Some(K_OK));
    let room = KnMsgDesc {
        body_addr: if body_addr {
            site.at(server, 0x2000)
        } else {
            0
        },
        body_size: SIZE,
        annex_addr: GOES,
        ..KnMsgDesc::default()
    };
    let room = site.put(server, 0x200, &room);
    let port = site.put(server, 0x300, &K_DEFAULTPORT);
    assert_eq!(
        site.call(serves, "ipcReceive", &[room, port, FOREVER]),
        None
    );
    assert_eq!(site.call(frees, "rgnFree", &[0, region]), Some(K_OK));
    let target = site.nucleus.actors.get(server).unwrap().cap.ui;
    let to = site.put(
        client,
        0x100,
        &KnIpcDest {
            target,
            co_target: KnUniqueId::NULL,
        },
    );
    let request = KnMsgDesc {
        body_addr: site.at(client, 0x2000),
        body_size: SIZE,
        annex_addr: site.at(client, 0x400),
        ..KnMsgDesc::default()
    };
    for page in 0..SIZE as u64 / PAGE_SIZE {
        site.put(client, 0x2000 + page * PAGE_SIZE, &page);
        site.put(server, 0x2000 + page * PAGE_SIZE, &page);
    }
    site.put(client, 0x400, &[7u8; K_CMSGANNEXSIZE]);
    let request = site.put(client, 0x200, &request);
    let hoard = if memory_for_body {
        Vec::new()
    } else {
        site.hoard(0)
    };
    let free = site.nucleus.machine.frames().0;
    let sent = site.call(asks, "ipcSend", &[request, 0, to]);
    if memory_for_body {
        assert_eq!(sent, Some(K_OK));
        assert_eq!(site.result(serves), Some(K_EFAULT), "the receiver is told");
        assert_eq!(
            site.nucleus.machine.frames().0,
            free - SIZE as u64 / PAGE_SIZE,
            "the body is kept once"
        );
    } else {
        assert_eq!(sent, Some(K_ENOMEM));
        assert_eq!(site.result(serves), None, "a send that fails wakes nobody");
        assert_eq!(site.nucleus.machine.frames().0, free);
    }
    site.give_back(hoard);
    site.end();
    let (free, total) = site.nucleus.machine.frames();
    assert_eq!(free, total, "frames are lost");
}

#[test]
fn a_body_that_is_to_be_fetched_is_not_lost() {
    receive_without_annex(false, true);
}

#[test]
fn a_body_that_was_copied_is_kept_for_the_next() {
    receive_without_annex(true, true);
}

#[test]
fn a_body_for_which_there_is_no_memory_wakes_nobody() {
    receive_without_annex(true, false);
    receive_without_annex(false, false);
}
