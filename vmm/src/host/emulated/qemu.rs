//! The emulated machine: QEMU's command line, and the process.
//!
//! The options are those that proved reliable and quick for nested KVM: one TCG thread (several freeze the kernel or
//! triple-fault guests), EPYC with SVM, q35, a kernel command line without what takes time under emulation. Under
//! `deterministic` the clock is virtual, the real-time clock and the random seed are pinned and nothing comes in but the
//! initial file system.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Port of QEMU's `isa-debug-exit` device.
pub(super) const EXIT_PORT: u16 = 0xf4;
/// Written there by the inner side at a clean end.
pub(super) const CLEAN: u8 = 0x2a;
/// QEMU's exit status at a clean end. A panic of the kernel gives 0 (`-no-reboot`), so 0 must not mean success.
pub(super) const CLEAN_STATUS: i32 = 2 * CLEAN as i32 + 1;
/// Name of the virtio port that carries the link.
pub(super) const PORT_NAME: &str = "chorus.link";

/// What the machine is made of.
pub(super) struct Machine<'a> {
    pub qemu: &'a Path,
    pub kernel: &'a Path,
    pub initrd: &'a File,
    pub memory_mib: u64,
    pub processors: u32,
    pub deterministic: bool,
}

/// A file in memory, for what QEMU takes or gives as a file: nothing is left behind on a disk.
pub(super) fn memory_file(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

/// Where the machine's bytes go.
pub(super) struct Ends<'a> {
    /// Its kernel's console.
    pub console: &'a File,
    /// QEMU's own messages.
    pub messages: File,
    /// The link: a connected socket, or in a deterministic machine a file that it only writes.
    pub link: OwnedFd,
}

/// Starts the machine. It dies with the calling thread.
pub(super) fn start(machine: &Machine<'_>, ends: Ends<'_>) -> io::Result<Child> {
    let (initrd, console, link) = (
        machine.initrd.as_raw_fd(),
        ends.console.as_raw_fd(),
        ends.link.as_raw_fd(),
    );
    let mut command = Command::new(machine.qemu);
    command.args(arguments(machine, console, link));
    command
        .arg("-initrd")
        .arg(format!("/proc/self/fd/{initrd}"));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(ends.messages);
    // A Ctrl-C at the terminal is ours to hand on; it must not end the machine at once.
    command.process_group(0);
    let parent = rustix::process::getpid();
    let inherited = [initrd, console, link];
    // SAFETY: between fork and exec the closure makes only direct system calls (prctl, getppid, fcntl): it allocates
    // nothing and takes no lock. The descriptors are open until `spawn` returns: `machine` and `ends` hold them.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            if getppid() != Some(parent) {
                return Err(io::Error::from(rustix::io::Errno::SRCH));
            }
            for fd in inherited {
                let fd = std::os::fd::BorrowedFd::borrow_raw(fd);
                fcntl_setfd(fd, FdFlags::empty())?;
            }
            Ok(())
        });
    }
    let child = command.spawn()?;
    // Our copy of the link's far end goes, so that the end of QEMU is the end of the stream.
    drop(ends.link);
    Ok(child)
}

fn arguments(machine: &Machine<'_>, console: i32, link: i32) -> Vec<String> {
    let mut line: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| line.extend(words.iter().map(|word| (*word).to_string()));
    add(&[
        "-no-user-config",
        "-nodefaults",
        "-display",
        "none",
        "-no-reboot",
    ]);
    add(&[
        "-M",
        "q35",
        "-cpu",
        "EPYC-v3,+svm",
        "-accel",
        "tcg,thread=single",
    ]);
    add(&["-m", &format!("{}M", machine.memory_mib)]);
    add(&[
        "-device",
        &format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=1"),
    ]);
    add(&[
        "-chardev",
        &format!("file,id=console,path=/proc/self/fd/{console}"),
        "-serial",
        "chardev:console",
    ]);
    if machine.deterministic {
        add(&["-smp", "1", "-icount", "shift=3,sleep=off", "-seed", "42"]);
        add(&["-rtc", "base=2024-01-01T00:00:00,clock=vm"]);
        add(&[
            "-chardev",
            &format!("file,id=link,path=/proc/self/fd/{link}"),
            "-serial",
            "chardev:link",
        ]);
    } else {
        add(&["-smp", &machine.processors.to_string()]);
        add(&[
            "-device",
            "virtio-serial-pci,max_ports=2",
            "-chardev",
            &format!("socket,id=link,fd={link}"),
        ]);
        add(&[
            "-device",
            &format!("virtserialport,nr=1,chardev=link,name={PORT_NAME}"),
        ]);
    }
    let khz = if machine.deterministic {
        1_000_000
    } else {
        tsc_khz()
    };
    add(&["-kernel", &machine.kernel.to_string_lossy()]);
    add(&["-append", &kernel_line(khz)]);
    line
}

fn kernel_line(tsc_khz: u64) -> String {
    format!(
        "console=ttyS0 panic=-1 quiet tsc_early_khz={tsc_khz} mitigations=off nokaslr tsc=reliable no_timer_check audit=0 \
         lsm=yama i8042.noaux i8042.nokbd 8250.nr_uarts=2 cryptomgr.notests raid=noautodetect random.trust_cpu=on \
         rcupdate.rcu_expedited=1 nowatchdog nmi_watchdog=0 ipv6.disable=1 noresume transparent_hugepage=never"
    )
}

/// Frequency of this machine's time stamp counter in kHz, measured over 20 ms. The emulated kernel takes it as given: its own
/// calibration fails at random under emulation.
fn tsc_khz() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Linux lets user code use it.
    let ticks = || unsafe { core::arch::x86_64::_rdtsc() };
    let (start, first) = (Instant::now(), ticks());
    std::thread::sleep(Duration::from_millis(20));
    let (passed, last) = (start.elapsed(), ticks());
    let nanoseconds = passed.as_nanos().max(1);
    u64::try_from(u128::from(last.wrapping_sub(first)) * 1_000_000 / nanoseconds)
        .unwrap_or(1_000_000)
}

/// Everything in a memory file so far, as text.
pub(super) fn text_of(file: &File) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = rustix::io::pread(file.as_fd(), &mut piece, bytes.len() as u64) {
        bytes.extend_from_slice(&piece[..length]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(deterministic: bool) -> io::Result<String> {
        let initrd = memory_file("test")?;
        let machine = Machine {
            qemu: Path::new("qemu"),
            kernel: Path::new("/k"),
            initrd: &initrd,
            memory_mib: 1024,
            processors: 2,
            deterministic,
        };
        Ok(arguments(&machine, 7, 8).join(" "))
    }

    #[test]
    fn a_deterministic_machine_has_no_way_in_and_nothing_unpinned() -> io::Result<()> {
        let pinned = line(true)?;
        assert!(
            !pinned.contains("virtio") && !pinned.contains("socket"),
            "{pinned}"
        );
        for word in [
            "-icount",
            "-seed",
            "clock=vm",
            "-smp 1",
            "tsc_early_khz=1000000",
        ] {
            assert!(pinned.contains(word), "{word} in {pinned}");
        }
        assert_eq!(pinned, line(true)?);
        assert!(line(false)?.contains("virtserialport"));
        Ok(())
    }

    #[test]
    fn the_counter_is_between_a_hundred_megahertz_and_ten_gigahertz() {
        assert!((100_000..10_000_000).contains(&tsc_khz()));
    }
}
