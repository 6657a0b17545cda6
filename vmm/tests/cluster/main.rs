//! Whole clusters, by the command that people type: real sites, their Nucleus, the Network Manager, actors.
//!
//! The sites run on this machine's KVM where it is faithful, else on the emulated host, as the command chooses by itself. Each test has runtime folders
//! of its own. In a build without guests they are counted as ignored.

mod conformance;
mod endings;
mod examples;
mod fabric;
mod fuzz;
mod images;
mod lab;
mod life;
mod measures;
mod network;
mod shapes;
mod succession;
mod tracing;
