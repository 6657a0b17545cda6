//! Mutexes and semaphores against the reference (NC-080…090).

use super::scene::{NOWHERE, Party};
use super::site::Site;
use chorus_abi::error::*;
use chorus_abi::*;

/// A user actor with four threads on processors of their own.
fn four() -> (Site, [Party; 4]) {
    let mut site = Site::new(4);
    let one = site.party(K_USERACTOR);
    let fellows = [(); 3].map(|()| site.fellow(one));
    (site, [one, fellows[0], fellows[1], fellows[2]])
}

fn mutex(site: &mut Site, by: Party) -> u64 {
    let at = site.arg(
        by.actor,
        &KnMutex {
            locked: 7,
            waiters: 7,
        },
    );
    assert_eq!(site.grants(by, "mutexInit", &[at]), K_OK);
    assert_eq!(site.peek::<KnMutex>(by.actor, at), KnMutex::default());
    at
}

fn semaphore(site: &mut Site, by: Party, count: u64) -> u64 {
    let at = site.arg(by.actor, &KnSem { count: -9, pad: 9 });
    assert_eq!(site.grants(by, "semInit", &[at, count]), K_OK);
    at
}

fn limit(site: &mut Site, by: Party, nanoseconds: u64) -> u64 {
    site.arg(by.actor, &KnTimeVal::from_ns(nanoseconds))
}

#[test]
fn nc_080_a_mutex_has_one_owner() {
    let (mut site, threads) = four();
    let at = mutex(&mut site, threads[0]);
    let (mut inside, mut entered) = (None, [0; 4]);
    for turn in 0..200 {
        let who = turn * 7 % 4;
        if inside == Some(who) {
            assert_eq!(site.grants(threads[who], "mutexRel", &[at]), K_OK);
            entered[who] = 0;
            let has = |other: usize| site.result(threads[other].thread).is_some();
            inside = (0..4).find(|&other| entered[other] == 1 && has(other));
        } else if entered[who] == 0 {
            let got = site.call(threads[who].thread, "mutexGet", &[at]);
            assert_eq!(got.is_some(), inside.is_none(), "turn {turn}");
            entered[who] = 1;
            inside = inside.or(Some(who));
        }
        let owners = (0..4).filter(|&who| {
            let waits = site.result(threads[who].thread).is_none();
            entered[who] == 1 && !waits
        });
        assert_eq!(owners.count(), usize::from(inside.is_some()), "turn {turn}");
    }
    site.end();
}

#[test]
fn nc_081_the_oldest_waiter_gets_the_mutex_and_nobody_overtakes() {
    let (mut site, [one, two, three, four]) = four();
    let at = mutex(&mut site, one);
    assert_eq!(site.grants(one, "mutexGet", &[at]), K_OK);
    site.waits(three, "mutexGet", &[at]);
    site.waits(two, "mutexGet", &[at]);
    // A suspended waiter keeps its place.
    let li = site.li(three.thread);
    site.grants(four, "threadSuspend", &[0, li]);
    for next in [three, two] {
        let last = if next.thread == three.thread {
            one
        } else {
            three
        };
        if last.thread == three.thread {
            site.grants(four, "threadResume", &[0, li]);
        }
        assert_eq!(site.grants(last, "mutexRel", &[at]), K_OK);
        assert_eq!(site.result(next.thread), Some(K_OK));
        assert_eq!(
            site.grants(four, "mutexTry", &[at]),
            1,
            "it passed on locked"
        );
    }
    assert_eq!(site.grants(two, "mutexRel", &[at]), K_OK);
    assert_eq!(site.grants(four, "mutexTry", &[at]), K_OK);
    site.end();
}

#[test]
fn nc_082_trying_a_locked_mutex_takes_nothing() {
    let (mut site, [one, two, ..]) = four();
    let at = mutex(&mut site, one);
    assert_eq!(site.grants(one, "mutexTry", &[at]), K_OK);
    site.refuses(two, "mutexTry", &[at], 1);
    site.refuses(one, "mutexTry", &[at], 1);
    assert_eq!(
        site.grants(two, "mutexRel", &[at]),
        K_OK,
        "any thread may release"
    );
    assert_eq!(site.grants(two, "mutexTry", &[at]), K_OK);
    assert_eq!(site.grants(two, "mutexRel", &[at]), K_OK);
    site.refuses(two, "mutexRel", &[at], K_OK);
    site.end();
}

#[test]
fn nc_083_a_mutex_excludes_threads_of_two_actors() {
    let mut site = Site::new(2);
    let (one, two) = (site.party(K_SUPACTOR), site.party(K_SUPACTOR));
    let at = mutex(&mut site, one);
    assert_eq!(site.grants(one, "mutexGet", &[at]), K_OK);
    site.waits(two, "mutexGet", &[at]);
    assert_eq!(site.grants(one, "mutexRel", &[at]), K_OK);
    assert_eq!(site.result(two.thread), Some(K_OK));
    assert_eq!(site.grants(one, "mutexTry", &[at]), 1);
    site.end();
}

#[test]
fn a_waiter_that_is_deleted_leaves_the_mutex_and_an_abort_does_not() {
    let (mut site, [one, two, three, four]) = four();
    let at = mutex(&mut site, one);
    site.grants(one, "mutexGet", &[at]);
    site.waits(two, "mutexGet", &[at]);
    site.waits(three, "mutexGet", &[at]);
    let (second, third) = (site.li(two.thread), site.li(three.thread));
    site.grants(four, "threadAbort", &[0, third]);
    assert_eq!(site.result(three.thread), None, "no abortable wait");
    assert_eq!(site.grants(four, "threadDelete", &[0, second]), K_OK);
    assert_eq!(site.peek::<KnMutex>(one.actor, at).waiters, 1);
    assert_eq!(site.grants(one, "mutexRel", &[at]), K_OK);
    assert_eq!(site.result(three.thread), Some(K_OK));
    assert_eq!(site.grants(three, "threadAborted", &[]), 1);
    assert_eq!(
        site.peek::<KnMutex>(one.actor, at),
        KnMutex {
            locked: 1,
            waiters: 0
        }
    );
    site.end();
}

const ON_STRUCTURES: [&str; 5] = ["mutexGet", "mutexTry", "mutexRel", "semP", "semV"];

#[test]
fn structures_lie_in_one_page_that_can_be_written() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let base = site.at(user.actor, 0x4000);
    let read_only = KnRgnDesc {
        size: PAGE_SIZE,
        options: K_ANYWHERE,
        ..KnRgnDesc::default()
    };
    let region = site.arg(user.actor, &read_only);
    site.grants(user, "rgnAllocate", &[0, region]);
    let constant = site.peek::<KnRgnDesc>(user.actor, region).start_addr;
    let zero = limit(&mut site, user, 0);
    for name in ON_STRUCTURES {
        site.refuses(user, name, &[base + 2, zero], K_EINVAL);
        site.refuses(user, name, &[base + PAGE_SIZE - 4, zero], K_EINVAL);
        site.refuses(user, name, &[NOWHERE, zero], K_EFAULT);
        site.refuses(user, name, &[0, zero], K_EFAULT);
        site.refuses(user, name, &[constant, zero], K_EFAULT);
    }
    for name in ["mutexInit", "semInit"] {
        site.refuses(user, name, &[NOWHERE, 0], K_EFAULT);
        site.refuses(user, name, &[constant, 0], K_EFAULT);
    }
    site.end();
}

#[test]
fn waiters_of_memory_that_is_freed_end_with_a_fault() {
    let (mut site, [one, two, three, _]) = four();
    let desc = KnRgnDesc {
        size: 1,
        options: K_ANYWHERE | K_WRITABLE,
        ..KnRgnDesc::default()
    };
    let region = site.arg(one.actor, &desc);
    site.grants(one, "rgnAllocate", &[0, region]);
    let at = site.peek::<KnRgnDesc>(one.actor, region).start_addr;
    site.grants(one, "mutexGet", &[at]);
    site.waits(two, "mutexGet", &[at]);
    site.grants(one, "semInit", &[at + 64, 0]);
    site.waits(three, "semP", &[at + 64, 0]);
    assert_eq!(site.grants(one, "rgnFree", &[0, region]), K_OK);
    assert_eq!(site.result(two.thread), Some(K_EFAULT));
    assert_eq!(site.result(three.thread), Some(K_EFAULT));
    site.end();
}

#[test]
fn nc_086_a_semaphore_lets_as_many_pass_as_it_has_units() {
    let (mut site, [one, two, ..]) = four();
    let at = semaphore(&mut site, one, 3);
    for _ in 0..3 {
        assert_eq!(site.grants(one, "semP", &[at, 0]), K_OK);
    }
    site.waits(one, "semP", &[at, 0]);
    assert_eq!(site.peek::<KnSem>(one.actor, at).count, -1);
    assert_eq!(site.grants(two, "semV", &[at]), K_OK);
    assert_eq!(site.result(one.thread), Some(K_OK));
    assert_eq!(site.peek::<KnSem>(one.actor, at).count, 0);
    site.end();
}

#[test]
fn nc_087_the_longest_waiting_thread_wakes() {
    let (mut site, [one, two, three, four]) = four();
    let at = semaphore(&mut site, one, 0);
    let order = [three, two, four];
    for who in order {
        site.waits(who, "semP", &[at, 0]);
    }
    for (woken, who) in order.iter().enumerate() {
        assert_eq!(site.grants(one, "semV", &[at]), K_OK);
        assert_eq!(site.result(who.thread), Some(K_OK));
        let waiting = order.iter().filter(|who| site.result(who.thread).is_none());
        assert_eq!(waiting.count(), 2 - woken, "one V wakes one");
    }
    site.end();
}

#[test]
fn nc_088_089_and_090_time_limits_give_their_unit_back() {
    let (mut site, [one, two, ..]) = four();
    let at = semaphore(&mut site, one, 0);
    let (zero, long) = (limit(&mut site, one, 0), limit(&mut site, one, 100_000_000));
    site.refuses(one, "semP", &[at, zero], K_ETIMEOUT);
    site.waits(one, "semP", &[at, long]);
    site.pass(99_999_999);
    assert_eq!(site.result(one.thread), None);
    site.pass(1);
    assert_eq!(site.result(one.thread), Some(K_ETIMEOUT));
    assert_eq!(site.peek::<KnSem>(one.actor, at).count, 0);
    assert_eq!(site.grants(two, "semV", &[at]), K_OK);
    assert_eq!(site.grants(one, "semP", &[at, zero]), K_OK);
    site.refuses(two, "semP", &[at, zero], K_ETIMEOUT);
    site.end();
}

#[test]
fn an_aborted_or_deleted_waiter_of_a_semaphore_takes_no_unit() {
    let (mut site, [one, two, three, _]) = four();
    let at = semaphore(&mut site, one, 0);
    site.waits(two, "semP", &[at, 0]);
    site.waits(three, "semP", &[at, 0]);
    assert_eq!(site.peek::<KnSem>(one.actor, at).count, -2);
    let (second, third) = (site.li(two.thread), site.li(three.thread));
    site.grants(one, "threadAbort", &[0, second]);
    assert_eq!(site.result(two.thread), Some(K_EABORT));
    assert_eq!(site.peek::<KnSem>(one.actor, at).count, -1);
    site.grants(one, "threadDelete", &[0, third]);
    assert_eq!(site.peek::<KnSem>(one.actor, at).count, 0);
    site.end();
}

#[test]
fn semaphores_have_bounds_and_intervals_a_form() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let at = semaphore(&mut site, user, 0x7fff_ffff);
    site.refuses(user, "semV", &[at], K_EFULL);
    site.refuses(user, "semInit", &[at, 0x8000_0000], K_EINVAL);
    let wrong = KnTimeVal {
        tm_nsec: 1_000_000_000,
        ..KnTimeVal::default()
    };
    let wrong = site.arg(user.actor, &wrong);
    site.refuses(user, "semP", &[at, wrong], K_EINVAL);
    site.refuses(user, "semP", &[at, NOWHERE], K_EFAULT);
    assert_eq!(site.grants(user, "semP", &[at, 0]), K_OK);
    assert_eq!(site.grants(user, "semV", &[at]), K_OK);
    site.end();
}

#[test]
fn the_time_limit_of_one_wait_is_not_the_next_one_s() {
    let (mut site, [one, two, ..]) = four();
    let at = semaphore(&mut site, one, 0);
    let long = limit(&mut site, one, 100_000_000);
    site.waits(one, "semP", &[at, long]);
    assert_eq!(site.grants(two, "semV", &[at]), K_OK);
    assert_eq!(site.result(one.thread), Some(K_OK));
    site.waits(one, "semP", &[at, 0]);
    site.pass(200_000_000);
    assert_eq!(site.result(one.thread), None);
    site.end();
}
