//! The outside of one run: starts the machine, moves bytes, and judges how it ended.
//!
//! A crash of the machine must never look like a result. So the end counts only when the inner side said that it had sent
//! everything *and* QEMU ended through the exit device; all else is [`HostError::Crashed`].

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::super::HostError;
use super::link::{Link, Plain, Pump, Sink};
use super::mux::{self, Frame, Kind};
use super::sockets::Listeners;
use super::{Job, Order, assets, initramfs, missing, qemu};

/// Limit on the time until the inner side says that it is up. It takes 3 to 8 seconds; a machine under load takes a multiple.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
/// Limit on the time between two signs of life.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);
/// Time that the command has for its own end after a signal, and the machine after its end marker.
const END_LIMIT: Duration = Duration::from_secs(15);
/// Granularity of the limits.
const TICK: Duration = Duration::from_millis(50);
/// Lines of the machine's console that an error shows.
const CONSOLE_LINES: usize = 20;
/// Words of console lines that are shown wherever they stand.
const CAUSES: [&str; 5] = [
    "Kernel panic",
    "BUG:",
    "Out of memory",
    "the emulated host failed",
    "qemu-system-x86_64:",
];

/// One run. `shown` becomes true when anything of the command's has been passed on.
pub(super) fn run(job: &Job, shown: &Arc<AtomicBool>) -> Result<ExitStatus, HostError> {
    let (Some(qemu), Some(kernel)) = (assets::qemu(), assets::kernel()) else {
        return Err(HostError::Missing(missing()));
    };
    let initrd = pack(job, &kernel)?;
    let console = memory("the machine's console")?;
    let messages = memory("QEMU's messages")?;
    let machine = qemu::Machine {
        qemu: &qemu,
        kernel: &kernel.image,
        initrd: &initrd,
        memory_mib: job.memory()?,
        processors: job.processors.unwrap_or(2).clamp(1, 4),
        deterministic: job.deterministic,
    };
    let copy = messages
        .try_clone()
        .map_err(HostError::doing("duplicating a descriptor"))?;
    let ends = |link| qemu::Ends {
        console: &console,
        messages: copy,
        link,
    };
    let starting = || HostError::doing(format!("starting {}", qemu.display()));
    let mut run = if job.deterministic {
        let link = memory("the link")?;
        let copy = link.try_clone().map_err(starting())?;
        let child = qemu::start(&machine, ends(OwnedFd::from(copy))).map_err(starting())?;
        let ended = Arc::new(AtomicBool::new(false));
        Run::new(
            job,
            child,
            Box::new(io::sink()),
            Tail::new(link, Arc::clone(&ended)),
            Some(ended),
            shown,
        )?
    } else {
        let (near, far) = UnixStream::pair().map_err(starting())?;
        let child = qemu::start(&machine, ends(OwnedFd::from(far))).map_err(starting())?;
        let writer = near.try_clone().map_err(starting())?;
        Run::new(job, child, Box::new(writer), near, None, shown)?
    };
    run.wait_for_end()
        .map_err(|fault| run.explain(fault, &console, &messages))
}

fn memory(what: &str) -> Result<File, HostError> {
    qemu::memory_file("chorus").map_err(HostError::doing(format!(
        "making a file in memory for {what}"
    )))
}

fn pack(job: &Job, kernel: &assets::Kernel) -> Result<File, HostError> {
    let here = || std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let order = Order {
        args: job.args.clone(),
        env: job.env.clone().into_iter().collect(),
        folder: job.folder.clone().unwrap_or_else(here),
        files: job.files.iter().map(|(inside, _)| inside.clone()).collect(),
        results: job
            .results
            .iter()
            .map(|(inside, _)| inside.clone())
            .collect(),
        mirrors: job.mirrors.clone(),
        stdin: job.stdin && !job.deterministic,
        deterministic: job.deterministic,
    };
    let order = serde_json::to_vec(&order)
        .map_err(|error| HostError::doing("writing the order")(error.into()))?;
    let program = std::env::current_exe().map_err(HostError::doing("finding this program"))?;
    let files: Vec<&Path> = job.files.iter().map(|(_, here)| here.as_path()).collect();
    let mut initrd = memory("the initial file system")?;
    for part in [
        initramfs::base(kernel)?,
        initramfs::job(&program, &order, &files)?,
    ] {
        initrd
            .write_all(&part)
            .map_err(HostError::doing("writing the initial file system"))?;
    }
    Ok(initrd)
}

/// Reads a memory file that the machine appends to, until the machine has ended and all has been read.
struct Tail {
    file: File,
    at: u64,
    ended: Arc<AtomicBool>,
}

impl Tail {
    fn new(file: File, ended: Arc<AtomicBool>) -> Tail {
        Tail { file, at: 0, ended }
    }
}

impl io::Read for Tail {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        loop {
            // Asked before reading: what was written before the end is then read after it.
            let ended = self.ended.load(Ordering::Acquire);
            let length = rustix::io::pread(self.file.as_fd(), &mut *piece, self.at)?;
            if length > 0 || ended {
                self.at += length as u64;
                return Ok(length);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// How a run failed, before its console has been looked at.
enum Fault {
    Crash(String),
    Timeout,
    Other(HostError),
}

enum Event {
    Frame(Frame),
    Signal(i32),
    LinkEnded(io::Result<()>),
}

struct Run<'a> {
    job: &'a Job,
    child: Child,
    link: Arc<Link>,
    events: Receiver<Event>,
    listeners: Listeners,
    output: Vec<Pump>,
    /// Tells a reader of files that the machine has ended.
    ended: Option<Arc<AtomicBool>>,
    signals: signal_hook::iterator::Handle,
    status: Option<ExitStatus>,
    done: bool,
    up: bool,
}

impl<'a> Run<'a> {
    fn new(
        job: &'a Job,
        child: Child,
        writer: Box<dyn Write + Send>,
        reader: impl io::Read + Send + 'static,
        ended: Option<Arc<AtomicBool>>,
        shown: &Arc<AtomicBool>,
    ) -> Result<Run<'a>, HostError> {
        let link = Link::new(writer, job.deterministic);
        let mut output = Vec::new();
        let nothing = || None::<io::Empty>;
        output.extend(link.attach(
            mux::STDOUT,
            nothing(),
            Some(Noted(io::stdout(), Arc::clone(shown))),
            None,
        ));
        output.extend(link.attach(
            mux::STDERR,
            nothing(),
            Some(Noted(io::stderr(), Arc::clone(shown))),
            None,
        ));
        for (stream, (_, path)) in (mux::RESULTS..).zip(&job.results) {
            output.extend(link.attach(
                stream,
                nothing(),
                Some(ResultFile {
                    path: path.clone(),
                    file: None,
                }),
                None,
            ));
        }
        let (sender, events) = channel();
        let signal_sender = sender.clone();
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
            .map_err(HostError::doing("installing signal handlers"))?;
        let handle = signals.handle();
        thread::spawn(move || {
            for signal in signals.forever() {
                if signal_sender.send(Event::Signal(signal)).is_err() {
                    return;
                }
            }
        });
        let reading = Arc::clone(&link);
        thread::spawn(move || {
            let frames = sender.clone();
            let result = reading.read_from(reader, move |frame| {
                // Nobody listens any more when the run has been given up.
                let _ = frames.send(Event::Frame(frame));
            });
            reading.cut_all();
            let _ = sender.send(Event::LinkEnded(result));
        });
        let folders = job.mirrors.clone();
        let listeners = Listeners::new(Arc::clone(&link), folders);
        Ok(Run {
            job,
            child,
            link,
            events,
            listeners,
            output,
            ended,
            signals: handle,
            status: None,
            done: false,
            up: false,
        })
    }

    fn wait_for_end(&mut self) -> Result<ExitStatus, Fault> {
        let start = Instant::now();
        let (mut heard, mut stop_at) = (start, None::<Instant>);
        let mut signal_seen = None;
        loop {
            match self.events.recv_timeout(TICK) {
                Ok(Event::Frame(frame)) => {
                    heard = Instant::now();
                    self.on_frame(&frame)?;
                }
                Ok(Event::Signal(signal)) => {
                    if signal_seen.is_some() || self.job.deterministic || !self.up {
                        // The second one, or there is no way in: the machine is switched off.
                        return Ok(ExitStatus::from_raw(signal));
                    }
                    signal_seen = Some(signal);
                    stop_at = Some(Instant::now() + END_LIMIT);
                    let _ = self.link.send(Kind::Signal, 0, &signal.to_le_bytes());
                }
                Ok(Event::LinkEnded(result)) => return self.judge(result),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.judge(Ok(())),
            }
            if let (Some(ended), Ok(Some(_))) = (&self.ended, self.child.try_wait()) {
                ended.store(true, Ordering::Release);
            }
            let now = Instant::now();
            if self.job.timeout.is_some_and(|limit| now >= start + limit) {
                return Err(Fault::Timeout);
            }
            if let (Some(limit), Some(signal)) = (stop_at, signal_seen)
                && now >= limit
            {
                return Ok(ExitStatus::from_raw(signal));
            }
            if !self.up && now >= start + BOOT_LIMIT {
                return Err(Fault::Crash(format!(
                    "it was not up after {} s",
                    BOOT_LIMIT.as_secs()
                )));
            }
            // A deterministic machine gives no signs of life: they would be part of its output.
            if self.up && !self.job.deterministic && now >= heard + SILENCE_LIMIT {
                return Err(Fault::Crash(format!(
                    "it gave no sign of life for {} s",
                    SILENCE_LIMIT.as_secs()
                )));
            }
        }
    }

    fn on_frame(&mut self, frame: &Frame) -> Result<(), Fault> {
        let path = || PathBuf::from(OsStr::from_bytes(&frame.body));
        match frame.kind {
            Kind::Hello => self.begin()?,
            Kind::Appeared => {
                let doing = format!("making the socket {}", path().display());
                self.listeners
                    .appeared(&path())
                    .map_err(|error| Fault::Other(HostError::doing(doing)(error)))?;
            }
            Kind::Vanished => self.listeners.vanished(&path()),
            Kind::Log => eprintln!("chorus: {}", String::from_utf8_lossy(&frame.body)),
            Kind::Exit => {
                self.status = frame
                    .number()
                    .map(|raw| ExitStatus::from_raw(raw.cast_signed()))
            }
            Kind::Done => {
                self.done = true;
                if !self.job.deterministic {
                    // If it cannot be said, the link has ended, and with it the machine.
                    let _ = self.link.send(Kind::Bye, 0, &[]);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The inner side is up: now there is somebody to carry things to.
    fn begin(&mut self) -> Result<(), Fault> {
        self.up = true;
        if self.job.deterministic {
            return Ok(());
        }
        for port in &self.job.ports {
            let doing = format!("listening on TCP port {port}");
            self.listeners
                .port(*port)
                .map_err(|error| Fault::Other(HostError::doing(doing)(error)))?;
        }
        if self.job.stdin {
            // Its thread may wait in a read of the terminal for ever; the end of this process ends it.
            drop(
                self.link
                    .attach(mux::STDIN, Some(io::stdin()), None::<Plain<io::Sink>>, None),
            );
        }
        Ok(())
    }

    /// The link is down, so the machine has ended or ends now. Was it the clean end?
    fn judge(&mut self, link: io::Result<()>) -> Result<ExitStatus, Fault> {
        let limit = Instant::now() + END_LIMIT;
        let ended = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < limit => thread::sleep(Duration::from_millis(5)),
                Ok(None) | Err(_) => break None,
            }
        };
        if let (true, Some(status), Some(qemu::CLEAN_STATUS)) =
            (self.done, self.status, ended.and_then(|end| end.code()))
        {
            return self.flush(status);
        }
        let mut how = match ended {
            Some(status) => format!("QEMU ended with {status} and"),
            None => "QEMU hangs and".to_string(),
        };
        how.push_str(if self.done {
            " its end was not clean"
        } else {
            " the end marker is missing"
        });
        if let Err(error) = link {
            how.push_str(&format!(" ({error})"));
        }
        Err(Fault::Crash(how))
    }

    /// The machine has ended well; what it sent last goes out. A reader that stands still can be left by a signal.
    fn flush(&mut self, status: ExitStatus) -> Result<ExitStatus, Fault> {
        while self.output.iter().any(|pump| !pump.is_finished()) {
            match self.events.recv_timeout(Duration::from_millis(2)) {
                Ok(Event::Signal(signal)) => return Ok(ExitStatus::from_raw(signal)),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(TICK),
            }
        }
        Ok(status)
    }

    fn explain(&self, fault: Fault, console: &File, messages: &File) -> HostError {
        match fault {
            Fault::Timeout => HostError::Timeout(self.job.timeout.unwrap_or_default()),
            Fault::Other(error) => error,
            Fault::Crash(how) => {
                let text = format!("{}\n{}", qemu::text_of(messages), qemu::text_of(console));
                HostError::Crashed {
                    how,
                    serial: last_lines(&text),
                }
            }
        }
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.signals.close();
        // Both fail only when QEMU has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(ended) = &self.ended {
            ended.store(true, Ordering::Release);
        }
    }
}

fn last_lines(text: &str) -> Vec<String> {
    // What QEMU says at every start about features that TCG lacks explains nothing.
    let telling = |line: &&str| {
        !line.trim().is_empty() && !line.contains("TCG doesn't support requested feature")
    };
    let lines: Vec<&str> = text.lines().filter(telling).collect();
    let (before, last) = lines.split_at(lines.len().saturating_sub(CONSOLE_LINES));
    // A kernel names the cause first and prints pages after it.
    let causes = before
        .iter()
        .filter(|line| CAUSES.iter().any(|cause| line.contains(cause)))
        .take(3);
    causes
        .chain(last)
        .map(|line| line.trim_end().to_string())
        .collect()
}

/// A standard stream of ours; remembers that something has been shown.
struct Noted<W>(W, Arc<AtomicBool>);

impl<W: Write + Send> Sink for Noted<W> {
    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.1.store(true, Ordering::Relaxed);
        self.0.write_all(piece)?;
        self.0.flush()
    }
}

/// A result file; made with its first bytes, so that one that was not made inside is not made here.
struct ResultFile {
    path: PathBuf,
    file: Option<File>,
}

impl Sink for ResultFile {
    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(File::create(&self.path).inspect_err(|error| {
                eprintln!("chorus: cannot write {}: {error}", self.path.display());
            })?);
        }
        self.file
            .as_mut()
            .map_or(Ok(()), |file| file.write_all(piece))
    }
}

#[cfg(test)]
mod tests {
    use io::Read;

    use super::*;

    #[test]
    fn the_last_lines_are_the_telling_ones() {
        let noise = "qemu: warning: TCG doesn't support requested feature: CPUID.1\n".repeat(3);
        let many: String = (0..50).map(|n| format!("line {n}\r\n")).collect();
        let lines = last_lines(&format!("{noise}{many}\n"));
        assert_eq!(lines.len(), CONSOLE_LINES);
        assert_eq!(lines.last().map(String::as_str), Some("line 49"));
        assert!(last_lines(&noise).is_empty());
        let lines = last_lines(&format!("Kernel panic - not syncing\n{many}"));
        assert_eq!(
            lines.first().map(String::as_str),
            Some("Kernel panic - not syncing")
        );
        assert_eq!(lines.len(), CONSOLE_LINES + 1);
    }

    #[test]
    fn a_tail_reads_what_is_appended_and_ends_with_its_writer() -> io::Result<()> {
        let file = qemu::memory_file("test")?;
        let mut writer = file.try_clone()?;
        let ended = Arc::new(AtomicBool::new(false));
        let mut tail = Tail::new(file, Arc::clone(&ended));
        let thread = thread::spawn(move || -> io::Result<()> {
            for piece in [b"one ", b"two "] {
                writer.write_all(piece)?;
                thread::sleep(Duration::from_millis(50));
            }
            ended.store(true, Ordering::Release);
            Ok(())
        });
        let mut all = String::new();
        tail.read_to_string(&mut all)?;
        thread
            .join()
            .map_err(|_| io::Error::other("the writer panicked"))??;
        assert_eq!(all, "one two ");
        Ok(())
    }
}
