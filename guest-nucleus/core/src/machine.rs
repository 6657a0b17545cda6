//! The one trait behind which the hardware stands.
//!
//! The Nucleus is sequential code: the machine calls its entry points (`call`, `fault`, `exception`, `timer`, `interrupt`, `schedule`,
//! `switched`) one at a time under the site's lock, and the Nucleus asks the machine for everything that hardware does. Three
//! implementations: x86-64 in `guest-nucleus/kernel`, a deterministic one for tests and simulations (to come), and wrappers
//! that record. All memory of actors is reached through here, page by page, so that the Nucleus itself needs no unsafe code.

use crate::changes::Changes;
use chorus_abi::trace::{Class, Kind};
use chorus_abi::{FPU_AREA_SIZE, KnDevDesc, KnThreadCtx};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Index of a processor of the site.
pub type Cpu = usize;

/// A page frame of physical memory, 4096 bytes: its number (physical address / 4096).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Frame(pub u32);

/// An address space. [`Space::SUPERVISOR`] is the upper half that all supervisor actors and the Nucleus share.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Space(pub u16);

impl Space {
    /// The space of supervisor actors and of the Nucleus.
    pub const SUPERVISOR: Space = Space(0);
}

/// What may be done with a page. Reading is always allowed; writing and executing exclude each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Protection {
    /// Stores.
    pub write: bool,
    /// Instruction fetches.
    pub execute: bool,
}

/// A page that an access needs is absent, or forbids it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccessFault {
    /// First address that could not be accessed.
    pub address: u64,
    /// Whether the access was a store.
    pub write: bool,
}

/// Which side of a copy was at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyFault {
    /// Reading failed.
    Source(AccessFault),
    /// Writing failed.
    Destination(AccessFault),
}

impl CopyFault {
    /// How many bytes were copied before it, of a copy between these addresses.
    pub(crate) fn after(&self, source: u64, destination: u64) -> usize {
        match self {
            CopyFault::Source(fault) => fault.address.wrapping_sub(source) as usize,
            CopyFault::Destination(fault) => fault.address.wrapping_sub(destination) as usize,
        }
    }
}

/// There is no memory for a page table or a stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoMemory;

/// How a new thread begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start {
    /// Space in force while it runs; a supervisor thread runs in [`Space::SUPERVISOR`].
    pub space: Space,
    /// Whether it runs in supervisor mode, on its kernel stack.
    pub supervisor: bool,
    /// First instruction.
    pub entry: u64,
    /// Stack pointer of a user thread (the machine aligns nothing); ignored for a supervisor thread.
    pub stack: u64,
    /// Content of the first argument register.
    pub argument: u64,
}

/// Where something of an actor's memory is: [`Machine::spot`] said so, and it holds as long as nothing is counted by
/// [`Machine::count_mappings`]. Then no table needs to be looked at for it again. Nothing else may be made one, but for a part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spot(pub u64);

impl Spot {
    /// Nowhere.
    pub const NONE: Spot = Spot(0);

    /// What begins so many bytes into it.
    #[inline(always)]
    pub const fn at(self, offset: usize) -> Spot {
        Spot(self.0 + offset as u64)
    }
}

/// What a receiver gets on the fast path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Space of the sender.
    pub from: Space,
    /// Space of the receiver.
    pub to: Space,
    /// Where the sequence number goes, and the number.
    pub sequence: Option<(u64, u32)>,
    /// Where the LI of the port goes, and the LI.
    pub port: Option<(u64, i32)>,
    /// Where the annex is, and where it goes.
    pub annex: Option<(u64, u64)>,
    /// Where the body is, where it goes, and how many bytes of it; more than none.
    pub body: Option<(u64, u64, usize)>,
}

/// What the Nucleus asks of the hardware. `thread` arguments are thread slots (`Id::index`).
pub trait Machine {
    /// Nanoseconds since boot; never goes back, also across processors.
    fn now(&mut self) -> u64;
    /// The clock of this processor as it is, without a look at others: for how long something took.
    fn ticks(&mut self) -> u64;
    /// So many ticks in nanoseconds.
    fn nanoseconds(&self, ticks: u64) -> u64;
    /// Resolution of [`Machine::now`] in nanoseconds.
    fn clock_resolution(&self) -> u64;
    /// Asks that `Nucleus::timer(cpu)` be called at `at` nanoseconds or soon after; `None`: not at all. Replaces what was asked before.
    fn set_timer(&mut self, cpu: Cpu, at: Option<u64>);
    /// The longest time in nanoseconds that a processor heard no interrupts since it was in the Nucleus or waited for another there, and in what: a call's number, or an
    /// interrupt's or exception's vector with bit 16, or giving back what goes, bit 17. And the same since this was asked last.
    fn longest_stretches(&mut self) -> [(u64, u32); 2] {
        [(0, 0); 2]
    }
    /// What the machine mended of a faulty emulation: interrupts between `sti` and `hlt`, interrupts delivered twice.
    fn fixups(&self) -> (u64, u64) {
        (0, 0)
    }
    /// Asks that `cpu` passes through `Nucleus::schedule` soon. For the processor that is in the Nucleus now: by an interrupt once it is out.
    fn kick(&mut self, cpu: Cpu);
    /// 64 bits that cannot be guessed (repeatable under a seed).
    fn random(&mut self) -> u64;

    /// A frame with unspecified content.
    fn frame_allocate(&mut self) -> Option<Frame>;
    /// A frame full of zeros.
    fn frame_allocate_zeroed(&mut self) -> Option<Frame> {
        let frame = self.frame_allocate()?;
        self.frame_zero(frame);
        Some(frame)
    }
    /// Gives a frame back.
    fn frame_free(&mut self, frame: Frame);
    /// Fills a frame with zeros.
    fn frame_zero(&mut self, frame: Frame);
    /// Copies out of a frame; `offset + bytes.len()` is at most a page.
    fn frame_read(&mut self, frame: Frame, offset: usize, bytes: &mut [u8]);
    /// Copies into a frame; `offset + bytes.len()` is at most a page.
    fn frame_write(&mut self, frame: Frame, offset: usize, bytes: &[u8]);
    /// Makes a frame's content that of another.
    fn frame_copy(&mut self, from: Frame, to: Frame);
    /// Copies bytes from a place in a frame to one in another; neither ends beyond its frame.
    fn frame_copy_part(&mut self, from: (Frame, usize), to: (Frame, usize), count: usize);
    /// One more than the largest number of a frame that is ever given out.
    fn frame_limit(&self) -> usize;
    /// `(free, total)` frames.
    fn frames(&self) -> (u64, u64);

    /// A new, empty user space (with the stub pages mapped); `None` when there is no memory or no slot.
    fn space_create(&mut self) -> Option<Space>;
    /// Frees some of the tables of a space that is about to be destroyed, in a short time; whether it was the last step.
    fn space_shrink(&mut self, _space: Space) -> bool {
        true
    }
    /// Frees the space's page tables. All its pages were unmapped before and no processor runs in it.
    fn space_destroy(&mut self, space: Space);
    /// Lowest and one past the highest address that regions of the space may use.
    fn space_bounds(&self, space: Space) -> (u64, u64);
    /// Where the search for a free range of addresses begins when its place does not matter; below is searched last. The machine gives every
    /// space a place of its own where it can: then an address alone says to a debugger whose it is.
    fn space_start(&self, space: Space) -> u64 {
        self.space_bounds(space).0
    }
    /// The image of the actor in this slot was loaded.
    fn image_loaded(
        &mut self,
        _actor: usize,
        _space: Space,
        _base: u64,
        _extent: u64,
        _name: &[u8; 16],
    ) {
    }
    /// The actor in this slot has gone, with its image if it had one.
    fn image_gone(&mut self, _actor: usize) {}
    /// Maps a frame at a page-aligned address; what was mapped there before is forgotten on all processors. User spaces: for user mode. The supervisor space: for supervisor mode.
    fn map(
        &mut self,
        space: Space,
        address: u64,
        frame: Frame,
        protection: Protection,
    ) -> Result<(), NoMemory>;
    /// Maps frames one after another from a page-aligned address on, as `map` does each, in less time. How many: for the others there was no memory for a table.
    fn map_run(
        &mut self,
        space: Space,
        address: u64,
        frames: &[Frame],
        protection: Protection,
    ) -> usize;
    /// Removes a mapping on all processors and returns its frame; `None` when there was none.
    fn unmap(&mut self, space: Space, address: u64) -> Option<Frame>;
    /// The same for all pages of a range of whole pages, in less time than one by one.
    fn unmap_range(&mut self, space: Space, start: u64, end: u64);
    /// Forbids stores into all pages that are mapped in a range of whole pages, on all processors. It takes a few steps for each two megabytes, not for each page.
    fn forbid_stores(&mut self, space: Space, start: u64, end: u64);
    /// Whether an actor touched the page mapped at an address since this was asked last, or it was mapped. A processor may remember for a while that it
    /// did, and then not tell.
    fn was_touched(&mut self, space: Space, address: u64) -> bool;
    /// The frame mapped at an address and what may be done with it.
    fn translate(&mut self, space: Space, address: u64) -> Option<(Frame, Protection)>;

    /// Physical place and value of a 4-byte counter that begins an aligned structure of 8 bytes within a page that is there and may be written.
    fn counter(&mut self, space: Space, address: u64) -> Option<(u64, i32)>;
    /// Sets it. The frame is still mapped.
    fn set_counter(&mut self, place: u64, value: i32);
    /// Physical place of a byte that may be written, if that is known without a look at the tables.
    fn place(&mut self, space: Space, address: u64) -> Option<u64>;
    /// Copies from the memory of a space. Addresses outside the space's half fault like absent pages.
    fn read(&mut self, space: Space, address: u64, bytes: &mut [u8]) -> Result<(), AccessFault>;
    /// Copies into the memory of a space; pages that forbid stores fault.
    fn write(&mut self, space: Space, address: u64, bytes: &[u8]) -> Result<(), AccessFault>;
    /// Copies between two spaces (or within one), from the first byte on. Returns on a fault so that the page can be made; all bytes before that are copied.
    fn copy(
        &mut self,
        source: (Space, u64),
        destination: (Space, u64),
        size: usize,
    ) -> Result<(), CopyFault>;
    /// Copies from a space into a frame.
    fn copy_in(
        &mut self,
        source: (Space, u64),
        frame: Frame,
        offset: usize,
        size: usize,
    ) -> Result<(), AccessFault>;
    /// Copies from a frame into a space.
    fn copy_out(
        &mut self,
        frame: Frame,
        offset: usize,
        destination: (Space, u64),
        size: usize,
    ) -> Result<(), AccessFault>;

    /// A value in the memory of a space, if it lies in one page that is there.
    fn load<T: FromBytes>(&mut self, space: Space, address: u64) -> Option<T>;
    /// Stores a value into the memory of a space, if it lies in one page that is there and may be written; `false`: it was not stored.
    fn store<T: IntoBytes + Immutable>(&mut self, space: Space, address: u64, value: &T) -> bool;
    /// Whether a range of at most a page lies in one page that is there.
    fn readable(&mut self, space: Space, address: u64, size: usize) -> bool;
    /// The first address in a range of a page that is not there, or may not be written if that is wanted; the end of the range if there is none.
    fn accessible_until(&mut self, space: Space, start: u64, end: u64, write: bool) -> u64;
    /// Whether a range of at most a page lies in one page that is there and may be written.
    fn writable(&mut self, space: Space, address: u64, size: usize) -> bool;
    /// From now on it is counted there whenever a page that was mapped is not any more, or is mapped otherwise, in any space.
    fn count_mappings(&mut self, changes: &Changes);
    /// Where a range of at most a page is, if it lies in one page that is there, and may be written if it is to be.
    fn spot(&mut self, space: Space, address: u64, size: usize, write: bool) -> Option<Spot>;
    /// A value in a spot.
    fn peek<T: FromBytes>(&self, spot: Spot) -> T;
    /// Changes a value in a spot that may be written.
    fn poke<T: IntoBytes + Immutable>(&mut self, spot: Spot, value: &T);
    /// Copies so many bytes from one spot to another that may be written; they may overlap.
    fn copy_spot(&mut self, from: Spot, to: Spot, size: usize);
    /// Stores all of a delivery; `false`: not all of it can be, since something does not lie in one page that is there, and nothing was stored.
    fn deliver(&mut self, delivery: &Delivery) -> bool;

    /// Prepares stack and registers of a new thread. It first runs when `schedule` picks it. A word for it, which the machine is told when a conversation passes
    /// a processor to the thread.
    fn context_create(&mut self, thread: usize, start: Start) -> Result<u64, NoMemory>;
    /// Frees them. The thread is on no processor.
    fn context_destroy(&mut self, thread: usize);
    /// Registers of a thread that is on no processor; `fpu_area` is 0.
    fn registers(&mut self, thread: usize) -> KnThreadCtx;
    /// Whether a thread may have these registers: its addresses are ones that it can go to, and it has an FPU if there is something for it.
    fn registers_fit(&self, thread: usize, registers: &KnThreadCtx) -> bool;
    /// Has a thread that is on no processor go on with these registers, which fit, instead of with what it did.
    fn set_registers(&mut self, thread: usize, registers: &KnThreadCtx);
    /// x87 and SSE registers of a thread that is on no processor, as FXSAVE lays them out; `None`: it has none.
    fn vectors(&mut self, thread: usize) -> Option<[u8; FPU_AREA_SIZE]>;
    /// Sets them; bits that the processor does not have are left out.
    fn set_vectors(&mut self, thread: usize, vectors: &[u8; FPU_AREA_SIZE]);

    /// Address that import slots of an actor get for a call: in the stub page, or the Nucleus' own entry for supervisor actors.
    fn call_address(&self, supervisor: bool, number: u16) -> u64;
    /// Entry of the threads that serve ports with handlers: calls `svMsgServe` of its argument again and again until that fails, then ends.
    fn serving_entry(&self) -> u64;
    /// Writes a line to the site's console log.
    fn log(&mut self, line: &str);
    /// Device `index` of the machine.
    fn device(&self, index: usize) -> Option<KnDevDesc>;
    /// Maps device registers uncached into a space at a page-aligned address.
    fn map_device(&mut self, space: Space, address: u64, physical: u64) -> Result<(), NoMemory>;
    /// `count` physically contiguous zeroed frames; the first is returned. Given back one by one with [`Machine::frame_free`].
    fn frames_contiguous(&mut self, count: usize) -> Option<Frame>;
    /// Reads 1, 2 or 4 bytes from a port of a device that [`Machine::device`] describes.
    fn port_in(&mut self, port: u16, size: u32) -> u32;
    /// Writes 1, 2 or 4 bytes to one.
    fn port_out(&mut self, port: u16, size: u32, value: u32);
    /// Lets a device interrupt through: `Nucleus::interrupt(cpu, irq)` follows each one.
    fn enable_interrupt(&mut self, irq: u32);
    /// Has the processor in the Nucleus take the interrupt of a vector, as if its device had sent it, once it is out.
    fn raise(&mut self, vector: u32);
    /// Whether events of a class are written down.
    #[inline(always)]
    fn traces(&self, _class: Class) -> bool {
        false
    }
    /// Writes down what happened: kind and code, the slots of the thread and of the actor that it works for, and the kind's words.
    fn trace(&mut self, _what: (Kind, u8), _whose: (usize, Option<usize>), _words: [u64; 6]) {}
    /// Ends the site.
    fn halt(&mut self, code: u8);
    /// Reports a mark.
    fn mark(&mut self, mark: u32);
}
