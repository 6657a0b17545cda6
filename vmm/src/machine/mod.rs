//! Virtual machines: one a site.
//!
//! Knows KVM, guest memory and the devices; knows nothing of clusters and command lines. A guest can end its own site and nothing else:
//! every exit has an outcome, every end a report.

pub mod boot;
pub mod cpuid;
pub mod debugging;
pub mod image;
pub mod kick;
pub mod marks;
pub mod memory;
pub mod report;
pub mod site;
pub mod symbols;
pub mod tracing;
pub mod vcpu;
mod wiring;

pub use marks::Stamp;
pub use site::{Ending, Event, Events, Site, SiteConfig};

/// Why a machine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image is no Nucleus. The text says why.
    #[error("{0}")]
    Image(String),
    /// KVM, or this process, refused something.
    #[error("{what}: {source}")]
    Host {
        /// What was asked.
        what: &'static str,
        /// The refusal.
        source: std::io::Error,
    },
    /// The site cannot be as it was asked for.
    #[error("{0}")]
    Shape(String),
}

impl Error {
    /// A refusal of the host.
    pub fn host<E: Into<std::io::Error>>(what: &'static str) -> impl FnOnce(E) -> Error {
        move |source| Error::Host {
            what,
            source: source.into(),
        }
    }
}
