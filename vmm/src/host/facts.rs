//! Facts about KVM that cost nothing: the device, its vendor module, its capabilities.
//!
//! They name the back end and explain a failure; they do not prove that guests run right. That is the self-test's part.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::path::Path;

use kvm_ioctls::{Cap, Kvm};

/// The device that guests are made with.
pub(super) const DEVICE: &str = "/dev/kvm";

/// Why `/dev/kvm` cannot be opened, and what to do about it.
pub(super) struct Unusable {
    pub problem: String,
    pub fix: String,
}

/// Opens the device for reading and writing, as a VMM must.
pub(super) fn openable() -> Result<(), Unusable> {
    match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(_) => Ok(()),
        Err(error) => Err(explain(&error)),
    }
}

fn explain(error: &io::Error) -> Unusable {
    let fix = match error.kind() {
        ErrorKind::NotFound => {
            "switch virtualisation on in the firmware (or nested virtualisation in the outer machine), then \
             `modprobe kvm_intel` or `modprobe kvm_amd`; or use --host emulated"
        }
        ErrorKind::PermissionDenied => {
            "`sudo usermod -aG kvm $USER` and log in again; or for everybody: \
             `echo 'KERNEL==\"kvm\", GROUP=\"kvm\", MODE=\"0666\", OPTIONS+=\"static_node=kvm\"' | \
             sudo tee /etc/udev/rules.d/99-kvm.rules && sudo udevadm control --reload-rules && sudo udevadm trigger --name-match=kvm`"
        }
        _ => "look at `dmesg` for messages of kvm; or use --host emulated",
    };
    Unusable {
        problem: format!("{DEVICE}: {error}"),
        fix: fix.into(),
    }
}

/// The module behind the KVM interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vendor {
    /// Intel VT-x.
    Vmx,
    /// AMD-V.
    Svm,
    /// KVM-PVM: software virtualisation without hardware support; guest ring 0 runs in ring 3.
    Pvm,
    /// A module that this program does not know.
    Unknown,
}

impl Vendor {
    /// The short name shown to people and put into JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Vendor::Vmx => "vmx",
            Vendor::Svm => "svm",
            Vendor::Pvm => "pvm",
            Vendor::Unknown => "unknown",
        }
    }
}

/// The vendor module that is loaded. A module may be built in, so the CPU's flags are asked next.
pub(super) fn vendor() -> Vendor {
    let loaded = |module: &str| Path::new("/sys/module").join(module).exists();
    if loaded("kvm_pvm") {
        Vendor::Pvm
    } else if loaded("kvm_intel") {
        Vendor::Vmx
    } else if loaded("kvm_amd") {
        Vendor::Svm
    } else if has_cpu_flag("vmx") {
        Vendor::Vmx
    } else if has_cpu_flag("svm") {
        Vendor::Svm
    } else {
        Vendor::Unknown
    }
}

/// Whether this machine is itself a virtual one, so that its KVM is nested (or emulated).
pub(super) fn nested() -> bool {
    has_cpu_flag("hypervisor")
}

fn has_cpu_flag(flag: &str) -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| cpu_flags_have(&text, flag))
}

fn cpu_flags_have(cpuinfo: &str, flag: &str) -> bool {
    cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("flags"))
        .is_some_and(|rest| rest.split_whitespace().any(|word| word == flag))
}

/// The capabilities that the machine asks for, by the name in KVM's documentation, and whether it can go without.
const WANTED: [(Cap, &str, bool); 14] = [
    (Cap::UserMemory, "USER_MEMORY", true),
    (Cap::Irqchip, "IRQCHIP", true),
    (Cap::SplitIrqchip, "SPLIT_IRQCHIP", true),
    (Cap::IrqRouting, "IRQ_ROUTING", true),
    (Cap::Irqfd, "IRQFD", true),
    (Cap::Ioeventfd, "IOEVENTFD", true),
    (Cap::SignalMsi, "SIGNAL_MSI", true),
    (Cap::ExtCpuid, "EXT_CPUID", true),
    (Cap::MpState, "MP_STATE", true),
    (Cap::ImmediateExit, "IMMEDIATE_EXIT", true),
    (Cap::SetGuestDebug, "SET_GUEST_DEBUG", false),
    (Cap::X2ApicApi, "X2APIC_API", false),
    (Cap::TscDeadlineTimer, "TSC_DEADLINE_TIMER", false),
    (Cap::GetTscKhz, "GET_TSC_KHZ", false),
];

/// What a KVM can do, of what this program wants.
pub(super) struct Capabilities {
    /// Number of the interface; 12 since 2007.
    pub version: i32,
    pub present: Vec<&'static str>,
    /// Wanted, absent, and the machine cannot run without.
    pub lacking: Vec<&'static str>,
    /// Wanted and absent, but something else stands in.
    pub absent: Vec<&'static str>,
}

/// Asks KVM for its capabilities.
pub(super) fn capabilities(kvm: &Kvm) -> Capabilities {
    let mut found = Capabilities {
        version: kvm.get_api_version(),
        present: Vec::new(),
        lacking: Vec::new(),
        absent: Vec::new(),
    };
    for (cap, name, needed) in WANTED {
        let list = match (kvm.check_extension(cap), needed) {
            (true, _) => &mut found.present,
            (false, true) => &mut found.lacking,
            (false, false) => &mut found.absent,
        };
        list.push(name);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_flags_are_whole_words() {
        let text = "processor\t: 0\nflags\t\t: fpu svm_lock hypervisor\n";
        assert!(cpu_flags_have(text, "hypervisor"));
        assert!(!cpu_flags_have(text, "svm"));
        assert!(!cpu_flags_have("", "svm"));
    }

    #[test]
    fn each_way_of_not_opening_has_its_own_fix() {
        let fix = |kind| explain(&io::Error::from(kind)).fix;
        assert!(fix(ErrorKind::PermissionDenied).contains("usermod -aG kvm"));
        assert!(fix(ErrorKind::NotFound).contains("modprobe"));
        assert_ne!(fix(ErrorKind::Other), fix(ErrorKind::NotFound));
    }
}
