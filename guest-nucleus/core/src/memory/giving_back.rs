//! What is done with caches that nobody maps any more, or that are mapped less: their pages go, or move to the child that is left, some at a time (`going`).

use super::caches::Cache;
use crate::arena::Id;
use crate::machine::Machine;
use crate::nucleus::Nucleus;

impl<M: Machine> Nucleus<M> {
    /// A cache has lost a region or a child: if nobody maps it, it goes, or is merged into the one child that it is left with; and so for its parent.
    pub(super) fn cache_release(&mut self, cache: Id<Cache>) {
        let mut effort = self.memory.going.at_once;
        self.cache_goes(cache, &mut effort);
    }

    /// The same as far as the effort lasts; the rest is done in steps.
    pub(super) fn cache_goes(&mut self, cache: Id<Cache>, effort: &mut u32) {
        let mut next = Some(cache);
        while let Some(id) = next {
            let Some(&entry) = self.cache(id) else { return };
            if entry.regions.is_some() {
                return self.trim_some(id, entry.trim);
            }
            if let Some(segment) = entry.segment {
                if !self.segment_may_go(segment) {
                    return self.cache_repay(id);
                }
                self.memory.segments.remove(segment);
                if let Some(cache) = self.memory.caches.get_mut(id) {
                    cache.segment = None;
                }
            }
            match entry.child {
                None => {
                    self.cache_unlink(id);
                    if self.pages_go(id, effort) {
                        self.cache_forget_slots(id);
                        self.cache_remove(id);
                    } else {
                        self.cache_repay(id);
                        self.cache_later(id);
                    }
                    next = entry.parent;
                }
                Some(child)
                    if self
                        .cache(child)
                        .is_some_and(|child| child.sibling.is_none()) =>
                {
                    if self.pages_move(id, child, effort) {
                        return self.cache_merge(id, child);
                    }
                    return self.cache_later(id);
                }
                Some(_) => return self.cache_repay(id),
            }
        }
    }

    /// Gives back pages of a cache that nobody sees, and what it has outside. `false`: there are more.
    fn pages_go(&mut self, id: Id<Cache>, effort: &mut u32) -> bool {
        while let Some(held) = self.cache(id).and_then(|cache| cache.list.first()) {
            if !spend(effort) {
                return false;
            }
            self.page_free(id, held);
        }
        while let Some(slot) = self.cache(id).and_then(|cache| cache.slots.first()) {
            if !spend(effort) {
                return false;
            }
            self.slot_remove(id, slot);
        }
        true
    }

    /// Moves pages of a cache that nobody maps to its only child, as far as that sees them. `false`: there are more.
    fn pages_move(&mut self, id: Id<Cache>, child: Id<Cache>, effort: &mut u32) -> bool {
        let Some(&heir) = self.cache(child) else {
            return true;
        };
        while let Some(held) = self.cache(id).and_then(|cache| cache.list.first()) {
            if !spend(effort) {
                return false;
            }
            let seen = heir
                .sees(self.memory.pages.page(held))
                .filter(|&page| !self.has_page(child, page));
            self.page_bequeath(id, held, seen.map(|page| (child, page)));
        }
        while let Some(slot) = self.cache(id).and_then(|cache| cache.slots.first()) {
            if !spend(effort) {
                return false;
            }
            self.slot_moves(id, slot, child);
        }
        true
    }

    /// Regions of a cache mapped some of its pages and do no more: those that no other region maps go to the child if it needs them, else away.
    pub(super) fn cache_trim(&mut self, id: Id<Cache>, first: u32, end: u32) {
        // The pages of a segment stay for whoever maps it next, as long as anybody uses it.
        let Some(cache) = self
            .memory
            .caches
            .get_mut(id)
            .filter(|cache| cache.segment.is_none())
        else {
            return;
        };
        let (from, to) = cache.trim.unwrap_or((first, end));
        let range = (first.min(from), end.max(to));
        cache.trim = Some(range);
        let few = cache
            .list
            .count
            .max(cache.slots.count)
            .min(range.1 - range.0);
        if few <= self.memory.going.at_once {
            self.trim_now(id, range);
            return self.trimmed(id, None);
        }
        self.cache_later(id);
    }

    fn trim_some(&mut self, id: Id<Cache>, range: Option<(u32, u32)>) {
        let (Some((first, end)), Some(cache)) = (range, self.cache(id)) else {
            return;
        };
        let step = self.memory.going.in_step;
        let few = cache.list.count <= step && cache.slots.count <= step;
        let stop = if few { end } else { end.min(first + step) };
        self.trim_now(id, (first, stop));
        self.trimmed(id, (stop < end).then_some((stop, end)));
        if stop < end {
            self.cache_later(id);
        }
    }

    fn trimmed(&mut self, id: Id<Cache>, rest: Option<(u32, u32)>) {
        if let Some(cache) = self.memory.caches.get_mut(id) {
            cache.trim = rest;
        }
    }
}

/// Makes an effort if there is one left.
fn spend(effort: &mut u32) -> bool {
    let left = effort.checked_sub(1);
    *effort = left.unwrap_or(0);
    left.is_some()
}
