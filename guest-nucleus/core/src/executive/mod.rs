//! Actors, threads, scheduling, synchronisation, time: what runs, when, and on whose behalf.

pub mod actor;
pub mod dispatch;
pub mod life;
pub mod scheduler;
pub mod sync;
pub mod thread;
pub mod time;
pub mod timeouts;
