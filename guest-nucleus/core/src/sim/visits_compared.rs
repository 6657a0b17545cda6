//! Random visits on some processors against the way that does everything: results, states, memory and counts are the same.

use super::exceptions::ROUTINE;
use super::invariants;
use super::scene::Party;
use super::visits::{DEST, INTO_BODY, LETTERS, SCRATCH, Talk};
use crate::executive::actor::End;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 192, ..ProptestConfig::default() })]
    #[test]
    fn nobody_can_tell_a_visit_from_the_way_that_does_everything(
        steps in proptest::collection::vec((0u8..44, 0usize..3, 0usize..3), 0..120),
    ) {
        let mut talks = [true, false].map(Talk::new);
        for (number, &step) in steps.iter().enumerate() {
            let [one, other] = &mut talks;
            prop_assert_eq!(one.step(step), other.step(step), "{:?}", step);
            // Looking at memory may make records: not each time.
            if number % 4 == 0 || step.0 > 20 {
                prop_assert_eq!(one.seen(), other.seen(), "{:?}", step);
            }
        }
        talks.into_iter().for_each(|talk| talk.scene.end());
    }
}

impl Talk {
    /// Everything of the clients and their port that anybody can see.
    fn seen(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        let parties = [self.clients[0], self.clients[1], self.clients[2]];
        for party in parties.into_iter().chain([self.scene.server]) {
            let site = &mut self.scene.site;
            let thread = site.nucleus.threads.get(party.thread).map(|thread| {
                let waits = (thread.state(), thread.suspended, thread.cpu, thread.dying);
                (waits, thread.ending)
            });
            let does = thread.map(|_| (site.result(party.thread), site.is_inside(party.thread)));
            let memory = site.nucleus.actors.get(party.actor).is_some().then(|| {
                let at = site.at(party.actor, INTO_BODY);
                site.bytes(party.actor, at, 0x140)
            });
            seen.push(format!("{thread:?} {does:?} {memory:?}"));
        }
        let nucleus = &self.scene.site.nucleus;
        let ports = nucleus.ipc.ports.iter();
        seen.extend(ports.map(|(_, port)| {
            format!(
                "port {:?} {} {}",
                port.owner.index(),
                port.sequence,
                port.queued
            )
        }));
        let counted = (nucleus.counters.messages, nucleus.counters.calls);
        seen.push(format!("{counted:?} {}", nucleus.actors.len()));
        seen
    }

    /// One step of one client; what its call gave, if it made one.
    fn step(&mut self, (what, which, kind): (u8, usize, usize)) -> Option<Option<i32>> {
        let (client, server, other) = (self.clients[which], self.scene.server, self.scene.other);
        let inside = self.scene.site.is_inside(client.thread);
        let alive = self.runs(client) && (!inside || self.works_for_server(client));
        let free = |talk: &Talk, by: Party| talk.runs(by) && !talk.scene.is_inside(by);
        let control = if which == 1 { self.clients[0] } else { other };
        let controls = free(self, control) && control.thread != client.thread;
        let gives = match what {
            0..=12 if alive && !inside => self.call(client, client, kind),
            0..=3 if alive => self.call(client, server, kind),
            13..=20 if alive && inside => self.inside(which, "svMsgHdlReply", LETTERS[kind]),
            21..=30 if alive && inside => {
                self.scene.site.back(client.thread, 0);
                self.scene.check();
                self.scene.site.nucleus.threads.get(client.thread)?;
                self.scene.site.result(client.thread)
            }
            31 if alive && inside => self.inside(which, "ipcSysInfo", SCRATCH),
            32..=37 if controls => {
                let calls = [
                    "threadAbort",
                    "threadSuspend",
                    "threadResume",
                    "threadStop",
                    "threadStart",
                    "threadDelete",
                ];
                self.scene.site.nucleus.threads.get(client.thread)?;
                let arguments = self.scene.site.name(control.actor, client.thread);
                let name = calls[usize::from(what - 32)];
                if name == "threadDelete" && kind > 0 {
                    return None;
                }
                let result = self.scene.site.call(control.thread, name, &arguments);
                self.scene.check();
                result
            }
            38 if free(self, server) => {
                let routine = if kind == 0 { 0 } else { ROUTINE };
                self.scene.connect(routine)
            }
            39 => {
                self.scene.site.pass(30_000_000);
                self.scene.site.settle();
                self.scene.check();
                return None;
            }
            40 if alive && inside && kind == 0 => {
                self.scene.site.exception(client.thread, 7, 0);
                self.scene.check();
                return None;
            }
            41 if kind == 0 && self.scene.site.nucleus.actors.get(server.actor).is_some() => {
                self.scene.site.whole().entered = None;
                self.scene
                    .site
                    .nucleus
                    .kill_actor(server.actor, End::default());
                self.scene.site.settle();
                self.scene.check();
                return None;
            }
            42 if free(self, server) => {
                let threads = &self.scene.site.nucleus.threads;
                let serves = |name: [u8; 16]| name == *b"message handler\0";
                let worker = threads.iter().find(|(_, it)| serves(it.name))?.0;
                let worker = Party {
                    thread: worker,
                    ..server
                };
                match self.runs(worker) {
                    true if self.scene.is_inside(worker) => {
                        self.scene.site.back(worker.thread, 0);
                        None
                    }
                    true => {
                        let li = self.scene.port.0 as u64;
                        self.scene.site.call(worker.thread, "svMsgServe", &[li])
                    }
                    false => None,
                }
            }
            43 if alive => {
                let home = if inside { server } else { client };
                let at = |offset| self.scene.site.at(home.actor, offset);
                let arguments = [at(LETTERS[kind]), 0, at(DEST)];
                self.scene.site.call(client.thread, "ipcSend", &arguments)
            }
            _ => return None,
        };
        invariants::check(&self.scene.site.nucleus);
        Some(gives)
    }

    fn works_for_server(&self, client: Party) -> bool {
        self.scene.site.works_in(client.thread) == Some(self.scene.server.actor)
    }
}
