//! Tiny guests: machine code that does one thing, wrapped into an ELF image that the machine takes for a Nucleus.
//!
//! They lie at 1 MiB where physical and virtual addresses are the same, start as the boot contract says, and need nothing of the
//! Nucleus, so that a failing test speaks of the machine alone.

use chorus_abi::machine::{PANIC_MAGIC, mac_of_site};

/// Where the code lies.
pub const CODE: u64 = 0x10_0000;
/// Where the data lies; the machine code below holds the same number.
pub const DATA: u64 = 0x20_0000;

/// Declares a guest: a function that returns its machine code.
macro_rules! guest {
    ($(#[$doc:meta])* $name:ident, $($line:expr),+ $(,)?) => {
        core::arch::global_asm!(
            ".pushsection .rodata.chorus_test_guests, \"a\"",
            ".balign 16",
            concat!("chorus_guest_", stringify!($name), ":"),
            $($line,)+
            concat!("chorus_guest_", stringify!($name), "_end:"),
            ".popsection",
        );
        $(#[$doc])*
        pub fn $name() -> &'static [u8] {
            let (start, end): (*const u8, *const u8);
            // SAFETY: the two labels above enclose the guest's code in read-only data; nothing is read or written here.
            unsafe {
                core::arch::asm!(
                    concat!("lea {0}, [rip + chorus_guest_", stringify!($name), "]"),
                    concat!("lea {1}, [rip + chorus_guest_", stringify!($name), "_end]"),
                    out(reg) start, out(reg) end, options(nomem, nostack, preserves_flags)
                );
            }
            // SAFETY: as above: one initialised, immutable range of this program's image.
            unsafe { std::slice::from_raw_parts(start, end.offset_from(start) as usize) }
        }
    };
}

guest! {
    /// Prints, marks, pokes the breakpoint port without a debugger, ends with 7.
    hello,
    "mov dx, 0x3f8", "mov al, 'h'", "out dx, al", "mov al, 'i'", "out dx, al", "mov al, 10", "out dx, al",
    "mov eax, 2", "mov dx, 0xf8", "out dx, eax",
    "mov al, 1", "mov dx, 0xfa", "out dx, al",
    "mov al, 7", "mov dx, 0xf4", "out dx, al", "2: jmp 2b",
}

guest! {
    /// Every vCPU checks what it starts with and counts itself; number 0 ends with how many they are.
    count,
    "cmp dword ptr [rdi], 0x336ec578", "jne 9f",
    "mov ecx, 0x1b", "rdmsr", // only to show that model-specific registers answer
    "mov eax, 1", "cpuid", "shr ebx, 24", "cmp ebx, esi", "jne 9f",
    "lock inc dword ptr [0x200000]",
    "test esi, esi", "jz 3f", "2: cli", "hlt", "jmp 2b",
    // The number of vCPUs that the test expects stands in the data.
    "3: mov eax, [0x200000]", "cmp eax, [0x200004]", "je 4f", "pause", "jmp 3b",
    "4: mov dx, 0xf4", "out dx, al", "5: jmp 5b",
    "9: mov al, 99", "mov dx, 0xf4", "out dx, al", "6: jmp 6b",
}

guest! {
    /// Takes an exception without a table of them.
    triple_fault,
    "mov rax, 0x1234567890", "mov rsp, 0x200800", "mov dx, 0xf8", "out dx, eax",
    "push 0", "push 0", "lidt [rsp]", "ud2",
}

guest! {
    /// Reads and writes where nothing is; ends with 0 when all ones came back.
    nothing_there,
    "mov rbx, 0xe0000000", "mov rax, [rbx]", "cmp rax, -1", "jne 9f",
    "mov dx, 0x1234", "in eax, dx", "cmp eax, -1", "jne 9f",
    "mov dword ptr [rbx + 8], 1", "out dx, al",
    "xor eax, eax", "mov dx, 0xf4", "out dx, al", "2: jmp 2b",
    "9: mov al, 1", "mov dx, 0xf4", "out dx, al", "3: jmp 3b",
}

guest! {
    /// Counts for ever.
    spin,
    "mov eax, 1", "mov dx, 0xf8", "out dx, eax", "mov rbx, 0x200000", "lea rbx, [rbx + rsi * 8]",
    "2: inc qword ptr [rbx]", "jmp 2b",
}

guest! {
    /// Sleeps for ever, interrupts off.
    sleep,
    "mov eax, 1", "mov dx, 0xf8", "out dx, eax", "cli", "2: hlt", "jmp 2b",
}

guest! {
    /// Writes to a port for ever, so that a pause falls on an exit.
    busy_port,
    "mov eax, 1", "mov dx, 0xf8", "out dx, eax", "xor ebx, ebx", "mov dx, 0x3fb",
    "2: inc rbx", "in al, dx", "jmp 2b",
}

guest! {
    /// Reports a breakpoint for ever, with its number in a register.
    breakpoints,
    "2: lea rax, [rsi + 0xb00]", "mov dx, 0xfa", "out dx, al", "nop", "nop", "jmp 2b",
}

guest! {
    /// Leaves the panic report that stands in its data, and ends as a panicking Nucleus does.
    panic,
    "mov eax, 0x200000", "mov dx, 0xfc", "out dx, eax", "mov al, 0x7f", "mov dx, 0xf4", "out dx, al", "2: jmp 2b",
}

guest! {
    /// Names an address without memory as its panic report.
    wild_panic,
    "mov eax, 0xfffffff0", "mov dx, 0xfc", "out dx, eax", "mov al, 0x7f", "mov dx, 0xf4", "out dx, al", "2: jmp 2b",
}

guest! {
    /// Waits for a byte on the console and ends with it.
    read_console,
    "mov eax, 1", "mov dx, 0xf8", "out dx, eax",
    "2: mov dx, 0x3fd", "in al, dx", "test al, 1", "jz 2b",
    "mov dx, 0x3f8", "in al, dx", "mov dx, 0xf4", "out dx, al", "3: jmp 3b",
}

guest! {
    /// Tells its time stamp counter in units of 2^16 as a mark, and ends.
    clock,
    "rdtsc", "shl rdx, 32", "or rax, rdx", "shr rax, 16", "mov dx, 0xf8", "out dx, eax",
    "xor eax, eax", "mov dx, 0xf4", "out dx, al", "2: jmp 2b",
}

guest! {
    /// Runs code from where there is no memory: KVM cannot go on, or the fault has no handler.
    lost,
    "mov rax, 0xe0000000", "jmp rax",
}

guest! {
    /// Drives the network device by the table in its data, sleeping until its interrupt; see [`network_data`].
    network,
    "mov rsp, 0x208000", "mov rbx, 0xd0000000",
    // x2APIC on, spurious vector, table of interrupts.
    "mov ecx, 0x1b", "rdmsr", "or eax, 0xc00", "wrmsr",
    "mov ecx, 0x80f", "mov eax, 0x1ff", "xor edx, edx", "wrmsr", "lidt [0x200010]",
    // The address of the handler goes into gate 0x35.
    "lea rax, [rip + 7f]", "mov [0x201350], ax", "shr eax, 16", "mov [0x201356], ax",
    // Registers of the device, as the table says.
    "cmp dword ptr [rbx], 0x74726976", "jne 9f",
    "mov rsi, 0x200100", "2: mov ecx, [rsi]", "cmp ecx, -1", "je 3f", "mov eax, [rsi + 4]",
    "mov [rbx + rcx], eax", "add rsi, 8", "jmp 2b",
    "3: mov eax, [rbx + 0x70]", "cmp eax, 15", "jne 9f",
    // Who starts sends at once.
    "cmp dword ptr [0x200000], 0", "jne 4f", "mov word ptr [0x205002], 1", "mov dword ptr [rbx + 0x50], 1",
    // A frame came when the used index of the receive queue moves.
    "4: cli", "cmp word ptr [0x203802], 1", "je 5f", "sti", "8: hlt", "jmp 4b",
    "5: mov eax, [0x20a01a]", "cmp eax, [0x200004]", "jne 9f",
    "cmp dword ptr [0x200000], 0", "je 6f",
    // Who was asked answers, and waits until the frame has left.
    "mov word ptr [0x205002], 1", "mov dword ptr [rbx + 0x50], 1",
    "20: cmp word ptr [0x205802], 1", "je 6f", "pause", "jmp 20b",
    // Ends with the number of interrupts that it took.
    "6: mov eax, [0x200008]", "mov dx, 0xf4", "out dx, al", "21: jmp 21b",
    "9: mov al, 99", "mov dx, 0xf4", "out dx, al", "12: jmp 12b",
    // The interrupt: acknowledge, count, end of interrupt. An emulator that loses the shadow of STI takes it before the HLT:
    // then the HLT is skipped.
    "7: push rax", "push rcx", "push rdx",
    "mov eax, [rbx + 0x60]", "mov [rbx + 0x64], eax", "test eax, 1", "jz 13f", "inc dword ptr [0x200008]", "13:",
    "lea rax, [rip + 8b]", "cmp rax, [rsp + 24]", "jne 14f", "inc qword ptr [rsp + 24]", "14:",
    "mov ecx, 0x80b", "xor eax, eax", "xor edx, edx", "wrmsr",
    "pop rdx", "pop rcx", "pop rax", "iretq",
}

/// An image of this code, with this data behind it.
pub fn image(code: &[u8], data: &[u8]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    file.extend(CODE.to_le_bytes());
    file.extend(64u64.to_le_bytes());
    file.extend([0; 12]);
    for half in [64u16, 56, 2, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let mut offset = 64 + 2 * 56;
    for (flags, at, bytes, size) in [
        (5u32, CODE, code, code.len() as u64),
        (6, DATA, data, 0x1_0000),
    ] {
        file.extend(1u32.to_le_bytes());
        file.extend(flags.to_le_bytes());
        for word in [offset, at, at, bytes.len() as u64, size, 4096] {
            file.extend(word.to_le_bytes());
        }
        offset += bytes.len() as u64;
    }
    file.extend(code);
    file.extend(data);
    file
}

fn put(data: &mut [u8], at: usize, bytes: &[u8]) {
    data[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Data of [`panic`]: a report of a page fault on vCPU 0.
pub fn panic_data() -> Vec<u8> {
    use chorus_abi::machine::KnPanicReport;
    use std::mem::offset_of;
    let mut data = vec![0; size_of::<KnPanicReport>()];
    put(&mut data, 0, &PANIC_MAGIC.to_le_bytes());
    put(
        &mut data,
        offset_of!(KnPanicReport, vector),
        &14u32.to_le_bytes(),
    );
    put(
        &mut data,
        offset_of!(KnPanicReport, rip),
        &CODE.to_le_bytes(),
    );
    put(
        &mut data,
        offset_of!(KnPanicReport, text_size),
        &9u32.to_le_bytes(),
    );
    put(&mut data, offset_of!(KnPanicReport, text), b"no reason");
    data
}

/// Data of [`network`] for a site that sends `say` to `peer` and expects `hear`; the one who `starts` sends first.
///
/// 0: role; 4: the four bytes expected; 8: interrupts taken; 0x10: table register; 0x100: writes to the device; 0x1000: interrupt
/// table; queues of 8 at 0x2000 (receive) and 0x4000 (transmit), each with its available ring at +0x1000 and used ring at +0x1800.
pub fn network_data(site: u16, peer: u16, starts: bool, say: [u8; 4], hear: [u8; 4]) -> Vec<u8> {
    let mut data = vec![0; 0xc000];
    put(&mut data, 0, &[u8::from(!starts)]);
    put(&mut data, 4, &hear);
    put(&mut data, 0x10, &0xfffu16.to_le_bytes());
    put(&mut data, 0x12, &(DATA + 0x1000).to_le_bytes());
    // Gate 0x35: interrupt gate of the code segment 8; the guest fills in the address.
    put(&mut data, 0x1352, &[8, 0, 0, 0x8e]);
    let mut writes: Vec<(u32, u32)> = vec![
        (0x70, 0),
        (0x70, 3),
        (0x24, 1),
        (0x20, 1),
        (0x24, 0),
        (0x20, 1 << 29),
        (0x70, 11),
    ];
    for queue in 0..2u32 {
        let base = DATA as u32 + 0x2000 + queue * 0x2000;
        writes.extend([
            (0x30, queue),
            (0x38, 8),
            (0x80, base),
            (0x84, 0),
            (0x90, base + 0x1000),
            (0x94, 0),
            (0xa0, base + 0x1800),
            (0xa4, 0),
            (0x44, 1),
        ]);
    }
    writes.extend([(0x70, 15), (0x50, 0), (u32::MAX, 0)]);
    for (index, (offset, value)) in writes.iter().enumerate() {
        put(&mut data, 0x100 + index * 8, &offset.to_le_bytes());
        put(&mut data, 0x104 + index * 8, &value.to_le_bytes());
    }
    // One receive buffer, offered; one frame, not yet offered. Interrupts for the receive queue, none for the other.
    put(&mut data, 0x2000, &(DATA + 0xa000).to_le_bytes());
    put(&mut data, 0x2008, &0x800u32.to_le_bytes());
    put(&mut data, 0x200c, &2u16.to_le_bytes());
    put(&mut data, 0x3002, &1u16.to_le_bytes());
    put(&mut data, 0x4000, &(DATA + 0xb000).to_le_bytes());
    put(&mut data, 0x4008, &(12u32 + 60).to_le_bytes());
    put(&mut data, 0x5000 + 4 + 16, &100u16.to_le_bytes());
    let frame = 0xb00c;
    put(&mut data, frame, &mac_of_site(peer));
    put(&mut data, frame + 6, &mac_of_site(site));
    put(&mut data, frame + 12, &[0x88, 0xb5]);
    put(&mut data, frame + 14, &say);
    data
}
