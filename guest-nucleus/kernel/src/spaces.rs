//! Spaces of actors and contexts of threads: made of frames and given back.

use crate::context;
use crate::machine::X86;
use crate::paging::{STUB_PAGE, Tables, USER};
use crate::reach::PAGE;
use crate::shootdown;
use crate::stacks::{SUPERVISOR_PAGES, USER_PAGES};
use chorus_nucleus_core::machine::*;

impl X86 {
    /// As `Machine::space_create`.
    pub(crate) fn make_space(&mut self) -> Option<Space> {
        let slot = self.spaces.iter().skip(1).position(Option::is_none)? + 1;
        let root = Self::table(&mut self.frames)?;
        // SAFETY: a fresh page.
        let tables = unsafe { Tables::new(root) };
        for index in 256..512 {
            let entry = self.kernel.top(index);
            if entry != 0 {
                // SAFETY: the upper half is the same everywhere.
                unsafe { tables.set_top(index, entry) };
            }
        }
        let (page, frames) = (self.stub_page, &mut self.frames);
        // SAFETY: the stub page is for everybody, read-only.
        if unsafe { tables.map(STUB_PAGE, page, USER, PAGE, || Self::table(frames)) }.is_none() {
            // SAFETY: nobody uses the space yet.
            unsafe { tables.destroy(|page| self.frames.release((page / PAGE) as u32)) };
            return None;
        }
        self.spaces[slot] = Some(tables);
        Some(Space(slot as u16))
    }

    /// As `Machine::space_destroy`.
    pub(crate) fn drop_space(&mut self, space: Space) {
        if let Some(tables) = self.spaces.get_mut(space.0 as usize).and_then(Option::take) {
            self.lately.forget_all();
            shootdown::leave(tables.root);
            // SAFETY: no processor runs in it, and those that had it in force left it.
            unsafe { tables.destroy(|page| self.frames.release((page / PAGE) as u32)) };
        }
    }

    /// As `Machine::context_create`.
    pub(crate) fn make_context(&mut self, thread: usize, start: Start) -> Result<u64, NoMemory> {
        let pages = if start.supervisor {
            SUPERVISOR_PAGES
        } else {
            USER_PAGES
        };
        if self.contexts.get(thread).is_none_or(Option::is_some) {
            return Err(NoMemory);
        }
        let frames = &mut self.frames;
        let stack = self
            .stacks
            .take(self.kernel, pages, || Self::table(frames))
            .ok_or(NoMemory)?;
        let root = self.root(start.space);
        let context = self.contexts[thread].insert(context::prepare(stack, start, root));
        Ok(core::ptr::from_mut(context).expose_provenance() as u64)
    }

    /// As `Machine::context_destroy`.
    pub(crate) fn drop_context(&mut self, thread: usize) {
        if let Some(context) = self.contexts.get_mut(thread).and_then(Option::take) {
            self.stacks.give(context.stack);
        }
    }
}
