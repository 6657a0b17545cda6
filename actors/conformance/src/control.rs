//! Threads under the control of others, and what an actor is (spec 3.1, 3.2): activation, stops, registers, names, classes, processors; kind and
//! protection identifier.

use crate::threads::{Counter, pause, states};
use crate::verdict::{OWN, Verdict, call};
use alloc::boxed::Box;
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::{at, at_mut, site, start_info};
use core::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a stack for the threads made here.
const STACK: usize = 16 << 10;

/// What the threads made here did.
static CAME: AtomicU64 = AtomicU64::new(0);

fn came() -> u64 {
    // Twice: the host may have other work.
    pause();
    pause();
    CAME.swap(0, Ordering::AcqRel)
}

/// Says that it came here, and stays, without a call.
extern "C" fn busy() -> ! {
    loop {
        CAME.fetch_or(1, Ordering::AcqRel);
        core::hint::spin_loop();
    }
}

/// Stays inside a call.
extern "C" fn asleep() -> ! {
    CAME.fetch_or(2, Ordering::AcqRel);
    loop {
        call!(thread_delay, In::new(0));
    }
}

/// Where threads are sent.
extern "C" fn diverted() -> ! {
    CAME.fetch_or(4, Ordering::AcqRel);
    loop {
        call!(thread_delete, OWN, K_MYSELF);
    }
}

/// A thread that is not activated yet.
fn make(entry: extern "C" fn() -> !) -> i32 {
    let supervisor = start_info().kind == K_SUPACTOR;
    let privilege = if supervisor {
        K_SUPTHREAD
    } else {
        K_USERTHREAD
    };
    let stack = if supervisor {
        0
    } else {
        let stack: &'static mut [u8] = Box::leak(alloc::vec![0u8; STACK].into_boxed_slice());
        // As a call would leave it.
        (at(stack) + STACK as u64) & !15
    } - 8;
    call!(
        thread_create,
        OWN,
        privilege,
        K_INACTIVE,
        0,
        entry as *const () as u64,
        stack
    )
}

fn read(li: i32) -> (i32, KnThreadCtx) {
    let mut registers = KnThreadCtx::default();
    let result = call!(
        thread_context,
        OWN,
        li,
        InOut::new(at_mut(&mut registers)),
        In::new(0)
    );
    (result, registers)
}

/// Sends a thread that is held to [`diverted`], on the stack that it has.
fn divert(li: i32) -> i32 {
    let (result, mut registers) = read(li);
    if result != K_OK {
        return result;
    }
    registers.rip = diverted as *const () as u64;
    registers.rsp = ((registers.rsp - 512) & !15) - 8;
    call!(
        thread_context,
        OWN,
        li,
        InOut::new(0),
        In::new(at(&registers))
    )
}

/// Whether a thread that begins at `entry` and was seen there goes on elsewhere when it is told so while it is suspended.
fn continues_elsewhere(entry: extern "C" fn() -> !, seen: u64) -> bool {
    let li = make(entry);
    call!(thread_activate, OWN, li);
    let began = came() & seen != 0;
    let held = call!(thread_suspend, OWN, li) == K_OK;
    came();
    let stands = came() == 0;
    let told = divert(li) == K_OK && came() == 0;
    call!(thread_resume, OWN, li);
    // A call goes on until it ends, and only then the thread is elsewhere.
    let goes = call!(thread_abort, OWN, li) == K_OK && came() == 4;
    began && held && stands && told && goes
}

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let user = start_info().kind == K_USERACTOR;
    let li = make(asleep);
    let before = came();
    call!(thread_activate, OWN, li);
    verdict.check("NC-058", li > 0 && before == 0 && came() == 2);
    call!(thread_delete, OWN, li);
    verdict.check("NC-078", read(call!(thread_self)).0 == K_EINVAL);
    let li = make(asleep);
    let first = read(li);
    let begins = first.1.rip == asleep as *const () as u64;
    let diverted = divert(li) == K_OK && call!(thread_activate, OWN, li) == K_OK;
    verdict.check(
        "NC-079 not begun",
        first.0 == K_OK && begins && diverted && came() == 4,
    );
    verdict.check("NC-079 inside a call", continues_elsewhere(asleep, 2));
    verdict.check("NC-079", continues_elsewhere(busy, 1));
    if start_info().kind != K_SUPACTOR {
        verdict.check("threadContext FPU", vectors());
    }
    stops(verdict, user);
    let li = call!(thread_self);
    let (name, mut old) = (name_field("checker"), [0u8; 16]);
    let named = call!(thread_name, OWN, K_MYSELF, Out::new(0), In::new(at(&name))) == K_OK
        && call!(thread_name, OWN, li, Out::new(at_mut(&mut old)), In::new(0)) == K_OK;
    verdict.check("threadName", named && old == name);
    scheduling(verdict, user);
    trust(verdict, user);
}

/// Whether x87 and SSE registers of a thread are read and set.
fn vectors() -> bool {
    let li = make(asleep);
    let mut area = [0u8; FPU_AREA_SIZE];
    let mut registers = KnThreadCtx {
        fpu_area: at_mut(&mut area),
        ..KnThreadCtx::default()
    };
    let place = at_mut(&mut registers);
    let all = || call!(thread_context, OWN, li, InOut::new(place), In::new(0)) == K_OK;
    let fresh = all() && area[24..28] == 0x1f80u32.to_le_bytes();
    // The seventh register, and bits of MXCSR that no processor has.
    area[160 + 16 * 7] = 9;
    area[24..28].copy_from_slice(&0xffff_1f80u32.to_le_bytes());
    let set = call!(thread_context, OWN, li, InOut::new(0), In::new(place)) == K_OK;
    area.fill(0);
    let kept = all() && area[160 + 16 * 7] == 9 && area[26..28] == [0, 0];
    // It runs with them.
    call!(thread_activate, OWN, li);
    let runs = came() == 2;
    call!(thread_delete, OWN, li);
    fresh && set && kept && runs
}

fn stops(verdict: &mut Verdict, user: bool) {
    let (counter, li) = Counter::start();
    let went = counter.goes();
    let stopped = call!(thread_stop, OWN, li);
    if user {
        verdict.check("threadStop", stopped == K_EPRIV && counter.goes());
    } else {
        let told = states(OWN)
            .iter()
            .any(|stat| stat.li == li && stat.state & THREAD_STOPPED != 0);
        let stands = stopped == K_OK && told && counter.stands();
        let starts = call!(thread_start, OWN, li) == K_OK && counter.goes();
        let again = call!(thread_start, OWN, li) == K_EINVAL;
        verdict.check("threadStop", went && stands && starts && again);
    }
    call!(thread_delete, OWN, li);
}

fn scheduling(verdict: &mut Verdict, user: bool) {
    let (counter, li) = Counter::start();
    let stat = || {
        states(OWN)
            .into_iter()
            .find(|stat| stat.li == li)
            .unwrap_or_default()
    };
    let mut old = KnThParms::default();
    let set = |old: &mut KnThParms, class: i32, priority: i32| {
        let new = KnThParms {
            th_class: class,
            th_priority: priority,
            th_quantum: KnTimeVal::default(),
        };
        call!(
            thread_scheduler,
            OWN,
            li,
            Out::new(at_mut(old)),
            In::new(at(&new))
        )
    };
    let urgent = set(&mut old, CLASS_RT, K_RT_PRIOMAX);
    if user {
        verdict.check("NC-263 user", urgent == K_EPRIV);
    } else {
        verdict.check(
            "NC-263",
            urgent == K_OK && stat().absolute == 96 && counter.goes(),
        );
    }
    let relative = set(&mut old, CLASS_FIFO, 3) == K_OK && stat().relative == 3;
    let wrong = set(&mut old, 9, 0) == K_EINVAL && set(&mut old, CLASS_RR, 0) == K_OK;
    verdict.check(
        "threadScheduler",
        relative && wrong && old.th_class == CLASS_FIFO,
    );
    let bind = |cpu: i32| call!(thread_bind, OWN, li, Out::new(0), In::new(at(&cpu)));
    if user {
        verdict.check("threadBind", bind(0) == K_EPRIV);
    } else {
        let there = |cpu: u32| bind(cpu as i32) == K_OK && counter.goes() && stat().cpu == cpu;
        let all = (0..site::cpus()).all(there);
        let none = bind(site::cpus() as i32) == K_EINVAL;
        verdict.check(
            "threadBind",
            all && none && bind(K_ANYCPU) == K_OK && counter.goes(),
        );
    }
    call!(thread_delete, OWN, li);
}

fn trust(verdict: &mut Verdict, user: bool) {
    let mut own = KnProtId::default();
    let read = call!(actor_pi, OWN, Out::new(at_mut(&mut own)), In::new(0)) == K_OK;
    let mut child = KnCap::default();
    let made = call!(
        actor_create,
        OWN,
        Out::new(at_mut(&mut child)),
        K_USERACTOR,
        K_ACTIVE
    );
    let cap = In::new(at(&child));
    let other = KnProtId {
        uid: 1,
        gid: 2,
        did: 3,
        pad: 0,
    };
    let mut theirs = other;
    let set = call!(
        actor_pi,
        cap,
        Out::new(at_mut(&mut theirs)),
        In::new(at(&other))
    );
    let (mut kind, system) = (-1, K_SYSTEMACTOR);
    let raised = call!(
        actor_privilege,
        cap,
        Out::new(at_mut(&mut kind)),
        In::new(at(&system))
    );
    if user {
        verdict.check("actorPi user", read && made == K_OK && set == K_EPRIV);
        verdict.check("actorPrivilege user", raised == K_EPRIV && kind == -1);
    } else {
        verdict.check(
            "NC-018",
            read && made == K_OK && set == K_OK && theirs == own,
        );
        verdict.check("actorPrivilege", raised == K_OK && kind == K_USERACTOR);
    }
    call!(actor_delete, cap);
}
