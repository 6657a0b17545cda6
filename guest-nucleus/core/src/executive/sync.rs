//! Mutexes and semaphores, and how threads wait for any structure (spec 2.8, 3.3): structures in the user's own memory.
//!
//! The Nucleus keeps nothing while no thread waits. A waiting thread is found by the *physical* place of the structure, so that it works between
//! actors that share the memory; the oldest waiter goes first.

use crate::arena::Id;
use crate::executive::thread::{Thread, Wait};
use crate::lists::{Links, List};
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// Lists of waiters; a structure's are all in one.
const BUCKETS: usize = 256;

/// Threads that wait for a mutex or a semaphore, in the order in which they came, in lists by the structure's place.
pub struct Waiters {
    lists: [List; BUCKETS],
    links: Links,
    count: usize,
}

impl Waiters {
    /// Room for this many threads.
    pub fn new(threads: usize) -> Self {
        Waiters {
            lists: [List::default(); BUCKETS],
            links: Links::new(threads),
            count: 0,
        }
    }

    /// A thread waits for the structure at a place.
    #[inline(always)]
    pub(crate) fn push(&mut self, place: u64, slot: usize) {
        if let Some(list) = self.lists.get_mut(Waiters::bucket(place)) {
            self.links.push_back(list, slot);
            self.count += 1;
        }
    }

    /// Slot of the first of those that wait for the structure at a place, or for another of its list; of none if nobody does.
    #[inline(always)]
    pub(crate) fn first_slot(&self, place: u64) -> usize {
        let list = self.lists.get(Waiters::bucket(place));
        list.map_or(usize::MAX, List::first_slot)
    }

    /// A thread of the list of a structure waits no more.
    #[inline(always)]
    pub(crate) fn leaves(&mut self, place: u64, slot: usize) {
        if let Some(list) = self.lists.get_mut(Waiters::bucket(place)) {
            self.links.remove_perhaps_first(list, slot);
            self.count -= 1;
        }
    }

    fn bucket(place: u64) -> usize {
        // Structures are 8 bytes, and those of one page differ there.
        ((place >> 3 ^ place >> 12) % BUCKETS as u64) as usize
    }
}

impl<M: Machine> Nucleus<M> {
    /// A thread begins to wait for the structure at a place.
    pub(crate) fn wait_for_structure(
        &mut self,
        id: Id<Thread>,
        place: u64,
        wait: Wait,
        deadline: Option<u64>,
    ) {
        let waiters = &mut self.waiters;
        if let Some(list) = waiters.lists.get_mut(Waiters::bucket(place)) {
            waiters.links.push_back(list, id.index());
            waiters.count += 1;
        }
        self.block(id, wait, deadline);
    }

    /// If a thread waits for a structure, it does so no more.
    pub(crate) fn structure_left(&mut self, id: Id<Thread>) {
        let Some(wait) = self.threads.get(id).map(|thread| thread.wait) else {
            return;
        };
        if let Some(place) = wait.structure() {
            let waiters = &mut self.waiters;
            if let Some(list) = waiters.lists.get_mut(Waiters::bucket(place)) {
                waiters.links.remove(list, id.index());
                waiters.count -= 1;
            }
        }
        if let Wait::RealTimeMutex(wait) = wait {
            self.heir_left(id, wait.owner);
        }
    }

    /// Physical place of a structure that can be written; its page is there after this.
    pub(crate) fn place(&mut self, caller: Caller, address: u64, size: u64) -> Result<u64, KError> {
        // Across a page boundary it would have two physical places.
        if !address.is_multiple_of(4) || address % PAGE_SIZE > PAGE_SIZE - size {
            return Err(KError::Inval);
        }
        if let Some(place) = self.machine.place(caller.space, address) {
            return Ok(place);
        }
        self.check_writable(caller, address, size)?;
        let (frame, _) = self
            .machine
            .translate(caller.space, address)
            .ok_or(KError::Fault)?;
        Ok(u64::from(frame.0) << 12 | address & (PAGE_SIZE - 1))
    }

    /// Whether the Nucleus remembers the place of any structure.
    pub(crate) fn any_waits_for_a_structure(&self) -> bool {
        self.waiters.count > 0 || !self.timers.is_empty()
    }

    /// Tells the places of all structures for which threads wait, and of pools of timers.
    pub(crate) fn each_structure(&self, mut found: impl FnMut(u64)) {
        // Of many threads few wait for structures: those are in the lists.
        let mut left = self.waiters.count;
        for list in &self.waiters.lists {
            if left == 0 {
                break;
            }
            let mut slot = list.first();
            while let Some(at) = slot {
                slot = self.waiters.links.next(at);
                left = left.saturating_sub(1);
                let thread = self.threads.at(at).and_then(|id| self.threads.get(id));
                if let Some(place) = thread.and_then(|thread| thread.wait.structure()) {
                    found(place);
                }
            }
        }
        if !self.timers.is_empty() {
            self.pools().for_each(found);
        }
    }

    /// Whether anybody waits for a structure in a frame.
    pub(crate) fn is_structure_in(&self, frame: crate::machine::Frame) -> bool {
        let within = |place: u64| place >> 12 == u64::from(frame.0);
        let waits = |thread: &Thread| thread.wait.structure().is_some_and(within);
        self.threads.iter().any(|(_, thread)| waits(thread)) || self.is_pool_at(within)
    }

    /// A frame is given away: whoever waits for a structure in it can never be woken by it, and must not write to it.
    pub(crate) fn structures_end(&mut self, frame: crate::machine::Frame) {
        let within = |place: u64| place >> 12 == u64::from(frame.0);
        let lost = |wait: Wait| wait.structure().is_some_and(within);
        for slot in 0..self.threads.extent() {
            if self.waiters.count == 0 {
                break;
            }
            if let Some(id) = self.threads.at(slot)
                && self.threads.get(id).is_some_and(|thread| lost(thread.wait))
            {
                self.wake(id, KError::Fault.code());
            }
        }
        self.pools_end(within);
    }

    /// Whoever may wait for the structure at a place, or for another of its list, in the order in which they came.
    pub(crate) fn waiters_near(&self, place: u64) -> impl Iterator<Item = (Id<Thread>, Wait)> {
        let list = self.waiters.lists.get(Waiters::bucket(place));
        let mut slot = list.and_then(List::first);
        core::iter::from_fn(move || {
            let at = slot?;
            slot = self.waiters.links.next(at);
            let id = self.threads.at(at)?;
            Some((id, self.threads.get(id)?.wait))
        })
    }

    /// The thread that has waited longest for the structure at a place, in this kind of wait.
    #[inline(never)]
    pub(crate) fn oldest(&self, place: u64, what: impl Fn(Wait) -> bool) -> Option<Id<Thread>> {
        let mut found = self.waiters_near(place).filter(|&(_, wait)| what(wait));
        found.next().map(|(id, _)| id)
    }

    /// `mutexInit`.
    pub fn mutex_init(&mut self, caller: Caller, mutex: Out<KnMutex>) -> Result<Outcome, KError> {
        self.write(caller, mutex, &KnMutex::default())?;
        Ok(Outcome::Done(K_OK))
    }

    /// `mutexGet` (NC-080…083).
    pub fn mutex_get(&mut self, caller: Caller, mutex: InOut<KnMutex>) -> Result<Outcome, KError> {
        let place = self.place(caller, mutex.address(), size_of::<KnMutex>() as u64)?;
        let mut value: KnMutex = self.read(caller, In::new(mutex.address()))?;
        if value.locked == 0 {
            value.locked = 1;
            self.write(caller, Out::new(mutex.address()), &value)?;
            return Ok(Outcome::Done(K_OK));
        }
        value.waiters = value.waiters.saturating_add(1);
        self.write(caller, Out::new(mutex.address()), &value)?;
        self.wait_for_structure(caller.thread, place, Wait::Mutex(place), None);
        Ok(self.waits(caller.cpu))
    }

    /// `mutexTry` (NC-082).
    pub fn mutex_try(&mut self, caller: Caller, mutex: InOut<KnMutex>) -> Result<Outcome, KError> {
        self.place(caller, mutex.address(), size_of::<KnMutex>() as u64)?;
        let mut value: KnMutex = self.read(caller, In::new(mutex.address()))?;
        if value.locked != 0 {
            return Ok(Outcome::Done(1));
        }
        value.locked = 1;
        self.write(caller, Out::new(mutex.address()), &value)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `mutexRel`: ownership passes to the oldest waiter, so that nobody overtakes it.
    pub fn mutex_rel(&mut self, caller: Caller, mutex: InOut<KnMutex>) -> Result<Outcome, KError> {
        let place = self.place(caller, mutex.address(), size_of::<KnMutex>() as u64)?;
        let mut value: KnMutex = self.read(caller, In::new(mutex.address()))?;
        // The count in user memory only tells whether to look: it may lie.
        let waiter = if value.waiters > 0 {
            self.oldest(place, |wait| wait == Wait::Mutex(place))
        } else {
            None
        };
        match waiter {
            Some(_) => value.waiters -= 1,
            None => value = KnMutex::default(),
        }
        self.write(caller, Out::new(mutex.address()), &value)?;
        if let Some(waiter) = waiter {
            self.wake(waiter, K_OK);
        }
        Ok(Outcome::Done(K_OK))
    }

    /// A waiter of a mutex dies: it is no longer counted. The structure is reached by its physical place.
    pub(crate) fn mutex_undo(&mut self, id: Id<Thread>) {
        if let Some(Wait::Mutex(place)) = self.threads.get(id).map(|thread| thread.wait) {
            self.change_word(place + 4, |waiters| waiters.saturating_sub(1));
        }
    }

    fn change_word(&mut self, place: u64, change: impl Fn(u32) -> u32) {
        let (frame, offset) = (
            crate::machine::Frame((place >> 12) as u32),
            (place & (PAGE_SIZE - 1)) as usize,
        );
        if offset + 4 > PAGE_SIZE as usize {
            return;
        }
        let mut bytes = [0; 4];
        self.machine.frame_read(frame, offset, &mut bytes);
        self.machine.frame_write(
            frame,
            offset,
            &change(u32::from_le_bytes(bytes)).to_le_bytes(),
        );
    }

    /// `semInit`.
    pub fn sem_init(
        &mut self,
        caller: Caller,
        sem: Out<KnSem>,
        count: u32,
    ) -> Result<Outcome, KError> {
        let count = i32::try_from(count).map_err(|_| KError::Inval)?;
        self.write(caller, sem, &KnSem { count, pad: 0 })?;
        Ok(Outcome::Done(K_OK))
    }

    /// `semP` (NC-086…090).
    pub fn sem_p(
        &mut self,
        caller: Caller,
        sem: InOut<KnSem>,
        limit: In<KnTimeVal>,
    ) -> Result<Outcome, KError> {
        let place = self.place(caller, sem.address(), size_of::<KnSem>() as u64)?;
        let limit = self.interval(caller, limit)?;
        let mut value: KnSem = self.read(caller, In::new(sem.address()))?;
        if self.consume_abort(caller.thread) {
            return Err(KError::Abort);
        }
        if value.count <= 0 && limit == Some(0) {
            return Err(KError::Timeout);
        }
        value.count = value.count.saturating_sub(1);
        self.write(caller, Out::new(sem.address()), &value)?;
        if value.count >= 0 {
            return Ok(Outcome::Done(K_OK));
        }
        let deadline = limit.map(|limit| self.machine.now().saturating_add(limit));
        let wait = Wait::Semaphore(place, sem.address());
        self.wait_for_structure(caller.thread, place, wait, deadline);
        Ok(self.waits(caller.cpu))
    }

    /// A waiter of a semaphore leaves without its unit: the decrement is undone (NC-089).
    pub(crate) fn semaphore_undo(&mut self, id: Id<Thread>) {
        if let Some(Wait::Semaphore(place, _)) = self.threads.get(id).map(|thread| thread.wait) {
            self.change_word(place, |count| (count as i32).saturating_add(1) as u32);
        }
    }

    /// `semV` (NC-087).
    pub fn sem_v(&mut self, caller: Caller, sem: InOut<KnSem>) -> Result<Outcome, KError> {
        let place = self.place(caller, sem.address(), size_of::<KnSem>() as u64)?;
        let mut value: KnSem = self.read(caller, In::new(sem.address()))?;
        value.count = value.count.checked_add(1).ok_or(KError::Full)?;
        self.write(caller, Out::new(sem.address()), &value)?;
        if value.count <= 0
            && let Some(waiter) = self.oldest(
                place,
                |wait| matches!(wait, Wait::Semaphore(at, _) if at == place),
            )
        {
            self.wake(waiter, K_OK);
        }
        Ok(Outcome::Done(K_OK))
    }
}
