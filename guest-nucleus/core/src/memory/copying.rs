//! Copying many bytes from actor to actor, in steps (`restarts`): first all pages are made, then they are copied.

use super::restarts::SECOND;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::machine::{Machine, Space};
use crate::nucleus::{Nucleus, Outcome};
use chorus_abi::*;

/// Pages that are copied in one step.
pub(super) const COPIED: u64 = 8;
/// What a step may take: a page that is there, and one that is made.
const EFFORT: u32 = 64;
const MAKING: u32 = 8;

/// A place in the memory of an actor.
type Place = (Id<Actor>, Space, u64);

impl<M: Machine> Nucleus<M> {
    /// Copies `size` bytes; where the ranges overlap, from the end that is not overwritten.
    ///
    /// # Errors
    /// Before anything is copied: `K_EADDR`, `K_EPROT`, `K_ENOMEM`, `K_EMAPPER`; later only if somebody takes the memory away meanwhile. `K_EFAULT`: the call pauses or waits.
    pub(super) fn copy_in_steps(
        &mut self,
        source: Place,
        target: Place,
        size: u64,
    ) -> Result<Outcome, KError> {
        let progress = self.memory.mappers.progress;
        if progress < SECOND {
            self.make_in_steps([(source, false), (target, true)], size, progress)?;
            if size > COPIED * PAGE_SIZE {
                return Err(self.pause(SECOND));
            }
        }
        let done = progress.saturating_sub(SECOND);
        let (from, to) = (source.2, target.2);
        let backward = source.1 == target.1 && from < to && to - from < size;
        let mut left = size - done.min(size);
        let mut pieces = 2 * COPIED;
        while left > 0 {
            if pieces == 0 {
                return Err(self.pause(SECOND + (size - left)));
            }
            let (a, b) = if backward {
                (from + left, to + left)
            } else {
                (from + (size - left), to + (size - left))
            };
            let room = |at: u64| match (backward, at % PAGE_SIZE) {
                (true, 0) => PAGE_SIZE,
                (true, into) => into,
                (false, into) => PAGE_SIZE - into,
            };
            let count = left.min(room(a)).min(room(b));
            let back = if backward { count } else { 0 };
            let places = [
                (source.0, source.1, a - back),
                (target.0, target.1, b - back),
            ];
            let copied = self.copy_piece(places, count);
            copied.inspect_err(|_| {
                self.memory.mappers.progress = SECOND + (size - left);
            })?;
            left -= count;
            pieces -= if count == PAGE_SIZE { 2 } else { 1 };
        }
        Ok(Outcome::Done(K_OK))
    }

    /// A piece of at most a page at either end. Its pages were there a moment ago.
    fn copy_piece(&mut self, [from, to]: [Place; 2], count: u64) -> Result<(), KError> {
        self.make_all(from.0, from.1, (from.2, count), false)?;
        self.make_all(to.0, to.1, (to.2, count), true)?;
        self.copy(from, to, count as usize)
            .map_err(|(_, error)| error)
    }

    /// Makes all pages of two ranges of equal size.
    fn make_in_steps(
        &mut self,
        ranges: [(Place, bool); 2],
        size: u64,
        done: u64,
    ) -> Result<(), KError> {
        let (mut effort, mut before) = (EFFORT, 0);
        for ((actor, space, start), write) in ranges {
            let end = start.checked_add(size).ok_or(KError::Addr)?;
            let first = start & !(PAGE_SIZE - 1);
            let count = (end - first).div_ceil(PAGE_SIZE);
            for index in done.max(before) - before..count {
                let page = first + index * PAGE_SIZE;
                if effort == 0 {
                    return Err(self.pause(before + index));
                }
                let at = page.max(start);
                let there = match write {
                    true => self.machine.writable(space, at, 1),
                    false => self.machine.readable(space, at, 1),
                };
                if !there {
                    let made = self.make_all(actor, space, (at, 1), write);
                    made.inspect_err(|_| self.memory.mappers.progress = before + index)?;
                }
                effort = effort.saturating_sub(if there { 1 } else { MAKING });
            }
            before += count;
        }
        Ok(())
    }
}
