//! Actors, threads, scheduling, synchronisation, time: what runs, when, and on whose behalf.

pub mod abort;
pub mod actor;
pub mod classes;
pub mod description;
pub mod dispatch;
pub mod events;
pub mod handing;
pub mod inheritance;
pub mod life;
pub mod placement;
pub mod processor_timers;
mod queues;
pub mod real_time_mutexes;
mod reaping;
pub mod registers;
pub mod scheduler;
pub mod stopping;
pub mod sync;
pub mod thread;
pub mod thread_semaphores;
pub mod time;
pub mod timeouts;
pub mod timers;
pub mod trust;
