//! Threads: their state, and the calls that make, stop and describe them (spec 2.3, 3.2).

use crate::arena::{Id, Working};
use crate::executive::actor::Actor;
use crate::executive::classes::{Class, WHOLE_SLICE};
use crate::executive::events::EventWait;
use crate::executive::inheritance::{NOBODY, RealTimeWait};
use crate::executive::timers::PoolWait;
use crate::ipc::{CallWait, Current, Port, ReceiveWait, Seat, Standing, Way};
use crate::machine::{Cpu, Machine, Space, Start};
use crate::memory::{LockWait, Request};
use crate::nucleus::{Caller, Nucleus, Outcome};
use crate::supervisor::{Invocation, NameWait, Point};
use chorus_abi::table::Privilege;
use chorus_abi::*;
use core::ops::{Deref, DerefMut};

/// What a thread waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Nothing: it is not waiting.
    None,
    /// Its delay.
    Delay,
    /// A mutex, by the physical place of its structure.
    Mutex(u64),
    /// A semaphore: physical place, and address in the thread's space for undoing.
    Semaphore(u64, u64),
    /// The post of its thread semaphore, by the physical place of its structure.
    ThreadSemaphore(u64),
    /// Event flags.
    Events(EventWait),
    /// A real-time mutex.
    RealTimeMutex(RealTimeWait),
    /// That a timer of a pool expires.
    TimerPool(PoolWait),
    /// A message, as `Thread::receive` says.
    Receive,
    /// A reply, as `Thread::call` says.
    Call,
    /// A message for the handler of a port.
    Serve(Id<Port>),
    /// Work for the Network Manager.
    NetworkManager,
    /// That a port has moved to another site, or does not.
    Migration(Id<Port>),
    /// A device interrupt.
    Device(u32),
    /// That a thread is on no processor, or gone.
    Off(Id<Thread>),
    /// That no thread of an actor is on a processor.
    Still(Id<Actor>),
    /// That an actor is gone.
    Gone(Id<Actor>),
    /// That nobody is inside a point.
    Point(Id<Point>),
    /// That no thread that trapped is inside a point.
    Trap(Id<Point>, u32),
    /// A LAP of a name.
    Name(NameWait),
    /// That no page of a range is locked.
    Unlocked(LockWait),
    /// The answer of a segment's mapper.
    Mapper(Id<Request>),
    /// That all has gone that its call made go; the call's result.
    Going(i32),
    /// For ever: the site ends.
    Halt,
}

impl Wait {
    /// Physical place of the structure in user memory that it is for.
    pub(crate) fn structure(&self) -> Option<u64> {
        match *self {
            Wait::Mutex(place) | Wait::Semaphore(place, _) | Wait::ThreadSemaphore(place) => {
                Some(place)
            }
            Wait::Events(wait) => Some(wait.place),
            Wait::RealTimeMutex(wait) => Some(wait.place),
            Wait::TimerPool(wait) => Some(wait.place),
            _ => None,
        }
    }
}

/// A thread.
pub struct Thread {
    /// Home.
    pub actor: Id<Actor>,
    /// Space in force while it runs.
    pub space: Space,
    /// Runs in supervisor mode.
    pub supervisor: bool,
    /// The supervisor actor whose code it runs, if that is not its home.
    pub works_for: Option<Id<Actor>>,
    /// `threadActivate` was applied, or it was created active.
    pub active: bool,
    /// Its actor was stopped, or it was.
    pub stopped: bool,
    /// Suspend counter.
    pub suspended: u32,
    /// An abort is not yet consumed.
    pub aborted: bool,
    /// It is being deleted: it runs no more.
    pub dying: bool,
    /// The innermost handler or LAP of another actor that it is inside.
    pub inside: Option<Id<Invocation>>,
    /// It dies when it has come out of the last.
    pub ending: bool,
    /// Somebody waits for it to leave its processor.
    pub watched: bool,
    /// Priority relative to the actor's.
    pub relative: i32,
    /// How it is scheduled among its equals, and whether its priority is relative.
    pub class: Class,
    /// Best priority of the threads that wait for a real-time mutex of it; 256: none does.
    pub inherited: i32,
    /// The only processor that it may run on.
    pub bound: Option<Cpu>,
    /// Name.
    pub name: [u8; 16],
    /// Context pointer (`threadLoad`).
    pub context: u64,
    /// Where it is in its work; reached as if it were the thread's own.
    pub progress: Progress,
}

/// What changes as a thread works. All else of a thread changes only when somebody rearranges things, which is what conversations rely on (`ipc/conversation.rs`).
pub struct Progress {
    /// The machine's word for its context.
    pub context: u64,
    /// What it waits for.
    pub wait: Wait,
    /// What it said when it last waited for a message ([`Progress::receives`]).
    pub receive: ReceiveWait,
    /// What it said when it last waited for a reply ([`Progress::calls`]).
    pub call: CallWait,
    /// Result of the call that it waited in.
    pub result: i32,
    /// Processor that it is on.
    pub cpu: Option<Cpu>,
    /// Processor that it ran on last.
    pub last_cpu: Cpu,
    /// Processor time, in ticks of the machine; less the time when it was put there while it is on a processor.
    pub cpu_time: u64,
    /// Rest of its time slice in nanoseconds; more than a slice is a whole one.
    pub quantum: u64,
    /// Its current message.
    pub current: Current,
    /// What it found out about itself when it last called, or waited for a message, on the fast path.
    pub standing: Standing,
    /// The way that its last call on the fast path took.
    pub way: Way,
    /// Where it last waited for a message on the fast path.
    pub seat: Seat,
}

impl Progress {
    /// It waits for a reply, as this says. The way of a call is that of the last one, which this is not.
    #[inline(always)]
    pub(crate) fn calls(&mut self, wait: CallWait) {
        self.call = wait;
        self.way.affairs = 0;
    }

    /// It waits for a message, as this says. A seat is where it waited last, which is elsewhere now.
    #[inline(always)]
    pub(crate) fn receives(&mut self, wait: ReceiveWait) {
        self.receive = wait;
        self.seat.affairs = 0;
    }
}

impl Deref for Thread {
    type Target = Progress;
    fn deref(&self) -> &Progress {
        &self.progress
    }
}

impl DerefMut for Thread {
    fn deref_mut(&mut self) -> &mut Progress {
        &mut self.progress
    }
}

impl Working for Thread {
    type Progress = Progress;
    #[inline(always)]
    fn progress(&mut self) -> &mut Progress {
        &mut self.progress
    }
}

impl Thread {
    /// State bits of spec 2.3.
    pub fn state(&self) -> u32 {
        let bit = |set: bool, bit: u32| if set { bit } else { 0 };
        bit(self.active, THREAD_ACTIVE)
            | bit(self.suspended > 0, THREAD_SUSPENDED)
            | bit(self.stopped, THREAD_STOPPED)
            | bit(self.wait != Wait::None, THREAD_WAITING)
            | bit(self.aborted, THREAD_ABORTED)
    }
}

/// LI of an object: its slot and how often the slot was used, positive, late to come again (spec 1.3).
pub fn local_identifier<T>(id: Id<T>) -> i32 {
    ((id.generation() & 0x3ffff) << 13 | (id.index() as u32 & 0x1fff)) as i32
}

impl<M: Machine> Nucleus<M> {
    /// Thread of an actor by LI; `K_MYSELF` is the caller in its own actor.
    pub(crate) fn thread_by_li(
        &self,
        caller: Caller,
        actor: Id<Actor>,
        li: i32,
    ) -> Result<Id<Thread>, KError> {
        if li == K_MYSELF && actor == caller.actor {
            return Ok(caller.thread);
        }
        let id = self
            .threads
            .at((li & 0x1fff) as usize)
            .ok_or(KError::Inval)?;
        let thread = self.threads.get(id).ok_or(KError::Inval)?;
        if local_identifier(id) != li || thread.actor != actor {
            Err(KError::Inval)
        } else {
            Ok(id)
        }
    }

    /// The same, with the privilege that changing it needs: a user caller does not touch supervisor threads.
    pub(crate) fn thread_to_change(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
    ) -> Result<Id<Thread>, KError> {
        let actor = self.actor_by_cap(caller, cap)?;
        let id = self.thread_by_li(caller, actor, li)?;
        match self.threads.get(id) {
            Some(thread) if thread.supervisor && caller.privilege < Privilege::System => {
                Err(KError::Priv)
            }
            Some(thread) if thread.dying => Err(KError::Busy),
            Some(_) => Ok(id),
            None => Err(KError::Inval),
        }
    }

    /// Absolute priority of a thread (spec 5.1): its own, or a better one that it inherits.
    pub fn absolute(&self, id: Id<Thread>) -> i32 {
        self.threads
            .get(id)
            .map_or(255, |thread| self.absolute_of(thread))
    }

    /// The same of a thread that was found.
    #[inline]
    pub(crate) fn absolute_of(&self, thread: &Thread) -> i32 {
        self.own_priority(thread.actor, thread.class, thread.relative)
            .min(thread.inherited)
    }

    /// Absolute priority of a thread of an actor with this class and relative priority.
    pub(crate) fn own_priority(&self, actor: Id<Actor>, class: Class, relative: i32) -> i32 {
        if let Class::RealTime { priority, .. } = class {
            return 255 - priority;
        }
        let actor = self.actors.get(actor).map_or(255, |actor| actor.priority);
        actor.saturating_add(relative).clamp(0, 255)
    }

    /// Makes a thread in an actor; the parts are checked.
    pub(crate) fn thread_make(
        &mut self,
        actor: Id<Actor>,
        supervisor: bool,
        active: bool,
        relative: i32,
        start: Start,
    ) -> Result<Id<Thread>, KError> {
        if !self.threads.has_room() {
            return Err(KError::NoMem);
        }
        let thread = Thread {
            actor,
            space: start.space,
            supervisor,
            works_for: None,
            active: false,
            stopped: self.actors.get(actor).is_some_and(|actor| actor.stopped),
            suspended: 0,
            aborted: false,
            dying: false,
            inside: None,
            ending: false,
            watched: false,
            relative,
            class: Class::Default,
            inherited: NOBODY,
            bound: None,
            name: [0; 16],
            context: 0,
            progress: Progress {
                context: 0,
                wait: Wait::None,
                receive: ReceiveWait::default(),
                call: CallWait::default(),
                result: 0,
                cpu: None,
                last_cpu: 0,
                cpu_time: 0,
                quantum: WHOLE_SLICE,
                current: Current::default(),
                standing: Standing::default(),
                way: Way::default(),
                seat: Seat::default(),
            },
        };
        let id = self.threads.insert(thread).ok_or(KError::NoMem)?;
        self.frames_spare();
        let Ok(word) = self.machine.context_create(id.index(), start) else {
            self.threads.remove(id);
            return Err(KError::NoMem);
        };
        if let Some(thread) = self.threads.progress(id) {
            thread.context = word;
        }
        if let Some(actor) = self.actors.get_mut(actor) {
            actor.threads += 1;
        }
        if active {
            self.activate(id);
        }
        Ok(id)
    }

    fn activate(&mut self, id: Id<Thread>) {
        if let Some(thread) = self.threads.get_mut(id)
            && !thread.active
        {
            thread.active = true;
            self.ready(id);
        }
    }

    /// `threadCreate` (NC-053…059).
    #[allow(
        clippy::too_many_arguments,
        reason = "the call has six, and the caller"
    )]
    pub fn thread_create(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        privilege: i32,
        status: i32,
        priority: i32,
        entry: u64,
        stack: u64,
    ) -> Result<Outcome, KError> {
        let actor_id = self.actor_by_cap(caller, cap)?;
        let actor = self.actors.get(actor_id).ok_or(KError::Inval)?;
        let supervisor = match privilege {
            K_USERTHREAD => false,
            K_SUPTHREAD => true,
            _ => return Err(KError::Inval),
        };
        let active = match status {
            K_ACTIVE => true,
            K_INACTIVE => false,
            _ => return Err(KError::Inval),
        };
        if supervisor && caller.privilege < Privilege::System {
            return Err(KError::Priv);
        }
        let works_for = match (actor.kind, supervisor) {
            (K_SUPACTOR, true) => None,
            (K_SUPACTOR, false) => return Err(KError::Inval),
            (_, false) => None,
            (_, true) => Some(self.owner_of_code(entry).ok_or(KError::Inval)?),
        };
        if !(-255..=255).contains(&priority) {
            return Err(KError::Inval);
        }
        let foreign = actor.kind != K_USERACTOR && actor_id != caller.actor;
        if foreign && caller.privilege < Privilege::System {
            return Err(KError::Priv);
        }
        if caller.privilege == Privilege::User
            && actor.priority.saturating_add(priority)
                < K_USER_CEILING.min(self.absolute(caller.thread))
        {
            return Err(KError::Priv);
        }
        let start = Start {
            space: match works_for {
                Some(_) => Space::SUPERVISOR,
                None => actor.space,
            },
            supervisor,
            entry,
            stack,
            // A supervisor thread has a stack of the Nucleus: what it would be given as its stack's address tells it what to do.
            argument: stack,
        };
        let id = self.thread_make(actor_id, supervisor, false, priority, start)?;
        if let Some(owner) = works_for {
            self.lend(id, owner);
        }
        if active {
            self.activate(id);
        }
        Ok(Outcome::Done(local_identifier(id)))
    }

    /// A thread begins to wait until another has left its processor.
    pub(crate) fn watch(&mut self, waiting: Id<Thread>, other: Id<Thread>) {
        if let Some(other) = self.threads.get_mut(other) {
            other.watched = true;
        }
        self.block(waiting, Wait::Off(other), None);
    }

    /// `threadDelete` (NC-060…063).
    pub fn thread_delete(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
    ) -> Result<Outcome, KError> {
        let id = self.thread_to_change(caller, cap, li)?;
        let elsewhere = self
            .threads
            .get(id)
            .and_then(|thread| thread.cpu)
            .is_some_and(|cpu| cpu != caller.cpu);
        self.kill_thread(id);
        if id == caller.thread {
            return Ok(Outcome::Blocked);
        }
        if elsewhere {
            self.watch(caller.thread, id);
            return Ok(Outcome::Blocked);
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `threadSelf`.
    pub fn thread_self(&mut self, caller: Caller) -> Result<Outcome, KError> {
        Ok(Outcome::Done(local_identifier(caller.thread)))
    }

    /// `threadActivate` (NC-058).
    pub fn thread_activate(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
    ) -> Result<Outcome, KError> {
        let id = self.thread_to_change(caller, cap, li)?;
        self.activate(id);
        Ok(Outcome::Done(K_OK))
    }

    /// `threadSuspend` (NC-064…068): returns when the thread is on no processor.
    pub fn thread_suspend(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
    ) -> Result<Outcome, KError> {
        let id = self.thread_to_change(caller, cap, li)?;
        let thread = self.threads.get_mut(id).ok_or(KError::Inval)?;
        thread.suspended = thread.suspended.saturating_add(1);
        let cpu = thread.cpu;
        self.requeue(id);
        Ok(self.await_off(caller, id, cpu))
    }

    /// The caller waits until a thread that may not run is on no processor; for itself it is the outcome of standing still.
    pub(crate) fn await_off(
        &mut self,
        caller: Caller,
        id: Id<Thread>,
        cpu: Option<Cpu>,
    ) -> Outcome {
        if id == caller.thread {
            if let Some(thread) = self.threads.get_mut(id) {
                thread.result = K_OK;
            }
            return Outcome::Blocked;
        }
        match cpu {
            Some(cpu) if cpu != caller.cpu => {
                self.machine.kick(cpu);
                self.watch(caller.thread, id);
                Outcome::Blocked
            }
            _ => Outcome::Done(K_OK),
        }
    }

    /// `threadResume` (NC-064…068).
    pub fn thread_resume(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
    ) -> Result<Outcome, KError> {
        let id = self.thread_to_change(caller, cap, li)?;
        let thread = self.threads.get_mut(id).ok_or(KError::Inval)?;
        if thread.suspended > 0 {
            thread.suspended -= 1;
            if thread.suspended == 0 {
                self.goes_on(id);
            }
        }
        Ok(Outcome::Done(K_OK))
    }

    /// One of the things that held a thread is gone.
    pub(crate) fn goes_on(&mut self, id: Id<Thread>) {
        let awaited = self.runnable(id) && self.threads.get(id).is_some_and(|it| it.watched);
        self.ready(id);
        if awaited {
            // It may never leave its processor now: whoever holds it waits for that no longer.
            self.wake_all(|wait| wait == Wait::Off(id));
        }
    }

    /// `threadPriority` (NC-041…047).
    pub fn thread_priority(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
        old: Out<i32>,
        new: In<i32>,
    ) -> Result<Outcome, KError> {
        let id = self.thread_to_change(caller, cap, li)?;
        let thread = self.threads.get(id).ok_or(KError::Inval)?;
        let (actor, class, relative) = (thread.actor, thread.class, thread.relative);
        let wanted = self.read_optional(caller, new)?;
        if let Some(wanted) = wanted {
            if !(-255..=255).contains(&wanted) {
                return Err(KError::Inval);
            }
            let now = self.own_priority(actor, class, relative);
            let then = self.own_priority(actor, class, wanted);
            if then < now && then < K_USER_CEILING && caller.privilege == Privilege::User {
                return Err(KError::Priv);
            }
        }
        self.write_optional(caller, old, &relative)?;
        if let Some(wanted) = wanted {
            self.unready(id);
            if let Some(thread) = self.threads.get_mut(id) {
                thread.relative = wanted;
            }
            self.ready(id);
            self.slice_anew(id);
            self.pass_on_priority(id);
        }
        Ok(Outcome::Done(K_OK))
    }
}
