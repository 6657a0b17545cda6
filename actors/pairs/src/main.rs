//! Example: every site calls every other one, so many times (`pairs [ROUNDS]`), one instance a site.
//!
//! As in `ring`, each instance is found by a well-known group whose stamp holds its site's number. One thread calls the others, another answers them. An answer names the
//! site that gave it and repeats the question, so that none can be mistaken for another's. Each site ends its part with a report to site 1, which prints when it has all of them;
//! an instance ends when it has asked and answered all that it has to.
#![no_std]
#![no_main]

use chorus_abi::KError;
use chorus_runtime::message::{Annex, Buffer, Destination, Message, call_annex, reply};
use chorus_runtime::port::{Port, well_known_group};
use chorus_runtime::sync::Semaphore;
use chorus_runtime::{args, eprintln, println, site, thread};
use core::time::Duration;

chorus_runtime::entry!(main);

/// Stamp of the group of site 0's instance; those of the sites follow.
const STAMP: u32 = 0x53_0000;
/// Rounds when none are asked for.
const ROUNDS: u32 = 1;
/// How long a call may take, and how long an instance that is still being loaded is waited for, in steps.
const LIMIT: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(100);
const STEPS: u32 = 1200;

/// What a message says.
const QUESTION: u32 = 1;
const REPORT: u32 = 2;

/// The thread that asks, and how it ended.
static ASKED: Semaphore = Semaphore::new(0);

fn annex(words: [u32; 4]) -> Annex {
    let mut annex = [0; 64];
    for (place, word) in annex.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    annex
}

fn words(annex: &Annex) -> [u32; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(annex.chunks_exact(4)) {
        *word = bytes
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    }
    words
}

/// Calls the instance on a site; what it answered. One that has not started yet is waited for.
fn call(to: u16, what: [u32; 4]) -> Result<[u32; 4], KError> {
    let group = well_known_group(STAMP + u32::from(to))?;
    let destination = Destination::one_of(group.ui)?;
    let request = annex(what);
    let message = Message {
        annex: Some(&request),
        body: &[],
    };
    for _ in 0..STEPS {
        let mut answer = [0; 64];
        match call_annex(destination, message, &mut answer, Some(LIMIT)) {
            Ok(()) => return Ok(words(&answer)),
            // Not executed: nobody was there.
            Err(KError::Unknown) => thread::sleep(STEP)?,
            Err(error) => {
                eprintln!("pairs: site {} to site {to}: {error:?}", site::number());
                return Err(error);
            }
        }
    }
    eprintln!("pairs: there is no instance on site {to}");
    Err(KError::Unknown)
}

/// Asks every other site so many times, beginning behind this one, and tells site 1. Errors: a call failed, or an answer was not to its question.
fn ask(rounds: u32) -> Result<(), KError> {
    let (own, sites) = (site::number(), site::count());
    for round in 0..rounds {
        for step in 1..sites {
            let to = (own - 1 + step) % sites + 1;
            let answer = call(to, [QUESTION, u32::from(own), round, 0])?;
            if answer != [QUESTION, u32::from(own), round, u32::from(to)] {
                eprintln!("pairs: site {own} asked site {to} and got {answer:?}");
                return Err(KError::Inval);
            }
        }
    }
    call(1, [REPORT, u32::from(own), rounds, 0]).map(|_| ())
}

fn main() -> Result<i32, KError> {
    let rounds = match args().nth(1).map(str::parse) {
        None => ROUNDS,
        Some(Ok(rounds)) if (1..=100_000).contains(&rounds) => rounds,
        Some(_) => {
            eprintln!("usage: pairs [ROUNDS], 1 to 100000");
            return Ok(2);
        }
    };
    let (own, sites) = (u32::from(site::number()), u32::from(site::count()));
    let port = Port::own();
    port.join(&well_known_group(STAMP + own)?)?;
    thread::spawn(0, move || {
        // Without its report site 1 waits, and the command says which site failed.
        if ask(rounds).is_err() {
            chorus_runtime::exit(1);
        }
        let _ = ASKED.release();
    })?;
    let reports = if own == 1 { sites } else { 0 };
    let mut buffer = Buffer::with_room(0);
    for _ in 0..(sites - 1) * rounds + reports {
        port.receive(&mut buffer, None)?;
        let [what, from, round, _] = words(&buffer.annex);
        reply(Message {
            annex: Some(&annex([what, from, round, own])),
            body: &[],
        })?;
    }
    ASKED.acquire(None)?;
    if own == 1 {
        let calls = sites * (sites - 1) * rounds;
        println!("pairs: {sites} sites, {calls} calls, each answered by the site that was called");
    }
    Ok(0)
}
