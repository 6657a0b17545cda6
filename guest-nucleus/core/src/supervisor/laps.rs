//! Local access points: routines of supervisor actors that threads of others call, and their names on the site (spec 3.12).

use super::points::{Maker, Point, What};
use super::upcall::Upcall;
use crate::arena::{Arena, Id};
use crate::executive::thread::{Thread, Wait};
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::table::Privilege;
use chorus_abi::*;

const NAMES: usize = 128;

/// A name as it is compared: zero padded.
pub(crate) type Name = [u8; K_LAPNAMEMAX + 1];

/// A name that is bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    name: Name,
    point: Id<Point>,
    /// Hidden from user actors.
    protected: bool,
}

/// The names of the site.
pub(crate) struct Names(Arena<Bound>);

impl Names {
    pub fn new() -> Self {
        Names(Arena::new(NAMES))
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// What a thread that waits for a name said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NameWait {
    name: Name,
    caller: Caller,
    lap: u64,
}

impl<M: Machine> Nucleus<M> {
    /// The LAP that a descriptor names. Errors: `K_EFAULT`; `K_EINVAL` there is none, or it was deleted.
    pub(crate) fn lap(&mut self, caller: Caller, lap: In<KnLapDesc>) -> Result<Id<Point>, KError> {
        let desc = self.read(caller, lap)?;
        let id = Id::from_word(desc.lap);
        let known = self.point(id).is_some_and(|point| {
            id.word() == desc.lap
                && point.key == desc.key
                && !point.closed
                && matches!(point.maker, Maker::Lap(_))
        });
        if known { Ok(id) } else { Err(KError::Inval) }
    }

    /// The descriptor of a LAP; `None` for other points.
    pub(crate) fn lap_desc(&self, id: Id<Point>) -> Option<KnLapDesc> {
        let point = self.point(id)?;
        matches!(point.maker, Maker::Lap(_)).then_some(KnLapDesc {
            lap: id.word(),
            key: point.key,
        })
    }

    /// `svLapCreate`.
    #[allow(
        clippy::too_many_arguments,
        reason = "the call has five, and the caller"
    )]
    pub fn sv_lap_create(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        handler: u64,
        cookie: u64,
        options: u32,
        lap: Out<KnLapDesc>,
    ) -> Result<Outcome, KError> {
        self.check_writable(caller, lap.address(), size_of::<KnLapDesc>() as u64)?;
        let owner = self.actor_by_cap(caller, cap)?;
        if options & !K_LAP_SAFE != 0 {
            return Err(KError::Inval);
        }
        let maker = Maker::Lap(options & K_LAP_SAFE != 0);
        let point = self.point_make(owner, (handler, cookie), maker)?;
        let desc = self.lap_desc(point).ok_or(KError::Inval)?;
        self.write(caller, lap, &desc)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `svLapDelete` (NC-276).
    pub fn sv_lap_delete(&mut self, caller: Caller, lap: In<KnLapDesc>) -> Result<Outcome, KError> {
        let id = self.lap(caller, lap)?;
        let safe = self
            .point(id)
            .is_some_and(|point| point.maker == Maker::Lap(true));
        self.point_close(id);
        Ok(match safe {
            true => self.await_point(caller.thread, id),
            false => Outcome::Done(K_OK),
        })
    }

    /// `lapInvoke` (NC-276): the machine calls the routine next.
    pub fn lap_invoke(
        &mut self,
        caller: Caller,
        lap: In<KnLapDesc>,
        arg: u64,
    ) -> Result<Outcome, KError> {
        let id = self.lap(caller, lap)?;
        let safe = self
            .point(id)
            .is_some_and(|point| point.maker == Maker::Lap(true));
        if !safe && caller.privilege < Privilege::Supervisor {
            return Err(KError::Inval);
        }
        let upcall = self
            .invoke(caller.thread, id, What::Lap(arg))
            .ok_or(KError::NoMem)?;
        self.supervisor.entered = Some(upcall);
        Ok(Outcome::Blocked)
    }

    /// The LAP or message handler that the caller of a call that waits goes into instead.
    pub fn entered(&mut self) -> Option<Upcall> {
        self.supervisor.entered.take()
    }

    /// Reads a name. Errors: `K_EFAULT`; `K_EINVAL` empty; `K_ENOMEM` longer than 7 characters (NC-278).
    fn name(&mut self, caller: Caller, at: In<u8>) -> Result<Name, KError> {
        let mut name: Name = [0; K_LAPNAMEMAX + 1];
        for (index, byte) in name.iter_mut().enumerate() {
            let mut one = [0];
            let address = at.address().wrapping_add(index as u64);
            self.read_bytes(caller.actor, caller.space, address, &mut one)?;
            [*byte] = one;
            match (index, *byte) {
                (0, 0) => return Err(KError::Inval),
                (_, 0) => return Ok(name),
                _ => {}
            }
        }
        Err(KError::NoMem)
    }

    fn bound(&self, name: &Name) -> Option<(Id<Bound>, Bound)> {
        let mut names = self.supervisor.names.0.iter();
        names
            .find(|(_, bound)| bound.name == *name)
            .map(|(id, bound)| (id, *bound))
    }

    /// A point is closed: its names go.
    pub(crate) fn names_forget(&mut self, point: Id<Point>) {
        for slot in 0..self.supervisor.names.0.extent() {
            let names = &mut self.supervisor.names.0;
            if let Some(id) = names.at(slot)
                && names.get(id).is_some_and(|bound| bound.point == point)
            {
                names.remove(id);
            }
        }
    }

    /// `svLapBind` (NC-277, NC-278).
    pub fn sv_lap_bind(
        &mut self,
        caller: Caller,
        lap: In<KnLapDesc>,
        name: In<u8>,
        options: u32,
    ) -> Result<Outcome, KError> {
        let point = self.lap(caller, lap)?;
        let name = self.name(caller, name)?;
        if options & !K_LAP_PROTECTED != 0 {
            return Err(KError::Inval);
        }
        if self.bound(&name).is_some() {
            return Err(KError::Busy);
        }
        let bound = Bound {
            name,
            point,
            protected: options & K_LAP_PROTECTED != 0,
        };
        self.supervisor.names.0.insert(bound).ok_or(KError::NoMem)?;
        self.name_bound(&bound);
        Ok(Outcome::Done(K_OK))
    }

    /// Whoever waits for a name, and may see it, gets its LAP.
    fn name_bound(&mut self, bound: &Bound) {
        for slot in 0..self.threads.extent() {
            let Some(id) = self.threads.at(slot) else {
                continue;
            };
            let Some(Wait::Name(wait)) = self.threads.get(id).map(|thread| thread.wait) else {
                continue;
            };
            if wait.name == bound.name && Self::sees(wait.caller, bound) {
                self.name_found(id, wait, bound.point);
            }
        }
    }

    fn name_found(&mut self, thread: Id<Thread>, wait: NameWait, point: Id<Point>) {
        let desc = self.lap_desc(point).unwrap_or_default();
        let written = self.write(wait.caller, Out::new(wait.lap), &desc);
        self.wake(thread, written.err().map_or(K_OK, KError::code));
    }

    fn sees(caller: Caller, bound: &Bound) -> bool {
        !bound.protected || caller.privilege > Privilege::User
    }

    /// `svLapUnbind`.
    pub fn sv_lap_unbind(&mut self, caller: Caller, name: In<u8>) -> Result<Outcome, KError> {
        let name = self.name(caller, name)?;
        let (id, _) = self.bound(&name).ok_or(KError::Unknown)?;
        self.supervisor.names.0.remove(id);
        Ok(Outcome::Done(K_OK))
    }

    /// `lapResolve` (NC-277, NC-278).
    pub fn lap_resolve(
        &mut self,
        caller: Caller,
        lap: Out<KnLapDesc>,
        name: In<u8>,
        options: u32,
    ) -> Result<Outcome, KError> {
        self.check_writable(caller, lap.address(), size_of::<KnLapDesc>() as u64)?;
        let name = self.name(caller, name)?;
        if options & !K_LAP_NOBLOCK != 0 {
            return Err(KError::Inval);
        }
        if let Some((_, bound)) = self.bound(&name).filter(|(_, at)| Self::sees(caller, at)) {
            let desc = self.lap_desc(bound.point).ok_or(KError::Unknown)?;
            self.write(caller, lap, &desc)?;
            return Ok(Outcome::Done(K_OK));
        }
        if options & K_LAP_NOBLOCK != 0 {
            return Err(KError::Unknown);
        }
        if self.consume_abort(caller.thread) {
            return Err(KError::Abort);
        }
        let lap = lap.address();
        self.block(
            caller.thread,
            Wait::Name(NameWait { name, caller, lap }),
            None,
        );
        Ok(Outcome::Blocked)
    }
}
