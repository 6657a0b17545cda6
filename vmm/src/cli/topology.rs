//! `chorus validate` and `chorus topo`: topology files without a cluster.
//!
//! Nothing is started; what is said here is what `up -f` would say before it starts anything.

use super::args::{Format, TopoArgs, ValidateArgs};
use super::context::Context;
use super::output;
use crate::cluster::failure::{Failure, Outcome, Status};
use crate::cluster::host_memory;
use crate::cluster::topology::settings::told;
use crate::cluster::topology::{self, Problem, Source, Topology, format_size};
use serde::Serialize;
use std::path::Path;

/// What `validate --format json` prints.
#[derive(Serialize)]
struct Verdict<'a> {
    file: &'a str,
    valid: bool,
    errors: &'a [Problem],
}

/// Reads and checks a topology. Errors: status 4 with every mistake, each with its line.
pub fn load(context: &Context, path: &Path) -> Outcome<Topology> {
    let source = Source::open(path)?;
    topology::read(&source, host_memory()).map_err(|problems| report(context, &source, &problems))
}

fn report(context: &Context, source: &Source, problems: &[Problem]) -> Failure {
    let mut failure = Failure::new(
        Status::BadFile,
        topology::render(source, problems, context.color_err()),
    );
    failure.verbatim = true;
    failure
}

/// `chorus validate`.
pub fn validate(context: &Context, args: &ValidateArgs) -> Outcome<()> {
    let source = Source::open(&args.file)?;
    let found = topology::read(&source, host_memory());
    let problems = found.as_ref().err().map_or(&[][..], Vec::as_slice);
    if args.format.format == Format::Json {
        output::json(&Verdict {
            file: &source.name,
            valid: problems.is_empty(),
            errors: problems,
        })?;
    }
    match &found {
        Ok(topology) => {
            let (sites, actors) = (topology.site.len(), topology.actor.len());
            context.say(&format!(
                "{}: good, {sites} sites, {actors} actors",
                source.name
            ));
            Ok(())
        }
        Err(problems) => Err(report(context, &source, problems)),
    }
}

/// `chorus topo`.
pub fn topo(context: &Context, args: &TopoArgs) -> Outcome<()> {
    let topology = load(context, &args.file)?;
    output::either(args.format.format, &topology, || {
        if args.expand {
            topology::to_toml(&topology)
        } else {
            summary(&topology)
        }
    })
}

fn summary(topology: &Topology) -> String {
    let sites: Vec<Vec<String>> = topology
        .site
        .iter()
        .map(|site| {
            let actors = topology
                .actor
                .iter()
                .filter(|actor| actor.site.contains(&site.number))
                .map(|actor| actor.name.as_str());
            let actors = actors.collect::<Vec<_>>().join(" ");
            vec![
                site.number.to_string(),
                site.name.clone(),
                site.vcpus.to_string(),
                format_size(site.mem),
                actors,
            ]
        })
        .collect();
    let mut out = output::table(&[">SITE", "NAME", ">VCPUS", ">MEM", "ACTORS"], &sites);
    let rules = topology.rules();
    let every = told(&rules.set(0, 0));
    out.push_str(&format!(
        "\nfabric: {}{}{every}\n",
        topology.fabric.topology,
        if every.is_empty() {
            ""
        } else {
            ", every link "
        }
    ));
    if !topology.link.is_empty() {
        let name = |number: u16| {
            topology
                .site
                .get(usize::from(number) - 1)
                .map_or_else(String::new, |site| site.name.clone())
        };
        let links: Vec<Vec<String>> = topology
            .link
            .iter()
            .map(|link| {
                let ends = if link.one_way { "->" } else { "<->" };
                vec![
                    format!("{} {ends} {}", name(link.a), name(link.b)),
                    told(&rules.set(link.a, link.b)),
                ]
            })
            .collect();
        out.push('\n');
        out.push_str(&output::table(&["LINK", "PARAMETERS"], &links));
    }
    out
}
