//! What the numbers of a step stand for: which actor, thread, port, destination, time limit.

use super::episode::*;
use super::messages::{Receipt, To};
use crate::executive::thread::local_identifier;
use chorus_abi::*;
use std::prelude::rust_2024::*;

/// One of several, by a number.
pub(super) fn one(all: impl Iterator<Item = usize> + Clone, pick: u8) -> Option<usize> {
    let count = all.clone().count();
    all.clone().nth(usize::from(pick).checked_rem(count)?)
}

impl Episode {
    /// One of the actors that are, the boss' excepted.
    pub(super) fn actor(&self, pick: u8) -> usize {
        let boss = self.boss.map(|boss| self.model.threads[boss].actor);
        let is = |&at: &usize| self.model.actors[at].alive && Some(at) != boss;
        one((0..self.model.actors.len()).filter(is), pick).unwrap_or(0)
    }

    /// One of the threads that are, the boss excepted.
    pub(super) fn thread(&self, pick: u8) -> Option<usize> {
        let is = |&at: &usize| self.model.threads[at].alive && Some(at) != self.boss;
        one((0..self.threads.len()).filter(is), pick)
    }

    /// A port: most often one that is.
    pub(super) fn port(&self, pick: u8) -> usize {
        let is = |&at: &usize| (pick >= 240) != self.model.ports[at].alive;
        one((0..self.ports.len()).filter(is), pick).unwrap_or(0)
    }

    /// A port of an actor, most often. The LI of a default port means that of whoever says it.
    pub(super) fn own_port(&self, actor: usize, pick: u8) -> usize {
        if pick >= 236 {
            let port = self.port(pick);
            let own = self
                .default_port(actor)
                .filter(|_| self.model.ports[port].default);
            return own.unwrap_or(port);
        }
        let is = |&at: &usize| self.model.ports[at].alive && self.model.ports[at].owner == actor;
        one((0..self.ports.len()).filter(is), pick).unwrap_or(0)
    }

    pub(super) fn dest(&self, pick: u8) -> (To, KnIpcDest) {
        let group = usize::from(pick) % GROUPS as usize;
        let to = match pick % 16 {
            0 => To::Broadcast(group),
            1 | 2 => To::Functional(group),
            3 => To::Exclusive(group, self.port(pick / 2)),
            4 => To::Selective(group, self.port(if pick >= 128 { 255 } else { pick })),
            _ => To::Port(self.port(pick)),
        };
        let (target, co_target) = self.said(to);
        (to, KnIpcDest { target, co_target })
    }

    /// A time limit in milliseconds, as the message calls have it, and what it says.
    pub(super) fn limit(pick: u8) -> (u64, Option<u64>) {
        match pick % 8 {
            0 => (0, Some(0)),
            1..=3 => (u64::from(pick), Some(u64::from(pick) * MS)),
            _ => (u64::MAX, None),
        }
    }

    /// The same as a pointer.
    pub(super) fn interval(&mut self, caller: usize, pick: u8) -> (u64, Option<u64>) {
        let (_, limit) = Episode::limit(pick);
        let at = limit.map_or(0, |limit| {
            self.put(caller, LIMIT, &KnTimeVal::from_ns(limit))
        });
        (at, limit)
    }

    pub(super) fn descriptor(&mut self, caller: usize, offset: u64, body: u64, flags: u32) -> u64 {
        let body_addr = self.put(
            caller,
            body,
            &self
                .made
                .wrapping_add(1)
                .wrapping_mul(u64::from(body == SENT)),
        );
        let body_addr = if body == NOWHERE { 0 } else { body_addr };
        let desc = KnMsgDesc {
            flags,
            body_size: 8,
            body_addr,
            ..KnMsgDesc::default()
        };
        self.put(caller, offset, &desc)
    }

    /// Arguments of `ipcReceive`, and what they say.
    pub(super) fn receipt(
        &mut self,
        caller: usize,
        (a, b, c): (u8, u8, u8),
    ) -> ([u64; 3], Receipt) {
        let home = self.model.threads[caller].actor;
        let abortable = b & 1 != 0;
        let flags = if abortable { K_ABORTABLE } else { 0 };
        let bodiless = b & 0x38 == 0x38;
        let body = if bodiless { NOWHERE } else { GOT };
        let message = self.descriptor(caller, ANSWER, body, flags);
        let port = (b & 6 != 0).then(|| self.own_port(home, a));
        let li = port.map_or(K_ANYENABLED, |port| self.ports[port].1);
        let li = self.put(caller, LI, &li);
        let (delay, limit) = Episode::limit(c);
        let receipt = Receipt {
            port,
            abortable,
            bodiless,
            limit,
        };
        ([message, li, delay], receipt)
    }

    pub(super) fn li(&self, port: usize) -> u64 {
        self.ports[port].1 as u64
    }

    pub(super) fn default_port(&self, actor: usize) -> Option<usize> {
        (0..self.ports.len()).find(|&at| {
            self.model.ports[at].default
                && self.model.ports[at].alive
                && self.model.ports[at].owner == actor
        })
    }

    /// A thread by its actor's capability and its LI.
    pub(super) fn name(&mut self, caller: usize, other: usize) -> [u64; 2] {
        let cap = self.caps[self.model.threads[other].actor];
        [
            self.put(caller, CAP, &cap),
            local_identifier(self.threads[other]) as u64,
        ]
    }
}
