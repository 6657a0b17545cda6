//! Any operations with large bodies, lent, moved and queued, against a model of bytes.

use super::default_mapper::DefaultMapper;
use super::nc_lent::{PAGE, PAGES, SIZE, desc, frames, post};
use super::nc_messages::memory;
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
        // Bodies in queues never leave: with more of them the default mapper would find no frame for an answer, since so small a site keeps none back.
        Step::Post(..) if short && lab.queues.iter().map(VecDeque::len).sum::<usize>() >= 3 => {}
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

/// Has pages leave until none of an object is here.
fn push_out(lab: &mut Lab, object: usize) {
    let (actor, place) = (lab.owner(object).actor, lab.places[object]);
    let mut hoard = Vec::new();
    for _ in 0..1000 {
        hoard.extend(lab.site.hoard(12));
        lab.site.nucleus.relieve();
        lab.serve();
        if lab.site.nucleus.pages_here(actor, place, PAGES) == 0 {
            break;
        }
    }
    lab.site.give_back(hoard);
    let here = lab.site.nucleus.pages_here(actor, place, PAGES);
    assert_eq!(here, 0, "pages of object {object} stay");
}

/// The bytes of a page that is outside are not those of the body that came into it, whichever way that came and whatever leaves afterwards.
#[test]
fn a_body_comes_into_a_buffer_that_is_outside_memory() {
    for moves in [false, true] {
        for (at, into, size) in [
            (0, 0, SIZE),
            (0, PAGE, 6 * PAGE),
            (24, 24, 5 * PAGE),
            (8, 0, 4 * PAGE),
        ] {
            for queued in [false, true] {
                let mut lab = Lab::new(600);
                for object in [0, 3] {
                    for page in 0..PAGES {
                        let step = Step::Store(object, page, 10 * object as u8 + page as u8 + 1);
                        run(&mut lab, &step).unwrap();
                    }
                }
                push_out(&mut lab, 3);
                let steps: &[Step] = match queued {
                    true => &[Step::Post(0, 1, at, size, moves), Step::Take(3, into)],
                    false => &[Step::Send(0, 3, at, into, size, moves)],
                };
                for step in steps {
                    run(&mut lab, step).unwrap();
                    lab.site.nucleus.check_memory();
                }
                agree(&mut lab, 3).unwrap();
                for object in [3, 0] {
                    push_out(&mut lab, object);
                }
                agree(&mut lab, 0).unwrap();
                // The sender's buffer is outside when it is sent from.
                push_out(&mut lab, 3);
                run(&mut lab, &Step::Send(3, 0, into, at, size, moves)).unwrap();
                agree(&mut lab, 0).unwrap();
                finish(lab).unwrap();
            }
        }
    }
}
