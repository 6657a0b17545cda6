//! Supervisor threads of user and system actors (spec 2.2, 3.2 `threadCreate`): made from outside, at an address of the Nucleus' space.
//!
//! Such a thread counts, stops and dies with its home. What it runs is the code of a supervisor actor, so that its calls are made in that one's name and with its memory, as those
//! of a thread inside a handler are; and when that actor is deleted, the thread goes before the code does.

use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;
use crate::machine::{Machine, Space};
use crate::nucleus::Nucleus;
use chorus_abi::{K_EXECUTABLE, K_SUPACTOR};

impl<M: Machine> Nucleus<M> {
    /// The live supervisor actor that has code at an address.
    pub(crate) fn owner_of_code(&self, address: u64) -> Option<Id<Actor>> {
        let (_, region) = self.region_in(Space::SUPERVISOR, address)?;
        let actor = self.actors.get(region.actor)?;
        let code = region.options & K_EXECUTABLE != 0;
        (code && actor.kind == K_SUPACTOR && !actor.dying).then_some(region.actor)
    }

    /// A new thread runs the code of an actor that is not its home.
    pub(crate) fn lend(&mut self, thread: Id<Thread>, owner: Id<Actor>) {
        if let Some(thread) = self.threads.get_mut(thread) {
            thread.works_for = Some(owner);
        }
        if let Some(actor) = self.actors.get_mut(owner) {
            actor.guests += 1;
        }
    }
}
