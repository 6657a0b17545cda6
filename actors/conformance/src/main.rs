//! Checks the assertions of the call reference on one site, prints a line for each (`NC-165 ok`), and tells the verdict by its exit status.
//!
//! It needs nothing but the Nucleus: no network, no site manager. `conformance halt`, as a system or supervisor actor, ends the site with the verdict;
//! `conformance referee NAME`, as a system actor, ends it with that of another.
//! `conformance pressure` writes twice the memory of a site that has a default mapper.
//! `conformance leader SITE…` checks what takes more sites, with `conformance partner` as a system actor on each of the four, links with faults, and a host that
//! does what it reads (`host: kill SITE`).
#![no_std]
#![no_main]

extern crate alloc;

mod actors;
mod content;
mod control;
mod events;
mod exceptions;
mod faults;
mod flags;
mod foreign;
mod groups;
mod handlers;
mod lent;
mod life;
mod memory;
mod messages;
mod moves;
mod names;
mod partner;
mod planted;
mod pointers;
mod ports;
mod preemption;
mod pressure;
mod referee;
mod regions;
mod requests;
mod segments;
mod sites;
mod stopped;
mod supervisor;
mod threads;
mod timers;
mod urgency;
mod verdict;
mod victim;

use chorus_runtime::{args, println};
use verdict::{Verdict, call};

chorus_runtime::entry!(main);

fn main() -> i32 {
    // Partners of the actor that checks.
    match (args().nth(1), args().nth(2)) {
        (Some("referee"), Some(name)) => return referee::wait(name),
        (Some("partner"), _) => return partner::serve(),
        (Some("victim"), _) => return victim::serve(),
        (Some("breaker"), _) => return sites::break_links(),
        (Some("saboteur"), Some("handler")) => return handlers::sabotage(),
        (Some("saboteur"), _) => return supervisor::sabotage(),
        _ => {}
    }
    let mut verdict = Verdict::default();
    if args().nth(1) == Some("pressure") {
        pressure::check(&mut verdict);
        return told(&verdict);
    }
    if args().nth(1) == Some("leader") {
        let sites = [2, 3, 4, 5].map(|word| args().nth(word).and_then(|site| site.parse().ok()));
        sites::check(&mut verdict, sites.map(|site| site.unwrap_or(1)));
        return told(&verdict);
    }
    let late = requests::Late::ask();
    let own = names::check(&mut verdict);
    messages::check(&mut verdict, own);
    requests::check(&mut verdict);
    content::check(&mut verdict);
    ports::check(&mut verdict);
    groups::check(&mut verdict);
    threads::check(&mut verdict);
    control::check(&mut verdict);
    events::check(&mut verdict);
    timers::check(&mut verdict);
    actors::check(&mut verdict);
    life::check(&mut verdict);
    stopped::check(&mut verdict);
    urgency::check(&mut verdict);
    foreign::check(&mut verdict);
    memory::check(&mut verdict);
    preemption::check(&mut verdict);
    exceptions::check(&mut verdict);
    handlers::check(&mut verdict);
    supervisor::check(&mut verdict);
    regions::check(&mut verdict);
    segments::check(&mut verdict);
    segments::faults(&mut verdict);
    moves::check(&mut verdict);
    pointers::check(&mut verdict);
    verdict.check("NC-188", late.is_ok_and(|late| late.answered()));
    let bad = told(&verdict);
    if args().nth(1) == Some("halt") {
        call!(site_halt, bad);
    }
    bad
}

/// Prints the sums: 0 when all is well.
fn told(verdict: &Verdict) -> i32 {
    println!(
        "conformance: {} passed, {} failed",
        verdict.passed, verdict.failed
    );
    i32::from(verdict.failed > 0)
}
