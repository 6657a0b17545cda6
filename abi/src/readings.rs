//! Where a program that measures reads its clock: what a trace of it is cut by.
//!
//! Each reading leaves its address and its part in a section that is not loaded, so a trace of executed addresses tells when an operation begins and ends
//! and the measuring costs nothing more. Written by `actors/bench`, read by `chorus bench --icount`.

/// Section of records of two 64-bit numbers: address as linked, and one of [`Reading`].
pub const SECTION: &str = ".clock_readings";

/// What passing an address means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Reading {
    /// What a reading takes is measured: the first reading.
    OwnBegin = 0,
    /// The second, with nothing between.
    OwnEnd = 1,
    /// An operation begins.
    Begin = 2,
    /// It has ended.
    End = 3,
    /// A record of what was measured since the last one is printed.
    Report = 4,
}

impl Reading {
    /// The reading with this number.
    pub fn of(number: u64) -> Option<Reading> {
        let all = [
            Reading::OwnBegin,
            Reading::OwnEnd,
            Reading::Begin,
            Reading::End,
            Reading::Report,
        ];
        all.into_iter().find(|reading| *reading as u64 == number)
    }
}
