//! The chorus command.
//!
//! Everything is in the library, so that tests and the emulated host reach it; this file only picks the door.

fn main() -> std::process::ExitCode {
    chorus::cli::main()
}
