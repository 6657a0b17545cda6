//! Message handlers and system timeouts (spec 3.6, 3.10): a supervisor actor has them, others are refused.

use crate::requests::{Client, ask};
use crate::verdict::{DEFAULT, OWN, Verdict, call, message};
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::lap::Lap;
use chorus_runtime::message::{Buffer, Message, current, reply, send};
use chorus_runtime::port::Port;
use chorus_runtime::sync::Semaphore;
use chorus_runtime::timeout::Timeout;
use chorus_runtime::{at, at_mut, handler, site, start_info, thread, time};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

/// Stamp of the port of an actor whose handler faults.
const FAULTY: u32 = 0x7f_2000;
/// First bytes of annexes: what a server is to do.
const LENGTH: u8 = 1;
const SILENT: u8 = 2;
const SLOW: u8 = 3;
const BODY: u8 = 4;
/// Bodies, and the room for replies, in bytes.
const SIZES: [usize; 4] = [0, 10, 300, 5000];

/// Messages that the handler was called with, and the cookies of them.
static CALLS: AtomicU64 = AtomicU64::new(0);
static COOKIES: AtomicU64 = AtomicU64::new(0);

/// What a server does, be it a handler or a thread: the answer, or none.
fn work(annex: &[u8; 64], body: &[u8]) -> Option<([u8; 64], Vec<u8>)> {
    let mut answer = [annex[0] + 1; 64];
    match annex[0] {
        SILENT => return None,
        SLOW => {
            let _ = thread::sleep(Duration::from_millis(60));
        }
        BODY => return Some((answer, body.iter().rev().copied().collect())),
        LENGTH => answer[1] = body.len() as u8,
        _ => {}
    }
    Some((answer, Vec::new()))
}

extern "C" fn handle(came: &KnMsgDesc, cookie: u64) {
    CALLS.fetch_add(1, Ordering::AcqRel);
    COOKIES.fetch_add(cookie, Ordering::AcqRel);
    let mut body = alloc::vec![0; came.body_size as usize];
    if !body.is_empty() && handler::fetch(&mut body) != Ok(body.len()) {
        return;
    }
    if let Some((annex, body)) = work(&handler::annex(came).unwrap_or([0; 64]), &body) {
        let _ = handler::prepare(Message {
            annex: Some(&annex),
            body: &body,
        });
    }
}

/// Calls itself, one less each time; the deepest one's error comes back.
extern "C" fn nest(came: &KnMsgDesc, port: u64) {
    let left = handler::annex(came).map_or(0, |annex| annex[0]);
    let mut answer = [0; 64];
    if left > 0 {
        let (result, deepest) = ask(KnUniqueId::from_word(port), left - 1, -1, 0);
        answer = [if result == K_OK {
            deepest + 1
        } else {
            result.unsigned_abs() as u8
        }; 64];
    }
    let _ = handler::prepare(Message {
        annex: Some(&answer),
        body: &[],
    });
}

extern "C" fn faults(_: &KnMsgDesc, _: u64) {
    // SAFETY: ends the actor: that is what it is for.
    unsafe { core::ptr::dangling_mut::<u64>().write_volatile(1) };
}

/// A request: the result, the first bytes of the answer's annex, and what is in the room for a body.
type Got = (i32, [u8; 2], Vec<u8>);

fn request(target: KnUniqueId, first: u8, size: usize, room: usize, delay: i32) -> Got {
    let (annex, mut answer) = ([first; 64], [0xee; 64]);
    let body: Vec<u8> = (0..size).map(|byte| byte as u8).collect();
    let mut into = alloc::vec![0xee; room];
    let asked = message(&body, Some(&annex));
    let mut room = KnMsgDesc {
        body_size: room as u32,
        body_addr: if room == 0 {
            0
        } else {
            at_mut(into.as_mut_slice())
        },
        annex_addr: at_mut(&mut answer),
        ..KnMsgDesc::default()
    };
    let dest = KnIpcDest {
        target,
        co_target: KnUniqueId::NULL,
    };
    let result = call!(
        ipc_call,
        In::new(at(&asked)),
        DEFAULT,
        In::new(at(&dest)),
        InOut::new(at_mut(&mut room)),
        delay
    );
    // SAFETY: the Nucleus wrote it, if anybody did, before the call ended.
    (
        result,
        unsafe { (&raw const answer).cast::<[u8; 2]>().read_volatile() },
        into,
    )
}

/// All that a client sees of a server.
fn seen(target: KnUniqueId) -> Vec<Got> {
    let mut seen = Vec::new();
    for size in SIZES {
        for room in SIZES {
            seen.push(request(target, BODY, size, room, -1));
        }
        seen.push(request(target, LENGTH, size, 0, 1000));
        seen.push(request(target, SILENT, size, 16, -1));
    }
    seen.push(request(target, SLOW, 5, 16, 20));
    seen.push(request(target, SLOW, 5, 16, 2000));
    seen
}

/// A thread that does the same as the handler.
fn serve_by_thread(port: Port) -> Result<KnUniqueId, KError> {
    let ui = port.ui();
    thread::spawn(0, move || {
        let mut buffer = Buffer::with_room(8192);
        while port.receive(&mut buffer, None).is_ok() {
            let answer = work(&buffer.annex, buffer.body());
            let (annex, body) = answer
                .as_ref()
                .map_or((None, &[][..]), |(annex, body)| (Some(annex), body));
            if reply(Message { annex, body }).is_err() {
                break;
            }
        }
    })?;
    Ok(ui)
}

fn soon(holds: impl Fn() -> bool) -> bool {
    (0..400).any(|_| {
        holds() || {
            let _ = thread::sleep(Duration::from_millis(5));
            false
        }
    })
}

/// What a supervisor actor alone may do.
fn refused(verdict: &mut Verdict) {
    let routine = handle as *const () as u64;
    verdict.check(
        "NC-222",
        call!(sv_msg_handler, OWN, DEFAULT, routine, 0, 0) == K_EPRIV,
    );
    let empty = KnMsgDesc::default();
    let others = [
        call!(sv_msg_hdl_reply, In::new(at(&empty))),
        call!(sv_msg_serve, DEFAULT),
        call!(sv_sys_timeout_set, InOut::new(0), In::new(0), 0, In::new(0)),
        call!(sv_sys_timeout_cancel, In::new(0)),
        call!(sv_link_failure, 2, 0),
    ];
    verdict.check(
        "calls of supervisor actors",
        others.iter().all(|&result| result == K_EPRIV)
            && Timeout::resolution() == Err(KError::Priv),
    );
}

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    if start_info().kind != K_SUPACTOR {
        return refused(verdict);
    }
    let failed = [messages(verdict), nested(verdict), timeouts(verdict)];
    verdict.check("message handlers and timeouts", failed == [Ok(()); 3]);
    verdict.check(
        "svLinkFailure of no other site",
        call!(sv_link_failure, u32::from(site::number()), 0) == K_EINVAL
            && call!(sv_link_failure, 0, 0) == K_EINVAL,
    );
}

fn messages(verdict: &mut Verdict) -> Result<(), KError> {
    let port = Port::create()?;
    for _ in 0..3 {
        send(port.ui(), Message::body(b"queued"))?;
    }
    handler::connect(&port, handle, 1000)?;
    verdict.check("NC-220", soon(|| CALLS.load(Ordering::Acquire) == 3));
    verdict.check("NC-221", COOKIES.load(Ordering::Acquire) == 3000);
    send(port.ui(), Message::body(b"async"))?;
    verdict.check(
        "svMsgHandler of a message that is sent",
        soon(|| CALLS.load(Ordering::Acquire) == 4),
    );
    let (mut empty, mut li) = (KnMsgDesc::default(), port.li());
    let received = call!(
        ipc_receive,
        InOut::new(at_mut(&mut empty)),
        InOut::new(at_mut(&mut li)),
        0
    );
    verdict.check(
        "NC-203",
        received == K_EINVAL && port.enable(1) == Err(KError::Inval),
    );
    let moved = call!(port_migrate, K_MIGRATEMSG, OWN, port.li(), OWN, Out::new(0));
    verdict.check("NC-124", moved == K_EINVAL);
    verdict.check(
        "svMsgHandler of a port that has one",
        handler::connect(&port, handle, 0) == Err(KError::Busy),
    );
    let thread = serve_by_thread(Port::create()?)?;
    let (by_thread, by_handler) = (seen(thread), seen(port.ui()));
    verdict.check("NC-223", by_thread == by_handler);
    let late = by_handler.iter().filter(|got| got.0 == K_ETIMEOUT).count();
    verdict.check("NC-223 time limit", late == 1);
    verdict.check(
        "NC-223 no time at all",
        request(port.ui(), LENGTH, 0, 0, 0).0 == K_OK
            && request(thread, LENGTH, 0, 0, 0).0 == K_ETIMEOUT,
    );
    verdict.check(
        "svMsgHdlReply outside",
        handler::prepare(Message::default()) == Err(KError::Inval),
    );
    // Several threads at once, and disconnecting while they are inside.
    let clients: Vec<_> = (0..4)
        .map(|_| Client::start(port.ui(), SLOW, -1, 0))
        .collect();
    handler::disconnect(&port)?;
    let ends: Vec<_> = clients.iter().map(|client| client.end()).collect();
    verdict.check(
        "svMsgHandler disconnects",
        ends.iter().all(|&end| end == (K_OK, i32::from(SLOW) + 1))
            && handler::disconnect(&port) == Err(KError::Inval),
    );
    // An abort is passed on to what the routine waits for.
    handler::connect(&port, handle, 0)?;
    let client = Client::start(port.ui(), SLOW, -1, K_ABORTABLE);
    let li = client.li.load(Ordering::Acquire);
    let aborted = call!(thread_abort, OWN, li);
    verdict.check(
        "NC-069 inside a handler",
        aborted == K_OK && matches!(client.end().0, K_EABORT | K_OK),
    );
    verdict.check("no current message is left", current().is_err());
    handler::disconnect(&port)
}

fn nested(verdict: &mut Verdict) -> Result<(), KError> {
    let port = Port::create()?;
    handler::connect(&port, nest, port.ui().word())?;
    verdict.check(
        "a handler that calls itself",
        ask(port.ui(), 5, -1, 0) == (K_OK, 5),
    );
    let full = K_EFULL.unsigned_abs() as u8;
    verdict.check(
        "a handler that calls itself too often",
        ask(port.ui(), 8, -1, 0) == (K_OK, full + 7),
    );
    handler::disconnect(&port)
}

static CALLED: Semaphore = Semaphore::new(0);
static TIMES: AtomicU64 = AtomicU64::new(0);
static AGAIN: AtomicU64 = AtomicU64::new(0);

/// Sets its timeout again, for a LAP and a delay at the addresses in the cookie, as often as is asked.
extern "C" fn expires(desc: u64, cookie: u64) {
    TIMES.fetch_add(1, Ordering::AcqRel);
    if AGAIN.load(Ordering::Acquire) > 0 {
        AGAIN.fetch_sub(1, Ordering::AcqRel);
        // SAFETY: the cookie is the address of these two, which live as long as the LAP.
        let (lap, delay) = unsafe { &*(cookie as *const (KnLapDesc, KnTimeVal)) };
        call!(
            sv_sys_timeout_set,
            InOut::new(desc),
            In::new(at(delay)),
            0,
            In::new(at(lap))
        );
    }
    let _ = CALLED.release();
}

fn timeouts(verdict: &mut Verdict) -> Result<(), KError> {
    let mut anew = alloc::boxed::Box::new((KnLapDesc::default(), KnTimeVal::from_ns(2_000_000)));
    let lap = Lap::create(expires, at(&*anew))?;
    anew.0 = lap.0;
    verdict.check(
        "svTimeoutGetRes",
        Timeout::resolution().is_ok_and(|it| it <= Duration::from_millis(10)),
    );
    let timeout = Timeout::default();
    let start = time::now();
    timeout.set(Duration::from_millis(20), &lap)?;
    let busy = timeout.set(Duration::ZERO, &lap) == Err(KError::Busy);
    CALLED.acquire(Some(Duration::from_secs(10)))?;
    verdict.check(
        "svSysTimeoutSet",
        busy && time::now() - start >= Duration::from_millis(20),
    );
    verdict.check(
        "svSysTimeoutCancel of what was called",
        timeout.cancel() == Err(KError::Inval),
    );
    AGAIN.store(3, Ordering::Release);
    timeout.set(Duration::ZERO, &lap)?;
    for _ in 0..4 {
        CALLED.acquire(Some(Duration::from_secs(10)))?;
    }
    verdict.check(
        "svSysTimeoutSet at interrupt level",
        TIMES.load(Ordering::Acquire) == 5,
    );
    timeout.set(Duration::from_millis(10), &lap)?;
    timeout.cancel()?;
    let other = Timeout::default();
    other.set(Duration::from_millis(10), &lap)?;
    lap.delete()?;
    let _ = thread::sleep(Duration::from_millis(30));
    verdict.check(
        "svSysTimeoutCancel",
        TIMES.load(Ordering::Acquire) == 5 && other.cancel() == Err(KError::Inval),
    );
    drop(anew);
    Ok(())
}

/// The actor whose handler faults.
pub fn sabotage() -> i32 {
    let ui = KnUniqueId::well_known_port(site::number(), FAULTY);
    let Ok(port) = Port::declare(ui) else {
        return 1;
    };
    let connected = handler::connect(&port, faults, 0);
    call!(thread_delay, In::new(0));
    i32::from(connected.is_err())
}

/// With partners: requests of a user actor, made by `from_user`, and a handler that faults.
pub fn with_partners(
    verdict: &mut Verdict,
    from_user: impl Fn(KnUniqueId, u8) -> Option<(i32, u8)>,
) {
    let Ok(port) = Port::create() else {
        return verdict.check("portCreate", false);
    };
    let connected = handler::connect(&port, handle, 0).is_ok();
    let answers = [LENGTH, SILENT, SLOW, 77].map(|first| from_user(port.ui(), first));
    let expected = [(0, LENGTH + 1), (0, SILENT), (0, SLOW + 1), (0, 78)].map(Some);
    verdict.check("NC-194 with a handler", connected && answers == expected);
    verdict.check("svMsgHandler null", handler::disconnect(&port).is_ok());
    let faulty = KnUniqueId::well_known_port(site::number(), FAULTY);
    verdict.check(
        "NC-223 a handler that faults",
        from_user(faulty, 0).is_some_and(|end| end.0 == K_ENOPORT)
            && ask(faulty, 0, -1, 0).0 == K_EUNKNOWN,
    );
}
