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

#[cfg(test)]
mod tests {
    use super::super::tests::{Manner, start};
    use super::*;
    use crate::cluster::client::Client;
    use crate::cluster::control::{Answer, Request};

    /// What the cluster sends: of each site the bytes of its ring.
    fn fetched(client: &mut Client) -> Vec<Vec<u8>> {
        client.send(&Request::Traced, &[]).unwrap();
        let mut found = Vec::new();
        loop {
            match client.receive().unwrap() {
                Answer::Recording { heading } => {
                    let large = || Failure::failed("too large");
                    let recording = heading.with(large, |bytes| client.bytes(bytes)).unwrap();
                    assert_eq!(recording.rings[0].lost, 7);
                    found.push(recording.rings[0].bytes.clone());
                }
                Answer::Done => return found,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_recordings_of_the_last_trace_s_sites_come_with_their_bytes() {
        let test = start(Manner::Good, |_, _| {});
        let mut client = test.up();
        assert!(fetched(&mut client).is_empty());
        let refused = client.order(&Request::TraceOff).unwrap_err();
        assert!(refused.what.contains("no site is being traced"));
        let mut trace = |sites: &[u16], classes| {
            let order = TraceOrder {
                classes,
                records: 64,
            };
            let sites = sites.to_vec();
            client.order(&Request::Trace { sites, order })?;
            Ok::<_, Failure>(fetched(&mut client))
        };
        assert_eq!(trace(&[], 3), Ok(vec![vec![0xff; 3]; 2]));
        assert_eq!(trace(&[2], 5), Ok(vec![vec![0xff; 5]]));
        assert!(trace(&[9], 5).is_err());
        client.order(&Request::Kill { site: 2 }).unwrap();
        // The connection is in step after all those bytes.
        client.order(&Request::Down).unwrap();
        assert_eq!(test.end(), Ok(0));
    }
}
