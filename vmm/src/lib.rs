//! The chorus library: what the `chorus` command is made of.

pub mod cli;
pub mod cluster;
pub mod conformance;
pub mod debug;
pub mod devices;
pub mod fabric;
pub mod host;
pub mod machine;
pub mod measure;
pub mod trace;
