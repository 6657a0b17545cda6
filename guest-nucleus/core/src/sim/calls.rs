//! Calls against the reference, on two and more processors (NC-…).

use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, local_identifier};
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

/// A site with two actors of one thread each, on processors of their own.
fn pair() -> (Site, [Id<Actor>; 2], [Id<Thread>; 2]) {
    let mut site = Site::new(4);
    let actors = [site.actor(K_USERACTOR, 140), site.actor(K_SYSTEMACTOR, 140)];
    let threads = actors.map(|actor| site.thread(actor));
    (site, actors, threads)
}

/// A destination in an actor's memory: the default port of another.
fn dest(site: &mut Site, actor: Id<Actor>, to: Id<Actor>) -> u64 {
    let target = site.nucleus.actors.get(to).unwrap().cap.ui;
    let dest = KnIpcDest {
        target,
        co_target: KnUniqueId::NULL,
    };
    site.put(actor, 0x100, &dest)
}

/// A descriptor at `offset`, with its annex behind it and a body of `size` bytes at 0x2000.
fn desc(site: &mut Site, actor: Id<Actor>, offset: u64, size: u32) -> u64 {
    let desc = KnMsgDesc {
        body_size: size,
        body_addr: if size > 0 { site.at(actor, 0x2000) } else { 0 },
        annex_addr: site.at(actor, offset + 0x40),
        ..KnMsgDesc::default()
    };
    site.put(actor, offset, &desc)
}

const FOREVER: u64 = u64::MAX;

#[test]
fn nc_180_a_request_is_answered_across_spaces() {
    let (mut site, [client, server], [asks, serves]) = pair();
    let room = desc(&mut site, server, 0x200, 100);
    let port = site.put(server, 0x300, &K_DEFAULTPORT);
    assert_eq!(
        site.call(serves, "ipcReceive", &[room, port, FOREVER]),
        None
    );
    site.put(client, 0x2000, &[7u8; 50]);
    let (request, to) = (
        desc(&mut site, client, 0x200, 50),
        dest(&mut site, client, server),
    );
    let reply = desc(&mut site, client, 0x400, 100);
    assert_eq!(
        site.call(asks, "ipcCall", &[request, 0, to, reply, FOREVER]),
        None
    );
    assert_eq!(site.result(serves), Some(50));
    assert_eq!(
        site.get::<[u8; 51]>(server, 0x2000)[..51],
        [[7u8; 50].as_slice(), &[0]].concat()
    );
    site.put(server, 0x2000, &[9u8; 20]);
    let answer = desc(&mut site, server, 0x200, 20);
    assert_eq!(site.call(serves, "ipcReply", &[answer]), Some(K_OK));
    assert_eq!(site.result(asks), Some(20));
    assert_eq!(site.get::<[u8; 20]>(client, 0x2000), [9; 20]);
    assert_eq!(
        site.call(serves, "ipcReply", &[answer]),
        Some(K_EINVAL),
        "NC-207"
    );
    site.end();
}

#[test]
fn nc_182_and_183_a_client_whose_time_is_over_was_never_there() {
    let (mut site, [client, server], [asks, serves]) = pair();
    let (request, to) = (
        desc(&mut site, client, 0x200, 0),
        dest(&mut site, client, server),
    );
    assert_eq!(
        site.call(asks, "ipcCall", &[request, 0, to, request, 200]),
        None
    );
    site.pass(199_000_000);
    assert_eq!(site.result(asks), None);
    site.pass(2_000_000);
    assert_eq!(site.result(asks), Some(K_ETIMEOUT));
    let room = desc(&mut site, server, 0x200, 0);
    let port = site.put(server, 0x300, &K_DEFAULTPORT);
    assert_eq!(
        site.call(serves, "ipcReceive", &[room, port, 0]),
        Some(K_ETIMEOUT)
    );
    site.end();
}

#[test]
fn nc_029_a_server_that_is_deleted_fails_its_client() {
    let (mut site, [client, server], [asks, serves]) = pair();
    let room = desc(&mut site, server, 0x200, 0);
    let port = site.put(server, 0x300, &K_DEFAULTPORT);
    assert_eq!(
        site.call(serves, "ipcReceive", &[room, port, FOREVER]),
        None
    );
    let (request, to) = (
        desc(&mut site, client, 0x200, 0),
        dest(&mut site, client, server),
    );
    site.call(asks, "ipcCall", &[request, 0, to, request, FOREVER]);
    assert_eq!(site.call(serves, "actorExit", &[3]), None);
    assert_eq!(site.result(asks), Some(K_ENOPORT));
    site.end();
}

#[test]
fn nc_173_a_full_queue_refuses_and_nc_172_what_was_queued_comes_in_order() {
    let (mut site, [client, server], [asks, serves]) = pair();
    let to = dest(&mut site, client, server);
    for number in 0..K_CPORTQUEUE as u64 {
        site.put(client, 0x2000, &number);
        let message = desc(&mut site, client, 0x200, 8);
        assert_eq!(site.call(asks, "ipcSend", &[message, 0, to]), Some(K_OK));
    }
    let message = desc(&mut site, client, 0x200, 8);
    assert_eq!(site.call(asks, "ipcSend", &[message, 0, to]), Some(K_EFULL));
    let room = desc(&mut site, server, 0x200, 8);
    let port = site.put(server, 0x300, &K_DEFAULTPORT);
    for number in 0..K_CPORTQUEUE as u64 {
        assert_eq!(site.call(serves, "ipcReceive", &[room, port, 0]), Some(8));
        assert_eq!(site.get::<u64>(server, 0x2000), number);
    }
    site.end();
}

#[test]
fn nc_069_and_070_an_abort_ends_an_abortable_wait_and_marks_another() {
    let (mut site, [client, server], [asks, aborts]) = pair();
    let cap = site.nucleus.actors.get(client).unwrap().cap;
    let cap = site.put(server, 0x500, &cap);
    let li = local_identifier(asks) as u64;
    let room = desc(&mut site, client, 0x200, 0);
    let port = site.put(client, 0x300, &K_DEFAULTPORT);
    for (flags, abortable) in [(K_ABORTABLE, true), (0, false)] {
        site.put(client, 0x200, &flags);
        assert_eq!(site.call(asks, "ipcReceive", &[room, port, FOREVER]), None);
        assert_eq!(site.call(aborts, "threadAbort", &[cap, li]), Some(K_OK));
        assert_eq!(site.result(asks), abortable.then_some(K_EABORT));
    }
    let (empty, to) = (
        desc(&mut site, server, 0x200, 0),
        dest(&mut site, server, client),
    );
    assert_eq!(site.call(aborts, "ipcSend", &[empty, 0, to]), Some(K_OK));
    assert_eq!(site.result(asks), Some(0));
    assert_eq!(site.call(asks, "threadAborted", &[]), Some(1));
    assert_eq!(site.call(asks, "threadAborted", &[]), Some(0), "NC-071");
    site.end();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    /// Regions against a model of pages: who covers what, what is refused.
    #[test]
    fn regions_are_a_set_of_pages(steps in proptest::collection::vec((any::<bool>(), 0u64..24, 1u64..8), 0..60)) {
        const BASE: u64 = 0x100_0000;
        let mut site = Site::new(1);
        let actor = site.actor(K_USERACTOR, 140);
        let thread = site.thread(actor);
        let mut pages = [false; 40];
        for (make, first, count) in steps {
            let desc = KnRgnDesc {
                start_addr: BASE + first * PAGE_SIZE,
                size: count * PAGE_SIZE - 5,
                options: K_WRITABLE,
                ..KnRgnDesc::default()
            };
            let at = site.put(actor, 0x800, &desc);
            let range = &mut pages[first as usize..(first + count) as usize];
            if make {
                let free = range.iter().all(|taken| !taken);
                let result = site.call(thread, "rgnAllocate", &[0, at]);
                prop_assert_eq!(result, Some(if free { K_OK } else { K_EOVERLAP }));
                if free {
                    range.fill(true);
                }
            } else {
                prop_assert_eq!(site.call(thread, "rgnFree", &[0, at]), Some(K_OK));
                range.fill(false);
            }
            for (page, &taken) in pages.iter().enumerate() {
                let touched = site.nucleus.touch(actor, BASE + page as u64 * PAGE_SIZE, true, false);
                prop_assert_eq!(touched.is_ok(), taken, "page {}", page);
            }
        }
        site.end();
        let (free, total) = crate::machine::Machine::frames(&site.nucleus.machine);
        prop_assert_eq!(free, total);
    }

    /// Semaphores against a model: a counter and a queue (NC-086…089).
    #[test]
    fn semaphores_are_a_counter_and_a_queue(units in 0u32..3, steps in proptest::collection::vec((any::<bool>(), 0usize..4), 0..80)) {
        let mut site = Site::new(4);
        let actor = site.actor(K_USERACTOR, 140);
        let threads: Vec<Id<Thread>> = (0..4).map(|_| site.thread(actor)).collect();
        let sem = site.at(actor, 0x700);
        site.call(threads[0], "semInit", &[sem, u64::from(units)]);
        let (mut count, mut queue) = (units, Vec::new());
        for (give, which) in steps {
            let thread = threads[which];
            if queue.contains(&which) {
                continue;
            }
            if give {
                prop_assert_eq!(site.call(thread, "semV", &[sem]), Some(K_OK));
                if queue.is_empty() {
                    count += 1;
                } else {
                    let first = queue.remove(0);
                    prop_assert_eq!(site.result(threads[first]), Some(K_OK));
                }
            } else if count > 0 {
                prop_assert_eq!(site.call(thread, "semP", &[sem, 0]), Some(K_OK));
                count -= 1;
            } else {
                prop_assert_eq!(site.call(thread, "semP", &[sem, 0]), None);
                queue.push(which);
            }
        }
        for &waiting in &queue {
            prop_assert_eq!(site.result(threads[waiting]), None);
        }
        site.end();
    }
}
