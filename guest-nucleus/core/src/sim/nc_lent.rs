//! Large bodies that are lent instead of copied: what is shared and what is not.

use super::nc_messages::{memory, pair};
use super::scene::{FOREVER, Party};
use super::site::Site;
use crate::machine::Machine;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;

pub(super) const PAGE: u64 = PAGE_SIZE;
/// Pages of each object of the tests.
pub(super) const PAGES: u64 = 8;
pub(super) const SIZE: u64 = PAGES * PAGE;

/// A descriptor as an argument.
pub(super) fn desc(
    site: &mut Site,
    of: Party,
    (body_addr, body_size): (u64, u64),
    flags: u32,
) -> u64 {
    let desc = KnMsgDesc {
        flags,
        body_addr,
        body_size: body_size as u32,
        ..KnMsgDesc::default()
    };
    site.arg(of.actor, &desc)
}

fn copied(site: &Site) -> u64 {
    site.nucleus.counters.copied
}

pub(super) fn post(
    site: &mut Site,
    from: Party,
    to: Party,
    body: (u64, u64),
    flags: u32,
) -> Option<i32> {
    let message = desc(site, from, body, flags);
    let door = site.door(to.actor);
    let dest = site.dest(from, door);
    site.call(from.thread, "ipcSend", &[message, 0, dest])
}

fn take(site: &mut Site, by: Party, room: (u64, u64), delay: u64) -> Option<i32> {
    let buffer = desc(site, by, room, 0);
    let li = site.arg(by.actor, &K_DEFAULTPORT);
    site.call(by.thread, "ipcReceive", &[buffer, li, delay])
}

/// Sends an object's bytes to another's place; the bytes copied.
fn send(site: &mut Site, (from, at): (Party, u64), (to, into): (Party, u64), waiting: bool) -> u64 {
    let before = copied(site);
    if waiting {
        assert_eq!(take(site, to, (into, SIZE), FOREVER), None);
        assert_eq!(post(site, from, to, (at, SIZE), 0), Some(K_OK));
        assert_eq!(site.result(to.thread), Some(SIZE as i32));
    } else {
        assert_eq!(post(site, from, to, (at, SIZE), 0), Some(K_OK));
        assert_eq!(take(site, to, (into, SIZE), 0), Some(SIZE as i32));
    }
    site.nucleus.check_memory();
    copied(site) - before
}

fn pattern(seed: u8) -> Vec<u8> {
    (0..SIZE)
        .map(|at| (at * 7 + at / PAGE) as u8 ^ seed | 1)
        .collect()
}

pub(super) fn frames(site: &Site) -> u64 {
    let (free, total) = site.nucleus.machine.frames();
    total - free
}

#[test]
fn a_lent_body_takes_no_byte_and_no_frame_until_somebody_stores() {
    for waiting in [false, true] {
        let (mut site, sender, receiver) = pair();
        let (from, to) = (
            memory(&mut site, sender, SIZE),
            memory(&mut site, receiver, SIZE),
        );
        site.poke(sender.actor, from, &pattern(0)[..]);
        let before = frames(&site);
        assert_eq!(send(&mut site, (sender, from), (receiver, to), waiting), 0);
        assert_eq!(frames(&site), before);
        assert_eq!(site.nucleus.memory_together(), PAGES);
        // The receiver pays as if it had been copied.
        let pages = |site: &Site, of: Party| site.nucleus.actors.get(of.actor).unwrap().pages;
        let paid = pages(&site, receiver);
        site.poke(sender.actor, from + 5, &[0xaa_u8][..]);
        site.poke(receiver.actor, to + PAGE + 5, &[0xbb_u8][..]);
        assert_eq!(copied(&site), 2 * PAGE);
        assert_eq!((frames(&site), pages(&site, receiver)), (before + 2, paid));
        site.nucleus.check_memory();
        let (mut mine, mut theirs) = (pattern(0), pattern(0));
        (mine[5], theirs[PAGE as usize + 5]) = (0xaa, 0xbb);
        assert!(site.bytes(sender.actor, from, SIZE as usize) == mine);
        assert!(site.bytes(receiver.actor, to, SIZE as usize) == theirs);
        // Who is left alone has the frame without a copy.
        site.poke(receiver.actor, to + 6, &[1_u8][..]);
        assert_eq!(copied(&site), 2 * PAGE);
        site.end();
        assert_eq!(frames(&site), 0);
    }
}

#[test]
fn either_end_may_go_first() {
    for first in 0..3 {
        let (mut site, sender, receiver) = pair();
        let (from, to) = (
            memory(&mut site, sender, SIZE),
            memory(&mut site, receiver, SIZE),
        );
        site.poke(sender.actor, from, &pattern(3)[..]);
        send(&mut site, (sender, from), (receiver, to), true);
        let (goes, at, stays, left) = match first {
            0 => (sender, from, receiver, to),
            _ => (receiver, to, sender, from),
        };
        if first == 2 {
            site.nucleus.kill_actor(goes.actor, Default::default());
            site.settle();
        } else {
            let range = KnRgnDesc {
                start_addr: at,
                size: SIZE,
                ..KnRgnDesc::default()
            };
            let range = site.arg(goes.actor, &range);
            assert_eq!(site.grants(goes, "rgnFree", &[0, range]), K_OK);
        }
        site.nucleus.check_memory();
        let before = copied(&site);
        site.poke(stays.actor, left, &[9_u8][..]);
        assert_eq!(copied(&site), before);
        assert!(site.bytes(stays.actor, left + 1, SIZE as usize - 1) == pattern(3)[1..]);
        site.end();
        assert_eq!(frames(&site), 0);
    }
}

#[test]
fn a_queued_body_keeps_what_it_was_sent_with() {
    for goes in [false, true] {
        let (mut site, sender, receiver) = pair();
        let (from, to) = (
            memory(&mut site, sender, SIZE),
            memory(&mut site, receiver, SIZE),
        );
        site.poke(sender.actor, from, &pattern(1)[..]);
        for _ in 0..3 {
            assert_eq!(
                post(&mut site, sender, receiver, (from, SIZE), 0),
                Some(K_OK)
            );
        }
        assert_eq!(copied(&site), 0);
        site.nucleus.check_memory();
        if goes {
            site.nucleus.kill_actor(sender.actor, Default::default());
            site.settle();
        } else {
            site.poke(sender.actor, from, &pattern(2)[..]);
            assert_eq!(copied(&site), SIZE);
        }
        for _ in 0..3 {
            site.nucleus.check_memory();
            assert_eq!(take(&mut site, receiver, (to, SIZE), 0), Some(SIZE as i32));
            assert!(site.bytes(receiver.actor, to, SIZE as usize) == pattern(1));
        }
        site.end();
        assert_eq!(frames(&site), 0);
    }
}

#[test]
fn memory_that_is_stored_into_after_each_message_is_copied_more_and_more() {
    let (mut site, sender, receiver) = pair();
    let (from, to) = (
        memory(&mut site, sender, SIZE),
        memory(&mut site, receiver, SIZE),
    );
    let mut lent = Vec::new();
    for turn in 0..200 {
        for page in 0..PAGES {
            site.poke(sender.actor, from + page * PAGE, &[turn as u8][..]);
        }
        let cost = send(&mut site, (sender, from), (receiver, to), true);
        assert!(cost == 0 || cost == SIZE);
        if cost == 0 {
            lent.push(turn);
        }
        assert_eq!(site.bytes(receiver.actor, to, 1), [turn as u8]);
    }
    assert_eq!(lent, [0, 2, 6, 14, 30, 62, 126, 190]);
    // Once it is left in peace it is lent again.
    let costs: Vec<u64> = (0..300)
        .map(|_| send(&mut site, (sender, from), (receiver, to), true))
        .collect();
    assert!(costs[100..].iter().all(|&cost| cost == 0));
    site.end();
}

#[test]
fn what_has_to_stay_is_copied() {
    // Locked by the sender, by the receiver, without demand, with a structure that a thread waits for, a small body, places that do not agree.
    for case in 0..6 {
        let (mut site, sender, receiver) = pair();
        let (mut from, to) = (
            memory(&mut site, sender, 2 * SIZE),
            memory(&mut site, receiver, SIZE),
        );
        site.poke(sender.actor, from, &pattern(4)[..]);
        let mut size = SIZE;
        let mut copies = SIZE;
        match case {
            0 => assert_eq!(site.grants(sender, "vmLock", &[0, from, SIZE, 0]), K_OK),
            1 => assert_eq!(site.grants(receiver, "vmLock", &[0, to, SIZE, 0]), K_OK),
            2 => {
                let wanted = KnRgnDesc {
                    size: SIZE,
                    options: K_ANYWHERE | K_WRITABLE | K_NODEMAND,
                    ..KnRgnDesc::default()
                };
                let region = site.arg(sender.actor, &wanted);
                assert_eq!(site.grants(sender, "rgnAllocate", &[0, region]), K_OK);
                from = site.peek::<KnRgnDesc>(sender.actor, region).start_addr;
                site.poke(sender.actor, from, &pattern(4)[..]);
            }
            3 => {
                let fellow = site.fellow(sender);
                site.poke(
                    sender.actor,
                    from,
                    &KnMutex {
                        locked: 1,
                        ..KnMutex::default()
                    },
                );
                site.waits(fellow, "mutexGet", &[from]);
                copies = PAGE;
            }
            4 => (size, copies) = (3 * PAGE, 3 * PAGE),
            _ => from += 8,
        }
        let body = site.bytes(sender.actor, from, size as usize);
        let before = copied(&site);
        assert_eq!(take(&mut site, receiver, (to, size), FOREVER), None);
        assert_eq!(
            post(&mut site, sender, receiver, (from, size), 0),
            Some(K_OK)
        );
        assert_eq!(copied(&site) - before, copies, "case {case}");
        assert!(site.bytes(receiver.actor, to, size as usize) == body);
        site.nucleus.check_memory();
        if case == 3 {
            // The page is still the one that the other thread waits in.
            assert_eq!(site.grants(sender, "mutexRel", &[from]), K_OK);
        }
        site.end();
    }
}

#[test]
fn a_store_that_finds_no_frame_is_an_exception_and_no_more() {
    let (mut site, sender, receiver) = pair();
    let (from, to) = (
        memory(&mut site, sender, SIZE),
        memory(&mut site, receiver, SIZE),
    );
    site.poke(sender.actor, from, &pattern(5)[..]);
    send(&mut site, (sender, from), (receiver, to), true);
    let hoard = site.hoard(0);
    let space = site.nucleus.actors.get(receiver.actor).unwrap().space;
    let stored = site.nucleus.write_bytes(receiver.actor, space, to, &[1]);
    assert!(stored.is_err());
    site.nucleus.check_memory();
    site.give_back(hoard);
    assert!(site.bytes(receiver.actor, to, SIZE as usize) == pattern(5));
    site.poke(receiver.actor, to, &[1_u8][..]);
    assert!(site.bytes(sender.actor, from, SIZE as usize) == pattern(5));
    site.end();
}
