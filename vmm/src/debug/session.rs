//! One debugging session: what a stop of a vCPU means, and how the site goes on.
//!
//! All-stop: whenever a vCPU stops, all of the site are stopped. Going on from a breakpoint lifts the `int3`, steps that one vCPU while the
//! others hold, and plants it again, so that no other vCPU can run past it in between. Where the host delivers no watchpoints, the
//! site is stepped and the watched bytes are compared after each instruction. Of stops that come at once the debugger hears one after
//! another; those that it has not heard of yet wait until it lets the site go on.

use super::breakpoints::{Access, Breakpoints, Watch};
use super::images::{self, Image};
use super::inferior::{Cause, Delivery, Error, ExceptionFrame, Inferior, Motion, RSP, Registers};
use super::paging;
use std::collections::VecDeque;

/// Why the site stopped, to the debugger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was interrupted.
    Interrupted,
    /// The vCPU made its step.
    Stepped,
    /// A breakpoint, ours or an `int3` of the guest's own (then rip is behind it).
    Breakpoint,
    /// A hardware breakpoint.
    Hardware,
    /// A watched range was accessed, or has changed.
    Watch(u64, Access),
    /// Actors' images came or went.
    Images,
    /// The site has ended with this exit code.
    Ended(u8),
}

/// A debugger's hold on a site.
pub struct Session<I: Inferior> {
    site: I,
    delivery: Delivery,
    breakpoints: Breakpoints,
    /// What each vCPU is to do at the next [`Session::resume`].
    motions: Vec<Motion>,
    /// vCPUs that need not step over the breakpoint that they stand on, since they came there after the last [`Session::resume`].
    fresh: Vec<bool>,
    /// The vCPU that steps over a breakpoint now, with its physical address.
    stepping_over: Option<(usize, u64)>,
    /// Stops that the debugger has not heard of; whether it is at a breakpoint of ours.
    pending: VecDeque<(usize, Stop, bool)>,
    images: Vec<Image>,
}

impl<I: Inferior> Session<I> {
    /// Takes hold of a site: stops it.
    pub fn attach(mut site: I, delivery: Delivery) -> Result<Self, Error> {
        site.stop()?;
        let vcpus = site.vcpus();
        let mut session = Session {
            site,
            delivery,
            breakpoints: Breakpoints::default(),
            motions: vec![Motion::Continue; vcpus],
            fresh: vec![false; vcpus],
            stepping_over: None,
            pending: VecDeque::new(),
            images: Vec::new(),
        };
        session.images = images::images(&mut session.site)?;
        if let Some(landmarks) = session.site.landmarks() {
            session
                .breakpoints
                .plant(&mut session.site, landmarks.changed)?;
        }
        Ok(session)
    }

    /// Lets the site go on as if there had been no debugger; one that has ended is left alone.
    pub fn detach(&mut self) -> Result<(), Error> {
        let stopped = self.site.stop();
        // A vCPU that is in the Nucleus' #BP handler on our account goes back to where it came from. Whatever fails, the rest is done: the
        // site must not stay held.
        let heard = self.hear().map(drop);
        let replanted = self.end_step_over();
        let cleared = self.breakpoints.clear(&mut self.site);
        if stopped.is_err() {
            return Ok(());
        }
        let motions = vec![Motion::Continue; self.site.vcpus()];
        let resumed = self.site.resume(&motions, Default::default(), false);
        heard.and(replanted).and(cleared).and(resumed)
    }

    /// vCPUs of the site.
    pub fn vcpus(&self) -> usize {
        self.site.vcpus()
    }

    /// What the host delivers.
    pub fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// The actors' images that are loaded, by address.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// The site itself, for what only it knows.
    pub fn site(&mut self) -> &mut I {
        &mut self.site
    }

    /// Registers of a stopped vCPU.
    ///
    /// # Errors
    /// There is no such vCPU (a debugger may name any), or the host failed.
    pub fn registers(&mut self, vcpu: usize) -> Result<Registers, Error> {
        if vcpu >= self.site.vcpus() {
            return Err(format!("there is no vCPU {vcpu}"));
        }
        self.site.registers(vcpu)
    }

    /// Sets registers of a stopped vCPU.
    pub fn set_registers(&mut self, vcpu: usize, registers: &Registers) -> Result<(), Error> {
        self.registers(vcpu)?;
        self.site.set_registers(vcpu, registers)
    }

    /// A virtual address as a vCPU sees it; one that it does not map, as the actor whose image is there does.
    fn locate(&mut self, vcpu: usize, address: u64) -> Result<Option<(u64, usize)>, Error> {
        let registers = self.registers(vcpu)?;
        let place = paging::translate(&mut self.site, &registers, address)?;
        if place.is_some() {
            return Ok(place);
        }
        match self.images.iter().find(|image| image.holds(address)) {
            Some(image) => paging::translate(&mut self.site, &image.view(), address),
            None => Ok(None),
        }
    }

    /// Reads memory without our breakpoints; returns the bytes read from the start.
    pub fn read(&mut self, vcpu: usize, address: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        let mut done = 0;
        while done < bytes.len() {
            let Some(at) = address.checked_add(done as u64) else {
                break;
            };
            let Some((physical, run)) = self.locate(vcpu, at)? else {
                break;
            };
            let count = run.min(bytes.len() - done);
            let part = &mut bytes[done..done + count];
            if self.site.read_physical(physical, part).is_err() {
                break;
            }
            self.breakpoints.conceal(physical, part);
            done += count;
        }
        Ok(done)
    }

    /// Writes memory; our breakpoints stay.
    pub fn write(&mut self, vcpu: usize, address: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut done = 0;
        while done < bytes.len() {
            let at = address.wrapping_add(done as u64);
            let Some((physical, run)) = self.locate(vcpu, at)? else {
                return Err(format!("{at:#x} is not mapped"));
            };
            let count = run.min(bytes.len() - done);
            self.breakpoints
                .write_through(&mut self.site, physical, &bytes[done..done + count])?;
            done += count;
        }
        Ok(())
    }

    fn physical(&mut self, vcpu: usize, address: u64) -> Result<Option<u64>, Error> {
        Ok(self.locate(vcpu, address)?.map(|(physical, _)| physical))
    }

    /// The breakpoint of ours that a vCPU stands on.
    fn stands_on(&mut self, vcpu: usize) -> Result<Option<u64>, Error> {
        let rip = self.site.registers(vcpu)?.rip;
        let physical = self.physical(vcpu, rip)?;
        Ok(physical.filter(|&physical| self.breakpoints.planted(physical)))
    }

    /// Plants a software breakpoint at a virtual address of a vCPU; `false` when it is not mapped.
    pub fn add_breakpoint(&mut self, vcpu: usize, address: u64) -> Result<bool, Error> {
        let Some(physical) = self.physical(vcpu, address)? else {
            return Ok(false);
        };
        self.breakpoints.plant(&mut self.site, physical)?;
        self.breakpoints.note(address, physical);
        Ok(true)
    }

    /// Takes a software breakpoint away; `false` when there was none.
    pub fn remove_breakpoint(&mut self, vcpu: usize, address: u64) -> Result<bool, Error> {
        let noted = self.breakpoints.forget(address);
        let physical = match noted {
            Some(physical) => Some(physical),
            None => self.physical(vcpu, address)?,
        };
        match physical {
            Some(physical) => self.breakpoints.remove(&mut self.site, physical),
            None => Ok(false),
        }
    }

    /// Adds a hardware breakpoint, or what stands in for it; `false` when there is no room.
    pub fn add_hardware(&mut self, vcpu: usize, address: u64) -> Result<bool, Error> {
        if self.delivery.hardware_breakpoints {
            return Ok(self.breakpoints.add_execute(address));
        }
        self.add_breakpoint(vcpu, address)
    }

    /// Removes a hardware breakpoint.
    pub fn remove_hardware(&mut self, vcpu: usize, address: u64) -> Result<bool, Error> {
        if self.delivery.hardware_breakpoints {
            return Ok(self.breakpoints.remove_execute(address));
        }
        self.remove_breakpoint(vcpu, address)
    }

    /// Watches 1, 2, 4 or 8 aligned bytes; `false` when that is not possible here.
    pub fn add_watch(
        &mut self,
        vcpu: usize,
        address: u64,
        size: u8,
        access: Access,
    ) -> Result<bool, Error> {
        let mut last = vec![0; usize::from(size.min(8))];
        if self.read(vcpu, address, &mut last)? != last.len() {
            return Ok(false);
        }
        Ok(self.breakpoints.add_watch(
            Watch {
                address,
                size,
                access,
                last,
            },
            self.delivery,
        ))
    }

    /// Stops watching.
    pub fn remove_watch(&mut self, address: u64, size: u8, access: Access) -> bool {
        self.breakpoints.remove_watch(address, size, access)
    }

    /// Says what a vCPU is to do at the next [`Session::resume`].
    pub fn set_motion(&mut self, vcpu: usize, motion: Motion) {
        if let Some(slot) = self.motions.get_mut(vcpu) {
            *slot = motion;
        }
    }

    /// Lets the site go on; at once to the next stop if the debugger has one yet to hear of.
    pub fn resume(&mut self) -> Result<(), Error> {
        self.fresh.fill(false);
        for (vcpu, stop, ours) in std::mem::take(&mut self.pending) {
            // A breakpoint that was taken away meanwhile is none to hear of.
            if !ours || self.stands_on(vcpu)?.is_some() {
                self.pending.push_back((vcpu, stop, ours));
            }
        }
        if self.has_pending() {
            return Ok(());
        }
        self.go()
    }

    fn moves(&self, vcpu: usize) -> bool {
        self.motions
            .get(vcpu)
            .is_none_or(|motion| *motion != Motion::Hold)
    }

    fn has_pending(&self) -> bool {
        self.pending.iter().any(|(vcpu, ..)| self.moves(*vcpu))
    }

    fn next_pending(&mut self) -> Option<(usize, Stop)> {
        let index = self
            .pending
            .iter()
            .position(|(vcpu, ..)| self.moves(*vcpu))?;
        self.pending
            .remove(index)
            .map(|(vcpu, stop, _)| (vcpu, stop))
    }

    fn step_over(&mut self, vcpu: usize, physical: u64) -> Result<(), Error> {
        self.breakpoints.lift(&mut self.site, physical)?;
        self.stepping_over = Some((vcpu, physical));
        let mut motions = vec![Motion::Hold; self.site.vcpus()];
        motions[vcpu] = Motion::Step;
        self.site
            .resume(&motions, Default::default(), self.delivery.breakpoint_exits)
    }

    /// Goes on with what the debugger asked for: first over the breakpoints that vCPUs stand on.
    fn go(&mut self) -> Result<(), Error> {
        for vcpu in 0..self.site.vcpus() {
            if !self.moves(vcpu) || std::mem::replace(&mut self.fresh[vcpu], true) {
                continue;
            }
            if let Some(physical) = self.stands_on(vcpu)? {
                return self.step_over(vcpu, physical);
            }
        }
        for vcpu in 0..self.site.vcpus() {
            let tracing = self.motions[vcpu] == Motion::Continue
                && self.breakpoints.needs_stepping(self.delivery);
            let stepping = self.motions[vcpu] == Motion::Step;
            if (stepping || tracing) && self.at_system_call(vcpu)? && self.site.system_call(vcpu)? {
                if stepping {
                    self.pending.push_back((vcpu, Stop::Stepped, false));
                    return Ok(());
                }
                // The entry's first instruction may have a breakpoint.
                self.fresh[vcpu] = true;
            }
        }
        let mut motions = self.motions.clone();
        if self.breakpoints.needs_stepping(self.delivery) {
            for motion in &mut motions {
                if *motion == Motion::Continue {
                    *motion = Motion::Trace;
                }
            }
        }
        let registers = self.breakpoints.debug_registers(self.delivery);
        self.site
            .resume(&motions, registers, self.delivery.breakpoint_exits)
    }

    /// Whether a vCPU is in user mode at a `syscall`.
    fn at_system_call(&mut self, vcpu: usize) -> Result<bool, Error> {
        let registers = self.registers(vcpu)?;
        let mut instruction = [0; 2];
        let read = self.read(vcpu, registers.rip, &mut instruction)?;
        Ok(registers.privilege() == 3 && read == 2 && instruction == [0x0f, 0x05])
    }

    /// Stops the site on behalf of the debugger.
    pub fn interrupt(&mut self) -> Result<(usize, Stop), Error> {
        let stopped = self.site.stop();
        self.hear()?;
        self.end_step_over()?;
        // A stop of its own that came first is the better answer.
        if let Some(stop) = self.next_pending() {
            return Ok(stop);
        }
        stopped.map(|()| (0, Stop::Interrupted))
    }

    /// Ends a step over a breakpoint, if one was under way.
    fn end_step_over(&mut self) -> Result<(), Error> {
        match self.stepping_over.take() {
            Some((_, physical)) => self.breakpoints.replant(&mut self.site, physical),
            None => Ok(()),
        }
    }

    /// Takes what the stopped vCPUs have reported. All is taken at once: a vCPU must not be left in the #BP handler on account of a breakpoint
    /// that the debugger may take away before it hears of it. The value: whether there was anything.
    fn hear(&mut self) -> Result<bool, Error> {
        let mut any = false;
        while let Some((vcpu, cause)) = self.site.poll()? {
            any = true;
            self.end_step_over()?;
            let stop = match cause {
                Cause::Requested => Some((Stop::Interrupted, false)),
                Cause::Ended(code) => Some((Stop::Ended(code), false)),
                Cause::Step => self.stepped(vcpu)?.map(|stop| (stop, false)),
                Cause::BreakpointExit => self.breakpoint_exit(vcpu)?,
                Cause::BreakpointPort => self.breakpoint_port(vcpu)?,
                Cause::DebugRegister(bits) => Some((self.debug_register(bits), false)),
            };
            if let Some((stop, ours)) = stop {
                self.pending.push_back((vcpu, stop, ours));
            }
        }
        Ok(any)
    }

    /// The next stop that the debugger is to hear of. What is the session's own (steps over a breakpoint, steps of a watch) goes on by itself.
    pub fn poll(&mut self) -> Result<Option<(usize, Stop)>, Error> {
        loop {
            if let Some(stop) = self.next_pending() {
                return Ok(Some(stop));
            }
            if !self.hear()? {
                return Ok(None);
            }
            if !self.has_pending() {
                self.go()?;
            }
        }
    }

    fn stepped(&mut self, vcpu: usize) -> Result<Option<Stop>, Error> {
        if let Some(watch) = self.changed(vcpu)? {
            return Ok(Some(watch));
        }
        let asked = self.motions.get(vcpu) == Some(&Motion::Step);
        Ok(asked.then_some(Stop::Stepped))
    }

    fn changed(&mut self, vcpu: usize) -> Result<Option<Stop>, Error> {
        if self.delivery.watchpoints {
            return Ok(None);
        }
        for index in 0..self.breakpoints.watches_mut().len() {
            let Some(watch) = self.breakpoints.watches_mut().get(index).cloned() else {
                break;
            };
            let mut now = vec![0; watch.last.len()];
            let read = self.read(vcpu, watch.address, &mut now)?;
            // Another address space may be in force, in which the range is something else or nothing.
            if read == now.len() && now != watch.last {
                self.breakpoints.watches_mut()[index].last = now;
                return Ok(Some(Stop::Watch(watch.address, watch.access)));
            }
        }
        Ok(None)
    }

    /// A vCPU is at a breakpoint: at ours, with rip there, or behind one of the guest's own.
    fn at_breakpoint(
        &mut self,
        vcpu: usize,
        ours: Option<u64>,
    ) -> Result<Option<(Stop, bool)>, Error> {
        let Some(physical) = ours else {
            return Ok(Some((Stop::Breakpoint, false)));
        };
        let landmark = self.site.landmarks().map(|landmarks| landmarks.changed);
        if landmark != Some(physical) {
            return Ok(Some((Stop::Breakpoint, true)));
        }
        let images = images::images(&mut self.site)?;
        let changed = images != self.images;
        self.images = images;
        if self.breakpoints.count(physical) > 1 {
            return Ok(Some((Stop::Breakpoint, true)));
        }
        self.fresh[vcpu] = false;
        Ok(changed.then_some((Stop::Images, false)))
    }

    fn breakpoint_exit(&mut self, vcpu: usize) -> Result<Option<(Stop, bool)>, Error> {
        let mut registers = self.site.registers(vcpu)?;
        let ours = self.stands_on(vcpu)?;
        if ours.is_none() {
            registers.rip = registers.rip.wrapping_add(1);
            self.site.set_registers(vcpu, &registers)?;
        }
        self.at_breakpoint(vcpu, ours)
    }

    fn breakpoint_port(&mut self, vcpu: usize) -> Result<Option<(Stop, bool)>, Error> {
        let registers = self.registers(vcpu)?;
        let mut bytes = [0; ExceptionFrame::SIZE];
        let read = paging::read(
            &mut self.site,
            &registers,
            registers.general[RSP],
            &mut bytes,
        )?;
        if read != bytes.len() {
            // The guest wrote to the port by itself: it stops there.
            return Ok(Some((Stop::Breakpoint, false)));
        }
        let mut frame = ExceptionFrame::from_bytes(&bytes);
        let address = frame.rip.wrapping_sub(1);
        let physical = self.physical(vcpu, address)?;
        let ours = physical.filter(|&physical| self.breakpoints.planted(physical));
        if ours.is_some() {
            frame.rip = address;
        }
        self.site.leave_exception(vcpu, &frame)?;
        self.at_breakpoint(vcpu, ours)
    }

    fn debug_register(&self, bits: u8) -> Stop {
        let slot = bits.trailing_zeros() as usize;
        match self.breakpoints.slot(slot) {
            Some(Err(watch)) => Stop::Watch(watch.address, watch.access),
            _ => Stop::Hardware,
        }
    }
}

#[cfg(test)]
mod tests;
