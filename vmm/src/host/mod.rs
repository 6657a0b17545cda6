//! Where guests can run: the machine's own KVM, or an emulated host that brings its own.
//!
//! Many machines have no KVM, or one that is not faithful (a paravirtual `/dev/kvm` that runs guest ring 0 in ring 3, say).
//! This room finds out ([`doctor`]), chooses ([`resolve`]) and, where KVM cannot serve, starts the *emulated host*
//! ([`emulated`]): a stock Linux kernel in QEMU's TCG with SVM, with the very same `chorus` binary in it.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub mod cache;
pub mod doctor;
pub mod emulated;
mod facts;
mod resolve;
pub mod selftest;

pub use resolve::{debug_support, resolve};
pub use selftest::DebugSupport;

/// What the user asked for with `--host`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// KVM where it is faithful, else the emulated host.
    #[default]
    Auto,
    /// `/dev/kvm`, whatever it is.
    Kvm,
    /// The emulated host, even where KVM would do.
    Emulated,
}

impl Choice {
    /// The words that `--host` takes, in the order in which help shows them.
    pub const WORDS: [&'static str; 3] = ["auto", "kvm", "emulated"];
}

impl std::str::FromStr for Choice {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "auto" => Ok(Choice::Auto),
            "kvm" => Ok(Choice::Kvm),
            "emulated" => Ok(Choice::Emulated),
            other => Err(format!(
                "'{other}' is not a host; the choices are {}",
                Choice::WORDS.join(", ")
            )),
        }
    }
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Choice::Auto => "auto",
            Choice::Kvm => "kvm",
            Choice::Emulated => "emulated",
        })
    }
}

/// What guests of this process run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// `/dev/kvm` of the machine this process runs on.
    Kvm,
    /// The emulated host: hand the command to [`emulated::Launch`].
    Emulated,
}

/// One thing that is missing on this machine, and the command that brings it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// What is missing, in words.
    pub what: String,
    /// The exact command that installs it.
    pub install: String,
}

/// Why the host cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// `--host kvm`, but KVM cannot be used.
    #[error("KVM cannot be used: {problem}\n  to fix it: {fix}")]
    Kvm {
        /// What is wrong with it.
        problem: String,
        /// What the user can do.
        fix: String,
    },
    /// The emulated host lacks something.
    #[error("the emulated host cannot start on this machine{}", list_missing(.0))]
    Missing(Vec<Missing>),
    /// A file that the command names could not be read, so it cannot be carried into the emulated host.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The emulated machine ended without saying that it had finished.
    #[error("the emulated host crashed: {how}{}", last_lines(.serial))]
    Crashed {
        /// How the end looked from outside.
        how: String,
        /// The last lines of its serial console.
        serial: Vec<String>,
    },
    /// The outer time limit passed.
    #[error("time limit of {} s passed", .0.as_secs_f64())]
    Timeout(Duration),
    /// A system call of the host failed.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl HostError {
    /// The exit code of the `chorus` command for this error: 4 bad file, 5 host not able, 124 time limit.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            HostError::File { .. } => 4,
            HostError::Timeout(_) => 124,
            HostError::Kvm { .. }
            | HostError::Missing(_)
            | HostError::Crashed { .. }
            | HostError::System { .. } => 5,
        }
    }

    /// Makes the conversion from an I/O error that names what was being done.
    pub(crate) fn doing(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> HostError {
        let doing = what.into();
        move |source| HostError::System { doing, source }
    }
}

fn list_missing(missing: &[Missing]) -> String {
    missing
        .iter()
        .map(|m| format!("\n  missing: {}\n  install: {}", m.what, m.install))
        .collect()
}

fn last_lines(serial: &[String]) -> String {
    if serial.is_empty() {
        return "\n  its console printed nothing".into();
    }
    let lines: String = serial.iter().map(|line| format!("\n  | {line}")).collect();
    format!("\n  the last lines of its console:{lines}")
}

/// Whether this process runs inside the emulated host, where KVM is the only choice, nothing is detached and
/// `--deterministic` is already in force.
#[must_use]
pub fn inside() -> bool {
    std::env::var_os(emulated::INSIDE).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_parse_and_print_alike() {
        for word in Choice::WORDS {
            assert_eq!(
                word.parse::<Choice>().map(|c| c.to_string()),
                Ok(word.to_string())
            );
        }
        let error = "qemu".parse::<Choice>().unwrap_err();
        assert!(error.contains("auto, kvm, emulated"), "{error}");
    }

    #[test]
    fn errors_say_what_to_do() {
        let error = HostError::Missing(vec![Missing {
            what: "QEMU".into(),
            install: "apt-get install qemu".into(),
        }]);
        assert_eq!(error.exit_code(), 5);
        assert!(error.to_string().contains("install: apt-get install qemu"));
        assert_eq!(HostError::Timeout(Duration::from_secs(3)).exit_code(), 124);
        let crash = HostError::Crashed {
            how: "status 0".into(),
            serial: vec!["Kernel panic".into()],
        };
        assert!(crash.to_string().contains("| Kernel panic"));
    }
}
