//! Loading an actor: from the bytes of an ELF file to regions, relocated content and a first thread.
//!
//! [`plan`] looks at the bytes and says what is to be done, or why not: a pure function. [`load`] does it.

mod load;
pub mod plan;

pub use plan::{Plan, plan};
