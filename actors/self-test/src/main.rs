//! Checks Nucleus calls on one site, prints a line for each assertion, and ends the site with the verdict.
//!
//! The lines name the assertions of the call reference (`NC-165 ok`). It needs nothing but the Nucleus: no network, no site manager. Run it as a
//! system actor, since it ends the site.
#![no_std]
#![no_main]

use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::{println, raw};

chorus_runtime::entry!(main);

/// Address of something as an argument of a call.
fn at<T>(value: &T) -> u64 {
    core::ptr::from_ref(value) as u64
}

fn at_mut<T>(value: &mut T) -> u64 {
    core::ptr::from_mut(value) as u64
}

/// Makes a call; its arguments point at live values of the right types.
macro_rules! call {
    ($name:ident $(, $argument:expr)* $(,)?) => {
        // SAFETY: the arguments are plain values, or addresses of live values that the expressions borrow for the call.
        unsafe { raw::$name($($argument),*) }
    };
}

const OWN: In<KnCap> = In::new(K_MYACTOR);
const DEFAULT: i32 = K_DEFAULTPORT;

struct Verdict {
    failed: u32,
    passed: u32,
}

impl Verdict {
    fn check(&mut self, name: &str, holds: bool) {
        if holds {
            self.passed += 1;
            println!("{name} ok");
        } else {
            self.failed += 1;
            println!("{name} FAILED");
        }
    }
}

fn message(body: &[u8], annex: Option<&[u8; 64]>) -> KnMsgDesc {
    KnMsgDesc {
        body_size: body.len() as u32,
        body_addr: if body.is_empty() {
            0
        } else {
            body.as_ptr() as u64
        },
        annex_addr: annex.map_or(0, at),
        ..KnMsgDesc::default()
    }
}

fn names(verdict: &mut Verdict) -> KnUniqueId {
    let mut ui = KnUniqueId::default();
    let li = call!(port_create, OWN, Out::new(at_mut(&mut ui)));
    let mut site = 0i32;
    call!(ui_local_site, Out::new(at_mut(&mut site)));
    verdict.check(
        "NC-002",
        ui.kind() == Some(UiType::Port) && i32::from(ui.site()) == site,
    );
    verdict.check("NC-097", li > 0 && call!(port_li, In::new(at(&ui))) == li);
    verdict.check("NC-011", call!(ui_is_local, In::new(at(&ui))) == 1);
    call!(port_delete, OWN, li);
    verdict.check("NC-011 deleted", call!(ui_is_local, In::new(at(&ui))) == 0);
    verdict.check("NC-103", call!(port_delete, OWN, DEFAULT) == K_EINVAL);
    let dest = KnIpcDest {
        target: ui,
        ..KnIpcDest::default()
    };
    let empty = message(&[], None);
    verdict.check(
        "NC-104",
        call!(ipc_send, In::new(at(&empty)), DEFAULT, In::new(at(&dest))) == K_EUNKNOWN,
    );
    let mut own = KnUniqueId::default();
    call!(port_ui, Out::new(at_mut(&mut own)), DEFAULT);
    own
}

fn messages(verdict: &mut Verdict, own: KnUniqueId) {
    let dest = KnIpcDest {
        target: own,
        ..KnIpcDest::default()
    };
    let send = |desc: &KnMsgDesc| call!(ipc_send, In::new(at(desc)), DEFAULT, In::new(at(&dest)));
    let receive = |desc: &mut KnMsgDesc, delay: i32| {
        let mut li = DEFAULT;
        call!(
            ipc_receive,
            InOut::new(at_mut(desc)),
            InOut::new(at_mut(&mut li)),
            delay
        )
    };
    let mut annex = [0u8; 64];
    let mut buffer = [0u8; 300];
    let mut room = KnMsgDesc {
        body_size: 300,
        body_addr: buffer.as_mut_ptr() as u64,
        annex_addr: at_mut(&mut annex),
        ..KnMsgDesc::default()
    };
    verdict.check("NC-195", receive(&mut room, 0) == K_ETIMEOUT);
    let sent = [7u8; 64];
    let body = [5u8; 200];
    verdict.check("NC-169", send(&message(&body, Some(&sent))) == K_OK);
    let got = receive(&mut room, 0);
    verdict.check(
        "NC-167",
        got == 200 && annex == sent && buffer[..200] == body && buffer[200] == 0,
    );
    let mut head = KnMsgHead::default();
    verdict.check(
        "NC-176",
        call!(ipc_sys_info, Out::new(at_mut(&mut head))) == K_OK && head.src_port == own,
    );
    let first = room.seq_num;
    let too_much = KnMsgDesc {
        body_size: K_CMSGSIZEMAX + 1,
        body_addr: at(&body),
        ..KnMsgDesc::default()
    };
    verdict.check("NC-166", send(&too_much) == K_ETOOMUCH);
    let unmapped = KnMsgDesc {
        body_size: 8,
        body_addr: 16,
        ..KnMsgDesc::default()
    };
    verdict.check(
        "NC-174",
        send(&unmapped) == K_EFAULT && receive(&mut room, 0) == K_ETIMEOUT,
    );
    let filled = (0..K_CPORTQUEUE).all(|_| send(&message(&[], None)) == K_OK);
    verdict.check("NC-173", filled && send(&message(&[], None)) == K_EFULL);
    let drained = (0..K_CPORTQUEUE).all(|_| receive(&mut room, 0) == 0);
    verdict.check(
        "NC-204",
        drained && room.seq_num == first + K_CPORTQUEUE as u32,
    );
    send(&message(&body, None));
    let mut small = KnMsgDesc {
        body_size: 10,
        ..room
    };
    buffer = [0; 300];
    verdict.check(
        "NC-200",
        receive(&mut small, 0) == 200 && buffer[..10] == body[..10] && buffer[10] == 0,
    );
    let empty = message(&[], None);
    call!(ipc_reply, In::new(at(&empty)));
    verdict.check("NC-208", receive(&mut room, 0) == 0);
    verdict.check(
        "NC-206",
        call!(ipc_reply, In::new(at(&empty))) == K_OK
            && call!(ipc_reply, In::new(at(&empty))) == K_EINVAL,
    );
}

fn memory_and_time(verdict: &mut Verdict) {
    let mut region = KnRgnDesc {
        size: 5000,
        options: K_WRITABLE | K_ANYWHERE,
        ..KnRgnDesc::default()
    };
    let made = call!(rgn_allocate, OWN, InOut::new(at_mut(&mut region)));
    verdict.check(
        "NC-229",
        made == K_OK && region.size == 8192 && region.start_addr.is_multiple_of(4096),
    );
    // SAFETY: the region was just made, 8192 bytes long, and is nobody else's.
    let bytes = unsafe { core::slice::from_raw_parts_mut(region.start_addr as *mut u8, 8192) };
    verdict.check("NC-227", bytes.iter().all(|&byte| byte == 0));
    bytes[8191] = 1;
    let again = KnRgnDesc {
        options: K_WRITABLE,
        ..region
    };
    let mut overlapping = again;
    verdict.check(
        "NC-226",
        call!(rgn_allocate, OWN, InOut::new(at_mut(&mut overlapping))) == K_EOVERLAP,
    );
    verdict.check("rgnFree", call!(rgn_free, OWN, In::new(at(&again))) == K_OK);
    let mut sem = KnSem::default();
    call!(sem_init, Out::new(at_mut(&mut sem)), 1);
    let none = KnTimeVal::default();
    let take = |sem: &mut KnSem, limit: &KnTimeVal| {
        call!(sem_p, InOut::new(at_mut(sem)), In::new(at(limit)))
    };
    verdict.check(
        "NC-086",
        take(&mut sem, &none) == K_OK && take(&mut sem, &none) == K_ETIMEOUT,
    );
    let clock = || {
        let mut now = KnTimeVal::default();
        call!(sys_time, Out::new(at_mut(&mut now)));
        now.to_ns().unwrap_or(0)
    };
    let start = clock();
    let limit = KnTimeVal::from_ns(20_000_000);
    verdict.check(
        "NC-088",
        take(&mut sem, &limit) == K_ETIMEOUT && clock() - start >= 20_000_000,
    );
    let start = clock();
    call!(thread_delay, In::new(at(&limit)));
    verdict.check("NC-074", clock() - start >= 20_000_000);
}

fn main() -> i32 {
    let mut verdict = Verdict {
        failed: 0,
        passed: 0,
    };
    let own = names(&mut verdict);
    messages(&mut verdict, own);
    memory_and_time(&mut verdict);
    println!(
        "self-test: {} passed, {} failed",
        verdict.passed, verdict.failed
    );
    call!(site_halt, i32::from(verdict.failed > 0));
    1
}
