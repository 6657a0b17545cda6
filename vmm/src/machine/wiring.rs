//! What KVM is told about a machine before its vCPUs run: memory, interrupt routes, and each vCPU's first state.
//!
//! All of it is set once. Interrupts go as messages: with the split interrupt chip there is no controller that a guest would have to program.

use super::boot::{self, Parameters};
use super::{Error, cpuid};
use chorus_abi::machine::vector_of;
use kvm_bindings::{CpuId, KvmIrqRouting, kvm_irq_routing_entry};
use kvm_ioctls::{VcpuFd, VmFd};
use vm_memory::{GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::ioctl::ioctl_with_ref;

// The kvm-ioctls crate has these for vCPUs of other processors only.
vmm_sys_util::ioctl_iow_nr!(
    KVM_SET_DEVICE_ATTR,
    kvm_bindings::KVMIO,
    0xe1,
    kvm_bindings::kvm_device_attr
);
vmm_sys_util::ioctl_iow_nr!(
    KVM_HAS_DEVICE_ATTR,
    kvm_bindings::KVMIO,
    0xe3,
    kvm_bindings::kvm_device_attr
);

/// Gives the VM its memory. It must live as long as any vCPU of the VM runs.
pub(super) fn set_memory(vm: &VmFd, memory: &GuestMemoryMmap) -> Result<(), Error> {
    for (slot, region) in memory.iter().enumerate() {
        let region = kvm_bindings::kvm_userspace_memory_region {
            slot: slot as u32,
            guest_phys_addr: region.start_addr().0,
            memory_size: region.len(),
            userspace_addr: region.as_ptr() as u64,
            flags: 0,
        };
        // SAFETY: the range is a mapping that `Shared` keeps as long as any vCPU thread, and so the VM, lives.
        unsafe { vm.set_user_memory_region(region) }
            .map_err(Error::host("KVM_SET_USER_MEMORY_REGION"))?;
    }
    Ok(())
}

/// Sends each interrupt as a message to the boot processor, and connects it with its descriptor.
pub(super) fn route(vm: &VmFd, interrupts: &[(u32, &EventFd)]) -> Result<(), Error> {
    let entry = |irq: u32| {
        let mut entry = kvm_irq_routing_entry {
            gsi: irq,
            type_: kvm_bindings::KVM_IRQ_ROUTING_MSI,
            ..Default::default()
        };
        entry.u.msi.address_lo = 0xfee0_0000;
        entry.u.msi.data = vector_of(irq);
        entry
    };
    let entries: Vec<_> = interrupts.iter().map(|&(irq, _)| entry(irq)).collect();
    let failed = |what: &str| Error::Shape(format!("the interrupt routes: {what}"));
    let routing =
        KvmIrqRouting::from_entries(&entries).map_err(|error| failed(&format!("{error:?}")))?;
    vm.set_gsi_routing(&routing)
        .map_err(Error::host("KVM_SET_GSI_ROUTING"))?;
    for (irq, event) in interrupts {
        vm.register_irqfd(event, *irq)
            .map_err(Error::host("KVM_IRQFD"))?;
    }
    Ok(())
}

/// Gives a vCPU its CPUID, the common clock and the registers of the boot contract.
pub(super) fn prepare_vcpu(
    vcpu: &VcpuFd,
    mut cpuid: CpuId,
    index: u32,
    parameters: &Parameters,
    entry: u64,
) -> Result<(), Error> {
    cpuid::adapt(&mut cpuid, index, parameters.vcpus, parameters.tsc_khz);
    vcpu.set_cpuid2(&cpuid)
        .map_err(Error::host("KVM_SET_CPUID2"))?;
    common_clock(vcpu)?;
    let mut system = vcpu.get_sregs().map_err(Error::host("KVM_GET_SREGS"))?;
    boot::system_registers(&mut system);
    vcpu.set_sregs(&system)
        .map_err(Error::host("KVM_SET_SREGS"))?;
    vcpu.set_regs(&boot::registers(entry, index))
        .map_err(Error::host("KVM_SET_REGS"))?;
    let runnable = kvm_bindings::kvm_mp_state {
        mp_state: kvm_bindings::KVM_MP_STATE_RUNNABLE,
    };
    vcpu.set_mp_state(runnable)
        .map_err(Error::host("KVM_SET_MP_STATE"))
}

/// Has the guest's time stamp counter be the host's, so that all sites of a cluster have one clock.
///
/// A kernel without the attribute keeps KVM's own choice: then clocks differ by a constant, and only times taken on different sites cannot be
/// compared.
fn common_clock(vcpu: &VcpuFd) -> Result<(), Error> {
    let offset = 0u64;
    let attribute = kvm_bindings::kvm_device_attr {
        group: kvm_bindings::KVM_VCPU_TSC_CTRL,
        attr: u64::from(kvm_bindings::KVM_VCPU_TSC_OFFSET),
        addr: (&raw const offset) as u64,
        flags: 0,
    };
    // SAFETY: the ioctls read the attribute and the word that it points at, both of which outlive the calls.
    unsafe {
        if ioctl_with_ref(vcpu, KVM_HAS_DEVICE_ATTR(), &attribute) != 0 {
            return Ok(());
        }
        if ioctl_with_ref(vcpu, KVM_SET_DEVICE_ATTR(), &attribute) != 0 {
            let error = std::io::Error::last_os_error();
            return Err(Error::host("KVM_VCPU_TSC_OFFSET")(error));
        }
    }
    Ok(())
}
