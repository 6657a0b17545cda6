//! Exceptions (spec 6.2): who treats one, in which order, and what happens when nobody does.

use super::connections::{PLACES, Vector};
use super::points::What;
use super::upcall::{Then, Trouble};
use crate::executive::actor::End;
use crate::executive::thread::local_identifier;
use crate::machine::{Cpu, Machine};
use crate::nucleus::{Caller, Nucleus};
use chorus_abi::services::EXCEPTIONS;
use chorus_abi::*;
use core::fmt::Write;

/// Exception: what is behind the end of a stack is no region.
const STACK: u32 = 7;

/// A line of the log, of bounded length; what does not fit is cut.
pub(crate) struct Line {
    bytes: [u8; 256],
    used: usize,
}

impl Line {
    pub(crate) fn new() -> Self {
        Line {
            bytes: [0; 256],
            used: 0,
        }
    }

    pub(crate) fn text(&self) -> &str {
        let bytes = self.bytes.get(..self.used).unwrap_or(&[]);
        match core::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => bytes
                .get(..error.valid_up_to())
                .and_then(|bytes| core::str::from_utf8(bytes).ok())
                .unwrap_or(""),
        }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for &byte in text.as_bytes() {
            if let Some(place) = self.bytes.get_mut(self.used) {
                *place = byte;
                self.used += 1;
            }
        }
        Ok(())
    }
}

impl<M: Machine> Nucleus<M> {
    /// The thread on a processor takes an exception that the memory manager could not solve.
    pub fn exception(&mut self, cpu: Cpu, trouble: Trouble) -> Then {
        self.entered = Some(cpu);
        let Some(caller) = self.caller(cpu) else {
            return Then::Resume { changed: false };
        };
        let within = self.chain(caller.thread).next();
        let handles = within.is_some_and(|invocation| {
            matches!(invocation.what, What::Exception(_) | What::Abort(_))
        });
        if handles || self.in_interrupt(cpu) {
            // A handler's own exceptions nobody treats.
            return self.untreated(caller, &trouble);
        }
        self.treat(caller, trouble)
    }

    /// The handlers of the execution actor that were not tried yet, the exception port, the default.
    fn treat(&mut self, caller: Caller, mut trouble: Trouble) -> Then {
        if self
            .threads
            .get(caller.thread)
            .is_none_or(|thread| thread.dying)
        {
            return Then::Resume { changed: false };
        }
        while trouble.next < PLACES {
            let handler = self.handler_at(caller.actor, Vector::Exceptions, trouble.next);
            trouble.next += 1;
            if let Some(handler) = handler
                && let Some(upcall) = self.invoke(caller.thread, handler, What::Exception(trouble))
            {
                return Then::Invoke(upcall);
            }
        }
        // The home actor's port speaks for the home actor's code, not for what a thread does inside another.
        let home = self.chain(caller.thread).next().is_none();
        if home && self.report_exception(caller, &trouble).is_ok() {
            return Then::Report(trouble);
        }
        self.untreated(caller, &trouble)
    }

    /// A routine that was called for the thread on a processor is over; `None`: it was put out of it.
    pub fn returned(&mut self, cpu: Cpu, result: Option<i32>) -> Then {
        self.entered = Some(cpu);
        let thread = self.running(cpu);
        if let (Some(thread), None) = (thread, result) {
            // A call in which a lost routine waited goes on no more.
            self.restart_forget(thread);
        }
        if let Some(thread) = thread
            && let Some(What::Message(handling)) = self.innermost(thread)
        {
            self.handling_over(thread, handling, result.is_none());
        }
        let invocation = thread.and_then(|thread| self.come_out(thread));
        let resume = Then::Resume {
            changed: result.is_some(),
        };
        let (Some(invocation), Some(caller)) = (invocation, self.caller(cpu)) else {
            return Then::Resume { changed: false };
        };
        match invocation.what {
            What::Exception(_) if result == Some(0) => resume,
            What::Exception(trouble) => self.treat(caller, trouble),
            What::Trap { trouble, .. } if result.is_none() => self.treat(caller, trouble),
            What::Abort(next) => self.abort_next(caller, next).map_or(resume, Then::Invoke),
            What::Trap { .. } | What::Lap(_) | What::Message(_) => resume,
        }
    }

    /// The thread on a processor has waited for the verdict about its exception.
    pub fn reported(&mut self, cpu: Cpu, trouble: &Trouble) -> Then {
        self.entered = Some(cpu);
        let Some(caller) = self.caller(cpu) else {
            return Then::Resume { changed: false };
        };
        let size = self.result(cpu);
        match self.verdict(caller, trouble, size) {
            K_EXC_CONTINUE => Then::Resume {
                changed: size == size_of::<KnThreadCtx>() as i32,
            },
            K_EXC_DELETE => {
                self.kill_thread(caller.thread);
                Then::Resume { changed: false }
            }
            _ => self.untreated(caller, trouble),
        }
    }

    /// What `KnExcReport` says of an exception of a thread.
    pub fn report_of(&self, cpu: Cpu, trouble: &Trouble) -> KnExcReport {
        let thread = self.running(cpu);
        let actor = thread
            .and_then(|thread| self.threads.get(thread))
            .and_then(|thread| self.actors.get(thread.actor));
        KnExcReport {
            service: K_EXC_REPORT,
            exc_no: trouble.number as i32,
            actor_cap: actor.map(|actor| actor.cap).unwrap_or_default(),
            thread_li: thread.map_or(0, local_identifier),
            flags: trouble.flags,
            pc: trouble.pc,
            fault_addr: trouble.address,
            ..KnExcReport::default()
        }
    }

    /// The routine that the thread on a processor is in cannot go on, and nobody can be asked: its actor ends.
    pub fn lost(&mut self, cpu: Cpu, pc: u64) {
        self.entered = Some(cpu);
        if let Some(caller) = self.caller(cpu) {
            let trouble = Trouble {
                number: STACK,
                pc,
                ..Trouble::default()
            };
            self.untreated(caller, &trouble);
        }
    }

    /// The default: the actor whose code it was ends, with a line and a notice. The site goes on.
    fn untreated(&mut self, caller: Caller, trouble: &Trouble) -> Then {
        let Trouble {
            number,
            pc,
            address,
            ..
        } = *trouble;
        self.counters.exceptions += 1;
        let thread = match self.threads.get(caller.thread) {
            Some(_) => local_identifier(caller.thread),
            None => 0,
        };
        let name = self
            .actors
            .get(caller.actor)
            .map_or([0; 16], |actor| actor.name);
        let cause = EXCEPTIONS
            .get(number as usize)
            .copied()
            .unwrap_or("unknown exception");
        let mut line = Line::new();
        let _ = write!(
            line,
            "actor {} ended: {cause} in thread {thread} at {pc:#x}, address {address:#x}",
            name_text(&name)
        );
        self.machine.log(line.text());
        self.kill_actor(
            caller.actor,
            End {
                reason: number,
                status: i32::MIN,
                thread,
                pc,
                address,
            },
        );
        Then::Resume { changed: false }
    }
}
