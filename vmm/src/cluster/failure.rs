//! Why a command ended badly: an exit status, what happened, what to do.
//!
//! Scripts tell failures apart by the exit status, people by the text. Everything of the host side that can fail for a reason that
//! a person must hear ends in this one type; it travels through the control socket too.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Exit statuses of the `chorus` command (issue A, item 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It did not work.
    Failed,
    /// The command line is wrong.
    Usage,
    /// A measurement got worse.
    Regression,
    /// A file is missing, unreadable or wrong.
    BadFile,
    /// This machine cannot do it.
    Host,
    /// A guest panicked, died, or a check in it failed.
    Guest,
    /// A time limit passed.
    Timeout,
    /// Ctrl-C, or a signal that asks to end.
    Interrupted,
}

impl Status {
    /// Every status, in order of its number.
    pub const ALL: [Status; 8] = [
        Status::Failed,
        Status::Usage,
        Status::Regression,
        Status::BadFile,
        Status::Host,
        Status::Guest,
        Status::Timeout,
        Status::Interrupted,
    ];

    /// The number that the process ends with.
    pub const fn code(self) -> u8 {
        match self {
            Status::Failed => 1,
            Status::Usage => 2,
            Status::Regression => 3,
            Status::BadFile => 4,
            Status::Host => 5,
            Status::Guest => 6,
            Status::Timeout => 124,
            Status::Interrupted => 130,
        }
    }

    /// One line for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Status::Failed => "the command failed",
            Status::Usage => "wrong usage: an unknown option, a missing argument",
            Status::Regression => "bench --compare found a regression",
            Status::BadFile => "a file is missing, unreadable or wrong (topology, actor, nucleus)",
            Status::Host => "this machine is not able: see chorus doctor",
            Status::Guest => "a site ended by a panic, a fault or a kill",
            Status::Timeout => "a time limit passed",
            Status::Interrupted => "interrupted by Ctrl-C or a signal",
        }
    }
}

/// A command's bad end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// Exit status.
    pub status: Status,
    /// What happened and where, without a full stop at the end.
    pub what: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The text is complete and printed as it is (a report with source lines).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verbatim: bool,
}

/// Result of everything that can end a command.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure with this status and text.
    pub fn new(status: Status, what: impl Into<String>) -> Self {
        Failure {
            status,
            what: what.into(),
            hint: None,
            verbatim: false,
        }
    }

    /// Status [`Status::Failed`].
    pub fn failed(what: impl Into<String>) -> Self {
        Self::new(Status::Failed, what)
    }

    /// Status [`Status::Usage`].
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Status::Usage, what)
    }

    /// Status [`Status::BadFile`].
    pub fn bad_file(what: impl Into<String>) -> Self {
        Self::new(Status::BadFile, what)
    }

    /// Status [`Status::Host`].
    pub fn host(what: impl Into<String>) -> Self {
        Self::new(Status::Host, what)
    }

    /// Status [`Status::Interrupted`].
    pub fn interrupted() -> Self {
        Self::new(Status::Interrupted, "interrupted")
    }

    /// The same with what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_distinct_and_fit_the_shell() {
        let mut codes: Vec<u8> = Status::ALL.iter().map(|status| status.code()).collect();
        codes.dedup();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 124, 130]);
    }

    #[test]
    fn a_failure_survives_the_control_socket() {
        let failure = Failure::host("no KVM").hint("modprobe kvm");
        let text = serde_json::to_string(&failure).unwrap();
        assert_eq!(serde_json::from_str::<Failure>(&text).unwrap(), failure);
    }
}
