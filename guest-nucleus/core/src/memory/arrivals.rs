//! Bytes of a body that are copied to a receiver. A page of his that is not there for stores, and all of which they fill, gets a new frame that is filled before anybody
//! sees it: zeros, or what the page was, would be put there in vain.

use super::runs::{Run, Structures};
use crate::ipc::{Body, Place};
use crate::machine::{CopyFault, Frame, Machine};
use crate::nucleus::Nucleus;
use chorus_abi::*;

const PAGE: usize = PAGE_SIZE as usize;

/// Where the bytes of a body are.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    /// In a sender's memory, from here on.
    Sender(Place),
    /// In frames.
    Kept(&'a Body),
}

fn at(place: Place, offset: usize) -> Place {
    (place.0, place.1, place.2.wrapping_add(offset as u64))
}

impl<M: Machine> Nucleus<M> {
    /// Copies a part of a body into a receiver's buffer, which is at `to` for the body's first byte. Errors tell the side: `Err((true, …))` the sender's.
    #[inline(never)]
    pub(super) fn body_copy(
        &mut self,
        from: Origin<'_>,
        to: Place,
        (start, end): (usize, usize),
    ) -> Result<(), (bool, KError)> {
        match self.bytes_copy(from, to, (start, end)) {
            Ok(()) => {
                self.counters.copied += (end - start) as u64;
                Ok(())
            }
            Err((done, fault)) => {
                self.counters.copied += (done - start) as u64;
                let mut run = Run::none();
                let copied = self.body_copy_on(from, to, (done, end), fault, &mut run);
                self.run_map(&mut run);
                copied
            }
        }
    }

    /// The same from where the machine met a fault. Pages that are to be mapped are in the run.
    #[inline(never)]
    fn body_copy_on(
        &mut self,
        from: Origin<'_>,
        to: Place,
        (start, end): (usize, usize),
        fault: CopyFault,
        run: &mut Run,
    ) -> Result<(), (bool, KError)> {
        let structures = self.structures();
        let (mut done, mut fault) = (start, fault);
        // A second fault of one side at the same place means that making the page did not help.
        let mut last = (u64::MAX, u64::MAX);
        loop {
            match fault {
                CopyFault::Source(fault) => {
                    let owner = match from {
                        Origin::Sender(place) => place.0,
                        Origin::Kept(_) => to.0,
                    };
                    self.make(owner, fault, &mut last.0)
                        .map_err(|error| (true, error))?;
                }
                CopyFault::Destination(fault) => {
                    let filled = self.pages_filled(from, to, (done, end), &structures, run)?;
                    if filled == done {
                        self.make(to.0, fault, &mut last.1)
                            .map_err(|error| (false, error))?;
                    }
                    done = filled;
                }
            }
            match self.bytes_copy(from, to, (done, end)) {
                Ok(()) => {
                    self.counters.copied += (end - done) as u64;
                    return Ok(());
                }
                Err((next, found)) => {
                    self.counters.copied += (next - done) as u64;
                    (done, fault) = (next, found);
                }
            }
        }
    }

    /// Fills whole pages of a receiver's buffer with the bytes from `start` on, as far as they may have new frames and lie in one region; they are to be mapped with
    /// the run. How far it came. Errors: `Err((true, …))`.
    fn pages_filled(
        &mut self,
        from: Origin<'_>,
        to: Place,
        (start, end): (usize, usize),
        structures: &Structures,
        run: &mut Run,
    ) -> Result<usize, (bool, KError)> {
        let begin = at(to, start);
        let ground = begin
            .2
            .is_multiple_of(PAGE_SIZE)
            .then(|| self.ground(begin));
        let Some(ground) = ground.flatten() else {
            return Ok(start);
        };
        let mut done = start;
        while end - done >= PAGE {
            let address = at(to, done).2;
            if !ground.has(address) {
                break;
            }
            let Some(landing) = self.landing(&ground, address, structures) else {
                break;
            };
            let own = landing
                .old
                .filter(|&frame| !self.memory.pages.is_shared(frame));
            let new = match own {
                Some(_) => None,
                None if landing.old.is_none() && !self.may_arrive(ground.cache) => break,
                None => self.frame_get(M::frame_allocate),
            };
            let Some(frame) = own.or(new) else { break };
            let filled = match from {
                Origin::Sender(place) => self.copy_in(at(place, done), frame, 0, PAGE),
                Origin::Kept(body) => self.frame_fill(body, frame, done),
            };
            if let Err(error) = filled {
                if let Some(new) = new {
                    self.machine.frame_free(new);
                }
                return Err((true, error));
            }
            self.page_borrowed(&ground, landing.page, address, frame, run);
            done += PAGE;
        }
        Ok(done)
    }

    /// Fills a frame with the bytes of a body from a place on. Errors: `K_EFAULT` they are not there.
    fn frame_fill(&mut self, body: &Body, frame: Frame, offset: usize) -> Result<(), KError> {
        let mut done = 0;
        while done < PAGE {
            let place = body.lead as usize + offset + done;
            let count = (PAGE - place % PAGE).min(PAGE - done);
            let source = body.frame(place / PAGE).ok_or(KError::Fault)?;
            let source = (source, place % PAGE);
            self.machine.frame_copy_part(source, (frame, done), count);
            done += count;
        }
        self.counters.copied += PAGE_SIZE;
        Ok(())
    }

    /// Copies until there is a fault: how far it came then.
    #[inline(never)]
    fn bytes_copy(
        &mut self,
        from: Origin<'_>,
        to: Place,
        (start, end): (usize, usize),
    ) -> Result<(), (usize, CopyFault)> {
        let body = match from {
            Origin::Sender(place) => {
                let (source, target) = (at(place, start), at(to, start));
                let copied =
                    self.machine
                        .copy((source.1, source.2), (target.1, target.2), end - start);
                return copied.map_err(|fault| (start + fault.after(source.2, target.2), fault));
            }
            Origin::Kept(body) => body,
        };
        let mut done = start;
        while done < end {
            let place = body.lead as usize + done;
            let (into, target) = (place % PAGE, at(to, done));
            let count = (PAGE - into).min(end - done);
            if let Some(frame) = body.frame(place / PAGE) {
                let copied = self
                    .machine
                    .copy_out(frame, into, (target.1, target.2), count);
                copied.map_err(|fault| {
                    let fault = CopyFault::Destination(fault);
                    (done + fault.after(0, target.2), fault)
                })?;
            }
            done += count;
        }
        Ok(())
    }
}
