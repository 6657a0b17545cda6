//! The remote call: time, exits and frames of one, between two sites.
//!
//! Exits and frames are the machine's own counters. Starting the measuring actor costs some of both, so two runs of different length are made, and the
//! difference is divided by the calls that one made more.

use super::cluster::Cluster;
use super::record::Record;
use crate::cluster::failure::Outcome;
use std::path::Path;

/// One run of the client: exits, frames, its record.
fn client(cluster: &Cluster, count: u32) -> Outcome<(u64, u64, Vec<Record>)> {
    let before = cluster.counters()?;
    let count = count.to_string();
    let text = cluster.run(&["exec", "1", "bench", "remote", &count])?;
    let after = cluster.counters()?;
    let records = text.lines().filter_map(Record::in_line).collect();
    let (exits, frames) = (after.exits - before.exits, after.frames - before.frames);
    Ok((exits, frames, records))
}

/// Measures the remote null call on a cluster of two sites.
///
/// # Errors
/// Status 6: the cluster or its actors failed.
pub fn measure(host: &str, nucleus: Option<&Path>, count: u32) -> Outcome<Vec<Record>> {
    let cluster = Cluster::up(host, nucleus, 2)?;
    cluster.run(&["exec", "2", "--no-wait", "bench", "server", "user"])?;
    // The first run finds the server and makes everything warm.
    client(&cluster, 8)?;
    let (few_exits, few_frames, _) = client(&cluster, count)?;
    let (exits, frames, mut records) = client(&cluster, count * 3)?;
    let more = f64::from(count * 2);
    let counted = |unit: &str, many: u64, few: u64| {
        let each = (many as f64 - few as f64) / more;
        Record::counted("rpc", "remote-null", unit, u64::from(count) * 2, each)
    };
    records.push(counted("exits", exits, few_exits));
    records.push(counted("frames", frames, few_frames));
    Ok(records)
}
