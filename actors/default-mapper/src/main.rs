//! The default mapper: takes the pages that leave the memory of its site (`vmStat` in the manual), `default-mapper host` or `default-mapper memory SIZE`.
//!
//! `host` keeps them at the gateway, in a file of the `chorus` process; `chorus up --swap SIZE` starts it so. `memory` keeps them compressed in memory that it
//! takes when it starts: worth something for pages that compress to less than half, such as sparse tables and text, and where there is no gateway; pages
//! of random bytes leave no room for anything. A page that cannot be kept is refused, and stays where it is.
//!
//! All its own memory stays in memory, as that of everybody with a port in the group of default mappers.
#![no_std]
#![no_main]

extern crate alloc;

mod host;
mod memory;

use alloc::boxed::Box;
use chorus_abi::KError;
use chorus_runtime::mapper::{self, Access, Segments};
use chorus_runtime::port::{Port, default_mappers};
use chorus_runtime::{args, eprintln};

chorus_runtime::entry!(main);

/// Where pages are kept, by the key of their segment and their offset in it. Errors are error numbers.
trait Store {
    fn keep(&mut self, key: u64, offset: u64, page: &[u8]) -> Result<(), KError>;
    fn give(&mut self, key: u64, offset: u64, page: &mut [u8]) -> Result<(), KError>;
    fn forget(&mut self, key: u64);
}

/// The temporary segments.
struct Temporary {
    store: Box<dyn Store>,
    created: u64,
}

impl Segments for Temporary {
    fn create(&mut self) -> Result<u64, i32> {
        self.created += 1;
        Ok(self.created)
    }

    fn release(&mut self, key: u64) {
        self.store.forget(key);
    }

    fn pull_in(&mut self, key: u64, offset: u64, pages: &mut [u8]) -> Result<Access, i32> {
        let given = self.store.give(key, offset, pages);
        given.map(|()| Access::Write).map_err(KError::code)
    }

    fn push_out(&mut self, key: u64, offset: u64, bytes: &[u8]) -> Result<(), i32> {
        let kept = self.store.keep(key, offset, bytes);
        kept.map_err(KError::code)
    }
}

/// Bytes: a number with K, M or G behind it.
fn size(text: &str) -> Option<usize> {
    let shift = match text.as_bytes().last()? {
        b'K' => 10,
        b'M' => 20,
        b'G' => 30,
        _ => 0,
    };
    let digits = text.strip_suffix(['K', 'M', 'G']).unwrap_or(text);
    digits.parse::<usize>().ok()?.checked_mul(1 << shift)
}

fn main() -> Result<i32, KError> {
    let words = (args().nth(1), args().nth(2).map(size));
    let store: Box<dyn Store> = match words {
        (None | Some("host"), None) => Box::new(host::Gateway::new()),
        (Some("memory"), Some(Some(bytes))) if bytes > 0 => match memory::Pool::new(bytes) {
            Some(pool) => Box::new(pool),
            None => {
                eprintln!("default-mapper: there is no memory for {bytes} bytes");
                return Ok(1);
            }
        },
        _ => {
            eprintln!("usage: default-mapper host | default-mapper memory SIZE (such as 16M)");
            return Ok(2);
        }
    };
    let port = Port::create()?;
    port.join(&default_mappers()?)?;
    let mut temporary = Temporary { store, created: 0 };
    mapper::serve(&port, &mut temporary)?;
    Ok(0)
}
