//! Processors and scheduling classes (spec 5.2, 5.3; `threadBind`, `threadScheduler`).

use super::site::Site;
use crate::arena::Id;
use crate::executive::thread::{Thread, local_identifier};
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

#[test]
fn a_bound_thread_runs_on_its_processor_only() {
    let mut site = Site::new(3);
    let actor = site.actor(K_SYSTEMACTOR, 140);
    let (boss, bound) = (site.thread(actor), site.thread(actor));
    let li = local_identifier(bound) as u64;
    let old = site.put(actor, 0x110, &7);
    for cpu in [2, 0, 1, 2] {
        let new = site.put(actor, 0x100, &cpu);
        site.call(boss, "threadBind", &[0, li, old, new]);
        assert_eq!(site.result(boss), Some(K_OK));
        // Where the boss is, of the same priority, it waits for its turn.
        let on = site.cpu_of(bound);
        let taken = site.cpu_of(boss) == Some(cpu as usize);
        assert_eq!(on, (!taken).then_some(cpu as usize));
    }
    assert_eq!(site.get::<i32>(actor, 0x110), 1, "the one before");
    for bad in [3, -2] {
        let new = site.put(actor, 0x100, &bad);
        assert_eq!(
            site.call(boss, "threadBind", &[0, li, 0, new]),
            Some(K_EINVAL)
        );
    }
    // The caller itself goes over.
    let on = site.cpu_of(boss).unwrap();
    let to = (0..3).find(|&cpu| cpu != on && cpu != 2).unwrap();
    let new = site.put(actor, 0x100, &(to as i32));
    assert_eq!(site.call(boss, "threadBind", &[0, 0, 0, new]), Some(K_OK));
    assert_eq!(site.cpu_of(boss), Some(to));
    let new = site.put(actor, 0x100, &K_ANYCPU);
    assert_eq!(
        site.call(boss, "threadBind", &[0, li, old, new]),
        Some(K_OK)
    );
    assert_eq!(site.call(boss, "threadBind", &[0, li, old, 0]), Some(K_OK));
    assert_eq!(site.get::<i32>(actor, 0x110), K_ANYCPU);
    site.end();
}

#[test]
fn two_threads_that_become_runnable_at_once_both_find_a_processor() {
    let mut site = Site::new(3);
    let (bosses, slow, fast) = (
        site.actor(K_SYSTEMACTOR, 10),
        site.actor(K_SYSTEMACTOR, 150),
        site.actor(K_SYSTEMACTOR, 120),
    );
    let boss = site.thread(bosses);
    let cap = site.put_cap(bosses, fast);
    site.call(boss, "actorStop", &[cap]);
    let urgent = [site.thread(fast), site.thread(fast)];
    let others = [site.thread(slow), site.thread(slow)];
    assert!(others.iter().all(|&thread| site.cpu_of(thread).is_some()));
    assert_eq!(site.call(boss, "actorStart", &[cap]), Some(K_OK));
    assert!(urgent.iter().all(|&thread| site.cpu_of(thread).is_some()));
    site.end();
}

#[test]
fn nc_263_classes_set_priority_and_slices() {
    let mut site = Site::new(1);
    let (system, user) = (site.actor(K_SYSTEMACTOR, 140), site.actor(K_USERACTOR, 140));
    let (one, two) = (site.thread(system), site.thread(system));
    let set = |site: &mut Site,
               asks: Id<Thread>,
               name: [u64; 2],
               class: i32,
               priority: i32,
               quantum: u64| {
        let home = site.nucleus.threads.get(asks).unwrap().actor;
        let parameters = KnThParms {
            th_class: class,
            th_priority: priority,
            th_quantum: KnTimeVal::from_ns(quantum),
        };
        let (old, new) = (site.at(home, 0x200), site.put(home, 0x100, &parameters));
        site.call(asks, "threadScheduler", &[name[0], name[1], old, new])
    };
    let other = [0, local_identifier(two) as u64];
    assert_eq!(set(&mut site, one, other, CLASS_RT, 110, 0), Some(K_OK));
    assert_eq!(site.stat(one, two).absolute, 145);
    assert_eq!(site.get::<KnThParms>(system, 0x200).th_class, CLASS_DEFAULT);
    for (class, priority) in [
        (4, 0),
        (-1, 0),
        (CLASS_RT, 99),
        (CLASS_RT, 160),
        (CLASS_FIFO, 256),
        (CLASS_RR, -256),
    ] {
        assert_eq!(
            set(&mut site, one, other, class, priority, 0),
            Some(K_EINVAL)
        );
    }
    assert_eq!(set(&mut site, one, other, CLASS_RR, 0, 0), Some(K_OK));
    let before = site.get::<KnThParms>(system, 0x200);
    assert_eq!((before.th_class, before.th_priority), (CLASS_RT, 110));
    // In the sliced band a FIFO thread is not sliced, and the one that is sliced gives way to it once.
    assert_eq!(set(&mut site, one, other, CLASS_FIFO, 0, 0), Some(K_OK));
    site.pass(K_RR_QUANTUM_NS + 1);
    assert!(site.cpu_of(two).is_some());
    site.pass(20 * K_RR_QUANTUM_NS);
    assert!(site.cpu_of(two).is_some(), "never sliced");
    // The same thread, round robin, in the band that is not sliced.
    let up = site.put(system, 0x300, &110);
    assert_eq!(site.call(two, "actorPriority", &[0, 0, up]), Some(K_OK));
    assert_eq!(set(&mut site, two, [0, 0], CLASS_RR, 0, 0), Some(K_OK));
    site.pass(K_RR_QUANTUM_NS + 1);
    assert!(site.cpu_of(one).is_some(), "sliced");
    site.pass(10 * K_RR_QUANTUM_NS);
    assert!(site.cpu_of(one).is_some(), "NC-259");
    assert_eq!(
        set(&mut site, one, [0, 0], CLASS_RT, 159, 5_000_000),
        Some(K_OK)
    );
    assert_eq!(site.stat(one, one).absolute, 96, "NC-263");
    assert_eq!(
        set(&mut site, one, other, CLASS_RT, 159, 5_000_000),
        Some(K_OK)
    );
    let first = site.cpu_of(one).is_some();
    site.pass(5_000_001);
    assert_ne!(site.cpu_of(one).is_some(), first, "its own slice");
    site.nucleus.entered = None;
    site.nucleus.kill_thread(one);
    site.nucleus.kill_thread(two);
    site.settle();
    let plain = site.thread(user);
    assert_eq!(
        set(&mut site, plain, [0, 0], CLASS_RT, 100, 0),
        Some(K_EPRIV)
    );
    assert_eq!(
        set(&mut site, plain, [0, 0], CLASS_FIFO, -50, 0),
        Some(K_EPRIV)
    );
    assert_eq!(
        set(&mut site, plain, [0, 0], CLASS_FIFO, -40, 0),
        Some(K_OK)
    );
    site.end();
}

#[test]
fn nc_260_and_262_equals_share_and_one_that_was_preempted_goes_before_its_equals() {
    let mut site = Site::new(1);
    let (actor, urgent) = (
        site.actor(K_SYSTEMACTOR, 200),
        site.actor(K_SYSTEMACTOR, 50),
    );
    let (one, two) = (site.thread(actor), site.thread(actor));
    site.pass(5_000_000_000);
    let times = [one, two].map(|thread| site.nucleus.cpu_time(thread));
    let share = times[0] as f64 / (times[0] + times[1]) as f64;
    assert!((0.45..0.55).contains(&share), "NC-260: {times:?}");
    let runs = |site: &Site| [one, two].map(|thread| site.cpu_of(thread).is_some());
    let before = runs(&site);
    let boss = site.thread(urgent);
    assert!(site.cpu_of(boss).is_some(), "NC-261: at once");
    let limit = site.put(urgent, 0x100, &KnTimeVal::from_ns(1000));
    assert_eq!(site.call(boss, "threadDelay", &[limit]), None);
    assert_eq!(runs(&site), before, "NC-262");
    site.pass(1000);
    assert!(site.cpu_of(boss).is_some(), "NC-261");
    site.end();
}

proptest! {
    /// Whatever threads are tied to: none is on a wrong processor, and no processor leaves a thread waiting that is more urgent than what it runs.
    #[test]
    fn no_processor_runs_less_than_it_could(
        cpus in 2usize..4,
        priorities in proptest::collection::vec(100i32..200, 1..8),
        steps in proptest::collection::vec((0usize..8, 0u8..6, -1i32..4, 100i32..200), 0..80),
    ) {
        let mut site = Site::new(cpus);
        let manager = site.actor(K_SYSTEMACTOR, 0);
        let actor = site.actor(K_SYSTEMACTOR, 0);
        let threads: Vec<Id<Thread>> = priorities.iter().map(|&priority| {
            let id = site.thread(actor);
            site.nucleus.threads.get_mut(id).unwrap().relative = priority;
            site.nucleus.unready(id);
            site.nucleus.ready(id);
            site.settle();
            id
        }).collect();
        for (which, what, cpu, priority) in steps {
            let boss = site.thread(manager);
            prop_assert!(site.cpu_of(boss).is_some());
            let id = threads[which % threads.len()];
            let [cap, li] = site.name(manager, id);
            let new = site.put(manager, 0x100, &if what == 0 { cpu.min(cpus as i32 - 1) } else { priority });
            match what {
                0 => drop(site.call(boss, "threadBind", &[cap, li, 0, new])),
                1 => drop(site.call(boss, "threadPriority", &[cap, li, 0, new])),
                2 => drop(site.call(boss, "threadSuspend", &[cap, li])),
                3 => drop(site.call(boss, "threadResume", &[cap, li])),
                4 => drop(site.call(boss, "actorStop", &[cap])),
                _ => drop(site.call(boss, "actorStart", &[cap])),
            }
            prop_assert_eq!(site.result(boss), Some(K_OK));
            site.nucleus.entered = None;
            site.nucleus.kill_thread(boss);
            site.settle();
            for &id in &threads {
                let able = site.nucleus.runnable(id);
                let on = site.cpu_of(id);
                prop_assert!(on.is_none_or(|cpu| able && site.nucleus.may_run_on(id, cpu)));
                if !able || on.is_some() {
                    continue;
                }
                for cpu in (0..cpus).filter(|&cpu| site.nucleus.may_run_on(id, cpu)) {
                    let runs = site.nucleus.running(cpu).map_or(256, |other| site.nucleus.absolute(other));
                    prop_assert!(runs <= site.nucleus.absolute(id), "processor {} leaves a more urgent thread waiting", cpu);
                }
            }
        }
        site.end();
    }
}
