//! Timers against the reference (NC-272…274).

use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, local_identifier};
use crate::executive::timers::TICK;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const POOL: u64 = 0x700;
const COOKIE: u64 = 0x710;
const OVERRUN: u64 = 0x718;

/// Two threads of an actor with a pool, and a timer of it.
fn pool() -> (Site, Id<Actor>, [Id<Thread>; 2], u64) {
    let mut site = Site::new(2);
    let actor = site.actor(K_SYSTEMACTOR, 140);
    let threads = [site.thread(actor), site.thread(actor)];
    // The clock is on the grid, as after any tick.
    site.nucleus.machine.clock = TICK;
    let pool = site.at(actor, POOL);
    assert_eq!(
        site.call(threads[0], "timerThreadPoolInit", &[pool]),
        Some(K_OK)
    );
    let timer = create(&mut site, threads[0], 0, 77);
    (site, actor, threads, timer)
}

fn create(site: &mut Site, thread: Id<Thread>, cap: u64, cookie: u64) -> u64 {
    let home = site.nucleus.threads.get(thread).unwrap().actor;
    let (pool, li) = (site.at(home, POOL), site.at(home, 0x600));
    let made = site.call(thread, "timerCreate", &[cap, 0, pool, cookie, li]);
    assert_eq!(made, Some(K_OK));
    site.get::<i32>(home, 0x600) as u64
}

fn set(
    site: &mut Site,
    thread: Id<Thread>,
    timer: u64,
    flags: i32,
    value: u64,
    interval: u64,
) -> Option<i32> {
    let home = site.nucleus.threads.get(thread).unwrap().actor;
    let new = KnITimer {
        it_interval: KnTimeVal::from_ns(interval),
        it_value: KnTimeVal::from_ns(value),
    };
    let (new, old) = (site.put(home, 0x800, &new), site.at(home, 0x880));
    site.call(thread, "timerSet", &[0, timer, flags as u64, new, old])
}

/// Waits; `limit` in nanoseconds.
fn wait(site: &mut Site, thread: Id<Thread>, limit: Option<u64>) -> Option<i32> {
    let home = site.nucleus.threads.get(thread).unwrap().actor;
    let limit = limit.map_or(0, |limit| site.put(home, 0x900, &KnTimeVal::from_ns(limit)));
    let [pool, cookie, overrun] = [POOL, COOKIE, OVERRUN].map(|offset| site.at(home, offset));
    site.call(
        thread,
        "timerThreadPoolWait",
        &[pool, cookie, overrun, limit],
    )
}

#[test]
fn nc_272_a_periodic_timer_wakes_a_thread_of_its_pool_each_time() {
    let (mut site, actor, [one, two], timer) = pool();
    assert_eq!(set(&mut site, one, timer, 0, 10 * MS, 10 * MS), Some(K_OK));
    for _ in 0..100 {
        assert_eq!(wait(&mut site, one, None), None);
        site.pass(10 * MS);
        assert_eq!(site.result(one), Some(K_OK));
        assert_eq!(
            (
                site.get::<u64>(actor, COOKIE),
                site.get::<i32>(actor, OVERRUN)
            ),
            (77, 0)
        );
    }
    // One expiry wakes one thread, the one that has waited longer.
    assert_eq!(wait(&mut site, two, None), None);
    assert_eq!(wait(&mut site, one, None), None);
    site.pass(10 * MS);
    assert_eq!((site.result(two), site.result(one)), (Some(K_OK), None));
    site.pass(10 * MS);
    assert_eq!(site.result(one), Some(K_OK));
    // Expiries for which nobody waits are counted and told later, once.
    site.pass(50 * MS);
    assert_eq!(wait(&mut site, one, Some(0)), Some(K_OK));
    assert_eq!(site.get::<i32>(actor, OVERRUN), 4);
    assert_eq!(wait(&mut site, one, Some(0)), Some(K_ETIMEOUT));
    // What is left of the setting; those that are counted stay when it is replaced.
    site.pass(12 * MS);
    assert_eq!(set(&mut site, one, timer, 0, 0, 0), Some(K_OK));
    let before: KnITimer = site.get(actor, 0x880);
    assert_eq!(before.it_interval, KnTimeVal::from_ns(10 * MS));
    assert!(before.it_value.to_ns().unwrap() <= 10 * MS && before.it_value.to_ns().unwrap() > 0);
    site.pass(100 * MS);
    assert_eq!(wait(&mut site, one, Some(0)), Some(K_OK));
    assert_eq!(
        wait(&mut site, one, Some(0)),
        Some(K_ETIMEOUT),
        "it stands still"
    );
    site.end();
}

#[test]
fn a_timer_never_expires_early_and_knows_times_of_the_clock() {
    let (mut site, _, [one, two], timer) = pool();
    assert_eq!(set(&mut site, one, timer, 0, 5 * MS, 0), Some(K_OK));
    assert_eq!(wait(&mut site, two, None), None);
    site.pass(5 * MS - 1);
    assert_eq!(site.result(two), None);
    site.pass(TICK);
    assert_eq!(site.result(two), Some(K_OK));
    let at = site.nucleus.machine.clock + 7 * MS;
    assert_eq!(
        set(&mut site, one, timer, K_TIMER_ABSOLUTE, at, 0),
        Some(K_OK)
    );
    assert_eq!(wait(&mut site, two, None), None);
    site.pass(7 * MS - 1);
    assert_eq!(site.result(two), None);
    site.pass(TICK);
    assert_eq!(site.result(two), Some(K_OK));
    assert_eq!(
        set(&mut site, one, timer, K_TIMER_ABSOLUTE, 1, 0),
        Some(K_OK)
    );
    site.pass(TICK);
    assert_eq!(wait(&mut site, two, Some(0)), Some(K_OK), "a time that was");
    assert_eq!(
        set(&mut site, one, timer, 0, u64::MAX, u64::MAX),
        Some(K_OK)
    );
    site.pass(1000 * MS);
    assert_eq!(wait(&mut site, two, Some(0)), Some(K_ETIMEOUT));
    // However short its period, there is one interrupt a tick.
    assert_eq!(set(&mut site, one, timer, 0, 1, 1), Some(K_OK));
    let before = site.nucleus.counters.timer_interrupts;
    site.pass(100 * TICK);
    let interrupts = site.nucleus.counters.timer_interrupts - before;
    assert!(interrupts <= 110, "{interrupts} interrupts");
    site.end();
}

#[test]
fn nc_273_and_274_a_timer_that_is_deleted_or_whose_actor_is_wakes_nobody() {
    let (mut site, actor, [one, two], timer) = pool();
    assert_eq!(set(&mut site, one, timer, 0, MS, MS), Some(K_OK));
    assert_eq!(wait(&mut site, two, Some(500 * MS)), None);
    assert_eq!(site.call(one, "timerDelete", &[0, timer]), Some(K_OK));
    site.pass(499 * MS);
    assert_eq!(site.result(two), None, "NC-273");
    site.pass(2 * MS);
    assert_eq!(site.result(two), Some(K_ETIMEOUT), "NC-273");
    assert_eq!(site.call(one, "timerDelete", &[0, timer]), Some(K_EINVAL));
    assert_eq!(set(&mut site, one, timer, 0, MS, MS), Some(K_EINVAL));
    // A timer of another actor, in this one's pool; expiries that nobody was told of go with it.
    let other = site.actor(K_USERACTOR, 140);
    let cap = site.put_cap(actor, other);
    let timer = create(&mut site, one, cap, 5);
    let new = site.put(
        actor,
        0x800,
        &KnITimer {
            it_interval: KnTimeVal::from_ns(MS),
            it_value: KnTimeVal::from_ns(MS),
        },
    );
    assert_eq!(
        site.call(one, "timerSet", &[cap, timer, 0, new, 0]),
        Some(K_OK)
    );
    site.pass(3 * MS);
    assert_eq!(site.call(one, "actorDelete", &[cap]), Some(K_OK));
    assert_eq!(wait(&mut site, two, Some(10 * MS)), None);
    site.pass(20 * MS);
    assert_eq!(site.result(two), Some(K_ETIMEOUT), "NC-274");
    site.end();
}

#[test]
fn timers_refuse_what_is_wrong() {
    let (mut site, actor, [one, two], timer) = pool();
    let (pool, li) = (site.at(actor, POOL), site.at(actor, 0x600));
    assert_eq!(
        site.call(one, "timerCreate", &[0, 1, pool, 0, li]),
        Some(K_EINVAL),
        "clock"
    );
    let bare = site.at(actor, 0xa00);
    assert_eq!(
        site.call(one, "timerCreate", &[0, 0, bare, 0, li]),
        Some(K_EINVAL),
        "pool"
    );
    assert_eq!(
        site.call(one, "timerCreate", &[0, 0, pool, 0, 0x10]),
        Some(K_EFAULT)
    );
    assert_eq!(
        site.call(one, "timerThreadPoolWait", &[bare, 0, 0, 0]),
        Some(K_EINVAL)
    );
    assert_eq!(
        site.call(one, "timerThreadPoolWait", &[pool, 0x10, 0, 0]),
        Some(K_EFAULT)
    );
    assert_eq!(
        set(&mut site, one, timer, 2, MS, 0),
        Some(K_EINVAL),
        "flags"
    );
    let bad = KnITimer {
        it_value: KnTimeVal {
            tm_nsec: u32::MAX,
            ..KnTimeVal::default()
        },
        ..KnITimer::default()
    };
    let bad = site.put(actor, 0x800, &bad);
    assert_eq!(
        site.call(one, "timerSet", &[0, timer, 0, bad, 0]),
        Some(K_EINVAL)
    );
    assert_eq!(
        site.call(one, "timerSet", &[0, timer, 0, 0x10, 0]),
        Some(K_EFAULT)
    );
    for _ in 1..8 {
        create(&mut site, one, 0, 0);
    }
    assert_eq!(
        site.call(one, "timerCreate", &[0, 0, pool, 0, li]),
        Some(K_ENOMEM)
    );
    let user = site.actor(K_USERACTOR, 100);
    let plain = site.thread(user);
    let cap = site.put_cap(user, actor);
    assert_eq!(
        site.call(plain, "timerDelete", &[cap, timer]),
        Some(K_EPRIV)
    );
    site.nucleus.entered = None;
    site.nucleus.kill_thread(plain);
    site.settle();
    let res = site.at(actor, 0xb00);
    assert_eq!(site.call(one, "timerGetRes", &[res]), Some(K_OK));
    assert_eq!(site.get::<KnTimeVal>(actor, 0xb00).to_ns(), Some(TICK));
    // Aborts, before and in the wait.
    let waiter = local_identifier(two) as u64;
    assert_eq!(wait(&mut site, two, None), None);
    assert_eq!(site.call(one, "threadAbort", &[0, waiter]), Some(K_OK));
    assert_eq!(site.result(two), Some(K_EABORT));
    assert_eq!(site.call(one, "threadAbort", &[0, waiter]), Some(K_OK));
    assert_eq!(wait(&mut site, two, None), Some(K_EABORT));
    site.end();
}

#[test]
fn a_pool_whose_page_is_freed_has_no_timers() {
    let (mut site, actor, [one, two], _) = pool();
    let region = KnRgnDesc {
        start_addr: 0x80_0000,
        size: PAGE_SIZE,
        options: K_WRITABLE,
        ..KnRgnDesc::default()
    };
    let region = site.put(actor, 0xc00, &region);
    assert_eq!(site.call(one, "rgnAllocate", &[0, region]), Some(K_OK));
    assert_eq!(
        site.call(one, "timerThreadPoolInit", &[0x80_0000]),
        Some(K_OK)
    );
    let li = site.at(actor, 0x600);
    assert_eq!(
        site.call(one, "timerCreate", &[0, 0, 0x80_0000, 9, li]),
        Some(K_OK)
    );
    let timer = site.get::<i32>(actor, 0x600) as u64;
    assert_eq!(set(&mut site, one, timer, 0, MS, MS), Some(K_OK));
    assert_eq!(
        site.call(two, "timerThreadPoolWait", &[0x80_0000, 0, 0, 0]),
        None
    );
    assert_eq!(site.call(one, "rgnFree", &[0, region]), Some(K_OK));
    assert_eq!(site.result(two), Some(K_EFAULT));
    // The frame may come again as another pool: nothing of this timer gets there.
    assert_eq!(site.call(one, "rgnAllocate", &[0, region]), Some(K_OK));
    assert_eq!(
        site.call(one, "timerThreadPoolInit", &[0x80_0000]),
        Some(K_OK)
    );
    assert_eq!(
        site.call(two, "timerThreadPoolWait", &[0x80_0000, 0, 0, 0]),
        None
    );
    site.pass(100 * MS);
    assert_eq!(site.result(two), None);
    assert_eq!(set(&mut site, one, timer, 0, MS, MS), Some(K_EINVAL));
    assert_eq!(site.call(one, "timerDelete", &[0, timer]), Some(K_OK));
    site.end();
}

proptest! {
    /// No expiry is lost, told twice, or early: the number of those told and those overrun is the number of periods that passed.
    #[test]
    fn every_period_is_told_once(period in 1u64..8, steps in proptest::collection::vec((any::<bool>(), 0u64..20), 1..60)) {
        let (mut site, actor, [one, two], timer) = pool();
        prop_assert_eq!(set(&mut site, one, timer, 0, period * MS, period * MS), Some(K_OK));
        let start = (site.nucleus.machine.clock + period * MS).next_multiple_of(TICK);
        let (mut told, mut waiting) = (0, false);
        for (asks, time) in steps {
            if asks && !waiting {
                match wait(&mut site, two, None) {
                    None => waiting = true,
                    result => {
                        prop_assert_eq!(result, Some(K_OK));
                        told += 1 + site.get::<i32>(actor, OVERRUN) as u64;
                    }
                }
            }
            site.pass(time * MS);
            if waiting && site.result(two).is_some() {
                waiting = false;
                told += 1 + site.get::<i32>(actor, OVERRUN) as u64;
            }
        }
        if !waiting && wait(&mut site, two, Some(0)) == Some(K_OK) {
            told += 1 + site.get::<i32>(actor, OVERRUN) as u64;
        }
        let now = site.nucleus.machine.clock;
        let passed = if now < start { 0 } else { (now - start) / (period * MS) + 1 };
        prop_assert_eq!(told, passed);
        site.end();
    }
}
