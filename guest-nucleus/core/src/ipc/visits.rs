//! Visits: a request that goes the way of its client's last one into a message handler, and comes out again, with nothing written down about it.
//!
//! What others see of a thread that is inside a handler is in three records: its current message, where it is inside, and what it waits for as a client
//! (`handling.rs`). Few routines ask for one of them, so they are made when somebody may. A thread that goes in becomes its processor's *visitor*, and that processor has no
//! current thread meanwhile: whoever looks for one finds none. All that comes into the Nucleus but a visit, its end, its answer and the conversations of other processors
//! calls [`Nucleus::register_visitors`] first, which makes the records of all visitors; then everything is as if they had been made at once. So a visitor that is still one
//! when its routine returns is just as it was: nobody stopped, aborted, or deleted anything, and nobody saw it.
//!
//! The way is remembered as conversations remember theirs (`conversation.rs`): it holds as long as nothing was rearranged, which also keeps room in the tables for
//! the records of one visitor a processor.

use super::conversation::{ANNEX_ADDR, BODY_ADDR, BODY_SIZE, same_room};
use super::handling::{Answer, Handling};
use super::message::{Body, Client, Kept, Message};
use super::port::Port;
use super::{CallWait, Current};
use crate::arena::Id;
use crate::executive::thread::Thread;
use crate::machine::{Cpu, Machine, Space, Spot};
use crate::nucleus::Nucleus;
use crate::supervisor::{Invocation, What};
use alloc::vec::Vec;
use chorus_abi::*;

type Annex = [u8; K_CMSGANNEXSIZE];

/// The way of a client into a handler.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Visit {
    /// When it was found; 0: never.
    pub(super) affairs: u64,
    /// Where request, destination and reply are, as the caller said it.
    pub(super) at: [u64; 3],
    pub(super) spots: [Spot; 3],
    /// What it named.
    pub(super) src_li: i32,
    pub(super) dest: KnIpcDest,
    /// Where it called from, and its room for the reply, which was checked.
    pub(super) space: Space,
    pub(super) reply: KnMsgDesc,
    /// Slot of the port.
    pub(super) port: usize,
    pub(super) routine: u64,
    pub(super) cookie: u64,
}

/// What is known of the thread of a processor that is inside a handler without records, beside who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Luggage {
    /// Its request has an annex.
    annexed: bool,
    said: Said,
}

/// What a visitor's routine has said so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Said {
    #[default]
    Nothing,
    Empty,
    Annex,
}

/// What is known of visits.
pub(crate) struct Visits {
    /// Ways by slot of the client, as far as there ever was one.
    known: Vec<Visit>,
    /// Annexes of answers, by processor.
    answers: Vec<Annex>,
}

impl Visits {
    pub(super) fn new(threads: usize, cpus: usize) -> Self {
        Visits {
            known: Vec::with_capacity(threads),
            answers: alloc::vec![[0; K_CMSGANNEXSIZE]; cpus],
        }
    }

    /// A client found its way.
    pub(super) fn remember(&mut self, client: Id<Thread>, visit: Visit) {
        while self.known.len() <= client.index() && self.known.len() < self.known.capacity() {
            self.known.push(Visit::default());
        }
        if let Some(known) = self.known.get_mut(client.index()) {
            *known = visit;
        }
    }
}

/// What a visitor goes into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Visited {
    /// The routine's address.
    pub routine: u64,
    /// Its second argument.
    pub cookie: u64,
    /// The request's number at the port.
    pub sequence: u32,
    /// It has an annex.
    pub annexed: bool,
}

impl<M: Machine> Nucleus<M> {
    /// `ipcCall` along the way of the last one into a handler, which the caller goes into then, and out of it by [`Nucleus::visit_over`]. An annex is given to `show`.
    #[inline(always)]
    pub fn visit(
        &mut self,
        cpu: Cpu,
        registers: &[u64; 6],
        show: impl FnOnce(Annex),
    ) -> Option<Visited> {
        let &[request, src_port, dest, reply, delay, _] = registers;
        if delay as i32 >= 0 || !self.ipc.has_room() {
            return None;
        }
        // While handlers of interrupts run, the count is another.
        let affairs = self.affairs();
        let processor = self.scheduler.processors.get_mut(cpu)?;
        let client = processor.current?;
        let visit = self.ipc.visits.known.get(client.index())?;
        if visit.affairs != affairs
            || visit.src_li != src_port as i32
            || visit.at[0] != request
            || visit.at[1] != dest
            || visit.at[2] != reply
        {
            return None;
        }
        let [said, to, room] = visit.spots;
        let machine = &self.machine;
        if machine.peek::<u64>(to) != visit.dest.target.memory_word()
            || machine.peek::<u64>(to.at(8)) != visit.dest.co_target.memory_word()
            || !same_room(machine, room, &visit.reply)
            || machine.peek::<u32>(said.at(BODY_SIZE)) != 0
                && machine.peek::<u64>(said.at(BODY_ADDR)) != 0
        {
            return None;
        }
        let at: u64 = machine.peek(said.at(ANNEX_ADDR));
        let port = self.ipc.ports.progress_at(visit.port)?;
        if port.queued > 0 {
            return None;
        }
        let annexed = at != 0;
        if annexed {
            show(self.machine.load(visit.space, at)?);
        }
        // From here on nothing fails.
        port.sequence = port.sequence.wrapping_add(1);
        processor.current = None;
        processor.visitor = Some(client);
        processor.luggage = Luggage {
            annexed,
            said: Said::Nothing,
        };
        self.scheduler.visitors += 1;
        self.counters.calls += 1;
        self.counters.messages += 1;
        Some(Visited {
            routine: visit.routine,
            cookie: visit.cookie,
            sequence: port.sequence,
            annexed,
        })
    }

    /// The thread on a processor becomes its visitor.
    pub(super) fn goes_visiting(&mut self, cpu: Cpu, annexed: bool) {
        if let Some(processor) = self.scheduler.processors.get_mut(cpu)
            && processor.current.is_some()
        {
            processor.visitor = processor.current.take();
            processor.luggage = Luggage {
                annexed,
                said: Said::Nothing,
            };
            self.scheduler.visitors += 1;
        }
    }

    /// `svMsgHdlReply` of the visitor of a processor, without a body.
    #[inline(always)]
    pub fn visitor_answers(&mut self, cpu: Cpu, desc: u64) -> Option<i32> {
        let processor = self.scheduler.processors.get_mut(cpu)?;
        processor.visitor?;
        let desc: KnMsgDesc = self.machine.load(Space::SUPERVISOR, desc)?;
        if desc.body_addr != 0 && desc.body_size > 0 {
            return None;
        }
        let said = match desc.annex_addr {
            0 => Said::Empty,
            at => {
                let annex = self.machine.load(Space::SUPERVISOR, at)?;
                *self.ipc.visits.answers.get_mut(cpu)? = annex;
                Said::Annex
            }
        };
        processor.luggage.said = said;
        self.counters.calls += 1;
        Some(K_OK)
    }

    /// The routine that the thread on a processor is in returned: the result of its call. `None`: its records were made, and [`Nucleus::straight_out`] or
    /// [`Nucleus::returned`] look at them, after [`Nucleus::register_visitors`].
    #[inline(always)]
    pub fn visit_over(&mut self, cpu: Cpu) -> Option<i32> {
        let processor = self.scheduler.processors.get_mut(cpu)?;
        let thread = processor.visitor?;
        if processor.luggage.said == Said::Annex {
            let visit = self.ipc.visits.known.get(thread.index())?;
            let annex = self.ipc.visits.answers.get(cpu)?;
            let to = visit.reply.annex_addr;
            if to != 0 && !self.machine.store(visit.space, to, annex) {
                return None;
            }
        }
        processor.visitor = None;
        processor.current = Some(thread);
        self.scheduler.visitors -= 1;
        Some(K_OK)
    }

    /// What everybody does first who comes into the Nucleus for anything that may concern others: threads inside handlers are seen to be there from now on.
    #[inline(always)]
    pub fn register_visitors(&mut self) {
        if self.scheduler.visitors > 0 {
            self.register_all();
        }
    }

    #[cold]
    #[inline(never)]
    fn register_all(&mut self) {
        self.scheduler.visitors = 0;
        for cpu in 0..self.scheduler.processors.len() {
            let Some(processor) = self.scheduler.processors.get_mut(cpu) else {
                return;
            };
            if let Some(visitor) = processor.visitor.take() {
                processor.current = Some(visitor);
                let luggage = processor.luggage;
                let written = self.write_down(cpu, visitor, luggage);
                debug_assert!(written.is_some(), "no records of {visitor:?}");
            }
        }
    }

    /// Makes the records of a visitor. Everything is as it was when it went in, so that everything is found, and there is room.
    fn write_down(&mut self, cpu: Cpu, thread: Id<Thread>, luggage: Luggage) -> Option<()> {
        let visit = *self.ipc.visits.known.get(thread.index())?;
        let home = self.threads.get(thread)?.actor;
        let actor_pi = self.actors.get(home)?.pi;
        let source = self.port_by_li(home, visit.src_li).ok()?;
        let (src_port, port_pi) = self.ipc.ports.get(source).map(|it| (it.ui, it.pi))?;
        let point = self.visited_port(&visit)?.handler()?;
        let owner = self.point(point)?.owner;
        let transaction = self.next_transaction(thread);
        let message = self.ipc.messages.insert(Message {
            src_port,
            target: visit.dest.target,
            co_target: visit.dest.co_target,
            actor_pi,
            port_pi,
            kept: None,
            body_size: 0,
            has_annex: luggage.annexed,
            unfetched: false,
            client: Client::Thread(thread, transaction),
            sender: Some(home),
            port: None,
            arrived: 0,
            holder: Some(thread),
            saver: None,
            next: None,
            remote: false,
            way: 0,
        })?;
        let call = CallWait {
            space: visit.space,
            reply: visit.reply,
            transaction,
            src_port,
            request: None,
        };
        let answer = match luggage.said {
            Said::Nothing => Answer::Open,
            Said::Empty => Answer::Given(None),
            Said::Annex => Answer::Given(self.ipc.kept.insert(Kept {
                annex: self.ipc.visits.answers.get(cpu).copied(),
                body: Body::EMPTY,
            })),
        };
        let found = self.threads.get_mut(thread)?;
        let before = core::mem::replace(&mut found.current, Current(Some(message)));
        let own = Self::own_call(home, call, None);
        let mut handling = Handling::begun(thread, message, before, Some(own));
        handling.answer = answer;
        let handling = self.ipc.handlings.insert(handling)?;
        let invocation = Invocation::outermost(point, owner, What::Message(handling));
        found.inside = self.supervisor.points.invocations.insert(invocation);
        self.point_enter(point);
        Some(())
    }

    fn visited_port(&self, visit: &Visit) -> Option<&Port> {
        let id = self.ipc.ports.at(visit.port)?;
        self.ipc.ports.get(id)
    }

    /// The thread of a processor, whether it is a visitor or not.
    #[cfg(test)]
    pub(crate) fn on_processor(&self, cpu: Cpu) -> Option<Id<Thread>> {
        let processor = self.scheduler.processors.get(cpu)?;
        processor.current.or(processor.visitor)
    }

    /// The visitor of a processor.
    #[cfg(test)]
    pub(crate) fn visitor(&self, cpu: Cpu) -> Option<Id<Thread>> {
        self.scheduler.processors.get(cpu)?.visitor
    }

    /// The handler that a visitor is in, if its way still leads there.
    #[cfg(test)]
    pub(crate) fn visited_handler(
        &self,
        visitor: Id<Thread>,
    ) -> Option<Id<crate::supervisor::Point>> {
        let visit = self.ipc.visits.known.get(visitor.index())?;
        let port = self
            .visited_port(visit)
            .filter(|_| visit.affairs == self.affairs())?;
        let named = match visit.dest.target.kind() {
            Some(UiType::Port) => self.port_by_ui(visit.dest.target),
            _ => self.ipc.groups.only(visit.dest.target.identity()),
        };
        (named.map(Id::index) == Some(visit.port)).then_some(port.handler()?)
    }
}
