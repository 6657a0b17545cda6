//! Actors that are stopped or deleted while their threads work (spec 3.1).

use crate::actors::stat;
use crate::planted::{Code, Planted};
use crate::requests::Client;
use crate::threads::states;
use crate::verdict::{Verdict, call};
use chorus_abi::error::*;
use chorus_abi::table::number;
use chorus_abi::*;
use chorus_runtime::message::{Message, send};
use chorus_runtime::{thread, time};
use core::time::Duration;

/// Time for a thread to get as far as it can.
const WHILE: Duration = Duration::from_millis(50);
/// Threads that compute are less urgent than the checker.
const BEHIND: i32 = 1;

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let all = || {
        Some((
            Planted::new(K_ACTIVE)?,
            Planted::new(K_ACTIVE)?,
            Planted::new(K_ACTIVE)?,
        ))
    };
    let Some((counter, receiver, itself)) = all() else {
        return verdict.check("code in an empty actor", false);
    };
    counter.run(0, Code::Count, K_ACTIVE, BEHIND);
    let went = counter.advances(0);
    let stopped = call!(actor_stop, counter.actor()) == K_OK;
    let stands = counter.grows(0, WHILE) == 0;
    let started = call!(actor_start, counter.actor()) == K_OK;
    let goes = counter.advances(0);
    verdict.check("NC-034", went && stopped && stands && started && goes);
    let deleted = counter.delete() == K_OK;
    verdict.check("NC-026", deleted && counter.grows(0, WHILE) == 0);

    let li = receiver.receiver(0, -1, 2, BEHIND);
    let waits = call!(thread_activate, receiver.actor(), li) == K_OK && waiting(&receiver, li);
    let stopped = call!(actor_stop, receiver.actor()) == K_OK;
    let both = THREAD_WAITING | THREAD_STOPPED;
    verdict.check(
        "NC-038",
        waits && stopped && state(&receiver, li) & both == both,
    );
    let sent = send(receiver.cap.ui, Message::default()).is_ok();
    let stands = receiver.grows(0, WHILE) == 0 && receiver.count(0) == 0;
    let started = call!(actor_start, receiver.actor()) == K_OK;
    let came = receiver.comes(0, 1) && receiver.result(0) == 0;
    verdict.check("NC-036", sent && stands && started && came);
    // Its second receive takes a request, which it keeps.
    let client = Client::start(receiver.cap.ui, 1, -1, 0);
    let held = receiver.comes(0, 2);
    let deleted = receiver.delete() == K_OK;
    verdict.check("NC-029", held && deleted && client.end().0 == K_ENOPORT);

    itself.call(0, number::actor_delete, &[K_MYACTOR], 1);
    let gone = (0..100).any(|_| {
        let _ = thread::sleep(Duration::from_millis(5));
        stat(&itself.cap).is_none()
    });
    verdict.check("NC-031", gone && itself.count(0) == 0);
    // However busy the host is, once the limit has passed before the start, and the rest of it would be seen.
    verdict.check("NC-040", (0..3).any(|_| limited()));
}

fn state(planted: &Planted, li: i32) -> u32 {
    let threads = states(planted.actor());
    let found = threads.iter().find(|thread| thread.li == li);
    found.map_or(0, |thread| thread.state)
}

fn waiting(planted: &Planted, li: i32) -> bool {
    (0..200).any(|_| {
        let _ = thread::sleep(Duration::from_millis(5));
        state(planted, li) & THREAD_WAITING != 0
    })
}

/// Whether a limit of 100 ms that passes while the actor is stopped ends the wait as soon as it is started.
fn limited() -> bool {
    let Some(planted) = Planted::new(K_ACTIVE) else {
        return false;
    };
    let li = planted.receiver(0, 100, 1, BEHIND);
    let waits = call!(thread_activate, planted.actor(), li) == K_OK && waiting(&planted, li);
    let stopped = call!(actor_stop, planted.actor()) == K_OK;
    let _ = thread::sleep(Duration::from_millis(200));
    let stands = planted.count(0) == 0;
    let start = time::now();
    let started = call!(actor_start, planted.actor()) == K_OK;
    let ended = planted.comes(0, 1) && planted.result(0) == K_ETIMEOUT;
    let soon = time::now() - start < Duration::from_millis(60);
    waits && stopped && stands && started && ended && soon
}
