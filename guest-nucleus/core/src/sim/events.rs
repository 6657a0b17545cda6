//! Thread semaphores and event flags against the reference (NC-091…096).

use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, local_identifier};
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

fn threads<const N: usize>() -> (Site, Id<Actor>, [Id<Thread>; N]) {
    let mut site = Site::new(4);
    let actor = site.actor(K_SYSTEMACTOR, 140);
    let threads = [(); N].map(|()| site.thread(actor));
    (site, actor, threads)
}

#[test]
fn nc_091_three_posts_are_one() {
    let (mut site, actor, [waits, posts]) = threads();
    let sem = site.at(actor, 0x700);
    let now = site.put(actor, 0x710, &KnTimeVal::default());
    assert_eq!(site.call(waits, "threadSemInit", &[sem]), Some(K_OK));
    for _ in 0..3 {
        assert_eq!(site.call(posts, "threadSemPost", &[sem]), Some(K_OK));
    }
    assert_eq!(site.call(waits, "threadSemWait", &[sem, 0]), Some(K_OK));
    assert_eq!(
        site.call(waits, "threadSemWait", &[sem, now]),
        Some(K_ETIMEOUT)
    );
    assert_eq!(site.call(waits, "threadSemWait", &[sem, 0]), None);
    assert_eq!(site.call(posts, "threadSemPost", &[sem]), Some(K_OK));
    assert_eq!(site.result(waits), Some(K_OK));
    assert_eq!(
        site.call(waits, "threadSemWait", &[sem, now]),
        Some(K_ETIMEOUT),
        "taken"
    );
    site.end();
}

#[test]
fn nc_092_only_the_thread_that_made_a_thread_semaphore_waits_on_it() {
    let (mut site, actor, [makes, other]) = threads();
    let sem = site.at(actor, 0x700);
    assert_eq!(
        site.call(other, "threadSemWait", &[sem, 0]),
        Some(K_EINVAL),
        "not made"
    );
    assert_eq!(site.call(makes, "threadSemInit", &[sem]), Some(K_OK));
    assert_eq!(site.call(makes, "threadSemPost", &[sem]), Some(K_OK));
    assert_eq!(site.call(other, "threadSemWait", &[sem, 0]), Some(K_EINVAL));
    assert_eq!(
        site.call(makes, "threadSemWait", &[sem, 0]),
        Some(K_OK),
        "nothing was taken"
    );
    site.end();
}

#[test]
fn waits_end_by_time_and_abort_and_with_their_memory() {
    let (mut site, actor, [waits, other]) = threads();
    let li = local_identifier(waits) as u64;
    let region = KnRgnDesc {
        start_addr: 0x80_0000,
        size: PAGE_SIZE,
        options: K_WRITABLE,
        ..KnRgnDesc::default()
    };
    let region = site.put(actor, 0x800, &region);
    assert_eq!(site.call(other, "rgnAllocate", &[0, region]), Some(K_OK));
    let limit = site.put(actor, 0x710, &KnTimeVal::from_ns(5_000_000));
    let (sem, set) = (0x80_0000, 0x80_0100);
    site.call(waits, "threadSemInit", &[sem]);
    let calls: [(&str, &[u64], usize); 2] = [
        ("threadSemWait", &[sem, 0], 1),
        ("eventWait", &[set, 1, 0, 0, 0], 4),
    ];
    for (name, arguments, limited) in calls {
        let mut timed: Vec<u64> = arguments.into();
        timed[limited] = limit;
        assert_eq!(site.call(waits, name, &timed), None, "{name}");
        site.pass(4_999_999);
        assert_eq!(site.result(waits), None);
        site.pass(1);
        assert_eq!(site.result(waits), Some(K_ETIMEOUT));
        assert_eq!(site.call(waits, name, arguments), None);
        assert_eq!(site.call(other, "threadAbort", &[0, li]), Some(K_OK));
        assert_eq!(site.result(waits), Some(K_EABORT));
        assert_eq!(site.call(other, "threadAbort", &[0, li]), Some(K_OK));
        assert_eq!(site.call(waits, name, arguments), Some(K_EABORT), "marked");
        for bad in [0x80_0001, 0x80_0ffe] {
            let mut wrong: Vec<u64> = arguments.into();
            wrong[0] = bad;
            assert_eq!(site.call(waits, name, &wrong), Some(K_EINVAL), "{bad:#x}");
        }
    }
    assert_eq!(
        site.call(waits, "eventWait", &[set, 0, 0, 0, 0]),
        Some(K_EINVAL)
    );
    assert_eq!(
        site.call(waits, "eventWait", &[set, 1, 2, 0, 0]),
        Some(K_EINVAL)
    );
    assert_eq!(
        site.call(waits, "eventWait", &[set, 1, 0, 0x10, 0]),
        Some(K_EFAULT)
    );
    assert_eq!(site.call(waits, "eventWait", &[set, 1, 0, 0, 0]), None);
    assert_eq!(site.call(other, "rgnFree", &[0, region]), Some(K_OK));
    assert_eq!(site.result(waits), Some(K_EFAULT));
    site.end();
}

#[test]
fn nc_093_to_096_flags_wake_all_whom_they_satisfy_and_stay() {
    let (mut site, actor, [one, all, also, posts]) = threads();
    let set = site.at(actor, 0x700);
    let got = [0x710, 0x720, 0x730].map(|offset| site.at(actor, offset));
    let (or, and) = (K_EVENT_OR as u64, K_EVENT_AND as u64);
    assert_eq!(site.call(posts, "eventInit", &[set]), Some(K_OK));
    assert_eq!(
        site.call(one, "eventWait", &[set, 0b110, or, got[0], 0]),
        None
    );
    assert_eq!(
        site.call(all, "eventWait", &[set, 0b110, and, got[1], 0]),
        None
    );
    assert_eq!(
        site.call(also, "eventWait", &[set, 0b010, or, got[2], 0]),
        None
    );
    assert_eq!(site.call(posts, "eventPost", &[set, 0b1001]), Some(K_OK));
    for thread in [one, all, also] {
        assert_eq!(site.result(thread), None);
    }
    assert_eq!(site.call(posts, "eventPost", &[set, 0b10]), Some(K_OK));
    assert_eq!(site.result(one), Some(K_OK), "NC-094");
    assert_eq!(site.result(also), Some(K_OK), "NC-095");
    assert_eq!(site.result(all), None, "NC-093");
    assert_eq!(
        (site.get::<u32>(actor, 0x710), site.get::<u32>(actor, 0x730)),
        (0b10, 0b10)
    );
    assert_eq!(site.call(posts, "eventClear", &[set, 0b10]), Some(K_OK));
    assert_eq!(site.call(posts, "eventPost", &[set, 0b100]), Some(K_OK));
    assert_eq!(site.result(all), None, "not both at once");
    assert_eq!(site.call(posts, "eventPost", &[set, 0b10]), Some(K_OK));
    assert_eq!(site.result(all), Some(K_OK), "NC-093");
    assert_eq!(site.get::<u32>(actor, 0x720), 0b110);
    for _ in 0..2 {
        let satisfied = site.call(all, "eventWait", &[set, 0b110, and, got[1], 0]);
        assert_eq!(satisfied, Some(K_OK), "NC-096");
    }
    assert_eq!(site.call(posts, "eventClear", &[set, u64::MAX]), Some(K_OK));
    let now = site.put(actor, 0x740, &KnTimeVal::default());
    let empty = site.call(all, "eventWait", &[set, 0b110, or, got[1], now]);
    assert_eq!(empty, Some(K_ETIMEOUT), "NC-096");
    site.end();
}

proptest! {
    /// Event sets against a model: a word, and who waits for what of it.
    #[test]
    fn event_sets_are_a_word_and_those_who_wait(steps in proptest::collection::vec((0usize..4, 0u8..3, 1u32..16, any::<bool>()), 0..80)) {
        let (mut site, actor, threads) = threads::<4>();
        let set = site.at(actor, 0x700);
        site.call(threads[0], "eventInit", &[set]);
        let (mut flags, mut waits) = (0u32, [None; 4]);
        for (which, what, mask, all) in steps {
            if waits[which].is_some() {
                continue;
            }
            let satisfied = |mask, all| if all { flags & mask == mask } else { flags & mask != 0 };
            let thread = threads[which];
            match what {
                0 => {
                    let got = site.at(actor, 0x800 + 8 * which as u64);
                    let result = site.call(thread, "eventWait", &[set, mask.into(), all.into(), got, 0]);
                    prop_assert_eq!(result, satisfied(mask, all).then_some(K_OK));
                    if result.is_none() {
                        waits[which] = Some((mask, all));
                    }
                    continue;
                }
                1 => flags |= mask,
                _ => flags &= !mask,
            }
            let call = if what == 1 { "eventPost" } else { "eventClear" };
            prop_assert_eq!(site.call(thread, call, &[set, mask.into()]), Some(K_OK));
            for other in 0..4 {
                let Some((mask, all)) = waits[other] else { continue };
                let woken = if all { flags & mask == mask } else { flags & mask != 0 } && what == 1;
                prop_assert_eq!(site.result(threads[other]), woken.then_some(K_OK));
                if woken {
                    prop_assert_eq!(site.get::<u32>(actor, 0x800 + 8 * other as u64), flags & mask);
                    waits[other] = None;
                }
            }
        }
        site.end();
    }
}
