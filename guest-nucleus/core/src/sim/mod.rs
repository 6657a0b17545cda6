//! The Nucleus on the host, for its tests: a machine made of tables, and a driver that plays processors and actors.
//!
//! `machine` stands for the hardware, `site` drives the core as the kernel does: calls, page faults, timer, schedule, switched; `scene` gives actors arguments and messages,
//! and looks whether a refused call changed anything. The other files are tests; those of the reference's assertions, by room, begin with `nc_`.

mod buffers;
mod calls;
mod control;
// What is counted is the release build.
mod conversations;
#[cfg(not(debug_assertions))]
mod counts;
mod default_mapper;
mod drivers;
mod events;
mod exceptions;
mod fast;
mod first_touch;
mod fuzz;
mod going;
mod groups;
mod handlers;
mod handling;
mod inheritance;
mod interrupts;
mod invariants;
mod laps;
mod lent;
mod lent_model;
mod loading_steps;
mod machine;
mod mapper_lab;
mod memory;
mod memory_model;
mod memory_scene;
mod mutexes;
mod names;
mod nc_aborts;
mod nc_actor_states;
mod nc_actors;
mod nc_groups;
mod nc_inbound;
mod nc_lent;
mod nc_loading;
mod nc_mappers;
mod nc_memory;
mod nc_messages;
mod nc_moves;
mod nc_names;
mod nc_network;
mod nc_outbound;
mod nc_ports;
mod nc_priorities;
mod nc_receiving;
mod nc_requests;
mod nc_saved;
mod nc_site;
mod nc_sync;
mod nc_threads;
mod pageout;
mod pageout_limits;
mod placement;
mod ports;
mod reference;
mod scene;
mod schedule;
mod segments;
mod segments_model;
mod shortage;
mod site;
mod states;
mod system_timeouts;
mod timers;
mod traps;
mod trust;
mod visits;
mod visits_compared;
mod wrong;
