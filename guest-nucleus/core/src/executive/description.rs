//! What threads tell of themselves: state, name, context pointer (spec 3.2).

use crate::executive::thread::local_identifier;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

impl<M: Machine> Nucleus<M> {
    /// `threadStat`: entries are those of one instant.
    pub fn thread_stat(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        list: Out<KnThreadStat>,
        room: i32,
    ) -> Result<Outcome, KError> {
        let actor = self.actor_by_cap(caller, cap)?;
        let room = usize::try_from(room).map_err(|_| KError::Inval)?;
        let threads = self
            .actors
            .get(actor)
            .map_or(0, |actor| actor.threads as usize);
        // All or nothing: a list that cannot be written to its end is not begun.
        let shown = room.min(threads) * size_of::<KnThreadStat>();
        self.check_writable(caller, list.address(), shown as u64)?;
        let mut count = 0;
        for slot in 0..self.threads.extent() {
            let Some(id) = self.threads.at(slot) else {
                continue;
            };
            let Some(thread) = self.threads.get(id).filter(|thread| thread.actor == actor) else {
                continue;
            };
            let mut stat = KnThreadStat {
                li: local_identifier(id),
                privilege: thread.supervisor.into(),
                state: thread.state(),
                suspended: thread.suspended,
                relative: thread.relative,
                absolute: self.absolute(id),
                cpu: thread.last_cpu as u32,
                pad: 0,
                cpu_time_ns: 0,
            };
            let time = self.cpu_time(id);
            stat.cpu_time_ns = self.machine.nanoseconds(time);
            if count < room {
                self.write(
                    caller,
                    Out::new(list.address() + (count * size_of::<KnThreadStat>()) as u64),
                    &stat,
                )?;
            }
            count += 1;
        }
        Ok(Outcome::Done(count as i32))
    }

    /// `threadName`.
    pub fn thread_name(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
        old: Out<u8>,
        new: In<u8>,
    ) -> Result<Outcome, KError> {
        let id = self.thread_to_change(caller, cap, li)?;
        let name = self.threads.get(id).ok_or(KError::Inval)?.name;
        let mut wanted: Option<[u8; 16]> = self.read_optional(caller, In::new(new.address()))?;
        if let Some(wanted) = &mut wanted {
            wanted[NAME_MAX] = 0;
        }
        self.write_optional(caller, Out::new(old.address()), &name)?;
        if let (Some(wanted), Some(thread)) = (wanted, self.threads.get_mut(id)) {
            thread.name = wanted;
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `threadLoad` (NC-077).
    pub fn thread_load(&mut self, caller: Caller, context: Out<u64>) -> Result<Outcome, KError> {
        let value = self
            .threads
            .get(caller.thread)
            .map_or(0, |thread| thread.context);
        self.write(caller, context, &value)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `threadStore` (NC-077).
    pub fn thread_store(&mut self, caller: Caller, context: u64) -> Result<Outcome, KError> {
        if let Some(thread) = self.threads.get_mut(caller.thread) {
            thread.context = context;
        }
        Ok(Outcome::Done(K_OK))
    }
}
