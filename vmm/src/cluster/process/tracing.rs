//! Traces of the cluster's sites.

use super::Cluster;
use crate::cluster::failure::{Failure, Outcome};
use crate::cluster::site::{SiteMachine, TraceOrder};
use crate::trace::Recording;
use std::sync::Arc;

impl Cluster {
    /// Begins a trace on sites; on all that have not ended if none is named. Errors: the first site that cannot, or is none; the others trace all the same.
    pub fn trace(&self, sites: &[u16], order: TraceOrder) -> Outcome<()> {
        let all = self.alive();
        let sites = if sites.is_empty() { &all } else { sites };
        let begun: Vec<Outcome<()>> = sites
            .iter()
            .map(|&site| self.machine_soon(site)?.trace(order))
            .collect();
        begun.into_iter().collect()
    }

    /// Ends all traces. Errors: there is none; a site does not hear of it.
    pub fn trace_off(&self) -> Outcome<()> {
        let mut found = false;
        for site in self.alive() {
            found |= self.machine(site)?.trace_off()?;
        }
        match found {
            true => Ok(()),
            false => {
                Err(Failure::failed("no site is being traced")
                    .hint("begin with: chorus trace start"))
            }
        }
    }

    /// What was recorded of each site that was ever traced, those that have ended among them.
    pub fn traced(&self) -> Vec<Recording> {
        let machines: Vec<Arc<dyn SiteMachine>> = self
            .lock()
            .slots
            .iter()
            .filter_map(|slot| slot.machine.clone())
            .collect();
        machines
            .iter()
            .filter_map(|machine| machine.traced())
            .collect()
    }
}
