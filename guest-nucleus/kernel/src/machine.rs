//! The x86-64 implementation of [`Machine`]: what the Nucleus asks for, done with frames, tables, stacks and the APIC.
//!
//! Memory of actors is reached by walking their tables and going through the direct map, so that no access of the Nucleus can fault.

use crate::command_line::Log;
use crate::context::Context;
use crate::frames::Frames;
use crate::lately::Lately;
use crate::paging::{
    NO_EXECUTE, PRESENT, STUB_PAGE, SUPERVISOR_AREA, Tables, UNCACHED, USER_AREA, WRITE,
};
use crate::random::Random;
use crate::reach::{PAGE, accessible, bytes, clear};
use crate::serial::say;
use crate::stacks::Stacks;
use crate::{apic, calls, clock, fpu, images, processor, shootdown};
use alloc::vec::Vec;
use chorus_abi::machine::KnImage;
use chorus_abi::trace::{Class, Kind};
use chorus_abi::{FPU_AREA_SIZE, KnDevDesc, KnThreadCtx};
use chorus_nucleus_core::changes::Changes;
use chorus_nucleus_core::machine::*;
use core::cell::UnsafeCell;
use core::sync::atomic::Ordering::Relaxed;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Bytes from one user space's place to the next one's: 2^15 of them are all addresses.
const PLACE: u64 = 1 << 32;

/// Tables of a space that are freed in one step.
const TABLES: u32 = 3;

/// State of the machine, under the site's lock.
pub struct X86 {
    pub(crate) frames: Frames,
    pub(crate) kernel: Tables,
    pub(crate) spaces: Vec<Option<Tables>>,
    pub(crate) lately: Lately,
    pub(crate) contexts: Vec<Option<Context>>,
    pub(crate) stacks: Stacks,
    pub(crate) random: Random,
    pub(crate) devices: Vec<KnDevDesc>,
    pub(crate) stub_page: u64,
    pub(crate) msi: bool,
    pub(crate) log: Log,
    pub(crate) latest: u64,
    /// Where the stack pointer of a thread that is gone is saved to.
    pub(crate) scratch: [UnsafeCell<u64>; crate::entry::MAX_CPUS],
}

/// Bits of an entry that give these rights.
fn rights(protection: Protection) -> u64 {
    match protection {
        Protection { write: true, .. } => WRITE | NO_EXECUTE,
        Protection { execute: true, .. } => 0,
        _ => NO_EXECUTE,
    }
}

impl Machine for X86 {
    fn now(&mut self) -> u64 {
        self.latest = self.latest.max(clock::now());
        self.latest
    }

    #[inline(always)]
    fn ticks(&mut self) -> u64 {
        crate::cpu::tsc()
    }

    fn nanoseconds(&self, ticks: u64) -> u64 {
        clock::nanoseconds(ticks)
    }

    fn clock_resolution(&self) -> u64 {
        (1_000_000 / clock::khz()).max(1)
    }

    fn set_timer(&mut self, cpu: Cpu, at: Option<u64>) {
        let Some(processor) = processor::get(cpu) else {
            return;
        };
        processor.wanted.store(at.unwrap_or(u64::MAX), Relaxed);
        if processor::this().index == cpu {
            crate::traps::refresh_timer();
        } else if at.is_some() {
            self.kick(cpu);
        }
    }

    #[inline(always)]
    fn traces(&self, class: Class) -> bool {
        crate::trace::wants(class)
    }

    fn trace(&mut self, what: (Kind, u8), whose: (usize, Option<usize>), words: [u64; 6]) {
        crate::trace::note_inside(what, whose, &words);
    }

    fn longest_stretches(&mut self) -> [(u64, u32); 2] {
        crate::stretches::longest()
    }

    fn fixups(&self) -> (u64, u64) {
        let count = |counter: &core::sync::atomic::AtomicU64| counter.load(Relaxed);
        (
            count(&crate::traps::IDLE_FIXUPS),
            count(&crate::traps::DELIVERED_TWICE),
        )
    }

    fn kick(&mut self, cpu: Cpu) {
        if let Some(processor) = processor::get(cpu) {
            shootdown::SENT.fetch_add(1, Relaxed);
            apic::send(processor.apic.get(), u32::from(apic::RESCHEDULE));
        }
    }

    fn random(&mut self) -> u64 {
        self.random.next()
    }

    fn frame_allocate(&mut self) -> Option<Frame> {
        self.frames.allocate().map(Frame)
    }

    fn frame_allocate_zeroed(&mut self) -> Option<Frame> {
        self.frames.allocate_zeroed(clear).map(Frame)
    }

    fn frame_free(&mut self, frame: Frame) {
        self.frames.release(frame.0);
    }

    fn frame_zero(&mut self, frame: Frame) {
        clear(frame.0);
    }

    fn frame_read(&mut self, frame: Frame, offset: usize, into: &mut [u8]) {
        let count = into.len().min((PAGE as usize).saturating_sub(offset));
        // SAFETY: a frame that the allocator gave out is RAM in the direct map; within the frame by the line above.
        unsafe { bytes(frame, offset).copy_to(into.as_mut_ptr(), count) };
    }

    fn frame_write(&mut self, frame: Frame, offset: usize, from: &[u8]) {
        let count = from.len().min((PAGE as usize).saturating_sub(offset));
        // SAFETY: as `frame_read`.
        unsafe { bytes(frame, offset).copy_from(from.as_ptr(), count) };
    }

    fn frame_copy(&mut self, from: Frame, to: Frame) {
        // SAFETY: as `frame_read`; two frames are the same or apart.
        unsafe {
            bytes(from, 0)
                .cast::<u64>()
                .copy_to(bytes(to, 0).cast::<u64>(), PAGE as usize / 8)
        };
    }

    fn frame_copy_part(&mut self, from: (Frame, usize), to: (Frame, usize), count: usize) {
        let room = |at: usize| (PAGE as usize).saturating_sub(at);
        let count = count.min(room(from.1)).min(room(to.1));
        // SAFETY: as `frame_read`; within both frames by the lines above.
        unsafe { bytes(from.0, from.1).copy_to(bytes(to.0, to.1), count) };
    }

    fn frame_limit(&self) -> usize {
        self.frames.limit()
    }

    fn frames(&self) -> (u64, u64) {
        self.frames.counts()
    }

    fn space_create(&mut self) -> Option<Space> {
        self.make_space()
    }

    fn space_shrink(&mut self, space: Space) -> bool {
        let Some(&Some(tables)) = self.spaces.get(space.0 as usize) else {
            return true;
        };
        self.lately.forget_all();
        shootdown::leave(tables.root);
        // SAFETY: no processor runs in it, and those that had it in force left it.
        unsafe { tables.shrink(TABLES, |page| self.frames.release((page / PAGE) as u32)) }
    }

    fn space_destroy(&mut self, space: Space) {
        self.drop_space(space);
    }

    fn space_bounds(&self, space: Space) -> (u64, u64) {
        if space == Space::SUPERVISOR {
            SUPERVISOR_AREA
        } else {
            USER_AREA
        }
    }

    fn space_start(&self, space: Space) -> u64 {
        let (low, high) = self.space_bounds(space);
        let start = u64::from(space.0) * PLACE;
        if start < high { start.max(low) } else { low }
    }

    fn image_loaded(
        &mut self,
        actor: usize,
        space: Space,
        base: u64,
        extent: u64,
        name: &[u8; 16],
    ) {
        let (root, name) = (self.root(space), *name);
        crate::trace::note_image(actor, &name);
        images::set(
            actor,
            KnImage {
                base,
                extent,
                root,
                name,
            },
        );
    }

    fn image_gone(&mut self, actor: usize) {
        images::set(actor, KnImage::NONE);
    }

    fn map(
        &mut self,
        space: Space,
        address: u64,
        frame: Frame,
        protection: Protection,
    ) -> Result<(), NoMemory> {
        let physical = u64::from(frame.0) * PAGE;
        self.insert(space, address, physical, rights(protection))
    }

    fn map_run(
        &mut self,
        space: Space,
        address: u64,
        frames: &[Frame],
        protection: Protection,
    ) -> usize {
        self.insert_run(space, address, frames, rights(protection))
    }

    fn unmap(&mut self, space: Space, address: u64) -> Option<Frame> {
        let area = self.space_bounds(space);
        let tables = self
            .tables(space)
            .filter(|_| (area.0..area.1).contains(&address))?;
        let physical = tables.unmap(address)?;
        self.lately.forget(space, address);
        shootdown::forget(Self::concerned(tables, space), address);
        Some(Frame((physical / PAGE) as u32))
    }

    fn unmap_range(&mut self, space: Space, start: u64, end: u64) {
        if end - start == PAGE {
            self.unmap(space, start);
        } else if let Some(tables) = self.tables_for(space, start, end)
            && let Some(first) = tables.unmap_range(start, end)
        {
            self.lately.forget_all();
            shootdown::forget_all(Self::concerned(tables, space));
            let mut next = first;
            while next != 0 {
                let table = next;
                next = tables.taken_before(table);
                self.frames.release((table / PAGE) as u32);
            }
        }
    }

    fn forbid_stores(&mut self, space: Space, start: u64, end: u64) {
        if let Some(tables) = self.tables_for(space, start, end)
            && tables.forbid_stores(start, end)
        {
            self.lately.forget_all();
            shootdown::forget_all(Self::concerned(tables, space));
        }
    }

    fn was_touched(&mut self, space: Space, address: u64) -> bool {
        self.tables(space)
            .is_some_and(|tables| tables.was_touched(address))
    }

    fn translate(&mut self, space: Space, address: u64) -> Option<(Frame, Protection)> {
        let tables = self.tables(space).filter(|_| accessible(space, address))?;
        let (physical, flags) = tables.translate(address)?;
        let protection = Protection {
            write: flags & WRITE != 0,
            execute: flags & NO_EXECUTE == 0,
        };
        debug_assert!(flags & PRESENT != 0);
        Some((Frame((physical / PAGE) as u32), protection))
    }

    #[inline(always)]
    fn counter(&mut self, space: Space, address: u64) -> Option<(u64, i32)> {
        if !address.is_multiple_of(4) {
            return None;
        }
        let direct = self.within(space, address, 8, true)?;
        // SAFETY: `within` gave RAM for so many bytes.
        let value = unsafe { (direct as *const i32).read() };
        Some((direct - crate::paging::DIRECT, value))
    }

    #[inline(always)]
    fn set_counter(&mut self, place: u64, value: i32) {
        let (frame, offset) = (Frame((place >> 12) as u32), (place & (PAGE - 4)) as usize);
        // SAFETY: as `frame_write`.
        unsafe { bytes(frame, offset).cast::<i32>().write(value) };
    }

    #[inline]
    fn place(&mut self, space: Space, address: u64) -> Option<u64> {
        let direct = self.reach(space, address, true)?;
        Some(direct - crate::paging::DIRECT)
    }

    fn read(&mut self, space: Space, address: u64, into: &mut [u8]) -> Result<(), AccessFault> {
        let to = into.as_mut_ptr();
        self.each_page(
            space,
            address,
            into.len(),
            false,
            |fault| fault,
            |direct, done, count| {
                // SAFETY: `reach` gave RAM up to the page's end; `done + count` is within the slice. Overlap is allowed by `copy`. So below.
                unsafe { (direct as *const u8).copy_to(to.add(done), count) };
            },
        )
    }

    fn write(&mut self, space: Space, address: u64, from: &[u8]) -> Result<(), AccessFault> {
        self.each_page(
            space,
            address,
            from.len(),
            true,
            |fault| fault,
            |direct, done, count| {
                // SAFETY: as `read`.
                unsafe { (direct as *mut u8).copy_from(from.as_ptr().add(done), count) };
            },
        )
    }

    fn copy(
        &mut self,
        source: (Space, u64),
        destination: (Space, u64),
        size: usize,
    ) -> Result<(), CopyFault> {
        self.copy_pages(source, destination, size)
    }

    fn copy_in(
        &mut self,
        source: (Space, u64),
        frame: Frame,
        offset: usize,
        size: usize,
    ) -> Result<(), AccessFault> {
        let size = size.min((PAGE as usize).saturating_sub(offset));
        self.each_page(
            source.0,
            source.1,
            size,
            false,
            |fault| fault,
            |direct, done, count| {
                // SAFETY: as `read` and `frame_write`.
                unsafe { (direct as *const u8).copy_to(bytes(frame, offset + done), count) };
            },
        )
    }

    fn copy_out(
        &mut self,
        frame: Frame,
        offset: usize,
        destination: (Space, u64),
        size: usize,
    ) -> Result<(), AccessFault> {
        let size = size.min((PAGE as usize).saturating_sub(offset));
        self.each_page(
            destination.0,
            destination.1,
            size,
            true,
            |fault| fault,
            |direct, done, count| {
                // SAFETY: as `read` and `frame_read`.
                unsafe { (direct as *mut u8).copy_from(bytes(frame, offset + done), count) };
            },
        )
    }

    #[inline(always)]
    fn count_mappings(&mut self, changes: &Changes) {
        self.lately.count(changes);
    }

    #[inline(always)]
    fn spot(&mut self, space: Space, address: u64, size: usize, write: bool) -> Option<Spot> {
        self.spot_of(space, address, size, write)
    }

    #[inline(always)]
    fn peek<T: FromBytes>(&self, spot: Spot) -> T {
        self.peek_at(spot)
    }

    #[inline(always)]
    fn poke<T: IntoBytes + Immutable>(&mut self, spot: Spot, value: &T) {
        self.poke_at(spot, value)
    }

    #[inline(always)]
    fn copy_spot(&mut self, from: Spot, to: Spot, size: usize) {
        self.copy_between(from, to, size)
    }

    #[inline(always)]
    fn load<T: FromBytes>(&mut self, space: Space, address: u64) -> Option<T> {
        let direct = self.within(space, address, size_of::<T>(), false)?;
        // SAFETY: `within` gave RAM for so many bytes; any bytes are a value of the type.
        Some(unsafe { (direct as *const T).read_unaligned() })
    }

    #[inline(always)]
    fn store<T: IntoBytes + Immutable>(&mut self, space: Space, address: u64, value: &T) -> bool {
        let Some(direct) = self.within(space, address, size_of::<T>(), true) else {
            return false;
        };
        // SAFETY: `within` gave RAM for so many bytes.
        unsafe { (direct as *mut u8).copy_from(value.as_bytes().as_ptr(), size_of::<T>()) };
        true
    }

    #[inline(always)]
    fn readable(&mut self, space: Space, address: u64, size: usize) -> bool {
        self.within(space, address, size, false).is_some()
    }

    #[inline(always)]
    fn writable(&mut self, space: Space, address: u64, size: usize) -> bool {
        self.within(space, address, size, true).is_some()
    }

    fn accessible_until(&mut self, space: Space, start: u64, end: u64, write: bool) -> u64 {
        self.reach_until(space, start, end, write)
    }

    #[inline(always)]
    fn deliver(&mut self, delivery: &Delivery) -> bool {
        self.deliver_within_pages(delivery)
    }

    fn context_create(&mut self, thread: usize, start: Start) -> Result<u64, NoMemory> {
        self.make_context(thread, start)
    }

    fn context_destroy(&mut self, thread: usize) {
        self.drop_context(thread);
    }

    fn registers(&mut self, thread: usize) -> KnThreadCtx {
        let context = self.contexts.get(thread).copied().flatten();
        context.map_or_else(KnThreadCtx::default, |context| context.registers())
    }

    fn registers_fit(&self, thread: usize, registers: &KnThreadCtx) -> bool {
        let Some(context) = self.contexts.get(thread).copied().flatten() else {
            return false;
        };
        let user = context.is_user();
        let (low, high) = if user { USER_AREA } else { SUPERVISOR_AREA };
        // Of a supervisor thread the stack pointer must be one that the next interrupt can use.
        let stack = user || accessible(Space::SUPERVISOR, registers.rsp.wrapping_sub(8));
        (low..high).contains(&registers.rip) && stack && (user || registers.fpu_area == 0)
    }

    fn set_registers(&mut self, thread: usize, registers: &KnThreadCtx) {
        if let Some(Some(context)) = self.contexts.get_mut(thread) {
            context.set_registers(registers);
        }
    }

    fn vectors(&mut self, thread: usize) -> Option<[u8; FPU_AREA_SIZE]> {
        let context = self.contexts.get(thread).copied().flatten()?;
        // SAFETY: the thread is on no processor, so that its registers were saved in its area.
        context
            .is_user()
            .then(|| unsafe { fpu::read(context.area) })
    }

    fn set_vectors(&mut self, thread: usize, vectors: &[u8; FPU_AREA_SIZE]) {
        if let Some(context) = self.contexts.get(thread).copied().flatten()
            && context.is_user()
        {
            // SAFETY: as `vectors`.
            unsafe { fpu::write(context.area, *vectors) };
        }
    }

    fn call_address(&self, supervisor: bool, number: u16) -> u64 {
        if supervisor {
            calls::supervisor_entry(number)
        } else {
            STUB_PAGE + u64::from(number & 0xff) * 16
        }
    }

    fn serving_entry(&self) -> u64 {
        calls::serving_entry()
    }

    fn log(&mut self, line: &str) {
        if self.log != Log::Quiet {
            say!("{line}");
        }
    }

    fn device(&self, index: usize) -> Option<KnDevDesc> {
        self.devices.get(index).copied()
    }

    fn map_device(&mut self, space: Space, address: u64, physical: u64) -> Result<(), NoMemory> {
        self.insert(
            space,
            address,
            physical & !(PAGE - 1),
            WRITE | NO_EXECUTE | UNCACHED,
        )
    }

    fn frames_contiguous(&mut self, count: usize) -> Option<Frame> {
        self.frames.contiguous_zeroed(count, clear).map(Frame)
    }

    fn port_in(&mut self, port: u16, size: u32) -> u32 {
        match size {
            1 => crate::cpu::in8(port).into(),
            2 => crate::cpu::in16(port).into(),
            _ => crate::cpu::in32(port),
        }
    }

    fn port_out(&mut self, port: u16, size: u32, value: u32) {
        match size {
            1 => crate::cpu::out8(port, value as u8),
            2 => crate::cpu::out16(port, value as u16),
            _ => crate::cpu::out32(port, value),
        }
    }

    fn enable_interrupt(&mut self, irq: u32) {
        if !self.msi && irq < 48 {
            apic::route(irq, processor::get(0).map_or(0, |boot| boot.apic.get()));
        }
    }

    fn raise(&mut self, vector: u32) {
        apic::send(processor::this().apic.get(), vector);
    }

    fn halt(&mut self, code: u8) {
        crate::serial::exit(code)
    }

    fn mark(&mut self, mark: u32) {
        crate::serial::mark(mark);
    }
}
