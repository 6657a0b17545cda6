//! How threads and actors end, and how waits do.
//!
//! A dying thread runs no more; what the Nucleus holds for it goes when it has left its processor (`bury_thread`), and with the last
//! thread of a dying actor its memory.

use crate::arena::Id;
use crate::executive::actor::{Actor, End};
use crate::executive::thread::{Thread, Wait};
use crate::ipc::IpcEnd;
use crate::machine::{Machine, Space};
use crate::nucleus::Nucleus;
use chorus_abi::KError;

impl<M: Machine> Nucleus<M> {
    /// A wait ends without what was waited for: a time limit or an abort.
    pub(crate) fn end_wait(&mut self, id: Id<Thread>, why: KError) {
        let Some(wait) = self.threads.get(id).map(|thread| thread.wait) else {
            return;
        };
        let end = if why == KError::Abort {
            IpcEnd::Abort
        } else {
            IpcEnd::Timeout
        };
        match wait {
            Wait::None => {}
            Wait::Semaphore(..) => {
                self.semaphore_undo(id);
                self.wake(id, why.code());
            }
            Wait::Receive | Wait::Call | Wait::Serve(_) => {
                let result = self.ipc_wait_ended(id, end);
                self.wake(id, result);
            }
            _ => self.wake(id, why.code()),
        }
    }

    /// A thread runs no more. Its processor is kicked; the rest happens when it has left it.
    pub(crate) fn kill_thread(&mut self, id: Id<Thread>) {
        let Some(thread) = self.threads.get_mut(id) else {
            return;
        };
        if thread.dying {
            return;
        }
        if thread.inside.is_some() {
            // Handlers of other actors are finished first: they may hold what is theirs.
            thread.ending = true;
            return self.abort(id);
        }
        thread.dying = true;
        let wait = thread.wait;
        self.restart_forget(id);
        self.timeouts.clear(id.index());
        if matches!(wait, Wait::Semaphore(..)) {
            self.semaphore_undo(id);
        }
        if matches!(wait, Wait::Mutex(_)) {
            self.mutex_undo(id);
        }
        self.unwatch(wait);
        self.structure_left(id);
        self.owner_dies(id);
        self.unbind(id);
        self.ipc_thread_dies(id);
        let on = self.threads.get_mut(id).and_then(|thread| {
            thread.wait = Wait::None;
            thread.cpu
        });
        self.unready(id);
        if on.is_none() {
            self.bury_thread(id);
        }
    }

    /// Frees what the Nucleus holds for a dead thread that is on no processor.
    pub(crate) fn bury_thread(&mut self, id: Id<Thread>) {
        let Some(thread) = self.threads.remove(id) else {
            return;
        };
        self.machine.context_destroy(id.index());
        if let Some(owner) = thread.works_for {
            self.guest_left(owner);
        }
        let last = self.actors.get_mut(thread.actor).is_some_and(|actor| {
            actor.threads = actor.threads.saturating_sub(1);
            actor.dying && actor.threads == 0 && actor.guests == 0
        });
        if last {
            self.bury_actor(thread.actor);
        }
    }

    /// Deletes an actor: one cut. Its ports are gone and its threads run no more; memory goes with the last thread. `true` when all of it is gone already.
    pub(crate) fn kill_actor(&mut self, id: Id<Actor>, end: End) -> bool {
        let Some(actor) = self.actors.get_mut(id) else {
            return true;
        };
        if actor.dying {
            return false;
        }
        actor.dying = true;
        actor.end = end;
        self.ipc_actor_dies(id);
        self.timers_of_actor_end(id);
        self.handlers_end(id);
        self.points_end(id);
        self.declarations_end(id);
        for slot in 0..self.threads.extent() {
            if let Some(thread) = self.threads.at(slot)
                && self
                    .threads
                    .get(thread)
                    .is_some_and(|it| it.actor == id || it.works_for == Some(id))
            {
                self.kill_thread(thread);
            }
        }
        if self
            .actors
            .get(id)
            .is_some_and(|actor| actor.threads == 0 && actor.guests == 0)
        {
            self.bury_actor(id);
        }
        self.actors.get(id).is_none()
    }

    /// An actor has no thread and no guest left: its memory goes.
    pub(crate) fn bury_actor(&mut self, id: Id<Actor>) {
        self.actor_goes(id);
    }

    /// The memory of an actor has gone.
    pub(crate) fn actor_gone(&mut self, id: Id<Actor>) {
        self.memory_left(id);
        let Some(actor) = self.actors.remove(id) else {
            return;
        };
        self.machine.image_gone(id.index());
        if actor.space != Space::SUPERVISOR {
            self.machine.space_destroy(actor.space);
        }
        self.notify_end(&actor);
        self.wake_all(|wait| wait == Wait::Gone(id));
    }
}
