//! Ports: the enabled set, moving to another actor, protection identifiers (spec 3.4).

use crate::actors::{delete, make};
use crate::requests::{Client, answer, take};
use crate::verdict::{OWN, Verdict, call};
use alloc::sync::Arc;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::message::{Buffer, Message, current, send};
use chorus_runtime::port::{Port, Queued, new_group, receive_any};
use chorus_runtime::{at, at_mut, site, start_info, thread};
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use core::time::Duration;

/// What `portMigrate` returned, and the number that it wrote.
fn migrate(options: i32, from: In<KnCap>, li: i32, to: In<KnCap>) -> (i32, u32) {
    let mut count = 0u32;
    let result = call!(
        port_migrate,
        options,
        from,
        li,
        to,
        Out::new(at_mut(&mut count))
    );
    (result, count)
}

fn count(actor: In<KnCap>, li: i32) -> Option<u32> {
    let mut count = 99u32;
    let result = call!(port_get_seq_num, actor, li, Out::new(at_mut(&mut count)));
    (result == K_OK).then_some(count)
}

fn post(to: KnUniqueId, first: u8) -> bool {
    let annex = [first; 64];
    let message = Message {
        annex: Some(&annex),
        body: &[],
    };
    send(to, message).is_ok()
}

fn pause() {
    let _ = thread::sleep(Duration::from_millis(50));
}

/// A receive in a thread of its own, on a port or on any (`K_ANYENABLED`): 1 while it waits, else what came.
fn receiver(li: i32) -> Arc<AtomicI32> {
    let result = Arc::new(AtomicI32::new(1));
    let told = result.clone();
    let _ = thread::spawn(0, move || {
        let mut room = KnMsgDesc::default();
        let mut li = li;
        let got = call!(
            ipc_receive,
            InOut::new(at_mut(&mut room)),
            InOut::new(at_mut(&mut li)),
            10_000
        );
        told.store(got, Ordering::Release);
    });
    pause();
    result
}

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let (made, child) = make(K_USERACTOR, K_ACTIVE);
    if made != K_OK {
        return verdict.check("actorCreate", false);
    }
    let there = In::new(at(&child));
    names(verdict, there);
    enabled_set(verdict);
    moving(verdict, &child);
    waiting(verdict, &child);
    refused(verdict, &child);
    protection(verdict);
    delete(&child);
}

fn names(verdict: &mut Verdict, there: In<KnCap>) {
    let mut foreign = KnUniqueId::NULL;
    let li = call!(port_create, there, Out::new(at_mut(&mut foreign)));
    verdict.check(
        "NC-129",
        li > 0 && call!(port_li, In::new(at(&foreign))) == K_EINVAL,
    );
    let mut ui = KnUniqueId::NULL;
    let asked = call!(port_ui, Out::new(at_mut(&mut ui)), li);
    verdict.check("NC-130", asked == K_EINVAL || ui != foreign);
    call!(port_delete, there, li);
    let ui = KnUniqueId::well_known_port(site::number(), 0x7f_0001);
    if start_info().kind == K_USERACTOR {
        verdict.check("NC-107", Port::declare(ui).map(|_| ()) == Err(KError::Priv));
    } else {
        let first = Port::declare(ui);
        let second = Port::declare(ui).map(|_| ());
        verdict.check("NC-108", first.is_ok() && second == Err(KError::Busy));
    }
}

fn enabled_set(verdict: &mut Verdict) {
    let Ok(port) = Port::create() else {
        return verdict.check("portCreate", false);
    };
    let result = receiver(K_ANYENABLED);
    let waits = || result.load(Ordering::Acquire) == 1;
    let disabled = port.enable(3).is_ok() && port.disable().is_ok();
    pause();
    verdict.check("NC-114", disabled && waits());
    let queued = post(port.ui(), 1);
    pause();
    let untouched = waits();
    let enabled = port.enable(3).is_ok();
    pause();
    verdict.check(
        "NC-115",
        queued && untouched && enabled && result.load(Ordering::Acquire) == 0,
    );
}

fn moving(verdict: &mut Verdict, child: &KnCap) {
    let there = In::new(at(child));
    let Ok(port) = Port::create() else {
        return verdict.check("portCreate", false);
    };
    let ui = port.ui();
    let received = (0..5).all(|_| post(ui, 1) && take(&port) == Some(1));
    let (away, told) = migrate(K_MIGRATEMSG, OWN, port.li(), there);
    verdict.check(
        "NC-122",
        received && away > 0 && told == 6 && count(there, away) == Some(0),
    );
    verdict.check("portMigrate old LI", take(&port).is_none());
    let sent = (0..10).all(|number| post(ui, number));
    let Ok(back) = Port::take_over(child, away, Queued::Follow) else {
        return verdict.check("NC-117", false);
    };
    // The child has no thread: nobody there took part.
    let taken: Vec<_> = (0..10).map(|_| take(&back)).collect();
    verdict.check(
        "NC-117, NC-123",
        sent && taken == (0..10).map(Some).collect::<Vec<_>>(),
    );
    verdict.check(
        "NC-116",
        back.ui() == ui && post(ui, 9) && take(&back) == Some(9),
    );
    let mut buffer = Buffer::with_room(0);
    let moved = back.enable(0).is_ok();
    let (away, _) = migrate(K_MIGRATEMSG, OWN, back.li(), there);
    let Ok(back) = Port::take_over(child, away, Queued::Follow) else {
        return verdict.check("NC-119", false);
    };
    let polled =
        post(ui, 1) && receive_any(&mut buffer, Some(Duration::ZERO)) == Err(KError::Timeout);
    verdict.check("NC-119", moved && polled && take(&back) == Some(1));
    let group = new_group();
    let joined = group.is_ok_and(|group| back.join(&group).is_ok());
    let Ok(away) = back.give(child, Queued::Follow) else {
        return verdict.check("NC-120", false);
    };
    let sent = group.is_ok_and(|group| post(group.ui, 4));
    let Ok(back) = Port::take_over(child, away, Queued::Follow) else {
        return verdict.check("NC-120", false);
    };
    verdict.check("NC-120", joined && sent && take(&back) == Some(4));
    let client = Client::start(ui, 7, -1, 0);
    let (away, _) = migrate(K_MIGRATEMSG, OWN, back.li(), there);
    let Ok(back) = Port::take_over(child, away, Queued::Follow) else {
        return verdict.check("NC-192", false);
    };
    verdict.check(
        "NC-192",
        take(&back) == Some(7) && answer(8).is_ok() && client.end() == (0, 8),
    );
    let (asked, lost) = (Client::start(ui, 7, -1, 0), post(ui, 1));
    let (away, _) = migrate(K_DROPMSG, OWN, back.li(), there);
    let failed = asked.end().0;
    let Ok(back) = Port::take_over(child, away, Queued::Follow) else {
        return verdict.check("NC-118", false);
    };
    verdict.check(
        "NC-118",
        lost && failed == K_ENOPORT && take(&back).is_none(),
    );
    verdict.check("NC-126", none_lost(child, back));
}

/// One thread sends numbers while the port goes to and fro a hundred times: each comes once, in order.
fn none_lost(child: &KnCap, port: Port) -> bool {
    const NUMBERS: u16 = 200;
    let ui = port.ui();
    let good = Arc::new(AtomicBool::new(false));
    let told = good.clone();
    let _ = thread::spawn(0, move || {
        let all = (0..NUMBERS).all(|number| {
            let mut annex = [0; 64];
            annex[..2].copy_from_slice(&number.to_le_bytes());
            let message = Message {
                annex: Some(&annex),
                body: &[],
            };
            loop {
                match send(ui, message) {
                    Err(KError::Full) => {
                        let _ = thread::sleep(Duration::from_millis(1));
                    }
                    result => break result.is_ok(),
                }
                thread::yield_now();
            }
        });
        told.store(all, Ordering::Release);
    });
    let mut port = port;
    let mut next = 0u16;
    let mut buffer = Buffer::with_room(0);
    let mut turns = 0;
    while turns < 100 || next < NUMBERS {
        let Ok(li) = port.give(child, Queued::Follow) else {
            return false;
        };
        thread::yield_now();
        match Port::take_over(child, li, Queued::Follow) {
            Ok(back) => port = back,
            Err(_) => return false,
        }
        while port.receive(&mut buffer, Some(Duration::ZERO)).is_ok() {
            if buffer.annex[..2] != next.to_le_bytes() {
                return false;
            }
            next += 1;
        }
        if turns > 100 {
            let _ = thread::sleep(Duration::from_millis(1));
        }
        turns += 1;
        if turns > 5000 {
            return false;
        }
    }
    pause();
    good.load(Ordering::Acquire) && next == NUMBERS
}

fn waiting(verdict: &mut Verdict, child: &KnCap) {
    let Ok(port) = Port::create() else {
        return verdict.check("portCreate", false);
    };
    let (explicit, any) = (receiver(port.li()), receiver(K_ANYENABLED));
    let Ok(other) = Port::create() else {
        return verdict.check("portCreate", false);
    };
    let given = port.give(child, Queued::Follow).is_ok();
    pause();
    let (left, stays) = (
        explicit.load(Ordering::Acquire),
        any.load(Ordering::Acquire),
    );
    verdict.check("NC-121", given && left == K_ENOPORT && stays == 1);
    // The other one is let go.
    let _ = (other.enable(0), post(other.ui(), 1));
    pause();
}

fn refused(verdict: &mut Verdict, child: &KnCap) {
    let there = In::new(at(child));
    let Ok(port) = Port::create() else {
        return verdict.check("portCreate", false);
    };
    let default = migrate(K_MIGRATEMSG, OWN, K_DEFAULTPORT, there);
    let option = migrate(2, OWN, port.li(), there);
    let wrong = KnCap {
        key: child.key ^ 1,
        ..*child
    };
    let key = migrate(K_MIGRATEMSG, OWN, port.li(), In::new(at(&wrong)));
    let nowhere = call!(
        port_migrate,
        K_MIGRATEMSG,
        OWN,
        port.li(),
        there,
        Out::new(16)
    );
    verdict.check(
        "portMigrate refusals",
        [default, option, key] == [(K_EINVAL, 0); 3]
            && nowhere == K_EFAULT
            && post(port.ui(), 3)
            && take(&port) == Some(3),
    );
    if start_info().kind != K_USERACTOR {
        let ui = KnUniqueId::well_known_port(site::number(), 0x7f_0002);
        let refused = Port::declare(ui).map(|port| migrate(K_MIGRATEMSG, OWN, port.li(), there));
        verdict.check("NC-125", refused == Ok((K_EINVAL, 0)));
    }
}

fn protection(verdict: &mut Verdict) {
    let (Ok(port), Ok(sink)) = (Port::create(), Port::create()) else {
        return verdict.check("portCreate", false);
    };
    let stamp = || {
        let dest = KnIpcDest {
            target: sink.ui(),
            co_target: KnUniqueId::NULL,
        };
        let empty = KnMsgDesc::default();
        let sent = call!(ipc_send, In::new(at(&empty)), port.li(), In::new(at(&dest)));
        let mut buffer = Buffer::with_room(0);
        let got = sink.receive(&mut buffer, Some(Duration::ZERO));
        (sent == K_OK && got.is_ok())
            .then(current)
            .and_then(Result::ok)
    };
    let first = stamp();
    verdict.check(
        "NC-099, NC-215",
        first.is_some_and(|head| head.port_id == head.actor_id && head.src_port == port.ui()),
    );
    let wanted = KnProtId {
        uid: 77,
        gid: 78,
        did: 79,
        pad: 0,
    };
    let set = port.set_pi(wanted);
    if start_info().kind == K_USERACTOR {
        let same = stamp().map(|head| head.port_id) == first.map(|head| head.port_id);
        verdict.check("NC-131", set == Err(KError::Priv) && same);
        verdict.check("NC-216", port.pi() == Err(KError::Priv) && same);
    } else {
        let shown = stamp().map(|head| (head.port_id, head.actor_id));
        let actor = first.map(|head| head.actor_id).unwrap_or_default();
        verdict.check(
            "NC-132",
            set.is_ok() && shown == Some((wanted, actor)) && port.pi() == Ok(wanted),
        );
    }
}
