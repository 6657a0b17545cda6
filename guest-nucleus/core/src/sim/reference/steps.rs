//! Steps: each a call, made in the site and said to the model.

use super::episode::*;
use super::messages::Message;
use super::model::{Expected, STRUCTURES};
use crate::executive::thread::local_identifier;
use chorus_abi::error::*;
use chorus_abi::table::number;
use chorus_abi::*;
use std::format;
use std::prelude::rust_2024::*;

impl Episode {
    pub(super) fn step(&mut self, cpu: usize, caller: usize, step: Step) -> Checked {
        let boss = Some(caller) == self.boss;
        // The boss does not wait: it sends, and lets loose.
        let op = if boss {
            [
                0, 22, 23, 24, 25, 26, 27, 28, 30, 40, 41, 42, 23, 25, 27, 39,
            ][usize::from(step.op) % 16]
        } else {
            step.op % 86
        };
        let home = self.model.threads[caller].actor;
        let (a, b, c) = (step.a, step.b, step.c);
        let number = self.made + 1;
        let model_actor = self.actor(a);
        let cap = |episode: &mut Episode, actor: usize| {
            episode.put(caller, CAP, &episode.caps[actor].clone())
        };
        match op {
            0..=3 => {
                let source = self.own_port(home, a);
                let (to, dest) = self.dest(b);
                self.tell(|| format!("{number}: from port {source} to {to:?}"));
                let (message, dest) = (
                    self.descriptor(caller, REQUEST, SENT, 0),
                    self.put(caller, DEST, &dest),
                );
                let arguments = [message, self.li(source), dest];
                // Now and then so many that a queue is full.
                for _ in 0..if op == 0 && c >= 250 {
                    K_CPORTQUEUE + 8
                } else {
                    1
                } {
                    self.model.turn = self.site.nucleus.ipc.rotation;
                    let expected = self.model.send(caller, source, to, number);
                    self.call(cpu, caller, number::ipc_send, &arguments, expected)?;
                    if self.site.nucleus.running(cpu) != Some(self.threads[caller]) {
                        break;
                    }
                }
            }
            4..=8 => {
                let source = self.own_port(home, a);
                let (to, dest) = self.dest(b);
                self.tell(|| format!("{number}: from port {source} to {to:?}"));
                let abortable = c & 1 != 0;
                let flags = if abortable { K_ABORTABLE } else { 0 };
                let (message, dest) = (
                    self.descriptor(caller, REQUEST, SENT, 0),
                    self.put(caller, DEST, &dest),
                );
                let answer = self.descriptor(caller, ANSWER, GOT, flags);
                let (delay, limit) = Episode::limit(c / 2);
                let arguments = [message, self.li(source), dest, answer, delay];
                let expected = self
                    .model
                    .call(caller, (source, to), number, abortable, limit);
                self.call(cpu, caller, number::ipc_call, &arguments, expected)?;
            }
            9..=14 => {
                let (arguments, receipt) = self.receipt(caller, (a, b, c));
                let expected = self.model.receive(caller, receipt);
                self.call(cpu, caller, number::ipc_receive, &arguments, expected)?;
            }
            15 | 16 => {
                let default = self.default_port(home).unwrap_or(0);
                let message = self.descriptor(caller, REQUEST, SENT, 0);
                let expected = self.model.reply(caller, default, number);
                self.call(cpu, caller, number::ipc_reply, &[message], expected)?;
            }
            17 | 18 => {
                let default = self.default_port(home).unwrap_or(0);
                let reply = self.descriptor(caller, REQUEST, SENT, 0);
                let ([message, li, delay], receipt) = self.receipt(caller, (a, b, c));
                let expected = match self.model.reply(caller, default, number) {
                    Expected::Returns(K_OK) => self.model.receive(caller, receipt),
                    refused => refused,
                };
                let arguments = [reply, message, li, delay];
                self.call(cpu, caller, number::ipc_reply_receive, &arguments, expected)?;
            }
            19 => {
                let current = self
                    .site
                    .nucleus
                    .threads
                    .get(self.threads[caller])
                    .and_then(|thread| thread.current.0);
                let name = current.map_or(0, local_identifier);
                let expected = self.model.save(caller, name);
                self.call(cpu, caller, number::ipc_save, &[0], expected)?;
            }
            20 | 21 => {
                let saved = &self.model.actors[home].saved;
                let name = saved
                    .get(usize::from(a) % saved.len().max(1))
                    .map_or(i32::from(b), |&(name, _)| name);
                let expected = self.model.restore(caller, name);
                self.call(cpu, caller, number::ipc_restore, &[name as u64], expected)?;
            }
            22 if boss || a % 2 == 0 => return self.pass(u64::from(c) * MS),
            22 => {
                let (limit, expected) = self.interval(caller, c);
                let expected = self.model.delay(caller, expected);
                self.call(cpu, caller, number::thread_delay, &[limit], expected)?;
            }
            23..=29 | 39 => return self.hold(cpu, caller, op, (a, b)),
            30 => {
                let wanted = [-30, -1, 0, 1, 50, 300][usize::from(b) % 6];
                let Some(other) = self.thread(a) else {
                    return Ok(());
                };
                let [cap, li] = self.name(caller, other);
                let new = self.put(caller, LI, &wanted);
                let old = self.put(caller, OLD, &0i32);
                let before = self.model.threads[other].relative;
                let expected = self.model.thread_priority(caller, other, wanted);
                let arguments = [cap, li, old, new];
                self.call(cpu, caller, number::thread_priority, &arguments, expected)?;
                if expected == Expected::Returns(K_OK) {
                    same!(self.get::<i32>(caller, OLD), before, "the priority before");
                }
            }
            31 => {
                let wanted = [-1, 90, 120, 140, 160, 256][usize::from(b) % 6];
                let cap = cap(self, model_actor);
                let new = self.put(caller, LI, &wanted);
                let old = self.put(caller, OLD, &0i32);
                let before = self.model.actors[model_actor].priority;
                let expected = self.model.actor_priority(caller, model_actor, wanted);
                let arguments = [cap, old, new];
                self.call(cpu, caller, number::actor_priority, &arguments, expected)?;
                if expected == Expected::Returns(K_OK) {
                    same!(self.get::<i32>(caller, OLD), before, "the priority before");
                }
            }
            32..=38 => return self.synchronise(cpu, caller, op, (a, c)),
            40 => {
                let alive = self.model.threads_of(model_actor).len();
                if alive >= THREADS || self.model.is_user(caller) {
                    return Ok(());
                }
                let cap = cap(self, model_actor);
                let relative = i32::from(b % 3);
                let supervisor = self.model.actors[model_actor].kind == K_SUPACTOR;
                let active = b & 0x30 != 0;
                let arguments = [
                    cap,
                    supervisor.into(),
                    if active { K_ACTIVE } else { K_INACTIVE } as u64,
                    relative as u64,
                    0x1000,
                    0x2000,
                ];
                self.made += 1;
                self.last = "threadCreate";
                let made = self
                    .site
                    .call_on(cpu, number::thread_create, &arguments)
                    .unwrap_or(K_EINVAL);
                let id = self
                    .site
                    .nucleus
                    .threads
                    .at((made & 0x1fff) as usize)
                    .filter(|_| made > 0);
                let id = id.ok_or_else(|| format!("no thread: {made}"))?;
                let at = self.note_thread(model_actor, id, relative);
                self.model.threads[at].active = active;
            }
            41 if b < 24 && !self.model.is_user(caller) && model_actor != home => {
                let kind = self.model.actors[model_actor].kind;
                let cap = cap(self, model_actor);
                self.model.kill_actor(model_actor);
                self.call(
                    cpu,
                    caller,
                    number::actor_delete,
                    &[cap],
                    Expected::Returns(K_OK),
                )?;
                self.compare(true)?;
                let actor = self.add_actor(kind, 140);
                for _ in 0..2 {
                    self.add_thread(actor);
                }
            }
            41 => {}
            56..=61 => return self.posts(cpu, caller, op, (a, b, c)),
            62..=66 => return self.inherit(cpu, caller, op, (a, c)),
            67..=71 => return self.timers(cpu, caller, op, (a, b, c)),
            72..=74 => return self.soft(cpu, caller, op, (a, b)),
            75 | 76 => return self.names(cpu, caller, op, (a, b, c)),
            77 => return self.classes(cpu, caller, (a, b, c)),
            78 => return self.readings(cpu, caller, (a, b, c)),
            79 => {
                let message = self.descriptor(caller, ANSWER, GOT, 0);
                let expected = self.model.get_data(caller);
                self.call(cpu, caller, number::ipc_get_data, &[message], expected)?;
            }
            80..=85 => return self.regions(cpu, caller, (a, b, c)),
            _ => return self.ports(cpu, caller, op, (a, b, c)),
        }
        Ok(())
    }

    /// Scheduling classes, and threads that were made inactive.
    fn classes(&mut self, cpu: usize, caller: usize, (a, b, c): (u8, u8, u8)) -> Checked {
        let Some(other) = self.thread(a) else {
            return Ok(());
        };
        let [cap, li] = self.name(caller, other);
        if b < 96 {
            let expected = self.model.activate(caller, other);
            let arguments = [cap, li];
            self.call(cpu, caller, number::thread_activate, &arguments, expected)?;
            return Ok(());
        }
        let class = i32::from(b % 5);
        let priority = match class {
            CLASS_RT => [99, 100, 115, 116, 130, 160][usize::from(c) % 6],
            _ => [-256, -45, -1, 0, 1, 2][usize::from(c) % 6],
        };
        let parameters = KnThParms {
            th_class: class,
            th_priority: priority,
            th_quantum: KnTimeVal::from_ns(MS),
        };
        let new = self.put(caller, SETTING, &parameters);
        let old = self.put(caller, REGION, &KnThParms::default());
        let thread = &self.model.threads[other];
        let before = thread.real_time.unwrap_or(thread.relative);
        let expected = self.model.scheduler(caller, other, class, priority);
        let arguments = [cap, li, old, new];
        self.call(cpu, caller, number::thread_scheduler, &arguments, expected)?;
        if expected == Expected::Returns(K_OK) {
            let old: KnThParms = self.get(caller, REGION);
            same!(old.th_priority, before, "the priority before");
        }
        Ok(())
    }

    /// Calls that hold threads, let them loose, abort and delete them.
    pub(super) fn hold(&mut self, cpu: usize, caller: usize, op: u8, (a, b): (u8, u8)) -> Checked {
        let Some(other) = self.thread(a) else {
            return Ok(());
        };
        let actor = self.model.threads[other].actor;
        let [cap, li] = self.name(caller, other);
        let (name, expected) = match op {
            23 if b < 100 => (number::thread_suspend, self.model.suspend(caller, other)),
            23 => (number::thread_resume, self.model.resume(caller, other)),
            24 | 25 if self.model.is_user(caller) => {
                // For debuggers, which are trusted.
                (number::thread_start, Expected::Returns(K_EPRIV))
            }
            24 if b < 80 => (number::thread_stop, self.model.stop(caller, other)),
            24 | 25 => (number::thread_start, self.model.start(other)),
            26 if b < 100 => (
                number::actor_stop,
                self.model.hold_actor(caller, actor, true),
            ),
            26 | 27 => (
                number::actor_start,
                self.model.hold_actor(caller, actor, false),
            ),
            28 => (number::thread_abort, self.model.abort_by(caller, other)),
            29 => {
                let aborted = self.model.consume(caller);
                (number::thread_aborted, Expected::Returns(aborted.into()))
            }
            _ if b < 60 && !self.model.may_touch(caller, other) => {
                (number::thread_delete, Expected::Returns(K_EPRIV))
            }
            _ if b < 60 => {
                self.model.kill(other);
                let seen = if other == caller {
                    Expected::Nothing
                } else {
                    Expected::Returns(K_OK)
                };
                (number::thread_delete, seen)
            }
            _ => return Ok(()),
        };
        let arguments = if name == number::actor_stop || name == number::actor_start {
            [cap, 0]
        } else {
            [cap, li]
        };
        self.call(cpu, caller, name, &arguments, expected).map(drop)
    }

    pub(super) fn synchronise(
        &mut self,
        cpu: usize,
        caller: usize,
        op: u8,
        (a, c): (u8, u8),
    ) -> Checked {
        let which = usize::from(a) % STRUCTURES;
        let actor = self.actors[self.model.threads[caller].actor];
        let semaphore = self.site.at(actor, SEMAPHORES + 8 * which as u64);
        let mutex = self.site.at(actor, MUTEXES + 8 * which as u64);
        let (name, arguments, expected) = match op {
            32 => (
                number::mutex_get,
                [mutex, 0],
                self.model.mutex_get(caller, which, false),
            ),
            33 => (
                number::mutex_try,
                [mutex, 0],
                self.model.mutex_get(caller, which, true),
            ),
            34 | 35 => (
                number::mutex_rel,
                [mutex, 0],
                self.model.mutex_release(caller, which),
            ),
            36 => {
                let (at, limit) = self.interval(caller, c);
                (
                    number::sem_p,
                    [semaphore, at],
                    self.model.semaphore_get(caller, which, limit),
                )
            }
            _ => (
                number::sem_v,
                [semaphore, 0],
                self.model.semaphore_give(caller, which),
            ),
        };
        self.call(cpu, caller, name, &arguments, expected).map(drop)
    }

    /// Calls that make, change and move ports and memberships, and that look at the current message.
    pub(super) fn ports(
        &mut self,
        cpu: usize,
        caller: usize,
        op: u8,
        (a, b, c): (u8, u8, u8),
    ) -> Checked {
        let home = self.model.threads[caller].actor;
        let actor = self.actor(a);
        let port = self.own_port(actor, b);
        let (cap, li) = (
            self.put(caller, CAP, &self.caps[actor].clone()),
            self.li(port),
        );
        let group = usize::from(c) % GROUPS as usize;
        self.tell(|| format!("with port {port} of actor {actor}, group {group}"));
        match op {
            42 | 43 => {
                let alive = self.model.ports.iter().filter(|port| port.alive).count();
                if alive >= PORTS {
                    return Ok(());
                }
                let ui = self.put(caller, UI, &KnUniqueId::NULL);
                self.made += 1;
                self.last = "portCreate";
                let li = self
                    .site
                    .call_on(cpu, number::port_create, &[cap, ui])
                    .unwrap_or(K_EINVAL);
                let ui: KnUniqueId = self.get(caller, UI);
                if li <= 0 || self.ports.iter().any(|&(other, _)| other == ui) {
                    return Err(format!("a new port with LI {li} and {ui:?}"));
                }
                self.note_port(ui, li);
                let pi = self.model.actors[home].pi;
                self.model.add_port(actor, false, pi);
            }
            44 => {
                let expected = self.model.delete_port(actor, port);
                self.call(cpu, caller, number::port_delete, &[cap, li], expected)?;
            }
            45 | 46 => {
                let priority = i32::from(c % 8) - 1;
                let expected = self.model.enable(actor, port, priority);
                self.call(
                    cpu,
                    caller,
                    number::port_enable,
                    &[cap, li, priority as u64],
                    expected,
                )?;
            }
            47 => {
                let expected = self.model.disable(actor, port);
                self.call(cpu, caller, number::port_disable, &[cap, li], expected)?;
            }
            48 | 49 => {
                let to = self.actor(c);
                let cap_to = self.put(caller, CAP_TO, &self.caps[to].clone());
                let drops = c & 0x40 != 0;
                let options = if drops { K_DROPMSG } else { K_MIGRATEMSG };
                let expected = match self.model.migrate(caller, port, (actor, to), drops) {
                    Expected::Returns(K_OK) => Expected::Returns(self.ports[port].1),
                    other => other,
                };
                self.call(
                    cpu,
                    caller,
                    number::port_migrate,
                    &[options as u64, cap, li, cap_to, 0],
                    expected,
                )?;
            }
            50 | 51 => {
                let (cap, ui) = (
                    self.put(caller, CAP, &self.groups[group].clone()),
                    self.put(caller, UI, &self.ports[port].0.clone()),
                );
                let expected = self.model.insert(group, port);
                self.call(cpu, caller, number::grp_port_insert, &[cap, ui], expected)?;
            }
            52 => {
                let (cap, ui) = (
                    self.put(caller, CAP, &self.groups[group].clone()),
                    self.put(caller, UI, &self.ports[port].0.clone()),
                );
                let expected = self.model.remove(group, port);
                self.call(cpu, caller, number::grp_port_remove, &[cap, ui], expected)?;
            }
            _ => {
                let current = self.model.threads[caller].current.clone();
                let head = self.put(caller, HEAD, &KnMsgHead::default());
                let expected = Expected::Returns(if current.is_some() { K_OK } else { K_EINVAL });
                self.call(cpu, caller, number::ipc_sys_info, &[head], expected)?;
                if let Some(Message {
                    source,
                    client,
                    to,
                    stamps,
                    ..
                }) = current
                {
                    let head: KnMsgHead = self.get(caller, HEAD);
                    same!(
                        head.src_port,
                        self.ports[source].0,
                        "source of thread {caller} of {home}'s message"
                    );
                    same!(
                        head.flags[0],
                        u8::from(client.is_some()),
                        "whether a reply is awaited"
                    );
                    same!(
                        (head.target, head.co_target),
                        self.said(to),
                        "where the message was sent to"
                    );
                    same!(
                        [head.actor_id, head.port_id],
                        stamps,
                        "the protection identifiers of the message"
                    );
                    same!(
                        (head.trans_id != 0, head.body_size),
                        (client.is_some(), 8),
                        "whether it is a transaction, and its size"
                    );
                }
            }
        }
        Ok(())
    }
}
