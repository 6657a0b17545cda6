//! From what the user asked for to what is taken.
//!
//! `auto` must cost little on every command, so the self-test's answer is kept in the cache folder. It holds for one boot, one
//! build of this program and one `/dev/kvm` node, and is found out anew when any of them changes.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use kvm_ioctls::Kvm;
use serde::{Deserialize, Serialize};

use super::selftest::{self, DebugSupport};
use super::{Backend, Choice, HostError, cache, emulated, facts, inside};

/// Takes the back end for `choice`, or says why it cannot be had.
///
/// `auto` takes KVM when the self-test guest passes on it, else the emulated host. `kvm` only asks that the device opens:
/// whoever names it gets it. Inside the emulated host the answer is always KVM.
///
/// # Errors
/// [`HostError::Kvm`] for `kvm` when the device cannot be used, [`HostError::Missing`] when the emulated host is needed and
/// lacks something.
pub fn resolve(choice: Choice) -> Result<Backend, HostError> {
    let kvm_opens = || {
        facts::openable().map_err(|no| HostError::Kvm {
            problem: no.problem,
            fix: no.fix,
        })
    };
    if inside() {
        return kvm_opens().map(|()| Backend::Kvm);
    }
    match choice {
        Choice::Kvm => kvm_opens().map(|()| Backend::Kvm),
        Choice::Auto if facts::openable().is_ok() && probe().faithful => Ok(Backend::Kvm),
        Choice::Auto | Choice::Emulated => {
            let missing = emulated::missing();
            if missing.is_empty() {
                Ok(Backend::Emulated)
            } else {
                Err(HostError::Missing(missing))
            }
        }
    }
}

/// What debug events this machine's KVM delivers, for the debugger to choose its stand-ins. Nothing is delivered where KVM
/// cannot be used.
#[must_use]
pub fn debug_support() -> DebugSupport {
    if facts::openable().is_err() {
        return DebugSupport::default();
    }
    probe().debug
}

/// What is remembered of a self-test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Probe {
    faithful: bool,
    debug: DebugSupport,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    valid_for: String,
    probe: Probe,
}

fn probe() -> Probe {
    let Some(key) = key() else { return measure() };
    let remembered = std::fs::read(path())
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Remembered>(&bytes).ok());
    if let Some(known) = remembered.filter(|known| known.valid_for == key) {
        return known.probe;
    }
    let probe = measure();
    store(key, probe);
    probe
}

fn measure() -> Probe {
    let Ok(kvm) = Kvm::new() else {
        return Probe::default();
    };
    let result = selftest::run();
    let able = facts::capabilities(&kvm).lacking.is_empty();
    Probe {
        faithful: able && result.faithful(),
        debug: result.debug_support(),
    }
}

fn path() -> PathBuf {
    cache::folder().join("kvm-probe.json")
}

fn key() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let device = std::fs::metadata(facts::DEVICE).ok()?;
    let program = std::fs::metadata(std::env::current_exe().ok()?).ok()?;
    Some(format!(
        "{} {}:{} {} {}:{}:{} {}",
        env!("CARGO_PKG_VERSION"),
        program.len(),
        program.mtime_nsec().wrapping_add(program.mtime()),
        boot.trim(),
        device.rdev(),
        device.ino(),
        device.ctime(),
        facts::vendor().name()
    ))
}

/// Replaces what is remembered by what `doctor` has just found.
pub(super) fn remember(faithful: bool, debug: DebugSupport) {
    if let Some(key) = key() {
        store(key, Probe { faithful, debug });
    }
}

fn store(valid_for: String, probe: Probe) {
    if let Ok(bytes) = serde_json::to_vec(&Remembered { valid_for, probe }) {
        // Without the note the next command only asks again.
        let _ = cache::store(&path(), &bytes);
    }
}
