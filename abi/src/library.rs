//! Chorus functions that need no Nucleus: pure computations on names, in the C header and as methods in Rust.
//!
//! The specification lists them among the calls ("pure", "no kernel entry needed"); here a program computes them by itself. This table has
//! what manual pages and tests are made from, as the table of calls has for calls. Bodies in C stand in `header_epilogue.h`, in Rust in [`crate::ui`];
//! a test compares what the two compute.

use crate::error::KError;

/// One function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Function {
    /// Chorus name.
    pub name: &'static str,
    /// Its declaration in C, as the header has it behind `static inline`.
    pub c: &'static str,
    /// What does the same in Rust.
    pub rust: &'static str,
    /// Names and C types of its arguments; `true`: it is written through.
    pub arguments: &'static [(&'static str, &'static str, bool)],
    /// Errors that it can return.
    pub errors: &'static [KError],
}

const UI: &str = "const KnUniqueId *";
const UI_OUT: &str = "KnUniqueId *";

/// All of them, in the order of the manual.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "ipcTarget",
        c: "int ipcTarget(KnUniqueId *ui, int mode)",
        rust: "KnUniqueId::with_mode(self, mode: i32) -> Result<KnUniqueId, KError>",
        arguments: &[("ui", UI_OUT, true), ("mode", "int", false)],
        errors: &[KError::Inval, KError::Fault],
    },
    Function {
        name: "uiBuild",
        c: "int uiBuild(KnUniqueId *ui, unsigned int type, unsigned int site, unsigned int stamp)",
        rust: "KnUniqueId::build(kind: u32, site: u32, stamp: u32) -> Result<KnUniqueId, KError>",
        arguments: &[
            ("ui", UI_OUT, true),
            ("type", "unsigned int", false),
            ("site", "unsigned int", false),
            ("stamp", "unsigned int", false),
        ],
        errors: &[KError::Inval, KError::Fault],
    },
    Function {
        name: "uiSite",
        c: "int uiSite(KnUniqueId *ui, unsigned int site)",
        rust: "KnUniqueId::of_site(site: u32) -> Result<KnUniqueId, KError>",
        arguments: &[("ui", UI_OUT, true), ("site", "unsigned int", false)],
        errors: &[KError::Inval, KError::Fault],
    },
    Function {
        name: "uiGetSite",
        c: "int uiGetSite(const KnUniqueId *ui)",
        rust: "KnUniqueId::made_on(self) -> Result<u16, KError>",
        arguments: &[("ui", UI, false)],
        errors: &[KError::Inval, KError::Fault],
    },
    Function {
        name: "uiClear",
        c: "void uiClear(KnUniqueId *ui)",
        rust: "KnUniqueId::NULL",
        arguments: &[("ui", UI_OUT, true)],
        errors: &[],
    },
    Function {
        name: "uiEqual",
        c: "int uiEqual(const KnUniqueId *a, const KnUniqueId *b)",
        rust: "KnUniqueId::same(self, other: KnUniqueId) -> bool",
        arguments: &[("a", UI, false), ("b", UI, false)],
        errors: &[],
    },
    Function {
        name: "uiValid",
        c: "int uiValid(const KnUniqueId *ui)",
        rust: "KnUniqueId::is_valid(self) -> bool",
        arguments: &[("ui", UI, false)],
        errors: &[],
    },
];

/// The function with this name.
pub fn by_name(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}
