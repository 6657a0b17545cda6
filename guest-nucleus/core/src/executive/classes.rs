//! Scheduling classes (spec 5.3): whether a thread is time-sliced, and whether its priority is its own or relative to its actor's.

use crate::arena::Id;
use crate::executive::thread::Thread;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::table::Privilege;
use chorus_abi::*;

/// A rest that is longer than any slice.
pub const WHOLE_SLICE: u64 = u64::MAX;

/// How a thread is scheduled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Sliced in the band from `K_SLICED_FIRST` on (spec 5.2).
    Default,
    /// Never sliced.
    Fifo,
    /// Always sliced.
    RoundRobin,
    /// With an absolute priority.
    RealTime {
        /// 100…159, larger is more urgent.
        priority: i32,
        /// Its slice in nanoseconds; 0: none.
        quantum: u64,
    },
}

impl<M: Machine> Nucleus<M> {
    /// The whole time slice of a thread; `None`: it is not sliced.
    pub(crate) fn slice_of(&self, id: Id<Thread>) -> Option<u64> {
        let thread = self.threads.get(id)?;
        let sliced = match thread.class {
            Class::Default => self.absolute_of(thread) >= K_SLICED_FIRST,
            Class::Fifo => false,
            Class::RoundRobin => true,
            Class::RealTime { quantum, .. } => return (quantum > 0).then_some(quantum),
        };
        sliced.then_some(K_RR_QUANTUM_NS)
    }

    /// The class or band of a thread may have changed while it runs: its slice begins, ends, or becomes shorter. The processor is to choose again.
    pub(crate) fn slice_anew(&mut self, id: Id<Thread>) {
        let Some(cpu) = self.threads.get(id).and_then(|thread| thread.cpu) else {
            return;
        };
        let end = self
            .slice_of(id)
            .map(|whole| self.machine.now().saturating_add(whole));
        if let Some(processor) = self.scheduler.processors.get_mut(cpu) {
            processor.slice_end = match (end, processor.slice_end) {
                (Some(end), Some(before)) => Some(end.min(before)),
                (end, _) => end,
            };
        }
    }

    /// `threadScheduler` (NC-263).
    pub fn thread_scheduler(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
        old: Out<KnThParms>,
        new: In<KnThParms>,
    ) -> Result<Outcome, KError> {
        let id = self.thread_to_change(caller, cap, li)?;
        let thread = self.threads.get(id).ok_or(KError::Inval)?;
        let (actor, class, relative) = (thread.actor, thread.class, thread.relative);
        let wanted = match self.read_optional(caller, new)? {
            None => None,
            Some(parameters) => {
                let (to, priority) = wanted_class(&parameters, relative)?;
                let now = self.own_priority(actor, class, relative);
                let then = self.own_priority(actor, to, priority);
                let urgent = then < now && then < K_USER_CEILING;
                if caller.privilege == Privilege::User
                    && (urgent || matches!(to, Class::RealTime { .. }))
                {
                    return Err(KError::Priv);
                }
                Some((to, priority))
            }
        };
        self.write_optional(caller, old, &parameters_of(class, relative))?;
        if let Some((class, relative)) = wanted {
            self.unready(id);
            if let Some(thread) = self.threads.get_mut(id) {
                (thread.class, thread.relative) = (class, relative);
                thread.quantum = WHOLE_SLICE;
            }
            self.ready(id);
            self.slice_anew(id);
            self.pass_on_priority(id);
        }
        Ok(Outcome::Done(K_OK))
    }
}

/// The class and relative priority that parameters ask for; `CLASS_RT` keeps the relative one.
fn wanted_class(parameters: &KnThParms, relative: i32) -> Result<(Class, i32), KError> {
    let KnThParms {
        th_class,
        th_priority,
        th_quantum,
    } = *parameters;
    let range = if th_class == CLASS_RT {
        K_RT_PRIOMIN..=K_RT_PRIOMAX
    } else {
        -255..=255
    };
    if !range.contains(&th_priority) {
        return Err(KError::Inval);
    }
    match th_class {
        CLASS_DEFAULT => Ok((Class::Default, th_priority)),
        CLASS_FIFO => Ok((Class::Fifo, th_priority)),
        CLASS_RR => Ok((Class::RoundRobin, th_priority)),
        CLASS_RT => {
            let quantum = th_quantum.to_ns().ok_or(KError::Inval)?;
            let class = Class::RealTime {
                priority: th_priority,
                quantum,
            };
            Ok((class, relative))
        }
        _ => Err(KError::Inval),
    }
}

fn parameters_of(class: Class, relative: i32) -> KnThParms {
    let (th_class, th_priority, quantum) = match class {
        Class::Default => (CLASS_DEFAULT, relative, K_RR_QUANTUM_NS),
        Class::Fifo => (CLASS_FIFO, relative, 0),
        Class::RoundRobin => (CLASS_RR, relative, K_RR_QUANTUM_NS),
        Class::RealTime { priority, quantum } => (CLASS_RT, priority, quantum),
    };
    KnThParms {
        th_class,
        th_priority,
        th_quantum: KnTimeVal::from_ns(quantum),
    }
}
