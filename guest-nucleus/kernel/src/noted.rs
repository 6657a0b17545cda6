//! What the fast paths of messages need of memory, and where a thread's arguments of `ipcCall` and `ipcReplyReceive` were the last time: threads say the
//! same again and again.
//!
//! A note holds as long as no page was mapped otherwise since; its addresses and its space are compared, so that a hit needs no look at any table.

use crate::machine::X86;
use chorus_abi::{K_CMSGANNEXSIZE, KnIpcDest, KnMsgDesc};
use chorus_nucleus_core::machine::{Delivery, Space};

/// Three places of a space.
#[derive(Clone, Copy, Default)]
pub struct Note {
    /// `Lately::changes` when it was made; 0: never.
    changes: u64,
    space: Space,
    at: [u64; 3],
    /// The same in the direct map.
    direct: [u64; 3],
}

/// Notes of a thread.
#[derive(Clone, Copy, Default)]
pub struct Notes {
    /// Of a call: a descriptor, a destination and a descriptor, to be read.
    call: Note,
    /// Of a wait: a descriptor to be read, one that may be written, and an LI.
    receive: Note,
}

const DESC: usize = size_of::<KnMsgDesc>();
const SEQ_NUM: u64 = core::mem::offset_of!(KnMsgDesc, seq_num) as u64;
type Annex = [u64; K_CMSGANNEXSIZE / 8];

/// A word of an actor.
///
/// # Safety
/// The address is in the direct map, with eight bytes of RAM.
#[inline(always)]
pub(crate) unsafe fn word(direct: u64) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { (direct as *const u64).read_unaligned() }
}

/// Whether a descriptor in an actor's memory says what another says, but for the sequence number.
///
/// # Safety
/// The address is in the direct map, with RAM for a descriptor.
#[inline(always)]
pub(crate) unsafe fn says(direct: u64, known: &KnMsgDesc) -> bool {
    let at = direct as *const KnMsgDesc;
    // SAFETY: the caller's promise.
    unsafe {
        word(direct) == (u64::from(known.body_size) << 32 | u64::from(known.flags))
            && (&raw const (*at).body_addr).read_unaligned() == known.body_addr
            && (&raw const (*at).annex_addr).read_unaligned() == known.annex_addr
    }
}

/// Whether a descriptor in an actor's memory sends no body.
///
/// # Safety
/// As [`says`].
#[inline(always)]
pub(crate) unsafe fn sends_no_body(at: *const KnMsgDesc) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        (&raw const (*at).body_size).read_unaligned() == 0
            || (&raw const (*at).body_addr).read_unaligned() == 0
    }
}

impl Note {
    #[inline(always)]
    fn holds(&self, changes: u64, space: Space, at: &[u64; 3]) -> bool {
        self.changes == changes
            && self.space == space
            && self.at[0] == at[0]
            && self.at[1] == at[1]
            && self.at[2] == at[2]
    }
}

impl X86 {
    #[cold]
    #[inline(never)]
    fn note(
        &mut self,
        thread: usize,
        space: Space,
        at: [u64; 3],
        receives: bool,
    ) -> Option<[u64; 3]> {
        let sizes = if receives {
            [DESC, DESC, 4]
        } else {
            [DESC, size_of::<KnIpcDest>(), DESC]
        };
        let mut direct = [0; 3];
        for (index, size) in sizes.into_iter().enumerate() {
            direct[index] = self.within(space, at[index], size, receives && index == 1)?;
        }
        let note = Note {
            changes: self.lately.changes(),
            space,
            at,
            direct,
        };
        let notes = &mut self.contexts.get_mut(thread)?.as_mut()?.notes;
        if receives {
            notes.receive = note;
        } else {
            notes.call = note;
        }
        Some(direct)
    }

    /// As `Machine::call_arguments`.
    #[inline(always)]
    pub(crate) fn noted_call(
        &mut self,
        thread: usize,
        space: Space,
        at: [u64; 3],
    ) -> Option<(KnMsgDesc, KnIpcDest, KnMsgDesc)> {
        let note = &self.contexts.get(thread)?.as_ref()?.notes.call;
        let direct = if note.holds(self.lately.changes(), space, &at) {
            note.direct
        } else {
            self.note(thread, space, at, false)?
        };
        // SAFETY: RAM of these sizes, which no mapping lost since the note was made; any bytes are values of these types.
        Some(unsafe {
            (
                (direct[0] as *const KnMsgDesc).read_unaligned(),
                (direct[1] as *const KnIpcDest).read_unaligned(),
                (direct[2] as *const KnMsgDesc).read_unaligned(),
            )
        })
    }

    /// As `Machine::receive_arguments`.
    #[inline(always)]
    pub(crate) fn noted_receive(
        &mut self,
        thread: usize,
        space: Space,
        at: [u64; 3],
    ) -> Option<(KnMsgDesc, KnMsgDesc, i32)> {
        let note = &self.contexts.get(thread)?.as_ref()?.notes.receive;
        let direct = if note.holds(self.lately.changes(), space, &at) {
            note.direct
        } else {
            self.note(thread, space, at, true)?
        };
        // SAFETY: as `noted_call`.
        Some(unsafe {
            (
                (direct[0] as *const KnMsgDesc).read_unaligned(),
                (direct[1] as *const KnMsgDesc).read_unaligned(),
                (direct[2] as *const i32).read_unaligned(),
            )
        })
    }

    /// As `Machine::call_repeats`.
    #[inline(always)]
    pub(crate) fn call_is_noted(
        &self,
        thread: usize,
        space: Space,
        at: &[u64; 3],
        dest: &KnIpcDest,
        reply: &KnMsgDesc,
    ) -> Option<u64> {
        let note = &self.contexts.get(thread)?.as_ref()?.notes.call;
        if !note.holds(self.lately.changes(), space, at) {
            return None;
        }
        // SAFETY: as `noted_call`. Actors may write there meanwhile, so each word is read once, and what is used afterwards was compared.
        unsafe {
            let request = note.direct[0] as *const KnMsgDesc;
            let same = word(note.direct[1]) == dest.target.memory_word()
                && word(note.direct[1] + 8) == dest.co_target.memory_word()
                && says(note.direct[2], reply)
                && sends_no_body(request);
            same.then(|| (&raw const (*request).annex_addr).read_unaligned())
        }
    }

    /// As `Machine::receive_repeats`.
    #[inline(always)]
    pub(crate) fn receive_is_noted(
        &self,
        thread: usize,
        space: Space,
        at: &[u64; 3],
        msg: &KnMsgDesc,
        li: i32,
    ) -> Option<u64> {
        let note = &self.contexts.get(thread)?.as_ref()?.notes.receive;
        if !note.holds(self.lately.changes(), space, at) {
            return None;
        }
        // SAFETY: as `call_is_noted`.
        unsafe {
            let reply = note.direct[0] as *const KnMsgDesc;
            let same = (note.direct[2] as *const i32).read_unaligned() == li
                && says(note.direct[1], msg)
                && sends_no_body(reply);
            same.then(|| (&raw const (*reply).annex_addr).read_unaligned())
        }
    }

    #[inline(always)]
    fn sequence_place(&self, thread: usize) -> Option<*mut u32> {
        let note = &self.contexts.get(thread)?.as_ref()?.notes.receive;
        (note.changes == self.lately.changes()).then_some((note.direct[1] + SEQ_NUM) as *mut u32)
    }

    /// As `Machine::store_sequence`.
    #[inline(always)]
    pub(crate) fn noted_sequence(&mut self, thread: usize, sequence: u32) -> bool {
        let Some(place) = self.sequence_place(thread) else {
            return false;
        };
        // SAFETY: within a descriptor that may be written, as `noted_call`.
        unsafe { place.write_unaligned(sequence) };
        true
    }

    /// As `Machine::copy_annex`.
    #[inline(always)]
    pub(crate) fn annex(
        &mut self,
        source: (Space, u64),
        destination: (Space, u64),
        sequence: Option<(usize, u32)>,
    ) -> bool {
        let Some(from) = self.within(source.0, source.1, K_CMSGANNEXSIZE, false) else {
            return false;
        };
        let Some(to) = self.within(destination.0, destination.1, K_CMSGANNEXSIZE, true) else {
            return false;
        };
        let place = match sequence {
            None => None,
            Some((thread, number)) => match self.sequence_place(thread) {
                None => return false,
                Some(place) => Some((place, number)),
            },
        };
        // SAFETY: `within` gave RAM for an annex each, which may overlap: it is read whole before it is written. The number: as `noted_sequence`.
        unsafe {
            (to as *mut Annex).write_unaligned((from as *const Annex).read_unaligned());
            if let Some((place, number)) = place {
                place.write_unaligned(number);
            }
        }
        true
    }

    /// As `Machine::deliver`.
    #[inline(always)]
    pub(crate) fn deliver_within_pages(&mut self, delivery: &Delivery) -> bool {
        let (from, to) = (delivery.from, delivery.to);
        // Places of what is there; of what is not, some address that is never used.
        let (mut sequence_to, mut port_to) = (0, 0);
        let (mut annex_from, mut annex_to, mut body_from, mut body_to) = (0, 0, 0, 0);
        macro_rules! place {
            ($place:ident = $space:ident $address:expr, $size:expr, $write:expr) => {
                match self.within($space, $address, $size, $write) {
                    Some(direct) => $place = direct,
                    None => return false,
                }
            };
        }
        if let Some((at, _)) = delivery.sequence {
            place!(sequence_to = to at, 4, true);
        }
        if let Some((at, _)) = delivery.port {
            place!(port_to = to at, 4, true);
        }
        if let Some((source, target)) = delivery.annex {
            place!(annex_from = from source, K_CMSGANNEXSIZE, false);
            place!(annex_to = to target, K_CMSGANNEXSIZE, true);
        }
        if let Some((source, target, size)) = delivery.body {
            place!(body_from = from source, size, false);
            place!(body_to = to target, size, true);
        }
        // SAFETY: `within` gave RAM for so many bytes each, and nothing was unmapped since. Pieces may overlap: each is read whole, or as `copy` does, before
        // it is written.
        unsafe {
            if delivery.annex.is_some() {
                let annex = (annex_from as *const Annex).read_unaligned();
                (annex_to as *mut Annex).write_unaligned(annex);
            }
            if let Some((_, _, size)) = delivery.body {
                (body_from as *const u8).copy_to(body_to as *mut u8, size);
            }
            if let Some((_, sequence)) = delivery.sequence {
                (sequence_to as *mut u32).write_unaligned(sequence);
            }
            if let Some((_, li)) = delivery.port {
                (port_to as *mut i32).write_unaligned(li);
            }
        }
        true
    }
}
