//! The seam between the debugger and a running site.
//!
//! The machine room implements it over KVM; tests implement it over a model of a processor. All calls but [`Inferior::stop`] and
//! [`Inferior::resume`] are made only while every vCPU of the site is stopped.

use super::images::Landmarks;
use std::os::fd::BorrowedFd;

/// Registers of a vCPU that the debugger sees and sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8…r15: gdb's order.
    pub general: [u64; 16],
    /// Instruction pointer.
    pub rip: u64,
    /// Flags.
    pub rflags: u64,
    /// Selectors cs, ss, ds, es, fs, gs.
    pub selectors: [u16; 6],
    /// Base of fs.
    pub fs_base: u64,
    /// Base of gs.
    pub gs_base: u64,
    /// Control registers 0, 2, 3, 4.
    pub cr0: u64,
    /// Faulting address of the last page fault.
    pub cr2: u64,
    /// Page table in force.
    pub cr3: u64,
    /// Control register 4.
    pub cr4: u64,
    /// Extended features.
    pub efer: u64,
}

/// Floating-point and vector registers of a vCPU: those of the last actor that used them on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floating {
    /// The x87 stack.
    pub stack: [[u8; 10]; 8],
    /// xmm0…xmm15.
    pub vectors: [u128; 16],
    /// MXCSR.
    pub vector_control: u32,
    /// x87 control word.
    pub control: u16,
    /// x87 status word.
    pub status: u16,
    /// A bit for each register of the x87 stack that is in use.
    pub used: u8,
    /// x87 opcode, instruction and operand of the last exception.
    pub last: (u16, u64, u64),
}

/// Index of rsp in [`Registers::general`].
pub const RSP: usize = 7;

impl Registers {
    /// Current privilege level, 0 or 3.
    pub fn privilege(&self) -> u16 {
        self.selectors[0] & 3
    }
}

/// What a vCPU does when the site is resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// Runs on.
    Continue,
    /// One instruction, then stops with [`Cause::Step`]. Interrupts wait meanwhile: the step is not into one's handler.
    Step,
    /// The same with interrupts let in, for those who step for ever.
    Trace,
    /// Stays where it is.
    Hold,
}

/// Content of the four debug address registers and of DR7, for hosts that deliver their hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DebugRegisters {
    /// DR0…DR3.
    pub address: [u64; 4],
    /// DR7.
    pub control: u64,
}

/// Why a vCPU stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was asked to.
    Requested,
    /// It made its step.
    Step,
    /// It executed `int3` and KVM reported it: rip is at the `int3`.
    BreakpointExit,
    /// The Nucleus' #BP handler reported one: rip is in the handler, the exception frame is on the stack.
    BreakpointPort,
    /// A debug register matched; the bits of DR6 that say which.
    DebugRegister(u8),
    /// The site has ended with this exit code; no vCPU runs any more.
    Ended(u8),
}

/// What failed, for people.
pub type Error = String;

/// A site, to the debugger.
pub trait Inferior {
    /// vCPUs of the site.
    fn vcpus(&self) -> usize;
    /// Stops every vCPU; returns when none runs.
    fn stop(&mut self) -> Result<(), Error>;
    /// Lets each vCPU do what `motions` says; `registers` are put into every vCPU first. `breakpoint_exits`: ask for exits at `int3`.
    fn resume(
        &mut self,
        motions: &[Motion],
        registers: DebugRegisters,
        breakpoint_exits: bool,
    ) -> Result<(), Error>;
    /// The next stop that the vCPUs reported, all vCPUs being stopped by then; `None` when there is none yet.
    fn poll(&mut self) -> Result<Option<(usize, Cause)>, Error>;
    /// Readable when [`Inferior::poll`] has something to tell; `None` where nobody waits on it (tests).
    fn signal(&self) -> Option<BorrowedFd<'_>>;
    /// Registers of a vCPU.
    fn registers(&mut self, vcpu: usize) -> Result<Registers, Error>;
    /// Sets general registers, rip and rflags of a vCPU.
    fn set_registers(&mut self, vcpu: usize, registers: &Registers) -> Result<(), Error>;
    /// Floating-point and vector registers of a vCPU; zeros where there are none.
    fn floating(&mut self, _vcpu: usize) -> Result<Floating, Error> {
        Ok(Floating::default())
    }
    /// Sets them.
    fn set_floating(&mut self, _vcpu: usize, _floating: &Floating) -> Result<(), Error> {
        Ok(())
    }
    /// Leaves the #BP handler of the Nucleus as if the exception had not happened: rip, cs, rflags, rsp and ss as given.
    fn leave_exception(&mut self, vcpu: usize, frame: &ExceptionFrame) -> Result<(), Error>;
    /// Carries out the `syscall` that a vCPU stands on, as the processor would. `false`: it cannot, and the instruction is to be stepped.
    /// A step would be lost: `syscall` clears the trap flag, and leaves it to the caller's flags to come back with.
    fn system_call(&mut self, _vcpu: usize) -> Result<bool, Error> {
        Ok(false)
    }
    /// Reads guest physical memory; an error when any byte is outside of RAM.
    fn read_physical(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), Error>;
    /// Where the Nucleus tells of actors' images; `None` when it does not.
    fn landmarks(&self) -> Option<Landmarks> {
        None
    }
    /// Whether a person holds the site too, so that it would not run if the debugger let it.
    fn held_by_person(&self) -> bool {
        false
    }
    /// Writes guest physical memory.
    fn write_physical(&mut self, address: u64, bytes: &[u8]) -> Result<(), Error>;
}

/// What the processor pushes for an exception in 64-bit mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExceptionFrame {
    /// Instruction after the `int3`.
    pub rip: u64,
    /// Code selector.
    pub cs: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Stack selector.
    pub ss: u64,
}

impl ExceptionFrame {
    /// Bytes on the stack.
    pub const SIZE: usize = 40;

    /// From the five words on the stack.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let word = |index: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[index * 8..index * 8 + 8]);
            u64::from_le_bytes(word)
        };
        ExceptionFrame {
            rip: word(0),
            cs: word(1),
            rflags: word(2),
            rsp: word(3),
            ss: word(4),
        }
    }
}

/// What the host's KVM delivers, as `chorus doctor` finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Exits at `int3` (`KVM_GUESTDBG_USE_SW_BP`).
    pub breakpoint_exits: bool,
    /// Exits at matches of debug registers (`KVM_GUESTDBG_USE_HW_BP`), for instructions.
    pub hardware_breakpoints: bool,
    /// The same for data.
    pub watchpoints: bool,
}
