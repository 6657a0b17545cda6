//! The other ends: servers of both kinds, and the supervisor actor that measures on request.

use crate::operations;
use chorus_abi::{KError, KnUniqueId};
use chorus_runtime::message::{Annex, Destination, Message, call_annex};
use chorus_runtime::port::{Port, well_known_group};
use chorus_runtime::server::{Next, serve as serve_port};
use chorus_runtime::{eprintln, thread};
use core::time::Duration;

/// Stamps of the groups.
const USER: u32 = 0x42_0000;
const SUPERVISOR: u32 = 0x42_0001;
const MEASURING: u32 = 0x42_0002;
const HANDLER: u32 = 0x42_0003;

/// First byte of an annex: this server is not wanted any more.
pub const STOP: u8 = 0xff;
/// First byte of an annex: measure; the count is in bytes 8 to 15.
const MEASURE: u8 = 0xfe;

fn stamp(kind: &str) -> u32 {
    match kind {
        "supervisor" => SUPERVISOR,
        "handler" => HANDLER,
        _ => USER,
    }
}

/// First byte of an annex: the server answers with the name of its port, in bytes 8 to 15.
pub const NAME: u8 = 0xfd;

fn group(stamp: u32) -> Result<Destination, KError> {
    Destination::one_of(well_known_group(stamp)?.ui)
}

/// The server of a kind: any member of its group.
pub fn server(kind: &str) -> Result<Destination, KError> {
    let to = group(stamp(kind))?;
    ask(to, &[0; 64])?;
    Ok(to)
}

/// The same server by its port.
pub fn port_of(server: Destination) -> Result<Destination, KError> {
    let (mut annex, mut word) = ([0; 64], [0; 8]);
    annex[0] = NAME;
    let message = Message {
        annex: Some(&annex.clone()),
        body: &[],
    };
    call_annex(server, message, &mut annex, None)?;
    word.copy_from_slice(&annex[8..16]);
    Ok(KnUniqueId::from_word(u64::from_le_bytes(word)).into())
}

/// The supervisor actor that measures.
pub fn supervisor() -> Result<Destination, KError> {
    group(MEASURING)
}

/// One call; the other end may not have started yet.
fn ask(to: Destination, annex: &Annex) -> Result<(), KError> {
    let message = Message {
        annex: Some(annex),
        body: &[],
    };
    for _ in 0..400 {
        match call_annex(to, message, &mut [0; 64], None) {
            Err(KError::Unknown) => thread::sleep(Duration::from_millis(25))?,
            other => return other,
        }
    }
    Err(KError::Unknown)
}

/// Has the supervisor actor measure.
pub fn run_supervisor(count: usize) -> Result<(), KError> {
    let mut annex = [0; 64];
    annex[0] = MEASURE;
    annex[8..16].copy_from_slice(&(count as u64).to_le_bytes());
    ask(supervisor()?, &annex)
}

/// Ends a server.
pub fn stop(to: Destination) -> Result<(), KError> {
    let mut annex = [0; 64];
    annex[0] = STOP;
    ask(to, &annex)
}

/// `bench server KIND`: answers until stopped. An answer has an annex when the request had one that is not of zeros.
pub fn serve(kind: &str) -> Result<(), KError> {
    let port = Port::create()?;
    let group = well_known_group(stamp(kind))?;
    if kind == "handler" {
        return crate::server::handle(&port, &group);
    }
    port.join(&group)?;
    crate::server::run(&port, STOP)
}

/// `bench supervisor`: measures on request.
pub fn serve_supervisor() -> Result<(), KError> {
    let port = Port::create()?;
    port.join(&well_known_group(MEASURING)?)?;
    serve_port(&port, 0, |request, _| match request.annex[0] {
        MEASURE => {
            let mut count = [0; 8];
            count.copy_from_slice(&request.annex[8..16]);
            if let Err(error) = measure(u64::from_le_bytes(count) as usize) {
                eprintln!("bench supervisor: {error:?}");
            }
            Next::Serve
        }
        STOP => Next::Stop,
        _ => Next::Serve,
    })
}

fn measure(count: usize) -> Result<(), KError> {
    operations::null_call("null-supervisor", count)?;
    operations::round_trips("supervisor-supervisor", server("supervisor")?, count)
}
