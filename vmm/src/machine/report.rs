//! Readable reports of a site's end: what happened, registers, and a backtrace with functions, files and lines.
//!
//! The backtrace follows frame pointers through guest memory; every step is checked, since a guest in that state may hold anything.

use super::symbols::Symbols;
use crate::debug::inferior::Registers;
use crate::debug::paging;
use chorus_abi::machine::{KnPanicReport, PANIC_MAGIC};
use std::fmt::Write;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Frames that a backtrace shows at most.
const FRAMES: usize = 32;
/// Where the Nucleus is linked: virtual minus physical address.
const NUCLEUS_BASE: u64 = 0xffff_ffff_8000_0000;
/// Where the Nucleus maps all memory.
const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;

/// The physical address behind a Nucleus address, by the two maps that never change.
pub(super) fn physical(address: u64) -> Option<u64> {
    address
        .checked_sub(NUCLEUS_BASE)
        .or_else(|| address.checked_sub(DIRECT_MAP).filter(|&at| at < 1 << 40))
}

/// A backtrace from `rip` and `rbp` in the address space of `cr3`.
pub fn backtrace(
    memory: &GuestMemoryMmap,
    symbols: &Symbols,
    cr3: u64,
    rip: u64,
    mut rbp: u64,
) -> String {
    let mut text = format!("  at {}\n", symbols.place(rip));
    let physically = |at: u64| memory.read_obj::<u64>(GuestAddress(at)).ok();
    for _ in 0..FRAMES {
        let word = |address: u64| match paging::walk(cr3, address, physically) {
            Some((at, room)) if room >= 8 => physically(at),
            _ => None,
        };
        let (Some(next), Some(back)) = (word(rbp), rbp.checked_add(8).and_then(word)) else {
            break;
        };
        if back == 0 {
            break;
        }
        // The call lies before the return address.
        let _ = writeln!(text, "  by {}", symbols.place(back.wrapping_sub(1)));
        if next <= rbp {
            break;
        }
        rbp = next;
    }
    text
}

/// All registers, for people.
pub fn registers(registers: &Registers) -> String {
    const NAMES: [&str; 16] = [
        "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15",
    ];
    let mut text = String::new();
    for (names, values) in NAMES.chunks(4).zip(registers.general.chunks(4)) {
        for (name, value) in names.iter().zip(values) {
            let _ = write!(text, "  {name:>3} {value:016x}");
        }
        text.push('\n');
    }
    let r = registers;
    let _ = writeln!(
        text,
        "  rip {:016x}  rflags {:x}  cs {:x}  ss {:x}",
        r.rip, r.rflags, r.selectors[0], r.selectors[1]
    );
    let _ = writeln!(
        text,
        "  cr0 {:x}  cr2 {:x}  cr3 {:x}  cr4 {:x}  efer {:x}",
        r.cr0, r.cr2, r.cr3, r.cr4, r.efer
    );
    text
}

/// The Nucleus' own report of its panic, read from guest memory; `None` when there is none at that address.
pub fn panic(memory: &GuestMemoryMmap, symbols: &Symbols, at: u64) -> Option<String> {
    let word = |offset: usize| {
        memory
            .read_obj::<u64>(GuestAddress(at.checked_add(offset as u64)?))
            .ok()
    };
    let half = |offset: usize| {
        memory
            .read_obj::<u32>(GuestAddress(at.checked_add(offset as u64)?))
            .ok()
    };
    macro_rules! field {
        ($read:ident $name:ident) => {
            $read(std::mem::offset_of!(KnPanicReport, $name))?
        };
    }
    if field!(word magic) != PANIC_MAGIC {
        return None;
    }
    let size = field!(half text_size).min(256) as usize;
    let mut text = vec![0; size];
    let text_at = at.checked_add(std::mem::offset_of!(KnPanicReport, text) as u64)?;
    memory.read_slice(&mut text, GuestAddress(text_at)).ok()?;
    let mut report = format!(
        "Nucleus panic on vCPU {}: {}\n",
        field!(half cpu),
        String::from_utf8_lossy(&text)
    );
    let vector = field!(half vector);
    if vector != u32::MAX {
        let _ = writeln!(
            report,
            "  exception {vector}, error code {:#x}, cr2 {:#x}",
            field!(word error_code),
            field!(word cr2)
        );
    }
    if field!(word actor) != 0 {
        let _ = writeln!(
            report,
            "  running thread {} of actor {:#018x}",
            field!(half thread),
            field!(word actor)
        );
    }
    let _ = writeln!(
        report,
        "  rsp {:#x}  cr3 {:#x}",
        field!(word rsp),
        field!(word cr3)
    );
    report += &backtrace(
        memory,
        symbols,
        field!(word cr3),
        field!(word rip),
        field!(word rbp),
    );
    Some(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::memory;

    #[test]
    fn a_backtrace_follows_frames_and_ends_on_nonsense() {
        let memory = memory::create(8 << 20).unwrap();
        let put = |at: u64, value: u64| memory.write_obj(value, GuestAddress(at)).unwrap();
        // Four tables, one after the other, map two pages at STACK.
        const STACK: u64 = 0xffff_d000_0006_4000;
        for (level, table) in [(3, 0x1000), (2, 0x2000), (1, 0x3000)] {
            put(
                table + (STACK >> (12 + 9 * level) & 511) * 8,
                (table + 0x1000) | 1,
            );
        }
        put(0x4000 + (STACK >> 12 & 511) * 8, 0x10_0000 | 1);
        put(0x4000 + ((STACK >> 12 & 511) + 1) * 8, 0x20_0000 | 1);
        put(0x10_0000, STACK + 0x1100);
        put(0x10_0008, 0xaaaa_0001);
        put(0x20_0100, 0x1234);
        put(0x20_0108, 0xbbbb_0001);
        let symbols = Symbols::named([(0xaaaa_0000, 16, "alpha")]);
        let text = backtrace(&memory, &symbols, 0x1000, 0xaaaa_0004, STACK);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.contains("alpha+0x4")
                && text.contains("by 0x00000000aaaa0000 alpha+0x0")
                && text.contains("bbbb0000"),
            "{text}"
        );
        for rbp in [0, 8, u64::MAX, u64::MAX - 7, NUCLEUS_BASE, STACK + 0x1ffc] {
            for cr3 in [0x1000, 0, u64::MAX] {
                assert!(backtrace(&memory, &symbols, cr3, 1, rbp).contains("at 0x"));
            }
        }
    }

    #[test]
    fn a_panic_report_is_read_and_nonsense_is_none() {
        let memory = memory::create(8 << 20).unwrap();
        assert_eq!(panic(&memory, &Symbols::default(), 0x2000), None);
        assert_eq!(panic(&memory, &Symbols::default(), u64::MAX - 3), None);
        let put = |offset: usize, value: u64| {
            memory
                .write_obj(value, GuestAddress(0x2000 + offset as u64))
                .unwrap()
        };
        put(0, PANIC_MAGIC);
        memory
            .write_obj(
                2u32,
                GuestAddress(0x2000 + std::mem::offset_of!(KnPanicReport, cpu) as u64),
            )
            .unwrap();
        memory
            .write_obj(
                14u32,
                GuestAddress(0x2000 + std::mem::offset_of!(KnPanicReport, vector) as u64),
            )
            .unwrap();
        memory
            .write_obj(
                4u32,
                GuestAddress(0x2000 + std::mem::offset_of!(KnPanicReport, text_size) as u64),
            )
            .unwrap();
        memory
            .write_slice(
                b"oops",
                GuestAddress(0x2000 + std::mem::offset_of!(KnPanicReport, text) as u64),
            )
            .unwrap();
        let text = panic(&memory, &Symbols::default(), 0x2000).unwrap();
        assert!(
            text.starts_with("Nucleus panic on vCPU 2: oops\n  exception 14"),
            "{text}"
        );
    }
}
