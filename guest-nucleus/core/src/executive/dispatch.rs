//! From a call number and six registers to the call: made from the table, so that no row can be forgotten.

use crate::ipc::INSIDE;
use crate::machine::{Cpu, Machine};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::net::{KnNetItem, KnNetSeat};
use chorus_abi::table::Privilege;
use chorus_abi::*;

const IPC_CALL: usize = table::number::ipc_call as usize;
const IPC_REPLY_RECEIVE: usize = table::number::ipc_reply_receive as usize;

macro_rules! dispatcher {
    ($($(#[$doc:meta])* $number:literal $name:literal $rust:ident $privilege:ident $blocks:ident
        ($($arg:ident : $type:ty),*) [$($error:ident),*];)*) => {
        impl<M: Machine> Nucleus<M> {
            fn dispatch(&mut self, caller: Caller, number: usize, registers: &[u64; 6]) -> Result<Outcome, KError> {
                match number {
                    $($number => {
                        if caller.privilege < Privilege::$privilege {
                            return Err(KError::Priv);
                        }
                        #[allow(unused_mut, unused_variables, reason = "calls without arguments take none")]
                        let mut registers = registers.iter().copied();
                        $(let $arg = <$type as Arg>::from_register(registers.next().unwrap_or(0));)*
                        self.$rust(caller $(, $arg)*)
                    })*
                    _ => Err(KError::Inval),
                }
            }
        }
    };
}
chorus_calls!(dispatcher);

impl<M: Machine> Nucleus<M> {
    /// A call of the thread on a processor: number and argument registers. `schedule` follows unless the call is done and [`Nucleus::caller_goes_on`].
    #[inline(always)]
    pub fn call(&mut self, cpu: Cpu, number: usize, registers: &[u64; 6]) -> Outcome {
        self.entered = Some(cpu);
        self.counters.calls += 1;
        let taken = match number {
            #[cfg(test)]
            _ if self.without_fast_path => None,
            IPC_CALL => self.call_fast(cpu, registers),
            IPC_REPLY_RECEIVE => self.reply_receive_fast(cpu, registers),
            _ => None,
        };
        if let Some(slot) = taken {
            return match slot {
                INSIDE => Outcome::Inside,
                slot => Outcome::HandedOver(slot as u32),
            };
        }
        self.call_in_full(cpu, number, registers)
    }

    /// The same by the way that does everything: what happens to messages and threads is written down there only.
    pub fn call_traced(&mut self, cpu: Cpu, number: usize, registers: &[u64; 6]) -> Outcome {
        self.entered = Some(cpu);
        self.counters.calls += 1;
        self.call_in_full(cpu, number, registers)
    }

    /// `sysNull`, which concerns nobody: not even its caller is looked up.
    #[inline(always)]
    pub fn null_call(&mut self) {
        self.counters.calls += 1;
    }

    #[inline(never)]
    fn call_in_full(&mut self, cpu: Cpu, number: usize, registers: &[u64; 6]) -> Outcome {
        let Some(caller) = self.caller(cpu) else {
            return Outcome::Done(KError::Inval.code());
        };
        if self
            .threads
            .get(caller.thread)
            .is_some_and(|thread| thread.dying)
        {
            // It was deleted from another processor, and came here before the kick did. What it made now would belong to nobody.
            return Outcome::Blocked;
        }
        if self.in_interrupt(cpu) && !Self::may_interrupt_call(number) {
            return Outcome::Done(KError::Inval.code());
        }
        let outcome = match self.dispatch(caller, number, registers) {
            Ok(outcome) => outcome,
            Err(error) => self.failed(caller, number, registers, error),
        };
        self.requests_retry();
        self.after_going(caller.thread, outcome)
    }

    /// `sysNull`.
    pub fn sys_null(&mut self, _: Caller) -> Result<Outcome, KError> {
        Ok(Outcome::Done(K_OK))
    }
}
