//! Ports: making and deleting them, their queues and the enabled set (spec 2.4, 3.4).

use super::message::Message;
use crate::arena::{Id, Working};
use crate::executive::actor::Actor;
use crate::executive::thread::{Wait, local_identifier};
use crate::lists::List;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use crate::supervisor::Point;
use chorus_abi::*;
use core::ops::{Deref, DerefMut};

/// A port.
pub struct Port {
    /// Name.
    pub ui: KnUniqueId,
    /// The actor that it is attached to.
    pub owner: Id<Actor>,
    /// Protection identifier.
    pub pi: KnProtId,
    /// Priority in the enabled set; none: disabled.
    pub enabled: Option<i32>,
    /// Groups that it is a member of.
    pub groups: u32,
    /// How often it moved between sites.
    pub epoch: u32,
    /// Who takes what comes to it.
    pub taker: Taker,
    /// The next port of its actor.
    pub next: Option<Id<Port>>,
    /// What comes and goes; reached as if it were the port's own.
    pub traffic: Traffic,
}

/// Who takes what comes to a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taker {
    /// Threads that receive.
    Threads,
    /// A routine.
    Handler(Id<Point>),
    /// Nobody: it moves between sites (`moves.rs`).
    Nobody,
}

/// What changes as messages come and go. All else of a port changes only when somebody rearranges things, which is what conversations rely on.
#[derive(Default)]
pub struct Traffic {
    /// Oldest and newest queued message.
    pub queue: Option<(Id<Message>, Id<Message>)>,
    /// Queued messages.
    pub queued: usize,
    /// Messages received.
    pub sequence: u32,
    /// Threads that wait for this port.
    pub waiters: List,
}

impl Port {
    /// The routine that its messages go to.
    #[inline(always)]
    pub(crate) fn handler(&self) -> Option<Id<Point>> {
        match self.taker {
            Taker::Handler(point) => Some(point),
            _ => None,
        }
    }

    /// Whether it moves between sites.
    pub(crate) fn moves(&self) -> bool {
        self.taker == Taker::Nobody
    }
}

impl Deref for Port {
    type Target = Traffic;
    fn deref(&self) -> &Traffic {
        &self.traffic
    }
}

impl DerefMut for Port {
    fn deref_mut(&mut self) -> &mut Traffic {
        &mut self.traffic
    }
}

impl Working for Port {
    type Progress = Traffic;
    #[inline(always)]
    fn progress(&mut self) -> &mut Traffic {
        &mut self.traffic
    }
}

impl<M: Machine> Nucleus<M> {
    pub(crate) fn port_room(&self) -> bool {
        self.ipc.ports.has_room()
    }

    /// A port that has no name and is in no list; `None` when the table is full.
    #[inline(always)]
    pub(super) fn port_begin(
        &mut self,
        (owner, next): (Id<Actor>, Option<Id<Port>>),
        ui: KnUniqueId,
        pi: KnProtId,
    ) -> Option<Id<Port>> {
        self.ipc.ports.insert(Port {
            ui,
            owner,
            pi,
            enabled: None,
            traffic: Traffic::default(),
            groups: 0,
            epoch: 0,
            taker: Taker::Threads,
            next,
        })
    }

    /// Makes a port; `None` when the table is full.
    pub(crate) fn port_make(
        &mut self,
        owner: Id<Actor>,
        ui: KnUniqueId,
        pi: KnProtId,
    ) -> Option<Id<Port>> {
        let next = self.actors.get(owner)?.first_port;
        let id = self.port_begin((owner, next), ui, pi)?;
        self.ipc.names.insert(ui.word(), id.index());
        if let Some(actor) = self.actors.get_mut(owner) {
            actor.ports += 1;
            actor.first_port = Some(id);
        }
        Some(id)
    }

    pub(crate) fn port_set_pi(&mut self, id: Id<Port>, pi: KnProtId) {
        if let Some(port) = self.ipc.ports.get_mut(id) {
            port.pi = pi;
        }
    }

    /// The port of a name on this site.
    pub(crate) fn port_by_ui(&self, ui: KnUniqueId) -> Option<Id<Port>> {
        self.ipc
            .names
            .get(ui.word())
            .and_then(|slot| self.ipc.ports.at(slot))
    }

    /// The actor that a port is attached to.
    pub(crate) fn port_owner(&self, id: Id<Port>) -> Option<Id<Actor>> {
        self.ipc.ports.get(id).map(|port| port.owner)
    }

    /// A port of an actor by LI. Errors: `K_EINVAL`.
    pub(crate) fn port_by_li(&self, actor: Id<Actor>, li: i32) -> Result<Id<Port>, KError> {
        if li == K_DEFAULTPORT {
            return self
                .actors
                .get(actor)
                .and_then(|actor| actor.default_port)
                .ok_or(KError::Inval);
        }
        let id = self
            .ipc
            .ports
            .at((li & 0x1fff) as usize)
            .ok_or(KError::Inval)?;
        let port = self.ipc.ports.get(id).ok_or(KError::Inval)?;
        if port.owner != actor || local_identifier(id) != li {
            Err(KError::Inval)
        } else {
            Ok(id)
        }
    }

    /// Removes a port: queued messages are lost, requests and waiters end with `K_ENOPORT`, memberships go (NC-100…106). One that departs to another site
    /// only loses its actor: its move goes on.
    pub(crate) fn port_remove(&mut self, id: Id<Port>) {
        if self.ipc.ports.get(id).is_some_and(Port::moves) {
            return self.port_disowned(id);
        }
        self.port_empty(id);
        self.port_waiters_leave(id, KError::NoPort);
        self.memberships_end(id);
        let Some(port) = self.ipc.ports.remove(id) else {
            return;
        };
        self.ipc.names.remove(port.ui.word());
        if let Some(handler) = port.handler() {
            self.point_disconnected(handler);
        }
        self.port_leaves(id, port.owner, port.next);
        // Requests that waited for room in its queue have nobody to go to.
        self.requests_retry();
    }

    /// Takes a port out of the list of its actor; `next` is the one behind it.
    pub(super) fn port_leaves(&mut self, id: Id<Port>, owner: Id<Actor>, next: Option<Id<Port>>) {
        let Some(actor) = self.actors.get_mut(owner) else {
            return;
        };
        actor.ports = actor.ports.saturating_sub(1);
        if actor.first_port == Some(id) {
            actor.first_port = next;
            return;
        }
        let mut at = actor.first_port;
        while let Some(other) = at.and_then(|at| self.ipc.ports.get_mut(at)) {
            if other.next == Some(id) {
                other.next = next;
                return;
            }
            at = other.next;
        }
    }

    /// Moves a port to the list of another actor.
    pub(crate) fn port_moves(&mut self, id: Id<Port>, to: Id<Actor>) {
        let Some((owner, next)) = self.ipc.ports.get(id).map(|port| (port.owner, port.next)) else {
            return;
        };
        self.port_leaves(id, owner, next);
        let Some(actor) = self.actors.get_mut(to) else {
            return;
        };
        let next = actor.first_port.replace(id);
        actor.ports += 1;
        if let Some(port) = self.ipc.ports.get_mut(id) {
            (port.owner, port.next) = (to, next);
        }
    }

    /// Threads that wait on a port leave with an error; those that wait for any enabled port wait on.
    pub(crate) fn port_waiters_leave(&mut self, id: Id<Port>, error: KError) {
        while let Some(slot) = self.ipc.ports.get(id).and_then(|port| port.waiters.first()) {
            let Some(thread) = self.threads.at(slot) else {
                break;
            };
            self.leave_wait(thread);
            self.wake(thread, error.code());
        }
    }

    /// Messages in a queue are lost, requests in it aborted.
    pub(crate) fn port_empty(&mut self, id: Id<Port>) {
        while let Some(message) = self.dequeue(id) {
            self.message_fail(message, KError::NoPort);
        }
    }

    /// The ports of an actor.
    pub(crate) fn ports_of(&self, actor: Id<Actor>) -> impl Iterator<Item = (Id<Port>, &Port)> {
        let mut at = self.actors.get(actor).and_then(|actor| actor.first_port);
        core::iter::from_fn(move || {
            let id = at?;
            let port = self.ipc.ports.get(id)?;
            at = port.next;
            Some((id, port))
        })
    }

    /// Puts a message at the end of a queue that has room.
    pub(crate) fn enqueue(&mut self, id: Id<Port>, message: Id<Message>) {
        let now = self.machine.now();
        let Some(port) = self.ipc.ports.progress(id) else {
            return;
        };
        let previous = port.queue.map(|(_, last)| last);
        port.queue = Some((port.queue.map_or(message, |(first, _)| first), message));
        port.queued += 1;
        if let Some(entry) = self.ipc.messages.get_mut(message) {
            entry.port = Some(id);
            entry.arrived = now;
            self.count_queued(message, 1);
        }
        if let Some(previous) = previous.and_then(|previous| self.ipc.messages.get_mut(previous)) {
            previous.next = Some(message);
        }
    }

    /// Puts a message that was taken from a queue, and could not be delivered, back to its place.
    pub(crate) fn put_back(&mut self, id: Id<Port>, message: Id<Message>) {
        let Some(port) = self.ipc.ports.progress(id) else {
            return self.message_fail(message, KError::NoPort);
        };
        let first = port.queue.map(|(first, _)| first);
        port.queue = Some((message, port.queue.map_or(message, |(_, last)| last)));
        port.queued += 1;
        if let Some(entry) = self.ipc.messages.get_mut(message) {
            entry.port = Some(id);
            entry.next = first;
            self.count_queued(message, 1);
        }
    }

    /// The sender of a message has one more, or one less, in queues.
    fn count_queued(&mut self, message: Id<Message>, more: i32) {
        let sender = self.ipc.messages.get(message).and_then(|at| at.sender);
        if let Some(actor) = sender.and_then(|sender| self.actors.get_mut(sender)) {
            actor.queued = actor.queued.saturating_add_signed(more);
        }
    }

    /// When the oldest queued message of a port came.
    pub(crate) fn since(&self, port: &Port) -> u64 {
        let first = port
            .queue
            .and_then(|(first, _)| self.ipc.messages.get(first));
        first.map_or(0, |message| message.arrived)
    }

    /// Takes the oldest message of a queue.
    pub(crate) fn dequeue(&mut self, id: Id<Port>) -> Option<Id<Message>> {
        let first = self.ipc.ports.get(id)?.queue?.0;
        self.unqueue(id, first);
        Some(first)
    }

    /// Takes a message out of a queue, wherever in it.
    pub(crate) fn unqueue(&mut self, id: Id<Port>, message: Id<Message>) {
        let Some(port) = self.ipc.ports.get(id) else {
            return;
        };
        let Some((first, last)) = port.queue else {
            return;
        };
        let mut previous = None;
        let mut at = Some(first);
        while let Some(other) = at.filter(|&other| other != message) {
            previous = Some(other);
            at = self.ipc.messages.get(other).and_then(|other| other.next);
        }
        if at.is_none() {
            return;
        }
        let next = self.ipc.messages.get_mut(message).and_then(|message| {
            message.port = None;
            message.next.take()
        });
        if let Some(previous) = previous.and_then(|previous| self.ipc.messages.get_mut(previous)) {
            previous.next = next;
        }
        self.count_queued(message, -1);
        if self.ipc.ports.get(id).is_some_and(Port::moves) {
            self.doomed_leaves(id, message, previous);
        }
        let Some(port) = self.ipc.ports.progress(id) else {
            return;
        };
        port.queued = port.queued.saturating_sub(1);
        let first = if previous.is_none() {
            next
        } else {
            Some(first)
        };
        let last = if message == last {
            previous
        } else {
            Some(last)
        };
        port.queue = first.zip(last);
    }

    /// `portCreate` (NC-097…099).
    pub fn port_create(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        ui: Out<KnUniqueId>,
    ) -> Result<Outcome, KError> {
        self.check_writable(caller, ui.address(), 8)?;
        let actor = self.actor_by_cap(caller, cap)?;
        let pi = self
            .actors
            .get(caller.actor)
            .map(|actor| actor.pi)
            .unwrap_or_default();
        if !self.port_room() {
            return Err(KError::NoMem);
        }
        let name = self.new_ui(UiType::Port);
        let id = self.port_make(actor, name, pi).ok_or(KError::NoMem)?;
        self.write(caller, ui, &name)?;
        Ok(Outcome::Done(local_identifier(id)))
    }

    /// `portDeclare` (NC-107…109).
    pub fn port_declare(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        ui: In<KnUniqueId>,
    ) -> Result<Outcome, KError> {
        let name = self.read(caller, ui)?;
        let actor = self.actor_by_cap(caller, cap)?;
        if !name.is_static_port() {
            return Err(KError::Inval);
        }
        if self.port_by_ui(name).is_some() {
            return Err(KError::Busy);
        }
        let pi = self
            .actors
            .get(caller.actor)
            .map(|actor| actor.pi)
            .unwrap_or_default();
        let id = self.port_make(actor, name, pi).ok_or(KError::NoMem)?;
        Ok(Outcome::Done(local_identifier(id)))
    }

    /// `portDelete` (NC-100…106).
    pub fn port_delete(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
    ) -> Result<Outcome, KError> {
        let actor = self.actor_by_cap(caller, cap)?;
        let id = self.port_by_li(actor, li)?;
        if self.actors.get(actor).and_then(|actor| actor.default_port) == Some(id) {
            return Err(KError::Inval);
        }
        self.port_stays(id)?;
        let ui = self.ipc.ports.get(id).map(|port| port.ui);
        self.port_remove(id);
        // Clients that named it as their source leave too.
        for slot in 0..self.threads.extent() {
            let Some(thread) = self.threads.at(slot) else {
                continue;
            };
            let Some(calls) = self.threads.get(thread).filter(|at| at.wait == Wait::Call) else {
                continue;
            };
            if Some(calls.call.src_port) == ui {
                self.leave_wait(thread);
                self.wake(thread, KError::NoPort.code());
            }
        }
        if let Some(ui) = ui {
            self.handling_sources_end(ui);
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `portEnable` (NC-110…115).
    pub fn port_enable(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
        priority: i32,
    ) -> Result<Outcome, KError> {
        let actor = self.actor_by_cap(caller, cap)?;
        let id = self.port_by_li(actor, li)?;
        if priority < 0 || self.has_handler(id) {
            return Err(KError::Inval);
        }
        if let Some(port) = self.ipc.ports.get_mut(id) {
            port.enabled = Some(priority);
        }
        self.serve(id);
        Ok(Outcome::Done(K_OK))
    }

    /// `portDisable` (NC-113, NC-114).
    pub fn port_disable(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
    ) -> Result<Outcome, KError> {
        let actor = self.actor_by_cap(caller, cap)?;
        let id = self.port_by_li(actor, li)?;
        if let Some(port) = self.ipc.ports.get_mut(id) {
            port.enabled = None;
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `portUi`.
    pub fn port_ui(
        &mut self,
        caller: Caller,
        ui: Out<KnUniqueId>,
        li: i32,
    ) -> Result<Outcome, KError> {
        let id = self.port_by_li(caller.actor, li)?;
        let name = self
            .ipc
            .ports
            .get(id)
            .map(|port| port.ui)
            .unwrap_or_default();
        self.write(caller, ui, &name)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `portLi` (NC-129).
    pub fn port_li(&mut self, caller: Caller, ui: In<KnUniqueId>) -> Result<Outcome, KError> {
        let name = self.read(caller, ui)?;
        let id = self
            .port_by_ui(name)
            .filter(|&id| self.port_owner(id) == Some(caller.actor))
            .ok_or(KError::Inval)?;
        Ok(Outcome::Done(local_identifier(id)))
    }

    /// `portGetSeqNum`.
    pub fn port_get_seq_num(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
        number: Out<u32>,
    ) -> Result<Outcome, KError> {
        let actor = self.actor_by_cap(caller, cap)?;
        let id = self.port_by_li(actor, li)?;
        let sequence = self.ipc.ports.get(id).map_or(0, |port| port.sequence);
        self.write(caller, number, &sequence)?;
        Ok(Outcome::Done(K_OK))
    }
}
