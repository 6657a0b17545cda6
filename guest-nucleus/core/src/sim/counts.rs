//! Instructions of the portable core, counted on the host by callgrind, and held against a committed baseline.
//!
//! They are those of the core and of the driver `site`, less the machine of tables: what the guest takes `chorus bench --icount` says; but the same program gives the same
//! count everywhere, and a change that makes a path longer shows up where no guest boots.
//!
//!     cargo test --release -p chorus-nucleus-core instructions_stay
//!     CHORUS_COUNTS=write …        makes what is measured the baseline

use super::scene::{FOREVER, Party};
use super::site::{MEMORY, Site};
use crate::memory::Fault;
use chorus_abi::error::K_OK;
use chorus_abi::table::number;
use chorus_abi::*;
use std::collections::BTreeMap;
use std::prelude::rust_2024::*;
use std::process::Command;
use std::{env, format, fs, panic, println};

/// What may be more or less than the baseline, in a hundred.
const TOLERANCE: u64 = 3;
/// Repetitions of a scenario, so that what happens once does not weigh.
const TIMES: u64 = 64;
const BASELINE: &str = include_str!("counts.txt");

/// What is counted: a site that is warm, and what is done to it.
type Scenario = (&'static str, fn() -> (Site, Work));
type Work = Box<dyn FnMut(&mut Site)>;

const SCENARIOS: &[Scenario] = &[
    ("null call", null_call),
    ("round trip of an empty message", round_trip),
    ("message of 512 bytes, queued and received", queued),
    ("semaphore there and back", semaphores),
    ("port made and deleted", port),
    ("region made, one page touched, freed", region),
    ("page that is absent", fault),
];

fn null_call() -> (Site, Work) {
    let mut site = Site::new(1);
    site.party(K_USERACTOR);
    (
        site,
        Box::new(|site| assert_eq!(site.call_on(0, number::sys_null, &[]), Some(K_OK))),
    )
}

fn round_trip() -> (Site, Work) {
    let mut site = Site::new(1);
    let (server, client) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let (room, li) = (site.room(server, 0), site.arg(server.actor, &K_DEFAULTPORT));
    site.waits(server, "ipcReceive", &[room.desc, li, FOREVER]);
    let door = site.door(server.actor);
    let (letter, dest, answer) = (
        site.letter(client, b""),
        site.dest(client, door),
        site.room(client, 0),
    );
    let reply = site.letter(server, b"");
    let work = move |site: &mut Site| {
        site.call(
            client.thread,
            "ipcCall",
            &[letter, 0, dest, answer.desc, FOREVER],
        );
        site.call(
            server.thread,
            "ipcReplyReceive",
            &[reply, room.desc, li, FOREVER],
        );
        assert!(site.runs(client));
    };
    (site, Box::new(work))
}

fn queued() -> (Site, Work) {
    let mut site = Site::new(1);
    let party = site.party(K_USERACTOR);
    let (li, ui) = site.port(party);
    let (letter, dest) = (site.letter(party, &[7; 512]), site.dest(party, ui));
    let (room, li) = (site.room(party, 512), site.arg(party.actor, &li));
    let work = move |site: &mut Site| {
        assert_eq!(
            site.call(party.thread, "ipcSend", &[letter, 0, dest]),
            Some(K_OK)
        );
        assert_eq!(
            site.call(party.thread, "ipcReceive", &[room.desc, li, 0]),
            Some(512)
        );
    };
    (site, Box::new(work))
}

fn semaphores() -> (Site, Work) {
    let mut site = Site::new(1);
    let one = site.party(K_USERACTOR);
    let two = site.fellow(one);
    let (here, there) = (
        site.arg(one.actor, &KnSem::default()),
        site.arg(one.actor, &KnSem::default()),
    );
    site.waits(one, "semP", &[here, 0]);
    let work = move |site: &mut Site| {
        let turn = |site: &mut Site, by: Party, give: u64, get: u64| {
            assert_eq!(site.call(by.thread, "semV", &[give]), Some(K_OK));
            site.call(by.thread, "semP", &[get, 0]);
        };
        turn(site, two, here, there);
        turn(site, one, there, here);
    };
    (site, Box::new(work))
}

fn port() -> (Site, Work) {
    let mut site = Site::new(1);
    let party = site.party(K_USERACTOR);
    let ui = site.arg(party.actor, &KnUniqueId::NULL);
    let work = move |site: &mut Site| {
        let li = site.grants(party, "portCreate", &[0, ui]);
        assert_eq!(
            site.call(party.thread, "portDelete", &[0, li as u64]),
            Some(K_OK)
        );
    };
    (site, Box::new(work))
}

fn region() -> (Site, Work) {
    let mut site = Site::new(1);
    let party = site.party(K_USERACTOR);
    let desc = KnRgnDesc {
        start_addr: 0x80_0000,
        size: 4 * PAGE_SIZE,
        options: K_WRITABLE,
        ..KnRgnDesc::default()
    };
    let desc = site.arg(party.actor, &desc);
    let work = move |site: &mut Site| {
        assert_eq!(
            site.call(party.thread, "rgnAllocate", &[0, desc]),
            Some(K_OK)
        );
        assert!(matches!(
            site.nucleus.fault(0, 0x80_1000, true, false, true),
            Fault::Resolved
        ));
        assert_eq!(site.call(party.thread, "rgnFree", &[0, desc]), Some(K_OK));
    };
    (site, Box::new(work))
}

fn fault() -> (Site, Work) {
    let mut site = Site::new(1);
    let party = site.party(K_USERACTOR);
    let desc = KnRgnDesc {
        start_addr: 0x80_0000,
        size: (TIMES + 1) * PAGE_SIZE,
        options: K_WRITABLE,
        ..KnRgnDesc::default()
    };
    let desc = site.arg(party.actor, &desc);
    assert_eq!(
        site.call(party.thread, "rgnAllocate", &[0, desc]),
        Some(K_OK)
    );
    assert!(MEMORY.0 + MEMORY.1 < 0x80_0000);
    let mut page = 0;
    let work = move |site: &mut Site| {
        let address = 0x80_0000 + page * PAGE_SIZE;
        page += 1;
        assert!(matches!(
            site.nucleus.fault(0, address, true, false, true),
            Fault::Resolved
        ));
    };
    (site, Box::new(work))
}

/// callgrind counts what happens in here.
#[inline(never)]
fn counted(site: &mut Site, work: &mut Work) {
    for _ in 0..TIMES {
        work(site);
    }
}

/// Instructions of a scenario, each time: this program again, under callgrind.
fn instructions(name: &str) -> Result<u64, String> {
    let own = env::current_exe().map_err(|error| format!("this program's name: {error}"))?;
    let file = env::temp_dir().join(format!("chorus-counts-{}", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no"])
        .arg("--toggle-collect=chorus_nucleus_core::sim::counts::counted*")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(own)
        .args([
            "--exact",
            "sim::counts::instructions_stay_what_they_were",
            "--test-threads=1",
        ])
        .env("CHORUS_COUNTED", name)
        .output()
        .map_err(|error| format!("valgrind: {error}; scripts/setup installs it"))?;
    let profile = fs::read_to_string(&file).unwrap_or_default();
    let _ = fs::remove_file(&file);
    let count = of_the_core(&profile);
    if output.status.success() && count > 0 {
        return Ok(count / TIMES);
    }
    let told =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Err(format!(
        "{name}: callgrind counted nothing:\n{}",
        told.concat()
    ))
}

/// The instructions of a callgrind profile that functions of the core and of this driver executed themselves; the machine of tables, allocation and so on are left out.
fn of_the_core(profile: &str) -> u64 {
    let mut names = BTreeMap::new();
    let (mut counts, mut of_call, mut total) = (false, false, 0);
    for line in profile.lines() {
        let named = line.strip_prefix("fn=");
        if let Some(function) = named.or_else(|| line.strip_prefix("cfn=")) {
            // `(number) name` the first time, `(number)` later.
            let (number, name) = function.split_once(' ').unwrap_or((function, ""));
            let own = name.contains("chorus_nucleus_core") && !name.contains("sim::machine");
            let own = *names.entry(number).or_insert(own);
            if named.is_some() {
                counts = own;
            }
        } else if line.starts_with("calls=") {
            // The next line is what the called function took.
            of_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = line
                .split(' ')
                .nth(1)
                .and_then(|cost| cost.parse::<u64>().ok());
            if counts && !of_call {
                total += cost.unwrap_or(0);
            }
            of_call = false;
        }
    }
    total
}

#[test]
fn instructions_stay_what_they_were() {
    if let Ok(name) = env::var("CHORUS_COUNTED") {
        let (_, scenario) = SCENARIOS
            .iter()
            .find(|(other, _)| *other == name)
            .expect("no such scenario");
        let (mut site, mut work) = scenario();
        work(&mut site);
        return counted(&mut site, &mut work);
    }
    let mut measured = String::new();
    let mut strayed = Vec::new();
    for (name, _) in SCENARIOS {
        let count = instructions(name).unwrap_or_else(|error| panic!("{error}"));
        let before = BASELINE
            .lines()
            .find_map(|line| line.strip_suffix(name)?.trim().parse::<u64>().ok());
        println!("{count:>8} {name} (baseline {before:?})");
        measured.push_str(&format!("{count:>8} {name}\n"));
        if before.is_none_or(|before| count.abs_diff(before) * 100 > before * TOLERANCE) {
            strayed.push(format!("{name}: {count}, and {before:?} before"));
        }
    }
    if env::var("CHORUS_COUNTS").is_ok_and(|what| what == "write") {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sim/counts.txt");
        fs::write(file, measured).expect("the baseline cannot be written");
    } else {
        assert!(
            strayed.is_empty(),
            "more than {TOLERANCE} % away from guest-nucleus/core/src/sim/counts.txt; if that is meant, CHORUS_COUNTS=write makes it the baseline: {strayed:#?}"
        );
    }
}
