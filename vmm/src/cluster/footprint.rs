//! What a cluster takes of its host's memory: of the process, and of the whole machine.

use serde::{Deserialize, Serialize};

/// Memory of the cluster's process and of the host that it runs on, in bytes; 0 where the host does not say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Footprint {
    /// Proportional set size of the process, guests' memory included.
    pub process: u64,
    /// What the host cannot give away any more (`MemTotal` less `MemAvailable`).
    pub host: u64,
}

impl Footprint {
    /// The footprint of this process now.
    pub fn now() -> Footprint {
        let of = |file: &str, key: &str| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            kibibytes(&text, key).unwrap_or(0) << 10
        };
        let (total, available) = ("MemTotal:", "MemAvailable:");
        Footprint {
            process: of("/proc/self/smaps_rollup", "Pss:"),
            host: of("/proc/meminfo", total).saturating_sub(of("/proc/meminfo", available)),
        }
    }
}

/// The figure of a line `KEY NUMBER kB`.
fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_linux_prints() {
        let text = "Rss:   12 kB\nPss:     34 kB\nPss_Dirty:  5 kB\n";
        assert_eq!(kibibytes(text, "Pss:"), Some(34));
        assert_eq!(kibibytes(text, "Swap:"), None);
        assert_eq!(kibibytes("Pss: much", "Pss:"), None);
        let own = Footprint::now();
        assert!(own.process > 1 << 16 && own.host > own.process, "{own:?}");
    }
}
