//! The one description of the interface between the Nucleus, actors, the Network Manager and the host.
//!
//! Everything that two of them must agree on stands here once: the table of calls ([`table`]), the plain structures that
//! calls read and write ([`types`]), errors, constants, the layout of unique identifiers, the note in an actor's image, the
//! machine's ports and the messages of the standard services. User stubs, supervisor imports, the dispatcher, the C header,
//! the names in traces and the manual pages are all made from it, so that they cannot disagree.
#![no_std]
#![forbid(unsafe_code)]

pub mod args;
pub mod constants;
pub mod error;
pub mod header;
pub mod image;
pub mod keys;
pub mod library;
pub mod machine;
pub mod manual;
pub mod net;
pub mod readings;
pub mod services;
pub mod table;
pub mod trace;
pub mod types;
pub mod ui;

pub use args::{Arg, In, InOut, Out};
pub use constants::*;
pub use error::{K_OK, KError};
pub use types::*;
pub use ui::{Group, GroupKind, UiType};
