//! The command: started as a child, its output carried out, its end waited for.
//!
//! As the first process we also reap whatever else loses its parent.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, wait};

use super::super::link::{Link, Plain, Pump, Sink};
use super::super::mux::{self, Frame, Kind};
use super::super::{INSIDE, Order};
use super::sockets;

/// How often the outside hears that the machine lives.
const BEAT: Duration = Duration::from_secs(2);
/// How long output is waited for after the command has ended: something that it left behind may hold its pipes open.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// Runs the command of `order` to its end and returns its wait status. Frames of the outside are read from `port`; `bye` is told of the last.
pub(super) fn run(
    order: &Order,
    link: &Arc<Link>,
    port: Option<File>,
    bye: SyncSender<()>,
) -> io::Result<i32> {
    let mut command = Command::new("/init");
    command
        .arg0("chorus")
        .args(&order.args)
        .current_dir(&order.folder)
        .process_group(0);
    command
        .env_clear()
        .envs(order.env.iter().cloned())
        .env(INSIDE, "1");
    command.stdin(if order.stdin {
        Stdio::piped()
    } else {
        Stdio::null()
    });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let mut output = Vec::new();
    if let Some(stdin) = child.stdin.take() {
        link.attach(
            mux::STDIN,
            None::<io::Empty>,
            Some(Input(Some(stdin))),
            None,
        );
    }
    if let Some(stdout) = child.stdout.take() {
        output.extend(link.attach(mux::STDOUT, Some(stdout), None::<Plain<io::Sink>>, None));
    }
    if let Some(stderr) = child.stderr.take() {
        output.extend(link.attach(mux::STDERR, Some(stderr), None::<Plain<io::Sink>>, None));
    }
    if let Some(port) = port {
        let link = Arc::clone(link);
        thread::spawn(move || {
            let result = link.read_from(port, |frame| obey(&link, &frame, group, &bye));
            // The outside holds the link until we end, so its end is a fault: without it there is nobody to run for.
            eprintln!("the link to the outside ended: {result:?}");
            link.cut_all();
            super::ending::power_off();
        });
    }
    let status = reap_until(group)?;
    join_within(output, LAST_OUTPUT);
    Ok(status)
}

/// The child's standard input; its end must close the pipe.
struct Input(Option<ChildStdin>);

impl Sink for Input {
    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        io::Write::write_all(self.0.as_mut().ok_or(io::ErrorKind::BrokenPipe)?, piece)
    }

    fn end(&mut self) {
        self.0 = None;
    }
}

fn obey(link: &Arc<Link>, frame: &Frame, group: Option<Pid>, bye: &SyncSender<()>) {
    match frame.kind {
        Kind::Bye => {
            let _ = bye.try_send(());
        }
        Kind::Open => sockets::open(link, frame),
        Kind::Signal => {
            let number = frame.number().and_then(|number| i32::try_from(number).ok());
            if let (Some(signal), Some(group)) = (number.and_then(Signal::from_named_raw), group) {
                // It fails only when the command has just ended.
                let _ = kill_process_group(group, signal);
            }
        }
        _ => {}
    }
}

fn reap_until(child: Option<Pid>) -> io::Result<i32> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == child => return Ok(status.as_raw()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn join_within(pumps: Vec<Pump>, limit: Duration) {
    let (done, all_done) = channel();
    thread::spawn(move || {
        for pump in pumps {
            let _ = pump.join();
        }
        let _ = done.send(());
    });
    let _ = all_done.recv_timeout(limit);
}

/// Sends a result file as `stream`, and waits until it has been sent. One that is not there is an empty stream that is reset.
pub(super) fn send_file(link: &Arc<Link>, stream: u32, path: &Path) {
    match File::open(path) {
        Ok(file) => {
            for pump in link.attach(stream, Some(file), None::<Plain<io::Sink>>, None) {
                let _ = pump.join();
            }
        }
        Err(_) => {
            let _ = link.send(Kind::Reset, stream, &[]);
        }
    }
}

/// Tells the outside for ever that the machine lives.
pub(super) fn beat(link: Arc<Link>) {
    thread::spawn(move || {
        while link.send(Kind::Beat, 0, &[]).is_ok() {
            thread::sleep(BEAT);
        }
    });
}
