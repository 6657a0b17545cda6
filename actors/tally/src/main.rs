//! Example: a server that is replaced while its clients run, by the same file as another kind of actor (`tally serve`, `tally ask [CHANGES]`).
//!
//! Each client numbers its requests, the server counts them for it, and every answer must have the client's own number: a request that is lost,
//! refused or executed twice shows at once. The answer tells the kind of actor that gave it; a client ends after so many changes of kind, which
//! somebody makes meanwhile: `chorus exec SITE --kind supervisor --replace tally tally serve`.
#![no_std]
#![no_main]

extern crate alloc;

mod server;

use alloc::string::String;
use alloc::sync::Arc;
use chorus_abi::{K_SUPACTOR, K_SYSTEMACTOR, KError};
use chorus_runtime::message::{Annex, Destination, Message, call_annex};
use chorus_runtime::port::well_known_group;
use chorus_runtime::succession::{self, End};
use chorus_runtime::sync::{Mutex, Semaphore};
use chorus_runtime::{args, eprintln, println, site, thread, time};
use core::time::Duration;

chorus_runtime::entry!(main);

/// Stamp of the server's group.
pub const STAMP: u32 = 0x54_0000;
/// Client threads of an actor.
pub const CLIENTS: usize = 3;
/// Requests of a client after the last change.
const AFTER: u64 = 50;
/// How long a client waits for the changes.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a client found.
#[derive(Clone, Default)]
struct Found {
    /// Kinds of actors that answered, one after another.
    kinds: String,
    requests: u64,
    wrong: u64,
}

fn kind_name(kind: i32) -> &'static str {
    match kind {
        K_SUPACTOR => "supervisor",
        K_SYSTEMACTOR => "system",
        _ => "user",
    }
}

/// One request of a client: the count in its answer, and the kind of actor that gave it.
fn ask(to: Destination, client: usize) -> Result<(u64, i32), KError> {
    let mut annex: Annex = [0; 64];
    annex[0] = client as u8;
    annex[1] = site::number() as u8;
    let mut answer: Annex = [0; 64];
    let message = Message {
        annex: Some(&annex),
        body: &[],
    };
    call_annex(to, message, &mut answer, Some(Duration::from_secs(60)))?;
    Ok(server::read(&answer))
}

fn client(number: usize, changes: u32) -> Result<Found, KError> {
    let to = Destination::one_of(well_known_group(STAMP)?.ui)?;
    let mut found = Found::default();
    let (mut last, mut seen, mut after) = (None, 0, 0);
    let start = time::now();
    while (seen < changes || after < AFTER) && time::now() - start < PATIENCE {
        let answer = ask(to, number);
        if found.requests == 0 && answer == Err(KError::Unknown) {
            // The server has not started yet.
            thread::sleep(Duration::from_millis(50))?;
            continue;
        }
        found.requests += 1;
        after += 1;
        match answer {
            Ok((count, kind)) => {
                found.wrong += u64::from(count != found.requests);
                if last.is_some_and(|last| last != kind) {
                    seen += 1;
                    after = 0;
                }
                if last != Some(kind) {
                    let comma = if last.is_some() { ", " } else { "" };
                    found.kinds += comma;
                    found.kinds += kind_name(kind);
                    last = Some(kind);
                }
            }
            Err(error) => {
                eprintln!("tally: request {} failed: {error:?}", found.requests);
                found.wrong += 1;
            }
        }
    }
    Ok(found)
}

fn clients(changes: u32) -> Result<i32, KError> {
    let results = Arc::new((Semaphore::new(0), Mutex::new([const { None }; CLIENTS])));
    for number in 0..CLIENTS {
        let results = results.clone();
        thread::spawn(0, move || {
            let found = client(number, changes);
            results.1.lock()[number] = Some(found);
            let _ = results.0.release();
        })?;
    }
    for _ in 0..CLIENTS {
        results.0.acquire(None)?;
    }
    let mut status = 0;
    for (number, result) in results.1.lock().iter().enumerate() {
        let Some(Ok(found)) = result else {
            eprintln!("tally: client {number} failed: {result:?}");
            status = 1;
            continue;
        };
        let good = found.wrong == 0 && found.requests > 0;
        status |= i32::from(!good);
        println!(
            "tally: client {number}, served by {} actor: {}",
            found.kinds,
            if good {
                "each request answered and counted once"
            } else {
                "WRONG"
            }
        );
        eprintln!(
            "tally: client {number} made {} requests, {} wrong",
            found.requests, found.wrong
        );
    }
    Ok(status)
}

fn main() -> Result<i32, KError> {
    let number = args().nth(2).map_or(Some(2), |word| word.parse().ok());
    match (args().nth(1), number) {
        (Some("serve"), _) => {
            if succession::serve::<server::Tally>(0)? == End::Replaced {
                eprintln!("tally: replaced");
            }
            Ok(0)
        }
        (Some("ask"), Some(changes)) => clients(changes),
        _ => {
            eprintln!("usage: tally serve | tally ask [CHANGES]");
            Ok(2)
        }
    }
}

impl core::fmt::Debug for Found {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "{} requests, {} wrong", self.requests, self.wrong)
    }
}
