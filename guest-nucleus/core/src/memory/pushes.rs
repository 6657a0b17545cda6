//! Data that go straight from one cache to another, in answer to a pull-in (spec 3.9, `lcPushData`).

use super::caches::Cache;
use super::mappers::Request;
use super::pages::{DIRTY, GRANTED, PUSHING};
use super::segments::{Left, Segment};
use super::transfers::part_in_pages;
use crate::arena::Id;
use crate::machine::{Frame, Machine};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// Most pages of a pull-in.
const PAGES: usize = super::mappers::CLUSTER_MAX as usize;

/// What goes where.
struct Push {
    source: Id<Cache>,
    /// First page in the source.
    first: u32,
    target: Id<Cache>,
    request: (Id<Request>, Request),
    /// First page in the target.
    into: u32,
    count: u32,
    /// What is left in the source.
    left: Option<Left>,
    writable: bool,
}

impl<M: Machine> Nucleus<M> {
    /// `lcPushData`.
    #[allow(clippy::too_many_arguments, reason = "the call has as many")]
    pub fn lc_push_data(
        &mut self,
        caller: Caller,
        source: In<KnObjDesc>,
        source_flags: u32,
        target: In<KnObjDesc>,
        target_flags: u32,
        number: u64,
        order: u64,
    ) -> Result<Outcome, KError> {
        let (from, to) = (self.read(caller, source)?, self.read(caller, target)?);
        let left = match source_flags & !K_ORDERED {
            0 => None,
            K_READABLE => Some(Left::Loads),
            K_NOACCESS => Some(Left::Nothing),
            _ => return Err(KError::Inval),
        };
        if target_flags & !(K_READABLE | K_WRITABLE | K_PAGEFAULT) != 0 {
            return Err(KError::Inval);
        }
        let ((first, end), (into, last)) = (part_in_pages(&from)?, part_in_pages(&to)?);
        let found = self.segment_by_cache(from.data_object);
        let (source_id, source) = found
            .map(|(id, at)| (id, at.cache))
            .ok_or(KError::Unknown)?;
        let found = self.segment_by_cache(to.data_object);
        let (target_id, target) = found
            .map(|(id, at)| (id, at.cache))
            .ok_or(KError::Unknown)?;
        if from.size == 0 || from.size != to.size || end - first != last - into {
            return Err(KError::Inval);
        }
        let request = self.asked_for(number, target_id, (into, last))?;
        let mut all = first..end;
        if source == target || !all.all(|page| self.memory.pages.find(source, page).is_some()) {
            return Err(KError::Inval);
        }
        let push = Push {
            source,
            first,
            target,
            request,
            into,
            count: end - first,
            left,
            writable: target_flags & K_WRITABLE != 0,
        };
        let copies = self.copies_for(&push)?;
        if self.is_late(source_id, source_flags, order) {
            self.frames_free(copies);
            return Ok(Outcome::Done(K_OK));
        }
        self.push_across(&push, copies);
        Ok(Outcome::Done(K_OK))
    }

    /// The pull-in of a segment with a number, if these pages answer it. Errors: `K_EINVAL`.
    fn asked_for(
        &self,
        number: u64,
        segment: Id<Segment>,
        (first, end): (u32, u32),
    ) -> Result<(Id<Request>, Request), KError> {
        let (id, request) = self.request_by_number(number).ok_or(KError::Inval)?;
        let (asked, most) = request.pulls(segment).ok_or(KError::Inval)?;
        if first != asked || end - first > most {
            return Err(KError::Inval);
        }
        Ok((id, request))
    }

    fn frames_free(&mut self, frames: [Option<Frame>; PAGES]) {
        for frame in frames.into_iter().flatten() {
            self.machine.frame_free(frame);
        }
    }

    /// Whether a page that the source loses goes to the target with its frame.
    fn goes_across(&self, push: &Push, page: u32, frame: Frame) -> bool {
        push.left == Some(Left::Nothing)
            && self.may_be_replaced(push.source, page, frame)
            && self.history(push.source, page).is_none()
    }

    /// Copies of the pages that the source keeps, or that others need. Errors: `K_ENOMEM`.
    fn copies_for(&mut self, push: &Push) -> Result<[Option<Frame>; PAGES], KError> {
        let mut copies = [None; PAGES];
        for (index, page) in (push.first..push.first + push.count).enumerate() {
            let Some(frame) = self.memory.pages.find(push.source, page) else {
                continue;
            };
            if self.goes_across(push, page, frame) {
                continue;
            }
            let copy = self.frame_like(Some(frame));
            match (copy, copies.get_mut(index)) {
                (Some(copy), Some(entry)) => *entry = Some(copy),
                _ => {
                    self.frames_free(copies);
                    return Err(KError::NoMem);
                }
            }
        }
        Ok(copies)
    }

    /// Does it; nothing fails.
    fn push_across(&mut self, push: &Push, mut copies: [Option<Frame>; PAGES]) {
        for index in 0..push.count {
            let (page, into) = (push.first + index, push.into + index);
            let Some(frame) = self.memory.pages.find(push.source, page) else {
                continue;
            };
            if self.memory.pages.find(push.target, into).is_some() {
                // It came otherwise meanwhile.
                continue;
            }
            let dirty = self.memory.pages.flags(frame) & (DIRTY | PUSHING) != 0;
            let lost = push.left == Some(Left::Nothing) && self.memory.pages.locks(frame) == 0;
            let granted = if push.writable { GRANTED } else { 0 };
            // What the mapper does not have, and the source has no more, the target must push out.
            let flags = granted | if dirty && lost { DIRTY } else { 0 };
            let copy = copies
                .get_mut(index as usize)
                .and_then(|entry| entry.take());
            let frame = match copy {
                Some(copy) => copy,
                None => {
                    self.page_unmap(push.source, page);
                    if let Some(held) = self.memory.pages.held(push.source, page) {
                        self.page_remove(push.source, held);
                    }
                    frame
                }
            };
            if self.page_put(push.target, into, frame).is_some() {
                self.memory.pages.set_flags(frame, flags, 0);
            }
        }
        self.frames_free(copies);
        if let Some(left) = push.left {
            let range = (push.first, push.first + push.count);
            self.segment_reduce(push.source, range, left);
        }
        let (id, request) = push.request;
        self.request_end(id, &request, true);
        self.cache_release(push.source);
    }
}
