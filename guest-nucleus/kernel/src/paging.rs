//! Page tables: the layout of the address space, and walking, mapping and unmapping in it.
//!
//! The upper half is the same in every space: its top-level entries are made once at boot and never change. No page is writable and executable,
//! by any of its addresses: the image's text and constants are read-only in the direct map too.

/// The image is linked at this plus its physical address.
pub const KBASE: u64 = 0xffff_ffff_8000_0000;
/// All RAM is mapped from here.
pub const DIRECT: u64 = 0xffff_8000_0000_0000;
/// Area of supervisor actors.
pub const SUPERVISOR_AREA: (u64, u64) = (0xffff_c000_0000_0000, 0xffff_c080_0000_0000);
/// Area of kernel stacks.
pub const STACKS: u64 = 0xffff_d000_0000_0000;
/// Area of device registers that the Nucleus itself uses.
pub const REGISTERS: u64 = 0xffff_e000_0000_0000;
/// Area of user actors' regions.
pub const USER_AREA: (u64, u64) = (0x1_0000, 0x7fff_ffe0_0000);
/// The page of call stubs in every user space.
pub const STUB_PAGE: u64 = chorus_abi::machine::STUB_PAGE;

/// The entry is valid.
pub const PRESENT: u64 = 1;
/// Stores are allowed.
pub const WRITE: u64 = 1 << 1;
/// User mode may use it.
pub const USER: u64 = 1 << 2;
/// The processor used the entry.
pub const ACCESSED: u64 = 1 << 5;
/// What processors set in entries.
pub const BY_PROCESSOR: u64 = ACCESSED | 1 << 6;
/// Neither cached nor combined.
pub const UNCACHED: u64 = 1 << 3 | 1 << 4;
const LARGE: u64 = 1 << 7;
/// The same in all spaces.
pub const GLOBAL: u64 = 1 << 8;
/// No instruction fetches.
pub const NO_EXECUTE: u64 = 1 << 63;
/// Bits of an entry that are a physical address.
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// The tables of one space. `window` is where physical memory is seen: [`KBASE`] while booting, then [`DIRECT`].
#[derive(Clone, Copy)]
pub struct Tables {
    /// Physical address of the top-level table.
    pub root: u64,
    window: u64,
}

impl Tables {
    /// Tables of the running system.
    ///
    /// # Safety
    /// `root` is a top-level table, all of whose tables lie in RAM that nothing else uses.
    pub const unsafe fn new(root: u64) -> Self {
        Tables {
            root,
            window: DIRECT,
        }
    }

    /// Tables while the door's tables are in force.
    ///
    /// # Safety
    /// As [`Tables::new`], below 2 GiB.
    pub unsafe fn early(root: u64) -> Self {
        Tables {
            root,
            window: KBASE,
        }
    }

    fn entry(&self, table: u64, index: u64) -> *mut u64 {
        (self.window + (table & ADDRESS) + (index & 511) * 8) as *mut u64
    }

    /// Entry of the top-level table.
    pub fn top(&self, index: u64) -> u64 {
        // SAFETY: the table is ours (`new`).
        unsafe { self.entry(self.root, index).read() }
    }

    /// Sets an entry of the top-level table.
    ///
    /// # Safety
    /// The entry is right for all who use the space.
    pub unsafe fn set_top(&self, index: u64, entry: u64) {
        // SAFETY: the table is ours; the caller answers for the content.
        unsafe { self.entry(self.root, index).write(entry) }
    }

    /// The last-level entry for an address, if tables lead to one, the bytes that it maps, and the bits that hold only if the levels above have them too.
    #[inline]
    fn find(&self, address: u64) -> Option<(*mut u64, u64, u64)> {
        let (mut table, mut above) = (self.root, WRITE);
        for shift in [39, 30, 21] {
            let pointer = self.entry(table, address >> shift);
            // SAFETY: present entries lead to tables of ours (`new`).
            let entry = unsafe { pointer.read() };
            if entry & PRESENT == 0 {
                return None;
            }
            if entry & LARGE != 0 {
                return Some((pointer, 1 << shift, above));
            }
            above &= entry;
            table = entry;
        }
        Some((self.entry(table, address >> 12), 4096, above))
    }

    /// Physical page and flags behind an address.
    #[inline]
    pub fn translate(&self, address: u64) -> Option<(u64, u64)> {
        let (pointer, size, above) = self.find(address)?;
        // SAFETY: `find` gives an entry of our tables.
        let entry = unsafe { pointer.read() };
        let physical = (entry & ADDRESS & !(size - 1)) + (address & (size - 1) & !4095);
        let flags = entry & !ADDRESS & (!WRITE | above);
        (entry & PRESENT != 0).then_some((physical, flags))
    }

    /// Maps one page of `size` 4096 or 2 MiB; `None`: no memory for a table. What was mapped there before is replaced, and returned as it was in force.
    ///
    /// # Safety
    /// The mapping is right for all who use the space. `allocate` gives zeroed pages that nothing else uses.
    #[inline]
    pub unsafe fn map(
        &self,
        address: u64,
        physical: u64,
        flags: u64,
        size: u64,
        mut allocate: impl FnMut() -> Option<u64>,
    ) -> Option<u64> {
        let (mut table, mut above) = (self.root, WRITE);
        for shift in [39, 30, 21] {
            let pointer = self.entry(table, address >> shift);
            if size == 1 << shift {
                // SAFETY: an entry of our tables; the caller answers for the content.
                return Some(unsafe { pointer.replace(physical | flags | PRESENT | LARGE) });
            }
            // SAFETY: as above.
            let mut entry = unsafe { pointer.read() };
            if entry & PRESENT == 0 {
                entry = allocate()? | PRESENT | WRITE | flags & USER;
                // SAFETY: as above.
                unsafe { pointer.write(entry) };
            }
            if shift == 21 && entry & flags & WRITE != flags & WRITE {
                // SAFETY: as above.
                unsafe { self.allow_stores(pointer) };
                above = 0;
            }
            table = entry;
        }
        let pointer = self.entry(table, address >> 12);
        // SAFETY: as above.
        let before = unsafe { pointer.replace(physical | flags | PRESENT) };
        Some(before & (!WRITE | above))
    }

    /// Maps 4 KiB pages one after another; how many before there was no memory for a table. What was mapped is replaced, and told as it was in force
    /// with the entry that is there now.
    ///
    /// # Safety
    /// As [`Tables::map`], of all of them.
    pub unsafe fn map_run(
        &self,
        address: u64,
        physical: impl Iterator<Item = u64>,
        flags: u64,
        mut allocate: impl FnMut() -> Option<u64>,
        mut replaced: impl FnMut(u64, u64, u64),
    ) -> usize {
        let (mut count, mut at, mut next) = (0, address, None);
        for physical in physical {
            let entry = physical | flags | PRESENT;
            let known: Option<(*mut u64, u64)> = next.filter(|_| !at.is_multiple_of(2 << 20));
            let before = match known {
                Some((pointer, above)) => {
                    next = Some((pointer.wrapping_add(1), above));
                    // SAFETY: an entry of our tables, behind one of the same table; the caller answers for the content.
                    unsafe { pointer.replace(entry) & (!WRITE | above) }
                }
                None => {
                    // SAFETY: the caller's promise.
                    let before = unsafe { self.map(at, physical, flags, 4096, &mut allocate) };
                    let Some(before) = before else {
                        return count;
                    };
                    let found = self.find(at);
                    next = found.map(|(pointer, _, above)| (pointer.wrapping_add(1), above));
                    before
                }
            };
            if before & PRESENT != 0 {
                replaced(at, before, entry);
            }
            (count, at) = (count + 1, at + 4096);
        }
        count
    }

    /// The first address of a range whose page is absent, is none of memory, or forbids stores if `write`; else its end.
    pub fn allowed_until(&self, start: u64, end: u64, write: bool) -> u64 {
        let wanted = if write { PRESENT | WRITE } else { PRESENT };
        let mut address = start & !4095;
        while address < end {
            let Some((mut pointer, size, above)) = self.find(address) else {
                break;
            };
            let past = (address & !((2 << 20) - 1)) + (2 << 20);
            let past = if size == 4096 { past } else { address + 4096 };
            while address < past.min(end) {
                // SAFETY: an entry of our tables, behind one of the same table.
                let entry = unsafe { pointer.read() } & (!WRITE | above);
                if entry & wanted != wanted || entry & UNCACHED != 0 {
                    return address.max(start);
                }
                (pointer, address) = (pointer.wrapping_add(1), address + 4096);
            }
        }
        address.max(start).min(end)
    }

    /// Forbids stores by the last-level entries of a table and allows them by the entry that leads to it.
    ///
    /// # Safety
    /// The entry leads to a last-level table of ours.
    #[cold]
    unsafe fn allow_stores(&self, upper: *mut u64) {
        // SAFETY: the caller's promise.
        let table = unsafe { upper.read() };
        for index in 0..512 {
            let pointer = self.entry(table, index);
            // SAFETY: an entry of that table.
            unsafe { pointer.write(pointer.read() & !WRITE) };
        }
        // SAFETY: as above.
        unsafe { upper.write(table | WRITE) };
    }

    /// Runs over what there is of a range: whole last-level tables by the entries that lead to them, where `whole` says that this was enough, and else
    /// single entries that are present.
    fn each(
        &self,
        start: u64,
        end: u64,
        mut whole: impl FnMut(*mut u64) -> bool,
        mut single: impl FnMut(*mut u64),
    ) {
        let mut address = start;
        'next: while address < end {
            let mut table = self.root;
            for shift in [39, 30, 21] {
                let size = 1u64 << shift;
                let past = (address & !(size - 1)).saturating_add(size);
                let pointer = self.entry(table, address >> shift);
                // SAFETY: present entries lead to tables of ours (`new`).
                let entry = unsafe { pointer.read() };
                let covered = shift == 21 && address & (size - 1) == 0 && past <= end;
                if entry & PRESENT == 0 || entry & LARGE != 0 || covered && whole(pointer) {
                    address = past;
                    continue 'next;
                }
                table = entry;
            }
            let past = (address & !((2 << 20) - 1)) + (2 << 20);
            while address < past.min(end) {
                let pointer = self.entry(table, address >> 12);
                // SAFETY: as above.
                if unsafe { pointer.read() } & PRESENT != 0 {
                    single(pointer);
                }
                address += 4096;
            }
        }
    }

    /// Takes all 4 KiB mappings of a range away, where it can with the whole tables that they are in. `None`: there were none. Processors still have to forget
    /// them; then the tables are free, of which this is the first, or 0.
    pub fn unmap_range(&self, start: u64, end: u64) -> Option<u64> {
        let (first, any) = (core::cell::Cell::new(0), core::cell::Cell::new(false));
        self.each(
            start,
            end,
            |pointer| {
                // SAFETY: an entry of our tables that leads to a last-level table; losing its mappings is the caller's intent. The next table is kept in
                // the first entry of the one before it, where it is no valid entry for a processor that still looks there.
                unsafe {
                    let table = pointer.replace(0) & ADDRESS;
                    self.entry(table, 0).write(first.replace(table));
                }
                any.set(true);
                true
            },
            |pointer| {
                // SAFETY: an entry of our tables; losing a mapping is the caller's intent.
                unsafe { pointer.write(0) };
                any.set(true);
            },
        );
        any.get().then(|| first.get())
    }

    /// The table that was taken away before this one ([`Tables::unmap_range`]), or 0.
    pub fn taken_before(&self, table: u64) -> u64 {
        // SAFETY: a table that was ours, and is not free yet.
        unsafe { self.entry(table, 0).read() }
    }

    /// Forbids stores by all 4 KiB mappings of a range, where it can by the entries that lead to whole tables of them; whether anything changed.
    /// Processors still have to forget them.
    pub fn forbid_stores(&self, start: u64, end: u64) -> bool {
        let changed = core::cell::Cell::new(false);
        let forbid = |pointer: *mut u64| {
            // SAFETY: an entry of our tables; forbidding stores is the caller's intent.
            let entry = unsafe { pointer.read() };
            if entry & WRITE != 0 {
                changed.set(true);
                // SAFETY: as above.
                unsafe { pointer.write(entry & !WRITE) };
            }
        };
        self.each(
            start,
            end,
            |pointer| {
                forbid(pointer);
                true
            },
            forbid,
        );
        changed.get()
    }

    /// Maps a range, by large pages where it can.
    ///
    /// # Safety
    /// As [`Tables::map`].
    pub unsafe fn map_range(
        &self,
        address: u64,
        physical: u64,
        bytes: u64,
        flags: u64,
        mut allocate: impl FnMut() -> Option<u64>,
    ) -> Option<()> {
        const LARGE_PAGE: u64 = 2 << 20;
        let mut done = 0;
        while done < bytes {
            let large = (address + done).is_multiple_of(LARGE_PAGE)
                && (physical + done).is_multiple_of(LARGE_PAGE)
                && bytes - done >= LARGE_PAGE;
            let size = if large { LARGE_PAGE } else { 4096 };
            // SAFETY: the caller's promise.
            unsafe { self.map(address + done, physical + done, flags, size, &mut allocate)? };
            done += size;
        }
        Some(())
    }

    /// Takes a 4 KiB mapping away; its physical page. Processors still have to forget it.
    pub fn unmap(&self, address: u64) -> Option<u64> {
        let (pointer, size, _) = self.find(address)?;
        // SAFETY: an entry of our tables; losing a mapping is the caller's intent.
        let entry = unsafe { pointer.read() };
        if entry & PRESENT == 0 || size != 4096 {
            return None;
        }
        // SAFETY: as above.
        unsafe { pointer.write(0) };
        Some(entry & ADDRESS)
    }

    /// Whether the processor used the 4 KiB mapping of an address since it was asked last, or since it was made.
    pub fn was_touched(&self, address: u64) -> bool {
        let Some((pointer, 4096, _)) = self.find(address) else {
            return false;
        };
        // SAFETY: an entry of our tables, aligned, to which processors set bits at the same time.
        let entry = unsafe { core::sync::atomic::AtomicU64::from_ptr(pointer) };
        let before = entry.load(core::sync::atomic::Ordering::Relaxed);
        if before & (PRESENT | ACCESSED) != PRESENT | ACCESSED {
            return false;
        }
        entry.fetch_and(!ACCESSED, core::sync::atomic::Ordering::Relaxed);
        true
    }

    /// Gives every table of the lower half, and the root, to `release`.
    ///
    /// # Safety
    /// No processor uses the space, now or later.
    pub unsafe fn destroy(self, mut release: impl FnMut(u64)) {
        self.destroy_level(self.root, 3, &mut release);
        release(self.root);
    }

    /// Gives some tables of the lower half to `release`, at most so many; whether only the root is left.
    ///
    /// # Safety
    /// As [`Tables::destroy`].
    pub unsafe fn shrink(&self, most: u32, mut release: impl FnMut(u64)) -> bool {
        let mut left = most;
        self.shrink_level(self.root, 3, &mut left, &mut release)
    }

    fn shrink_level(
        &self,
        table: u64,
        level: u32,
        left: &mut u32,
        release: &mut impl FnMut(u64),
    ) -> bool {
        for index in 0..if level == 3 { 256 } else { 512 } {
            let pointer = self.entry(table, index);
            // SAFETY: tables of ours.
            let entry = unsafe { pointer.read() };
            if entry & PRESENT != 0 && entry & LARGE == 0 {
                if *left == 0 || level > 1 && !self.shrink_level(entry, level - 1, left, release) {
                    return false;
                }
                if *left == 0 {
                    return false;
                }
                *left -= 1;
                // SAFETY: as above; nobody uses the space.
                unsafe { pointer.write(0) };
                release(entry & ADDRESS);
            }
        }
        true
    }

    fn destroy_level(&self, table: u64, level: u32, release: &mut impl FnMut(u64)) {
        for index in 0..if level == 3 { 256 } else { 512 } {
            // SAFETY: tables of ours.
            let entry = unsafe { self.entry(table, index).read() };
            if entry & PRESENT != 0 && entry & LARGE == 0 {
                if level > 1 {
                    self.destroy_level(entry & ADDRESS, level - 1, release);
                }
                release(entry & ADDRESS);
            }
        }
    }
}

/// The image's sections.
pub struct Image {
    /// First byte of text.
    pub text: u64,
    /// First byte of constants.
    pub constants: u64,
    /// First byte of data.
    pub data: u64,
    /// One past the last byte.
    pub end: u64,
}

/// Where the linker put the sections.
pub fn image() -> Image {
    unsafe extern "C" {
        static __text_start: u8;
        static __rodata_start: u8;
        static __data_start: u8;
        static __image_end: u8;
    }
    Image {
        text: &raw const __text_start as u64,
        constants: &raw const __rodata_start as u64,
        data: &raw const __data_start as u64,
        end: &raw const __image_end as u64,
    }
}

/// Builds the Nucleus' tables while the door's are in force. `None`: too little memory.
pub fn build(memory: &[crate::boot::Range]) -> Option<u64> {
    let root = crate::early::table()?;
    // SAFETY: a fresh page below 2 GiB.
    let tables = unsafe { Tables::early(root) };
    for area in [DIRECT, SUPERVISOR_AREA.0, STACKS, REGISTERS, KBASE] {
        let table = crate::early::table()?;
        // SAFETY: nobody uses these tables yet, here and below.
        unsafe { tables.set_top(area >> 39 & 511, table | PRESENT | WRITE) };
    }
    let image = image();
    let table = crate::early::table;
    let data = WRITE | NO_EXECUTE | GLOBAL;
    for (start, end, flags) in [
        (image.text, image.constants, GLOBAL),
        (image.constants, image.data, NO_EXECUTE | GLOBAL),
        (image.data, image.end, data),
    ] {
        // SAFETY: fresh tables; the image where it is linked, with what each section needs.
        unsafe { tables.map_range(start, start - KBASE, end - start, flags, table)? };
    }
    let (fixed, fixed_end) = (image.text - KBASE, image.data - KBASE);
    for range in memory {
        for (start, end, flags) in [
            (range.start, range.end.min(fixed), data),
            (
                range.start.max(fixed),
                range.end.min(fixed_end),
                data & !WRITE,
            ),
            (range.start.max(fixed_end), range.end, data),
        ] {
            if start < end {
                // SAFETY: fresh tables; RAM, and the image's fixed part read-only.
                unsafe { tables.map_range(DIRECT + start, start, end - start, flags, table)? };
            }
        }
    }
    Some(root)
}
