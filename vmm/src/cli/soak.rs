//! `chorus soak`: the named assertions about many sites, each with where it is checked and what came of it.

use super::args::{ReportFormat, SoakArgs};
use super::context::Context;
use super::output;
use super::sim::script::parse_time;
use crate::cluster::failure::{Failure, Outcome};
use chorus_sim::assertions::Elsewhere;
use chorus_sim::effort::Done;
use chorus_sim::harm::Harm;
use chorus_sim::load::Load;
use chorus_sim::scenario::{Cluster, Keep, Limit, Scenario, Source};
use chorus_sim::soak::{self, Assertion, Made};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// What came of an assertion.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Passed,
    Failed,
    /// Left to a test of the source tree or to guests.
    Elsewhere,
    NotYet,
    /// Only listed.
    Listed,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Passed => "ok",
            Verdict::Failed => "FAILED",
            Verdict::Elsewhere => "elsewhere",
            Verdict::NotYet => "not yet",
            Verdict::Listed => "",
        }
    }
}

#[derive(Serialize, Debug)]
struct Row {
    assertion: String,
    result: Verdict,
    place: String,
    /// What was done for it.
    counts: String,
    seconds: f64,
    notes: Vec<String>,
    problem: Option<String>,
    text: &'static str,
}

/// Runs `chorus soak`.
///
/// # Errors
/// Status 1: an assertion does not hold; 2: a filter or a time is wrong.
pub fn soak(context: &Context, args: &SoakArgs) -> Outcome<()> {
    let wanted = filter(&args.filter)?;
    let duration = args.duration.as_deref().map(parse_time).transpose();
    let duration = duration.map_err(Failure::usage)?;
    if !args.list {
        // A check that does not hold panics; what it says stands in its row.
        std::panic::set_hook(Box::new(|_| {}));
    }
    let mut made: BTreeMap<&str, (Made, f64)> = BTreeMap::new();
    let mut rows = Vec::new();
    for assertion in soak::assertions().iter().filter(|one| wanted(one.number)) {
        if !args.list {
            for check in &assertion.checks {
                if made.contains_key(check.name) {
                    continue;
                }
                let begin = Instant::now();
                let result = soak::make(check, true, args.seed);
                let seconds = begin.elapsed().as_secs_f64();
                context.say(&format!("{}: {seconds:.1} s", check.name));
                made.insert(check.name, (result, seconds));
            }
        }
        rows.push(row(assertion, &made, args.list));
    }
    let mut broken = None;
    if let (Some(duration), false) = (duration, args.list) {
        let first = args.seed.unwrap_or_else(crate::cluster::plan::fresh_seed);
        broken = random(context, first, Duration::from_nanos(duration));
    }
    match args.format {
        ReportFormat::Table => output::text(&table(&rows, args.list))?,
        ReportFormat::Json => output::json(&rows)?,
        ReportFormat::Junit => output::text(&junit(&rows))?,
    }
    let failed: Vec<&str> = rows
        .iter()
        .filter(|row| row.result == Verdict::Failed)
        .map(|row| row.assertion.as_str())
        .collect();
    if !failed.is_empty() {
        return Err(Failure::failed(format!("{} failed", failed.join(", "))));
    }
    broken.map_or(Ok(()), Err)
}

/// Which numbers the words name. Errors: status 2.
fn filter(words: &[String]) -> Outcome<impl Fn(u16) -> bool> {
    let mut patterns = Vec::new();
    for word in words {
        let digits = |part: &str| {
            let digits = part.strip_prefix("SS-")?;
            let right = (1..=3).contains(&digits.len()) && digits.parse::<u16>().is_ok();
            right.then(|| digits.to_owned())
        };
        let (first, last) = match word.split_once("..") {
            Some((first, last)) => (digits(first), Some(digits(last))),
            None => (digits(word), None),
        };
        match (first, last) {
            (Some(first), None) => patterns.push((first, None)),
            (Some(first), Some(Some(last))) => patterns.push((first, last.parse::<u16>().ok())),
            _ => {
                return Err(Failure::usage(format!("{word} names no assertions"))
                    .hint("SS-041 is one, SS-0 all that begin so, SS-063..SS-070 a range"));
            }
        }
    }
    Ok(move |number: u16| {
        patterns.is_empty()
            || patterns.iter().any(|(first, last)| match last {
                Some(last) => first
                    .parse()
                    .is_ok_and(|first: u16| (first..=*last).contains(&number)),
                None => format!("{number:03}").starts_with(first.as_str()),
            })
    })
}

fn row(assertion: &Assertion, made: &BTreeMap<&str, (Made, f64)>, list: bool) -> Row {
    let checks = &assertion.checks;
    let here: Vec<&(Made, f64)> = checks
        .iter()
        .filter_map(|check| made.get(check.name))
        .collect();
    let problem = here.iter().find_map(|(made, _)| made.problem.clone());
    let mut done = Done::default();
    for (made, _) in &here {
        done.add(&made.done);
    }
    let (result, place) = match assertion.elsewhere {
        Elsewhere::NotYet(why) if list => (Verdict::NotYet, format!("not yet: {why}")),
        Elsewhere::NotYet(why) => (Verdict::NotYet, why.to_owned()),
        Elsewhere::HostTest(test) => (Verdict::Elsewhere, format!("host test: {test}")),
        Elsewhere::Guest(command) => (Verdict::Elsewhere, format!("guests: {command}")),
        Elsewhere::Nowhere if list => {
            let names: Vec<&str> = checks.iter().map(|check| check.name).collect();
            (Verdict::Listed, format!("simulator: {}", names.join(", ")))
        }
        Elsewhere::Nowhere => {
            let verdict = match problem {
                None => Verdict::Passed,
                Some(_) => Verdict::Failed,
            };
            (verdict, "simulator".to_owned())
        }
    };
    Row {
        assertion: format!("SS-{:03}", assertion.number),
        result,
        place,
        counts: counts(&done),
        seconds: here.iter().map(|(_, seconds)| seconds).sum(),
        notes: here
            .iter()
            .flat_map(|(made, _)| made.notes.clone())
            .collect(),
        problem,
        text: assertion.text,
    }
}

/// What was done, the parts that are not nothing.
fn counts(done: &Done) -> String {
    let parts = [
        (done.calls, "calls"),
        (done.messages, "messages"),
        (done.forged, "made frames"),
        (done.frames, "frames"),
        (done.time / 1_000_000_000, "virtual s"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    parts.join(", ")
}

fn table(rows: &[Row], list: bool) -> String {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let mut cells = vec![row.assertion.clone()];
            if !list {
                cells.push(row.result.word().to_owned());
            }
            cells.push(match row.counts.as_str() {
                "" => row.place.clone(),
                counts => format!("{}: {counts}", row.place),
            });
            if list {
                cells.push(row.text.to_owned());
            }
            cells
        })
        .collect();
    let mut text = match list {
        true => output::table(&["ASSERTION", "WHERE", "WHAT IT SAYS"], &cells),
        false => output::table(&["ASSERTION", "RESULT", "WHERE, AND WHAT WAS DONE"], &cells),
    };
    for row in rows {
        for note in &row.notes {
            let _ = writeln!(text, "{}: {note}", row.assertion);
        }
        if let Some(problem) = &row.problem {
            let _ = writeln!(text, "FAILED: {} {}\n  {problem}", row.assertion, row.text);
        }
    }
    let count = |verdict| rows.iter().filter(|row| row.result == verdict).count();
    let simulated = match list {
        true => format!("{} in the simulator", count(Verdict::Listed)),
        false => format!(
            "{} passed and {} failed in the simulator",
            count(Verdict::Passed),
            count(Verdict::Failed)
        ),
    };
    let _ = writeln!(
        text,
        "\n{} assertions: {simulated}; {} elsewhere; {} not yet",
        rows.len(),
        count(Verdict::Elsewhere),
        count(Verdict::NotYet)
    );
    text
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let text = text.replace('>', "&gt;").replace('"', "&quot;");
    text.replace(|sign: char| sign.is_control(), " ")
}

fn junit(rows: &[Row]) -> String {
    let mut cases = String::new();
    for row in rows {
        let inside = match row.result {
            Verdict::Failed => format!(
                "<failure message=\"{}\">{}</failure>",
                escaped(row.problem.as_deref().unwrap_or_default()),
                escaped(row.text)
            ),
            Verdict::Passed => format!("<system-out>{}</system-out>", escaped(&row.counts)),
            Verdict::Elsewhere | Verdict::NotYet | Verdict::Listed => {
                format!("<skipped message=\"{}\"/>", escaped(&row.place))
            }
        };
        let _ = writeln!(
            cases,
            "    <testcase classname=\"soak\" name=\"{}\" time=\"{:.3}\">{inside}</testcase>",
            row.assertion, row.seconds
        );
    }
    let count = |of: &[Verdict]| rows.iter().filter(|row| of.contains(&row.result)).count();
    let failed = count(&[Verdict::Failed]);
    let skipped = count(&[Verdict::Elsewhere, Verdict::NotYet, Verdict::Listed]);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"chorus soak\" tests=\"{0}\" failures=\"{failed}\" skipped=\"{skipped}\">\n  <testsuite name=\"soak\" tests=\"{0}\" failures=\"{failed}\" skipped=\"{skipped}\">\n{cases}  </testsuite>\n</testsuites>\n",
        rows.len()
    )
}

/// Breaks sites and links at random, with one seed after the other, until time is over or something is broken: that.
fn random(context: &Context, first: u64, duration: Duration) -> Option<Failure> {
    let begin = Instant::now();
    let (mut seed, mut events, mut calls) = (first, 0, 0);
    while begin.elapsed() < duration {
        let sites = 2 + (seed % 15) as u16;
        let scenario = Scenario {
            cluster: Cluster::new(seed, sites),
            source: Source::Programs {
                load: Load::named(["mixed"]).unwrap_or(chorus_sim::load::LOADS[0]),
                harms: Harm::named("all").unwrap_or_default(),
                limit: Limit::Events(1_000_000),
            },
        };
        let report = match scenario.run(Keep::default()) {
            Ok(report) => report,
            Err(problem) => return Some(Failure::failed(problem)),
        };
        events += report.events;
        calls += report.calls;
        if let Some(broken) = report.broken {
            let again = format!(
                "chorus sim --sites {sites} --workload mixed --nemesis all --seed {seed} --shrink"
            );
            return Some(Failure::failed(format!("seed {seed}: {}", broken.what)).hint(again));
        }
        seed = seed.wrapping_add(1);
    }
    context.say(&format!(
        "seeds {first} to {}: {events} events, {calls} calls, nothing broken in {:.0} s",
        seed.wrapping_sub(1),
        begin.elapsed().as_secs_f64()
    ));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_name_one_many_and_a_range() {
        let picked = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let wanted = filter(&words).unwrap();
            (1..=146).filter(|number| wanted(*number)).count()
        };
        assert_eq!(picked(&["SS-041"]), 1);
        assert_eq!(picked(&["SS-04"]), 10);
        assert_eq!(picked(&["SS-063..SS-070", "SS-146"]), 9);
        assert_eq!(picked(&[]), 146);
        for bad in ["SS-", "41", "SS-x", "SS-1..2", "SS-0041"] {
            assert!(filter(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_failed_is_told_in_every_format() {
        let mut assertion = soak::assertions().swap_remove(40);
        assertion.checks.truncate(1);
        let made = Made {
            problem: Some("left < right".to_owned()),
            done: Done {
                calls: 7,
                ..Done::default()
            },
            notes: vec!["a note".to_owned()],
        };
        let made = BTreeMap::from([(assertion.checks[0].name, (made, 1.0))]);
        let rows = [row(&assertion, &made, false)];
        let text = table(&rows, false);
        assert!(text.contains("SS-041     FAILED"), "{text}");
        assert!(
            text.contains("7 calls") && text.contains("left < right"),
            "{text}"
        );
        let xml = junit(&rows);
        assert!(
            xml.contains("failures=\"1\"") && xml.contains("left &lt; right"),
            "{xml}"
        );
    }
}
