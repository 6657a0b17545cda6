//! The Nucleus of one site: its tables, and who is calling.
//!
//! All state of a site hangs here. The calls themselves are methods in the rooms `executive`, `ipc`, `names`, `memory`; this file only holds
//! the tables together and has the few things that every call needs: the caller, and checked access to the caller's memory.

use crate::arena::{Arena, Id};
use crate::changes::Changes;
use crate::executive::actor::Actor;
use crate::executive::inheritance::Heirs;
use crate::executive::scheduler::Scheduler;
use crate::executive::sync::Waiters;
use crate::executive::thread::Thread;
use crate::executive::timeouts::Timeouts;
use crate::executive::timers::Timer;
use crate::ipc::Ipc;
use crate::machine::{Cpu, Machine, Space};
use crate::memory::Memory;
use crate::names::declared::Declared;
use crate::names::stamps::Stamps;
use crate::supervisor::Supervisor;
use chorus_abi::net::KnNetSeat;
use chorus_abi::table::Privilege;

/// How large the tables are (spec 1.6). Everything is allocated from them when the Nucleus starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Actors.
    pub actors: usize,
    /// Threads.
    pub threads: usize,
    /// Ports.
    pub ports: usize,
    /// Group memberships.
    pub memberships: usize,
    /// Messages queued, held and saved on the whole site.
    pub messages: usize,
    /// Regions.
    pub regions: usize,
    /// Outbound items waiting for the Network Manager.
    pub outbound: usize,
    /// Ports that move between sites at once, going and coming.
    pub moves: usize,
    /// Timers.
    pub timers: usize,
    /// Names that the actors of the site declared.
    pub declarations: usize,
    /// Pages in temporary segments of the default mapper; 0: none leaves memory.
    pub outside: usize,
}

impl Limits {
    /// Handlers and access points that all threads together can be inside.
    pub(crate) fn inside(&self) -> usize {
        self.threads.saturating_mul(2)
    }

    /// Where the deadlines of timers begin, behind those of threads.
    pub(crate) fn timer_deadlines(&self) -> usize {
        self.threads
    }

    /// Where those of system timeouts begin.
    pub(crate) fn system_deadlines(&self) -> usize {
        self.timer_deadlines() + self.timers
    }

    /// Where those of clients inside handlers begin.
    pub(crate) fn handling_deadlines(&self) -> usize {
        self.system_deadlines() + crate::supervisor::SYSTEM_TIMEOUTS
    }

    /// All of them.
    pub(crate) fn deadlines(&self) -> usize {
        self.handling_deadlines() + self.inside()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            actors: 256,
            threads: 1024,
            ports: 4096,
            memberships: 4096,
            messages: 4096,
            regions: 4096,
            outbound: 1024,
            moves: 64,
            timers: 256,
            declarations: 4096,
            outside: 0,
        }
    }
}

/// What a site is told at boot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Configuration {
    /// Number of the site, 1…8190.
    pub site: u16,
    /// Sites configured in the cluster.
    pub sites: u16,
    /// Incarnation, 1…0x3FFD, never used before by this site.
    pub epoch: u16,
    /// Processors.
    pub cpus: usize,
    /// What the sites of a cluster have in common and nobody else knows: keys of groups are made from it.
    pub secret: (u64, u64),
    /// What the Network Manager is told of the network between the sites, and nobody else.
    pub fabric: KnNetSeat,
    /// Table sizes.
    pub limits: Limits,
}

/// How a call ended for the processor that made it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// With this value in the result register.
    Done(i32),
    /// The caller waits, and the thread in this slot has its processor already: it is to be switched to without `schedule`.
    HandedOver(u32),
    /// The caller goes into a message handler, [`Nucleus::straight`]; then [`Nucleus::straight_out`].
    Inside,
    /// The caller waits (or is gone): schedule another thread. When the caller runs again its result is [`Nucleus::result`].
    Blocked,
}

/// Who makes a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Processor.
    pub cpu: Cpu,
    /// Thread.
    pub thread: Id<Thread>,
    /// Actor that it executes in.
    pub actor: Id<Actor>,
    /// Space that its pointers are in.
    pub space: Space,
    /// Effective privilege (spec 2.2).
    pub privilege: Privilege,
}

/// The Nucleus of one site.
pub struct Nucleus<M: Machine> {
    /// The hardware.
    pub machine: M,
    /// What the site was told at boot.
    pub configuration: Configuration,
    pub(crate) actors: Arena<Actor>,
    pub(crate) threads: Arena<Thread>,
    pub(crate) scheduler: Scheduler,
    /// Deadlines of threads, and behind them those of timers and of clients inside handlers.
    pub(crate) timeouts: Timeouts,
    pub(crate) timers: Arena<Timer>,
    pub(crate) heirs: Heirs,
    pub(crate) waiters: Waiters,
    pub(crate) ipc: Ipc,
    pub(crate) memory: Memory,
    pub(crate) supervisor: Supervisor,
    pub(crate) declared: Declared,
    /// Where the stamps of UIs made here come from.
    pub(crate) stamps: Stamps,
    /// Epoch of the next UI made here (advances when the counter wraps).
    pub(crate) ui_epoch: u16,
    pub(crate) counters: chorus_abi::KnSiteStat,
    /// The processor that is in the Nucleus now: it needs no kick.
    pub(crate) entered: Option<Cpu>,
    /// What conversations rely on was rearranged so often.
    pub(crate) changes: Changes,
    /// Every call goes the way that does everything: what the fast path is compared with.
    #[cfg(test)]
    pub(crate) without_fast_path: bool,
}

impl<M: Machine> Nucleus<M> {
    /// The Nucleus of a site that has just booted. All tables are allocated here.
    pub fn new(mut machine: M, configuration: Configuration) -> Self {
        let limits = configuration.limits;
        let changes = Changes::default();
        machine.count_mappings(&changes);
        let secret = (machine.random(), machine.random());
        let stamps = Stamps::new((machine.random(), machine.random()));
        let outside = (limits.outside, machine.random());
        let memory = Memory::new(&limits, machine.frame_limit(), outside);
        Nucleus {
            machine,
            configuration,
            actors: Arena::counting(limits.actors, &changes),
            threads: Arena::counting(limits.threads, &changes),
            scheduler: Scheduler::new(limits.threads, configuration.cpus),
            timeouts: Timeouts::new(limits.deadlines()),
            timers: Arena::new(limits.timers),
            heirs: Heirs::new(limits.threads, secret),
            waiters: Waiters::new(limits.threads),
            ipc: Ipc::new(&limits, configuration.cpus, &changes),
            supervisor: Supervisor::new(limits.inside(), configuration.cpus),
            declared: Declared::new(limits.declarations, limits.actors),
            stamps,
            memory,
            ui_epoch: configuration.epoch,
            counters: chorus_abi::KnSiteStat::default(),
            entered: None,
            changes,
            #[cfg(test)]
            without_fast_path: false,
        }
    }

    /// Who calls from inside a handler: a thread works there for the handler's owner, in the owner's space and with the owner's privilege.
    #[cold]
    fn caller_inside(&self, cpu: Cpu, thread: Id<Thread>) -> Option<Caller> {
        let actor = self.execution_actor(thread)?;
        Some(Caller {
            cpu,
            thread,
            actor,
            space: Space::SUPERVISOR,
            privilege: Privilege::Supervisor,
        })
    }

    /// Who calls: the thread on a processor, with its effective privilege (spec 2.2).
    pub(crate) fn caller(&self, cpu: Cpu) -> Option<Caller> {
        if self.interrupts_run()
            && let Some(caller) = self.interrupt_caller(cpu)
        {
            return Some(caller);
        }
        let id = self.running(cpu)?;
        let thread = self.threads.get(id)?;
        if thread.inside.is_some() {
            return self.caller_inside(cpu, id);
        }
        let kind = self.actors.get(thread.actor)?.kind;
        let privilege = match (thread.supervisor, kind) {
            (true, _) => Privilege::Supervisor,
            (false, chorus_abi::K_SYSTEMACTOR) => Privilege::System,
            _ => Privilege::User,
        };
        Some(Caller {
            cpu,
            thread: id,
            actor: thread.works_for.unwrap_or(thread.actor),
            space: thread.space,
            privilege,
        })
    }
}
