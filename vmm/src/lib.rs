//! The chorus library.

pub mod host;
