//! What there is, as the model has it: actors, threads, their states and priorities.

use super::inheritance::RealTimeMutex;
use super::messages::{Message, Port};
use super::posts::{EventSet, ThreadSemaphore};
use super::regions::Page;
use super::soft::Soft;
use super::timers::{Pool, Timer};
use chorus_abi::error::*;
use chorus_abi::*;
use std::collections::{BTreeMap, VecDeque};
use std::prelude::rust_2024::*;

/// Semaphores of an actor, and as many structures of each other kind.
pub const STRUCTURES: usize = 2;

/// An actor. Records are never used again: a name of one that is gone stays a name of one that is gone.
#[derive(Debug)]
pub struct Actor {
    pub kind: i32,
    pub priority: i32,
    pub stopped: bool,
    pub alive: bool,
    /// Messages that it has saved, with what names them.
    pub saved: Vec<(i32, Message)>,
    /// Threads that wait for any enabled port, the longest first.
    pub any: VecDeque<usize>,
    pub semaphores: [Semaphore; STRUCTURES],
    pub mutexes: [Mutex; STRUCTURES],
    pub thread_semaphores: [ThreadSemaphore; STRUCTURES],
    pub events: [EventSet; STRUCTURES],
    pub real_time: [RealTimeMutex; STRUCTURES],
    pub pools: [Pool; STRUCTURES],
    /// Protection identifier.
    pub pi: KnProtId,
    /// Ports whose names it has declared, each as often as it did.
    pub declared: Vec<usize>,
    /// The pages of its regions.
    pub pages: BTreeMap<u64, Page>,
}

#[derive(Debug, Default)]
pub struct Semaphore {
    pub count: i32,
    pub waiters: VecDeque<usize>,
}

#[derive(Debug, Default)]
pub struct Mutex {
    pub locked: bool,
    pub waiters: VecDeque<usize>,
}

/// What a thread waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    Nothing,
    Delay,
    /// Which of its actor's.
    Mutex(usize),
    Semaphore(usize),
    ThreadSemaphore(usize),
    Events(usize),
    RealTimeMutex(usize),
    /// Timers of a pool.
    Pool(usize),
    /// For a message: at a port, or at any that is enabled.
    Receive(Option<usize>),
    /// For a reply, to this request, sent from this port.
    Call(u64, usize),
}

/// How a call that waited has ended: its result, and the number that it was told: of the body that came, flags, a cookie.
pub type Ending = (i32, Option<u64>);

#[derive(Debug)]
pub struct Thread {
    pub actor: usize,
    pub alive: bool,
    pub suspended: u32,
    pub stopped: bool,
    pub aborted: bool,
    /// It was activated.
    pub active: bool,
    pub relative: i32,
    /// Its priority in `CLASS_RT`.
    pub real_time: Option<i32>,
    /// Its context pointer.
    pub context: u64,
    pub wait: Wait,
    pub abortable: bool,
    pub deadline: Option<u64>,
    /// It receives without the body.
    pub bodiless: bool,
    pub current: Option<Message>,
    /// Expiries that it missed, told with the cookie of the timer.
    pub overrun: Option<u32>,
    /// A wait has ended and was not looked at yet.
    pub ended: Option<Ending>,
}

/// What a call does, as seen by its caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// It returns.
    Returns(i32),
    /// It returns, with a number in the body.
    Brings(i32, u64),
    /// The caller waits.
    Waits,
    /// The caller is held or gone: nothing is seen of the result.
    Nothing,
}

/// Everything.
#[derive(Debug, Default)]
pub struct Model {
    pub actors: Vec<Actor>,
    pub threads: Vec<Thread>,
    pub ports: Vec<Port>,
    /// Members of each group, the newest first.
    pub groups: Vec<VecDeque<usize>>,
    pub now: u64,
    /// Requests so far.
    pub requests: u64,
    /// Which member of a group is next.
    pub turn: usize,
    /// Times that an actor got a port.
    pub joins: u64,
    pub timers: Vec<Timer>,
    pub soft: Vec<Soft>,
    /// Soft interrupts that were triggered, the last one last.
    pub pending: Vec<usize>,
    /// What the memory of regions holds; pages that are shared show the same.
    pub cells: Vec<u64>,
}

impl Model {
    pub fn add_actor(&mut self, kind: i32, priority: i32) -> usize {
        self.actors.push(Actor {
            kind,
            priority,
            stopped: false,
            alive: true,
            saved: Vec::new(),
            any: VecDeque::new(),
            semaphores: Default::default(),
            mutexes: Default::default(),
            thread_semaphores: Default::default(),
            events: Default::default(),
            real_time: Default::default(),
            pools: Default::default(),
            pi: KnProtId::default(),
            declared: Vec::new(),
            pages: BTreeMap::new(),
        });
        self.actors.len() - 1
    }

    pub fn add_thread(&mut self, actor: usize, relative: i32) -> usize {
        self.threads.push(Thread {
            actor,
            alive: true,
            suspended: 0,
            stopped: self.actors[actor].stopped,
            aborted: false,
            active: true,
            relative,
            real_time: None,
            context: 0,
            wait: Wait::Nothing,
            abortable: false,
            deadline: None,
            bodiless: false,
            current: None,
            overrun: None,
            ended: None,
        });
        self.threads.len() - 1
    }

    pub fn threads_of(&self, actor: usize) -> Vec<usize> {
        let all = 0..self.threads.len();
        all.filter(|&at| self.threads[at].alive && self.threads[at].actor == actor)
            .collect()
    }

    /// State bits (spec 2.3).
    pub fn state(&self, at: usize) -> u32 {
        let thread = &self.threads[at];
        let bit = |set: bool, bit: u32| if set { bit } else { 0 };
        bit(thread.active, THREAD_ACTIVE)
            | bit(thread.suspended > 0, THREAD_SUSPENDED)
            | bit(thread.stopped, THREAD_STOPPED)
            | bit(thread.wait != Wait::Nothing, THREAD_WAITING)
            | bit(thread.aborted, THREAD_ABORTED)
    }

    pub fn can_run(&self, at: usize) -> bool {
        self.threads[at].alive && self.state(at) & !THREAD_ABORTED == THREAD_ACTIVE
    }

    /// Priority of a thread by itself (spec 5.1, 5.3), with a class and a relative priority.
    pub fn own(&self, at: usize, real_time: Option<i32>, relative: i32) -> i32 {
        match real_time {
            Some(priority) => 255 - priority,
            None => (self.actors[self.threads[at].actor].priority + relative).clamp(0, 255),
        }
    }

    /// Absolute priority: its own, or the best of those who wait for what it has (spec 3.3).
    pub fn absolute(&self, at: usize) -> i32 {
        let thread = &self.threads[at];
        let own = self.own(at, thread.real_time, thread.relative);
        self.heirs(at)
            .map(|heir| self.absolute(heir))
            .fold(own, i32::min)
    }

    pub fn is_user(&self, thread: usize) -> bool {
        self.actors[self.threads[thread].actor].kind == K_USERACTOR
    }

    /// Whether a caller may do something to a thread: user callers not to a supervisor's.
    pub fn may_touch(&self, by: usize, thread: usize) -> bool {
        !self.is_user(by) || self.actors[self.threads[thread].actor].kind != K_SUPACTOR
    }

    /// Whether a caller may change an actor's state: a user actor changes no trusted one but itself.
    pub fn may_change(&self, by: usize, actor: usize) -> bool {
        !self.is_user(by)
            || self.actors[actor].kind == K_USERACTOR
            || self.threads[by].actor == actor
    }

    /// A thread begins to wait.
    pub fn wait(&mut self, at: usize, wait: Wait, abortable: bool, limit: Option<u64>) -> Expected {
        let deadline = limit.map(|limit| self.now + limit);
        let thread = &mut self.threads[at];
        (thread.wait, thread.abortable, thread.deadline) = (wait, abortable, deadline);
        Expected::Waits
    }

    /// What a thread waited for has come.
    pub fn wake(&mut self, at: usize, result: i32, number: Option<u64>) {
        let thread = &mut self.threads[at];
        thread.wait = Wait::Nothing;
        thread.deadline = None;
        thread.ended = Some((result, number));
    }

    /// A thread leaves what it waits for without having got it.
    pub fn leave(&mut self, at: usize) {
        let actor = self.threads[at].actor;
        let without = |waiters: &mut VecDeque<usize>| waiters.retain(|&other| other != at);
        match self.threads[at].wait {
            Wait::Nothing | Wait::Delay | Wait::ThreadSemaphore(_) => {}
            Wait::Events(which) => {
                let waiters = &mut self.actors[actor].events[which].waiters;
                waiters.retain(|&(other, ..)| other != at);
            }
            Wait::RealTimeMutex(which) => without(&mut self.actors[actor].real_time[which].waiters),
            Wait::Pool(which) => without(&mut self.actors[actor].pools[which].waiters),
            Wait::Mutex(which) => without(&mut self.actors[actor].mutexes[which].waiters),
            Wait::Semaphore(which) => {
                let semaphore = &mut self.actors[actor].semaphores[which];
                without(&mut semaphore.waiters);
                semaphore.count += 1;
            }
            Wait::Receive(Some(port)) => without(&mut self.ports[port].waiters),
            Wait::Receive(None) => without(&mut self.actors[actor].any),
            Wait::Call(request, _) => self.withdraw(request),
        }
    }

    /// An abort: ends an abortable wait, else leaves the mark. The abort of a request is passed on to whom serves it (NC-073).
    pub fn abort(&mut self, at: usize) {
        let thread = &self.threads[at];
        let abortable = match thread.wait {
            Wait::Nothing | Wait::Mutex(_) | Wait::RealTimeMutex(_) => false,
            Wait::Delay | Wait::Semaphore(_) | Wait::ThreadSemaphore(_) => true,
            Wait::Events(_) | Wait::Pool(_) => true,
            Wait::Receive(_) | Wait::Call(..) => thread.abortable,
        };
        if !abortable {
            self.threads[at].aborted = true;
            return;
        }
        if let Wait::Call(request, _) = thread.wait {
            let serves = |thread: &&mut Thread| {
                thread
                    .current
                    .as_ref()
                    .is_some_and(|message| message.client == Some((at, request)))
            };
            if let Some(server) = self.threads.iter_mut().find(serves) {
                server.aborted = true;
            }
        }
        self.leave(at);
        self.wake(at, K_EABORT, None);
    }

    /// The mark of an abort is used up.
    pub fn consume(&mut self, at: usize) -> bool {
        std::mem::take(&mut self.threads[at].aborted)
    }

    /// Time has passed: waits end and timers expire, one after the other. `told` says which cookie a thread of an actor
    /// that waited for timers has got by now: the texts leave open whose comes first when several expire at once.
    pub fn pass(&mut self, now: u64, told: &mut dyn FnMut(usize, usize) -> u64) {
        loop {
            let waits = self.threads.iter().filter_map(|thread| thread.deadline);
            let timers = self.timers.iter().filter_map(|timer| timer.due);
            let Some(next) = waits.chain(timers).min().filter(|&due| due <= now) else {
                break;
            };
            self.now = next;
            for at in 0..self.threads.len() {
                if self.threads[at].deadline == Some(next) {
                    self.leave(at);
                    self.wake(at, K_ETIMEOUT, None);
                }
            }
            self.expire(next, told);
        }
        self.now = now;
    }

    /// A thread is deleted.
    pub fn kill(&mut self, at: usize) {
        self.leave(at);
        self.abandon(at);
        self.owner_dies(at);
        let thread = &mut self.threads[at];
        (thread.alive, thread.wait, thread.deadline, thread.ended) =
            (false, Wait::Nothing, None, None);
    }

    /// An actor is deleted.
    pub fn kill_actor(&mut self, actor: usize) {
        self.actors[actor].alive = false;
        for port in 0..self.ports.len() {
            if self.ports[port].alive && self.ports[port].owner == actor {
                self.remove_port(port);
            }
        }
        for (_, message) in std::mem::take(&mut self.actors[actor].saved) {
            self.fail(message);
        }
        for thread in self.threads_of(actor) {
            self.kill(thread);
        }
        self.timers_die(actor);
        self.soft_die(actor);
        self.actors[actor].declared.clear();
        self.actors[actor].pages.clear();
    }

    /// What a caller sees of a call that holds threads: nothing, if it is one of them.
    fn held(&self, caller: usize) -> Expected {
        if self.can_run(caller) {
            Expected::Returns(K_OK)
        } else {
            Expected::Nothing
        }
    }

    pub fn suspend(&mut self, caller: usize, other: usize) -> Expected {
        if !self.may_touch(caller, other) {
            return Expected::Returns(K_EPRIV);
        }
        self.threads[other].suspended += 1;
        self.held(caller)
    }

    pub fn resume(&mut self, caller: usize, other: usize) -> Expected {
        if !self.may_touch(caller, other) {
            return Expected::Returns(K_EPRIV);
        }
        let thread = &mut self.threads[other];
        thread.suspended = thread.suspended.saturating_sub(1);
        Expected::Returns(K_OK)
    }

    pub fn stop(&mut self, caller: usize, other: usize) -> Expected {
        self.threads[other].stopped = true;
        self.held(caller)
    }

    pub fn start(&mut self, other: usize) -> Expected {
        let stopped = std::mem::take(&mut self.threads[other].stopped);
        Expected::Returns(if stopped { K_OK } else { K_EINVAL })
    }

    /// `actorStop`, `actorStart`.
    pub fn hold_actor(&mut self, caller: usize, actor: usize, stopped: bool) -> Expected {
        if !self.may_change(caller, actor) {
            return Expected::Returns(K_EPRIV);
        }
        self.actors[actor].stopped = stopped;
        for thread in self.threads_of(actor) {
            self.threads[thread].stopped = stopped;
        }
        self.held(caller)
    }

    pub fn abort_by(&mut self, caller: usize, other: usize) -> Expected {
        let foreign = self.threads[caller].actor != self.threads[other].actor;
        if foreign && self.is_user(caller) {
            return Expected::Returns(K_EPRIV);
        }
        self.abort(other);
        Expected::Returns(K_OK)
    }

    pub fn thread_priority(&mut self, caller: usize, other: usize, relative: i32) -> Expected {
        if !self.may_touch(caller, other) {
            return Expected::Returns(K_EPRIV);
        }
        if !(-255..=255).contains(&relative) {
            return Expected::Returns(K_EINVAL);
        }
        let thread = &self.threads[other];
        let now = self.own(other, thread.real_time, thread.relative);
        let then = self.own(other, thread.real_time, relative);
        if self.is_user(caller) && then < now && then < K_USER_CEILING {
            return Expected::Returns(K_EPRIV);
        }
        self.threads[other].relative = relative;
        Expected::Returns(K_OK)
    }

    /// `threadScheduler`: a class other than `CLASS_RT` changes no priority by itself.
    pub fn scheduler(
        &mut self,
        caller: usize,
        other: usize,
        class: i32,
        priority: i32,
    ) -> Expected {
        if !self.may_touch(caller, other) {
            return Expected::Returns(K_EPRIV);
        }
        let range = match class {
            CLASS_RT => K_RT_PRIOMIN..=K_RT_PRIOMAX,
            _ => -255..=255,
        };
        if !range.contains(&priority) || !(CLASS_DEFAULT..=CLASS_RT).contains(&class) {
            return Expected::Returns(K_EINVAL);
        }
        let thread = &self.threads[other];
        let now = self.own(other, thread.real_time, thread.relative);
        let (real_time, relative) = match class {
            CLASS_RT => (Some(priority), thread.relative),
            _ => (None, priority),
        };
        let then = self.own(other, real_time, relative);
        let urgent = then < now && then < K_USER_CEILING;
        if self.is_user(caller) && (urgent || real_time.is_some()) {
            return Expected::Returns(K_EPRIV);
        }
        let thread = &mut self.threads[other];
        (thread.real_time, thread.relative) = (real_time, relative);
        Expected::Returns(K_OK)
    }

    pub fn activate(&mut self, caller: usize, other: usize) -> Expected {
        if !self.may_touch(caller, other) {
            return Expected::Returns(K_EPRIV);
        }
        self.threads[other].active = true;
        Expected::Returns(K_OK)
    }

    pub fn actor_priority(&mut self, caller: usize, actor: usize, priority: i32) -> Expected {
        if !(0..=255).contains(&priority) {
            return Expected::Returns(K_EINVAL);
        }
        let now = self.actors[actor].priority;
        let rises = priority < now && priority < K_USER_CEILING;
        if (rises && self.is_user(caller)) || !self.may_change(caller, actor) {
            return Expected::Returns(K_EPRIV);
        }
        self.actors[actor].priority = priority;
        Expected::Returns(K_OK)
    }

    pub fn delay(&mut self, caller: usize, limit: Option<u64>) -> Expected {
        if self.consume(caller) {
            return Expected::Returns(K_EABORT);
        }
        match limit {
            Some(0) => Expected::Returns(K_ETIMEOUT),
            limit => self.wait(caller, Wait::Delay, true, limit),
        }
    }
}
