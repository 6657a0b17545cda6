//! Priority inheritance (spec 3.3): the owner of a real-time mutex runs at the best priority of the threads that wait for it.
//!
//! Who waits for whom is a forest: a thread waits for at most one owner, and a wait that would close a circle is refused. So what a thread
//! inherits is the best priority among its heirs, the threads that wait for it, and a change climbs towards the root until nothing changes any more.

use crate::arena::Id;
use crate::executive::thread::{Thread, Wait};
use crate::lists::{Links, List};
use crate::machine::Machine;
use crate::nucleus::Nucleus;
use alloc::vec;
use alloc::vec::Vec;

/// What a thread inherits that nobody waits for: worse than any priority.
pub const NOBODY: i32 = 256;

/// A wait for a real-time mutex.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RealTimeWait {
    /// Physical place of the mutex.
    pub place: u64,
    /// Who has it.
    pub owner: Id<Thread>,
}

/// The heirs of each thread, by its slot.
pub struct Heirs {
    lists: Vec<List>,
    links: Links,
    /// By which owners written into user memory are known.
    pub secret: (u64, u64),
}

impl Heirs {
    /// Room for this many threads.
    pub fn new(threads: usize, secret: (u64, u64)) -> Self {
        Heirs {
            lists: vec![List::default(); threads],
            links: Links::new(threads),
            secret,
        }
    }
}

impl<M: Machine> Nucleus<M> {
    /// A thread waits for an owner from now on.
    pub(crate) fn heir_comes(&mut self, id: Id<Thread>, owner: Id<Thread>) {
        self.heir_joins(id, owner);
        self.inherit(owner);
    }

    fn heir_joins(&mut self, id: Id<Thread>, owner: Id<Thread>) {
        if let Some(list) = self.heirs.lists.get_mut(owner.index()) {
            self.heirs.links.push_back(list, id.index());
        }
    }

    /// A thread waits for an owner no more.
    pub(crate) fn heir_left(&mut self, id: Id<Thread>, owner: Id<Thread>) {
        self.heir_leaves(id, owner);
        self.inherit(owner);
    }

    fn heir_leaves(&mut self, id: Id<Thread>, owner: Id<Thread>) {
        if let Some(list) = self.heirs.lists.get_mut(owner.index()) {
            self.heirs.links.remove(list, id.index());
        }
    }

    /// Those who wait for the mutex at a place wait for its new owner, which waits for nobody.
    pub(crate) fn heirs_move(&mut self, place: u64, from: Id<Thread>, to: Id<Thread>) {
        let mut slot = self.heirs.lists.get(from.index()).and_then(List::first);
        while let Some(at) = slot {
            slot = self.heirs.links.next(at);
            if let Some(id) = self.threads.at(at)
                && let Some(thread) = self.threads.get_mut(id)
                && let Wait::RealTimeMutex(wait) = &mut thread.wait
                && wait.place == place
            {
                wait.owner = to;
                self.heir_leaves(id, from);
                self.heir_joins(id, to);
            }
        }
        self.inherit(from);
        self.inherit(to);
    }

    /// The first thread that waits for an owner, and which mutex it waits for.
    pub(crate) fn first_heir(&self, owner: Id<Thread>) -> Option<(Id<Thread>, RealTimeWait)> {
        let slot = self.heirs.lists.get(owner.index())?.first()?;
        let id = self.threads.at(slot)?;
        match self.threads.get(id)?.wait {
            Wait::RealTimeMutex(wait) => Some((id, wait)),
            _ => None,
        }
    }

    /// Whether a thread waits for another, directly or through others.
    pub(crate) fn waits_for(&self, id: Id<Thread>, other: Id<Thread>) -> bool {
        let mut at = id;
        // Bounded, should the forest ever be none.
        for _ in 0..=self.threads.extent() {
            if at == other {
                return true;
            }
            match self.threads.get(at).map(|thread| thread.wait) {
                Some(Wait::RealTimeMutex(wait)) => at = wait.owner,
                _ => return false,
            }
        }
        true
    }

    /// The priority of a thread changed: the owner that it waits for hears of it.
    pub(crate) fn pass_on_priority(&mut self, id: Id<Thread>) {
        if let Some(Wait::RealTimeMutex(wait)) = self.threads.get(id).map(|thread| thread.wait) {
            self.inherit(wait.owner);
        }
    }

    /// What an owner inherits is reckoned anew, and so on along the chain.
    fn inherit(&mut self, owner: Id<Thread>) {
        let mut at = owner;
        for _ in 0..=self.threads.extent() {
            let mut best = NOBODY;
            let mut slot = self.heirs.lists.get(at.index()).and_then(List::first);
            while let Some(heir) = slot {
                if let Some(id) = self.threads.at(heir) {
                    best = best.min(self.absolute(id));
                }
                slot = self.heirs.links.next(heir);
            }
            let Some(thread) = self.threads.get(at) else {
                return;
            };
            let (wait, inherited) = (thread.wait, thread.inherited);
            let before = self.absolute(at);
            if let Some(thread) = self.threads.get_mut(at) {
                thread.inherited = best;
            }
            let level = self.absolute(at);
            if inherited == best || level == before {
                return;
            }
            self.unready(at);
            if level < before {
                self.ready_first(at);
            } else {
                self.ready(at);
            }
            self.slice_anew(at);
            let Wait::RealTimeMutex(wait) = wait else {
                return;
            };
            at = wait.owner;
        }
    }
}
