//! Threads of the actor.

use crate::{at, check, memory, start_info, time::interval};
use alloc::boxed::Box;
use chorus_abi::{
    In, K_ACTIVE, K_MYACTOR, K_MYSELF, K_SUPACTOR, K_SUPTHREAD, K_USERTHREAD, KError,
};
use core::time::Duration;

/// Bytes of a thread's stack. The Nucleus leaves a page free around every region, so that one that grows too deep faults.
const STACK: usize = 64 << 10;

/// Starts a thread with a priority relative to its actor's (0: the same). Returns its LI. The stack of a user thread is not given back when
/// it ends: long-lived actors keep their threads. Errors: `K_ENOMEM`, `K_EPRIV`, `K_EINVAL`.
pub fn spawn(priority: i32, body: impl FnOnce() + Send + 'static) -> Result<i32, KError> {
    let supervisor = start_info().kind == K_SUPACTOR;
    // A supervisor thread has a stack of the Nucleus. The third word of a user thread's carries the closure.
    let mut top = 0;
    if !supervisor {
        let (start, size) = memory::allocate(STACK).ok_or(KError::NoMem)?;
        top = start + size as u64;
    }
    let closure: Box<Box<dyn FnOnce() + Send>> = Box::new(Box::new(body));
    let pointer = Box::into_raw(closure);
    let privilege = if supervisor {
        K_SUPTHREAD
    } else {
        K_USERTHREAD
    };
    let argument = if supervisor {
        pointer as u64
    } else {
        let place = (top - 16) as *mut u64;
        // SAFETY: the top of a stack that was just made.
        unsafe { place.write(pointer as u64) };
        top - 16
    };
    let entry = begin as *const () as u64;
    // SAFETY: the entry is code of this actor, and the stack is the new thread's alone.
    let made = check(unsafe {
        crate::raw::thread_create(
            In::new(K_MYACTOR),
            privilege,
            K_ACTIVE,
            priority,
            entry,
            argument,
        )
    });
    match made {
        Ok(li) => Ok(li as i32),
        Err(error) => {
            // SAFETY: no thread was made that could own it.
            drop(unsafe { Box::from_raw(pointer) });
            Err(error)
        }
    }
}

core::arch::global_asm!(
    // The first argument register holds what `threadCreate` got as the stack's address.
    ".globl chorus_thread_begin",
    // For debuggers: nobody called this.
    ".cfi_sections .debug_frame",
    "chorus_thread_begin:",
    ".cfi_startproc",
    ".cfi_undefined rip",
    "xor ebp, ebp",
    "and rsp, -16",
    "call {rust}",
    "ud2",
    ".cfi_endproc",
    rust = sym run,
);
unsafe extern "C" {
    #[link_name = "chorus_thread_begin"]
    fn begin();
}

extern "C" fn run(argument: u64) -> ! {
    let pointer = if start_info().kind == K_SUPACTOR {
        argument
    } else {
        // SAFETY: `spawn` left the pointer at the top of this thread's stack.
        unsafe { *(argument as *const u64) }
    };
    {
        // SAFETY: `spawn` made it for this thread alone.
        let closure = unsafe { Box::from_raw(pointer as *mut Box<dyn FnOnce() + Send>) };
        closure();
    }
    loop {
        // SAFETY: nothing of this thread is used afterwards.
        unsafe { crate::raw::thread_delete(In::new(K_MYACTOR), K_MYSELF) };
    }
}

/// Sleeps. Errors: `K_EABORT`.
pub fn sleep(time: Duration) -> Result<(), KError> {
    let limit = interval(time);
    // SAFETY: the interval lives through the call.
    match check(unsafe { crate::raw::thread_delay(In::new(at(&limit))) }) {
        Ok(_) | Err(KError::Timeout) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Lets another thread of the same priority run.
pub fn yield_now() {
    let _ = sleep(Duration::ZERO);
}
