//! One of the two servers: a port that is in the service's group while this server is in charge, and always in a group of its own for orders.

use crate::{ORDERS, SERVICE, annex, number};
use chorus_abi::KError;
use chorus_runtime::port::{Port, well_known_group};
use chorus_runtime::server::{Next, serve};

/// Order: take charge.
pub const JOIN: u8 = 1;
/// Order: leave the group, answer what is still there.
pub const LEAVE: u8 = 2;
/// Order: tell how many requests were executed, and end.
pub const END: u8 = 3;

/// What the service computes.
pub const fn answer(request: u64) -> u64 {
    request * request + 1
}

/// Serves until ordered to end. The old server (0) is in charge from the start.
pub fn run(which: usize) -> Result<(), KError> {
    let group = well_known_group(SERVICE)?;
    let port = Port::create()?;
    if which == 0 {
        port.join(&group)?;
    }
    port.join(&well_known_group(ORDERS[which])?)?;
    let mut executed = 0;
    let mut failed = Ok(());
    serve(&port, 0, |message, reply| {
        let order = message.annex[8];
        let outcome = match order {
            JOIN => port.join(&group),
            // What is in the queue already is still answered.
            LEAVE => port.leave(&group),
            _ => Ok(()),
        };
        if order == 0 {
            executed += 1;
            reply.annex = annex(answer(number(&message.annex)), 0);
        } else {
            reply.annex = annex(executed, order);
        }
        if outcome.is_err() {
            failed = outcome;
        }
        if order == END || outcome.is_err() {
            Next::Stop
        } else {
            Next::Serve
        }
    })?;
    failed
}
