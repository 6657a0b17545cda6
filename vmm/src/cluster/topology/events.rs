//! `[[event]]`: what is done to the cluster while it runs, at its time.

use super::Topology;
use super::fields::{Fields, Reader};
use super::names::nearest;
use super::size::parse_delay;
use crate::cluster::intervention::{Ends, Intervention};
use chorus_fabric::Graph;
use serde::{Deserialize, Serialize};

/// One thing that is done, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSpec {
    /// Nanoseconds after all sites have joined and the actors were started.
    pub at_ns: u64,
    /// What.
    #[serde(flatten)]
    pub what: Intervention,
}

/// The number of the site that a word means. Errors: a sentence, with the nearest name.
fn find(topology: &Topology, word: &str) -> Result<u16, String> {
    let found = topology.find_site(word).map(|site| site.number);
    found.ok_or_else(|| {
        let names = topology.site.iter().map(|site| site.name.as_str());
        match nearest(word, names) {
            Some(meant) => format!("there is no site `{word}`; did you mean `{meant}`?"),
            None => format!("there is no site `{word}`"),
        }
    })
}

pub(super) fn read_event(
    reader: &Reader<'_>,
    mut table: Fields<'_, '_>,
    topology: &mut Topology,
    graph: Option<&Graph>,
) {
    let at = table.parsed("at", "at", parse_delay);
    if !table.has("at") {
        table.missing("at", "say when, after the sites have joined: at = \"5s\"");
    }
    let what = table.parsed("do", "do", |text| {
        Intervention::parse_text(text, &|word| find(topology, word))
    });
    if !table.has("do") {
        table.missing("do", "say what: do = \"link set s1 s2 loss=5%\"");
    }
    table.finish();
    let (Some(at), Some(what)) = (at, what) else {
        return;
    };
    let before = topology.event.last().map_or(0, |event| event.at_ns);
    if at.value < before {
        let problem = reader.at(&at.span, "in-the-past", "this time is past already");
        reader.complain(
            problem
                .label("before the event above")
                .help("write events in the order of their times"),
        );
        return;
    }
    if let (Intervention::Set { ends, .. } | Intervention::Reset { ends }, Some(graph)) =
        (&what.value, graph)
        && let Ends::Both(a, b) | Ends::OneWay(a, b) = *ends
        && !graph.joins(a, b)
    {
        let text = format!(
            "{} has no link between these two sites",
            topology.fabric.topology
        );
        reader.complain(reader.at(&what.span, "no-such-link", text));
        return;
    }
    topology.event.push(EventSpec {
        at_ns: at.value,
        what: what.value,
    });
}
