//! What operations may take: the budgets of the design, and how each was kept.
//!
//! They count instructions of the Nucleus, as those of the systems that they are held against do: neither the stubs of the actors nor the reading of the clock. Some count something else, or
//! more than another operation; each says what.

use super::record::Record;
use serde::{Deserialize, Serialize};

/// What is held against a budget.
enum Counted {
    /// Instructions of the Nucleus.
    Kernel,
    /// The same for each of so many parts that the operation has, with the name of one.
    KernelOfEach(u32, &'static str),
    /// Those that it takes more than another operation.
    KernelMoreThan(&'static str),
    /// All that was measured, in the record's unit.
    All,
    /// How many times what another operation takes.
    TimesOf(&'static str),
}

/// What most budgets count.
pub const KERNEL: &str = "kernel instructions";

/// Operation, what is counted, how much that may be.
const BUDGETS: [(&str, Counted, f64); 12] = [
    ("first-actor", Counted::All, 3_000_000.0),
    ("first-actor-2-vcpus", Counted::All, 3_000_000.0),
    ("null-user", Counted::Kernel, 60.0),
    ("null-supervisor", Counted::Kernel, 25.0),
    ("user-user", Counted::Kernel, 520.0),
    (
        "user-user-annex",
        Counted::KernelMoreThan("user-user"),
        40.0,
    ),
    ("user-handler", Counted::Kernel, 150.0),
    // There and back is two switches, of two calls each.
    (
        "threads-there-and-back",
        Counted::KernelOfEach(2, "switch"),
        120.0,
    ),
    ("zero-page-but-clearing", Counted::Kernel, 600.0),
    ("copy-64-MiB", Counted::TimesOf("copy-1-MiB"), 10.0),
    // Each way once; the body is 64 KiB.
    ("64-KiB-copied-bytes", Counted::All, 131_072.0),
    ("64-KiB-moved-bytes", Counted::All, 0.0),
];

/// A budget and how it was kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// As much as it may be.
    pub most: f64,
    /// What is counted.
    pub of: String,
    /// As much as it is.
    pub counted: f64,
    /// Whether that is no more.
    pub reached: bool,
}

/// Gives each record its budget, if it has one and what is counted is known.
pub fn judge(records: &mut [Record]) {
    let verdicts: Vec<Option<Verdict>> = records
        .iter()
        .map(|record| {
            let (_, counted, most) = BUDGETS.iter().find(|(op, ..)| *op == record.op)?;
            let other = |name: &str| records.iter().find(|other| other.op == name);
            let (of, counted) = match counted {
                Counted::Kernel => (KERNEL.to_owned(), record.kernel?),
                Counted::KernelOfEach(parts, part) => (
                    format!("{KERNEL} a {part}"),
                    record.kernel? / f64::from(*parts),
                ),
                Counted::KernelMoreThan(name) => (
                    format!("{KERNEL} more than {name}"),
                    record.kernel? - other(name)?.kernel?,
                ),
                Counted::All => (record.unit.clone(), record.median),
                Counted::TimesOf(name) => {
                    (format!("times {name}"), record.median / other(name)?.median)
                }
            };
            counted.is_finite().then_some(Verdict {
                most: *most,
                of,
                counted,
                reached: counted <= *most,
            })
        })
        .collect();
    for (record, verdict) in records.iter_mut().zip(verdicts) {
        record.budget = verdict;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(op: &str, median: f64, kernel: Option<f64>) -> Record {
        let mut record = Record::counted("suite", op, "instructions", 1, median);
        record.kernel = kernel;
        record
    }

    #[test]
    fn each_budget_is_held_against_what_it_counts() {
        let mut records = [
            record("null-user", 70.0, Some(60.0)),
            record("null-supervisor", 70.0, None),
            record("user-user", 600.0, Some(521.0)),
            record("user-user-annex", 700.0, Some(562.0)),
            record("threads-there-and-back", 300.0, Some(240.0)),
            record("copy-1-MiB", 10.0, Some(9.0)),
            record("copy-64-MiB", 101.0, Some(9.0)),
            record("first-actor", 3e6, None),
            record("other", 1.0, Some(1.0)),
        ];
        judge(&mut records);
        let verdicts = records.map(|record| {
            let verdict = record.budget?;
            Some((verdict.counted, verdict.reached))
        });
        assert_eq!(
            verdicts,
            [
                Some((60.0, true)),
                None,
                Some((521.0, false)),
                Some((41.0, false)),
                Some((120.0, true)),
                None,
                Some((10.1, false)),
                Some((3e6, true)),
                None,
            ]
        );
    }

    #[test]
    fn what_a_budget_is_held_against_may_be_missing() {
        let mut records = [
            record("user-user-annex", 1.0, Some(1.0)),
            record("copy-64-MiB", 1.0, None),
        ];
        judge(&mut records);
        assert!(records.iter().all(|record| record.budget.is_none()));
    }
}
