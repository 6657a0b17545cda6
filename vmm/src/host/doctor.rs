//! `chorus doctor`: what this machine can do, why, and how to make it able.

use serde::{Deserialize, Serialize};

use super::{Backend, DebugSupport};

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Pass,
    /// Not as it should be, but something stands in.
    Warn,
    /// Not able.
    Fail,
    /// Not looked at, because an earlier check failed or it does not matter here.
    Skip,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// A stable name: `kvm.device`, `kvm.syscall`, `emulated.qemu`…
    pub name: String,
    /// How it went.
    pub status: Status,
    /// What was seen.
    pub detail: String,
    /// What to do, where something can be done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fix: Option<String>,
}

/// What `doctor` found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The checks, in the order in which they were made.
    pub checks: Vec<Check>,
    /// The module behind `/dev/kvm`: `vmx`, `svm`, `pvm`, `unknown`; nothing without KVM.
    pub vendor: Option<String>,
    /// Whether this machine is itself a virtual one.
    pub nested: bool,
    /// Whether guests run right on `/dev/kvm`.
    pub faithful: bool,
    /// What `--host auto` takes; nothing when no guest can run here.
    pub auto: Option<Backend>,
    /// The debug events that this machine's KVM delivers.
    pub debug: DebugSupport,
    /// One sentence for people.
    pub verdict: String,
}

impl Report {
    /// The exit code of `chorus doctor`: 0 when guests can run here in some way, else 5.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.auto.is_some() { 0 } else { 5 }
    }
}

/// Looks at the machine. Ends within seconds whatever it finds.
#[must_use]
pub fn examine() -> Report {
    super::resolve::forget();
    Report {
        checks: Vec::new(),
        vendor: None,
        nested: false,
        faithful: false,
        auto: None,
        debug: DebugSupport::default(),
        verdict: String::new(),
    }
}
