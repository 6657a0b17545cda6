//! Pages that are given instead of copied (NC-177): what is copied, what leaves, what others still see.

use super::nc_messages::memory;
use super::scene::{FOREVER, Party};
use super::site::Site;
use alloc::vec;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

const PAGE: u64 = PAGE_SIZE;
const LARGEST: u32 = K_CMSGSIZEMAX;

/// Bytes of which no two pages agree.
fn pattern(size: u32) -> Vec<u8> {
    (0..size).map(|at| (at * 7 + at / 4096) as u8 | 1).collect()
}

/// A descriptor as an argument.
fn desc(site: &mut Site, of: Party, (body_addr, body_size): (u64, u32), flags: u32) -> u64 {
    let desc = KnMsgDesc {
        flags,
        body_addr,
        body_size,
        ..KnMsgDesc::default()
    };
    site.arg(of.actor, &desc)
}

fn copied(site: &Site) -> u64 {
    site.nucleus.counters.copied
}

/// Sends a body from one place to another, and has it received; the bytes copied on the way.
fn send(
    site: &mut Site,
    (from, at): (Party, u64),
    (to, room): (Party, u64),
    size: u32,
    flags: u32,
    waiting: bool,
) -> u64 {
    let before = copied(site);
    let message = desc(site, from, (at, size), flags);
    let buffer = desc(site, to, (room, size), 0);
    let (door, li) = (site.door(to.actor), site.arg(to.actor, &K_DEFAULTPORT));
    let dest = site.dest(from, door);
    if waiting {
        site.waits(to, "ipcReceive", &[buffer, li, FOREVER]);
    }
    assert_eq!(site.grants(from, "ipcSend", &[message, 0, dest]), K_OK);
    if waiting {
        assert_eq!(site.result(to.thread), Some(size as i32));
    } else {
        let got = site.grants(to, "ipcReceive", &[buffer, li, 0]);
        assert_eq!(got, size as i32);
    }
    assert_eq!(site.held(), 0, "frames are left with the Nucleus");
    copied(site) - before
}

fn pair() -> (Site, Party, Party) {
    super::nc_messages::pair()
}

#[test]
fn nc_177_a_largest_body_moves_without_a_byte_copied() {
    for waiting in [false, true] {
        let (mut site, sender, receiver) = pair();
        let from = memory(&mut site, sender, LARGEST.into());
        let to = memory(&mut site, receiver, LARGEST.into());
        let body = pattern(LARGEST);
        site.poke(sender.actor, from, &body[..]);
        site.poke(receiver.actor, to, &[9u8; 100][..]);
        let pages = |site: &Site, of: Party| site.nucleus.actors.get(of.actor).unwrap().pages;
        let (few, many) = (pages(&site, receiver), pages(&site, sender));
        let cost = send(
            &mut site,
            (sender, from),
            (receiver, to),
            LARGEST,
            K_MOVE,
            waiting,
        );
        assert_eq!(cost, 0);
        // One page of the buffer was there.
        assert_eq!(pages(&site, sender), many - 16);
        assert_eq!(pages(&site, receiver), few + 15);
        assert!(site.bytes(receiver.actor, to, LARGEST as usize) == body);
        let left = site.bytes(sender.actor, from, LARGEST as usize);
        assert!(left.iter().all(|&byte| byte == 0), "NC-177");
        site.nucleus.check_memory();
        site.end();
    }
}

#[test]
fn without_the_option_a_body_stays_and_is_copied_at_most_once() {
    // At places that do not agree about where in a page they are, the body is copied; at others it is lent.
    for (lead, waiting) in [(0, false), (0, true), (16, false), (16, true)] {
        let (mut site, sender, receiver) = pair();
        let from = memory(&mut site, sender, LARGEST.into());
        let to = memory(&mut site, receiver, u64::from(LARGEST) + lead) + lead;
        let body = pattern(LARGEST);
        site.poke(sender.actor, from, &body[..]);
        let cost = send(
            &mut site,
            (sender, from),
            (receiver, to),
            LARGEST,
            0,
            waiting,
        );
        let copies = if lead == 0 { 0 } else { LARGEST.into() };
        assert_eq!(cost, copies, "{lead} {waiting}");
        assert!(site.bytes(receiver.actor, to, LARGEST as usize) == body);
        assert!(site.bytes(sender.actor, from, LARGEST as usize) == body);
        site.nucleus.check_memory();
        site.end();
    }
}

#[test]
fn nc_177_ends_are_copied_and_so_is_what_lies_otherwise_in_its_pages() {
    let size = 5 * PAGE as u32 + 100;
    // Where the body lies, where it goes, bytes copied, pages that leave.
    let cases = [
        // Three quarters of a page, four whole ones, the rest.
        (0x400, 0x400, 2 * (size as u64 - 4 * PAGE), 1..5),
        (0, 0, 200, 0..5),
        (0x400, 0x800, size as u64 + (size as u64 - 4 * PAGE), 1..5),
        (0, 8, size as u64 + 100, 0..5),
    ];
    for (lead, into, cost, gone) in cases {
        for waiting in [false, true] {
            let (mut site, sender, receiver) = pair();
            let from = memory(&mut site, sender, 7 * PAGE) + lead;
            let to = memory(&mut site, receiver, 7 * PAGE) + into;
            let body = pattern(size);
            site.poke(sender.actor, from, &body[..]);
            let took = send(
                &mut site,
                (sender, from),
                (receiver, to),
                size,
                K_MOVE,
                waiting,
            );
            assert_eq!(took, cost, "{lead} {into}");
            assert!(site.bytes(receiver.actor, to, size as usize) == body);
            let mut left = body.clone();
            let pages = gone.start as u64 * PAGE..gone.end as u64 * PAGE;
            let begin = (pages.start).saturating_sub(lead) as usize;
            left[begin..(pages.end - lead) as usize].fill(0);
            assert!(site.bytes(sender.actor, from, size as usize) == left);
            site.nucleus.check_memory();
            site.end();
        }
    }
}

#[test]
fn a_request_and_its_reply_move_there_and_back() {
    let (mut site, client, server) = pair();
    let [mine, theirs] = [client, server].map(|of| memory(&mut site, of, LARGEST.into()));
    let body = pattern(LARGEST);
    site.poke(client.actor, mine, &body[..]);
    let before = copied(&site);
    let li = site.arg(server.actor, &K_DEFAULTPORT);
    let dest = {
        let door = site.door(server.actor);
        site.dest(client, door)
    };
    for _ in 0..3 {
        let buffer = desc(&mut site, server, (theirs, LARGEST), 0);
        site.waits(server, "ipcReceive", &[buffer, li, FOREVER]);
        let request = desc(&mut site, client, (mine, LARGEST), K_MOVE);
        let reply = desc(&mut site, client, (mine, LARGEST), 0);
        site.waits(client, "ipcCall", &[request, 0, dest, reply, FOREVER]);
        let answer = desc(&mut site, server, (theirs, LARGEST), K_MOVE);
        assert_eq!(site.grants(server, "ipcReply", &[answer]), K_OK);
        assert_eq!(site.result(client.thread), Some(LARGEST as i32));
    }
    assert_eq!(copied(&site), before);
    assert!(site.bytes(client.actor, mine, LARGEST as usize) == body);
    assert_eq!(site.bytes(server.actor, theirs, 8), [0; 8]);
    site.end();
}

#[test]
fn a_body_that_moved_can_be_fetched_later_or_never() {
    let (mut site, sender, receiver) = pair();
    let from = memory(&mut site, sender, LARGEST.into());
    let to = memory(&mut site, receiver, LARGEST.into());
    let body = pattern(LARGEST);
    let none = desc(&mut site, receiver, (0, 0), 0);
    let li = site.arg(receiver.actor, &K_DEFAULTPORT);
    let dest = {
        let door = site.door(receiver.actor);
        site.dest(sender, door)
    };
    for fetched in [true, false] {
        site.poke(sender.actor, from, &body[..]);
        let before = copied(&site);
        let message = desc(&mut site, sender, (from, LARGEST), K_MOVE);
        site.waits(receiver, "ipcReceive", &[none, li, FOREVER]);
        assert_eq!(site.grants(sender, "ipcSend", &[message, 0, dest]), K_OK);
        assert_eq!(site.result(receiver.thread), Some(LARGEST as i32));
        assert_eq!(site.held(), 16);
        let buffer = desc(&mut site, receiver, (to, LARGEST), 0);
        if fetched {
            let got = site.grants(receiver, "ipcGetData", &[buffer]);
            assert_eq!(got, LARGEST as i32);
            assert!(site.bytes(receiver.actor, to, LARGEST as usize) == body);
            site.refuses(receiver, "ipcGetData", &[buffer], K_EINVAL);
        }
        assert_eq!(copied(&site), before);
    }
    site.end();
}

#[test]
fn a_body_to_all_members_is_copied_for_each_and_leaves() {
    let (mut site, sender, receiver) = pair();
    let from = memory(&mut site, sender, 2 * PAGE);
    let to = memory(&mut site, receiver, 2 * PAGE);
    let cap = site.arg(sender.actor, &KnCap::default());
    assert_eq!(site.grants(sender, "grpAllocate", &[0, cap, 0]), K_OK);
    let group: KnCap = site.peek(sender.actor, cap);
    for of in [sender, receiver] {
        let (group, ui) = (group, site.door(of.actor));
        let arguments = [site.arg(of.actor, &group), site.arg(of.actor, &ui)];
        assert_eq!(site.grants(of, "grpPortInsert", &arguments), K_OK);
    }
    let body = pattern(2 * PAGE as u32);
    site.poke(sender.actor, from, &body[..]);
    let message = desc(&mut site, sender, (from, 2 * PAGE as u32), K_MOVE);
    let dest = site.dest(sender, group.ui);
    assert_eq!(site.grants(sender, "ipcSend", &[message, 0, dest]), K_OK);
    assert_eq!(site.bytes(sender.actor, from, 8), [0; 8]);
    for (of, at) in [(receiver, to), (sender, from)] {
        let buffer = desc(&mut site, of, (at, 2 * PAGE as u32), 0);
        let li = site.arg(of.actor, &K_DEFAULTPORT);
        let got = site.grants(of, "ipcReceive", &[buffer, li, 0]);
        assert_eq!(got, 2 * PAGE as i32);
        assert!(site.bytes(of.actor, at, 2 * PAGE as usize) == body);
    }
    site.end();
}

#[test]
fn what_may_not_be_stored_into_is_not_given_away() {
    let (mut site, sender, receiver) = pair();
    let from = memory(&mut site, sender, 2 * PAGE);
    let to = memory(&mut site, receiver, 2 * PAGE);
    let body = pattern(2 * PAGE as u32);
    site.poke(sender.actor, from, &body[..]);
    let region = KnRgnDesc {
        start_addr: from,
        size: 2 * PAGE,
        ..KnRgnDesc::default()
    };
    let region = site.arg(sender.actor, &region);
    assert_eq!(site.grants(sender, "rgnSetProtect", &[0, region]), K_OK);
    let cost = send(
        &mut site,
        (sender, from),
        (receiver, to),
        2 * PAGE as u32,
        K_MOVE,
        true,
    );
    assert_eq!(cost, 2 * PAGE);
    assert!(site.bytes(sender.actor, from, 2 * PAGE as usize) == body);
    assert!(site.bytes(receiver.actor, to, 2 * PAGE as usize) == body);
    site.end();
}

#[test]
fn one_page_in_two_windows_leaves_once() {
    let mut site = Site::new(4);
    let (sender, receiver) = (site.party(K_SYSTEMACTOR), site.party(K_USERACTOR));
    let at = 0x80_0000;
    for (share, start) in [(false, at), (true, at + PAGE)] {
        let wanted = KnRgnDesc {
            start_addr: start,
            size: PAGE,
            options: K_WRITABLE,
            ..KnRgnDesc::default()
        };
        let wanted = site.arg(sender.actor, &wanted);
        let from = KnRgnDesc {
            start_addr: at,
            size: PAGE,
            ..KnRgnDesc::default()
        };
        let from = site.arg(sender.actor, &from);
        let made = match share {
            false => site.grants(sender, "rgnAllocate", &[0, wanted]),
            true => site.grants(sender, "rgnMapFromActor", &[0, wanted, 0, from]),
        };
        assert_eq!(made, K_OK);
    }
    let body = pattern(PAGE as u32);
    site.poke(sender.actor, at, &body[..]);
    let to = memory(&mut site, receiver, 2 * PAGE);
    let cost = send(
        &mut site,
        (sender, at),
        (receiver, to),
        2 * PAGE as u32,
        K_MOVE,
        false,
    );
    assert_eq!(cost, PAGE);
    let twice = [&body[..], &body[..]].concat();
    assert!(site.bytes(receiver.actor, to, 2 * PAGE as usize) == twice);
    assert_eq!(site.bytes(sender.actor, at + PAGE, 8), [0; 8]);
    site.nucleus.check_memory();
    site.end();
}

#[test]
fn without_memory_nothing_moves() {
    // The first pages are seen through a copy, so that they need frames.
    for short in 0..20 {
        let mut site = Site::new(4);
        let (sender, receiver) = (site.party(K_SYSTEMACTOR), site.party(K_USERACTOR));
        let from = memory(&mut site, sender, 4 * PAGE);
        let body = pattern(4 * PAGE as u32);
        site.poke(sender.actor, from, &body[..]);
        let copy = show(&mut site, sender, sender, from, 4, K_WRITABLE);
        let message = desc(&mut site, sender, (copy + 8, 3 * PAGE as u32 + 9), K_MOVE);
        let door = site.door(receiver.actor);
        let dest = site.dest(sender, door);
        site.nucleus.machine.fails_after = Some(short);
        let sent = site.call(sender.thread, "ipcSend", &[message, 0, dest]);
        site.nucleus.machine.fails_after = None;
        let left = site.bytes(sender.actor, copy, 4 * PAGE as usize);
        if sent != Some(K_OK) {
            assert!(matches!(sent, Some(K_ENOMEM | K_EFAULT)), "{sent:?}");
            assert!(left == body, "something left");
            assert_eq!(site.held(), 0);
        } else {
            assert!(
                left[PAGE as usize..3 * PAGE as usize]
                    .iter()
                    .all(|&b| b == 0)
            );
        }
        assert!(site.bytes(sender.actor, from, 4 * PAGE as usize) == body);
        site.nucleus.check_memory();
        site.end();
        let (free, total) = crate::machine::Machine::frames(&site.nucleus.machine);
        assert_eq!(free, total, "frames are lost");
    }
}

/// A copy of a range at another place.
fn show(site: &mut Site, of: Party, from: Party, start: u64, pages: u64, options: u32) -> u64 {
    let desc = KnRgnDesc {
        size: pages * PAGE,
        options: options | K_ANYWHERE,
        ..KnRgnDesc::default()
    };
    let range = KnRgnDesc {
        start_addr: start,
        size: pages * PAGE,
        ..KnRgnDesc::default()
    };
    let cap = site.cap(from.actor);
    let to = site.arg(of.actor, &desc);
    let arguments = [0, to, site.arg(of.actor, &cap), site.arg(of.actor, &range)];
    assert_eq!(site.grants(of, "rgnInitFromActor", &arguments), K_OK);
    site.peek::<KnRgnDesc>(of.actor, to).start_addr
}

/// Pages of each object of the model.
const PAGES: u64 = 4;

#[derive(Clone, Debug)]
enum Step {
    /// A word into a page of an object.
    Store(usize, u64, u8),
    /// An object becomes a copy of another; perhaps one whose pages are fixed.
    Copy(usize, usize, bool),
    /// All pages of an object locked, or not any more.
    Lock(usize, bool),
    /// A body from one object to another: first bytes, size, moved, received before it is sent, fetched later.
    Send(usize, usize, u64, u64, u64, bool, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let object = || 0..6usize;
    let places = prop_oneof![Just(0u64), Just(PAGE), Just(24), 0..2 * PAGE - 32];
    let sizes = prop_oneof![Just(PAGE), Just(2 * PAGE), Just(2 * PAGE + 30), 1..2 * PAGE];
    prop_oneof![
        (object(), 0..PAGES, 1..255u8).prop_map(|(at, page, value)| Step::Store(at, page, value)),
        (object(), object(), any::<bool>())
            .prop_map(|(to, from, fixed)| Step::Copy(to, from, fixed)),
        (object(), any::<bool>()).prop_map(|(at, locked)| Step::Lock(at, locked)),
        (
            object(),
            object(),
            places.clone(),
            places,
            sizes,
            any::<bool>(),
            any::<bool>()
        )
            .prop_map(|(from, to, at, into, size, moves, waiting)| Step::Send(
                from, to, at, into, size, moves, waiting
            )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Three objects of each of two actors, copied from each other, stored into, and moved about.
    #[test]
    fn nc_177_moves_agree_with_copies_that_are_erased(steps in proptest::collection::vec(step(), 1..30)) {
        let mut site = Site::new(4);
        let parties = [K_SYSTEMACTOR, K_SYSTEMACTOR].map(|kind| site.party(kind));
        let owner = |object: usize| parties[object / 3];
        let mut places = [0; 6];
        for (object, place) in places.iter_mut().enumerate() {
            *place = memory(&mut site, owner(object), PAGES * PAGE);
        }
        let mut model = vec![vec![0u8; (PAGES * PAGE) as usize]; 6];
        let mut locked = [false; 6];
        for step in steps {
            match step {
                Step::Store(object, page, value) => {
                    site.poke(owner(object).actor, places[object] + page * PAGE, &[value; 40][..]);
                    let at = (page * PAGE) as usize;
                    model[object][at..at + 40].fill(value);
                }
                Step::Copy(to, from, fixed) if to != from && !locked[to] => {
                    let old = KnRgnDesc { start_addr: places[to], size: PAGES * PAGE, ..KnRgnDesc::default() };
                    let old = site.arg(owner(to).actor, &old);
                    prop_assert_eq!(site.grants(owner(to), "rgnFree", &[0, old]), K_OK);
                    let options = K_WRITABLE | if fixed { K_NODEMAND } else { 0 };
                    places[to] = show(&mut site, owner(to), owner(from), places[from], PAGES, options);
                    model[to] = model[from].clone();
                }
                Step::Copy(..) => {}
                Step::Lock(object, lock) if locked[object] != lock => {
                    let arguments = [0, places[object], PAGES * PAGE, 0];
                    let name = if lock { "vmLock" } else { "vmUnLock" };
                    prop_assert_eq!(site.grants(owner(object), name, &arguments), K_OK);
                    locked[object] = lock;
                }
                Step::Lock(..) => {}
                Step::Send(from, to, at, into, size, moves, waiting) => {
                    let waiting = waiting && owner(from).actor != owner(to).actor;
                    let flags = if moves { K_MOVE } else { 0 };
                    let (source, target) = ((owner(from), places[from] + at), (owner(to), places[to] + into));
                    send(&mut site, source, target, size as u32, flags, waiting);
                    let range = at as usize..(at + size) as usize;
                    let body = model[from][range].to_vec();
                    if moves {
                        let whole = at.next_multiple_of(PAGE)..(at + size) / PAGE * PAGE;
                        if whole.start < whole.end {
                            model[from][whole.start as usize..whole.end as usize].fill(0);
                        }
                    }
                    model[to][into as usize..(into + size) as usize].copy_from_slice(&body);
                }
            }
            for object in 0..6 {
                let seen = site.bytes(owner(object).actor, places[object], (PAGES * PAGE) as usize);
                prop_assert!(seen == model[object], "object {object} after {step:?}");
            }
            site.nucleus.check_memory();
        }
        site.end();
        let (free, total) = crate::machine::Machine::frames(&site.nucleus.machine);
        prop_assert_eq!(free, total);
    }
}
