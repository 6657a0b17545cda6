//! First Rust code of an actor, its arguments, its exit, and what happens on a panic.
//!
//! A panic ends the actor with status 101 after its message and place were written.

use chorus_abi::image::StartInfo;
use core::fmt::Debug;
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

/// The actor's arguments; the first is its name. Those that are not UTF-8 are empty.
pub fn args() -> impl Iterator<Item = &'static str> {
    let info = start_info();
    // SAFETY: the loader put `args_size` bytes there, in a page that stays mapped, unchanged, as long as the actor lives.
    let bytes =
        unsafe { core::slice::from_raw_parts(info.args as *const u8, info.args_size as usize) };
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    bytes
        .split(|&byte| byte == 0)
        .map(|arg| core::str::from_utf8(arg).unwrap_or(""))
}

/// Ends the actor with this status.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: no pointers.
        unsafe { crate::raw::actor_exit(status) };
    }
}

/// What the first function of an actor may return.
pub trait Status {
    /// The exit status.
    fn status(self) -> i32;
}

impl Status for () {
    fn status(self) -> i32 {
        0
    }
}

impl Status for i32 {
    fn status(self) -> i32 {
        self
    }
}

impl<T: Status, E: Debug> Status for Result<T, E> {
    fn status(self) -> i32 {
        match self {
            Ok(value) => value.status(),
            Err(error) => {
                crate::eprintln!("error: {error:?}");
                1
            }
        }
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    crate::eprintln!("{info}");
    exit(101)
}
