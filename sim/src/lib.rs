//! The site simulator: N sites in one process, in virtual time, from one seed.
//!
//! Every site is a real [`chorus_transport::Endpoint`] under a small model of a Nucleus; between them lies the fabric of the cluster (`chorus-fabric`), which loses,
//! doubles, delays and reorders frames. Nothing depends on the machine's clock or on chance, so the same seed gives the same run. What happened is
//! written into a [`history`], which a checker judges without knowing how the protocol works.

#![forbid(unsafe_code)]

pub mod act;
pub mod assertions;
pub mod checks;
pub mod clients;
pub mod diagram;
pub mod effort;
pub mod frames;
pub mod harm;
pub mod history;
pub mod invariants;
pub mod judge;
pub mod load;
pub mod migration;
pub mod network;
pub mod nucleus;
pub mod plant;
pub mod ports;
pub mod random;
pub mod scale;
pub mod scenario;
pub mod servers;
pub mod setup;
pub mod shrink;
pub mod site;
pub mod soak;
pub mod trace;
mod view;
pub mod workload;
pub mod world;
