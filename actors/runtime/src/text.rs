//! Text for people: lines on the site's console log.
//!
//! Lines are put together in a fixed buffer, so that a panic can be told without allocating.

use chorus_abi::In;
use core::fmt::Write;

/// One line being put together; what does not fit is cut, as `sysLog` does.
struct Line {
    bytes: [u8; 256],
    used: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let count = text.len().min(self.bytes.len() - self.used);
        self.bytes[self.used..self.used + count].copy_from_slice(&text.as_bytes()[..count]);
        self.used += count;
        Ok(())
    }
}

/// Writes one line, at most 256 bytes, on the console log.
pub fn line(text: core::fmt::Arguments<'_>) {
    let mut line = Line {
        bytes: [0; 256],
        used: 0,
    };
    let _ = line.write_fmt(text);
    // SAFETY: the buffer lives through the call and has `used` bytes.
    unsafe { crate::raw::sys_log(In::new(line.bytes.as_ptr() as u64), line.used as u32) };
}

/// Writes a line on the console log.
#[macro_export]
macro_rules! println { ($($text:tt)*) => { $crate::text::line(::core::format_args!($($text)*)) }; }
/// Writes a line of diagnosis on the console log.
#[macro_export]
macro_rules! eprintln { ($($text:tt)*) => { $crate::text::line(::core::format_args!($($text)*)) }; }
