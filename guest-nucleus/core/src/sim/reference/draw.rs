//! What the numbers of a step stand for: which actor, thread, port, destination, time limit.

use super::episode::*;
use super::messages::To;
use crate::executive::thread::local_identifier;
use chorus_abi::*;
use std::prelude::rust_2024::*;

impl Episode {
    /// One of the actors that are, the boss' excepted.
    pub(super) fn actor(&self, pick: u8) -> usize {
        let all = (0..self.model.actors.len()).filter(|&at| self.model.actors[at].alive);
        let all: Vec<usize> = all
            .filter(|&at| {
                self.boss
                    .is_none_or(|boss| self.model.threads[boss].actor != at)
            })
            .collect();
        all[usize::from(pick) % all.len()]
    }

    /// One of the threads that are, the boss excepted.
    pub(super) fn thread(&self, pick: u8) -> Option<usize> {
        let all = (0..self.threads.len())
            .filter(|&at| self.model.threads[at].alive && Some(at) != self.boss);
        let all: Vec<usize> = all.collect();
        (!all.is_empty()).then(|| all[usize::from(pick) % all.len()])
    }

    /// A port: most often one that is.
    pub(super) fn port(&self, pick: u8) -> usize {
        let stale = pick >= 240;
        let all = (0..self.ports.len()).filter(|&at| stale != self.model.ports[at].alive);
        let all: Vec<usize> = all.collect();
        if all.is_empty() {
            0
        } else {
            all[usize::from(pick) % all.len()]
        }
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
        let all = (0..self.ports.len())
            .filter(|&at| self.model.ports[at].alive && self.model.ports[at].owner == actor);
        let all: Vec<usize> = all.collect();
        all[usize::from(pick) % all.len()]
    }

    pub(super) fn dest(&self, pick: u8) -> (To, KnIpcDest) {
        let group = usize::from(pick) % GROUPS as usize;
        let mode = |mode| self.groups[group].ui.with_mode(mode).unwrap();
        let (to, target, co_target) = match pick % 16 {
            0 => (To::Broadcast(group), mode(K_BROADMODE), KnUniqueId::NULL),
            1 | 2 => (To::Functional(group), mode(K_FUNCMODE), KnUniqueId::NULL),
            3 => {
                let but = self.port(pick / 2);
                (
                    To::Exclusive(group, but),
                    mode(K_FUNCXMODE),
                    self.ports[but].0,
                )
            }
            _ => {
                let port = self.port(pick);
                (To::Port(port), self.ports[port].0, KnUniqueId::NULL)
            }
        };
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
        let desc = KnMsgDesc {
            flags,
            body_size: 8,
            body_addr,
            ..KnMsgDesc::default()
        };
        self.put(caller, offset, &desc)
    }

    /// Arguments of `ipcReceive`, and what they say: port, whether it is abortable, time limit.
    #[allow(
        clippy::type_complexity,
        reason = "three registers and their three meanings"
    )]
    pub(super) fn receipt(
        &mut self,
        caller: usize,
        (a, b, c): (u8, u8, u8),
    ) -> (u64, u64, u64, Option<usize>, bool, Option<u64>) {
        let home = self.model.threads[caller].actor;
        let abortable = b & 1 != 0;
        let flags = if abortable { K_ABORTABLE } else { 0 };
        let message = self.descriptor(caller, ANSWER, GOT, flags);
        let port = (b & 6 != 0).then(|| self.own_port(home, a));
        let li = port.map_or(K_ANYENABLED, |port| self.ports[port].1);
        let li = self.put(caller, LI, &li);
        let (delay, limit) = Episode::limit(c);
        (message, li, delay, port, abortable, limit)
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
