//! The machine-independent Chorus Nucleus.
#![no_std]
#![forbid(unsafe_code)]
