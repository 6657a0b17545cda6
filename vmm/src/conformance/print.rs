//! The report as a table, as JSON, as JUnit's XML.

use super::report::{Report, Row, Verdict};
use super::run::named;
use crate::cli::args::ReportFormat;
use crate::cli::output;
use crate::cluster::failure::Outcome;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Prints it.
pub fn print(format: ReportFormat, report: &Report) -> Outcome<()> {
    match format {
        ReportFormat::Table => output::text(&table(report)),
        ReportFormat::Json => output::json(report),
        ReportFormat::Junit => output::text(&junit(report)),
    }
}

fn kinds(ran: &BTreeMap<&'static str, bool>) -> String {
    let kinds = super::run::RUNS.iter().filter_map(|kind| {
        let holds = ran.get(kind)?;
        Some(if *holds {
            (*kind).to_owned()
        } else {
            format!("{kind}!")
        })
    });
    kinds.collect::<Vec<_>>().join(" ")
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "ok",
        Verdict::Failed => "FAILED",
        Verdict::ByHostTest => "host test",
        Verdict::NotTested => "not tested",
    }
}

fn table(report: &Report) -> String {
    let mut rows = Vec::new();
    for row in &report.assertions {
        let place = match &row.reason {
            Some(why) => format!("({why})"),
            None => kinds(&row.ran),
        };
        rows.push(vec![
            row.assertion.clone(),
            word(row.result).to_owned(),
            place,
            row.text.to_owned(),
        ]);
    }
    let mut text = output::table(&["ASSERTION", "RESULT", "RAN AS", "WHAT IT SAYS"], &rows);
    for other in report
        .others
        .iter()
        .filter(|other| other.ran.values().any(|holds| !holds))
    {
        let _ = writeln!(text, "FAILED: {} as {}", other.check, kinds(&other.ran));
    }
    let totals = report.totals;
    let _ = writeln!(
        text,
        "\n{} assertions: {} passed and {} failed in guests; {} are left to tests of the source tree, which did not run here; {} are not tested",
        totals.assertions, totals.passed, totals.failed, totals.by_host_test, totals.not_tested
    );
    let mut why: BTreeMap<&str, usize> = BTreeMap::new();
    let reasons = report
        .assertions
        .iter()
        .filter(|row| row.result == Verdict::NotTested);
    for reason in reasons.filter_map(|row| row.reason.as_deref()) {
        *why.entry(reason).or_default() += 1;
    }
    let mut why: Vec<_> = why.into_iter().collect();
    why.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (reason, count) in why {
        let _ = writeln!(text, "  {count:>3} not tested: {reason}");
    }
    for run in &report.runs {
        let _ = writeln!(
            text,
            "{}: {} checks on {}",
            named(run.kind),
            run.checks.len(),
            run.machine
        );
        if let Some(complaint) = &run.complaint {
            let _ = writeln!(text, "  {complaint}");
        }
    }
    text
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for sign in text.chars() {
        match sign {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            sign if sign.is_control() => out.push(' '),
            sign => out.push(sign),
        }
    }
    out
}

/// A suite a kind, with a case an assertion that it checked and one a further check; and a suite of what no guest looked at, all skipped.
fn junit(report: &Report) -> String {
    let mut suites = String::new();
    let (mut tests, mut failures) = (0, 0);
    for run in &report.runs {
        let (mut cases, mut count, mut failed) = (String::new(), 0, 0);
        let rows = report
            .assertions
            .iter()
            .map(|row| (&row.assertion, &row.ran, row.text));
        let others = report
            .others
            .iter()
            .map(|other| (&other.check, &other.ran, ""));
        for (name, ran, text) in rows.chain(others) {
            let Some(holds) = ran.get(run.kind) else {
                continue;
            };
            count += 1;
            failed += usize::from(!holds);
            case(
                &mut cases,
                run.kind,
                name,
                (!holds).then(|| {
                    format!(
                        "<failure message=\"does not hold\">{}</failure>",
                        escaped(text)
                    )
                }),
            );
        }
        if let Some(complaint) = &run.complaint {
            count += 1;
            failed += 1;
            case(
                &mut cases,
                run.kind,
                "the run",
                Some(format!("<error message=\"{}\"/>", escaped(complaint))),
            );
        }
        let _ = writeln!(
            suites,
            "  <testsuite name=\"{}\" tests=\"{count}\" failures=\"{failed}\" skipped=\"0\" hostname=\"{}\">\n{cases}  </testsuite>",
            named(run.kind),
            escaped(&run.machine)
        );
        tests += count;
        failures += failed;
    }
    let skipped: Vec<&Row> = report
        .assertions
        .iter()
        .filter(|row| row.ran.is_empty())
        .collect();
    let mut cases = String::new();
    for row in &skipped {
        let why = row.reason.as_deref().unwrap_or_default();
        let why = if row.result == Verdict::ByHostTest {
            format!("left to tests of the source tree: {why}")
        } else {
            why.to_owned()
        };
        case(
            &mut cases,
            "none",
            &row.assertion,
            Some(format!("<skipped message=\"{}\"/>", escaped(&why))),
        );
    }
    let _ = writeln!(
        suites,
        "  <testsuite name=\"no guest\" tests=\"{0}\" failures=\"0\" skipped=\"{0}\">\n{cases}  </testsuite>",
        skipped.len()
    );
    tests += skipped.len();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"chorus conformance\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{}\">\n{suites}</testsuites>\n",
        skipped.len()
    )
}

fn case(out: &mut String, kind: &str, name: &str, inside: Option<String>) {
    let name = escaped(name);
    let _ = match inside {
        None => writeln!(out, "    <testcase classname=\"{kind}\" name=\"{name}\"/>"),
        Some(inside) => writeln!(
            out,
            "    <testcase classname=\"{kind}\" name=\"{name}\">{inside}</testcase>"
        ),
    };
}

#[cfg(test)]
mod tests {
    use super::super::report::Filter;
    use super::super::run::{Check, Run};
    use super::*;

    fn report() -> Report {
        let checks = [("NC-069", true), ("NC-071", false), ("thread<Stat>", false)];
        let checks = checks.map(|(of, holds)| Check {
            of: of.to_owned(),
            holds,
        });
        let run = Run {
            kind: "user",
            machine: "a \"machine\"".to_owned(),
            checks: checks.to_vec(),
            complaint: None,
        };
        let words = ["NC-069..NC-071".to_owned(), "NC-256".to_owned()];
        Report::new(&[run], &Filter::read(&words).unwrap())
    }

    #[test]
    fn the_table_has_a_line_an_assertion_and_a_total() {
        let text = table(&report());
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].starts_with("NC-069     ok          user "),
            "{text}"
        );
        assert!(
            lines[3].starts_with("NC-071     FAILED      user! "),
            "{text}"
        );
        assert!(lines[4].starts_with("NC-256     not tested  ("), "{text}");
        assert!(
            text.contains("\n4 assertions: 1 passed and 1 failed in guests; 1 are left"),
            "{text}"
        );
        assert!(text.contains("FAILED: thread<Stat> as user!"), "{text}");
    }

    #[test]
    fn junit_counts_and_escapes() {
        let text = junit(&report());
        assert!(
            text.contains("tests=\"5\" failures=\"2\" skipped=\"2\""),
            "{text}"
        );
        assert!(
            text.contains("name=\"thread&lt;Stat&gt;\"><failure"),
            "{text}"
        );
        assert!(
            text.contains("hostname=\"a &quot;machine&quot;\""),
            "{text}"
        );
        assert_eq!(text.matches("<testcase").count(), 5);
    }
}
