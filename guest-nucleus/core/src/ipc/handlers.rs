//! Message handlers: routines that ports are connected to, and the threads that work for them (spec 3.6, `svMsgHandler`).
//!
//! What cannot run on the sender's thread runs on one that the Nucleus makes for each such port in the owner. It does nothing but call `svMsgServe`, as any
//! other thread of the owner may that wants to help; it ends when that fails, which it does when the handler is disconnected.

use super::port::{Port, Taker};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Wait;
use crate::machine::{Machine, Space, Start};
use crate::nucleus::{Caller, Nucleus, Outcome};
use crate::supervisor::Maker;
use chorus_abi::*;

/// Name of the threads that the Nucleus makes.
const NAME: [u8; 16] = *b"message handler\0";

impl<M: Machine> Nucleus<M> {
    /// `svMsgHandler` (NC-220…223).
    #[allow(
        clippy::too_many_arguments,
        reason = "the call has five, and the caller"
    )]
    pub fn sv_msg_handler(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        port_li: i32,
        handler: u64,
        _stack_size: u32,
        cookie: u64,
    ) -> Result<Outcome, KError> {
        let owner = self.actor_by_cap(caller, cap)?;
        let id = self.port_by_li(owner, port_li)?;
        if handler == 0 {
            return self.handler_disconnect(caller, id);
        }
        if self.has_handler(id) {
            return Err(KError::Busy);
        }
        self.port_stays(id)?;
        let point = self.point_make(owner, (handler, cookie), Maker::Connection)?;
        if let Err(error) = self.handler_thread(owner, id) {
            self.point_close(point);
            return Err(error);
        }
        self.point_connected(point);
        if let Some(port) = self.ipc.ports.get_mut(id) {
            port.taker = Taker::Handler(point);
            port.enabled = None;
        }
        self.port_waiters_leave(id, KError::Inval);
        Ok(Outcome::Done(K_OK))
    }

    /// A thread that serves a port with a handler.
    fn handler_thread(&mut self, owner: Id<Actor>, port: Id<Port>) -> Result<(), KError> {
        let li = crate::executive::thread::local_identifier(port);
        let start = Start {
            space: Space::SUPERVISOR,
            supervisor: true,
            entry: self.machine.serving_entry(),
            stack: 0,
            argument: li as u64,
        };
        let thread = self.thread_make(owner, true, true, 0, start)?;
        if let Some(thread) = self.threads.get_mut(thread) {
            thread.name = NAME;
        }
        Ok(())
    }

    /// Nobody goes in any more; the caller waits for those that are inside. The port is an ordinary one again.
    fn handler_disconnect(&mut self, caller: Caller, id: Id<Port>) -> Result<Outcome, KError> {
        let port = self.ipc.ports.get_mut(id).ok_or(KError::Inval)?;
        let point = port.handler().ok_or(KError::Inval)?;
        port.taker = Taker::Threads;
        self.port_waiters_leave(id, KError::Inval);
        self.point_disconnected(point);
        Ok(self.await_point(caller.thread, point))
    }

    /// Whether a port has a handler.
    pub(super) fn has_handler(&self, id: Id<Port>) -> bool {
        let port = self.ipc.ports.get(id);
        port.is_some_and(|port| port.handler().is_some())
    }

    /// A message was queued at a port: if that has a handler, a thread that serves it looks.
    pub(super) fn rouse(&mut self, id: Id<Port>) {
        if !self.has_handler(id) {
            return;
        }
        let first = self.ipc.ports.get(id).and_then(|port| port.waiters.first());
        if let Some(thread) = first.and_then(|slot| self.threads.at(slot)) {
            self.leave_wait(thread);
            self.wake(thread, K_OK);
        }
    }

    /// `svMsgServe`.
    pub fn sv_msg_serve(&mut self, caller: Caller, port_li: i32) -> Result<Outcome, KError> {
        let id = self.port_by_li(caller.actor, port_li)?;
        let port = self.ipc.ports.get_mut(id).ok_or(KError::Inval)?;
        let point = port.handler().ok_or(KError::Inval)?;
        if self.is_deep(caller.thread) {
            return Err(KError::NoMem);
        }
        if let Some(message) = self.dequeue(id) {
            return self.handle_queued(caller.thread, (id, point), message);
        }
        if let Some(port) = self.ipc.ports.get_mut(id) {
            let slot = caller.thread.index();
            self.ipc.links.push_back(&mut port.waiters, slot);
        }
        self.block(caller.thread, Wait::Serve(id), None);
        Ok(Outcome::Blocked)
    }
}
