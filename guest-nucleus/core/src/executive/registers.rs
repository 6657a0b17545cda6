//! `threadContext` (spec 3.2): the registers of a thread that stands still.

use crate::executive::thread::Thread;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::table::Privilege;
use chorus_abi::*;

/// Whether a thread is held, so that its registers stay as they are.
fn held(thread: &Thread) -> bool {
    thread.suspended > 0 || thread.stopped || !thread.active
}

impl<M: Machine> Nucleus<M> {
    /// `threadContext` (NC-078, NC-079). A thread inside a call goes on with the new registers when the call ends, which has no result then.
    pub fn thread_context(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
        old: InOut<KnThreadCtx>,
        new: In<KnThreadCtx>,
    ) -> Result<Outcome, KError> {
        let id = self.thread_to_change(caller, cap, li)?;
        let thread = self.threads.get(id).ok_or(KError::Inval)?;
        if thread.actor != caller.actor && caller.privilege < Privilege::System {
            return Err(KError::Priv);
        }
        let (held, leaving) = (held(thread), thread.cpu.is_some());
        let told: Option<KnThreadCtx> = self.read_optional(caller, In::new(old.address()))?;
        let wanted = self.read_optional(caller, new)?;
        if let Some(told) = &told {
            self.check_writable(caller, old.address(), size_of::<KnThreadCtx>() as u64)?;
            if told.fpu_area != 0 {
                self.check_writable(caller, told.fpu_area, FPU_AREA_SIZE as u64)?;
            }
        }
        let mut vectors = [0; FPU_AREA_SIZE];
        let given = wanted.map_or(0, |wanted| wanted.fpu_area);
        if given != 0 {
            self.read_bytes(caller.actor, caller.space, given, &mut vectors)?;
        }
        if !held {
            return Err(KError::Inval);
        }
        if leaving {
            return Err(KError::Busy);
        }
        if let Some(wanted) = &wanted
            && (wanted.fs_base != 0
                || wanted.gs_base != 0
                || !self.machine.registers_fit(id.index(), wanted))
        {
            return Err(KError::Inval);
        }
        if let Some(told) = told {
            let area = told.fpu_area;
            if area != 0 {
                let now = self.machine.vectors(id.index()).ok_or(KError::Inval)?;
                self.write_bytes(caller.actor, caller.space, area, &now)?;
            }
            let mut now = self.machine.registers(id.index());
            now.fpu_area = area;
            if now.in_call != 0
                && let Some(arguments) = self.said(id)
            {
                [now.rdi, now.rsi, now.rdx, now.r10, now.r8, _] = arguments;
            }
            self.write(caller, Out::new(old.address()), &now)?;
        }
        if let Some(wanted) = wanted {
            if given != 0 {
                self.machine.set_vectors(id.index(), &vectors);
            }
            self.restart_forget(id);
            self.machine.set_registers(id.index(), &wanted);
        }
        Ok(Outcome::Done(K_OK))
    }
}
