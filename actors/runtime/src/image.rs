//! The note in the actor's image, and its entry point.
//!
//! Offsets in the note are relative to their own place, so that the linker resolves them and no relocation is left for the loader.

core::arch::global_asm!(
    ".section .note.chorus,\"a\",@note",
    ".balign 4",
    ".long 8, 32, {kind}",
    ".ascii \"Chorus\\0\\0\"",
    ".long {version}, 0",
    ".quad {fingerprint}",
    ".long __start_chorus_imports - .",
    ".long __stop_chorus_imports - .",
    ".quad 0",
    ".section .text._start,\"ax\",@progbits",
    ".globl _start",
    // For debuggers: nobody called this.
    ".cfi_sections .debug_frame",
    "_start:",
    ".cfi_startproc",
    ".cfi_undefined rip",
    "xor ebp, ebp",
    "and rsp, -16",
    "call {rust}",
    "ud2",
    ".cfi_endproc",
    kind = const chorus_abi::image::NOTE_TYPE,
    version = const chorus_abi::ABI_VERSION,
    fingerprint = const chorus_abi::table::fingerprint(),
    rust = sym crate::start::begin,
);
