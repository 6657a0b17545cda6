//! Real-time mutexes (spec 3.3): the most urgent waiter goes first, and the owner inherits its priority.
//!
//! The owner stands in user memory, where anybody may write. So the Nucleus seals it with a keyed hash of owner and physical place: a thread that never had the
//! mutex cannot be named as its owner, and nobody can lend a priority to a stranger. While threads wait, the Nucleus goes by what it knows itself.

use super::inheritance::RealTimeWait;
use crate::arena::Id;
use crate::executive::thread::{Thread, Wait, local_identifier};
use crate::machine::{Frame, Machine};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::keys::keyed_hash;
use chorus_abi::*;
use zerocopy::IntoBytes;

const SIZE: u64 = size_of::<KnRtMutex>() as u64;

impl<M: Machine> Nucleus<M> {
    /// The mutex at a place, owned by a thread.
    fn sealed(&self, place: u64, owner: Id<Thread>) -> KnRtMutex {
        let (one, two) = self.heirs.secret;
        KnRtMutex {
            owner: local_identifier(owner),
            pad: 0,
            seal: keyed_hash((one ^ place, two), owner.word()),
        }
    }

    /// Who has a mutex.
    fn real_time_owner(&self, place: u64, value: &KnRtMutex) -> Option<Id<Thread>> {
        let known = self.waiters_near(place).find_map(|(_, wait)| match wait {
            Wait::RealTimeMutex(wait) if wait.place == place => Some(wait.owner),
            _ => None,
        });
        if known.is_some() {
            return known;
        }
        let id = self.threads.at((value.owner & 0x1fff) as usize)?;
        let alive = self.threads.get(id).is_some_and(|thread| !thread.dying);
        (alive && self.sealed(place, id) == *value).then_some(id)
    }

    /// The most urgent waiter, of equals the oldest, becomes the owner of a mutex and wakes; its structure in memory as it is then.
    fn pass_to_best(&mut self, place: u64, owner: Id<Thread>) -> KnRtMutex {
        let mut best: Option<(i32, Id<Thread>)> = None;
        for (id, wait) in self.waiters_near(place) {
            let here = matches!(wait, Wait::RealTimeMutex(wait) if wait.place == place);
            let level = self.absolute(id);
            if here && best.is_none_or(|(than, _)| level < than) {
                best = Some((level, id));
            }
        }
        let Some((_, next)) = best else {
            return KnRtMutex::default();
        };
        self.wake(next, K_OK);
        self.heirs_move(place, owner, next);
        self.sealed(place, next)
    }

    /// A thread dies: its mutexes pass on to those who wait for them.
    pub(crate) fn owner_dies(&mut self, id: Id<Thread>) {
        while let Some((_, wait)) = self.first_heir(id) {
            let value = self.pass_to_best(wait.place, id);
            let frame = Frame((wait.place >> 12) as u32);
            let offset = wait.place % PAGE_SIZE;
            self.machine
                .frame_write(frame, offset as usize, value.as_bytes());
        }
    }

    /// `rtMutexInit`.
    pub fn rt_mutex_init(
        &mut self,
        caller: Caller,
        mutex: Out<KnRtMutex>,
    ) -> Result<Outcome, KError> {
        self.place(caller, mutex.address(), SIZE)?;
        self.write(caller, mutex, &KnRtMutex::default())?;
        Ok(Outcome::Done(K_OK))
    }

    /// `rtMutexGet` (NC-084, NC-085).
    pub fn rt_mutex_get(
        &mut self,
        caller: Caller,
        mutex: InOut<KnRtMutex>,
    ) -> Result<Outcome, KError> {
        let place = self.place(caller, mutex.address(), SIZE)?;
        let value: KnRtMutex = self.read(caller, In::new(mutex.address()))?;
        let Some(owner) = self.real_time_owner(place, &value) else {
            let value = self.sealed(place, caller.thread);
            self.write(caller, Out::new(mutex.address()), &value)?;
            return Ok(Outcome::Done(K_OK));
        };
        // The caller itself, or somebody who waits for it: nobody would ever get on.
        if self.waits_for(owner, caller.thread) {
            return Err(KError::Inval);
        }
        let wait = Wait::RealTimeMutex(RealTimeWait { place, owner });
        self.wait_for_structure(caller.thread, place, wait, None);
        self.heir_comes(caller.thread, owner);
        Ok(Outcome::Blocked)
    }

    /// `rtMutexTry`.
    pub fn rt_mutex_try(
        &mut self,
        caller: Caller,
        mutex: InOut<KnRtMutex>,
    ) -> Result<Outcome, KError> {
        let place = self.place(caller, mutex.address(), SIZE)?;
        let value: KnRtMutex = self.read(caller, In::new(mutex.address()))?;
        if self.real_time_owner(place, &value).is_some() {
            return Ok(Outcome::Done(1));
        }
        let value = self.sealed(place, caller.thread);
        self.write(caller, Out::new(mutex.address()), &value)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `rtMutexRel` (NC-084, NC-085).
    pub fn rt_mutex_rel(
        &mut self,
        caller: Caller,
        mutex: InOut<KnRtMutex>,
    ) -> Result<Outcome, KError> {
        let place = self.place(caller, mutex.address(), SIZE)?;
        let value: KnRtMutex = self.read(caller, In::new(mutex.address()))?;
        if self.real_time_owner(place, &value) != Some(caller.thread) {
            return Err(KError::Inval);
        }
        let value = self.pass_to_best(place, caller.thread);
        // The page was there a moment ago, and nothing was freed since.
        self.write(caller, Out::new(mutex.address()), &value)?;
        Ok(Outcome::Done(K_OK))
    }
}
