//! The server: a count for each client, which is its whole state.

use crate::{CLIENTS, STAMP};
use alloc::vec::Vec;
use chorus_abi::KError;
use chorus_runtime::message::{Annex, Buffer};
use chorus_runtime::port::{Port, well_known_group};
use chorus_runtime::server::{Next, Reply};
use chorus_runtime::start_info;
use chorus_runtime::succession::Server;

/// Sites whose clients are counted.
const SITES: usize = 64;

/// Counts by site and client.
pub struct Tally(Vec<u64>);

impl Server for Tally {
    fn begin(port: &Port) -> Result<Self, KError> {
        port.join(&well_known_group(STAMP)?)?;
        Ok(Tally(alloc::vec![0; SITES * CLIENTS]))
    }

    fn succeed(state: &[u8]) -> Result<Self, KError> {
        let counts = state.as_chunks::<8>().0.iter();
        let counts: Vec<u64> = counts.map(|bytes| u64::from_le_bytes(*bytes)).collect();
        if counts.len() == SITES * CLIENTS {
            Ok(Tally(counts))
        } else {
            Err(KError::Size)
        }
    }

    fn state(&self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|count| count.to_le_bytes())
            .collect()
    }

    fn treat(&mut self, request: &Buffer, reply: &mut Reply) -> Next {
        let (client, site) = (usize::from(request.annex[0]), usize::from(request.annex[1]));
        if client < CLIENTS
            && let Some(count) = self.0.get_mut(site * CLIENTS + client)
        {
            *count += 1;
            reply.annex[..8].copy_from_slice(&count.to_le_bytes());
        }
        reply.annex[8..12].copy_from_slice(&start_info().kind.to_le_bytes());
        Next::Serve
    }
}

/// Count and kind of actor in an answer.
pub fn read(answer: &Annex) -> (u64, i32) {
    let count = answer
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let kind = answer[8..]
        .first_chunk()
        .map_or(-1, |bytes| i32::from_le_bytes(*bytes));
    (count, kind)
}
