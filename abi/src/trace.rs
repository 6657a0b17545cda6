//! Traces: what a site writes down of its work, processor by processor, into rings that the virtual machine reads without stopping it.
//!
//! The rings lie in a *window* of guest-physical memory at [`WINDOW`], which the virtual machine makes when somebody first wants a trace: a page with a
//! [`KnTraceWindow`], and behind it a ring a processor, each a [`KnTraceRing`] with its records. The machine's owner fills in the window and sends every processor
//! the interrupt [`VECTOR`]; each looks at the window then, begins or ends, and says so in its ring. `docs/contracts.md` has the whole of it.
//!
//! A processor writes its own ring only. The newest record takes the place of the oldest; how many there ever were says how many are lost.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `KnTraceWindow::magic`.
pub const MAGIC: u64 = 0x3130_4543_4152_544b;
/// Version of everything here.
pub const VERSION: u32 = 1;
/// Guest-physical address of the window; behind all RAM and devices.
pub const WINDOW: u64 = 0xe000_0000;
/// Most bytes of a window.
pub const WINDOW_MOST: u64 = 256 << 20;
/// Vector of the interrupt that has a processor look at the window.
pub const VECTOR: u8 = 0xf3;
/// Where the first ring begins in the window.
pub const RINGS: u64 = 4096;

/// What the virtual machine wants, at the beginning of the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct KnTraceWindow {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`VERSION`].
    pub version: u32,
    /// Bits of [`Class`]; 0: nothing is to be written down.
    pub classes: u32,
    /// Records of each ring, a power of two.
    pub records: u32,
    /// Rings.
    pub rings: u32,
}

/// Head of a ring, as large as a record; the records follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct KnTraceRing {
    /// Records written so far. The next one is number `written`, in place `written` modulo the ring's size.
    pub written: u64,
    /// Classes that the processor writes down now.
    pub classes: u32,
    /// Zero.
    pub reserved: [u32; 13],
}

/// `KnTraceRecord::thread` and `actor`: none.
pub const NOBODY: u16 = u16::MAX;

/// One event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct KnTraceRecord {
    /// Time stamp counter, the same on all sites where the host allows it.
    pub time: u64,
    /// One of [`Kind`].
    pub kind: u8,
    /// Number of the call, vector, or [`Place`].
    pub code: u8,
    /// Low bits of the record's number.
    pub number: u16,
    /// Slot of the thread that it is about, or [`NOBODY`].
    pub thread: u16,
    /// Slot of the actor that this thread works for, or [`NOBODY`]: not told.
    pub actor: u16,
    /// What the kind says.
    pub words: [u64; 6],
}

/// Bytes of a record, and of a ring's head.
pub const RECORD: u64 = size_of::<KnTraceRecord>() as u64;
const _: () = assert!(size_of::<KnTraceRing>() as u64 == RECORD && RECORD == 64);

/// Where a ring begins in a window whose rings have so many records.
pub const fn ring_offset(ring: u64, records: u64) -> u64 {
    RINGS + ring * (records + 1) * RECORD
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $value:literal;)*) => {
        /// What happened.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $variant = $value,)* }
        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)*];
            /// The kind with this number.
            pub const fn from_number(number: u8) -> Option<Kind> { match number { $($value => Some(Kind::$variant),)* _ => None } }
        }
    };
}
kinds! {
    /// A call begins: `code` is its number, the words are its argument registers.
    Call = 1;
    /// It is over: the first word is its result.
    Return = 2;
    /// The processor runs this thread from now on, or idles; the first word is the slot of the one before.
    Switch = 3;
    /// The thread has what it waited for: the first word is the result of its wait.
    Wake = 4;
    /// A message is sent: its number, that of its transaction or 0, source, target, bytes of the body, and 1 if somebody waits for the answer. `code` is a [`Place`].
    Send = 5;
    /// It was put into the queue of its port: the same words, of which the last is how many are there.
    Queue = 6;
    /// The thread receives it: the same words, of which the last is its number at the port.
    Receive = 7;
    /// A request is answered by this thread: the same words, but the bytes of the answer, and its result. An answer that comes from another site has neither the
    /// message's number nor source and target, and the thread is the client.
    Reply = 8;
    /// An exception: `code` is its vector; address, error code and instruction.
    Fault = 9;
    /// An interrupt: `code` is its vector; the last word is the interrupted instruction.
    Interrupt = 10;
    /// The end of an exception or an interrupt, `code` its vector.
    Over = 11;
    /// The actor was given an image: the first two words are the name that it had then.
    Image = 12;
}

/// Where a message comes from or goes to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Place {
    /// It stays on the site.
    Here = 0,
    /// It goes to another site.
    Out = 1,
    /// It comes from another site.
    In = 2,
}

impl Place {
    /// The place with this number.
    pub const fn from_number(number: u8) -> Option<Place> {
        match number {
            0 => Some(Place::Here),
            1 => Some(Place::Out),
            2 => Some(Place::In),
            _ => None,
        }
    }
}

/// What is written down; a bit of `KnTraceWindow::classes` each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum Class {
    /// Calls, and their results.
    Call = 1,
    /// Which thread runs.
    Switch = 2,
    /// Ends of waits.
    Wake = 4,
    /// Messages.
    Message = 8,
    /// Exceptions.
    Fault = 16,
    /// Interrupts.
    Interrupt = 32,
}

impl Class {
    /// All classes.
    pub const ALL: [Class; 6] = [
        Class::Call,
        Class::Switch,
        Class::Wake,
        Class::Message,
        Class::Fault,
        Class::Interrupt,
    ];
    /// Bits of all classes.
    pub const EVERYTHING: u32 = 63;

    /// Its bit.
    pub const fn bit(self) -> u32 {
        self as u32
    }

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Call => "call",
            Class::Switch => "switch",
            Class::Wake => "wake",
            Class::Message => "message",
            Class::Fault => "fault",
            Class::Interrupt => "interrupt",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bits_are_told_apart() {
        for number in 0..=u8::MAX {
            let kind = Kind::from_number(number);
            assert_eq!(kind.is_some(), (1..=12).contains(&number));
            assert!(kind.is_none_or(|kind| kind as u8 == number));
            assert!(Place::from_number(number).is_none_or(|place| place as u8 == number));
        }
        let bits = Class::ALL.iter().map(|class| class.bit());
        assert_eq!(bits.clone().sum::<u32>(), Class::EVERYTHING);
        assert!(bits.clone().all(u32::is_power_of_two));
    }

    #[test]
    fn rings_lie_one_behind_the_other() {
        assert_eq!(ring_offset(0, 1024), 4096);
        assert_eq!(ring_offset(1, 1024), 4096 + 1025 * 64);
        assert_eq!(core::mem::offset_of!(KnTraceRecord, words), 16);
    }
}
