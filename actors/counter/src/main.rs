//! Example: one server counts for clients on all sites, and the total must be exact (`counter [ADDITIONS]`), one instance a site.
//!
//! Every instance is a client; that of site 1 has a second thread that serves. A request is executed at most once however often its frames are lost or
//! repeated (try `--loss 5`), so that the total tells whether the cluster kept that promise: each client adds 1, that many times.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use chorus_abi::KError;
use chorus_runtime::message::{Destination, Message, call_annex};
use chorus_runtime::port::{Port, well_known_group};
use chorus_runtime::server::{Next, serve};
use chorus_runtime::sync::Semaphore;
use chorus_runtime::{args, eprintln, println, site, thread};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

chorus_runtime::entry!(main);

/// Stamp of the server's group.
const STAMP: u32 = 0x43_0000;
/// Additions of each client when none are asked for.
const ADDITIONS: u64 = 100;

/// First byte of a request: add one.
const ADD: u8 = 1;
/// First byte of a request: this client has added its last.
const DONE: u8 = 2;

/// Counts until every client is done; prints the total. Whether it is what the clients added.
fn count(expected: u64) -> Result<bool, KError> {
    let port = Port::create()?;
    port.join(&well_known_group(STAMP)?)?;
    let clients = u32::from(site::count());
    let (mut total, mut done) = (0u64, 0);
    serve(&port, 0, |request, reply| {
        match request.annex[0] {
            ADD => total += 1,
            DONE => done += 1,
            _ => {}
        }
        reply.annex[..8].copy_from_slice(&total.to_le_bytes());
        if done == clients {
            Next::Stop
        } else {
            Next::Serve
        }
    })?;
    let exact = total == expected * u64::from(clients);
    println!(
        "counter: {clients} clients, {expected} additions each, total {total}: {}",
        if exact { "exact" } else { "WRONG" }
    );
    Ok(exact)
}

/// One request; its server may not have started yet.
fn ask(what: u8) -> Result<(), KError> {
    let server = Destination::one_of(well_known_group(STAMP)?.ui)?;
    let mut annex = [0; 64];
    annex[0] = what;
    let message = Message {
        annex: Some(&annex),
        body: &[],
    };
    for _ in 0..200 {
        match call_annex(server, message, &mut [0; 64], Some(Duration::from_secs(60))) {
            Err(KError::Unknown) => thread::sleep(Duration::from_millis(50))?,
            other => return other,
        }
    }
    Err(KError::Unknown)
}

fn main() -> Result<i32, KError> {
    let additions = match args().nth(1).map(str::parse) {
        None => ADDITIONS,
        Some(Ok(additions)) if additions <= 10_000_000 => additions,
        Some(_) => {
            eprintln!("usage: counter [ADDITIONS], at most 10000000");
            return Ok(2);
        }
    };
    let counted = Arc::new((Semaphore::new(0), AtomicBool::new(false)));
    let serving = site::number() == 1;
    if serving {
        let counted = counted.clone();
        thread::spawn(0, move || {
            match count(additions) {
                Ok(exact) => counted.1.store(exact, Ordering::Release),
                Err(error) => eprintln!("counter: the server failed: {error:?}"),
            }
            let _ = counted.0.release();
        })?;
    }
    for _ in 0..additions {
        ask(ADD)?;
    }
    ask(DONE)?;
    if !serving {
        return Ok(0);
    }
    counted.0.acquire(None)?;
    Ok(i32::from(!counted.1.load(Ordering::Acquire)))
}
