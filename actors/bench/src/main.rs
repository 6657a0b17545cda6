//! Measures the operations of the Nucleus in ticks of the processor's clock; `chorus bench` runs it and reads its lines.
//!
//! `bench [COUNT [halt]]` measures; with `halt` it ends the site afterwards. Its partners are started beside it from the same image: `bench server KIND` is the
//! other end of calls, `bench supervisor` measures what only a supervisor actor can. They are found by well-known groups. An argument `located` at the end has each
//! tell first where it lies, for who reads a trace.
#![no_std]
#![no_main]

extern crate alloc;

mod memory;
mod message_stretches;
mod operations;
mod partners;
mod samples;
mod server;
mod stretches;

use chorus_abi::KError;
use chorus_runtime::{args, check, eprintln, println, raw, start_info, time};

chorus_runtime::entry!(main);

/// Repetitions when none are asked for.
const COUNT: usize = 1000;

fn measure(booted: u64, count: usize, halt: bool) -> Result<(), KError> {
    if halt {
        samples::report("boot", "first-actor", "ticks", &mut [booted]);
    }
    operations::null_call("null-user", count)?;
    operations::threads(count)?;
    operations::giving_way(count)?;
    operations::zero_page(count.min(1000))?;
    memory::copies(count.min(20))?;
    memory::large_messages(count.min(100))?;
    for (op, kind) in [
        ("user-user", "user"),
        ("user-supervisor", "supervisor"),
        ("user-handler", "handler"),
    ] {
        operations::round_trips(op, partners::server(kind)?, count)?;
    }
    partners::run_supervisor(count)?;
    for kind in ["user", "supervisor", "handler"] {
        partners::stop(partners::server(kind)?)?;
    }
    partners::stop(partners::supervisor()?)?;
    stretches::longest()?;
    stretches::of_long_calls()?;
    message_stretches::of_messages()?;
    if halt {
        // SAFETY: no pointers.
        check(unsafe { raw::site_halt(0) })?;
    }
    Ok(())
}

/// Tells where this actor's image lies, as a line of JSON.
fn locate() {
    println!(
        "{{\"actor\":\"{}\",\"base\":{}}}",
        args().next().unwrap_or(""),
        start_info().base
    );
}

fn main() -> Result<i32, KError> {
    // The first thing that this actor did was to run: on a site that starts it first, that is what boot took.
    let booted = u64::try_from(time::now().as_nanos()).unwrap_or(u64::MAX);
    if args().last() == Some("located") {
        locate();
    }
    let mut words = args().skip(1);
    let first = words.next().unwrap_or("");
    let second = words.next().unwrap_or("");
    match first {
        "server" => partners::serve(second)?,
        "supervisor" => partners::serve_supervisor()?,
        "remote" => operations::remote(second.parse().unwrap_or(COUNT))?,
        "" => measure(booted, COUNT, false)?,
        count => match count.parse() {
            Ok(count) if (1..=100_000).contains(&count) => {
                measure(booted, count, second == "halt")?;
            }
            _ => {
                eprintln!(
                    "usage: bench {{[COUNT [halt]] | server KIND | supervisor | remote [COUNT]}} [located]"
                );
                return Ok(2);
            }
        },
    }
    Ok(0)
}
