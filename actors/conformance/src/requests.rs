//! Requests between threads: `ipcCall`, replies, saving, aborting (spec 3.6).

use crate::verdict::{DEFAULT, OWN, Verdict, call, message};
use alloc::sync::Arc;
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::message::{Buffer, Message, current, reply};
use chorus_runtime::port::{Port, receive_any};
use chorus_runtime::sync::Semaphore;
use chorus_runtime::{at, at_mut, thread, time};
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use core::time::Duration;

/// A call with this first byte, from the default port: its result, and the first byte of the answer's annex.
pub fn ask(target: KnUniqueId, first: u8, delay: i32, flags: u32) -> (i32, u8) {
    let mut annex = [first; 64];
    let request = message(&[], Some(&annex));
    let mut room = KnMsgDesc {
        flags,
        annex_addr: at_mut(&mut annex),
        ..KnMsgDesc::default()
    };
    let dest = KnIpcDest {
        target,
        co_target: KnUniqueId::NULL,
    };
    let result = call!(
        ipc_call,
        In::new(at(&request)),
        DEFAULT,
        In::new(at(&dest)),
        InOut::new(at_mut(&mut room)),
        delay
    );
    // SAFETY: the Nucleus wrote it, if anybody did, before the call ended.
    (result, unsafe { (&raw const annex[0]).read_volatile() })
}

/// A client in a thread of its own: what its call returned, once it has ended.
pub struct Client {
    result: AtomicI32,
    first: AtomicI32,
    done: Semaphore,
    /// Its thread.
    pub li: AtomicI32,
}

impl Client {
    /// Starts one.
    pub fn start(target: KnUniqueId, first: u8, delay: i32, flags: u32) -> Arc<Client> {
        let client = Arc::new(Client {
            result: AtomicI32::new(1),
            first: AtomicI32::new(0),
            done: Semaphore::new(0),
            li: AtomicI32::new(0),
        });
        let own = client.clone();
        let li = thread::spawn(0, move || {
            let (result, first) = ask(target, first, delay, flags);
            own.result.store(result, Ordering::Release);
            own.first.store(i32::from(first), Ordering::Release);
            let _ = own.done.release();
        });
        client.li.store(li.unwrap_or(0), Ordering::Release);
        // It gets as far as it can: it waits, or has ended.
        for _ in 0..400 {
            let _ = thread::sleep(Duration::from_millis(5));
            let own = client.li.load(Ordering::Acquire);
            let threads = crate::threads::states(OWN);
            let found = threads.iter().find(|thread| thread.li == own);
            if found.is_none_or(|thread| thread.state & THREAD_WAITING != 0) {
                break;
            }
        }
        client
    }

    /// Its end: result, and first byte of the answer. Not later than in ten seconds.
    pub fn end(&self) -> (i32, i32) {
        let _ = self.done.acquire(Some(Duration::from_secs(10)));
        (
            self.result.load(Ordering::Acquire),
            self.first.load(Ordering::Acquire),
        )
    }
}

/// Takes a message of a port, if there is one: the first byte of its annex.
pub fn take(port: &Port) -> Option<u8> {
    let mut buffer = Buffer::with_room(0);
    port.receive(&mut buffer, Some(Duration::ZERO)).ok()?;
    Some(buffer.annex[0])
}

/// Answers the current message with an annex of this byte. Errors: those of `ipcReply`.
pub fn answer(first: u8) -> Result<(), KError> {
    reply(Message {
        annex: Some(&[first; 64]),
        body: &[],
    })
}

/// A request whose reply comes twenty seconds later, while all else is checked.
pub struct Late {
    port: Port,
    client: Arc<Client>,
    asked: Duration,
}

impl Late {
    /// Asks. Errors: those of `portCreate`.
    pub fn ask() -> Result<Late, KError> {
        let port = Port::create()?;
        let client = Client::start(port.ui(), 1, -1, 0);
        let asked = time::now();
        Ok(Late {
            port,
            client,
            asked,
        })
    }

    /// Answers, not before its time, and says whether the client got that.
    pub fn answered(self) -> bool {
        let passed = time::now() - self.asked;
        let _ = thread::sleep(Duration::from_secs(20).saturating_sub(passed));
        let waits = self.client.result.load(Ordering::Acquire) == 1;
        waits && take(&self.port) == Some(1) && answer(2).is_ok() && self.client.end() == (0, 2)
    }
}

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let (Ok(port), Ok(gone)) = (Port::create(), Port::create()) else {
        return verdict.check("portCreate", false);
    };
    let client = Client::start(port.ui(), 1, -1, 0);
    verdict.check(
        "NC-180",
        take(&port) == Some(1) && answer(7).is_ok() && client.end() == (0, 7),
    );
    let group = KnUniqueId::static_group(false, 9);
    verdict.check("NC-181", ask(group, 1, -1, 0).0 == K_EINVAL);
    let start = time::now();
    let late = ask(port.ui(), 2, 60, 0).0;
    verdict.check(
        "NC-182",
        late == K_ETIMEOUT && time::now() - start >= Duration::from_millis(60),
    );
    verdict.check("NC-183", take(&port).is_none());
    // On a busy host a short limit may pass before the request is taken.
    let (mut taken, mut result) = (false, K_OK);
    for limit in [30, 200, 1000, 5000] {
        let client = Client::start(port.ui(), 3, limit, 0);
        taken = take(&port) == Some(3);
        result = client.end().0;
        if taken {
            break;
        }
    }
    let next = Client::start(port.ui(), 4, -1, 0);
    let answered = answer(9).is_ok();
    verdict.check(
        "NC-184",
        taken
            && result == K_ETIMEOUT
            && answered
            && take(&port) == Some(4)
            && answer(8).is_ok()
            && next.end() == (0, 8),
    );
    let never = KnUniqueId::from_fields(gone.ui().site(), UiType::Port, 1, 0xfff_ffff);
    verdict.check("NC-189", ask(never, 1, -1, 0).0 == K_EUNKNOWN);
    let (one, two) = (
        Client::start(port.ui(), 5, -1, 0),
        Client::start(port.ui(), 6, -1, 0),
    );
    let first = take(&port);
    let saved = call!(ipc_save, K_NONEPORT);
    verdict.check("NC-210", saved > 0 && current().is_err());
    let second = take(&port);
    let kept = call!(ipc_restore, saved ^ 0x1000) == K_EINVAL && current().is_ok();
    verdict.check("NC-211", kept);
    let reversed = second == Some(6)
        && answer(16).is_ok()
        && call!(ipc_restore, saved) == K_OK
        && answer(15).is_ok();
    verdict.check(
        "NC-191, NC-209",
        first == Some(5) && reversed && one.end() == (0, 15) && two.end() == (0, 16),
    );
    verdict.check("NC-213", call!(ipc_restore, saved) == K_EINVAL);
    let (one, two) = (
        Client::start(port.ui(), 1, -1, 0),
        Client::start(port.ui(), 2, -1, 0),
    );
    let both = take(&port) == Some(1) && take(&port) == Some(2);
    verdict.check(
        "NC-205",
        both && one.end().0 == K_ENOPORT && answer(3).is_ok() && two.end() == (0, 3),
    );
    let (queued, held) = (
        Client::start(gone.ui(), 1, -1, 0),
        Client::start(gone.ui(), 2, -1, 0),
    );
    let held_is_first = take(&gone) == Some(1);
    drop(gone);
    verdict.check("NC-101", held.end().0 == K_ENOPORT);
    verdict.check(
        "NC-102",
        held_is_first && answer(4).is_ok() && queued.end() == (0, 4),
    );
    let client = Client::start(port.ui(), 1, -1, K_ABORTABLE);
    take(&port);
    let li = client.li.load(Ordering::Acquire);
    let aborted = call!(thread_abort, OWN, li) == K_OK;
    // Before anything that an abort would end.
    let marks = (call!(thread_aborted), call!(thread_aborted));
    verdict.check("NC-073", aborted && marks.0 == 1);
    verdict.check("NC-071", marks == (1, 0));
    verdict.check("NC-069 call", client.end().0 == K_EABORT);
    let _ = answer(0);
    enabled(verdict, &port);
    ports_waited_on(verdict);
}

fn enabled(verdict: &mut Verdict, port: &Port) {
    let Ok(urgent) = Port::create() else {
        return verdict.check("portCreate", false);
    };
    let mut buffer = Buffer::with_room(0);
    let poll = |buffer: &mut Buffer| receive_any(buffer, Some(Duration::ZERO));
    let post = |port: &Port| chorus_runtime::message::send(port.ui(), Message::default());
    let _ = (post(port), post(&urgent));
    verdict.check("NC-098", poll(&mut buffer) == Err(KError::Timeout));
    let both = port.enable(20).is_ok() && urgent.enable(10).is_ok();
    verdict.check("NC-111", both && poll(&mut buffer) == Ok(urgent.li()));
    verdict.check("NC-112", poll(&mut buffer) == Ok(port.li()));
    let _ = post(port);
    let disabled = port.disable().is_ok() && poll(&mut buffer) == Err(KError::Timeout);
    verdict.check(
        "NC-113",
        disabled && port.receive(&mut buffer, Some(Duration::ZERO)).is_ok(),
    );
    let _ = (post(port), urgent.disable());
    verdict.check(
        "NC-110",
        port.enable(5).is_ok() && poll(&mut buffer) == Ok(port.li()),
    );
    let _ = port.disable();
}

fn ports_waited_on(verdict: &mut Verdict) {
    let Ok(port) = Port::create() else {
        return verdict.check("portCreate", false);
    };
    let (li, ui) = (port.li(), port.ui());
    let seen = Arc::new(AtomicU64::new(0));
    let own = seen.clone();
    let _ = thread::spawn(0, move || {
        let mut room = KnMsgDesc::default();
        let mut li = li;
        let result = call!(
            ipc_receive,
            InOut::new(at_mut(&mut room)),
            InOut::new(at_mut(&mut li)),
            -1
        );
        own.store(u64::from(result.unsigned_abs()), Ordering::Release);
    });
    let _ = thread::sleep(Duration::from_millis(5));
    drop(port);
    let _ = thread::sleep(Duration::from_millis(5));
    verdict.check(
        "NC-100",
        seen.load(Ordering::Acquire) == u64::from(K_ENOPORT.unsigned_abs()),
    );
    let mut room = KnMsgDesc::default();
    let mut gone = li;
    let refused = call!(
        ipc_receive,
        InOut::new(at_mut(&mut room)),
        InOut::new(at_mut(&mut gone)),
        0
    );
    verdict.check(
        "NC-106",
        refused == K_EINVAL && call!(ui_is_local, In::new(at(&ui))) == 0,
    );
}
