//! The verdict, a line an assertion; and what all checks use.

use chorus_abi::*;
use chorus_runtime::{at, println};

/// The caller's own actor.
pub const OWN: In<KnCap> = In::new(K_MYACTOR);
/// The default port.
pub const DEFAULT: i32 = K_DEFAULTPORT;

/// Makes a call; its arguments point at live values of the right types.
macro_rules! call {
    ($name:ident $(, $argument:expr)* $(,)?) => {
        // SAFETY: the arguments are plain values, or addresses of live values that the expressions borrow for the call.
        unsafe { chorus_runtime::raw::$name($($argument),*) }
    };
}
pub(crate) use call;

/// What was found so far.
#[derive(Default)]
pub struct Verdict {
    /// Assertions that do not hold.
    pub failed: u32,
    /// Assertions that hold.
    pub passed: u32,
}

impl Verdict {
    /// One assertion.
    pub fn check(&mut self, name: &str, holds: bool) {
        if holds {
            self.passed += 1;
            println!("{name} ok");
        } else {
            self.failed += 1;
            println!("{name} FAILED");
        }
    }
}

/// A descriptor of a message.
pub fn message(body: &[u8], annex: Option<&[u8; 64]>) -> KnMsgDesc {
    KnMsgDesc {
        body_size: body.len() as u32,
        body_addr: if body.is_empty() { 0 } else { at(body) },
        annex_addr: annex.map_or(0, at),
        ..KnMsgDesc::default()
    }
}
