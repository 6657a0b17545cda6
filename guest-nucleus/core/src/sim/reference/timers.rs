//! Timers and the pools of threads that wait for them: no expiry is early, lost or told twice.

use super::draw::one;
use super::episode::*;
use super::model::{Expected, Model, STRUCTURES, Wait};
use crate::executive::timers::TICK;
use chorus_abi::error::*;
use chorus_abi::table::number;
use chorus_abi::*;
use std::collections::VecDeque;
use std::format;
use std::prelude::rust_2024::*;

/// Timers that the site has room for.
const TIMERS: usize = 8;

#[derive(Debug, Default)]
pub struct Pool {
    /// It was initialised.
    pub ready: bool,
    /// The longest waiter first.
    pub waiters: VecDeque<usize>,
}

/// A timer. Records are never used again.
#[derive(Debug)]
pub struct Timer {
    pub actor: usize,
    pub alive: bool,
    /// The pool, by actor and which of its; none: its memory has gone.
    pool: Option<(usize, usize)>,
    pub due: Option<u64>,
    period: u64,
    /// Expiries that nobody was told of, and when the first was.
    expired: u32,
    since: u64,
}

/// Times are made up to the resolution of timers.
fn up(time: u64) -> u64 {
    time.next_multiple_of(TICK)
}

impl Model {
    /// Timers whose time has come expire, and threads that wait are told: see [`Model::pass`].
    pub fn expire(&mut self, now: u64, told: &mut dyn FnMut(usize, usize) -> u64) {
        for timer in &mut self.timers {
            if timer.due != Some(now) {
                continue;
            }
            timer.due = (timer.period > 0).then(|| now + timer.period);
            timer.since = if timer.expired == 0 { now } else { timer.since };
            timer.expired += 1;
        }
        for actor in 0..self.actors.len() {
            for which in 0..STRUCTURES {
                while let Some(&waiter) = self.actors[actor].pools[which].waiters.front() {
                    let expired = self.expired(actor, which);
                    let Some(&first) = expired.first() else {
                        break;
                    };
                    let said = told(actor, waiter) as usize;
                    let timer = if expired.contains(&said) { said } else { first };
                    let overrun = self.tell(timer);
                    self.leave(waiter);
                    self.wake(waiter, K_OK, Some(timer as u64));
                    self.threads[waiter].overrun = Some(overrun);
                }
            }
        }
    }

    /// Timers of a pool that have expired and nobody was told of; of these the ones that did first.
    fn expired(&self, actor: usize, which: usize) -> Vec<usize> {
        let fits =
            |timer: &Timer| timer.alive && timer.pool == Some((actor, which)) && timer.expired > 0;
        let all = (0..self.timers.len()).filter(|&at| fits(&self.timers[at]));
        let first = all.clone().map(|at| self.timers[at].since).min();
        all.filter(|&at| Some(self.timers[at].since) == first)
            .collect()
    }

    /// A thread is told of a timer: how many expiries beyond the first that stands for.
    fn tell(&mut self, timer: usize) -> u32 {
        std::mem::take(&mut self.timers[timer].expired) - 1
    }

    pub fn pool_wait(&mut self, caller: usize, which: usize, limit: Option<u64>) -> Expected {
        let actor = self.threads[caller].actor;
        if !self.actors[actor].pools[which].ready {
            return Expected::Returns(K_EINVAL);
        }
        if self.consume(caller) {
            return Expected::Returns(K_EABORT);
        }
        if !self.expired(actor, which).is_empty() {
            return Expected::Returns(K_OK);
        }
        if limit == Some(0) {
            return Expected::Returns(K_ETIMEOUT);
        }
        self.actors[actor].pools[which].waiters.push_back(caller);
        self.wait(caller, Wait::Pool(which), true, limit)
    }

    fn timer_create(&mut self, caller: usize, actor: usize, which: usize) -> Expected {
        let home = self.threads[caller].actor;
        if !self.actors[home].pools[which].ready {
            return Expected::Returns(K_EINVAL);
        }
        if !self.may_change(caller, actor) {
            return Expected::Returns(K_EPRIV);
        }
        if self.timers.iter().filter(|timer| timer.alive).count() >= TIMERS {
            return Expected::Returns(K_ENOMEM);
        }
        self.timers.push(Timer {
            actor,
            alive: true,
            pool: Some((home, which)),
            due: None,
            period: 0,
            expired: 0,
            since: 0,
        });
        Expected::Returns(K_OK)
    }

    /// A timer by its actor.
    fn timer(&mut self, caller: usize, actor: usize, timer: usize) -> Result<&mut Timer, i32> {
        if !self.may_change(caller, actor) {
            return Err(K_EPRIV);
        }
        let found = &mut self.timers[timer];
        match found.alive && found.actor == actor {
            true => Ok(found),
            false => Err(K_EINVAL),
        }
    }

    /// The setting that a timer had: its period, and what was left.
    fn timer_set(
        &mut self,
        caller: usize,
        (actor, timer): (usize, usize),
        flags: i32,
        (value, period): (u64, u64),
    ) -> Result<(u64, u64), i32> {
        let now = self.now;
        let timer = self.timer(caller, actor, timer)?;
        let due = match flags {
            0 => up(now + value),
            K_TIMER_ABSOLUTE => up(value.max(now)),
            _ => return Err(K_EINVAL),
        };
        let due = Some(due).filter(|_| value > 0);
        if due.is_some() && timer.pool.is_none() {
            return Err(K_EINVAL);
        }
        let before = (timer.period, timer.due.map_or(0, |due| due - now));
        (timer.due, timer.period) = (due, up(period));
        Ok(before)
    }

    fn timer_delete(&mut self, caller: usize, actor: usize, timer: usize) -> Expected {
        match self.timer(caller, actor, timer) {
            Ok(timer) => (timer.alive, timer.due) = (false, None),
            Err(error) => return Expected::Returns(error),
        }
        Expected::Returns(K_OK)
    }

    /// An actor is deleted: its timers are, and those of others stand still that are for its pools.
    pub fn timers_die(&mut self, actor: usize) {
        for timer in &mut self.timers {
            if timer.actor == actor {
                (timer.alive, timer.due) = (false, None);
            }
            if timer.pool.is_some_and(|(of, _)| of == actor) {
                (timer.pool, timer.due, timer.expired) = (None, None, 0);
            }
        }
    }
}

impl Episode {
    /// Calls about timers and their pools.
    pub(super) fn timers(
        &mut self,
        cpu: usize,
        caller: usize,
        op: u8,
        (a, b, c): (u8, u8, u8),
    ) -> Checked {
        // One more than the other, so that timers meet.
        let which = usize::from(b.is_multiple_of(8)) % STRUCTURES;
        let home = self.model.threads[caller].actor;
        let pool = self.site.at(self.actors[home], POOLS + 8 * which as u64);
        let ready = self.model.actors[home].pools[which].ready;
        match op {
            67..=69 if c < if ready { 4 } else { 120 } => {
                self.model.actors[home].pools[which].ready = true;
                let done = Expected::Returns(K_OK);
                self.call(cpu, caller, number::timer_thread_pool_init, &[pool], done)?;
            }
            67 | 68 => {
                // Often without waiting: what expires meanwhile is counted.
                let (at, limit) = self.interval(caller, if a < 160 { 0 } else { c });
                let expected = self.model.pool_wait(caller, which, limit);
                let cookie = self.put(caller, GOT, &u64::MAX);
                let overrun = self.put(caller, OVERRUN, &u32::MAX);
                let arguments = [pool, cookie, overrun, at];
                let number = number::timer_thread_pool_wait;
                self.call(cpu, caller, number, &arguments, expected)?;
                if expected == Expected::Returns(K_OK) {
                    // Which of those that expired together, the Nucleus says.
                    let cookie = self.get::<u64>(caller, GOT) as usize;
                    let expired = self.model.expired(home, which);
                    same!(
                        expired.contains(&cookie),
                        true,
                        "whether timer {cookie} is one of {expired:?}"
                    );
                    let missed = self.model.tell(cookie);
                    same!(self.get::<u32>(caller, OVERRUN), missed, "missed expiries");
                }
            }
            69 if c < 160 => {
                let actor = self.actor(a);
                let expected = self.model.timer_create(caller, actor, which);
                let cap = self.put(caller, CAP, &self.caps[actor].clone());
                let li = self.put(caller, LI, &0i32);
                let cookie = self.timers.len() as u64;
                let arguments = [cap, K_CLOCK_REALTIME as u64, pool, cookie, li];
                self.call(cpu, caller, number::timer_create, &arguments, expected)?;
                if expected == Expected::Returns(K_OK) {
                    let li = self.get(caller, LI);
                    self.timers.push(li);
                }
            }
            _ => {
                let Some((timer, actor)) = self.timer(a) else {
                    return Ok(());
                };
                let cap = self.put(caller, CAP, &self.caps[actor].clone());
                let li = self.timers[timer] as u64;
                self.tell(|| format!("timer {timer} of actor {actor}"));
                if op == 69 {
                    let expected = self.model.timer_delete(caller, actor, timer);
                    self.call(cpu, caller, number::timer_delete, &[cap, li], expected)?;
                    return Ok(());
                }
                let absolute = b & 2 != 0;
                let flags = if b >= 250 { 2 } else { i32::from(absolute) };
                let value = match c % 8 {
                    0 => 0,
                    _ if absolute => self.model.now.saturating_sub(3 * MS) + u64::from(c) * MS / 7,
                    _ => u64::from(c) * MS / 7,
                };
                // Not so short that nothing else would happen.
                let period = [0, 0, 11 * MS + 5, 40 * MS][usize::from(b >> 2) % 4];
                let setting = KnITimer {
                    it_interval: KnTimeVal::from_ns(period),
                    it_value: KnTimeVal::from_ns(value),
                };
                let new = self.put(caller, SETTING, &setting);
                let old = self.put(caller, OLD, &KnITimer::default());
                let set = (value, period);
                let before = self.model.timer_set(caller, (actor, timer), flags, set);
                let expected = Expected::Returns(before.err().unwrap_or(K_OK));
                let arguments = [cap, li, flags as u64, new, old];
                self.call(cpu, caller, number::timer_set, &arguments, expected)?;
                if let Ok((period, rest)) = before {
                    let old: KnITimer = self.get(caller, OLD);
                    let old = (old.it_interval.to_ns(), old.it_value.to_ns());
                    same!(old, (Some(period), Some(rest)), "the setting before");
                }
            }
        }
        Ok(())
    }

    /// A timer, most often one that is, and its actor, most often.
    fn timer(&self, pick: u8) -> Option<(usize, usize)> {
        let is = |&at: &usize| (pick >= 248) != self.model.timers[at].alive;
        let timer = one((0..self.timers.len()).filter(is), pick)?;
        let owner = self.model.timers[timer].actor;
        match pick % 16 == 1 || !self.model.actors[owner].alive {
            true => Some((timer, self.actor(pick))),
            false => Some((timer, owner)),
        }
    }
}
