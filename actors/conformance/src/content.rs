//! What messages carry: sizes, copies, buffers of the receiver, saved messages (spec 2.6, 3.6).

use crate::requests::{Client, answer, take};
use crate::verdict::{Verdict, call};
use alloc::sync::Arc;
use alloc::vec;
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::message::{Buffer, Message, current, reply, send};
use chorus_runtime::port::Port;
use chorus_runtime::sync::Semaphore;
use chorus_runtime::{at, at_mut, thread};
use core::sync::atomic::{AtomicI32, Ordering};
use core::time::Duration;

const NOW: Option<Duration> = Some(Duration::ZERO);
const MOST: usize = K_CMSGSIZEMAX as usize;

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let Ok(port) = Port::create() else {
        return verdict.check("portCreate", false);
    };
    bodies(verdict, &port);
    order(verdict, &port);
    fetching(verdict, &port);
    failed_receives(verdict, &port);
    saved(verdict, &port);
    replies(verdict, &port);
}

fn bodies(verdict: &mut Verdict, port: &Port) {
    let mut body = vec![0u8; MOST];
    for (index, byte) in body.iter_mut().enumerate() {
        *byte = (index * 7 + index / 251) as u8;
    }
    let whole = body.clone();
    let mut buffer = Buffer::with_room(MOST);
    let sent = send(port.ui(), Message::body(&body));
    // While the message is queued.
    body.fill(0xee);
    let got = port.receive(&mut buffer, NOW);
    let unchanged = sent.is_ok() && got.is_ok() && buffer.body() == whole;
    verdict.check("NC-165", unchanged);
    verdict.check("NC-170", unchanged);
    // A body of whole pages.
    let mut pages = vec![0u8; MOST + PAGE_SIZE as usize];
    let start = (PAGE_SIZE - at(pages.as_slice()) % PAGE_SIZE) as usize;
    let aligned = &mut pages[start..start + MOST];
    aligned.copy_from_slice(&whole);
    let sent = send(port.ui(), Message::body(aligned));
    aligned.fill(0x11);
    let got = port.receive(&mut buffer, NOW);
    verdict.check(
        "NC-171",
        sent.is_ok() && got.is_ok() && buffer.body() == whole,
    );
    let sent = send(port.ui(), Message::default());
    let got = port.receive(&mut buffer, NOW);
    verdict.check(
        "NC-168",
        sent.is_ok() && got.is_ok() && buffer.sent_size() == 0,
    );
    let empty = KnMsgDesc::default();
    let dest = KnIpcDest {
        target: port.ui(),
        co_target: KnUniqueId::NULL,
    };
    let foreign = call!(ipc_send, In::new(at(&empty)), 0x7fff, In::new(at(&dest)));
    verdict.check("NC-175", foreign == K_EINVAL && take(port).is_none());
}

fn order(verdict: &mut Verdict, port: &Port) {
    let ui = port.ui();
    let _ = thread::spawn(0, move || {
        for number in 0..1000u16 {
            let bytes = number.to_le_bytes();
            while send(ui, Message::body(&bytes)) == Err(KError::Full) {
                let _ = thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let mut buffer = Buffer::with_room(2);
    let good = (0..1000u16).all(|number| {
        port.receive(&mut buffer, Some(Duration::from_secs(5)))
            .is_ok()
            && buffer.body() == number.to_le_bytes()
    });
    verdict.check("NC-172", good);
}

/// Receives with a descriptor; the result.
fn receive(desc: &mut KnMsgDesc, li: i32, delay: i32) -> i32 {
    let mut li = li;
    call!(
        ipc_receive,
        InOut::new(at_mut(desc)),
        InOut::new(at_mut(&mut li)),
        delay
    )
}

fn fetching(verdict: &mut Verdict, port: &Port) {
    let fetch = |into: &mut [u8]| {
        let desc = KnMsgDesc {
            body_size: into.len() as u32,
            body_addr: at_mut(into),
            ..KnMsgDesc::default()
        };
        call!(ipc_get_data, In::new(at(&desc)))
    };
    let mut bytes = [0u8; 8];
    let annex = [3u8; 64];
    let message = Message {
        annex: Some(&annex),
        body: b"fetched",
    };
    let sent = send(port.ui(), message);
    let mut got = [0u8; 64];
    let mut only_annex = KnMsgDesc {
        annex_addr: at_mut(&mut got),
        ..KnMsgDesc::default()
    };
    let size = receive(&mut only_annex, port.li(), 0);
    let fetched = fetch(&mut bytes);
    verdict.check(
        "NC-197",
        sent.is_ok() && (size, fetched) == (7, 7) && got == annex && bytes[..7] == *b"fetched",
    );
    verdict.check("NC-198", fetch(&mut bytes) == K_EINVAL);
    let none = Arc::new((AtomicI32::new(1), Semaphore::new(0)));
    let told = none.clone();
    let _ = thread::spawn(0, move || {
        // A new thread has no current message.
        let desc = KnMsgDesc::default();
        told.0
            .store(call!(ipc_get_data, In::new(at(&desc))), Ordering::Release);
        let _ = told.1.release();
    });
    let _ = none.1.acquire(Some(Duration::from_secs(5)));
    verdict.check("NC-199", none.0.load(Ordering::Acquire) == K_EINVAL);
    // A thread that waits gets the bytes where it said.
    let room = Arc::new((Semaphore::new(0), AtomicI32::new(1)));
    let (told, li) = (room.clone(), port.li());
    let _ = thread::spawn(0, move || {
        let mut own = [0u8; 16];
        let mut desc = KnMsgDesc {
            body_size: 16,
            body_addr: at_mut(&mut own),
            ..KnMsgDesc::default()
        };
        let size = receive(&mut desc, li, 10_000);
        // SAFETY: the Nucleus wrote it before the call ended.
        let seen = unsafe { (&raw const own).read_volatile() };
        let good = size == 5 && &seen[..6] == b"bytes\0" && desc.body_addr == at(&own);
        told.1.store(i32::from(good) + 2, Ordering::Release);
        let _ = told.0.release();
    });
    let _ = thread::sleep(Duration::from_millis(5));
    let sent = send(port.ui(), Message::body(b"bytes"));
    let _ = room.0.acquire(Some(Duration::from_secs(5)));
    verdict.check(
        "NC-196",
        sent.is_ok() && room.1.load(Ordering::Acquire) == 3,
    );
}

fn failed_receives(verdict: &mut Verdict, port: &Port) {
    let client = Client::start(port.ui(), 5, -1, 0);
    let held = take(port) == Some(5);
    let sent = send(port.ui(), Message::body(b"kept")).is_ok();
    let mut unmapped = KnMsgDesc {
        body_size: 16,
        body_addr: 16,
        ..KnMsgDesc::default()
    };
    let refused = receive(&mut unmapped, port.li(), 0);
    let still = answer(6).is_ok() && client.end() == (0, 6);
    verdict.check("NC-202", held && refused == K_EFAULT && still);
    let mut buffer = Buffer::with_room(16);
    let got = port.receive(&mut buffer, NOW);
    verdict.check(
        "NC-201",
        sent && refused == K_EFAULT && got.is_ok() && buffer.body() == b"kept",
    );
}

fn saved(verdict: &mut Verdict, port: &Port) {
    let client = Client::start(port.ui(), 1, -1, 0);
    let held = take(port) == Some(1);
    let id = call!(ipc_save, K_NONEPORT);
    let other = Arc::new((AtomicI32::new(1), Semaphore::new(0)));
    let told = other.clone();
    let _ = thread::spawn(0, move || {
        let restored = call!(ipc_restore, id);
        let answered = answer(2).map_or_else(KError::code, |()| restored);
        told.0.store(answered, Ordering::Release);
        let _ = told.1.release();
    });
    let _ = other.1.acquire(Some(Duration::from_secs(5)));
    verdict.check(
        "NC-214",
        held && other.0.load(Ordering::Acquire) == K_OK && client.end() == (0, 2),
    );
    // As many as may be, and one more.
    let mut ids = [0; K_CMSGSAVEDMAX];
    let full = ids.iter_mut().all(|id| {
        let came = send(port.ui(), Message::default()).is_ok() && take(port).is_some();
        *id = call!(ipc_save, K_NONEPORT);
        came && *id > 0
    });
    let annex = [9u8; 64];
    let message = Message {
        annex: Some(&annex),
        body: &[],
    };
    let last = send(port.ui(), message).is_ok() && take(port) == Some(9);
    let refused = call!(ipc_save, K_NONEPORT);
    verdict.check(
        "NC-212",
        full && last && refused == K_ETOOMUCH && current().is_ok(),
    );
    for id in ids {
        call!(ipc_restore, id);
    }
    let target = current().map(|head| head.target);
    verdict.check("ipcRestore", target == Ok(port.ui()));
}

fn replies(verdict: &mut Verdict, port: &Port) {
    let client = Client::start(port.ui(), 1, -1, 0);
    let held = take(port) == Some(1);
    let huge = vec![0u8; MOST + 1];
    let refused = reply(Message::body(&huge));
    verdict.check(
        "NC-219",
        held && refused == Err(KError::TooMuch) && answer(4).is_ok() && client.end() == (0, 4),
    );
    verdict.check("NC-207", answer(4) == Err(KError::Inval));
    // A server that asks another while it holds a request.
    let Ok(second) = Port::create() else {
        return verdict.check("portCreate", false);
    };
    let (inner_ui, li) = (second.ui(), second.li());
    let _ = thread::spawn(0, move || {
        let mut room = KnMsgDesc::default();
        if receive(&mut room, li, 10_000) == 0 {
            let _ = answer(1);
        }
    });
    let client = Client::start(port.ui(), 3, -1, 0);
    let held = take(port) == Some(3);
    let inner = crate::requests::ask(inner_ui, 1, 5_000, 0).0;
    verdict.check(
        "NC-193",
        held && inner == K_OK && answer(5).is_ok() && client.end() == (0, 5),
    );
}
