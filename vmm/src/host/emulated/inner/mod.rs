//! The first process of the emulated host.
//!
//! Linux starts `/init`, which is this binary, with nothing mounted and no module loaded.

/// Runs the emulated host from its first process to its end.
pub fn main() -> ! {
    std::process::exit(1)
}
