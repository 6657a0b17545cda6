//! Names and protection identifiers: which names a site knows, whose a message is, and what calls that only read say.

use super::episode::*;
use super::messages::To;
use super::model::{Expected, Model};
use crate::executive::thread::local_identifier;
use chorus_abi::error::*;
use chorus_abi::table::number;
use chorus_abi::*;
use std::collections::BTreeMap;
use std::prelude::rust_2024::*;

impl Model {
    /// Whether the name of a port is known here: the port is, or somebody declared it.
    pub fn knows(&self, port: usize) -> bool {
        let declared = |actor: &super::model::Actor| actor.declared.contains(&port);
        self.ports[port].alive || self.actors.iter().any(declared)
    }

    fn forget(&mut self, caller: usize, port: usize) -> Expected {
        let declared = &mut self.actors[self.threads[caller].actor].declared;
        match declared.iter().position(|&other| other == port) {
            Some(at) => declared.remove(at),
            None => return Expected::Returns(K_EINVAL),
        };
        Expected::Returns(K_OK)
    }

    /// Whether a caller may read and set a protection identifier: trusted callers that of anybody.
    fn actor_pi(&self, caller: usize, actor: usize, sets: bool) -> Expected {
        let own = self.threads[caller].actor == actor;
        Expected::Returns(match self.is_user(caller) && (sets || !own) {
            true => K_EPRIV,
            false => K_OK,
        })
    }

    fn privilege(&mut self, caller: usize, actor: usize, wanted: Option<i32>) -> Expected {
        let Some(wanted) = wanted else {
            return Expected::Returns(K_OK);
        };
        if self.is_user(caller) {
            return Expected::Returns(K_EPRIV);
        }
        let kind = &mut self.actors[actor].kind;
        if wanted != *kind && (wanted == K_SUPACTOR || *kind == K_SUPACTOR) {
            return Expected::Returns(K_EINVAL);
        }
        *kind = wanted;
        Expected::Returns(K_OK)
    }
}

impl Episode {
    /// Target and co-target as they are said.
    pub(super) fn said(&self, to: To) -> (KnUniqueId, KnUniqueId) {
        let port = |port: usize| self.ports[port].0;
        let group = |group: usize, mode| self.groups[group].ui.with_mode(mode).unwrap();
        match to {
            To::Port(at) => (port(at), KnUniqueId::NULL),
            To::Broadcast(at) => (group(at, K_BROADMODE), KnUniqueId::NULL),
            To::Functional(at) => (group(at, K_FUNCMODE), KnUniqueId::NULL),
            To::Exclusive(at, but) => (group(at, K_FUNCXMODE), port(but)),
            To::Selective(at, near) => (group(at, K_FUNCUMODE), port(near)),
        }
    }

    /// A protection identifier, or nothing.
    fn some_pi(&mut self, caller: usize, pick: u8) -> (u64, Option<KnProtId>) {
        let pi = KnProtId {
            uid: pick.into(),
            gid: 7,
            did: self.made as u16,
            pad: 0,
        };
        match pick % 4 {
            0 => (0, None),
            _ => (self.put(caller, UI, &pi), Some(pi)),
        }
    }

    /// Calls about protection identifiers, privileges and declared names.
    pub(super) fn names(
        &mut self,
        cpu: usize,
        caller: usize,
        op: u8,
        (a, b, c): (u8, u8, u8),
    ) -> Checked {
        let home = self.model.threads[caller].actor;
        let actor = self.actor(a);
        let cap = self.put(caller, CAP, &self.caps[actor].clone());
        let old = self.put(caller, OLD, &KnITimer::default());
        match op {
            75 if b < 128 => {
                let (new, wanted) = self.some_pi(caller, c);
                let expected = self.model.actor_pi(caller, actor, wanted.is_some());
                let arguments = [cap, old, new];
                self.call(cpu, caller, number::actor_pi, &arguments, expected)?;
                if expected == Expected::Returns(K_OK) {
                    let pi = &mut self.model.actors[actor].pi;
                    let before = std::mem::replace(pi, wanted.unwrap_or(*pi));
                    same!(self.get::<KnProtId>(caller, OLD), before, "the PI before");
                }
            }
            75 => {
                let (new, wanted) = self.some_pi(caller, c);
                let port = self.own_port(actor, b);
                let there = self.model.ports[port].alive && self.model.ports[port].owner == actor;
                let expected = match (self.model.is_user(caller), there) {
                    (true, _) => K_EPRIV,
                    (false, true) => K_OK,
                    (false, false) => K_EINVAL,
                };
                let arguments = [cap, self.li(port), old, new];
                let seen = Expected::Returns(expected);
                self.call(cpu, caller, number::port_pi, &arguments, seen)?;
                if expected == K_OK {
                    let pi = &mut self.model.ports[port].pi;
                    let before = std::mem::replace(pi, wanted.unwrap_or(*pi));
                    same!(self.get::<KnProtId>(caller, OLD), before, "the PI before");
                }
            }
            76 if b < 32 => {
                let wanted = [
                    None,
                    Some(K_USERACTOR),
                    Some(K_SYSTEMACTOR),
                    Some(K_SUPACTOR),
                ][usize::from(c) % 4];
                let new = wanted.map_or(0, |kind| self.put(caller, LI, &kind));
                let kind = self.model.actors[actor].kind;
                let expected = self.model.privilege(caller, actor, wanted);
                let arguments = [cap, old, new];
                self.call(cpu, caller, number::actor_privilege, &arguments, expected)?;
                if expected == Expected::Returns(K_OK) {
                    same!(self.get::<i32>(caller, OLD), kind, "the kind before");
                }
            }
            _ => {
                let port = self.port(if b & 1 == 0 { c | 0xf0 } else { c });
                let declared = &self.model.actors[home].declared;
                let port = match declared.get(usize::from(c) % declared.len().max(1)) {
                    Some(&own) if b % 8 == 2 => own,
                    _ => port,
                };
                let declared = declared.len();
                let ui = self.put(caller, UI, &self.ports[port].0.clone());
                let (name, expected) = match b % 8 {
                    0 | 1 if declared < 32 => {
                        self.model.actors[home].declared.push(port);
                        (number::ui_declare, Expected::Returns(K_OK))
                    }
                    2 | 3 => (number::ui_forget, self.model.forget(caller, port)),
                    _ => {
                        let known = self.model.knows(port).into();
                        (number::ui_is_local, Expected::Returns(known))
                    }
                };
                self.call(cpu, caller, name, &[ui], expected)?;
            }
        }
        Ok(())
    }

    /// Calls that only read, or only write what a thread keeps for itself.
    pub(super) fn readings(
        &mut self,
        cpu: usize,
        caller: usize,
        (a, b, c): (u8, u8, u8),
    ) -> Checked {
        let home = self.model.threads[caller].actor;
        let actor = self.actor(a);
        let cap = self.put(caller, CAP, &self.caps[actor].clone());
        let port = self.own_port(home, c);
        let owned = |episode: &Episode, actor: usize| {
            episode.model.ports[port].alive && episode.model.ports[port].owner == actor
        };
        let done = Expected::Returns(K_OK);
        match b % 6 {
            0 => {
                let li = Expected::Returns(local_identifier(self.threads[caller]));
                self.call(cpu, caller, number::thread_self, &[], li)?;
                let to = self.put(caller, CAP, &KnCap::default());
                self.call(cpu, caller, number::actor_self, &[to], done)?;
                same!(
                    self.get::<KnCap>(caller, CAP),
                    self.caps[home],
                    "its own capability"
                );
            }
            1 => {
                let to = self.put(caller, GOT, &0u64);
                self.call(cpu, caller, number::thread_load, &[to], done)?;
                same!(
                    self.get::<u64>(caller, GOT),
                    self.model.threads[caller].context,
                    "the context pointer"
                );
                let new = self.made.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                self.model.threads[caller].context = new;
                self.call(cpu, caller, number::thread_store, &[new], done)?;
            }
            2 => {
                let known = owned(self, home);
                let to = self.put(caller, UI, &KnUniqueId::NULL);
                let expected = Expected::Returns(if known { K_OK } else { K_EINVAL });
                self.call(cpu, caller, number::port_ui, &[to, self.li(port)], expected)?;
                if known {
                    same!(
                        self.get::<KnUniqueId>(caller, UI),
                        self.ports[port].0,
                        "name of port {port}"
                    );
                }
            }
            3 => {
                let ui = self.put(caller, UI, &self.ports[port].0.clone());
                // The LI of a default port has a number too.
                let li = match owned(self, home) {
                    true if self.model.ports[port].default => return Ok(()),
                    true => self.ports[port].1,
                    false => K_EINVAL,
                };
                self.call(cpu, caller, number::port_li, &[ui], Expected::Returns(li))?;
            }
            4 => {
                let port = self.own_port(actor, c);
                let found = &self.model.ports[port];
                let (there, received) = (found.alive && found.owner == actor, found.received);
                let to = self.put(caller, GOT, &0u64);
                let expected = match there {
                    true => Expected::Brings(K_OK, received.into()),
                    false => Expected::Returns(K_EINVAL),
                };
                let arguments = [cap, self.li(port), to];
                self.call(cpu, caller, number::port_get_seq_num, &arguments, expected)?;
            }
            _ => return self.look_at_threads(cpu, caller, actor),
        }
        Ok(())
    }

    /// `threadStat`, and whether all is there.
    fn look_at_threads(&mut self, cpu: usize, caller: usize, actor: usize) -> Checked {
        let home = self.actors[self.model.threads[caller].actor];
        let cap = self.put(caller, CAP, &self.caps[actor].clone());
        let all = self.model.threads_of(actor);
        let expected = Expected::Returns(all.len() as i32);
        let list = self.site.at(home, STAT);
        let arguments = [cap, list, all.len() as u64];
        self.call(cpu, caller, number::thread_stat, &arguments, expected)?;
        let at = |index| STAT + (index * size_of::<KnThreadStat>()) as u64;
        let found: BTreeMap<i32, KnThreadStat> = (0..all.len())
            .map(|index| self.site.get(home, at(index)))
            .map(|stat: KnThreadStat| (stat.li, stat))
            .collect();
        for thread in all {
            let Some(stat) = found.get(&local_identifier(self.threads[thread])) else {
                return Err(std::format!("threadStat leaves out thread {thread}"));
            };
            let seen = &self.model.threads[thread];
            same!(
                (stat.suspended, stat.relative),
                (seen.suspended, seen.relative),
                "what threadStat says of thread {thread}"
            );
            same!(
                (stat.state, stat.absolute),
                (self.model.state(thread), self.model.absolute(thread)),
                "state and priority of thread {thread}"
            );
            let supervisor = self.model.actors[actor].kind == K_SUPACTOR;
            same!(
                stat.privilege,
                i32::from(supervisor),
                "privilege of thread {thread}"
            );
        }
        Ok(())
    }
}
