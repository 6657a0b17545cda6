//! One debugging session: what a stop of a vCPU means, and how the site goes on.
//!
//! All-stop: whenever a vCPU stops, all of the site are stopped. Going on from a breakpoint lifts the `int3`, steps that one vCPU while the
//! others hold, and plants it again, so that no other vCPU can run past it in between. Where the host delivers no watchpoints, the
//! site is stepped and the watched bytes are compared after each instruction.

use super::breakpoints::{Access, Breakpoints, Watch};
use super::inferior::{Cause, Delivery, Error, ExceptionFrame, Inferior, Motion, RSP, Registers};
use super::paging;

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
    /// vCPUs that must first step over the breakpoint that they stand on, and the one that does so now with its physical address.
    stepping_over: Option<(usize, u64)>,
}

impl<I: Inferior> Session<I> {
    /// Takes hold of a site: stops it.
    pub fn attach(mut site: I, delivery: Delivery) -> Result<Self, Error> {
        site.stop()?;
        let motions = vec![Motion::Continue; site.vcpus()];
        Ok(Session {
            site,
            delivery,
            breakpoints: Breakpoints::default(),
            motions,
            stepping_over: None,
        })
    }

    /// Lets the site go on as if there had been no debugger.
    pub fn detach(&mut self) -> Result<(), Error> {
        self.site.stop()?;
        self.breakpoints.clear(&mut self.site)?;
        self.stepping_over = None;
        let motions = vec![Motion::Continue; self.site.vcpus()];
        self.site.resume(&motions, Default::default(), false)
    }

    /// vCPUs of the site.
    pub fn vcpus(&self) -> usize {
        self.site.vcpus()
    }

    /// What the host delivers.
    pub fn delivery(&self) -> Delivery {
        self.delivery
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

    /// Reads memory as the vCPU sees it, without our breakpoints; returns the bytes read from the start.
    pub fn read(&mut self, vcpu: usize, address: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        let registers = self.registers(vcpu)?;
        let read = paging::read(&mut self.site, &registers, address, bytes)?;
        let mut done = 0;
        while done < read {
            let at = address.wrapping_add(done as u64);
            let Some((physical, run)) = paging::translate(&mut self.site, &registers, at)? else {
                break;
            };
            let count = run.min(read - done);
            self.breakpoints
                .conceal(physical, &mut bytes[done..done + count]);
            done += count;
        }
        Ok(read)
    }

    /// Writes memory as the vCPU sees it; our breakpoints stay.
    pub fn write(&mut self, vcpu: usize, address: u64, bytes: &[u8]) -> Result<(), Error> {
        let registers = self.registers(vcpu)?;
        let mut done = 0;
        while done < bytes.len() {
            let at = address.wrapping_add(done as u64);
            let Some((physical, run)) = paging::translate(&mut self.site, &registers, at)? else {
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
        let registers = self.registers(vcpu)?;
        Ok(paging::translate(&mut self.site, &registers, address)?.map(|(physical, _)| physical))
    }

    /// Plants a software breakpoint at a virtual address of a vCPU; `false` when it is not mapped.
    pub fn add_breakpoint(&mut self, vcpu: usize, address: u64) -> Result<bool, Error> {
        let Some(physical) = self.physical(vcpu, address)? else {
            return Ok(false);
        };
        self.breakpoints.plant(&mut self.site, physical)?;
        Ok(true)
    }

    /// Takes a software breakpoint away; `false` when there was none.
    pub fn remove_breakpoint(&mut self, vcpu: usize, address: u64) -> Result<bool, Error> {
        match self.physical(vcpu, address)? {
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

    /// Forgets what vCPUs were to do: all continue.
    pub fn clear_motions(&mut self) {
        self.motions.fill(Motion::Continue);
    }

    /// Says what a vCPU is to do at the next [`Session::resume`].
    pub fn set_motion(&mut self, vcpu: usize, motion: Motion) {
        if let Some(slot) = self.motions.get_mut(vcpu) {
            *slot = motion;
        }
    }

    /// Lets the site go on.
    pub fn resume(&mut self) -> Result<(), Error> {
        for vcpu in 0..self.site.vcpus() {
            if self.motions[vcpu] == Motion::Hold {
                continue;
            }
            let rip = self.site.registers(vcpu)?.rip;
            if let Some(physical) = self.physical(vcpu, rip)?
                && self.breakpoints.planted(physical)
            {
                return self.step_over(vcpu, physical);
            }
        }
        self.go()
    }

    fn step_over(&mut self, vcpu: usize, physical: u64) -> Result<(), Error> {
        self.breakpoints.lift(&mut self.site, physical)?;
        self.stepping_over = Some((vcpu, physical));
        let mut motions = vec![Motion::Hold; self.site.vcpus()];
        motions[vcpu] = Motion::Step;
        self.site
            .resume(&motions, Default::default(), self.delivery.breakpoint_exits)
    }

    fn go(&mut self) -> Result<(), Error> {
        let mut motions = self.motions.clone();
        if self.breakpoints.needs_stepping(self.delivery) {
            for motion in &mut motions {
                if *motion == Motion::Continue {
                    *motion = Motion::Step;
                }
            }
        }
        let registers = self.breakpoints.debug_registers(self.delivery);
        self.site
            .resume(&motions, registers, self.delivery.breakpoint_exits)
    }

    /// Stops the site on behalf of the debugger.
    pub fn interrupt(&mut self) -> Result<(usize, Stop), Error> {
        self.site.stop()?;
        self.end_step_over()?;
        // A stop of its own that came first is the better answer.
        match self.poll()? {
            Some(stop) => Ok(stop),
            None => Ok((0, Stop::Interrupted)),
        }
    }

    fn end_step_over(&mut self) -> Result<Option<usize>, Error> {
        let Some((vcpu, physical)) = self.stepping_over.take() else {
            return Ok(None);
        };
        self.breakpoints.replant(&mut self.site, physical)?;
        Ok(Some(vcpu))
    }

    /// The next stop that the debugger is to hear of. Stops of the session's own (steps over a breakpoint, steps of a watch) go on by themselves.
    pub fn poll(&mut self) -> Result<Option<(usize, Stop)>, Error> {
        while let Some((vcpu, cause)) = self.site.poll()? {
            let over = self.end_step_over()?;
            let stop = match cause {
                Cause::Requested => Some(Stop::Interrupted),
                Cause::Ended(code) => Some(Stop::Ended(code)),
                Cause::Step => self.stepped(vcpu, over)?,
                Cause::BreakpointExit => Some(self.breakpoint_exit(vcpu)?),
                Cause::BreakpointPort => Some(self.breakpoint_port(vcpu)?),
                Cause::DebugRegister(bits) => Some(self.debug_register(bits)),
            };
            if let Some(stop) = stop {
                return Ok(Some((vcpu, stop)));
            }
        }
        Ok(None)
    }

    fn stepped(&mut self, vcpu: usize, over: Option<usize>) -> Result<Option<Stop>, Error> {
        if let Some(watch) = self.changed(vcpu)? {
            return Ok(Some(watch));
        }
        if self.motions.get(vcpu) == Some(&Motion::Step) {
            return Ok(Some(Stop::Stepped));
        }
        if over.is_some() {
            self.resume()?;
        } else {
            self.go()?;
        }
        Ok(None)
    }

    fn changed(&mut self, vcpu: usize) -> Result<Option<Stop>, Error> {
        if self.delivery.watchpoints {
            return Ok(None);
        }
        let registers = self.registers(vcpu)?;
        for watch in self.breakpoints.watches_mut() {
            let mut now = vec![0; watch.last.len()];
            let read = paging::read(&mut self.site, &registers, watch.address, &mut now)?;
            // Another address space may be in force, in which the range is something else or nothing.
            if read == now.len() && now != watch.last {
                watch.last = now;
                return Ok(Some(Stop::Watch(watch.address, watch.access)));
            }
        }
        Ok(None)
    }

    fn breakpoint_exit(&mut self, vcpu: usize) -> Result<Stop, Error> {
        let mut registers = self.site.registers(vcpu)?;
        let physical = self.physical(vcpu, registers.rip)?;
        if !physical.is_some_and(|physical| self.breakpoints.planted(physical)) {
            registers.rip = registers.rip.wrapping_add(1);
            self.site.set_registers(vcpu, &registers)?;
        }
        Ok(Stop::Breakpoint)
    }

    fn breakpoint_port(&mut self, vcpu: usize) -> Result<Stop, Error> {
        let registers = self.registers(vcpu)?;
        let mut bytes = [0; ExceptionFrame::SIZE];
        let read = paging::read(
            &mut self.site,
            &registers,
            registers.general[RSP],
            &mut bytes,
        )?;
        if read != bytes.len() {
            return Err(format!(
                "vCPU {vcpu}: the exception frame at {:#x} cannot be read",
                registers.general[RSP]
            ));
        }
        let mut frame = ExceptionFrame::from_bytes(&bytes);
        let address = frame.rip.wrapping_sub(1);
        let physical = self.physical(vcpu, address)?;
        if physical.is_some_and(|physical| self.breakpoints.planted(physical)) {
            frame.rip = address;
        }
        self.site.leave_exception(vcpu, &frame)?;
        Ok(Stop::Breakpoint)
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
mod tests {
    use super::super::model::{Instruction::*, Model};
    use super::*;

    const FULL: Delivery = Delivery {
        breakpoint_exits: true,
        hardware_breakpoints: true,
        watchpoints: true,
    };
    const NONE: Delivery = Delivery {
        breakpoint_exits: false,
        hardware_breakpoints: false,
        watchpoints: false,
    };

    fn run(session: &mut Session<Model>) -> (usize, Stop) {
        session.resume().unwrap();
        for _ in 0..10_000 {
            if let Some(stop) = session.poll().unwrap() {
                return stop;
            }
            session.site().advance();
        }
        panic!("the model never stopped");
    }

    #[test]
    fn a_breakpoint_stops_at_its_address_by_either_way_and_is_stepped_over() {
        for delivery in [FULL, NONE] {
            let mut session =
                Session::attach(Model::new(2, &[Nop, Nop, Nop, Jump(0)], delivery), delivery)
                    .unwrap();
            assert!(session.add_breakpoint(0, 2).unwrap());
            for round in 0..3 {
                let (vcpu, stop) = run(&mut session);
                assert_eq!(stop, Stop::Breakpoint, "round {round}");
                assert_eq!(session.registers(vcpu).unwrap().rip, 2);
            }
            let mut byte = [0];
            assert_eq!(session.read(0, 2, &mut byte), Ok(1));
            assert_eq!(byte[0], Nop.byte(), "the guest's byte is shown, not ours");
            session.detach().unwrap();
            assert_eq!(
                session.site().memory[2],
                Nop.byte(),
                "nothing is left behind"
            );
        }
    }

    #[test]
    fn a_step_moves_one_vcpu_by_one_instruction() {
        let mut session =
            Session::attach(Model::new(2, &[Nop, Nop, Nop, Jump(0)], NONE), NONE).unwrap();
        session.set_motion(1, Motion::Step);
        session.set_motion(0, Motion::Hold);
        assert_eq!(run(&mut session), (1, Stop::Stepped));
        assert_eq!(session.registers(1).unwrap().rip, 1);
        assert_eq!(session.registers(0).unwrap().rip, 0);
    }

    #[test]
    fn a_step_from_a_breakpoint_is_one_step() {
        let mut session = Session::attach(Model::new(1, &[Nop, Nop, Jump(0)], NONE), NONE).unwrap();
        session.add_breakpoint(0, 0).unwrap();
        session.set_motion(0, Motion::Step);
        assert_eq!(run(&mut session), (0, Stop::Stepped));
        assert_eq!(session.registers(0).unwrap().rip, 1);
        assert_eq!(session.site().memory[0], 0xCC, "it is planted again");
    }

    #[test]
    fn an_int3_of_the_guest_s_own_is_reported_and_passed() {
        for delivery in [FULL, NONE] {
            let mut session =
                Session::attach(Model::new(1, &[Nop, Break, Jump(0)], delivery), delivery).unwrap();
            assert_eq!(run(&mut session), (0, Stop::Breakpoint));
            assert_eq!(session.registers(0).unwrap().rip, 2);
            assert_eq!(run(&mut session), (0, Stop::Breakpoint));
        }
    }

    #[test]
    fn a_watchpoint_is_found_by_stepping_where_the_host_has_none() {
        let mut session =
            Session::attach(Model::new(1, &[Nop, Nop, Store(64), Jump(0)], NONE), NONE).unwrap();
        assert!(session.add_watch(0, 64, 1, Access::Write).unwrap());
        assert!(
            !session.add_watch(0, 65, 4, Access::Write).unwrap(),
            "unaligned"
        );
        assert!(
            !session.add_watch(0, 64, 4, Access::ReadWrite).unwrap(),
            "loads leave no trace"
        );
        assert_eq!(run(&mut session), (0, Stop::Watch(64, Access::Write)));
        assert_eq!(
            session.registers(0).unwrap().rip,
            4,
            "just behind the store of two bytes"
        );
        assert_eq!(run(&mut session), (0, Stop::Watch(64, Access::Write)));
        assert!(session.remove_watch(64, 1, Access::Write));
        assert!(!session.remove_watch(64, 1, Access::Write));
    }

    #[test]
    fn the_site_s_end_is_reported() {
        let mut session = Session::attach(Model::new(1, &[Nop, End(7)], NONE), NONE).unwrap();
        assert_eq!(run(&mut session), (0, Stop::Ended(7)));
    }

    #[test]
    fn memory_written_under_a_breakpoint_stays_when_it_goes() {
        let mut session = Session::attach(Model::new(1, &[Nop, Nop, Jump(0)], NONE), NONE).unwrap();
        session.add_breakpoint(0, 1).unwrap();
        session.write(0, 0, &[0x11, 0x22]).unwrap();
        assert_eq!(session.site().memory[..2], [0x11, 0xCC]);
        assert!(session.remove_breakpoint(0, 1).unwrap());
        assert_eq!(session.site().memory[..2], [0x11, 0x22]);
        assert!(!session.remove_breakpoint(0, 1).unwrap());
    }

    #[test]
    fn debug_registers_are_encoded_as_the_manual_says() {
        let mut breakpoints = Breakpoints::default();
        assert!(breakpoints.add_execute(0x1000));
        let watch = Watch {
            address: 0x2000,
            size: 8,
            access: Access::Write,
            last: vec![0; 8],
        };
        assert!(breakpoints.add_watch(watch, FULL));
        let registers = breakpoints.debug_registers(FULL);
        assert_eq!(registers.address[..2], [0x1000, 0x2000]);
        assert_eq!(
            registers.control,
            0b1010 | 1 << 9 | 1 << 10 | (0b1001 << 20)
        );
        assert!(breakpoints.add_execute(1) && breakpoints.add_execute(2));
        assert!(!breakpoints.add_execute(3), "four registers");
    }
}
