//! The emulator's log of executed instructions, read a line at a time.
//!
//! With `-singlestep -d exec,nochain` each instruction is a block of its own and each block is a line before it runs: `Trace 0: HOST [CS/PC/FLAGS/CFLAGS] SYMBOL`.
//! Some of them do not run after all: the emulator was asked to stop (a line says so), has to begin anew because of a device (a line says so), or the instruction faults.
//! Those are left out, as the instruction clock leaves them out.

use chorus_abi::machine::ENTRY_SIZE;

/// What the emulator is told, besides where to write and what to leave out.
pub const OPTIONS: [&str; 3] = ["-singlestep", "-d", "exec,nochain"];

/// Exceptions that an instruction has instead of being executed. The others come behind one.
const FAULTS: [u64; 13] = [0, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 19];

/// An instruction that was executed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Step {
    /// Ring of the processor.
    pub ring: u8,
    /// Where the instruction is.
    pub pc: u64,
}

/// The reader of a log.
pub struct Steps<F> {
    /// The Nucleus' entries of exceptions.
    entries: u64,
    pending: Option<Step>,
    step: F,
}

impl<F: FnMut(Step)> Steps<F> {
    /// Calls `step` with each instruction; `entries` is the address of the Nucleus' entries of exceptions.
    pub fn new(entries: u64, step: F) -> Self {
        Steps {
            entries,
            pending: None,
            step,
        }
    }

    /// Takes a line; whether it belongs to the log.
    pub fn line(&mut self, line: &[u8]) -> bool {
        if let Some(text) = line.strip_prefix(b"Trace ") {
            let Some(step) = step(text) else {
                return false;
            };
            let before = self.pending.replace(step);
            if !self.is_fault(step.pc) {
                before.into_iter().for_each(&mut self.step);
            }
            return true;
        }
        if line.starts_with(b"Stopped execution of TB chain before ")
            || line.starts_with(b"cpu_io_recompile: rewound execution of TB to ")
        {
            self.pending = None;
            return true;
        }
        false
    }

    /// The log is over.
    pub fn end(mut self) {
        self.pending.into_iter().for_each(&mut self.step);
    }

    fn is_fault(&self, pc: u64) -> bool {
        let offset = pc.wrapping_sub(self.entries);
        offset.is_multiple_of(ENTRY_SIZE) && FAULTS.contains(&(offset / ENTRY_SIZE))
    }
}

/// `0: 0x7fa6900b6a80 [0000000000000000/ffffffff8010ce19/0040c2b0/ff020201] name`.
fn step(text: &[u8]) -> Option<Step> {
    let open = text.iter().position(|&byte| byte == b'[')?;
    let mut fields = text.get(open + 1..)?.split(|&byte| byte == b'/');
    let (pc, flags) = (hexadecimal(fields.nth(1)?)?, hexadecimal(fields.next()?)?);
    Some(Step {
        ring: (flags & 3) as u8,
        pc,
    })
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0, |number, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        Some(number << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(lines: &[&str]) -> Vec<(u8, u64)> {
        let mut steps = Vec::new();
        let mut log = Steps::new(0xf000, |step: Step| steps.push((step.ring, step.pc)));
        lines.iter().for_each(|line| {
            log.line(line.as_bytes());
        });
        log.end();
        steps
    }

    fn trace(pc: u64, flags: u32) -> String {
        format!("Trace 0: 0x7fa6900b6a80 [0000000000000000/{pc:016x}/{flags:08x}/ff020201] name")
    }

    #[test]
    fn what_did_not_run_is_left_out() {
        let [a, b, c] = [
            trace(1, 0xc0c2b3),
            trace(2, 0xc0c2b0),
            trace(u64::MAX, 0xc0c2b0),
        ];
        assert_eq!(read(&[&a, &b, &c]), [(3, 1), (0, 2), (0, u64::MAX)]);
        let stopped = "Stopped execution of TB chain before 0x7f63800e02c0 [0000000000000002] name";
        let rewound = "cpu_io_recompile: rewound execution of TB to 0000000000000002";
        for line in [stopped, rewound] {
            assert_eq!(read(&[&a, &b, line, &b, &c]), read(&[&a, &b, &c]));
        }
        // A page fault takes the place of the instruction, an interrupt and a breakpoint come behind it.
        let entry = |vector: u64| trace(0xf000 + 16 * vector, 0xb0);
        assert_eq!(read(&[&a, &b, &entry(14)]), [(3, 1), (0, 0xf0e0)]);
        assert_eq!(read(&[&a, &entry(3)]), [(3, 1), (0, 0xf030)]);
        assert_eq!(read(&[&a, &entry(0x20)]), [(3, 1), (0, 0xf200)]);
    }

    #[test]
    fn other_lines_are_told_from_the_log() {
        let mut log = Steps::new(0, |_| ());
        assert!(log.line(trace(1, 0).as_bytes()));
        for line in [
            "",
            "qemu: warning",
            "Trace 0: nothing",
            "Trace 0: [1/2",
            "Trace [1/g/3]",
        ] {
            assert!(!log.line(line.as_bytes()), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(tail in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut line = b"Trace 0: [".to_vec();
            line.extend(tail);
            Steps::new(0, |_| ()).line(&line);
        }
    }
}
