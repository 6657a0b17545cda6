//! Checks the assertions of the call reference on one site, prints a line for each (`NC-165 ok`), and tells the verdict by its exit status.
//!
//! It needs nothing but the Nucleus: no network, no site manager. `conformance halt`, as a system or supervisor actor, ends the site with the verdict;
//! `conformance referee NAME`, as a system actor, ends it with that of another.
#![no_std]
#![no_main]

extern crate alloc;

mod actors;
mod content;
mod groups;
mod memory;
mod messages;
mod names;
mod pointers;
mod ports;
mod referee;
mod requests;
mod threads;
mod verdict;

use chorus_runtime::{args, println};
use verdict::{Verdict, call};

chorus_runtime::entry!(main);

fn main() -> i32 {
    if let (Some("referee"), Some(name)) = (args().nth(1), args().nth(2)) {
        return referee::wait(name);
    }
    let mut verdict = Verdict::default();
    let own = names::check(&mut verdict);
    messages::check(&mut verdict, own);
    requests::check(&mut verdict);
    content::check(&mut verdict);
    ports::check(&mut verdict);
    groups::check(&mut verdict);
    threads::check(&mut verdict);
    actors::check(&mut verdict);
    memory::check(&mut verdict);
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
