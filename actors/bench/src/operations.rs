//! The operations that are measured.

use crate::partners;
use crate::samples::{repeat, report};
use alloc::sync::Arc;
use chorus_abi::{
    In, InOut, K_ANYWHERE, K_DEFAULTPORT, K_FILLZERO, K_MYACTOR, K_NODELAY_LIMIT, K_WRITABLE,
    KError, KnIpcDest, KnMsgDesc, KnRgnDesc, KnTimeVal, PAGE_SIZE,
};
use chorus_runtime::message::Destination;
use chorus_runtime::sync::Semaphore;
use chorus_runtime::{at, at_mut, check, raw, thread};
use core::sync::atomic::{AtomicBool, Ordering};

/// A call that does nothing.
pub fn null_call(op: &str, count: usize) -> Result<(), KError> {
    // SAFETY: no pointers.
    let mut samples = repeat(count, || unsafe {
        raw::sys_null();
    });
    report("call", op, "ticks", &mut samples);
    Ok(())
}

/// `ipcCall` to a server that answers with `ipcReplyReceive`: to its port, empty and with an annex there and back, and to its group.
pub fn round_trips(op: &str, group: Destination, count: usize) -> Result<(), KError> {
    let port = partners::port_of(group)?;
    for (how, to, annex) in [
        ("", port, false),
        ("-annex", port, true),
        ("-group", group, false),
    ] {
        let name = alloc::format!("{op}{how}");
        report("ipc", &name, "ticks", &mut round_trip(to, count, annex, 0)?);
    }
    for size in [8, 64, 1024] {
        let name = alloc::format!("{op}-body-{size}");
        report(
            "ipc",
            &name,
            "ticks",
            &mut round_trip(port, count, false, size)?,
        );
    }
    Ok(())
}

fn round_trip(
    to: Destination,
    count: usize,
    annex: bool,
    body: u32,
) -> Result<alloc::vec::Vec<u64>, KError> {
    let (sent, mut got) = ([7u8; 64], [0u8; 64]);
    let sent_body = Page([7; PAGE_SIZE as usize]);
    let request = KnMsgDesc {
        body_size: body,
        body_addr: if body > 0 { at(&sent_body.0) } else { 0 },
        annex_addr: if annex { at(&sent) } else { 0 },
        ..KnMsgDesc::default()
    };
    let mut reply = KnMsgDesc {
        annex_addr: if annex { at_mut(&mut got) } else { 0 },
        ..KnMsgDesc::default()
    };
    let dest: KnIpcDest = to.0;
    let mut outcome = 0;
    let samples = repeat(count, || {
        // SAFETY: all that the call points at lives through it.
        let result = unsafe {
            raw::ipc_call(
                In::new(at(&request)),
                K_DEFAULTPORT,
                In::new(at(&dest)),
                InOut::new(at_mut(&mut reply)),
                K_NODELAY_LIMIT,
            )
        };
        outcome = outcome.min(result);
    });
    check(outcome)?;
    Ok(samples)
}

/// A buffer that lies in one page.
#[repr(align(4096))]
pub struct Page(pub [u8; PAGE_SIZE as usize]);

/// Two threads of this actor hand each other a semaphore: one sample is there and back, two switches.
pub fn threads(count: usize) -> Result<(), KError> {
    struct Table {
        there: Semaphore,
        back: Semaphore,
        end: AtomicBool,
    }
    let table = Arc::new(Table {
        there: Semaphore::new(0),
        back: Semaphore::new(0),
        end: AtomicBool::new(false),
    });
    let other = table.clone();
    thread::spawn(0, move || {
        while other.there.acquire(None).is_ok() {
            let end = other.end.load(Ordering::Acquire);
            let _ = other.back.release();
            if end {
                return;
            }
        }
    })?;
    let mut samples = repeat(count, || {
        let _ = table.there.release();
        let _ = table.back.acquire(None);
    });
    table.end.store(true, Ordering::Release);
    table.there.release()?;
    table.back.acquire(None)?;
    report("switch", "threads-there-and-back", "ticks", &mut samples);
    Ok(())
}

/// Two equal threads of this actor give way to each other: one sample is there and back, two calls and two switches.
pub fn giving_way(count: usize) -> Result<(), KError> {
    let end = Arc::new(AtomicBool::new(false));
    let other = end.clone();
    let limit = KnTimeVal::default();
    let give_way = move || {
        // SAFETY: the limit lives through the call.
        unsafe { raw::thread_delay(In::new(at(&limit))) };
    };
    thread::spawn(0, move || {
        while !other.load(Ordering::Acquire) {
            give_way();
        }
    })?;
    let mut samples = repeat(count, give_way);
    end.store(true, Ordering::Release);
    give_way();
    report("switch", "giving-way-there-and-back", "ticks", &mut samples);
    Ok(())
}

/// Clears a page as the Nucleus does: by one instruction.
fn clear(page: u64) {
    // SAFETY: a page of a region of this actor's own that nobody else uses.
    unsafe {
        core::arch::asm!(
            "rep stosq",
            inout("rdi") page => _,
            inout("rcx") PAGE_SIZE / 8 => _,
            in("rax") 0u64,
            options(nostack, preserves_flags)
        );
    }
}

/// The first touch of a page: fault, frame, clearing, return.
pub fn zero_page(count: usize) -> Result<(), KError> {
    let mut region = KnRgnDesc {
        size: (count as u64 + 8) * PAGE_SIZE,
        options: K_WRITABLE | K_FILLZERO | K_ANYWHERE,
        ..KnRgnDesc::default()
    };
    // SAFETY: the descriptor lives through the call.
    check(unsafe { raw::rgn_allocate(In::new(K_MYACTOR), InOut::new(at_mut(&mut region))) })?;
    let mut page = region.start_addr;
    let mut samples = repeat(count, || {
        // SAFETY: a page of the region that was just made, which is nobody else's.
        unsafe { (page as *mut u8).write_volatile(1) };
        page += PAGE_SIZE;
    });
    report("fault", "zero-page", "ticks", &mut samples);
    let mut clearing = repeat(count, || clear(region.start_addr));
    report("fault", "clearing-a-page", "ticks", &mut clearing);
    // The report has sorted them.
    let usual = clearing.get(clearing.len() / 2).copied().unwrap_or(0);
    for sample in &mut samples {
        *sample = sample.saturating_sub(usual);
    }
    report("fault", "zero-page-but-clearing", "ticks", &mut samples);
    // SAFETY: nothing of the region is used any more.
    check(unsafe { raw::rgn_free(In::new(K_MYACTOR), In::new(at(&region))) }).map(|_| ())
}

/// Calls a server on another site; found by its group, so that it may be anywhere.
pub fn remote(count: usize) -> Result<(), KError> {
    let server = partners::server("user")?;
    report(
        "rpc",
        "remote-null",
        "ticks",
        &mut round_trip(server, count, false, 0)?,
    );
    Ok(())
}
