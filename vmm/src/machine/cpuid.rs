//! What CPUID tells a vCPU: what KVM supports, and who it is.

use kvm_bindings::CpuId;

/// Makes KVM's supported leaves those of vCPU `index` of `count`.
pub fn adapt(cpuid: &mut CpuId, index: u32, count: u32, tsc_khz: Option<u32>) {
    let mut clock_told = false;
    for entry in cpuid.as_mut_slice() {
        match entry.function {
            1 => {
                entry.ebx = entry.ebx & 0x0000_ffff | count.min(255) << 16 | index << 24;
                // x2APIC, TSC-deadline timer, hypervisor present.
                entry.ecx |= 1 << 21 | 1 << 24 | 1 << 31;
            }
            // Extended topology: the APIC id; one level, of `count` processors.
            0xb | 0x1f => {
                entry.edx = index;
                match entry.index {
                    0 => (entry.eax, entry.ebx, entry.ecx) = (0, 1, 1 << 8),
                    1 => {
                        (entry.eax, entry.ebx, entry.ecx) = (
                            count.next_power_of_two().trailing_zeros(),
                            count,
                            2 << 8 | 1,
                        )
                    }
                    level => (entry.eax, entry.ebx, entry.ecx) = (0, 0, level),
                }
            }
            0x4000_0000 => entry.eax = entry.eax.max(0x4000_0010),
            0x4000_0010 => {
                entry.eax = tsc_khz.unwrap_or(0);
                clock_told = true;
            }
            _ => {}
        }
    }
    if let (Some(khz), false) = (tsc_khz, clock_told) {
        let entry = kvm_bindings::kvm_cpuid_entry2 {
            function: 0x4000_0010,
            eax: khz,
            ..Default::default()
        };
        // A full table keeps what it has: the clock is on the command line too.
        let _ = cpuid.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvm_bindings::kvm_cpuid_entry2;

    #[test]
    fn each_vcpu_is_told_its_number_and_the_clock() {
        let leaf = |function| kvm_cpuid_entry2 {
            function,
            ..Default::default()
        };
        let mut cpuid = CpuId::from_entries(&[leaf(1), leaf(0xb), leaf(0x4000_0000)]).unwrap();
        adapt(&mut cpuid, 3, 4, Some(1_000_000));
        let entries = cpuid.as_slice();
        assert_eq!((entries[0].ebx >> 24, entries[1].edx), (3, 3));
        assert_eq!(entries[0].ecx & (1 << 21 | 1 << 24), 1 << 21 | 1 << 24);
        assert_eq!(
            entries.last().map(|entry| (entry.function, entry.eax)),
            Some((0x4000_0010, 1_000_000))
        );
    }
}
