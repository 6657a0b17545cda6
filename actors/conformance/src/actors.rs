//! Actors: making, naming, priorities, deleting (spec 3.1).

use crate::requests::Client;
use crate::verdict::{OWN, Verdict, call};
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::{at, at_mut, start_info};

/// Makes an actor: the result, and its capability.
pub fn make(kind: i32, status: i32) -> (i32, KnCap) {
    let mut cap = KnCap::default();
    let result = call!(actor_create, OWN, Out::new(at_mut(&mut cap)), kind, status);
    (result, cap)
}

fn listed() -> Vec<KnActorStat> {
    let mut list = alloc::vec![KnActorStat::default(); 64];
    let count = call!(actor_stat, Out::new(at_mut(list.as_mut_slice())), 64);
    list.truncate(count.max(0) as usize);
    list
}

/// The entry of an actor in the list, while it lives.
pub fn stat(cap: &KnCap) -> Option<KnActorStat> {
    listed().into_iter().find(|stat| stat.cap.ui == cap.ui)
}

/// Deletes an actor.
pub fn delete(cap: &KnCap) -> i32 {
    call!(actor_delete, In::new(at(cap)))
}

/// Reads and sets the priority of an actor: the result, and the old one.
pub fn priority(cap: &KnCap, new: Option<i32>) -> (i32, i32) {
    let mut old = -1;
    let value = new.unwrap_or(0);
    let new = if new.is_some() { at(&value) } else { 0 };
    let result = call!(
        actor_priority,
        In::new(at(cap)),
        Out::new(at_mut(&mut old)),
        In::new(new)
    );
    (result, old)
}

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let user = start_info().kind == K_USERACTOR;
    let before = listed().len();
    let (made, cap) = make(K_USERACTOR, K_ACTIVE);
    let found = stat(&cap);
    verdict.check(
        "NC-014",
        made == K_OK && found.is_some_and(|stat| stat.ports == 1 && stat.threads == 0),
    );
    let mut own = KnCap::default();
    call!(actor_self, Out::new(at_mut(&mut own)));
    verdict.check(
        "NC-017",
        found.map(|found| found.priority) == stat(&own).map(|own| own.priority),
    );
    let (system, other) = make(K_SYSTEMACTOR, K_ACTIVE);
    if user {
        verdict.check("NC-019", system == K_EPRIV);
    } else {
        verdict.check("NC-020", system == K_OK && delete(&other) == K_OK);
    }
    let mut wrong = cap;
    wrong.key ^= 1 << 40;
    let mut unused = KnCap::default();
    let refused = call!(
        actor_create,
        In::new(at(&wrong)),
        Out::new(at_mut(&mut unused)),
        K_USERACTOR,
        K_ACTIVE
    );
    verdict.check("NC-021", refused == K_EINVAL);
    let count = listed().len();
    let nowhere = call!(actor_create, OWN, Out::new(16), K_USERACTOR, K_ACTIVE);
    verdict.check("NC-024", nowhere == K_EFAULT && listed().len() == count);
    let (_, old) = priority(&cap, None);
    verdict.check(
        "NC-046",
        priority(&cap, None) == (K_OK, old) && stat(&cap).map(|stat| stat.priority) == Some(old),
    );
    if user {
        verdict.check("NC-047", priority(&cap, Some(10)).0 == K_EPRIV);
    } else {
        verdict.check(
            "NC-047 system",
            priority(&cap, Some(10)) == (K_OK, old) && priority(&cap, None).1 == 10,
        );
    }
    let name = name_field("named");
    let mut read = [0u8; 16];
    let named = call!(
        actor_name,
        In::new(at(&cap)),
        Out::new(0),
        In::new(at(&name))
    );
    call!(
        actor_name,
        In::new(at(&cap)),
        Out::new(at_mut(&mut read[0])),
        In::new(0)
    );
    // A user names only its own actor.
    let expected = if user {
        (K_EPRIV, [0; 16])
    } else {
        (K_OK, name)
    };
    verdict.check("actorName", (named, read) == expected);
    verdict.check("NC-039", {
        let twice = call!(actor_stop, In::new(at(&cap))) == K_OK
            && call!(actor_stop, In::new(at(&cap))) == K_OK;
        let stopped = stat(&cap).is_some_and(|stat| stat.stopped == 1);
        let started = call!(actor_start, In::new(at(&cap))) == K_OK;
        twice && stopped && started && stat(&cap).is_some_and(|stat| stat.stopped == 0)
    });
    let client = Client::start(cap.ui, 1, -1, 0);
    verdict.check(
        "NC-028",
        delete(&cap) == K_OK && client.end().0 == K_ENOPORT,
    );
    verdict.check("NC-027", matches!(delete(&cap), K_EINVAL | K_EUNKNOWN));
    let free = || {
        let mut stat = KnVmStat::default();
        call!(vm_stat, Out::new(at_mut(&mut stat)));
        stat.free
    };
    let round = || {
        let (_, cap) = make(K_USERACTOR, K_ACTIVE);
        let mut region = KnRgnDesc {
            size: 1 << 20,
            options: K_WRITABLE | K_ANYWHERE | K_NODEMAND,
            ..KnRgnDesc::default()
        };
        let made = call!(
            rgn_allocate,
            In::new(at(&cap)),
            InOut::new(at_mut(&mut region))
        );
        (made, delete(&cap)) == (K_OK, K_OK)
    };
    let warm = (0..4).all(|_| round());
    let start = free();
    verdict.check(
        "NC-032",
        warm && (0..100).all(|_| round()) && free() == start,
    );
    verdict.check("actorStat", listed().len() == before);
}
