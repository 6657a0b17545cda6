//! The straight way of the most frequent page fault: a thread of a user space touches a page of plain memory for the first time.
//!
//! Plain is what neither is a copy, nor is copied from, nor shows a segment, in the region that was touched last. Whatever is not plain returns `false` with
//! nothing changed, and the way that does everything (`faults`) takes over.

use crate::machine::{Cpu, Machine, Protection};
use crate::nucleus::Nucleus;
use chorus_abi::*;

impl<M: Machine> Nucleus<M> {
    /// Makes the page at an address that the thread on a processor touched in user mode, if that is plain. No thread becomes runnable: `schedule` need not follow.
    #[inline]
    pub fn first_touch(&mut self, cpu: Cpu, address: u64) -> bool {
        self.entered = Some(cpu);
        self.page_made(cpu, address).is_some()
    }

    #[inline(always)]
    fn page_made(&mut self, cpu: Cpu, address: u64) -> Option<()> {
        if self.interrupts_run() {
            return None;
        }
        let thread = self.threads.get(self.running(cpu)?)?;
        if thread.inside.is_some() {
            return None;
        }
        let (actor, space) = (thread.actor, thread.space);
        let payer = self.actors.get(actor)?;
        if !self.is_roomy(payer) {
            return None;
        }
        let touched = payer.touched?;
        let region = self.memory.regions.get(touched)?;
        let into = address.wrapping_sub(region.start);
        let stores = region.options & (K_RESERVED | K_WRITABLE) == K_WRITABLE;
        if region.actor != actor || region.space != space || into >= region.size || !stores {
            return None;
        }
        let (id, page) = (region.cache?, region.page_at(address));
        let cache = self.memory.caches.get_mut(id)?;
        let alone = cache.parent.is_none() && cache.child.is_none();
        let plain = cache.segment.is_none() && alone && cache.slots.count == 0;
        if !plain || cache.payer != Some(actor) || self.memory.pages.find(id, page).is_some() {
            return None;
        }
        let frame = self.machine.frame_allocate_zeroed()?;
        let protection = Protection {
            write: true,
            execute: false,
        };
        let at = address & !(PAGE_SIZE - 1);
        let mapped = self.machine.map(space, at, frame, protection);
        let list = &mut cache.list;
        if mapped.is_err() || !self.memory.pages.insert(list, id, page, frame) {
            self.machine.unmap(space, at);
            self.machine.frame_free(frame);
            return None;
        }
        self.actors.get_mut(actor)?.pages += 1;
        self.counters.faults += 1;
        Some(())
    }
}
