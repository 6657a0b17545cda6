//! One measured operation, and what is known of the machine it was measured on.

use super::budgets::Verdict;
use serde::{Deserialize, Serialize};

/// A line of the benchmark: one operation, all its repetitions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Suite: `call`, `switch`, `ipc`, `rpc`, `boot`, `density`.
    pub suite: String,
    /// Operation in the suite.
    pub op: String,
    /// What is counted: `instructions`, `ticks`, `exits`, `frames`, `bytes`.
    pub unit: String,
    /// Repetitions.
    pub count: u64,
    /// Least.
    pub min: f64,
    /// Half are at most this.
    pub median: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// Most.
    pub max: f64,
    /// Those instructions of the median that were the Nucleus'; not known of everything, and only where instructions are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<f64>,
    /// What it may take, and whether it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Verdict>,
}

impl Record {
    /// The record in a line of output, which may begin with the prefix of a log; `None` when there is none.
    pub fn in_line(line: &str) -> Option<Record> {
        let start = line.find("{\"suite\"")?;
        let end = line.rfind('}')?;
        serde_json::from_str(line.get(start..=end)?).ok()
    }

    /// A figure that was counted once: least, median and most are the same.
    pub fn counted(suite: &str, op: &str, unit: &str, count: u64, value: f64) -> Record {
        Record {
            suite: suite.to_owned(),
            op: op.to_owned(),
            unit: unit.to_owned(),
            count,
            min: value,
            median: value,
            p99: value,
            max: value,
            kernel: None,
            budget: None,
        }
    }

    /// Whether the record belongs to what was asked for: suites, operations, or `suite/op`; nothing asked is everything.
    pub fn matches(&self, wanted: &[String]) -> bool {
        wanted.is_empty()
            || wanted
                .iter()
                .any(|word| *word == self.suite || *word == self.op || *word == self.name())
    }

    /// `suite/op`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.suite, self.op)
    }
}

/// Facts about the machine, once a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Version of chorus.
    pub chorus: String,
    /// `icount` (bare QEMU microvm), `kvm` or `emulated`.
    pub method: String,
    /// What that is in detail: the emulator's version and options.
    pub machine: String,
    /// Processor of the host, as it names itself.
    pub host_cpu: String,
}

/// Name of the host's processor.
pub fn host_cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| {
        line.strip_prefix("model name")?
            .split_once(':')
            .map(|(_, name)| name.trim())
    });
    name.unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_behind_a_log_s_prefix_and_nothing_else_is() {
        let line = r#"[1] bench: {"suite":"call","op":"null","unit":"ticks","count":9,"min":1,"median":2,"p99":3,"max":4}"#;
        let record = Record::in_line(line).unwrap();
        assert_eq!(
            (record.name().as_str(), record.count, record.max),
            ("call/null", 9, 4.0)
        );
        assert!(
            record.matches(&["call".into()])
                && record.matches(&["call/null".into()])
                && record.matches(&[])
        );
        assert!(!record.matches(&["ipc".into()]));
        for other in ["", "{", "}{\"suite\"", "{\"suite\":1}", "hello {} there"] {
            assert_eq!(Record::in_line(other), None, "{other}");
        }
    }
}
