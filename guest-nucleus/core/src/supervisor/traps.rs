//! Traps of subsystems: one handler for a number, or a table of them that a register picks from (spec 3.11, 6.1).

use super::points::{Maker, Point, What};
use super::upcall::{Then, Trouble};
use crate::arena::Id;
use crate::machine::{Cpu, Machine};
use crate::nucleus::{Caller, Nucleus, Outcome};
use alloc::vec;
use alloc::vec::Vec;
use chorus_abi::*;

const COUNT: usize = (K_TRAP_LAST - K_TRAP_FIRST + 1) as usize;
const NOBODY: u16 = u16::MAX;

/// Who has a trap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Taken {
    Nobody,
    /// One handler.
    One(Id<Point>),
    /// A table with so many handlers.
    Table(u32),
}

/// The traps, and the tables of those that have one: slots of points.
pub(crate) struct Traps {
    taken: [Taken; COUNT],
    tables: Vec<u16>,
}

impl Traps {
    pub fn new() -> Self {
        Traps {
            taken: [Taken::Nobody; COUNT],
            tables: vec![NOBODY; COUNT * K_TRAP_TABLE],
        }
    }

    fn table(&mut self, trap: usize, index: u64) -> Option<&mut u16> {
        let index = usize::try_from(index)
            .ok()
            .filter(|&index| index < K_TRAP_TABLE)?;
        self.tables.get_mut(trap * K_TRAP_TABLE + index)
    }
}

fn place(number: u32) -> Result<usize, KError> {
    if (K_TRAP_FIRST..=K_TRAP_LAST).contains(&number) {
        Ok((number - K_TRAP_FIRST) as usize)
    } else {
        Err(KError::Inval)
    }
}

impl<M: Machine> Nucleus<M> {
    fn taken(&self, trap: usize) -> Taken {
        self.supervisor
            .traps
            .taken
            .get(trap)
            .copied()
            .unwrap_or(Taken::Nobody)
    }

    fn take(&mut self, trap: usize, taken: Taken) {
        if let Some(entry) = self.supervisor.traps.taken.get_mut(trap) {
            *entry = taken;
        }
    }

    /// The handler of a trap. `index` picks it if the trap has a table.
    fn trap_handler(&mut self, trap: usize, index: u64) -> Option<Id<Point>> {
        match self.taken(trap) {
            Taken::Nobody => None,
            Taken::One(point) => Some(point),
            Taken::Table(_) => {
                let slot = *self.supervisor.traps.table(trap, index)?;
                self.supervisor.points.points.at(slot.into())
            }
        }
    }

    /// A trap of the thread on a processor; `index` is the register that picks from a table. Without a handler it is an exception (NC-268).
    pub fn trap(&mut self, cpu: Cpu, number: u32, index: u64, pc: u64, context: u64) -> Then {
        self.entered = Some(cpu);
        let trouble = Trouble {
            number: K_EXC_BADTRAP,
            pc,
            context,
            ..Trouble::default()
        };
        let handler = place(number)
            .ok()
            .and_then(|trap| self.trap_handler(trap, index));
        let thread = self.running(cpu);
        if let (Some(handler), Some(thread)) = (handler, thread)
            && let Some(upcall) = self.invoke(thread, handler, What::Trap { number, trouble })
        {
            return Then::Invoke(upcall);
        }
        self.exception(cpu, trouble)
    }

    /// A point is closed: no trap leads to it.
    pub(crate) fn traps_forget(&mut self, point: Id<Point>) {
        for trap in 0..COUNT {
            match self.taken(trap) {
                Taken::Nobody => {}
                Taken::One(one) if one == point => self.take(trap, Taken::Nobody),
                Taken::One(_) => {}
                Taken::Table(mut count) => {
                    let entries = trap * K_TRAP_TABLE..(trap + 1) * K_TRAP_TABLE;
                    let table = self.supervisor.traps.tables.get_mut(entries);
                    for entry in table.unwrap_or(&mut []) {
                        if usize::from(*entry) == point.index() {
                            *entry = NOBODY;
                            count -= 1;
                        }
                    }
                    self.take(
                        trap,
                        if count > 0 {
                            Taken::Table(count)
                        } else {
                            Taken::Nobody
                        },
                    );
                }
            }
        }
    }

    /// `svTrapConnect` (NC-265, NC-266).
    pub fn sv_trap_connect(
        &mut self,
        caller: Caller,
        number: u32,
        routine: u64,
    ) -> Result<Outcome, KError> {
        let trap = place(number)?;
        if !self.is_routine(routine) {
            return Err(KError::Inval);
        }
        if self.taken(trap) != Taken::Nobody {
            return Err(KError::Busy);
        }
        let point = self.point_make(caller.actor, (routine, 0), Maker::Connection)?;
        self.point_connected(point);
        self.take(trap, Taken::One(point));
        Ok(Outcome::Done(K_OK))
    }

    /// Ends the connection of a trap; the caller waits for the threads inside.
    fn trap_release(
        &mut self,
        caller: Caller,
        number: u32,
        trap: usize,
        point: Id<Point>,
    ) -> Outcome {
        self.take(trap, Taken::Nobody);
        self.point_disconnected(point);
        self.await_trap(caller.thread, point, number)
    }

    /// `svTrapDisConnect`.
    pub fn sv_trap_dis_connect(
        &mut self,
        caller: Caller,
        number: u32,
        routine: u64,
    ) -> Result<Outcome, KError> {
        let trap = place(number)?;
        match self.taken(trap) {
            Taken::One(id)
                if self.point(id).is_some_and(|point| {
                    point.routine == routine && point.maker == Maker::Connection
                }) =>
            {
                Ok(self.trap_release(caller, number, trap, id))
            }
            _ => Err(KError::Inval),
        }
    }

    /// `svTrapTabConnect` (NC-267).
    pub fn sv_trap_tab_connect(
        &mut self,
        caller: Caller,
        number: u32,
        index: u32,
        routine: u64,
    ) -> Result<Outcome, KError> {
        let trap = place(number)?;
        let entry = self.supervisor.traps.table(trap, index.into());
        let free = *entry.ok_or(KError::Inval)? == NOBODY;
        if !self.is_routine(routine) {
            return Err(KError::Inval);
        }
        let count = match self.taken(trap) {
            Taken::Nobody => 0,
            Taken::Table(count) if free => count,
            _ => return Err(KError::Busy),
        };
        let point = self.point_make(caller.actor, (routine, 0), Maker::Connection)?;
        self.point_connected(point);
        if let Some(entry) = self.supervisor.traps.table(trap, index.into()) {
            *entry = point.index() as u16;
        }
        self.take(trap, Taken::Table(count + 1));
        Ok(Outcome::Done(K_OK))
    }

    /// `svTrapTabDisConnect`.
    pub fn sv_trap_tab_dis_connect(
        &mut self,
        caller: Caller,
        number: u32,
        index: u32,
    ) -> Result<Outcome, KError> {
        let trap = place(number)?;
        let Taken::Table(count) = self.taken(trap) else {
            return Err(KError::Inval);
        };
        let point = self.trap_handler(trap, index.into()).ok_or(KError::Inval)?;
        if let Some(entry) = self.supervisor.traps.table(trap, index.into()) {
            *entry = NOBODY;
        }
        self.take(
            trap,
            if count > 1 {
                Taken::Table(count - 1)
            } else {
                Taken::Nobody
            },
        );
        self.point_disconnected(point);
        Ok(self.await_trap(caller.thread, point, number))
    }

    /// The LAP that has a trap. Errors: `K_EINVAL` none has.
    fn trap_lap(&self, number: u32) -> Result<(usize, Id<Point>), KError> {
        let trap = place(number)?;
        match self.taken(trap) {
            Taken::One(id)
                if self
                    .point(id)
                    .is_some_and(|point| matches!(point.maker, Maker::Lap(_))) =>
            {
                Ok((trap, id))
            }
            _ => Err(KError::Inval),
        }
    }

    /// `svSysTrapHandlerConnect`.
    pub fn sv_sys_trap_handler_connect(
        &mut self,
        caller: Caller,
        number: u32,
        lap: In<KnLapDesc>,
    ) -> Result<Outcome, KError> {
        let point = self.lap(caller, lap)?;
        let trap = place(number)?;
        if self.taken(trap) != Taken::Nobody {
            return Err(KError::Busy);
        }
        self.point_connected(point);
        self.take(trap, Taken::One(point));
        Ok(Outcome::Done(K_OK))
    }

    /// `svSysTrapHandlerDisconnect`.
    pub fn sv_sys_trap_handler_disconnect(
        &mut self,
        caller: Caller,
        number: u32,
        lap: In<KnLapDesc>,
    ) -> Result<Outcome, KError> {
        let wanted = match lap.is_null() {
            true => None,
            false => Some(self.lap(caller, lap)?),
        };
        let (trap, point) = self.trap_lap(number)?;
        if wanted.is_some_and(|wanted| wanted != point) {
            return Err(KError::Inval);
        }
        Ok(self.trap_release(caller, number, trap, point))
    }

    /// `svSysTrapHandlerGetConnected`.
    pub fn sv_sys_trap_handler_get_connected(
        &mut self,
        caller: Caller,
        number: u32,
        lap: Out<KnLapDesc>,
    ) -> Result<Outcome, KError> {
        self.check_writable(caller, lap.address(), size_of::<KnLapDesc>() as u64)?;
        let (_, point) = self.trap_lap(number)?;
        let desc = self.lap_desc(point).ok_or(KError::Inval)?;
        self.write(caller, lap, &desc)?;
        Ok(Outcome::Done(K_OK))
    }
}
