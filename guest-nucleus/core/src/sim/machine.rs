//! A machine of tables: frames, page tables, a clock that the test moves, kicks that the driver carries out.

mod looks;

use crate::changes::Changes;
use crate::machine::*;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use chorus_abi::trace::{Class, Kind};
use chorus_abi::{FPU_AREA_SIZE, K_DEV_SERIAL, KnDevDesc, KnThreadCtx, PAGE_SIZE};
use zerocopy::{FromBytes, Immutable, IntoBytes};

const PAGE: usize = PAGE_SIZE as usize;
/// Addresses of user spaces, and of the supervisor space.
const USER: (u64, u64) = (0x1_0000, 0x1_0000_0000);
const SUPERVISOR: (u64, u64) = (0xffff_c000_0000_0000, 0xffff_c000_4000_0000);

/// The one device of the machine. Its registers lie behind the memory, and no call reads them.
pub const DEVICE: KnDevDesc = KnDevDesc {
    base: 0xd000_0e00,
    size: 0x200,
    irq: 5,
    device_id: 1,
};

/// A device with ports: they read what was written.
pub const SERIAL: KnDevDesc = KnDevDesc {
    base: 0x2f8,
    size: 8,
    irq: 3,
    device_id: K_DEV_SERIAL,
};

/// A record of a trace: kind and code, slots of thread and actor, words.
pub type Traced = ((Kind, u8), (usize, Option<usize>), [u64; 6]);

/// The machine.
pub struct Sim {
    /// Bytes at the ports of [`SERIAL`].
    pub ports: [u8; 8],
    /// The clock, in nanoseconds.
    pub clock: u64,
    /// Processors that were kicked since the driver looked.
    pub kicked: Vec<bool>,
    /// When each processor's timer fires.
    pub timers: Vec<Option<u64>>,
    /// Lines of the log.
    pub log: Vec<String>,
    /// There is no memory for spaces, contexts and tables of pages.
    pub short: bool,
    /// How many more requests for memory of any kind succeed before one fails.
    pub fails_after: Option<u64>,
    /// Interrupts that are let through.
    pub enabled: Vec<u32>,
    /// Marks that were reported.
    pub marks: Vec<u32>,
    /// Exit code, once the site was ended.
    pub halted: Option<u8>,
    /// Vectors that the Nucleus raised itself.
    pub raised: Vec<u32>,
    /// Threads that have a context.
    pub contexts: Vec<bool>,
    /// How they began.
    pub starts: Vec<Option<Start>>,
    /// Registers of each thread.
    pub registers: Vec<(KnThreadCtx, [u8; FPU_AREA_SIZE])>,
    /// Frames copied.
    pub copies: u64,
    /// What was written down, if somebody wants that.
    pub traced: Option<Vec<Traced>>,
    mappings: Changes,
    memory: Vec<Option<[u8; PAGE]>>,
    free: usize,
    spaces: Vec<Option<BTreeMap<u64, (Frame, Protection)>>>,
    /// Pages that were touched since anybody asked.
    touched: BTreeSet<(u16, u64)>,
    random: u64,
}

impl Sim {
    /// A machine with so many processors and frames.
    pub fn new(cpus: usize, frames: usize, threads: usize) -> Sim {
        Sim {
            ports: [0; 8],
            clock: 1000,
            kicked: alloc::vec![false; cpus],
            timers: alloc::vec![None; cpus],
            log: Vec::new(),
            halted: None,
            enabled: Vec::new(),
            marks: Vec::new(),
            short: false,
            fails_after: None,
            raised: Vec::new(),
            contexts: alloc::vec![false; threads],
            starts: alloc::vec![None; threads],
            registers: alloc::vec![(KnThreadCtx::default(), [0; FPU_AREA_SIZE]); threads],
            copies: 0,
            traced: None,
            mappings: Changes::default(),
            memory: alloc::vec![None; frames],
            free: frames,
            spaces: alloc::vec![Some(BTreeMap::new())],
            touched: BTreeSet::new(),
            random: 1,
        }
    }

    fn table(&mut self, space: Space) -> Option<&mut BTreeMap<u64, (Frame, Protection)>> {
        self.spaces.get_mut(space.0 as usize)?.as_mut()
    }

    /// Frame and offset of a spot.
    fn in_frame(spot: Spot) -> (usize, usize) {
        let at = spot.0 as usize - PAGE;
        (at / PAGE, at % PAGE)
    }

    /// Whether this is the request for memory that is to fail. Only one does.
    fn fails(&mut self) -> bool {
        match &mut self.fails_after {
            Some(0) => {
                self.fails_after = None;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}

impl Machine for Sim {
    fn now(&mut self) -> u64 {
        self.clock
    }
    fn ticks(&mut self) -> u64 {
        self.clock
    }
    fn nanoseconds(&self, ticks: u64) -> u64 {
        ticks
    }
    fn clock_resolution(&self) -> u64 {
        1
    }
    fn set_timer(&mut self, cpu: Cpu, at: Option<u64>) {
        self.timers[cpu] = at;
    }
    fn kick(&mut self, cpu: Cpu) {
        self.kicked[cpu] = true;
    }
    fn random(&mut self) -> u64 {
        self.random = self
            .random
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(1);
        self.random ^ self.random >> 29
    }
    fn frame_allocate(&mut self) -> Option<Frame> {
        if self.fails() {
            return None;
        }
        let free = self.memory.iter().position(Option::is_none)?;
        self.memory[free] = Some([0xa5; PAGE]);
        self.free -= 1;
        Some(Frame(free as u32))
    }
    fn frame_free(&mut self, frame: Frame) {
        let gone = self.memory[frame.0 as usize].take();
        assert!(gone.is_some(), "{frame:?} was free");
        self.free += 1;
    }
    fn frame_zero(&mut self, frame: Frame) {
        self.memory[frame.0 as usize]
            .as_mut()
            .expect("a free frame")
            .fill(0);
    }
    fn frame_read(&mut self, frame: Frame, offset: usize, bytes: &mut [u8]) {
        let memory = self.memory[frame.0 as usize]
            .as_ref()
            .expect("a free frame");
        bytes.copy_from_slice(&memory[offset..offset + bytes.len()]);
    }
    fn frame_write(&mut self, frame: Frame, offset: usize, bytes: &[u8]) {
        let memory = self.memory[frame.0 as usize]
            .as_mut()
            .expect("a free frame");
        memory[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    fn frame_copy(&mut self, from: Frame, to: Frame) {
        self.copies += 1;
        let content = self.memory[from.0 as usize].expect("a free frame");
        let to = self.memory[to.0 as usize].as_mut();
        *to.expect("a free frame") = content;
    }
    fn frame_copy_part(&mut self, from: (Frame, usize), to: (Frame, usize), count: usize) {
        let mut bytes = alloc::vec![0; count];
        self.frame_read(from.0, from.1, &mut bytes);
        self.frame_write(to.0, to.1, &bytes);
    }
    fn frame_limit(&self) -> usize {
        self.memory.len()
    }
    fn frames(&self) -> (u64, u64) {
        (self.free as u64, self.memory.len() as u64)
    }
    fn space_create(&mut self) -> Option<Space> {
        if self.short || self.fails() {
            return None;
        }
        let slot = self.spaces.iter().position(Option::is_none);
        let slot = slot.unwrap_or_else(|| {
            self.spaces.push(None);
            self.spaces.len() - 1
        });
        self.spaces[slot] = Some(BTreeMap::new());
        Some(Space(slot as u16))
    }
    fn space_destroy(&mut self, space: Space) {
        let gone = self.spaces[space.0 as usize].take().expect("no such space");
        assert!(gone.is_empty(), "pages are left in a space that goes");
    }
    fn space_bounds(&self, space: Space) -> (u64, u64) {
        if space == Space::SUPERVISOR {
            SUPERVISOR
        } else {
            USER
        }
    }
    fn map(
        &mut self,
        space: Space,
        address: u64,
        frame: Frame,
        protection: Protection,
    ) -> Result<(), NoMemory> {
        assert_eq!(address % PAGE_SIZE, 0);
        assert!(
            !(protection.write && protection.execute),
            "writable and executable"
        );
        if self.short || self.fails() {
            return Err(NoMemory);
        }
        let table = self.table(space).ok_or(NoMemory)?;
        let before = table.insert(address, (frame, protection));
        if before.is_some() {
            self.mappings.happen();
        }
        self.touched.insert((space.0, address));
        Ok(())
    }
    fn map_run(
        &mut self,
        space: Space,
        address: u64,
        frames: &[Frame],
        protection: Protection,
    ) -> usize {
        let mut at = (address..).step_by(PAGE);
        let mut mapped = |&frame: &Frame| {
            let at = at.next().expect("an address");
            self.map(space, at, frame, protection).is_ok()
        };
        frames.iter().take_while(|frame| mapped(frame)).count()
    }
    fn unmap(&mut self, space: Space, address: u64) -> Option<Frame> {
        self.mappings.happen();
        self.table(space)?.remove(&address).map(|(frame, _)| frame)
    }
    fn unmap_range(&mut self, space: Space, start: u64, end: u64) {
        self.mappings.happen();
        if let Some(table) = self.table(space) {
            table.retain(|&page, _| page < start || page >= end);
        }
    }
    fn forbid_stores(&mut self, space: Space, start: u64, end: u64) {
        self.mappings.happen();
        let Some(table) = self.table(space) else {
            return;
        };
        for (_, (_, protection)) in table.range_mut(start..end) {
            protection.write = false;
        }
    }
    fn was_touched(&mut self, space: Space, address: u64) -> bool {
        self.touched.remove(&(space.0, address)) && self.translate(space, address).is_some()
    }
    fn translate(&mut self, space: Space, address: u64) -> Option<(Frame, Protection)> {
        self.table(space)?
            .get(&(address & !(PAGE_SIZE - 1)))
            .copied()
    }
    fn counter(&mut self, space: Space, address: u64) -> Option<(u64, i32)> {
        if !address.is_multiple_of(4) || !self.writable(space, address, 8) {
            return None;
        }
        Some((self.place(space, address)?, self.load(space, address)?))
    }
    fn set_counter(&mut self, place: u64, value: i32) {
        let (frame, offset) = (Frame((place >> 12) as u32), place as usize % PAGE);
        self.frame_write(frame, offset, &value.to_le_bytes());
    }
    fn place(&mut self, space: Space, address: u64) -> Option<u64> {
        let (frame, protection) = self.translate(space, address)?;
        (protection.write && (frame.0 as usize) < self.memory.len())
            .then_some(u64::from(frame.0) * PAGE_SIZE + address % PAGE_SIZE)
    }
    fn read(&mut self, space: Space, address: u64, bytes: &mut [u8]) -> Result<(), AccessFault> {
        let mut done = 0;
        for (frame, offset, count) in self.pieces(space, address, bytes.len(), false)? {
            self.frame_read(frame, offset, &mut bytes[done..done + count]);
            done += count;
        }
        Ok(())
    }
    fn write(&mut self, space: Space, address: u64, bytes: &[u8]) -> Result<(), AccessFault> {
        let mut done = 0;
        for (frame, offset, count) in self.pieces(space, address, bytes.len(), true)? {
            self.frame_write(frame, offset, &bytes[done..done + count]);
            done += count;
        }
        Ok(())
    }
    fn copy(
        &mut self,
        source: (Space, u64),
        destination: (Space, u64),
        size: usize,
    ) -> Result<(), CopyFault> {
        let readable = self.pieces(source.0, source.1, size, false).err();
        let writable = self.pieces(destination.0, destination.1, size, true).err();
        let readable = readable.map(CopyFault::Source);
        let writable = writable.map(CopyFault::Destination);
        let after = |fault: &CopyFault| fault.after(source.1, destination.1);
        let fault = [readable, writable].into_iter().flatten().min_by_key(after);
        let mut bytes = alloc::vec![0; fault.as_ref().map_or(size, after)];
        let there = "what was looked at is there";
        self.read(source.0, source.1, &mut bytes).expect(there);
        self.write(destination.0, destination.1, &bytes)
            .expect(there);
        fault.map_or(Ok(()), Err)
    }
    fn copy_in(
        &mut self,
        source: (Space, u64),
        frame: Frame,
        offset: usize,
        size: usize,
    ) -> Result<(), AccessFault> {
        let mut bytes = alloc::vec![0; size];
        self.read(source.0, source.1, &mut bytes)?;
        self.frame_write(frame, offset, &bytes);
        Ok(())
    }
    fn copy_out(
        &mut self,
        frame: Frame,
        offset: usize,
        destination: (Space, u64),
        size: usize,
    ) -> Result<(), AccessFault> {
        let writable = self.pieces(destination.0, destination.1, size, true).err();
        let count = writable.map_or(size, |fault| (fault.address - destination.1) as usize);
        let mut bytes = alloc::vec![0; count];
        self.frame_read(frame, offset, &mut bytes);
        self.write(destination.0, destination.1, &bytes)
            .expect("what was looked at is there");
        writable.map_or(Ok(()), Err)
    }
    fn load<T: FromBytes>(&mut self, space: Space, address: u64) -> Option<T> {
        let mut bytes = alloc::vec![0; size_of::<T>()];
        if !self.readable(space, address, bytes.len()) {
            return None;
        }
        self.read(space, address, &mut bytes).ok()?;
        T::read_from_bytes(&bytes).ok()
    }
    fn count_mappings(&mut self, changes: &Changes) {
        self.mappings = changes.clone();
    }
    fn spot(&mut self, space: Space, address: u64, size: usize, write: bool) -> Option<Spot> {
        let pieces = self.pieces(space, address, size, write).ok()?;
        let &[(frame, offset, _)] = pieces.as_slice() else {
            return None;
        };
        // No spot is 0.
        Some(Spot((frame.0 as usize * PAGE + offset + PAGE) as u64))
    }
    fn peek<T: FromBytes>(&self, spot: Spot) -> T {
        let (frame, offset) = Self::in_frame(spot);
        let memory = self.memory[frame].as_ref().expect("a free frame");
        T::read_from_bytes(&memory[offset..offset + size_of::<T>()]).expect("enough bytes")
    }
    fn poke<T: IntoBytes + Immutable>(&mut self, spot: Spot, value: &T) {
        let (frame, offset) = Self::in_frame(spot);
        self.frame_write(Frame(frame as u32), offset, value.as_bytes());
    }
    fn copy_spot(&mut self, from: Spot, to: Spot, size: usize) {
        let mut bytes = alloc::vec![0; size];
        let (frame, offset) = Self::in_frame(from);
        self.frame_read(Frame(frame as u32), offset, &mut bytes);
        let (frame, offset) = Self::in_frame(to);
        self.frame_write(Frame(frame as u32), offset, &bytes);
    }
    fn store<T: IntoBytes + Immutable>(&mut self, space: Space, address: u64, value: &T) -> bool {
        self.writable(space, address, size_of::<T>())
            && self.write(space, address, value.as_bytes()).is_ok()
    }
    fn readable(&mut self, space: Space, address: u64, size: usize) -> bool {
        let pieces = self.pieces(space, address, size, false);
        pieces.is_ok_and(|pieces| pieces.len() <= 1)
    }
    fn writable(&mut self, space: Space, address: u64, size: usize) -> bool {
        let pieces = self.pieces(space, address, size, true);
        pieces.is_ok_and(|pieces| pieces.len() <= 1)
    }
    fn accessible_until(&mut self, space: Space, start: u64, end: u64, write: bool) -> u64 {
        let pieces = self.pieces(space, start, (end - start) as usize, write);
        pieces.err().map_or(end, |fault| fault.address)
    }
    fn deliver(&mut self, delivery: &Delivery) -> bool {
        let (from, to) = (delivery.from, delivery.to);
        let annex = delivery.annex.map(|(at, to)| (at, to, 64));
        let copies = [annex, delivery.body];
        let mut words = alloc::vec::Vec::new();
        words.extend(delivery.sequence);
        words.extend(delivery.port.map(|(at, li)| (at, li.cast_unsigned())));
        let there = copies.into_iter().flatten().all(|(source, target, size)| {
            self.readable(from, source, size) && self.writable(to, target, size)
        });
        if !there || !words.iter().all(|&(at, _)| self.writable(to, at, 4)) {
            return false;
        }
        for (source, target, size) in copies.into_iter().flatten() {
            self.copy((from, source), (to, target), size)
                .expect("checked");
        }
        for (at, word) in words {
            self.write(to, at, &word.to_le_bytes()).expect("checked");
        }
        true
    }
    fn context_create(&mut self, thread: usize, start: Start) -> Result<u64, NoMemory> {
        assert!(!self.contexts[thread], "thread {thread} has a context");
        if self.short || self.fails() {
            return Err(NoMemory);
        }
        self.starts[thread] = Some(start);
        self.contexts[thread] = true;
        let registers = KnThreadCtx {
            rip: start.entry,
            rsp: start.stack,
            rdi: start.argument,
            ..KnThreadCtx::default()
        };
        self.registers[thread] = (registers, [0; FPU_AREA_SIZE]);
        Ok(thread as u64)
    }
    fn context_destroy(&mut self, thread: usize) {
        assert!(self.contexts[thread], "thread {thread} has no context");
        self.contexts[thread] = false;
    }
    fn registers(&mut self, thread: usize) -> KnThreadCtx {
        assert!(self.contexts[thread], "thread {thread} has no context");
        self.registers[thread].0
    }
    fn registers_fit(&self, _: usize, registers: &KnThreadCtx) -> bool {
        registers.rip < USER.1
    }
    fn set_registers(&mut self, thread: usize, registers: &KnThreadCtx) {
        assert!(self.contexts[thread], "thread {thread} has no context");
        self.registers[thread].0 = KnThreadCtx {
            fpu_area: 0,
            ..*registers
        };
    }
    fn vectors(&mut self, thread: usize) -> Option<[u8; FPU_AREA_SIZE]> {
        Some(self.registers[thread].1)
    }
    fn set_vectors(&mut self, thread: usize, vectors: &[u8; FPU_AREA_SIZE]) {
        self.registers[thread].1 = *vectors;
    }
    fn call_address(&self, supervisor: bool, number: u16) -> u64 {
        u64::from(number) * 16 + if supervisor { 1 << 40 } else { 0 }
    }
    fn serving_entry(&self) -> u64 {
        SUPERVISOR.0
    }
    fn log(&mut self, line: &str) {
        self.log.push(line.into());
    }
    fn device(&self, index: usize) -> Option<KnDevDesc> {
        [DEVICE, SERIAL].get(index).copied()
    }
    fn map_device(&mut self, space: Space, address: u64, physical: u64) -> Result<(), NoMemory> {
        let frame = Frame((physical / PAGE_SIZE) as u32);
        let protection = Protection {
            write: true,
            execute: false,
        };
        self.map(space, address, frame, protection)
    }
    fn frames_contiguous(&mut self, count: usize) -> Option<Frame> {
        let start = self
            .memory
            .windows(count)
            .position(|run| run.iter().all(Option::is_none))?;
        self.memory[start..start + count].fill(Some([0; PAGE]));
        self.free -= count;
        Some(Frame(start as u32))
    }
    fn port_in(&mut self, port: u16, size: u32) -> u32 {
        let first = usize::from(port) - SERIAL.base as usize;
        let mut bytes = [0; 4];
        bytes[..size as usize].copy_from_slice(&self.ports[first..first + size as usize]);
        u32::from_le_bytes(bytes)
    }
    fn port_out(&mut self, port: u16, size: u32, value: u32) {
        let first = usize::from(port) - SERIAL.base as usize;
        self.ports[first..first + size as usize]
            .copy_from_slice(&value.to_le_bytes()[..size as usize]);
    }
    fn enable_interrupt(&mut self, irq: u32) {
        self.enabled.push(irq);
    }
    fn raise(&mut self, vector: u32) {
        self.raised.push(vector);
    }
    fn traces(&self, _: Class) -> bool {
        self.traced.is_some()
    }
    fn trace(&mut self, what: (Kind, u8), whose: (usize, Option<usize>), words: [u64; 6]) {
        self.traced
            .get_or_insert_default()
            .push((what, whose, words));
    }
    fn halt(&mut self, code: u8) {
        self.halted = Some(code);
    }
    fn mark(&mut self, mark: u32) {
        self.marks.push(mark);
    }
}
