//! A 16550: what it receives by interrupt, what it sends by looking.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use chorus_abi::{KError, KnDevDesc};
use chorus_runtime::device::{Interrupt, Ports};
use chorus_runtime::sync::{Mutex, Semaphore};
use chorus_runtime::{eprintln, thread};

/// Registers, by their offsets.
const DATA: u32 = 0;
const INTERRUPTS: u32 = 1;
const FIFO: u32 = 2;
const FORMAT: u32 = 3;
const MODEM: u32 = 4;
const STATUS: u32 = 5;
/// Bits of the status.
const RECEIVED: u8 = 1;
const READY: u8 = 0x20;
/// Bytes that are kept for clients; more are lost.
const KEPT: usize = 4096;

struct Input {
    bytes: Mutex<VecDeque<u8>>,
    /// Whole lines among them.
    lines: Semaphore,
}

/// The line.
pub struct Line {
    ports: Ports,
    input: Arc<Input>,
}

impl Line {
    /// Becomes the driver of a line, with a thread that receives. Errors: `K_EBUSY`, it has one; `K_EPRIV`, `K_ENOMEM`.
    pub fn open(device: &KnDevDesc) -> Result<Line, KError> {
        let (ports, interrupt) = (Ports::of(device), Interrupt::attach(device.irq)?);
        // 8 bits, no parity; queues on and empty; the interrupt's wire on; interrupts for what is received.
        for (register, value) in [
            (INTERRUPTS, 0),
            (FORMAT, 3),
            (FIFO, 7),
            (MODEM, 0xb),
            (INTERRUPTS, 1),
        ] {
            ports.write(register, value)?;
        }
        let input = Arc::new(Input {
            bytes: Mutex::new(VecDeque::new()),
            lines: Semaphore::new(0),
        });
        let receiver = input.clone();
        // More urgent than who serves: the device's queue is short.
        thread::spawn(-1, move || {
            if let Err(error) = receive(ports, &interrupt, &receiver) {
                eprintln!("serial: {error:?}");
            }
        })?;
        Ok(Line { ports, input })
    }

    /// The next line that comes, without its end; waits for it.
    pub fn next(&self) -> Vec<u8> {
        let mut line = Vec::new();
        if self.input.lines.acquire(None).is_ok() {
            let mut bytes = self.input.bytes.lock();
            while let Some(byte) = bytes.pop_front().filter(|&byte| byte != b'\n') {
                line.push(byte);
            }
        }
        line
    }

    /// Sends bytes.
    pub fn send(&self, bytes: &[u8]) {
        for &byte in bytes {
            while self
                .ports
                .read(STATUS)
                .is_ok_and(|status| status & READY == 0)
            {
                thread::yield_now();
            }
            let _ = self.ports.write(DATA, byte);
        }
    }
}

/// Takes what comes, for ever. The interrupt is an edge: all bytes are taken before the next wait, or it would not come again.
fn receive(ports: Ports, interrupt: &Interrupt, input: &Input) -> Result<(), KError> {
    loop {
        while ports.read(STATUS)? & RECEIVED != 0 {
            let byte = ports.read(DATA)?;
            let mut bytes = input.bytes.lock();
            if byte != b'\r' && bytes.len() < KEPT {
                bytes.push_back(byte);
                if byte == b'\n' {
                    let _ = input.lines.release();
                }
            }
        }
        interrupt.wait(None)?;
    }
}
