//! The console of a site: a 16550 at 0x3f8, by the vm-superio crate.
//!
//! Output is handed on when a line is complete or long, so that nobody downstream works byte by byte.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use vm_superio::serial::NoEvents;
use vm_superio::{Serial, Trigger};
use vmm_sys_util::eventfd::EventFd;

/// Where output goes.
pub type Sink = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Bytes after which an incomplete line is handed on.
const LONG: usize = 512;

struct Interrupt(EventFd);

impl Trigger for Interrupt {
    type E = io::Error;
    fn trigger(&self) -> io::Result<()> {
        self.0.write(1)
    }
}

struct Lines {
    sink: Sink,
    bytes: Vec<u8>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        if bytes.contains(&b'\n') || self.bytes.len() >= LONG {
            self.hand_on();
        }
        Ok(bytes.len())
    }
    // The 16550 flushes after every byte: that is not what a flush is for here.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn hand_on(&mut self) {
        if !self.bytes.is_empty() {
            (self.sink)(&self.bytes);
            self.bytes.clear();
        }
    }
}

/// The console.
pub struct Console(Mutex<Serial<Interrupt, NoEvents, Lines>>);

impl Console {
    /// A console whose receiver interrupts through `interrupt`.
    pub fn new(interrupt: EventFd, sink: Sink) -> Self {
        Console(Mutex::new(Serial::new(
            Interrupt(interrupt),
            Lines {
                sink,
                bytes: Vec::new(),
            },
        )))
    }

    /// A write to register `offset` (0…7).
    pub fn write(&self, offset: u8, value: u8) {
        // Errors are those of the interrupt's descriptor, whose other end is KVM: nothing a guest or we could do.
        let _ = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(offset, value);
    }

    /// A read of register `offset` (0…7).
    pub fn read(&self, offset: u8) -> u8 {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .read(offset)
    }

    /// Puts bytes in the receiver; returns how many it had room for.
    pub fn type_in(&self, bytes: &[u8]) -> usize {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .enqueue_raw_bytes(bytes)
            .unwrap_or(0)
    }

    /// Hands on what is left of an incomplete line.
    pub fn flush(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .writer_mut()
            .hand_on();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmm_sys_util::eventfd::EFD_NONBLOCK;

    #[test]
    fn output_comes_by_lines_and_any_register_can_be_poked() {
        let seen = Arc::new(Mutex::new(Vec::<Vec<u8>>::new()));
        let sink: Sink = {
            let seen = seen.clone();
            Arc::new(move |bytes: &[u8]| seen.lock().unwrap().push(bytes.to_vec()))
        };
        let console = Console::new(EventFd::new(EFD_NONBLOCK).unwrap(), sink);
        b"one\ntwo".iter().for_each(|&byte| console.write(0, byte));
        assert_eq!(*seen.lock().unwrap(), [b"one\n".to_vec()]);
        console.flush();
        assert_eq!(seen.lock().unwrap()[1], b"two");
        for offset in 0..=255 {
            console.write(offset, 0xff);
            console.read(offset);
        }
        assert!(console.type_in(&[b'x'; 1000]) <= 1000);
    }
}
