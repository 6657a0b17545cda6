//! What it costs to find a port as the number of sites grows.

use super::network::Faults;
use super::random::Random;
use super::setup::Setup;
use super::site::Plan;
use super::world::{SEC, World};
use chorus_abi::KnUniqueId;
use chorus_transport::frame::KIND_NAMES;
use std::fmt::Write;

/// One number of sites.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Row {
    /// Sites.
    pub sites: u16,
    /// Calls of pairs of sites that had not called yet.
    pub first: u64,
    /// Frames of locating that they cost (LOCATE, HERE, NOT-HERE).
    pub locating: u64,
    /// Of these, broadcasts.
    pub broadcasts: u64,
    /// Calls of the same pairs afterwards.
    pub later: u64,
    /// Frames of locating that they cost.
    pub locating_later: u64,
    /// All frames of the later calls.
    pub frames_later: u64,
    /// Events of the run.
    pub events: u64,
}

/// The numbers of sites that are looked at.
pub const SITES: [u16; 13] = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8000];

/// Pairs that call.
const PAIRS: usize = 2000;

/// Servers on all sites, on ports that never moved, and pairs of sites of which one calls the other, twice.
///
/// # Panics
/// When a call does not end well: there is no fault in this world.
pub fn row(seed: u64, sites: u16) -> Row {
    let setup = Setup {
        hello: false,
        seal: false,
        ..Setup::new(seed, sites, Faults::NONE)
    };
    let mut world = World::build(&setup, |_| {});
    world.record = true;
    let ports: Vec<KnUniqueId> = (1..=sites).map(|site| world.open(site, 4096)).collect();
    let mut random = Random::new(seed ^ 0x5CA1E);
    let mut pairs = std::collections::BTreeSet::new();
    let all = usize::from(sites) * (usize::from(sites) - 1);
    while pairs.len() < PAIRS.min(all) {
        let from = 1 + random.below(sites.into()) as u16;
        let to = 1 + random.below(sites.into()) as u16;
        if from != to {
            pairs.insert((from, to));
        }
    }
    let round = |world: &mut World| {
        world.sent.clear();
        let calls: Vec<u32> = pairs
            .iter()
            .map(|&(from, to)| world.call(from, ports[usize::from(to) - 1], b"found", Plan::NULL))
            .collect();
        world.run(SEC / 2);
        for call in calls {
            assert!(
                !world.waits(call),
                "call {call} of {sites} sites did not end"
            );
        }
        let locating = |sent: &&super::world::Sent| {
            let kind = KIND_NAMES[usize::from(sent.kind)];
            matches!(kind, "LOCATE" | "HERE" | "NOT-HERE")
        };
        let found = world.sent.iter().filter(locating).count() as u64;
        let all = world.sent.iter().filter(|sent| sent.to == 0).count() as u64;
        (found, all, world.sent.len() as u64)
    };
    let (locating, broadcasts, _) = round(&mut world);
    let (locating_later, _, frames_later) = round(&mut world);
    Row {
        sites,
        first: pairs.len() as u64,
        locating,
        broadcasts,
        later: pairs.len() as u64,
        locating_later,
        frames_later,
        events: world.steps,
    }
}

/// The rows as a plot: frames of locating for a call, over the number of sites on a logarithmic axis.
pub fn plot(rows: &[Row]) -> String {
    let (left, top, width, height) = (70.0, 50.0, 560.0, 240.0);
    let most = f64::from(SITES[SITES.len() - 1]).log2();
    let x = |sites: u16| left + width * f64::from(sites).log2() / most;
    let y = |frames: f64| top + height * (1.0 - frames / 4.0);
    let mut out = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 660 350\" width=\"660\" height=\"350\">\n<style>text{font:12px ui-monospace,'DejaVu Sans Mono',monospace;fill:#222}.axis{stroke:#888}.grid{stroke:#e5e5e5}.end{text-anchor:end}.mid{text-anchor:middle}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"16\" y=\"24\" font-weight=\"bold\">Frames of locating for one call to a port that never moved</text>\n",
    );
    for frames in 0..=4 {
        let at = y(f64::from(frames));
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{left}\" x2=\"{}\" y1=\"{at}\" y2=\"{at}\"/><text class=\"end\" x=\"{}\" y=\"{}\">{frames}</text>",
            left + width,
            left - 8.0,
            at + 4.0
        );
    }
    for row in rows {
        let (at, foot) = (x(row.sites), top + height);
        let _ = writeln!(
            out,
            "<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{foot}\" y2=\"{}\"/><text class=\"mid\" x=\"{at:.1}\" y=\"{}\">{}</text>",
            foot + 5.0,
            foot + 19.0,
            row.sites
        );
    }
    let _ = writeln!(
        out,
        "<text class=\"mid\" x=\"{}\" y=\"{}\">sites</text>",
        left + width / 2.0,
        top + height + 42.0
    );
    type Of = fn(&Row) -> f64;
    let curves: [(&str, &str, Of); 2] = [
        ("first call between two sites", "#8a3ab9", |row| {
            row.locating as f64 / row.first.max(1) as f64
        }),
        ("later calls", "#18803c", |row| {
            row.locating_later as f64 / row.later.max(1) as f64
        }),
    ];
    for (name, colour, of) in curves {
        let points: Vec<String> = rows
            .iter()
            .map(|row| format!("{:.1},{:.1}", x(row.sites), y(of(row))))
            .collect();
        let _ = writeln!(
            out,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
            points.join(" ")
        );
        for row in rows {
            let (x, y) = (x(row.sites), y(of(row)));
            let _ = writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
            );
        }
        if let Some(row) = rows.first() {
            let (x, y) = (x(row.sites) + 8.0, y(of(row)) - 8.0);
            let _ = writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" style=\"fill:{colour}\">{name}</text>"
            );
        }
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_found_at_the_same_cost_among_2_and_among_2000_sites() {
        for sites in [2, 50, 2000] {
            let row = row(1, sites);
            assert_eq!(row.locating, 2 * row.first, "{row:?}");
            assert_eq!((row.broadcasts, row.locating_later), (0, 0), "{row:?}");
            assert_eq!(row.frames_later, 2 * row.later, "{row:?}");
        }
    }
}
