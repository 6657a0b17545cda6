//! What an actor does to others, or cannot (spec 2.2, 3.3, 3.8, 3.10, 7): seen from the outside, by planted code.

use crate::actors::{delete, make, stat};
use crate::planted::{Code, Planted};
use crate::requests::{Client, answer, take};
use crate::threads::states;
use crate::verdict::{OWN, Verdict, call};
use chorus_abi::error::*;
use chorus_abi::table::number;
use chorus_abi::*;
use chorus_runtime::exception::{ROOM, Report, Verdict as What, report_to};
use chorus_runtime::message::{Buffer, Message, current, send};
use chorus_runtime::port::{Port, new_group};
use chorus_runtime::{at, at_mut, start_info, thread};
use core::sync::atomic::Ordering;
use core::time::Duration;

/// Where a further region of a planted actor begins.
const MORE: u64 = 0x4100_0000;
/// An address of the Nucleus.
const NUCLEUS: u64 = 0xffff_ffff_8010_0000;

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let Ok(port) = Port::create() else {
        return verdict.check("portCreate", false);
    };
    verdict.check("NC-217", group_is_target(&port).unwrap_or(false));
    verdict.check("NC-083", shared_mutex().unwrap_or(false));
    verdict.check("NC-225", read_only(&port).unwrap_or(false));
    verdict.check("NC-241", kernel_load().unwrap_or(false));
    verdict.check("NC-274", timer_of_the_dead().unwrap_or(false));
    verdict.check("NC-284", full_queues(&port).unwrap_or(false));
    // A user has no capability of what is trusted.
    if start_info().kind != K_USERACTOR {
        verdict.check("NC-030", system_actor().unwrap_or(false));
    }
    if start_info().kind == K_SUPACTOR {
        verdict.check("NC-062", supervisor_thread().unwrap_or(false));
    }
}

fn group_is_target(port: &Port) -> Option<bool> {
    let group = new_group().ok()?;
    port.join(&group).ok()?;
    let one = group.ui.with_mode(K_FUNCMODE).ok()?;
    send(one, Message::default()).ok()?;
    let came = take(port).is_some();
    Some(came && current().ok()?.target == one)
}

/// A mutex that the checker has is waited for in the other actor, and then the other way round.
fn shared_mutex() -> Option<bool> {
    let planted = Planted::new(K_ACTIVE)?;
    let (here, there) = (at(planted.word(30, 0)), Planted::there(30, 0));
    let got = call!(mutex_get, InOut::new(here)) == K_OK;
    planted.call(0, number::mutex_get, &[there], 1);
    let waits = planted.grows(0, Duration::from_millis(50)) == 0;
    let given = call!(mutex_rel, InOut::new(here)) == K_OK && planted.comes(0, 1);
    let busy = call!(mutex_try, InOut::new(here)) > 0;
    planted.call(1, number::mutex_rel, &[there], 1);
    let back = planted.comes(1, 1) && call!(mutex_try, InOut::new(here)) == K_OK;
    Some(got && waits && given && busy && back)
}

fn read_only(port: &Port) -> Option<bool> {
    // A child has its parent's exception port.
    let mut own = KnCap::default();
    call!(actor_self, Out::new(at_mut(&mut own)));
    report_to(&own, Some(port.ui())).ok()?;
    let planted = Planted::new(K_ACTIVE);
    report_to(&own, None).ok()?;
    let planted = planted?;
    let mut region = KnRgnDesc {
        start_addr: MORE,
        size: PAGE_SIZE,
        ..KnRgnDesc::default()
    };
    let made = call!(
        rgn_allocate,
        planted.actor(),
        InOut::new(at_mut(&mut region))
    ) == K_OK;
    planted.touch(0, MORE + 8, Code::Load);
    let loaded = planted.comes(0, 1) && planted.word(0, 1).load(Ordering::Acquire) == 0;
    let li = planted.touch(1, MORE + 8, Code::Store);
    let mut buffer = Buffer::with_room(ROOM);
    port.receive(&mut buffer, Some(Duration::from_secs(5)))
        .ok()?;
    let what = Report::of(&buffer)?.what;
    let faulted = what.thread_li == li
        && what.fault_addr == MORE + 8
        && what.flags & K_EXC_WRITE != 0
        && planted.count(1) == 0;
    let ended = chorus_runtime::exception::answer(What::Delete).is_ok();
    Some(made && loaded && faulted && ended)
}

fn kernel_load() -> Option<bool> {
    let planted = Planted::new(K_ACTIVE)?;
    // The same code loads what it may.
    planted.touch(0, Planted::there(0, 3), Code::Load);
    let can = planted.comes(0, 1);
    planted.touch(1, NUCLEUS, Code::Load);
    let ended = (0..400).any(|_| {
        let _ = thread::sleep(Duration::from_millis(5));
        stat(&planted.cap).is_none()
    });
    Some(can && ended && planted.count(1) == 0)
}

#[repr(align(8))]
struct Pool(KnThreadPool);

fn timer_of_the_dead() -> Option<bool> {
    let (_, cap) = make(K_USERACTOR, K_ACTIVE);
    let mut pool = Pool(KnThreadPool::default());
    let place = at_mut(&mut pool.0);
    let (mut li, mut cookie, mut overrun) = (0i32, 0u64, 0i32);
    let each = KnTimeVal::from_ns(2_000_000);
    let setting = KnITimer {
        it_interval: each,
        it_value: each,
    };
    let actor = In::new(at(&cap));
    let results = [
        call!(timer_thread_pool_init, Out::new(place)),
        call!(
            timer_create,
            actor,
            K_CLOCK_REALTIME,
            InOut::new(place),
            5,
            Out::new(at_mut(&mut li))
        ),
        call!(timer_set, actor, li, 0, In::new(at(&setting)), Out::new(0)),
    ];
    let mut wait = |limit: u64| {
        let limit = KnTimeVal::from_ns(limit);
        call!(
            timer_thread_pool_wait,
            InOut::new(place),
            Out::new(at_mut(&mut cookie)),
            Out::new(at_mut(&mut overrun)),
            In::new(at(&limit))
        )
    };
    let expires = wait(5_000_000_000) == K_OK;
    let ended = delete(&cap) == K_OK;
    let silent = wait(50_000_000) == K_ETIMEOUT;
    Some(results == [K_OK; 3] && expires && ended && silent)
}

/// The largest messages to its own ports, until each refuses; those of others arrive all the same.
fn full_queues(port: &Port) -> Option<bool> {
    const PORTS: usize = 24;
    let planted = Planted::new(K_ACTIVE)?;
    let mut region = KnRgnDesc {
        start_addr: MORE,
        size: K_CMSGSIZEMAX.into(),
        options: K_WRITABLE,
        ..KnRgnDesc::default()
    };
    let mut ready = call!(
        rgn_allocate,
        planted.actor(),
        InOut::new(at_mut(&mut region))
    ) == K_OK;
    let [first, second] = [0, 1].map(|index| planted.word(31, index));
    // The descriptor of the message.
    first.store(u64::from(K_CMSGSIZEMAX) << 32, Ordering::Release);
    second.store(MORE, Ordering::Release);
    for index in 0..PORTS {
        let mut ui = KnUniqueId::NULL;
        ready &= call!(port_create, planted.actor(), Out::new(at_mut(&mut ui))) > 0;
        // Its destination lies behind the words of its thread.
        planted
            .word(index, 10)
            .store(ui.memory_word(), Ordering::Release);
        let arguments = [Planted::there(31, 0), 0, Planted::there(index, 10)];
        let times = K_CPORTQUEUE as u64 + 8;
        ready &= planted.call(index, number::ipc_send, &arguments, times) > 0;
    }
    let times = K_CPORTQUEUE as u64 + 8;
    let filled = (0..PORTS).all(|index| {
        let refused = planted.comes(index, times);
        refused && matches!(planted.result(index), K_EFULL | K_ENOMEM)
    });
    let body = [7u8; 300];
    let sent = send(port.ui(), Message::body(&body)).is_ok();
    let mut buffer = Buffer::with_room(300);
    let came = port.receive(&mut buffer, Some(Duration::ZERO)).is_ok() && buffer.body() == body;
    let client = Client::start(port.ui(), 3, -1, 0);
    let served = take(port) == Some(3) && answer(9).is_ok() && client.end() == (0, 9);
    Some(ready && filled && sent && came && served)
}

fn system_actor() -> Option<bool> {
    let planted = Planted::new(K_ACTIVE)?;
    let (made, cap) = make(K_SYSTEMACTOR, K_ACTIVE);
    planted
        .word(30, 0)
        .store(cap.ui.memory_word(), Ordering::Release);
    planted.word(30, 1).store(cap.key, Ordering::Release);
    planted.call(0, number::actor_delete, &[Planted::there(30, 0)], 1);
    let refused = planted.comes(0, 1) && planted.result(0) == K_EPRIV;
    let there = stat(&cap).is_some();
    Some(made == K_OK && refused && there && delete(&cap) == K_OK)
}

fn supervisor_thread() -> Option<bool> {
    let planted = Planted::new(K_ACTIVE)?;
    let mut own = KnCap::default();
    call!(actor_self, Out::new(at_mut(&mut own)));
    planted
        .word(30, 0)
        .store(own.ui.memory_word(), Ordering::Release);
    planted.word(30, 1).store(own.key, Ordering::Release);
    let (counter, li) = crate::threads::Counter::start();
    let arguments = [Planted::there(30, 0), li as u64];
    planted.call(0, number::thread_delete, &arguments, 1);
    let refused = planted.comes(0, 1) && planted.result(0) == K_EPRIV;
    let there = states(OWN).iter().any(|thread| thread.li == li);
    let goes = counter.goes();
    Some(refused && there && goes && call!(thread_delete, OWN, li) == K_OK)
}
