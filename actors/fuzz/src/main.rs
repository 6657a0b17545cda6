//! Makes random calls with random arguments: `fuzz SEED COUNT`. Whatever it calls, its site goes on, and when it has ended nothing of it is left.
//!
//! Pointers lead into a region of its own, which holds names, descriptors and noise, or nowhere. Calls that would end the actor or stop the one thread for good
//! are left out; every other wait is ended by a second thread.
#![no_std]
#![no_main]

use chorus_abi::error::K_EINVAL;
use chorus_abi::table::{self, number};
use chorus_abi::{
    Arg, In, InOut, K_ANYWHERE, K_MYACTOR, K_SVACTOR, K_WRITABLE, KnCap, KnIpcDest, KnMsgDesc,
    KnRgnDesc, KnUniqueId, Out, PAGE_SIZE,
};
use chorus_runtime::{args, at_mut, check, println, raw, start_info, thread};
use core::time::Duration;

chorus_runtime::entry!(main);

/// Bytes that pointers lead to.
const ARENA: u64 = 16 * PAGE_SIZE;
/// Names and descriptors lie this many bytes apart in the first page, and again at each end of a page.
const STEP: u64 = 32;

/// Calls that end or stop the caller or its site, change who hears of its end, send it or another thread of its actor somewhere else, take its memory away, or wait where no
/// abort comes; beside these, calls that ask a mapper, which could be the fuzzer's own port, are left out by their names.
const LEFT_OUT: [u16; 21] = [
    number::actor_except,
    number::rgn_dup,
    number::rgn_free,
    number::rgn_set_inherit,
    number::rgn_set_opaque,
    number::rgn_set_protect,
    number::actor_exit,
    number::actor_notify,
    number::actor_delete,
    number::actor_stop,
    number::thread_create,
    number::thread_delete,
    number::thread_suspend,
    number::thread_stop,
    number::thread_context,
    number::mutex_get,
    number::rt_mutex_get,
    number::site_halt,
    number::site_mark,
    number::sys_log,
    number::dev_map,
];

macro_rules! caller {
    ($($(#[$doc:meta])* $number:literal $name:literal $rust:ident $privilege:ident $blocks:ident
        ($($arg:ident : $type:ty),*) [$($error:ident),*];)*) => {
        /// Makes a call by its number.
        fn call(number: u16, registers: [u64; 6]) -> i32 {
            #[allow(unused_mut, unused_variables, reason = "calls without arguments take none")]
            let mut registers = registers.into_iter();
            match number {
                $($number => {
                    $(let $arg = <$type as Arg>::from_register(registers.next().unwrap_or(0));)*
                    // SAFETY: pointers lead into the region of the fuzzer, where nothing lies that its own code relies on, or to where a call must refuse them.
                    unsafe { raw::$rust($($arg),*) }
                })*
                _ => K_EINVAL,
            }
        }
    };
}
mod rows {
    use super::*;
    use chorus_abi::net::{KnNetItem, KnNetSeat};
    use chorus_abi::types::*;
    chorus_abi::chorus_calls!(caller);
    pub fn make(number: u16, registers: [u64; 6]) -> i32 {
        call(number, registers)
    }
}

/// Marsaglia's xorshift with a multiplication (Vigna, 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Puts a value into the arena, and what else it is into the last bytes of a page.
fn put<T: Copy>(arena: u64, slot: u64, value: T) {
    // SAFETY: the place is in the region that was allocated for this; nobody holds a reference there.
    unsafe { ((arena + slot * STEP) as *mut T).write_unaligned(value) };
}

/// Fills the arena with things that calls know.
fn furnish(arena: u64, random: &mut Random) {
    let mut own = KnCap::default();
    let mut port = KnUniqueId::NULL;
    // SAFETY: both live through the calls.
    unsafe {
        raw::actor_self(Out::new(at_mut(&mut own)));
        raw::port_create(In::new(K_MYACTOR), Out::new(at_mut(&mut port)));
    }
    let group = KnUniqueId::static_group(false, random.below(4) as u32);
    for slot in 0..PAGE_SIZE / STEP {
        match random.below(8) {
            0 => put(arena, slot, own),
            1 => put(arena, slot, [port, own.ui]),
            2 => put(
                arena,
                slot,
                KnIpcDest {
                    target: port,
                    co_target: own.ui,
                },
            ),
            3 => put(
                arena,
                slot,
                KnIpcDest {
                    target: group,
                    co_target: KnUniqueId::NULL,
                },
            ),
            4 => put(
                arena,
                slot,
                KnMsgDesc {
                    body_size: random.below(9000) as u32,
                    body_addr: arena + random.below(ARENA),
                    annex_addr: arena + random.below(ARENA),
                    ..KnMsgDesc::default()
                },
            ),
            5 => put(arena, slot, KnMsgDesc::default()),
            6 => put(
                arena,
                slot,
                KnRgnDesc {
                    start_addr: 0x80_0000 + random.below(64) * PAGE_SIZE,
                    size: random.below(8) * PAGE_SIZE,
                    options: K_WRITABLE | if random.below(2) == 0 { K_ANYWHERE } else { 0 },
                    ..KnRgnDesc::default()
                },
            ),
            _ => put(arena, slot, [random.below(3), random.next()]),
        }
    }
}

fn any(arena: u64, random: &mut Random) -> u64 {
    match random.below(12) {
        0..=4 => arena + random.below(PAGE_SIZE / STEP) * STEP,
        5 => arena + random.below(ARENA),
        6 => arena + ARENA - random.below(8),
        7 => random.below(4),
        8 => random.below(1000),
        9 => random.next() as i32 as u64,
        10 => K_SVACTOR,
        _ => random.next(),
    }
}

fn main() -> Result<i32, chorus_abi::KError> {
    let mut words = args().skip(1).map(str::parse::<u64>);
    let (Some(Ok(seed)), Some(Ok(count))) = (words.next(), words.next()) else {
        println!("usage: fuzz SEED COUNT");
        return Ok(2);
    };
    let mut region = KnRgnDesc {
        size: ARENA,
        options: K_WRITABLE | K_ANYWHERE,
        ..KnRgnDesc::default()
    };
    // SAFETY: the descriptor lives through the call.
    check(unsafe { raw::rgn_allocate(In::new(K_MYACTOR), InOut::new(at_mut(&mut region))) })?;
    let arena = region.start_addr;
    // SAFETY: no pointers.
    let own = unsafe { raw::thread_self() };
    thread::spawn(-1, move || {
        loop {
            let _ = thread::sleep(Duration::from_millis(2));
            // SAFETY: no pointers.
            unsafe { raw::thread_abort(In::new(K_MYACTOR), own) };
        }
    })?;
    let mut random = Random(seed.wrapping_mul(2) + 1);
    let (mut refused, mut done) = (0u64, 0u64);
    while done < count {
        if done % 256 == 0 {
            furnish(arena, &mut random);
        }
        let row = &table::CALLS[random.below(table::CALLS.len() as u64) as usize];
        let asks_mappers = ["sg", "lc", "rgnInit", "rgnMap"]
            .iter()
            .any(|start| row.name.starts_with(start));
        if asks_mappers || LEFT_OUT.contains(&row.number) {
            continue;
        }
        let mut registers = [0; 6];
        for (register, argument) in registers.iter_mut().zip(row.arguments) {
            // Waits for messages end by time: not all of them end by an abort.
            *register = match argument.name {
                "delay" => random.below(3),
                _ => any(arena, &mut random),
            };
        }
        refused += u64::from(rows::make(row.number, registers) < 0);
        done += 1;
    }
    println!(
        "fuzz: {done} calls with seed {seed} as {:?}, {refused} refused",
        start_info().kind
    );
    Ok(0)
}
