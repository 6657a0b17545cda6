//! The actor's heap: `alloc` over regions of the Nucleus.
//!
//! An allocator that is known to be good (talc) manages the heap, the Nucleus gives it regions of at least 256 KiB when it runs out, and a mutex of the
//! Nucleus guards it: a spinning lock could wait for ever for a less urgent thread of the same processor.

use crate::sync::RawMutex;
use crate::{at_mut, check};
use chorus_abi::{In, InOut, K_ANYWHERE, K_FILLZERO, K_MYACTOR, K_WRITABLE, KnRgnDesc};
use core::alloc::Layout;
use talc::base::binning::Binning;
use talc::{TalcLock, base::Talc, source::Source};

/// Least bytes asked of the Nucleus at once.
const STEP: usize = 256 << 10;
/// What the allocator itself may take of a new heap.
const OVERHEAD: usize = 8 << 10;

#[global_allocator]
static HEAP: TalcLock<RawMutex, Regions> = TalcLock::new(Regions);

/// Where the heap comes from: `rgnAllocate`.
#[derive(Debug)]
struct Regions;

// SAFETY: `acquire` uses the allocator through its argument only and allocates nothing itself.
unsafe impl Source for Regions {
    fn acquire<B: Binning>(heap: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let wanted = layout
            .size()
            .checked_add(layout.align() + OVERHEAD)
            .ok_or(())?;
        let (start, size) = allocate(wanted.max(STEP)).ok_or(())?;
        // SAFETY: the region was just made for this and is nobody else's.
        unsafe { heap.claim(start as *mut u8, size) }
            .map(|_| ())
            .ok_or(())
    }
}

/// A region of zeros, writable; its address and bytes. `None`: no memory.
pub(crate) fn allocate(size: usize) -> Option<(u64, usize)> {
    let mut region = KnRgnDesc {
        size: size as u64,
        options: K_WRITABLE | K_FILLZERO | K_ANYWHERE,
        ..KnRgnDesc::default()
    };
    // SAFETY: the descriptor lives through the call.
    let result =
        unsafe { crate::raw::rgn_allocate(In::new(K_MYACTOR), InOut::new(at_mut(&mut region))) };
    check(result).ok()?;
    Some((region.start_addr, region.size as usize))
}
