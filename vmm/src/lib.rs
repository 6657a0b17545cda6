//! The chorus library.
