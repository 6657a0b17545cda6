//! The lock of the site: fair, held across a thread switch, released by the thread that was switched to.
//!
//! It is taken and released by hand rather than by a guard, because who takes it is often not who releases it. A processor that waits
//! has interrupts off, so it serves requests to forget translations while it spins; otherwise their sender, who holds the lock, would wait for ever.

use crate::atomic::{AtomicU32, Ordering};

/// A ticket lock.
pub struct TicketLock {
    next: AtomicU32,
    serving: AtomicU32,
}

impl TicketLock {
    /// A free lock, of two zeros: a model checker brings its own (`tests/tests/interleavings.rs`).
    pub const fn of(next: AtomicU32, serving: AtomicU32) -> Self {
        TicketLock { next, serving }
    }

    /// Takes the lock in order of arrival; `meanwhile` runs again and again while waiting.
    #[inline]
    pub fn acquire(&self, meanwhile: fn()) {
        if let Err(ticket) = self.acquire_at_once() {
            self.wait(ticket, meanwhile);
        }
    }

    /// Takes the lock if it is free; else gives the ticket to [`TicketLock::wait`] with.
    #[inline(always)]
    pub fn acquire_at_once(&self) -> Result<(), u32> {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        if self.serving.load(Ordering::Acquire) == ticket {
            Ok(())
        } else {
            Err(ticket)
        }
    }

    /// Waits for the turn of a ticket.
    #[cold]
    #[inline(never)]
    pub fn wait(&self, ticket: u32, meanwhile: fn()) {
        while self.serving.load(Ordering::Acquire) != ticket {
            meanwhile();
            core::hint::spin_loop();
        }
    }

    /// Lets the next one in. Only the holder calls it.
    #[inline]
    pub fn release(&self) {
        let serving = self.serving.load(Ordering::Relaxed);
        self.serving
            .store(serving.wrapping_add(1), Ordering::Release);
    }
}
