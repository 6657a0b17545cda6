//! Listening for debuggers: a unix socket a site, one debugger at a time.
//!
//! The loop sleeps until the debugger says something or the site stops; nothing polls. When the debugger goes, in whatever way, the site is
//! left as it was found and goes on.

use super::gdb::GdbSite;
use super::images::Known;
use super::inferior::{Delivery, Inferior};
use super::session::Session;
use gdbstub::stub::state_machine::GdbStubStateMachine;
use gdbstub::stub::{DisconnectReason, GdbStub, GdbStubError};
use rustix::event::{PollFd, PollFlags, poll};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

/// How a debugger left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It detached, disconnected or broke the protocol: the site goes on.
    Detached,
    /// It asked for the site to be killed.
    Kill,
    /// The site ended first, with this exit code.
    Ended(u8),
}

/// Serves one debugger until it leaves. `name` is the site's, for people; `known` names the files of images. A site that is to be killed is left standing.
///
/// # Errors
/// Only when the site itself cannot be stopped or let go; whatever the debugger does is no error.
pub fn serve<I: Inferior>(
    connection: UnixStream,
    site: I,
    delivery: Delivery,
    name: &str,
    known: Vec<Known>,
) -> Result<Left, String> {
    let mut target = GdbSite::new(Session::attach(site, delivery)?, name, known);
    let left = converse(connection, &mut target).unwrap_or_else(|error| {
        tell(name, &error);
        Left::Detached
    });
    if left == Left::Detached {
        target.session().detach()?;
    }
    Ok(left)
}

fn tell(name: &str, error: &str) {
    eprintln!("{name}: the debugger was disconnected: {error}");
}

fn converse<I: Inferior>(connection: UnixStream, target: &mut GdbSite<I>) -> Result<Left, String> {
    let mut input = connection.try_clone().map_err(|error| error.to_string())?;
    let fail = |error: GdbStubError<String, std::io::Error>| error.to_string();
    let mut machine = GdbStub::new(connection)
        .run_state_machine(target)
        .map_err(fail)?;
    let mut buffer = Input::default();
    loop {
        machine = match machine {
            GdbStubStateMachine::Idle(stub) => {
                let Some(byte) = buffer.next(&mut input)? else {
                    return Ok(Left::Detached);
                };
                stub.incoming_data(target, byte).map_err(fail)?
            }
            GdbStubStateMachine::Running(stub) => {
                if let Some(stop) = target.session().poll()? {
                    let reason = target.reason(stop);
                    stub.report_stop(target, reason).map_err(fail)?
                } else if buffer.is_empty() && !wait(&input, target)? {
                    stub.into()
                } else {
                    let Some(byte) = buffer.next(&mut input)? else {
                        return Ok(Left::Detached);
                    };
                    stub.incoming_data(target, byte).map_err(fail)?
                }
            }
            GdbStubStateMachine::CtrlCInterrupt(stub) => {
                let stop = target.session().interrupt()?;
                let reason = target.reason(stop);
                stub.interrupt_handled(target, Some(reason)).map_err(fail)?
            }
            GdbStubStateMachine::Disconnected(stub) => {
                return Ok(match stub.get_reason() {
                    DisconnectReason::Kill => {
                        // gdb waits for an answer, and the protocol's crate gives none. Whoever waits for none has gone.
                        let _ = input.write_all(b"$OK#9a");
                        Left::Kill
                    }
                    DisconnectReason::TargetExited(code) => Left::Ended(code),
                    _ => Left::Detached,
                });
            }
        }
    }
}

/// Waits until the debugger has said something (`true`) or the site has something to tell (`false`).
fn wait<I: Inferior>(input: &UnixStream, target: &mut GdbSite<I>) -> Result<bool, String> {
    let site = target.session().site();
    let mut descriptors = vec![PollFd::from_borrowed_fd(input.as_fd(), PollFlags::IN)];
    descriptors.extend(
        site.signal()
            .map(|signal| PollFd::from_borrowed_fd(signal, PollFlags::IN)),
    );
    loop {
        match poll(&mut descriptors, None) {
            Ok(_) => return Ok(!descriptors[0].revents().is_empty()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Bytes that have come and were not yet given to the protocol.
#[derive(Default)]
struct Input {
    bytes: Vec<u8>,
    taken: usize,
}

impl Input {
    fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    /// The next byte, waiting for it; `None` when the debugger has gone.
    fn next(&mut self, from: &mut UnixStream) -> Result<Option<u8>, String> {
        if self.is_empty() {
            self.bytes.resize(16 << 10, 0);
            let count = from
                .read(&mut self.bytes)
                .map_err(|error| error.to_string())?;
            self.bytes.truncate(count);
            self.taken = 0;
        }
        let byte = self.bytes.get(self.taken).copied();
        self.taken += 1;
        Ok(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{Instruction::*, Model};
    use super::*;

    const NONE: Delivery = Delivery {
        breakpoint_exits: false,
        hardware_breakpoints: false,
        watchpoints: false,
    };

    fn packet(text: &str) -> Vec<u8> {
        let sum = text.bytes().fold(0u8, u8::wrapping_add);
        format!("${text}#{sum:02x}").into_bytes()
    }

    /// Says `words` to a stub over a fresh model and returns how it ended and what it answered.
    fn say(words: &[Vec<u8>]) -> (Left, String) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut ours = ours;
        let stub = std::thread::spawn(move || {
            serve(
                theirs,
                Model::new(2, &[Nop, Nop, Jump(0)], NONE),
                NONE,
                "s1",
                Vec::new(),
            )
        });
        for word in words {
            ours.write_all(word).unwrap();
        }
        ours.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = ours.read_to_end(&mut answer);
        (
            stub.join().unwrap().unwrap(),
            String::from_utf8_lossy(&answer).into_owned(),
        )
    }

    #[test]
    fn threads_registers_and_memory_are_answered() {
        let (left, answer) = say(&[
            packet("qfThreadInfo"),
            packet("m0,2"),
            packet("Z0,1,1"),
            packet("m0,2"),
            packet("D"),
        ]);
        assert_eq!(left, Left::Detached);
        assert!(
            answer.contains("p01.01,p01.02")
                || answer.contains("m01,02")
                || answer.contains("m1,2"),
            "{answer}"
        );
        assert_eq!(
            answer.matches("$9090#").count(),
            2,
            "a planted breakpoint is not shown: {answer}"
        );
    }

    #[test]
    fn a_kill_is_answered() {
        let (left, answer) = say(&[packet("vKill;1")]);
        assert_eq!(left, Left::Kill);
        assert!(answer.ends_with("$OK#9a"), "{answer}");
    }

    #[test]
    fn garbage_and_sudden_ends_leave_the_stub_well() {
        let kinds: [&[u8]; 5] = [
            b"$m0,4",
            b"\x03\x03\x03",
            b"$zzzz#00$$$$#",
            b"+-+-",
            b"$vCont;s:99#00",
        ];
        for kind in kinds {
            assert_eq!(say(&[kind.to_vec()]).0, Left::Detached);
        }
        assert_eq!(say(&[vec![0xff; 100_000]]).0, Left::Detached);
        assert_eq!(
            say(&[
                packet("mffffffffffffffff,ffff"),
                packet("Mfffff,1:00"),
                packet("Hg99")
            ])
            .0,
            Left::Detached
        );
    }
}
