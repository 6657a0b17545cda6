//! Timers and the pools of threads that wait for them (spec 3.10).
//!
//! A timer belongs to an actor and dies with it. The Nucleus keeps nothing for a pool but its place, in its timers and in the threads that wait.
//! All timers expire on a grid of [`TICK`] nanoseconds: whatever actors ask for, there is one interrupt a tick at most.

use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, Wait, local_identifier};
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::*;

/// Resolution of timers in nanoseconds.
pub const TICK: u64 = 1_000_000;
/// What a pool that was prepared begins with.
const MARK: u32 = 0x6c6f_6f70;
const SIZE: u64 = size_of::<KnThreadPool>() as u64;

/// A timer.
pub struct Timer {
    actor: Id<Actor>,
    /// Physical place of its pool; `None`: that page was freed.
    pool: Option<u64>,
    cookie: u64,
    /// Next expiry, on the grid.
    due: Option<u64>,
    /// From one expiry to the next; 0: it expires once.
    period: u64,
    /// Expiries that no thread was told of.
    expired: u64,
    /// When the first of them was.
    since: u64,
}

/// A wait for the timers of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolWait {
    /// Physical place of the pool.
    pub place: u64,
    /// Where the cookie goes; 0: nowhere.
    cookie: u64,
    /// Where the number of further expiries goes; 0: nowhere.
    overrun: u64,
}

impl PoolWait {
    /// Where the thread is told, and how many bytes.
    pub(crate) fn told(&self) -> [(u64, u64); 2] {
        let part = |at: u64, size: u64| (at, if at == 0 { 0 } else { size });
        [part(self.cookie, 8), part(self.overrun, 4)]
    }
}

/// The first point of the grid that is not before a time.
pub(crate) fn grid(time: u64) -> u64 {
    time.checked_next_multiple_of(TICK).unwrap_or(u64::MAX)
}

impl<M: Machine> Nucleus<M> {
    fn timer_by_li(&self, actor: Id<Actor>, li: i32) -> Result<Id<Timer>, KError> {
        let id = self
            .timers
            .at((li & 0x1fff) as usize)
            .ok_or(KError::Inval)?;
        let timer = self.timers.get(id).ok_or(KError::Inval)?;
        if local_identifier(id) != li || timer.actor != actor {
            return Err(KError::Inval);
        }
        Ok(id)
    }

    fn timer_actor(&mut self, caller: Caller, cap: In<KnCap>) -> Result<Id<Actor>, KError> {
        let actor = self.actor_by_cap(caller, cap)?;
        self.may_change(caller, actor)?;
        Ok(actor)
    }

    /// Sets when a timer expires next.
    fn timer_due(&mut self, id: Id<Timer>, due: Option<u64>) {
        let slot = self.configuration.limits.timer_deadlines() + id.index();
        if let Some(timer) = self.timers.get_mut(id) {
            timer.due = due;
        }
        match due {
            Some(due) => self.timeouts.set(slot, due),
            None => self.timeouts.clear(slot),
        }
        self.deadlines_changed();
    }

    /// A timer's time has come.
    pub(crate) fn timer_expires(&mut self, slot: usize, now: u64) {
        let Some(id) = self.timers.at(slot) else {
            return;
        };
        let Some(timer) = self.timers.get_mut(id) else {
            return;
        };
        let Some(due) = timer.due else { return };
        let missed = (now.saturating_sub(due)).checked_div(timer.period);
        if timer.expired == 0 {
            timer.since = due;
        }
        timer.expired = timer.expired.saturating_add(1 + missed.unwrap_or(0));
        let next =
            missed.map(|missed| due.saturating_add((missed + 1).saturating_mul(timer.period)));
        let pool = timer.pool;
        self.timer_due(id, next);
        // A thread whose memory has gone is told that, and the next one gets the expiry.
        while let Some(place) = pool
            && self.timers.get(id).is_some_and(|timer| timer.expired > 0)
            && let Some(waiter) = self.oldest(
                place,
                |wait| matches!(wait, Wait::TimerPool(wait) if wait.place == place),
            )
        {
            let result = self.timer_told(id, waiter);
            self.wake(waiter, result);
        }
    }

    /// A thread that waits is told of a timer's expiries; its result.
    fn timer_told(&mut self, id: Id<Timer>, waiter: Id<Thread>) -> i32 {
        let Some((actor, space, Wait::TimerPool(wait))) = self
            .threads
            .get(waiter)
            .map(|thread| (thread.actor, thread.space, thread.wait))
        else {
            return KError::Inval.code();
        };
        let Some((cookie, expired)) = self.timers.get(id).map(|it| (it.cookie, it.expired)) else {
            return KError::Inval.code();
        };
        let overrun = i32::try_from(expired.saturating_sub(1)).unwrap_or(i32::MAX);
        let mut tell = |to: u64, bytes: &[u8]| match to {
            0 => Ok(()),
            to => self.at_once(|it| it.write_bytes(actor, space, to, bytes)),
        };
        let told = tell(wait.cookie, &cookie.to_le_bytes())
            .and_then(|()| tell(wait.overrun, &overrun.to_le_bytes()));
        match told {
            Ok(()) => {
                if let Some(timer) = self.timers.get_mut(id) {
                    timer.expired = 0;
                }
                K_OK
            }
            Err(error) => error.code(),
        }
    }

    /// The places of the pools of timers.
    pub(crate) fn pools(&self) -> impl Iterator<Item = u64> {
        self.timers.iter().filter_map(|(_, timer)| timer.pool)
    }

    /// Whether there is a timer whose pool is at such a place.
    pub(crate) fn is_pool_at(&self, place: impl Fn(u64) -> bool) -> bool {
        let mut all = self.timers.iter();
        all.any(|(_, timer)| timer.pool.is_some_and(&place))
    }

    /// The pools at these places are gone: their timers stand still, since their frames will be another's.
    /// Whether a frame holds the pool of a timer.
    pub(crate) fn is_pool(&self, frame: crate::machine::Frame) -> bool {
        let within = |place: u64| place / PAGE_SIZE == u64::from(frame.0);
        let mut all = self.timers.iter();
        all.any(|(_, timer)| timer.pool.is_some_and(within))
    }

    pub(crate) fn pools_end(&mut self, gone: impl Fn(u64) -> bool) {
        for slot in 0..self.timers.extent() {
            if let Some(id) = self.timers.at(slot)
                && let Some(timer) = self.timers.get_mut(id)
                && timer.pool.is_some_and(&gone)
            {
                (timer.pool, timer.expired) = (None, 0);
                self.timer_due(id, None);
            }
        }
    }

    /// Timers of an actor die with it (NC-274).
    pub(crate) fn timers_of_actor_end(&mut self, actor: Id<Actor>) {
        for slot in 0..self.timers.extent() {
            if let Some(id) = self.timers.at(slot)
                && self
                    .timers
                    .get(id)
                    .is_some_and(|timer| timer.actor == actor)
            {
                self.timer_end(id);
            }
        }
    }

    fn timer_end(&mut self, id: Id<Timer>) {
        self.timer_due(id, None);
        self.timers.remove(id);
    }

    /// `timerGetRes`.
    pub fn timer_get_res(
        &mut self,
        caller: Caller,
        resolution: Out<KnTimeVal>,
    ) -> Result<Outcome, KError> {
        self.write(caller, resolution, &KnTimeVal::from_ns(TICK))?;
        Ok(Outcome::Done(K_OK))
    }

    /// `timerThreadPoolInit`.
    pub fn timer_thread_pool_init(
        &mut self,
        caller: Caller,
        pool: Out<KnThreadPool>,
    ) -> Result<Outcome, KError> {
        self.place(caller, pool.address(), SIZE)?;
        self.write(caller, pool, &KnThreadPool { mark: MARK, pad: 0 })?;
        Ok(Outcome::Done(K_OK))
    }

    /// Place of a pool that was prepared.
    fn pool_place(&mut self, caller: Caller, pool: InOut<KnThreadPool>) -> Result<u64, KError> {
        let place = self.place(caller, pool.address(), SIZE)?;
        let value: KnThreadPool = self.read(caller, In::new(pool.address()))?;
        if value.mark == MARK {
            Ok(place)
        } else {
            Err(KError::Inval)
        }
    }

    /// `timerThreadPoolWait` (NC-272).
    pub fn timer_thread_pool_wait(
        &mut self,
        caller: Caller,
        pool: InOut<KnThreadPool>,
        cookie: Out<u64>,
        overrun: Out<i32>,
        limit: In<KnTimeVal>,
    ) -> Result<Outcome, KError> {
        for (address, size) in [(cookie.address(), 8), (overrun.address(), 4)] {
            if address != 0 {
                self.check_writable(caller, address, size)?;
            }
        }
        let place = self.pool_place(caller, pool)?;
        let limit = self.interval(caller, limit)?;
        if self.consume_abort(caller.thread) {
            return Err(KError::Abort);
        }
        let told = self
            .timers
            .iter()
            .filter(|(_, timer)| timer.pool == Some(place) && timer.expired > 0)
            .min_by_key(|(_, timer)| timer.since)
            .map(|(id, _)| id);
        if told.is_none() && limit == Some(0) {
            return Err(KError::Timeout);
        }
        let deadline = limit.map(|limit| self.machine.now().saturating_add(limit));
        let wait = Wait::TimerPool(PoolWait {
            place,
            cookie: cookie.address(),
            overrun: overrun.address(),
        });
        self.wait_for_structure(caller.thread, place, wait, deadline);
        if let Some(timer) = told {
            let result = self.timer_told(timer, caller.thread);
            self.wake(caller.thread, result);
            return Ok(Outcome::Done(result));
        }
        Ok(Outcome::Blocked)
    }

    /// `timerCreate`.
    pub fn timer_create(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        clock: i32,
        pool: InOut<KnThreadPool>,
        cookie: u64,
        li: Out<i32>,
    ) -> Result<Outcome, KError> {
        self.check_writable(caller, li.address(), size_of::<i32>() as u64)?;
        let place = self.pool_place(caller, pool)?;
        let actor = self.timer_actor(caller, cap)?;
        if clock != K_CLOCK_REALTIME {
            return Err(KError::Inval);
        }
        let timer = Timer {
            actor,
            pool: Some(place),
            cookie,
            due: None,
            period: 0,
            expired: 0,
            since: 0,
        };
        let id = self.timers.insert(timer).ok_or(KError::NoMem)?;
        self.write(caller, li, &local_identifier(id))?;
        Ok(Outcome::Done(K_OK))
    }

    /// `timerSet` (NC-272).
    pub fn timer_set(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
        flags: i32,
        new: In<KnITimer>,
        old: Out<KnITimer>,
    ) -> Result<Outcome, KError> {
        let actor = self.timer_actor(caller, cap)?;
        let wanted = self.read_optional(caller, new)?;
        let id = self.timer_by_li(actor, li)?;
        let now = self.machine.now();
        let setting = match wanted {
            None => None,
            Some(wanted) => {
                let value = wanted.it_value.to_ns().ok_or(KError::Inval)?;
                let period = wanted.it_interval.to_ns().ok_or(KError::Inval)?;
                let due = match flags {
                    0 => now.saturating_add(value),
                    K_TIMER_ABSOLUTE => value.max(now),
                    _ => return Err(KError::Inval),
                };
                Some(((value > 0).then(|| grid(due)), grid(period)))
            }
        };
        let timer = self.timers.get(id).ok_or(KError::Inval)?;
        if timer.pool.is_none() && setting.is_some_and(|(due, _)| due.is_some()) {
            return Err(KError::Inval);
        }
        let before = KnITimer {
            it_interval: KnTimeVal::from_ns(timer.period),
            it_value: KnTimeVal::from_ns(timer.due.map_or(0, |due| due.saturating_sub(now).max(1))),
        };
        self.write_optional(caller, old, &before)?;
        if let Some((due, period)) = setting {
            if let Some(timer) = self.timers.get_mut(id) {
                timer.period = period;
            }
            self.timer_due(id, due);
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `timerDelete` (NC-273).
    pub fn timer_delete(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        li: i32,
    ) -> Result<Outcome, KError> {
        let actor = self.timer_actor(caller, cap)?;
        let id = self.timer_by_li(actor, li)?;
        self.timer_end(id);
        Ok(Outcome::Done(K_OK))
    }
}
