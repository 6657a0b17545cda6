//! Tests that need more than one crate, and what they are made of.

pub mod sim;
