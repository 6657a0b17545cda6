//! The devices of a site's machine: a console, the machine's own ports, a network device.
//!
//! Few and plain: what a guest asks of them is checked, and what makes no sense is counted and ignored. No descriptor, register or
//! port value that a guest chooses can stop the process.

pub mod console;
pub mod net;
pub mod virtio_mmio;
