//! The chorus library.

pub mod cli;
pub mod cluster;
pub mod host;
