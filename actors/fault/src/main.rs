//! Ends by an exception of your choice: `fault read|write|execute|code|divide|illegal|privileged|stack|panic`.
//!
//! It shows that an exception in a user actor ends that actor with a report and nothing else of its site.
#![no_std]
#![no_main]

use chorus_runtime::{args, eprintln};
use core::arch::asm;
use core::hint::black_box;

chorus_runtime::entry!(main);

/// An address that no region covers.
const NOWHERE: u64 = 0x10;

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
            _ => {
                eprintln!(
                    "usage: fault read|write|execute|code|divide|illegal|privileged|stack|panic"
                );
                return 2;
            }
        }
    }
    eprintln!("fault {how}: no exception was raised");
    1
}
