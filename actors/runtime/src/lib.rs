//! What a Chorus actor links: entry, image note, call stubs, messages for people, exit.
//!
//! The stubs are made from the table of calls, so that an actor and the Nucleus cannot disagree about a call's name or arguments.
#![no_std]

mod image;
pub mod raw;
mod start;
pub mod text;

pub use chorus_abi as abi;
pub use start::{exit, start_info};

/// Names the function that the actor begins with: `fn main() -> i32`, whose result is the exit status.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn __chorus_main() -> i32 {
            let main: fn() -> i32 = $main;
            main()
        }
    };
}
