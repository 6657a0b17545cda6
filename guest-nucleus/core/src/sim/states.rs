//! The state bits of threads against the transition table (spec 2.3): they are independent, and a thread runs when only ACTIVE is set.

use super::site::Site;
use crate::arena::Id;
use crate::executive::thread::{Thread, local_identifier};
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

/// The bits of a thread as the table has them.
#[derive(Clone, Copy, Default, Debug)]
struct Bits {
    active: bool,
    suspended: u32,
    stopped: bool,
    waiting: bool,
    aborted: bool,
}

impl Bits {
    fn state(&self) -> u32 {
        let bit = |set: bool, bit: u32| if set { bit } else { 0 };
        bit(self.active, THREAD_ACTIVE)
            | bit(self.suspended > 0, THREAD_SUSPENDED)
            | bit(self.stopped, THREAD_STOPPED)
            | bit(self.waiting, THREAD_WAITING)
            | bit(self.aborted, THREAD_ABORTED)
    }

    fn runs(&self) -> bool {
        self.state() & !THREAD_ABORTED == THREAD_ACTIVE
    }
}

/// What is done to a thread, by a boss of another actor or by itself.
#[derive(Clone, Copy, Debug)]
enum Event {
    Activate,
    Suspend,
    Resume,
    Stop,
    Start,
    StopActor,
    StartActor,
    Abort,
    /// It waits for a semaphore, if it runs.
    Wait,
    /// It waits for a mutex that the boss has: a wait that is not abortable.
    WaitHard,
    /// What it waits for comes.
    Post,
    /// It takes up its abort mark, if it runs.
    Consume,
}

fn event() -> impl Strategy<Value = Event> {
    use Event::*;
    proptest::sample::select(alloc::vec![
        Activate, Suspend, Resume, Stop, Start, StopActor, StartActor, Abort, Wait, WaitHard, Post,
        Consume
    ])
}

proptest! {
    #[test]
    fn the_state_bits_follow_the_transition_table(
        inactive in any::<bool>(),
        in_stopped in any::<bool>(),
        events in proptest::collection::vec((0usize..2, event()), 0..80),
    ) {
        let mut site = Site::new(4);
        let (bosses, workers) = (site.actor(K_SYSTEMACTOR, 100), site.actor(K_SYSTEMACTOR, 140));
        let boss = site.thread(bosses);
        let cap = site.put_cap(bosses, workers);
        if in_stopped {
            site.call(boss, "actorStop", &[cap]);
        }
        let status = if inactive { K_INACTIVE } else { K_ACTIVE };
        let mut bits = [Bits { active: !inactive, stopped: in_stopped, ..Bits::default() }; 2];
        let threads: Vec<Id<Thread>> = (0..2)
            .map(|_| {
                let li = site.call(boss, "threadCreate", &[cap, 0, status as u64, 0, 0x1000, 0x2000]).unwrap();
                site.nucleus.threads.at((li & 0x1fff) as usize).unwrap()
            })
            .collect();
        // A semaphore and a mutex for each, in its own memory; the boss reaches them by a thread of that actor.
        let helper = site.nucleus.thread_make(workers, false, true, 0, crate::machine::Start {
            space: site.nucleus.actors.get(workers).unwrap().space, supervisor: false, entry: 0, stack: 0, argument: 0,
        }).unwrap();
        site.nucleus.threads.get_mut(helper).unwrap().stopped = false;
        site.nucleus.ready(helper);
        site.settle();
        let places = [0x700, 0x740].map(|offset| (site.at(workers, offset), site.at(workers, offset + 8)));
        for (_, mutex) in places {
                prop_assert_eq!(site.call(helper, "mutexGet", &[mutex]), Some(K_OK));
        }
        let mut hard = [false; 2];
        for (which, event) in events {
            let (thread, place) = (threads[which], places[which]);
            let li = local_identifier(thread) as u64;
            let bit = &mut bits[which];
            let runs = bit.runs();
            prop_assert_eq!(site.cpu_of(thread).is_some(), runs, "{:?}", bit);
            match event {
                Event::Activate => {
                    prop_assert_eq!(site.call(boss, "threadActivate", &[cap, li]), Some(K_OK));
                    bit.active = true;
                }
                Event::Suspend => {
                    site.call(boss, "threadSuspend", &[cap, li]);
                    prop_assert_eq!(site.result(boss), Some(K_OK));
                    bit.suspended += 1;
                }
                Event::Resume => {
                    prop_assert_eq!(site.call(boss, "threadResume", &[cap, li]), Some(K_OK));
                    bit.suspended = bit.suspended.saturating_sub(1);
                }
                Event::Stop => {
                    site.call(boss, "threadStop", &[cap, li]);
                    prop_assert_eq!(site.result(boss), Some(K_OK));
                    bit.stopped = true;
                }
                Event::Start => {
                    let expected = if bit.stopped { K_OK } else { K_EINVAL };
                    prop_assert_eq!(site.call(boss, "threadStart", &[cap, li]), Some(expected));
                    bit.stopped = false;
                }
                Event::StopActor => {
                    site.call(boss, "actorStop", &[cap]);
                    prop_assert_eq!(site.result(boss), Some(K_OK));
                    bits.iter_mut().for_each(|bit| bit.stopped = true);
                }
                Event::StartActor => {
                    prop_assert_eq!(site.call(boss, "actorStart", &[cap]), Some(K_OK));
                    bits.iter_mut().for_each(|bit| bit.stopped = false);
                }
                Event::Abort => {
                    prop_assert_eq!(site.call(boss, "threadAbort", &[cap, li]), Some(K_OK));
                    if bit.waiting && !hard[which] {
                        bit.waiting = false;
                        prop_assert_eq!(site.result(thread), Some(K_EABORT));
                    } else {
                        bit.aborted = true;
                    }
                }
                Event::Wait if runs => {
                    let result = site.call(thread, "semP", &[place.0, 0]);
                    prop_assert_eq!(result, bit.aborted.then_some(K_EABORT));
                    bit.waiting = !bit.aborted;
                    bit.aborted = false;
                    hard[which] = false;
                }
                Event::WaitHard if runs && site.cpu_of(helper).is_some() => {
                    let held: KnMutex = site.get(workers, place.1 - site.at(workers, 0));
                    let result = site.call(thread, "mutexGet", &[place.1]);
                    if held.locked == 0 {
                        prop_assert_eq!(result, Some(K_OK));
                    } else {
                        prop_assert_eq!(result, None);
                        bit.waiting = true;
                        hard[which] = true;
                    }
                }
                Event::Post if bit.waiting && site.cpu_of(helper).is_some() => {
                    let (call, place) = if hard[which] { ("mutexRel", place.1) } else { ("semV", place.0) };
                    prop_assert_eq!(site.call(helper, call, &[place]), Some(K_OK));
                    bit.waiting = false;
                    prop_assert_eq!(site.result(thread), Some(K_OK), "an event reaches a thread that is held");
                }
                Event::Consume if runs => {
                    prop_assert_eq!(site.call(thread, "threadAborted", &[]), Some(bit.aborted.into()));
                    bit.aborted = false;
                }
                _ => {}
            }
            for (&thread, bit) in threads.iter().zip(&bits) {
                prop_assert_eq!(site.stat(boss, thread).state, bit.state(), "after {:?}", event);
                prop_assert_eq!(site.stat(boss, thread).suspended, bit.suspended);
            }
        }
        site.end();
    }
}
