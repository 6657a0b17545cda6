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

use super::Ipc;
use super::message::Client;
use super::port::Port;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::scheduler::Processor;
use crate::executive::thread::{Progress, Thread, Wait};
use crate::machine::{Cpu, Machine, Space};
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

/// The way of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Way {
    /// When it was found; 0: never.
    pub(crate) affairs: u64,
    /// Number that no other way has, and a message that went it.
    pub(crate) number: u64,
    /// What the caller named.
    pub(crate) src_li: i32,
    pub(crate) dest: KnIpcDest,
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
    /// What the caller named.
    pub(crate) li: i32,
    /// The port.
    pub(crate) port: Option<Id<Port>>,
}

/// The thread that has the processor now, and what its call returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Passed {
    /// Its slot.
    pub thread: u32,
    /// The result of the call that it waited in. It was not aborted.
    pub result: i32,
}

impl Ipc {
    /// Whether a message fits into the table; a dormant one is as good as none.
    pub(crate) fn has_room(&self) -> bool {
        self.messages.len() - self.dormant < self.message_limit
    }
}

/// Whether a descriptor says where annex and body go as another did.
#[cfg(test)]
pub(crate) fn same_room(one: &KnMsgDesc, other: &KnMsgDesc) -> bool {
    one.flags == other.flags
        && one.body_size == other.body_size
        && one.body_addr == other.body_addr
        && one.annex_addr == other.annex_addr
}

impl<M: Machine> Nucleus<M> {
    /// Grows whenever something changes that a conversation relies on.
    #[inline(always)]
    pub(crate) fn affairs(&self) -> u64 {
        self.threads.changes()
            + self.actors.changes()
            + self.ipc.ports.changes()
            + self.ipc.groups.members.changes()
            + self.machine.mappings()
    }

    /// `ipcCall` along the way of the last one: the server, which has the processor now.
    #[inline(always)]
    pub fn call_again(&mut self, cpu: Cpu, registers: &[u64; 6]) -> Option<Passed> {
        let &[request, src_port, dest, reply, delay, _] = registers;
        if delay as i32 >= 0 || self.interrupts_run() {
            return None;
        }
        let id = self.running(cpu)?;
        let client = self.threads.get(id)?;
        let way = &client.way;
        let affairs = way.affairs;
        if affairs != self.affairs()
            || way.src_li != src_port as i32
            || client.call.way != way.number
        {
            return None;
        }
        let annex = self.machine.call_repeats(
            id.index(),
            client.space,
            &[request, dest, reply],
            &way.dest,
            &client.call.reply,
        )?;
        let port = self.ipc.ports.progress_at(way.port)?;
        if port.queued > 0 {
            return None;
        }
        let slot = port.waiters.first()?;
        let from = (client.space, annex);
        let (client, server, thread) = self.threads.progress_of_two(id.index(), slot)?;
        let level = thread.standing.level;
        if thread.standing.affairs != affairs
            || !thread.receive.plain
            || self.scheduler.top <= level
        {
            return None;
        }
        // A dormant message says nothing to anybody: what it says may be changed already.
        let current = thread.current.0?;
        let message = self.ipc.messages.get_mut(current)?;
        message.has_annex = annex != 0;
        message.body_size = 0;
        if message.way != client.way.number {
            let way = &client.way;
            message.way = way.number;
            message.src_port = way.src_port;
            message.target = way.dest.target;
            message.co_target = way.dest.co_target;
            message.actor_pi = way.actor_pi;
            message.port_pi = way.port_pi;
            message.sender = way.sender;
        }
        let sequence = port.sequence.wrapping_add(1);
        if annex != 0 {
            let to = (thread.receive.space, thread.receive.desc.annex_addr);
            if !Self::carry(&mut self.machine, (from, to), Some((slot, sequence))) {
                return None;
            }
        } else if !self.machine.store_sequence(slot, sequence) {
            return None;
        }
        // From here on nothing fails.
        port.sequence = sequence;
        self.ipc.links.remove_first(&mut port.waiters);
        self.ipc.transactions += 1;
        let transaction = Self::transaction(self.ipc.transactions, id);
        message.client = Client::Thread(id, transaction);
        client.wait = Wait::Call;
        client.call.transaction = transaction;
        client.call.request = Some(current);
        thread.receive.plain = false;
        self.ipc.dormant -= 1;
        self.entered = Some(cpu);
        self.counters.calls += 1;
        self.counters.messages += 1;
        self.counters.switches += 1;
        if let Some(processor) = self.scheduler.processors.get_mut(cpu)
            && processor.pass(&mut self.machine, cpu, client, (server, thread), level, 0)
        {
            self.slice_begins(cpu);
        }
        Some(Passed {
            thread: slot as u32,
            result: 0,
        })
    }

    /// `ipcReplyReceive` at the seat of the last one, without a body: the client, which has the processor now.
    #[inline(always)]
    pub fn reply_receive_again(&mut self, cpu: Cpu, registers: &[u64; 6]) -> Option<Passed> {
        let &[reply, msg, li, delay, ..] = registers;
        if delay as i32 >= 0 || self.interrupts_run() {
            return None;
        }
        let id = self.running(cpu)?;
        let server = self.threads.get(id)?;
        let seat = &server.seat;
        let affairs = seat.affairs;
        if affairs != self.affairs() || server.receive.port != seat.port {
            return None;
        }
        let space = server.space;
        let annex = self.machine.receive_repeats(
            id.index(),
            space,
            &[reply, msg, li],
            &server.receive.desc,
            seat.li,
        )?;
        let port = self.ipc.ports.progress_at(seat.port?.index())?;
        let message = self.ipc.messages.get_mut(server.current.0?)?;
        let Client::Thread(waits, transaction) = message.client else {
            return None;
        };
        if port.queued > 0 || message.kept.is_some() {
            return None;
        }
        let (server, client, thread) = self.threads.progress_of_two(id.index(), waits.index())?;
        let level = thread.standing.level;
        if client != waits
            || thread.standing.affairs != affairs
            || !matches!(thread.wait, Wait::Call)
            || thread.call.way == 0
            || thread.call.transaction != transaction
            || self.scheduler.top <= level
        {
            return None;
        }
        if annex != 0 {
            let to = (thread.call.space, thread.call.reply.annex_addr);
            if !Self::carry(&mut self.machine, ((space, annex), to), None) {
                return None;
            }
        }
        // From here on nothing fails.
        message.client = Client::None;
        self.ipc.links.push_back(&mut port.waiters, id.index());
        server.wait = Wait::Receive;
        server.receive.plain = true;
        server.receive.space = space;
        server.receive.desc_addr = registers[1];
        server.receive.port_li_addr = registers[2];
        self.ipc.dormant += 1;
        self.entered = Some(cpu);
        self.counters.calls += 1;
        self.counters.switches += 1;
        if let Some(processor) = self.scheduler.processors.get_mut(cpu)
            && processor.pass(&mut self.machine, cpu, server, (client, thread), level, 0)
        {
            self.slice_begins(cpu);
        }
        Some(Passed {
            thread: client.index() as u32,
            result: 0,
        })
    }

    /// Copies an annex to who waits, if it takes it, and the sequence number of a request with it. `false`: not all of it can be, and nothing was stored.
    #[inline(always)]
    fn carry(
        machine: &mut M,
        (from, to): ((Space, u64), (Space, u64)),
        sequence: Option<(usize, u32)>,
    ) -> bool {
        if to.1 != 0 {
            return machine.copy_annex(from, to, sequence);
        }
        // What nobody takes has to be there all the same.
        machine.readable(from.0, from.1, K_CMSGANNEXSIZE)
            && sequence.is_none_or(|(thread, number)| machine.store_sequence(thread, number))
    }

    /// Priority of a thread that nothing keeps from running or waiting.
    #[inline(always)]
    pub(crate) fn level_if_steady(&self, thread: &Thread) -> Option<i32> {
        let plain = !thread.aborted && !thread.watched && thread.inside.is_none();
        self.level_if_plain(thread).filter(|_| plain)
    }

    /// A thread that waits now remembers what was found out about it and its call.
    pub(crate) fn remember_call(&mut self, id: Id<Thread>, found: Way) {
        let affairs = self.affairs();
        let level = self.threads.get(id).and_then(|it| self.level_if_steady(it));
        if let (Some(level), Some(client)) = (level, self.threads.progress(id)) {
            client.standing = Standing { affairs, level };
            client.way = Way { affairs, ..found };
        }
    }

    /// The same of a server.
    pub(crate) fn remember_seat(&mut self, id: Id<Thread>, li: i32, port: Option<Id<Port>>) {
        let affairs = self.affairs();
        let level = self.threads.get(id).and_then(|it| self.level_if_steady(it));
        if let (Some(level), Some(server)) = (level, self.threads.progress(id)) {
            server.standing = Standing { affairs, level };
            server.seat = Seat { affairs, li, port };
        }
    }
}

/// What a thread would rely on if it called now.
#[cfg(test)]
pub(crate) struct Remembered {
    pub(crate) dormant: bool,
    pub(crate) level: Option<i32>,
    pub(crate) way: Option<Way>,
    /// The buffers for its reply are those of the last call.
    pub(crate) repeats: bool,
    pub(crate) seat: Option<Seat>,
}

#[cfg(test)]
impl<M: Machine> Nucleus<M> {
    pub(crate) fn remembered(&self, thread: &Thread) -> Remembered {
        let affairs = self.affairs();
        let way = Some(thread.way).filter(|way| way.affairs == affairs);
        let sits = |seat: &Seat| {
            seat.affairs == affairs && seat.port.is_some() && seat.port == thread.receive.port
        };
        Remembered {
            dormant: thread.receive.plain,
            level: (thread.standing.affairs == affairs).then_some(thread.standing.level),
            repeats: way.is_some_and(|way| way.number == thread.call.way),
            way,
            seat: Some(thread.seat).filter(sits),
        }
    }

    /// Whether a thread's current message asks nothing of it.
    pub(crate) fn is_asleep(&self, thread: &Thread) -> bool {
        let message = thread.current.0.and_then(|id| self.ipc.messages.get(id));
        message.is_some_and(|it| it.client == Client::None && it.kept.is_none())
    }
}

impl Processor {
    /// Gives the processor of a thread that waits now to one of this level that waited until now, with its result. A time slice goes on: what a server does for
    /// its client is done in the client's time. `true`: a slice has to begin.
    #[inline(always)]
    pub(crate) fn pass<M: Machine>(
        &mut self,
        machine: &mut M,
        cpu: Cpu,
        from: &mut Progress,
        (id, to): (Id<Thread>, &mut Progress),
        level: i32,
        result: i32,
    ) -> bool {
        self.current = Some(id);
        let now = machine.ticks();
        from.cpu_time += now.saturating_sub(core::mem::replace(&mut self.since, now));
        from.cpu = None;
        to.wait = Wait::None;
        to.result = result;
        to.cpu = Some(cpu);
        to.last_cpu = cpu;
        let sliced = level >= K_SLICED_FIRST;
        if self.slice_end.is_some() == sliced {
            return false;
        }
        // The timer that is set already passes unheeded.
        self.slice_end = None;
        sliced
    }
}
