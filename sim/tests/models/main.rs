//! Model checking: every order in which frames, timers, clients and servers can act, with losses, doublings and crashes up to a bound, on the very endpoints that sites run.
//!
//! The simulator tries many long runs; here all short ones are tried. Normal tests take small bounds; `CHORUS_MODEL=large` takes those of a night.

mod groups;
mod migration;
mod rpc;
mod space;
mod world;
