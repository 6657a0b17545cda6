//! Scripts of the simulator: text, and back.
//!
//! A script is a file as `chorus.toml` is: what is done to links and sites stands in `[[event]]` in the very words of `chorus link`, `chorus fault` and so on, so that these events can be
//! taken over into the topology of a real cluster. Beside them stand the words for what clients do: `call`, `leave`, `send`, `replace`.

use crate::cluster::failure::{Failure, Outcome};
use crate::cluster::intervention::{self, Intervention};
use crate::cluster::topology::settings;
use chorus_fabric::{Change, Shape};
use chorus_sim::act::{Act, Ends, Target};
use chorus_sim::plant::Plant;
use chorus_sim::scenario::{Cluster, Scenario, Source};
use chorus_sim::site::Plan;
use serde::Deserialize;
use std::fmt::Write;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    seed: u64,
    sites: Spanned<u16>,
    topology: Option<Spanned<String>>,
    links: Option<Spanned<String>>,
    #[serde(default = "yes")]
    watch: bool,
    #[serde(default = "yes")]
    hello: bool,
    #[serde(default = "yes")]
    groups: bool,
    #[serde(default)]
    seal: bool,
    plant: Option<Spanned<String>>,
    #[serde(default)]
    event: Vec<Event>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    at: Spanned<String>,
    r#do: Spanned<String>,
}

fn yes() -> bool {
    true
}

/// Units of time, with their nanoseconds.
const UNITS: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A time such as `10m` or `2.5s`, exactly. Errors: a sentence.
pub fn parse_time(text: &str) -> Result<u64, String> {
    let wrong = || format!("\"{text}\" is not a time such as 2.5s (ns, us, ms, s, m, h)");
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let (number, unit) = text.split_at(text.len() - digits.len());
    let (_, scale) = UNITS
        .into_iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(wrong)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let mut time = whole.parse::<u64>().ok().and_then(|n| n.checked_mul(scale));
    let mut digit = scale;
    for c in part.chars() {
        digit /= 10;
        let more = c.to_digit(10).map(|value| u64::from(value) * digit);
        time = time
            .zip(more)
            .and_then(|(time, more)| time.checked_add(more));
    }
    time.ok_or_else(wrong)
}

/// A site's number from `s7`. Errors: a sentence.
fn site(sites: u16) -> impl Fn(&str) -> Result<u16, String> {
    move |word| {
        let number = word
            .strip_prefix('s')
            .and_then(|number| number.parse().ok());
        number
            .filter(|number| (1..=sites).contains(number))
            .ok_or_else(|| format!("there is no site {word}; there are s1 to s{sites}"))
    }
}

/// Reads a script; `name` stands in messages. Errors: status 4, with the line.
pub fn read(name: &str, text: &str) -> Outcome<Scenario> {
    let at = |span: std::ops::Range<usize>, problem: String| {
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Failure::bad_file(format!("{name}:{line}:{column}: {problem}"))
    };
    let file: File = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        at(span, error.message().to_owned())
    })?;
    let sites = *file.sites.get_ref();
    if !(2..=8190).contains(&sites) {
        return Err(at(file.sites.span(), "there can be 2 to 8190 sites".into()));
    }
    let mut cluster = Cluster::new(file.seed, sites);
    if let Some(word) = &file.topology {
        let shape = Shape::parse(word.get_ref());
        let shape = shape.and_then(|shape| shape.graph(sites, file.seed).map(|_| shape));
        cluster.topology = shape.map_err(|problem| at(word.span(), problem))?;
    }
    if let Some(words) = &file.links {
        let read = links(words.get_ref().split_whitespace());
        cluster.links = read.map_err(|problem| at(words.span(), problem))?;
    }
    if let Some(word) = &file.plant {
        cluster.plant = Plant::find(word.get_ref())
            .ok_or_else(|| at(word.span(), format!("no such bug: {}", word.get_ref())))?;
    }
    (cluster.watch, cluster.hello) = (file.watch, file.hello);
    (cluster.groups, cluster.seal) = (file.groups, file.seal);
    let mut acts = Vec::new();
    let mut last = 0;
    for event in &file.event {
        let time =
            parse_time(event.at.get_ref()).map_err(|problem| at(event.at.span(), problem))?;
        if time < last {
            let problem = "this time is past already: before the event above".to_owned();
            return Err(at(event.at.span(), problem));
        }
        last = time;
        let words: Vec<&str> = event.r#do.get_ref().split_whitespace().collect();
        let act = parse(&words, sites).map_err(|problem| at(event.r#do.span(), problem))?;
        acts.push((time, act));
    }
    Ok(Scenario {
        cluster,
        source: Source::Script(acts),
    })
}

/// Parameters of all links. Errors: a sentence.
pub fn links<'w>(words: impl Iterator<Item = &'w str>) -> Result<Change, String> {
    let mut change = Change::default();
    for word in words {
        change = settings::parse_assignment(word)?.or(change);
    }
    Ok(change)
}

/// Reads what is done. Errors: a sentence.
fn parse(words: &[&str], sites: u16) -> Result<Act, String> {
    let find = site(sites);
    let number = |word: &str| {
        let number = word.parse::<u32>();
        number.map_err(|_| format!("\"{word}\" is not a number"))
    };
    let target = |word: &str| match (word, word.strip_prefix("nowhere:")) {
        ("group", _) => Ok(Target::Group),
        ("all", _) => Ok(Target::All),
        (_, Some(site)) => find(site).map(Target::Nowhere),
        _ => find(word).map(Target::Site),
    };
    match words {
        ["call", tag, from, to, rest @ ..] => {
            let mut plan = Plan::NULL;
            let mut body = 0;
            for word in rest {
                match word.split_once('=').unwrap_or((word, "")) {
                    ("body", bytes) => body = number(bytes)?.min(65_536),
                    ("reply", bytes) => plan.reply = number(bytes)?.min(65_536) as usize,
                    ("queue", time) => plan.queue = parse_time(time)?,
                    ("service", time) => plan.service = parse_time(time)?,
                    ("annex", "") => plan.annex = true,
                    _ => {
                        return Err(format!(
                            "a call takes body, reply, queue, service and annex, not \"{word}\""
                        ));
                    }
                }
            }
            let to = match target(to)? {
                Target::All => return Err("nobody can call all members of a group".to_owned()),
                to => to,
            };
            Ok(Act::Call {
                tag: number(tag)?,
                from: find(from)?,
                to,
                body,
                plan,
            })
        }
        ["leave", tag] => Ok(Act::Leave { tag: number(tag)? }),
        ["send", from, to, rest @ ..] => {
            let body = match rest {
                [] => 0,
                [word] if word.starts_with("body=") => number(&word[5..])?.min(65_536),
                _ => return Err("a message takes body=BYTES".to_owned()),
            };
            Ok(Act::Send {
                from: find(from)?,
                to: target(to)?,
                body,
            })
        }
        ["replace", site] => Ok(Act::Replace { site: find(site)? }),
        ["migrate", server, to, rest @ ..] => Ok(Act::Migrate {
            server: find(server)?,
            to: find(to)?,
            drop: match rest {
                [] => false,
                ["drop"] => true,
                _ => return Err("a server that migrates takes drop".to_owned()),
            },
        }),
        words => Intervention::parse(words, &find)
            .map_err(|problem| format!("{problem}; and call, leave, send, replace, migrate"))
            .and_then(act),
    }
}

/// What is done to a cluster, done to sites of the simulator.
fn act(what: Intervention) -> Result<Act, String> {
    Ok(match what {
        Intervention::Set { ends, change } => Act::Set {
            ends: match ends {
                intervention::Ends::All => Ends::All,
                intervention::Ends::Both(a, b) => Ends::Both(a, b),
                intervention::Ends::OneWay(a, b) => Ends::OneWay(a, b),
            },
            change,
        },
        Intervention::Reset { .. } => return Err("a script sets links, it resets none".to_owned()),
        Intervention::Partition { parts } => Act::Partition { parts },
        Intervention::Heal => Act::Heal,
        Intervention::Fault { fault } => Act::Fault { fault },
        Intervention::Pause { site } => Act::Pause { site },
        Intervention::Resume { site } => Act::Resume { site },
        Intervention::Kill { site } => Act::Kill { site },
        Intervention::Restart { site } => Act::Restart { site },
    })
}

fn name(site: u16) -> String {
    format!("s{site}")
}

/// An act as it is written.
fn words(act: &Act) -> String {
    let target = |to: &Target| match to {
        Target::Site(site) => name(*site),
        Target::Group => "group".to_owned(),
        Target::All => "all".to_owned(),
        Target::Nowhere(site) => format!("nowhere:{}", name(*site)),
    };
    let done = match act.clone() {
        Act::Call {
            tag,
            from,
            to,
            body,
            plan,
        } => {
            let mut text = format!("call {tag} {} {}", name(from), target(&to));
            if body > 0 {
                let _ = write!(text, " body={body}");
            }
            if plan.reply > 0 {
                let _ = write!(text, " reply={}", plan.reply);
            }
            for (word, time) in [("queue", plan.queue), ("service", plan.service)] {
                if time > 0 {
                    let _ = write!(text, " {word}={}", settings::time(time));
                }
            }
            if plan.annex {
                text.push_str(" annex");
            }
            return text;
        }
        Act::Leave { tag } => return format!("leave {tag}"),
        Act::Send { from, to, body } => {
            let mut text = format!("send {} {}", name(from), target(&to));
            if body > 0 {
                let _ = write!(text, " body={body}");
            }
            return text;
        }
        Act::Replace { site } => return format!("replace {}", name(site)),
        Act::Migrate { server, to, drop } => {
            let drop = if drop { " drop" } else { "" };
            return format!("migrate {} {}{drop}", name(server), name(to));
        }
        Act::Kill { site } => Intervention::Kill { site },
        Act::Restart { site } => Intervention::Restart { site },
        Act::Pause { site } => Intervention::Pause { site },
        Act::Resume { site } => Intervention::Resume { site },
        Act::Set { ends, change } => Intervention::Set {
            ends: match ends {
                Ends::All => intervention::Ends::All,
                Ends::Both(a, b) => intervention::Ends::Both(a, b),
                Ends::OneWay(a, b) => intervention::Ends::OneWay(a, b),
            },
            change,
        },
        Act::Partition { parts } => Intervention::Partition { parts },
        Act::Heal => Intervention::Heal,
        Act::Fault { fault } => Intervention::Fault { fault },
    };
    done.text(&name)
}

/// A script as it is written; `about` stands above it. Only scripts can be written, not programs.
pub fn text(scenario: &Scenario, about: &str) -> String {
    let Cluster {
        seed,
        sites,
        topology,
        links,
        watch,
        hello,
        groups,
        seal,
        plant,
    } = &scenario.cluster;
    let mut out = format!("# {about}\nseed = {seed}\nsites = {sites}\ntopology = \"{topology}\"\n");
    if !links.is_empty() {
        let links: Vec<String> = settings::changed(links)
            .iter()
            .map(|(key, value)| format!("{key}={}", value.replace(' ', ":")))
            .collect();
        let _ = writeln!(out, "links = \"{}\"", links.join(" "));
    }
    let _ = writeln!(out, "watch = {watch}\nhello = {hello}\ngroups = {groups}");
    if *seal {
        out.push_str("seal = true\n");
    }
    if *plant != Plant::None {
        let _ = writeln!(out, "plant = \"{}\"", plant.name());
    }
    if let Source::Script(acts) = &scenario.source {
        for (time, act) in acts {
            let time = settings::time(*time);
            let _ = write!(
                out,
                "\n[[event]]\nat = \"{time}\"\ndo = \"{}\"\n",
                words(act)
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact() {
        assert_eq!(parse_time("2.0013s"), Ok(2_001_300_000));
        assert_eq!(parse_time("1923235152ns"), Ok(1_923_235_152));
        assert_eq!(parse_time("8h"), Ok(8 * 3_600_000_000_000));
        for bad in ["", "5", "s", "1.2.3s", "99999999999999999h", "5 s", "1.xs"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let script = "# why\nseed = 7\nsites = 3\ntopology = \"ring\"\nlinks = \"latency=1ms\"\nwatch = false\nhello = true\ngroups = true\nseal = true\nplant = \"twice\"\n";
        let mut script = script.to_owned();
        for (at, what) in [
            (
                "2s",
                "call 1 s1 s2 body=10 reply=7 queue=3us service=1923235152ns annex",
            ),
            ("2s", "call 2 s1 group"),
            ("2001ms", "call 3 s2 nowhere:s3"),
            ("2001ms", "leave 2"),
            ("2001ms", "send s3 all body=5"),
            ("2001ms", "replace s2"),
            ("2001ms", "migrate s1 s3"),
            ("2001ms", "migrate s3 s2 drop"),
            ("2001ms", "link set all loss=5% burst=1%/10%/100%"),
            ("2001ms", "link set s1->s2 cut=yes"),
            ("2001ms", "partition s1,s2 s3"),
            ("2001ms", "heal"),
            ("2001ms", "fault drop 3 REPLY from s1 to s2"),
            ("2001ms", "site kill s3"),
            ("2001ms", "site restart s3"),
        ] {
            let _ = write!(script, "\n[[event]]\nat = \"{at}\"\ndo = \"{what}\"\n");
        }
        let read = read("x", &script).unwrap();
        assert_eq!(text(&read, "why"), script);
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let head = "seed = 1\nsites = 3\n";
        for (body, place, word) in [
            (
                "[[event]]\nat = \"2s\"\ndo = \"call 1 s1 s9\"",
                ":5:6:",
                "no site s9",
            ),
            (
                "[[event]]\nat = \"2\"\ndo = \"heal\"",
                ":4:6:",
                "not a time",
            ),
            (
                "[[event]]\nat = \"2s\"\ndo = \"hail\"",
                ":5:6:",
                "nothing that can be done",
            ),
            (
                "[[event]]\nat = \"2s\"\ndo = \"call 1 s1 all\"",
                ":5:6:",
                "nobody can call",
            ),
            ("topology = \"torus,2,2\"", ":3:12:", "joins 4 sites"),
            ("colour = 1", ":3:1:", "unknown field"),
            (
                "[[event]]\nat = \"2s\"\ndo = \"heal\"\n[[event]]\nat = \"1s\"\ndo = \"heal\"",
                ":7:6:",
                "past already",
            ),
        ] {
            let failure = read("f", &format!("{head}{body}\n")).unwrap_err();
            assert!(
                failure.what.contains(place) && failure.what.contains(word),
                "{failure:?}"
            );
            assert_eq!(failure.status.code(), 4);
        }
    }
}
