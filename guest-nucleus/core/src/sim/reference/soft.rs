//! Soft interrupts: what was triggered runs once, the last one first, before any thread goes on; and posts that are made there.

use super::draw::one;
use super::episode::*;
use super::model::{Expected, Model};
use crate::nucleus::Outcome;
use chorus_abi::error::*;
use chorus_abi::table::number;
use chorus_abi::*;
use std::format;
use std::prelude::rust_2024::*;

/// Soft interrupts that there are at a time.
const SOFT: usize = 6;

/// A soft interrupt. Records are never used again.
#[derive(Debug)]
pub struct Soft {
    pub actor: usize,
    pub alive: bool,
}

impl Model {
    fn soft_declare(&mut self, actor: usize) {
        self.soft.push(Soft { actor, alive: true });
    }

    fn soft_trigger(&mut self, soft: usize) -> Expected {
        if !self.soft[soft].alive {
            return Expected::Returns(K_EINVAL);
        }
        if !self.pending.contains(&soft) {
            self.pending.push(soft);
        }
        Expected::Returns(K_OK)
    }

    fn soft_forget(&mut self, soft: usize) -> Expected {
        if !self.soft[soft].alive {
            return Expected::Returns(K_EINVAL);
        }
        self.soft[soft].alive = false;
        self.pending.retain(|&other| other != soft);
        Expected::Returns(K_OK)
    }

    /// An actor is deleted.
    pub fn soft_die(&mut self, actor: usize) {
        for soft in 0..self.soft.len() {
            if self.soft[soft].actor == actor && self.soft[soft].alive {
                self.soft_forget(soft);
            }
        }
    }
}

impl Episode {
    /// Calls about soft interrupts, and the return of a processor to its thread.
    pub(super) fn soft(&mut self, cpu: usize, caller: usize, op: u8, (a, b): (u8, u8)) -> Checked {
        let home = self.model.threads[caller].actor;
        let trusted = self.model.actors[home].kind == K_SUPACTOR;
        let alive = self.model.soft.iter().filter(|soft| soft.alive).count();
        let name = match op {
            72 if b < 96 => number::sv_soft_intr_declare,
            72 if b < 128 => number::sv_soft_intr_forget,
            72 | 73 => number::sv_soft_intr_trigger,
            _ => return self.interrupts(cpu),
        };
        if name == number::sv_soft_intr_declare {
            if alive >= SOFT {
                return Ok(());
            }
            let value = KnSoftIntr {
                handler: ROUTINE,
                cookie: self.soft.len() as u64,
                id: 0,
            };
            let at = self.put(caller, SETTING, &value);
            let seen = Expected::Returns(if trusted { K_OK } else { K_EPRIV });
            self.call(cpu, caller, name, &[at], seen)?;
            if trusted {
                let made = self.get(caller, SETTING);
                self.soft.push(made);
                self.model.soft_declare(home);
            }
            return Ok(());
        }
        // Several, of which the last one is to come first.
        let several = if name == number::sv_soft_intr_trigger {
            3
        } else {
            1
        };
        for pick in (0..several).map(|more| a.wrapping_add(more)) {
            // The kick that comes with a trigger may end a slice: then the next call on this processor is an equal's.
            let runs = self.site.nucleus.running(cpu);
            if runs != Some(self.threads[caller]) {
                let level = runs.map(|id| self.site.nucleus.absolute(id));
                let own = self.model.absolute(caller);
                same!(
                    level,
                    Some(own),
                    "the priority of who has the processor then"
                );
                return Ok(());
            }
            // Most often one that is.
            let is = |&at: &usize| (a >= 240) != self.model.soft[at].alive;
            let Some(soft) = one((0..self.soft.len()).filter(is), pick) else {
                return Ok(());
            };
            let at = self.put(caller, SETTING, &self.soft[soft].clone());
            let expected = match (trusted, name == number::sv_soft_intr_trigger) {
                (false, _) => Expected::Returns(K_EPRIV),
                (true, true) => self.model.soft_trigger(soft),
                (true, false) => self.model.soft_forget(soft),
            };
            self.call(cpu, caller, name, &[at], expected)?;
        }
        Ok(())
    }

    /// A processor goes back to its thread: what is pending runs first.
    fn interrupts(&mut self, cpu: usize) -> Checked {
        self.last = "soft interrupts";
        while let Some(service) = self.site.whole().soft_interrupt(cpu) {
            let expected = self.model.pending.pop();
            same!(
                Some(service.cookie as usize),
                expected,
                "the soft interrupt that runs"
            );
            let soft = service.cookie as usize;
            let actor = self.model.soft[soft].actor;
            let at = |episode: &Episode, offset| episode.site.at(episode.actors[actor], offset);
            let (name, structure, mask) = match soft % 4 {
                0 => (number::sys_null, 0, 0),
                1 => (number::sem_v, at(self, SEMAPHORES), 0),
                2 => (number::thread_sem_post, at(self, THREAD_SEMAPHORES), 0),
                _ => (number::event_post, at(self, EVENTS), 1),
            };
            match soft % 4 {
                0 => {}
                1 => drop(self.model.semaphore_post(actor, 0)),
                2 => drop(self.model.thread_semaphore_post(actor, 0)),
                _ => drop(self.model.event_post(actor, 0, 1)),
            }
            let arguments = [structure, mask, 0, 0, 0, 0];
            let done = self.site.whole().call(cpu, name.into(), &arguments);
            same!(done, Outcome::Done(K_OK), "a post of a soft interrupt");
            self.site.nucleus.interrupt_returned(cpu, Some(0));
            *self.tally.entry(("a soft interrupt", None)).or_default() += 1;
        }
        same!(
            self.model.pending.len(),
            0,
            "soft interrupts that did not run"
        );
        self.site.settle();
        Ok(())
    }
}
