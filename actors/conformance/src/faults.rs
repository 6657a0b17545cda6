//! Assertions on links that lose or double frames, and on a site that is switched off: by the host, which is asked for it by a line of text.

use crate::partner::*;
use crate::sites::{Partner, who};
use crate::verdict::{Verdict, call};
use alloc::sync::Arc;
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::at;
use chorus_runtime::message::{Message, call_annex, send};
use chorus_runtime::port::new_group;
use chorus_runtime::sync::{Mutex, Semaphore};
use chorus_runtime::{println, thread, time};
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

const NULL: KnUniqueId = KnUniqueId::NULL;
/// Clients at a time, so that one that waits for a repetition does not hold the others up.
const CLIENTS: u32 = 10;
/// What the assertions allow after the end of a site.
const SOON: Duration = Duration::from_secs(10);

/// Checks them. The link to `lossy` loses a fifth of all frames, that to `doubling` doubles as many.
pub fn check(verdict: &mut Verdict, near: Partner, lossy: Partner, doubling: Partner) {
    verdict.check("NC-185", requests(lossy, 1000));
    verdict.check("NC-186", requests(doubling, 500));
    switched_off(verdict, near, doubling);
}

/// Whether so many requests get good replies, and are executed once each.
fn requests(partner: Partner, count: u32) -> bool {
    let port = partner.served();
    let shared = Arc::new((AtomicU32::new(0), Semaphore::new(0)));
    for _ in 0..CLIENTS {
        let shared = shared.clone();
        let client = move || {
            for _ in 0..count / CLIENTS {
                if who(port, NULL) == Ok(partner.0) {
                    shared.0.fetch_add(1, Ordering::AcqRel);
                }
            }
            let _ = shared.1.release();
        };
        if thread::spawn(0, client).is_err() {
            return false;
        }
    }
    for _ in 0..CLIENTS {
        let _ = shared.1.acquire(None);
    }
    let good = shared.0.load(Ordering::Acquire) == count;
    good && partner.ask(COUNT, port) == count as i32
}

/// How a request that was being served came back, and when.
type Answered = Arc<Mutex<Option<(Result<u16, KError>, Duration)>>>;

/// A request that its server keeps, from a thread of its own.
fn hold(port: KnUniqueId) -> Answered {
    let answered = Answered::default();
    let result = answered.clone();
    let client = move || {
        let mut reply = [0; 64];
        let answer = call_annex(port, Message::default(), &mut reply, None);
        *result.lock() = Some((answer.map(|()| reply[0].into()), time::now()));
    };
    if let Err(error) = thread::spawn(0, client) {
        *answered.lock() = Some((Err(error), time::now()));
    }
    answered
}

/// Has the host end a site. When it gave its last sign of life, `None` if it does not end.
fn kill(partner: Partner) -> Option<Duration> {
    println!("host: kill {}", partner.0);
    let (start, mut alive) = (time::now(), time::now());
    while time::now() - start < Duration::from_secs(60) {
        let began = time::now();
        let annex = Order {
            what: GROUP,
            ..Order::default()
        };
        let annex = annex.annex();
        let question = Message {
            annex: Some(&annex),
            body: &[],
        };
        let limit = Some(Duration::from_secs(20));
        match call_annex(partner.port(), question, &mut [0; 64], limit) {
            // It was alive when the request came there, not before that was sent.
            Ok(()) => alive = began,
            Err(_) => return Some(alive),
        }
        let _ = thread::sleep(Duration::from_millis(50));
    }
    None
}

fn switched_off(verdict: &mut Verdict, near: Partner, doomed: Partner) {
    let held = doomed.order(HELD, NULL, KnCap::default());
    let member = doomed.served();
    let Ok(group) = new_group() else {
        return verdict.check("grpAllocate", false);
    };
    let one = group.ui.with_mode(K_FUNCMODE).unwrap_or(NULL);
    // The member there is known here before there is another.
    let joined = doomed.order(JOIN, member, group).result == K_OK;
    let known = who(one, NULL) == Ok(doomed.0);
    let left = near.served();
    let ready = joined && known && near.order(JOIN, left, group).result == K_OK;
    let answered = hold(held.ui);
    let served = held.result == K_OK && doomed.counts(held.ui, 1);
    let Some(alive) = kill(doomed) else {
        return verdict.check("host: kill", false);
    };

    let mut reached = None;
    while reached.is_none() && time::now() - alive < 3 * SOON {
        if who(one, NULL) == Ok(near.0) {
            reached = Some(time::now());
        } else {
            let _ = thread::sleep(Duration::from_millis(20));
        }
    }
    let soon = |when: Duration| when - alive <= SOON;
    verdict.check("NC-164", ready && reached.is_some_and(soon));

    while answered.lock().is_none() && time::now() - alive < 3 * SOON {
        let _ = thread::sleep(Duration::from_millis(20));
    }
    let end = *answered.lock();
    let told = end.is_some_and(|(result, when)| result == Err(KError::LinkFailure) && soon(when));
    verdict.check("NC-187", served && told);

    // The middle one of five: the host has other work, too.
    let mut times = [Duration::ZERO; 5];
    for took in &mut times {
        let start = time::now();
        let _ = send(member, Message::default());
        *took = time::now() - start;
    }
    times.sort();
    verdict.check("NC-179", times[2] < Duration::from_millis(100));
    call!(grp_port_remove, In::new(at(&group)), In::new(at(&left)));
}
