//! Whose code an instruction of the benchmark's site is: the Nucleus', or which actor's, and in which function.
//!
//! The benchmark has one image for all its actors, which tell where it was loaded. Symbols are those that this binary carries.

use super::bench::BENCH;
use super::steps::Step;
use crate::cluster::failure::{Failure, Outcome};
use crate::cluster::images;
use crate::machine::symbols::Symbols;
use chorus_abi::machine::{ENTRIES_SYMBOL, ENTRY_SIZE, STUB_PAGE, STUB_SIZE};
use chorus_abi::readings::{Reading, SECTION};
use chorus_abi::table::CALLS;
use object::{Object, ObjectSection, ObjectSegment};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::Range;

/// Where an actor of the benchmark said that its image lies.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Located {
    /// The actor's name.
    pub actor: String,
    /// Address of its image.
    pub base: u64,
}

impl Located {
    /// What a line of the console tells; `None` when it is another line.
    pub fn in_line(line: &str) -> Option<Located> {
        let start = line.find("{\"actor\"")?;
        serde_json::from_str(line.get(start..)?.trim_end()).ok()
    }
}

/// On which side of the line that budgets draw an instruction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The Nucleus.
    Kernel,
    /// A user or system actor.
    User,
    /// A supervisor actor, in the Nucleus' ring.
    Supervisor,
}

impl Side {
    /// Its name in tables and stacks.
    pub fn name(self) -> &'static str {
        match self {
            Side::Kernel => "kernel",
            Side::User => "user",
            Side::Supervisor => "supervisor",
        }
    }
}

/// What an instruction belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which side it counts for.
    pub side: Side,
    /// The actor; `None` for the Nucleus.
    pub actor: Option<String>,
    /// Function, or label of assembly code.
    pub function: String,
    /// Functions that were inlined there, outermost first.
    pub inlined: Vec<String>,
}

/// All code of a site.
pub struct Code {
    nucleus: Symbols,
    entries: u64,
    bench: Symbols,
    extent: u64,
    readings: Vec<(u64, Reading)>,
    actors: Vec<Located>,
}

impl Code {
    /// The code of a site with this Nucleus, and these actors of the benchmark.
    ///
    /// # Errors
    /// Status 4: the Nucleus has no symbols. Status 1: this binary carries none of the benchmark, or no actor told where it lies.
    pub fn new(nucleus: &[u8], actors: Vec<Located>) -> Outcome<Code> {
        let symbols = Symbols::of(nucleus);
        let entries = symbols.address(ENTRIES_SYMBOL).ok_or_else(|| {
            Failure::bad_file("the Nucleus image has no symbols, which a profile needs")
                .hint("give --nucleus the file as it was linked, or leave it out")
        })?;
        let image = images::symbols(BENCH).ok_or_else(|| {
            Failure::failed("this chorus carries no symbols of the benchmark actor")
                .hint("it was built without the guest side; build it with cargo build --release")
        })?;
        let wrong = || Failure::failed("the image of the benchmark actor makes no sense");
        let file = object::File::parse(image.as_slice()).map_err(|_| wrong())?;
        let ends = file.segments().map(|part| part.address() + part.size());
        let section = file.section_by_name(SECTION).ok_or_else(wrong)?;
        let readings = read(section.data().map_err(|_| wrong())?);
        if actors.is_empty() || readings.is_empty() {
            return Err(Failure::failed(
                "no actor of the benchmark told where its image lies",
            ));
        }
        let bench = Symbols::of(&image);
        Ok(Code {
            nucleus: symbols,
            entries,
            extent: ends.max().unwrap_or(0),
            // Of functions that the linker left out something stays behind.
            readings: readings
                .into_iter()
                .filter(|(address, _)| bench.function(*address).is_some())
                .collect(),
            bench,
            actors,
        })
    }

    /// Address of the Nucleus' entries of exceptions.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Where the actors read their clock.
    pub fn readings(&self) -> HashMap<u64, Reading> {
        let of = |actor: &Located| {
            let base = actor.base;
            let here = move |&(address, reading)| (base + address, reading);
            self.readings.iter().map(here).collect::<Vec<_>>()
        };
        self.actors.iter().flat_map(of).collect()
    }

    /// Everything but the Nucleus, and its entries of exceptions, which tell that an instruction was not executed.
    pub fn but_the_nucleus(&self) -> Vec<Range<u64>> {
        let image = |actor: &Located| actor.base..actor.base + self.extent;
        let mut ranges: Vec<Range<u64>> = self.actors.iter().map(image).collect();
        ranges.push(STUB_PAGE..STUB_PAGE + (1 << 12));
        ranges.push(self.entries..self.entries + 256 * ENTRY_SIZE);
        ranges
    }

    fn actor(&self, pc: u64) -> Option<&Located> {
        let holds = |actor: &&Located| {
            pc.checked_sub(actor.base)
                .is_some_and(|offset| offset < self.extent)
        };
        self.actors.iter().find(holds)
    }

    /// Whether there is code of the Nucleus at an address: the firmware is none.
    pub fn is_nucleus(&self, pc: u64) -> bool {
        self.nucleus.function(pc).is_some()
    }

    /// Which side an instruction counts for.
    pub fn side(&self, step: Step) -> Side {
        match step.ring {
            0 if self.actor(step.pc).is_some() => Side::Supervisor,
            0 => Side::Kernel,
            _ => Side::User,
        }
    }

    /// What an instruction belongs to.
    pub fn place(&self, step: Step) -> Place {
        let side = self.side(step);
        let unknown = || format!("{:#x}", step.pc);
        if let Some(actor) = self.actor(step.pc) {
            let address = step.pc - actor.base;
            return Place {
                side,
                actor: Some(actor.actor.clone()),
                function: self
                    .bench
                    .function(address)
                    .map_or_else(unknown, str::to_owned),
                inlined: self.bench.inlined(address),
            };
        }
        let call = step
            .pc
            .checked_sub(STUB_PAGE)
            .map(|offset| offset / STUB_SIZE);
        let call = CALLS.iter().find(|row| Some(u64::from(row.number)) == call);
        match call {
            Some(call) if side == Side::User => Place {
                side,
                actor: Some("stubs".to_owned()),
                function: call.name.to_owned(),
                inlined: Vec::new(),
            },
            _ => Place {
                side,
                actor: (side != Side::Kernel).then(|| "unknown".to_owned()),
                function: self
                    .nucleus
                    .function(step.pc)
                    .map_or_else(unknown, str::to_owned),
                inlined: self.nucleus.inlined(step.pc),
            },
        }
    }
}

/// The records of a section of readings.
fn read(section: &[u8]) -> Vec<(u64, Reading)> {
    let (records, _) = section.as_chunks::<16>();
    let numbers = records.iter().map(|record| {
        let (address, reading) = record.split_at(8);
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
        (number(address), number(reading))
    });
    numbers
        .filter_map(|(address, reading)| Some((address, Reading::of(reading)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_tell_where_they_lie_behind_a_log_s_prefix() {
        let line = "[1] bench: {\"actor\":\"bench\",\"base\":4294967296}\r";
        let bench = Located {
            actor: "bench".into(),
            base: 1 << 32,
        };
        assert_eq!(Located::in_line(line), Some(bench));
        for other in ["", "{\"actor\":1}", "{\"suite\":\"call\"}"] {
            assert_eq!(Located::in_line(other), None);
        }
    }

    #[test]
    fn readings_of_an_unknown_kind_are_passed_over() {
        let mut section = Vec::new();
        for number in [0x10u64, 2, 0x20, 9, 0x30, 4] {
            section.extend(number.to_le_bytes());
        }
        section.push(1);
        assert_eq!(
            read(&section),
            [(0x10, Reading::Begin), (0x30, Reading::Report)]
        );
    }
}
