//! A user actor that does what the supervisor actor that checks tells it: trap, fault, call LAPs.

use crate::requests::ask;
use crate::verdict::call;
use chorus_abi::*;
use chorus_runtime::message::{Buffer, Message, reply};
use chorus_runtime::port::{Port, well_known_group};
use chorus_runtime::{at, at_mut, thread};
use core::arch::asm;
use core::sync::atomic::{AtomicI32, Ordering};

/// Stamp of the group that it is in.
pub const STAMP: u32 = 77;

/// What it can do; a request's annex has the number and two words.
pub const TELL: u64 = 1;
/// Traps with the second word in rax, and two and three in the first argument registers; the first says which.
pub const TRAP: u64 = 2;
/// Divides 8 by zero, with alignment checks switched on if the first word is not zero.
pub const DIVIDE: u64 = 3;
/// Calls the LAP in the two words with 5.
pub const INVOKE: u64 = 4;
/// Resolves the name in the first word.
pub const RESOLVE: u64 = 5;
/// Takes an exception for good.
pub const DIE: u64 = 6;
/// Starts a thread that sleeps until it is aborted; answers with its LI.
pub const SLEEP: u64 = 7;
/// What the sleeper's sleep gave.
pub const SLEPT: u64 = 8;

/// Makes a request to the port in the first word, with an annex of the second: its result, and the first byte of the answer's annex.
pub const ASK: u64 = 9;

/// RFLAGS: in user mode, accesses that are not aligned are exceptions if the system wants that; in the Nucleus' ring, memory of users may be touched.
pub const ALIGNMENT_CHECK: u64 = 1 << 18;

static SLEPT_WITH: AtomicI32 = AtomicI32::new(1);

macro_rules! trap {
    ($number:literal, $rax:expr) => {{
        let mut rax: u64 = $rax;
        // SAFETY: whoever has the trap changes rax and nothing else.
        unsafe { asm!(concat!("int ", $number), inout("rax") rax, in("rdi") 2u64, in("rsi") 3u64) };
        rax
    }};
}

fn trap(number: u64, rax: u64) -> u64 {
    match number {
        0x41 => trap!("0x41", rax),
        0x42 => trap!("0x42", rax),
        0x43 => trap!("0x43", rax),
        0x44 => trap!("0x44", rax),
        0x4f => trap!("0x4f", rax),
        _ => trap!("0x60", rax),
    }
}

fn word(annex: &[u8; 64], index: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&annex[index * 8..index * 8 + 8]);
    u64::from_le_bytes(bytes)
}

fn act(annex: &[u8; 64]) -> [u64; 2] {
    let (what, one, two) = (word(annex, 0), word(annex, 1), word(annex, 2));
    match what {
        TELL => {
            let mut cap = KnCap::default();
            call!(actor_self, Out::new(at_mut(&mut cap)));
            [cap.ui.word(), cap.key]
        }
        TRAP => [trap(one, two), 0],
        DIVIDE => {
            let mut quotient = 8u64;
            let checks = if one == 0 { 0 } else { ALIGNMENT_CHECK };
            // SAFETY: whoever treats the exception puts another divisor into rcx. Nothing between the changes of the flag touches memory but the stack, which is aligned.
            unsafe {
                asm!(
                    "pushfq",
                    "or [rsp], {checks}",
                    "popfq",
                    "div ecx",
                    "pushfq",
                    "btr qword ptr [rsp], 18",
                    "popfq",
                    checks = in(reg) checks,
                    inout("rcx") 0u64 => _,
                    inout("rax") quotient,
                    inout("rdx") 0u64 => _
                );
            }
            [quotient, 0]
        }
        INVOKE => {
            let lap = KnLapDesc { lap: one, key: two };
            [call!(lap_invoke, In::new(at(&lap)), 5) as u64, 0]
        }
        RESOLVE => {
            let (name, mut lap) = (one.to_le_bytes(), KnLapDesc::default());
            let options = if two == 0 { K_LAP_NOBLOCK } else { 0 };
            let result = call!(
                lap_resolve,
                Out::new(at_mut(&mut lap)),
                In::new(at(&name)),
                options
            );
            [result as u64, lap.lap]
        }
        DIE => {
            // SAFETY: ends the actor.
            unsafe { asm!("ud2") };
            [0, 0]
        }
        SLEEP => {
            SLEPT_WITH.store(1, Ordering::Release);
            let li = thread::spawn(0, || {
                SLEPT_WITH.store(call!(thread_delay, In::new(0)), Ordering::Release);
            });
            [li.unwrap_or(-1) as u64, 0]
        }
        ASK => {
            let (result, first) = ask(KnUniqueId::from_word(one), two as u8, 10_000, 0);
            [result as u64, first.into()]
        }
        _ => [SLEPT_WITH.load(Ordering::Acquire) as u64, 0],
    }
}

/// Serves for ever.
pub fn serve() -> i32 {
    let port = Port::own();
    let Ok(group) = well_known_group(STAMP) else {
        return 1;
    };
    if port.join(&group).is_err() {
        return 1;
    }
    let mut buffer = Buffer::with_room(0);
    loop {
        if port.receive(&mut buffer, None).is_err() {
            continue;
        }
        let mut annex = [0; 64];
        for (index, word) in act(&buffer.annex).into_iter().enumerate() {
            annex[index * 8..index * 8 + 8].copy_from_slice(&word.to_le_bytes());
        }
        let _ = reply(Message {
            annex: Some(&annex),
            body: &[],
        });
    }
}
