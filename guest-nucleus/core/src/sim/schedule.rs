//! Who runs: against the rule that on k processors the k most urgent runnable threads run (spec 5, NC-043, NC-044).

use super::site::Site;
use crate::arena::Id;
use crate::executive::thread::Thread;
use alloc::vec::Vec;
use chorus_abi::*;
use proptest::prelude::*;

/// The priorities of the threads that run and of those that could, sorted: the first must be the best of both.
fn check(site: &Site, threads: &[Id<Thread>], cpus: usize) {
    let nucleus = &site.nucleus;
    let able: Vec<Id<Thread>> = threads
        .iter()
        .copied()
        .filter(|&id| nucleus.runnable(id))
        .collect();
    let mut all: Vec<i32> = able.iter().map(|&id| nucleus.absolute(id)).collect();
    let mut running: Vec<i32> = able
        .iter()
        .filter(|&&id| site.cpu_of(id).is_some())
        .map(|&id| nucleus.absolute(id))
        .collect();
    all.sort_unstable();
    running.sort_unstable();
    all.truncate(cpus);
    assert_eq!(running, all, "running, and those that should run");
}

#[test]
fn nc_043_of_two_threads_on_one_processor_the_more_urgent_runs() {
    let mut site = Site::new(1);
    let (low, high) = (
        site.actor(K_SYSTEMACTOR, 150),
        site.actor(K_SYSTEMACTOR, 140),
    );
    let slow = site.thread(low);
    assert!(site.cpu_of(slow).is_some());
    let fast = site.thread(high);
    assert!(site.cpu_of(fast).is_some() && site.cpu_of(slow).is_none());
    site.end();
}

#[test]
fn equals_of_the_sliced_band_take_turns() {
    let mut site = Site::new(1);
    let actor = site.actor(K_SYSTEMACTOR, 150);
    let (one, two) = (site.thread(actor), site.thread(actor));
    assert!(site.cpu_of(one).is_some());
    site.pass(K_RR_QUANTUM_NS + 1);
    assert!(site.cpu_of(two).is_some() && site.cpu_of(one).is_none());
    site.pass(K_RR_QUANTUM_NS + 1);
    assert!(site.cpu_of(one).is_some());
    site.end();
}

#[test]
fn nc_259_equals_of_the_other_band_do_not_take_turns() {
    let mut site = Site::new(1);
    let actor = site.actor(K_SYSTEMACTOR, 60);
    let (one, two) = (site.thread(actor), site.thread(actor));
    site.pass(50 * K_RR_QUANTUM_NS);
    assert!(site.cpu_of(one).is_some() && site.cpu_of(two).is_none());
    // It gives way when it blocks, and comes back behind the other.
    let zero = site.put(actor, 0, &KnTimeVal::default());
    site.call(one, "threadDelay", &[zero]);
    assert!(site.cpu_of(two).is_some());
    site.end();
}

#[test]
fn nc_260_equals_of_the_sliced_band_share_the_processor() {
    let mut site = Site::new(1);
    let actor = site.actor(K_SYSTEMACTOR, 200);
    let threads = [site.thread(actor), site.thread(actor)];
    for _ in 0..500 {
        site.pass(10_000_000);
    }
    site.settle();
    let times = threads.map(|id| site.nucleus.cpu_time(id));
    let all: u64 = 5_000_000_000;
    for time in times {
        assert!(time.abs_diff(all / 2) <= all / 20, "{times:?}");
    }
    site.end();
}

#[test]
fn nc_261_and_262_a_preempted_thread_runs_before_its_equals() {
    let mut site = Site::new(1);
    let (urgent, busy) = (site.actor(K_SYSTEMACTOR, 50), site.actor(K_SYSTEMACTOR, 51));
    let sleeper = site.thread(urgent);
    let limit = site.put(urgent, 0, &KnTimeVal::from_ns(1_000_000));
    assert_eq!(site.call(sleeper, "threadDelay", &[limit]), None);
    let (one, two) = (site.thread(busy), site.thread(busy));
    assert!(site.cpu_of(one).is_some());
    site.pass(1_000_000);
    assert!(site.cpu_of(sleeper).is_some(), "at once");
    site.call(sleeper, "threadDelay", &[limit]);
    assert!(site.cpu_of(one).is_some() && site.cpu_of(two).is_none());
    site.end();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nc_044_the_most_urgent_threads_run(
        cpus in 1usize..4,
        priorities in proptest::collection::vec(100i32..200, 1..8),
        steps in proptest::collection::vec((0usize..8, 0u8..4, 0i32..120), 0..60),
    ) {
        let mut site = Site::new(cpus);
        let manager = site.actor(K_SYSTEMACTOR, 0);
        let threads: Vec<Id<Thread>> = priorities
            .iter()
            .map(|&priority| {
                let actor = site.actor(K_SYSTEMACTOR, priority);
                site.thread(actor)
            })
            .collect();
        check(&site, &threads, cpus);
        for (which, what, value) in steps {
            // The manager appears, does one thing to a thread, and goes.
            let boss = site.thread(manager);
            let target = threads[which % threads.len()];
            let home = site.nucleus.threads.get(target).map(|thread| thread.actor);
            let Some(home) = home else { continue };
            let cap = site.nucleus.actors.get(home).unwrap().cap;
            let at = site.put(manager, 0, &cap);
            let li = crate::executive::thread::local_identifier(target) as u64;
            match what {
                0 => drop(site.call(boss, "threadSuspend", &[at, li])),
                1 => drop(site.call(boss, "threadResume", &[at, li])),
                2 => {
                    let new = site.put(manager, 64, &(100 + value));
                    site.call(boss, "actorPriority", &[at, 0, new]);
                }
                _ => drop(site.call(boss, if value % 2 == 0 { "actorStop" } else { "actorStart" }, &[at])),
            }
            site.nucleus.entered = None;
            site.nucleus.kill_thread(boss);
            site.settle();
            check(&site, &threads, cpus);
        }
        site.end();
    }
}
