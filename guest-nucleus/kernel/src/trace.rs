//! Traces: what this processor does, into its ring in the window that the virtual machine made (`chorus_abi::trace` has the layout, `docs/contracts.md` the protocol).
//!
//! Nothing is looked at on the way of a call while nobody wants a trace: beginning one changes the ways in themselves, that of `syscall` for each processor, those of supervisor actors and
//! that of exceptions and interrupts for all. What lies further inside (`context::switch`, and the core by `Machine::traces`) is a look at one word, and conversations, visits
//! and the other short calls do not come there: while such classes are wanted, their calls go the way that does everything.

use crate::frames::Frames;
use crate::machine::X86;
use crate::paging::{GLOBAL, NO_EXECUTE, REGISTERS, Tables, WRITE};
use crate::processor::{self, IDLE, Processor};
use crate::traps::Frame;
use crate::{calls, cpu, site, traps};
use chorus_abi::trace::*;
use chorus_nucleus_core::Nucleus;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, compiler_fence};

/// Classes that the machine's owner wants: a processor that has not heard of it yet writes nothing down all the same.
static WANTED: AtomicU32 = AtomicU32::new(0);
/// Classes whose events lie off the fast paths.
const FURTHER_INSIDE: u32 = Class::Switch.bit() | Class::Wake.bit() | Class::Message.bit();
/// Where the window is seen: a gigabyte behind the devices' registers, which has a table of its own.
const VIEW: u64 = REGISTERS + (1 << 30);
/// Bytes of a page there.
const LARGE: u64 = 2 << 20;
/// Bytes of the window that are mapped. Under the site's lock.
static MAPPED: AtomicU64 = AtomicU64::new(0);

/// Whether events of a class are wanted.
#[inline(always)]
pub fn wants(class: Class) -> bool {
    WANTED.load(Relaxed) & class.bit() != 0
}

/// Whether calls go the way that does everything.
#[inline(always)]
pub fn looks_inside() -> bool {
    WANTED.load(Relaxed) & FURTHER_INSIDE != 0
}

/// Maps so much of the window. `None`: there is no memory for a table. Under the site's lock.
fn map(tables: Tables, frames: &mut Frames, size: u64) -> Option<()> {
    while MAPPED.load(Relaxed) < size {
        let done = MAPPED.load(Relaxed);
        // SAFETY: the window is no RAM of the Nucleus', and the addresses are nobody else's. Where no window is the reads in `ring` find ones.
        unsafe {
            tables.map(
                VIEW + done,
                WINDOW + done,
                WRITE | NO_EXECUTE | GLOBAL,
                LARGE,
                || X86::table(frames),
            )
        }?;
        MAPPED.store(done + LARGE, Relaxed);
    }
    Some(())
}

/// What the window says for this processor: classes, place of its ring, and records in it. `None`: nothing that could be followed.
fn orders(own: &Processor) -> Option<(u32, u64, u32)> {
    let nucleus = site::enter_briefly();
    let (kernel, frames) = (nucleus.machine.kernel, &mut nucleus.machine.frames);
    let found = map(kernel, frames, LARGE).and_then(|()| {
        // SAFETY: mapped just now; another machine may write there, so it is read once, as it is.
        let window = unsafe { (VIEW as *const KnTraceWindow).read_volatile() };
        let (records, rings) = (u64::from(window.records), u64::from(window.rings));
        let known = window.magic == MAGIC && window.version == VERSION;
        let end = rings
            .checked_mul((records + 1) * RECORD)?
            .checked_add(RINGS)?;
        let sound = records.is_power_of_two() && end <= WINDOW_MOST && (own.index as u64) < rings;
        if !known || !sound {
            return None;
        }
        map(kernel, frames, end)?;
        let ring = VIEW + ring_offset(own.index as u64, records);
        Some((window.classes & Class::EVERYTHING, ring, window.records))
    });
    site::leave_briefly();
    found
}

/// The machine's owner wants something else: looks what, and says that it is so.
pub fn obey() {
    let own = processor::this();
    let (classes, ring, records) = orders(own).unwrap_or((0, 0, 1));
    own.traced.set(classes);
    own.ring.set(ring);
    own.ring_mask.set(records - 1);
    WANTED.store(classes, Relaxed);
    let traced = classes != 0;
    calls::go_traced(traced);
    traps::go_traced(traced);
    // SAFETY: both are entries of calls.
    unsafe { cpu::write_msr(cpu::LSTAR, calls::entry(traced)) };
    if ring == 0 {
        return;
    }
    if traced {
        // Who runs here is known from the first record on.
        note_switch(site::enter_briefly(), own.current.get());
        site::leave_briefly();
    }
    // SAFETY: the ring of this processor, mapped by `orders`.
    unsafe { (&raw mut (*(ring as *mut KnTraceRing)).classes).write_volatile(classes) };
}

/// Writes a record, if this processor does that. Interrupts are off.
#[inline(never)]
fn note(what: (Kind, u8), thread: usize, actor: Option<usize>, words: &[u64; 6]) {
    let own = processor::this();
    if own.traced.get() == 0 {
        return;
    }
    let ring = own.ring.get();
    let slot = |number: Option<usize>| number.and_then(|number| u16::try_from(number).ok());
    // SAFETY: `obey` found the ring, mapped it with all its records, and only this processor writes there. Whoever reads it finds a record whole once it is counted.
    unsafe {
        let head = &raw mut (*(ring as *mut KnTraceRing)).written;
        let number = head.read_volatile();
        let place = number & u64::from(own.ring_mask.get());
        ((ring + (place + 1) * RECORD) as *mut KnTraceRecord).write(KnTraceRecord {
            time: cpu::tsc(),
            kind: what.0 as u8,
            code: what.1,
            number: number as u16,
            thread: slot(Some(thread)).unwrap_or(NOBODY),
            actor: slot(actor).unwrap_or(NOBODY),
            words: *words,
        });
        compiler_fence(core::sync::atomic::Ordering::Release);
        head.write_volatile(number.wrapping_add(1));
    }
}

/// The same for the core.
#[cold]
pub fn note_inside(what: (Kind, u8), whose: (usize, Option<usize>), words: &[u64; 6]) {
    note(what, whose.0, whose.1, words);
}

/// An actor was given an image, whoever wants what: its events are told with its name.
pub fn note_image(actor: usize, name: &[u8; 16]) {
    if WANTED.load(Relaxed) == 0 {
        return;
    }
    let mut words = [0; 6];
    for (word, bytes) in words.iter_mut().zip(name.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    note((Kind::Image, 0), IDLE, Some(actor), &words);
}

/// This processor is about to go to another thread. The lock is held.
#[cold]
#[inline(never)]
pub fn note_switch(nucleus: &Nucleus<X86>, to: usize) {
    let from = processor::this().current.get();
    let words = [from as u64, 0, 0, 0, 0, 0];
    note((Kind::Switch, 0), to, nucleus.works_for(to), &words);
}

/// The actor that a thread works for. The lock is free.
fn actor_of(thread: usize) -> Option<usize> {
    let actor = site::enter_briefly().works_for(thread);
    site::leave_briefly();
    actor
}

/// A call, traced: all ways in come here while a trace is on.
pub extern "C" fn traced_call(number: u32, arguments: &[u64; 6]) -> i32 {
    let own = processor::this();
    let calls = own.traced.get() & Class::Call.bit() != 0;
    if calls {
        let thread = own.current.get();
        note(
            (Kind::Call, number as u8),
            thread,
            actor_of(thread),
            arguments,
        );
    }
    let result = calls::by_its_way(own, number, arguments);
    let own = processor::this();
    if own.traced.get() & Class::Call.bit() != 0 {
        let words = [u64::from(result.cast_unsigned()), 0, 0, 0, 0, 0];
        note(
            (Kind::Return, number as u8),
            own.current.get(),
            None,
            &words,
        );
    }
    result
}

/// An exception or an interrupt, traced.
pub extern "C" fn traced_trap(frame: &mut Frame) {
    let vector = frame.vector as u8;
    let (class, kind) = match frame.vector {
        0..32 => (Class::Fault, Kind::Fault),
        _ => (Class::Interrupt, Kind::Interrupt),
    };
    let address = if frame.vector == 14 { cpu::cr2() } else { 0 };
    let words = [address, frame.error, frame.rip, 0, 0, 0];
    let writes = || processor::this().traced.get() & class.bit() != 0 && vector != VECTOR;
    if writes() {
        let thread = processor::this().current.get();
        note((kind, vector), thread, None, &words);
    }
    traps::trap(frame);
    if writes() {
        let thread = processor::this().current.get();
        note((Kind::Over, vector), thread, None, &[0; 6]);
    }
}
