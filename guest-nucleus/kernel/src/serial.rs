//! The console and the machine's own ports: text, marks, exit.
//!
//! Output is polled so that it works in every state, also while the Nucleus is dying.

use crate::cpu::{in8, out8, out32};
use chorus_abi::machine::{PORT_CONSOLE, PORT_EXIT, PORT_MARK};
use core::fmt;

/// The 16550 at [`PORT_CONSOLE`].
pub struct Serial;

impl Serial {
    /// 115200 baud, 8 bits, no parity; interrupts off.
    pub fn prepare() {
        for (register, value) in [(1, 0), (3, 0x80), (0, 1), (1, 0), (3, 3), (2, 7), (4, 3)] {
            out8(PORT_CONSOLE + register, value);
        }
    }
}

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // A transmitter that never gets ready (no such device) costs a bounded time.
            let mut patience = 10_000;
            while in8(PORT_CONSOLE + 5) & 0x20 == 0 && patience > 0 {
                patience -= 1;
            }
            out8(PORT_CONSOLE, byte);
        }
        Ok(())
    }
}

/// Prints a line.
macro_rules! say {
    ($($words:tt)*) => {{
        use core::fmt::Write as _;
        let _ = writeln!($crate::serial::Serial, $($words)*);
    }};
}
pub(crate) use say;

/// Reports a mark.
pub fn mark(number: u32) {
    out32(PORT_MARK, number);
}

/// Ends the site.
pub fn exit(code: u8) -> ! {
    out8(PORT_EXIT, code);
    crate::cpu::stop()
}
