//! Making the machine ready: mounts, modules, files, the loopback device, the link's port.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::mount::MountFlags;
use rustix::system::{finit_module, sethostname};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::super::initramfs::{CARRIED, MODULES};
use super::super::{Order, assets, qemu};

/// Mounts what a Linux program expects to find.
pub(super) fn mount() -> io::Result<()> {
    for (kind, place) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        mount_one(kind, place)?;
    }
    fs::create_dir_all("/dev/shm")?;
    mount_one("tmpfs", "/dev/shm")?;
    sethostname(b"chorus")?;
    Ok(())
}

fn mount_one(kind: &str, place: &str) -> io::Result<()> {
    rustix::mount::mount(kind, place, kind, MountFlags::empty(), None).map_err(|errno| {
        let error = io::Error::from(errno);
        io::Error::new(error.kind(), format!("mounting {kind} on {place}: {error}"))
    })
}

/// Inserts KVM, and the driver of the link's port where there is one.
pub(super) fn insert_modules(deterministic: bool) -> io::Result<()> {
    for (module, parameters) in assets::MODULES {
        if deterministic && module.contains("virtio") {
            continue;
        }
        let path = Path::new(MODULES).join(assets::file_name(module));
        let parameters = CString::new(parameters)?;
        finit_module(&File::open(&path)?, &parameters, 0).map_err(|errno| {
            let error = io::Error::from(errno);
            io::Error::new(
                error.kind(),
                format!("inserting {}: {error}", path.display()),
            )
        })?;
    }
    Ok(())
}

/// Moves the carried files to their places and makes the working folder.
pub(super) fn place_files(order: &Order) -> io::Result<()> {
    for (number, place) in order.files.iter().enumerate() {
        let from = Path::new(CARRIED).join(number.to_string());
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        if fs::rename(&from, place).is_err() {
            fs::copy(&from, place)?;
            fs::remove_file(&from)?;
        }
    }
    let folders = order.results.iter().filter_map(|path| path.parent());
    for folder in folders.chain(order.mirrors.iter().map(PathBuf::as_path)) {
        fs::create_dir_all(folder)?;
    }
    fs::create_dir_all(&order.folder)
}

/// Opens the port that carries the link.
pub(super) fn open_link(deterministic: bool) -> io::Result<File> {
    let open = |path: &Path| OpenOptions::new().read(true).write(true).open(path);
    if deterministic {
        let port = open(Path::new("/dev/ttyS1"))?;
        let mut line = tcgetattr(&port)?;
        line.make_raw();
        line.set_speed(115_200)?;
        tcsetattr(&port, OptionalActions::Now, &line)?;
        return Ok(port);
    }
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(path) = link_port() {
            return open(&path);
        }
        if Instant::now() > limit {
            return Err(io::Error::other("the link's virtio port did not appear"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn link_port() -> Option<PathBuf> {
    for entry in fs::read_dir("/sys/class/virtio-ports").ok()? {
        let entry = entry.ok()?;
        let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        let device = Path::new("/dev").join(entry.file_name());
        if name.trim() == qemu::PORT_NAME && device.exists() {
            return Some(device);
        }
    }
    None
}

/// Brings the loopback device up, for carried TCP ports.
pub(super) fn loopback_up() -> io::Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: `ifreq` is plain data for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, which lives through the call.
    let result = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether Linux had to kill a process for want of memory.
pub(super) fn out_of_memory() -> bool {
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    text.lines().any(|line| {
        line.strip_prefix("oom_kill ")
            .is_some_and(|count| count.trim() != "0")
    })
}
