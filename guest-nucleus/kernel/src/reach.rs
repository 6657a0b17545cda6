//! Where the memory of actors is: spaces and their tables, pages put into them, and bytes found through the direct map.
//!
//! No access of the Nucleus goes through an actor's own addresses, so none can fault.

use crate::frames::Frames;
use crate::machine::X86;
use crate::paging::{
    self, DIRECT, GLOBAL, NO_EXECUTE, PRESENT, SUPERVISOR_AREA, Tables, USER, USER_AREA, WRITE,
};
use crate::shootdown;
use chorus_nucleus_core::machine::*;
use core::arch::asm;

/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;

/// A byte of a frame in the direct map.
pub(crate) fn bytes(frame: Frame, offset: usize) -> *mut u8 {
    (DIRECT + u64::from(frame.0) * PAGE + offset as u64) as *mut u8
}

/// Fills a frame that the allocator gave out with zeros.
pub(crate) fn clear(frame: u32) {
    // One instruction, which `chorus bench` measures by itself to tell clearing from the rest of a page fault.
    // SAFETY: the frame is RAM in the direct map; the Nucleus answers for who uses it.
    unsafe {
        asm!(
            "rep stosq",
            inout("rdi") bytes(Frame(frame), 0) => _,
            inout("rcx") PAGE / 8 => _,
            in("rax") 0u64,
            options(nostack, preserves_flags)
        );
    };
}

/// Splits a piece of memory at page boundaries.
pub(crate) fn piece(address: u64, left: usize) -> usize {
    left.min((PAGE - address % PAGE) as usize)
}

/// Whether actors of a space may have something at an address.
pub(crate) fn accessible(space: Space, address: u64) -> bool {
    if space == Space::SUPERVISOR {
        // Supervisor threads' variables are on their kernel stacks.
        (SUPERVISOR_AREA.0..SUPERVISOR_AREA.1).contains(&address)
            || (paging::STACKS..paging::REGISTERS).contains(&address)
    } else {
        address < USER_AREA.1
    }
}

impl X86 {
    /// Top-level table of a space.
    pub fn root(&self, space: Space) -> u64 {
        self.tables(space)
            .map_or(self.kernel.root, |tables| tables.root)
    }

    /// Whether a thread slot holds a thread of user mode.
    pub fn is_user(&self, thread: usize) -> bool {
        self.contexts
            .get(thread)
            .copied()
            .flatten()
            .is_some_and(|context| context.is_user())
    }

    #[inline]
    pub(crate) fn tables(&self, space: Space) -> Option<Tables> {
        if space == Space::SUPERVISOR {
            Some(self.kernel)
        } else {
            self.spaces.get(space.0 as usize).copied().flatten()
        }
    }

    /// A zeroed page for a table.
    pub(crate) fn table(frames: &mut Frames) -> Option<u64> {
        Some(u64::from(frames.allocate_zeroed(clear)?) * PAGE)
    }

    #[inline]
    pub(crate) fn insert(
        &mut self,
        space: Space,
        address: u64,
        physical: u64,
        flags: u64,
    ) -> Result<(), NoMemory> {
        let area = self.space_bounds(space);
        let tables = self
            .tables(space)
            .filter(|_| (area.0..area.1).contains(&address))
            .ok_or(NoMemory)?;
        // What is mapped is about to be used: it is no page to leave memory next.
        let flags = flags
            | paging::ACCESSED
            | if space == Space::SUPERVISOR {
                GLOBAL
            } else {
                USER
            };
        let frames = &mut self.frames;
        // SAFETY: the address is in the part of the space that regions use; the Nucleus answers for the frame.
        let before = unsafe { tables.map(address, physical, flags, PAGE, || Self::table(frames)) }
            .ok_or(NoMemory)?;
        if before & PRESENT != 0 {
            self.lately.forget(space, address);
            let granted = |entry: u64| (entry ^ NO_EXECUTE) & (WRITE | NO_EXECUTE);
            let less = granted(before) & !granted(flags) != 0;
            if less || (before ^ physical) & paging::ADDRESS != 0 {
                shootdown::forget(Self::concerned(tables, space), address);
            } else {
                // Others fault once and find that they may.
                crate::cpu::invalidate(address);
            }
        }
        Ok(())
    }

    /// As `Machine::map_run`, with bits of entries.
    pub(crate) fn insert_run(
        &mut self,
        space: Space,
        address: u64,
        frames: &[Frame],
        flags: u64,
    ) -> usize {
        let end = address + frames.len() as u64 * PAGE;
        let Some(tables) = self.tables_for(space, address, end) else {
            return 0;
        };
        let whose = if space == Space::SUPERVISOR {
            GLOBAL
        } else {
            USER
        };
        let flags = flags | paging::ACCESSED | whose;
        let (free, mut forgotten, mut last) = (&mut self.frames, 0, 0);
        let physical = frames.iter().map(|frame| u64::from(frame.0) * PAGE);
        // SAFETY: as `insert`.
        let done = unsafe {
            tables.map_run(
                address,
                physical,
                flags,
                || Self::table(free),
                |at, before, entry| {
                    if (before ^ entry) & !paging::BY_PROCESSOR != 0 {
                        (forgotten, last) = (forgotten + 1, at);
                    }
                },
            )
        };
        match forgotten {
            0 => {}
            1 => {
                self.lately.forget(space, last);
                shootdown::forget(Self::concerned(tables, space), last);
            }
            _ => {
                self.lately.forget_all();
                shootdown::forget_all(Self::concerned(tables, space));
            }
        }
        done
    }

    /// As `Machine::accessible_until`.
    pub(crate) fn reach_until(&self, space: Space, start: u64, end: u64, write: bool) -> u64 {
        let inside = start < end && accessible(space, start) && accessible(space, end - 1);
        match self.tables(space) {
            Some(tables) if inside => tables.allowed_until(start, end, write),
            _ => start,
        }
    }

    /// Root of the spaces that see a change, as `shootdown` names them.
    pub(crate) fn concerned(tables: Tables, space: Space) -> u64 {
        if space == Space::SUPERVISOR {
            0
        } else {
            tables.root
        }
    }

    /// Tables of a space, if a range of addresses is one of regions.
    pub(crate) fn tables_for(&self, space: Space, start: u64, end: u64) -> Option<Tables> {
        let area = self.space_bounds(space);
        self.tables(space)
            .filter(|_| area.0 <= start && end <= area.1)
    }

    /// Where an actor's byte is in the direct map, if it may be accessed so.
    #[inline(always)]
    pub(crate) fn reach(&self, space: Space, address: u64, write: bool) -> Option<u64> {
        let known = self.lately.find(space, address, write);
        known.or_else(|| self.reach_by_tables(space, address, write))
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn reach_by_tables(&self, space: Space, address: u64, write: bool) -> Option<u64> {
        let tables = self.tables(space).filter(|_| accessible(space, address))?;
        self.lately.look_up(tables, space, address, write)
    }

    /// The same for a range that lies in one page.
    #[inline(always)]
    pub(crate) fn within(
        &self,
        space: Space,
        address: u64,
        size: usize,
        write: bool,
    ) -> Option<u64> {
        if size as u64 > PAGE - address % PAGE {
            return None;
        }
        self.reach(space, address, write)
    }

    pub(crate) fn each_page<E>(
        &self,
        space: Space,
        address: u64,
        size: usize,
        write: bool,
        fault: impl Fn(AccessFault) -> E,
        mut with: impl FnMut(u64, usize, usize),
    ) -> Result<(), E> {
        let mut done = 0;
        while done < size {
            let at = address.wrapping_add(done as u64);
            let Some(direct) = self.reach(space, at, write) else {
                return Err(fault(AccessFault { address: at, write }));
            };
            let count = piece(at, size - done);
            with(direct, done, count);
            done += count;
        }
        Ok(())
    }

    /// As `Machine::copy`.
    pub(crate) fn copy_pages(
        &self,
        source: (Space, u64),
        destination: (Space, u64),
        size: usize,
    ) -> Result<(), CopyFault> {
        let mut done = 0;
        while done < size {
            let (from, to) = (
                source.1.wrapping_add(done as u64),
                destination.1.wrapping_add(done as u64),
            );
            let Some(from_direct) = self.reach(source.0, from, false) else {
                return Err(CopyFault::Source(AccessFault {
                    address: from,
                    write: false,
                }));
            };
            let Some(to_direct) = self.reach(destination.0, to, true) else {
                return Err(CopyFault::Destination(AccessFault {
                    address: to,
                    write: true,
                }));
            };
            let count = piece(from, piece(to, size - done));
            // SAFETY: `reach` gave RAM up to each page's end; the pieces may overlap.
            unsafe { (from_direct as *const u8).copy_to(to_direct as *mut u8, count) };
            done += count;
        }
        Ok(())
    }
}
