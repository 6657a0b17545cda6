//! Memory of the machine for each further idle site.
//!
//! Two clusters that differ in their number of idle sites, one after the other: what the larger takes more, divided by the sites that it has more. The pages
//! that guests touched are counted apart, since they are what the guest's system is, and the rest is what this VMM and KVM need for a site.

use super::cluster::{Cluster, Counters};
use super::record::Record;
use crate::cluster::failure::Outcome;
use std::path::Path;

/// Sites of the smaller and of the larger cluster.
const SITES: (u32, u32) = (2, 10);

/// Measures it.
///
/// # Errors
/// Status 6: a cluster failed.
pub fn measure(host: &str, nucleus: Option<&Path>) -> Outcome<Vec<Record>> {
    let idle = |sites| Cluster::up(host, nucleus, sites)?.counters();
    let (few, many) = (idle(SITES.0)?, idle(SITES.1)?);
    let each = |of: fn(&Counters) -> f64| (of(&many) - of(&few)) / f64::from(SITES.1 - SITES.0);
    let guest = each(|counters| counters.touched as f64);
    let process = each(|counters| counters.memory.process as f64) - guest;
    let machine = each(|counters| counters.memory.host as f64) - guest;
    let record = |op, value| Record::counted("density", op, "bytes", u64::from(SITES.1), value);
    Ok(vec![
        record("guest-pages", guest),
        record("process-less-guest", process),
        record("machine-less-guest", machine),
    ])
}
