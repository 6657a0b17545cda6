//! The doors of the image: 64-bit, 32-bit (PVH), and the page at which application processors wake in real mode.
//!
//! All three end at the same place: 64-bit code at its linked address, on tables that map the low 4 GiB to themselves and the
//! top 2 GiB to the low 2 GiB. The boot processor goes on to [`crate::boot_processor`], the others wait until it has made their stacks.

use core::arch::global_asm;
use core::sync::atomic::AtomicU64;

/// Physical address that real-mode processors start at: free in every supported machine.
pub const TRAMPOLINE: u64 = 0x8000;
/// Most processors of a site.
pub const MAX_CPUS: usize = 64;

/// Root of the page tables that application processors load; zero: wait.
#[unsafe(no_mangle)]
pub static AP_ROOT: AtomicU64 = AtomicU64::new(0);
/// First stack pointer of each application processor; zero: wait.
#[unsafe(no_mangle)]
pub static AP_STACKS: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];

global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18
    .asciz "Xen"
    .quad entry32

    .section .boot, "ax", @progbits
    .code32
    .global entry32
entry32:
    cli
    cld
    movl $1, %eax
    movw $0xf8, %dx
    outl %eax, %dx
    movl %ebx, %ebp
    movl $boot_tables_physical, %edi
    leal 0x1003(%edi), %eax
    movl %eax, (%edi)
    movl %eax, 511*8(%edi)
    leal 0x2003(%edi), %eax
    xorl %ecx, %ecx
1:  movl %eax, 0x1000(%edi,%ecx,8)
    addl $0x1000, %eax
    incl %ecx
    cmpl $4, %ecx
    jne 1b
    leal 0x2003(%edi), %eax
    movl %eax, 0x1000+510*8(%edi)
    addl $0x1000, %eax
    movl %eax, 0x1000+511*8(%edi)
    movl $0x83, %eax
    xorl %ecx, %ecx
2:  movl %eax, 0x2000(%edi,%ecx,8)
    addl $0x200000, %eax
    incl %ecx
    cmpl $2048, %ecx
    jne 2b
    movl %edi, %cr3
    movl $0x620, %eax
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl $0x80010033, %eax
    movl %eax, %cr0
    lgdt boot_gdtr
    ljmp $8, $boot64
    .code64
boot64:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %ebp, %edi
    movabsq $boot_processor_door, %rax
    jmp *%rax
    .balign 8
boot_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdtr:
    .word 23
    .long boot_gdt

    .text
    .global entry64
entry64:
    cli
    cld
    testl %esi, %esi
    jnz ap_wait
    movl $1, %eax
    movw $0xf8, %dx
    outl %eax, %dx
boot_processor_door:
    leaq boot_stack_top(%rip), %rsp
    xorl %ebp, %ebp
    call boot_processor
    ud2
ap_wait:
    movl %esi, %esi
    cmpl ${max_cpus}, %esi
    jae 4f
    leaq AP_STACKS(%rip), %rbx
3:  pause
    movq (%rbx,%rsi,8), %rsp
    testq %rsp, %rsp
    jz 3b
    movq AP_ROOT(%rip), %rax
    movq %rax, %cr3
    movl %esi, %edi
    xorl %ebp, %ebp
    call application_processor
4:  cli
    hlt
    jmp 4b

    .section .rodata.trampoline, "a", @progbits
    .global trampoline_start, trampoline_end, trampoline_root, trampoline_index
    .balign 16
    .code16
trampoline_start:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl trampoline_gdtr - trampoline_start + {trampoline}
    movl $0x620, %eax
    movl %eax, %cr4
    movl trampoline_root - trampoline_start + {trampoline}, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl $0x80010033, %eax
    movl %eax, %cr0
    ljmpl $8, $(trampoline64 - trampoline_start + {trampoline})
    .code64
trampoline64:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl trampoline_index(%rip), %esi
    movabsq $ap_wait, %rax
    jmp *%rax
    .balign 8
trampoline_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
trampoline_gdtr:
    .word 23
    .long trampoline_gdt - trampoline_start + {trampoline}
    .balign 4
trampoline_root: .long 0
trampoline_index: .long 0
trampoline_end:

    .bss
    .balign 4096
    .global boot_tables
boot_tables: .skip 6 * 4096
    .skip 32768
boot_stack_top:
    .text
"#,
    max_cpus = const MAX_CPUS,
    trampoline = const TRAMPOLINE,
    options(att_syntax)
);
