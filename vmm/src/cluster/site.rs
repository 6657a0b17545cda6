//! The seam to the virtual machine: what the cluster process needs of a site, and what a site tells it.
//!
//! The machine room knows KVM and nothing of clusters; this room knows clusters and nothing of KVM. Between them stand these
//! few types, and in tests a machine without any processor.

use super::control::SiteState;
use super::failure::Outcome;
use super::gateway::{Calls, Services};
use crate::fabric::Switch;
use crate::trace::Recording;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A site to be started.
#[derive(Clone)]
pub struct SiteOrder {
    /// Number.
    pub number: u16,
    /// Name.
    pub name: String,
    /// Incarnation, from 1; never used before by this number, neither from here nor by its own count.
    pub epoch: u16,
    /// Sites of the cluster.
    pub sites: u16,
    /// Processors.
    pub vcpus: u32,
    /// Memory in bytes.
    pub mem: u64,
    /// Room in bytes for pages outside its memory.
    pub swap: u64,
    /// How fast its clock is to go, in millionths of the true speed.
    pub clock: u32,
    /// Seed of the site's random source.
    pub seed: u64,
    /// Nucleus image.
    pub nucleus: Arc<[u8]>,
    /// Boot archive.
    pub archive: Arc<[u8]>,
    /// Its processors stand before their first instruction until it is resumed, or a debugger lets them go.
    pub paused: bool,
    /// Socket at which the site's gdb stub listens.
    pub gdb: std::path::PathBuf,
}

/// What a site tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SiteEvent {
    /// Bytes on its console.
    Output(Vec<u8>),
    /// A boot mark.
    Mark(u32),
    /// Its machine is no more.
    Ended {
        /// One of the states that are ends.
        state: SiteState,
        /// Exit code, when it ended by itself.
        exit: Option<u8>,
        /// For people; lines.
        report: String,
    },
}

/// What is to be traced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TraceOrder {
    /// Bits of [`chorus_abi::trace::Class`].
    pub classes: u32,
    /// Records that are kept of each vCPU, a power of two.
    pub records: u64,
}

/// What a site has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// VM exits of all its processors.
    pub vm_exits: u64,
    /// Frames into the site.
    pub frames_in: u64,
    /// Frames out of the site.
    pub frames_out: u64,
    /// Bytes of its memory that the host has given.
    pub touched: u64,
}

/// A running site. Dropping it ends it.
pub trait SiteMachine: Send + Sync {
    /// Stops the processors, and returns when they stand. Errors: the site has ended.
    fn pause(&self) -> Outcome<()>;
    /// Lets the processors run. Errors: the site has ended.
    fn resume(&self) -> Outcome<()>;
    /// Ends the site; returns when its processors are no more. A site that has ended stays so.
    fn kill(&self);
    /// Bytes for the console's receiver; what it has no room for is lost, as on a line without flow control.
    fn type_in(&self, bytes: &[u8]);
    /// Counters.
    fn counters(&self) -> Counters;
    /// Begins a trace. Errors: the site cannot; it has ended.
    fn trace(&self, order: TraceOrder) -> Outcome<()>;
    /// Ends the trace; its records stay. `false`: there was none. Errors: the site does not hear of it.
    fn trace_off(&self) -> Outcome<bool>;
    /// What was recorded, also when the site has ended. None: there never was a trace.
    fn traced(&self) -> Option<Recording>;
}

/// Where a site's events go; called from the site's threads, and quick.
pub type Events = Box<dyn Fn(SiteEvent) + Send + Sync>;

/// What starts sites, and the fabric between them.
pub trait Machines: Send + Sync {
    /// Joins the fabric as the gateway site, whose requests `services` serve. Called once, before the first site starts.
    fn gateway(&self, services: Arc<Services>) -> Outcome<Arc<dyn Calls>>;
    /// The fabric between the sites.
    fn switch(&self) -> &Switch;
    /// Starts a site. Errors: status 5 when the host cannot, 4 when an image is wrong.
    fn start(&self, order: SiteOrder, events: Events) -> Outcome<Box<dyn SiteMachine>>;
}
