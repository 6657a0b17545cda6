//! The process that owns a cluster: it boots the sites, stays with them, and ends them.
//!
//! One [`Cluster`] is shared by the thread that runs [`run`], the control server's threads and the sites' threads. Whatever
//! happens — an error, Ctrl-C, `down`, the last site's end — [`run`] comes to its end, where sites are ended and the log closed.

use super::control::{SiteInfo, SiteState};
use super::execute::{self, Work};
use super::failure::{Failure, Outcome, Status};
use super::gateway::{Calls, Listener, Services};
use super::interrupt::Interrupt;
use super::log::{Log, Writer};
use super::plan::Plan;
use super::runtime::{Claim, Runtime};
use super::server;
use super::site::{Machines, SiteEvent, SiteMachine};
use super::topology::SiteSpec;
use booting::BootImages;
use chorus_abi::GATEWAY_SITE;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

mod booting;
mod intervening;
mod tracing;

/// The incarnation that a site begins with.
pub(super) const FIRST_EPOCH: u16 = 1;

/// Takes a line of the log; says whether somebody still reads.
pub type Print = Box<dyn FnMut(&super::control::LogLine) -> bool + Send>;

/// How far the cluster is.
#[derive(Clone, PartialEq, Debug)]
pub enum Phase {
    /// Sites boot.
    Starting,
    /// All sites have joined, and the topology's actors are started.
    Ready,
    /// It failed, and ends.
    Failed(Failure),
}

/// A site as the process sees it.
struct Slot {
    spec: SiteSpec,
    /// Its incarnation.
    epoch: u16,
    state: SiteState,
    /// The state to return to after a pause.
    running: SiteState,
    exit: Option<u8>,
    machine: Option<Arc<dyn SiteMachine>>,
}

struct Inner {
    slots: Vec<Slot>,
    /// Sites of the last trace.
    traced: Vec<u16>,
    phase: Phase,
    /// Counts changes, for those who watch.
    changes: u64,
}

/// A cluster.
pub struct Cluster {
    /// What it was started with.
    pub plan: Plan,
    /// Its runtime folder.
    pub runtime: Runtime,
    /// Its log.
    pub log: Arc<Log>,
    /// The gateway's services.
    pub services: Arc<Services>,
    /// Asks it to end.
    pub interrupt: Interrupt,
    machines: Arc<dyn Machines>,
    calls: OnceLock<Arc<dyn Calls>>,
    images: OnceLock<BootImages>,
    inner: Mutex<Inner>,
    changed: Condvar,
}

/// Tells the cluster which site has joined. Weak, for the cluster owns the services that own this.
#[derive(Default)]
struct Joins(OnceLock<Weak<Cluster>>);

impl Listener for Arc<Joins> {
    fn joined(&self, site: u16) {
        if let Some(cluster) = self.0.get().and_then(Weak::upgrade) {
            cluster.advance(site, SiteState::Ready);
        }
    }
}

impl Cluster {
    fn new(
        plan: Plan,
        runtime: Runtime,
        interrupt: Interrupt,
        machines: Arc<dyn Machines>,
    ) -> Arc<Cluster> {
        let names = plan
            .topology
            .site
            .iter()
            .map(|site| (site.number, site.name.clone()))
            .chain([(GATEWAY_SITE, "cluster".to_owned())])
            .collect();
        let log = Arc::new(Log::new(names, Some(&runtime.logs())));
        let joins = Arc::new(Joins::default());
        let services = Arc::new(Services::new(
            Arc::clone(&log),
            Box::new(Arc::clone(&joins)),
        ));
        let slot = |spec: &SiteSpec| Slot {
            spec: spec.clone(),
            epoch: FIRST_EPOCH,
            state: SiteState::Created,
            running: SiteState::Created,
            exit: None,
            machine: None,
        };
        let slots = plan.topology.site.iter().map(slot).collect();
        let inner = Mutex::new(Inner {
            slots,
            traced: Vec::new(),
            phase: Phase::Starting,
            changes: 0,
        });
        let calls = OnceLock::new();
        let cluster = Arc::new(Cluster {
            plan,
            runtime,
            log,
            services,
            interrupt,
            machines,
            calls,
            images: OnceLock::new(),
            inner,
            changed: Condvar::new(),
        });
        let _ = joins.0.set(Arc::downgrade(&cluster));
        cluster
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, how: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let value = how(&mut inner);
        inner.changes += 1;
        drop(inner);
        self.changed.notify_all();
        value
    }

    /// The gateway's way to the sites. Errors: the gateway has not joined yet.
    pub fn calls(&self) -> Outcome<&dyn Calls> {
        let calls = self.calls.get().map(AsRef::as_ref);
        calls.ok_or_else(|| {
            Failure::failed("the cluster is still starting").hint("try again in a moment")
        })
    }

    /// Time since the start.
    pub fn uptime_ns(&self) -> u64 {
        self.log.now_ns()
    }

    /// The sites now.
    pub fn sites(&self) -> Vec<SiteInfo> {
        let slots: Vec<(SiteInfo, Option<Arc<dyn SiteMachine>>)> = {
            let inner = self.lock();
            inner
                .slots
                .iter()
                .map(|slot| (self.info(slot), slot.machine.clone()))
                .collect()
        };
        let counted = slots.into_iter().map(|(mut info, machine)| {
            let counters = machine
                .map(|machine| machine.counters())
                .unwrap_or_default();
            info.vm_exits = counters.vm_exits;
            info.frames_in = counters.frames_in;
            info.frames_out = counters.frames_out;
            info.touched = counters.touched;
            info
        });
        counted.collect()
    }

    fn info(&self, slot: &Slot) -> SiteInfo {
        let moved = self.services.pages.moved(slot.spec.number);
        let moved = moved.unwrap_or_default();
        SiteInfo {
            site: slot.spec.number,
            name: slot.spec.name.clone(),
            state: slot.state,
            incarnation: slot
                .epoch
                .max(self.machines.switch().incarnation(slot.spec.number)),
            vcpus: slot.spec.vcpus,
            mem: slot.spec.mem,
            touched: 0,
            exit: slot.exit,
            vm_exits: 0,
            frames_in: 0,
            frames_out: 0,
            swap: slot.spec.swap,
            pages_out: moved.out,
            pages_in: moved.back,
            gdb: (!slot.state.ended())
                .then(|| self.gdb_socket(slot.spec.number).display().to_string()),
        }
    }

    /// The socket of a site's gdb stub.
    pub fn gdb_socket(&self, site: u16) -> std::path::PathBuf {
        self.runtime.folder().join(format!("s{site}.gdb"))
    }

    /// Waits up to `limit` for a change after the `seen`-th. The value: changes so far, and the phase.
    pub fn watch(&self, seen: u64, limit: Duration) -> (u64, Phase) {
        let waiting = |inner: &mut Inner| inner.changes <= seen;
        let (inner, _) = self
            .changed
            .wait_timeout_while(self.lock(), limit, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        (inner.changes, inner.phase.clone())
    }

    /// The machine of a site that has not ended. Errors: there is no such site, or it has ended.
    pub fn machine(&self, site: u16) -> Outcome<Arc<dyn SiteMachine>> {
        let inner = self.lock();
        let slot = inner.slots.iter().find(|slot| slot.spec.number == site);
        let slot =
            slot.ok_or_else(|| Failure::usage(format!("there is no site {site} in this cluster")))?;
        match &slot.machine {
            _ if slot.state.ended() => Err(Failure::failed(format!(
                "site {} has ended ({})",
                slot.spec.name,
                slot.state.word()
            ))),
            Some(machine) => Ok(Arc::clone(machine)),
            None => Err(Failure::failed(format!(
                "site {} is still starting",
                slot.spec.name
            ))),
        }
    }

    /// The same; one that is still starting is waited for a while, for those who stop or debug a site from its start.
    pub fn machine_soon(&self, site: u16) -> Outcome<Arc<dyn SiteMachine>> {
        let limit = Instant::now() + SOON;
        let starting = |slot: &Slot| slot.spec.number == site && slot.machine.is_none();
        let mut seen = 0;
        loop {
            let waiting = self.lock().slots.iter().any(starting);
            let machine = self.machine(site);
            if machine.is_ok() || !waiting || Instant::now() >= limit {
                return machine;
            }
            seen = self.watch(seen, TICK).0;
        }
    }

    /// Stops or continues a site. Errors: it has ended.
    pub fn set_paused(&self, site: u16, paused: bool) -> Outcome<()> {
        let machine = self.machine_soon(site)?;
        if paused {
            machine.pause()?
        } else {
            machine.resume()?
        }
        self.change(|inner| {
            if let Some(slot) = slot_of(inner, site).filter(|slot| !slot.state.ended()) {
                slot.state = if paused {
                    SiteState::Paused
                } else {
                    slot.running
                };
            }
        });
        Ok(())
    }

    /// Ends a site at once. Errors: it has ended already.
    pub fn kill(&self, site: u16) -> Outcome<()> {
        let machine = self.machine(site)?;
        self.ended(site, SiteState::Killed, None, "killed");
        machine.kill();
        Ok(())
    }

    /// The numbers of the sites that have not ended.
    pub fn alive(&self) -> Vec<u16> {
        self.lock()
            .slots
            .iter()
            .filter(|slot| !slot.state.ended())
            .map(|slot| slot.spec.number)
            .collect()
    }

    fn advance(&self, site: u16, state: SiteState) {
        self.change(|inner| {
            let Some(slot) = slot_of(inner, site) else {
                return;
            };
            let forward = matches!(
                (slot.running, state),
                (SiteState::Created, _) | (SiteState::Booting, SiteState::Ready)
            );
            if forward && !slot.state.ended() {
                slot.running = state;
                if slot.state != SiteState::Paused {
                    slot.state = state;
                }
            }
        });
    }

    fn ended(&self, site: u16, state: SiteState, exit: Option<u8>, report: &str) {
        let first = self.change(|inner| match slot_of(inner, site) {
            Some(slot) if !slot.state.ended() => {
                slot.state = state;
                slot.exit = exit;
                Some(slot.epoch)
            }
            _ => None,
        });
        if let Some(epoch) = first {
            for line in report.lines() {
                self.log.line(&Writer::cluster(site), line);
            }
            self.services.site_ended(site, epoch);
        }
    }

    fn event(&self, site: u16, epoch: u16, event: SiteEvent) {
        let of_before = |slot: &Slot| slot.spec.number == site && slot.epoch != epoch;
        if self.lock().slots.iter().any(of_before) {
            // The last words of an incarnation that was ended to boot the next one.
            return;
        }
        match event {
            SiteEvent::Output(bytes) => self.log.write(&Writer::console(site), &bytes),
            SiteEvent::Mark(1 | 2) => self.advance(site, SiteState::Booting),
            SiteEvent::Mark(_) => {}
            SiteEvent::Ended {
                state,
                exit,
                report,
            } => self.ended(site, state, exit, &report),
        }
    }

    /// Waits until somebody asks to end, or no site is left.
    fn stay(&self) -> Outcome<u8> {
        let mut seen = 0;
        while !self.alive().is_empty() {
            if self.interrupt.politely() {
                return Ok(0);
            }
            self.interrupt.check()?;
            seen = self.watch(seen, TICK).0;
        }
        let inner = self.lock();
        let good = |slot: &&Slot| slot.state == SiteState::Exited && slot.exit == Some(0);
        match inner.slots.iter().find(|slot| !good(slot)) {
            None => Ok(0),
            Some(slot) => {
                let text = format!(
                    "all sites have ended; site {} {}",
                    slot.spec.name,
                    slot.state.word()
                );
                Err(Failure::new(Status::Guest, text))
            }
        }
    }

    fn live(self: &Arc<Self>) -> Outcome<u8> {
        let limit = deadline(self.plan.run_timeout);
        self.boot()?;
        self.wait_joined(None)?;
        let works: Vec<Work> = self
            .plan
            .topology
            .actor
            .iter()
            .map(|actor| execute::work_of(&self.plan, actor))
            .collect::<Outcome<_>>()?;
        let mut started = Vec::new();
        for work in &works {
            started.extend(execute::start(self, work)?);
        }
        self.change(|inner| inner.phase = Phase::Ready);
        self.play_events();
        if !self.plan.until_ended {
            return self.stay();
        }
        let ends = execute::wait(self, &started, limit, &|| self.interrupt.check())?;
        if self.plan.verbose > 0 {
            for end in ends.iter().filter(|end| end.status != Some(0)) {
                self.log.line(
                    &Writer::cluster(end.site),
                    &format!("actor {} ended: {}", end.name, execute::describe(end)),
                );
            }
        }
        execute::status_of(&ends)
    }
}

fn slot_of(inner: &mut Inner, site: u16) -> Option<&mut Slot> {
    inner.slots.iter_mut().find(|slot| slot.spec.number == site)
}

/// Longest time between two looks at the signal flag.
const TICK: Duration = Duration::from_millis(100);

/// Longest time that a site takes to start.
const SOON: Duration = Duration::from_secs(10);

/// The moment in so many seconds; none for no limit, or one beyond the clock.
pub(super) fn deadline(seconds: Option<f64>) -> Option<Instant> {
    let limit = Duration::try_from_secs_f64(seconds?).ok()?;
    Instant::now().checked_add(limit)
}

/// A site's seed, made of the cluster's (the finaliser of SplitMix64, so that neighbours have nothing in common).
pub(super) fn seed_of(seed: u64, site: u16) -> u64 {
    let mut z = seed.wrapping_add(u64::from(site).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Owns a cluster from its first site to its end. `print` takes every line of the log, in order; when it says no, the cluster ends.
/// The value is the exit status. Errors: why the cluster could not be, or ended badly.
pub fn run(
    plan: Plan,
    claim: &Claim,
    interrupt: &Interrupt,
    machines: Arc<dyn Machines>,
    print: Option<Print>,
) -> Outcome<u8> {
    claim.runtime().write("cluster.json", &plan.to_json()?)?;
    let cluster = Cluster::new(plan, claim.runtime().clone(), interrupt.clone(), machines);
    let printer = print.map(|print| printer(&cluster, print));
    server::listen(&cluster)?;
    let outcome = cluster.live();
    if let Err(failure) = &outcome {
        cluster.change(|inner| inner.phase = Phase::Failed(failure.clone()));
    }
    for site in cluster.alive() {
        // A site without a machine has nothing to end.
        let _ = cluster.kill_quietly(site);
    }
    cluster.log.close();
    cluster.changed.notify_all();
    if let Some(printer) = printer {
        let _ = printer.join();
    }
    // Clients that wait for the outcome get a moment to hear it, before the process and their connections end.
    server::drain(Duration::from_millis(200));
    outcome
}

impl Cluster {
    /// Ends a site without a word in the log: the whole cluster ends.
    fn kill_quietly(&self, site: u16) -> Outcome<()> {
        let machine = self.machine(site)?;
        self.ended(site, SiteState::Killed, None, "");
        machine.kill();
        Ok(())
    }
}

fn printer(cluster: &Arc<Cluster>, mut print: Print) -> std::thread::JoinHandle<()> {
    let (log, interrupt) = (Arc::clone(&cluster.log), cluster.interrupt.clone());
    std::thread::spawn(move || {
        let mut from = 0;
        loop {
            let (lines, next, ended) = log.follow(None, from, Duration::from_secs(3600));
            from = next;
            if !lines.iter().all(&mut print) {
                interrupt.ask();
                return;
            }
            if ended {
                return;
            }
        }
    })
}

#[cfg(test)]
mod interventions;
#[cfg(test)]
mod tests;
