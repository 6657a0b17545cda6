//! Which tests on the host check which assertions: by their names.
//!
//! `nc_029_a_server…` checks one, `nc_147_148_target…` and `nc_182_and_183_a_client…` two, `nc_093_to_096_flags…` four, and a name may say `nc_` more than once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Folders whose tests run on the host alone. Those of `vmm` boot guests.
const FOLDERS: [&str; 5] = [
    "abi",
    "guest-nucleus/core",
    "sim",
    "tests",
    "virtio-net-transport",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where the list is kept.
pub fn list_file() -> PathBuf {
    root().join("abi/src/manual/host_tests.txt")
}

/// The list as it should be.
pub fn list() -> io::Result<String> {
    let mut lines = BTreeSet::new();
    for folder in FOLDERS {
        scan(&root().join(folder), folder, &mut lines)?;
    }
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}

fn scan(folder: &Path, name: &str, lines: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{name}/{file}");
        if path.is_dir() && file != "target" {
            scan(&path, &name, lines)?;
        } else if file.ends_with(".rs") {
            for line in fs::read_to_string(&path)?.lines() {
                let test = line.trim_start().strip_prefix("fn nc_");
                let Some(rest) = test.and_then(|test| test.split_once('(')) else {
                    continue;
                };
                let test = format!("nc_{}", rest.0);
                for number in numbers(&test) {
                    lines.insert(format!("NC-{number:03} {name} {test}"));
                }
            }
        }
    }
    Ok(())
}

/// Numbers of the assertions that a name speaks of.
pub fn numbers(test: &str) -> Vec<u16> {
    let (mut found, mut after_nc, mut to) = (Vec::new(), false, false);
    for word in test.split('_') {
        let number = word.parse::<u16>().ok().filter(|_| word.len() == 3);
        match (number, found.last()) {
            (Some(number), Some(&last)) if after_nc && to => found.extend(last + 1..=number),
            (Some(number), _) if after_nc => found.push(number),
            _ => after_nc = word == "nc" || after_nc && matches!(word, "and" | "to"),
        }
        to = word == "to";
    }
    found
}
