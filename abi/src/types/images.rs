//! Images to load, and devices.

use super::Structure;
use crate::args::CName;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

plain! {
    /// What is to be loaded (`actorLoad`).
    KnLoadDesc {
        /// Address of the ELF image in the caller's memory.
        image: u64,
        /// Bytes of the image, at most 16 MiB.
        image_size: u64,
        /// Address of the arguments: zero-terminated strings one after another.
        args: u64,
        /// Bytes of the arguments, at most 3 KiB.
        args_size: u32,
        /// Relative priority of the first thread.
        priority: i32,
        /// Bytes of the first thread's stack (0: 64 KiB), user and system actors only.
        stack_size: u32,
        /// Out: why the image was refused, an [`crate::image::LoadDiag`] number; 0 otherwise.
        diag: u32,
        /// Out: a detail of the diagnosis (an address, a number).
        detail: u64,
        /// Out: address that the image was loaded at.
        base: u64,
    }
    /// A device of the machine (`devGet`).
    KnDevDesc {
        /// Physical address of its registers, or its first I/O port.
        base: u64,
        /// Bytes of its registers.
        size: u64,
        /// Interrupt number of the machine.
        irq: u32,
        /// virtio device id (1 = network); from `K_DEV_PORTS` up a device with I/O ports.
        device_id: u32,
    }
}
