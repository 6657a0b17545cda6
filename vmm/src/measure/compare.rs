//! Comparing a result with an earlier one.
//!
//! The least value is compared: under an instruction clock it is the operation itself, without timer interrupts. An operation that is in only one of
//! the two is told, and is no regression.

use super::record::Record;

/// How one operation changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// `suite/op`.
    pub name: String,
    /// Least value before.
    pub before: f64,
    /// Least value now.
    pub now: f64,
    /// Whether it grew by more than the tolerance.
    pub regression: bool,
}

/// What changed: operations in both, and names that are in only one of them.
pub fn compare(
    base: &[Record],
    now: &[Record],
    tolerance_percent: f64,
) -> (Vec<Change>, Vec<String>) {
    let mut changes = Vec::new();
    let mut alone = Vec::new();
    for record in now {
        match base
            .iter()
            .find(|old| old.name() == record.name() && old.unit == record.unit)
        {
            Some(old) => changes.push(Change {
                name: record.name(),
                before: old.min,
                now: record.min,
                regression: record.min > old.min * (1.0 + tolerance_percent / 100.0),
            }),
            None => alone.push(format!("{} is new", record.name())),
        }
    }
    for old in base {
        if !now
            .iter()
            .any(|record| record.name() == old.name() && record.unit == old.unit)
        {
            alone.push(format!("{} was not measured", old.name()));
        }
    }
    (changes, alone)
}

/// Reads the records of an earlier `--format json` result: one object a line, facts and unknown lines passed over.
///
/// # Errors
/// The file holds no record.
pub fn read_base(text: &str) -> Result<Vec<Record>, String> {
    let records: Vec<Record> = text.lines().filter_map(Record::in_line).collect();
    if records.is_empty() {
        Err("it holds no result of chorus bench --format json".to_owned())
    } else {
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(op: &str, min: f64) -> Record {
        Record::counted("call", op, "instructions", 1, min)
    }

    #[test]
    fn growth_beyond_the_tolerance_is_a_regression() {
        let base = [record("a", 100.0), record("b", 100.0), record("gone", 1.0)];
        let (changes, alone) = compare(
            &base,
            &[record("a", 102.0), record("b", 102.1), record("new", 5.0)],
            2.0,
        );
        assert_eq!(
            changes
                .iter()
                .map(|change| change.regression)
                .collect::<Vec<_>>(),
            [false, true]
        );
        assert_eq!(alone, ["call/new is new", "call/gone was not measured"]);
    }

    #[test]
    fn a_foreign_file_is_refused() {
        assert!(read_base("{\"x\":1}\nhello").is_err());
        let line = serde_json::to_string(&record("a", 1.0)).unwrap();
        assert_eq!(
            read_base(&format!("{{\"facts\":1}}\n{line}\n"))
                .unwrap()
                .len(),
            1
        );
    }
}
