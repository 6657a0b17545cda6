//! `chorus net`: how the Network Managers stand.

use super::actors::find;
use super::args::NetArgs;
use super::context::Context;
use super::output;
use crate::cluster::client::Client;
use crate::cluster::control::{Answer, Request, SiteInfo, SiteState};
use crate::cluster::failure::Outcome;
use crate::cluster::network::{NetInfo, Rows};
use chorus_abi::GATEWAY_SITE;
use std::time::Duration;

/// What people call the gateway.
const GATEWAY: &str = "gateway";

/// `chorus net`.
pub fn net(context: &Context, args: &NetArgs) -> Outcome<()> {
    let mut client = Client::connect(&context.runtime()?)?;
    client.limit(Some(Duration::from_secs(60)))?;
    let sites = match client.ask(&Request::Status)? {
        Answer::Cluster { sites, .. } => sites,
        other => return Err(client.unexpected(&other)),
    };
    let format = args.format.format;
    if let Some(text) = &args.site {
        let number = match text.as_str() {
            GATEWAY => GATEWAY_SITE,
            text => find(&sites, text)?,
        };
        let end = ask(&mut client, number)?;
        return output::either(format, &end, || whole(&end, &sites));
    }
    // Sites that do not run cannot be asked; `ps` tells why.
    let running = sites.iter().filter(|site| site.state == SiteState::Ready);
    let numbers = running.map(|site| site.site).chain([GATEWAY_SITE]);
    let ends = numbers
        .map(|number| ask(&mut client, number))
        .collect::<Outcome<Vec<NetInfo>>>()?;
    output::either(format, &ends, || lines(&ends, &sites))
}

fn ask(client: &mut Client, site: u16) -> Outcome<NetInfo> {
    match client.ask(&Request::Net { site })? {
        Answer::Net { end } => Ok(*end),
        other => Err(client.unexpected(&other)),
    }
}

fn name(number: u16, sites: &[SiteInfo]) -> String {
    if number == GATEWAY_SITE {
        return GATEWAY.to_owned();
    }
    let site = sites.iter().find(|site| site.site == number);
    site.map_or_else(|| number.to_string(), |site| site.name.clone())
}

fn count(end: &NetInfo, counter: &str) -> u64 {
    end.counters.get(counter).copied().unwrap_or(0)
}

/// Frames that were not believed, for whatever reason.
fn refused(end: &NetInfo) -> u64 {
    let refusals = end.counters.iter();
    let of_seals = refusals.filter(|(name, _)| {
        name.starts_with("refused_")
            && !["refused_identities", "refused_lists"].contains(&name.as_str())
    });
    of_seals.map(|(_, count)| count).sum::<u64>()
        + count(end, "malformed")
        + count(end, "misdirected")
        + count(end, "dead_incarnation")
}

fn lines(ends: &[NetInfo], sites: &[SiteInfo]) -> String {
    let rows: Vec<Vec<String>> = ends
        .iter()
        .map(|end| {
            let up = end.peers.rows.iter().filter(|peer| peer.standing == "up");
            let mut cells = vec![name(end.site, sites)];
            let numbers = [
                u64::from(end.incarnation),
                up.count() as u64,
                u64::from(end.peers.total),
                u64::from(end.calls.total),
                u64::from(end.services.total),
                u64::from(end.locations.total),
                count(end, "calls"),
                count(end, "retransmissions"),
                count(end, "frames_out"),
                count(end, "frames_in"),
                count(end, "sealed"),
                count(end, "opened"),
                refused(end),
            ];
            cells.extend(numbers.map(|number| number.to_string()));
            cells
        })
        .collect();
    let headings = [
        "SITE", ">INC", ">UP", ">PEERS", ">CALLING", ">SERVING", ">HINTS", ">CALLS", ">RESENT",
        ">OUT", ">IN", ">SEALED", ">OPENED", ">REFUSED",
    ];
    output::table(&headings, &rows)
}

/// A duration for people.
fn since(ns: Option<u64>) -> String {
    match ns {
        None => "never".to_owned(),
        Some(ns) if ns < 10_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        Some(ns) => format!("{:.1} s", ns as f64 / 1e9),
    }
}

/// A table under its title, or a word that there is nothing in it.
fn section<T>(
    title: &str,
    table: &Rows<T>,
    headings: &[&str],
    row: impl Fn(&T) -> Vec<String>,
) -> String {
    if table.total == 0 {
        return format!("{title}: none\n");
    }
    let rows: Vec<Vec<String>> = table.rows.iter().map(row).collect();
    let left_out = table.total as usize - rows.len().min(table.total as usize);
    let mut out = format!("{title}:\n{}", output::table(headings, &rows));
    if left_out > 0 {
        out.push_str(&format!("… and {left_out} more\n"));
    }
    out
}

fn whole(end: &NetInfo, sites: &[SiteInfo]) -> String {
    let name = |number: u16| name(number, sites);
    let mut out = format!(
        "{}, incarnation {}, frames {}\n\n",
        name(end.site),
        end.incarnation,
        if end.sealed { "sealed" } else { "in clear" }
    );
    let peers = [
        "SITE", ">INC", "STATE", ">MTU", ">CALLING", ">QUEUED", ">SERVING", ">KEPT", ">HEARD",
    ];
    out.push_str(&section("peers", &end.peers, &peers, |peer| {
        let detour = if peer.detour { ", by detour" } else { "" };
        vec![
            name(peer.site),
            peer.incarnation.to_string(),
            format!("{}{detour}", peer.standing),
            peer.mtu.to_string(),
            peer.calls.to_string(),
            peer.queued.to_string(),
            peer.serving.to_string(),
            peer.kept.to_string(),
            since(peer.heard_ns),
        ]
    }));
    out.push('\n');
    let calls = ["TARGET", "STATE", "SITE", ">MOVES", ">BYTES", ">HEARD"];
    out.push_str(&section(
        "calls of its clients",
        &end.calls,
        &calls,
        |call| {
            vec![
                call.target.clone(),
                call.state.clone(),
                call.site.map_or_else(|| "-".to_owned(), name),
                call.redirections.to_string(),
                call.bytes.to_string(),
                since(call.heard_ns),
            ]
        },
    ));
    let services = ["CLIENT", ">CHANNEL", ">NUMBER", ">ASKED"];
    let title = "requests of others in service";
    out.push_str(&section(title, &end.services, &services, |service| {
        vec![
            name(service.site),
            service.channel.to_string(),
            service.seq.to_string(),
            since(service.asked_ns),
        ]
    }));
    let locations = ["NAME", "CO-TARGET", "SITE", ">INC", ">EPOCH"];
    out.push_str(&section(
        "locations",
        &end.locations,
        &locations,
        |location| {
            vec![
                location.ui.clone(),
                location.co_target.clone().unwrap_or_else(|| "-".to_owned()),
                name(location.site),
                location.incarnation.to_string(),
                location.port_epoch.to_string(),
            ]
        },
    ));
    for (title, numbers) in [("tables", &end.sizes), ("counters", &end.counters)] {
        let rows: Vec<Vec<String>> = numbers
            .iter()
            .filter(|(_, count)| **count != 0)
            .map(|(name, count)| vec![name.replace('_', "-"), count.to_string()])
            .collect();
        out.push_str(&format!("\n{title} (those that are not 0):\n"));
        out.push_str(&output::table(&["NAME", ">COUNT"], &rows));
    }
    out
}
