//! The virtual machine of one test: made, run to its end by port, taken apart.
//!
//! Each test has a machine of its own, so that what one breaks (or a vCPU that hung) does not reach the next.

use std::sync::atomic::{AtomicUsize, Ordering};

use kvm_bindings::{
    CpuId, KVM_MAX_CPUID_ENTRIES, kvm_debug_exit_arch, kvm_dtable, kvm_guest_debug,
    kvm_guest_debug_arch, kvm_regs, kvm_segment, kvm_userspace_memory_region,
};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};

use super::guest::{self, Entry, Memory, selector};

/// How a run of the guest stopped.
pub(super) enum Stop {
    /// Wrote to this port.
    Port(u16),
    /// A debug event.
    Debug(kvm_debug_exit_arch),
}

/// Why a test did not get to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("{0} failed: {1}")]
    Ioctl(&'static str, kvm_ioctls::Error),
    #[error("no memory for the guest: {0}")]
    Memory(std::io::Error),
    #[error("the guest stopped with {0}")]
    Unexpected(String),
    #[error("the guest did not come to its end in time")]
    Hung,
}

fn ioctl<T>(name: &'static str, result: Result<T, kvm_ioctls::Error>) -> Result<T, Trouble> {
    result.map_err(|error| Trouble::Ioctl(name, error))
}

/// The time limit of one step: steps are numbered, and the watching thread counts those that it gave up.
pub(super) struct Limit<'a> {
    pub given_up: &'a AtomicUsize,
    pub step: usize,
}

impl Limit<'_> {
    fn passed(&self) -> bool {
        self.given_up.load(Ordering::Acquire) > self.step
    }
}

/// The machine. The fields are dropped in order: the memory last.
pub(super) struct Vm {
    vcpu: VcpuFd,
    _vm: VmFd,
    pub memory: Memory,
}

impl Vm {
    /// Makes a machine that starts at `entry`, with interrupt controllers in the kernel when `irqchip`.
    pub(super) fn new(kvm: &Kvm, entry: Entry, irqchip: bool) -> Result<Vm, Trouble> {
        let memory = Memory::new().map_err(Trouble::Memory)?;
        let vm = ioctl("KVM_CREATE_VM", kvm.create_vm())?;
        // Only Intel's module asks for it.
        let _ = vm.set_tss_address(0xfffb_d000);
        if irqchip {
            ioctl("KVM_CREATE_IRQCHIP", vm.create_irq_chip())?;
        }
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: guest::MEMORY as u64,
            userspace_addr: memory.address(),
        };
        // SAFETY: the mapping is that large and lives until after the VM is closed (order of the fields).
        ioctl("KVM_SET_USER_MEMORY_REGION", unsafe {
            vm.set_user_memory_region(region)
        })?;
        let vcpu = ioctl("KVM_CREATE_VCPU", vm.create_vcpu(0))?;
        let mut cpuid = ioctl(
            "KVM_GET_SUPPORTED_CPUID",
            kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES),
        )?;
        with_x2apic(&mut cpuid);
        ioctl("KVM_SET_CPUID2", vcpu.set_cpuid2(&cpuid))?;
        set_up(&vcpu, entry)?;
        Ok(Vm {
            vcpu,
            _vm: vm,
            memory,
        })
    }

    /// Asks for debug events: `control` is a set of `KVM_GUESTDBG_…`, `slot` the first breakpoint register and DR7.
    pub(super) fn debug(&self, control: u32, slot: Option<(usize, u64)>) -> Result<(), Trouble> {
        let mut arch = kvm_guest_debug_arch::default();
        if let Some((address, dr7)) = slot {
            arch.debugreg[0] = address as u64;
            arch.debugreg[7] = dr7;
        }
        ioctl(
            "KVM_SET_GUEST_DEBUG",
            self.vcpu.set_guest_debug(&kvm_guest_debug {
                control,
                pad: 0,
                arch,
            }),
        )
    }

    /// Runs until the guest writes to a port or a debug event comes. A signal after the limit has passed ends it too.
    pub(super) fn run(&mut self, limit: &Limit<'_>) -> Result<Stop, Trouble> {
        loop {
            if limit.passed() {
                return Err(Trouble::Hung);
            }
            match self.vcpu.run() {
                Ok(VcpuExit::IoOut(port, _)) => return Ok(Stop::Port(port)),
                Ok(VcpuExit::Debug(event)) => return Ok(Stop::Debug(event)),
                Ok(VcpuExit::Intr) => {}
                Ok(other) => return Err(Trouble::Unexpected(format!("{other:?}"))),
                Err(error) if [libc::EINTR, libc::EAGAIN].contains(&error.errno()) => {}
                Err(error) => return Err(Trouble::Ioctl("KVM_RUN", error)),
            }
        }
    }
}

fn with_x2apic(cpuid: &mut CpuId) {
    for entry in cpuid
        .as_mut_slice()
        .iter_mut()
        .filter(|entry| entry.function == 1)
    {
        entry.ecx |= 1 << 21;
    }
}

/// Long mode, supervisor, interrupts off.
fn set_up(vcpu: &VcpuFd, entry: Entry) -> Result<(), Trouble> {
    let mut special = ioctl("KVM_GET_SREGS", vcpu.get_sregs())?;
    let flat = |selector, type_, l| kvm_segment {
        base: 0,
        limit: 0xFFFF_FFFF,
        selector,
        type_,
        present: 1,
        s: 1,
        l,
        db: 1 - l,
        g: 1,
        ..kvm_segment::default()
    };
    let [(gdt, gdt_limit), (idt, idt_limit), (tss, tss_limit)] = guest::TABLES;
    special.cs = flat(selector::CODE, 0xB, 1);
    let data = flat(selector::DATA, 3, 0);
    (special.ds, special.es, special.fs, special.gs, special.ss) = (data, data, data, data, data);
    special.tr = kvm_segment {
        base: tss,
        limit: u32::from(tss_limit),
        selector: selector::TSS,
        type_: 0xB,
        present: 1,
        ..kvm_segment::default()
    };
    special.gdt = kvm_dtable {
        base: gdt,
        limit: gdt_limit,
        ..kvm_dtable::default()
    };
    special.idt = kvm_dtable {
        base: idt,
        limit: idt_limit,
        ..kvm_dtable::default()
    };
    special.cr3 = guest::PML4 as u64;
    special.cr4 = 0x620; // PAE, OSFXSR, OSXMMEXCPT
    special.cr0 = 0x8001_0033; // PG, WP, NE, ET, MP, PE
    special.efer = 0x501; // LMA, LME, SCE
    ioctl("KVM_SET_SREGS", vcpu.set_sregs(&special))?;
    let general = kvm_regs {
        rip: entry.address() as u64,
        rsp: guest::STACK as u64,
        rflags: 2,
        ..kvm_regs::default()
    };
    ioctl("KVM_SET_REGS", vcpu.set_regs(&general))
}
