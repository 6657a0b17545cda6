//! The process that owns a cluster: it boots the sites, stays with them, and ends them.
//!
//! One [`Cluster`] is shared by the thread that runs [`run`], the control server's threads and the sites' threads. Whatever
//! happens — an error, Ctrl-C, `down`, the last site's end — [`run`] comes to its end, where sites are ended and the log closed.

use super::archive;
use super::control::{SiteInfo, SiteState};
use super::execute::{self, Work};
use super::failure::{Failure, Outcome, Status};
use super::gateway::{Calls, Listener, Services};
use super::images;
use super::interrupt::Interrupt;
use super::log::{Log, Writer};
use super::plan::Plan;
use super::runtime::{Claim, Runtime};
use super::server;
use super::site::{Machines, SiteEvent, SiteMachine, SiteOrder};
use super::topology::SiteSpec;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

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
    state: SiteState,
    /// The state to return to after a pause.
    running: SiteState,
    exit: Option<u8>,
    machine: Option<Arc<dyn SiteMachine>>,
}

struct Inner {
    slots: Vec<Slot>,
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
    calls: OnceLock<Arc<dyn Calls>>,
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
    fn new(plan: Plan, runtime: Runtime, interrupt: Interrupt) -> Arc<Cluster> {
        let names = plan
            .topology
            .site
            .iter()
            .map(|site| (site.number, site.name.clone()))
            .collect();
        let log = Arc::new(Log::new(names, Some(&runtime.logs())));
        let joins = Arc::new(Joins::default());
        let services = Arc::new(Services::new(
            Arc::clone(&log),
            Box::new(Arc::clone(&joins)),
        ));
        let slot = |spec: &SiteSpec| Slot {
            spec: spec.clone(),
            state: SiteState::Created,
            running: SiteState::Created,
            exit: None,
            machine: None,
        };
        let slots = plan.topology.site.iter().map(slot).collect();
        let inner = Mutex::new(Inner {
            slots,
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
            calls,
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
                true
            }
            _ => false,
        });
        if first {
            for line in report.lines() {
                self.log.line(&Writer::cluster(site), line);
            }
            self.services.site_ended(site);
        }
    }

    fn event(&self, site: u16, event: SiteEvent) {
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

    fn boot(self: &Arc<Self>, machines: &dyn Machines) -> Outcome<()> {
        let nucleus: Arc<[u8]> = match &self.plan.nucleus {
            Some(path) => images::load_file(path)?.into(),
            None => images::builtin(images::NUCLEUS)?.into(),
        };
        let conf = self
            .plan
            .boot_conf
            .as_deref()
            .unwrap_or(archive::STANDARD_BOOT_CONF);
        let conf = &archive::with_domains(conf, &self.plan.domains);
        let folder = self.plan.actor_dir.as_deref();
        let plain: Arc<[u8]> = archive::build(conf, archive::BOOT_CONF, folder)?.into();
        let mut with_mapper: Option<Arc<[u8]>> = None;
        if self.plan.topology.site.iter().any(|spec| spec.swap > 0) {
            let conf = archive::with_default_mapper(conf);
            with_mapper = Some(archive::build(&conf, archive::BOOT_CONF, folder)?.into());
        }
        let calls = machines.gateway(Arc::clone(&self.services))?;
        let _ = self.calls.set(calls);
        for spec in &self.plan.topology.site {
            self.interrupt.check()?;
            if spec.swap > 0 {
                let folder = self.runtime.folder();
                self.services.pages.provide(spec.number, spec.swap, folder);
            }
            let archive = with_mapper.as_ref().filter(|_| spec.swap > 0);
            let archive = archive.unwrap_or(&plain);
            let order = SiteOrder {
                number: spec.number,
                name: spec.name.clone(),
                sites: self.plan.topology.site.len() as u16,
                vcpus: spec.vcpus,
                mem: spec.mem,
                swap: spec.swap,
                seed: seed_of(self.plan.seed, spec.number),
                nucleus: Arc::clone(&nucleus),
                archive: Arc::clone(archive),
                paused: self.plan.paused,
                gdb: self.gdb_socket(spec.number),
            };
            let (cluster, site) = (Arc::downgrade(self), spec.number);
            let events = Box::new(move |event| {
                if let Some(cluster) = cluster.upgrade() {
                    cluster.event(site, event);
                }
            });
            let machine: Arc<dyn SiteMachine> = machines.start(order, events)?.into();
            self.change(|inner| {
                if let Some(slot) = slot_of(inner, site) {
                    slot.machine = Some(machine);
                }
            });
        }
        Ok(())
    }

    /// Waits until all sites have joined. Errors: a site ended first; the time limit; somebody asked to end.
    fn wait_joined(&self) -> Outcome<()> {
        let limit = deadline(Some(self.plan.join_timeout));
        let mut seen = 0;
        loop {
            let (late, dead) = {
                let inner = self.lock();
                let late: Vec<String> = inner
                    .slots
                    .iter()
                    .filter(|slot| slot.running != SiteState::Ready)
                    .map(|slot| slot.spec.name.clone())
                    .collect();
                let dead = inner.slots.iter().find(|slot| slot.state.ended());
                (
                    late,
                    dead.map(|slot| (slot.spec.name.clone(), slot.state.word())),
                )
            };
            if let Some((name, how)) = dead {
                let text = format!("site {name} ended ({how}) before it joined the cluster");
                return Err(Failure::new(Status::Guest, text)
                    .hint("what it said is in the log, see above or use -v"));
            }
            if late.is_empty() {
                return Ok(());
            }
            self.interrupt.check()?;
            if limit.is_some_and(|limit| Instant::now() >= limit) {
                let text = format!(
                    "not joined within {} s: {}",
                    self.plan.join_timeout,
                    late.join(", ")
                );
                return Err(Failure::new(Status::Timeout, text)
                    .hint("give more with --timeout; the emulated host is slow"));
            }
            seen = self.watch(seen, TICK).0;
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

    fn live(self: &Arc<Self>, machines: &dyn Machines) -> Outcome<u8> {
        let limit = deadline(self.plan.run_timeout);
        self.boot(machines)?;
        self.wait_joined()?;
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
    machines: &dyn Machines,
    print: Option<Print>,
) -> Outcome<u8> {
    claim.runtime().write("cluster.json", &plan.to_json()?)?;
    let cluster = Cluster::new(plan, claim.runtime().clone(), interrupt.clone());
    let printer = print.map(|print| printer(&cluster, print));
    server::listen(&cluster)?;
    let outcome = cluster.live(machines);
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
mod tests;
