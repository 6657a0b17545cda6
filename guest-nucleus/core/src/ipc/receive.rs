//! Receiving: waits, delivery into a receiver's buffers, the current message (spec 3.6).

use super::message::{Client, Message};
use super::port::{Port, Taker};
use super::send::Parcel;
use super::{CallWait, Current, IpcEnd, ReceiveWait};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, Wait, local_identifier};
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::trace::Kind;
use chorus_abi::*;

/// Offset of `seq_num` in `KnMsgDesc`.
const SEQ_NUM: u64 = core::mem::offset_of!(KnMsgDesc, seq_num) as u64;

/// Where annex and body of a message are at its delivery.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// Kept for the message.
    Kept,
    /// Still with its sender.
    Sender(&'a Parcel),
}

impl<M: Machine> Nucleus<M> {
    /// The wait of a thread for a reply in this transaction; `None` when it waits for something else by now.
    pub(crate) fn awaits(&self, thread: Id<Thread>, transaction: u64) -> Option<CallWait> {
        let thread = self.threads.get(thread)?;
        let call = thread.call;
        (thread.wait == Wait::Call && call.transaction == transaction).then_some(call)
    }

    /// Takes a thread out of the lists that its wait put it in, and withdraws or orphans its request.
    pub(crate) fn leave_wait(&mut self, id: Id<Thread>) {
        let (Some(thread), Some(actor)) = (self.threads.get(id), self.execution_actor(id)) else {
            return;
        };
        let receive = thread.receive;
        match thread.wait {
            Wait::Receive => match receive.port {
                Some(port) => {
                    if let Some(port) = self.ipc.ports.progress(port) {
                        self.ipc.links.remove(&mut port.waiters, id.index());
                    }
                }
                None => {
                    if let Some(list) = self.ipc.any.get_mut(actor.index()) {
                        self.ipc.links.remove(list, id.index());
                    }
                }
            },
            Wait::Call => {
                let call = thread.call;
                self.withdraw(call)
            }
            Wait::Serve(port) => {
                if let Some(port) = self.ipc.ports.get_mut(port) {
                    self.ipc.links.remove(&mut port.waiters, id.index());
                }
            }
            _ => {}
        }
        if receive.plain {
            // A dormant message is nobody's current one any more.
            self.abandon_current(id);
        }
    }

    /// A client leaves: a request that is still queued is never executed; one that is held has no client any more.
    fn withdraw(&mut self, wait: CallWait) {
        let Some(id) = wait.request else {
            return self.network_cancel(wait.transaction);
        };
        let Some(message) = self.ipc.messages.get_mut(id) else {
            return;
        };
        // The slot may hold another message by now only if its generation differs: then `get_mut` found nothing.
        match message.port {
            Some(port) => {
                self.unqueue(port, id);
                self.message_free(id);
            }
            None => message.client = Client::Left,
        }
    }

    /// A wait for a message or a reply ends without it; the result of the call.
    pub(crate) fn ipc_wait_ended(&mut self, id: Id<Thread>, end: IpcEnd) -> i32 {
        if let Some(thread) = self.threads.get(id).filter(|at| at.wait == Wait::Call) {
            let holder = thread
                .call
                .request
                .and_then(|message| self.ipc.messages.get(message))
                .and_then(|message| message.holder);
            if let (IpcEnd::Abort, Some(holder)) =
                (end, holder.and_then(|holder| self.threads.get_mut(holder)))
            {
                // The abort is passed on to the thread that serves the request (NC-073).
                holder.aborted = true;
            }
        }
        self.leave_wait(id);
        match end {
            IpcEnd::Timeout => KError::Timeout.code(),
            IpcEnd::Abort => KError::Abort.code(),
        }
    }

    /// A thread dies: its waits end, the request that it serves is abandoned.
    pub(crate) fn ipc_thread_dies(&mut self, id: Id<Thread>) {
        self.leave_wait(id);
        self.abandon_current(id);
    }

    /// An actor dies: its ports, its saved messages, the Network Manager's seat.
    pub(crate) fn ipc_actor_dies(&mut self, id: Id<Actor>) {
        while let Some(port) = self.actors.get(id).and_then(|actor| actor.first_port) {
            self.port_remove(port);
        }
        self.arrivals_end(id);
        for slot in 0..self.ipc.messages.extent() {
            if let Some(message) = self.ipc.messages.at(slot)
                && self
                    .ipc
                    .messages
                    .get(message)
                    .is_some_and(|message| message.saver == Some(id))
            {
                self.message_fail(message, KError::NoPort);
            }
        }
        self.network_actor_dies(id);
        self.driver_dies(id);
    }

    /// The current message of a thread is replaced or lost: an unanswered request is abandoned.
    pub(crate) fn abandon_current(&mut self, id: Id<Thread>) {
        let Some(thread) = self.threads.progress(id) else {
            return;
        };
        let current = core::mem::take(&mut thread.current).0;
        self.ipc.roused += u64::from(core::mem::take(&mut thread.receive.plain));
        if let Some(message) = current {
            self.message_fail(message, KError::NoPort);
        }
    }

    /// The thread that a message for a port goes to now: one that waits for the port before one that waits for any.
    pub(crate) fn receiver(&self, id: Id<Port>) -> Option<Id<Thread>> {
        let port = self.ipc.ports.get(id)?;
        if port.taker != Taker::Threads {
            // Who waits at a handler's waits to work for it; from one that departs nobody receives.
            return None;
        }
        let explicit = port.waiters.first();
        let any = || {
            port.enabled
                .and_then(|_| self.ipc.any.get(port.owner.index())?.first())
        };
        self.threads.at(explicit.or_else(any)?)
    }

    /// Delivers a message to a thread that waits; it wakes with the outcome. Errors: the sender's memory cannot be read; then nothing happened.
    pub(crate) fn give(
        &mut self,
        thread: Id<Thread>,
        port: Id<Port>,
        message: Id<Message>,
        source: Source<'_>,
    ) -> Result<(), KError> {
        let Some(found) = self.threads.get(thread) else {
            return Ok(());
        };
        if found.wait != Wait::Receive {
            return Ok(());
        }
        let wait = found.receive;
        let Some(actor) = self.execution_actor(thread) else {
            return Ok(());
        };
        // It waits already, whatever its buffers need.
        match self.at_once(|it| it.hand_in(thread, actor, &wait, port, message, source)) {
            Err((true, error)) => Err(error),
            Err((false, error)) => {
                if let Source::Sender(parcel) = source {
                    let kept = self.keep(parcel.annex, parcel.body, parcel.size, false)?;
                    if let Some(message) = self.ipc.messages.get_mut(message) {
                        message.kept = Some(kept);
                    }
                }
                // The receiver's own buffers are gone since it called: its call fails, and the message waits for the next.
                self.leave_wait(thread);
                self.wake(thread, error.code());
                self.put_back(port, message);
                self.serve(port);
                Ok(())
            }
            Ok(size) => {
                self.leave_wait(thread);
                self.wake(thread, size as i32);
                Ok(())
            }
        }
    }

    /// Gives what is queued at a port to those who wait for it.
    pub(crate) fn serve(&mut self, port: Id<Port>) {
        // Each turn ends a wait.
        while let Some(thread) = self.receiver(port)
            && let Some(message) = self.dequeue(port)
        {
            // Its body is kept: there is no sender's side to fail.
            let _ = self.give(thread, port, message, Source::Kept);
        }
        self.rouse(port);
    }

    /// Puts a message into a receiver's buffers and makes it current; the size of its body. Errors: which side (`true` the sender's), nothing changed.
    fn hand_in(
        &mut self,
        thread: Id<Thread>,
        actor: Id<Actor>,
        wait: &ReceiveWait,
        port: Id<Port>,
        id: Id<Message>,
        source: Source<'_>,
    ) -> Result<u32, (bool, KError)> {
        let Some(message) = self.ipc.messages.get(id) else {
            return Err((true, KError::Inval));
        };
        let here = |error| (false, error);
        let (desc, size) = (&wait.desc, message.body_size);
        let to = (actor, wait.space, desc.body_addr);
        let unfetched = desc.body_addr == 0 && size > 0;
        let before = message.kept;
        // What is kept after the delivery.
        let mut after = None;
        // Pages of what is kept that become the receiver's.
        let mut whole = 0;
        let annex;
        match source {
            Source::Sender(parcel) => {
                annex = parcel.annex;
                if unfetched {
                    let kept = self.keep(None, parcel.body, size, false);
                    after = Some(kept.map_err(|error| (true, error))?);
                } else if size > 0 {
                    self.body_pass(parcel.body, to, size.min(desc.body_size) as usize)?;
                }
            }
            Source::Kept => {
                let kept = before.and_then(|kept| self.ipc.kept.get(kept)).copied();
                annex = kept.and_then(|kept| kept.annex);
                if unfetched {
                    after = before;
                } else if let Some(kept) = kept {
                    whole = self
                        .body_fill(&kept.body, to, desc.body_size)
                        .map_err(here)?;
                }
            }
        }
        let sequence = self
            .ipc
            .ports
            .get(port)
            .map_or(0, |port| port.sequence.wrapping_add(1));
        if let Err(error) = self.write_particulars(actor, wait, port, sequence, annex) {
            if after != before {
                self.let_go(after);
            }
            return Err(here(error));
        }
        // From here on nothing fails.
        if after != before {
            self.kept_lands(before, to, whole);
        }
        if let Some(port) = self.ipc.ports.progress(port) {
            port.sequence = sequence;
        }
        if let Some(entry) = self.ipc.messages.get_mut(id) {
            entry.kept = after;
            entry.unfetched = unfetched;
            entry.holder = Some(thread);
            entry.port = None;
        }
        self.abandon_current(thread);
        if let Some(thread) = self.threads.progress(thread) {
            thread.current = Current(Some(id));
        }
        self.counters.messages += 1;
        self.trace_message(Kind::Receive, id, Some(thread), sequence);
        Ok(size)
    }

    /// What a receiver gets beside the body: annex, sequence number, and which port it was. Errors: `K_EFAULT`.
    fn write_particulars(
        &mut self,
        actor: Id<Actor>,
        wait: &ReceiveWait,
        port: Id<Port>,
        sequence: u32,
        annex: Option<[u8; 64]>,
    ) -> Result<(), KError> {
        let space = wait.space;
        if let (Some(annex), at) = (annex, wait.desc.annex_addr)
            && at != 0
        {
            self.write_bytes(actor, space, at, &annex)?;
        }
        let at = wait.desc_addr + SEQ_NUM;
        self.write_bytes(actor, space, at, &sequence.to_le_bytes())?;
        if wait.port.is_none() {
            let li = local_identifier(port).to_le_bytes();
            self.write_bytes(actor, space, wait.port_li_addr, &li)?;
        }
        Ok(())
    }

    /// `ipcReceive` (NC-195…205).
    pub fn ipc_receive(
        &mut self,
        caller: Caller,
        msg: InOut<KnMsgDesc>,
        port_li: InOut<i32>,
        delay: i32,
    ) -> Result<Outcome, KError> {
        self.check_writable(caller, msg.address(), size_of::<KnMsgDesc>() as u64)?;
        let desc: KnMsgDesc = self.read(caller, In::new(msg.address()))?;
        let li: i32 = self.read(caller, In::new(port_li.address()))?;
        if desc.annex_addr != 0 {
            self.check_writable(caller, desc.annex_addr, K_CMSGANNEXSIZE as u64)?;
        }
        if desc.body_addr != 0 {
            let room = desc.body_size.min(K_CMSGSIZEMAX);
            self.check_buffer(caller, desc.body_addr, room)?;
        }
        let port = match li {
            K_ANYENABLED => {
                self.check_writable(caller, port_li.address(), 4)?;
                None
            }
            li => {
                let port = self.port_by_li(caller.actor, li)?;
                if self.has_handler(port) {
                    return Err(KError::Inval);
                }
                Some(port)
            }
        };
        let wait = ReceiveWait {
            space: caller.space,
            port,
            desc_addr: msg.address(),
            desc,
            port_li_addr: port_li.address(),
            plain: false,
        };
        if let Some(source) = port
            .filter(|&port| self.has_message(port))
            .or_else(|| self.best_enabled(caller.actor).filter(|_| port.is_none()))
        {
            if self.has_toiled() {
                self.takes_body(self.size_of_first(source))?;
            }
            let Some(message) = self.dequeue(source) else {
                return Err(KError::Inval);
            };
            return match self.hand_in(
                caller.thread,
                caller.actor,
                &wait,
                source,
                message,
                Source::Kept,
            ) {
                Ok(size) => Ok(Outcome::Done(size as i32)),
                Err((_, error)) => {
                    self.put_back(source, message);
                    Err(error)
                }
            };
        }
        if wait.abortable() && self.consume_abort(caller.thread) {
            return Err(KError::Abort);
        }
        if delay == 0 {
            return Err(KError::Timeout);
        }
        match port {
            Some(port) => {
                if let Some(port) = self.ipc.ports.progress(port) {
                    self.ipc
                        .links
                        .push_back(&mut port.waiters, caller.thread.index());
                }
            }
            None => {
                if let Some(list) = self.ipc.any.get_mut(caller.actor.index()) {
                    self.ipc.links.push_back(list, caller.thread.index());
                }
            }
        }
        let deadline = self.deadline_ms(delay);
        if let Some(thread) = self.threads.progress(caller.thread) {
            thread.receives(wait);
        }
        self.block(caller.thread, Wait::Receive, deadline);
        Ok(self.waits(caller.cpu))
    }

    fn has_message(&self, port: Id<Port>) -> bool {
        let port = self.ipc.ports.get(port);
        port.is_some_and(|port| port.queued > 0 && port.taker == Taker::Threads)
    }

    /// Bytes of the body of the first message that is queued at a port.
    fn size_of_first(&self, port: Id<Port>) -> u32 {
        let queue = self.ipc.ports.get(port).and_then(|port| port.queue);
        let first = queue.and_then(|(first, _)| self.ipc.messages.get(first));
        first.map_or(0, |message| message.body_size)
    }

    /// The enabled port of an actor with messages and the best priority; among equals the one whose message is oldest.
    fn best_enabled(&self, actor: Id<Actor>) -> Option<Id<Port>> {
        let ports = self.ports_of(actor);
        let ready = ports.filter(|(_, port)| port.queued > 0 && port.taker == Taker::Threads);
        ready
            .filter_map(|(id, port)| Some((port.enabled?, self.since(port), id)))
            .min_by_key(|&(priority, since, _)| (priority, since))
            .map(|(_, _, id)| id)
    }

    /// The caller's current message. Errors: `K_EINVAL` there is none.
    pub(crate) fn current_message(&self, caller: Caller) -> Result<Id<Message>, KError> {
        self.threads
            .get(caller.thread)
            .and_then(|thread| thread.current.0)
            .ok_or(KError::Inval)
    }

    /// `ipcGetData` (NC-197…199).
    pub fn ipc_get_data(&mut self, caller: Caller, msg: In<KnMsgDesc>) -> Result<Outcome, KError> {
        let desc = self.read(caller, msg)?;
        let id = self.current_message(caller)?;
        let kept = self
            .ipc
            .messages
            .get(id)
            .filter(|message| message.unfetched)
            .and_then(|message| message.kept)
            .ok_or(KError::Inval)?;
        let body = self.ipc.kept.get(kept).ok_or(KError::Inval)?.body;
        let to = (caller.actor, caller.space, desc.body_addr);
        let whole = self.body_fill(&body, to, desc.body_size)?;
        self.kept_lands(Some(kept), to, whole);
        let size = body.size.min(desc.body_size);
        if let Some(message) = self.ipc.messages.get_mut(id) {
            message.kept = None;
            message.unfetched = false;
        }
        Ok(Outcome::Done(size as i32))
    }

    /// `ipcSave` (NC-209…214).
    pub fn ipc_save(&mut self, caller: Caller, _reserved: i32) -> Result<Outcome, KError> {
        let id = self.current_message(caller)?;
        let saved = self.actors.get(caller.actor).map_or(0, |actor| actor.saved);
        if saved as usize >= K_CMSGSAVEDMAX {
            return Err(KError::TooMuch);
        }
        if let Some(message) = self.ipc.messages.get_mut(id) {
            message.saver = Some(caller.actor);
            message.holder = None;
        }
        if let Some(actor) = self.actors.get_mut(caller.actor) {
            actor.saved += 1;
        }
        if let Some(thread) = self.threads.progress(caller.thread) {
            thread.current = Current(None);
        }
        Ok(Outcome::Done(local_identifier(id)))
    }

    /// `ipcRestore` (NC-209…214).
    pub fn ipc_restore(&mut self, caller: Caller, message_id: i32) -> Result<Outcome, KError> {
        let id = self
            .ipc
            .messages
            .at((message_id & 0x1fff) as usize)
            .ok_or(KError::Inval)?;
        let message = self.ipc.messages.get(id).ok_or(KError::Inval)?;
        if message.saver != Some(caller.actor) || local_identifier(id) != message_id {
            return Err(KError::Inval);
        }
        self.abandon_current(caller.thread);
        if let Some(message) = self.ipc.messages.get_mut(id) {
            message.saver = None;
            message.holder = Some(caller.thread);
        }
        if let Some(actor) = self.actors.get_mut(caller.actor) {
            actor.saved = actor.saved.saturating_sub(1);
        }
        if let Some(thread) = self.threads.progress(caller.thread) {
            thread.current = Current(Some(id));
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `ipcSysInfo` (NC-215…218).
    pub fn ipc_sys_info(
        &mut self,
        caller: Caller,
        head: Out<KnMsgHead>,
    ) -> Result<Outcome, KError> {
        let id = self.current_message(caller)?;
        let message = *self.ipc.messages.get(id).ok_or(KError::Inval)?;
        let awaited = !matches!(message.client, Client::None | Client::Left);
        let value = KnMsgHead {
            body_size: message.body_size,
            flags: [
                awaited.into(),
                message.has_annex.into(),
                message.remote.into(),
                0,
            ],
            src_port: message.src_port,
            target: message.target,
            co_target: message.co_target,
            trans_id: match message.client {
                Client::None | Client::Left => 0,
                Client::Thread(_, transaction) => transaction,
                Client::Remote(token) => token,
                Client::Memory(request) => request.word(),
            },
            actor_id: message.actor_pi,
            port_id: message.port_pi,
        };
        self.write(caller, head, &value)?;
        Ok(Outcome::Done(K_OK))
    }
}
