//! Verbs that break and mend a running cluster: `link`, `partition`, `heal`, `fault`, `site`.

use super::actors::find;
use super::args::{FaultArgs, Format, LinkVerb, OneSiteArgs, PartitionArgs, SiteVerb};
use super::context::Context;
use super::output;
use crate::cluster::client::Client;
use crate::cluster::control::{Answer, LinkInfo, Request, SiteInfo};
use crate::cluster::failure::{Failure, Outcome};
use crate::cluster::intervention::Intervention;
use crate::cluster::topology::settings::told;
use chorus_fabric::Parameters;
use serde::Serialize;
use std::time::Duration;

/// A connection, and the sites of its cluster.
fn connect(context: &Context) -> Outcome<(Client, Vec<SiteInfo>)> {
    let mut client = Client::connect(&context.runtime()?)?;
    client.limit(Some(Duration::from_secs(180)))?;
    match client.ask(&Request::Status)? {
        Answer::Cluster { sites, .. } => Ok((client, sites)),
        other => Err(client.unexpected(&other)),
    }
}

/// Does what the words say.
fn intervene<'a>(context: &Context, words: impl IntoIterator<Item = &'a str>) -> Outcome<()> {
    let (mut client, sites) = connect(context)?;
    let words: Vec<&str> = words.into_iter().collect();
    let by_name = |word: &str| {
        find(&sites, word).map_err(|failure| match failure.hint {
            Some(hint) => format!("{}; {hint}", failure.what),
            None => failure.what,
        })
    };
    let what = Intervention::parse(&words, &by_name).map_err(Failure::usage)?;
    client.order(&Request::Intervene { what })
}

/// `chorus link`.
pub fn link(context: &Context, verb: &LinkVerb) -> Outcome<()> {
    let with = |verb: &'static str, words: &[String]| {
        let words = words.iter().map(String::as_str);
        intervene(context, ["link", verb].into_iter().chain(words))
    };
    match verb {
        LinkVerb::Show { format, sites } => show(context, format.format, sites),
        LinkVerb::Set { words } => with("set", words),
        LinkVerb::Reset { words } => with("reset", words),
    }
}

/// `chorus partition`.
pub fn partition(context: &Context, args: &PartitionArgs) -> Outcome<()> {
    let parts = args.parts.iter().map(String::as_str);
    intervene(context, ["partition"].into_iter().chain(parts))
}

/// `chorus heal`.
pub fn heal(context: &Context) -> Outcome<()> {
    intervene(context, ["heal"])
}

/// `chorus fault`.
pub fn fault(context: &Context, args: &FaultArgs) -> Outcome<()> {
    let words = args.words.iter().map(String::as_str);
    intervene(context, ["fault"].into_iter().chain(words))
}

/// `chorus site`.
pub fn site(context: &Context, verb: &SiteVerb) -> Outcome<()> {
    let (word, OneSiteArgs { site }) = match verb {
        SiteVerb::Pause(args) => ("pause", args),
        SiteVerb::Resume(args) => ("resume", args),
        SiteVerb::Kill(args) => ("kill", args),
        SiteVerb::Restart(args) => ("restart", args),
    };
    intervene(context, ["site", word, site])
}

/// What `link show --format json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    topology: &'a str,
    every: &'a Parameters,
    links: &'a [LinkInfo],
}

fn show(context: &Context, format: Format, only: &[String]) -> Outcome<()> {
    let (mut client, sites) = connect(context)?;
    let only: Vec<u16> = only
        .iter()
        .map(|word| find(&sites, word))
        .collect::<Outcome<_>>()?;
    let answer = client.ask(&Request::Links)?;
    let Answer::Links {
        topology,
        every,
        mut links,
    } = answer
    else {
        return Err(client.unexpected(&answer));
    };
    links.retain(|link| only.iter().all(|site| [link.from, link.to].contains(site)));
    let shown = Shown {
        topology: &topology,
        every: &every,
        links: &links,
    };
    output::either(format, &shown, || table(&shown, &sites))
}

fn table(shown: &Shown<'_>, sites: &[SiteInfo]) -> String {
    let name = |number: u16| {
        let site = sites.iter().find(|site| site.site == number);
        site.map_or_else(|| number.to_string(), |site| site.name.clone())
    };
    let rows: Vec<Vec<String>> = shown
        .links
        .iter()
        .map(|link| {
            let counts = &link.counts;
            let lost = counts.lost + counts.lost_burst + counts.lost_queue + counts.lost_cut;
            let mut parameters = told(&link.parameters);
            if link.parted {
                parameters = format!("parted {parameters}");
            }
            vec![
                format!("{}->{}", name(link.from), name(link.to)),
                counts.frames.to_string(),
                counts.bytes.to_string(),
                lost.to_string(),
                counts.duplicated.to_string(),
                counts.reordered.to_string(),
                counts.corrupted.to_string(),
                parameters.trim_end().to_owned(),
            ]
        })
        .collect();
    let every = told(shown.every);
    let every = match every.as_str() {
        "" => "without faults",
        every => every,
    };
    let columns = [
        "LINK",
        ">FRAMES",
        ">BYTES",
        ">LOST",
        ">DOUBLED",
        ">LATE",
        ">CORRUPT",
        "PARAMETERS",
    ];
    format!(
        "topology {}; every link: {every}\n\n{}",
        shown.topology,
        output::table(&columns, &rows)
    )
}
