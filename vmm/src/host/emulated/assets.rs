//! What the emulated host is made from on this machine: QEMU, and a Linux kernel with its KVM modules.
//!
//! The kernel comes from the cache folder, where `scripts/setup` unpacks Debian's cloud kernel, or from an installed
//! `linux-image-*-cloud-amd64` package. `CHORUS_HOST_KERNEL` names another folder of the cache's layout.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::super::{Missing, cache};

/// The modules in the order in which they are inserted, as paths below `kernel/` of a module tree, and their parameters.
///
/// Polling before a halt and advancing timers spend time that an emulated processor does not have; both are switched off.
pub(super) const MODULES: [(&str, &str); 9] = [
    ("virt/lib/irqbypass", ""),
    (
        "arch/x86/kvm/kvm",
        "halt_poll_ns=0 lapic_timer_advance_ns=0",
    ),
    ("arch/x86/kvm/kvm-amd", ""),
    ("drivers/virtio/virtio_ring", ""),
    ("drivers/virtio/virtio", ""),
    ("drivers/virtio/virtio_pci_legacy_dev", ""),
    ("drivers/virtio/virtio_pci_modern_dev", ""),
    ("drivers/virtio/virtio_pci", ""),
    ("drivers/char/virtio_console", ""),
];

/// Name of a module's file in the cache and in the initramfs.
pub(super) fn file_name(module: &str) -> String {
    format!("{}.ko", module.rsplit('/').next().unwrap_or(module))
}

/// A kernel with its modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// As `uname -r` says.
    pub release: String,
    /// The boot image.
    pub image: PathBuf,
    /// The modules, in the order of [`MODULES`].
    pub modules: Vec<PathBuf>,
}

impl Kernel {
    fn from_files(release: String, image: PathBuf, modules: Vec<PathBuf>) -> Option<Kernel> {
        let whole = std::iter::once(&image)
            .chain(&modules)
            .all(|file| file.is_file());
        whole.then_some(Kernel {
            release,
            image,
            modules,
        })
    }

    /// A folder as `scripts/setup` makes it: `vmlinuz` and the module files side by side.
    fn from_flat(folder: &Path) -> Option<Kernel> {
        let modules = MODULES
            .iter()
            .map(|(module, _)| folder.join(file_name(module)))
            .collect();
        let release = folder.file_name()?.to_string_lossy().into_owned();
        Kernel::from_files(release, folder.join("vmlinuz"), modules)
    }

    /// An installed kernel package, below `root`.
    fn from_package(root: &Path, release: &str) -> Option<Kernel> {
        let tree = root.join("lib/modules").join(release).join("kernel");
        let modules = MODULES
            .iter()
            .map(|(module, _)| tree.join(format!("{module}.ko")))
            .collect();
        Kernel::from_files(
            release.into(),
            root.join(format!("boot/vmlinuz-{release}")),
            modules,
        )
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect()
}

/// Compares releases as people do: runs of digits by value.
fn by_version(release: &str) -> Vec<(u64, String)> {
    let mut parts = Vec::new();
    for part in release.split(['.', '-']) {
        parts.push((part.parse().unwrap_or(0), part.to_string()));
    }
    parts
}

fn newest(mut kernels: Vec<Kernel>) -> Option<Kernel> {
    kernels.sort_by_key(|kernel| by_version(&kernel.release));
    kernels.pop()
}

/// The kernel that the emulated host boots.
pub(crate) fn kernel() -> Option<Kernel> {
    if let Some(folder) = std::env::var_os("CHORUS_HOST_KERNEL").filter(|value| !value.is_empty()) {
        return Kernel::from_flat(Path::new(&folder));
    }
    let home = cache::folder().join("host-kernel");
    let cached = names_in(&home)
        .iter()
        .filter_map(|name| Kernel::from_flat(&home.join(name)))
        .collect();
    newest(cached).or_else(|| installed(Path::new("/")))
}

fn installed(root: &Path) -> Option<Kernel> {
    let releases = names_in(&root.join("lib/modules"));
    newest(
        releases
            .iter()
            .filter(|release| release.ends_with("cloud-amd64"))
            .filter_map(|release| Kernel::from_package(root, release))
            .collect(),
    )
}

/// QEMU's program, looked for along `PATH`.
pub(crate) fn qemu() -> Option<PathBuf> {
    in_path("qemu-system-x86_64", &std::env::var_os("PATH")?)
}

fn in_path(program: &str, path: &OsStr) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let executable = |file: &PathBuf| {
        std::fs::metadata(file)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(path)
        .map(|folder| folder.join(program))
        .find(executable)
}

/// What is missing, with the commands that bring it.
pub(crate) fn missing() -> Vec<Missing> {
    let mut missing = Vec::new();
    if qemu().is_none() {
        missing.push(Missing {
            what: "qemu-system-x86_64 in PATH (package qemu-system-x86)".into(),
            install: "sudo apt-get install --no-install-recommends qemu-system-x86".into(),
        });
    }
    if kernel().is_none() {
        missing.push(Missing {
            what: "a Linux kernel with KVM for AMD as modules (package linux-image-cloud-amd64)".into(),
            install: "scripts/setup in the source tree, or: sudo apt-get install --no-install-recommends linux-image-cloud-amd64"
                .into(),
        });
    }
    missing
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn touch(path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        std::fs::write(path, b"x")
    }

    #[test]
    fn an_installed_kernel_is_taken_when_it_is_whole_and_the_newest_one_wins() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        for release in ["6.1.0-9-cloud-amd64", "6.1.0-56-cloud-amd64"] {
            touch(&root.path().join(format!("boot/vmlinuz-{release}")))?;
            for (module, _) in MODULES {
                touch(
                    &root
                        .path()
                        .join(format!("lib/modules/{release}/kernel/{module}.ko")),
                )?;
            }
        }
        let found = installed(root.path()).map(|kernel| kernel.release);
        assert_eq!(found.as_deref(), Some("6.1.0-56-cloud-amd64"));
        std::fs::remove_file(
            root.path()
                .join("lib/modules/6.1.0-56-cloud-amd64/kernel/arch/x86/kvm/kvm.ko"),
        )?;
        let found = installed(root.path()).map(|kernel| kernel.release);
        assert_eq!(found.as_deref(), Some("6.1.0-9-cloud-amd64"));
        Ok(())
    }

    #[test]
    fn a_program_must_be_executable_to_be_found() -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir()?;
        let program = folder.path().join("qemu-system-x86_64");
        touch(&program)?;
        assert_eq!(
            in_path("qemu-system-x86_64", folder.path().as_os_str()),
            None
        );
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
        assert_eq!(
            in_path("qemu-system-x86_64", folder.path().as_os_str()),
            Some(program)
        );
        Ok(())
    }
}
