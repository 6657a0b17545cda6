//! What is for supervisor actors: handlers of exceptions, aborts, traps and interrupts, LAPs (spec 3.11, 3.12). Other actors are refused.
//!
//! The supervisor actor that checks has two partners, named by the boot list: a user actor that traps and faults when told ([`crate::victim`]), and a supervisor actor
//! whose trap handler faults.

use crate::verdict::{OWN, Verdict, call};
use crate::victim::{ASK, DIE, DIVIDE, INVOKE, RESOLVE, SLEEP, SLEPT, STAMP, TELL, TRAP};
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::lap::Lap;
use chorus_runtime::message::{Destination, Message, call_annex};
use chorus_runtime::sync::Semaphore;
use chorus_runtime::{args, at, at_mut, start_info, thread};
use core::arch::asm;
use core::hint::black_box;
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use core::time::Duration;

/// Trap of the actor whose handler faults.
const SABOTAGED: u32 = 0x44;
/// Trap of the actor whose handler runs over its stack.
const OVERRUN: u32 = 0x43;

/// What calls a supervisor actor alone may make; each with arguments that would be refused there too.
fn refused(verdict: &mut Verdict) {
    let results = [
        call!(sv_trap_connect, K_TRAP_FIRST, 0x1000),
        call!(sv_trap_tab_connect, K_TRAP_FIRST, 0, 0x1000),
        call!(sv_trap_dis_connect, K_TRAP_FIRST, 0x1000),
        call!(sv_exc_handler, OWN, 0x1000),
        call!(sv_abort_handler, OWN, 0x1000),
        call!(sv_intr_detach, 0),
        call!(sv_intr_mask, 0),
        call!(sv_lap_unbind, In::new(0)),
    ];
    verdict.check("NC-269", results.iter().all(|&result| result == K_EPRIV));
    verdict.check(
        "NC-278 lapResolve",
        Lap::resolve("eightchr", false) == Err(KError::NoMem),
    );
    verdict.check(
        "lapResolve without waiting",
        Lap::resolve("nobody", false) == Err(KError::Unknown),
    );
}

pub fn tell(what: u64, one: u64, two: u64) -> Result<[u64; 2], KError> {
    let group = KnUniqueId::static_group(false, STAMP);
    let mut annex = [0; 64];
    for (index, word) in [what, one, two].into_iter().enumerate() {
        annex[index * 8..index * 8 + 8].copy_from_slice(&word.to_le_bytes());
    }
    let request = Message {
        annex: Some(&annex),
        body: &[],
    };
    let mut answer = [0; 64];
    let limit = Some(Duration::from_secs(10));
    call_annex(Destination::one_of(group)?, request, &mut answer, limit)?;
    let word = |index: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&answer[index * 8..index * 8 + 8]);
        u64::from_le_bytes(bytes)
    };
    Ok([word(0), word(1)])
}

pub fn first(result: Result<[u64; 2], KError>) -> Option<u64> {
    result.ok().map(|words| words[0])
}

/// What a handler saw last.
static SEEN: AtomicU64 = AtomicU64::new(0);

extern "C" fn add(context: &mut KnThreadCtx, trap: u32) -> i32 {
    SEEN.store(trap.into(), Ordering::Release);
    context.rax = context.rax * 100 + context.rdi * 10 + context.rsi;
    0
}
extern "C" fn first_of_table(context: &mut KnThreadCtx, _: u32) -> i32 {
    context.rax = 1000;
    0
}
extern "C" fn second_of_table(context: &mut KnThreadCtx, _: u32) -> i32 {
    context.rax = 2000;
    0
}
extern "C" fn third_of_table(context: &mut KnThreadCtx, _: u32) -> i32 {
    // Handlers may wait.
    let _ = thread::sleep(Duration::from_millis(2));
    context.rax = 3000;
    0
}

extern "C" fn trap_lap(argument: u64, cookie: u64) {
    // SAFETY: the Nucleus gives the address of this structure, and in it that of the registers.
    unsafe {
        let trap = &*(argument as *const KnSysTrapDesc);
        let context = trap.thread_ctx as *mut KnThreadCtx;
        (*context).rax = u64::from(trap.trap_number) + cookie;
    }
}

/// Bytes of the instruction that took exception 6: behind a trap of subsystems the thread is already, at another it is still.
static SKIPPED: AtomicU64 = AtomicU64::new(0);

extern "C" fn treat(context: &mut KnThreadCtx, number: i32, info: &KnExcReport) -> i32 {
    match (number, info.exc_no) {
        (1, 1) => context.rcx = 2,
        (6, 6) => {
            context.rax = 99;
            context.rip += SKIPPED.load(Ordering::Acquire);
        }
        _ => return -1,
    }
    0
}

extern "C" fn treat_lap(argument: u64, cookie: u64) {
    // SAFETY: the Nucleus gives the address of this structure, and in it that of the registers.
    unsafe {
        let exception = &mut *(argument as *mut KnExcDesc);
        if exception.exc_no == 1 {
            (*(exception.thread_ctx as *mut KnThreadCtx)).rcx = cookie;
            exception.result = 0;
        }
    }
}

fn address(routine: *const ()) -> u64 {
    routine as u64
}

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    if start_info().kind != K_SUPACTOR {
        return refused(verdict);
    }
    interrupts(verdict);
    laps(verdict);
    crate::lent::check(verdict);
    // The partners are there, unless nobody named them.
    let mut cap = None;
    for _ in 0..40 {
        if let Ok([ui, key]) = tell(TELL, 0, 0) {
            let ui = KnUniqueId::from_word(ui);
            cap = Some(KnCap { ui, key });
            break;
        }
        let _ = thread::sleep(Duration::from_millis(10));
    }
    let Some(cap) = cap else {
        return;
    };
    crate::flags::check(verdict, &cap);
    exceptions(verdict, &cap);
    traps(verdict);
    let found = Lap::create(count, 0);
    if let Ok(lap) = found {
        verdict.check(
            "a LAP called from user mode",
            first(tell(INVOKE, lap.0.lap, lap.0.key)) == Some(0)
                && COUNT.load(Ordering::Acquire) >= 5,
        );
        let name = u64::from_le_bytes(*b"fromus\0\0");
        let hidden = first(tell(RESOLVE, name, 0)) == Some(K_EUNKNOWN as u64);
        let bound = call!(
            sv_lap_bind,
            In::new(at(&lap.0)),
            In::new(at(&name)),
            K_LAP_PROTECTED
        ) == K_OK;
        verdict.check(
            "K_LAP_PROTECTED",
            hidden && bound && first(tell(RESOLVE, name, 0)) == Some(K_EUNKNOWN as u64),
        );
        let unbound =
            call!(sv_lap_unbind, In::new(at(&name))) == K_OK && lap.bind("fromus").is_ok();
        verdict.check(
            "lapResolve from user mode",
            unbound && tell(RESOLVE, name, 0) == Ok([0, lap.0.lap]),
        );
        let deleted = lap.delete().is_ok();
        verdict.check(
            "NC-276 from user mode",
            deleted && first(tell(INVOKE, lap.0.lap, lap.0.key)) == Some(K_EINVAL as u64),
        );
    }
    aborts(verdict, &cap);
    crate::handlers::with_partners(verdict, |port, first| {
        let [result, first] = tell(ASK, port.word(), first.into()).ok()?;
        Some((result as i32, first as u8))
    });
    sabotage_seen(verdict, "a handler that faults", "saboteur", SABOTAGED);
    sabotage_seen(
        verdict,
        "a handler that runs over its stack",
        "overrunner",
        OVERRUN,
    );
    call!(sv_exc_handler, In::new(at(&cap)), 0);
    verdict.check("NC-051", tell(DIE, 0, 0) == Err(KError::NoPort));
    // Its end takes its time.
    verdict.check("NC-051 gone", crate::life::ends(&cap));
}

fn exceptions(verdict: &mut Verdict, cap: &KnCap) {
    let at_cap = In::new(at(cap));
    let set = call!(sv_exc_handler, at_cap, address(treat as *const ()));
    verdict.check(
        "NC-270",
        set == K_OK && first(tell(DIVIDE, 0, 0)) == Some(4),
    );
    let Ok(lap) = Lap::create(treat_lap, 8) else {
        return verdict.check("svLapCreate", false);
    };
    let at_lap = In::new(at(&lap.0));
    let connected = call!(sv_actor_exc_handler_connect, at_cap, 1, at_lap) == K_OK;
    let busy = call!(sv_actor_exc_handler_connect, at_cap, 1, at_lap) == K_EBUSY;
    verdict.check(
        "NC-270 LAP",
        connected && busy && first(tell(DIVIDE, 0, 0)) == Some(1),
    );
    let mut child = KnCap::default();
    let made = call!(
        actor_create,
        at_cap,
        Out::new(at_mut(&mut child)),
        K_USERACTOR,
        K_ACTIVE
    );
    let mut inherited = KnLapDesc::default();
    let got = call!(
        sv_actor_exc_handler_get_connected,
        In::new(at(&child)),
        1,
        Out::new(at_mut(&mut inherited))
    );
    verdict.check("NC-271", made == K_OK && got == K_OK && inherited == lap.0);
    call!(actor_delete, In::new(at(&child)));
    let gone = call!(
        sv_actor_exc_handler_disconnect,
        at_cap,
        1,
        In::new(K_CONNECTED_LAP)
    ) == K_OK;
    verdict.check(
        "svActorExcHandlerDisconnect",
        gone && first(tell(DIVIDE, 0, 0)) == Some(4) && lap.delete().is_ok(),
    );
}

fn traps(verdict: &mut Verdict) {
    let (number, routine) = (K_TRAP_FIRST, address(add as *const ()));
    let connected = call!(sv_trap_connect, number, routine) == K_OK;
    let seen = first(tell(TRAP, number.into(), 7)) == Some(723)
        && SEEN.load(Ordering::Acquire) == u64::from(number);
    verdict.check("NC-265", connected && seen);
    verdict.check(
        "NC-266",
        call!(sv_trap_connect, number, routine) == K_EBUSY
            && call!(sv_trap_tab_connect, number, 0, routine) == K_EBUSY,
    );
    let mut rax = 4u64;
    // SAFETY: the handler changes rax and nothing else.
    unsafe { asm!("int 0x41", inout("rax") rax, in("rdi") 5u64, in("rsi") 6u64) };
    verdict.check("a trap in supervisor mode", rax == 456);
    let disconnected = call!(sv_trap_dis_connect, number, routine) == K_OK
        && call!(sv_trap_dis_connect, number, routine) == K_EINVAL;
    verdict.check(
        "NC-268",
        disconnected && first(tell(TRAP, number.into(), 7)) == Some(99),
    );
    SKIPPED.store(2, Ordering::Release);
    verdict.check(
        "NC-268 of another number",
        first(tell(TRAP, 0x60, 7)) == Some(99),
    );
    SKIPPED.store(0, Ordering::Release);
    let table: [extern "C" fn(&mut KnThreadCtx, u32) -> i32; 3] =
        [first_of_table, second_of_table, third_of_table];
    let mut connected = true;
    for (index, routine) in [(0, table[0]), (9, table[1]), (511, table[2])] {
        let at = address(routine as *const ());
        connected &= call!(sv_trap_tab_connect, 0x4f, index, at) == K_OK;
    }
    let three = [0, 9, 511].map(|index| first(tell(TRAP, 0x4f, index)));
    verdict.check(
        "NC-267",
        connected && three == [Some(1000), Some(2000), Some(3000)],
    );
    verdict.check(
        "NC-268 table",
        first(tell(TRAP, 0x4f, 10)) == Some(99) && first(tell(TRAP, 0x4f, 1 << 40)) == Some(99),
    );
    let gone = [0, 9, 511].map(|index| call!(sv_trap_tab_dis_connect, 0x4f, index));
    verdict.check("svTrapTabDisConnect", gone == [K_OK; 3]);
    let Ok(lap) = Lap::create(trap_lap, 1000) else {
        return verdict.check("svLapCreate", false);
    };
    let at_lap = In::new(at(&lap.0));
    let connected = call!(sv_sys_trap_handler_connect, 0x42, at_lap) == K_OK;
    verdict.check(
        "svSysTrapHandlerConnect",
        connected && first(tell(TRAP, 0x42, 0)) == Some(1000 + 0x42),
    );
    let mut who = KnLapDesc::default();
    let got = call!(
        sv_sys_trap_handler_get_connected,
        0x42,
        Out::new(at_mut(&mut who))
    );
    verdict.check(
        "svSysTrapHandlerGetConnected",
        got == K_OK
            && who == lap.0
            && call!(sv_sys_trap_handler_disconnect, 0x42, at_lap) == K_OK
            && first(tell(TRAP, 0x42, 0)) == Some(99)
            && lap.delete().is_ok(),
    );
}

extern "C" fn divert(context: &mut KnThreadCtx) {
    // The call that the abort ended has its result there.
    SEEN.store(context.rax as i32 as u32 as u64, Ordering::Release);
    context.rax = 42;
}

fn aborts(verdict: &mut Verdict, cap: &KnCap) {
    let at_cap = In::new(at(cap));
    let set = call!(sv_abort_handler, at_cap, address(divert as *const ())) == K_OK;
    let li = first(tell(SLEEP, 0, 0)).unwrap_or(0) as i32;
    let _ = thread::sleep(Duration::from_millis(5));
    let aborted = call!(thread_abort, at_cap, li) == K_OK;
    let _ = thread::sleep(Duration::from_millis(10));
    verdict.check(
        "svAbortHandler",
        set && aborted
            && SEEN.load(Ordering::Acquire) == u64::from(K_EABORT as u32)
            && first(tell(SLEPT, 0, 0)) == Some(42),
    );
    call!(sv_abort_handler, at_cap, 0);
}

extern "C" fn faults(_: &mut KnThreadCtx, _: u32) -> i32 {
    // SAFETY: ends the actor: that is what it is for.
    unsafe { core::ptr::dangling_mut::<u64>().write_volatile(1) };
    0
}

#[allow(
    unconditional_recursion,
    clippy::only_used_in_recursion,
    reason = "it is to run over its stack"
)]
extern "C" fn runs_over(context: &mut KnThreadCtx, trap: u32) -> i32 {
    let room = black_box([trap; 128]);
    runs_over(context, room[(trap % 128) as usize]) + black_box(room)[1] as i32
}

/// The actor whose handler faults, or runs over the end of its stack.
pub fn sabotage() -> i32 {
    let handler = match args().nth(2) {
        Some("stack") => address(runs_over as *const ()),
        _ => address(faults as *const ()),
    };
    let trap = match args().nth(2) {
        Some("stack") => OVERRUN,
        _ => SABOTAGED,
    };
    let connected = call!(sv_trap_connect, trap, handler);
    call!(thread_delay, In::new(0));
    connected
}

/// A handler that faults ends its own actor; the thread that trapped has an exception, and the site goes on.
fn sabotage_seen(verdict: &mut Verdict, what: &str, actor: &str, trap: u32) {
    let name = name_field(actor);
    let named = || {
        let mut list = [KnActorStat::default(); 16];
        let count = call!(actor_stat, Out::new(at_mut(&mut list)), 16).clamp(0, 16);
        list[..count as usize]
            .iter()
            .any(|actor| actor.name == name)
    };
    let there = named();
    let after = first(tell(TRAP, trap.into(), 1));
    let _ = thread::sleep(Duration::from_millis(5));
    let free = call!(sv_trap_connect, trap, address(add as *const ())) == K_OK;
    verdict.check(what, there && after == Some(99) && !named() && free);
    call!(sv_trap_dis_connect, trap, address(add as *const ()));
}

static COUNT: AtomicU64 = AtomicU64::new(0);
static INSIDE: Semaphore = Semaphore::new(0);
static LEAVE: Semaphore = Semaphore::new(0);
static ORDER: AtomicU64 = AtomicU64::new(0);

extern "C" fn count(argument: u64, cookie: u64) {
    COUNT.fetch_add(argument + cookie, Ordering::AcqRel);
}

extern "C" fn stays(_: u64, _: u64) {
    let _ = INSIDE.release();
    let _ = LEAVE.acquire(None);
    ORDER.fetch_max(1, Ordering::AcqRel);
}

fn laps(verdict: &mut Verdict) {
    let (Ok(lap), Ok(long)) = (Lap::create(count, 10), Lap::create(stays, 0)) else {
        return verdict.check("svLapCreate", false);
    };
    verdict.check(
        "lapInvoke",
        lap.invoke(7).is_ok() && COUNT.load(Ordering::Acquire) == 17,
    );
    verdict.check(
        "NC-278",
        lap.bind("eightchr") == Err(KError::NoMem) && lap.bind("seven77").is_ok(),
    );
    verdict.check(
        "svLapBind of a name in use",
        long.bind("seven77") == Err(KError::Busy),
    );
    static FOUND: AtomicI32 = AtomicI32::new(1);
    let _ = thread::spawn(0, || {
        let found = Lap::resolve("later", true).and_then(|lap| lap.invoke(1));
        FOUND.store(found.err().map_or(0, KError::code), Ordering::Release);
    });
    let _ = thread::sleep(Duration::from_millis(5));
    let waits = FOUND.load(Ordering::Acquire) == 1;
    let bound = lap.bind("later").is_ok();
    for _ in 0..400 {
        if FOUND.load(Ordering::Acquire) != 1 {
            break;
        }
        let _ = thread::sleep(Duration::from_millis(5));
    }
    verdict.check(
        "NC-277",
        waits && bound && FOUND.load(Ordering::Acquire) == 0 && COUNT.load(Ordering::Acquire) == 28,
    );
    let copy = lap;
    verdict.check(
        "NC-276",
        lap.delete().is_ok()
            && copy.invoke(1) == Err(KError::Inval)
            && Lap::resolve("later", false) == Err(KError::Unknown),
    );
    let _ = thread::spawn(0, move || {
        let _ = long.invoke(0);
    });
    let entered = INSIDE.acquire(Some(Duration::from_secs(5))).is_ok();
    let _ = thread::spawn(0, || {
        let _ = thread::sleep(Duration::from_millis(10));
        let _ = LEAVE.release();
    });
    let deleted = long.delete().is_ok();
    verdict.check(
        "svLapDelete waits for calls",
        entered && deleted && ORDER.load(Ordering::Acquire) == 1,
    );
}

/// A vector of an interrupt that no device of the machine has.
const VECTOR: u32 = 0x3d;
static RAISED: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicI32 = AtomicI32::new(1);
static CAME: Semaphore = Semaphore::new(0);

/// Notes who ran, and in which order.
fn note(who: u64) {
    let so_far = RAISED.load(Ordering::Acquire);
    RAISED.store(so_far * 10 + who, Ordering::Release);
}
extern "C" fn does_not_claim(_: u64) -> i32 {
    note(1);
    REFUSED.store(call!(thread_self), Ordering::Release);
    K_INTR_UNCLAIMED
}
extern "C" fn claims(soft: u64) -> i32 {
    note(2);
    let _ = CAME.release();
    for index in 0..2 {
        let each = soft + index * size_of::<KnSoftIntr>() as u64;
        call!(sv_soft_intr_trigger, In::new(each));
        call!(sv_soft_intr_trigger, In::new(each));
    }
    K_INTR_CLAIMED
}
extern "C" fn is_not_reached(_: u64) -> i32 {
    note(9);
    K_INTR_UNCLAIMED
}
extern "C" fn soft(who: u64) {
    note(who);
}

fn raise() -> u64 {
    RAISED.store(0, Ordering::Release);
    // SAFETY: as if the device had sent it; handlers keep all registers.
    unsafe { asm!("int 0x3d") };
    RAISED.load(Ordering::Acquire)
}

fn interrupts(verdict: &mut Verdict) {
    let attach = |vector: u32, handler: u64, cookie: u64, ops: &mut KnIntrOps| {
        let mut id = 0u64;
        let result = call!(
            sv_intr_attach,
            vector,
            handler,
            cookie,
            Out::new(at_mut(ops)),
            Out::new(at_mut(&mut id))
        );
        (result, id)
    };
    let mut ops = KnIntrOps::default();
    let routine = address(claims as *const ());
    verdict.check("NC-275", attach(14, routine, 0, &mut ops).0 == K_EINVAL);
    let mut soft_interrupts = [3u64, 4].map(|cookie| KnSoftIntr {
        handler: address(soft as *const ()),
        cookie,
        id: 0,
    });
    let declared = [0, 1].map(|index| {
        call!(
            sv_soft_intr_declare,
            InOut::new(at_mut(&mut soft_interrupts[index]))
        )
    });
    let cookie = at(&soft_interrupts);
    let one = attach(VECTOR, address(does_not_claim as *const ()), 0, &mut ops);
    let two = attach(VECTOR, routine, cookie, &mut ops);
    let three = attach(VECTOR, address(is_not_reached as *const ()), 0, &mut ops);
    verdict.check(
        "svIntrAttach",
        declared == [K_OK; 2] && [one.0, two.0, three.0] == [K_OK; 3] && raise() == 1243,
    );
    verdict.check(
        "calls of an interrupt handler",
        REFUSED.load(Ordering::Acquire) == K_EINVAL && CAME.acquire(Some(Duration::ZERO)).is_ok(),
    );
    // SAFETY: the address of a call, which takes the name of an attachment.
    let mask: extern "C" fn(u64) -> i32 = unsafe { core::mem::transmute(ops.mask as usize) };
    let masked = mask(two.1) == K_OK && raise() == 19;
    let unmasked = call!(sv_intr_unmask, two.1) == K_OK;
    let _ = thread::sleep(Duration::from_millis(1));
    verdict.check(
        "svIntrMask",
        masked && unmasked && RAISED.load(Ordering::Acquire) == 191_243,
    );
    RAISED.store(0, Ordering::Release);
    let triggered = call!(sv_soft_intr_trigger, In::new(cookie)) == K_OK;
    verdict.check(
        "svSoftIntrTrigger from a thread",
        triggered && RAISED.load(Ordering::Acquire) == 3,
    );
    let forgotten =
        [0, 1].map(|index| call!(sv_soft_intr_forget, In::new(at(&soft_interrupts[index]))));
    let detached = [one.1, two.1, three.1].map(|id| call!(sv_intr_detach, id));
    verdict.check(
        "svIntrDetach",
        detached == [K_OK; 3]
            && forgotten == [K_OK; 2]
            && call!(sv_intr_detach, one.1) == K_EINVAL
            && raise() == 0,
    );
}
