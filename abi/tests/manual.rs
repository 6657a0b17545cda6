//! The manual: complete, true to the table, and on disk as it is generated.

use chorus_abi::library::{self, FUNCTIONS};
use chorus_abi::manual::{self, Entry, LIBRARY, page};
use chorus_abi::table::{CALLS, Call, by_name};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Command;

const ANEW: &str = "make it anew with: cargo run -p chorus-abi --example pages -- docs/calls";

fn entries() -> impl Iterator<Item = &'static Entry> {
    manual::entries().map(|(_, entry)| entry)
}

/// Entries of calls, with their rows.
fn of_calls() -> impl Iterator<Item = (&'static str, &'static Call, &'static Entry)> {
    entries().filter_map(|entry| Some((entry.name, by_name(entry.name)?, entry)))
}

fn text(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut text = String::new();
    write(&mut text).unwrap();
    text
}

fn docs() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"))
}

/// Numbers in a text such as `NC-206…208, NC-219`.
fn named(text: &str) -> BTreeSet<u16> {
    let number = |text: &str| {
        let end = text.find(|sign: char| !sign.is_ascii_digit());
        text[..end.unwrap_or(text.len())].parse::<u16>().ok()
    };
    let mut found = BTreeSet::new();
    for part in text.split("NC-").skip(1) {
        let first = number(part).unwrap();
        let last = part
            .trim_start_matches(|sign: char| sign.is_ascii_digit())
            .strip_prefix('…')
            .and_then(number);
        found.extend(first..=last.unwrap_or(first));
    }
    found
}

#[test]
fn every_call_has_one_entry_and_every_entry_a_call() {
    let calls = CALLS.iter().map(|call| call.name);
    let functions = FUNCTIONS.iter().map(|function| function.name);
    let known: BTreeSet<_> = calls.chain(functions).collect();
    let names: BTreeSet<_> = entries().map(|entry| entry.name).collect();
    assert_eq!(known, names);
    assert_eq!(entries().count(), CALLS.len() + FUNCTIONS.len());
}

#[test]
fn functions_have_entries_of_their_arguments_and_errors_and_bodies_in_the_header() {
    let header = text(|out| chorus_abi::header::write(out));
    for (section, entry) in manual::entries() {
        let function = library::by_name(entry.name);
        assert_eq!(section.room == LIBRARY, function.is_some());
        let Some(function) = function else { continue };
        let said: Vec<_> = entry.arguments.iter().map(|(name, _)| *name).collect();
        let taken: Vec<_> = function.arguments.iter().map(|(name, ..)| *name).collect();
        assert_eq!(said, taken, "arguments of {}", entry.name);
        let said: Vec<_> = entry.errors.iter().map(|(error, _)| *error).collect();
        assert_eq!(said, function.errors, "errors of {}", entry.name);
        let declared = function.arguments.iter().all(|(name, kind, _)| {
            let blank = if kind.ends_with('*') { "" } else { " " };
            function.c.contains(&format!("{kind}{blank}{name}"))
        });
        assert!(declared, "{}", function.c);
        assert!(
            header.contains(&format!("static inline {}\n{{", function.c))
                || header.contains(&format!("static inline {} {{", function.c))
        );
    }
}

#[test]
fn entries_have_the_arguments_and_errors_of_their_rows() {
    for (name, call, entry) in of_calls() {
        let said: Vec<_> = entry.arguments.iter().map(|(name, _)| *name).collect();
        let taken: Vec<_> = call
            .arguments
            .iter()
            .map(|argument| argument.name)
            .collect();
        assert_eq!(said, taken, "arguments of {name}");
        let said: Vec<_> = entry.errors.iter().map(|(error, _)| *error).collect();
        assert_eq!(said, call.errors, "errors of {name}");
        let waits = !entry.waits.is_empty() || entry.result.contains("does not return");
        assert_eq!(call.blocks, waits, "what {name} waits for");
    }
}

#[test]
fn entries_are_whole() {
    for entry in entries() {
        let name = entry.name;
        assert!(!entry.see.is_empty(), "{name} has nothing to see also");
        for other in entry.see {
            let known = by_name(other).is_some() || library::by_name(other).is_some();
            assert!(known, "{name} speaks of {other}");
            assert_ne!(other, &name);
        }
        let cells = entry.arguments.iter().map(|(_, meaning)| meaning);
        for cell in cells.chain(entry.errors.iter().map(|(_, why)| why)) {
            assert!(!cell.contains('|'), "{name}: a cell with a bar");
        }
        let sentences = [entry.purpose, entry.contract, entry.result];
        for sentence in sentences {
            assert!(sentence.ends_with('.'), "{name}: {sentence}");
        }
        assert!(entry.example.ends_with("}\n") && entry.example.contains(name));
    }
}

#[test]
fn the_symbols_that_entries_name_are_those_of_the_header() {
    let header = text(|out| chorus_abi::header::write(out));
    let is_symbol = |sign: char| sign.is_ascii_uppercase() || sign == '_';
    for entry in entries() {
        let arguments = entry.arguments.iter().map(|(_, meaning)| *meaning);
        let errors = entry.errors.iter().map(|(_, why)| *why);
        let texts = [entry.contract, entry.privilege, entry.waits, entry.missing];
        for text in texts.into_iter().chain(arguments).chain(errors) {
            for symbol in text.split(|sign| !is_symbol(sign)) {
                assert!(
                    !symbol.starts_with("K_") || header.contains(&format!(" {symbol} ")),
                    "{} names {symbol}",
                    entry.name
                );
            }
        }
    }
}

#[test]
fn entries_name_assertions_that_exist_and_those_of_their_rows() {
    let known: BTreeSet<_> = manual::assertions().map(|each| each.number).collect();
    let mut spoken_of = BTreeSet::new();
    for entry in entries() {
        let here: BTreeSet<u16> = entry.assertions.iter().cloned().flatten().collect();
        assert!(here.is_subset(&known), "{}: {here:?}", entry.name);
        let contract = by_name(entry.name).map_or(&[][..], |call| call.contract);
        let row = named(&contract.concat());
        assert!(row.is_subset(&here), "{}: the row has {row:?}", entry.name);
        spoken_of.extend(here);
    }
    let unused: Vec<_> = known
        .difference(&spoken_of)
        .filter(|number| !AWAITED.iter().any(|range| range.contains(number)))
        .collect();
    assert!(unused.is_empty(), "named by no entry: {unused:?}");
}

/// Assertions of every call or of none, and those whose calls are not there yet.
const AWAITED: &[RangeInclusive<u16>] = &[
    1..=1,
    48..=52,
    78..=79,
    84..=85,
    91..=96,
    220..=223,
    231..=238,
    240..=278,
    280..=282,
];

#[test]
fn the_assertions_are_those_of_the_specification() {
    let numbers: Vec<u16> = manual::assertions().map(|each| each.number).collect();
    assert_eq!(numbers, (1..=284).collect::<Vec<u16>>());
}

#[test]
fn the_pages_on_disk_are_what_the_manual_says() {
    let folder = docs().join("calls");
    let mut wanted = vec![("README.md".to_string(), text(|out| page::index(out)))];
    for (section, entry) in manual::entries() {
        let name = format!("{}.md", entry.name);
        wanted.push((name, text(|out| page::page(out, section, entry))));
    }
    let there: BTreeSet<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    let names: BTreeSet<_> = wanted.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(there, names, "pages missing or too many; {ANEW}");
    for (name, text) in wanted {
        let page = fs::read_to_string(folder.join(&name)).unwrap();
        assert!(page == text, "docs/calls/{name} is out of step; {ANEW}");
    }
    let summary = fs::read_to_string(docs().join("SUMMARY.md")).unwrap();
    let lines = text(|out| page::summary(out));
    assert!(
        summary.contains(&lines),
        "docs/SUMMARY.md is out of step; {ANEW}"
    );
}

#[test]
fn the_examples_are_c() {
    if Command::new("gcc").arg("--version").output().is_err() {
        eprintln!("skipped: there is no gcc");
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples-of-calls");
    fs::create_dir_all(&folder).unwrap();
    let mut gcc = Command::new("gcc");
    gcc.args(["-fsyntax-only", "-ffreestanding", "-Wall", "-Wextra"])
        .args(["-Werror", "-Wno-unused-function", "-I"])
        .arg(docs().join("../actors/runtime/include"));
    for entry in entries() {
        let file = folder.join(format!("{}.c", entry.name));
        fs::write(&file, format!("#include \"chorus.h\"\n{}", entry.example)).unwrap();
        gcc.arg(file);
    }
    let outcome = gcc.output().unwrap();
    let complaints = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{complaints}");
}
