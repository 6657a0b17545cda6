//! A site on the machine of tables: actors whose threads make the calls that a test says.

mod looks;

use super::machine::Sim;
use crate::arena::Id;
use crate::executive::actor::{Actor, End};
use crate::executive::handing::Handed;
use crate::executive::scheduler::Next;
use crate::executive::thread::{Thread, Wait, local_identifier};
use crate::ipc::{Passed, Straight, Visited};
use crate::machine::{Frame, Machine, Start};
use crate::nucleus::{Configuration, Limits, Nucleus, Outcome};
use crate::supervisor::{Arrived, Call, Then, Trouble, Upcall};
use alloc::vec::Vec;
use chorus_abi::net::{KnNetSeat, NET_CLEAR};
use chorus_abi::*;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Where the memory of every actor of a test lies, and its bytes.
pub const MEMORY: (u64, u64) = (0x10_0000, 16 * PAGE_SIZE);

const NULL: usize = table::number::sys_null as usize;
const CALL: usize = table::number::ipc_call as usize;
const SEM_P: usize = table::number::sem_p as usize;
const SEM_V: usize = table::number::sem_v as usize;
const DELAY: usize = table::number::thread_delay as usize;
const REPLY_RECEIVE: usize = table::number::ipc_reply_receive as usize;
const HANDLER_REPLY: usize = table::number::sv_msg_hdl_reply as usize;

/// A site under test.
pub struct Site {
    /// The Nucleus.
    pub nucleus: Nucleus<Sim>,
    /// Where the next argument goes (`scene`).
    pub arguments: u64,
    /// The LAP that a caller went into last.
    pub entered: Option<Upcall>,
    /// How often threads went the straight way into handlers and out of them.
    pub straight: usize,
    /// What the core said last of a thread that was put out of a routine.
    pub put_out: Option<Then>,
    /// Calls that went on with a conversation.
    pub passed: u64,
    /// Calls that went into a handler the way of the last one, and answers of those that are inside without records.
    pub visited: u64,
    /// Steps of long work that the processors may still make; `None`: as many as there are.
    pub steps: Option<u64>,
    /// Steps that they made.
    pub stepped: u64,
}

impl Site {
    /// A site with small tables.
    pub fn new(cpus: usize) -> Site {
        Site::booted(cpus, 1)
    }

    /// The same in another incarnation.
    pub fn booted(cpus: usize, epoch: u16) -> Site {
        Site::with_outside(cpus, epoch, 0)
    }

    /// The same, with room for so many pages in temporary segments.
    pub fn with_outside(cpus: usize, epoch: u16, outside: usize) -> Site {
        let limits = Limits {
            actors: 16,
            threads: 32,
            ports: 32,
            memberships: 32,
            messages: 256,
            regions: 64,
            outbound: 16,
            moves: 4,
            timers: 8,
            declarations: 1100,
            outside,
        };
        let configuration = Configuration {
            site: 1,
            sites: 1,
            epoch,
            cpus,
            secret: (3, 5),
            fabric: KnNetSeat {
                key: [9; 32],
                generation: 4,
                flags: NET_CLEAR,
            },
            limits,
        };
        let machine = Sim::new(cpus, 512, limits.threads);
        Site {
            nucleus: Nucleus::new(machine, configuration),
            arguments: 0,
            entered: None,
            straight: 0,
            put_out: None,
            passed: 0,
            visited: 0,
            steps: None,
            stepped: 0,
        }
    }

    /// The Nucleus for anything that may concern others, as the machine enters it: nobody's records are missing.
    pub fn whole(&mut self) -> &mut Nucleus<Sim> {
        self.nucleus.register_visitors();
        &mut self.nucleus
    }

    /// An actor with memory.
    pub fn actor(&mut self, kind: i32, priority: i32) -> Id<Actor> {
        let id = self.nucleus.actor_make(None, None, kind, false).unwrap();
        self.nucleus.actors.get_mut(id).unwrap().priority = priority;
        let start = (kind != K_SUPACTOR).then_some(MEMORY.0);
        let made = self
            .nucleus
            .region_make(id, start, None, MEMORY.1, K_WRITABLE, (0, 0));
        self.nucleus.actors.get_mut(id).unwrap().base = made.unwrap();
        id
    }

    /// A thread of an actor; it runs as soon as a processor is free for it.
    pub fn thread(&mut self, actor: Id<Actor>) -> Id<Thread> {
        let found = self.nucleus.actors.get(actor).unwrap();
        let (space, supervisor) = (found.space, found.kind == K_SUPACTOR);
        let start = Start {
            space,
            supervisor,
            entry: 0,
            stack: 0,
            argument: 0,
        };
        self.whole().entered = None;
        let id = self
            .nucleus
            .thread_make(actor, supervisor, true, 0, start)
            .unwrap();
        self.serve_kicks();
        id
    }

    /// Has every processor choose, as after an entry that was made without [`Site::call`], and then those that were kicked.
    pub fn settle(&mut self) {
        let cpus = self.nucleus.machine.kicked.len();
        (0..cpus).for_each(|cpu| self.choose(cpu));
        self.serve_kicks();
    }

    /// Has the processors choose that were kicked, until none is any more. The others are left alone: the Nucleus has to kick them.
    fn serve_kicks(&mut self) {
        while let Some(cpu) = self
            .nucleus
            .machine
            .kicked
            .iter()
            .position(|&kicked| kicked)
        {
            self.nucleus.machine.kicked[cpu] = false;
            self.choose(cpu);
        }
        // Whoever has nothing more urgent to do gives back what goes.
        if let Some(cpu) = self.nucleus.scheduler.reaper
            && self.may_step()
        {
            self.nucleus.reap(cpu);
            self.choose(cpu);
            return self.serve_kicks();
        }
        // As the machine does on the way back: routines of actors that are being deleted are lost.
        let cpus = self.nucleus.machine.kicked.len();
        if let Some(cpu) = (0..cpus).find(|&cpu| self.nucleus.doomed(cpu)) {
            self.put_out = Some(self.whole().returned(cpu, None));
            self.settle();
        }
        let cpus = self.nucleus.machine.kicked.len();
        (0..cpus).for_each(|cpu| self.resume(cpu));
    }

    /// Has the thread on a processor make the call again that waited for a mapper.
    fn resume(&mut self, cpu: usize) {
        let Some(thread) = self.nucleus.running(cpu) else {
            return;
        };
        if !self.nucleus.resumes(thread) || self.nucleus.pauses(cpu) && !self.may_step() {
            return;
        }
        match self.whole().resume(cpu) {
            Outcome::Done(result) => {
                if let Some(thread) = self.nucleus.threads.get_mut(thread) {
                    thread.result = result;
                }
            }
            Outcome::Blocked => {}
            Outcome::Inside => self.goes_straight(),
            Outcome::HandedOver(_) => {
                self.nucleus.switched(cpu);
                return self.settle();
            }
        }
        self.choose(cpu);
        self.settle();
    }

    fn choose(&mut self, cpu: usize) {
        match self.whole().schedule(cpu) {
            Next::Same => {}
            Next::Thread(_) | Next::Idle | Next::Reap => self.nucleus.switched(cpu),
        }
    }

    /// The processor that a thread is on.
    pub fn cpu_of(&self, thread: Id<Thread>) -> Option<usize> {
        self.nucleus
            .threads
            .get(thread)
            .and_then(|thread| thread.cpu)
    }

    /// Makes a call as a thread that runs. `None`: it waits.
    pub fn call(&mut self, thread: Id<Thread>, name: &str, arguments: &[u64]) -> Option<i32> {
        let cpu = self.cpu_of(thread).expect("the thread does not run");
        let number = table::by_name(name).expect("no such call").number;
        self.call_on(cpu, number, arguments)
    }

    /// As the machine does: what is a conversation goes on as one, and what is a visit is one.
    pub fn enter(&mut self, cpu: usize, number: usize, registers: &[u64; 6]) -> Outcome {
        let nucleus = &mut self.nucleus;
        let thread = nucleus.running(cpu).map_or(usize::MAX, |id| id.index());
        let &[a, b, c, d, e, _] = registers;
        if nucleus.machine.traced.is_some() {
            return self.whole().call_traced(cpu, number, registers);
        }
        let again = match number {
            NULL => {
                nucleus.null_call();
                return Outcome::Done(K_OK);
            }
            _ if nucleus.without_fast_path => None,
            CALL if nucleus.call_repeats(thread, [a, b, c, d, e]) => {
                let repeated = nucleus.repeated_call(thread);
                assert_eq!(repeated[..4], registers[..4]);
                let again = nucleus.call_again(cpu, thread);
                again.or_else(|| nucleus.call_otherwise(cpu, thread))
            }
            REPLY_RECEIVE if nucleus.receive_repeats(thread, [a, b, c, d]) => {
                let repeated = nucleus.repeated_receive(thread);
                assert_eq!(repeated[..3], registers[..3]);
                let again = nucleus.reply_receive_again(cpu, thread);
                again.or_else(|| nucleus.reply_otherwise(cpu, thread))
            }
            _ => None,
        };
        if let Some(passed) = again {
            self.passed += 1;
            return self.passed_on(passed);
        }
        let nucleus = &mut self.nucleus;
        let handed = match number {
            _ if nucleus.without_fast_path => None,
            SEM_P => nucleus.sem_p_plain(cpu, thread, a, b),
            SEM_V => nucleus.sem_v_plain(cpu, thread, a),
            DELAY => nucleus.give_way_plain(cpu, thread, a),
            _ => None,
        };
        match handed {
            Some(Handed::Done | Handed::Outdone) => Outcome::Done(K_OK),
            Some(Handed::Passed(passed)) if number == DELAY => {
                self.passed_on(passed);
                self.nucleus.switched(cpu);
                Outcome::Done(KError::Timeout.code())
            }
            Some(Handed::Passed(passed)) => self.passed_on(passed),
            None if number == CALL && self.goes_visiting(cpu, number, registers) => Outcome::Inside,
            None if number == HANDLER_REPLY && self.goes_visiting(cpu, number, registers) => {
                Outcome::Done(K_OK)
            }
            None => {
                let outcome = self.whole().call(cpu, number, registers);
                if outcome == Outcome::Inside {
                    self.goes_straight();
                }
                outcome
            }
        }
    }

    /// The machine tells the thread that has the processor now its result.
    fn passed_on(&mut self, passed: Passed) -> Outcome {
        let thread = self.nucleus.threads.progress_at(passed.thread as usize);
        thread.expect("nobody has the processor").result = passed.result;
        Outcome::HandedOver(passed.thread)
    }

    /// Whether a call is a visit, or the answer of a visitor.
    #[inline(never)]
    fn goes_visiting(&mut self, cpu: usize, number: usize, registers: &[u64; 6]) -> bool {
        if self.nucleus.without_fast_path {
            return false;
        }
        let mut annex = None;
        let gone = match number {
            CALL => {
                let visited = self
                    .nucleus
                    .visit(cpu, registers, |bytes| annex = Some(bytes));
                visited.map(|visited| self.goes_again(&visited, annex))
            }
            _ => self.nucleus.visitor_answers(cpu, registers[0]).map(|_| ()),
        };
        self.visited += u64::from(gone.is_some());
        gone.is_some()
    }

    /// The same by processor and number.
    pub fn call_on(&mut self, cpu: usize, number: u16, arguments: &[u64]) -> Option<i32> {
        let mut registers = [0; 6];
        registers[..arguments.len()].copy_from_slice(arguments);
        let thread = self.nucleus.running(cpu);
        let outcome = self.enter(cpu, number as usize, &registers);
        let result = match outcome {
            Outcome::Done(result) if self.nucleus.caller_goes_on() => {
                self.serve_kicks();
                return Some(result);
            }
            Outcome::Done(result) => Some(result),
            Outcome::Blocked => None,
            Outcome::Inside => {
                self.serve_kicks();
                return None;
            }
            Outcome::HandedOver(_) => {
                self.nucleus.switched(cpu);
                self.serve_kicks();
                return None;
            }
        };
        if let Some(upcall) = self.nucleus.entered() {
            self.entered = Some(upcall);
        }
        let waits = |nucleus: &Nucleus<Sim>| {
            let thread = nucleus.threads.get(thread?)?;
            matches!(thread.wait, Wait::Going(_) | Wait::Gone(_)).then_some(())
        };
        let pauses =
            thread.is_some_and(|thread| self.nucleus.resumes(thread)) && self.nucleus.pauses(cpu);
        let waited = waits(&self.nucleus).is_some() || pauses;
        self.choose(cpu);
        self.serve_kicks();
        // What took several steps is over: the call has a result.
        match thread {
            Some(thread) if waited => self.result(thread),
            _ => result,
        }
    }

    /// A thread that runs takes an exception or traps, or comes back from a routine: what the core says then. All processors choose afterwards.
    fn event(
        &mut self,
        thread: Id<Thread>,
        event: impl FnOnce(&mut Nucleus<Sim>, usize) -> Then,
    ) -> Then {
        let cpu = self.cpu_of(thread).expect("the thread does not run");
        let then = event(self.whole(), cpu);
        self.choose(cpu);
        self.settle();
        then
    }

    /// An exception, with the registers at an address of supervisor space.
    pub fn exception(&mut self, thread: Id<Thread>, number: u32, context: u64) -> Then {
        let trouble = Trouble {
            number,
            pc: 0x1234,
            address: 0x5678,
            context,
            ..Trouble::default()
        };
        self.event(thread, |nucleus, cpu| nucleus.exception(cpu, trouble))
    }

    /// A trap, with this in the register that picks from a table.
    pub fn trap(&mut self, thread: Id<Thread>, number: u32, index: u64, context: u64) -> Then {
        self.event(thread, |nucleus, cpu| {
            nucleus.trap(cpu, number, index, 0x1234, context)
        })
    }

    /// The caller goes into a handler the way of its last call.
    fn goes_again(&mut self, visited: &Visited, annex: Option<[u8; 64]>) {
        let arrived = Arrived {
            size: 0,
            sequence: visited.sequence,
            annex,
        };
        assert_eq!(visited.annexed, annex.is_some());
        self.goes_in(visited.routine, visited.cookie, arrived);
    }

    /// The caller goes the straight way into a handler.
    fn goes_straight(&mut self) {
        let Straight {
            routine,
            cookie,
            arrived,
        } = *self.nucleus.straight();
        self.goes_in(routine, cookie, arrived);
    }

    fn goes_in(&mut self, routine: u64, cookie: u64, arrived: Arrived) {
        self.straight += 1;
        self.entered = Some(Upcall {
            routine,
            cookie,
            lap: false,
            what: Call::Message(arrived),
        });
    }

    /// The routine that a thread is in returns.
    pub fn back(&mut self, thread: Id<Thread>, result: i32) -> Then {
        let cpu = self.cpu_of(thread).expect("the thread does not run");
        let over = match self.nucleus.without_fast_path {
            true => None,
            false => {
                let visit = self.nucleus.visit_over(cpu);
                visit.or_else(|| self.whole().straight_out(cpu))
            }
        };
        if let Some(result) = over {
            self.straight += 1;
            self.nucleus.threads.progress(thread).unwrap().result = result;
            self.serve_kicks();
            return Then::Resume { changed: true };
        }
        self.event(thread, |nucleus, cpu| nucleus.returned(cpu, Some(result)))
    }

    /// The answer to a report has come, and the thread runs again.
    pub fn reported(&mut self, thread: Id<Thread>, trouble: &Trouble) -> Then {
        self.event(thread, |nucleus, cpu| nucleus.reported(cpu, trouble))
    }

    /// What a thread's last wait gave; `None` while it waits.
    pub fn result(&self, thread: Id<Thread>) -> Option<i32> {
        let pauses = self.nucleus.resumes(thread);
        let thread = self.nucleus.threads.get(thread)?;
        (thread.wait == Wait::None && !pauses).then_some(thread.result)
    }

    /// Lets time pass.
    pub fn pass(&mut self, nanoseconds: u64) {
        let end = self.nucleus.machine.clock + nanoseconds;
        loop {
            let timers = self.nucleus.machine.timers.iter().enumerate();
            let next = timers
                .filter_map(|(cpu, at)| Some(((*at)?, cpu)))
                .filter(|&(at, _)| at <= end)
                .min();
            let Some((at, cpu)) = next else { break };
            self.nucleus.machine.clock = self.nucleus.machine.clock.max(at);
            self.nucleus.machine.timers[cpu] = None;
            self.whole().timer(cpu);
            self.choose(cpu);
            self.serve_kicks();
        }
        self.nucleus.machine.clock = end;
    }

    /// Address of byte `offset` of an actor's memory.
    pub fn at(&self, actor: Id<Actor>, offset: u64) -> u64 {
        self.nucleus.actors.get(actor).unwrap().base + offset
    }

    /// Writes a value into an actor's memory; its address.
    pub fn put<T: IntoBytes + Immutable>(
        &mut self,
        actor: Id<Actor>,
        offset: u64,
        value: &T,
    ) -> u64 {
        let (address, space) = (
            self.at(actor, offset),
            self.nucleus.actors.get(actor).unwrap().space,
        );
        let bytes = value.as_bytes();
        self.nucleus
            .write_bytes(actor, space, address, bytes)
            .unwrap();
        address
    }

    /// Writes the capability of an actor into another's memory; its address. Always at the same place.
    pub fn put_cap(&mut self, holder: Id<Actor>, of: Id<Actor>) -> u64 {
        let cap = self.nucleus.actors.get(of).unwrap().cap;
        self.put(holder, 0xf00, &cap)
    }

    /// A thread by its actor's capability and its LI, as arguments of a call of `holder`.
    pub fn name(&mut self, holder: Id<Actor>, thread: Id<Thread>) -> [u64; 2] {
        let home = self.nucleus.threads.get(thread).unwrap().actor;
        [self.put_cap(holder, home), local_identifier(thread) as u64]
    }

    /// Entry of a thread in `threadStat`, asked for by another.
    pub fn stat(&mut self, asks: Id<Thread>, thread: Id<Thread>) -> KnThreadStat {
        let own = self.nucleus.threads.get(asks).unwrap().actor;
        let [cap, li] = self.name(own, thread);
        let list = self.at(own, 0x8000);
        let count = self.call(asks, "threadStat", &[cap, list, 16]).unwrap();
        let stats = (0..count as u64)
            .map(|at| self.get(own, 0x8000 + at * size_of::<KnThreadStat>() as u64));
        stats
            .into_iter()
            .find(|stat: &KnThreadStat| stat.li == li as i32)
            .unwrap()
    }

    /// Reads a value of an actor's memory.
    pub fn get<T: FromBytes + IntoBytes>(&mut self, actor: Id<Actor>, offset: u64) -> T {
        let (address, space) = (
            self.at(actor, offset),
            self.nucleus.actors.get(actor).unwrap().space,
        );
        let mut value = T::new_zeroed();
        let bytes = value.as_mut_bytes();
        self.nucleus
            .read_bytes(actor, space, address, bytes)
            .unwrap();
        value
    }

    /// Takes all frames but so many, as if the site's memory were used up.
    pub fn hoard(&mut self, leave: u64) -> Vec<Frame> {
        let mut taken = Vec::new();
        while self.nucleus.machine.frames().0 > leave {
            taken.extend(self.nucleus.machine.frame_allocate());
        }
        taken
    }

    /// Gives back what [`Site::hoard`] took.
    pub fn give_back(&mut self, frames: Vec<Frame>) {
        for frame in frames {
            self.nucleus.machine.frame_free(frame);
        }
    }

    /// Ends all actors; then nothing is left of them.
    pub fn end(&mut self) {
        self.steps = None;
        let actors: Vec<Id<Actor>> = self.nucleus.actors.iter().map(|(id, _)| id).collect();
        self.whole().entered = None;
        for actor in actors {
            self.nucleus.kill_actor(actor, End::default());
        }
        self.settle();
        self.settle();
        assert_eq!(self.nucleus.declared.len(), 0, "declarations are left");
        let nucleus = &self.nucleus;
        let ipc = &nucleus.ipc;
        let left = (
            nucleus.actors.len(),
            nucleus.threads.len(),
            ipc.ports.len(),
            nucleus.timers.len(),
        );
        assert_eq!(left, (0, 0, 0, 0), "actors, threads, ports, timers left");
        assert_eq!(nucleus.scheduler.bound, 0, "a tied thread is counted");
        let points = nucleus.points_left();
        assert_eq!(
            points, [0; 4],
            "points, invocations, names, attachments are left"
        );
        let left = (
            ipc.messages.len() + ipc.handlings.len(),
            ipc.kept.len(),
            ipc.groups.members.len(),
            ipc.network.outbound.len() + ipc.moves.len(),
            nucleus.memory.regions.len(),
        );
        assert_eq!(
            left,
            (0, 0, 0, 0, 0),
            "messages, what is kept for them, memberships, outbound items or moves, regions are left"
        );
        assert!(
            !nucleus.any_waits_for_a_structure(),
            "a waiter of a mutex or a semaphore is left"
        );
        assert_eq!(nucleus.timeouts.next(), None, "a deadline is left");
        let machine = &nucleus.machine;
        assert!(!machine.contexts.contains(&true), "a context is left");
        assert_eq!(machine.spaces(), 0, "spaces are left");
        let (free, total) = machine.frames();
        assert_eq!(free, total, "frames are lost");
    }
}
