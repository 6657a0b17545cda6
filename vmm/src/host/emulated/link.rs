//! One end of the link: streams with flow control over one pair of byte pipes.
//!
//! The same code runs at both ends. One thread reads frames and hands them out and never waits for anything but the next
//! frame; each stream has a thread a direction. A stream may have [`WINDOW`] bytes under way, so one that nobody reads
//! (a console behind a stopped pager) does not hold up the others.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::mux::{self, Decoder, Frame, Kind};

/// Bytes of one stream that may be under way.
const WINDOW: u32 = 256 * 1024;
/// Bytes taken from a source at once.
const PIECE: usize = 16 * 1024;

/// Ends what a stream's threads wait on (a socket's `shutdown`), so that they end.
pub(super) type Cut = Box<dyn Fn() + Send + Sync>;

/// The threads of a stream or of a direction of it.
pub(super) type Pump = JoinHandle<()>;

/// One end.
pub(super) struct Link {
    out: Mutex<Box<dyn Write + Send>>,
    streams: Mutex<HashMap<u32, Arc<Stream>>>,
    /// Whether nothing comes back from the other end, so that nobody can give credit.
    one_way: bool,
}

struct Stream {
    state: Mutex<State>,
    changed: Condvar,
    cut: Option<Cut>,
}

struct State {
    /// Bytes that may be sent still.
    credit: u32,
    /// Where bytes that arrive go; gone when the other end closed.
    sink: Option<Sender<Vec<u8>>>,
    /// Directions whose threads still run.
    directions: u8,
    reset: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock would mean a panic in this file's few lines under it; what it guards stays consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// Makes an end that sends on `out`.
    pub(super) fn new(out: Box<dyn Write + Send>, one_way: bool) -> Arc<Link> {
        Arc::new(Link {
            out: Mutex::new(out),
            streams: Mutex::default(),
            one_way,
        })
    }

    /// Sends one frame. A link that is down is noticed by its reader, so nobody has to look at the result.
    pub(super) fn send(&self, kind: Kind, stream: u32, body: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(mux::HEADER + body.len());
        mux::encode(kind, stream, body, &mut bytes);
        let mut out = lock(&self.out);
        out.write_all(&bytes)?;
        out.flush()
    }

    /// Starts a stream: `source` is sent to the other end, what comes from there goes to `sink`. `cut` must end a wait in
    /// either, and is called when the other end resets the stream.
    pub(super) fn attach<R, W>(
        self: &Arc<Self>,
        id: u32,
        source: Option<R>,
        sink: Option<W>,
        cut: Option<Cut>,
    ) -> Vec<Pump>
    where
        R: Read + Send + 'static,
        W: Sink + 'static,
    {
        let (to_sink, from_link) = channel::<Vec<u8>>();
        let directions = u8::from(source.is_some()) + u8::from(sink.is_some());
        let state = State {
            credit: WINDOW,
            sink: sink.is_some().then_some(to_sink),
            directions,
            reset: false,
        };
        let stream = Arc::new(Stream {
            state: Mutex::new(state),
            changed: Condvar::new(),
            cut,
        });
        lock(&self.streams).insert(id, Arc::clone(&stream));
        let mut pumps = Vec::new();
        if let Some(source) = source {
            let (link, stream) = (Arc::clone(self), Arc::clone(&stream));
            pumps.push(thread::spawn(move || {
                link.pump_out(id, &stream, source);
                link.direction_ended(id, &stream);
            }));
        }
        if let Some(mut sink) = sink {
            let link = Arc::clone(self);
            pumps.push(thread::spawn(move || {
                for piece in from_link {
                    let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
                    if sink.take(&piece).is_err() {
                        // The other end stops sending, and its source learns that nobody reads (EPIPE).
                        link.reset(id, &stream);
                        break;
                    }
                    if !link.one_way && link.send(Kind::Credit, id, &length.to_le_bytes()).is_err()
                    {
                        break;
                    }
                }
                sink.end();
                link.direction_ended(id, &stream);
            }));
        }
        pumps
    }

    fn pump_out<R: Read>(&self, id: u32, stream: &Stream, mut source: R) {
        let mut piece = vec![0; PIECE];
        loop {
            let mut state = lock(&stream.state);
            while state.credit == 0 && !state.reset {
                state = stream
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if state.reset {
                return;
            }
            let limit = PIECE.min(usize::try_from(state.credit).unwrap_or(PIECE));
            drop(state);
            let length = match source.read(&mut piece[..limit]) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            if !self.one_way {
                lock(&stream.state).credit -= u32::try_from(length).unwrap_or(0);
            }
            if self.send(Kind::Data, id, &piece[..length]).is_err() {
                return;
            }
        }
        let _ = self.send(Kind::Close, id, &[]);
    }

    fn direction_ended(&self, id: u32, stream: &Arc<Stream>) {
        let mut state = lock(&stream.state);
        state.directions -= 1;
        let last = state.directions == 0;
        drop(state);
        if last {
            let mut streams = lock(&self.streams);
            if streams
                .get(&id)
                .is_some_and(|known| Arc::ptr_eq(known, stream))
            {
                streams.remove(&id);
            }
        }
    }

    fn reset(&self, id: u32, stream: &Stream) {
        let _ = self.send(Kind::Reset, id, &[]);
        Self::cut(stream);
    }

    fn cut(stream: &Stream) {
        let mut state = lock(&stream.state);
        state.reset = true;
        state.sink = None;
        drop(state);
        stream.changed.notify_all();
        if let Some(cut) = &stream.cut {
            cut();
        }
    }

    /// Ends all streams at once: the other end is gone.
    pub(super) fn cut_all(&self) {
        let all: Vec<_> = lock(&self.streams)
            .drain()
            .map(|(_, stream)| stream)
            .collect();
        for stream in all {
            Self::cut(&stream);
        }
    }

    /// Reads frames until the other end is gone. What belongs to a stream is dealt with here, all else goes to `other`.
    ///
    /// # Errors
    /// What reading says, or bytes that are no frame.
    pub(super) fn read_from(
        self: &Arc<Self>,
        mut from: impl Read,
        mut other: impl FnMut(Frame),
    ) -> io::Result<()> {
        let mut decoder = Decoder::default();
        let mut piece = vec![0; 64 * 1024];
        loop {
            let length = match from.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            decoder.feed(&piece[..length]);
            while let Some(frame) = decoder.next().map_err(io::Error::other)? {
                match frame.kind {
                    Kind::Data | Kind::Close | Kind::Reset | Kind::Credit => self.dispatch(frame),
                    _ => other(frame),
                }
            }
        }
    }

    fn dispatch(&self, frame: Frame) {
        let Some(stream) = lock(&self.streams).get(&frame.stream).cloned() else {
            // It ended on this side while the frame was under way.
            return;
        };
        match frame.kind {
            Kind::Data => {
                if let Some(sink) = &lock(&stream.state).sink {
                    // A sink that has ended has reset the stream, or is about to.
                    let _ = sink.send(frame.body);
                }
            }
            Kind::Close => lock(&stream.state).sink = None,
            Kind::Reset => Self::cut(&stream),
            _ => {
                let more = frame.number().unwrap_or(0);
                let mut state = lock(&stream.state);
                state.credit = state.credit.saturating_add(more);
                drop(state);
                stream.changed.notify_all();
            }
        }
    }
}

/// Where the bytes of a stream go.
pub(super) trait Sink: Send {
    /// Takes all of `piece`, waiting if need be.
    fn take(&mut self, piece: &[u8]) -> io::Result<()>;
    /// No more comes.
    fn end(&mut self) {}
}

/// A plain file, pipe or standard stream.
pub(super) struct Plain<W>(pub W);

impl<W: Write + Send> Sink for Plain<W> {
    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.0.write_all(piece)?;
        self.0.flush()
    }
}

/// The writing half of a connection; its end is told to the peer.
pub(super) struct Half<S: Connection>(pub S);

impl<S: Connection> Sink for Half<S> {
    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.0.write_all(piece)
    }

    fn end(&mut self) {
        self.0.shut(std::net::Shutdown::Write);
    }
}

/// A unix or TCP connection.
pub(super) trait Connection: Read + Write + Send + Sync + Sized + 'static {
    fn duplicate(&self) -> io::Result<Self>;
    fn shut(&self, how: std::net::Shutdown);
}

impl Connection for std::os::unix::net::UnixStream {
    fn duplicate(&self) -> io::Result<Self> {
        self.try_clone()
    }
    fn shut(&self, how: std::net::Shutdown) {
        // It fails only when the peer has gone already.
        let _ = self.shutdown(how);
    }
}

impl Connection for std::net::TcpStream {
    fn duplicate(&self) -> io::Result<Self> {
        self.try_clone()
    }
    fn shut(&self, how: std::net::Shutdown) {
        let _ = self.shutdown(how);
    }
}

/// Carries a connection as stream `id`.
pub(super) fn carry<S: Connection>(link: &Arc<Link>, id: u32, connection: S) -> io::Result<()> {
    let (reading, cutting) = (connection.duplicate()?, connection.duplicate()?);
    let cut: Cut = Box::new(move || cutting.shut(std::net::Shutdown::Both));
    link.attach(id, Some(reading), Some(Half(connection)), Some(cut));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    fn joined() -> io::Result<(Arc<Link>, Arc<Link>)> {
        let (a, b) = UnixStream::pair()?;
        let mut ends = Vec::new();
        for end in [a, b] {
            let link = Link::new(Box::new(end.try_clone()?), false);
            let reader = Arc::clone(&link);
            thread::spawn(move || {
                let _ = reader.read_from(end, |_| {});
                reader.cut_all();
            });
            ends.push(link);
        }
        let b = ends.pop().ok_or_else(|| io::Error::other("two ends"))?;
        let a = ends.pop().ok_or_else(|| io::Error::other("two ends"))?;
        Ok((a, b))
    }

    fn carried(a: &Arc<Link>, b: &Arc<Link>, id: u32) -> io::Result<(UnixStream, UnixStream)> {
        let (client, outer) = UnixStream::pair()?;
        let (inner, server) = UnixStream::pair()?;
        carry(b, id, inner)?;
        carry(a, id, outer)?;
        for end in [&client, &server] {
            end.set_read_timeout(Some(Duration::from_secs(20)))?;
        }
        Ok((client, server))
    }

    #[test]
    fn a_connection_carries_more_than_its_window_both_ways_and_its_end() -> io::Result<()> {
        let (a, b) = joined()?;
        let (mut client, mut server) = carried(&a, &b, 300)?;
        let sent: Vec<u8> = (0..3 * WINDOW as usize + 17)
            .map(|n| ((n * 31) >> 3) as u8)
            .collect();
        let (copy, mut writing) = (sent.clone(), client.try_clone()?);
        let writer = thread::spawn(move || {
            writing
                .write_all(&copy)
                .and_then(|()| writing.shutdown(std::net::Shutdown::Write))
        });
        let mut got = Vec::new();
        server.read_to_end(&mut got)?;
        assert!(got == sent, "{} bytes of {}", got.len(), sent.len());
        writer
            .join()
            .map_err(|_| io::Error::other("the writer panicked"))??;
        server.write_all(b"answer after the other direction ended")?;
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer)?;
        assert_eq!(answer, "answer after the other direction ended");
        Ok(())
    }

    #[test]
    fn a_stream_that_nobody_reads_does_not_hold_up_another() -> io::Result<()> {
        let (a, b) = joined()?;
        let (mut stuck, _unread) = carried(&a, &b, 300)?;
        let (mut client, mut server) = carried(&a, &b, 301)?;
        thread::spawn(move || stuck.write_all(&vec![1; 8 << 20]));
        thread::sleep(Duration::from_millis(100));
        client.write_all(b"ping")?;
        let mut got = [0; 4];
        server.read_exact(&mut got)?;
        assert_eq!(&got, b"ping");
        Ok(())
    }

    #[test]
    fn a_peer_that_leaves_resets_the_other_side() -> io::Result<()> {
        let (a, b) = joined()?;
        let (mut client, server) = carried(&a, &b, 300)?;
        drop(server);
        let mut end = Vec::new();
        client.read_to_end(&mut end)?;
        let broken = (0..200).any(|_| {
            thread::sleep(Duration::from_millis(10));
            client.write_all(&[0; 1024]).is_err()
        });
        assert!(broken, "writing to a peer that left never failed");
        Ok(())
    }
}
