//! The cluster's side of the control protocol.
//!
//! A thread a connection, at most [`CONNECTIONS`] of them. A client can be slow, gone, or wrong: that ends its connection and
//! nothing else.

use super::control::{self, Answer, Exec, Hello, LineError, Request};
use super::execute::{self, Work};
use super::failure::{Failure, Outcome};
use super::footprint::Footprint;
use super::gateway::requests;
use super::images;
use super::network::NetInfo;
use super::process::{Cluster, Phase};
use chorus_abi::GATEWAY_SITE;
use chorus_abi::image::IMAGE_MAX;
use std::cell::Cell;
use std::io::{BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Connections at one time.
const CONNECTIONS: usize = 64;
/// How long a client may leave a message of its own unfinished, or an answer of ours untaken.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a stream waits before it looks whether the cluster ends.
const TICK: Duration = Duration::from_millis(200);

/// Connections now.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Begins to take requests. Errors: the socket cannot be made.
pub fn listen(cluster: &Arc<Cluster>) -> Outcome<()> {
    let path = cluster.runtime.socket();
    let listener = UnixListener::bind(&path)
        .map_err(|error| Failure::host(format!("{}: {}", path.display(), super::reason(&error))))?;
    let cluster = Arc::clone(cluster);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                // Out of descriptors, say: the next connection may find one free.
                std::thread::sleep(TICK);
                continue;
            };
            if OPEN.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS {
                OPEN.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            let cluster = Arc::clone(&cluster);
            std::thread::spawn(move || {
                // Whatever went wrong with a client is the client's to notice.
                let _ = serve(&cluster, stream);
                OPEN.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    Ok(())
}

/// Waits up to `limit` for the open connections to end.
pub fn drain(limit: Duration) {
    let end = Instant::now() + limit;
    while OPEN.load(Ordering::SeqCst) > 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
}

type Done = Result<(), LineError>;

fn serve(cluster: &Arc<Cluster>, stream: UnixStream) -> Done {
    stream
        .set_write_timeout(Some(PATIENCE))
        .map_err(LineError::Io)?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .map_err(LineError::Io)?;
    let mut reader = BufReader::new(stream);
    let hello = control::receive::<Hello>(&mut reader)?;
    if let Err(failure) = control::check_hello(&hello) {
        return answer(&mut reader, &Answer::Failed { failure });
    }
    loop {
        match control::receive::<Request>(&mut reader) {
            Ok(Request::Console { site }) => return console(cluster, reader, site),
            Ok(Request::Logs { site, tail, follow }) => {
                logs(cluster, &mut reader, site, tail, follow)?
            }
            Ok(Request::Watch) => watch(cluster, &mut reader)?,
            Ok(Request::Traced) => traced(cluster, &mut reader)?,
            Ok(Request::Exec(exec)) => {
                let ended = run(cluster, &mut reader, &exec)?;
                answer(
                    &mut reader,
                    &ended.unwrap_or_else(|failure| Answer::Failed { failure }),
                )?;
            }
            Ok(request) => {
                let done = obey(cluster, &request);
                answer(
                    &mut reader,
                    &done.unwrap_or_else(|failure| Answer::Failed { failure }),
                )?;
            }
            Err(LineError::Wrong(why)) => {
                let failure = Failure::failed(format!(
                    "the cluster does not understand the request: {why}"
                ));
                answer(&mut reader, &Answer::Failed { failure })?;
            }
            Err(error) => return Err(error),
        }
    }
}

fn answer(reader: &mut BufReader<UnixStream>, answer: &Answer) -> Done {
    control::send(reader.get_mut(), answer).map_err(LineError::Io)
}

/// Requests with one answer.
fn obey(cluster: &Arc<Cluster>, request: &Request) -> Outcome<Answer> {
    let some = |site: Option<u16>| site.map_or_else(|| cluster.alive(), |site| vec![site]);
    match request {
        Request::Status => Ok(Answer::Cluster {
            name: cluster.runtime.name().to_owned(),
            pid: rustix::process::getpid().as_raw_nonzero().get(),
            uptime_ns: cluster.uptime_ns(),
            memory: Footprint::now(),
            sites: cluster.sites(),
        }),
        Request::Actors { site } => {
            let mut actors = Vec::new();
            for site in some(*site) {
                cluster.machine(site)?;
                actors.extend(requests::list(cluster.calls()?, site)?);
            }
            Ok(Answer::Actors { actors })
        }
        Request::Pause { site } => some(*site)
            .into_iter()
            .try_for_each(|site| cluster.set_paused(site, true))
            .map(|()| Answer::Done),
        Request::Resume { site } => some(*site)
            .into_iter()
            .try_for_each(|site| cluster.set_paused(site, false))
            .map(|()| Answer::Done),
        Request::Kill { site } => cluster.kill(*site).map(|()| Answer::Done),
        Request::Intervene { what } => cluster.intervene(what).map(|()| Answer::Done),
        Request::Links => Ok(Answer::Links {
            topology: cluster.plan.topology.fabric.topology.to_string(),
            every: cluster.every_link(),
            links: cluster.links(),
        }),
        Request::Net { site } => {
            if *site != GATEWAY_SITE {
                cluster.machine(*site)?;
            }
            let view = requests::view(cluster.calls()?, *site)?;
            let end = Box::new(NetInfo::of(&view));
            Ok(Answer::Net { end })
        }
        Request::Gdb { site } => {
            cluster.machine_soon(*site)?;
            Ok(Answer::Gdb {
                address: cluster.gdb_socket(*site).display().to_string(),
            })
        }
        Request::Down => {
            cluster.interrupt.ask();
            Ok(Answer::Done)
        }
        Request::Trace { sites, order } => cluster.trace(sites, *order).map(|()| Answer::Done),
        Request::TraceOff => cluster.trace_off().map(|()| Answer::Done),
        Request::Watch
        | Request::Logs { .. }
        | Request::Console { .. }
        | Request::Traced
        | Request::Exec(_) => Err(Failure::failed("this request has a stream of answers")),
    }
}

fn traced(cluster: &Cluster, reader: &mut BufReader<UnixStream>) -> Done {
    for recording in cluster.traced() {
        let (heading, rings) = recording.parts();
        answer(reader, &Answer::Recording { heading })?;
        for bytes in rings {
            reader.get_mut().write_all(&bytes).map_err(LineError::Io)?;
        }
    }
    answer(reader, &Answer::Done)
}

fn watch(cluster: &Cluster, reader: &mut BufReader<UnixStream>) -> Done {
    let mut seen = 0;
    loop {
        let (changes, phase) = cluster.watch(seen, TICK);
        if changes > seen {
            seen = changes;
            answer(
                reader,
                &Answer::Sites {
                    sites: cluster.sites(),
                },
            )?;
        }
        match phase {
            Phase::Ready => return answer(reader, &Answer::Done),
            Phase::Failed(failure) => return answer(reader, &Answer::Failed { failure }),
            Phase::Starting if gone(reader.get_ref()) => return Err(LineError::Ended),
            Phase::Starting => {}
        }
    }
}

fn logs(
    cluster: &Cluster,
    reader: &mut BufReader<UnixStream>,
    site: Option<u16>,
    tail: Option<usize>,
    follow: bool,
) -> Done {
    let (lines, mut next) = cluster.log.tail(site, tail.unwrap_or(usize::MAX));
    for line in lines {
        answer(reader, &Answer::Line { line })?;
    }
    let mut ended = !follow;
    while !ended {
        let (lines, from, last) = cluster.log.follow(site, next, TICK);
        (next, ended) = (from, last);
        for line in lines {
            answer(reader, &Answer::Line { line })?;
        }
        if !ended && gone(reader.get_ref()) {
            return Err(LineError::Ended);
        }
    }
    answer(reader, &Answer::Done)
}

/// Starts an actor for a client. The outer error is the connection's, the inner one the request's.
fn run(
    cluster: &Cluster,
    reader: &mut BufReader<UnixStream>,
    exec: &Exec,
) -> Result<Outcome<Answer>, LineError> {
    if exec.size > IMAGE_MAX {
        // What follows cannot be skipped in any good time, so the connection ends here.
        let limit = IMAGE_MAX >> 20;
        let text = format!(
            "{}: larger than the {limit} MiB that an image may have",
            exec.name
        );
        answer(
            reader,
            &Answer::Failed {
                failure: Failure::bad_file(text),
            },
        )?;
        return Err(LineError::TooLong);
    }
    let mut sent = Vec::new();
    reader
        .by_ref()
        .take(exec.size)
        .read_to_end(&mut sent)
        .map_err(LineError::Io)?;
    if (sent.len() as u64) < exec.size {
        return Err(LineError::Ended);
    }
    Ok(run_image(cluster, reader.get_ref(), exec, sent))
}

fn run_image(
    cluster: &Cluster,
    client: &UnixStream,
    exec: &Exec,
    sent: Vec<u8>,
) -> Outcome<Answer> {
    let image = match &exec.builtin {
        Some(name) => images::builtin(name)?.to_vec(),
        None => sent,
    };
    images::check_elf(&image).map_err(|why| Failure::bad_file(format!("{}: {why}", exec.name)))?;
    let work = Work {
        name: exec.name.clone(),
        image: image.into(),
        sites: exec.sites.clone(),
        kind: exec.kind,
        priority: exec.priority,
        args: exec.args.clone(),
        replaces: exec.replaces.clone(),
    };
    let from = Cell::new(cluster.log.tail(None, 0).1);
    let started = execute::start(cluster, &work)?;
    if !exec.wait {
        return Ok(Answer::Ended { ends: Vec::new() });
    }
    let mine: Vec<(u16, String)> = started
        .iter()
        .map(|started| (started.site, started.actor.to_string()))
        .collect();
    // What these actors write goes to the client at once.
    let forward = || {
        let (lines, next, _) = cluster.log.follow(None, from.get(), Duration::ZERO);
        from.set(next);
        for line in lines {
            let ours = mine
                .iter()
                .any(|(site, ui)| *site == line.site && line.actor_ui.as_ref() == Some(ui));
            if ours && control::send(&mut &*client, &Answer::Line { line }).is_err() {
                return Err(Failure::interrupted());
            }
        }
        Ok(())
    };
    let check = || {
        cluster.interrupt.check()?;
        forward()?;
        if gone(client) {
            Err(Failure::interrupted())
        } else {
            Ok(())
        }
    };
    let ends = execute::wait(cluster, &started, None, &check)?;
    forward()?;
    Ok(Answer::Ended { ends })
}

/// Whether the other side has closed the connection.
fn gone(stream: &UnixStream) -> bool {
    use rustix::net::{RecvFlags, recv};
    let mut byte = [0u8];
    let peeked = recv(
        stream,
        byte.as_mut_slice(),
        RecvFlags::PEEK | RecvFlags::DONTWAIT,
    );
    matches!(peeked, Ok((_, 0)))
}

/// Attaches a client to the console of a site: the Nucleus' bytes and its actors' go out, typed bytes come in.
fn console(cluster: &Arc<Cluster>, mut reader: BufReader<UnixStream>, site: u16) -> Done {
    let machine = match cluster.machine(site) {
        Ok(machine) => machine,
        Err(failure) => return answer(&mut reader, &Answer::Failed { failure }),
    };
    answer(&mut reader, &Answer::Attached)?;
    let mut out = reader.get_ref().try_clone().map_err(LineError::Io)?;
    let log = Arc::clone(&cluster.log);
    let writer = std::thread::spawn(move || {
        // Some lines from before say where one is.
        let (mut lines, mut next) = log.tail(Some(site), 10);
        loop {
            for line in &lines {
                let text = super::log::format(line, false, line.actor.is_some()) + "\r\n";
                if out.write_all(text.as_bytes()).is_err() {
                    return;
                }
            }
            let (more, from, ended) = log.follow(Some(site), next, TICK);
            (lines, next) = (more, from);
            if ended || gone(&out) {
                let _ = out.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
    });
    reader
        .get_ref()
        .set_read_timeout(None)
        .map_err(LineError::Io)?;
    let mut typed = [0u8; 512];
    loop {
        match reader.read(&mut typed) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                machine.type_in(&typed[..count]);
                if let Ok(calls) = cluster.calls() {
                    cluster.services.typed(calls, site, &typed[..count]);
                }
            }
        }
    }
    let _ = reader.get_ref().shutdown(std::net::Shutdown::Both);
    let _ = writer.join();
    Ok(())
}
