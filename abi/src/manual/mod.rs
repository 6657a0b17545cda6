//! What the manual says of each call beyond its row in the table.
//!
//! The row ([`crate::table`]) has what programs are made from: number, names, arguments, least privilege, errors. Here stands what people need: what
//! a call promises, what each argument is for, why each error comes, what is not there yet, an example. [`page`] makes a page of `docs/calls` from
//! both. An entry without a row, a row without an entry, an argument or error that only one of them has: a test says so. Nothing here gets into an
//! actor or the Nucleus, since neither reads it.

mod actors;
mod devices;
mod events;
mod exceptions;
mod groups;
mod handlers;
mod interrupts;
mod laps;
mod library;
mod memory;
mod messages;
mod names;
mod network;
pub mod page;
mod ports;
mod segments;
mod site;
mod synchronisation;
mod system_timeouts;
mod thread_control;
mod threads;
mod timers;
mod traps;

use crate::error::KError;
use core::ops::RangeInclusive;

/// What the manual says of one call.
pub struct Entry {
    /// Chorus name.
    pub name: &'static str,
    /// One line: what it does.
    pub purpose: &'static str,
    /// What it promises, in Markdown.
    pub contract: &'static str,
    /// What needs more privilege than the call itself; empty: nothing.
    pub privilege: &'static str,
    /// What goes on behind "The caller waits"; empty for a call that does not block, or does not return.
    pub waits: &'static str,
    /// What each argument is for, in the order of the row.
    pub arguments: &'static [(&'static str, &'static str)],
    /// What it returns when it succeeds.
    pub result: &'static str,
    /// Why it returns each error, in the order of the row.
    pub errors: &'static [(KError, &'static str)],
    /// What the specification asks for and this Nucleus does not do yet; empty: nothing.
    pub missing: &'static str,
    /// Numbers of the assertions (NC-…) that speak of it.
    pub assertions: &'static [RangeInclusive<u16>],
    /// A piece of C that compiles behind `#include "chorus.h"`.
    pub example: &'static str,
    /// Names of calls that belong to it.
    pub see: &'static [&'static str],
}

/// Calls about one thing.
pub struct Section {
    /// Room of `guest-nucleus/core/src` that has them.
    pub room: &'static str,
    /// What they are about.
    pub title: &'static str,
    /// The calls, in the order of the manual.
    pub entries: &'static [Entry],
}

/// The rooms, and what each is for.
pub const ROOMS: &[(&str, &str)] = &[
    (
        "executive",
        "Actors, threads, scheduling, synchronisation, time.",
    ),
    (
        "ipc",
        "Ports, groups, messages, and the seat of the Network Manager.",
    ),
    ("names", "Unique identifiers."),
    (
        "memory",
        "Regions of an actor's address space, copies and sharing, and segments of mappers.",
    ),
    (
        "supervisor",
        "Exceptions, traps, local access points, interrupts, devices, and the site as a whole.",
    ),
    (
        LIBRARY,
        "Functions that need no Nucleus: pure computations on names, in the C header and, as methods, in Rust.",
    ),
];

/// What stands in the place of a room for functions that no room of the Nucleus has.
pub const LIBRARY: &str = "library";

const fn about(room: &'static str, title: &'static str, entries: &'static [Entry]) -> Section {
    Section {
        room,
        title,
        entries,
    }
}

/// The whole manual, room by room.
pub const SECTIONS: &[Section] = &[
    about("executive", "Actors", actors::ENTRIES),
    about("executive", "Threads", threads::ENTRIES),
    about("executive", "Control of threads", thread_control::ENTRIES),
    about(
        "executive",
        "Synchronisation and time",
        synchronisation::ENTRIES,
    ),
    about(
        "executive",
        "Thread semaphores, events, real-time mutexes",
        events::ENTRIES,
    ),
    about("executive", "Timers", timers::ENTRIES),
    about("ipc", "Ports", ports::ENTRIES),
    about("ipc", "Port groups", groups::ENTRIES),
    about("ipc", "Messages", messages::ENTRIES),
    about("ipc", "Message handlers", handlers::ENTRIES),
    about("ipc", "The Network Manager's seat", network::ENTRIES),
    about("names", "Unique identifiers", names::ENTRIES),
    about("memory", "Regions", memory::ENTRIES),
    about("memory", "Segments", segments::ENTRIES),
    about("supervisor", "Exceptions and aborts", exceptions::ENTRIES),
    about("supervisor", "Traps", traps::ENTRIES),
    about("supervisor", "Local access points", laps::ENTRIES),
    about("supervisor", "Interrupts", interrupts::ENTRIES),
    about("supervisor", "System timeouts", system_timeouts::ENTRIES),
    about("supervisor", "Devices", devices::ENTRIES),
    about("supervisor", "The site", site::ENTRIES),
    about(LIBRARY, "Computing with names", library::ENTRIES),
];

/// Every entry, with its section.
pub fn entries() -> impl Iterator<Item = (&'static Section, &'static Entry)> {
    SECTIONS
        .iter()
        .flat_map(|section| section.entries.iter().map(move |entry| (section, entry)))
}

/// The assertions of the specification, a line each: `NC-014`, how many sites it takes to see it, the text of the specification.
const ASSERTIONS: &str = include_str!("assertions.txt");

/// An assertion of the specification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Assertion {
    /// Its number.
    pub number: u16,
    /// How many sites it takes to see it.
    pub sites: u16,
    /// Its text.
    pub text: &'static str,
}

/// All assertions, in the order of their numbers.
pub fn assertions() -> impl Iterator<Item = Assertion> {
    ASSERTIONS.lines().filter_map(|line| {
        let (number, rest) = line.strip_prefix("NC-")?.split_once(' ')?;
        let (sites, text) = rest.split_once(' ')?;
        Some(Assertion {
            number: number.parse().ok()?,
            sites: sites.parse().ok()?,
            text,
        })
    })
}

/// The tests on the host that check assertions, a line each: `NC-003`, a file, a test. Written by the example `host_tests`; a test holds it to the sources.
const HOST_TESTS: &str = include_str!("host_tests.txt");

/// A test of the source tree that checks an assertion without a guest: of the core on a machine of tables, of the protocol in its simulator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostTest {
    /// Number of the assertion.
    pub number: u16,
    /// File, from the root of the source tree.
    pub file: &'static str,
    /// Name of the test.
    pub name: &'static str,
}

/// These tests, in the order of the assertions.
pub fn host_tests() -> impl Iterator<Item = HostTest> {
    HOST_TESTS.lines().filter_map(|line| {
        let (number, rest) = line.strip_prefix("NC-")?.split_once(' ')?;
        let (file, name) = rest.split_once(' ')?;
        Some(HostTest {
            number: number.parse().ok()?,
            file,
            name,
        })
    })
}

// Errors that mean the same in every call that has them.
const BAD_CAP: &str = "The capability is ill-formed, its key is wrong, or its actor is gone.";
const BAD_LI: &str = "The capability is ill-formed, its key is wrong or its actor is gone; or the LI names nothing of that actor.";
const OTHER_SITE: &str = "The capability names an actor of another site.";
const DEPARTING: &str = "The port is on its way to another site (`portMigrate`).";
const BAD_POINTER: &str =
    "A pointer leads outside the caller's memory, or to memory that does not allow the access.";
const NOT_TRUSTED: &str =
    "The caller is neither a thread of a system actor nor a supervisor thread.";
const FOREIGN: &str =
    "The caller has user privilege, and the actor is another system or supervisor actor.";
const SUPERVISOR_THREAD: &str =
    "The caller has user privilege, and the thread is a supervisor thread.";
const DYING_THREAD: &str = "The thread is being deleted.";
const NO_MANAGER: &str = "The caller's actor is not the Network Manager.";

/// The entries of a section. What is left out is empty.
macro_rules! section {
    ($(
        $name:literal: $purpose:literal
        contract $contract:literal
        $(privilege $privilege:literal)?
        $(waits $waits:literal)?
        arguments { $($arg:ident $meaning:expr;)* }
        result $result:literal
        errors { $($error:ident $why:expr;)* }
        $(missing $missing:literal)?
        assertions [$($range:expr),*]
        example $example:literal
        see [$($see:literal),*]
    )*) => {
        pub(super) const ENTRIES: &[$crate::manual::Entry] = &[$($crate::manual::Entry {
            name: $name,
            purpose: $purpose,
            contract: $contract,
            privilege: concat!($($privilege)?),
            waits: concat!($($waits)?),
            arguments: &[$((stringify!($arg), $meaning)),*],
            result: $result,
            errors: &[$(($crate::error::KError::$error, $why)),*],
            missing: concat!($($missing)?),
            assertions: &[$($range),*],
            example: $example,
            see: &[$($see),*],
        }),*];
    };
}
use section;
