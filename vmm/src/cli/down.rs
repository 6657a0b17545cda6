//! `chorus down`: ends a cluster and leaves nothing behind.
//!
//! It asks, then it tells (SIGTERM), then it kills; and it takes away what a killed process left. Nothing to end is success, so that
//! a script may say `down` at any time.

use super::args::DownArgs;
use super::context::Context;
use super::shape;
use crate::cluster::client::Client;
use crate::cluster::control::Request;
use crate::cluster::failure::{Failure, Outcome};
use crate::cluster::runtime::{Identity, Runtime, State};
use rustix::process::{Pid, Signal, kill_process};
use std::time::{Duration, Instant};

/// `chorus down`.
pub fn down(context: &Context, args: &DownArgs) -> Outcome<()> {
    let limit = Duration::from_secs_f64(shape::seconds("--timeout", args.timeout)?);
    let clusters = if args.all {
        Runtime::all()?
    } else {
        vec![context.runtime()?]
    };
    for runtime in &clusters {
        end(context, runtime, limit)?;
    }
    Ok(())
}

fn end(context: &Context, runtime: &Runtime, limit: Duration) -> Outcome<()> {
    let name = runtime.name();
    let identity = match runtime.state() {
        State::Absent => {
            context.say(&format!("no cluster called {name} is running"));
            return Ok(());
        }
        State::Stale => None,
        State::Alive(identity) => Some(identity),
    };
    if let Some(identity) = identity {
        let asked = Client::connect(runtime).and_then(|mut client| {
            client.limit(Some(limit))?;
            client.order(&Request::Down)
        });
        // A process that does not listen (it boots, or it hangs) is told by signal.
        if asked.is_err() || !gone(identity, limit) {
            signal(identity, Signal::TERM);
        }
        if !gone(identity, limit) {
            context.say(&format!(
                "cluster {name} does not end; killing process {}",
                identity.pid
            ));
            signal(identity, Signal::KILL);
            if !gone(identity, limit) {
                let text = format!(
                    "process {} of cluster {name} cannot be killed",
                    identity.pid
                );
                return Err(Failure::failed(text).hint("it may hang in the kernel; see dmesg"));
            }
        }
    }
    // The process takes its folder away itself; this is for one that could not.
    if runtime.state() == State::Stale {
        runtime.clean()?;
    }
    context.say(&format!("cluster {name} is down"));
    Ok(())
}

fn signal(identity: Identity, signal: Signal) {
    if identity.alive()
        && let Some(pid) = Pid::from_raw(identity.pid)
    {
        let _ = kill_process(pid, signal);
    }
}

fn gone(identity: Identity, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while identity.alive() {
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}
