//! Frames that several pages have, and messages: who they are, and who is left.

use super::{EMPTY, Entry, FREE, Held, NONE, PageList, Pages, STUB, STUBS_MAX};
use crate::machine::Frame;
#[cfg(test)]
use alloc::vec::Vec;

impl Pages {
    /// Whether a frame is had by more than one, be they pages or messages.
    #[inline]
    pub fn is_shared(&self, frame: Frame) -> bool {
        let Some(entry) = self.entries.get(frame.0 as usize) else {
            return false;
        };
        // Most often both are so, and there is nothing else to look at.
        if entry.ring == NONE {
            return entry.lent > 1 || entry.lent > 0 && entry.cache != FREE;
        }
        entry.cache != FREE || entry.lent > 0 || self.entry(entry.ring).ring & STUB != 0
    }

    /// Whether one page more can have a frame that others have.
    #[inline]
    pub fn can_be_shared(&self, frame: Frame) -> bool {
        let Some(entry) = self.entries.get(frame.0 as usize) else {
            return false;
        };
        let room = self.spare != NONE || self.stubs.len() < self.stubs_limit;
        room && entry.locks == 0 && (entry.ring == NONE || self.stubs_of(frame) < STUBS_MAX)
    }

    /// Whether one message more can have a frame that others have.
    #[inline]
    pub fn can_be_lent(&self, frame: Frame) -> bool {
        let entry = self.entry(frame.0);
        entry.locks == 0 && entry.lent < u8::MAX
    }

    pub(super) fn frame_of_stub(&self, stub: u32) -> Frame {
        let mut at = stub;
        for _ in 0..=STUBS_MAX {
            if at & STUB == 0 {
                break;
            }
            at = self.entry(at).ring;
        }
        Frame(at)
    }

    fn stubs_of(&self, frame: Frame) -> usize {
        let (mut at, mut count) = (self.entry(frame.0).ring, 0);
        while at != NONE && at & STUB != 0 && count <= STUBS_MAX {
            (at, count) = (self.entry(at).ring, count + 1);
        }
        count
    }

    /// Messages that have a frame.
    pub fn lent(&self, frame: Frame) -> u8 {
        self.entry(frame.0).lent
    }

    /// A message has a frame too. There is room (`can_be_lent`).
    pub fn lend(&mut self, frame: Frame) {
        if let Some(entry) = self.entries.get_mut(frame.0 as usize) {
            entry.lent = entry.lent.saturating_add(1);
        }
    }

    /// A message has a frame no more; whether nobody else has it.
    pub fn unlend(&mut self, frame: Frame) -> bool {
        match self.entries.get_mut(frame.0 as usize) {
            Some(entry) if entry.lent > 0 => {
                entry.lent -= 1;
                entry.lent == 0 && entry.cache == FREE && entry.ring == NONE
            }
            // It was the message's alone.
            _ => true,
        }
    }

    /// A stub of a frame that is in no list yet.
    pub(super) fn stub_take(&mut self, frame: Frame) -> Option<u32> {
        if self.stubs_of(frame) >= STUBS_MAX {
            return None;
        }
        let stub = if self.spare != NONE {
            let stub = self.spare;
            self.spare = self.entry(stub).chain;
            stub
        } else if self.stubs.len() < self.stubs_limit {
            self.stubs.push(EMPTY);
            (self.stubs.len() - 1) as u32 | STUB
        } else {
            return None;
        };
        if let Some(entry) = self.stubs.get_mut((stub ^ STUB) as usize) {
            *entry = EMPTY;
        }
        self.ring_enter(frame, stub);
        Some(stub)
    }

    /// A stub becomes the first of a frame.
    pub(super) fn ring_enter(&mut self, frame: Frame, stub: u32) {
        let Some(own) = self.entries.get_mut(frame.0 as usize) else {
            return;
        };
        let first = core::mem::replace(&mut own.ring, stub);
        if let Some(entry) = self.get_mut(stub) {
            entry.ring = if first == NONE { frame.0 } else { first };
        }
    }

    /// A stub is none of its frame's any more.
    pub(super) fn ring_leave(&mut self, frame: Frame, stub: u32) {
        let next = self.entry(stub).ring;
        let mut at = frame.0;
        for _ in 0..=STUBS_MAX {
            let Some(entry) = self.get_mut(at) else {
                return;
            };
            if entry.ring == stub {
                // The frame without stubs leads nowhere.
                let last = at == frame.0 && next == frame.0;
                entry.ring = if last { NONE } else { next };
                return;
            }
            at = entry.ring;
        }
    }

    /// Whether a page has a frame.
    fn has_page(&self, frame: Frame) -> bool {
        let entry = self.entry(frame.0);
        entry.cache != FREE || entry.ring != NONE
    }

    /// Whether nobody has a frame.
    pub(super) fn is_free(&self, frame: Frame) -> bool {
        let entry = self.entry(frame.0);
        entry.cache == FREE && entry.ring == NONE && entry.lent == 0
    }

    pub(super) fn remove_stub(&mut self, list: &mut PageList, stub: u32) -> (Frame, bool) {
        let frame = self.frame(Held(stub));
        self.ring_leave(frame, stub);
        let spare = core::mem::replace(&mut self.spare, stub);
        if let Some(entry) = self.get_mut(stub) {
            *entry = Entry {
                chain: spare,
                ..EMPTY
            };
        }
        self.together -= u64::from(self.has_page(frame));
        let free = self.is_free(frame);
        if free && let Some(own) = self.entries.get_mut(frame.0 as usize) {
            list.locked -= u32::from(own.locks > 0);
            *own = EMPTY;
        }
        (frame, free)
    }

    /// A page that has a stub gets the frame of others; its old one, and whether nobody else has that. `None`: it has none, or nobody or too many have the
    /// frame.
    pub fn exchange(&mut self, held: Held, frame: Frame) -> Option<(Frame, bool)> {
        let stub = held.0;
        // A frame that no page has gets an entry of its own.
        if stub & STUB == 0 || !self.has_page(frame) || self.stubs_of(frame) >= STUBS_MAX {
            return None;
        }
        let old = self.frame(held);
        self.ring_leave(old, stub);
        self.together -= u64::from(self.has_page(old));
        self.together += 1;
        self.ring_enter(frame, stub);
        Some((old, self.is_free(old)))
    }

    /// Checks that stubs and frames agree; for tests. Frames that messages have.
    #[cfg(test)]
    pub fn check(&self) -> Vec<(Frame, u8)> {
        let mut together = 0;
        let mut lent = Vec::new();
        for (frame, entry) in self.entries.iter().enumerate() {
            let frame = Frame(frame as u32);
            let (mut at, mut count) = (entry.ring, 0);
            while at != NONE && at != frame.0 {
                let stub = self.entry(at);
                assert!(stub.cache != FREE && at & STUB != 0, "a stub of nobody");
                assert_eq!(self.frame(Held(at)), frame);
                (at, count) = (stub.ring, count + 1);
            }
            assert!(count <= STUBS_MAX as u64);
            together += (count + u64::from(entry.cache != FREE)).saturating_sub(1);
            assert!(entry.locks == 0 || !self.is_shared(frame), "{frame:?}");
            assert!(entry.flags == 0 || !self.is_shared(frame), "{frame:?}");
            if entry.lent > 0 {
                lent.push((frame, entry.lent));
            }
        }
        assert_eq!(together, self.together);
        lent
    }
}
