//! Debugging a site with gdb.
//!
//! One stub a site: vCPUs are threads, and when one stops all of the site stop. What a stop means is decided in [`session`], which knows
//! nothing of gdb's protocol nor of KVM: it drives an [`inferior::Inferior`]. [`gdb`] puts gdb's protocol (the gdbstub crate) on top,
//! [`server`] listens on sockets. The host is not trusted to deliver debug exits: where KVM does not report `int3`, the Nucleus' own #BP
//! handler does (port 0xfa), and where it reports no debug-register hits, breakpoints become `int3` and watchpoints are stepped.

pub mod breakpoints;
pub mod gdb;
pub mod images;
pub mod inferior;
pub mod paging;
pub mod registers;
pub mod server;
pub mod session;
pub mod threads;

#[cfg(test)]
mod model;
