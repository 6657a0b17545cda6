//! Instructions that Rust has no words for: ports, control and model-specific registers, CPUID.
//!
//! Nothing here keeps state. Port output and register writes that could break memory safety are `unsafe`; the rest is not.

use core::arch::asm;

/// `IA32_EFER`.
pub const EFER: u32 = 0xc000_0080;
/// Selectors for `syscall`/`sysret`.
pub const STAR: u32 = 0xc000_0081;
/// Entry of `syscall`.
pub const LSTAR: u32 = 0xc000_0082;
/// Flags that `syscall` clears.
pub const FMASK: u32 = 0xc000_0084;
/// Base of GS.
pub const GS_BASE: u32 = 0xc000_0101;
/// The other base of GS.
pub const KERNEL_GS_BASE: u32 = 0xc000_0102;

/// Writes a byte to a port.
pub fn out8(port: u16, value: u8) {
    // SAFETY: the ports that the Nucleus uses belong to devices that cannot write memory.
    unsafe {
        asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags))
    }
}

/// Writes four bytes to a port.
pub fn out32(port: u16, value: u32) {
    // SAFETY: as `out8`.
    unsafe {
        asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags))
    }
}

/// Writes two bytes to a port.
pub fn out16(port: u16, value: u16) {
    // SAFETY: as `out8`.
    unsafe { asm!("out dx, ax", in("dx") port, in("ax") value, options(nostack, preserves_flags)) }
}

/// Reads two bytes from a port.
pub fn in16(port: u16) -> u16 {
    let value;
    // SAFETY: as `out8`.
    unsafe {
        asm!("in ax, dx", in("dx") port, out("ax") value, options(nomem, nostack, preserves_flags))
    }
    value
}

/// Reads four bytes from a port.
pub fn in32(port: u16) -> u32 {
    let value;
    // SAFETY: as `out8`.
    unsafe {
        asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags))
    }
    value
}

/// Reads a byte from a port.
pub fn in8(port: u16) -> u8 {
    let value;
    // SAFETY: as `out8`.
    unsafe {
        asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags))
    }
    value
}

/// Reads a model-specific register that the processor has.
pub fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading has no effect on memory; callers name registers that exist.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
///
/// # Safety
/// The register exists and the value keeps the running code valid.
pub unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, preserves_flags))
    }
}

/// CPUID: `[eax, ebx, ecx, edx]`.
pub fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let r = core::arch::x86_64::__cpuid_count(leaf, subleaf);
    [r.eax, r.ebx, r.ecx, r.edx]
}

/// Takes the interrupts that have come; they are off before and after. The caller holds nothing, and may be on another processor afterwards.
#[inline]
pub fn hear_interrupts() {
    // SAFETY: handlers save all registers, and the lock is free.
    unsafe { asm!("sti", "nop", "cli") };
}

/// The time-stamp counter.
#[inline(always)]
pub fn tsc() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: reads a counter; the upper halves of both registers are cleared.
    unsafe {
        asm!("rdtsc", out("rax") low, out("rdx") high, options(nomem, nostack, preserves_flags))
    }
    high << 32 | low
}

macro_rules! control_registers {
    ($($read:ident $write:ident $name:literal;)*) => { $(
        #[doc = concat!("Reads ", $name, ".")]
        pub fn $read() -> u64 {
            let value;
            // SAFETY: reading has no effect.
            unsafe { asm!(concat!("mov {}, ", $name), out(reg) value, options(nomem, nostack, preserves_flags)) }
            value
        }
        #[doc = concat!("Writes ", $name, ".")]
        ///
        /// # Safety
        /// The value keeps the running code, its stack and its data valid.
        #[allow(dead_code, reason = "made by one macro for all registers")]
        pub unsafe fn $write(value: u64) {
            // SAFETY: the caller's promise.
            unsafe { asm!(concat!("mov ", $name, ", {}"), in(reg) value, options(nostack, preserves_flags)) }
        }
    )* };
}
control_registers! { cr0 set_cr0 "cr0"; cr2 set_cr2 "cr2"; cr3 set_cr3 "cr3"; cr4 set_cr4 "cr4"; }

/// Forgets the translation of one address on this processor.
pub fn invalidate(address: u64) {
    // SAFETY: dropping a cached translation is always sound.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) }
}

/// Forgets all translations on this processor, those that are the same in all spaces too.
pub fn invalidate_all() {
    const GLOBAL_PAGES: u64 = 1 << 7;
    let control = cr4();
    // SAFETY: changing the bit drops cached translations and nothing else; it is back at the end.
    unsafe {
        set_cr4(control & !GLOBAL_PAGES);
        set_cr4(control);
    }
}

/// Stops this processor for good.
pub fn stop() -> ! {
    loop {
        // SAFETY: no memory is touched.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}

/// Switches on what every processor of the site has the same: write protection in supervisor mode, no-execute, global pages, and where
/// the processor has them SMEP, SMAP and UMIP. The Nucleus reaches user memory through its direct map only, so SMAP is never lifted.
pub fn protect() {
    let features = cpuid(7, 0);
    let mut control = cr4() | 1 << 7 | 1 << 9 | 1 << 10; // PGE, OSFXSR, OSXMMEXCPT
    for (word, bit, flag) in [(1, 7, 20), (1, 20, 21), (2, 2, 11)] {
        if features[word] >> bit & 1 == 1 {
            control |= 1 << flag;
        }
    }
    // SAFETY: the mappings in force are of supervisor memory only, so none of the protections forbids what runs.
    unsafe {
        set_cr4(control);
        set_cr0((cr0() | 1 << 16 | 1 << 1 | 1 << 5) & !(1 << 2 | 1 << 3)); // WP, MP, NE; not EM, TS
        write_msr(EFER, read_msr(EFER) | 1 | 1 << 11); // SCE, NXE
    }
}
