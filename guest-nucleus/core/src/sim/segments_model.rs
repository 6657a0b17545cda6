//! Any use of one segment by two actors, against what it should hold (SS-102).

use super::mapper_lab::{BASE, FINE, Lab, PAGE};
use crate::memory::Fault;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

/// Pages of the segment of the random operations.
const PAGES: usize = 6;
/// Where a copy of it is put.
const COPY: u64 = 0x400_0000;

/// The segment as it should be seen, as its mapper has it, and a copy.
struct Truth {
    now: [u64; PAGES],
    disk: [u64; PAGES],
    copy: Option<[u64; PAGES]>,
}

impl Lab {
    /// Answers all that is asked; stores are allowed at once if `write`.
    fn serve(&mut self, truth: &mut Truth, write: bool) {
        while let Some((request, body)) = self.request() {
            let page = (request.offset / PAGE) as usize;
            let access = K_READABLE | if write { K_WRITABLE } else { 0 };
            let reply = KnMpReply {
                access,
                offset: request.offset,
                size: PAGE,
                ..FINE
            };
            match request.service {
                KN_MPPULLIN => self.answer(reply, &[truth.disk[page]]),
                KN_MPPUSHOUT => {
                    truth.disk[page] = body;
                    self.answer(FINE, &[]);
                }
                _ => self.answer(
                    KnMpReply {
                        access: K_READABLE | K_WRITABLE,
                        ..FINE
                    },
                    &[],
                ),
            }
        }
    }

    /// An access that waits for the mapper as long as it must.
    fn reach(&mut self, truth: &mut Truth, user: usize, address: u64, write: bool) {
        for turn in 0..5 {
            match self.touch(user, address, write) {
                Fault::Resolved => return,
                Fault::Waits => self.serve(truth, turn % 2 == 0),
                Fault::Exception(number) => panic!("exception {number}"),
            }
        }
        panic!("it waits for ever");
    }

    /// A call that waits for the mapper as long as it must.
    fn finishes(&mut self, truth: &mut Truth, user: usize, name: &str, arguments: &[u64]) -> i32 {
        let result = self.call(user, name, arguments);
        self.serve(truth, true);
        result.or(self.site.result(self.threads[user])).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    /// SS-102: mapped access, explicit access, flushes and copies of one segment agree.
    #[test]
    fn ss_102_a_segment_is_one_for_all(
        at_once in prop_oneof![Just(8u32), 0u32..2],
        steps in proptest::collection::vec((0u8..10, 0usize..2, 0usize..PAGES, 1u64..u64::MAX), 1..60),
    ) {
        let mut lab = Lab::new();
        lab.site.nucleus.memory.going.at_once = at_once;
        let disk = [11, 12, 13, 14, 15, 16];
        let mut truth = Truth { now: disk, disk, copy: None };
        let places = [BASE, 2 * BASE];
        let mut mapped = [false; 2];
        for (what, user, page, value) in steps {
            let (offset, place) = (page as u64 * PAGE, places[user]);
            let word = lab.site.put(lab.users[user], 0x800, &value);
            match what {
                0 | 1 if mapped[user] => {
                    lab.reach(&mut truth, user, place + offset, false);
                    prop_assert_eq!(lab.load(user, place + offset), truth.now[page]);
                }
                2 | 3 if mapped[user] => {
                    lab.reach(&mut truth, user, place + offset, true);
                    lab.store(user, place + offset, value);
                    truth.now[page] = value;
                }
                0..=3 => {
                    prop_assert_eq!(lab.map(user, place, PAGES as u64, 0), K_OK);
                    mapped[user] = true;
                }
                4 => {
                    let part = lab.part(user, offset, 8);
                    let done = lab.finishes(&mut truth, user, "sgRead", &[part, 0, word, 0]);
                    prop_assert_eq!(done, 8);
                    let seen: u64 = lab.site.get(lab.users[user], 0x800);
                    prop_assert_eq!(seen, truth.now[page]);
                }
                5 => {
                    let part = lab.part(user, offset, 8);
                    let done = lab.finishes(&mut truth, user, "sgWrite", &[0, word, part, 0]);
                    prop_assert_eq!(done, 8);
                    truth.now[page] = value;
                }
                6 => {
                    let flags = [0, K_READABLE, K_NOACCESS][value as usize % 3];
                    let part = lab.part(1, 0, 0);
                    let done = lab.finishes(&mut truth, 1, "sgFlush", &[part, flags.into(), 0]);
                    prop_assert!(done == K_OK || done == K_EUNKNOWN);
                    prop_assert_eq!(truth.disk, truth.now);
                }
                7 if truth.copy.is_none() => {
                    let region = lab.region(0, COPY, PAGES as u64, K_WRITABLE);
                    let part = lab.part(0, 0, PAGES as u64 * PAGE);
                    let done = lab.finishes(&mut truth, 0, "rgnInit", &[0, region, part]);
                    prop_assert_eq!(done, K_OK);
                    truth.copy = Some(truth.now);
                }
                7 | 8 => {
                    if let Some(mut copy) = truth.copy {
                        let at = COPY + offset;
                        lab.reach(&mut truth, 0, at, value % 2 == 0);
                        prop_assert_eq!(lab.load(0, at), copy[page]);
                        if value % 2 == 0 {
                            lab.store(0, at, value);
                            copy[page] = value;
                            truth.copy = Some(copy);
                        }
                    }
                }
                _ if value % 2 == 0 => {
                    prop_assert_eq!(lab.free(0, COPY, PAGES as u64), K_OK);
                    truth.copy = None;
                    lab.serve(&mut truth, true);
                }
                _ => {
                    prop_assert_eq!(lab.free(user, place, PAGES as u64), K_OK);
                    mapped[user] = false;
                    lab.serve(&mut truth, true);
                }
            }
            lab.serve(&mut truth, true);
            lab.site.nucleus.check_memory();
        }
        for user in [0, 1] {
            lab.free(user, places[user], PAGES as u64);
        }
        lab.free(0, COPY, PAGES as u64);
        lab.serve(&mut truth, true);
        prop_assert_eq!(truth.disk, truth.now);
        lab.finish();
    }
}
