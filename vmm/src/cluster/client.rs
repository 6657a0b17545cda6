//! A command's side of the control protocol.
//!
//! Finding a cluster, telling a dead one from a living one, and asking it; the same for a cluster in this machine and for one in
//! the emulated host, whose socket appears in the same folder.

use super::control::{self, Answer, Hello, LineError, Request};
use super::failure::{Failure, Outcome, Status};
use super::runtime::{Runtime, State};
use std::io::{BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A connection to a cluster.
pub struct Client {
    reader: BufReader<UnixStream>,
    name: String,
}

impl Client {
    /// Connects. Errors: status 1 when there is no such cluster, or its process was killed.
    pub fn connect(runtime: &Runtime) -> Outcome<Client> {
        let name = runtime.name();
        match runtime.state() {
            State::Absent => {
                return Err(
                    Failure::failed(format!("no cluster called {name} is running"))
                        .hint("start one with: chorus up -d; list them with: chorus ps --clusters"),
                );
            }
            State::Stale => {
                let text = format!("the process of cluster {name} is gone, it was killed");
                return Err(
                    Failure::failed(text).hint(format!("clean up with: chorus down --name {name}"))
                );
            }
            State::Alive(_) => {}
        }
        let stream = UnixStream::connect(runtime.socket()).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::failed(format!(
                "cluster {name} is starting or ending and takes no requests"
            ))
            .hint("try again in a moment"),
            _ => Failure::failed(format!(
                "{}: {}",
                runtime.socket().display(),
                super::reason(&error)
            )),
        })?;
        let mut client = Client {
            reader: BufReader::new(stream),
            name: name.to_owned(),
        };
        control::send(
            client.reader.get_mut(),
            &Hello {
                chorus: control::VERSION,
            },
        )
        .map_err(|error| client.broken(&error))?;
        Ok(client)
    }

    fn broken(&self, error: &std::io::Error) -> Failure {
        Failure::failed(format!(
            "the connection to cluster {} broke: {}",
            self.name,
            super::reason(error)
        ))
    }

    /// Limits how long an answer may take; none: no limit. Errors: a limit of nothing.
    pub fn limit(&self, limit: Option<Duration>) -> Outcome<()> {
        let limit = limit.map(|limit| limit.max(Duration::from_millis(1)));
        self.reader
            .get_ref()
            .set_read_timeout(limit)
            .map_err(|error| self.broken(&error))
    }

    /// Sends a request, with the bytes that follow it.
    pub fn send(&mut self, request: &Request, bytes: &[u8]) -> Outcome<()> {
        let sent = control::send(self.reader.get_mut(), request)
            .and_then(|()| self.reader.get_mut().write_all(bytes));
        sent.map_err(|error| self.broken(&error))
    }

    /// The next answer. Errors: what the cluster said went wrong; that it ended; status 124 when the limit passed.
    pub fn receive(&mut self) -> Outcome<Answer> {
        match control::receive(&mut self.reader) {
            Ok(Answer::Failed { failure }) => Err(failure),
            Ok(answer) => Ok(answer),
            Err(LineError::Ended) => Err(Failure::failed(format!("cluster {} ended", self.name))),
            Err(LineError::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                Err(Failure::new(
                    Status::Timeout,
                    format!("cluster {} did not answer in time", self.name),
                ))
            }
            Err(LineError::Io(error)) => Err(self.broken(&error)),
            Err(error) => Err(Failure::failed(format!("cluster {}: {error}", self.name))),
        }
    }

    /// Sends a request and takes its one answer.
    pub fn ask(&mut self, request: &Request) -> Outcome<Answer> {
        self.send(request, &[])?;
        self.receive()
    }

    /// Reads the bytes that follow an answer. Errors: as [`Client::receive`].
    pub fn bytes(&mut self, into: &mut [u8]) -> Outcome<()> {
        let read = self.reader.read_exact(into);
        read.map_err(|error| self.broken(&error))
    }

    /// As [`Client::ask`], for a request whose answer says nothing.
    pub fn order(&mut self, request: &Request) -> Outcome<()> {
        match self.ask(request)? {
            Answer::Done => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    /// The failure for an answer that does not fit the request.
    pub fn unexpected(&self, answer: &Answer) -> Failure {
        Failure::failed(format!(
            "cluster {} gave an answer that does not fit: {answer:?}",
            self.name
        ))
    }

    /// The connection itself and what was read ahead of it, for streams of bytes.
    pub fn into_stream(self) -> (UnixStream, Vec<u8>) {
        let ahead = self.reader.buffer().to_vec();
        (self.reader.into_inner(), ahead)
    }
}
