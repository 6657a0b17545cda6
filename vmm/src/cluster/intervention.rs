//! What is done to a running cluster: links, partitions, single faults, the sites' power.
//!
//! One grammar serves the command line (`chorus link set s1 s2 loss=5%`) and the timed events of a topology
//! (`do = "link set s1 s2 loss=5%"`), so that what was tried by hand can be written down as it was typed.

use super::topology::nearest;
use super::topology::settings::{self, parse_assignment};
use chorus_fabric::{Action, Change, Fault};
use chorus_transport::frame::KIND_NAMES;
use serde::{Deserialize, Serialize};

/// Which links.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ends {
    /// All of them.
    All,
    /// The one between two sites, in both directions.
    Both(u16, u16),
    /// One direction of it.
    OneWay(u16, u16),
}

/// One thing that is done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Intervention {
    /// Changes parameters of links; those that are not named stay as they are.
    Set {
        /// Which links.
        ends: Ends,
        /// The new values.
        change: Change,
    },
    /// Gives links the parameters back that they had at the start.
    Reset {
        /// Which links.
        ends: Ends,
    },
    /// Splits the cluster: nothing passes between sites of different parts. Sites that no part names are one together.
    Partition {
        /// The parts.
        parts: Vec<Vec<u16>>,
    },
    /// The cluster is whole again; links that were cut one by one stay so.
    Heal,
    /// Meets a single frame.
    Fault {
        /// Which, and what is done to it.
        fault: Fault,
    },
    /// Stops the processors of a site.
    Pause {
        /// Its number.
        site: u16,
    },
    /// Lets them run again.
    Resume {
        /// Its number.
        site: u16,
    },
    /// Ends a site at once, as a power cut would.
    Kill {
        /// Its number.
        site: u16,
    },
    /// Boots a site anew, in a new incarnation; one that runs is ended first.
    Restart {
        /// Its number.
        site: u16,
    },
}

/// Finds the number of the site that a word means. Errors: a sentence.
pub type Find<'a> = &'a dyn Fn(&str) -> Result<u16, String>;

const FORMS: &str = "link set|reset, partition, heal, fault, site pause|resume|kill|restart";

impl Intervention {
    /// Reads words as they stand on the command line behind `chorus`. Errors: a sentence that says what is wrong.
    pub fn parse(words: &[&str], find: Find<'_>) -> Result<Intervention, String> {
        match words {
            ["link", "set", rest @ ..] => {
                let (ends, settings) = parse_ends(rest, find)?;
                let mut change = Change::default();
                for word in settings {
                    change = parse_assignment(word)?.or(change);
                }
                if change.is_empty() {
                    return Err(format!(
                        "link set changes at least one of {}",
                        settings::KEYS.join(", ")
                    ));
                }
                Ok(Intervention::Set { ends, change })
            }
            ["link", "reset", rest @ ..] => {
                let (ends, more) = match rest {
                    [] => (Ends::All, rest),
                    rest => parse_ends(rest, find)?,
                };
                match more {
                    [] => Ok(Intervention::Reset { ends }),
                    [word, ..] => Err(format!("link reset takes no \"{word}\"")),
                }
            }
            ["partition"] => Err("partition needs the parts: s1,s2 s3,s4".to_owned()),
            ["partition", parts @ ..] => parse_parts(parts, find),
            ["heal"] => Ok(Intervention::Heal),
            ["fault", rest @ ..] => parse_fault(rest, find),
            ["site", what, site] => {
                let site = find(site)?;
                match *what {
                    "pause" => Ok(Intervention::Pause { site }),
                    "resume" => Ok(Intervention::Resume { site }),
                    "kill" => Ok(Intervention::Kill { site }),
                    "restart" => Ok(Intervention::Restart { site }),
                    other => Err(
                        match nearest(other, ["pause", "resume", "kill", "restart"]) {
                            Some(meant) => format!("site {other}: did you mean site {meant}?"),
                            None => format!(
                                "site {other}: a site can be paused, resumed, killed and restarted"
                            ),
                        },
                    ),
                }
            }
            ["site", ..] => Err("write site pause|resume|kill|restart and one site".to_owned()),
            _ => Err(format!(
                "\"{}\" is nothing that can be done; there are {FORMS}",
                words.join(" ")
            )),
        }
    }

    /// The same from a text.
    pub fn parse_text(text: &str, find: Find<'_>) -> Result<Intervention, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        Intervention::parse(&words, find)
    }

    /// As it would be typed; `name` gives the name of a site.
    pub fn text(&self, name: &dyn Fn(u16) -> String) -> String {
        let ends = |ends: &Ends| match ends {
            Ends::All => "all".to_owned(),
            Ends::Both(a, b) => format!("{} {}", name(*a), name(*b)),
            Ends::OneWay(a, b) => format!("{}->{}", name(*a), name(*b)),
        };
        match self {
            Intervention::Set { ends: of, change } => {
                let settings = settings::changed(change);
                let settings: Vec<String> = settings
                    .iter()
                    .map(|(key, value)| format!("{key}={}", value.replace(' ', ":")))
                    .collect();
                format!("link set {} {}", ends(of), settings.join(" "))
            }
            Intervention::Reset { ends: of } => format!("link reset {}", ends(of)),
            Intervention::Partition { parts } => {
                let parts: Vec<String> = parts
                    .iter()
                    .map(|part| {
                        part.iter()
                            .map(|&site| name(site))
                            .collect::<Vec<_>>()
                            .join(",")
                    })
                    .collect();
                format!("partition {}", parts.join(" "))
            }
            Intervention::Heal => "heal".to_owned(),
            Intervention::Fault { fault } => {
                let action = match fault.action {
                    Action::Drop => "drop".to_owned(),
                    Action::Duplicate => "duplicate".to_owned(),
                    Action::Delay(time) => format!("delay={}", settings::time(time)),
                    Action::Corrupt(bit) => format!("corrupt={bit}"),
                };
                let kind = fault
                    .kind
                    .and_then(|kind| KIND_NAMES.get(usize::from(kind)));
                let mut text = format!("fault {action} {} {}", fault.nth, kind.unwrap_or(&"any"));
                for (word, site) in [("from", fault.from), ("to", fault.to)] {
                    if let Some(site) = site {
                        text.push_str(&format!(" {word} {}", name(site)));
                    }
                }
                text
            }
            Intervention::Pause { site } => format!("site pause {}", name(*site)),
            Intervention::Resume { site } => format!("site resume {}", name(*site)),
            Intervention::Kill { site } => format!("site kill {}", name(*site)),
            Intervention::Restart { site } => format!("site restart {}", name(*site)),
        }
    }
}

/// `all`, `A B` or `A->B`, and the words behind.
pub fn parse_ends<'w, 'a>(
    words: &'w [&'a str],
    find: Find<'_>,
) -> Result<(Ends, &'w [&'a str]), String> {
    let differ = |a: u16, b: u16, ends: Ends| {
        if a == b {
            Err("a link joins two different sites".to_owned())
        } else {
            Ok(ends)
        }
    };
    match words {
        ["all", rest @ ..] => Ok((Ends::All, rest)),
        [one, rest @ ..] if one.contains("->") => {
            let (a, b) = one.split_once("->").unwrap_or((one, ""));
            let (a, b) = (find(a)?, find(b)?);
            Ok((differ(a, b, Ends::OneWay(a, b))?, rest))
        }
        [a, b, rest @ ..] => {
            let (a, b) = (find(a)?, find(b)?);
            Ok((differ(a, b, Ends::Both(a, b))?, rest))
        }
        _ => Err("name a link: two sites, A->B for one direction, or all".to_owned()),
    }
}

fn parse_parts(words: &[&str], find: Find<'_>) -> Result<Intervention, String> {
    let mut parts: Vec<Vec<u16>> = Vec::new();
    for word in words {
        let mut part = Vec::new();
        for name in word.split(',').filter(|name| !name.is_empty()) {
            let site = find(name)?;
            if part.contains(&site) || parts.iter().any(|other| other.contains(&site)) {
                return Err(format!("{name} is in two parts"));
            }
            part.push(site);
        }
        parts.push(part);
    }
    Ok(Intervention::Partition { parts })
}

/// `ACTION NTH KIND [from A] [to B]`.
fn parse_fault(words: &[&str], find: Find<'_>) -> Result<Intervention, String> {
    const FORM: &str =
        "write fault drop|duplicate|delay=TIME|corrupt[=BIT] NTH KIND [from SITE] [to SITE]";
    let [action, nth, kind, rest @ ..] = words else {
        return Err(FORM.to_owned());
    };
    let mut rest = rest;
    let action = match action.split_once('=').unwrap_or((action, "")) {
        ("drop", "") => Action::Drop,
        ("duplicate", "") => Action::Duplicate,
        ("delay", time) => Action::Delay(settings::parse_time(time)?),
        ("corrupt", "") => Action::Corrupt(0),
        ("corrupt", bit) => Action::Corrupt(
            bit.parse()
                .map_err(|_| format!("\"{bit}\" is not the number of a bit"))?,
        ),
        _ => return Err(FORM.to_owned()),
    };
    let nth = nth
        .parse()
        .ok()
        .filter(|nth| *nth > 0)
        .ok_or_else(|| format!("\"{nth}\" is not the number of a frame from 1"))?;
    let kind = match *kind {
        "any" => None,
        kind => {
            let names = KIND_NAMES.iter().enumerate();
            let mut found = names.filter(|(_, name)| name.eq_ignore_ascii_case(kind));
            let (number, _) = found.next().ok_or_else(|| {
                let known: Vec<&str> = KIND_NAMES
                    .iter()
                    .copied()
                    .filter(|name| !name.is_empty())
                    .collect();
                format!(
                    "\"{kind}\" is not a kind of frame; there are any, {}",
                    known.join(", ")
                )
            })?;
            Some(number as u8)
        }
    };
    let (mut from, mut to) = (None, None);
    while let [word, site, more @ ..] = rest {
        match *word {
            "from" => from = Some(find(site)?),
            "to" => to = Some(find(site)?),
            _ => return Err(FORM.to_owned()),
        }
        rest = more;
    }
    if !rest.is_empty() {
        return Err(FORM.to_owned());
    }
    let fault = Fault {
        from,
        to,
        kind,
        nth,
        action,
    };
    Ok(Intervention::Fault { fault })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chorus_fabric::Chance;

    fn find(name: &str) -> Result<u16, String> {
        match name
            .strip_prefix('s')
            .and_then(|number| number.parse().ok())
        {
            Some(number) => Ok(number),
            None => Err(format!("there is no site {name}")),
        }
    }

    fn read(text: &str) -> Result<Intervention, String> {
        Intervention::parse_text(text, &find)
    }

    #[test]
    fn what_is_written_reads_back() {
        let name = |site: u16| format!("s{site}");
        for text in [
            "link set s1 s2 latency=10ms loss=5%",
            "link set s1->s2 cut=yes",
            "link set all jitter=normal:1ms burst=1%/10%/100%",
            "link reset all",
            "link reset s3 s1",
            "partition s1,s2 s3",
            "heal",
            "fault drop 3 REQUEST from s1 to s2",
            "fault delay=10ms 1 any",
            "fault corrupt=7 2 REPLY to s4",
            "fault duplicate 1 LOCATE",
            "site pause s1",
            "site resume s1",
            "site kill s2",
            "site restart s2",
        ] {
            let read = read(text).unwrap();
            assert_eq!(read.text(&name), text);
            let json = serde_json::to_string(&read).unwrap();
            let back: Intervention = serde_json::from_str(&json).unwrap();
            assert_eq!(back, read, "{json}");
        }
        let change = Change {
            loss: Some(Chance::percent(2.0)),
            cut: Some(true),
            ..Change::default()
        };
        let ends = Ends::All;
        assert_eq!(
            read("link set all loss=2 cut"),
            Ok(Intervention::Set { ends, change })
        );
        assert_eq!(read("link reset"), Ok(Intervention::Reset { ends }));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, sentence) in [
            ("dance", "nothing that can be done"),
            ("link set s1", "name a link"),
            ("link set s1 s1 loss=1", "two different sites"),
            ("link set s1 s2", "at least one of"),
            ("link set s1 x loss=1", "there is no site x"),
            ("link set s1 s2 los=1", "did you mean `loss`?"),
            ("link reset s1 s2 loss=1", "takes no"),
            ("partition", "needs the parts"),
            ("partition s1,s2 s2", "in two parts"),
            ("fault drop", "write fault"),
            ("fault drop 0 any", "from 1"),
            ("fault drop 1 BREAKFAST", "not a kind of frame"),
            ("fault eat 1 any", "write fault"),
            ("fault drop 1 any beside s1", "write fault"),
            ("fault drop 1 any from", "write fault"),
            ("fault delay=3 1 any", "needs a unit"),
            ("site puse s1", "did you mean site pause?"),
            ("site kill", "one site"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(sentence), "{text}: {error}");
        }
    }
}
