//! Ends by an exception of your choice: `fault read|write|execute|code|divide|illegal|privileged|stack|panic|patch|nucleus|gs`.
//!
//! It shows that an exception in a user actor ends that actor with a report and nothing else of its site. `patch` writes into the Nucleus' code as a supervisor
//! actor. `stack`, `nucleus` and `gs` as supervisor actors end the site: the first runs over the end of its stack, the second has the Nucleus do so in a call, the
//! third takes the Nucleus' place of its own processor from it.
#![no_std]
#![no_main]

use chorus_abi::K_SUPACTOR;
use chorus_runtime::{args, eprintln, start_info};
use core::arch::asm;
use core::hint::black_box;

chorus_runtime::entry!(main);

/// An address that no region covers.
const NOWHERE: u64 = 0x10;

/// Where the Nucleus is linked; code begins a page behind at the latest.
const NUCLEUS_CODE: u64 = 0xffff_ffff_8010_1000;
/// Addresses kept for one stack of the Nucleus, and bytes of a supervisor thread's stack below their end.
const STACK_SLOT: u64 = 64 << 10;
const STACK: u64 = 48 << 10;
/// Bytes of stack with which a call comes as far as the Nucleus' own code and no further.
const SCANT: u64 = 256;

extern "C" fn calls() -> ! {
    loop {
        // SAFETY: no pointers are passed.
        unsafe { chorus_runtime::raw::thread_self() };
    }
}

fn deeper(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    if black_box(depth) == u64::MAX {
        return 0;
    }
    deeper(depth + 1) + room[(depth % 64) as usize]
}

fn main() -> i32 {
    let how = args().nth(1).unwrap_or("");
    // SAFETY: each of these raises an exception that ends the actor: that is what it is for.
    unsafe {
        match how {
            "read" => asm!("mov rax, [{0}]", in(reg) NOWHERE, out("rax") _),
            "write" => asm!("mov qword ptr [{0}], 1", in(reg) NOWHERE),
            "execute" => {
                let data = [0x90u8; 16];
                asm!("call {0}", in(reg) data.as_ptr(), clobber_abi("C"));
            }
            "code" => asm!("mov byte ptr [{0}], 0", in(reg) main as *const () as u64),
            "divide" => {
                asm!("div {0:e}", in(reg) 0u32, inout("eax") 1 => _, inout("edx") 0 => _);
            }
            "illegal" => asm!("ud2"),
            "privileged" => asm!("hlt"),
            "stack" => return deeper(0) as i32,
            "panic" => panic!("as you wish"),
            "patch" if start_info().kind == K_SUPACTOR => {
                asm!("mov byte ptr [{0}], 0", in(reg) NUCLEUS_CODE);
            }
            "nucleus" if start_info().kind == K_SUPACTOR => {
                let here = black_box(0u64);
                let end = (&raw const here as u64 | (STACK_SLOT - 1)) + 1 - STACK;
                asm!("mov rsp, {0}", "call {1}", in(reg) end + SCANT, in(reg) calls as *const (), options(noreturn));
            }
            "gs" if start_info().kind == K_SUPACTOR => {
                asm!("mov gs, {0:e}", in(reg) 0u32);
                chorus_runtime::raw::thread_self();
            }
            _ => {
                eprintln!(
                    "usage: fault read|write|execute|code|divide|illegal|privileged|stack|panic, or patch|nucleus|gs as a supervisor actor"
                );
                return 2;
            }
        }
    }
    eprintln!("fault {how}: no exception was raised");
    1
}
