//! The self-test guest: a page of machine code, its tables, and the memory that holds them.
//!
//! It is a guest of its own and not the Nucleus, so that it tests KVM and nothing else. All code is position-independent
//! but for the addresses of the data page, which is fixed. Each test is one entry; it ends with an `out` to a port of its own.

use std::ffi::c_void;
use std::io;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Size of the guest's memory in bytes.
pub(super) const MEMORY: usize = 1 << 20;
const GDT: usize = 0x1000;
const IDT: usize = 0x2000;
const TSS: usize = 0x3000;
/// Physical address of the top page table.
pub(super) const PML4: usize = 0x4000;
const CODE: usize = 0x8000;
/// Data page; what the tests leave there is named below. The machine code holds the same numbers.
const DATA: usize = 0x1_0000;
/// Code segment selector at the system call's target.
pub(super) const KERNEL_CS: usize = DATA + 0x08;
/// Code segment selector of the user code before the system call.
pub(super) const USER_CS: usize = DATA;
/// CR2 as the page fault handler saw it.
pub(super) const FAULT_ADDRESS: usize = DATA + 0x10;
/// Error code as the page fault handler saw it.
pub(super) const FAULT_CODE: usize = DATA + 0x18;
/// Becomes 1 when the guest's own #BP handler ran.
pub(super) const BREAKPOINT_SEEN: usize = DATA + 0x28;
/// The watched word.
pub(super) const WATCHED: usize = DATA + 0x30;
/// Becomes 1 when the timer interrupt arrived.
pub(super) const TIMER_SEEN: usize = DATA + 0x40;
/// Address that the page fault test reads; its page is not present.
pub(super) const UNMAPPED: usize = 0xF_F000;
/// Top of the supervisor stack.
pub(super) const STACK: usize = 0x3_0000;

/// Ports that end the tests.
pub(super) mod port {
    pub const WARM: u16 = 0x80;
    pub const SPEED: u16 = 0x81;
    pub const SYSCALL: u16 = 0x82;
    pub const FAULT: u16 = 0x83;
    pub const STEP: u16 = 0x84;
    pub const SOFTWARE: u16 = 0x85;
    pub const HARDWARE: u16 = 0x86;
    pub const WATCH: u16 = 0x87;
    pub const TIMER: u16 = 0x88;
}

/// Instructions of the timed loop: `dec` and `jnz`, so many times.
pub(super) const TIMED_INSTRUCTIONS: u32 = 2 * 20_000;

core::arch::global_asm!(
    ".pushsection .rodata.chorus_selftest, \"a\"",
    ".balign 16",
    ".globl chorus_st_start, chorus_st_end",
    "chorus_st_start:",
    // Speed of ring 0: a short loop to warm up, then the timed one. A cold loop would time the first exit.
    ".globl chorus_st_speed",
    "chorus_st_speed:",
    "  mov ecx, 2000",
    "2: dec ecx",
    "  jnz 2b",
    "  out 0x80, al",
    "  mov ecx, 20000",
    "3: dec ecx",
    "  jnz 3b",
    "  out 0x81, al",
    // To user mode and back by syscall; both sides note their code segment.
    ".globl chorus_st_syscall",
    "chorus_st_syscall:",
    "  mov ecx, 0xC0000081", // STAR
    "  xor eax, eax",
    "  mov edx, 0x00100008",
    "  wrmsr",
    "  mov ecx, 0xC0000082", // LSTAR
    "  lea rax, [rip + 5f]",
    "  xor edx, edx",
    "  wrmsr",
    "  mov ecx, 0xC0000084", // FMASK
    "  mov eax, 0x47700",
    "  xor edx, edx",
    "  wrmsr",
    "  lea rcx, [rip + 4f]",
    "  mov r11d, 2",
    "  sysretq",
    "4: mov ax, cs",
    "  mov rdx, 0x10000",
    "  mov word ptr [rdx], ax",
    "  syscall",
    "5: mov ax, cs",
    "  mov rdx, 0x10008",
    "  mov word ptr [rdx], ax",
    "  out 0x82, al",
    // A page fault, noted by the handler, which then skips the three-byte instruction.
    ".globl chorus_st_fault",
    "chorus_st_fault:",
    "  mov rdx, 0xff000",
    "  mov rax, qword ptr [rdx]",
    "  out 0x83, al",
    ".globl chorus_st_on_fault",
    "chorus_st_on_fault:",
    "  mov rdi, 0x10010",
    "  mov rax, cr2",
    "  mov qword ptr [rdi], rax",
    "  pop rax",
    "  mov qword ptr [rdi + 8], rax",
    "  add qword ptr [rsp], 3",
    "  iretq",
    ".globl chorus_st_step",
    "chorus_st_step:",
    "  nop",
    "  nop",
    "  nop",
    "  out 0x84, al",
    ".globl chorus_st_software",
    "chorus_st_software:",
    "  int3",
    "  out 0x85, al",
    ".globl chorus_st_on_breakpoint",
    "chorus_st_on_breakpoint:",
    "  mov rdx, 0x10028",
    "  mov byte ptr [rdx], 1",
    "  iretq",
    ".globl chorus_st_hardware",
    "chorus_st_hardware:",
    "  nop",
    ".globl chorus_st_hardware_at",
    "chorus_st_hardware_at:",
    "  nop",
    "  out 0x86, al",
    ".globl chorus_st_watch",
    "chorus_st_watch:",
    "  mov rdx, 0x10030",
    "  mov dword ptr [rdx], 1",
    "  nop",
    "  out 0x87, al",
    // One-shot timer of the local APIC in x2APIC mode. Spinning, not halting, waits for it: the gap between sti and hlt is a defect of its
    // own on emulated hosts.
    ".globl chorus_st_timer",
    "chorus_st_timer:",
    "  mov ecx, 0x1B", // IA32_APIC_BASE: enabled, x2APIC, boot processor
    "  mov eax, 0xFEE00D00",
    "  xor edx, edx",
    "  wrmsr",
    "  mov ecx, 0x80F", // spurious vector, software enable
    "  mov eax, 0x1FF",
    "  wrmsr",
    "  mov ecx, 0x83E", // divide by 1
    "  mov eax, 0xB",
    "  wrmsr",
    "  mov ecx, 0x832", // timer vector, one-shot
    "  mov eax, 0x40",
    "  wrmsr",
    "  mov ecx, 0x838", // initial count
    "  mov eax, 100000",
    "  wrmsr",
    "  mov rbx, 0x10040",
    "  sti",
    "6: pause",
    "  cmp byte ptr [rbx], 0",
    "  je 6b",
    "  out 0x88, al",
    ".globl chorus_st_on_timer",
    "chorus_st_on_timer:",
    "  push rax",
    "  push rcx",
    "  push rdx",
    "  mov byte ptr [rbx], 1",
    "  mov ecx, 0x80B", // end of interrupt
    "  xor eax, eax",
    "  xor edx, edx",
    "  wrmsr",
    "  pop rdx",
    "  pop rcx",
    "  pop rax",
    "  iretq",
    "chorus_st_end:",
    ".popsection",
);

unsafe extern "C" {
    static chorus_st_start: u8;
    static chorus_st_end: u8;
    static chorus_st_speed: u8;
    static chorus_st_syscall: u8;
    static chorus_st_fault: u8;
    static chorus_st_on_fault: u8;
    static chorus_st_step: u8;
    static chorus_st_software: u8;
    static chorus_st_on_breakpoint: u8;
    static chorus_st_hardware: u8;
    static chorus_st_hardware_at: u8;
    static chorus_st_watch: u8;
    static chorus_st_timer: u8;
    static chorus_st_on_timer: u8;
}

/// Guest addresses of the entries.
#[derive(Clone, Copy)]
pub(super) enum Entry {
    Speed,
    Syscall,
    Fault,
    Step,
    Software,
    Hardware,
    /// Where the breakpoint register points.
    HardwareAt,
    Watch,
    Timer,
}

fn in_guest(label: *const u8) -> usize {
    CODE + (label.addr() - (&raw const chorus_st_start).addr())
}

impl Entry {
    /// The guest address, physical and linear.
    pub(super) fn address(self) -> usize {
        in_guest(match self {
            Entry::Speed => &raw const chorus_st_speed,
            Entry::Syscall => &raw const chorus_st_syscall,
            Entry::Fault => &raw const chorus_st_fault,
            Entry::Step => &raw const chorus_st_step,
            Entry::Software => &raw const chorus_st_software,
            Entry::Hardware => &raw const chorus_st_hardware,
            Entry::HardwareAt => &raw const chorus_st_hardware_at,
            Entry::Watch => &raw const chorus_st_watch,
            Entry::Timer => &raw const chorus_st_timer,
        })
    }
}

fn code() -> &'static [u8] {
    let (start, end) = (&raw const chorus_st_start, &raw const chorus_st_end);
    // SAFETY: both labels are in the one read-only section piece above, `start` first; it lives as long as the program.
    unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

/// Selectors of the guest's GDT.
pub(super) mod selector {
    pub const CODE: u16 = 0x08;
    pub const DATA: u16 = 0x10;
    pub const TSS: u16 = 0x28;
}

/// Limits and places for the special registers.
pub(super) const TABLES: [(u64, u16); 3] = [
    (GDT as u64, 0x37),
    (IDT as u64, 0x40 * 16 + 15),
    (TSS as u64, 0x67),
];

/// The guest's memory.
pub(super) struct Memory(NonNull<c_void>);

impl Memory {
    /// Memory with code and tables in it.
    pub(super) fn new() -> io::Result<Memory> {
        let (protection, flags) = (
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE | MapFlags::NORESERVE,
        );
        // SAFETY: a new anonymous mapping at a place of the kernel's choice touches no memory of ours.
        let place = unsafe { mmap_anonymous(std::ptr::null_mut(), MEMORY, protection, flags) }?;
        let place = NonNull::new(place).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        let mut memory = Memory(place);
        memory.fill();
        Ok(memory)
    }

    /// Address in this process, for KVM.
    pub(super) fn address(&self) -> u64 {
        self.0.addr().get() as u64
    }

    /// The eight bytes at guest address `at`, one of the constants above.
    pub(super) fn read(&self, at: usize) -> u64 {
        assert!(at.is_multiple_of(8) && at < MEMORY);
        // SAFETY: inside the mapping and aligned (asserted). No vCPU runs while the test looks, but the read is volatile so that it is made
        // anew each time.
        unsafe { self.0.cast::<u8>().add(at).cast::<u64>().read_volatile() }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        assert!(at.checked_add(bytes.len()).is_some_and(|end| end <= MEMORY));
        // SAFETY: inside the mapping (asserted), which no vCPU uses yet and which overlaps nothing.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.0.cast::<u8>().add(at).as_ptr(),
                bytes.len(),
            )
        }
    }

    fn fill(&mut self) {
        self.write(CODE, code());
        // Null, supervisor code and data, user data and code (the order that sysret asks for), TSS in two halves.
        let gdt: [u64; 7] = [
            0,
            0x00AF_9B00_0000_FFFF,
            0x00CF_9300_0000_FFFF,
            0x00CF_F300_0000_FFFF,
            0x00AF_FB00_0000_FFFF,
            0x0000_8B00_0000_0067 | ((TSS as u64) << 16),
            0,
        ];
        self.write_words(GDT, &gdt);
        self.write_words(TSS + 4, &[STACK as u64]); // RSP0
        let handlers = [
            (3, in_guest(&raw const chorus_st_on_breakpoint)),
            (14, in_guest(&raw const chorus_st_on_fault)),
            (0x40, in_guest(&raw const chorus_st_on_timer)),
        ];
        for (vector, handler) in handlers {
            let handler = handler as u64;
            // Present, interrupt gate, supervisor code segment; the handler's address is in three parts.
            let gate = 0x8E00 << 32
                | u64::from(selector::CODE) << 16
                | handler & 0xFFFF
                | (handler >> 16 & 0xFFFF) << 48;
            self.write_words(IDT + vector * 16, &[gate, 0]);
        }
        // The first MiB in 4 KiB pages, for user mode too; the page that the fault test reads is left out.
        let (pdpt, directory, table) = (PML4 + 0x1000, PML4 + 0x2000, PML4 + 0x3000);
        for (at, next) in [(PML4, pdpt), (pdpt, directory), (directory, table)] {
            self.write_words(at, &[next as u64 | 7]);
        }
        for page in (0..MEMORY).step_by(0x1000).filter(|page| *page != UNMAPPED) {
            self.write_words(table + page / 0x1000 * 8, &[page as u64 | 7]);
        }
    }

    fn write_words(&mut self, at: usize, words: &[u64]) {
        for (place, word) in (at..).step_by(8).zip(words) {
            self.write(place, &word.to_le_bytes());
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: our own mapping, of which no reference is left; the VM that used it is closed before (field order in the user).
        let _ = unsafe { munmap(self.0.as_ptr(), MEMORY) };
    }
}

// SAFETY: it owns its mapping, and moving the owner to another thread moves nothing that is tied to one.
unsafe impl Send for Memory {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_fits_its_page_and_tables_do_not_overlap() {
        assert!((100..0x1000).contains(&code().len()));
        assert!(Entry::Timer.address() < CODE + code().len());
        const { assert!(IDT + 0x41 * 16 <= TSS && PML4 + 0x4000 <= CODE && CODE + 0x1000 <= DATA) };
    }

    #[test]
    fn the_unmapped_page_is_not_present_and_its_neighbour_is() -> io::Result<()> {
        let memory = Memory::new()?;
        let table = PML4 + 0x3000;
        assert_eq!(memory.read(table + UNMAPPED / 0x1000 * 8), 0);
        assert_eq!(
            memory.read(table + (UNMAPPED / 0x1000 - 1) * 8),
            (UNMAPPED - 0x1000) as u64 | 7
        );
        assert_eq!(memory.read(IDT + 14 * 16) & 0xFFFF, Memory::handler_low());
        Ok(())
    }

    impl Memory {
        fn handler_low() -> u64 {
            in_guest(&raw const chorus_st_on_fault) as u64 & 0xFFFF
        }
    }
}
