//! Ports, groups and messages of the model.

use super::model::{Expected, Model, Wait};
use chorus_abi::error::*;
use chorus_abi::*;
use std::collections::VecDeque;
use std::prelude::rust_2024::*;

/// Bytes of every body: a number.
pub const BODY: i32 = 8;

/// A message: an element of one queue, or somebody's current or saved one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The number in its body.
    pub number: u64,
    pub source: usize,
    /// Who waits for the reply, and of which request.
    pub client: Option<(usize, u64)>,
    /// It was a request, whoever waits for it by now.
    pub request: bool,
    /// The actor that sent it.
    pub sender: usize,
    /// When it was sent.
    pub arrived: u64,
    /// Where it was sent to.
    pub to: To,
    /// Protection identifiers of the actor and of the port that it came from, as they were then.
    pub stamps: [KnProtId; 2],
    /// Its body was left for `ipcGetData`.
    pub unfetched: bool,
}

/// A port. Records are never used again.
#[derive(Debug)]
pub struct Port {
    pub owner: usize,
    pub alive: bool,
    /// It was there with its actor, and cannot be deleted or moved.
    pub default: bool,
    pub enabled: Option<i32>,
    pub queue: VecDeque<Message>,
    pub waiters: VecDeque<usize>,
    pub received: u32,
    /// When its actor got it, as a count of such events.
    pub joined: u64,
    /// Protection identifier.
    pub pi: KnProtId,
}

/// Where a message goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum To {
    Port(usize),
    /// All members.
    Broadcast(usize),
    /// One member.
    Functional(usize),
    /// One member that is not this port.
    Exclusive(usize, usize),
    /// One member, where the name of this port is known.
    Selective(usize, usize),
}

/// What a receive asks for.
#[derive(Clone, Copy, Debug)]
pub struct Receipt {
    /// None: any that is enabled.
    pub port: Option<usize>,
    pub abortable: bool,
    /// The body stays for `ipcGetData`.
    pub bodiless: bool,
    pub limit: Option<u64>,
}

impl Model {
    /// A new port of an actor, with the protection identifier of whoever made it.
    pub fn add_port(&mut self, owner: usize, default: bool, pi: KnProtId) -> usize {
        self.joins += 1;
        self.ports.push(Port {
            owner,
            alive: true,
            default,
            enabled: None,
            queue: VecDeque::new(),
            waiters: VecDeque::new(),
            received: 0,
            joined: self.joins,
            pi,
        });
        self.ports.len() - 1
    }

    /// Whether an actor can name a port by its LI.
    fn has(&self, actor: usize, port: usize) -> bool {
        self.ports[port].alive && self.ports[port].owner == actor
    }

    /// Messages that there are.
    fn messages(&self) -> usize {
        let queued: usize = self.ports.iter().map(|port| port.queue.len()).sum();
        let current = self
            .threads
            .iter()
            .filter(|thread| thread.current.is_some())
            .count();
        let saved: usize = self.actors.iter().map(|actor| actor.saved.len()).sum();
        queued + current + saved
    }

    /// A request without a reply ends: its client's call fails.
    pub fn fail(&mut self, message: Message) {
        if let Some((client, request)) = message.client
            && matches!(self.threads[client].wait, Wait::Call(at, _) if at == request)
        {
            self.wake(client, K_ENOPORT, None);
        }
    }

    /// The current message of a thread is lost.
    pub fn abandon(&mut self, at: usize) {
        if let Some(message) = self.threads[at].current.take() {
            self.fail(message);
        }
    }

    /// A client leaves: its request, still queued, is gone; one that is held has no client any more.
    pub fn withdraw(&mut self, request: u64) {
        let of = |message: &Message| message.client.is_some_and(|(_, number)| number == request);
        for port in &mut self.ports {
            port.queue.retain(|message| !of(message));
        }
        let current = self
            .threads
            .iter_mut()
            .filter_map(|thread| thread.current.as_mut());
        let saved = self
            .actors
            .iter_mut()
            .flat_map(|actor| actor.saved.iter_mut().map(|(_, message)| message));
        for message in current.chain(saved) {
            if of(message) {
                message.client = None;
            }
        }
    }

    pub fn remove_port(&mut self, port: usize) {
        for message in std::mem::take(&mut self.ports[port].queue) {
            self.fail(message);
        }
        self.waiters_leave(port);
        self.groups
            .iter_mut()
            .for_each(|group| group.retain(|&member| member != port));
        self.ports[port].alive = false;
    }

    fn waiters_leave(&mut self, port: usize) {
        for waiter in std::mem::take(&mut self.ports[port].waiters) {
            self.wake(waiter, K_ENOPORT, None);
        }
    }

    /// A thread gets a message: its last one is abandoned.
    fn get(&mut self, thread: usize, port: usize, message: Message) {
        self.ports[port].received += 1;
        self.abandon(thread);
        let unfetched = self.threads[thread].bodiless;
        self.threads[thread].current = Some(Message {
            unfetched,
            ..message
        });
    }

    /// Who gets a message for a port now: the longest waiter for it, else the longest for any enabled one.
    fn receiver(&self, port: usize) -> Option<usize> {
        let found = &self.ports[port];
        let any = || {
            found
                .enabled
                .and_then(|_| self.actors[found.owner].any.front())
        };
        found.waiters.front().or_else(any).copied()
    }

    fn give(&mut self, thread: usize, port: usize, message: Message) {
        let number = Some(message.number).filter(|_| !self.threads[thread].bodiless);
        self.leave(thread);
        self.get(thread, port, message);
        self.wake(thread, BODY, number);
    }

    /// What is queued goes to those who wait.
    fn serve(&mut self, port: usize) {
        while let Some(thread) = self.receiver(port)
            && let Some(message) = self.ports[port].queue.pop_front()
        {
            self.give(thread, port, message);
        }
    }

    /// Delivers to a port. Errors: `K_EFULL`.
    fn post(&mut self, port: usize, message: Message) -> Result<(), i32> {
        let queued = self.ports[port].queue.len();
        let receiver = if queued == 0 {
            self.receiver(port)
        } else {
            None
        };
        let sender = message.sender;
        let own = || {
            let queues = self.ports.iter().flat_map(|port| &port.queue);
            queues.filter(|message| message.sender == sender).count()
        };
        let limit = super::episode::MESSAGES;
        let share = self.actors[sender].kind == K_USERACTOR && own() >= limit / 4;
        if (receiver.is_none() && (queued >= K_CPORTQUEUE || share)) || self.messages() >= limit {
            return Err(K_EFULL);
        }
        match receiver {
            Some(thread) => self.give(thread, port, message),
            None => self.ports[port].queue.push_back(message),
        }
        Ok(())
    }

    /// The port that a destination leads to. Errors: `K_EUNKNOWN`.
    fn way(&mut self, to: To) -> Result<usize, i32> {
        let (group, but) = match to {
            To::Port(port) if self.ports[port].alive => return Ok(port),
            To::Port(_) => return Err(K_EUNKNOWN),
            To::Functional(group) => (group, None),
            To::Exclusive(group, but) => (group, Some(but)),
            To::Selective(group, near) if self.knows(near) => (group, None),
            To::Selective(..) => return Err(K_EUNKNOWN),
            To::Broadcast(_) => return Err(K_EINVAL),
        };
        let members = self.groups[group].iter().copied();
        let fitting: Vec<usize> = members.filter(|&member| Some(member) != but).collect();
        let turn = self.turn.checked_rem(fitting.len()).ok_or(K_EUNKNOWN)?;
        Ok(fitting[turn])
    }

    fn message(&mut self, caller: usize, (source, to): (usize, To), number: u64) -> Message {
        self.requests += 1;
        let sender = self.threads[caller].actor;
        Message {
            number,
            source,
            client: None,
            request: false,
            sender,
            arrived: self.now,
            to,
            stamps: [self.actors[sender].pi, self.ports[source].pi],
            unfetched: false,
        }
    }

    pub fn send(&mut self, caller: usize, source: usize, to: To, number: u64) -> Expected {
        if !self.has(self.threads[caller].actor, source) {
            return Expected::Returns(K_EINVAL);
        }
        let message = self.message(caller, (source, to), number);
        if let To::Broadcast(group) = to {
            for member in self.groups[group].clone() {
                let _ = self.post(member, message.clone());
            }
            return Expected::Returns(K_OK);
        }
        let sent = self.way(to).and_then(|port| self.post(port, message));
        Expected::Returns(sent.err().unwrap_or(K_OK))
    }

    pub fn call(
        &mut self,
        caller: usize,
        (source, to): (usize, To),
        number: u64,
        abortable: bool,
        limit: Option<u64>,
    ) -> Expected {
        if !self.has(self.threads[caller].actor, source) {
            return Expected::Returns(K_EINVAL);
        }
        let port = match self.way(to) {
            Err(error) => return Expected::Returns(error),
            Ok(port) => port,
        };
        if abortable && self.consume(caller) {
            return Expected::Returns(K_EABORT);
        }
        if limit == Some(0) {
            return Expected::Returns(K_ETIMEOUT);
        }
        let mut message = self.message(caller, (source, to), number);
        let request = self.requests;
        (message.client, message.request) = (Some((caller, request)), true);
        // Before the caller waits: whoever gets it may lose another request of the caller's, which is none.
        if let Err(error) = self.post(port, message) {
            return Expected::Returns(error);
        }
        self.wait(caller, Wait::Call(request, source), abortable, limit)
    }

    pub fn receive(
        &mut self,
        caller: usize,
        Receipt {
            port,
            abortable,
            bodiless,
            limit,
        }: Receipt,
    ) -> Expected {
        let actor = self.threads[caller].actor;
        if port.is_some_and(|port| !self.has(actor, port)) {
            return Expected::Returns(K_EINVAL);
        }
        self.threads[caller].bodiless = bodiless;
        let ready = |at: &usize| !self.ports[*at].queue.is_empty();
        let source = match port {
            Some(port) => Some(port).filter(ready),
            None => {
                let enabled = (0..self.ports.len())
                    .filter(|&at| self.has(actor, at))
                    .filter(ready);
                // Among messages of the same instant that of the newest port: the texts leave it open.
                let urgency = |at: usize| {
                    let port = &self.ports[at];
                    Some((
                        port.enabled?,
                        port.queue.front()?.arrived,
                        u64::MAX - port.joined,
                    ))
                };
                enabled
                    .filter_map(|at| Some((urgency(at)?, at)))
                    .min()
                    .map(|(_, at)| at)
            }
        };
        if let Some(source) = source
            && let Some(message) = self.ports[source].queue.pop_front()
        {
            let number = message.number;
            self.get(caller, source, message);
            return match bodiless {
                true => Expected::Returns(BODY),
                false => Expected::Brings(BODY, number),
            };
        }
        if abortable && self.consume(caller) {
            return Expected::Returns(K_EABORT);
        }
        if limit == Some(0) {
            return Expected::Returns(K_ETIMEOUT);
        }
        match port {
            Some(port) => self.ports[port].waiters.push_back(caller),
            None => self.actors[actor].any.push_back(caller),
        }
        self.wait(caller, Wait::Receive(port), abortable, limit)
    }

    /// `ipcReply`; the default port of the caller's actor is where an answer to no request comes from.
    pub fn reply(&mut self, caller: usize, default: usize, number: u64) -> Expected {
        let Some(message) = self.threads[caller].current.clone() else {
            return Expected::Returns(K_EINVAL);
        };
        match message.client {
            Some((client, request)) => {
                if matches!(self.threads[client].wait, Wait::Call(at, _) if at == request) {
                    self.wake(client, BODY, Some(number));
                }
            }
            None if message.request => {}
            None => {
                let to = To::Port(message.source);
                let answer = self.message(caller, (default, to), number);
                let sent = self.way(to).and_then(|port| self.post(port, answer));
                if let Err(error) = sent {
                    return Expected::Returns(error);
                }
            }
        }
        self.threads[caller].current = None;
        Expected::Returns(K_OK)
    }

    pub fn get_data(&mut self, caller: usize) -> Expected {
        match &mut self.threads[caller].current {
            Some(message) if message.unfetched => {
                message.unfetched = false;
                Expected::Brings(BODY, message.number)
            }
            _ => Expected::Returns(K_EINVAL),
        }
    }

    pub fn save(&mut self, caller: usize, name: i32) -> Expected {
        let actor = self.threads[caller].actor;
        if self.threads[caller].current.is_none() {
            return Expected::Returns(K_EINVAL);
        }
        if self.actors[actor].saved.len() >= K_CMSGSAVEDMAX {
            return Expected::Returns(K_ETOOMUCH);
        }
        if let Some(message) = self.threads[caller].current.take() {
            self.actors[actor].saved.push((name, message));
        }
        Expected::Returns(name)
    }

    pub fn restore(&mut self, caller: usize, name: i32) -> Expected {
        let actor = self.threads[caller].actor;
        let Some(at) = self.actors[actor]
            .saved
            .iter()
            .position(|&(saved, _)| saved == name)
        else {
            return Expected::Returns(K_EINVAL);
        };
        let (_, message) = self.actors[actor].saved.remove(at);
        self.abandon(caller);
        self.threads[caller].current = Some(message);
        Expected::Returns(K_OK)
    }

    pub fn delete_port(&mut self, actor: usize, port: usize) -> Expected {
        if !self.has(actor, port) || self.ports[port].default {
            return Expected::Returns(K_EINVAL);
        }
        self.remove_port(port);
        for at in 0..self.threads.len() {
            if matches!(self.threads[at].wait, Wait::Call(_, source) if source == port) {
                self.leave(at);
                self.wake(at, K_ENOPORT, None);
            }
        }
        Expected::Returns(K_OK)
    }

    pub fn enable(&mut self, actor: usize, port: usize, priority: i32) -> Expected {
        if !self.has(actor, port) || priority < 0 {
            return Expected::Returns(K_EINVAL);
        }
        self.ports[port].enabled = Some(priority);
        self.serve(port);
        Expected::Returns(K_OK)
    }

    pub fn disable(&mut self, actor: usize, port: usize) -> Expected {
        if !self.has(actor, port) {
            return Expected::Returns(K_EINVAL);
        }
        self.ports[port].enabled = None;
        Expected::Returns(K_OK)
    }

    /// `portMigrate` inside the site; `Returns(K_OK)` stands for the new LI.
    pub fn migrate(
        &mut self,
        caller: usize,
        port: usize,
        (from, to): (usize, usize),
        drop: bool,
    ) -> Expected {
        if !self.has(from, port) || self.ports[port].default {
            return Expected::Returns(K_EINVAL);
        }
        if !self.may_change(caller, from) || !self.may_change(caller, to) {
            return Expected::Returns(K_EPRIV);
        }
        if drop {
            for message in std::mem::take(&mut self.ports[port].queue) {
                self.fail(message);
            }
        }
        self.waiters_leave(port);
        self.joins += 1;
        let moved = &mut self.ports[port];
        (moved.owner, moved.enabled, moved.received, moved.joined) = (to, None, 0, self.joins);
        Expected::Returns(K_OK)
    }

    pub fn insert(&mut self, group: usize, port: usize) -> Expected {
        if !self.ports[port].alive {
            return Expected::Returns(K_EUNKNOWN);
        }
        if !self.groups[group].contains(&port) {
            self.groups[group].push_front(port);
        }
        Expected::Returns(K_OK)
    }

    pub fn remove(&mut self, group: usize, port: usize) -> Expected {
        if !self.ports[port].alive {
            return Expected::Returns(K_EUNKNOWN);
        }
        let Some(at) = self.groups[group].iter().position(|&member| member == port) else {
            return Expected::Returns(K_EINVAL);
        };
        self.groups[group].remove(at);
        Expected::Returns(K_OK)
    }
}
