//! `chorus bench --icount --profile`: which functions the instructions of an operation are in.
//!
//! One run of each operation, the median of a few, from the emulator's log of all instructions: nothing is sampled, so the parts add up to the figure that the actor's clock says. Functions are
//! those of the machine code; what the compiler inlined into one is told below it. A profile as folded stacks has the same numbers.

use super::bench::check_names;
use super::code::{Place, Side};
use super::counted::{self, BOOT, LARGE, SMALL, Trace};
use super::record::Record;
use super::windows::{Window, median};
use crate::cli::args::{BenchArgs, Format};
use crate::cli::output;
use crate::cluster::failure::{Failure, Outcome};
use crate::machine::symbols::LIBRARY;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Repetitions of each operation when nothing else is asked for.
const COUNT: u32 = 3;
/// What stands in a table for the instructions of a function that are of no other.
const OWN: &str = "its own";
/// An operation that takes more memory, and twenty million instructions for its preparation: only when it is asked for.
const DEAR: &str = "copy-64-MiB";

/// Functions that were inlined into one another at a place, and instructions there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Part {
    /// Outermost first, each with its file.
    inlined: Vec<String>,
    instructions: u64,
}

/// A function, or a label of assembly code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Function {
    /// `kernel`, `user` or `supervisor`.
    ring: Side,
    /// Whose it is; nobody's but the Nucleus' own without.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    function: String,
    /// All, with those of the parts.
    instructions: u64,
    /// What was inlined, most first; the rest is the function's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part>,
}

/// One run of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Profile {
    suite: String,
    op: String,
    /// All instructions.
    total: u64,
    /// Those of the Nucleus.
    kernel: u64,
    /// Those of user and system actors.
    user: u64,
    /// Those of supervisor actors.
    supervisor: u64,
    /// Most first.
    functions: Vec<Function>,
}

impl Profile {
    fn of(
        record: &Record,
        window: &Window,
        place: &mut impl FnMut(super::steps::Step) -> Place,
    ) -> Self {
        let mut places: BTreeMap<Place, u64> = BTreeMap::new();
        for (step, times) in &window.steps {
            *places.entry(place(*step)).or_default() += times;
        }
        let side = |side: Side| {
            let of_side = places.iter().filter(|(place, _)| place.side == side);
            of_side.map(|(_, times)| times).sum()
        };
        Profile {
            suite: record.suite.clone(),
            op: record.op.clone(),
            total: window.total,
            kernel: side(Side::Kernel),
            user: side(Side::User),
            supervisor: side(Side::Supervisor),
            functions: functions(places),
        }
    }

    /// One line a stack: operation, ring, actor, function, what was inlined, and the number of instructions.
    fn folded(&self, text: &mut String) {
        let mut line = |function: &Function, inlined: &[String], instructions: u64| {
            let outer = [self.op.as_str(), function.ring.name()].into_iter();
            let frames = outer
                .chain(function.actor.as_deref())
                .chain([function.function.as_str()])
                .chain(inlined.iter().map(String::as_str));
            // A semicolon parts frames; a name may have one, in the type of an array.
            let frames: Vec<String> = frames.map(|frame| frame.replace(';', ",")).collect();
            text.push_str(&format!("{} {instructions}\n", frames.join(";")));
        };
        for function in &self.functions {
            let own = function.own();
            if own > 0 {
                line(function, &[], own);
            }
            for part in &function.parts {
                line(function, &part.inlined, part.instructions);
            }
        }
    }

    /// Rows of a table: number, share, ring, name.
    fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        let mut row = |instructions: u64, ring: &str, name: String| {
            let share = 100.0 * instructions as f64 / self.total as f64;
            let figures = [instructions.to_string(), format!("{share:.1}%")];
            rows.push(figures.into_iter().chain([ring.to_owned(), name]).collect());
        };
        for function in &self.functions {
            let actor = function.actor.as_ref();
            let actor = actor.map_or(String::new(), |actor| format!("{actor}: "));
            let name = format!("{actor}{}", without_impls(&function.function));
            row(function.instructions, function.ring.name(), name);
            // By the innermost function of our own sources: what that takes from the standard library is part of its work.
            let mut inner: BTreeMap<&str, u64> = BTreeMap::new();
            let library = format!("({LIBRARY}");
            for part in &function.parts {
                let names = part.inlined.iter().rev();
                let name = names
                    .map(String::as_str)
                    .find(|name| !name.contains(&library));
                *inner.entry(name.unwrap_or(OWN)).or_default() += part.instructions;
            }
            if inner.keys().all(|name| *name == OWN) {
                continue;
            }
            *inner.entry(OWN).or_default() += function.own();
            let small = |instructions: u64| instructions * 100 < self.total;
            let mut inner: Vec<(&str, u64)> = inner.into_iter().collect();
            inner.sort_by_key(|(_, instructions)| u64::MAX - instructions);
            let rest = inner.split_off(inner.partition_point(|(_, part)| !small(*part)));
            for (name, instructions) in inner {
                row(instructions, "", format!("    {name}"));
            }
            let others: u64 = rest.iter().map(|(_, instructions)| instructions).sum();
            if others > 0 {
                row(others, "", format!("    {} others", rest.len()));
            }
        }
        rows
    }
}

impl Function {
    /// What is of no inlined function.
    fn own(&self) -> u64 {
        let parts: u64 = self.parts.iter().map(|part| part.instructions).sum();
        self.instructions - parts
    }
}

/// A function's path without the types that say only on what it is implemented: `module::<impl Type>::name` is `module::name`.
fn without_impls(path: &str) -> String {
    let Some((before, after)) = path.split_once("<impl ") else {
        return path.to_owned();
    };
    let mut depth = 1;
    let end = after.char_indices().find(|(_, letter)| {
        depth += match letter {
            '<' => 1,
            '>' => -1,
            _ => 0,
        };
        depth == 0
    });
    let rest = end.and_then(|(at, _)| after[at + 1..].strip_prefix("::"));
    rest.map_or(path.to_owned(), |rest| format!("{before}{rest}"))
}

/// Functions of places, most instructions first, then by name.
fn functions(places: BTreeMap<Place, u64>) -> Vec<Function> {
    let mut functions: BTreeMap<(Side, Option<String>, String), Function> = BTreeMap::new();
    for (place, instructions) in places {
        let key = (place.side, place.actor.clone(), place.function.clone());
        let function = functions.entry(key).or_insert_with(|| Function {
            ring: place.side,
            actor: place.actor,
            function: place.function,
            instructions: 0,
            parts: Vec::new(),
        });
        function.instructions += instructions;
        if !place.inlined.is_empty() {
            function.parts.push(Part {
                inlined: place.inlined,
                instructions,
            });
        }
    }
    let mut functions: Vec<Function> = functions.into_values().collect();
    // Both sorts are stable, and the maps were in order of the names.
    functions.sort_by_key(|function| u64::MAX - function.instructions);
    for function in &mut functions {
        function
            .parts
            .sort_by_key(|part| u64::MAX - part.instructions);
    }
    functions
}

/// Runs `chorus bench --icount --profile`.
///
/// # Errors
/// No operation has such a name (status 2), the image has no symbols or the file cannot be written (4), the machine is not able (5), the guest failed (6).
pub fn profile(args: &BenchArgs, nucleus: &[u8]) -> Outcome<()> {
    let facts = counted::facts()?;
    let dear = args.suites.iter().any(|word| word.ends_with(DEAR));
    let memory = if dear { LARGE } else { SMALL };
    let trace = counted::trace(
        nucleus,
        args.count.unwrap_or(COUNT),
        memory,
        true,
        &args.suites,
    )?;
    let profiled: Vec<(&Record, &Window)> =
        trace.operations.iter().filter_map(run_of(&trace)).collect();
    let records: Vec<Record> = profiled
        .iter()
        .map(|(record, _)| (*record).clone())
        .collect();
    // Some records are computed from others, or count something else.
    check_names(&args.suites, &records)?;
    let profiles = profiles(&trace, &profiled, &args.suites);
    if let Some(path) = &args.folded {
        let mut text = String::new();
        profiles
            .iter()
            .for_each(|profile| profile.folded(&mut text));
        if path == Path::new("-") {
            return output::text(&text);
        }
        std::fs::write(path, text).map_err(|error| {
            let reason = crate::cluster::reason(&error);
            Failure::bad_file(format!("{}: {reason}", path.display()))
        })?;
    }
    if args.format.format == Format::Json {
        output::json_line(&facts)?;
        return profiles.iter().try_for_each(output::json_line);
    }
    for profile in &profiles {
        let Profile {
            suite,
            op,
            total,
            kernel,
            user,
            supervisor,
            ..
        } = profile;
        output::text(&format!(
            "{suite}/{op}: {total} instructions, kernel {kernel}, user {user}, supervisor {supervisor}\n{}\n",
            output::table(&[">COUNT", ">SHARE", "RING", "FUNCTION"], &profile.rows())
        ))?;
    }
    output::text(&format!("method: {}; {}\n", facts.method, facts.machine))
}

/// The run of an operation that is shown.
fn run_of<'a>(
    trace: &'a Trace,
) -> impl Fn(&'a (Record, Vec<Window>)) -> Option<(&'a Record, &'a Window)> {
    |(record, windows)| {
        let boot = (record.op == BOOT).then_some(&trace.boot);
        Some((record, median(windows).or(boot)?))
    }
}

fn profiles(trace: &Trace, runs: &[(&Record, &Window)], wanted: &[String]) -> Vec<Profile> {
    let mut known = HashMap::new();
    let mut place = |step| {
        let place = known.entry(step).or_insert_with(|| trace.code.place(step));
        place.clone()
    };
    let wanted = runs.iter().filter(|(record, _)| record.matches(wanted));
    wanted
        .map(|(record, window)| Profile::of(record, window, &mut place))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::steps::Step;
    use super::*;

    fn profile() -> Profile {
        let mut window = Window::default();
        for (pc, times) in [(1, 3), (2, 2), (3, 4), (4, 1), (5, 1)] {
            (0..times).for_each(|_| window.add(Step { ring: 0, pc }));
        }
        let record = Record::counted("call", "null", "instructions", 1, 11.0);
        Profile::of(&record, &window, &mut |step: Step| Place {
            side: if step.pc == 5 {
                Side::User
            } else {
                Side::Kernel
            },
            actor: (step.pc == 5).then(|| "bench".to_owned()),
            function: if step.pc < 4 {
                "outer<[u8; 4]>"
            } else {
                "small"
            }
            .to_owned(),
            inlined: match step.pc {
                2 => ["a (a.rs)", "b (library/b.rs)"].map(str::to_owned).into(),
                3 => vec!["c (c.rs)".to_owned()],
                _ => Vec::new(),
            },
        })
    }

    #[test]
    fn paths_are_shown_without_what_they_are_implemented_on() {
        for (path, shown) in [
            ("a::<impl b::C<M>>::d", "a::d"),
            ("<a::B as c::D>::e", "<a::B as c::D>::e"),
            ("a::<impl b", "a::<impl b"),
            ("a::<impl b>", "a::<impl b>"),
        ] {
            assert_eq!(without_impls(path), shown);
        }
    }

    #[test]
    fn the_parts_add_up_in_the_table_and_in_the_stacks() {
        let profile = profile();
        assert_eq!((profile.total, profile.kernel, profile.user), (11, 10, 1));
        let mut text = String::new();
        profile.folded(&mut text);
        assert_eq!(
            text,
            "null;kernel;outer<[u8, 4]> 3\nnull;kernel;outer<[u8, 4]>;c (c.rs) 4\nnull;kernel;outer<[u8, 4]>;a (a.rs);b (library/b.rs) 2\nnull;kernel;small 1\nnull;user;bench;small 1\n"
        );
        let rows = profile.rows();
        let rows: Vec<String> = rows.iter().map(|row| row.join(" ")).collect();
        assert_eq!(
            rows,
            [
                "9 81.8% kernel outer<[u8; 4]>",
                "4 36.4%      c (c.rs)",
                "3 27.3%      its own",
                "2 18.2%      a (a.rs)",
                "1 9.1% kernel small",
                "1 9.1% user bench: small",
            ]
        );
    }
}
