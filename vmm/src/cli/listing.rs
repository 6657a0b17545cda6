//! `chorus ps`: sites, actors, clusters.

use super::args::{Format, PsArgs};
use super::context::Context;
use super::{actors, output};
use crate::cluster::client::Client;
use crate::cluster::control::{ActorInfo, Answer, Request, SiteInfo};
use crate::cluster::failure::Outcome;
use crate::cluster::footprint::Footprint;
use crate::cluster::runtime::{Runtime, State};
use crate::cluster::topology::format_size;
use serde::Serialize;
use std::time::Duration;

/// What `ps --format json` prints.
#[derive(Serialize)]
struct Listing {
    cluster: String,
    pid: i32,
    uptime_ns: u64,
    memory: Footprint,
    sites: Vec<SiteInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actors: Option<Vec<ActorInfo>>,
}

/// What `ps --clusters --format json` prints a cluster.
#[derive(Serialize)]
struct ClusterLine {
    name: String,
    state: &'static str,
    pid: Option<i32>,
    sites: Option<usize>,
}

/// `chorus ps`.
pub fn ps(context: &Context, args: &PsArgs) -> Outcome<()> {
    if args.clusters {
        return clusters(args.format.format);
    }
    let runtime = context.runtime()?;
    let mut client = Client::connect(&runtime)?;
    client.limit(Some(Duration::from_secs(90)))?;
    let (cluster, pid, uptime_ns, memory, mut sites) = match client.ask(&Request::Status)? {
        Answer::Cluster {
            name,
            pid,
            uptime_ns,
            memory,
            sites,
        } => (name, pid, uptime_ns, memory, sites),
        other => return Err(client.unexpected(&other)),
    };
    let mut site = None;
    if let Some(text) = &args.site {
        let number = actors::find(&sites, text)?;
        sites.retain(|site| site.site == number);
        site = Some(number);
    }
    // The process of this machine: inside the emulated host the cluster knows only its id there.
    let pid = match runtime.state() {
        State::Alive(identity) => identity.pid,
        State::Stale | State::Absent => pid,
    };
    let mut listing = Listing {
        cluster,
        pid,
        uptime_ns,
        memory,
        sites,
        actors: None,
    };
    if args.actors {
        listing.actors = match client.ask(&Request::Actors { site })? {
            Answer::Actors { actors } => Some(actors),
            other => return Err(client.unexpected(&other)),
        };
    }
    output::either(args.format.format, &listing, || {
        let mut out = site_table(&listing.sites);
        if let Some(actors) = &listing.actors {
            out.push('\n');
            out.push_str(&actor_table(actors));
        }
        out
    })
}

fn site_table(sites: &[SiteInfo]) -> String {
    // Pages move only where there is room for them.
    let paged = sites.iter().any(|site| site.swap > 0);
    let row = |site: &SiteInfo| {
        let state = match site.exit {
            Some(code) => format!("{}({code})", site.state.word()),
            None => site.state.word().to_owned(),
        };
        let mut cells = vec![
            site.site.to_string(),
            site.name.clone(),
            state,
            site.vcpus.to_string(),
            format_size(site.mem),
            format!("{:.1}M", site.touched as f64 / f64::from(1 << 20)),
            site.vm_exits.to_string(),
            site.frames_in.to_string(),
            site.frames_out.to_string(),
        ];
        if paged {
            cells.extend([site.pages_out, site.pages_in].map(|pages| pages.to_string()));
        }
        cells
    };
    let rows: Vec<Vec<String>> = sites.iter().map(row).collect();
    let mut head = vec![
        ">SITE",
        "NAME",
        "STATE",
        ">VCPUS",
        ">MEM",
        ">TOUCHED",
        ">EXITS",
        ">FRAMES-IN",
        ">FRAMES-OUT",
    ];
    if paged {
        head.extend([">PAGES-OUT", ">PAGES-IN"]);
    }
    output::table(&head, &rows)
}

fn actor_table(actors: &[ActorInfo]) -> String {
    let row = |actor: &ActorInfo| {
        vec![
            actor.site.to_string(),
            actor.actor.clone(),
            actor.name.clone(),
            actor.kind.clone(),
            actor.priority.to_string(),
            actor.threads.to_string(),
            actor.ports.to_string(),
            actor.pages.to_string(),
            if actor.stopped { "stopped" } else { "running" }.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = actors.iter().map(row).collect();
    let headings = [
        ">SITE",
        "ACTOR",
        "NAME",
        "KIND",
        ">PRIORITY",
        ">THREADS",
        ">PORTS",
        ">PAGES",
        "STATE",
    ];
    output::table(&headings, &rows)
}

fn clusters(format: Format) -> Outcome<()> {
    let lines: Vec<ClusterLine> = Runtime::all()?.iter().map(line).collect();
    output::either(format, &lines, || {
        let text = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
        let row = |line: &ClusterLine| {
            let (pid, sites) = (
                line.pid.map(|n| n.to_string()),
                line.sites.map(|n| n.to_string()),
            );
            vec![
                line.name.clone(),
                line.state.to_owned(),
                text(pid),
                text(sites),
            ]
        };
        let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
        output::table(&["CLUSTER", "STATE", ">PID", ">SITES"], &rows)
    })
}

fn line(runtime: &Runtime) -> ClusterLine {
    let record = std::fs::read(runtime.record()).ok();
    let plan = record.and_then(|bytes| crate::cluster::plan::Plan::from_json(&bytes).ok());
    let (state, pid) = match runtime.state() {
        State::Alive(identity) => ("running", Some(identity.pid)),
        State::Stale | State::Absent => ("killed", None),
    };
    ClusterLine {
        name: runtime.name().to_owned(),
        state,
        pid,
        sites: plan.map(|plan| plan.topology.site.len()),
    }
}
