//! The Nucleus on a bare QEMU microvm under an instruction clock.
//!
//! The very image that runs on KVM, entered by its PVH door, with the boot archive as the module: an independent machine, in which one
//! nanosecond of the virtual clock is one instruction (`-icount shift=0`). The options are pinned so that every run is the same run.

use super::steps::{self, Step, Steps};
use crate::cluster::failure::{Failure, Outcome};
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The emulator.
pub const QEMU: &str = "qemu-system-x86_64";

/// How a site is run there.
pub struct Microvm<'a> {
    /// The Nucleus image.
    pub nucleus: &'a [u8],
    /// The boot archive.
    pub archive: &'a [u8],
    /// vCPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub mem_mib: u32,
    /// Further words of the command line.
    pub words: &'a str,
    /// Limit in real time.
    pub timeout: Duration,
    /// A second serial line, for actors: a Unix socket that the emulator makes, and waits for somebody to connect to before it starts.
    pub line: Option<&'a Path>,
}

/// How a run ended.
pub struct Ended {
    /// Exit code of the site; `None` when it ended in no orderly way.
    pub code: Option<u8>,
    /// Everything that it wrote to its console.
    pub console: String,
}

/// Version of the emulator. Errors: it is not installed.
pub fn version() -> Outcome<String> {
    let output = Command::new(QEMU)
        .arg("--version")
        .output()
        .map_err(|error| {
            Failure::host(format!("{QEMU} cannot be started: {error}"))
                .hint("install it: sudo apt-get install --no-install-recommends qemu-system-x86")
        })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text
        .lines()
        .next()
        .unwrap_or("unknown version")
        .trim()
        .to_owned())
}

/// The pinned options, for people too.
pub const OPTIONS: &[&str] = &[
    "-M",
    "microvm,acpi=off",
    "-cpu",
    "EPYC-v3",
    "-accel",
    "tcg",
    "-icount",
    "shift=0,sleep=off",
    "-rtc",
    "base=2024-01-01T00:00:00,clock=vm",
    "-seed",
    "1",
    "-display",
    "none",
    "-nodefaults",
    "-no-reboot",
    "-serial",
    "stdio",
    "-device",
    "isa-debug-exit,iobase=0xf4,iosize=1",
    "-global",
    "virtio-mmio.force-legacy=false",
];

/// The second serial line.
const SECOND_LINE: &str = "isa-serial,chardev=line,iobase=0x2f8,irq=3";

/// A temporary file that goes with the value.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str, bytes: &[u8]) -> std::io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("chorus-{}-{number}-{name}", std::process::id()));
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?;
        let scratch = Scratch(path);
        file.write_all(bytes)?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Microvm<'_> {
    /// Runs the site to its end; `line` hears every line of its console as it comes.
    ///
    /// # Errors
    /// The emulator is missing or cannot be started; the time limit passed.
    pub fn run(&self, line: impl FnMut(&str)) -> Outcome<Ended> {
        self.start(self.nucleus, &[], line, |mut stderr| {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        })
    }

    /// The same run with each instruction told to `step`, of the site's first processor and within `ranges` only: the emulator does one at a time and logs it, about
    /// a million in a second. `entries` is where the Nucleus has its entries of exceptions.
    ///
    /// # Errors
    /// Those of [`Microvm::run`].
    pub fn traced(
        &self,
        entries: u64,
        ranges: &[Range<u64>],
        line: impl FnMut(&str),
        step: impl FnMut(Step) + Send,
    ) -> Outcome<Ended> {
        let mut options: Vec<String> = steps::OPTIONS.map(str::to_owned).into();
        if !ranges.is_empty() {
            let range = |range: &Range<u64>| format!("{:#x}..{:#x}", range.start, range.end - 1);
            let ranges: Vec<String> = ranges.iter().map(range).collect();
            options.extend(["-dfilter".to_owned(), ranges.join(",")]);
        }
        // The emulator would look up a name for each line.
        let mut nucleus = self.nucleus.to_vec();
        forget_sections(&mut nucleus);
        self.start(&nucleus, &options, line, |stderr| {
            // The emulator writes each line by itself; more room is only faster.
            let _ = rustix::pipe::fcntl_setpipe_size(&stderr, 1 << 20);
            let mut log = Steps::new(entries, step);
            let mut complaints = String::new();
            let mut reader = BufReader::with_capacity(1 << 18, stderr);
            let mut bytes = Vec::new();
            while reader
                .read_until(b'\n', &mut bytes)
                .is_ok_and(|count| count > 0)
            {
                if !log.line(&bytes) {
                    complaints.push_str(&String::from_utf8_lossy(&bytes));
                }
                bytes.clear();
            }
            log.end();
            complaints
        })
    }

    fn start(
        &self,
        nucleus: &[u8],
        options: &[String],
        mut line: impl FnMut(&str),
        listen: impl FnOnce(ChildStderr) -> String + Send,
    ) -> Outcome<Ended> {
        let scratch = |name: &str, bytes: &[u8]| {
            Scratch::new(name, bytes).map_err(|error| {
                Failure::failed(format!("no temporary file for the microvm: {error}"))
            })
        };
        let nucleus = scratch("nucleus", nucleus)?;
        let archive = scratch("archive", self.archive)?;
        let serial = if self.line.is_some() {
            " chorus.serial=0x2f8:3"
        } else {
            ""
        };
        let append = format!(
            "chorus.site=1 chorus.sites=1 chorus.vcpus={} chorus.seed=1 chorus.tsc_khz=1000000{serial} {}",
            self.vcpus, self.words
        );
        let mut command = Command::new(QEMU);
        command
            .args(OPTIONS)
            .args(options)
            .args([
                "-smp",
                &self.vcpus.to_string(),
                "-m",
                &format!("{}M", self.mem_mib),
            ])
            .arg("-kernel")
            .arg(&nucleus.0)
            .arg("-initrd")
            .arg(&archive.0)
            .args(["-append", &append])
            .args(self.line.iter().flat_map(|path| {
                let socket = format!("socket,id=line,path={},server=on,wait=on", path.display());
                ["-chardev", &socket, "-device", SECOND_LINE].map(str::to_owned)
            }))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().map_err(|error| {
            Failure::host(format!("{QEMU} cannot be started: {error}"))
                .hint("install it: sudo apt-get install --no-install-recommends qemu-system-x86")
        })?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Failure::failed("the microvm has no output"));
        };
        let (alive, ended) = std::sync::mpsc::channel::<()>();
        let pid = child.id();
        let timeout = self.timeout;
        // Ends the emulator when the limit passes; dropping `alive` calls it off.
        let guard = std::thread::spawn(move || {
            let late =
                ended.recv_timeout(timeout) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
            if late && let Some(pid) = rustix::process::Pid::from_raw(pid.cast_signed()) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            late
        });
        let mut console = String::new();
        let complaints = std::thread::scope(|scope| {
            let complaints = scope.spawn(|| listen(stderr));
            let mut bytes = Vec::new();
            let mut reader = BufReader::new(stdout);
            while reader
                .read_until(b'\n', &mut bytes)
                .is_ok_and(|count| count > 0)
            {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                line(text.trim_end());
                console.push_str(&text);
                bytes.clear();
            }
            complaints.join().unwrap_or_default()
        });
        let status = child
            .wait()
            .map_err(|error| Failure::failed(format!("the microvm: {error}")))?;
        drop(alive);
        if guard.join().unwrap_or(false) {
            return Err(Failure::new(
                crate::cluster::failure::Status::Timeout,
                format!(
                    "the microvm did not end within {} s; its last line: {}",
                    timeout.as_secs(),
                    last_line(&console)
                ),
            ));
        }
        // isa-debug-exit makes 2n+1 of code n; an even status is the emulator's own.
        let code = status
            .code()
            .filter(|code| code & 1 == 1)
            .and_then(|code| u8::try_from(code >> 1).ok());
        if code.is_none() && console.is_empty() && !complaints.is_empty() {
            return Err(Failure::host(format!("{QEMU}: {}", complaints.trim())));
        }
        Ok(Ended { code, console })
    }
}

/// Takes the table of sections, and so the symbols, out of a 64-bit ELF file.
fn forget_sections(elf: &mut [u8]) {
    const OFFSET: Range<usize> = 40..48;
    const COUNT_AND_NAMES: Range<usize> = 60..64;
    for field in [OFFSET, COUNT_AND_NAMES] {
        if let Some(field) = elf.get_mut(field) {
            field.fill(0);
        }
    }
}

/// The last line of a console.
pub fn last_line(console: &str) -> &str {
    console
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("nothing")
}
