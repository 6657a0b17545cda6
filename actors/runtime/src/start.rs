//! First Rust code of an actor, its exit, and what happens on a panic.
//!
//! A panic ends the actor with status 101 after its message and place were written.

use chorus_abi::image::StartInfo;
use core::sync::atomic::{AtomicPtr, Ordering};

static START: AtomicPtr<StartInfo> = AtomicPtr::new(core::ptr::null_mut());

unsafe extern "C" {
    fn __chorus_main() -> i32;
}

/// Called by `_start` with the address of the start information.
pub(crate) extern "C" fn begin(info: *mut StartInfo) -> ! {
    START.store(info, Ordering::Release);
    // SAFETY: `entry!` defines the function with this signature.
    exit(unsafe { __chorus_main() })
}

/// What the loader told this actor: its site, the number of sites, its kind and arguments.
pub fn start_info() -> &'static StartInfo {
    // SAFETY: `begin` stored the loader's pointer before any code of the actor ran; the page stays mapped, unchanged, as long as the actor lives.
    unsafe { &*START.load(Ordering::Acquire) }
}

/// Ends the actor with this status.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: no pointers.
        unsafe { crate::raw::actor_exit(status) };
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    crate::eprintln!("{info}");
    exit(101)
}
