//! Sites on KVM: the machine room and the fabric behind the seam of `site`.

use super::control::SiteState;
use super::failure::{Failure, Outcome};
use super::gateway::station::Station;
use super::gateway::{Calls, Services};
use super::images;
use super::plan::Plan;
use super::process::FIRST_EPOCH;
use super::sealing::{FabricKey, fabric_words};
use super::site::{Counters, Events, Machines, SiteEvent, SiteMachine, SiteOrder, TraceOrder};
use crate::debug::images::Known;
use crate::debug::inferior::Delivery;
use crate::debug::{self, server};
use crate::fabric::{Switch, switch};
use crate::host;
use crate::machine::boot::Parameters;
use crate::machine::{self, Ending, Event, Site, SiteConfig};
use crate::trace::Recording;
use chorus_abi::GATEWAY_SITE;
use kvm_ioctls::Kvm;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

/// What starts the sites of a plan on this machine's KVM.
///
/// # Errors
/// Status 5: there is no KVM, or this process may not use it.
pub fn on_kvm(plan: &Plan) -> Outcome<Arc<dyn Machines>> {
    let kvm = Kvm::new().map_err(|error| {
        let error = std::io::Error::from_raw_os_error(error.errno());
        Failure::host(format!(
            "/dev/kvm cannot be opened: {}",
            super::reason(&error)
        ))
        .hint("chorus doctor tells why; --host emulated needs no KVM")
    })?;
    let graph = plan.topology.graph(plan.seed).map_err(Failure::bad_file)?;
    let fabric = switch::fabric(plan.seed, graph, plan.topology.rules());
    let fabric = Switch::new(fabric)
        .map_err(|error| Failure::host(format!("the fabric: {}", super::reason(&error))))?;
    Ok(Arc::new(OnKvm {
        kvm,
        fabric: Arc::new(fabric),
        seed: plan.seed,
        key: plan.fabric_key.clone(),
        clear: plan.insecure_fabric,
        domains: plan.domains.clone(),
        again: AtomicU32::new(0),
    }))
}

struct OnKvm {
    kvm: Kvm,
    fabric: Arc<Switch>,
    seed: u64,
    key: FabricKey,
    /// Frames go in clear.
    clear: bool,
    domains: String,
    /// Starts of sites after their first.
    again: AtomicU32,
}

impl Machines for OnKvm {
    fn gateway(&self, services: Arc<Services>) -> Outcome<Arc<dyn Calls>> {
        let station = Station::new()?;
        self.fabric
            .attach(GATEWAY_SITE, station.port())
            .map_err(|error| {
                Failure::host(format!("a seat on the fabric: {}", super::reason(&error)))
            })?;
        let key = (!self.clear).then(|| self.key.bytes());
        station.start(services, self.seed, key, &self.domains)?;
        Ok(station)
    }

    fn switch(&self) -> &Switch {
        &self.fabric
    }

    fn start(&self, order: SiteOrder, events: Events) -> Outcome<Box<dyn SiteMachine>> {
        let number = order.number;
        // Each start after a site's first begins a generation: what was said to all before is not believed by it.
        let again = u32::from(order.epoch > FIRST_EPOCH);
        let generation = self.again.fetch_add(again, Ordering::Relaxed) + again + 1;
        let config = SiteConfig {
            name: order.name.clone(),
            parameters: Parameters {
                site: number,
                sites: order.sites,
                vcpus: order.vcpus,
                epoch: order.epoch,
                seed: order.seed,
                tsc_khz: None,
                clock: order.clock,
                extra: format!(
                    "{}{}",
                    fabric_words(&self.key, self.clear, generation),
                    swap_word(order.swap)
                ),
            },
            mem: order.mem,
            nucleus: order.nucleus,
            archive: order.archive,
            held: order.paused,
        };
        let told = Arc::new(move |event: Event| events(translate(event)));
        let site = Site::start(&self.kvm, config, self.fabric.clone(), told)
            .map_err(|error| refusal(&order.name, &error))?;
        let site = Arc::new(site);
        listen(&order.gdb, &order.name, Arc::downgrade(&site))?;
        Ok(Box::new(OnFabric {
            site,
            fabric: self.fabric.clone(),
            number,
        }))
    }
}

/// How much room the site has for pages outside its memory.
fn swap_word(bytes: u64) -> String {
    match bytes {
        0 => String::new(),
        bytes => format!(" chorus.swap={bytes}"),
    }
}

fn refusal(name: &str, error: &machine::Error) -> Failure {
    let text = format!("{name}: {error}");
    match error {
        machine::Error::Image(_) | machine::Error::Shape(_) => Failure::bad_file(text),
        machine::Error::Host { .. } => {
            Failure::host(text).hint("chorus doctor tells what this machine can do")
        }
    }
}

fn translate(event: Event) -> SiteEvent {
    let ended = |state, exit, report| SiteEvent::Ended {
        state,
        exit,
        report,
    };
    match event {
        Event::Output(bytes) => SiteEvent::Output(bytes),
        Event::Mark(mark) => SiteEvent::Mark(mark),
        Event::Ended(Ending::Exited(code)) => ended(SiteState::Exited, Some(code), String::new()),
        Event::Ended(Ending::Panicked(report) | Ending::Failed(report)) => {
            ended(SiteState::Panicked, None, report)
        }
        Event::Ended(Ending::Killed) => ended(SiteState::Killed, None, String::new()),
    }
}

/// Listens for debuggers at a site's socket, one after another, as long as the site is.
fn listen(socket: &std::path::Path, name: &str, site: Weak<Site>) -> Outcome<()> {
    // That of an earlier incarnation is in the way.
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket).map_err(|error| {
        Failure::failed(format!("{}: {}", socket.display(), super::reason(&error)))
    })?;
    let support = host::debug_support();
    let delivery = Delivery {
        breakpoint_exits: support.sw_bp_exit,
        hardware_breakpoints: support.hw_bp_exit,
        watchpoints: support.watch_exit,
    };
    let known: Vec<Known> = images::builtin_names()
        .filter_map(|name| {
            let build = debug::images::build(images::builtin(name).ok()?)?;
            let file = format!("{name}.elf");
            Some(Known { build, file })
        })
        .collect();
    let name = name.to_owned();
    let serve = move || {
        for connection in listener.incoming().flatten() {
            let Some(site) = site.upgrade() else { return };
            match server::serve(connection, site.debuggee(), delivery, &name, known.clone()) {
                Ok(server::Left::Kill) => site.kill(),
                Ok(_) => {}
                Err(error) => eprintln!("{name}: {error}"),
            }
        }
    };
    std::thread::Builder::new()
        .name(format!("gdb {}", socket.display()))
        .spawn(serve)
        .map_err(|error| {
            Failure::host(format!("a thread for debuggers: {}", super::reason(&error)))
        })?;
    Ok(())
}

/// A site and its seat on the fabric.
struct OnFabric {
    site: Arc<Site>,
    fabric: Arc<Switch>,
    number: u16,
}

impl SiteMachine for OnFabric {
    fn pause(&self) -> Outcome<()> {
        still_there(self.site.pause())
    }
    fn resume(&self) -> Outcome<()> {
        still_there(self.site.resume())
    }
    fn kill(&self) {
        self.site.kill();
    }
    fn type_in(&self, bytes: &[u8]) {
        self.site.type_in(bytes);
    }
    fn counters(&self) -> Counters {
        let traffic = self.fabric.traffic(self.number).unwrap_or_default();
        Counters {
            vm_exits: self.site.all_exits(),
            frames_in: traffic.received,
            frames_out: traffic.sent,
            touched: self.site.touched(),
        }
    }
    fn trace(&self, order: TraceOrder) -> Outcome<()> {
        let begun = self.site.trace(order.classes, order.records);
        begun.map_err(|error| no_trace(&error))
    }
    fn trace_off(&self) -> Outcome<bool> {
        self.site.trace_off().map_err(|error| no_trace(&error))
    }
    fn traced(&self) -> Option<Recording> {
        self.site.traced()
    }
}

fn no_trace(error: &machine::Error) -> Failure {
    match error {
        machine::Error::Host { .. } => Failure::host(error.to_string()),
        _ => Failure::failed(error.to_string()),
    }
}

fn still_there(there: bool) -> Outcome<()> {
    if there {
        Ok(())
    } else {
        Err(Failure::failed("the site has ended"))
    }
}

impl Drop for OnFabric {
    fn drop(&mut self) {
        self.site.kill();
    }
}
