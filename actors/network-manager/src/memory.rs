//! Memory that the device and this actor share: contiguous, fixed, mapped, its physical place known (`devMemory`).

use chorus_abi::Out;
use chorus_runtime::{at_mut, raw};

/// A block, zeroed, ours as long as the actor lives.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Address here.
    pub address: u64,
    /// Address for the device.
    pub physical: u64,
}

/// Takes a block of `size` bytes. `None`: no memory.
pub fn block(size: usize) -> Option<Block> {
    let mut block = Block {
        address: 0,
        physical: 0,
    };
    // SAFETY: both results live through the call.
    let result = unsafe {
        raw::dev_memory(
            size as u64,
            Out::new(at_mut(&mut block.address)),
            Out::new(at_mut(&mut block.physical)),
        )
    };
    (result == 0).then_some(block)
}
