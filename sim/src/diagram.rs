//! A space-time diagram as SVG: a line for each site, time downwards, an arrow for each frame.
//!
//! Time is not to scale: what happens close together stands apart, and long waits are short; the times stand at the left. Only a window of a run is drawn, before the break if there is one.

use super::history::Happening;
use super::invariants::What;
use super::scenario::Report;
use super::trace::{Arrow, Moment, Trace};
use chorus_transport::frame::KIND_NAMES;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Frames that are drawn at most.
const FRAMES: usize = 60;
/// Columns of sites that are drawn at most.
const SITES: usize = 12;
/// Room for times, for notes beside the first and the last site, between sites, above the first row, in pixels.
const LEFT: f64 = 78.0;
const BESIDE: f64 = 250.0;
const COLUMN: f64 = 190.0;
const TOP: f64 = 84.0;

/// Something written at a site's line.
struct Note {
    time: u64,
    site: u16,
    text: String,
    class: &'static str,
}

/// The part of a run that is drawn.
struct Window<'a> {
    arrows: Vec<&'a Arrow>,
    notes: Vec<Note>,
    sites: Vec<u16>,
    moments: Vec<(u64, u16, Moment)>,
    rows: BTreeMap<u64, f64>,
    end: f64,
    /// Virtual time at which the run ended.
    stopped: u64,
}

/// A frame that has not landed after so long is lost, in nanoseconds.
const ON_ITS_WAY: u64 = 10_000_000;

/// Time as text: with as many digits as it has.
fn time(nanoseconds: u64) -> String {
    let text = format!("{:.5}", nanoseconds as f64 / 1e9);
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Class of a frame's kind: what it is about.
fn class(kind: u8) -> &'static str {
    match KIND_NAMES.get(usize::from(kind)).copied().unwrap_or("") {
        "REQUEST" | "SEND" => "request",
        "REPLY" => "reply",
        "LOCATE" | "HERE" | "NOT-HERE" => "locate",
        "NACK" | "CANCEL" | "CANCELLED" => "refuse",
        "HELLO" | "PING" | "PONG" | "RELAY" | "NEWS" | "GROUPS" | "GROUPS-ASK" => "watch",
        _ => "control",
    }
}

/// Frames that tell of sites and groups, not of calls.
fn is_watch(arrow: &Arrow) -> bool {
    class(arrow.kind) == "watch"
}

fn note(happening: Happening, call: u32) -> (String, &'static str) {
    match happening {
        Happening::Issued(_) => (format!("makes call {call}"), "note"),
        Happening::Executed(_) => (format!("executes {call}"), "work"),
        Happening::Answered(_) => (format!("answers {call}"), "work"),
        Happening::Ended(0, _) => (format!("{call} has its reply"), "note"),
        Happening::Ended(error, _) => (format!("{call} ends: {}", error_name(error)), "bad"),
        Happening::Left => (format!("client of {call} leaves"), "bad"),
    }
}

fn error_name(error: i32) -> String {
    use chorus_abi::error;
    match error {
        error::K_EUNKNOWN => "K_EUNKNOWN (not executed)".to_owned(),
        error::K_EFULL => "K_EFULL (not executed)".to_owned(),
        error::K_ELINKFAILURE => "K_ELINKFAILURE (unknown)".to_owned(),
        error::K_ENOPORT => "K_ENOPORT".to_owned(),
        other => format!("error {other}"),
    }
}

impl<'a> Window<'a> {
    fn new(trace: &'a Trace, report: &Report) -> Window<'a> {
        let of = match report.broken.map(|broken| broken.what) {
            Some(What::Call(call, _)) => Some(call),
            _ => None,
        };
        let of_call = |&&(_, _, other, _): &&(u64, u16, u32, Happening)| Some(other) == of;
        let times = trace.calls.iter().filter(of_call).map(|event| event.0);
        let end = match report.broken {
            Some(broken) if !matches!(broken.what, What::Leak(..) | What::Views) => {
                // A call that hangs is found long after the last thing that happened to it.
                let last = trace.calls.last().map_or(broken.time, |event| event.0);
                broken.time.min(last.saturating_add(10_000_000_000))
            }
            _ => trace.calls.last().map_or(report.time, |event| event.0),
        };
        let begin = times.min().unwrap_or(0);
        let before = |arrow: &&Arrow| arrow.time <= end;
        let mut arrows: Vec<&Arrow> = trace.arrows.iter().filter(before).collect();
        if of.is_some() {
            arrows.retain(|arrow| arrow.time >= begin || !is_watch(arrow));
        }
        let since = arrows.partition_point(|arrow| arrow.time < begin);
        if arrows.len() > FRAMES {
            // Frames that tell of sites are many, and seldom what it is about.
            arrows.drain(..since.min(arrows.len() - FRAMES));
            arrows.retain(|arrow| !is_watch(arrow));
            arrows.drain(..arrows.len().saturating_sub(FRAMES));
        }
        let first = arrows.first().map_or(begin, |arrow| arrow.time);
        let within = |time: u64| (first..=end).contains(&time);
        let mut sites: BTreeSet<u16> = BTreeSet::new();
        for (_, site, ..) in trace.calls.iter().filter(of_call) {
            sites.insert(*site);
        }
        for arrow in &arrows {
            for site in [arrow.from, arrow.to] {
                if sites.len() < SITES && site > 0 {
                    sites.insert(site);
                }
            }
        }
        let moments: Vec<(u64, u16, Moment)> = trace
            .moments
            .iter()
            .filter(|(time, site, _)| *time <= end && sites.contains(site))
            .copied()
            .collect();
        arrows.retain(|arrow| {
            sites.contains(&arrow.from) && (arrow.to == 0 || sites.contains(&arrow.to))
        });
        let mut notes: Vec<Note> = Vec::new();
        for (time, site, call, happening) in &trace.calls {
            let shown = within(*time) || Some(*call) == of && *time <= end;
            if shown && sites.contains(site) {
                let (text, class) = note(*happening, *call);
                notes.push(Note {
                    time: *time,
                    site: *site,
                    text,
                    class,
                });
            }
        }
        for &(time, site, moment) in moments.iter().filter(|(time, ..)| within(*time)) {
            let (text, class) = match moment {
                Moment::Started => ("switched on", "note"),
                Moment::Killed => ("loses its power", "bad"),
                Moment::Paused => ("stands still", "bad"),
                Moment::Resumed => ("goes on", "note"),
                Moment::Renewed => ("takes the next incarnation", "bad"),
            };
            let text = text.to_owned();
            notes.push(Note {
                time,
                site,
                text,
                class,
            });
        }
        notes.sort_by_key(|note| (note.time, note.site));
        if let Some(broken) = report.broken
            && within(broken.time)
        {
            let site = match sites.contains(&broken.site) {
                true => broken.site,
                false => sites.first().copied().unwrap_or(1),
            };
            notes.push(Note {
                time: broken.time,
                site,
                text: "✗ broken here".to_owned(),
                class: "broken",
            });
        }
        let (rows, end) = rows(&arrows, &notes, end);
        Window {
            arrows,
            notes,
            sites: sites.into_iter().collect(),
            moments,
            rows,
            end,
            stopped: report.time,
        }
    }

    fn x(&self, site: u16) -> Option<f64> {
        let column = self.sites.iter().position(|known| *known == site)?;
        Some(LEFT + BESIDE + COLUMN * column as f64)
    }

    /// Where a time is; one between rows is between them.
    fn y(&self, time: u64) -> f64 {
        let at = self.rows.range(..=time).next_back().map(|(_, y)| *y);
        at.unwrap_or(TOP - 14.0).min(self.end)
    }
}

/// Where each time is drawn, and where the last line ends.
fn rows(arrows: &[&Arrow], notes: &[Note], end: u64) -> (BTreeMap<u64, f64>, f64) {
    let mut times: BTreeSet<u64> = notes.iter().map(|note| note.time).collect();
    for arrow in arrows {
        times.insert(arrow.time);
        times.extend(
            arrow
                .landed
                .iter()
                .map(|(time, _)| *time)
                .filter(|time| *time <= end),
        );
    }
    let mut stacked: BTreeMap<u64, BTreeMap<u16, u32>> = BTreeMap::new();
    for note in notes {
        *stacked
            .entry(note.time)
            .or_default()
            .entry(note.site)
            .or_default() += 1;
    }
    let mut rows = BTreeMap::new();
    let (mut y, mut last) = (TOP, None);
    for time in times {
        if let Some(last) = last {
            // 16 pixels, and more for each factor of ten of waiting.
            let wait = ((time - last) as f64 / 20_000.0).max(1.0).log10();
            y += 16.0 + 8.0 * wait.min(5.0);
        }
        rows.insert(time, y);
        let most = stacked.get(&time).and_then(|sites| sites.values().max());
        y += 13.0 * f64::from(most.map_or(0, |most| most - 1));
        last = Some(time);
    }
    (rows, y + 26.0)
}

const STYLE: &str = "\
text{font:12px ui-monospace,'DejaVu Sans Mono',Menlo,monospace;fill:#222}\
.title{font-weight:bold;font-size:15px}.sub,.time{fill:#666}.time{font-size:11px;text-anchor:end}\
.grid{stroke:#eee}.life{stroke:#888;stroke-width:2}.off{stroke:#d33;stroke-width:1.5;stroke-dasharray:1 5}\
.still{stroke:#e90;stroke-width:6;stroke-opacity:.35}.head{font-weight:bold;text-anchor:middle;font-size:13px}\
.arrow{fill:none;stroke-width:1.5}.request{stroke:#1a62c4}.reply{stroke:#18803c}.locate{stroke:#8a3ab9}\
.refuse{stroke:#c2660c}.watch{stroke:#bbb}.control{stroke:#555}.lost{stroke-dasharray:5 3}\
.kind{font-size:10px;text-anchor:middle;paint-order:stroke;stroke:#fff;stroke-width:3px;fill:#444}\
.note,.work,.bad,.broken{font-size:11px;paint-order:stroke;stroke:#fff;stroke-width:3px}\
.left{text-anchor:end}.work{fill:#18803c}.bad{fill:#c2660c}.broken{fill:#d11;font-weight:bold;font-size:13px}\
.dot{fill:#222}.dotwork{fill:#18803c}.dotbad{fill:#c2660c}.dotbroken{fill:#d11}.cross{stroke:#d11;stroke-width:2}";

/// Text as it may stand in XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The diagram of a run whose trace was kept; `title` stands above it. `None`: nothing was kept.
pub fn svg(report: &Report, title: &str) -> Option<String> {
    let trace = report.trace.as_ref()?;
    let window = Window::new(trace, report);
    let columns = window.sites.len().max(2) - 1;
    let width = LEFT + 2.0 * BESIDE + COLUMN * columns as f64;
    let height = window.end + 40.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\">\n<style>{STYLE}</style>\n<defs>\n"
    );
    let colours = [
        ("request", "#1a62c4"),
        ("reply", "#18803c"),
        ("locate", "#8a3ab9"),
        ("refuse", "#c2660c"),
        ("watch", "#bbb"),
        ("control", "#555"),
    ];
    for (class, colour) in colours {
        let _ = writeln!(
            out,
            "<marker id=\"{class}\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"{colour}\"/></marker>"
        );
    }
    out.push_str("</defs>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
    let what = match report.broken {
        Some(broken) => format!(
            "{} (at s{}, {})",
            broken.what,
            broken.site,
            time(broken.time)
        ),
        None => "nothing was broken".to_owned(),
    };
    let _ = writeln!(
        out,
        "<text class=\"title\" x=\"16\" y=\"24\">{}</text>\n<text class=\"sub\" x=\"16\" y=\"42\">{}</text>",
        escaped(title),
        escaped(&what)
    );
    window.draw_rows(&mut out, width);
    window.draw_lines(&mut out);
    window.draw_arrows(&mut out);
    window.draw_notes(&mut out);
    draw_legend(&mut out, height - 14.0);
    out.push_str("</svg>\n");
    Some(out)
}

impl Window<'_> {
    fn draw_rows(&self, out: &mut String, width: f64) {
        let mut free = 0.0;
        for (moment, y) in &self.rows {
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{width}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
            );
            if *y >= free {
                let text = time(*moment);
                let (x, y) = (LEFT - 8.0, y + 4.0);
                let _ = writeln!(
                    out,
                    "<text class=\"time\" x=\"{x}\" y=\"{y:.1}\">{text}</text>"
                );
                free = y + 8.0;
            }
        }
    }

    /// The line of each site: none while it has no power, thick while it stands still.
    fn draw_lines(&self, out: &mut String) {
        for &site in &self.sites {
            let Some(x) = self.x(site) else { continue };
            let y = TOP - 22.0;
            let _ = writeln!(
                out,
                "<text class=\"head\" x=\"{x}\" y=\"{y}\">s{site}</text>"
            );
            let mut from = TOP - 14.0;
            let mut class = "life";
            let line = |out: &mut String, class: &str, from: f64, to: f64| {
                if to > from {
                    let _ = writeln!(
                        out,
                        "<line class=\"{class}\" x1=\"{x}\" x2=\"{x}\" y1=\"{from:.1}\" y2=\"{to:.1}\"/>"
                    );
                }
            };
            for &(time, _, moment) in self.moments.iter().filter(|(_, of, _)| *of == site) {
                let to = self.y(time);
                line(out, class, from, to);
                from = to;
                class = match moment {
                    Moment::Killed => "off",
                    Moment::Paused => "still",
                    Moment::Started | Moment::Resumed | Moment::Renewed => "life",
                };
            }
            line(out, class, from, self.end);
        }
    }

    fn draw_arrows(&self, out: &mut String) {
        for arrow in &self.arrows {
            let Some(x1) = self.x(arrow.from) else {
                continue;
            };
            let y1 = self.y(arrow.time);
            let class = class(arrow.kind);
            let kind = KIND_NAMES.get(usize::from(arrow.kind)).unwrap_or(&"?");
            let ends = arrow.landed.iter().filter_map(|(time, site)| {
                let y = self.y(*time);
                Some((self.x(*site)?, y, self.rows.contains_key(time)))
            });
            let mut any = false;
            for (x2, y2, drawn) in ends {
                any = true;
                // One that lands after the window goes out of it.
                let y2 = if drawn { y2 } else { self.end };
                let _ = writeln!(
                    out,
                    "<line class=\"arrow {class}\" marker-end=\"url(#{class})\" x1=\"{x1}\" y1=\"{y1:.1}\" x2=\"{x2}\" y2=\"{y2:.1}\"/>"
                );
                label(out, kind, (x1, y1), (x2, y2), 0.5);
            }
            let Some(to) = self.x(arrow.to).filter(|_| !any) else {
                continue;
            };
            let (x2, y2) = (x1 + (to - x1) * 0.6, y1 + 12.0);
            let _ = writeln!(
                out,
                "<line class=\"arrow lost {class}\" x1=\"{x1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
            );
            // One that was sent at last may be on its way yet.
            if arrow.time + ON_ITS_WAY <= self.stopped {
                let (x, y) = (x2 - 4.0, y2 - 4.0);
                let _ = writeln!(
                    out,
                    "<path class=\"cross\" d=\"M{x:.1} {y:.1}l8 8m0 -8l-8 8\"/>"
                );
            }
            label(out, kind, (x1, y1), (x2, y2), 0.5);
        }
    }

    fn draw_notes(&self, out: &mut String) {
        let mut used: BTreeMap<(u64, u16), u32> = BTreeMap::new();
        for note in &self.notes {
            let Some(x) = self.x(note.site) else { continue };
            let line = used.entry((note.time, note.site)).or_default();
            let y = self.y(note.time) + 13.0 * f64::from(*line);
            *line += 1;
            let (class, dot) = match note.class {
                "work" => ("work", "dotwork"),
                "bad" => ("bad", "dotbad"),
                "broken" => ("broken", "dotbroken"),
                class => (class, "dot"),
            };
            // Beside the first site there is room on its left, where no arrows are.
            let (side, tx) = match self.sites.first() == Some(&note.site) {
                true => (" left", x - 9.0),
                false => ("", x + 9.0),
            };
            let ty = y + 4.0;
            let _ = writeln!(
                out,
                "<circle class=\"{dot}\" cx=\"{x}\" cy=\"{y:.1}\" r=\"4\"/><text class=\"{class}{side}\" x=\"{tx}\" y=\"{ty:.1}\">{}</text>",
                escaped(&note.text)
            );
        }
    }
}

/// The kind of a frame along its arrow.
fn label(out: &mut String, kind: &str, a: (f64, f64), b: (f64, f64), part: f64) {
    let x = a.0 + (b.0 - a.0) * part;
    let y = a.1 + (b.1 - a.1) * part - 3.0;
    let _ = writeln!(
        out,
        "<text class=\"kind\" x=\"{x:.1}\" y=\"{y:.1}\">{kind}</text>"
    );
}

fn draw_legend(out: &mut String, y: f64) {
    let parts = [
        ("request", "requests"),
        ("reply", "replies"),
        ("locate", "searches"),
        ("refuse", "refusals"),
        ("control", "other"),
        ("watch", "sites"),
    ];
    let mut x = 16.0;
    for (class, text) in parts {
        let (end, at) = (x + 20.0, x + 25.0);
        let _ = writeln!(
            out,
            "<line class=\"arrow {class}\" x1=\"{x}\" x2=\"{end}\" y1=\"{y}\" y2=\"{y}\"/><text class=\"sub\" x=\"{at}\" y=\"{}\">{text}</text>",
            y + 4.0
        );
        x += 100.0;
    }
    let _ = writeln!(
        out,
        "<path class=\"cross\" d=\"M{x} {}l8 8m0 -8l-8 8\"/><text class=\"sub\" x=\"{}\" y=\"{}\">lost</text>",
        y - 4.0,
        x + 14.0,
        y + 4.0
    );
}
