//! Sending, calling, replying (spec 3.6).

use super::message::{Body, Client, Message, Place};
use super::port::Port;
use super::receive::Source;
use super::{CallWait, Current};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, Wait};
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::net::{KnNetItem, NET_CALL, NET_SEND};
use chorus_abi::trace::Kind;
use chorus_abi::*;

/// What a sender gave, checked.
#[derive(Clone, Copy)]
pub(crate) struct Parcel {
    pub(crate) annex: Option<[u8; 64]>,
    pub(crate) body: Place,
    pub(crate) size: u32,
    /// Whole pages of the body leave the sender (`K_MOVE`).
    pub(crate) moves: bool,
}

/// Whose message it is, and for whom.
#[derive(Clone, Copy)]
pub(crate) struct Letter {
    pub(crate) src_port: KnUniqueId,
    pub(crate) actor_pi: KnProtId,
    pub(crate) port_pi: KnProtId,
    pub(crate) dest: KnIpcDest,
    pub(crate) client: Client,
    pub(crate) remote: bool,
    /// Actor of this site whose message it is.
    pub(crate) sender: Option<Id<Actor>>,
}

/// Where a message goes.
pub(crate) enum Way {
    /// To a port here.
    Port(Id<Port>),
    /// To every member here, and to the Network Manager.
    Broadcast(KnUniqueId),
    /// To the Network Manager.
    Network,
}

/// Low bits of a transaction's number: the slot of its client.
const CLIENT_BITS: u32 = 13;

impl<M: Machine> Nucleus<M> {
    /// Slot of the client of a transaction.
    pub(crate) fn client_slot(transaction: u64) -> usize {
        (transaction & ((1 << CLIENT_BITS) - 1)) as usize
    }

    /// Number of a client's next call.
    pub(crate) fn next_transaction(&mut self, client: Id<Thread>) -> u64 {
        self.ipc.transactions_else += 1;
        self.ipc.transactions += 1;
        Self::transaction_of(self.ipc.transactions, client.index())
    }

    /// The same of the thread in a slot by how many there were.
    #[inline(always)]
    pub(crate) fn transaction_of(count: u64, client: usize) -> u64 {
        count << CLIENT_BITS | client as u64
    }

    /// Reads what a descriptor gives. Errors: `K_EFAULT`, `K_ETOOMUCH`.
    pub(crate) fn parcel(&mut self, caller: Caller, msg: In<KnMsgDesc>) -> Result<Parcel, KError> {
        let desc = self.read(caller, msg)?;
        let size = if desc.body_addr == 0 {
            0
        } else {
            desc.body_size
        };
        if size > K_CMSGSIZEMAX {
            return Err(KError::TooMuch);
        }
        let annex = match desc.annex_addr {
            0 => None,
            at => {
                let mut annex = [0; K_CMSGANNEXSIZE];
                self.read_bytes(caller.actor, caller.space, at, &mut annex)?;
                Some(annex)
            }
        };
        let body = (caller.actor, caller.space, desc.body_addr);
        let moves = desc.flags & K_MOVE != 0 && u64::from(size) >= PAGE_SIZE;
        self.check_body(body, size, moves)?;
        Ok(Parcel {
            annex,
            body,
            size,
            moves,
        })
    }

    fn letter(
        &mut self,
        caller: Caller,
        src_port: i32,
        dest: In<KnIpcDest>,
    ) -> Result<Letter, KError> {
        let port = self.port_by_li(caller.actor, src_port)?;
        let dest = self.read(caller, dest)?;
        let (src_port, port_pi) = self
            .ipc
            .ports
            .get(port)
            .map(|port| (port.ui, port.pi))
            .ok_or(KError::Inval)?;
        let actor_pi = self
            .actors
            .get(caller.actor)
            .map(|actor| actor.pi)
            .unwrap_or_default();
        Ok(Letter {
            src_port,
            actor_pi,
            port_pi,
            dest,
            client: Client::None,
            remote: false,
            sender: Some(caller.actor),
        })
    }

    /// Finds where a destination is. Errors: `K_EINVAL` neither port nor group; `K_EUNKNOWN`.
    pub(crate) fn way(&mut self, dest: &KnIpcDest) -> Result<Way, KError> {
        match dest.target.kind() {
            Some(UiType::Port) => match self.port_by_ui(dest.target) {
                Some(port) => Ok(Way::Port(port)),
                None if self.may_be_elsewhere(dest.target) => Ok(Way::Network),
                None => Err(KError::Unknown),
            },
            Some(UiType::Group) => self.way_to_group(dest),
            _ => Err(KError::Inval),
        }
    }

    /// Makes a message of a letter and delivers it to a port: to a waiting thread at once, else into the queue.
    ///
    /// # Errors
    /// `K_EFULL` queue or table full; `K_EFAULT`, `K_ENOMEM` body. Then nothing happened.
    pub(crate) fn post(
        &mut self,
        port: Id<Port>,
        letter: &Letter,
        parcel: &Parcel,
    ) -> Result<Id<Message>, KError> {
        let queued = self.ipc.ports.get(port).ok_or(KError::Unknown)?.queued;
        let receiver = if queued == 0 {
            self.receiver(port)
        } else {
            None
        };
        let full =
            receiver.is_none() && (queued >= K_CPORTQUEUE || self.has_its_share(letter.sender));
        if full || !self.ipc.has_room() {
            return Err(KError::Full);
        }
        let waits = receiver.is_none() && (parcel.size > 0 || parcel.annex.is_some());
        let kept = if waits || parcel.moves {
            Some(self.keep(parcel.annex, parcel.body, parcel.size, parcel.moves)?)
        } else {
            None
        };
        let message = Message::of(letter, parcel, kept);
        let id = self.ipc.messages.insert(message).ok_or(KError::Full)?;
        self.trace_message(Kind::Send, id, None, 0);
        match receiver {
            None => {
                self.enqueue(port, id);
                self.trace_message(Kind::Queue, id, None, queued as u32 + 1);
                self.rouse(port);
            }
            Some(thread) => {
                let source = match parcel.moves {
                    true => Source::Kept,
                    false => Source::Sender(parcel),
                };
                if let Err(error) = self.give(thread, port, id, source) {
                    self.message_free(id);
                    return Err(error);
                }
            }
        }
        Ok(id)
    }

    /// Whether a user actor has as many messages in queues as one may have: a quarter of the table (NC-284).
    fn has_its_share(&self, sender: Option<Id<Actor>>) -> bool {
        sender
            .and_then(|id| self.actors.get(id))
            .is_some_and(|actor| {
                let share = self.configuration.limits.messages / 4;
                actor.kind == K_USERACTOR && actor.queued as usize >= share
            })
    }

    pub(super) fn item(
        &self,
        kind: u32,
        handle: u64,
        letter: &Letter,
        parcel: &Parcel,
    ) -> KnNetItem {
        KnNetItem {
            kind,
            result: 0,
            handle,
            target: letter.dest.target,
            co_target: letter.dest.co_target,
            src_port: letter.src_port,
            actor_pi: letter.actor_pi,
            port_pi: letter.port_pi,
            body_size: parcel.size,
            annex_size: if parcel.annex.is_some() {
                K_CMSGANNEXSIZE as u32
            } else {
                0
            },
            annex: parcel.annex.unwrap_or([0; 64]),
        }
    }

    /// `ipcSend` (NC-150…179).
    pub fn ipc_send(
        &mut self,
        caller: Caller,
        msg: In<KnMsgDesc>,
        src_port: i32,
        dest: In<KnIpcDest>,
    ) -> Result<Outcome, KError> {
        let parcel = self.parcel(caller, msg)?;
        let letter = self.letter(caller, src_port, dest)?;
        self.takes_body(parcel.size)?;
        match self.way(&letter.dest)? {
            Way::Port(port) => {
                self.post(port, &letter, &parcel)?;
            }
            Way::Network => self.network_send(&letter, &parcel)?,
            Way::Broadcast(group) => {
                let copied = Parcel {
                    moves: false,
                    ..parcel
                };
                self.post_to_members(group, &letter, &copied);
                if self.network_attached() {
                    // Delivery is not promised: a full queue is no error of the sender.
                    let _ = self.network_send(&letter, &copied);
                }
                if parcel.moves {
                    // Everybody has a copy.
                    self.body_leave(&parcel);
                }
            }
        }
        Ok(Outcome::Done(K_OK))
    }

    fn network_send(&mut self, letter: &Letter, parcel: &Parcel) -> Result<(), KError> {
        let item = self.item(NET_SEND, 0, letter, parcel);
        self.network_put(item, Some((parcel.body, parcel.moves)))
    }

    /// The pages of a body that nobody takes leave; without memory to hide what is behind them, some stay.
    fn body_leave(&mut self, parcel: &Parcel) {
        if let Ok(mut body) = self.body_lift(parcel.body, parcel.size, false) {
            self.body_free(&mut body);
        }
    }

    /// `ipcCall` (NC-180…194).
    pub fn ipc_call(
        &mut self,
        caller: Caller,
        request: In<KnMsgDesc>,
        src_port: i32,
        dest: In<KnIpcDest>,
        reply: InOut<KnMsgDesc>,
        delay: i32,
    ) -> Result<Outcome, KError> {
        let parcel = self.parcel(caller, request)?;
        let answer: KnMsgDesc = self.read(caller, In::new(reply.address()))?;
        if answer.annex_addr != 0 {
            self.check_writable(caller, answer.annex_addr, K_CMSGANNEXSIZE as u64)?;
        }
        if answer.body_addr != 0 {
            let room = answer.body_size.min(K_CMSGSIZEMAX);
            self.check_buffer(caller, answer.body_addr, room)?;
        }
        let mut letter = self.letter(caller, src_port, dest)?;
        self.takes_body(parcel.size)?;
        let way = self.way(&letter.dest)?;
        if matches!(way, Way::Broadcast(_)) {
            return Err(KError::Inval);
        }
        if answer.flags & K_ABORTABLE != 0 && self.consume_abort(caller.thread) {
            return Err(KError::Abort);
        }
        let handler = match way {
            Way::Port(port) => self
                .handler_at_once(caller, port)
                .map(|point| (port, point)),
            _ => None,
        };
        if delay == 0 && handler.is_none() {
            return Err(KError::Timeout);
        }
        let transaction = self.next_transaction(caller.thread);
        letter.client = Client::Thread(caller.thread, transaction);
        let mut wait = CallWait {
            space: caller.space,
            reply: answer,
            transaction,
            src_port: letter.src_port,
            request: None,
        };
        if let Some(handler) = handler {
            let deadline = self.deadline_ms(delay).filter(|_| delay > 0);
            let own = Self::own_call(caller.actor, wait, deadline);
            return self.call_handler(caller.thread, handler, &letter, &parcel, own);
        }
        match way {
            Way::Port(port) => wait.request = Some(self.post(port, &letter, &parcel)?),
            _ => {
                let item = self.item(NET_CALL, transaction, &letter, &parcel);
                self.network_put(item, Some((parcel.body, parcel.moves)))?;
            }
        }
        let deadline = self.deadline_ms(delay);
        if let Some(thread) = self.threads.progress(caller.thread) {
            thread.calls(wait);
        }
        self.block(caller.thread, Wait::Call, deadline);
        Ok(self.waits(caller.cpu))
    }

    /// `ipcReply` (NC-206…208, NC-219).
    pub fn ipc_reply(&mut self, caller: Caller, msg: In<KnMsgDesc>) -> Result<Outcome, KError> {
        let id = self.current_message(caller)?;
        let parcel = self.parcel(caller, msg)?;
        self.takes_body(parcel.size)?;
        let message = *self.ipc.messages.get(id).ok_or(KError::Inval)?;
        match message.client {
            Client::Thread(client, transaction) => self.reply_here(client, transaction, &parcel)?,
            Client::Remote(token) => {
                let body = self.body_of(&parcel, false)?;
                self.network_reply(token, K_OK, parcel.annex, body);
            }
            Client::Memory(request) => {
                // Its frames become pages of a cache as they are.
                let body = self.body_of(&parcel, true)?;
                self.mapper_replied(request, parcel.annex, body);
            }
            Client::None => self.reply_to_source(caller, &message, &parcel)?,
            Client::Left if parcel.moves => self.body_leave(&parcel),
            Client::Left => {}
        }
        self.trace_answer(id, parcel.size);
        if let Some(thread) = self.threads.progress(caller.thread) {
            thread.current = Current(None);
        }
        self.message_free(id);
        Ok(Outcome::Done(K_OK))
    }

    /// The body of a parcel in frames; `whole_pages`: that begin with its bytes and are nobody else's. Errors: `K_EFAULT`, `K_ENOMEM`.
    fn body_of(&mut self, parcel: &Parcel, whole_pages: bool) -> Result<Body, KError> {
        match parcel.moves {
            true => self.body_lift(parcel.body, parcel.size, whole_pages),
            false if whole_pages => self.body_keep(parcel.body, parcel.size),
            false => self.body_lend(parcel.body, parcel.size),
        }
    }

    /// A reply to a client of this site: straight into its buffers. One that has left gets nothing, and that is no error.
    pub(crate) fn reply_here(
        &mut self,
        client: Id<Thread>,
        transaction: u64,
        parcel: &Parcel,
    ) -> Result<(), KError> {
        // One that called from inside a handler has its buffers in the memory of the handler's owner.
        let (Some(wait), Some(actor)) = (
            self.awaits(client, transaction),
            self.execution_actor(client),
        ) else {
            return match self.handled(client, transaction) {
                Some(handling) => self.prepare_answer(handling, parcel),
                None if parcel.moves => {
                    self.body_leave(parcel);
                    Ok(())
                }
                None => Ok(()),
            };
        };
        let to = (actor, wait.space, wait.reply.body_addr);
        let room = if wait.reply.body_addr == 0 {
            0
        } else {
            wait.reply.body_size
        };
        // The client waits already, whatever its buffers need.
        let copied = if parcel.moves {
            let mut body = self.body_of(parcel, false)?;
            let given = self.at_once(|it| it.body_give(&mut body, to, room));
            self.body_free(&mut body);
            given.map(|_| ()).map_err(|error| (false, error))
        } else {
            let size = parcel.size.min(room) as usize;
            self.at_once(|it| it.body_pass(parcel.body, to, size))
        };
        let given = match copied {
            Err((true, error)) => return Err(error),
            Err((false, error)) => Err(error),
            Ok(()) => match (parcel.annex, wait.reply.annex_addr) {
                (Some(annex), at) if at != 0 => {
                    self.at_once(|it| it.write_bytes(actor, wait.space, at, &annex))
                }
                _ => Ok(()),
            },
        };
        // The client's own buffers are its own affair: its call fails, the server's does not.
        let result = match given {
            Ok(()) => parcel.size as i32,
            Err(error) => error.code(),
        };
        self.wake(client, result);
        Ok(())
    }

    /// A message from the default port of the caller's actor to a port.
    pub(crate) fn letter_by_default(
        &self,
        caller: Caller,
        target: KnUniqueId,
    ) -> Result<Letter, KError> {
        let actor = self.actors.get(caller.actor).ok_or(KError::Inval)?;
        let port = actor.default_port.and_then(|id| self.ipc.ports.get(id));
        Ok(Letter {
            src_port: actor.cap.ui,
            actor_pi: actor.pi,
            port_pi: port.map(|port| port.pi).unwrap_or_default(),
            dest: KnIpcDest {
                target,
                co_target: KnUniqueId::NULL,
            },
            client: Client::None,
            remote: false,
            sender: Some(caller.actor),
        })
    }

    /// The answer to an asynchronous message goes to its source port as a plain message (NC-208).
    fn reply_to_source(
        &mut self,
        caller: Caller,
        message: &Message,
        parcel: &Parcel,
    ) -> Result<(), KError> {
        let letter = self.letter_by_default(caller, message.src_port)?;
        match self.way(&letter.dest)? {
            Way::Port(port) => self.post(port, &letter, parcel).map(|_| ()),
            _ => self.network_send(&letter, parcel),
        }
    }

    /// `ipcReplyReceive`.
    pub fn ipc_reply_receive(
        &mut self,
        caller: Caller,
        reply: In<KnMsgDesc>,
        msg: InOut<KnMsgDesc>,
        port_li: InOut<i32>,
        delay: i32,
    ) -> Result<Outcome, KError> {
        if !self.is_second_part() {
            self.ipc_reply(caller, reply)?;
            self.second_part(true);
        }
        let received = self.ipc_receive(caller, msg, port_li, delay)?;
        self.second_part(false);
        Ok(received)
    }
}
