//! Conversations: a request that goes the way its client's last one went, to a server that waits where it waited last, and the reply.
//!
//! The fast path (`fast.rs`) looks everything up by checked identifiers. What it finds is the same the next time unless somebody rearranged things: made or
//! deleted a thread, a port or a membership, moved a port, changed a priority, stopped, aborted or bound somebody, mapped a page otherwise. All that goes
//! through tables that count their changes ([`Nucleus::affairs`]): `get_mut` counts, and only the parts that change all the time (`Progress`, `Traffic`) can
//! be reached without. So a thread keeps what the fast path found with the count of that moment; while the count is the same, all of it still holds, and
//! what is looked at here is only what changes all the time: who waits, what is queued, what the caller's descriptors say, who else is urgent. Whatever is
//! not as it was returns `None` with nothing changed, and the fast path finds it out anew.
//!
//! The message of a server that waits again is not freed but stays its current one without a client, as if it had been sent without waiting for an answer: the
//! next request needs no other. Such a message is *dormant*; dormant ones do not count against the limit of messages.
//!
//! Instructions are counted here. What can be reckoned from another count is not counted ([`Ipc::asked`], [`Ipc::answered`]), and where something is in an actor's
//! memory is known as a [`Spot`].

use super::Ipc;
use super::message::{Client, Message};
use crate::arena::{Found, Id};
use crate::executive::actor::Actor;
use crate::executive::scheduler::Processor;
use crate::executive::thread::{Progress, Thread, Wait};
use crate::executive::timeouts::Timeouts;
use crate::machine::{Cpu, Machine, Space, Spot};
use crate::nucleus::Nucleus;
use chorus_abi::*;

/// What the fast path found out about a thread itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// When that was; 0: never.
    pub(crate) affairs: u64,
    /// Its priority. Nothing keeps it from running or waiting.
    pub(crate) level: i32,
}

/// An annex: where its sender says that it is, and where that is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Annex {
    /// Its address; 0: none.
    pub(crate) address: u64,
    pub(crate) spot: Spot,
}

/// The way of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Way {
    /// When it was found; 0: never.
    pub(crate) affairs: u64,
    /// Number that no other way has, and a message that went it.
    pub(crate) number: u64,
    /// Where request, destination and reply are, as the caller said it.
    pub(crate) at: [u64; 3],
    pub(crate) spots: [Spot; 3],
    /// What the caller named.
    pub(crate) src_li: i32,
    /// Priority of the caller. Nothing keeps it from running or waiting.
    pub(crate) level: i32,
    pub(crate) dest: KnIpcDest,
    /// Annex of the request, and where that of the reply goes.
    pub(crate) annex: Annex,
    pub(crate) room: Spot,
    /// Slot of the port that it goes to, and what the message says of its sender.
    pub(crate) port: usize,
    pub(crate) src_port: KnUniqueId,
    pub(crate) actor_pi: KnProtId,
    pub(crate) port_pi: KnProtId,
    pub(crate) sender: Option<Id<Actor>>,
}

/// Where a server waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seat {
    /// When it was found; 0: never.
    pub(crate) affairs: u64,
    /// Where reply, message and LI are, as the server said it.
    pub(crate) at: [u64; 3],
    pub(crate) spots: [Spot; 3],
    /// What it named.
    pub(crate) li: i32,
    /// Its priority. Nothing keeps it from running or waiting.
    pub(crate) level: i32,
    /// Annex of the reply, and where that of the next request goes.
    pub(crate) annex: Annex,
    pub(crate) room: Spot,
    /// Slot of the port; of none, if it waits for any enabled one.
    pub(crate) port: usize,
}

/// The thread that has the processor now, and what its call returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Passed {
    /// Its slot.
    pub thread: u32,
    /// The machine's word for it, [`Machine::context_create`].
    pub context: u64,
    /// The result of the call that it waited in. It was not aborted.
    pub result: i32,
}

pub(super) const BODY_SIZE: usize = core::mem::offset_of!(KnMsgDesc, body_size);
pub(super) const BODY_ADDR: usize = core::mem::offset_of!(KnMsgDesc, body_addr);
pub(super) const ANNEX_ADDR: usize = core::mem::offset_of!(KnMsgDesc, annex_addr);
const SEQ_NUM: usize = core::mem::offset_of!(KnMsgDesc, seq_num);

impl Ipc {
    /// Whether a message fits into the table; a dormant one is as good as none.
    pub(crate) fn has_room(&self) -> bool {
        self.messages.len() as u64 - self.dormant() < self.message_limit as u64
    }

    /// Messages that are dormant.
    pub(crate) fn dormant(&self) -> u64 {
        self.rested - self.roused - self.asked()
    }

    /// Requests that were conversations.
    pub(crate) fn asked(&self) -> u64 {
        self.transactions - self.transactions_else
    }

    /// Replies that were.
    pub(crate) fn answered(&self) -> u64 {
        self.rested - self.rested_else
    }
}

impl<M: Machine> Nucleus<M> {
    /// Grows whenever something changes that a conversation relies on.
    #[inline(always)]
    pub(crate) fn affairs(&self) -> u64 {
        self.changes.count()
    }

    /// Whether `ipcCall` of a thread goes the way of its last one, as far as it says where to: `request`, `src_port`, `dest`, `reply` and `delay`. The thread is
    /// the one on the processor that calls.
    #[inline(always)]
    pub fn call_repeats(&self, thread: usize, arguments: [u64; 5]) -> bool {
        let [request, src_port, dest, reply, delay] = arguments;
        let Some(client) = self.threads.in_slot(thread) else {
            return false;
        };
        let way = &client.way;
        let at = &way.at;
        (delay as i32) < 0
            && way.affairs == self.affairs()
            && at[0] == request
            && at[1] == dest
            && at[2] == reply
            && way.src_li == src_port as i32
    }

    /// The arguments of a call that repeats.
    pub fn repeated_call(&self, thread: usize) -> [u64; 6] {
        self.threads.in_slot(thread).map_or([0; 6], |client| {
            let [request, dest, reply] = client.way.at;
            let src_li = u64::from(client.way.src_li.cast_unsigned());
            [request, src_li, dest, reply, u64::MAX, 0]
        })
    }

    /// `ipcCall` that repeats, if all else is as it was: the server, which has the processor now.
    #[inline(always)]
    pub fn call_again(&mut self, cpu: Cpu, thread: usize) -> Option<Passed> {
        self.call_along::<false>(cpu, thread)
    }

    /// The same if it was not because of a body of at most a page, or an annex that is elsewhere.
    #[cold]
    #[inline(never)]
    pub fn call_otherwise(&mut self, cpu: Cpu, thread: usize) -> Option<Passed> {
        let client = self.threads.in_slot(thread)?;
        let request = client.way.spots[0];
        let address = self.machine.peek(request.at(ANNEX_ADDR));
        if address == client.way.annex.address {
            if self.machine.peek::<u32>(request.at(BODY_SIZE)) == 0 {
                return None;
            }
        } else {
            let annex = Annex::found(&mut self.machine, client.space, address)?;
            let id = self.threads.at(thread)?;
            // What a message says of its annex is of the way, which is another now.
            let number = self.next_transaction(id);
            let client = self.threads.progress(id)?;
            client.way.annex = annex;
            client.way.number = number;
        }
        self.call_along::<true>(cpu, thread)
    }

    #[inline(always)]
    fn call_along<const BODY: bool>(&mut self, cpu: Cpu, thread: usize) -> Option<Passed> {
        let client = self.threads.in_slot(thread)?;
        let way = &client.way;
        if way.dest.target.memory_word() != self.machine.peek(way.spots[1])
            || way.dest.co_target.memory_word() != self.machine.peek(way.spots[1].at(8))
            || !same_room(&self.machine, way.spots[2], &client.call.reply)
        {
            return None;
        }
        let request = way.spots[0];
        if self.machine.peek::<u64>(request.at(ANNEX_ADDR)) != way.annex.address
            || !BODY && self.machine.peek::<u32>(request.at(BODY_SIZE)) != 0
        {
            return None;
        }
        let processor = self.scheduler.processors.get_mut(cpu)?;
        let port = self.ipc.ports.progress_at(way.port)?;
        let slot = port.waiters.first_slot();
        let space = client.space;
        let [(id, client), (server, to)] = self.threads.progress_of_two(thread, slot)?;
        if port.queued > 0
            || to.seat.affairs != client.way.affairs
            || self.scheduler.top <= to.seat.level
        {
            return None;
        }
        // Who waits at its seat has a dormant message.
        let message = self.ipc.messages.progress_at(to.current.slot())?;
        let mut body = Carried::default();
        if BODY {
            let room = (to.receive.space, &to.receive.desc);
            body = Carried::found(&mut self.machine, space, request, room)?;
        }
        // From here on nothing fails.
        self.ipc.links.remove_first(&mut port.waiters);
        if BODY || message.way != client.way.number {
            client.way.heads(message);
        }
        if BODY {
            // The next one that goes this way has none, or another.
            (message.body_size, message.way) = (body.size, 0);
        }
        self.ipc.transactions += 1;
        let transaction = Self::transaction_of(self.ipc.transactions, thread);
        message.client = Client::Thread(*id, transaction);
        client.wait = Wait::Call;
        client.call.transaction = transaction;
        client.call.request = to.current.0;
        to.receive.plain = false;
        processor.pass(&mut self.machine, client, (server, to));
        if client.way.level != to.seat.level {
            processor.slice_of(&mut self.machine, &self.timeouts, to.seat.level);
        }
        let annexes = (client.way.annex.spot, to.seat.room);
        body.arrive::<M, BODY>(&mut self.machine, annexes);
        port.sequence = port.sequence.wrapping_add(1);
        self.machine
            .poke(to.seat.spots[1].at(SEQ_NUM), &port.sequence);
        let passed = Passed {
            thread: slot as u32,
            context: to.context,
            result: body.size as i32,
        };
        Some(passed)
    }

    /// Whether `ipcReplyReceive` of a thread is at the seat of its last one, as far as it says where: `reply`, `msg`, `li` and `delay`. The thread is the one on the
    /// processor that calls.
    #[inline(always)]
    pub fn receive_repeats(&self, thread: usize, arguments: [u64; 4]) -> bool {
        let [reply, msg, li, delay] = arguments;
        let Some(server) = self.threads.in_slot(thread) else {
            return false;
        };
        let seat = &server.seat;
        (delay as i32) < 0
            && seat.affairs == self.affairs()
            && seat.at[0] == reply
            && seat.at[1] == msg
            && seat.at[2] == li
    }

    /// The arguments of a wait that repeats.
    pub fn repeated_receive(&self, thread: usize) -> [u64; 6] {
        self.threads.in_slot(thread).map_or([0; 6], |server| {
            let [reply, msg, li] = server.seat.at;
            [reply, msg, li, u64::MAX, 0, 0]
        })
    }

    /// `ipcReplyReceive` that repeats, if all else is as it was: the client, which has the processor now.
    #[inline(always)]
    pub fn reply_receive_again(&mut self, cpu: Cpu, thread: usize) -> Option<Passed> {
        self.reply_along::<false>(cpu, thread)
    }

    /// The same if it was not because of a body of at most a page, or an annex that is elsewhere.
    #[cold]
    #[inline(never)]
    pub fn reply_otherwise(&mut self, cpu: Cpu, thread: usize) -> Option<Passed> {
        let server = self.threads.in_slot(thread)?;
        let reply = server.seat.spots[0];
        let address = self.machine.peek(reply.at(ANNEX_ADDR));
        if address == server.seat.annex.address {
            if self.machine.peek::<u32>(reply.at(BODY_SIZE)) == 0 {
                return None;
            }
        } else {
            let annex = Annex::found(&mut self.machine, server.space, address)?;
            self.threads.progress_at(thread)?.seat.annex = annex;
        }
        self.reply_along::<true>(cpu, thread)
    }

    #[inline(always)]
    fn reply_along<const BODY: bool>(&mut self, cpu: Cpu, thread: usize) -> Option<Passed> {
        let server = self.threads.in_slot(thread)?;
        let seat = &server.seat;
        if self.machine.peek::<i32>(seat.spots[2]) != seat.li
            || !same_room(&self.machine, seat.spots[1], &server.receive.desc)
        {
            return None;
        }
        let reply = seat.spots[0];
        if self.machine.peek::<u64>(reply.at(ANNEX_ADDR)) != seat.annex.address
            || !BODY && self.machine.peek::<u32>(reply.at(BODY_SIZE)) != 0
        {
            return None;
        }
        let processor = self.scheduler.processors.get_mut(cpu)?;
        let message = self.ipc.messages.progress_at(server.current.0?.index())?;
        let Client::Thread(waits, transaction) = message.client else {
            return None;
        };
        let port = self.ipc.ports.progress_at(seat.port)?;
        let space = server.space;
        let [(_, server), (client, to)] = self.threads.progress_of_two(thread, waits.index())?;
        // Nothing is kept of a message whose client waits at the end of its way.
        if port.queued > 0
            || to.way.affairs != server.seat.affairs
            || !matches!(to.wait, Wait::Call)
            || to.call.transaction != transaction
            || self.scheduler.top <= to.way.level
        {
            return None;
        }
        let mut body = Carried::default();
        if BODY {
            let room = (to.call.space, &to.call.reply);
            body = Carried::found(&mut self.machine, space, reply, room)?;
        }
        // From here on nothing fails.
        message.client = Client::None;
        self.ipc.links.push_back(&mut port.waiters, thread);
        server.wait = Wait::Receive;
        server.receive.plain = true;
        self.ipc.rested += 1;
        processor.pass(&mut self.machine, server, (client, to));
        if server.seat.level != to.way.level {
            processor.slice_of(&mut self.machine, &self.timeouts, to.way.level);
        }
        let annexes = (server.seat.annex.spot, to.way.room);
        body.arrive::<M, BODY>(&mut self.machine, annexes);
        let passed = Passed {
            thread: waits.index() as u32,
            context: to.context,
            result: body.size as i32,
        };
        Some(passed)
    }

    /// Arguments of the call that a thread waits in, if it is one that the machine keeps none of: of a conversation or a semaphore.
    pub(crate) fn said(&self, id: Id<Thread>) -> Option<[u64; 6]> {
        let thread = self.threads.get(id)?;
        match thread.wait {
            Wait::Call if thread.way.affairs != 0 => Some(self.repeated_call(id.index())),
            Wait::Receive if thread.seat.affairs != 0 => Some(self.repeated_receive(id.index())),
            Wait::Semaphore(_, address) if !self.timeouts.is_set(id.index()) => {
                Some([address, 0, 0, 0, 0, 0])
            }
            _ => None,
        }
    }

    /// Priority of a thread that nothing keeps from running or waiting.
    #[inline(always)]
    pub(crate) fn level_if_steady(&self, thread: &Thread) -> Option<i32> {
        let plain = !thread.aborted && !thread.watched && thread.inside.is_none();
        self.level_if_plain(thread).filter(|_| plain)
    }

    /// A thread that waits now remembers what was found out about it and its call. While handlers of interrupts run nobody does: the count is another then.
    pub(crate) fn remember_call(&mut self, id: Id<Thread>, found: Way) {
        if self.interrupts_run() {
            return;
        }
        let affairs = self.affairs();
        let level = self.threads.get(id).and_then(|it| self.level_if_steady(it));
        if let (Some(level), Some(client)) = (level, self.threads.progress(id)) {
            client.way = Way {
                affairs,
                level,
                ..found
            };
        }
    }

    /// The same of a server.
    pub(crate) fn remember_seat(&mut self, id: Id<Thread>, found: Seat) {
        if self.interrupts_run() {
            return;
        }
        let affairs = self.affairs();
        let level = self.threads.get(id).and_then(|it| self.level_if_steady(it));
        if let (Some(level), Some(server)) = (level, self.threads.progress(id)) {
            server.seat = Seat {
                affairs,
                level,
                ..found
            };
        }
    }
}

impl Annex {
    /// The annex at an address, if it lies in one page that is there.
    #[inline(always)]
    pub(crate) fn found<M: Machine>(machine: &mut M, space: Space, address: u64) -> Option<Annex> {
        let spot = match address {
            0 => Spot::NONE,
            _ => machine.spot(space, address, K_CMSGANNEXSIZE, false)?,
        };
        Some(Annex { address, spot })
    }
}

impl Way {
    /// A message says of its sender what all say that go this way.
    #[cold]
    #[inline(never)]
    fn heads(&self, message: &mut Message) {
        message.way = self.number;
        message.src_port = self.src_port;
        message.target = self.dest.target;
        message.co_target = self.dest.co_target;
        message.actor_pi = self.actor_pi;
        message.port_pi = self.port_pi;
        message.sender = self.sender;
        message.has_annex = self.annex.address != 0;
        message.body_size = 0;
    }
}

/// Whether the descriptor in a spot says of what may come what another says.
#[inline(always)]
pub(super) fn same_room<M: Machine>(machine: &M, spot: Spot, known: &KnMsgDesc) -> bool {
    let first = u64::from(known.body_size) << 32 | u64::from(known.flags);
    machine.peek::<u64>(spot) == first
        && machine.peek::<u64>(spot.at(BODY_ADDR)) == known.body_addr
        && machine.peek::<u64>(spot.at(ANNEX_ADDR)) == known.annex_addr
}

/// A body on its way.
#[derive(Default)]
struct Carried {
    /// Bytes as sent, and as many as there is room for.
    size: u32,
    copied: usize,
    from: Spot,
    to: Spot,
}

impl Carried {
    /// The body that the descriptor in a spot sends, if it has at most a page and is not moved.
    #[inline(always)]
    fn found<M: Machine>(
        machine: &mut M,
        space: Space,
        sent: Spot,
        (to, room): (Space, &KnMsgDesc),
    ) -> Option<Carried> {
        let size: u32 = machine.peek(sent.at(BODY_SIZE));
        let address: u64 = machine.peek(sent.at(BODY_ADDR));
        let flags: u32 = machine.peek(sent);
        if size == 0 || address == 0 {
            return Some(Carried::default());
        }
        if room.body_addr == 0
            || size > PAGE_SIZE as u32
            || size == PAGE_SIZE as u32 && flags & K_MOVE != 0
        {
            return None;
        }
        let copied = size.min(room.body_size) as usize;
        let from = machine.spot(space, address, size as usize, false)?;
        let to = match copied {
            0 => Spot::NONE,
            _ => machine.spot(to, room.body_addr, copied, true)?,
        };
        Some(Carried {
            size,
            copied,
            from,
            to,
        })
    }

    /// The annex arrives, then the body.
    #[inline(always)]
    fn arrive<M: Machine, const BODY: bool>(&self, machine: &mut M, (from, to): (Spot, Spot)) {
        if from != Spot::NONE && to != Spot::NONE {
            let annex: [u64; K_CMSGANNEXSIZE / 8] = machine.peek(from);
            machine.poke(to, &annex);
        }
        if BODY && self.copied > 0 {
            machine.copy_spot(self.from, self.to, self.copied);
        }
    }
}

/// What a thread would rely on if it called now.
#[cfg(test)]
pub(crate) struct Remembered {
    pub(crate) dormant: bool,
    pub(crate) level: Option<i32>,
    pub(crate) way: Option<Way>,
    pub(crate) seat: Option<Seat>,
}

#[cfg(test)]
impl<M: Machine> Nucleus<M> {
    pub(crate) fn remembered(&self, thread: &Thread) -> Remembered {
        let affairs = self.affairs();
        let way = Some(thread.way).filter(|way| way.affairs == affairs);
        Remembered {
            dormant: thread.receive.plain,
            level: (thread.standing.affairs == affairs).then_some(thread.standing.level),
            way,
            seat: Some(thread.seat).filter(|seat| seat.affairs == affairs),
        }
    }

    /// Whether a thread's current message asks nothing of it.
    pub(crate) fn is_asleep(&self, thread: &Thread) -> bool {
        let message = thread.current.0.and_then(|id| self.ipc.messages.get(id));
        message.is_some_and(|it| it.client == Client::None && it.kept.is_none())
    }
}

impl Processor {
    /// Gives the processor of a thread that waits now to one that waited until now. The time slice goes on: what a server does for its client is done in the
    /// client's time.
    #[inline(always)]
    pub(crate) fn pass<M: Machine>(
        &mut self,
        machine: &mut M,
        from: &mut Progress,
        (id, to): Found<'_, Thread>,
    ) {
        let cpu = usize::from(self.cpu);
        self.current = Some(*id);
        let now = machine.ticks();
        from.cpu_time = from.cpu_time.wrapping_add(now);
        from.cpu = None;
        to.cpu_time = to.cpu_time.wrapping_sub(now);
        to.wait = Wait::None;
        to.cpu = Some(cpu);
        to.last_cpu = cpu;
    }

    /// The thread that has the processor now has this level, perhaps another than who passed it on: what is left of a slice is its, but a whole one if there was
    /// none.
    #[cold]
    #[inline(never)]
    pub(crate) fn slice_of<M: Machine>(
        &mut self,
        machine: &mut M,
        timeouts: &Timeouts,
        level: i32,
    ) {
        let sliced = level >= K_SLICED_FIRST;
        if self.slice_end.is_some() != sliced {
            // The timer that is set already passes unheeded.
            self.slice_end = sliced.then(|| machine.now().saturating_add(K_RR_QUANTUM_NS));
            if sliced {
                self.set_timer(machine, timeouts);
            }
        }
    }
}
