//! Exceptions of the actor's own threads, reported to a port that another thread receives at (spec 3.1, 6.2).

use crate::verdict::{OWN, Verdict, call};
use alloc::sync::Arc;
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::exception::{ROOM, Report, Verdict as What, answer, report_to};
use chorus_runtime::message::Buffer;
use chorus_runtime::port::Port;
use chorus_runtime::{at, at_mut, site, thread};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

fn next(port: &Port) -> Option<Report> {
    let mut buffer = Buffer::with_room(ROOM);
    port.receive(&mut buffer, Some(Duration::from_secs(5)))
        .ok()?;
    Report::of(&buffer)
}

fn listed(li: i32) -> bool {
    let mut list = [KnThreadStat::default(); 32];
    let count = call!(thread_stat, OWN, Out::new(at_mut(&mut list)), 32);
    list[..count.clamp(0, 32) as usize]
        .iter()
        .any(|stat| stat.li == li)
}

fn own() -> KnCap {
    let mut cap = KnCap::default();
    call!(actor_self, Out::new(at_mut(&mut cap)));
    cap
}

/// Waits until a word changes from 0.
fn await_word(word: &AtomicU64) -> u64 {
    for _ in 0..200 {
        if word.load(Ordering::Acquire) != 0 {
            break;
        }
        let _ = thread::sleep(Duration::from_millis(5));
    }
    word.load(Ordering::Acquire)
}

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let (Ok(port), cap) = (Port::create(), own()) else {
        return verdict.check("portCreate", false);
    };
    let set = report_to(&cap, Some(port.ui()));
    let mut present = KnUniqueId::NULL;
    let read = call!(
        actor_except,
        OWN,
        Out::new(at_mut(&mut present)),
        In::new(0)
    );
    verdict.check(
        "NC-052",
        set == Ok(KnUniqueId::NULL) && read == K_OK && present == port.ui(),
    );
    let nonsense = KnUniqueId::from_fields(site::number(), UiType::Site, 1, 1);
    verdict.check(
        "actorExcept of a site",
        call!(actor_except, OWN, Out::new(0), In::new(at(&nonsense))) == K_EINVAL,
    );
    let result = Arc::new(AtomicU64::new(0));
    let told = result.clone();
    let li = thread::spawn(0, move || {
        let quotient: u64;
        // SAFETY: divides by zero, which is what is looked at; whoever treats it goes on behind the instruction.
        unsafe {
            asm!("div {0:e}", in(reg) 0u32, inout("rax") 8u64 => quotient, inout("rdx") 0u64 => _);
        }
        told.store(quotient, Ordering::Release);
    })
    .unwrap_or(-1);
    let report = next(&port);
    verdict.check(
        "NC-048",
        report.is_some_and(|report| report.what.exc_no == 1 && report.what.actor_cap == cap),
    );
    let Some(report) = report else {
        return;
    };
    // SAFETY: code of this actor.
    let byte = unsafe { (report.what.pc as *const u8).read_volatile() };
    verdict.check(
        "NC-049",
        report.what.thread_li == li
            && report.what.pc == report.context.rip
            && matches!(byte, 0xf7 | 0x41)
            && report.context.rax == 8,
    );
    let aborted = call!(thread_abort, OWN, li) == K_OK && listed(li);
    let length = if byte == 0xf7 { 2 } else { 3 };
    let repaired = KnThreadCtx {
        rip: report.context.rip + length,
        rax: 77,
        ..report.context
    };
    let answered = answer(What::ContinueWith(&repaired)).is_ok();
    verdict.check("NC-050", aborted && answered && await_word(&result) == 77);
    page(verdict, &port);
    let li = thread::spawn(0, || {
        // SAFETY: not executed to its end.
        unsafe { asm!("ud2") }
    })
    .unwrap_or(-1);
    let came = next(&port).is_some_and(|report| report.what.exc_no == 4);
    let there = listed(li);
    let answered = answer(What::Delete).is_ok();
    let _ = thread::sleep(Duration::from_millis(10));
    verdict.check(
        "a thread deleted by a verdict",
        came && there && answered && !listed(li),
    );
    verdict.check(
        "actorExcept removes",
        report_to(&cap, None) == Ok(port.ui()),
    );
}

/// A page that is missing is made by whoever hears of it, and the instruction is executed again.
fn page(verdict: &mut Verdict, port: &Port) {
    // The thread is there before, so that its stack takes no address that is free later.
    let (go, result) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (start, told) = (go.clone(), result.clone());
    let _ = thread::spawn(0, move || {
        let word = await_word(&start) as *mut u64;
        // SAFETY: nothing is there: who treats the exception maps it.
        unsafe {
            word.write_volatile(33);
            told.store(word.read_volatile(), Ordering::Release);
        }
    });
    let mut region = KnRgnDesc {
        size: 4096,
        options: K_WRITABLE | K_ANYWHERE,
        ..KnRgnDesc::default()
    };
    call!(rgn_allocate, OWN, InOut::new(at_mut(&mut region)));
    call!(rgn_free, OWN, In::new(at(&region)));
    let place = region.start_addr + 40;
    go.store(place, Ordering::Release);
    let report = next(port);
    let missed = report.is_some_and(|report| {
        report.what.exc_no == 7
            && report.what.fault_addr == place
            && report.what.flags == K_EXC_WRITE
    });
    region.options = K_WRITABLE;
    let mapped = call!(rgn_allocate, OWN, InOut::new(at_mut(&mut region))) == K_OK;
    let answered = answer(What::Continue).is_ok();
    verdict.check(
        "a page fault repaired",
        missed && mapped && answered && await_word(&result) == 33,
    );
}
