//! Generational arenas: where kernel objects live, and the identifiers that name them.
//!
//! Objects are named by index and generation, not by pointer: a stale identifier finds nothing, it never finds another object. All
//! slots are allocated when the Nucleus starts, so that no call can fail for want of kernel heap later (`K_ENOMEM` means that the
//! arena is full), and nothing is allocated after boot.

use crate::changes::Changes;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::num::NonZeroU64;

/// Name of an object in an [`Arena`]: its slot, and above that how often the slot was given away before. One word, also when there may be none.
pub struct Id<T> {
    word: NonZeroU64,
    kind: PhantomData<fn() -> T>,
}

/// Bits of a word that tell the slot.
const INDEX_BITS: u32 = 16;

impl<T> Id<T> {
    /// Index of the slot: small, dense, and reused. For tables beside the arena.
    #[inline(always)]
    pub const fn index(self) -> usize {
        self.word.get() as u16 as usize
    }

    /// How often the slot was given away before.
    pub const fn generation(self) -> u32 {
        (self.word.get() >> INDEX_BITS) as u32
    }

    /// The identifier as one word, for handles that leave the Nucleus.
    pub const fn word(self) -> u64 {
        self.word.get()
    }

    /// The identifier that [`Id::word`] gave. Any word is accepted: a wrong one names nothing.
    pub const fn from_word(word: u64) -> Self {
        let word = match NonZeroU64::new(word) {
            Some(word) => word,
            None => NonZeroU64::MAX,
        };
        Id {
            word,
            kind: PhantomData,
        }
    }

    const fn of(index: u16, generation: u32) -> Self {
        // No generation is 0.
        Self::from_word((generation as u64) << INDEX_BITS | index as u64)
    }
}
impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}
impl<T> Eq for Id<T> {}
impl<T> core::fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.index(), self.generation())
    }
}

struct Slot<T> {
    /// Of the object in it, or the next one.
    id: Id<T>,
    next_free: Option<u16>,
    value: Option<T>,
}

impl<T> Slot<T> {
    /// The object is gone: its identifier is stale from now on.
    fn renew(&mut self) {
        let generation = self.id.generation().wrapping_add(1).max(1);
        self.id = Id::of(self.id.index() as u16, generation);
    }
}

/// An object with a part that changes as it works, and a part that only changes when somebody rearranges things.
pub trait Working {
    /// The part that changes all the time.
    type Progress;
    /// It, to be changed: the rest stays as it is.
    fn progress(&mut self) -> &mut Self::Progress;
}

/// A limited number of slots for objects of one type.
///
/// The slot that was freed last is used first: it is warm, and memory that was never needed is never touched. The generation of a slot keeps an
/// identifier from coming back: with its 18 low bits in a local identifier not before the slot was used 2^18 times (spec 1.3: 2^16 allocations).
pub struct Arena<T> {
    /// The slots that were ever used; the room for all of them is allocated.
    slots: Vec<Slot<T>>,
    limit: usize,
    first_free: Option<u16>,
    used: usize,
    changes: Changes,
}

impl<T> Arena<T> {
    /// An arena with at most `limit` slots (at most 65535).
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(u16::MAX as usize);
        Arena {
            slots: Vec::with_capacity(limit),
            limit,
            first_free: None,
            used: 0,
            changes: Changes::default(),
        }
    }

    /// The same; whenever an object comes, goes, or may be changed in more than its [`Working::Progress`], that is counted there.
    pub fn counting(limit: usize, changes: &Changes) -> Self {
        Arena {
            changes: changes.clone(),
            ..Self::new(limit)
        }
    }

    /// Objects in it.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// One past the highest slot that was ever used: where a search over all may end.
    pub fn extent(&self) -> usize {
        self.slots.len()
    }

    /// Whether another object fits: the check before a commit that inserts.
    pub fn has_room(&self) -> bool {
        self.used < self.limit
    }

    /// How many more objects fit.
    pub fn room(&self) -> usize {
        self.limit - self.used
    }

    /// Puts an object in; `None` (the object is dropped) when the arena is full.
    #[inline(always)]
    pub fn insert(&mut self, value: T) -> Option<Id<T>> {
        let index = match self.first_free {
            Some(index) => index,
            None if self.slots.len() < self.limit => {
                let index = self.slots.len() as u16;
                self.slots.push(Slot {
                    id: Id::of(index, 1),
                    next_free: None,
                    value: None,
                });
                index
            }
            None => return None,
        };
        let slot = self.slots.get_mut(index as usize)?;
        self.first_free = slot.next_free.take();
        slot.value = Some(value);
        self.used += 1;
        self.changes.happen();
        Some(slot.id)
    }

    /// Takes an object out; its identifier is stale from now on.
    pub fn remove(&mut self, id: Id<T>) -> Option<T> {
        let slot = self.slots.get_mut(id.index())?;
        if slot.id != id {
            return None;
        }
        let value = slot.value.take()?;
        slot.renew();
        self.used -= 1;
        self.changes.happen();
        slot.next_free = self.first_free.replace(id.index() as u16);
        Some(value)
    }

    /// Drops an object where it is; its identifier is stale from now on. Cheaper than [`Arena::remove`] for what is large.
    #[inline(always)]
    pub fn discard(&mut self, id: Id<T>) {
        let Some(slot) = self.slots.get_mut(id.index()) else {
            return;
        };
        if slot.id != id || slot.value.is_none() {
            return;
        }
        slot.value = None;
        slot.renew();
        slot.next_free = self.first_free.replace(id.index() as u16);
        self.used -= 1;
        self.changes.happen();
    }

    /// The object, unless the identifier is stale.
    #[inline(always)]
    pub fn get(&self, id: Id<T>) -> Option<&T> {
        let slot = self.slots.get(id.index())?;
        if slot.id == id {
            slot.value.as_ref()
        } else {
            None
        }
    }

    /// The object, to be changed, unless the identifier is stale.
    #[inline(always)]
    pub fn get_mut(&mut self, id: Id<T>) -> Option<&mut T> {
        self.changes.happen();
        let slot = self.slots.get_mut(id.index())?;
        if slot.id == id {
            slot.value.as_mut()
        } else {
            None
        }
    }

    /// The identifier of the object in a slot, if there is one.
    #[inline(always)]
    pub fn at(&self, index: usize) -> Option<Id<T>> {
        let slot = self.slots.get(index)?;
        slot.value.as_ref()?;
        Some(slot.id)
    }

    /// All objects with their identifiers, in the order of slots.
    pub fn iter(&self) -> impl Iterator<Item = (Id<T>, &T)> {
        self.slots
            .iter()
            .filter_map(|slot| Some((slot.id, slot.value.as_ref()?)))
    }
}

impl<T: Working> Arena<T> {
    /// The part of an object that changes as it works.
    #[inline(always)]
    pub fn progress(&mut self, id: Id<T>) -> Option<&mut T::Progress> {
        let slot = self.slots.get_mut(id.index())?;
        if slot.id == id {
            slot.value.as_mut().map(T::progress)
        } else {
            None
        }
    }

    /// Whatever is in a slot.
    #[inline(always)]
    pub fn in_slot(&self, index: usize) -> Option<&T> {
        self.slots.get(index)?.value.as_ref()
    }

    /// The part that changes of whatever is in a slot.
    #[inline(always)]
    pub fn progress_at(&mut self, index: usize) -> Option<&mut T::Progress> {
        self.slots.get_mut(index)?.value.as_mut().map(T::progress)
    }

    /// The same of two objects, by their slots, with their identifiers. `None` also if they are one.
    #[inline(always)]
    pub fn progress_of_two(&mut self, one: usize, other: usize) -> Option<[Found<'_, T>; 2]> {
        let [one, other] = self.slots.get_disjoint_mut([one, other]).ok()?;
        Some([
            (&one.id, one.value.as_mut()?.progress()),
            (&other.id, other.value.as_mut()?.progress()),
        ])
    }
}

/// The part of an object that changes as it works, with its identifier.
pub type Found<'a, T> = (&'a Id<T>, &'a mut <T as Working>::Progress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_identifiers_find_nothing_and_the_slot_freed_last_comes_back_first() {
        let mut arena = Arena::new(3);
        let a = arena.insert('a').unwrap();
        let b = arena.insert('b').unwrap();
        assert_eq!(arena.remove(a), Some('a'));
        assert_eq!(arena.get(a), None);
        assert_eq!(arena.remove(a), None);
        let c = arena.insert('c').unwrap();
        assert_eq!((c.index(), arena.get(a)), (0, None));
        assert_eq!(arena.extent(), 2);
        let d = arena.insert('d').unwrap();
        assert_eq!((d.index(), arena.get(d)), (2, Some(&'d')));
        assert!(!arena.has_room());
        assert_eq!(arena.insert('e'), None);
        assert_eq!(arena.get(Id::from_word(b.word())), Some(&'b'));
        assert_eq!(arena.len(), 3);
        arena.discard(b);
        arena.discard(b);
        assert_eq!((arena.len(), arena.get(b)), (2, None));
        assert_eq!(arena.insert('f').map(Id::index), Some(1));
    }
}
