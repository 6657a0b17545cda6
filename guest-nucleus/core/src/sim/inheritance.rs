//! Real-time mutexes against the reference (NC-084, NC-085) and a model of owners and waiters.

use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, Wait, local_identifier};
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

/// A thread with a priority relative to its actor's.
fn thread(site: &mut Site, actor: Id<Actor>, relative: i32) -> Id<Thread> {
    let id = site.thread(actor);
    site.nucleus.threads.get_mut(id).unwrap().relative = relative;
    id
}

/// Threads of one actor of priority 140 with these relative priorities, each on a processor of its own.
fn threads<const N: usize>(relative: [i32; N]) -> (Site, Id<Actor>, [Id<Thread>; N]) {
    let mut site = Site::new(N);
    let actor = site.actor(K_SYSTEMACTOR, 140);
    let threads = relative.map(|relative| thread(&mut site, actor, relative));
    (site, actor, threads)
}

#[test]
fn nc_084_the_owner_runs_at_the_priority_of_a_more_urgent_waiter_and_falls_back() {
    let (mut site, actor, [low, high, watch]) = threads([10, -20, 0]);
    let mutex = site.at(actor, 0x700);
    assert_eq!(site.call(low, "rtMutexInit", &[mutex]), Some(K_OK));
    assert_eq!(site.call(low, "rtMutexGet", &[mutex]), Some(K_OK));
    assert_eq!(site.call(high, "rtMutexTry", &[mutex]), Some(1));
    assert_eq!(
        site.call(high, "rtMutexRel", &[mutex]),
        Some(K_EINVAL),
        "not its own"
    );
    assert_eq!(
        site.call(low, "rtMutexGet", &[mutex]),
        Some(K_EINVAL),
        "it has it"
    );
    assert_eq!(site.call(high, "rtMutexGet", &[mutex]), None);
    assert_eq!(site.stat(watch, low).absolute, 120);
    // A change of the waiter's priority reaches the owner at once.
    let new = site.put(actor, 0x100, &-40);
    let li = local_identifier(high) as u64;
    assert_eq!(
        site.call(watch, "threadPriority", &[0, li, 0, new]),
        Some(K_OK)
    );
    assert_eq!(site.stat(watch, low).absolute, 100);
    assert_eq!(site.call(low, "rtMutexRel", &[mutex]), Some(K_OK));
    assert_eq!(site.stat(watch, low).absolute, 150);
    assert_eq!(site.result(high), Some(K_OK));
    assert_eq!(site.call(high, "rtMutexRel", &[mutex]), Some(K_OK));
    assert_eq!(
        site.call(low, "rtMutexRel", &[mutex]),
        Some(K_EINVAL),
        "it is free"
    );
    assert_eq!(site.call(low, "rtMutexTry", &[mutex]), Some(K_OK));
    assert_eq!(site.call(high, "rtMutexTry", &[0x10]), Some(K_EFAULT));
    assert_eq!(site.call(high, "rtMutexGet", &[mutex + 2]), Some(K_EINVAL));
    site.end();
}

#[test]
fn nc_085_inheritance_passes_through_a_chain_of_three_owners_and_a_circle_is_refused() {
    let (mut site, actor, [a, b, c, high]) = threads([40, 30, 20, -30]);
    let mutexes = [0x700, 0x710, 0x720].map(|offset| site.at(actor, offset));
    for (thread, mutex) in [a, b, c].into_iter().zip(mutexes) {
        assert_eq!(site.call(thread, "rtMutexGet", &[mutex]), Some(K_OK));
    }
    assert_eq!(site.call(b, "rtMutexGet", &[mutexes[0]]), None);
    assert_eq!(site.call(c, "rtMutexGet", &[mutexes[1]]), None);
    assert_eq!(site.nucleus.absolute(a), 160, "c's");
    assert_eq!(
        site.call(a, "rtMutexGet", &[mutexes[2]]),
        Some(K_EINVAL),
        "a circle"
    );
    assert_eq!(site.call(high, "rtMutexGet", &[mutexes[2]]), None);
    for thread in [a, b, c] {
        assert_eq!(site.nucleus.absolute(thread), 110);
    }
    assert_eq!(site.call(a, "rtMutexRel", &[mutexes[0]]), Some(K_OK));
    assert_eq!(
        (site.nucleus.absolute(a), site.nucleus.absolute(b)),
        (180, 110)
    );
    site.nucleus.entered = None;
    site.nucleus.kill_thread(high);
    site.settle();
    assert_eq!(
        (site.nucleus.absolute(b), site.nucleus.absolute(c)),
        (160, 160)
    );
    site.end();
}

#[test]
fn mutexes_of_a_thread_that_dies_pass_to_the_most_urgent_waiter() {
    let (mut site, actor, [owner, low, high, last]) = threads([0, 20, 10, 30]);
    let mutex = site.at(actor, 0x700);
    assert_eq!(site.call(owner, "rtMutexGet", &[mutex]), Some(K_OK));
    for waits in [low, high, last] {
        assert_eq!(site.call(waits, "rtMutexGet", &[mutex]), None);
    }
    assert_eq!(site.call(owner, "threadDelete", &[0, 0]), None);
    assert_eq!((site.result(low), site.result(high)), (None, Some(K_OK)));
    assert_eq!(site.call(high, "threadDelete", &[0, 0]), None);
    assert_eq!((site.result(low), site.result(last)), (Some(K_OK), None));
    assert_eq!(site.call(low, "rtMutexRel", &[mutex]), Some(K_OK));
    assert_eq!(site.result(last), Some(K_OK));
    // Nobody waits for it when its owner dies: it is free.
    assert_eq!(site.call(last, "threadDelete", &[0, 0]), None);
    assert_eq!(site.call(low, "rtMutexTry", &[mutex]), Some(K_OK));
    site.end();
}

#[test]
fn an_owner_that_was_not_written_by_the_nucleus_inherits_nothing() {
    let mut site = Site::new(2);
    let (other, own) = (site.actor(K_SYSTEMACTOR, 150), site.actor(K_USERACTOR, 120));
    let (stranger, caller) = (site.thread(other), site.thread(own));
    let forged = KnRtMutex {
        owner: local_identifier(stranger),
        pad: 0,
        seal: 1,
    };
    let mutex = site.put(own, 0x700, &forged);
    assert_eq!(
        site.call(caller, "rtMutexGet", &[mutex]),
        Some(K_OK),
        "it is free"
    );
    assert_eq!(site.nucleus.absolute(stranger), 150);
    site.end();
}

#[test]
fn a_page_that_is_freed_ends_waits_and_what_they_lent() {
    let (mut site, actor, [owner, waits, frees]) = threads([10, -20, 0]);
    let region = KnRgnDesc {
        start_addr: 0x80_0000,
        size: PAGE_SIZE,
        options: K_WRITABLE,
        ..KnRgnDesc::default()
    };
    let region = site.put(actor, 0x800, &region);
    assert_eq!(site.call(frees, "rgnAllocate", &[0, region]), Some(K_OK));
    assert_eq!(site.call(owner, "rtMutexGet", &[0x80_0000]), Some(K_OK));
    assert_eq!(site.call(waits, "rtMutexGet", &[0x80_0000]), None);
    assert_eq!(site.nucleus.absolute(owner), 120);
    assert_eq!(site.call(frees, "rgnFree", &[0, region]), Some(K_OK));
    assert_eq!(site.result(waits), Some(K_EFAULT));
    assert_eq!(site.nucleus.absolute(owner), 150);
    site.end();
}

/// The model: who has each mutex, and who waits for it in which order.
#[derive(Default, Clone)]
struct Model {
    owner: [Option<usize>; 3],
    queue: [Vec<usize>; 3],
}

impl Model {
    fn waits(&self, thread: usize) -> Option<usize> {
        (0..3).find(|&mutex| self.queue[mutex].contains(&thread))
    }

    /// By definition: the best of its own priority and those of all who wait for it, through any number of others.
    fn priority(&self, own: &[i32], thread: usize) -> i32 {
        let heirs = (0..3).filter(|&mutex| self.owner[mutex] == Some(thread));
        let lent = heirs.flat_map(|mutex| {
            self.queue[mutex]
                .iter()
                .map(|&heir| self.priority(own, heir))
        });
        lent.min().unwrap_or(256).min(own[thread])
    }

    fn circle(&self, mutex: usize, thread: usize) -> bool {
        let mut at = self.owner[mutex];
        while let Some(owner) = at {
            if owner == thread {
                return true;
            }
            at = self.waits(owner).and_then(|mutex| self.owner[mutex]);
        }
        false
    }

    fn pass(&mut self, own: &[i32], mutex: usize) -> Option<usize> {
        let best = self.queue[mutex]
            .iter()
            .copied()
            .min_by_key(|&thread| self.priority(own, thread));
        self.queue[mutex].retain(|&thread| Some(thread) != best);
        self.owner[mutex] = best;
        best
    }
}

proptest! {
    #[test]
    fn real_time_mutexes_are_owners_and_those_who_wait(
        priorities in proptest::collection::vec(100i32..200, 5),
        steps in proptest::collection::vec((0usize..5, 0u8..5, 0usize..3, 100i32..200), 0..120),
    ) {
        let mut site = Site::new(6);
        let actor = site.actor(K_SYSTEMACTOR, 0);
        let boss = site.thread(actor);
        let mut own = priorities;
        let threads: Vec<Id<Thread>> = own.iter().map(|&priority| thread(&mut site, actor, priority)).collect();
        let mutexes = [0x700, 0x710, 0x720].map(|offset| site.at(actor, offset));
        let mut model = Model::default();
        let mut alive = [true; 5];
        for (which, what, mutex, priority) in steps {
            if !alive[which] {
                continue;
            }
            let (id, at) = (threads[which], mutexes[mutex]);
            let li = local_identifier(id) as u64;
            let waits = model.waits(which).is_some();
            match what {
                0 if !waits => {
                    let result = site.call(id, "rtMutexGet", &[at]);
                    if model.owner[mutex].is_none() {
                        prop_assert_eq!(result, Some(K_OK));
                        model.owner[mutex] = Some(which);
                    } else if model.circle(mutex, which) {
                        prop_assert_eq!(result, Some(K_EINVAL));
                    } else {
                        prop_assert_eq!(result, None);
                        model.queue[mutex].push(which);
                    }
                }
                1 if !waits => {
                    let result = site.call(id, "rtMutexRel", &[at]);
                    let has = model.owner[mutex] == Some(which);
                    prop_assert_eq!(result, Some(if has { K_OK } else { K_EINVAL }));
                    if has && let Some(next) = model.pass(&own, mutex) {
                        prop_assert_eq!(site.result(threads[next]), Some(K_OK));
                    }
                }
                2 => {
                    let new = site.put(actor, 0x100, &priority);
                    prop_assert_eq!(site.call(boss, "threadPriority", &[0, li, 0, new]), Some(K_OK));
                    own[which] = priority;
                }
                3 if !waits => {
                    let free = model.owner[mutex].is_none();
                    prop_assert_eq!(site.call(id, "rtMutexTry", &[at]), Some(if free { K_OK } else { 1 }));
                    if free {
                        model.owner[mutex] = Some(which);
                    }
                }
                4 if priority < 110 => {
                    site.call(boss, "threadDelete", &[0, li]);
                    alive[which] = false;
                    model.queue.iter_mut().for_each(|queue| queue.retain(|&thread| thread != which));
                    // Which of its mutexes passes first may matter for who is the most urgent: the Nucleus goes by who waits.
                    for mutex in 0..3 {
                        if model.owner[mutex] != Some(which) {
                            continue;
                        }
                        let word: KnRtMutex = site.get(actor, 0x700 + 0x10 * mutex as u64);
                        let next = threads.iter().position(|&id| local_identifier(id) == word.owner);
                        let next = next.filter(|&next| model.queue[mutex].contains(&next));
                        prop_assert_eq!(next.is_some(), !model.queue[mutex].is_empty());
                        model.owner[mutex] = next;
                        model.queue[mutex].retain(|&thread| Some(thread) != next);
                    }
                }
                _ => {}
            }
            for (index, &id) in threads.iter().enumerate().filter(|&(index, _)| alive[index]) {
                prop_assert_eq!(site.nucleus.absolute(id), model.priority(&own, index), "thread {}", index);
                let waiting = site.nucleus.threads.get(id).unwrap().wait != Wait::None;
                prop_assert_eq!(waiting, model.waits(index).is_some());
            }
        }
        site.end();
    }
}
