//! A cluster that is measured from outside: started, asked for its counters, and taken down.

use crate::cluster::failure::{Failure, Outcome, Status};
use crate::cluster::footprint::Footprint;
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
    touched: u64,
}

#[derive(Deserialize)]
struct Listing {
    memory: Footprint,
    sites: Vec<Site>,
}

/// Sums over all sites of a cluster, and its process.
#[derive(Clone, Copy, Debug)]
pub struct Counters {
    /// VM exits.
    pub exits: u64,
    /// Frames delivered.
    pub frames: u64,
    /// Bytes of guest memory that the host has given.
    pub touched: u64,
    /// The process and its host.
    pub memory: Footprint,
}

/// A cluster in the background, taken down at the end.
pub struct Cluster {
    name: String,
}

impl Cluster {
    /// Starts so many sites of two vCPUs, and waits until all have joined.
    ///
    /// # Errors
    /// The host is not able (status 5), the guest failed (6).
    pub fn up(host: &str, nucleus: Option<&Path>, sites: u32) -> Outcome<Cluster> {
        let cluster = Cluster {
            name: format!("bench-{}-{sites}", std::process::id()),
        };
        let sites = sites.to_string();
        let mut words = vec![
            "up", "-n", &sites, "--vcpus", "2", "-d", "--wait", "--host", host,
        ];
        let path = nucleus.map(|path| path.display().to_string());
        if let Some(path) = &path {
            words.extend(["--nucleus", path]);
        }
        cluster.run(&words)?;
        Ok(cluster)
    }

    /// Runs `chorus` with these words on the cluster; its standard output.
    ///
    /// # Errors
    /// Status 6: it failed.
    pub fn run(&self, words: &[&str]) -> Outcome<String> {
        let me = std::env::current_exe()
            .map_err(|error| Failure::failed(format!("this program's own file: {error}")))?;
        let mut command = Command::new(me);
        command.args(["--quiet", "--name", &self.name]).args(words);
        feed(command, "")
    }

    /// The counters now. Errors: status 6.
    pub fn counters(&self) -> Outcome<Counters> {
        let text = self.run(&["ps", "--format", "json"])?;
        let listing: Listing = serde_json::from_str(&text)
            .map_err(|error| Failure::failed(format!("chorus ps: {error}")))?;
        let sum = |of: fn(&Site) -> u64| listing.sites.iter().map(of).sum();
        Ok(Counters {
            exits: sum(|site| site.vm_exits),
            frames: sum(|site| site.frames_in),
            touched: sum(|site| site.touched),
            memory: listing.memory,
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.run(&["down"]);
    }
}
