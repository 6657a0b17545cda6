//! The Nucleus on the host, for its tests: a machine made of tables, and a driver that plays processors and actors.
//!
//! `machine` stands for the hardware, `site` drives the core as the kernel does: calls, page faults, timer, schedule, switched. The other files are tests.

mod buffers;
mod calls;
mod fuzz;
mod machine;
mod nc_actors;
mod nc_groups;
mod nc_messages;
mod nc_names;
mod nc_ports;
mod nc_requests;
mod nc_sync;
mod nc_threads;
mod scene;
mod schedule;
mod site;
