//! Example: the driver of a serial line, as an actor (`serial`), and a client that echoes what comes on it (`serial echo`).
//!
//! The driver is a system actor with its own address space, and has no code at interrupt level: one thread waits for the line's interrupt and takes the bytes, another serves
//! requests of clients, which know nothing of ports and interrupts. The same file runs as supervisor actor.
#![no_std]
#![no_main]

extern crate alloc;

mod line;

use alloc::format;
use alloc::vec::Vec;
use chorus_abi::{K_DEV_SERIAL, KError};
use chorus_runtime::message::{Buffer, Destination, Message, call};
use chorus_runtime::port::{Port, well_known_group};
use chorus_runtime::server::{Next, serve};
use chorus_runtime::{args, device, eprintln, println, thread};
use core::time::Duration;
use line::Line;

chorus_runtime::entry!(main);

/// Stamp of the driver's group.
const STAMP: u32 = 0x55_0000;
/// First byte of a request: the next line that comes. The reply's body is the line, without its end.
const READ: u8 = 1;
/// First byte of a request: send the body.
const WRITE: u8 = 2;
/// Longest line.
const ROOM: usize = 256;

/// Serves clients, one request at a time. Returns when something is wrong.
fn drive() -> Result<(), KError> {
    let Some(found) = device::all().find(|device| device.device_id == K_DEV_SERIAL) else {
        eprintln!("serial: this machine has no second serial line");
        return Err(KError::Unknown);
    };
    let line = Line::open(&found)?;
    let port = Port::create()?;
    port.join(&well_known_group(STAMP)?)?;
    println!(
        "serial: ports from {:#x}, interrupt {}",
        found.base, found.irq
    );
    serve(&port, ROOM, |request, reply| {
        match request.annex[0] {
            READ => reply.body = line.next(),
            WRITE => line.send(request.body()),
            _ => {}
        }
        Next::Serve
    })
}

/// A request to the driver, which may not have started yet.
fn ask(what: u8, body: &[u8]) -> Result<Vec<u8>, KError> {
    let driver = Destination::one_of(well_known_group(STAMP)?.ui)?;
    let mut annex = [0; 64];
    annex[0] = what;
    let message = Message {
        annex: Some(&annex),
        body,
    };
    let mut reply = Buffer::with_room(ROOM);
    loop {
        match call(driver, message, &mut reply, None) {
            Err(KError::Unknown) => thread::sleep(Duration::from_millis(20))?,
            other => return other.map(|()| reply.body().to_vec()),
        }
    }
}

/// Sends every line back, until one says `bye`.
fn echo() -> Result<(), KError> {
    // What comes before the driver is there is lost.
    ask(WRITE, b"ready\n")?;
    loop {
        let line = ask(READ, &[])?;
        let text = core::str::from_utf8(&line).unwrap_or("(not UTF-8)");
        println!("serial: got {text}");
        ask(WRITE, format!("echo: {text}\n").as_bytes())?;
        if text == "bye" {
            return Ok(());
        }
    }
}

fn main() -> Result<(), KError> {
    match args().nth(1) {
        Some("echo") => echo(),
        _ => drive(),
    }
}
