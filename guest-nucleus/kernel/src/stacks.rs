//! Kernel stacks, each with unmapped addresses below it, so that running over its end is a fault and not damage.
//!
//! Stacks are reused but never unmapped: giving one back needs no processor to forget anything, and the last one used is the first one given.

use crate::paging::{GLOBAL, NO_EXECUTE, STACKS, Tables, WRITE};
use alloc::vec::Vec;

/// Pages of a user thread's kernel stack.
pub const USER_PAGES: u64 = 4;
/// Pages of a supervisor thread's stack, which its actor runs on too.
pub const SUPERVISOR_PAGES: u64 = 12;
/// Addresses kept for one stack.
const SLOT: u64 = 64 << 10;

/// The pool.
pub struct Stacks {
    /// Pages mapped of every stack made.
    pages: Vec<u8>,
    free: Vec<u16>,
}

/// A stack in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stack(u16);

impl Stack {
    /// One past its highest address.
    pub const fn top(self) -> u64 {
        STACKS + (self.0 as u64 + 1) * SLOT
    }
}

impl Stacks {
    /// A pool that can make `limit` stacks.
    pub fn new(limit: usize) -> Self {
        Stacks {
            pages: Vec::with_capacity(limit),
            free: Vec::with_capacity(limit),
        }
    }

    /// A stack with at least `pages` pages; `None`: no memory, or too many stacks.
    pub fn take(
        &mut self,
        kernel: Tables,
        pages: u64,
        mut allocate: impl FnMut() -> Option<u64>,
    ) -> Option<Stack> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.pages.len() < self.pages.capacity() => {
                self.pages.push(0);
                (self.pages.len() - 1) as u16
            }
            None => return None,
        };
        let stack = Stack(index);
        while u64::from(self.pages[index as usize]) < pages {
            let address = stack.top() - (u64::from(self.pages[index as usize]) + 1) * 4096;
            let done = allocate().and_then(|page| {
                // SAFETY: the addresses belong to this stack, the page to nobody else.
                unsafe {
                    kernel.map(
                        address,
                        page,
                        WRITE | NO_EXECUTE | GLOBAL,
                        4096,
                        &mut allocate,
                    )
                }
            });
            if done.is_none() {
                self.free.push(index);
                return None;
            }
            self.pages[index as usize] += 1;
        }
        Some(stack)
    }

    /// Gives a stack back that nothing runs on.
    pub fn give(&mut self, stack: Stack) {
        self.free.push(stack.0);
    }
}
