//! `chorus doctor`: what this machine can do, why, and how to make it able.
//!
//! It looks at KVM (the device, its module, its capabilities, the self-test guest) and at what the emulated host needs, and
//! says which of the two `--host auto` takes. It trusts no memory of earlier runs.

use kvm_ioctls::Kvm;
use serde::{Deserialize, Serialize};

use super::selftest::{self, Seen, SelfTest, Step};
use super::{Backend, DebugSupport, cache, emulated, facts, inside, resolve};

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

/// The checks so far.
#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn add(
        &mut self,
        name: impl Into<String>,
        status: Status,
        detail: impl Into<String>,
        fix: Option<String>,
    ) {
        self.0.push(Check {
            name: name.into(),
            status,
            detail: detail.into(),
            fix,
        });
    }

    fn pass(&mut self, name: &str, detail: impl Into<String>) {
        self.add(name, Status::Pass, detail, None);
    }
}

/// Looks at the machine. Ends within seconds whatever it finds.
#[must_use]
pub fn examine() -> Report {
    let mut checks = Checks::default();
    let nested = facts::nested();
    let kvm = kvm_usable(&mut checks);
    let vendor = kvm.as_ref().map(|_| facts::vendor().name().to_string());
    let able = kvm.as_ref().is_some_and(|kvm| capable(&mut checks, kvm));
    let test = if able {
        selftest::run()
    } else {
        SelfTest::default()
    };
    if kvm.is_some() {
        steps(&mut checks, &test);
    }
    let faithful = able && test.faithful();
    let emulated = !inside() && emulated_host(&mut checks, faithful);
    let auto = match (faithful, emulated) {
        (true, _) => Some(Backend::Kvm),
        (false, true) => Some(Backend::Emulated),
        (false, false) => None,
    };
    resolve::remember(faithful, test.debug_support());
    let verdict = verdict(vendor.as_deref(), nested, faithful, auto);
    Report {
        checks: checks.0,
        vendor,
        nested,
        faithful,
        auto,
        debug: test.debug_support(),
        verdict,
    }
}

fn kvm_usable(checks: &mut Checks) -> Option<Kvm> {
    if let Err(no) = facts::openable() {
        checks.add("kvm.device", Status::Fail, no.problem, Some(no.fix));
        return None;
    }
    match Kvm::new() {
        Ok(kvm) => {
            checks.pass(
                "kvm.device",
                format!("{} opens for reading and writing", facts::DEVICE),
            );
            let layer = if facts::nested() {
                "nested: this machine is a virtual one"
            } else {
                "on the hardware"
            };
            checks.pass("kvm.vendor", format!("{}, {layer}", facts::vendor().name()));
            Some(kvm)
        }
        Err(error) => {
            checks.add(
                "kvm.device",
                Status::Fail,
                format!("{} opens and fails: {error}", facts::DEVICE),
                None,
            );
            None
        }
    }
}

fn capable(checks: &mut Checks, kvm: &Kvm) -> bool {
    const VERSION: i32 = 12;
    let found = facts::capabilities(kvm);
    if found.version != VERSION {
        let detail = format!("version {} of the interface, not {VERSION}", found.version);
        checks.add(
            "kvm.api",
            Status::Fail,
            detail,
            Some("use a Linux kernel of 2007 or later".into()),
        );
        return false;
    }
    checks.pass("kvm.api", format!("version {VERSION}"));
    if !found.lacking.is_empty() {
        let detail = format!("lacks {}", found.lacking.join(", "));
        checks.add(
            "kvm.capabilities",
            Status::Fail,
            detail,
            Some("use a newer Linux kernel, or --host emulated".into()),
        );
        return false;
    }
    let has = found.present.join(", ");
    if found.absent.is_empty() {
        checks.pass("kvm.capabilities", has);
    } else {
        let detail = format!(
            "{has}; without {}, which others stand in for",
            found.absent.join(", ")
        );
        checks.add("kvm.capabilities", Status::Warn, detail, None);
    }
    true
}

fn stand_in(step: Step) -> &'static str {
    match step {
        Step::SoftwareBreakpoint => "the Nucleus' own #BP handler reports software breakpoints",
        Step::HardwareBreakpoint => "software breakpoints stand in for hardware breakpoints",
        Step::Watchpoint => "the debugger single-steps to watch memory",
        _ => "no stand-in; the debugger can only stop and go on",
    }
}

fn steps(checks: &mut Checks, test: &SelfTest) {
    for step in Step::ALL {
        let name = format!("kvm.{}", step.name());
        match test.of(step) {
            Some(Seen::Passed(words)) => checks.add(name, Status::Pass, words, None),
            Some(Seen::Failed(words)) if step.only_for_debugging() => {
                checks.add(
                    name,
                    Status::Warn,
                    format!("{words}; {}", stand_in(step)),
                    None,
                );
            }
            Some(Seen::Failed(words)) => {
                checks.add(
                    name,
                    Status::Fail,
                    words,
                    Some("--host emulated brings a faithful KVM of its own".into()),
                );
            }
            None => checks.add(
                name,
                Status::Skip,
                "not tried: an earlier check failed",
                None,
            ),
        }
    }
}

/// Memory in MiB that an emulated host should find free.
const FREE_MIB: u64 = 1536;

/// Looks at what the emulated host needs; whether it can start. Where KVM is faithful its lack is only a warning.
fn emulated_host(checks: &mut Checks, spare: bool) -> bool {
    let missing = emulated::missing();
    let lack = if spare { Status::Warn } else { Status::Fail };
    match emulated::qemu_program() {
        Some(path) => match version_of(&path) {
            Some(version) => checks.pass("emulated.qemu", format!("{}: {version}", path.display())),
            None => checks.add(
                "emulated.qemu",
                lack,
                format!("{} does not run", path.display()),
                None,
            ),
        },
        None => checks.add(
            "emulated.qemu",
            lack,
            "no qemu-system-x86_64 in PATH",
            fix_for(&missing, "qemu"),
        ),
    }
    match emulated::kernel() {
        Some(kernel) => {
            let detail = format!(
                "{} with {} modules, {}",
                kernel.release,
                kernel.modules.len(),
                kernel.image.display()
            );
            checks.pass("emulated.kernel", detail);
        }
        None => {
            let detail = format!(
                "none in {} or installed",
                cache::folder().join("host-kernel").display()
            );
            checks.add("emulated.kernel", lack, detail, fix_for(&missing, "kernel"));
        }
    }
    match available_mib() {
        Some(free) if free < FREE_MIB => checks.add(
            "emulated.memory",
            Status::Warn,
            format!("{free} MiB available; the emulated host wants {FREE_MIB}"),
            Some(format!(
                "end other programs, or set {}=512M for small clusters",
                emulated::MEMORY
            )),
        ),
        Some(free) => checks.pass("emulated.memory", format!("{free} MiB available")),
        None => checks.add(
            "emulated.memory",
            Status::Skip,
            "/proc/meminfo does not say",
            None,
        ),
    }
    missing.is_empty()
}

fn fix_for(missing: &[super::Missing], word: &str) -> Option<String> {
    missing
        .iter()
        .find(|lack| lack.what.contains(word))
        .map(|lack| lack.install.clone())
}

fn version_of(qemu: &std::path::Path) -> Option<String> {
    let out = std::process::Command::new(qemu)
        .arg("--version")
        .output()
        .ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    let first = text.lines().next()?.trim_start_matches("QEMU emulator ");
    out.status.success().then(|| first.to_string())
}

fn available_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()
        .map(|kib| kib / 1024)
}

fn verdict(vendor: Option<&str>, nested: bool, faithful: bool, auto: Option<Backend>) -> String {
    let kvm = match vendor {
        None => "KVM cannot be used".to_string(),
        Some(vendor) => {
            let nested = if nested { " (nested)" } else { "" };
            let word = if faithful { "faithful" } else { "unsuitable" };
            format!("KVM by {vendor}{nested} is {word}")
        }
    };
    match auto {
        Some(Backend::Kvm) => format!("{kvm}; --host auto runs guests on it"),
        Some(Backend::Emulated) => format!("{kvm}; --host auto runs guests on the emulated host"),
        None => format!("{kvm}, and the emulated host lacks something: no guest can run here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_says_what_is_taken() {
        assert_eq!(
            verdict(Some("pvm"), true, false, Some(Backend::Emulated)),
            "KVM by pvm (nested) is unsuitable; --host auto runs guests on the emulated host"
        );
        assert!(verdict(None, false, false, None).contains("no guest can run here"));
        assert!(verdict(Some("vmx"), false, true, Some(Backend::Kvm)).contains("faithful"));
    }

    #[test]
    fn steps_that_were_not_run_are_skipped_and_not_passed() {
        let mut checks = Checks::default();
        steps(&mut checks, &SelfTest::default());
        assert_eq!(checks.0.len(), Step::ALL.len());
        assert!(checks.0.iter().all(|check| check.status == Status::Skip));
    }

    #[test]
    fn a_report_survives_json() -> serde_json::Result<()> {
        let report = Report {
            checks: vec![Check {
                name: "kvm.device".into(),
                status: Status::Fail,
                detail: "no".into(),
                fix: None,
            }],
            vendor: None,
            nested: true,
            faithful: false,
            auto: None,
            debug: DebugSupport::default(),
            verdict: "no".into(),
        };
        assert_eq!(report.exit_code(), 5);
        let text = serde_json::to_string(&report)?;
        assert!(text.contains(r#""status":"fail""#), "{text}");
        let back: Report = serde_json::from_str(&text)?;
        assert_eq!(back.checks, report.checks);
        Ok(())
    }
}
