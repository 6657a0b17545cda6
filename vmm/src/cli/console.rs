//! `chorus console`: a terminal at a site, with QEMU's escape keys.
//!
//! On a terminal every key goes to the site as it is typed; from a pipe the bytes go as they come. Ctrl-A is the way out.

use super::actors;
use super::args::OneSiteArgs;
use super::context::Context;
use crate::cluster::client::Client;
use crate::cluster::control::{Answer, Request};
use crate::cluster::failure::{Failure, Outcome};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

const HELP: &str = "\r\nCtrl-A h  this help\r\nCtrl-A d  detach, the site goes on\r\nCtrl-A x  end the site\r\nCtrl-A Ctrl-A  send Ctrl-A\r\n";
const CTRL_A: u8 = 1;

/// What typed bytes mean.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Typed {
    Send(Vec<u8>),
    Help,
    Detach,
    End,
}

/// Finds the escape keys in what is typed, also when their two bytes come apart.
#[derive(Default)]
struct Keys {
    escaped: bool,
}

impl Keys {
    fn typed(&mut self, bytes: &[u8]) -> Vec<Typed> {
        let mut all = Vec::new();
        let mut plain = Vec::new();
        for &byte in bytes {
            let found = match (std::mem::take(&mut self.escaped), byte) {
                (false, CTRL_A) => {
                    self.escaped = true;
                    continue;
                }
                (true, b'h' | b'?') => Typed::Help,
                (true, b'd') => Typed::Detach,
                (true, b'x') => Typed::End,
                (true, CTRL_A | b'a') => {
                    plain.push(CTRL_A);
                    continue;
                }
                // Any other key after Ctrl-A means nothing, as in QEMU.
                (true, _) => continue,
                (false, byte) => {
                    plain.push(byte);
                    continue;
                }
            };
            if !plain.is_empty() {
                all.push(Typed::Send(std::mem::take(&mut plain)));
            }
            all.push(found);
        }
        if !plain.is_empty() {
            all.push(Typed::Send(plain));
        }
        all
    }
}

/// The terminal in raw mode, given back when this is dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> Option<Raw> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// `chorus console`.
pub fn console(context: &Context, args: &OneSiteArgs) -> Outcome<()> {
    let runtime = context.runtime()?;
    let mut client = Client::connect(&runtime)?;
    let site = actors::site_number(&mut client, &args.site)?;
    match client.ask(&Request::Console { site })? {
        Answer::Attached => {}
        other => return Err(client.unexpected(&other)),
    }
    let raw = Raw::enter();
    if raw.is_some() {
        context.say(&format!(
            "attached to site {site}; Ctrl-A d detaches, Ctrl-A h helps\r"
        ));
    }
    let (stream, ahead) = client.into_stream();
    let broken = |error: std::io::Error| {
        Failure::failed(format!("the console: {}", crate::cluster::reason(&error)))
    };
    let printing = stream.try_clone().map_err(broken)?;
    let printer = std::thread::spawn(move || print(printing, &ahead));
    let typing = stream.try_clone().map_err(broken)?;
    let (told, hear) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let end = type_in(&typing);
        // Told before the connection is closed, for its end is what the other thread waits for. Nobody hears when the
        // site ended first.
        let _ = told.send(end);
        let _ = typing.shutdown(Shutdown::Write);
    });
    // Whichever ends first: the person, or the site.
    let _ = printer.join();
    let asked = hear.try_recv().unwrap_or(Typed::Detach);
    let _ = stream.shutdown(Shutdown::Both);
    drop(raw);
    if asked == Typed::End {
        Client::connect(&runtime)?.order(&Request::Kill { site })?;
        context.say(&format!("site {site} is ended"));
    }
    Ok(())
}

/// Prints what comes until the connection ends.
fn print(mut from: UnixStream, ahead: &[u8]) {
    let mut out = std::io::stdout();
    if out.write_all(ahead).and_then(|()| out.flush()).is_err() {
        return;
    }
    let mut bytes = [0u8; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if out
            .write_all(&bytes[..count])
            .and_then(|()| out.flush())
            .is_err()
        {
            break;
        }
    }
}

/// Sends what is typed until an escape key or the end of stdin.
fn type_in(mut to: &UnixStream) -> Typed {
    let mut keys = Keys::default();
    let mut bytes = [0u8; 512];
    let mut end = Typed::Detach;
    'typing: while let Ok(count @ 1..) = std::io::stdin().lock().read(&mut bytes) {
        for typed in keys.typed(&bytes[..count]) {
            match typed {
                Typed::Send(bytes) => {
                    if to.write_all(&bytes).is_err() {
                        break 'typing;
                    }
                }
                Typed::Help => {
                    let _ = std::io::stderr().write_all(HELP.as_bytes());
                }
                Typed::Detach | Typed::End => {
                    end = typed;
                    break 'typing;
                }
            }
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_keys_are_found_however_they_come() {
        let mut keys = Keys::default();
        assert_eq!(keys.typed(b"ab\x01"), [Typed::Send(b"ab".to_vec())]);
        assert_eq!(
            keys.typed(b"dxy"),
            [Typed::Detach, Typed::Send(b"xy".to_vec())]
        );
        assert_eq!(keys.typed(b"\x01\x01\x01a"), [Typed::Send(vec![1, 1])]);
        assert_eq!(keys.typed(b"\x01q\x01h\x01x"), [Typed::Help, Typed::End]);
    }
}
