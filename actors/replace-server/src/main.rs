//! Example: a server is replaced by another, on another site, while clients on all sites use it (`replace-server [REQUESTS]`), one instance a site.
//!
//! Clients know a functional group, not a port: a request to it goes to one member. The new server joins the group, the old one leaves it,
//! answers what it still has, and ends. No client is told, and no request is lost or answered twice: each is numbered, and each answer
//! must be that number's.
#![no_std]
#![no_main]

extern crate alloc;

mod server;

use alloc::sync::Arc;
use chorus_abi::KError;
use chorus_runtime::message::{Annex, Buffer, Destination, Message, call_annex, reply};
use chorus_runtime::port::{Port, well_known_group};
use chorus_runtime::sync::Semaphore;
use chorus_runtime::{args, eprintln, println, site, thread};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

chorus_runtime::entry!(main);

/// Stamp of the service's group.
pub const SERVICE: u32 = 0x53_0000;
/// Stamps of the groups by which each server is given orders.
pub const ORDERS: [u32; 2] = [0x53_0001, 0x53_0002];
/// Stamp of the group of the instance that counts who is done.
const COUNT: u32 = 0x53_0003;
/// Requests of each client when none are asked for.
const REQUESTS: u64 = 90;

/// Site of the old and of the new server: on clusters of one or two sites they share.
fn server_site(which: usize) -> u16 {
    (2 + which as u16).min(site::count())
}

/// One call to a member of a group; retried while there is none (it has not started yet).
pub fn ask(stamp: u32, annex: &Annex) -> Result<Annex, KError> {
    let to = Destination::one_of(well_known_group(stamp)?.ui)?;
    let message = Message {
        annex: Some(annex),
        body: &[],
    };
    let mut answer = [0; 64];
    for _ in 0..200 {
        match call_annex(to, message, &mut answer, Some(Duration::from_secs(60))) {
            Err(KError::Unknown) => thread::sleep(Duration::from_millis(50))?,
            other => return other.map(|()| answer),
        }
    }
    Err(KError::Unknown)
}

/// A number in an annex.
pub fn number(annex: &Annex) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&annex[..8]);
    u64::from_le_bytes(bytes)
}

/// An annex with a number and a byte behind it.
pub fn annex(value: u64, byte: u8) -> Annex {
    let mut annex = [0; 64];
    annex[..8].copy_from_slice(&value.to_le_bytes());
    annex[8] = byte;
    annex
}

/// Sends the requests; site 1 has the server replaced after a third of its own. Returns how many answers were right.
fn load(requests: u64) -> Result<u64, KError> {
    let mut right = 0;
    for request in 0..requests {
        if site::number() == 1 && request == requests / 3 {
            // The new one first: the group is never without a member.
            ask(ORDERS[1], &annex(0, server::JOIN))?;
            ask(ORDERS[0], &annex(0, server::LEAVE))?;
        }
        let answer = ask(SERVICE, &annex(request, 0))?;
        right += u64::from(number(&answer) == server::answer(request));
    }
    Ok(right)
}

/// Waits until every client has told how many of its answers were right; the sum.
fn gather(port: &Port) -> Result<u64, KError> {
    let mut buffer = Buffer::with_room(0);
    let mut sum = 0;
    for _ in 0..site::count() {
        port.receive(&mut buffer, None)?;
        sum += number(&buffer.annex);
        reply(Message::default())?;
    }
    Ok(sum)
}

fn main() -> Result<i32, KError> {
    let requests = match args().nth(1).map(str::parse) {
        None => REQUESTS,
        Some(Ok(requests)) if (3..=1_000_000).contains(&requests) => requests,
        Some(_) => {
            eprintln!("usage: replace-server [REQUESTS], 3 to 1000000");
            return Ok(2);
        }
    };
    let ended = Arc::new(Semaphore::new(0));
    let mut servers = 0;
    for which in 0..2 {
        if server_site(which) == site::number() {
            let ended = ended.clone();
            thread::spawn(0, move || {
                if let Err(error) = server::run(which) {
                    eprintln!("replace-server: server {which} failed: {error:?}");
                }
                let _ = ended.release();
            })?;
            servers += 1;
        }
    }
    let first = site::number() == 1;
    let collector = if first {
        let port = Port::create()?;
        port.join(&well_known_group(COUNT)?)?;
        let (sums, results) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU64::new(0)));
        let (done, result) = (sums.clone(), results.clone());
        thread::spawn(0, move || {
            match gather(&port) {
                Ok(sum) => result.store(sum, Ordering::Release),
                Err(error) => eprintln!("replace-server: {error:?}"),
            }
            let _ = done.release();
        })?;
        Some((sums, results))
    } else {
        None
    };
    let right = load(requests)?;
    ask(COUNT, &annex(right, 0))?;
    let mut status = 0;
    if let Some((done, result)) = collector {
        done.acquire(None)?;
        let expected = requests * u64::from(site::count());
        let right = result.load(Ordering::Acquire);
        let old = number(&ask(ORDERS[0], &annex(0, server::END))?);
        let new = number(&ask(ORDERS[1], &annex(0, server::END))?);
        let good = right == expected && old + new == expected && old > 0 && new > 0;
        println!(
            "replace-server: {expected} requests, {right} right answers, {} executed, by {}: {}",
            old + new,
            if old > 0 && new > 0 {
                "both servers"
            } else {
                "one server"
            },
            if good {
                "nothing lost, nothing twice"
            } else {
                "WRONG"
            }
        );
        eprintln!("replace-server: the old server answered {old}, the new one {new}");
        status = i32::from(!good);
    }
    for _ in 0..servers {
        ended.acquire(None)?;
    }
    Ok(status)
}
