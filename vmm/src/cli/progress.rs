//! Progress while a cluster boots: a line a site on stderr, on a terminal only.
//!
//! It is seen through the control socket, so that it is the same for a cluster of this process, of a background process,
//! and of the emulated host.

use super::context::Context;
use crate::cluster::client::Client;
use crate::cluster::control::{Answer, Request, SiteInfo, SiteState};
use crate::cluster::failure::{Failure, Outcome, Status};
use crate::cluster::interrupt::Interrupt;
use crate::cluster::runtime::{Runtime, State};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a socket that is not there yet is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// The lines of the sites.
struct Bars {
    all: MultiProgress,
    bars: BTreeMap<u16, ProgressBar>,
}

impl Bars {
    fn new(context: &Context) -> Bars {
        let shown = !context.quiet && std::io::stderr().is_terminal();
        let target = if shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Bars {
            all: MultiProgress::with_draw_target(target),
            bars: BTreeMap::new(),
        }
    }

    fn show(&mut self, sites: &[SiteInfo]) {
        for site in sites {
            let bar = self.bars.entry(site.site).or_insert_with(|| {
                let style =
                    ProgressStyle::with_template("{spinner} {prefix:12} {msg} {elapsed:.dim}");
                let bar = self.all.add(ProgressBar::new_spinner());
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                bar.set_prefix(site.name.clone());
                bar.enable_steady_tick(Duration::from_millis(120));
                bar
            });
            if bar.is_finished() {
                continue;
            }
            match site.state {
                SiteState::Ready => bar.finish_with_message("ready"),
                state if state.ended() => bar.abandon_with_message(state.word()),
                state => bar.set_message(state.word()),
            }
        }
    }

    fn clear(&self) {
        let _ = self.all.clear();
    }
}

/// A watch beside the thread that owns the cluster.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Ends the watch, whatever it has seen.
    pub fn finish(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Shows the progress of a cluster that this process owns, if there is a terminal to show it on.
pub fn watch(context: &Context, runtime: &Runtime) -> Watch {
    let stop = Arc::new(AtomicBool::new(false));
    let shown = !context.quiet && std::io::stderr().is_terminal();
    let thread = shown.then(|| {
        let (context, runtime, stop) = (context.clone(), runtime.clone(), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut bars = Bars::new(&context);
            while !stop.load(Ordering::SeqCst) {
                match Client::connect(&runtime) {
                    Ok(client) => {
                        // Why it failed is said by the owner.
                        let _ = follow(client, &mut bars, &|| !stop.load(Ordering::SeqCst));
                        break;
                    }
                    Err(_) => std::thread::sleep(LOOK),
                }
            }
            bars.clear();
        })
    });
    Watch { stop, thread }
}

/// Shows changes until all sites have joined. The value is false when `go_on` said no first.
fn follow(mut client: Client, bars: &mut Bars, go_on: &dyn Fn() -> bool) -> Outcome<bool> {
    client.limit(Some(LOOK * 4))?;
    client.send(&Request::Watch, &[])?;
    while go_on() {
        match client.receive() {
            Ok(Answer::Sites { sites }) => bars.show(&sites),
            Ok(Answer::Done) => return Ok(true),
            Ok(other) => return Err(client.unexpected(&other)),
            Err(failure)
                if failure.status == Status::Timeout && failure.what.contains("did not answer") => {
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(false)
}

/// Why a background cluster is not up.
pub enum NotUp {
    /// Its process has ended.
    Ended(ExitStatus),
    /// It said why, or somebody pressed Ctrl-C.
    Failed(Failure),
}

/// Waits until the background process `child` has a control socket, and with `wait` until all sites have joined.
pub fn until_up(
    context: &Context,
    runtime: &Runtime,
    child: &mut Child,
    interrupt: &Interrupt,
    wait: bool,
) -> Result<(), NotUp> {
    let own = i32::try_from(child.id()).unwrap_or(0);
    let client = loop {
        interrupt.check().map_err(NotUp::Failed)?;
        if let Ok(Some(status)) = child.try_wait() {
            return Err(NotUp::Ended(status));
        }
        // Until the child has claimed the folder, another cluster of the name may stand there.
        if matches!(runtime.state(), State::Alive(identity) if identity.pid == own)
            && let Ok(client) = Client::connect(runtime)
        {
            break client;
        }
        std::thread::sleep(LOOK);
    };
    if !wait {
        return Ok(());
    }
    let mut bars = Bars::new(context);
    let followed = follow(client, &mut bars, &|| !interrupt.asked());
    bars.clear();
    match followed {
        Ok(true) => Ok(()),
        Ok(false) => Err(NotUp::Failed(Failure::interrupted())),
        Err(failure) => Err(NotUp::Failed(failure)),
    }
}
