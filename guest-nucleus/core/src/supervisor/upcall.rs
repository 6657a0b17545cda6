//! What the core asks of the machine at an exception, a trap or a call of a LAP: to call a routine in the thread that runs, and to come back with its result.

use super::points::What;

/// An exception as the machine saw it (spec 6.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trouble {
    /// Its number.
    pub number: u32,
    /// Instruction pointer.
    pub pc: u64,
    /// Address that could not be accessed, or 0.
    pub address: u64,
    /// `K_EXC_WRITE`, `K_EXC_FETCH`.
    pub flags: i32,
    /// Address in supervisor space of the thread's registers (`KnThreadCtx`), with room for an annex behind them.
    pub context: u64,
    /// Next handler to be tried: the core's, 0 at first.
    pub next: usize,
}

/// What sort of routine is called, and with what (spec 3.11, 3.12).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// An exception handler, with the exception.
    Exception(Trouble),
    /// A trap handler, with the number of the trap.
    Trap(u32),
    /// An abort handler.
    Abort,
    /// A LAP, with this argument.
    Lap(u64),
    /// A message handler, with this message.
    Message(Arrived),
}

/// What a message handler is shown of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Arrived {
    /// Bytes of its body, to be fetched.
    pub size: u32,
    /// Its number at the port.
    pub sequence: u32,
    /// Its annex.
    pub annex: Option<[u8; 64]>,
}

impl From<What> for Call {
    fn from(what: What) -> Self {
        match what {
            What::Exception(trouble) => Call::Exception(trouble),
            What::Trap { number, .. } => Call::Trap(number),
            What::Abort(_) => Call::Abort,
            What::Lap(arg) => Call::Lap(arg),
            What::Message(_) => Call::Message(Arrived::default()),
        }
    }
}

/// A routine to be called in the thread that runs, in supervisor mode, on its kernel stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upcall {
    /// Its address.
    pub routine: u64,
    /// What it gets beside its argument, if it is a LAP.
    pub cookie: u64,
    /// Whether it is a LAP, and gets its arguments in a structure.
    pub lap: bool,
    /// What it is called for.
    pub what: Call,
}

/// What the machine does next for a thread that left its code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// The thread goes on after `schedule`; `changed`: with the registers that the handler left.
    Resume {
        /// The registers count.
        changed: bool,
    },
    /// Calls a routine, then `Nucleus::returned`.
    Invoke(Upcall),
    /// Runs others (`schedule`) until the thread is picked again, then `Nucleus::reported`.
    Report(Trouble),
}
