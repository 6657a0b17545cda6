//! A model of a site for the tests of the session: one address space without paging, a toy processor a vCPU.
//!
//! It delivers or withholds debug exits as asked, like the hosts that we meet.

use super::inferior::*;

/// Instructions of the toy processor, one or two bytes long.
#[derive(Clone, Copy)]
pub enum Instruction {
    /// One byte, does nothing.
    Nop,
    /// `int3`.
    Break,
    /// Two bytes: goes to an address.
    Jump(u8),
    /// Two bytes: adds one to the byte at an address.
    Store(u8),
    /// Two bytes: ends the site.
    End(u8),
}

impl Instruction {
    /// First byte.
    pub fn byte(self) -> u8 {
        match self {
            Instruction::Nop => 0x90,
            Instruction::Break => 0xCC,
            Instruction::Jump(_) => 0xEB,
            Instruction::Store(_) => 0xFE,
            Instruction::End(_) => 0xE6,
        }
    }
}

const STACK: u64 = 128;

/// The model.
pub struct Model {
    /// Physical memory.
    pub memory: Vec<u8>,
    registers: Vec<Registers>,
    motions: Vec<Motion>,
    running: bool,
    breakpoint_exits: bool,
    stops: Vec<(usize, Cause)>,
    delivery: Delivery,
}

impl Model {
    /// A site with this program at address 0, all vCPUs at its start.
    pub fn new(vcpus: usize, program: &[Instruction], delivery: Delivery) -> Self {
        let mut memory = Vec::new();
        for instruction in program {
            memory.push(instruction.byte());
            match instruction {
                Instruction::Jump(operand)
                | Instruction::Store(operand)
                | Instruction::End(operand) => memory.push(*operand),
                Instruction::Nop | Instruction::Break => {}
            }
        }
        memory.resize(4096, 0);
        Model {
            memory,
            registers: vec![Registers::default(); vcpus],
            motions: vec![Motion::Hold; vcpus],
            running: true,
            breakpoint_exits: false,
            stops: Vec::new(),
            delivery,
        }
    }

    /// Lets every vCPU that moves execute one instruction; one that stops, stops all before the next one.
    pub fn advance(&mut self) {
        if !self.running {
            return;
        }
        for vcpu in 0..self.registers.len() {
            if self.motions[vcpu] == Motion::Hold {
                continue;
            }
            let rip = self.registers[vcpu].rip as usize;
            let operand = self.memory[rip + 1];
            let mut next = rip + 2;
            let mut cause = None;
            match self.memory[rip] {
                0x90 => next = rip + 1,
                0xEB => next = usize::from(operand),
                0xFE => {
                    self.memory[usize::from(operand)] =
                        self.memory[usize::from(operand)].wrapping_add(1)
                }
                0xE6 => cause = Some(Cause::Ended(operand)),
                0xCC if self.breakpoint_exits && self.delivery.breakpoint_exits => {
                    next = rip;
                    cause = Some(Cause::BreakpointExit);
                }
                0xCC => {
                    let frame = [rip as u64 + 1, 8, 2, self.registers[vcpu].general[RSP], 16];
                    for (index, word) in frame.iter().enumerate() {
                        let at = STACK as usize + vcpu * 64 + index * 8;
                        self.memory[at..at + 8].copy_from_slice(&word.to_le_bytes());
                    }
                    self.registers[vcpu].general[RSP] = STACK + vcpu as u64 * 64;
                    next = 0x800;
                    cause = Some(Cause::BreakpointPort);
                }
                other => panic!("vCPU {vcpu} runs into {other:#x} at {rip:#x}"),
            }
            self.registers[vcpu].rip = next as u64;
            if cause.is_none() && matches!(self.motions[vcpu], Motion::Step | Motion::Trace) {
                cause = Some(Cause::Step);
            }
            if let Some(cause) = cause {
                self.running = false;
                self.stops.push((vcpu, cause));
            }
        }
    }
}

impl Inferior for Model {
    fn vcpus(&self) -> usize {
        self.registers.len()
    }
    fn stop(&mut self) -> Result<(), Error> {
        self.running = false;
        Ok(())
    }
    fn resume(
        &mut self,
        motions: &[Motion],
        _: DebugRegisters,
        breakpoint_exits: bool,
    ) -> Result<(), Error> {
        assert!(!self.running, "resumed while running");
        self.motions = motions.to_vec();
        self.breakpoint_exits = breakpoint_exits;
        self.running = true;
        Ok(())
    }
    fn poll(&mut self) -> Result<Option<(usize, Cause)>, Error> {
        Ok((!self.stops.is_empty()).then(|| self.stops.remove(0)))
    }
    fn signal(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
    fn registers(&mut self, vcpu: usize) -> Result<Registers, Error> {
        assert!(!self.running, "registers of a running vCPU");
        Ok(self.registers[vcpu])
    }
    fn set_registers(&mut self, vcpu: usize, registers: &Registers) -> Result<(), Error> {
        self.registers[vcpu] = *registers;
        Ok(())
    }
    fn leave_exception(&mut self, vcpu: usize, frame: &ExceptionFrame) -> Result<(), Error> {
        self.registers[vcpu].rip = frame.rip;
        self.registers[vcpu].general[RSP] = frame.rsp;
        Ok(())
    }
    fn read_physical(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let start = address as usize;
        bytes.copy_from_slice(
            self.memory
                .get(start..start.saturating_add(bytes.len()))
                .ok_or("outside of RAM")?,
        );
        Ok(())
    }
    fn write_physical(&mut self, address: u64, bytes: &[u8]) -> Result<(), Error> {
        let start = address as usize;
        self.memory
            .get_mut(start..start.saturating_add(bytes.len()))
            .ok_or("outside of RAM")?
            .copy_from_slice(bytes);
        Ok(())
    }
}
