//! Checks the assertions of the call reference on one site, prints a line for each (`NC-165 ok`), and tells the verdict by its exit status.
//!
//! It needs nothing but the Nucleus: no network, no site manager. `conformance halt`, as a system actor, ends the site with the verdict.
#![no_std]
#![no_main]

extern crate alloc;

mod actors;
mod control;
mod events;
mod exceptions;
mod groups;
mod memory;
mod messages;
mod names;
mod pointers;
mod requests;
mod supervisor;
mod threads;
mod timers;
mod verdict;
mod victim;

use chorus_runtime::{args, println};
use verdict::{Verdict, call};

chorus_runtime::entry!(main);

fn main() -> i32 {
    // Partners of the supervisor actor that checks.
    match args().nth(1) {
        Some("victim") => return victim::serve(),
        Some("saboteur") => return supervisor::sabotage(),
        _ => {}
    }
    let mut verdict = Verdict::default();
    let own = names::check(&mut verdict);
    messages::check(&mut verdict, own);
    requests::check(&mut verdict);
    groups::check(&mut verdict);
    threads::check(&mut verdict);
    control::check(&mut verdict);
    events::check(&mut verdict);
    timers::check(&mut verdict);
    actors::check(&mut verdict);
    memory::check(&mut verdict);
    exceptions::check(&mut verdict);
    supervisor::check(&mut verdict);
    pointers::check(&mut verdict);
    println!(
        "conformance: {} passed, {} failed",
        verdict.passed, verdict.failed
    );
    let bad = i32::from(verdict.failed > 0);
    if args().nth(1) == Some("halt") {
        call!(site_halt, bad);
    }
    bad
}
