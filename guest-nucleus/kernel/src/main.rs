//! The bootable Chorus Nucleus.
fn main() {}
