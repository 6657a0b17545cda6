//! Registers of a vCPU in gdb's order, and back.
//!
//! gdb's set is the 64-bit one with SSE (its `64bit-core.xml` and `64bit-sse.xml`). Selectors are shown and not taken back: writing one alone would leave
//! the processor with a segment that is in no table.

use super::inferior::{Floating, Registers};
use gdbstub_arch::x86::reg::{X86_64CoreRegs, X87FpuInternalRegs};

/// Of a pair of bits a register in gdb's x87 tag word: empty.
const EMPTY: u32 = 0b11;

/// What gdb is shown.
pub fn to_gdb(from: &Registers, floating: &Floating) -> X86_64CoreRegs {
    let mut regs = X86_64CoreRegs {
        regs: from.general,
        rip: from.rip,
        eflags: from.rflags as u32,
        st: floating.stack,
        xmm: floating.vectors,
        mxcsr: floating.vector_control,
        ..X86_64CoreRegs::default()
    };
    let [cs, ss, ds, es, fs, gs] = from.selectors.map(u32::from);
    regs.segments.cs = cs;
    regs.segments.ss = ss;
    regs.segments.ds = ds;
    regs.segments.es = es;
    regs.segments.fs = fs;
    regs.segments.gs = gs;
    let (opcode, instruction, operand) = floating.last;
    let tags = (0..8)
        .filter(|register| floating.used & 1 << register == 0)
        .fold(0, |tags, register| tags | EMPTY << (register * 2));
    regs.fpu = X87FpuInternalRegs {
        fctrl: floating.control.into(),
        fstat: floating.status.into(),
        ftag: tags,
        fiseg: (instruction >> 32) as u32,
        fioff: instruction as u32,
        foseg: (operand >> 32) as u32,
        fooff: operand as u32,
        fop: opcode.into(),
    };
    regs
}

/// What gdb wants them to be; `old` gives what gdb does not set.
pub fn from_gdb(regs: &X86_64CoreRegs, old: &Registers) -> (Registers, Floating) {
    let registers = Registers {
        general: regs.regs,
        rip: regs.rip,
        rflags: u64::from(regs.eflags),
        ..*old
    };
    let used = (0..8)
        .filter(|register| regs.fpu.ftag >> (register * 2) & EMPTY != EMPTY)
        .fold(0, |used, register| used | 1 << register);
    let wide = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    let floating = Floating {
        stack: regs.st,
        vectors: regs.xmm,
        vector_control: regs.mxcsr,
        control: regs.fpu.fctrl as u16,
        status: regs.fpu.fstat as u16,
        used,
        last: (
            regs.fpu.fop as u16,
            wide(regs.fpu.fiseg, regs.fpu.fioff),
            wide(regs.fpu.foseg, regs.fpu.fooff),
        ),
    };
    (registers, floating)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_gdb_is_shown_comes_back(
            general: [u64; 16], rip: u64, flags: u32, vectors: [u128; 16], vector_control: u32, words: (u16, u16, u8), last: (u16, u64, u64), byte: u8
        ) {
            let old = Registers { general, rip, rflags: flags.into(), selectors: [8, 16, 0, 0, 3, 4], ..Registers::default() };
            let floating = Floating {
                stack: [[byte; 10]; 8], vectors, vector_control, control: words.0, status: words.1, used: words.2, last,
            };
            let shown = to_gdb(&old, &floating);
            prop_assert_eq!(from_gdb(&shown, &old), (old, floating));
        }
    }
}
