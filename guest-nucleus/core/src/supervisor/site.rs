//! The site as a whole: its log, its counters, its end.

use crate::executive::thread::Wait;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// Longest line of `sysLog`, in bytes.
const LINE: usize = 256;

impl<M: Machine> Nucleus<M> {
    /// `sysLog` (NC-279): longer lines are cut, bytes that are no text end it.
    pub fn sys_log(&mut self, caller: Caller, text: In<u8>, size: u32) -> Result<Outcome, KError> {
        let mut bytes = [0; LINE];
        let size = (size as usize).min(LINE);
        let bytes = bytes.get_mut(..size).ok_or(KError::Fault)?;
        self.read_bytes(caller.actor, caller.space, text.address(), bytes)?;
        let text = match core::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => bytes
                .get(..error.valid_up_to())
                .and_then(|bytes| core::str::from_utf8(bytes).ok())
                .unwrap_or(""),
        };
        self.machine.log(text);
        Ok(Outcome::Done(K_OK))
    }

    /// `siteStat`.
    pub fn site_stat(&mut self, caller: Caller, stat: Out<KnSiteStat>) -> Result<Outcome, KError> {
        let value = self.statistics();
        self.write(caller, stat, &value)?;
        Ok(Outcome::Done(K_OK))
    }

    /// Counters of the site.
    pub fn statistics(&mut self) -> KnSiteStat {
        let (idle_fixups, delivered_twice) = self.machine.fixups();
        let [(longest_ns, longest_in), (recent_ns, recent_in)] = self.machine.longest_stretches();
        let (asked, answered) = (self.ipc.asked(), self.ipc.answered());
        KnSiteStat {
            calls: self.counters.calls + asked + answered,
            messages: self.counters.messages + asked,
            switches: self.counters.switches + asked + answered,
            longest_ns,
            longest_in,
            recent_ns,
            recent_in,
            idle_fixups,
            delivered_twice,
            site: self.configuration.site.into(),
            epoch: self.configuration.epoch.into(),
            cpus: self.configuration.cpus as u32,
            actors: self.actors.len() as u32,
            threads: self.threads.len() as u32,
            ports: self.ipc.ports.len() as u32,
            uptime_ns: self.machine.now(),
            ..self.counters
        }
    }

    /// `siteHalt`.
    pub fn site_halt(&mut self, caller: Caller, code: i32) -> Result<Outcome, KError> {
        self.machine.halt(code as u8);
        self.block(caller.thread, Wait::Halt, None);
        Ok(Outcome::Blocked)
    }

    /// `siteMark`.
    pub fn site_mark(&mut self, _: Caller, mark: u32) -> Result<Outcome, KError> {
        self.machine.mark(mark);
        Ok(Outcome::Done(K_OK))
    }
}
