//! A message inside a handler: from the call of the routine to its return, on the thread that works on it.
//!
//! A request of this site is worked on by the client's own thread: it goes into the handler's point ([`crate::supervisor`]) with the request as its current message,
//! and comes out with the answer, so that nothing is queued and nobody is switched to. All other messages (asynchronous ones, those of other sites, of the
//! Nucleus, and requests that find a queue) wait at the port for a thread of its owner, which goes into the same point. What the thread had as its current message comes back.
//!
//! An answer is kept until the routine returns: only then the client sees it, and the last one counts. A client that leaves meanwhile (time limit, abort, its source port
//! deleted) cannot be taken out of the routine, which may hold what is its owner's: the abort is passed on to the routine's own waits, and the call ends when it returns.

use super::message::{Body, Client, Kept, Message};
use super::port::Port;
use super::send::{Letter, Parcel};
use super::{CallWait, Current};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, Wait};
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use crate::supervisor::{Arrived, Call, Point, What};
use chorus_abi::trace::{Class, Kind};
use chorus_abi::*;

/// What becomes of the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// Nothing was said yet.
    Open,
    /// A reply; none: an empty one.
    Given(Option<Id<Kept>>),
    /// There will be no reply.
    Failed(KError),
}

/// The call of the thread that is inside, when it is itself the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OwnCall {
    /// Where it called from.
    pub(crate) actor: Id<Actor>,
    pub(crate) call: CallWait,
    /// Its time limit.
    pub(crate) deadline: Option<u64>,
    /// Why the client is not interested any more.
    pub(super) left: Option<KError>,
}

/// A message inside a handler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Handling {
    thread: Id<Thread>,
    pub(super) message: Id<Message>,
    /// The current message that the thread had.
    pub(crate) before: Current,
    pub(super) answer: Answer,
    pub(crate) own: Option<OwnCall>,
}

impl Handling {
    /// Nothing was answered yet.
    #[inline(always)]
    pub(super) fn begun(
        thread: Id<Thread>,
        message: Id<Message>,
        before: Current,
        own: Option<OwnCall>,
    ) -> Handling {
        Handling {
            thread,
            message,
            before,
            answer: Answer::Open,
            own,
        }
    }
}

#[cfg(test)]
impl Handling {
    /// What is kept for its answer.
    pub(crate) fn kept(&self) -> Option<Id<Kept>> {
        match self.answer {
            Answer::Given(kept) => kept,
            _ => None,
        }
    }
}

impl<M: Machine> Nucleus<M> {
    /// Place of a handling's deadline among all deadlines.
    fn handling_place(&self, id: Id<Handling>) -> usize {
        self.configuration.limits.handling_deadlines() + id.index()
    }

    /// The handler that works on a caller's request to a port at once. Not when messages are queued there, which come first, or the owner is stopped. A caller that
    /// is inside a handler does not queue behind others: who would serve them may be waiting for it.
    pub(super) fn handler_at_once(&self, caller: Caller, port: Id<Port>) -> Option<Id<Point>> {
        let port = self.ipc.ports.get(port)?;
        let handler = port.handler()?;
        let stopped = self.actors.get(port.owner).is_none_or(|it| it.stopped);
        let inside = || {
            let mut chain = self.chain(caller.thread);
            chain.any(|invocation| matches!(invocation.what, What::Message(_)))
        };
        (!stopped && (port.queued == 0 || inside())).then_some(handler)
    }

    /// A client's thread goes into a handler with its request; the machine calls the routine next. Errors: `K_EFULL` too many are inside, or messages; `K_EFAULT`,
    /// `K_ENOMEM` body. Then nothing happened.
    pub(super) fn call_handler(
        &mut self,
        thread: Id<Thread>,
        (port, point): (Id<Port>, Id<Point>),
        letter: &Letter,
        parcel: &Parcel,
        own: OwnCall,
    ) -> Result<Outcome, KError> {
        if !self.may_invoke(thread, point) || !self.ipc.has_room() {
            return Err(KError::Full);
        }
        let kept = match parcel.size {
            0 => None,
            size => Some(self.keep(None, parcel.body, size, parcel.moves)?),
        };
        let message = Message {
            unfetched: kept.is_some(),
            ..Message::of(letter, parcel, kept)
        };
        let message = self.ipc.messages.insert(message).ok_or(KError::Full)?;
        self.trace_message(Kind::Send, message, None, 0);
        self.handling_begins(thread, (port, point), message, parcel.annex, Some(own));
        Ok(Outcome::Blocked)
    }

    /// A call that the client's own thread works on.
    #[inline(always)]
    pub(super) fn own_call(actor: Id<Actor>, call: CallWait, deadline: Option<u64>) -> OwnCall {
        OwnCall {
            actor,
            call,
            deadline,
            left: None,
        }
    }

    /// A thread of the owner takes the oldest queued message of a port into its handler.
    pub(super) fn handle_queued(
        &mut self,
        thread: Id<Thread>,
        (port, point): (Id<Port>, Id<Point>),
        id: Id<Message>,
    ) -> Result<Outcome, KError> {
        if !self.may_invoke(thread, point) {
            // The table of who is inside is full: its client hears of it.
            self.message_fail(id, KError::Full);
            return Ok(Outcome::Done(K_OK));
        }
        let kept = self.ipc.messages.get(id).and_then(|message| message.kept);
        let carried = kept.and_then(|kept| self.ipc.kept.get(kept));
        let annex = carried.and_then(|kept| kept.annex);
        let unfetched = carried.is_some_and(|kept| kept.body.size > 0);
        if !unfetched {
            self.let_go(kept);
        }
        if let Some(message) = self.ipc.messages.get_mut(id) {
            message.kept = kept.filter(|_| unfetched);
            message.unfetched = unfetched;
        }
        self.handling_begins(thread, (port, point), id, annex, None);
        Ok(Outcome::Blocked)
    }

    /// A thread goes inside with a message. It may ([`Nucleus::may_invoke`]).
    fn handling_begins(
        &mut self,
        thread: Id<Thread>,
        (port, point): (Id<Port>, Id<Point>),
        id: Id<Message>,
        annex: Option<[u8; 64]>,
        own: Option<OwnCall>,
    ) {
        let sequence = self.ipc.ports.get_mut(port).map_or(0, |port| {
            port.sequence = port.sequence.wrapping_add(1);
            port.sequence
        });
        let size = self.ipc.messages.get_mut(id).map_or(0, |message| {
            message.holder = Some(thread);
            message.body_size
        });
        let before = self
            .threads
            .get_mut(thread)
            .map(|found| core::mem::replace(&mut found.current, Current(Some(id))));
        let handling = Handling::begun(thread, id, before.unwrap_or_default(), own);
        let handling = self.ipc.handlings.insert(handling);
        // There are as many as invocations.
        let Some(handling) = handling else { return };
        if let Some(due) = own.and_then(|own| own.deadline) {
            let place = self.handling_place(handling);
            self.timeouts.set(place, due);
            self.deadlines_changed();
        }
        self.counters.messages += 1;
        self.trace_message(Kind::Receive, id, Some(thread), sequence);
        let upcall = self.invoke(thread, point, What::Message(handling));
        self.supervisor.entered = upcall.map(|upcall| crate::supervisor::Upcall {
            what: Call::Message(Arrived {
                size,
                sequence,
                annex,
            }),
            ..upcall
        });
    }

    /// The handling in which a thread is the client of a transaction, and still interested.
    pub(super) fn handled(&self, thread: Id<Thread>, transaction: u64) -> Option<Id<Handling>> {
        self.chain(thread)
            .find_map(|invocation| match invocation.what {
                What::Message(id) => {
                    let own = self.ipc.handlings.get(id)?.own?;
                    (own.call.transaction == transaction && own.left.is_none()).then_some(id)
                }
                _ => None,
            })
    }

    /// Keeps the answer of a handling, instead of an earlier one. Errors: `K_EFAULT`, `K_ENOMEM`; then the earlier one stays.
    pub(super) fn prepare_answer(
        &mut self,
        id: Id<Handling>,
        parcel: &Parcel,
    ) -> Result<(), KError> {
        let kept = match (parcel.annex, parcel.size) {
            (None, 0) => None,
            (annex, size) => Some(self.keep(annex, parcel.body, size, parcel.moves)?),
        };
        self.answer(id, kept);
        Ok(())
    }

    fn answer(&mut self, id: Id<Handling>, kept: Option<Id<Kept>>) {
        let given = Answer::Given(kept);
        let before = match self.ipc.handlings.get_mut(id) {
            Some(handling) => core::mem::replace(&mut handling.answer, given),
            None => given,
        };
        if let Answer::Given(before) = before {
            self.let_go(before);
        }
    }

    /// The request of a client that is inside was lost. An answer that was prepared counts all the same.
    pub(super) fn handling_fails(&mut self, id: Id<Handling>, error: KError) {
        if let Some(handling) = self.ipc.handlings.get_mut(id)
            && handling.answer == Answer::Open
        {
            handling.answer = Answer::Failed(error);
        }
    }

    /// `svMsgHdlReply`.
    pub fn sv_msg_hdl_reply(
        &mut self,
        caller: Caller,
        msg: In<KnMsgDesc>,
    ) -> Result<Outcome, KError> {
        let Some(What::Message(id)) = self.innermost(caller.thread) else {
            return Err(KError::Inval);
        };
        let current = self.current_message(caller)?;
        let handling = self.ipc.handlings.get(id).ok_or(KError::Inval)?;
        if handling.message != current {
            return Err(KError::Inval);
        }
        let client = self.ipc.messages.get(current).ok_or(KError::Inval)?.client;
        if client == Client::None {
            return Err(KError::Inval);
        }
        let parcel = self.parcel(caller, msg)?;
        self.takes_body(parcel.size)?;
        self.prepare_answer(id, &parcel)?;
        Ok(Outcome::Done(K_OK))
    }

    /// The client's thread was aborted while it is inside a handler that it called from its own code: a call that is abortable ends so.
    pub(crate) fn handling_aborted(&mut self, thread: Id<Thread>) {
        let Some(What::Message(id)) = self.chain(thread).last().map(|it| it.what) else {
            return;
        };
        if let Some(own) = self.own_call_of(id)
            && own.call.abortable()
        {
            own.left.get_or_insert(KError::Abort);
        }
    }

    fn own_call_of(&mut self, id: Id<Handling>) -> Option<&mut OwnCall> {
        self.ipc.handlings.get_mut(id)?.own.as_mut()
    }

    /// The time limit of a client that is inside has come: what the handler waits for is aborted.
    pub(crate) fn handling_expires(&mut self, slot: usize) {
        let Some(id) = self.ipc.handlings.at(slot) else {
            return;
        };
        if let Some(own) = self.own_call_of(id) {
            own.left.get_or_insert(KError::Timeout);
        }
        if let Some(thread) = self.ipc.handlings.get(id).map(|it| it.thread) {
            self.abort_wait(thread);
        }
    }

    /// A port that clients named as their source is deleted.
    pub(super) fn handling_sources_end(&mut self, port: KnUniqueId) {
        for slot in 0..self.ipc.handlings.extent() {
            if let Some(id) = self.ipc.handlings.at(slot)
                && let Some(own) = self.own_call_of(id)
                && own.call.src_port == port
            {
                own.left.get_or_insert(KError::NoPort);
            }
        }
    }

    /// A routine is over (`lost`: it did not come back): the answer goes to the client, and the thread's current message is what it was. A client whose request is
    /// with somebody else by now waits for that one's answer.
    pub(crate) fn handling_over(&mut self, thread: Id<Thread>, id: Id<Handling>, lost: bool) {
        let place = self.handling_place(id);
        self.timeouts.clear(place);
        let Some(mut handling) = self.ipc.handlings.remove(id) else {
            return;
        };
        let message = handling.message;
        let current = self.threads.get(thread).map(|thread| thread.current);
        let held = current == Some(Current(Some(message)));
        if !held {
            self.abandon_current(thread);
        }
        if let Some(thread) = self.threads.get_mut(thread) {
            thread.current = handling.before;
            thread.result = K_OK;
        }
        if lost {
            if let Answer::Given(kept) = handling.answer {
                self.let_go(kept);
            }
            handling.answer = Answer::Failed(KError::NoPort);
        }
        if self.machine.traces(Class::Message)
            && let Answer::Given(kept) = handling.answer
        {
            let kept = kept.and_then(|kept| self.ipc.kept.get(kept));
            let size = kept.map_or(0, |kept| kept.body.size);
            self.trace_answer(message, size);
        }
        match handling.own {
            Some(own) => self.own_call_over(thread, held, &handling, own),
            None => self.queued_over(thread, held, &handling),
        }
    }

    fn own_call_over(&mut self, thread: Id<Thread>, held: bool, handling: &Handling, own: OwnCall) {
        let client = Client::Thread(thread, own.call.transaction);
        if held {
            self.message_free(handling.message);
        }
        let late = own.deadline.is_some_and(|due| due <= self.machine.now());
        let left = own.left.or(late.then_some(KError::Timeout));
        let elsewhere = self.ipc.messages.get_mut(handling.message);
        let elsewhere = elsewhere.filter(|message| message.client == client);
        if let Some(message) = elsewhere {
            if (left, handling.answer) == (None, Answer::Open) {
                if let Some(found) = self.threads.get_mut(thread) {
                    found.calls(CallWait {
                        request: Some(handling.message),
                        ..own.call
                    });
                }
                return self.block(thread, Wait::Call, own.deadline);
            }
            message.client = Client::Left;
        }
        let result = match (left, handling.answer) {
            (Some(error), answer) => {
                if let Answer::Given(kept) = answer {
                    self.let_go(kept);
                }
                let treated = error == KError::Abort && self.treats_aborts(thread);
                if !treated {
                    // What was passed on to the routine goes with it.
                    self.consume_abort(thread);
                }
                error.code()
            }
            (None, Answer::Failed(error)) => error.code(),
            (None, Answer::Given(kept)) => self.hand_back(own.actor, &own.call, kept),
            (None, Answer::Open) => K_OK,
        };
        if let Some(thread) = self.threads.get_mut(thread) {
            thread.result = result;
        }
    }

    fn queued_over(&mut self, thread: Id<Thread>, held: bool, handling: &Handling) {
        // An abort that its client passed on goes with the message.
        self.consume_abort(thread);
        let id = handling.message;
        if let (true, Answer::Failed(error)) = (held, handling.answer) {
            return self.message_fail(id, error);
        }
        let kept = match handling.answer {
            Answer::Given(kept) => kept,
            // What was saved is answered by whoever restores it.
            _ if !held => return,
            _ => None,
        };
        let client = if held {
            self.message_free(id)
        } else {
            let message = self.ipc.messages.get_mut(id);
            message.map(|message| core::mem::replace(&mut message.client, Client::Left))
        };
        self.deliver_answer(client.unwrap_or(Client::Left), kept);
    }

    /// An answer that was kept goes to the client, whoever that is.
    fn deliver_answer(&mut self, client: Client, kept: Option<Id<Kept>>) {
        if let Client::Thread(thread, transaction) = client {
            if let Some(call) = self.awaits(thread, transaction)
                && let Some(actor) = self.execution_actor(thread)
            {
                let result = self.hand_back(actor, &call, kept);
                return self.wake(thread, result);
            }
            if let Some(handling) = self.handled(thread, transaction) {
                return self.answer(handling, kept);
            }
        }
        let carried = kept.and_then(|kept| self.ipc.kept.remove(kept));
        let (annex, mut body) = carried.map_or((None, Body::EMPTY), |it| (it.annex, it.body));
        match client {
            Client::Remote(token) => self.network_reply(token, K_OK, annex, body),
            Client::Memory(request) => self.mapper_replied(request, annex, body),
            Client::None | Client::Left | Client::Thread(..) => self.body_free(&mut body),
        }
    }

    /// Puts an answer into a client's buffers and lets go of it: the result of its call.
    pub(super) fn hand_back(
        &mut self,
        actor: Id<Actor>,
        call: &CallWait,
        kept: Option<Id<Kept>>,
    ) -> i32 {
        let Some(mut carried) = kept.and_then(|kept| self.ipc.kept.remove(kept)) else {
            return 0;
        };
        let size = carried.body.size;
        let room = match call.reply.body_addr {
            0 => 0,
            _ => call.reply.body_size,
        };
        let to = (actor, call.space, call.reply.body_addr);
        let given = self.body_give(&mut carried.body, to, room);
        let given = given.and_then(|_| match (carried.annex, call.reply.annex_addr) {
            (Some(annex), at) if at != 0 => self.write_bytes(actor, call.space, at, &annex),
            _ => Ok(()),
        });
        self.body_free(&mut carried.body);
        match given {
            Ok(()) => size as i32,
            Err(error) => error.code(),
        }
    }
}
