//! What all runs together say of each assertion.

use super::coverage;
use super::run::{self, Run};
use chorus_abi::manual::{Assertion, assertions, host_tests};
use serde::Serialize;
use std::collections::BTreeMap;

/// How an assertion came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every check of it in a guest held.
    Passed,
    /// One did not.
    Failed,
    /// No guest looked at it, but tests of the source tree do, which did not run here.
    ByHostTest,
    /// Nobody looked.
    NotTested,
}

/// One assertion.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// `NC-069`.
    pub assertion: String,
    /// How it came out.
    pub result: Verdict,
    /// Kinds of actors that checked it, and whether it held.
    pub ran: BTreeMap<&'static str, bool>,
    /// Tests of the source tree that check it too; not run here.
    pub host_tests: Vec<String>,
    /// Why no guest looked at it.
    pub reason: Option<String>,
    /// How many sites it takes.
    pub sites: u16,
    /// What it says.
    pub text: &'static str,
}

/// A check of the actor that is of no assertion.
#[derive(Clone, Debug, Serialize)]
pub struct Other {
    /// What it is of.
    pub check: String,
    /// Kinds of actors, and whether it held.
    pub ran: BTreeMap<&'static str, bool>,
}

/// How many of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Totals {
    /// Assertions in the report.
    pub assertions: usize,
    /// Held in guests.
    pub passed: usize,
    /// Did not.
    pub failed: usize,
    /// Left to tests of the source tree.
    pub by_host_test: usize,
    /// Not looked at.
    pub not_tested: usize,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The runs.
    pub runs: Vec<Run>,
    /// The assertions.
    pub assertions: Vec<Row>,
    /// Further checks.
    pub others: Vec<Other>,
    /// Sums.
    pub totals: Totals,
}

/// Which assertions are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    words: Vec<(String, Option<String>)>,
}

impl Filter {
    /// Reads `NC-069`, `NC-1` (all that begin so), `NC-097..NC-149` or `NC-097..149`. Errors: the word that names no assertion.
    pub fn read(words: &[String]) -> Result<Filter, String> {
        let mut filter = Filter::default();
        for word in words {
            // `NC-1...` is what people write for all that begin so.
            let bare = word.trim_end_matches('.');
            let (first, last) = match bare.split_once("..") {
                Some((first, last)) => {
                    let digits = last.trim_start_matches('.').trim_start_matches("NC-");
                    let number = digits.parse::<u16>().map_err(|_| word.clone())?;
                    (first.to_owned(), Some(format!("NC-{number:03}")))
                }
                None => (bare.to_owned(), None),
            };
            filter.words.push((first, last));
            let known = assertions().any(|each| {
                Filter::fits(&filter.words[filter.words.len() - 1], &label(each.number))
            });
            if !known {
                return Err(word.clone());
            }
        }
        Ok(filter)
    }

    fn fits((first, last): &(String, Option<String>), label: &str) -> bool {
        match last {
            Some(last) => (first.as_str()..=last.as_str()).contains(&label),
            None => label.starts_with(first.as_str()),
        }
    }

    fn wants(&self, label: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| Filter::fits(word, label))
    }
}

fn label(number: u16) -> String {
    format!("NC-{number:03}")
}

/// Assertions that a check is of: `NC-191, NC-209`, `NC-011 deleted`.
fn numbers(of: &str) -> impl Iterator<Item = u16> {
    of.split(", ").filter_map(|part| {
        let digits = part.strip_prefix("NC-")?;
        digits.split(' ').next()?.parse().ok()
    })
}

impl Report {
    /// Holds what the runs printed against all assertions.
    pub fn new(runs: &[Run], filter: &Filter) -> Report {
        let mut found: BTreeMap<u16, BTreeMap<&'static str, bool>> = BTreeMap::new();
        let mut others: BTreeMap<&str, BTreeMap<&'static str, bool>> = BTreeMap::new();
        for run in runs {
            for check in &run.checks {
                let mut of_assertions = false;
                for number in numbers(&check.of) {
                    of_assertions = true;
                    *found
                        .entry(number)
                        .or_default()
                        .entry(run.kind)
                        .or_insert(true) &= check.holds;
                }
                if !of_assertions {
                    let ran = others.entry(&check.of).or_default();
                    *ran.entry(run.kind).or_insert(true) &= check.holds;
                }
            }
        }
        let together = runs.iter().any(|run| run.kind == run::SITES);
        let rows: Vec<Row> = assertions()
            .filter(|assertion| filter.wants(&label(assertion.number)))
            .map(|assertion| {
                row(
                    &assertion,
                    together,
                    found.remove(&assertion.number).unwrap_or_default(),
                )
            })
            .collect();
        let count = |result| rows.iter().filter(|row| row.result == result).count();
        let totals = Totals {
            assertions: rows.len(),
            passed: count(Verdict::Passed),
            failed: count(Verdict::Failed),
            by_host_test: count(Verdict::ByHostTest),
            not_tested: count(Verdict::NotTested),
        };
        let others = others.into_iter().map(|(check, ran)| Other {
            check: check.to_owned(),
            ran,
        });
        Report {
            runs: runs.to_vec(),
            others: others.collect(),
            assertions: rows,
            totals,
        }
    }

    /// What did not hold, of the assertions that are wanted, and of the further checks.
    pub fn failures(&self) -> Vec<String> {
        let rows = self.assertions.iter().map(|row| (&row.assertion, &row.ran));
        let others = self.others.iter().map(|other| (&other.check, &other.ran));
        rows.chain(others)
            .filter_map(|(name, ran)| {
                let kinds: Vec<_> = ran
                    .iter()
                    .filter(|(_, holds)| !**holds)
                    .map(|(kind, _)| *kind)
                    .collect();
                let told = || format!("{name} does not hold for {}", kinds.join(" and "));
                (!kinds.is_empty()).then(told)
            })
            .collect()
    }
}

fn row(assertion: &Assertion, together: bool, ran: BTreeMap<&'static str, bool>) -> Row {
    let tests = host_tests().filter(|test| test.number == assertion.number);
    let host_tests: Vec<String> = tests
        .map(|test| format!("{} {}", test.file, test.name))
        .collect();
    let result = match (ran.is_empty(), host_tests.is_empty()) {
        (false, _) if ran.values().all(|holds| *holds) => Verdict::Passed,
        (false, _) => Verdict::Failed,
        (true, false) => Verdict::ByHostTest,
        (true, true) => Verdict::NotTested,
    };
    Row {
        assertion: label(assertion.number),
        result,
        reason: ran
            .is_empty()
            .then(|| coverage::reason(assertion, together)),
        ran,
        host_tests,
        sites: assertion.sites,
        text: assertion.text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::run::Check;
    use super::*;

    fn run(kind: &'static str, checks: &[(&str, bool)]) -> Run {
        let checks = checks.iter().map(|(of, holds)| Check {
            of: (*of).to_owned(),
            holds: *holds,
        });
        Run {
            kind,
            machine: String::new(),
            checks: checks.collect(),
            complaint: None,
        }
    }

    fn filter(words: &[&str]) -> Result<Filter, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Filter::read(&words)
    }

    #[test]
    fn checks_are_counted_by_assertion_and_kind() {
        let runs = [
            run(
                "user",
                &[
                    ("NC-011", true),
                    ("NC-011 deleted", false),
                    ("threadStat", true),
                ],
            ),
            run("system", &[("NC-191, NC-209", true), ("NC-011", true)]),
        ];
        let report = Report::new(&runs, &Filter::default());
        assert_eq!(report.totals.assertions, 284);
        let of = |name: &str| {
            report
                .assertions
                .iter()
                .find(|row| row.assertion == name)
                .unwrap()
        };
        assert_eq!(of("NC-011").result, Verdict::Failed);
        assert_eq!(of("NC-209").result, Verdict::Passed);
        assert_eq!(of("NC-003").result, Verdict::ByHostTest);
        assert_eq!(of("NC-256").result, Verdict::NotTested);
        assert!(of("NC-256").reason.is_some() && of("NC-209").reason.is_none());
        assert_eq!(report.failures(), ["NC-011 does not hold for user"]);
        let totals = report.totals;
        assert_eq!((totals.passed, totals.failed), (2, 1));
        assert_eq!(
            totals.passed + totals.failed + totals.by_host_test + totals.not_tested,
            284
        );
        assert_eq!(report.others.len(), 1);
    }

    #[test]
    fn filters_name_one_a_beginning_or_a_range() {
        let report = |words: &[&str]| Report::new(&[], &filter(words).unwrap()).totals.assertions;
        assert_eq!(report(&["NC-069"]), 1);
        assert_eq!(report(&["NC-1"]), 100);
        assert_eq!(report(&["NC-1..."]), 100);
        assert_eq!(report(&["NC-097..NC-149"]), 53);
        assert_eq!(report(&["NC-097..149", "NC-069"]), 54);
        for bad in ["NC-999", "portMigrate", "NC-5..x", "NC-149..NC-097"] {
            assert_eq!(filter(&[bad]), Err(bad.to_owned()));
        }
    }
}
