//! Traces of the cluster's sites.

use super::{Cluster, Slot};
use crate::cluster::failure::{Failure, Outcome};
use crate::cluster::site::{SiteMachine, TraceOrder};
use crate::trace::Recording;
use std::sync::Arc;

impl Cluster {
    /// Begins a trace on sites; on all that have not ended if none is named. It takes the place of an earlier one, on whatever sites that is. Errors: the first site
    /// that cannot, or is none; the others trace all the same.
    pub fn trace(&self, sites: &[u16], order: TraceOrder) -> Outcome<()> {
        let all = self.alive();
        let sites = if sites.is_empty() { &all } else { sites };
        self.lock().traced = sites.to_vec();
        for other in all.iter().filter(|site| !sites.contains(site)) {
            self.machine(*other)?.trace_off()?;
        }
        let begun: Vec<Outcome<()>> = sites
            .iter()
            .map(|&site| self.machine_soon(site)?.trace(order))
            .collect();
        begun.into_iter().collect()
    }

    /// Ends the trace. Errors: there is none; a site does not hear of it.
    pub fn trace_off(&self) -> Outcome<()> {
        let mut found = false;
        for site in self.alive() {
            found |= self.machine(site)?.trace_off()?;
        }
        match found {
            true => Ok(()),
            false => {
                let failure = Failure::failed("no site is being traced");
                Err(failure.hint("begin with: chorus trace start"))
            }
        }
    }

    /// What was recorded of each site of the last trace, those that have ended among them.
    pub fn traced(&self) -> Vec<Recording> {
        let machines: Vec<Arc<dyn SiteMachine>> = {
            let inner = self.lock();
            let traced = |slot: &&Slot| inner.traced.contains(&slot.spec.number);
            let slots = inner.slots.iter().filter(traced);
            slots.filter_map(|slot| slot.machine.clone()).collect()
        };
        machines
            .iter()
            .filter_map(|machine| machine.traced())
            .collect()
    }
}
