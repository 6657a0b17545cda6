//! `[fabric]` and `[[link]]`: how the sites are joined, and what the links do to frames.

use super::Topology;
use super::fields::{Fields, Reader};
use super::read::resolve_site;
use super::settings::{KEYS, parse_setting};
use chorus_fabric::{Change, Graph, Parameters, Rules, Shape};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use toml::Spanned;
use toml::de::DeValue;

/// Which sites are joined by links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Pattern {
    /// A shape with a name.
    Shape(Shape),
    /// Those that `[[link]]` lists, and no others.
    Listed,
}

/// The name of [`Pattern::Listed`].
const LISTED: &str = "links";

impl Pattern {
    /// Reads `torus,4,4` and its like, or `links`. Errors: a sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        match text.trim() {
            LISTED => Ok(Pattern::Listed),
            text => Shape::parse(text).map(Pattern::Shape),
        }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pattern::Shape(shape) => shape.fmt(f),
            Pattern::Listed => f.write_str(LISTED),
        }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.to_string()
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;
    fn try_from(text: String) -> Result<Pattern, String> {
        Pattern::parse(&text)
    }
}

/// How the sites are joined, and what every link does that says nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FabricSpec {
    /// Which sites are joined.
    pub topology: Pattern,
    /// What is not as on a link without faults.
    pub every: Change,
}

impl Default for FabricSpec {
    fn default() -> Self {
        FabricSpec {
            topology: Pattern::Shape(Shape::Full),
            every: Change::default(),
        }
    }
}

/// One link that is not as all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSpec {
    /// Site number of one end; of a single direction, the sender.
    pub a: u16,
    /// Site number of the other end.
    pub b: u16,
    /// Only from `a` to `b`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub one_way: bool,
    /// What is not as on every link.
    pub own: Change,
}

impl LinkSpec {
    /// The directions that it is about.
    pub fn directions(&self) -> impl Iterator<Item = (u16, u16)> {
        [(self.a, self.b), (self.b, self.a)]
            .into_iter()
            .take(if self.one_way { 1 } else { 2 })
    }
}

impl Topology {
    /// The graph of the sites. Errors: a sentence, when the pattern is for another number of sites, or some sites are not joined with the others.
    pub fn graph(&self, seed: u64) -> Result<Graph, String> {
        let sites = self.site.len() as u16;
        let graph = match &self.fabric.topology {
            Pattern::Shape(shape) => shape.graph(sites, seed)?,
            Pattern::Listed => Graph::of(sites, self.link.iter().map(|link| (link.a, link.b))),
        };
        let unreached = graph.unreached();
        if unreached.is_empty() {
            return Ok(graph);
        }
        let names: Vec<&str> = unreached
            .iter()
            .take(8)
            .filter_map(|&number| self.site.get(usize::from(number) - 1))
            .map(|site| site.name.as_str())
            .collect();
        let more = if unreached.len() > 8 { ", …" } else { "" };
        Err(format!(
            "the topology is not connected: no way leads from {} to {}{more}",
            self.site.first().map_or("?", |site| site.name.as_str()),
            names.join(", ")
        ))
    }

    /// What holds for the links at the start.
    pub fn rules(&self) -> Rules {
        let mut every = Parameters::PERFECT;
        self.fabric.every.apply(&mut every);
        let own = self.link.iter().flat_map(|link| {
            let mut parameters = every;
            link.own.apply(&mut parameters);
            link.directions().map(move |ends| (ends, parameters))
        });
        Rules::new(every, own)
    }
}

/// Reads the parameters that a table names.
fn read_change(reader: &Reader<'_>, table: &mut Fields<'_, '_>) -> Change {
    let mut change = Change::default();
    for key in KEYS {
        let Some(value) = table.take(key) else {
            continue;
        };
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(integer) => integer.as_str().to_owned(),
            DeValue::Float(float) => float.as_str().to_owned(),
            DeValue::Boolean(boolean) => boolean.to_string(),
            _ => String::new(),
        };
        match parse_setting(key, &text) {
            // The keys of a table are different ones.
            Ok(one) => change = one.or(change),
            Err(why) => {
                reader.complain(reader.at(&value.span(), key, format!("`{key}`: {why}")));
            }
        }
    }
    change
}

/// Reads `[fabric]`; where its topology stands, for complaints about it.
pub(super) fn read_fabric(
    reader: &Reader<'_>,
    value: Option<&Spanned<DeValue<'_>>>,
) -> (FabricSpec, Range<usize>) {
    let mut fabric = FabricSpec::default();
    let Some(mut table) = value.and_then(|value| Fields::of(reader, value, "[fabric]")) else {
        return (fabric, 0..0);
    };
    let mut place = table.span.clone();
    if let Some(pattern) = table.parsed("topology", "topology", Pattern::parse) {
        fabric.topology = pattern.value;
        place = pattern.span;
    }
    fabric.every = read_change(reader, &mut table);
    table.finish();
    (fabric, place)
}

/// Complains if the sites cannot be joined as the file says.
pub(super) fn check_graph(reader: &Reader<'_>, topology: &Topology, place: &Range<usize>) {
    if !reader.problems.borrow().is_empty() {
        return;
    }
    // Whether a random graph is connected does not depend on the seed.
    if let Err(why) = topology.graph(0) {
        reader.complain(reader.at(place, "topology", why));
    }
}

pub(super) fn read_link(
    reader: &Reader<'_>,
    mut table: Fields<'_, '_>,
    topology: &mut Topology,
    graph: Option<&Graph>,
) {
    let one_way = table.has("from") || table.has("to");
    let keys = if one_way { ["from", "to"] } else { ["a", "b"] };
    let mut end = |key: &'static str| match table.take(key) {
        Some(value) => resolve_site(reader, topology, value, key),
        None => {
            let help = if one_way {
                "one direction of a link goes from a site to a site: from = \"s1\", to = \"s2\""
            } else {
                "a link joins two sites: a = \"s1\", b = \"s2\""
            };
            table.missing(key, help);
            None
        }
    };
    let (a, b) = (end(keys[0]), end(keys[1]));
    let own = read_change(reader, &mut table);
    table.finish();
    let (Some(a), Some(b)) = (a, b) else { return };
    if a.value == b.value {
        let problem = reader.at(
            &b.span,
            "link-to-itself",
            "a link joins two different sites",
        );
        reader.complain(problem.label(format!("the same site as `{}`", keys[0])));
        return;
    }
    let link = LinkSpec {
        a: a.value,
        b: b.value,
        one_way,
        own,
    };
    let twice = |other: &LinkSpec| {
        link.directions()
            .any(|own| other.directions().any(|direction| direction == own))
    };
    if topology.link.iter().any(twice) {
        let problem = reader.at(
            &a.span,
            "duplicate-link",
            "a second link joins these two sites",
        );
        reader.complain(problem.help(
            "one [[link]] with `a` and `b` describes both directions, one with `from` and `to` a single one; put all of it there",
        ));
        return;
    }
    if graph.is_some_and(|graph| !graph.joins(link.a, link.b)) {
        let text = format!(
            "{} has no link between these two sites",
            topology.fabric.topology
        );
        let problem = reader.at(&a.span, "no-such-link", text);
        reader.complain(problem.help("[[link]] changes links that the topology has; topology = \"links\" makes those that are listed"));
        return;
    }
    topology.link.push(link);
}
