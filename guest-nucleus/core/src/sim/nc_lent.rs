//! Large bodies that are lent instead of copied: what is shared and what is not, and any operations against a model of bytes.

use super::default_mapper::DefaultMapper;
use super::nc_messages::{memory, pair};
use super::scene::{FOREVER, Party};
use super::site::Site;
use crate::executive::thread::Wait;
use crate::machine::Machine;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

const PAGE: u64 = PAGE_SIZE;
/// Pages of each object of the tests.
const PAGES: u64 = 8;
const SIZE: u64 = PAGES * PAGE;

/// A descriptor as an argument.
fn desc(site: &mut Site, of: Party, (body_addr, body_size): (u64, u64), flags: u32) -> u64 {
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

fn post(site: &mut Site, from: Party, to: Party, body: (u64, u64), flags: u32) -> Option<i32> {
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

fn frames(site: &Site) -> u64 {
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

/// Two actors with three objects each, on a site from which pages may leave.
struct Lab {
    site: Site,
    mapper: Option<DefaultMapper>,
    parties: [Party; 2],
    places: [u64; 6],
    model: Vec<Vec<u8>>,
    locked: [bool; 6],
    /// Bodies that wait at the port of each actor.
    queues: [VecDeque<Vec<u8>>; 2],
}

impl Lab {
    fn new(outside: usize) -> Lab {
        let mut site = Site::with_outside(4, 1, outside);
        let manager = site.actor(K_SYSTEMACTOR, 140);
        let mapper = (outside > 0).then(|| DefaultMapper::new(&mut site, manager));
        let parties = [K_SYSTEMACTOR, K_SYSTEMACTOR].map(|kind| site.party(kind));
        for party in parties {
            let base = site.at(party.actor, 0);
            assert_eq!(site.grants(party, "vmLock", &[0, base, 16 * PAGE, 0]), K_OK);
        }
        let mut lab = Lab {
            site,
            mapper,
            parties,
            places: [0; 6],
            model: vec![vec![0; SIZE as usize]; 6],
            locked: [false; 6],
            queues: Default::default(),
        };
        for object in 0..6 {
            let owner = lab.owner(object);
            lab.places[object] = memory(&mut lab.site, owner, SIZE);
        }
        lab
    }

    fn owner(&self, object: usize) -> Party {
        self.parties[object / 3]
    }

    fn serve(&mut self) {
        if let Some(mapper) = &mut self.mapper {
            mapper.serve(&mut self.site);
        }
    }

    /// A call to its end, however often it waits for pages.
    fn call(&mut self, by: Party, name: &str, arguments: &[u64]) -> i32 {
        let mut result = self.site.call(by.thread, name, arguments);
        for _ in 0..1000 {
            if let Some(result) = result {
                return result;
            }
            self.serve();
            result = self.site.result(by.thread);
        }
        panic!("{name} waits for ever");
    }

    /// After an access that failed: whether it may be worth another try.
    fn again(&mut self) -> bool {
        let free = self.site.nucleus.machine.frames().0;
        let waits = self.site.nucleus.awaited().is_some();
        self.site.nucleus.relieve();
        self.serve();
        waits || self.site.nucleus.machine.frames().0 != free
    }

    fn store(&mut self, object: usize, at: u64, bytes: &[u8]) -> bool {
        let (actor, address) = (self.owner(object).actor, self.places[object] + at);
        let space = self.site.nucleus.actors.get(actor).unwrap().space;
        for _ in 0..1000 {
            if self
                .site
                .nucleus
                .write_bytes(actor, space, address, bytes)
                .is_ok()
            {
                return true;
            }
            if !self.again() {
                return false;
            }
        }
        panic!("it waits for ever");
    }

    /// What an object shows; `None`: there is no memory for it now.
    fn seen(&mut self, object: usize) -> Option<Vec<u8>> {
        let (actor, place) = (self.owner(object).actor, self.places[object]);
        let space = self.site.nucleus.actors.get(actor).unwrap().space;
        let mut all = vec![0; SIZE as usize];
        for (index, page) in all.chunks_mut(PAGE as usize).enumerate() {
            let at = place + index as u64 * PAGE;
            let mut turns = 0;
            while self
                .site
                .nucleus
                .read_bytes(actor, space, at, page)
                .is_err()
            {
                turns += 1;
                if turns > 1000 || !self.again() {
                    return None;
                }
            }
        }
        Some(all)
    }

    /// What a call that failed half-way left in a buffer is nobody's business.
    fn learn(&mut self, object: usize) -> bool {
        match self.seen(object) {
            Some(seen) => self.model[object] = seen,
            None => return false,
        }
        true
    }

    fn region(&mut self, object: usize) -> u64 {
        let desc = KnRgnDesc {
            start_addr: self.places[object],
            size: SIZE,
            ..KnRgnDesc::default()
        };
        self.site.arg(self.owner(object).actor, &desc)
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Bytes into a page of an object.
    Store(usize, u64, u8),
    /// An object becomes a copy of another, perhaps one whose pages are fixed, or fresh memory.
    Copy(usize, usize, bool),
    Fresh(usize),
    /// All pages of an object locked, or not any more.
    Lock(usize, bool),
    /// A body of an object to the port of an actor, where nobody waits: first byte, bytes, moved.
    Post(usize, usize, u64, u64, bool),
    /// The oldest body at an actor's port into an object of it: which of them, first byte.
    Take(usize, u64),
    /// A body from one object to another whose actor waits.
    Send(usize, usize, u64, u64, u64, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let object = || 0..6usize;
    let place = || prop_oneof![4 => Just(0u64), 2 => Just(PAGE), 1 => Just(24), 1 => 0..2 * PAGE];
    let size = || prop_oneof![2 => Just(4 * PAGE), 3 => Just(6 * PAGE), 1 => Just(5 * PAGE + 30), 1 => 1..6 * PAGE];
    prop_oneof![
        6 => (object(), 0..PAGES, 1..255u8).prop_map(|(at, page, value)| Step::Store(at, page, value)),
        1 => (object(), object(), any::<bool>()).prop_map(|(to, from, fixed)| Step::Copy(to, from, fixed)),
        1 => object().prop_map(Step::Fresh),
        1 => (object(), any::<bool>()).prop_map(|(at, lock)| Step::Lock(at, lock)),
        3 => (object(), 0..2usize, place(), size(), any::<bool>())
            .prop_map(|(from, to, at, size, moves)| Step::Post(from, to, at, size, moves)),
        3 => (object(), place()).prop_map(|(to, into)| Step::Take(to, into)),
        6 => (object(), object(), place(), place(), size(), 0..4u8)
            .prop_map(|(from, to, at, into, size, moves)| Step::Send(from, to, at, into, size, moves == 0)),
    ]
}

/// What moved has left: the whole pages of the body.
fn leave(bytes: &mut [u8], at: u64, size: u64) {
    let whole = at.next_multiple_of(PAGE)..(at + size) / PAGE * PAGE;
    if whole.start < whole.end {
        bytes[whole.start as usize..whole.end as usize].fill(0);
    }
}

fn run(lab: &mut Lab, step: &Step) -> Result<(), TestCaseError> {
    let short = lab.mapper.is_some();
    let fails = |result: i32| short && matches!(result, K_ENOMEM | K_EFAULT);
    match *step {
        Step::Store(object, page, value) => {
            let done = lab.store(object, page * PAGE + 3, &[value; 40]);
            prop_assert!(done || short);
            if done {
                let at = (page * PAGE) as usize + 3;
                lab.model[object][at..at + 40].fill(value);
            }
        }
        Step::Copy(to, from, fixed) if to != from && !lab.locked[to] => {
            let old = lab.region(to);
            let by = lab.owner(to);
            prop_assert_eq!(lab.call(by, "rgnFree", &[0, old]), K_OK);
            let options = K_WRITABLE | K_ANYWHERE | if fixed { K_NODEMAND } else { 0 };
            let wanted = KnRgnDesc {
                size: SIZE,
                options,
                ..KnRgnDesc::default()
            };
            let wanted = lab.site.arg(by.actor, &wanted);
            let range = KnRgnDesc {
                start_addr: lab.places[from],
                size: SIZE,
                ..KnRgnDesc::default()
            };
            let range = lab.site.arg(by.actor, &range);
            let cap = lab.site.cap(lab.owner(from).actor);
            let cap = lab.site.arg(by.actor, &cap);
            let made = lab.call(by, "rgnInitFromActor", &[0, wanted, cap, range]);
            prop_assert!(made == K_OK || fails(made), "{made}");
            if made == K_OK {
                lab.places[to] = lab.site.peek::<KnRgnDesc>(by.actor, wanted).start_addr;
                lab.model[to] = lab.model[from].clone();
            } else {
                lab.places[to] = memory(&mut lab.site, by, SIZE);
                lab.model[to].fill(0);
            }
        }
        Step::Fresh(object) if !lab.locked[object] => {
            let old = lab.region(object);
            let by = lab.owner(object);
            prop_assert_eq!(lab.call(by, "rgnFree", &[0, old]), K_OK);
            lab.places[object] = memory(&mut lab.site, by, SIZE);
            lab.model[object].fill(0);
        }
        Step::Lock(object, lock) if lab.locked[object] != lock => {
            let (by, place) = (lab.owner(object), lab.places[object]);
            let name = if lock { "vmLock" } else { "vmUnLock" };
            let result = lab.call(by, name, &[0, place, SIZE, 0]);
            prop_assert!(result == K_OK || lock && fails(result), "{name} {result}");
            lab.locked[object] = lock == (result == K_OK);
        }
        Step::Copy(..) | Step::Fresh(..) | Step::Lock(..) => {}
        Step::Post(from, to, at, size, moves) => {
            let by = lab.owner(from);
            let flags = if moves { K_MOVE } else { 0 };
            let message = desc(&mut lab.site, by, (lab.places[from] + at, size), flags);
            let door = lab.site.door(lab.parties[to].actor);
            let dest = lab.site.dest(by, door);
            let sent = lab.call(by, "ipcSend", &[message, 0, dest]);
            prop_assert!(sent == K_OK || fails(sent), "{sent}");
            if sent == K_OK {
                let body = lab.model[from][at as usize..(at + size) as usize].to_vec();
                lab.queues[to].push_back(body);
                if moves {
                    leave(&mut lab.model[from], at, size);
                }
            }
        }
        Step::Take(to, into) => {
            let by = lab.owner(to);
            let room = SIZE - into;
            let buffer = desc(&mut lab.site, by, (lab.places[to] + into, room), 0);
            let li = lab.site.arg(by.actor, &K_DEFAULTPORT);
            let got = lab.call(by, "ipcReceive", &[buffer, li, 0]);
            match lab.queues[to / 3].front() {
                None => prop_assert!(got == K_ETIMEOUT || fails(got), "{got}"),
                Some(body) if got == body.len() as i32 => {
                    let into = into as usize;
                    let count = body.len().min(room as usize);
                    lab.model[to][into..into + count].copy_from_slice(&body[..count]);
                    lab.queues[to / 3].pop_front();
                }
                Some(_) => {
                    prop_assert!(fails(got), "{got}");
                    prop_assume!(lab.learn(to));
                }
            }
        }
        Step::Send(from, to, at, into, size, moves) => {
            let (by, receiver) = (lab.owner(from), lab.owner(to));
            if by.actor == receiver.actor || !lab.queues[to / 3].is_empty() {
                return Ok(());
            }
            let buffer = desc(&mut lab.site, receiver, (lab.places[to] + into, size), 0);
            let li = lab.site.arg(receiver.actor, &K_DEFAULTPORT);
            let mut waits = lab
                .site
                .call(receiver.thread, "ipcReceive", &[buffer, li, FOREVER]);
            for _ in 0..1000 {
                let wait = lab.site.nucleus.threads.get(receiver.thread).unwrap().wait;
                if waits.is_some() || wait == Wait::Receive {
                    break;
                }
                lab.serve();
                waits = lab.site.result(receiver.thread);
            }
            if let Some(result) = waits {
                prop_assert!(fails(result), "{result}");
                return Ok(());
            }
            let flags = if moves { K_MOVE } else { 0 };
            let message = desc(&mut lab.site, by, (lab.places[from] + at, size), flags);
            let door = lab.site.door(receiver.actor);
            let dest = lab.site.dest(by, door);
            let sent = lab.call(by, "ipcSend", &[message, 0, dest]);
            prop_assert!(sent == K_OK || fails(sent), "{sent}");
            let range = at as usize..(at + size) as usize;
            let body = lab.model[from][range].to_vec();
            if sent == K_OK && moves {
                leave(&mut lab.model[from], at, size);
            }
            match lab.site.result(receiver.thread) {
                Some(got) if got == size as i32 && sent == K_OK => {
                    lab.model[to][into as usize..(into + size) as usize].copy_from_slice(&body);
                }
                Some(got) => {
                    prop_assert!(fails(got), "{got}");
                    lab.queues[to / 3].push_back(body);
                    prop_assume!(lab.learn(to));
                }
                None => {
                    // The sender's memory: nobody got anything, and the receiver is called away.
                    prop_assert!(sent != K_OK);
                    let li = lab.site.li(receiver.thread);
                    let _ = li;
                    let small = post(&mut lab.site, by, receiver, (0, 0), 0);
                    prop_assert_eq!(small, Some(K_OK));
                    prop_assert_eq!(lab.site.result(receiver.thread), Some(0));
                    prop_assume!(lab.learn(to));
                }
            }
        }
    }
    Ok(())
}

fn agree(lab: &mut Lab, object: usize) -> Result<(), TestCaseError> {
    match lab.seen(object) {
        Some(seen) => prop_assert!(seen == lab.model[object], "object {} differs", object),
        None => prop_assert!(lab.mapper.is_some()),
    }
    Ok(())
}

fn finish(mut lab: Lab) -> Result<(), TestCaseError> {
    for object in 0..6 {
        agree(&mut lab, object)?;
    }
    lab.site.end();
    lab.site.nucleus.check_memory();
    prop_assert_eq!(frames(&lab.site), 0);
    prop_assert_eq!(lab.site.nucleus.memory_objects(), (0, 0, 0));
    prop_assert_eq!(lab.site.nucleus.memory_together(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    /// NC-177, SS-095: bodies sent, queued, lent and moved between objects that are stored into, copied, locked and freed.
    #[test]
    fn bodies_are_copies_whoever_stores(steps in proptest::collection::vec(step(), 1..60)) {
        let mut lab = Lab::new(0);
        for step in &steps {
            run(&mut lab, step)?;
            lab.site.nucleus.check_memory();
            for object in 0..6 {
                agree(&mut lab, object)?;
            }
        }
        finish(lab)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// NC-254: the same while pages leave and come back.
    #[test]
    fn bodies_are_copies_while_pages_leave(leave in 70u64..130, steps in proptest::collection::vec(step(), 1..60)) {
        let mut lab = Lab::new(600);
        let hoard = lab.site.hoard(leave);
        for (index, step) in steps.iter().enumerate() {
            run(&mut lab, step)?;
            lab.site.nucleus.check_memory();
            agree(&mut lab, index % 6)?;
        }
        lab.site.give_back(hoard);
        finish(lab)?;
    }
}
