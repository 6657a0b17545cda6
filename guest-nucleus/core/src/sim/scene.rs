//! What tests of calls need on top of a site: arguments in the memory of actors, messages, and a picture of all that a call could change.

use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, local_identifier};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A delay without limit.
pub const FOREVER: u64 = u64::MAX;
/// An address that no region covers.
pub const NOWHERE: u64 = 0x7000_0000;
/// Where [`Site::arg`] puts things: offsets in an actor's memory.
const ARGUMENTS: (u64, u64) = (0x4000, 0x1_0000);

/// An actor with one thread that runs.
#[derive(Clone, Copy)]
pub struct Party {
    /// The actor.
    pub actor: Id<Actor>,
    /// Its thread.
    pub thread: Id<Thread>,
}

/// A descriptor for receiving, and its buffers.
#[derive(Clone, Copy)]
pub struct Room {
    /// The descriptor.
    pub desc: u64,
    /// Where the body goes.
    pub body: u64,
    /// Where the annex goes.
    pub annex: u64,
}

impl Site {
    /// An actor of a kind, with a thread.
    pub fn party(&mut self, kind: i32) -> Party {
        let actor = self.actor(kind, 140);
        let thread = self.thread(actor);
        Party { actor, thread }
    }

    /// Another thread of a party's actor.
    pub fn fellow(&mut self, of: Party) -> Party {
        let thread = self.thread(of.actor);
        Party { thread, ..of }
    }

    /// Room for a value among an actor's arguments; its address.
    pub fn space(&mut self, actor: Id<Actor>, size: usize) -> u64 {
        let size = (size as u64).next_multiple_of(16);
        if self.arguments < ARGUMENTS.0 || self.arguments + size > ARGUMENTS.1 {
            self.arguments = ARGUMENTS.0;
        }
        let address = self.at(actor, self.arguments);
        self.arguments += size;
        address
    }

    /// Puts a value among an actor's arguments; its address.
    pub fn arg<T: IntoBytes + Immutable + ?Sized>(&mut self, actor: Id<Actor>, value: &T) -> u64 {
        let address = self.space(actor, size_of_val(value));
        self.poke(actor, address, value);
        address
    }

    /// Writes at an address of an actor.
    pub fn poke<T: IntoBytes + Immutable + ?Sized>(
        &mut self,
        actor: Id<Actor>,
        address: u64,
        value: &T,
    ) {
        let space = self.nucleus.actors.get(actor).unwrap().space;
        let written = self
            .nucleus
            .write_bytes(actor, space, address, value.as_bytes());
        written.unwrap();
    }

    /// Reads at an address of an actor.
    pub fn peek<T: FromBytes + IntoBytes>(&mut self, actor: Id<Actor>, address: u64) -> T {
        let mut value = T::new_zeroed();
        let space = self.nucleus.actors.get(actor).unwrap().space;
        let read = self
            .nucleus
            .read_bytes(actor, space, address, value.as_mut_bytes());
        read.unwrap();
        value
    }

    /// Bytes at an address of an actor.
    pub fn bytes(&mut self, actor: Id<Actor>, address: u64, size: usize) -> Vec<u8> {
        let mut bytes = alloc::vec![0; size];
        let space = self.nucleus.actors.get(actor).unwrap().space;
        let read = self.nucleus.read_bytes(actor, space, address, &mut bytes);
        read.unwrap();
        bytes
    }

    /// Capability of an actor.
    pub fn cap(&self, actor: Id<Actor>) -> KnCap {
        self.nucleus.actors.get(actor).unwrap().cap
    }

    /// The same, as an argument of another.
    pub fn cap_for(&mut self, holder: Party, actor: Id<Actor>) -> u64 {
        let cap = self.cap(actor);
        self.arg(holder.actor, &cap)
    }

    /// Whether a party's thread is on a processor.
    pub fn runs(&self, party: Party) -> bool {
        self.cpu_of(party.thread).is_some()
    }

    /// LI of a thread, as an argument.
    pub fn li(&self, thread: Id<Thread>) -> u64 {
        local_identifier(thread) as u64
    }

    /// A call that succeeds, as soon as other processors did their part; its result.
    #[track_caller]
    pub fn grants(&mut self, by: Party, name: &str, arguments: &[u64]) -> i32 {
        let result = self.call(by.thread, name, arguments);
        let result = result.or_else(|| self.result(by.thread));
        assert!(
            result.is_some_and(|result| result >= 0),
            "{name} gave {result:?}"
        );
        result.unwrap()
    }

    /// A call that has to wait.
    #[track_caller]
    pub fn waits(&mut self, by: Party, name: &str, arguments: &[u64]) {
        assert_eq!(self.call(by.thread, name, arguments), None, "{name}");
    }

    /// A call that is refused with an error, and changes nothing.
    #[track_caller]
    pub fn refuses(&mut self, by: Party, name: &str, arguments: &[u64], error: i32) {
        let before = self.picture();
        assert_eq!(self.call(by.thread, name, arguments), Some(error), "{name}");
        self.unchanged(&before, name);
    }

    /// Nothing is as it was not in an earlier picture.
    #[track_caller]
    pub fn unchanged(&self, before: &str, what: &str) {
        let after = self.picture();
        for (before, after) in before.lines().zip(after.lines()) {
            assert_eq!(after, before, "{what} changed something");
        }
        assert_eq!(after.lines().count(), before.lines().count(), "{what}");
    }

    /// All that a call could change, but for pages that were never written: an address that was only looked at may have its page now.
    pub fn picture(&self) -> String {
        let nucleus = &self.nucleus;
        let mut lines = Vec::new();
        for (id, actor) in nucleus.actors.iter() {
            let name = (actor.cap, actor.kind, actor.pi, actor.name, actor.base);
            let state = (actor.stopped, actor.priority, actor.notify, actor.dying);
            let owns = (actor.threads, actor.ports, actor.saved);
            lines.push(format!("actor {id:?}: {name:?} {state:?} {owns:?}"));
        }
        for (id, thread) in nucleus.threads.iter() {
            let home = (thread.actor, thread.context, thread.current, thread.wait);
            let state = (thread.state(), thread.suspended, thread.dying);
            let run = (thread.relative, thread.cpu);
            lines.push(format!("thread {id:?}: {home:?} {state:?} {run:?}"));
        }
        for (id, port) in nucleus.ipc.ports.iter() {
            let name = (port.ui, port.owner, port.pi, port.groups);
            let state = (port.enabled, port.queue, port.queued, port.sequence);
            let moves = (port.epoch, port.taker);
            lines.push(format!("port {id:?}: {name:?} {state:?} {moves:?}"));
        }
        let messages = nucleus.ipc.messages.iter();
        lines.extend(messages.map(|(id, message)| format!("message {id:?}: {message:?}")));
        let kept = nucleus.ipc.kept.iter();
        lines.extend(kept.map(|(id, kept)| format!("kept {id:?}: {kept:?}")));
        let members = nucleus.ipc.groups.members.iter();
        lines.extend(members.map(|(id, member)| format!("member {id:?}: {member:?}")));
        let regions = nucleus.memory.regions.iter();
        lines.extend(regions.map(|(id, region)| format!("region {id:?}: {region:?}")));
        let outbound = &nucleus.ipc.network.outbound;
        lines.push(format!(
            "network: {} {outbound:?}",
            nucleus.network_attached()
        ));
        let machine = (nucleus.machine.digest(), nucleus.machine.halted);
        lines.push(format!("memory: {} {machine:?}", self.held()));
        lines.join("\n")
    }

    /// Frames that belong to no actor: kept bodies.
    pub fn held(&self) -> u64 {
        let nucleus = &self.nucleus;
        let (free, total) = crate::machine::Machine::frames(&nucleus.machine);
        let pages = nucleus
            .actors
            .iter()
            .map(|(_, actor)| u64::from(actor.pages));
        // Pages that have a frame together are counted each.
        total + nucleus.memory_together() - free - pages.sum::<u64>()
    }

    /// UI of an actor's default port.
    pub fn door(&self, actor: Id<Actor>) -> KnUniqueId {
        self.cap(actor).ui
    }

    /// A new port: LI and UI.
    #[track_caller]
    pub fn port(&mut self, of: Party) -> (i32, KnUniqueId) {
        let ui = self.arg(of.actor, &KnUniqueId::NULL);
        let li = self.grants(of, "portCreate", &[0, ui]);
        (li, self.peek(of.actor, ui))
    }

    /// A destination, as an argument.
    pub fn dest(&mut self, by: Party, target: KnUniqueId) -> u64 {
        self.dest_but(by, target, KnUniqueId::NULL)
    }

    /// The same with a co-target.
    pub fn dest_but(&mut self, by: Party, target: KnUniqueId, co_target: KnUniqueId) -> u64 {
        self.arg(by.actor, &KnIpcDest { target, co_target })
    }

    /// A message with a body and no annex, as an argument.
    pub fn letter(&mut self, by: Party, body: &[u8]) -> u64 {
        let body_addr = self.arg(by.actor, body);
        let desc = KnMsgDesc {
            body_size: body.len() as u32,
            body_addr,
            ..KnMsgDesc::default()
        };
        self.arg(by.actor, &desc)
    }

    /// Room for a message, as an argument. It is abortable.
    pub fn room(&mut self, by: Party, size: usize) -> Room {
        let body = self.arg(by.actor, &[0xeeu8; 512][..size.clamp(16, 512)]);
        let annex = self.arg(by.actor, &[0xeeu8; K_CMSGANNEXSIZE]);
        let desc = KnMsgDesc {
            flags: K_ABORTABLE,
            body_size: size as u32,
            body_addr: body,
            annex_addr: annex,
            ..KnMsgDesc::default()
        };
        let desc = self.arg(by.actor, &desc);
        Room { desc, body, annex }
    }

    /// Sends a body from the default port; the result.
    pub fn send(&mut self, by: Party, to: KnUniqueId, body: &[u8]) -> Option<i32> {
        let (letter, dest) = (self.letter(by, body), self.dest(by, to));
        self.call(by.thread, "ipcSend", &[letter, 0, dest])
    }

    /// Begins a request without time limit; where the reply goes.
    #[track_caller]
    pub fn ask(&mut self, by: Party, to: KnUniqueId, body: &[u8]) -> Room {
        let (letter, dest, room) = (self.letter(by, body), self.dest(by, to), self.room(by, 256));
        self.waits(by, "ipcCall", &[letter, 0, dest, room.desc, FOREVER]);
        room
    }

    /// Answers the current message.
    pub fn answer(&mut self, by: Party, body: &[u8]) -> Option<i32> {
        let letter = self.letter(by, body);
        self.call(by.thread, "ipcReply", &[letter])
    }

    /// Begins to wait for a message.
    #[track_caller]
    pub fn listen(&mut self, by: Party, port: i32) -> Room {
        let (room, li) = (self.room(by, 256), self.arg(by.actor, &port));
        self.waits(by, "ipcReceive", &[room.desc, li, FOREVER]);
        room
    }

    /// The body of the message that a port has; `None` when it has none.
    #[track_caller]
    pub fn take(&mut self, by: Party, port: i32) -> Option<Vec<u8>> {
        let (room, li) = (self.room(by, 256), self.arg(by.actor, &port));
        match self.call(by.thread, "ipcReceive", &[room.desc, li, 0]) {
            Some(K_ETIMEOUT) => None,
            Some(size) if size >= 0 => Some(self.bytes(by.actor, room.body, size as usize)),
            other => panic!("ipcReceive gave {other:?}"),
        }
    }

    /// Sends empty messages until a send is refused; its result.
    pub fn fill(&mut self, by: Party, to: KnUniqueId) -> Option<i32> {
        let (letter, dest) = (self.letter(by, b""), self.dest(by, to));
        loop {
            let result = self.call(by.thread, "ipcSend", &[letter, 0, dest]);
            if result != Some(K_OK) {
                return result;
            }
        }
    }

    /// Receives all messages that a port has; how many they were.
    #[track_caller]
    pub fn drain(&mut self, by: Party, port: i32) -> usize {
        let (room, li) = (self.room(by, 256), self.arg(by.actor, &port));
        let arguments = [room.desc, li, 0];
        let mut count = 0;
        loop {
            match self.call(by.thread, "ipcReceive", &arguments) {
                Some(K_ETIMEOUT) => return count,
                Some(size) if size >= 0 => count += 1,
                other => panic!("ipcReceive gave {other:?}"),
            }
        }
    }

    /// State of a thread as `threadStat` tells it to another.
    #[track_caller]
    pub fn state_of(&mut self, by: Party, of: Party) -> KnThreadStat {
        let (cap, list) = (
            self.cap_for(by, of.actor),
            self.space(by.actor, 8 * size_of::<KnThreadStat>()),
        );
        let count = self.grants(by, "threadStat", &[cap, list, 8]);
        let wanted = local_identifier(of.thread);
        (0..count as u64)
            .map(|index| list + index * size_of::<KnThreadStat>() as u64)
            .map(|at| self.peek::<KnThreadStat>(by.actor, at))
            .find(|stat| stat.li == wanted)
            .expect("the thread is not in the list")
    }
}
