//! Memory that the device and this actor share, and how the driver gets it.
//!
//! Everything is `devMemory`: contiguous, fixed, mapped at once. Frames lie in one block whose physical place is known, so that sharing a buffer
//! with the device is an addition.

use chorus_abi::Out;
use chorus_runtime::{at_mut, raw};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// Address and physical address of the block that holds the frames; its bytes.
static BLOCK: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// Contiguous zeroed memory: its address and physical address.
fn device_memory(size: usize) -> Option<(u64, u64)> {
    let (mut address, mut physical) = (0u64, 0u64);
    // SAFETY: both results live through the call.
    let result = unsafe {
        raw::dev_memory(
            size as u64,
            Out::new(at_mut(&mut address)),
            Out::new(at_mut(&mut physical)),
        )
    };
    (result == 0).then_some((address, physical))
}

/// Takes the block for `count` frames of `size` bytes each. Only once; `None`: no memory, or taken already.
pub fn frames(count: usize, size: usize) -> Option<impl Iterator<Item = &'static mut [u8]>> {
    if BLOCK[0].load(Ordering::Relaxed) != 0 {
        return None;
    }
    let bytes = count * size;
    let (address, physical) = device_memory(bytes)?;
    BLOCK[0].store(address, Ordering::Relaxed);
    BLOCK[1].store(physical, Ordering::Relaxed);
    BLOCK[2].store(bytes as u64, Ordering::Relaxed);
    // SAFETY: the memory was just given to us, zeroed, for as long as the actor lives, and this is the only reference into it.
    let block = unsafe { core::slice::from_raw_parts_mut(address as *mut u8, bytes) };
    Some(block.chunks_exact_mut(size))
}

/// How the driver gets memory.
pub struct DeviceMemory;

// SAFETY: `dma_alloc` gives zeroed, page-aligned memory of its own each time, and `share` gives physical addresses of the block of frames, which is never
// given back.
unsafe impl Hal for DeviceMemory {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        match device_memory(pages * PAGE_SIZE) {
            Some((address, physical)) => (
                physical,
                NonNull::new(address as *mut u8).unwrap_or(NonNull::dangling()),
            ),
            // The driver takes a physical address 0 for "no memory".
            None => (0, NonNull::dangling()),
        }
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        // Rings are given back with the actor.
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        // Only devices on PCI ask for this.
        NonNull::dangling()
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        let address = buffer.as_ptr().cast::<u8>() as u64;
        let offset = address.wrapping_sub(BLOCK[0].load(Ordering::Relaxed));
        debug_assert!(offset < BLOCK[2].load(Ordering::Relaxed));
        BLOCK[1].load(Ordering::Relaxed).wrapping_add(offset)
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}
