//! Exceptions (spec 6.2): what happens when nobody treats one.

use crate::executive::actor::End;
use crate::executive::thread::local_identifier;
use crate::machine::{Cpu, Machine};
use crate::nucleus::Nucleus;
use chorus_abi::services::EXCEPTIONS;
use chorus_abi::*;
use core::fmt::Write;

/// A line of the log, of bounded length; what does not fit is cut.
pub(crate) struct Line {
    bytes: [u8; 256],
    used: usize,
}

impl Line {
    pub(crate) fn new() -> Self {
        Line {
            bytes: [0; 256],
            used: 0,
        }
    }

    pub(crate) fn text(&self) -> &str {
        let bytes = self.bytes.get(..self.used).unwrap_or(&[]);
        match core::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => bytes
                .get(..error.valid_up_to())
                .and_then(|bytes| core::str::from_utf8(bytes).ok())
                .unwrap_or(""),
        }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for &byte in text.as_bytes() {
            if let Some(place) = self.bytes.get_mut(self.used) {
                *place = byte;
                self.used += 1;
            }
        }
        Ok(())
    }
}

impl<M: Machine> Nucleus<M> {
    /// The thread on a processor takes an exception that the memory manager could not solve: its actor ends, with a line and a notice. The site goes on.
    /// `schedule` follows.
    pub fn exception(&mut self, cpu: Cpu, number: u32, pc: u64, address: u64) {
        self.entered = Some(cpu);
        let Some(caller) = self.caller(cpu) else {
            return;
        };
        self.counters.exceptions += 1;
        let thread = local_identifier(caller.thread);
        let name = self
            .actors
            .get(caller.actor)
            .map_or([0; 16], |actor| actor.name);
        let cause = EXCEPTIONS
            .get(number as usize)
            .copied()
            .unwrap_or("unknown exception");
        let mut line = Line::new();
        let _ = write!(
            line,
            "actor {} ended: {cause} in thread {thread} at {pc:#x}, address {address:#x}",
            name_text(&name)
        );
        self.machine.log(line.text());
        self.kill_actor(
            caller.actor,
            End {
                reason: number,
                status: i32::MIN,
                thread,
                pc,
                address,
            },
        );
    }
}
