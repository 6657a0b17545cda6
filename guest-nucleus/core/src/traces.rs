//! What is told to traces: the ends of waits, and what becomes of messages.
//!
//! All of it is on the ways that do everything. While such classes are written down the machine calls by [`Nucleus::call_traced`], so that no fast path is taken, and where
//! nobody wants a trace a place here is a look at one bit. A message is known by the number of its slot and how often that was given away before, a request also by
//! its transaction: the client's number if the client is here, else the Network Manager's token.

use crate::arena::Id;
use crate::executive::thread::Thread;
use crate::ipc::{Client, Message};
use crate::machine::Machine;
use crate::nucleus::Nucleus;
use chorus_abi::net::{KnNetItem, NET_CALL, NET_SEND};
use chorus_abi::trace::{Class, Kind, Place};

impl Client {
    /// The transaction that the message is the request of; 0: of none.
    fn transaction(&self) -> u64 {
        match self {
            Client::Thread(_, transaction) => *transaction,
            Client::Remote(token) => *token,
            Client::Memory(request) => request.word(),
            Client::None | Client::Left => 0,
        }
    }
}

impl<M: Machine> Nucleus<M> {
    /// Slot of the thread on the processor that is in the Nucleus; none while nobody's is.
    fn here(&self) -> usize {
        let thread = self.entered.and_then(|cpu| self.running(cpu));
        thread.map_or(usize::MAX, Id::index)
    }

    fn write_trace(&mut self, what: (Kind, u8), thread: usize, words: [u64; 6]) {
        let actor = self.works_for(thread);
        self.machine.trace(what, (thread, actor), words);
    }

    /// A thread's wait is over.
    #[inline(always)]
    pub(crate) fn trace_wake(&mut self, thread: Id<Thread>, result: i32) {
        if self.machine.traces(Class::Wake) {
            self.wakes(thread, result);
        }
    }

    #[cold]
    #[inline(never)]
    fn wakes(&mut self, thread: Id<Thread>, result: i32) {
        let words = [u64::from(result.cast_unsigned()), 0, 0, 0, 0, 0];
        self.write_trace((Kind::Wake, 0), thread.index(), words);
    }

    /// Something becomes of a message; the number is what the kind says, and the thread the receiver, else the one that is here.
    #[inline(always)]
    pub(crate) fn trace_message(
        &mut self,
        kind: Kind,
        message: Id<Message>,
        thread: Option<Id<Thread>>,
        number: u32,
    ) {
        if self.machine.traces(Class::Message) {
            self.message_becomes(kind, message, thread, number);
        }
    }

    #[cold]
    #[inline(never)]
    fn message_becomes(
        &mut self,
        kind: Kind,
        id: Id<Message>,
        thread: Option<Id<Thread>>,
        number: u32,
    ) {
        let Some(message) = self.ipc.messages.get(id) else {
            return;
        };
        let place = match kind {
            Kind::Send if message.remote => Place::In,
            _ => Place::Here,
        };
        let transaction = message.client.transaction();
        let last = match kind {
            Kind::Send => u64::from(transaction != 0),
            _ => number.into(),
        };
        let words = [
            id.word(),
            transaction,
            message.src_port.word(),
            message.target.word(),
            message.body_size.into(),
            last,
        ];
        let thread = thread.map_or_else(|| self.here(), Id::index);
        self.write_trace((kind, place as u8), thread, words);
    }

    /// A request is answered by the thread that is here.
    #[inline(always)]
    pub(crate) fn trace_answer(&mut self, message: Id<Message>, size: u32) {
        if self.machine.traces(Class::Message) {
            self.is_answered(message, size);
        }
    }

    #[cold]
    #[inline(never)]
    fn is_answered(&mut self, id: Id<Message>, size: u32) {
        let Some(message) = self.ipc.messages.get(id) else {
            return;
        };
        let transaction = message.client.transaction();
        if transaction == 0 {
            // Nobody waits: what is sent to the source is a message of its own.
            return;
        }
        let place = match message.client {
            Client::Remote(_) => Place::Out,
            _ => Place::Here,
        };
        let (source, target) = (message.src_port.word(), message.target.word());
        let words = [id.word(), transaction, source, target, size.into(), 0];
        let thread = self.here();
        self.write_trace((Kind::Reply, place as u8), thread, words);
    }

    /// An item for the Network Manager is in its queue.
    #[inline(always)]
    pub(crate) fn trace_outbound(&mut self, item: &KnNetItem) {
        if self.machine.traces(Class::Message) {
            self.goes_out(item);
        }
    }

    #[cold]
    #[inline(never)]
    fn goes_out(&mut self, item: &KnNetItem) {
        if !matches!(item.kind, NET_CALL | NET_SEND) {
            return;
        }
        let words = [
            0,
            item.handle,
            item.src_port.word(),
            item.target.word(),
            item.body_size.into(),
            u64::from(item.kind == NET_CALL),
        ];
        let thread = self.here();
        self.write_trace((Kind::Send, Place::Out as u8), thread, words);
    }

    /// An answer has come from another site for a thread here.
    #[inline(always)]
    pub(crate) fn trace_completion(&mut self, client: Id<Thread>, item: &KnNetItem) {
        if self.machine.traces(Class::Message) {
            self.comes_back(client, item);
        }
    }

    #[cold]
    #[inline(never)]
    fn comes_back(&mut self, client: Id<Thread>, item: &KnNetItem) {
        let result = u64::from(item.result.cast_unsigned());
        let words = [0, item.handle, 0, 0, item.body_size.into(), result];
        self.write_trace((Kind::Reply, Place::In as u8), client.index(), words);
    }
}
