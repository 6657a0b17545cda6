//! Pages at the gateway: each is a call to its port `STAMP_PAGES`.

use crate::Store;
use chorus_abi::services::{Answer, PAGE_FORGET, PAGE_GIVE, PAGE_KEEP, PageRequest};
use chorus_abi::{GATEWAY_SITE, KError, KnUniqueId, PAGE_SIZE, STAMP_PAGES};
use chorus_runtime::check;
use chorus_runtime::message::{Buffer, Message, call};
use core::time::Duration;

const GATEWAY: KnUniqueId = KnUniqueId::well_known_port(GATEWAY_SITE, STAMP_PAGES);
/// How long a page may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The store of the `chorus` process.
pub struct Gateway {
    reply: Buffer,
}

impl Gateway {
    pub fn new() -> Gateway {
        Gateway {
            reply: Buffer::with_room(PAGE_SIZE as usize),
        }
    }

    fn ask(&mut self, service: u32, key: u64, offset: u64, body: &[u8]) -> Result<(), KError> {
        let request = PageRequest {
            service,
            pad: 0,
            key,
            offset,
        };
        let annex = request.to_annex();
        let message = Message {
            annex: Some(&annex),
            body,
        };
        call(GATEWAY, message, &mut self.reply, Some(LIMIT))?;
        check(Answer::from_annex(&self.reply.annex).result).map(|_| ())
    }
}

impl Store for Gateway {
    fn keep(&mut self, key: u64, offset: u64, page: &[u8]) -> Result<(), KError> {
        self.ask(PAGE_KEEP, key, offset, page)
    }

    fn give(&mut self, key: u64, offset: u64, page: &mut [u8]) -> Result<(), KError> {
        self.ask(PAGE_GIVE, key, offset, &[])?;
        let came = self.reply.body();
        if came.len() != page.len() {
            return Err(KError::Mapper);
        }
        page.copy_from_slice(came);
        Ok(())
    }

    fn forget(&mut self, key: u64) {
        // A gateway that does not answer forgets all with the site.
        let _ = self.ask(PAGE_FORGET, key, 0, &[]);
    }
}
