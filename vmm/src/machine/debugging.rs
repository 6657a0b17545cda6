//! A site as the debugger's inferior.
//!
//! A vCPU that meets a breakpoint notes why, asks all vCPUs of the site to pause, and pauses; the descriptor that the debugger waits on becomes readable.

use super::report;
use super::site::{Shared, any_running, lock};
use super::vcpu::Holder;
use crate::debug::images::Landmarks;
use crate::debug::inferior::{
    Cause, DebugRegisters, Error, ExceptionFrame, Floating, Inferior, Motion, RSP, Registers,
};
use chorus_abi::machine::{IMAGES_CHANGED_SYMBOL, IMAGES_SYMBOL, PROCESSORS_SYMBOL};
use kvm_bindings::{
    KVM_GUESTDBG_BLOCKIRQ, KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP,
    KVM_GUESTDBG_USE_SW_BP, Msrs, kvm_fpu, kvm_guest_debug, kvm_msr_entry, kvm_regs, kvm_segment,
    kvm_sregs,
};
use kvm_ioctls::VcpuFd;
use std::collections::VecDeque;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

const MSR_STAR: u32 = 0xc000_0081;
const MSR_LSTAR: u32 = 0xc000_0082;
const MSR_FMASK: u32 = 0xc000_0084;

/// Stops that the vCPUs of a site reported to its debugger.
pub(super) struct Stops {
    attached: AtomicBool,
    queue: Mutex<VecDeque<(usize, Cause)>>,
    signal: EventFd,
}

impl Stops {
    pub(super) fn new() -> std::io::Result<Self> {
        let signal = EventFd::new(EFD_NONBLOCK)?;
        Ok(Stops {
            attached: AtomicBool::new(false),
            queue: Mutex::default(),
            signal,
        })
    }

    /// A vCPU stops; `false` when no debugger is there, and it goes on.
    pub(super) fn stop(&self, shared: &Shared, vcpu: usize, cause: Cause) -> bool {
        if !self.attached.load(Ordering::Acquire) {
            return false;
        }
        for (index, other) in shared.vcpus.iter().enumerate() {
            other.hold(Holder::Debugger);
            if index != vcpu {
                shared.kick(index);
            }
        }
        lock(&self.queue).push_back((vcpu, cause));
        let _ = self.signal.write(1);
        true
    }

    /// The site has ended.
    pub(super) fn ended(&self, code: u8) {
        lock(&self.queue).push_back((0, Cause::Ended(code)));
        let _ = self.signal.write(1);
    }
}

/// What a debug exit's DR6 says.
pub(super) fn cause(dr6: u64) -> Cause {
    match dr6 {
        _ if dr6 & 0xf != 0 => Cause::DebugRegister((dr6 & 0xf) as u8),
        _ if dr6 & 1 << 14 != 0 => Cause::Step,
        _ => Cause::BreakpointExit,
    }
}

/// A site in the debugger's hands.
pub struct Debuggee(Arc<Shared>);

impl Debuggee {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        shared.debugger.attached.store(true, Ordering::Release);
        Debuggee(shared)
    }

    fn ask<T: Send + 'static>(
        &self,
        vcpu: usize,
        what: impl FnOnce(&mut VcpuFd) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let control = self
            .0
            .vcpus
            .get(vcpu)
            .ok_or_else(|| format!("there is no vCPU {vcpu}"))?;
        control
            .ask(what)
            .ok_or_else(|| format!("vCPU {vcpu} is not stopped, or has ended"))
    }
}

impl Drop for Debuggee {
    fn drop(&mut self) {
        self.0.debugger.attached.store(false, Ordering::Release);
    }
}

fn said(error: kvm_ioctls::Error) -> Error {
    error.to_string()
}

/// Registers of a vCPU of the calling thread.
pub(super) fn registers_of(vcpu: &VcpuFd) -> Result<Registers, Error> {
    let regs = vcpu.get_regs().map_err(said)?;
    let sregs = vcpu.get_sregs().map_err(said)?;
    Ok(gathered(&regs, &sregs))
}

/// KVM's two sets of registers as one.
pub(super) fn gathered(regs: &kvm_regs, sregs: &kvm_sregs) -> Registers {
    let r = regs;
    Registers {
        general: [
            r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11,
            r.r12, r.r13, r.r14, r.r15,
        ],
        rip: r.rip,
        rflags: r.rflags,
        selectors: [sregs.cs, sregs.ss, sregs.ds, sregs.es, sregs.fs, sregs.gs]
            .map(|segment| segment.selector),
        fs_base: sregs.fs.base,
        gs_base: sregs.gs.base,
        cr0: sregs.cr0,
        cr2: sregs.cr2,
        cr3: sregs.cr3,
        cr4: sregs.cr4,
        efer: sregs.efer,
    }
}

fn kvm_registers(registers: &Registers) -> kvm_regs {
    let [
        rax,
        rbx,
        rcx,
        rdx,
        rsi,
        rdi,
        rbp,
        rsp,
        r8,
        r9,
        r10,
        r11,
        r12,
        r13,
        r14,
        r15,
    ] = registers.general;
    let (rip, rflags) = (registers.rip, registers.rflags);
    kvm_regs {
        rax,
        rbx,
        rcx,
        rdx,
        rsi,
        rdi,
        rsp,
        rbp,
        r8,
        r9,
        r10,
        r11,
        r12,
        r13,
        r14,
        r15,
        rip,
        rflags,
    }
}

/// Gives cs and ss what the exception had pushed: selectors, and the privilege that is in them.
fn leave(sregs: &mut kvm_sregs, frame: &ExceptionFrame) {
    let privilege = (frame.cs & 3) as u8;
    sregs.cs.selector = frame.cs as u16;
    sregs.cs.dpl = privilege;
    // An exception from user mode leaves the null selector here, which user mode cannot have.
    sregs.ss = kvm_segment {
        selector: frame.ss as u16,
        limit: u32::MAX,
        type_: 3,
        present: 1,
        dpl: privilege,
        db: 1,
        s: 1,
        g: 1,
        ..Default::default()
    };
}

impl Inferior for Debuggee {
    fn vcpus(&self) -> usize {
        self.0.vcpus.len()
    }

    fn stop(&mut self) -> Result<(), Error> {
        if self.0.hold(Holder::Debugger) {
            Ok(())
        } else {
            Err(format!("{} has ended", self.0.name))
        }
    }

    fn resume(
        &mut self,
        motions: &[Motion],
        registers: DebugRegisters,
        breakpoint_exits: bool,
    ) -> Result<(), Error> {
        for (index, motion) in motions.iter().enumerate() {
            let mut debug = kvm_guest_debug {
                control: KVM_GUESTDBG_ENABLE,
                ..Default::default()
            };
            if breakpoint_exits {
                debug.control |= KVM_GUESTDBG_USE_SW_BP;
            }
            match motion {
                Motion::Step => {
                    debug.control |= KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ;
                }
                Motion::Trace => debug.control |= KVM_GUESTDBG_SINGLESTEP,
                Motion::Continue | Motion::Hold => {}
            }
            if registers.control & 0xff != 0 {
                debug.control |= KVM_GUESTDBG_USE_HW_BP;
                debug.arch.debugreg[..4].copy_from_slice(&registers.address);
                debug.arch.debugreg[7] = registers.control;
            }
            if debug.control == KVM_GUESTDBG_ENABLE {
                debug.control = 0;
            }
            self.ask(index, move |vcpu| vcpu.set_guest_debug(&debug))?
                .map_err(said)?;
        }
        for (control, motion) in self.0.vcpus.iter().zip(motions) {
            if *motion != Motion::Hold {
                control.release(Holder::Debugger);
            }
        }
        Ok(())
    }

    fn poll(&mut self) -> Result<Option<(usize, Cause)>, Error> {
        let Some((vcpu, cause)) = lock(&self.0.debugger.queue).pop_front() else {
            let _ = self.0.debugger.signal.read();
            // A stop between the look and the read must not be slept over.
            if !lock(&self.0.debugger.queue).is_empty() {
                let _ = self.0.debugger.signal.write(1);
            }
            return Ok(None);
        };
        if !matches!(cause, Cause::Ended(_)) {
            self.0.hold(Holder::Debugger);
            debug_assert!(!any_running(&self.0));
        }
        Ok(Some((vcpu, cause)))
    }

    fn signal(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: the descriptor is owned by the site's shared part, which `self` keeps alive as long as the borrow.
        Some(unsafe { BorrowedFd::borrow_raw(self.0.debugger.signal.as_raw_fd()) })
    }

    fn landmarks(&self) -> Option<Landmarks> {
        let place = |symbol| report::physical(self.0.symbols().address(symbol)?);
        Some(Landmarks {
            table: place(IMAGES_SYMBOL)?,
            changed: place(IMAGES_CHANGED_SYMBOL)?,
            processors: place(PROCESSORS_SYMBOL)?,
        })
    }

    fn held_by_person(&self) -> bool {
        let mut vcpus = self.0.vcpus.iter();
        vcpus.any(|vcpu| vcpu.held(Holder::Person))
    }

    fn registers(&mut self, vcpu: usize) -> Result<Registers, Error> {
        self.ask(vcpu, |vcpu| registers_of(vcpu))?
    }

    fn set_registers(&mut self, vcpu: usize, registers: &Registers) -> Result<(), Error> {
        let registers = kvm_registers(registers);
        self.ask(vcpu, move |vcpu| vcpu.set_regs(&registers))?
            .map_err(said)
    }

    fn floating(&mut self, vcpu: usize) -> Result<Floating, Error> {
        let fpu = self.ask(vcpu, |vcpu| vcpu.get_fpu())?.map_err(said)?;
        Ok(Floating {
            stack: fpu
                .fpr
                .map(|register| std::array::from_fn(|byte| register[byte])),
            vectors: fpu.xmm.map(u128::from_le_bytes),
            vector_control: fpu.mxcsr,
            control: fpu.fcw,
            status: fpu.fsw,
            used: fpu.ftwx,
            last: (fpu.last_opcode, fpu.last_ip, fpu.last_dp),
        })
    }

    fn set_floating(&mut self, vcpu: usize, floating: &Floating) -> Result<(), Error> {
        let mut fpu = kvm_fpu {
            fcw: floating.control,
            fsw: floating.status,
            ftwx: floating.used,
            last_opcode: floating.last.0,
            last_ip: floating.last.1,
            last_dp: floating.last.2,
            xmm: floating.vectors.map(u128::to_le_bytes),
            mxcsr: floating.vector_control,
            ..Default::default()
        };
        for (register, value) in fpu.fpr.iter_mut().zip(floating.stack) {
            register[..10].copy_from_slice(&value);
        }
        self.ask(vcpu, move |vcpu| vcpu.set_fpu(&fpu))?
            .map_err(said)
    }

    fn leave_exception(&mut self, vcpu: usize, frame: &ExceptionFrame) -> Result<(), Error> {
        let frame = *frame;
        self.ask(vcpu, move |vcpu| -> Result<(), Error> {
            let mut registers = registers_of(vcpu)?;
            registers.rip = frame.rip;
            registers.rflags = frame.rflags;
            registers.general[RSP] = frame.rsp;
            let mut sregs = vcpu.get_sregs().map_err(said)?;
            leave(&mut sregs, &frame);
            vcpu.set_sregs(&sregs).map_err(said)?;
            vcpu.set_regs(&kvm_registers(&registers)).map_err(said)
        })?
    }

    fn system_call(&mut self, vcpu: usize) -> Result<bool, Error> {
        // AMD64 APM volume 3, SYSCALL.
        self.ask(vcpu, |vcpu| -> Result<bool, Error> {
            let wanted = [MSR_STAR, MSR_LSTAR, MSR_FMASK].map(|index| kvm_msr_entry {
                index,
                ..Default::default()
            });
            let mut msrs = Msrs::from_entries(&wanted).map_err(|error| format!("{error:?}"))?;
            if vcpu.get_msrs(&mut msrs).map_err(said)? != wanted.len() {
                return Ok(false);
            }
            let [star, target, mask] = [0, 1, 2].map(|index: usize| msrs.as_slice()[index].data);
            let mut registers = vcpu.get_regs().map_err(said)?;
            let mut sregs = vcpu.get_sregs().map_err(said)?;
            let flags = registers.rflags;
            registers.rcx = registers.rip + 2;
            registers.r11 = flags;
            registers.rip = target;
            registers.rflags = flags & !mask | 2;
            let selector = star >> 32 & 0xfffc;
            leave(
                &mut sregs,
                &ExceptionFrame {
                    cs: selector,
                    ss: selector + 8,
                    ..ExceptionFrame::default()
                },
            );
            vcpu.set_sregs(&sregs).map_err(said)?;
            vcpu.set_regs(&registers).map_err(said)?;
            Ok(true)
        })?
    }

    fn read_physical(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.0
            .memory
            .read_slice(bytes, GuestAddress(address))
            .map_err(|error| error.to_string())
    }

    fn write_physical(&mut self, address: u64, bytes: &[u8]) -> Result<(), Error> {
        self.0
            .memory
            .write_slice(bytes, GuestAddress(address))
            .map_err(|error| error.to_string())
    }
}
