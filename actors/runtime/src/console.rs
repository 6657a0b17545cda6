//! Text for people: an actor's standard output, errors and input, at the console service of the host.
//!
//! Each line is one message to the gateway site (`chorus logs` shows it under the actor's name). Where there is no gateway, on a bare machine
//! say, text goes to the site's own console log. A line is put together in a fixed buffer, so that a panic can be told without memory.

use crate::message::{self, Buffer, Message};
use crate::{at, site, start_info};
use chorus_abi::services::{
    Answer, CONSOLE_READ, CONSOLE_WRITE, ConsoleRequest, STREAM_ERR, STREAM_OUT,
};
use chorus_abi::{GATEWAY_SITE, In, KError, KnUniqueId, STAMP_CONSOLE, name_field};
use core::fmt::Write;

/// The console service.
pub const CONSOLE: KnUniqueId = KnUniqueId::well_known_port(GATEWAY_SITE, STAMP_CONSOLE);

/// Bytes that go in one message.
const ROOM: usize = 1024;
/// Bytes of a line of the site's log.
const LOG_LINE: usize = 256;

/// Where text goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// The site's own console log: for those without whom there is no console service.
    SiteLog,
}

/// Text on its way to a stream.
pub struct Text {
    stream: Stream,
    bytes: [u8; ROOM],
    used: usize,
}

impl Text {
    fn new(stream: Stream) -> Self {
        Text {
            stream,
            bytes: [0; ROOM],
            used: 0,
        }
    }

    fn send(&mut self) {
        let text = self.bytes.get(..self.used).unwrap_or(&[]);
        self.used = 0;
        if !text.is_empty() && (self.stream == Stream::SiteLog || write(self.stream, text).is_err())
        {
            for line in text.split(|&byte| byte == b'\n') {
                for part in line.chunks(LOG_LINE) {
                    site_log(part);
                }
            }
        }
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            if self.used == ROOM {
                self.send();
            }
            let count = rest.len().min(ROOM - self.used);
            let (now, later) = rest.split_at(count);
            if let Some(room) = self.bytes.get_mut(self.used..self.used + count) {
                room.copy_from_slice(now);
            }
            self.used += count;
            rest = later;
        }
        Ok(())
    }
}

/// Puts a line on the site's console log; what is longer than 256 bytes is cut.
pub fn site_log(line: &[u8]) {
    // SAFETY: the buffer lives through the call and has that many bytes.
    unsafe { crate::raw::sys_log(In::new(at(line)), line.len() as u32) };
}

/// Writes bytes to a stream of the console service. Errors: those of `ipcCall`; `K_EUNKNOWN` where there is no gateway.
pub fn write(stream: Stream, bytes: &[u8]) -> Result<(), KError> {
    let request = ConsoleRequest {
        service: CONSOLE_WRITE,
        stream: if stream == Stream::Err {
            STREAM_ERR
        } else {
            STREAM_OUT
        },
        actor: site::own_port(),
        name: name_field(crate::args().next().unwrap_or("")),
        room: 0,
        site: start_info().site,
    };
    let annex = request.to_annex();
    let mut reply = [0u8; 64];
    for part in bytes.chunks(chorus_abi::K_CMSGSIZEMAX as usize) {
        let message = Message {
            annex: Some(&annex),
            body: part,
        };
        message::call_annex(CONSOLE, message, &mut reply, None)?;
        crate::check(Answer::from_annex(&reply).result)?;
    }
    Ok(())
}

/// Reads what people typed for the actors of this site: 1 to `room` bytes, none when the input has ended. Waits for them.
/// Errors: those of `ipcCall`.
pub fn read(room: u32) -> Result<Buffer, KError> {
    let request = ConsoleRequest {
        service: CONSOLE_READ,
        actor: site::own_port(),
        name: name_field(crate::args().next().unwrap_or("")),
        room,
        site: start_info().site,
        ..ConsoleRequest::default()
    };
    let annex = request.to_annex();
    let mut reply = Buffer::with_room(room as usize);
    let message = Message {
        annex: Some(&annex),
        body: &[],
    };
    message::call(CONSOLE, message, &mut reply, None)?;
    crate::check(Answer::from_annex(&reply.annex).result)?;
    Ok(reply)
}

/// What the macros end in.
pub fn print(stream: Stream, text: core::fmt::Arguments<'_>, line: bool) {
    let mut out = Text::new(stream);
    let _ = out.write_fmt(text);
    if line && stream != Stream::SiteLog {
        let _ = out.write_str("\n");
    }
    out.send();
}

/// Writes to the actor's standard output.
#[macro_export]
macro_rules! print { ($($text:tt)*) => { $crate::console::print($crate::console::Stream::Out, ::core::format_args!($($text)*), false) }; }
/// Writes a line to the actor's standard output.
#[macro_export]
macro_rules! println { ($($text:tt)*) => { $crate::console::print($crate::console::Stream::Out, ::core::format_args!($($text)*), true) }; }
/// Writes a line to the actor's standard error.
#[macro_export]
macro_rules! eprintln { ($($text:tt)*) => { $crate::console::print($crate::console::Stream::Err, ::core::format_args!($($text)*), true) }; }
/// Writes a line to the site's console log, without the console service.
#[macro_export]
macro_rules! site_log { ($($text:tt)*) => { $crate::console::print($crate::console::Stream::SiteLog, ::core::format_args!($($text)*), true) }; }
