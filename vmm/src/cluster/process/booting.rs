//! Booting sites: all of them at the start, and one anew later.

use super::super::archive;
use super::super::control::SiteState;
use super::super::execute;
use super::super::failure::{Failure, Outcome, Status};
use super::super::images;
use super::super::log::Writer;
use super::super::site::{SiteMachine, SiteOrder};
use super::super::topology::SiteSpec;
use super::{Cluster, FIRST_EPOCH, Slot, TICK, deadline, seed_of, slot_of};
use chorus_abi::ui::EPOCH_MAX;
use std::sync::Arc;
use std::time::Instant;

/// What sites boot.
pub(super) struct BootImages {
    nucleus: Arc<[u8]>,
    plain: Arc<[u8]>,
    /// For sites that have room for pages outside their memory.
    with_mapper: Option<Arc<[u8]>>,
}

/// Milliseconds after its last word in which a site is found to be down: on a faithful machine, and on an emulated one, where a second is a few milliseconds' work.
const DETECT_MS: (u32, u32) = (1400, 7000);

/// What the Network Managers are told.
fn network_words(plan: &super::Plan) -> Vec<String> {
    let usual = match crate::host::inside() {
        true => DETECT_MS.1,
        false => DETECT_MS.0,
    };
    let mut words = vec![format!("detect={}", plan.detect_ms.unwrap_or(usual))];
    if !plan.domains.is_empty() {
        words.push(format!("domains={}", plan.domains));
    }
    words
}

impl BootImages {
    fn of(cluster: &Cluster) -> Outcome<BootImages> {
        let plan = &cluster.plan;
        let nucleus = match &plan.nucleus {
            Some(path) => images::load_file(path)?.into(),
            None => images::builtin(images::NUCLEUS)?.into(),
        };
        let conf = plan.boot_conf.as_deref();
        let conf = conf.unwrap_or(archive::STANDARD_BOOT_CONF);
        let conf = &archive::with_network_words(conf, &network_words(plan));
        let folder = plan.actor_dir.as_deref();
        let plain = archive::build(conf, archive::BOOT_CONF, folder)?.into();
        let mut with_mapper = None;
        if plan.topology.site.iter().any(|spec| spec.swap > 0) {
            let conf = archive::with_default_mapper(conf);
            with_mapper = Some(archive::build(&conf, archive::BOOT_CONF, folder)?.into());
        }
        Ok(BootImages {
            nucleus,
            plain,
            with_mapper,
        })
    }
}

impl Cluster {
    pub(super) fn boot(self: &Arc<Self>) -> Outcome<()> {
        let images = BootImages::of(self)?;
        let _ = self.images.set(images);
        let calls = self.machines.gateway(Arc::clone(&self.services))?;
        let _ = self.calls.set(calls);
        for spec in &self.plan.topology.site {
            self.interrupt.check()?;
            if spec.swap > 0 {
                let folder = self.runtime.folder();
                self.services.pages.provide(spec.number, spec.swap, folder);
            }
            self.boot_site(spec, FIRST_EPOCH, self.plan.paused)?;
        }
        Ok(())
    }

    fn boot_site(self: &Arc<Self>, spec: &SiteSpec, epoch: u16, paused: bool) -> Outcome<()> {
        let images = self
            .images
            .get()
            .ok_or_else(|| Failure::failed("the cluster is still starting"))?;
        let with_mapper = images.with_mapper.as_ref().filter(|_| spec.swap > 0);
        let order = SiteOrder {
            number: spec.number,
            name: spec.name.clone(),
            epoch,
            sites: self.plan.topology.site.len() as u16,
            vcpus: spec.vcpus,
            mem: spec.mem,
            swap: spec.swap,
            clock: spec.clock,
            // The first incarnation has the cluster's; each further one its own, so that none repeats what another drew.
            seed: seed_of(
                self.plan.seed ^ u64::from(epoch - FIRST_EPOCH) << 48,
                spec.number,
            ),
            nucleus: Arc::clone(&images.nucleus),
            archive: Arc::clone(with_mapper.unwrap_or(&images.plain)),
            paused,
            gdb: self.gdb_socket(spec.number),
        };
        let (cluster, site) = (Arc::downgrade(self), spec.number);
        let events = Box::new(move |event| {
            if let Some(cluster) = cluster.upgrade() {
                cluster.event(site, epoch, event);
            }
        });
        let machine: Arc<dyn SiteMachine> = self.machines.start(order, events)?.into();
        self.change(|inner| {
            if let Some(slot) = slot_of(inner, site) {
                slot.machine = Some(machine);
            }
        });
        Ok(())
    }

    /// Boots a site anew, in the next incarnation; one that runs is ended first. Returns when it has joined, and the actors are started that the topology has for it,
    /// unless this cluster only runs them to their end. Errors: there is no such site; it does not boot or join.
    pub fn restart(self: &Arc<Self>, site: u16) -> Outcome<()> {
        let spec = self
            .plan
            .topology
            .site
            .iter()
            .find(|spec| spec.number == site);
        let spec =
            spec.ok_or_else(|| Failure::usage(format!("there is no site {site} in this cluster")))?;
        let before = self.change(|inner| {
            let slot = slot_of(inner, site)?;
            let starting = slot.machine.is_none() && !slot.state.ended();
            if starting || slot.epoch >= EPOCH_MAX {
                return None;
            }
            let epoch = slot.epoch;
            // What it still says from now on comes from one that is over.
            slot.epoch += 1;
            (slot.state, slot.running) = (SiteState::Created, SiteState::Created);
            slot.exit = None;
            Some((slot.machine.take(), epoch))
        });
        let Some((machine, epoch)) = before else {
            return Err(Failure::failed(format!(
                "site {} is still starting, or has used up its incarnations",
                spec.name
            )));
        };
        if let Some(machine) = machine {
            machine.kill();
        }
        self.services.site_ended(site, epoch);
        if let Err(failure) = self.boot_anew(spec, epoch) {
            self.ended(site, SiteState::Killed, None, "did not boot again");
            return Err(failure);
        }
        self.wait_joined(Some(site))?;
        if self.plan.until_ended {
            return Ok(());
        }
        for actor in &self.plan.topology.actor {
            if actor.site.contains(&site) {
                let mut work = execute::work_of(&self.plan, actor)?;
                work.sites = vec![site];
                execute::start(self, &work)?;
            }
        }
        Ok(())
    }

    /// Boots a site whose machine is no more in an incarnation that it never had, neither from here nor by its own count.
    fn boot_anew(self: &Arc<Self>, spec: &SiteSpec, before: u16) -> Outcome<()> {
        let used = self.machines.switch().incarnation(spec.number).max(before);
        if used >= EPOCH_MAX {
            return Err(Failure::failed(format!(
                "site {} has used up its incarnations",
                spec.name
            )));
        }
        let epoch = used + 1;
        self.change(|inner| {
            if let Some(slot) = slot_of(inner, spec.number) {
                slot.epoch = epoch;
            }
        });
        let text = format!("boots again, incarnation {epoch}");
        self.log.line(&Writer::cluster(spec.number), &text);
        self.boot_site(spec, epoch, false)
    }

    /// Waits until all sites, or one, have joined. Errors: a site ended first; the time limit; somebody asked to end.
    pub(super) fn wait_joined(&self, only: Option<u16>) -> Outcome<()> {
        let limit = deadline(Some(self.plan.join_timeout));
        let mut seen = 0;
        loop {
            let (late, dead) = {
                let inner = self.lock();
                let meant = |slot: &&Slot| only.is_none_or(|site| slot.spec.number == site);
                let late: Vec<String> = inner
                    .slots
                    .iter()
                    .filter(meant)
                    .filter(|slot| slot.running != SiteState::Ready)
                    .map(|slot| slot.spec.name.clone())
                    .collect();
                let mut meant = inner.slots.iter().filter(meant);
                let dead = meant.find(|slot| slot.state.ended());
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
}
