//! The Network Manager protocols.
#![no_std]
#![forbid(unsafe_code)]
