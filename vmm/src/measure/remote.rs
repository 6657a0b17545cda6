//! The remote call: time, exits and frames of one, between two sites.
//!
//! Exits and frames are the machine's own counters. Starting the measuring actor costs some of both, so two runs of different length are made, and the
//! difference is divided by the calls that one made more.

use super::record::Record;
use crate::cluster::failure::{Failure, Outcome, Status};
use serde::Deserialize;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a command with a text on its standard input; its standard output. Errors: status 6, it failed.
pub fn feed(mut command: Command, input: &str) -> Outcome<String> {
    let failed =
        |why: String| Failure::new(Status::Guest, format!("the benchmark's cluster: {why}"));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(input.as_bytes())
            .map_err(|error| failed(error.to_string()))?;
    }
    let output = child
        .wait_with_output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(format!("it ended with {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What `chorus ps --format json` tells of a site, as far as we look.
#[derive(Deserialize)]
struct Site {
    vm_exits: u64,
    frames_in: u64,
}

#[derive(Deserialize)]
struct Listing {
    sites: Vec<Site>,
}

/// A cluster in the background, taken down at the end.
struct Cluster {
    name: String,
}

impl Cluster {
    fn run(&self, words: &[&str]) -> Outcome<String> {
        let me = std::env::current_exe()
            .map_err(|error| Failure::failed(format!("this program's own file: {error}")))?;
        let mut command = Command::new(me);
        command.args(["--quiet", "--name", &self.name]).args(words);
        feed(command, "")
    }

    /// Exits of both sites, and frames that they sent.
    fn counters(&self) -> Outcome<(u64, u64)> {
        let text = self.run(&["ps", "--format", "json"])?;
        let listing: Listing = serde_json::from_str(&text)
            .map_err(|error| Failure::failed(format!("chorus ps: {error}")))?;
        let sum = |of: fn(&Site) -> u64| listing.sites.iter().map(of).sum();
        Ok((sum(|site| site.vm_exits), sum(|site| site.frames_in)))
    }

    /// One run of the client: exits, frames, its record.
    fn client(&self, count: u32) -> Outcome<(u64, u64, Vec<Record>)> {
        let before = self.counters()?;
        let count = count.to_string();
        let text = self.run(&["exec", "1", "bench", "remote", &count])?;
        let after = self.counters()?;
        let records = text.lines().filter_map(Record::in_line).collect();
        Ok((after.0 - before.0, after.1 - before.1, records))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.run(&["down"]);
    }
}

/// Measures the remote null call on a cluster of two sites.
///
/// # Errors
/// Status 6: the cluster or its actors failed.
pub fn measure(host: &str, nucleus: Option<&Path>, count: u32) -> Outcome<Vec<Record>> {
    let cluster = Cluster {
        name: format!("bench-{}", std::process::id()),
    };
    let mut words = vec![
        "up", "-n", "2", "--vcpus", "2", "-d", "--wait", "--host", host,
    ];
    let path = nucleus.map(|path| path.display().to_string());
    if let Some(path) = &path {
        words.extend(["--nucleus", path]);
    }
    cluster.run(&words)?;
    cluster.run(&["exec", "2", "--no-wait", "bench", "server", "user"])?;
    // The first run finds the server and makes everything warm.
    cluster.client(8)?;
    let (few_exits, few_frames, _) = cluster.client(count)?;
    let (exits, frames, mut records) = cluster.client(count * 3)?;
    let more = f64::from(count * 2);
    let counted = |unit: &str, many: u64, few: u64| {
        let each = (many as f64 - few as f64) / more;
        Record {
            suite: "rpc".to_owned(),
            op: "remote-null".to_owned(),
            unit: unit.to_owned(),
            count: u64::from(count) * 2,
            min: each,
            median: each,
            p99: each,
            max: each,
        }
    };
    records.push(counted("exits", exits, few_exits));
    records.push(counted("frames", frames, few_frames));
    Ok(records)
}
