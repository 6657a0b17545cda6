//! The first process of the emulated host.
//!
//! Linux starts `/init`, which is this binary, with nothing mounted and no module loaded. It makes the machine ready, starts the
//! command as its child, carries bytes until the child ends, and ends the machine in the one way that is no crash.

mod command;
mod ending;
mod machine;
mod sockets;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use super::initramfs::ORDER;
use super::link::Link;
use super::mux::Kind;
use super::{Order, mux};

/// How long the outside may take to say that it has everything.
const BYE_LIMIT: Duration = Duration::from_secs(10);

/// Runs the emulated host from its first process to its end.
pub fn main() -> ! {
    if let Err(error) = run() {
        // The console is all there is; its last lines are what the outside shows when the end marker is missing.
        eprintln!("the emulated host failed: {error}");
    }
    ending::power_off()
}

fn run() -> io::Result<()> {
    machine::mount()?;
    let order: Order = serde_json::from_slice(&std::fs::read(ORDER)?)?;
    machine::insert_modules(order.deterministic)?;
    machine::place_files(&order)?;
    let port = machine::open_link(order.deterministic)?;
    let link = Link::new(Box::new(port.try_clone()?), order.deterministic);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    link.send(Kind::Hello, 0, release.trim().as_bytes())?;
    if !order.deterministic {
        machine::loopback_up()?;
        sockets::watch(Arc::clone(&link), order.mirrors.clone());
        command::beat(Arc::clone(&link));
    }
    let serial = order.deterministic.then(|| port.try_clone()).transpose()?;
    let (bye, said) = sync_channel(1);
    let status = command::run(&order, &link, (!order.deterministic).then_some(port), bye)?;
    if machine::out_of_memory() {
        let hint = "the emulated host ran out of memory; CHORUS_EMULATED_MEM=2G gives it more (default 1G)";
        link.send(Kind::Log, 0, hint.as_bytes())?;
    }
    for (stream, path) in (mux::RESULTS..).zip(&order.results) {
        command::send_file(&link, stream, path);
    }
    link.send(Kind::Exit, 0, &status.to_le_bytes())?;
    link.send(Kind::Done, 0, &[])?;
    match serial {
        // A serial line takes bytes long before it has sent them.
        Some(serial) => rustix::termios::tcdrain(&serial)?,
        // An outside that says nothing has given us up.
        None => drop(said.recv_timeout(BYE_LIMIT)),
    }
    ending::clean()
}
