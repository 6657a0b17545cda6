//! The fast path against the way that does everything: two sites see the same calls, one without the fast path, and nobody can tell them apart.

use super::site::{MEMORY, Site};
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, Wait};
use crate::nucleus::Outcome;
use alloc::vec::Vec;
use chorus_abi::*;
use proptest::prelude::*;

/// What a thread does next.
#[derive(Clone, Debug)]
enum Step {
    /// A call of a server's port: body, annex, room for a body, annex wanted, time limit.
    Call(u32, bool, u32, bool, bool),
    /// Receives at the server's port or any enabled one: room for a body, annex wanted.
    Receive(bool, u32, bool),
    /// Replies with a body and an annex, and receives.
    ReplyReceive(u32, bool, bool, u32, bool),
    /// Replies only.
    Reply(u32, bool),
    /// Suspends or resumes a thread of the other kind of actor.
    Suspend(usize, bool),
    /// The priority of an actor.
    Priority(usize, i32),
    /// A unit of the semaphore of its actor is taken, or given.
    Semaphore(bool),
    /// The default port is enabled, or a new port made.
    Enable(bool),
    /// A thread becomes one that is never sliced, or a common one.
    Class(usize, bool),
    /// Aborts a thread.
    Abort(usize),
    /// Gives way to its equals.
    GiveWay,
    /// Time passes.
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let size = || prop_oneof![4 => Just(0u32), 2 => 1u32..200, 1 => 3000u32..9000];
    let yes = any::<bool>;
    let call = (size(), yes(), size(), yes(), proptest::bool::weighted(0.1));
    let replies = (size(), yes(), yes(), size(), yes());
    prop_oneof![
        10 => call.prop_map(|(a, b, c, d, e)| Step::Call(a, b, c, d, e)),
        6 => (yes(), size(), yes()).prop_map(|(a, b, c)| Step::Receive(a, b, c)),
        10 => replies.prop_map(|(a, b, c, d, e)| Step::ReplyReceive(a, b, c, d, e)),
        2 => (size(), yes()).prop_map(|(a, b)| Step::Reply(a, b)),
        1 => (0usize..6, yes()).prop_map(|(a, b)| Step::Suspend(a, b)),
        1 => (0usize..3, 100i32..200).prop_map(|(a, b)| Step::Priority(a, b)),
        1 => (0usize..6).prop_map(Step::Abort),
        6 => prop_oneof![yes().prop_map(Step::Semaphore), Just(Step::GiveWay)],
        2 => prop_oneof![
            yes().prop_map(Step::Enable),
            (0usize..6, yes()).prop_map(|(a, b)| Step::Class(a, b)),
        ],
        1 => (0u64..200_000_000).prop_map(Step::Pass),
    ]
}

/// A site with a client actor and two servers of two threads each.
struct Scene {
    site: Site,
    actors: Vec<Id<Actor>>,
    threads: Vec<Id<Thread>>,
}

/// Pages that messages come to.
const USED: [u64; 5] = [0, 1, 8, 9, 10];
const BUFFER: u64 = 0x4000;
const OTHER_BUFFER: u64 = 0x8000;
const ANNEX: u64 = 0x1000;

impl Scene {
    fn new(cpus: usize, fast: bool) -> Scene {
        let mut site = Site::new(cpus);
        site.nucleus.without_fast_path = !fast;
        let actors: Vec<_> = [K_USERACTOR, K_SYSTEMACTOR, K_SUPACTOR]
            .map(|kind| site.actor(kind, 140))
            .into();
        let threads = actors
            .iter()
            .flat_map(|&actor| [actor, actor])
            .collect::<Vec<_>>();
        let threads: Vec<_> = threads
            .into_iter()
            .map(|actor| site.thread(actor))
            .collect();
        for &actor in &actors {
            for page in 0..MEMORY.1 / PAGE_SIZE {
                site.put(actor, page * PAGE_SIZE, &(page as u32 * 77));
            }
        }
        Scene {
            site,
            actors,
            threads,
        }
    }

    fn desc(&mut self, actor: Id<Actor>, at: u64, body: u32, buffer: u64, annex: bool) -> u64 {
        let desc = KnMsgDesc {
            body_size: body,
            body_addr: if body > 0 {
                self.site.at(actor, buffer)
            } else {
                0
            },
            annex_addr: if annex {
                self.site.at(actor, ANNEX + at)
            } else {
                0
            },
            flags: K_ABORTABLE,
            ..KnMsgDesc::default()
        };
        self.site.put(actor, at, &desc)
    }

    /// Lets the thread on a processor make its step; what the call gave.
    fn step(&mut self, cpu: usize, step: &Step) -> Option<Option<i32>> {
        if let Step::Pass(time) = step {
            self.site.pass(*time);
            return None;
        }
        let thread = self.site.nucleus.running(cpu)?;
        let actor = self.site.nucleus.threads.get(thread)?.actor;
        let server = self.actors[if actor == self.actors[1] { 2 } else { 1 }];
        let cap = |scene: &mut Scene, of: Id<Actor>| {
            let cap = scene.site.nucleus.actors.get(of).unwrap().cap;
            scene.site.put(actor, 0x500, &cap)
        };
        let forever = u64::MAX;
        Some(match *step {
            Step::Call(body, annex, room, wants, limit) => {
                let target = self.site.nucleus.actors.get(server)?.cap.ui;
                let to = KnIpcDest {
                    target,
                    co_target: KnUniqueId::NULL,
                };
                let to = self.site.put(actor, 0x100, &to);
                let request = self.desc(actor, 0x200, body, BUFFER, annex);
                let reply = self.desc(actor, 0x240, room, OTHER_BUFFER, wants);
                let delay = if limit { 50 } else { forever };
                self.site
                    .call(thread, "ipcCall", &[request, 0, to, reply, delay])
            }
            Step::Receive(any, room, wants) => {
                let msg = self.desc(actor, 0x280, room, OTHER_BUFFER, wants);
                let li = if any { K_ANYENABLED } else { K_DEFAULTPORT };
                let li = self.site.put(actor, 0x300, &li);
                self.site.call(thread, "ipcReceive", &[msg, li, forever])
            }
            Step::ReplyReceive(body, annex, any, room, wants) => {
                let reply = self.desc(actor, 0x2c0, body, BUFFER, annex);
                let msg = self.desc(actor, 0x280, room, OTHER_BUFFER, wants);
                let li = if any { K_ANYENABLED } else { K_DEFAULTPORT };
                let li = self.site.put(actor, 0x300, &li);
                self.site
                    .call(thread, "ipcReplyReceive", &[reply, msg, li, forever])
            }
            Step::Reply(body, annex) => {
                let reply = self.desc(actor, 0x2c0, body, BUFFER, annex);
                self.site.call(thread, "ipcReply", &[reply])
            }
            Step::Suspend(which, suspend) => {
                let other = self.threads[which];
                let home = self.site.nucleus.threads.get(other)?.actor;
                let (cap, li) = (
                    cap(self, home),
                    crate::executive::thread::local_identifier(other) as u64,
                );
                // A thread that suspends its whole site would leave nobody to resume it.
                if other == thread
                    || suspend
                        && self
                            .threads
                            .iter()
                            .filter(|&&at| self.site.cpu_of(at).is_some())
                            .count()
                            < 2
                {
                    return None;
                }
                let name = if suspend {
                    "threadSuspend"
                } else {
                    "threadResume"
                };
                self.site.call(thread, name, &[cap, li])
            }
            Step::Priority(which, priority) => {
                let cap = cap(self, self.actors[which]);
                let new = self.site.put(actor, 0x540, &priority);
                self.site.call(thread, "actorPriority", &[cap, 0, new])
            }
            Step::Semaphore(take) => {
                let at = self.site.at(actor, 0x380);
                if take {
                    self.site.call(thread, "semP", &[at, 0])
                } else {
                    self.site.call(thread, "semV", &[at])
                }
            }
            Step::Enable(enable) => {
                let cap = cap(self, actor);
                let li = u64::from(K_DEFAULTPORT.cast_unsigned());
                if enable {
                    self.site.call(thread, "portEnable", &[cap, li, 7])
                } else {
                    let ui = self.site.at(actor, 0x600);
                    self.site.call(thread, "portCreate", &[cap, ui])
                }
            }
            Step::Class(which, fifo) => {
                let other = self.threads[which];
                let home = self.site.nucleus.threads.get(other)?.actor;
                let li = crate::executive::thread::local_identifier(other) as u64;
                let cap = cap(self, home);
                let class = KnThParms {
                    th_class: if fifo { CLASS_FIFO } else { CLASS_DEFAULT },
                    ..KnThParms::default()
                };
                let class = self.site.put(actor, 0x560, &class);
                self.site
                    .call(thread, "threadScheduler", &[cap, li, 0, class])
            }
            Step::Abort(which) => {
                let other = self.threads[which];
                let home = self.site.nucleus.threads.get(other)?.actor;
                let li = crate::executive::thread::local_identifier(other) as u64;
                let cap = cap(self, home);
                self.site.call(thread, "threadAbort", &[cap, li])
            }
            Step::GiveWay => {
                let limit = self.site.put(actor, 0x5a0, &KnTimeVal::default());
                self.site.call(thread, "threadDelay", &[limit])
            }
            Step::Pass(_) => return None,
        })
    }

    /// Everything of the threads that anybody can see.
    fn threads(&self) -> Vec<(Wait, i32, Option<usize>, bool, u32)> {
        let threads = self.threads.iter().filter_map(|&id| {
            let thread = self.site.nucleus.threads.get(id)?;
            let port = self.site.nucleus.actors.get(thread.actor)?.default_port?;
            let sequence = self.site.nucleus.ipc.ports.get(port)?.sequence;
            // A dormant message is as good as none.
            let serves = thread.current.0.is_some() && !thread.receive.plain;
            Some((thread.wait, thread.result, thread.cpu, serves, sequence))
        });
        threads.collect()
    }

    /// The memory of the actors, as far as messages come to it.
    fn memory(&mut self) -> Vec<u8> {
        let mut memory = Vec::new();
        for actor in self.actors.clone() {
            for page in USED {
                memory.extend(self.site.get::<[u8; 4096]>(actor, page * PAGE_SIZE));
            }
        }
        memory
    }
}

/// A server that waits, a client that runs, and what they say again and again.
struct Talk {
    scene: Scene,
    client: Id<Thread>,
    server: Id<Thread>,
    call: [u64; 6],
    reply: [u64; 6],
}

impl Talk {
    fn new() -> Talk {
        let mut scene = Scene::new(1, true);
        let (server, client) = (scene.threads[2], scene.threads[0]);
        // Only one thread of each actor goes on.
        for &other in &[1, 3, 4, 5] {
            let other = scene.threads[other];
            scene.site.nucleus.entered = None;
            scene.site.nucleus.kill_thread(other);
        }
        scene.site.settle();
        let forever = u64::MAX;
        let [home, serving] = [scene.actors[0], scene.actors[1]];
        let target = scene.site.nucleus.actors.get(serving).unwrap().cap.ui;
        let to = KnIpcDest {
            target,
            co_target: KnUniqueId::NULL,
        };
        let to = scene.site.put(home, 0x100, &to);
        let request = scene.desc(home, 0x200, 0, BUFFER, true);
        let answers = scene.desc(home, 0x240, 100, OTHER_BUFFER, true);
        let answer = scene.desc(serving, 0x2c0, 0, BUFFER, true);
        let room = scene.desc(serving, 0x280, 100, OTHER_BUFFER, true);
        let li = scene.site.put(serving, 0x300, &K_DEFAULTPORT);
        while scene.site.cpu_of(server).is_none() {
            let at = scene.site.at(home, 0x700);
            scene.site.call(client, "threadDelay", &[at]);
        }
        let received = scene.site.call(server, "ipcReceive", &[room, li, forever]);
        assert_eq!(received, None);
        Talk {
            scene,
            client,
            server,
            call: [request, 0, to, answers, forever, 0],
            reply: [answer, room, li, forever, 0, 0],
        }
    }

    fn enter(&mut self, name: &str, arguments: [u64; 6]) -> Outcome {
        let number = usize::from(table::by_name(name).unwrap().number);
        self.scene.site.enter(0, number, &arguments)
    }

    /// What the two say from now on has bodies of these sizes, and annexes or none.
    fn say(&mut self, request: u32, reply: u32, annexes: bool) {
        let [home, serving] = [self.scene.actors[0], self.scene.actors[1]];
        self.scene.desc(home, 0x200, request, BUFFER, annexes);
        self.scene.desc(serving, 0x2c0, reply, BUFFER, annexes);
    }

    /// There and back; how many of the two calls were a conversation.
    fn round(&mut self) -> u64 {
        self.round_with(0)
    }

    /// The same with what the client's call returns.
    fn round_with(&mut self, size: i32) -> u64 {
        let before = self.scene.site.passed;
        let (client, server) = (self.client.index() as u32, self.server.index() as u32);
        assert_eq!(
            self.enter("ipcCall", self.call),
            Outcome::HandedOver(server)
        );
        super::invariants::check(&self.scene.site.nucleus);
        let replied = self.enter("ipcReplyReceive", self.reply);
        assert_eq!(replied, Outcome::HandedOver(client));
        super::invariants::check(&self.scene.site.nucleus);
        assert_eq!(self.scene.site.result(self.client), Some(size));
        self.scene.site.passed - before
    }
}

#[test]
fn a_plain_round_trip_takes_the_fast_path_and_then_is_a_conversation() {
    let mut talk = Talk::new();
    assert_eq!(talk.round(), 0);
    assert_eq!((talk.round(), talk.round()), (2, 2));
    let messages = talk.scene.site.nucleus.ipc.messages.len();
    assert_eq!((messages, talk.scene.site.nucleus.ipc.dormant()), (1, 1));
    talk.scene.site.end();
}

#[test]
fn a_conversation_ends_when_somebody_rearranges_things() {
    let mut talk = Talk::new();
    let [home, serving] = [talk.scene.actors[0], talk.scene.actors[1]];
    let caps = [home, serving].map(|of| talk.scene.site.nucleus.actors.get(of).unwrap().cap);
    let own = talk.scene.site.put(home, 0x500, &caps[0]);
    let other = talk.scene.site.put(home, 0x520, &caps[1]);
    let server = crate::executive::thread::local_identifier(talk.server) as u64;
    let relative = talk.scene.site.put(home, 0x544, &1);
    let ui = talk.scene.site.at(home, 0x600);
    let mask = |li: i32| u64::from(li.cast_unsigned());
    let steps: [(&str, [u64; 4]); 5] = [
        ("portCreate", [own, ui, 0, 0]),
        ("threadPriority", [own, mask(K_MYSELF), 0, relative]),
        ("threadSuspend", [other, server, 0, 0]),
        ("threadResume", [other, server, 0, 0]),
        ("portDisable", [own, 0, 0, 0]),
    ];
    for (name, arguments) in steps {
        talk.round();
        assert_eq!(talk.round(), 2, "before {name}");
        if name == "threadSuspend" {
            // It cannot take over: the call is queued, and the server finds it when it goes on.
            let done = talk.scene.site.call(talk.client, name, &arguments);
            assert_eq!(done, Some(K_OK));
            super::invariants::check(&talk.scene.site.nucleus);
            let resumed = talk
                .scene
                .site
                .call(talk.client, "threadResume", &arguments);
            assert_eq!(resumed, Some(K_OK));
        } else {
            talk.scene.site.call(talk.client, name, &arguments);
        }
        super::invariants::check(&talk.scene.site.nucleus);
        assert!(talk.round() < 2, "after {name}");
    }
    // A page that comes back forbids stores: the annex of the reply has no place.
    talk.round();
    assert_eq!(talk.round(), 2);
    let page = talk.scene.site.at(home, 0x1000);
    let space = talk.scene.site.nucleus.actors.get(home).unwrap().space;
    let machine = &mut talk.scene.site.nucleus.machine;
    crate::machine::Machine::forbid_stores(machine, space, page, page + PAGE_SIZE);
    super::invariants::check(&talk.scene.site.nucleus);
    let before = talk.scene.site.passed;
    talk.scene
        .site
        .call(talk.client, "ipcCall", &talk.call.clone());
    assert_eq!(talk.scene.site.passed, before);
    talk.scene.site.end();
}

#[test]
fn a_body_of_at_most_a_page_or_another_annex_ends_no_conversation() {
    let mut talk = Talk::new();
    let [home, serving] = [talk.scene.actors[0], talk.scene.actors[1]];
    talk.round();
    assert_eq!(talk.round(), 2);
    let message = |talk: &Talk| {
        let nucleus = &talk.scene.site.nucleus;
        let current = nucleus.threads.get(talk.server).unwrap().current.0;
        let message = nucleus.ipc.messages.get(current.unwrap()).unwrap();
        (message.body_size, message.has_annex)
    };
    for (request, reply, annexes) in [
        (64, 0, true),
        (64, 0, true),
        (0, 0, true),
        (0, 64, true),
        (0, 0, false),
        (100, 100, false),
        (200, 100, true),
        (0, 0, true),
    ] {
        talk.say(request, reply, annexes);
        let sent: [u8; 200] = core::array::from_fn(|at| (at as u32 + request + reply) as u8);
        talk.scene.site.put(home, BUFFER, &sent);
        talk.scene.site.put(serving, BUFFER, &sent);
        for actor in [home, serving] {
            talk.scene.site.put(actor, OTHER_BUFFER, &[0u8; 200]);
        }
        let what = (request, reply, annexes);
        assert_eq!(talk.round_with(reply as i32), 2, "{what:?}");
        assert_eq!(message(&talk), (request, annexes), "{what:?}");
        for (actor, size) in [(serving, request), (home, reply)] {
            // There is room for 100.
            let got: [u8; 200] = talk.scene.site.get(actor, OTHER_BUFFER);
            let size = size.min(100) as usize;
            assert_eq!(got[..size], sent[..size], "{what:?}");
            assert!(got[size..].iter().all(|&byte| byte == 0), "{what:?}");
        }
    }
    // What has more than a page, or moves one, is no conversation.
    talk.say(5000, 0, true);
    assert_eq!(talk.round(), 0);
    talk.scene.site.end();
}

#[test]
fn equals_give_way_to_each_other() {
    let mut scene = Scene::new(1, true);
    let actor = scene.actors[0];
    let limit = scene.site.put(actor, 0x5a0, &KnTimeVal::default());
    for &other in &[2, 3, 4, 5] {
        let other = scene.threads[other];
        scene.site.nucleus.entered = None;
        scene.site.nucleus.kill_thread(other);
    }
    scene.site.settle();
    let pair = [scene.threads[0], scene.threads[1]];
    let runs = |scene: &Scene| pair.map(|thread| scene.site.cpu_of(thread).is_some());
    let first = runs(&scene);
    assert_ne!(first[0], first[1]);
    for round in 0..6 {
        let before = runs(&scene);
        let switches = scene.site.nucleus.statistics().switches;
        let at = before.iter().position(|&on| on).unwrap();
        let said = scene.site.call(pair[at], "threadDelay", &[limit]);
        assert_eq!(said, Some(KError::Timeout.code()));
        assert_eq!(runs(&scene), [!before[0], !before[1]], "round {round}");
        assert_eq!(scene.site.nucleus.statistics().switches, switches + 1);
        super::invariants::check(&scene.site.nucleus);
    }
    scene.site.end();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nobody_can_tell_the_fast_path_from_the_other(
        cpus in 1usize..4,
        steps in proptest::collection::vec((0usize..3, step()), 0..120),
    ) {
        let mut scenes = [true, false].map(|fast| Scene::new(cpus, fast));
        for (number, (cpu, step)) in steps.iter().enumerate() {
            let [one, other] = &mut scenes;
            prop_assert_eq!(one.step(cpu % cpus, step), other.step(cpu % cpus, step), "{:?}", step);
            prop_assert_eq!(one.threads(), other.threads(), "{:?}", step);
            super::invariants::check(&one.site.nucleus);
            if number % 8 == 0 || number + 1 == steps.len() {
                prop_assert!(one.memory() == other.memory(), "the memory differs after {:?}", step);
            }
        }
        let fast = scenes[0].site.nucleus.statistics().messages;
        prop_assert_eq!(fast, scenes[1].site.nucleus.statistics().messages);
        scenes.iter_mut().for_each(|scene| scene.site.end());
    }
}
