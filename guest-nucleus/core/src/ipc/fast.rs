//! The fast path: a request to a server that waits, and a reply whose server waits again; each perhaps with an annex and a body in a page.
//!
//! One straight function each: loads and checks, one delivery that is the last thing to fail, then stores that cannot fail, and the partner has the
//! processor, with what is left of the time slice. Whatever is not plain (a longer body, a time limit, a queue, a name elsewhere, a choice among members
//! of a group, somebody more urgent, an abort, a thread that is stopped or watched) returns `None` with nothing changed, and the way that does everything takes over: it is the reference
//! that this one is tested against (`sim/fast.rs`).

use super::conversation::Annex;
use super::message::{Client, Message};
use super::port::{Port, Taker};
use super::straight::Origin;
use super::{CallWait, Current, ReceiveWait, Seat, Way};
use crate::arena::Id;
use crate::executive::thread::{Thread, Wait, local_identifier};
use crate::machine::{Cpu, Delivery, Machine, Space, Spot};
use crate::nucleus::Nucleus;
use chorus_abi::*;

const DESC: usize = size_of::<KnMsgDesc>();
/// Offset of `seq_num` in `KnMsgDesc`.
const SEQ_NUM: u64 = core::mem::offset_of!(KnMsgDesc, seq_num) as u64;

impl<M: Machine> Nucleus<M> {
    /// `ipcCall`, if it is plain: the slot of the server's thread, which has the processor now.
    #[inline(never)]
    pub(crate) fn call_fast(&mut self, cpu: Cpu, registers: &[u64; 6]) -> Option<usize> {
        let &[request, src_port, dest, reply, delay, _] = registers;
        if delay as i32 >= 0 {
            return None;
        }
        let (id, client) = self.leaving(cpu)?;
        let (home, space) = (client.actor, client.space);
        let at = [request, dest, reply];
        let spots = [
            self.machine.spot(space, request, DESC, false)?,
            self.machine
                .spot(space, dest, size_of::<KnIpcDest>(), false)?,
            self.machine.spot(space, reply, DESC, false)?,
        ];
        let request: KnMsgDesc = self.machine.peek(spots[0]);
        let dest: KnIpcDest = self.machine.peek(spots[1]);
        let answer: KnMsgDesc = self.machine.peek(spots[2]);
        let room = Self::room(&mut self.machine, space, &answer)?;
        if !self.ipc.has_room() {
            return None;
        }
        let actor = self.actors.get(home)?;
        let src_li = src_port as i32;
        let source = match src_li {
            K_DEFAULTPORT => actor.default_port?,
            li => self.port_by_li(home, li).ok()?,
        };
        let actor_pi = actor.pi;
        let source = self.ipc.ports.get(source)?;
        let (src_port, port_pi) = (source.ui, source.pi);
        let target = match dest.target.kind()? {
            UiType::Port => self.port_by_ui(dest.target)?,
            _ => self.only_member(dest.target)?,
        };
        let port = self.ipc.ports.get(target)?;
        if let (Taker::Handler(handler), 0) = (port.taker, port.queued) {
            let origin = Origin {
                cpu,
                thread: id,
                space,
                at,
                spots,
                src_li,
                reply: answer,
            };
            return self.straight_in(&origin, (target, handler), &request, dest);
        }
        if port.queued > 0 || port.taker != Taker::Threads {
            return None;
        }
        let any = port.waiters.is_empty();
        let slot = match port.waiters.first() {
            Some(slot) => slot,
            None => {
                port.enabled?;
                self.ipc.any.get(port.owner.index())?.first()?
            }
        };
        let sequence = port.sequence.wrapping_add(1);
        let server = self.threads.at(slot)?;
        let thread = self.threads.get(server)?;
        let dormant = thread.receive.plain;
        if thread.current.0.is_some() && !dormant {
            return None;
        }
        let level = self.may_take_over(server, thread)?;
        let wait = &thread.receive;
        let mut delivery = Self::delivery(
            &mut self.machine,
            (space, &request),
            (wait.space, &wait.desc),
        )?;
        let annex = Annex::found(&mut self.machine, space, request.annex_addr)?;
        delivery.sequence = Some((wait.desc_addr + SEQ_NUM, sequence));
        delivery.port = any.then(|| (wait.port_li_addr, local_identifier(target)));
        if !self.machine.deliver(&delivery) {
            return None;
        }
        let size = body_size(&request);
        // From here on nothing fails.
        let transaction = self.next_transaction(id);
        if dormant {
            self.abandon_current(server);
        }
        let message = self.ipc.messages.insert(Message {
            src_port,
            target: dest.target,
            co_target: dest.co_target,
            actor_pi,
            port_pi,
            kept: None,
            body_size: size,
            has_annex: request.annex_addr != 0,
            unfetched: false,
            client: Client::Thread(id, transaction),
            port: None,
            holder: Some(server),
            saver: None,
            sender: Some(home),
            arrived: 0,
            next: None,
            remote: false,
            way: transaction,
        });
        let owner = self.port_owner(target);
        if let Some(port) = self.ipc.ports.progress(target) {
            port.sequence = sequence;
            if any {
                if let Some(list) = owner.and_then(|owner| self.ipc.any.get_mut(owner.index())) {
                    self.ipc.links.remove(list, slot);
                }
            } else {
                self.ipc.links.remove(&mut port.waiters, slot);
            }
        }
        if let Some(server) = self.threads.progress(server) {
            server.current = Current(message);
        }
        if let Some(client) = self.threads.progress(id) {
            client.wait = Wait::Call;
            client.calls(CallWait {
                space,
                reply: answer,
                transaction,
                src_port,
                request: message,
            });
        }
        let way = Way {
            affairs: 0,
            number: transaction,
            at,
            spots,
            src_li,
            level: 0,
            dest,
            annex,
            room,
            port: target.index(),
            src_port,
            actor_pi,
            port_pi,
            sender: Some(home),
        };
        self.remember_call(id, way);
        self.counters.messages += 1;
        self.hand_over(cpu, id, server, level, size as i32);
        Some(slot)
    }

    /// `ipcReplyReceive`, if it is plain: the slot of the client's thread, which has the processor now.
    #[inline(never)]
    pub(crate) fn reply_receive_fast(&mut self, cpu: Cpu, registers: &[u64; 6]) -> Option<usize> {
        let &[reply, msg, li_addr, delay, ..] = registers;
        if delay as i32 >= 0 {
            return None;
        }
        let (id, server) = self.leaving(cpu)?;
        let (home, space) = (server.actor, server.space);
        let current = server.current.0?;
        let message = self.ipc.messages.get(current)?;
        let Client::Thread(client, transaction) = message.client else {
            return None;
        };
        if message.kept.is_some() {
            return None;
        }
        let at = [reply, msg, li_addr];
        let spots = [
            self.machine.spot(space, reply, DESC, false)?,
            self.machine.spot(space, msg, DESC, true)?,
            self.machine.spot(space, li_addr, 4, false)?,
        ];
        let answer: KnMsgDesc = self.machine.peek(spots[0]);
        let desc: KnMsgDesc = self.machine.peek(spots[1]);
        let li: i32 = self.machine.peek(spots[2]);
        let room = Self::room(&mut self.machine, space, &desc)?;
        let any = li == K_ANYENABLED;
        if any && !self.machine.writable(space, li_addr, 4) {
            return None;
        }
        let port = self.empty_port(home, li)?;
        let thread = self.threads.get(client)?;
        if thread.wait != Wait::Call || thread.call.transaction != transaction {
            return None;
        }
        let level = self.may_take_over(client, thread)?;
        let delivery = Self::delivery(
            &mut self.machine,
            (space, &answer),
            (thread.call.space, &thread.call.reply),
        )?;
        let annex = Annex::found(&mut self.machine, space, answer.annex_addr)?;
        if !self.machine.deliver(&delivery) {
            return None;
        }
        // From here on nothing fails.
        if let Some(message) = self.ipc.messages.get_mut(current) {
            // The next request takes it.
            message.client = Client::None;
            message.unfetched = false;
        }
        self.ipc.rested += 1;
        self.ipc.rested_else += 1;
        if let Some(server) = self.threads.progress(id) {
            server.wait = Wait::Receive;
            server.receives(ReceiveWait {
                space,
                port,
                desc_addr: msg,
                desc,
                port_li_addr: li_addr,
                plain: true,
            });
        }
        let list = match port {
            Some(port) => self.ipc.ports.progress(port).map(|port| &mut port.waiters),
            None => self.ipc.any.get_mut(home.index()),
        };
        if let Some(list) = list {
            self.ipc.links.push_back(list, id.index());
        }
        let seat = Seat {
            affairs: 0,
            at,
            spots,
            li,
            level: 0,
            annex,
            room,
            port: port.map_or(usize::MAX, Id::index),
        };
        self.remember_seat(id, seat);
        let size = body_size(&answer);
        self.hand_over(cpu, id, client, level, size as i32);
        Some(client.index())
    }

    /// The thread on a processor, if nothing keeps it from waiting at once.
    #[inline(always)]
    fn leaving(&self, cpu: Cpu) -> Option<(Id<Thread>, &Thread)> {
        let id = self.running(cpu)?;
        let thread = self.threads.get(id)?;
        // One that works for another actor than its own calls with that one's ports and memory.
        let own = thread.inside.is_none() && thread.works_for.is_none();
        let plain = !thread.aborted && !thread.dying && !thread.watched && own;
        (plain && !self.in_interrupt(cpu)).then_some((id, thread))
    }

    /// What goes from a sender's descriptor to a receiver's. `None`: the body is to be fetched later, or too long.
    #[inline(always)]
    fn delivery(
        machine: &mut M,
        (from, sent): (Space, &KnMsgDesc),
        (to, room): (Space, &KnMsgDesc),
    ) -> Option<Delivery> {
        let size = body_size(sent);
        let annex = (sent.annex_addr != 0).then_some((sent.annex_addr, room.annex_addr));
        // What nobody takes has to be there all the same.
        if annex.is_some_and(|(at, to)| to == 0 && !machine.readable(from, at, K_CMSGANNEXSIZE))
            || size > 0
                && (room.body_addr == 0
                    || size > PAGE_SIZE as u32
                    || size == PAGE_SIZE as u32 && sent.flags & K_MOVE != 0
                    || !machine.readable(from, sent.body_addr, size as usize))
        {
            return None;
        }
        let copied = size.min(room.body_size) as usize;
        Some(Delivery {
            from,
            to,
            sequence: None,
            port: None,
            annex: annex.filter(|&(_, to)| to != 0),
            body: (copied > 0).then_some((sent.body_addr, room.body_addr, copied)),
        })
    }

    /// The one member of a group here, for a message in functional mode.
    #[inline(always)]
    fn only_member(&self, target: KnUniqueId) -> Option<Id<Port>> {
        let group = target.group().filter(|group| group.mode == K_FUNCMODE)?;
        self.ipc.groups.only(group.identity)
    }

    /// Where a receiver's annex goes (nowhere: it takes none), if its buffers can take a message whose body has at most a page.
    #[inline(always)]
    pub(crate) fn room(machine: &mut M, space: Space, desc: &KnMsgDesc) -> Option<Spot> {
        let size = desc.body_size.min(K_CMSGSIZEMAX) as usize;
        if desc.body_addr != 0 && !machine.writable(space, desc.body_addr, size) {
            return None;
        }
        match desc.annex_addr {
            0 => Some(Spot::NONE),
            address => machine.spot(space, address, K_CMSGANNEXSIZE, true),
        }
    }

    /// The port that a receiver waits for (`Some(None)`: any enabled one), if no message is there for it.
    #[inline(always)]
    fn empty_port(
        &self,
        actor: Id<crate::executive::actor::Actor>,
        li: i32,
    ) -> Option<Option<Id<Port>>> {
        if li == K_ANYENABLED {
            let mut ports = self.ports_of(actor);
            return ports.all(|(_, port)| port.queued == 0).then_some(None);
        }
        let port = self.port_by_li(actor, li).ok()?;
        let found = self.ipc.ports.get(port)?;
        (found.queued == 0 && found.taker == Taker::Threads).then_some(Some(port))
    }
}

/// Bytes of the body that a descriptor sends.
#[inline(always)]
fn body_size(desc: &KnMsgDesc) -> u32 {
    if desc.body_addr == 0 {
        0
    } else {
        desc.body_size
    }
}
