//! Messages with large bodies make the pages of their callers in steps (NC-264), and are handed over at once: whatever happens in between, a message has
//! come with all that belongs to it, or not at all.

use super::going::check;
use super::mapper_lab::{BASE, FINE, Lab};
use super::nc_lent::{PAGE, desc};
use super::nc_messages::pair;
use super::scene::{FOREVER, Party};
use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::End;
use crate::executive::thread::{Thread, Wait};
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;

const PAGES: u64 = 16;
const SIZE: u64 = PAGES * PAGE;
/// Steps that making the pages of one end takes at least.
const STEPS: usize = 3;

/// What the pages of a buffer are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pages {
    /// Not there.
    Fresh,
    /// Those of a deferred copy.
    OfACopy,
    /// Those of which there is a deferred copy.
    Copied,
}

const ALL: [Pages; 3] = [Pages::Fresh, Pages::OfACopy, Pages::Copied];

fn content(page: u64) -> u64 {
    0x1_0001 * (page + 1)
}

fn region(site: &mut Site, of: Party, options: u32) -> (u64, u64) {
    let desc = KnRgnDesc {
        size: (PAGES + 1) * PAGE,
        options: K_WRITABLE | K_ANYWHERE | options,
        ..KnRgnDesc::default()
    };
    let address = site.arg(of.actor, &desc);
    (address, 0)
}

/// A buffer, and the other end of a deferred copy, which goes on with what it was.
fn buffer(site: &mut Site, of: Party, pages: Pages) -> (u64, Option<u64>) {
    let (source, _) = region(site, of, 0);
    site.grants(of, "rgnAllocate", &[0, source]);
    let start = site.peek::<KnRgnDesc>(of.actor, source).start_addr;
    if pages == Pages::Fresh {
        return (start, None);
    }
    for page in 0..=PAGES {
        site.poke(of.actor, start + page * PAGE, &content(page));
    }
    let (copy, _) = region(site, of, 0);
    site.grants(of, "rgnInitFromActor", &[0, copy, 0, source]);
    let copy = site.peek::<KnRgnDesc>(of.actor, copy).start_addr;
    match pages {
        Pages::OfACopy => (copy, Some(start)),
        _ => (start, Some(copy)),
    }
}

fn bytes(site: &mut Site, of: Party, at: u64) -> Vec<u8> {
    site.bytes(of.actor, at, SIZE as usize)
}

/// The arguments of `ipcSend` of a buffer to another's default port.
fn sending(site: &mut Site, from: Party, to: Party, at: u64, flags: u32) -> [u64; 3] {
    let message = desc(site, from, (at, SIZE), flags);
    let door = site.door(to.actor);
    [message, 0, site.dest(from, door)]
}

fn receiving(site: &mut Site, by: Party, at: u64) -> [u64; 3] {
    let room = desc(site, by, (at, SIZE), 0);
    [room, site.arg(by.actor, &K_DEFAULTPORT), FOREVER]
}

/// Makes a call, and all its steps: how many there were before it ended or waited, and its result.
fn steps(site: &mut Site, of: Id<Thread>, name: &str, arguments: &[u64]) -> (usize, Option<i32>) {
    site.steps = Some(0);
    let at_once = site.call(of, name, arguments);
    let mut steps = 1;
    while site.nucleus.resumes(of) {
        assert!(site.step(1), "{name}");
        check(site);
        steps += 1;
    }
    site.steps = None;
    site.settle();
    (steps, at_once.or_else(|| site.result(of)))
}

/// The same, and stops in the middle. `false`: there are not so many steps.
fn begin(site: &mut Site, of: Id<Thread>, name: &str, arguments: &[u64], count: usize) -> bool {
    site.steps = Some(0);
    site.call(of, name, arguments);
    for _ in 1..count {
        if !site.nucleus.resumes(of) {
            break;
        }
        assert!(site.step(1));
    }
    site.nucleus.resumes(of)
}

#[test]
fn nc_264_bodies_are_sent_and_received_in_steps() {
    for pages in ALL {
        for (flags, offset) in [(0, 0), (0, 64), (K_MOVE, 0), (K_MOVE, 64)] {
            for waits in [false, true] {
                let (mut site, sender, receiver) = pair();
                let (mine, source) = buffer(&mut site, sender, pages);
                let (theirs, kept) = buffer(&mut site, receiver, pages);
                let sent = bytes(&mut site, sender, mine + offset);
                if pages == Pages::Fresh {
                    // Reading made them.
                    let (fresh, _) = buffer(&mut site, sender, pages);
                    let send = sending(&mut site, sender, receiver, fresh + offset, flags);
                    let (made, _) = steps(&mut site, sender.thread, "ipcSend", &send);
                    assert!(made >= STEPS, "{pages:?} {flags} {offset}: {made} steps");
                    let receive = receiving(&mut site, receiver, theirs);
                    assert_eq!(
                        site.call(receiver.thread, "ipcReceive", &receive),
                        Some(SIZE as i32)
                    );
                    assert!(
                        bytes(&mut site, receiver, theirs)
                            .iter()
                            .all(|&byte| byte == 0)
                    );
                }
                let send = sending(&mut site, sender, receiver, mine + offset, flags);
                let receive = receiving(&mut site, receiver, theirs);
                let (made, sent_well, got) = if waits {
                    let (made, got) = steps(&mut site, receiver.thread, "ipcReceive", &receive);
                    assert_eq!(got, None);
                    let (_, sent) = steps(&mut site, sender.thread, "ipcSend", &send);
                    (made, sent, site.result(receiver.thread))
                } else {
                    let (_, sent) = steps(&mut site, sender.thread, "ipcSend", &send);
                    let (made, got) = steps(&mut site, receiver.thread, "ipcReceive", &receive);
                    (made, sent, got)
                };
                assert_eq!((sent_well, got), (Some(K_OK), Some(SIZE as i32)));
                if pages == Pages::Copied {
                    assert!(made >= STEPS, "{waits} {flags} {offset}: {made} steps");
                }
                assert!(bytes(&mut site, receiver, theirs) == sent);
                site.nucleus.check_memory();
                // Copies are what they were, and whole pages that were moved are zeros now.
                for (of, other) in [(sender, source), (receiver, kept)] {
                    let Some(other) = other else { continue };
                    for page in 0..=PAGES {
                        let word: u64 = site.peek(of.actor, other + page * PAGE);
                        assert_eq!(word, content(page));
                    }
                }
                let word: u64 = site.peek(sender.actor, mine + PAGE);
                let stays = pages != Pages::Fresh && flags == 0;
                assert_eq!(word, if stays { content(1) } else { 0 });
                site.end();
            }
        }
    }
}

#[test]
fn a_reply_is_given_before_the_next_request_is_waited_for_in_steps() {
    for flags in [0, K_MOVE] {
        let (mut site, client, server) = pair();
        let (request, _) = buffer(&mut site, client, Pages::Copied);
        let (answer, _) = buffer(&mut site, client, Pages::Copied);
        let (room, kept) = buffer(&mut site, server, Pages::Copied);
        let (next, kept_too) = buffer(&mut site, server, Pages::Copied);
        let receive = receiving(&mut site, server, room);
        site.call(server.thread, "ipcReceive", &receive);
        let [message, port, dest] = sending(&mut site, client, server, request, flags);
        let reply = desc(&mut site, client, (answer, SIZE), 0);
        let call = [message, port, dest, reply, FOREVER];
        let (made, _) = steps(&mut site, client.thread, "ipcCall", &call);
        assert!(made > STEPS, "{flags}: {made} steps");
        assert_eq!(site.result(server.thread), Some(SIZE as i32));
        // Another request waits meanwhile.
        let other = site.party(K_USERACTOR);
        let (body, _) = buffer(&mut site, other, Pages::Copied);
        let send = sending(&mut site, other, server, body + 64, 0);
        steps(&mut site, other.thread, "ipcSend", &send);
        let reply = desc(&mut site, server, (room, SIZE), flags);
        let receive = receiving(&mut site, server, next);
        let arguments = [reply, receive[0], receive[1], FOREVER];
        site.steps = Some(0);
        site.call(server.thread, "ipcReplyReceive", &arguments);
        let (mut before, mut after) = (0, 0);
        while site.nucleus.resumes(server.thread) {
            match site.result(client.thread) {
                None => before += 1,
                Some(result) => {
                    assert_eq!(result, SIZE as i32);
                    after += 1;
                }
            }
            assert!(site.step(1));
            check(&mut site);
        }
        site.steps = None;
        site.settle();
        assert!(after >= STEPS, "{flags}: {before} and {after} steps");
        assert_eq!(site.result(client.thread), Some(SIZE as i32));
        assert_eq!(site.result(server.thread), Some(SIZE as i32));
        for page in 0..PAGES {
            let word: u64 = site.peek(client.actor, answer + page * PAGE);
            assert_eq!(word, content(page));
            let word: u64 = site.peek(server.actor, next + page * PAGE);
            assert_eq!(word, 0, "what lies 64 bytes on");
            for kept in [kept, kept_too].into_iter().flatten() {
                let word: u64 = site.peek(server.actor, kept + page * PAGE);
                assert_eq!(word, content(page));
            }
        }
        site.end();
    }
}

#[test]
fn what_happens_between_the_steps_of_a_message_leaves_it_whole_or_unsent() {
    for event in 0..6 {
        for count in 1..2 * STEPS {
            let (mut site, sender, receiver) = pair();
            let helper = Party {
                thread: site.thread(sender.actor),
                ..sender
            };
            let (mine, _) = buffer(&mut site, sender, Pages::Copied);
            let (answer, _) = buffer(&mut site, sender, Pages::Copied);
            let (theirs, _) = buffer(&mut site, receiver, Pages::Fresh);
            let receive = receiving(&mut site, receiver, theirs);
            site.call(receiver.thread, "ipcReceive", &receive);
            let [message, port, dest] = sending(&mut site, sender, receiver, mine, K_MOVE);
            let reply = desc(&mut site, sender, (answer, SIZE), K_ABORTABLE);
            let call = [message, port, dest, reply, FOREVER];
            if !begin(&mut site, sender.thread, "ipcCall", &call, count) {
                assert!(count >= STEPS, "so few steps: {count}");
                site.steps = None;
                site.settle();
                site.end();
                continue;
            }
            assert_eq!(site.result(receiver.thread), None, "nothing was sent yet");
            let mut there = true;
            match event {
                0 => {
                    site.nucleus.kill_thread(sender.thread);
                    there = false;
                }
                1 => {
                    site.nucleus.kill_actor(sender.actor, End::default());
                    there = false;
                }
                2 => {
                    site.nucleus.kill_actor(receiver.actor, End::default());
                }
                3 => {
                    // What is to be sent goes.
                    let gone = KnRgnDesc {
                        start_addr: mine,
                        size: (PAGES + 1) * PAGE,
                        ..KnRgnDesc::default()
                    };
                    let gone = site.arg(helper.actor, &gone);
                    site.call(helper.thread, "rgnFree", &[0, gone]);
                }
                4 => {
                    let [cap, li] = site.name(helper.actor, sender.thread);
                    site.grants(helper, "threadAbort", &[cap, li]);
                }
                _ => {
                    // The receiver's buffer goes.
                    let other = Party {
                        thread: site.thread(receiver.actor),
                        ..receiver
                    };
                    let gone = KnRgnDesc {
                        start_addr: theirs,
                        size: (PAGES + 1) * PAGE,
                        ..KnRgnDesc::default()
                    };
                    let gone = site.arg(other.actor, &gone);
                    site.call(other.thread, "rgnFree", &[0, gone]);
                }
            }
            site.steps = None;
            site.settle();
            site.settle();
            check(&mut site);
            let result = site.result(sender.thread);
            match event {
                0 | 1 => assert_eq!(site.result(receiver.thread), None),
                2 => assert_eq!(result, Some(K_EUNKNOWN)),
                3 => assert_eq!(
                    (result, site.result(receiver.thread)),
                    (Some(K_EFAULT), None)
                ),
                4 => assert_eq!(
                    (result, site.result(receiver.thread)),
                    (Some(K_EABORT), None)
                ),
                _ => assert_eq!(
                    (result, site.result(receiver.thread)),
                    (None, Some(K_EFAULT))
                ),
            }
            if there && event != 3 && event != 5 {
                // It did not leave.
                let word: u64 = site.peek(sender.actor, mine + PAGE);
                assert_eq!(word, content(1));
            }
            site.end();
        }
    }
}

#[test]
fn a_body_that_is_copied_takes_its_bytes_once_whatever_the_pages_were() {
    for pages in ALL {
        for waits in [false, true] {
            let (mut site, sender, receiver) = pair();
            let (mine, _) = buffer(&mut site, sender, Pages::OfACopy);
            let (theirs, _) = buffer(&mut site, receiver, pages);
            let send = sending(&mut site, sender, receiver, mine + 64, 0);
            let receive = receiving(&mut site, receiver, theirs);
            if waits {
                site.call(receiver.thread, "ipcReceive", &receive);
            }
            let before = site.nucleus.counters.copied;
            assert_eq!(site.call(sender.thread, "ipcSend", &send), Some(K_OK));
            if waits {
                assert_eq!(site.nucleus.counters.copied - before, SIZE, "{pages:?}");
                assert_eq!(site.result(receiver.thread), Some(SIZE as i32));
            } else {
                let got = site.call(receiver.thread, "ipcReceive", &receive);
                assert_eq!(got, Some(SIZE as i32));
            }
            site.nucleus.check_memory();
            site.end();
        }
    }
}

#[test]
fn a_reply_is_given_once_when_the_receive_waits_for_a_mapper() {
    let mut lab = Lab::new();
    let server = Party {
        actor: lab.users[1],
        thread: lab.threads[1],
    };
    assert_eq!(lab.map(1, BASE, 1, 0), K_OK);
    let site = &mut lab.site;
    let client = site.party(K_USERACTOR);
    let receive = receiving(site, server, BASE);
    let small = desc(site, server, (0, 0), 0);
    site.call(server.thread, "ipcReceive", &[small, receive[1], FOREVER]);
    let request = desc(site, client, (0, 0), 0);
    let door = site.door(server.actor);
    let dest = site.dest(client, door);
    let answer = desc(site, client, (0, 0), 0);
    let call = [request, 0, dest, answer, FOREVER];
    assert_eq!(site.call(client.thread, "ipcCall", &call), None);
    assert_eq!(site.result(server.thread), Some(0));
    // Its buffer is a page of a segment that is not here yet.
    let room = desc(site, server, (BASE, 64), 0);
    let next = [small, room, receive[1], FOREVER];
    assert_eq!(site.call(server.thread, "ipcReplyReceive", &next), None);
    assert_eq!(site.result(client.thread), Some(0));
    lab.give(5);
    let wait = lab.site.nucleus.threads.get(server.thread).unwrap().wait;
    assert_eq!(wait, Wait::Receive, "{:?}", lab.site.result(server.thread));
    let send = [request, 0, dest];
    assert_eq!(lab.site.call(client.thread, "ipcSend", &send), Some(K_OK));
    assert_eq!(lab.site.result(server.thread), Some(0));
    assert_eq!(lab.free(1, BASE, 1), K_OK);
    while let Some((request, _)) = lab.request() {
        assert_eq!(request.service, KN_MPPUSHOUT);
        lab.answer(FINE, &[]);
    }
    lab.finish();
}

/// Two regions that show one cache, next to each other: a page that comes twice is not mapped with the frame that went.
#[test]
fn pages_that_come_twice_into_one_cache_are_mapped_as_the_last_one() {
    for flags in [0, K_MOVE] {
        for offset in [0, 64] {
            let (mut site, sender, receiver) = pair();
            let (mine, _) = buffer(&mut site, sender, Pages::Fresh);
            for page in 0..=PAGES {
                let at = mine + page * PAGE + offset;
                site.poke(sender.actor, at, &content(page));
            }
            let half = PAGES / 2 * PAGE;
            let place = KnRgnDesc {
                size: 2 * half,
                options: K_WRITABLE | K_ANYWHERE,
                ..KnRgnDesc::default()
            };
            let place = site.arg(receiver.actor, &place);
            site.grants(receiver, "rgnAllocate", &[0, place]);
            let start = site.peek::<KnRgnDesc>(receiver.actor, place).start_addr;
            let window = |start_addr| KnRgnDesc {
                start_addr,
                size: half,
                options: K_WRITABLE,
                ..KnRgnDesc::default()
            };
            let second = site.arg(receiver.actor, &window(start + half));
            site.grants(receiver, "rgnFree", &[0, second]);
            let second = site.arg(receiver.actor, &window(start + half));
            let first = site.arg(receiver.actor, &window(start));
            site.grants(receiver, "rgnMapFromActor", &[0, second, 0, first]);
            let send = sending(&mut site, sender, receiver, mine + offset, flags);
            let receive = receiving(&mut site, receiver, start);
            assert_eq!(site.call(sender.thread, "ipcSend", &send), Some(K_OK));
            let got = site.call(receiver.thread, "ipcReceive", &receive);
            assert_eq!(got, Some(SIZE as i32));
            site.nucleus.check_memory();
            for page in 0..PAGES {
                let word: u64 = site.peek(receiver.actor, start + page * PAGE);
                assert_eq!(word, content(page % (PAGES / 2) + PAGES / 2));
            }
            site.end();
        }
    }
}
