//! Priorities of actors and threads against the reference (NC-041…047).

use super::scene::{NOWHERE, Party};
use super::site::Site;
use chorus_abi::error::*;
use chorus_abi::*;

#[test]
fn nc_041_and_045_the_sum_is_cut_and_the_parts_are_kept() {
    let mut site = Site::new(2);
    let (system, other) = (site.party(K_SYSTEMACTOR), site.party(K_USERACTOR));
    let (cap, li) = (site.cap_for(system, other.actor), site.li(other.thread));
    for (actor, relative, sum) in [
        (250, 100, 255),
        (100, 100, 200),
        (10, -20, 0),
        (140, 7, 147),
    ] {
        let new = site.arg(system.actor, &actor);
        site.grants(system, "actorPriority", &[cap, 0, new]);
        let new = site.arg(system.actor, &relative);
        site.grants(system, "threadPriority", &[cap, li, 0, new]);
        let stat = site.state_of(system, other);
        assert_eq!((stat.relative, stat.absolute), (relative, sum));
    }
    site.end();
}

#[test]
fn nc_042_a_more_urgent_actor_preempts_before_the_call_returns() {
    let mut site = Site::new(2);
    let (system, slow) = (site.actor(K_SYSTEMACTOR, 50), site.actor(K_USERACTOR, 180));
    let system = Party {
        thread: site.thread(system),
        actor: system,
    };
    let busy = site.party(K_USERACTOR);
    let slow = Party {
        thread: site.thread(slow),
        actor: slow,
    };
    assert!(site.runs(busy) && !site.runs(slow));
    let (cap, new) = (
        site.cap_for(system, slow.actor),
        site.arg(system.actor, &120i32),
    );
    site.grants(system, "actorPriority", &[cap, 0, new]);
    assert!(!site.runs(busy) && site.runs(slow));
    let (li, new) = (site.li(slow.thread), site.arg(system.actor, &60i32));
    site.grants(system, "threadPriority", &[cap, li, 0, new]);
    assert!(site.runs(busy) && !site.runs(slow));
    // It is queued now, and moves within the queue.
    let new = site.arg(system.actor, &-10i32);
    site.grants(system, "threadPriority", &[cap, li, 0, new]);
    assert!(!site.runs(busy) && site.runs(slow));
    site.end();
}

#[test]
fn nc_046_a_null_pointer_skips_its_half() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let old = site.arg(user.actor, &-1i32);
    let new = site.arg(user.actor, &150i32);
    assert_eq!(site.grants(user, "actorPriority", &[0, old, 0]), K_OK);
    assert_eq!(site.peek::<i32>(user.actor, old), 140);
    assert_eq!(site.grants(user, "actorPriority", &[0, old, new]), K_OK);
    assert_eq!(site.peek::<i32>(user.actor, old), 140);
    assert_eq!(site.grants(user, "actorPriority", &[0, old, 0]), K_OK);
    assert_eq!(site.peek::<i32>(user.actor, old), 150);
    let new = site.arg(user.actor, &9i32);
    assert_eq!(site.grants(user, "threadPriority", &[0, 0, 0, new]), K_OK);
    assert_eq!(site.grants(user, "threadPriority", &[0, 0, old, 0]), K_OK);
    assert_eq!(site.peek::<i32>(user.actor, old), 9);
    site.end();
}

#[test]
fn nc_047_priorities_have_bounds_and_a_ceiling_for_users() {
    let mut site = Site::new(3);
    let (user, system) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
    for (party, value, error) in [
        (user, 10, K_EPRIV),
        (user, 99, K_EPRIV),
        (user, -1, K_EINVAL),
        (system, 256, K_EINVAL),
    ] {
        let new = site.arg(party.actor, &value);
        let old = site.arg(party.actor, &-1i32);
        site.refuses(party, "actorPriority", &[0, old, new], error);
        site.refuses(party, "actorPriority", &[0, NOWHERE, new], error);
    }
    for (party, value, error) in [
        (user, -41, K_EPRIV),
        (user, -256, K_EINVAL),
        (system, 256, K_EINVAL),
    ] {
        let new = site.arg(party.actor, &value);
        let old = site.arg(party.actor, &-1i32);
        site.refuses(party, "threadPriority", &[0, 0, old, new], error);
    }
    for (party, value) in [(user, 100), (system, 10)] {
        let new = site.arg(party.actor, &value);
        site.refuses(party, "actorPriority", &[0, NOWHERE, new], K_EFAULT);
        site.refuses(party, "actorPriority", &[0, 0, NOWHERE], K_EFAULT);
        site.refuses(party, "threadPriority", &[0, 0, NOWHERE, 0], K_EFAULT);
        site.refuses(party, "threadPriority", &[0, 0, 0, NOWHERE], K_EFAULT);
        assert_eq!(site.grants(party, "actorPriority", &[0, 0, new]), K_OK);
        let found = site.nucleus.actors.get(party.actor).unwrap().priority;
        assert_eq!(found, value);
    }
    site.end();
}
