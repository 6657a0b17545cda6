//! The one way to get a vCPU out of the guest: a signal whose handler asks KVM to leave at once.
//!
//! The handler sets `immediate_exit` in the `kvm_run` page of the thread that it runs on. If the signal comes before `KVM_RUN`, the flag makes the
//! next one return at once; if it comes within, the signal itself ends it. So one signal is enough, and nothing is shared between threads.

use std::cell::Cell;
use std::ffi::c_int;
use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;
use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler};

thread_local! {
    /// `immediate_exit` of the vCPU that this thread runs; null when it runs none.
    static IMMEDIATE_EXIT: Cell<*mut u8> = const { Cell::new(std::ptr::null_mut()) };
}

fn signal_number() -> c_int {
    SIGRTMIN()
}

extern "C" fn handle(_: c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    IMMEDIATE_EXIT.with(|flag| {
        let flag = flag.get();
        if !flag.is_null() {
            // SAFETY: the pointer was set by this very thread in `Mark::new` from its own vCPU's mapped `kvm_run` page, and `Mark::drop`
            // clears it before the page goes. The handler runs on this thread, so neither happens meanwhile.
            unsafe { flag.write_volatile(1) };
        }
    });
}

/// Makes the process ready to kick. Errors: the handler cannot be installed.
pub fn prepare() -> std::io::Result<()> {
    register_signal_handler(signal_number(), handle).map_err(Into::into)
}

/// Marks the calling thread as the one that runs a vCPU, as long as it lives.
pub struct Mark(());

impl Mark {
    /// `run` is the vCPU's shared page, which outlives the mark.
    pub fn new(run: &mut kvm_bindings::kvm_run) -> Self {
        IMMEDIATE_EXIT.with(|flag| flag.set(&raw mut run.immediate_exit));
        Mark(())
    }

    /// Forgets a kick that has done its work. Called before the thread looks at what it is asked to do.
    pub fn clear(&self) {
        IMMEDIATE_EXIT.with(|flag| {
            // SAFETY: as in the handler; `self` shows that the pointer is set.
            unsafe { flag.get().write_volatile(0) };
        });
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        IMMEDIATE_EXIT.with(|flag| flag.set(std::ptr::null_mut()));
    }
}

/// Kicks the thread. Harmless when it runs no vCPU, or has ended but was not joined.
pub fn kick<T>(thread: &JoinHandle<T>) {
    // SAFETY: the thread was not joined (we hold its handle), so its id is valid; the signal's handler is installed before any such thread starts.
    unsafe { libc::pthread_kill(thread.as_pthread_t() as libc::pthread_t, signal_number()) };
}
