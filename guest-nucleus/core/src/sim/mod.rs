//! The Nucleus on the host, for its tests: a machine made of tables, and a driver that plays processors and actors.
//!
//! `machine` stands for the hardware, `site` drives the core as the kernel does: calls, page faults, timer, schedule, switched. The other files are tests.

mod buffers;
mod calls;
mod fast;
mod fuzz;
mod machine;
mod schedule;
mod site;
