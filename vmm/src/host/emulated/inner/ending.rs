//! The two ends of the emulated host: the clean one through QEMU's `isa-debug-exit`, and switching off.
//!
//! QEMU's exit status is how the outside tells them apart: only the clean end gives [`qemu::CLEAN_STATUS`].

use std::io;
use std::time::Duration;

use rustix::system::{RebootCommand, reboot};

use super::super::qemu;

/// Ends the machine cleanly. Everything on the link must have left it.
pub(super) fn clean() -> io::Result<()> {
    // SAFETY: asks for one port of QEMU's debug-exit device, which nothing else in this machine drives. The first process has
    // the privilege to.
    if unsafe { libc::ioperm(libc::c_ulong::from(qemu::EXIT_PORT), 1, 1) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the port is permitted (above) and the write touches no memory. The machine ends in it.
    unsafe {
        core::arch::asm!("out dx, al", in("dx") qemu::EXIT_PORT, in("al") qemu::CLEAN, options(nomem, nostack, preserves_flags));
    }
    std::thread::sleep(Duration::from_secs(1));
    Err(io::Error::other("the exit device did not end the machine"))
}

/// Switches the machine off after a failure; the outside sees an end without marker.
pub(super) fn power_off() -> ! {
    let _ = reboot(RebootCommand::PowerOff);
    // Without the right to switch off there is nothing to do but to end: the kernel then panics, and QEMU ends too.
    std::process::exit(1)
}
