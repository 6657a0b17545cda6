//! Mappers whose queue is full, and data that go from cache to cache (`lcPushData`).

use super::mapper_lab::{BASE, FINE, Lab, PAGE};
use crate::arena::Id;
use crate::executive::actor::End;
use crate::executive::thread::{Thread, Wait};
use crate::memory::Fault;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;

/// Fills the mapper's queue.
fn fill(lab: &mut Lab) -> u32 {
    let empty = lab.site.put(lab.users[1], 0xa00, &KnMsgDesc::default());
    let target = lab.cap.ui;
    let dest = KnIpcDest {
        target,
        co_target: KnUniqueId::NULL,
    };
    let dest = lab.site.put(lab.users[1], 0xa80, &dest);
    let mut count = 0;
    while lab.call(1, "ipcSend", &[empty, 0, dest]) == Some(K_OK) {
        count += 1;
    }
    count
}

/// The mapper receives until its queue is empty; the requests among what it got, and after how many others.
fn drain(lab: &mut Lab) -> Vec<KnMpRequest> {
    let mut requests = Vec::new();
    lab.site.put(lab.mapper, 0x100, &[0u8; 64]);
    while let Some((request, _)) = lab.request() {
        if request.service != 0 {
            requests.push(request);
            let reply = KnMpReply {
                access: request.access,
                offset: request.offset,
                size: PAGE,
                ..KnMpReply::default()
            };
            lab.answer(reply, &[request.offset + 1]);
        }
        lab.site.put(lab.mapper, 0x100, &[0u8; 64]);
    }
    requests
}

fn waits(lab: &Lab, thread: Id<Thread>) -> bool {
    let wait = lab.site.nucleus.threads.get(thread).unwrap().wait;
    matches!(wait, Wait::Mapper(_))
}

#[test]
fn a_fault_waits_for_room_in_the_queue_of_a_mapper() {
    let mut lab = Lab::new();
    assert_eq!(lab.map(0, BASE, 2, 0), K_OK);
    assert_eq!(lab.map(1, BASE, 8, 0), K_OK);
    assert_eq!(fill(&mut lab) as usize, K_CPORTQUEUE);
    assert_eq!(lab.touch(0, BASE, false), Fault::Waits);
    let (part, to) = (lab.part(1, 3 * PAGE, 8), lab.site.at(lab.users[1], 0x800));
    assert_eq!(lab.call(1, "sgRead", &[part, 0, to, 0]), None);
    let threads = lab.threads;
    assert!(threads.iter().all(|&thread| waits(&lab, thread)));
    let got = drain(&mut lab);
    let offsets: Vec<u64> = got.iter().map(|request| request.offset).collect();
    assert_eq!(offsets, [0, 3 * PAGE], "each is asked for once");
    assert_eq!(lab.touch(0, BASE, false), Fault::Resolved);
    assert_eq!(lab.load(0, BASE), 1);
    assert_eq!(lab.site.result(lab.threads[1]), Some(8));
    lab.finish();
}

#[test]
fn nc_250_a_mapper_that_goes_ends_the_wait_for_room() {
    for deleted in [true, false] {
        let mut lab = Lab::new();
        lab.map(0, BASE, 2, 0);
        fill(&mut lab);
        assert_eq!(lab.touch(0, BASE, false), Fault::Waits);
        match deleted {
            true => {
                let mapper = lab.mapper;
                lab.site.nucleus.kill_actor(mapper, End::default());
            }
            false => {
                let port = lab.site.nucleus.actors.get(lab.mapper).unwrap().first_port;
                lab.site.nucleus.port_remove(port.unwrap());
            }
        }
        lab.site.settle();
        assert!(!waits(&lab, lab.threads[0]));
        assert_eq!(lab.touch(0, BASE, false), Fault::Exception(9));
        lab.finish();
    }
}

#[test]
fn a_thread_that_goes_leaves_its_wait_for_room() {
    let mut lab = Lab::new();
    lab.map(0, BASE, 2, 0);
    fill(&mut lab);
    assert_eq!(lab.touch(0, BASE, false), Fault::Waits);
    lab.site.nucleus.kill_actor(lab.users[0], End::default());
    lab.site.settle();
    // Nobody minds the answer.
    drain(&mut lab);
    lab.finish();
}

#[test]
fn what_was_stored_is_not_lost_when_the_mapper_has_no_room() {
    let mut lab = Lab::new();
    lab.map(0, BASE, 1, 0);
    assert_eq!(lab.touch(0, BASE, true), Fault::Waits);
    lab.give(1);
    assert_eq!(lab.touch(0, BASE, true), Fault::Resolved);
    lab.store(0, BASE, 5);
    fill(&mut lab);
    let part = lab.part(1, 0, 0);
    let asynchronous = u64::from(K_ASYNC);
    for _ in 0..2 {
        let flushed = lab.call(1, "sgFlush", &[part, asynchronous, 0]);
        assert_eq!(flushed, Some(K_OK));
    }
    // The last region goes: the page has to be pushed out first.
    assert_eq!(lab.free(0, BASE, 1), K_OK);
    let mut pushed = 0;
    while let Some((request, word)) = lab.request() {
        if request.service == KN_MPPUSHOUT {
            assert_eq!(word, 5);
            pushed += 1;
            lab.answer(FINE, &[]);
        }
        lab.site.put(lab.mapper, 0x100, &[0u8; 64]);
    }
    assert_eq!(pushed, 1);
    lab.finish();
}

/// Two segments, shown to user 0: of the first a page with 5 in it is here, stored into or not; a page of the second is asked for.
struct Pair {
    lab: Lab,
    source: KnCap,
    request: KnMpRequest,
}

const OTHER: u64 = BASE + 8 * PAGE;

impl Pair {
    fn new(stored: bool) -> Pair {
        let mut lab = Lab::new();
        lab.map(0, BASE, 2, 0);
        assert_eq!(lab.touch(0, BASE, stored), Fault::Waits);
        let (request, _) = lab.expect(KN_MPPULLIN);
        let source = request.lc_cap;
        let reply = KnMpReply {
            access: request.access,
            size: PAGE,
            ..KnMpReply::default()
        };
        lab.answer(reply, &[5]);
        assert_eq!(lab.touch(0, BASE, stored), Fault::Resolved);
        if stored {
            lab.store(0, BASE, 6);
        }
        lab.cap.key = 78;
        lab.map(0, OTHER, 2, 4 * PAGE);
        assert_eq!(lab.touch(0, OTHER, false), Fault::Waits);
        let (request, _) = lab.request().unwrap();
        assert_eq!((request.seg_key, request.offset), (78, 4 * PAGE));
        Pair {
            lab,
            source,
            request,
        }
    }

    fn push_with(
        &mut self,
        from: KnObjDesc,
        to: KnObjDesc,
        flags: (u32, u32),
        id: u64,
        order: u64,
    ) -> i32 {
        let from = self.lab.site.put(self.lab.users[1], 0xb00, &from);
        let to = self.lab.site.put(self.lab.users[1], 0xb80, &to);
        let arguments = [from, flags.0.into(), to, flags.1.into(), id, order];
        let result = self.lab.call(1, "lcPushData", &arguments).unwrap();
        self.lab.site.settle();
        result
    }

    fn parts(&self) -> (KnObjDesc, KnObjDesc) {
        let part = |data_object, start_offset| KnObjDesc {
            data_object,
            start_offset,
            size: PAGE,
        };
        (part(self.source, 0), part(self.request.lc_cap, 4 * PAGE))
    }

    fn push(&mut self, flags: (u32, u32)) -> i32 {
        let (from, to) = self.parts();
        self.push_with(from, to, flags, self.request.id, 0)
    }

    fn dirty(&mut self, key: u64) -> u64 {
        let cap = KnCap {
            key,
            ..self.lab.cap
        };
        let cap = self.lab.site.put(self.lab.users[1], 0xc00, &cap);
        let at = self.lab.site.at(self.lab.users[1], 0xc80);
        assert_eq!(self.lab.call(1, "sgStat", &[cap, at]), Some(K_OK));
        self.lab
            .site
            .get::<KnLcStat>(self.lab.users[1], 0xc80)
            .dirty
    }

    /// The mapper takes what is pushed out until nothing is left.
    fn finish(mut self) {
        for (start, pages) in [(BASE, 2), (OTHER, 2)] {
            self.lab.free(0, start, pages);
        }
        while let Some((request, _)) = self.lab.request() {
            assert_eq!(request.service, KN_MPPUSHOUT);
            self.lab.answer(FINE, &[]);
        }
        self.lab.finish();
    }
}

#[test]
fn pages_pushed_by_lc_push_data_answer_the_pull_in() {
    for (stored, left) in [
        (false, 0),
        (true, 0),
        (false, K_READABLE),
        (true, K_READABLE),
        (false, K_NOACCESS),
        (true, K_NOACCESS),
    ] {
        let mut pair = Pair::new(stored);
        let word = if stored { 6 } else { 5 };
        let copied = pair.lab.site.nucleus.counters.copied;
        assert_eq!(pair.push((left, K_READABLE | K_PAGEFAULT)), K_OK);
        let bytes = if left == K_NOACCESS { 0 } else { PAGE };
        assert_eq!(pair.lab.site.nucleus.counters.copied - copied, bytes);
        assert_eq!(pair.lab.touch(0, OTHER, false), Fault::Resolved);
        assert_eq!(pair.lab.load(0, OTHER), word);
        pair.lab.site.nucleus.check_memory();
        // The mapper's own answer comes too late.
        let (access, offset) = (K_READABLE, 4 * PAGE);
        let late = KnMpReply {
            access,
            offset,
            size: PAGE,
            ..KnMpReply::default()
        };
        pair.lab.answer(late, &[99]);
        assert_eq!(pair.lab.load(0, OTHER), word);
        let dirty = if stored { PAGE } else { 0 };
        let (of_source, of_target) = match left {
            K_NOACCESS => (0, dirty),
            _ => (dirty, 0),
        };
        assert_eq!((pair.dirty(77), pair.dirty(78)), (of_source, of_target));
        if left == K_NOACCESS {
            // The source has to ask again.
            assert_eq!(pair.lab.touch(0, BASE, false), Fault::Waits);
            let (request, _) = pair.lab.expect(KN_MPPULLIN);
            assert_eq!(request.offset, 0);
            let size = PAGE;
            pair.lab.answer(KnMpReply { size, ..FINE }, &[7]);
        } else if stored {
            let touched = pair.lab.touch(0, BASE, true);
            let asks = if left == 0 {
                Fault::Resolved
            } else {
                Fault::Waits
            };
            assert_eq!(touched, asks);
            if asks == Fault::Waits {
                pair.lab.expect(KN_MPGETACCESS);
                let access = K_READABLE | K_WRITABLE;
                pair.lab.answer(KnMpReply { access, ..FINE }, &[]);
            }
        }
        pair.finish();
    }
}

#[test]
fn lc_push_data_grants_stores_if_it_says_so() {
    let mut pair = Pair::new(false);
    assert_eq!(pair.push((K_NOACCESS, K_WRITABLE | K_PAGEFAULT)), K_OK);
    assert_eq!(pair.lab.touch(0, OTHER, true), Fault::Resolved);
    pair.lab.store(0, OTHER, 8);
    assert_eq!(pair.lab.load(0, OTHER), 8);
    pair.finish();
}

#[test]
fn lc_push_data_that_comes_too_late_does_nothing() {
    let mut pair = Pair::new(false);
    let (from, to) = pair.parts();
    let id = pair.request.id;
    let flags = (K_ORDERED | K_NOACCESS, 0);
    let part = pair.lab.site.put(pair.lab.users[1], 0xb00, &from);
    let arguments = [part, u64::from(K_READABLE), u64::from(K_ORDERED), 9];
    assert_eq!(pair.lab.call(1, "lcSetRights", &arguments), Some(K_OK));
    assert_eq!(pair.push_with(from, to, flags, id, 9), K_OK);
    assert!(waits(&pair.lab, pair.lab.threads[0]));
    assert_eq!(pair.push_with(from, to, flags, id, 10), K_OK);
    assert!(!waits(&pair.lab, pair.lab.threads[0]));
    pair.finish();
}

#[test]
fn lc_push_data_without_memory_changes_nothing() {
    let mut pair = Pair::new(true);
    let hoard = pair.lab.site.hoard(0);
    assert_eq!(pair.push((0, 0)), K_ENOMEM);
    assert!(waits(&pair.lab, pair.lab.threads[0]));
    // Giving takes none.
    assert_eq!(pair.push((K_NOACCESS, 0)), K_OK);
    pair.lab.site.give_back(hoard);
    assert_eq!(pair.lab.touch(0, OTHER, false), Fault::Resolved);
    assert_eq!(pair.lab.load(0, OTHER), 6);
    pair.finish();
}

#[test]
fn errors_of_lc_push_data() {
    let mut pair = Pair::new(false);
    let (from, to) = pair.parts();
    let id = pair.request.id;
    let nobody = KnCap {
        key: 1,
        ..pair.source
    };
    let part = |data_object, start_offset, size| KnObjDesc {
        data_object,
        start_offset,
        size,
    };
    let (source, target) = (from.data_object, to.data_object);
    let cases = [
        (part(nobody, 0, PAGE), to, (0, 0), id, K_EUNKNOWN),
        (from, part(nobody, 4 * PAGE, PAGE), (0, 0), id, K_EUNKNOWN),
        (part(source, 8, PAGE), to, (0, 0), id, K_EROUND),
        (from, part(target, 4 * PAGE, 100), (0, 0), id, K_EROUND),
        (from, to, (K_READABLE | K_NOACCESS, 0), id, K_EINVAL),
        (from, to, (K_DISCARD, 0), id, K_EINVAL),
        (from, to, (0, K_NOACCESS), id, K_EINVAL),
        (from, to, (0, 0), id + 1, K_EINVAL),
        (from, to, (0, 0), 0, K_EINVAL),
        (part(source, PAGE, PAGE), to, (0, 0), id, K_EINVAL),
        (
            part(source, 0, 0),
            part(target, 4 * PAGE, 0),
            (0, 0),
            id,
            K_EINVAL,
        ),
        (part(source, 0, 2 * PAGE), to, (0, 0), id, K_EINVAL),
        (from, part(target, 5 * PAGE, PAGE), (0, 0), id, K_EINVAL),
        (from, part(source, 0, PAGE), (0, 0), id, K_EINVAL),
    ];
    for (from, to, flags, id, error) in cases {
        assert_eq!(
            pair.push_with(from, to, flags, id, 0),
            error,
            "{from:?} {to:?} {flags:?}"
        );
        assert!(waits(&pair.lab, pair.lab.threads[0]));
    }
    // A user actor may not, and pointers are checked.
    assert_eq!(
        pair.lab.call(1, "lcPushData", &[8, 0, 8, 0, 0, 0]),
        Some(K_EFAULT)
    );
    let user = pair.lab.site.thread(pair.lab.users[0]);
    assert_eq!(
        pair.lab.site.call(user, "lcPushData", &[8, 0, 8, 0, 0, 0]),
        Some(K_EPRIV)
    );
    assert_eq!(pair.push((0, 0)), K_OK);
    // Answered is answered.
    assert_eq!(pair.push((0, 0)), K_EINVAL);
    pair.finish();
}
