//! The chorus library.

pub mod cli;
pub mod cluster;
pub mod debug;
pub mod host;
pub mod measure;
