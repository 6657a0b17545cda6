//! The straight way of a first touch against the way that does everything.

use super::memory_scene::{BASE, PAGE};
use super::site::Site;
use crate::machine::Machine;
use crate::memory::Fault;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

/// An actor with a thread, on a site of two processors.
struct Lab {
    site: Site,
    actor: crate::arena::Id<crate::executive::actor::Actor>,
    thread: crate::arena::Id<crate::executive::thread::Thread>,
}

impl Lab {
    fn new() -> Lab {
        let mut site = Site::new(2);
        let actor = site.actor(K_SYSTEMACTOR, 140);
        let thread = site.thread(actor);
        for page in 0..16 {
            site.put(actor, page * PAGE, &0u64);
        }
        Lab {
            site,
            actor,
            thread,
        }
    }

    fn region(&mut self, start: u64, pages: u64, options: u32) -> i32 {
        let desc = KnRgnDesc {
            start_addr: start,
            size: pages * PAGE,
            options,
            ..KnRgnDesc::default()
        };
        let desc = self.site.put(self.actor, 0x100, &desc);
        let made = self.site.call(self.thread, "rgnAllocate", &[0, desc]);
        made.unwrap()
    }

    fn copy(&mut self, from: u64, to: u64, pages: u64, name: &str) -> i32 {
        let mut desc = |place: u64, start: u64, options: u32| {
            let desc = KnRgnDesc {
                start_addr: start,
                size: pages * PAGE,
                options,
                ..KnRgnDesc::default()
            };
            self.site.put(self.actor, place, &desc)
        };
        let arguments = [0, desc(0x100, to, K_WRITABLE), 0, desc(0x200, from, 0)];
        self.site.call(self.thread, name, &arguments).unwrap()
    }

    fn touch(&mut self, address: u64, write: bool, straight: bool) -> Option<Fault> {
        let cpu = self.site.cpu_of(self.thread).expect("it runs");
        let nucleus = &mut self.site.nucleus;
        let space = nucleus.actors.get(self.actor).unwrap().space;
        // The processor would not have faulted.
        let there = nucleus.machine.translate(space, address);
        if there.is_some_and(|(_, allowed)| allowed.write || !write) {
            return None;
        }
        let fault = match straight && there.is_none() && nucleus.first_touch(cpu, address) {
            true => Fault::Resolved,
            false => nucleus.fault(cpu, address, write, false, true),
        };
        nucleus.check_memory();
        Some(fault)
    }

    fn end(mut self) {
        self.site.end();
        let (free, total) = self.site.nucleus.machine.frames();
        assert_eq!(free, total, "frames are lost");
    }
}

#[test]
fn the_straight_way_is_taken_for_plain_memory_only() {
    let mut lab = Lab::new();
    assert_eq!(lab.region(BASE, 4, K_WRITABLE), K_OK);
    assert_eq!(lab.region(2 * BASE, 4, 0), K_OK);
    assert_eq!(lab.region(3 * BASE, 4, K_RESERVED | K_WRITABLE), K_OK);
    let cpu = lab.site.cpu_of(lab.thread).unwrap();
    let straight = |lab: &mut Lab, at: u64| lab.site.nucleus.first_touch(cpu, at);
    // No page of the region was touched yet.
    assert!(!straight(&mut lab, BASE));
    assert_eq!(lab.touch(BASE, true, false), Some(Fault::Resolved));
    let faults = lab.site.nucleus.counters.faults;
    assert!(straight(&mut lab, BASE + PAGE + 8));
    assert_eq!(lab.site.nucleus.counters.faults, faults + 1);
    lab.site.nucleus.check_memory();
    // It is there; or behind the end; or may not be stored into; or has no memory.
    assert!(!straight(&mut lab, BASE + PAGE));
    assert!(!straight(&mut lab, BASE + 4 * PAGE));
    assert!(!straight(&mut lab, BASE - 1));
    lab.touch(2 * BASE, false, false);
    assert!(!straight(&mut lab, 2 * BASE + PAGE));
    lab.touch(3 * BASE, false, false);
    assert!(!straight(&mut lab, 3 * BASE + PAGE));
    // Copied from, and a copy.
    assert_eq!(lab.copy(BASE, 4 * BASE, 4, "rgnInitFromActor"), K_OK);
    for region in [BASE, 4 * BASE] {
        lab.touch(region, true, false);
        assert!(!straight(&mut lab, region + 2 * PAGE));
    }
    // Without memory nothing happens.
    assert_eq!(lab.region(5 * BASE, 4, K_WRITABLE), K_OK);
    lab.touch(5 * BASE, true, false);
    let hoard = lab.site.hoard(0);
    assert!(!straight(&mut lab, 5 * BASE + PAGE));
    assert_eq!(
        lab.touch(5 * BASE + PAGE, true, true),
        Some(Fault::Exception(9))
    );
    lab.site.give_back(hoard);
    lab.site.nucleus.machine.short = true;
    let free = lab.site.nucleus.machine.frames().0;
    assert!(!straight(&mut lab, 5 * BASE + PAGE));
    assert_eq!(lab.site.nucleus.machine.frames().0, free);
    lab.site.nucleus.machine.short = false;
    assert!(straight(&mut lab, 5 * BASE + PAGE));
    // A region that has gone is not remembered, nor is the actor's other memory.
    let desc = KnRgnDesc {
        start_addr: 5 * BASE,
        size: 4 * PAGE,
        ..KnRgnDesc::default()
    };
    let desc = lab.site.put(lab.actor, 0x100, &desc);
    lab.site.call(lab.thread, "rgnFree", &[0, desc]);
    assert!(!straight(&mut lab, 5 * BASE + 2 * PAGE));
    lab.end();
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Make(u64),
    Free(u64, u64, u64),
    Copy(u64, u64),
    Share(u64, u64),
    Touch(u64, u64, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let place = || 0..4u64;
    prop_oneof![
        2 => place().prop_map(Step::Make),
        1 => (place(), 0..6u64, 1..6u64).prop_map(|(at, from, pages)| Step::Free(at, from, pages)),
        1 => (place(), place()).prop_map(|(from, to)| Step::Copy(from, to)),
        1 => (place(), place()).prop_map(|(from, to)| Step::Share(from, to)),
        4 => (place(), 0..6u64, any::<bool>()).prop_map(|(at, page, write)| Step::Touch(at, page, write)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two sites do the same, one of them by the straight way where it can: they come to the same.
    #[test]
    fn both_ways_come_to_the_same(steps in proptest::collection::vec(step(), 1..50)) {
        let mut labs = [Lab::new(), Lab::new()];
        let at = |place: u64| BASE * (place + 1);
        for step in steps {
            let mut outcomes = alloc::vec::Vec::new();
            for (index, lab) in labs.iter_mut().enumerate() {
                let outcome = match step {
                    Step::Make(place) => (lab.region(at(place), 6, K_WRITABLE), None),
                    Step::Free(place, from, pages) => {
                        let desc = KnRgnDesc { start_addr: at(place) + from * PAGE, size: pages * PAGE, ..KnRgnDesc::default() };
                        let desc = lab.site.put(lab.actor, 0x100, &desc);
                        (lab.site.call(lab.thread, "rgnFree", &[0, desc]).unwrap(), None)
                    }
                    Step::Copy(from, to) => (lab.copy(at(from), at(to), 6, "rgnInitFromActor"), None),
                    Step::Share(from, to) => (lab.copy(at(from), at(to), 6, "rgnMapFromActor"), None),
                    Step::Touch(place, page, write) => (0, lab.touch(at(place) + page * PAGE, write, index == 1)),
                };
                let pages = lab.site.nucleus.actors.get(lab.actor).unwrap().pages;
                let faults = lab.site.nucleus.counters.faults;
                let free = lab.site.nucleus.machine.frames().0;
                outcomes.push((outcome, pages, faults, free));
            }
            prop_assert_eq!(outcomes[0], outcomes[1], "{:?}", step);
        }
        for lab in labs {
            lab.end();
        }
    }
}
