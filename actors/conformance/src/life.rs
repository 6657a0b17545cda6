//! The life of actors and threads: stopped, inactive, suspended, deleted (spec 2.2, 2.3, 3.1, 3.2).
//!
//! A thread of an empty user actor has nothing to execute: its first instruction faults, and the actor is deleted for it. So an actor that is still
//! there is one whose thread has executed nothing.

use crate::actors::{delete, make, priority, stat};
use crate::requests::{Client, answer, ask, take};
use crate::threads::states;
use crate::verdict::{OWN, Verdict, call};
use alloc::sync::Arc;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::message::{Buffer, Message, send};
use chorus_runtime::port::{Port, new_group};
use chorus_runtime::sync::Mutex;
use chorus_runtime::{at, at_mut, start_info, thread};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use core::time::Duration;

fn pause() {
    let _ = thread::sleep(Duration::from_millis(20));
    crate::threads::pause();
}

/// A thread of an empty actor, whose first instruction faults.
fn doomed(actor: In<KnCap>, status: i32, relative: i32) -> i32 {
    call!(
        thread_create,
        actor,
        K_USERTHREAD,
        status,
        relative,
        0x1000,
        0x1000
    )
}

fn lives(cap: &KnCap) -> bool {
    let _ = thread::sleep(Duration::from_millis(50));
    stat(cap).is_some()
}

/// Whether an actor ends within five seconds.
pub fn ends(cap: &KnCap) -> bool {
    (0..500).any(|_| {
        let _ = thread::sleep(Duration::from_millis(10));
        stat(cap).is_none()
    })
}

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    beginnings(verdict);
    deletions(verdict);
    waits(verdict);
    verdict.check("NC-081", in_order());
    started(verdict);
    ports_run_out(verdict);
}

fn beginnings(verdict: &mut Verdict) {
    let (_, cap) = make(K_USERACTOR, K_STOPPED);
    let actor = In::new(at(&cap));
    let li = doomed(actor, K_ACTIVE, 100);
    let still = li > 0 && lives(&cap);
    let stopped = states(actor)
        .iter()
        .all(|thread| thread.li == li && thread.state & THREAD_STOPPED != 0);
    verdict.check("NC-035", still && stopped);
    let shown = |actor: In<KnCap>| states(actor).first().map(|thread| thread.absolute);
    let high = priority(&cap, Some(250)).0 == K_OK && shown(actor) == Some(255);
    let low = priority(&cap, Some(100)).0 == K_OK && shown(actor) == Some(200);
    verdict.check("NC-045", high && low);
    let own = call!(thread_self);
    let foreign = call!(thread_suspend, actor, own);
    verdict.check("NC-059", foreign == K_EINVAL);
    let started = call!(actor_start, actor) == K_OK;
    verdict.check("NC-022, NC-051", still && started && ends(&cap));
    let (_, cap) = make(K_USERACTOR, K_STOPPED);
    let actor = In::new(at(&cap));
    let li = doomed(actor, K_ACTIVE, 0);
    let suspended = call!(thread_suspend, actor, li) == K_OK;
    let started = call!(actor_start, actor) == K_OK && lives(&cap);
    let resumed = call!(thread_resume, actor, li) == K_OK;
    verdict.check("NC-037", suspended && started && resumed && ends(&cap));
    let (_, cap) = make(K_USERACTOR, K_ACTIVE);
    let actor = In::new(at(&cap));
    let li = doomed(actor, K_INACTIVE, 0);
    let waits = lives(&cap);
    let activated = call!(thread_activate, actor, li) == K_OK;
    verdict.check("NC-058", waits && activated && ends(&cap));
    let (_, parent) = make(K_USERACTOR, K_ACTIVE);
    let mut child = KnCap::default();
    let made = call!(
        actor_create,
        In::new(at(&parent)),
        Out::new(at_mut(&mut child)),
        K_USERACTOR,
        K_ACTIVE
    );
    let orphaned = delete(&parent) == K_OK && lives(&child);
    verdict.check("NC-025", made == K_OK && orphaned && delete(&child) == K_OK);
    let mut own = KnCap::default();
    call!(actor_self, Out::new(at_mut(&mut own)));
    // Answers to what was no request have come there.
    while take(&Port::own()).is_some() {}
    let sent = send(own.ui, Message::body(b"own")).is_ok();
    let mut buffer = Buffer::with_room(3);
    let came = Port::own().receive(&mut buffer, Some(Duration::ZERO));
    verdict.check("NC-016", sent && came.is_ok() && buffer.body() == b"own");
}

fn deletions(verdict: &mut Verdict) {
    let (_, cap) = make(K_USERACTOR, K_ACTIVE);
    let actor = In::new(at(&cap));
    let mut ui = KnUniqueId::NULL;
    let made = call!(port_create, actor, Out::new(at_mut(&mut ui))) > 0;
    let reached = new_group().and_then(|group| {
        let joined = call!(grp_port_insert, In::new(at(&group)), In::new(at(&ui)));
        let one = group.ui.with_mode(K_FUNCMODE)?;
        let before = send(one, Message::default()).is_ok();
        let deleted = delete(&cap);
        Ok((joined, before, deleted, ask(one, 1, 5_000, 0).0))
    });
    verdict.check(
        "NC-033",
        made && reached == Ok((K_OK, true, K_OK, K_EUNKNOWN)),
    );
    let Ok(port) = Port::create() else {
        return verdict.check("portCreate", false);
    };
    let li = waiter(&port, None);
    let deleted = call!(thread_delete, OWN, li) == K_OK;
    let sent = send(port.ui(), Message::default()).is_ok();
    verdict.check("NC-060", deleted && sent && take(&port).is_some());
    // It takes the request, and keeps it.
    let li = waiter(&port, None);
    let client = Client::start(port.ui(), 1, 10_000, 0);
    let deleted = call!(thread_delete, OWN, li) == K_OK;
    verdict.check("NC-061", deleted && client.end().0 == K_ENOPORT);
}

/// A thread that receives a message of a port, says so, and sleeps for ever; its LI.
fn waiter(port: &Port, said: Option<Arc<AtomicBool>>) -> i32 {
    let li = port.li();
    let thread = thread::spawn(0, move || {
        let mut room = KnMsgDesc::default();
        let mut li = li;
        call!(
            ipc_receive,
            InOut::new(at_mut(&mut room)),
            InOut::new(at_mut(&mut li)),
            -1
        );
        if let Some(said) = said {
            said.store(true, Ordering::Release);
        }
        call!(thread_delay, In::new(0));
    });
    pause();
    thread.unwrap_or(0)
}

fn waits(verdict: &mut Verdict) {
    let Ok(port) = Port::create() else {
        return verdict.check("portCreate", false);
    };
    let said = Arc::new(AtomicBool::new(false));
    let li = waiter(&port, Some(said.clone()));
    let suspended = call!(thread_suspend, OWN, li) == K_OK;
    let sent = send(port.ui(), Message::default()).is_ok();
    let taken = take(&port).is_none() && !said.load(Ordering::Acquire);
    call!(thread_resume, OWN, li);
    pause();
    verdict.check(
        "NC-067",
        suspended && sent && taken && said.load(Ordering::Acquire),
    );
    call!(thread_delete, OWN, li);
    let on = Arc::new(AtomicBool::new(false));
    let told = on.clone();
    let li = thread::spawn(0, move || {
        call!(thread_suspend, OWN, K_MYSELF);
        told.store(true, Ordering::Release);
    })
    .unwrap_or(0);
    pause();
    let stands = !on.load(Ordering::Acquire);
    let resumed = call!(thread_resume, OWN, li) == K_OK;
    pause();
    verdict.check("NC-068", stands && resumed && on.load(Ordering::Acquire));
    let result = Arc::new((AtomicI32::new(1), AtomicI32::new(-1)));
    let (told, ui) = (result.clone(), port.ui());
    let li = thread::spawn(0, move || {
        let got = ask(ui, 1, 10_000, 0);
        let marked = call!(thread_aborted);
        told.1.store(marked, Ordering::Release);
        told.0.store(got.0 + i32::from(got.1), Ordering::Release);
    })
    .unwrap_or(0);
    pause();
    let aborted = call!(thread_abort, OWN, li) == K_OK;
    pause();
    let waits = result.0.load(Ordering::Acquire) == 1;
    let answered = take(&port).is_some() && answer(8).is_ok();
    pause();
    let ended = (
        result.0.load(Ordering::Acquire),
        result.1.load(Ordering::Acquire),
    );
    verdict.check("NC-070", aborted && waits && answered && ended == (8, 1));
    let ran = Arc::new(AtomicBool::new(false));
    let told = ran.clone();
    let _ = thread::spawn(0, move || told.store(true, Ordering::Release));
    call!(thread_delay, In::new(at(&KnTimeVal::default())));
    verdict.check(
        "NC-075",
        ran.load(Ordering::Acquire) || chorus_runtime::site::cpus() > 1,
    );
}

/// Whether a mutex goes to those who wait in the order in which they came.
fn in_order() -> bool {
    let mutex = Arc::new(AtomicU64::new(0));
    let address = at(&*mutex);
    let order = Arc::new(Mutex::new(Vec::new()));
    let got = call!(mutex_get, InOut::new(address)) == K_OK;
    for number in 0..4 {
        let (order, mutex) = (order.clone(), mutex.clone());
        let _ = thread::spawn(0, move || {
            call!(mutex_get, InOut::new(at(&*mutex)));
            order.lock().push(number);
            call!(mutex_rel, InOut::new(at(&*mutex)));
        });
        pause();
    }
    let none = order.lock().is_empty();
    call!(mutex_rel, InOut::new(address));
    pause();
    got && none && *order.lock() == [0, 1, 2, 3]
}

// Writes its stack pointer behind the two words that its argument points at, and turns round until it is deleted.
core::arch::global_asm!(
    ".globl conformance_probe",
    "conformance_probe:",
    "mov [rdi + 16], rsp",
    "2: pause",
    "jmp 2b",
);
unsafe extern "C" {
    fn conformance_probe();
}

fn started(verdict: &mut Verdict) {
    let block = Arc::new([const { AtomicU64::new(0) }; 4]);
    let stack = at(&*block);
    let supervisor = start_info().kind == K_SUPACTOR;
    let privilege = if supervisor {
        K_SUPTHREAD
    } else {
        K_USERTHREAD
    };
    let entry = conformance_probe as *const () as u64;
    let li = call!(thread_create, OWN, privilege, K_ACTIVE, 0, entry, stack);
    let pointer = (0..500)
        .map(|_| {
            let _ = thread::sleep(Duration::from_millis(10));
            block[2].load(Ordering::Acquire)
        })
        .find(|&pointer| pointer != 0)
        .unwrap_or(0);
    let deleted = call!(thread_delete, OWN, li) == K_OK;
    if supervisor {
        let own = pointer != 0 && pointer.abs_diff(stack) > PAGE_SIZE;
        verdict.check("NC-055", deleted && own);
    } else {
        verdict.check("NC-054", deleted && pointer == stack);
    }
}

fn ports_run_out(verdict: &mut Verdict) {
    let mut ports = Vec::new();
    let error = loop {
        let mut ui = KnUniqueId::NULL;
        match call!(port_create, OWN, Out::new(at_mut(&mut ui))) {
            li if li > 0 => ports.push(li),
            error => break error,
        }
    };
    let mut ui = KnUniqueId::NULL;
    let again = ports.pop().is_some_and(|li| {
        let deleted = call!(port_delete, OWN, li) == K_OK;
        let li = call!(port_create, OWN, Out::new(at_mut(&mut ui)));
        ports.push(li);
        deleted && li > 0
    });
    let many = ports.len() > 3000;
    // The newest first: it is the first that its actor finds.
    let deleted = ports
        .into_iter()
        .rev()
        .all(|li| call!(port_delete, OWN, li) == K_OK);
    verdict.check("NC-283", error == K_ENOMEM && again && many && deleted);
}
