//! What a Chorus actor links: entry, image note, call stubs, safe wrappers, memory, text for people, exit.
//!
//! The stubs ([`raw`]) are made from the table of calls, so that an actor and the Nucleus cannot disagree about a call's name or arguments.
//! Above them stand typed wrappers without `unsafe` for what most actors do: messages ([`message`]), ports and groups ([`port`]), serving
//! ([`server`]), also in succession ([`succession`]), serving segments ([`mapper`]), driving devices ([`device`]), threads ([`thread`]), locks and semaphores ([`sync`], [`real_time`]), event flags
//! ([`events`]), time ([`time`]) and timers ([`timer`]). What they leave out is reached through [`raw`].
#![no_std]

extern crate alloc;

mod check;
pub mod console;
pub mod device;
pub mod events;
pub mod exception;
pub mod handler;
mod image;
pub mod lap;
pub mod mapper;
mod memory;
pub mod message;
pub mod port;
pub mod raw;
pub mod real_time;
pub mod server;
pub mod site;
mod start;
pub mod succession;
pub mod sync;
pub mod thread;
pub mod time;
pub mod timeout;
pub mod timer;

pub use check::{at, at_mut, check};
pub use chorus_abi as abi;
pub use start::{Status, args, exit, start_info};

/// Names the function that the actor begins with. Its result is the exit status: `()`, an `i32`, or a `Result` of either
/// whose error is printed and counts as status 1.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn __chorus_main() -> i32 {
            $crate::Status::status($main())
        }
    };
}
