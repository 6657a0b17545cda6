//! Clusters: what they are made of, the process that owns one, and how others talk to it.
//!
//! One process owns a cluster (`process`). Others find it by its runtime folder and speak the control protocol with it. The
//! process itself is a site of its cluster (`gateway`): consoles, files, `ps` and `exec` are Chorus messages.
#![forbid(unsafe_code)]

pub mod archive;
pub mod client;
pub mod control;
pub mod execute;
pub mod failure;
pub mod footprint;
pub mod gateway;
pub mod images;
pub mod interrupt;
pub mod intervention;
pub mod log;
pub mod machines;
pub mod network;
pub mod plan;
pub mod process;
pub mod replace;
pub mod runtime;
pub mod sealing;
pub mod server;
pub mod site;
pub mod topology;

/// An I/O error in words for people: what the system says, without its number.
pub fn reason(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "no such file".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "is a folder, not a file".to_owned(),
        ErrorKind::StorageFull => "no space left on the disk".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error")
                .next()
                .unwrap_or(&text)
                .to_lowercase()
        }
    }
}

/// Memory of this machine in bytes, as `/proc/meminfo` has it; nothing when it cannot be read.
pub fn host_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}
