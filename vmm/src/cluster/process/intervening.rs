//! What is done to the cluster while it runs: now, by request, or by the timed events of its topology.

use super::super::control::LinkInfo;
use super::super::failure::{Failure, Outcome};
use super::super::intervention::{Ends, Intervention};
use super::super::log::Writer;
use super::super::topology::EventSpec;
use super::{Cluster, TICK};
use chorus_abi::GATEWAY_SITE;
use chorus_fabric::Parameters;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Cluster {
    /// Does it. Errors: there is no such link or site, or the site has ended.
    pub fn intervene(self: &Arc<Self>, what: &Intervention) -> Outcome<()> {
        let switch = self.machines.switch();
        if let Intervention::Set { ends, .. } | Intervention::Reset { ends } = what
            && let Ends::Both(a, b) | Ends::OneWay(a, b) = *ends
            && !switch.fabric(|fabric| fabric.graph().joins(a, b))
        {
            let topology = &self.plan.topology.fabric.topology;
            let text = format!("{topology} has no link between these two sites");
            return Err(Failure::usage(text).hint("chorus link show lists the links"));
        }
        match what {
            Intervention::Set { ends, change } => switch.fabric(|fabric| {
                fabric.rule(|rules| match *ends {
                    Ends::All => rules.change_all(change),
                    Ends::Both(a, b) => {
                        rules.change(a, b, change);
                        rules.change(b, a, change);
                    }
                    Ends::OneWay(a, b) => rules.change(a, b, change),
                });
            }),
            Intervention::Reset { ends } => switch.fabric(|fabric| {
                fabric.rule(|rules| match *ends {
                    Ends::All => rules.reset_all(),
                    Ends::Both(a, b) => {
                        rules.reset(a, b);
                        rules.reset(b, a);
                    }
                    Ends::OneWay(a, b) => rules.reset(a, b),
                });
            }),
            Intervention::Partition { parts } => {
                switch.fabric(|fabric| fabric.rule(|rules| rules.split(parts)));
            }
            Intervention::Heal => {
                switch.fabric(|fabric| fabric.rule(chorus_fabric::Rules::heal));
            }
            Intervention::Fault { fault } => switch.fabric(|fabric| fabric.script(*fault)),
            Intervention::Pause { site } => self.set_paused(*site, true)?,
            Intervention::Resume { site } => self.set_paused(*site, false)?,
            Intervention::Kill { site } => self.kill(*site)?,
            Intervention::Restart { site } => self.restart(*site)?,
        }
        Ok(())
    }

    /// What every link does that is not told otherwise.
    pub fn every_link(&self) -> Parameters {
        // No link leads from nobody to nobody.
        self.machines
            .switch()
            .fabric(|fabric| fabric.rules().set(0, 0))
    }

    /// The links: those of the topology, or, where everyone is joined with everyone, those that frames went over or that are not as all others.
    pub fn links(&self) -> Vec<LinkInfo> {
        self.machines.switch().fabric(|fabric| {
            let info = |(from, to)| {
                let (parameters, counts) = fabric.link(from, to);
                LinkInfo {
                    from,
                    to,
                    parted: fabric.rules().parted(from, to),
                    parameters,
                    counts,
                }
            };
            fabric.directions().into_iter().map(info).collect()
        })
    }

    /// Begins to do what the topology says, at its times after this moment.
    pub(super) fn play_events(self: &Arc<Self>) {
        let events = self.plan.topology.event.clone();
        if events.is_empty() {
            return;
        }
        let cluster = Arc::downgrade(self);
        let began = Instant::now();
        std::thread::spawn(move || {
            for event in events {
                let due = began + Duration::from_nanos(event.at_ns);
                loop {
                    // The cluster may end meanwhile, and is not kept by what was to come.
                    let Some(cluster) = cluster
                        .upgrade()
                        .filter(|cluster| !cluster.interrupt.asked())
                    else {
                        return;
                    };
                    let left = due.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        cluster.play(&event);
                        break;
                    }
                    drop(cluster);
                    std::thread::sleep(left.min(TICK));
                }
            }
        });
    }

    fn play(self: &Arc<Self>, event: &EventSpec) {
        let name = |site: u16| {
            let sites = &self.plan.topology.site;
            let spec = sites.get(usize::from(site).wrapping_sub(1));
            spec.map_or_else(|| site.to_string(), |spec| spec.name.clone())
        };
        let text = event.what.text(&name);
        let writer = Writer::cluster(GATEWAY_SITE);
        match self.intervene(&event.what) {
            Ok(()) => self.log.line(&writer, &text),
            Err(failure) => self.log.line(&writer, &format!("{text}: {failure}")),
        }
    }
}
