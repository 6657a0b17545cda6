//! One stub and one import record for every row of the table of calls.
//!
//! Each record is a section of its own, so that the linker leaves out the records of calls that the actor never makes.
#![allow(
    missing_docs,
    clippy::missing_safety_doc,
    reason = "the table documents each call; pointers must hold what it says"
)]

use chorus_abi::net::{KnNetItem, KnNetSeat};
use chorus_abi::{Arg, In, InOut, Out, types::*};

macro_rules! stubs {
    ($($(#[doc = $doc:literal])* $number:literal $name:literal $rust:ident $privilege:ident $blocks:ident
        ($($arg:ident : $type:ty),*) [$($error:ident),*];)*) => { $(
        core::arch::global_asm!(
            concat!(".section chorus_imports,\"aw\",@progbits,unique,", $number),
            ".balign 8",
            concat!(".globl __chorus_import_", $name),
            concat!("__chorus_import_", $name, ":"),
            concat!(".ascii \"", $name, "\""),
            ".org 32, 0",
            ".quad 0",
            ".text",
        );
        $(#[doc = $doc])*
        ///
        /// # Safety
        /// Pointer arguments must be null or point at memory valid for what the call reads or writes.
        pub unsafe fn $rust($($arg: $type),*) -> i32 {
            unsafe extern "C" {
                #[link_name = concat!("__chorus_import_", $name)]
                static RECORD: chorus_abi::image::Import;
            }
            // SAFETY: the loader filled the slot before the first thread ran, with a function of these arguments; the caller vouches for pointers.
            unsafe {
                let slot = core::ptr::read_volatile(&raw const RECORD.slot);
                let call: unsafe extern "C" fn($(stubs!(@register $arg)),*) -> i64 = core::mem::transmute(slot as usize);
                call($($arg.to_register()),*) as i32
            }
        }
    )* };
    (@register $arg:ident) => { u64 };
}
chorus_abi::chorus_calls!(stubs);
