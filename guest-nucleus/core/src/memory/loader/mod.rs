//! Loading an actor: from the bytes of an ELF file to regions, relocated content and a first thread.
//!
//! [`plan`] looks at the bytes and says what is to be done, or why not: a pure function. [`load`] does it, in steps.

mod load;
pub mod plan;

pub(super) use load::Loading;
pub use plan::{Plan, plan};
