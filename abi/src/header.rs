//! The C header of the interface, made from the same tables as everything else.
//!
//! `actors/runtime/include/chorus.h` is what [`write()`] writes; a test holds the two together. What is no table (the entry, the note, the way a call goes through its slot,
//! computations on identifiers) stands in `header_prologue.h` and `header_epilogue.h` beside this file.

use crate::constants::*;
use crate::error::KError;
use crate::services;
use crate::table::{Argument, CALLS, Call};
use crate::types::{STRUCTURES, Structure};
use crate::ui::{K_UIGROUP, K_UIPORT, K_UISITE};
use core::fmt::{Result, Write};

macro_rules! constants {
    ($($name:path,)*) => { &[$((stringify!($name), $name as i128),)*] };
}

/// Constants that programs need, by the names that they have in Rust.
const CONSTANTS: &[(&str, i128)] = constants! {
    ABI_VERSION, K_MYSELF, K_DEFAULTPORT, K_ANYENABLED, K_NONEPORT, K_NODELAY_LIMIT, K_USERACTOR, K_SYSTEMACTOR, K_SUPACTOR, K_USERTHREAD,
    K_SUPTHREAD, K_ACTIVE, K_INACTIVE, K_STOPPED, K_BROADMODE, K_FUNCMODE, K_FUNCUMODE, K_FUNCXMODE, K_DYNAMIC, K_STATUSER, K_STATSYS, K_MIGRATEMSG,
    K_DROPMSG, K_CUIDECLARED, K_UISITE, K_UIPORT, K_UIGROUP,
    K_CMSGANNEXSIZE, K_CMSGSIZEMAX, K_CPORTQUEUE, K_CMSGSAVEDMAX, K_ABORTABLE, K_MOVE, K_WRITABLE, K_EXECUTABLE, K_SUPERVISOR, K_FILLZERO, K_ANYWHERE,
    K_RESTRICTIVE, K_RESERVED, K_NODEMAND, K_NOWAITFORMEMORY, K_INHERITCOPY, K_INHERITSHARE, K_READABLE, K_NOACCESS, K_DISCARD, K_ASYNC, K_ORDERED, K_PAGEFAULT, KN_MPCREATE, KN_MPRELEASE, KN_MPPULLIN, KN_MPPUSHOUT, KN_MPGETACCESS, SITE_MAX, GATEWAY_SITE, UI_STAMP_MAX, STAMP_CONSOLE, STAMP_FILES, STAMP_CONTROL, STAMP_PAGES,
    STAMP_SITE_MANAGER, STAMP_NETWORK_MANAGER, STAMP_DEFAULT_MAPPER, PAGE_SIZE, NAME_MAX, CLASS_DEFAULT, CLASS_FIFO, CLASS_RR, CLASS_RT, K_RT_PRIOMAX, K_RT_PRIOMIN, K_EVENT_OR, K_EVENT_AND,
    K_CLOCK_REALTIME, K_TIMER_ABSOLUTE, K_ANYCPU, FPU_AREA_SIZE,
    K_EXC_REPORT, K_EXC_WRITE, K_EXC_FETCH, K_EXC_CONTINUE, K_EXC_NOTHANDLED, K_EXC_DELETE, K_EXC_BADTRAP, K_ACTOR_EXCVECT_MAX, K_ACTOR_ABORTVECT_MAX,
    K_TRAP_FIRST, K_TRAP_LAST, K_TRAP_TABLE, K_LAP_SAFE, K_LAP_PROTECTED, K_LAP_NOBLOCK, K_LAPNAMEMAX, K_CONNECTED_LAP, K_INTR_UNCLAIMED, K_INTR_CLAIMED, K_DEV_PORTS, K_DEV_SERIAL,
};

/// Services and streams of the console.
const SERVICES: &[(&str, i128)] = &[
    ("CONSOLE_WRITE", services::CONSOLE_WRITE as i128),
    ("CONSOLE_READ", services::CONSOLE_READ as i128),
    ("STREAM_OUT", services::STREAM_OUT as i128),
    ("STREAM_ERR", services::STREAM_ERR as i128),
];

/// A Rust type in C: what stands before the name, and behind it.
fn c_type(rust: &str) -> (&str, &str) {
    let element = rust
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("; "));
    if let Some((element, count)) = element {
        return (c_type(element).0, count.trim_end_matches(']'));
    }
    let plain = match rust {
        "u8" => "unsigned char",
        "u16" => "unsigned short",
        "u32" => "unsigned int",
        "i32" => "int",
        "u64" => "unsigned long",
        other => other,
    };
    (plain, "")
}

fn structure(out: &mut dyn Write, (name, size, fields): &Structure) -> Result {
    writeln!(out, "typedef struct {name} {{")?;
    for (field, rust, _) in *fields {
        match c_type(rust) {
            (before, "") => writeln!(out, "    {before} {field};")?,
            (before, count) => writeln!(out, "    {before} {field}[{count}];")?,
        }
    }
    writeln!(out, "}} {name};")?;
    for (field, _, offset) in *fields {
        writeln!(
            out,
            "_Static_assert(__builtin_offsetof({name}, {field}) == {offset}, \"{name}.{field}\");"
        )?;
    }
    writeln!(
        out,
        "_Static_assert(sizeof({name}) == {size}, \"{name}\");\n"
    )
}

fn parameter(out: &mut dyn Write, argument: &Argument) -> Result {
    let reads = argument.rust.starts_with("In") && !argument.rust.starts_with("InOut");
    let direction = if reads { "const " } else { "" };
    if argument.pointer {
        write!(out, "{direction}{} *{}", argument.c, argument.name)
    } else {
        write!(out, "{} {}", argument.c, argument.name)
    }
}

/// The parameters of a call, as they stand between the parentheses of its declaration.
pub(crate) fn parameters(out: &mut dyn Write, call: &Call) -> Result {
    if call.arguments.is_empty() {
        out.write_str("void")?;
    }
    for (index, argument) in call.arguments.iter().enumerate() {
        out.write_str(if index > 0 { ", " } else { "" })?;
        parameter(out, argument)?;
    }
    Ok(())
}

/// Writes the whole header. Errors: those of `out`.
pub fn write(out: &mut dyn Write) -> Result {
    out.write_str(include_str!("header_prologue.h"))?;
    for (name, value) in CONSTANTS.iter().chain(SERVICES) {
        writeln!(out, "#define {name} ({value})")?;
    }
    out.write_str("\n/* Errors: a call returns one of these, or a number from 0 up. */\n")?;
    writeln!(out, "#define K_OK (0)")?;
    for error in KError::ALL {
        let (symbol, code, meaning) = (error.symbol(), error.code(), error.meaning());
        writeln!(out, "#define {symbol} ({code}) /* {meaning} */")?;
    }
    out.write_str("\n/* Structures. */\n")?;
    for entry in STRUCTURES.into_iter().flatten() {
        structure(out, entry)?;
    }
    for entry in services::ANNEXES {
        structure(out, entry)?;
    }
    out.write_str("/* An item between the Nucleus and the Network Manager: the business of those who write one, in Rust. */\ntypedef struct KnNetItem KnNetItem;\n/* What the Network Manager learns of the cluster. */\ntypedef struct KnNetSeat KnNetSeat;\n\n/* Calls. */\n")?;
    for call in CALLS {
        for line in call.contract {
            writeln!(out, "/*{line} */")?;
        }
        write!(out, "static inline int {}(", call.name)?;
        parameters(out, call)?;
        write!(out, ") {{ CHORUS_CALL(\"{}\"", call.name)?;
        for argument in call.arguments {
            write!(out, ", (unsigned long){}", argument.name)?;
        }
        out.write_str("); }\n")?;
    }
    out.write_str(include_str!("header_epilogue.h"))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use crate::image::StartInfo;
    use core::mem::offset_of;
    use std::path::Path;
    use std::string::String;

    #[test]
    fn the_committed_header_is_what_the_tables_say() {
        let mut text = String::new();
        super::write(&mut text).unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../actors/runtime/include/chorus.h");
        let committed = std::fs::read_to_string(file).unwrap();
        assert!(
            text == committed,
            "out of step; make it anew with: cargo run -p chorus-abi --example header > actors/runtime/include/chorus.h"
        );
    }

    #[test]
    fn the_start_information_is_as_the_epilogue_writes_it() {
        let offsets = [
            offset_of!(StartInfo, site),
            offset_of!(StartInfo, args),
            offset_of!(StartInfo, base),
            offset_of!(StartInfo, cpus),
            size_of::<StartInfo>(),
        ];
        assert_eq!(offsets, [8, 16, 32, 44, 48]);
    }
}
