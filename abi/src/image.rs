//! What an actor's ELF image carries for the loader: a note, and a section of import slots.
//!
//! An actor is one static PIE. Its calls go through slots that the loader fills: with addresses in the read-only stub page for a
//! user or system actor, with Nucleus entry points for a supervisor actor. So the same file runs in both rings (SS-119, NC-194).

/// Section of import records; the linker makes `__start_chorus_imports` and `__stop_chorus_imports` around it.
pub const IMPORT_SECTION: &str = "chorus_imports";

/// One import record in the image, 40 bytes, writable when loaded: the loader puts the call's address in `slot`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Import {
    /// Chorus name of the call, zero padded.
    pub name: [u8; 32],
    /// Filled by the loader; zero in the file.
    pub slot: u64,
}

/// Owner of the image's note (`PT_NOTE`), with the terminating zero.
pub const NOTE_OWNER: &[u8; 8] = b"Chorus\0\0";
/// Type of the note.
pub const NOTE_TYPE: u32 = 1;

/// The note's descriptor, 32 bytes. Offsets are relative to the field's own address, so that no relocation is needed.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct NoteDescriptor {
    /// [`crate::ABI_VERSION`].
    pub abi_version: u32,
    /// Bit 0: threads of this actor use the FPU (user and system actors only).
    pub flags: u32,
    /// [`crate::table::fingerprint`] of the table that the image was built with; only recorded: names decide.
    pub fingerprint: u64,
    /// `__start_chorus_imports` minus the address of this field.
    pub imports_start: i32,
    /// `__stop_chorus_imports` minus the address of this field.
    pub imports_stop: i32,
    /// Zero.
    pub reserved: u64,
}

/// Flag of the note: threads use the FPU.
pub const NOTE_FPU: u32 = 1;

/// Largest image that the loader takes, in bytes.
pub const IMAGE_MAX: u64 = 16 << 20;
/// Largest argument block, in bytes (it shares one page with [`StartInfo`]).
pub const ARGS_MAX: usize = 3072;

/// What the first thread of an actor finds at the address in its first argument register (`rdi`).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StartInfo {
    /// [`crate::ABI_VERSION`].
    pub abi_version: u32,
    /// `K_USERACTOR`, `K_SYSTEMACTOR` or `K_SUPACTOR`.
    pub kind: i32,
    /// Number of this site.
    pub site: u32,
    /// Sites configured in the cluster.
    pub sites: u32,
    /// Address of the arguments: zero-terminated strings one after another; the first is the actor's name.
    pub args: u64,
    /// Bytes of the arguments.
    pub args_size: u64,
    /// Address that the image was loaded at.
    pub base: u64,
    /// Incarnation of the site.
    pub epoch: u32,
    /// Processors of the site.
    pub cpus: u32,
}

macro_rules! diagnoses {
    ($($variant:ident = $value:literal $text:literal;)*) => {
        /// Why an image was refused; the number is `KnLoadDesc::diag`.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u32)]
        pub enum LoadDiag { $(#[doc = $text] $variant = $value,)* }
        impl LoadDiag {
            /// Every diagnosis.
            pub const ALL: &'static [LoadDiag] = &[$(LoadDiag::$variant,)*];
            /// One line for people; `detail` of the load descriptor says where.
            pub const fn text(self) -> &'static str { match self { $(LoadDiag::$variant => $text,)* } }
            /// The diagnosis with this number.
            pub const fn from_number(number: u32) -> Option<LoadDiag> { match number { $($value => Some(LoadDiag::$variant),)* _ => None } }
        }
    };
}
diagnoses! {
    NotElf = 1 "not an ELF file";
    WrongMachine = 2 "not a 64-bit little-endian x86-64 ELF file";
    NotPie = 3 "not a static position-independent executable (ET_DYN)";
    Truncated = 4 "the file ends before what its headers promise";
    BadSegment = 5 "a segment's sizes, offset or alignment are impossible";
    Overlap = 6 "two segments overlap";
    WriteExecute = 7 "a segment is writable and executable at once";
    TooLarge = 8 "the image needs more memory than allowed";
    BadEntry = 9 "the entry point lies in no executable segment";
    BadRelocation = 10 "a relocation is not R_X86_64_RELATIVE or lies outside the image";
    NoNote = 11 "no Chorus note: the image was not linked with the actor runtime";
    WrongAbi = 12 "built for another version of the Nucleus interface";
    UnknownImport = 13 "imports a call that this Nucleus does not have";
    BadImports = 14 "the section of imports is malformed or not writable";
    DynamicLinking = 15 "needs an interpreter or shared libraries";
    NoMemory = 16 "the site has not enough memory for it";
    FpuInSupervisor = 17 "uses the FPU, which supervisor actors may not";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_as_the_assembler_writes_them() {
        assert_eq!(size_of::<Import>(), 40);
        assert_eq!(core::mem::offset_of!(Import, slot), 32);
        assert_eq!(size_of::<NoteDescriptor>(), 32);
        assert_eq!(core::mem::offset_of!(NoteDescriptor, imports_start), 16);
    }

    #[test]
    fn every_call_name_fits_an_import_record() {
        for call in crate::table::CALLS {
            assert!(call.name.len() < 32, "{}", call.name);
        }
    }
}
